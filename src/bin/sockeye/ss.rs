//! `sockeye ss`: the sockets of running stacks, as ss(8) prints the kernel's.

use crate::{Failure, arguments::Ss, holders::Holders, ls, variables};
use sockeye::host::{
    plain::plain_line,
    survey::{self, Sockets},
};
use sockeye_shim::{
    address::Address,
    format::{Token, token_from_text},
    report::Report,
    variables::TOKEN,
};
use std::{
    collections::HashMap,
    fmt::Write,
    fs,
    net::{Ipv4Addr, Ipv6Addr},
};

/// ss(8)'s names for tcp_info's states, beginning with state 1.
const STATES: [&str; 11] = [
    "ESTAB",
    "SYN-SENT",
    "SYN-RECV",
    "FIN-WAIT-1",
    "FIN-WAIT-2",
    "TIME-WAIT",
    "UNCONN",
    "CLOSE-WAIT",
    "LAST-ACK",
    "LISTEN",
    "CLOSING",
];
const SYN_RECV: i32 = 3;
const TIME_WAIT: i32 = 6;
const UNCONNECTED: i32 = 7;
const LISTEN: i32 = 10;

/// The table.
pub fn show(arguments: &Ss) -> Result<String, Failure> {
    let token = token()?;
    let asked = match &arguments.stack {
        Some(name) => {
            let sockets = survey::one(name.as_bytes(), token, Sockets::default());
            vec![(name.clone(), sockets.map_err(|trouble| crate::stop::failure(name, &trouble))?)]
        }
        None => ls::answers(survey::all(token, &Sockets::default())),
    };
    let of_one = |(name, sockets): (String, Vec<Report>)| sockets.into_iter().map(move |socket| (name.clone(), socket));
    let mut found: Vec<_> = asked.into_iter().flat_map(of_one).collect();
    found.retain(|(_, socket)| is_wanted(arguments, socket));
    let holders = if arguments.processes { Holders::now()? } else { Holders::default() };
    Ok(table(arguments, &found, &holders))
}

/// The token of this environment.
pub fn token() -> Result<Option<Token>, Failure> {
    variables::judge(&TOKEN)?;
    Ok(variables::value(TOKEN.name).and_then(|text| token_from_text(text.as_bytes())))
}

fn is_wanted(arguments: &Ss, socket: &Report) -> bool {
    let Ss { tcp, udp, listening, all, .. } = *arguments;
    let is_tcp = i32::from(socket.protocol) == libc::IPPROTO_TCP;
    let is_listening = matches!(socket.state, LISTEN | UNCONNECTED);
    let of_protocol = tcp == udp || tcp == is_tcp;
    let of_state = match (all, listening) {
        (true, _) => true,
        (false, true) => is_listening,
        (false, false) => !is_listening && !matches!(socket.state, TIME_WAIT | SYN_RECV),
    };
    of_protocol && of_state
}

fn table(arguments: &Ss, found: &[(String, Report)], holders: &Holders) -> String {
    let Ss { stack, tcp, udp, numeric, info, processes, no_header, .. } = arguments;
    let services = if *numeric { HashMap::new() } else { services() };
    let columns = [
        ("Stack", stack.is_none()),
        ("Netid", tcp == udp),
        ("State", true),
        ("Recv-Q", true),
        ("Send-Q", true),
        ("Local Address:Port", true),
        ("Peer Address:Port", true),
        ("Process", *processes),
    ];
    let pick = |cells: [String; 8]| -> Vec<String> {
        cells.into_iter().zip(&columns).filter_map(|(cell, (_, is_shown))| is_shown.then_some(cell)).collect()
    };
    let mut rows = vec![pick(columns.map(|(title, _)| title.to_owned()))];
    for (name, socket) in found {
        let protocol = if i32::from(socket.protocol) == libc::IPPROTO_TCP { "tcp" } else { "udp" };
        let state = usize::try_from(socket.state - 1).ok().and_then(|at| STATES.get(at)).unwrap_or(&"UNKNOWN");
        rows.push(pick([
            name.clone(),
            protocol.to_owned(),
            (*state).to_owned(),
            socket.recv_queue.to_string(),
            socket.send_queue.to_string(),
            endpoint(&socket.local, socket.is_v6only, protocol, &services),
            endpoint(&far_end(socket), socket.is_v6only, protocol, &services),
            holders.of(socket),
        ]));
    }
    let widths: Vec<usize> =
        (0..rows[0].len()).map(|at| rows.iter().map(|row| row[at].len()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate().skip(usize::from(*no_header)) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(text, "{}", cells.join(" ").trim_end());
        if let (true, Some((_, socket))) = (*info, at.checked_sub(1).and_then(|at| found.get(at)))
            && let Some(line) = details(socket)
        {
            let _ = writeln!(text, "\t {line}");
        }
    }
    text
}

/// services(5): the names of ports.
fn services() -> HashMap<(u16, String), String> {
    let table = fs::read_to_string("/etc/services").unwrap_or_default();
    let mut names = HashMap::new();
    for line in table.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        if let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|w| w.split_once('/')))
            && let Ok(port) = port.parse()
        {
            names.entry((port, protocol.to_owned())).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// Its peer's address; where it has none, nobody's in the family of its own.
fn far_end(socket: &Report) -> Address {
    let is_bare = socket.remote == Address::NONE && socket.local.to_v4().is_some();
    if is_bare { Address::v4([0; 4], 0) } else { socket.remote }
}

/// `*` stands for every address of both families, as in ss(8).
fn endpoint(address: &Address, is_v6only: bool, protocol: &str, services: &HashMap<(u16, String), String>) -> String {
    let port = match (address.port, services.get(&(address.port, protocol.to_owned()))) {
        (0, _) => "*".to_owned(),
        (_, Some(name)) => name.clone(),
        (port, None) => port.to_string(),
    };
    match address.to_v4() {
        Some(v4) => format!("{}:{port}", Ipv4Addr::from(v4)),
        None if address.is_unspecified() && !is_v6only => format!("*:{port}"),
        None => format!("[{}]:{port}", Ipv6Addr::from(address.ip)),
    }
}

/// `struct tcp_info`, by the offsets of its fields.
struct Info<'a>(&'a [u8]);

impl Info<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn u32(&self, at: usize) -> u32 {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }

    fn u64(&self, at: usize) -> u64 {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    /// Microseconds as ss(8) prints them: milliseconds, without needless zeros.
    fn millis(&self, at: usize) -> String {
        format!("{}", f64::from(self.u32(at)) / 1000.0)
    }
}

/// The second line of a connection, in ss(8)'s words and order.
fn details(socket: &Report) -> Option<String> {
    use sockeye::tcp::info::Info as Layout;
    use std::mem::offset_of;
    let info = Info(socket.info.as_bytes());
    if info.0.is_empty() {
        return None;
    }
    let mut words = Vec::new();
    let options = info.byte(offset_of!(Layout, options));
    words.extend((options & 1 != 0).then(|| "ts".to_owned()));
    words.extend((options & 2 != 0).then(|| "sack".to_owned()));
    let name = socket.congestion.split(|&c| c == 0).next().unwrap_or_default();
    words.push(plain_line(name));
    let scale = info.byte(offset_of!(Layout, wscale));
    words.extend((options & 4 != 0).then(|| format!("wscale:{},{}", scale & 15, scale >> 4)));
    words.push(format!("rto:{}", info.millis(offset_of!(Layout, rto))));
    let backoff = info.byte(offset_of!(Layout, backoff));
    words.extend((backoff > 0).then(|| format!("backoff:{backoff}")));
    let (rtt, var) = (offset_of!(Layout, rtt), offset_of!(Layout, rttvar));
    words.extend((info.u32(rtt) > 0).then(|| format!("rtt:{}/{}", info.millis(rtt), info.millis(var))));
    words.push(format!("ato:{}", info.millis(offset_of!(Layout, ato))));
    // What is zero is left out, as ss(8) does; cwnd and mss never are.
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    let small = |at| u64::from(info.u32(at));
    count("mss", small(offset_of!(Layout, snd_mss)));
    count("pmtu", small(offset_of!(Layout, pmtu)));
    count("rcvmss", small(offset_of!(Layout, rcv_mss)));
    count("advmss", small(offset_of!(Layout, advmss)));
    count("cwnd", small(offset_of!(Layout, snd_cwnd)));
    let threshold = small(offset_of!(Layout, snd_ssthresh));
    count("ssthresh", if threshold < 0xffff { threshold } else { 0 });
    count("bytes_sent", info.u64(offset_of!(Layout, bytes_sent)));
    count("bytes_retrans", info.u64(offset_of!(Layout, bytes_retrans)));
    count("bytes_acked", info.u64(offset_of!(Layout, bytes_acked)));
    count("bytes_received", info.u64(offset_of!(Layout, bytes_received)));
    count("segs_out", small(offset_of!(Layout, segs_out)));
    count("segs_in", small(offset_of!(Layout, segs_in)));
    count("data_segs_out", small(offset_of!(Layout, data_segs_out)));
    count("data_segs_in", small(offset_of!(Layout, data_segs_in)));
    count("lastsnd", small(offset_of!(Layout, last_data_sent)));
    count("lastrcv", small(offset_of!(Layout, last_data_recv)));
    count("lastack", small(offset_of!(Layout, last_ack_recv)));
    let bits = |bytes: u64| format!("{}bps", bytes.saturating_mul(8));
    let (paced, most) = (info.u64(offset_of!(Layout, pacing_rate)), info.u64(offset_of!(Layout, max_pacing_rate)));
    words.extend((paced > 0 && paced != u64::MAX).then(|| format!("pacing_rate {}", bits(paced))));
    words.extend((most > 0 && most != u64::MAX).then(|| format!("max_pacing_rate {}", bits(most))));
    let delivery = info.u64(offset_of!(Layout, delivery_rate));
    words.extend((delivery > 0).then(|| format!("delivery_rate {}", bits(delivery))));
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    count("delivered", small(offset_of!(Layout, delivered)));
    count("delivered_ce", small(offset_of!(Layout, delivered_ce)));
    words.extend((info.byte(offset_of!(Layout, flags)) & 1 != 0).then(|| "app_limited".to_owned()));
    for (word, at) in [
        ("busy", offset_of!(Layout, busy_time)),
        ("rwnd_limited", offset_of!(Layout, rwnd_limited)),
        ("sndbuf_limited", offset_of!(Layout, sndbuf_limited)),
    ] {
        words.extend((info.u64(at) > 0).then(|| format!("{word}:{}ms", info.u64(at) / 1000)));
    }
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    count("unacked", small(offset_of!(Layout, unacked)));
    let (now, total) = (small(offset_of!(Layout, retrans)), small(offset_of!(Layout, total_retrans)));
    words.extend((now + total > 0).then(|| format!("retrans:{now}/{total}")));
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    count("lost", small(offset_of!(Layout, lost)));
    count("sacked", small(offset_of!(Layout, sacked)));
    count("dsack_dups", small(offset_of!(Layout, dsack_dups)));
    let reordering = small(offset_of!(Layout, reordering));
    count("reordering", if reordering == 3 { 0 } else { reordering });
    count("reord_seen", small(offset_of!(Layout, reord_seen)));
    let rtt = offset_of!(Layout, rcv_rtt);
    words.extend((info.u32(rtt) > 0).then(|| format!("rcv_rtt:{}", info.millis(rtt))));
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    count("rcv_space", small(offset_of!(Layout, rcv_space)));
    count("rcv_ssthresh", small(offset_of!(Layout, rcv_ssthresh)));
    count("notsent", small(offset_of!(Layout, notsent_bytes)));
    let least = offset_of!(Layout, min_rtt);
    words.extend((info.u32(least) != u32::MAX).then(|| format!("minrtt:{}", info.millis(least))));
    let mut count = |word: &str, value: u64| words.extend((value > 0).then(|| format!("{word}:{value}")));
    count("rcv_ooopack", small(offset_of!(Layout, rcv_ooopack)));
    count("snd_wnd", small(offset_of!(Layout, snd_wnd)));
    count("rcv_wnd", small(offset_of!(Layout, rcv_wnd)));
    count("rehash", small(offset_of!(Layout, rehash)));
    Some(words.join(" "))
}
