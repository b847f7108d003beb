//! getsockopt(2), setsockopt(2) and sysctl(8) on the settings of the stack, with the limits and errors of tcp(7),
//! socket(7) and ip(7).

use super::{
    calls::{Args, Result, Stop, field},
    host::{Host, Socket},
    script::Expr,
};
use sockeye::{
    error::Error,
    socket::errno,
    stack::{MtuDiscover, Protocol, SocketSettings},
    tcp::{BufferSize, Settings, State, congestion::NAMES, reports::stamping, settings::MAX_BUFFER},
    time::Duration,
};

const TCP_NOTSENT_LOWAT: i32 = 25;
const TCP_INQ: i32 = 36;
const TCP_FASTOPEN_CONNECT: i32 = 30;
const TCP_FASTOPEN_KEY: i32 = 33;
const TCP_FASTOPEN_NO_COOKIE: i32 = 34;
/// The smallest buffers, as getsockopt(2) reports them.
const MIN_SNDBUF: usize = 4608;
const MIN_RCVBUF: usize = 2304;
/// The least TCP_WINDOW_CLAMP.
const MIN_CLAMP: u32 = 1152;

/// getsockopt(3, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
pub fn get(host: &mut Host, args: &mut Args<'_>) -> Result<i64> {
    args.count(5)?;
    let (level, name) = (args.int(1)? as i32, args.int(2)? as i32);
    let (value, len) = match level {
        libc::SOL_SOCKET => get_socket(host, args.int(0)?, name)?,
        libc::IPPROTO_TCP => get_tcp(host, args.int(0)?, name)?,
        libc::IPPROTO_IP => get_ip(host, args.int(0)?, name)?,
        _ => return Err(Error::NotSupported.into()),
    };
    if args.given[3] != Expr::Any {
        args.given[3] = value;
    }
    if args.given[4] != Expr::Any {
        args.given[4] = Expr::List(vec![Expr::int(len)]);
    }
    Ok(0)
}

/// setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
pub fn set(host: &mut Host, args: &mut Args<'_>) -> Result<i64> {
    args.count(5)?;
    let (fd, level, name) = (args.int(0)?, args.int(1)? as i32, args.int(2)? as i32);
    let (value, len) = (args.given[3].clone(), args.int(4)?);
    let right = match &value {
        Expr::Text(text) => text.len() as i64,
        Expr::Struct(fields) if fields.iter().any(|(name, _)| name == "tv_sec") => 16,
        Expr::Struct(_) => 8,
        _ => 4,
    };
    if len < 4 && right == 4 && level != libc::IPPROTO_IP {
        return Err(Error::Invalid.into());
    }
    // A text that is shorter or longer than it is said to be is cut or filled.
    let right = if matches!(value, Expr::Text(_)) { len } else { right };
    let is_byte = level == libc::IPPROTO_IP && len == 1;
    if len != right && !is_byte {
        return Err(Stop::Script(format!("{value} has {right} bytes, not {len}")));
    }
    let id = host.socket(fd)?.id;
    match level {
        libc::SOL_SOCKET => set_socket(host, fd, name, &value)?,
        libc::IPPROTO_TCP => set_tcp(host, fd, name, &value)?,
        libc::IPPROTO_IP => set_ip(host, fd, name, &value)?,
        _ => return Err(Error::NoProtocolOption.into()),
    }
    host.stack.on_settings_changed(id, host.now);
    Ok(0)
}

fn one(value: i64) -> (Expr, i64) {
    (Expr::List(vec![Expr::int(value)]), 4)
}

fn int(value: &Expr) -> Result<i64> {
    match value {
        Expr::List(items) => match items.as_slice() {
            [Expr::Int(value, _)] => Ok(*value),
            _ => Err(Stop::Script(format!("{value} is not one number: [1]"))),
        },
        _ => Err(Stop::Script(format!("{value} is not one number: [1]"))),
    }
}

fn part(value: &Expr, name: &str) -> Result<i64> {
    match value {
        Expr::Struct(fields) => match field(fields, name) {
            Some(Expr::Int(value, _)) => Ok(*value),
            _ => Err(Stop::Script(format!("{name}= is missing"))),
        },
        _ => Err(Stop::Script(format!("{value} has no {name}="))),
    }
}

fn unknown<T>(level: &str, name: i32) -> Result<T> {
    Err(Stop::Script(format!("option {name} of {level} is not known")))
}

fn within(value: i64, range: std::ops::RangeInclusive<i64>) -> Result<u32> {
    if range.contains(&value) { Ok(value as u32) } else { Err(Error::Invalid.into()) }
}

fn seconds(time: Duration) -> i64 {
    time.as_secs() as i64
}

fn get_socket(host: &mut Host, fd: i64, name: i32) -> Result<(Expr, i64)> {
    let time = |time: Option<Duration>| {
        let time = time.unwrap_or_default();
        let fields = [("tv_sec", time.as_secs() as i64), ("tv_usec", time.subsec_micros().into())];
        (Expr::Struct(fields.map(|(name, value)| (name.to_owned(), Expr::int(value))).to_vec()), 16)
    };
    let socket = host.socket(fd)?;
    let (id, protocol) = (socket.id, socket.protocol);
    match name {
        libc::SO_RCVTIMEO => return Ok(time(socket.recv_timeout)),
        libc::SO_SNDTIMEO => return Ok(time(socket.send_timeout)),
        libc::SO_RCVLOWAT => return Ok(one(socket.recv_lowat as i64)),
        libc::SO_LINGER => {
            let fields =
                [("onoff", socket.linger.is_some().into()), ("linger", seconds(socket.linger.unwrap_or_default()))];
            return Ok((Expr::Struct(fields.map(|(name, value)| (name.to_owned(), Expr::int(value))).to_vec()), 8));
        }
        libc::SO_ERROR => {
            let pending = host.stack.take_error(id)?.map_or(0, errno::of);
            return Ok((Expr::List(vec![Expr::Int(pending.into(), shown_errno(pending))]), 4));
        }
        libc::SO_ACCEPTCONN => return Ok(one((host.stack.state(id) == State::Listen).into())),
        libc::SO_TYPE => {
            return Ok(one(if protocol == Protocol::Tcp { libc::SOCK_STREAM } else { libc::SOCK_DGRAM }.into()));
        }
        libc::SO_PROTOCOL => {
            return Ok(one(if protocol == Protocol::Tcp { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP }.into()));
        }
        libc::SO_DOMAIN => return Ok(one(libc::AF_INET.into())),
        _ => {}
    }
    let settings: &SocketSettings = host.stack.settings(id)?;
    let general = match name {
        libc::SO_REUSEADDR => Some(settings.reuse_addr.into()),
        libc::SO_REUSEPORT => Some(settings.reuse_port.into()),
        libc::SO_BROADCAST => Some(settings.broadcast.into()),
        libc::SO_DONTROUTE => Some(settings.dont_route.into()),
        _ => None,
    };
    if let Some(value) = general {
        return Ok(one(value));
    }
    if matches!(name, libc::SO_SNDBUF | libc::SO_RCVBUF) {
        let (send, recv) = host.stack.buffer_sizes(id)?;
        return Ok(one(if name == libc::SO_SNDBUF { send } else { recv } as i64));
    }
    let tcp: &Settings = host.stack.tcp_settings(id)?;
    match name {
        libc::SO_KEEPALIVE => Ok(one(tcp.keepalive.into())),
        libc::SO_ZEROCOPY => Ok(one(tcp.zerocopy.into())),
        libc::SO_TIMESTAMPING => Ok(one(tcp.stamping.into())),
        libc::SO_OOBINLINE => Ok(one(tcp.oob_inline.into())),
        libc::SO_MAX_PACING_RATE => Ok(one(u32::try_from(tcp.max_pacing_rate).unwrap_or(u32::MAX).into())),
        _ => unknown("SOL_SOCKET", name),
    }
}

/// An errno as scripts may write it in the value of SO_ERROR.
fn shown_errno(errno: i32) -> String {
    if errno == 0 { "0".into() } else { super::names::errno_name(errno) }
}

fn set_socket(host: &mut Host, fd: i64, name: i32, value: &Expr) -> Result<()> {
    let socket = host.socket(fd)?;
    let id = socket.id;
    match name {
        libc::SO_RCVTIMEO | libc::SO_SNDTIMEO => {
            let (seconds, micros) = (part(value, "tv_sec")?, part(value, "tv_usec")?);
            if !(0..1_000_000).contains(&micros) {
                return Err(Error::OutOfDomain.into());
            }
            let time = Duration::from_secs(seconds.max(0) as u64) + Duration::from_micros(micros as u64);
            let time = if seconds < 0 { Some(Duration::ZERO) } else { Some(time).filter(|time| !time.is_zero()) };
            if name == libc::SO_RCVTIMEO {
                socket.recv_timeout = time
            } else {
                socket.send_timeout = time
            }
            return Ok(());
        }
        libc::SO_LINGER => {
            let on = part(value, "onoff")? != 0;
            let linger = on.then_some(Duration::from_secs(part(value, "linger")? as u32 as u64));
            socket.linger = linger;
            host.stack.tcp_settings(id)?.linger = linger;
            return Ok(());
        }
        _ => {}
    }
    let value = int(value)?;
    let doubled = |least: usize| (usize::try_from(value).unwrap_or(MAX_BUFFER).min(MAX_BUFFER) * 2).max(least) / 2;
    match name {
        libc::SO_REUSEADDR => host.stack.settings(id)?.reuse_addr = value != 0,
        libc::SO_REUSEPORT => host.stack.settings(id)?.reuse_port = value != 0,
        libc::SO_BROADCAST => host.stack.settings(id)?.broadcast = value != 0,
        libc::SO_DONTROUTE => host.stack.settings(id)?.dont_route = value != 0,
        libc::SO_KEEPALIVE => host.stack.tcp_settings(id)?.keepalive = value != 0,
        libc::SO_OOBINLINE => host.stack.tcp_settings(id)?.oob_inline = value != 0,
        // All ones of 32 bits are no limit.
        libc::SO_MAX_PACING_RATE => {
            let rate = u64::from(value as u32);
            host.stack.tcp_settings(id)?.max_pacing_rate = if rate == u32::MAX.into() { u64::MAX } else { rate };
        }
        libc::SO_SNDBUF => host.stack.tcp_settings(id)?.send_buffer = BufferSize::Fixed(doubled(MIN_SNDBUF)),
        libc::SO_RCVBUF => host.stack.tcp_settings(id)?.recv_buffer = BufferSize::Fixed(doubled(MIN_RCVBUF)),
        libc::SO_ZEROCOPY => host.stack.tcp_settings(id)?.zerocopy = within(value, 0..=1)? == 1,
        libc::SO_TIMESTAMPING => {
            let wanted = value as u32;
            let is_closed = matches!(host.stack.state(id), State::Closed | State::Listen);
            if wanted & !stamping::KNOWN != 0 || wanted & stamping::ID != 0 && is_closed {
                return Err(Error::Invalid.into());
            }
            host.stack.tcp_settings(id)?.stamping = wanted;
            host.stack.on_stamping_set(id);
        }
        libc::SO_RCVLOWAT => {
            let lowat = if value < 0 { i32::MAX as usize } else { (value as usize).max(1) };
            socket.recv_lowat = lowat;
            host.stack.tcp_settings(id)?.recv_lowat = lowat;
        }
        _ => return unknown("SOL_SOCKET", name),
    }
    Ok(())
}

fn get_tcp(host: &mut Host, fd: i64, name: i32) -> Result<(Expr, i64)> {
    let Socket { id, protocol, .. } = *host.socket(fd)?;
    if protocol != Protocol::Tcp {
        return Err(Error::NotSupported.into());
    }
    if name == libc::TCP_MAXSEG {
        return Ok(one(host.stack.mss(id)?.into()));
    }
    let knobs = *host.stack.knobs_mut();
    let tcp: &Settings = host.stack.tcp_settings(id)?;
    Ok(one(match name {
        libc::TCP_NODELAY => tcp.nodelay.into(),
        libc::TCP_CORK => tcp.cork.into(),
        libc::TCP_QUICKACK => tcp.quickack.into(),
        libc::TCP_KEEPIDLE => seconds(tcp.keep_idle),
        libc::TCP_KEEPINTVL => seconds(tcp.keep_interval),
        libc::TCP_KEEPCNT => tcp.keep_count.into(),
        libc::TCP_SYNCNT => tcp.syn_retries.unwrap_or(knobs.syn_retries).into(),
        libc::TCP_LINGER2 => tcp.fin_wait(&knobs).map_or(-1, seconds),
        libc::TCP_DEFER_ACCEPT => seconds(tcp.defer_accept),
        libc::TCP_WINDOW_CLAMP => tcp.window_clamp.into(),
        libc::TCP_USER_TIMEOUT => tcp.user_timeout.as_millis() as i64,
        TCP_NOTSENT_LOWAT => tcp.notsent_lowat.unwrap_or(0).into(),
        TCP_INQ => tcp.inq.into(),
        libc::TCP_FASTOPEN => tcp.fast_open.as_ref().map_or(0, |fast| fast.queue.into()),
        TCP_FASTOPEN_CONNECT => tcp.fast_open.as_ref().is_some_and(|fast| fast.connect).into(),
        TCP_FASTOPEN_NO_COOKIE => tcp.fast_open.as_ref().is_some_and(|fast| fast.no_cookie).into(),
        libc::TCP_CONGESTION => return Ok((Expr::Text(tcp.congestion.to_owned()), 16)),
        _ => return unknown("IPPROTO_TCP", name),
    }))
}

fn set_tcp(host: &mut Host, fd: i64, name: i32, value: &Expr) -> Result<()> {
    let Socket { id, protocol, .. } = *host.socket(fd)?;
    if protocol != Protocol::Tcp {
        return Err(Error::NoProtocolOption.into());
    }
    let is_closed = host.stack.state(id) == State::Closed;
    let tcp = host.stack.tcp_settings(id)?;
    if let (libc::TCP_CONGESTION, Expr::Text(name)) = (name, value) {
        tcp.congestion = NAMES.iter().find(|known| *known == name).ok_or(Error::NotFound)?;
        return Ok(());
    }
    if let (TCP_FASTOPEN_KEY, Expr::Text(keys)) = (name, value) {
        let bytes: Vec<_> = keys.chars().map(|c| c as u8).collect();
        let (keys, rest) = bytes.as_chunks::<16>();
        if !matches!((keys.len(), rest.len()), (1 | 2, 0)) {
            return Err(Error::Invalid.into());
        }
        tcp.fast_open.get_or_insert_default().keys = keys.to_vec();
        return Ok(());
    }
    let value = int(value)?;
    let keep = |value| Ok::<_, Stop>(Duration::from_secs(within(value, 1..=32_767)?.into()));
    match name {
        libc::TCP_NODELAY => (tcp.nodelay, tcp.pushes) = (value != 0, value != 0),
        libc::TCP_CORK => tcp.cork = value != 0,
        libc::TCP_QUICKACK => tcp.quickack = value != 0,
        libc::TCP_MAXSEG if value == 0 => tcp.maxseg = None,
        libc::TCP_MAXSEG => tcp.maxseg = Some(within(value, 88..=32_767)? as u16),
        libc::TCP_KEEPIDLE => tcp.keep_idle = keep(value)?,
        libc::TCP_KEEPINTVL => tcp.keep_interval = keep(value)?,
        libc::TCP_KEEPCNT => tcp.keep_count = within(value, 1..=127)?,
        libc::TCP_SYNCNT => tcp.syn_retries = Some(within(value, 1..=127)?),
        libc::TCP_LINGER2 => tcp.fin_timeout = u64::try_from(value.min(120)).ok().map(Duration::from_secs),
        libc::TCP_DEFER_ACCEPT => tcp.defer_accept = whole_retransmissions(value),
        libc::TCP_WINDOW_CLAMP if value == 0 && !is_closed => return Err(Error::Invalid.into()),
        libc::TCP_WINDOW_CLAMP if value == 0 => tcp.window_clamp = 0,
        libc::TCP_WINDOW_CLAMP => tcp.window_clamp = (value as u32).max(MIN_CLAMP),
        libc::TCP_USER_TIMEOUT => {
            tcp.user_timeout = Duration::from_millis(within(value, 0..=i32::MAX.into())?.into());
        }
        TCP_NOTSENT_LOWAT => tcp.notsent_lowat = Some(value as u32).filter(|lowat| *lowat != 0),
        TCP_INQ => tcp.inq = within(value, 0..=1)? == 1,
        libc::TCP_FASTOPEN | TCP_FASTOPEN_CONNECT | TCP_FASTOPEN_NO_COOKIE => {
            return set_fast_open(host, fd, name, value);
        }
        libc::TCP_MD5SIG => return Err(Error::NoProtocolOption.into()),
        _ => return unknown("IPPROTO_TCP", name),
    }
    Ok(())
}

/// What only a socket without a connection may set.
fn set_fast_open(host: &mut Host, fd: i64, name: i32, value: i64) -> Result<()> {
    let id = host.socket(fd)?.id;
    let (state, is_allowed) = (host.stack.state(id), host.stack.may_open_fast());
    let fast = host.stack.tcp_settings(id)?.fast_open.get_or_insert_default();
    let is_fit = state == State::Closed || state == State::Listen && name != TCP_FASTOPEN_CONNECT;
    match name {
        libc::TCP_FASTOPEN if is_fit => fast.queue = within(value, 0..=i32::MAX.into())?.min(4096),
        TCP_FASTOPEN_CONNECT if !is_allowed => return Err(Error::NotSupported.into()),
        TCP_FASTOPEN_CONNECT if is_fit => fast.connect = within(value, 0..=1)? == 1,
        TCP_FASTOPEN_NO_COOKIE if is_fit => fast.no_cookie = within(value, 0..=1)? == 1,
        _ => return Err(Error::Invalid.into()),
    }
    Ok(())
}

/// TCP_DEFER_ACCEPT: the time of the first retransmissions of the SYN-ACK that reaches the seconds asked for.
fn whole_retransmissions(seconds: i64) -> Duration {
    if seconds <= 0 {
        return Duration::ZERO;
    }
    let (mut timeout, mut time) = (1, 1);
    while time < seconds {
        timeout = (timeout * 2).min(120);
        time += timeout;
    }
    Duration::from_secs(time as u64)
}

fn get_ip(host: &mut Host, fd: i64, name: i32) -> Result<(Expr, i64)> {
    let id = host.socket(fd)?.id;
    if name == libc::IP_MTU {
        return Ok(one(host.stack.path_mtu(id)?.into()));
    }
    let ip = &host.stack.settings(id)?.ip;
    Ok(one(match name {
        libc::IP_TOS => ip.tos.into(),
        libc::IP_TTL => ip.ttl.into(),
        libc::IP_MTU_DISCOVER => ip.mtu_discover as i64,
        libc::IP_RECVERR => ip.recverr.into(),
        _ => return unknown("IPPROTO_IP", name),
    }))
}

fn set_ip(host: &mut Host, fd: i64, name: i32, value: &Expr) -> Result<()> {
    let Socket { id, protocol, .. } = *host.socket(fd)?;
    let value = int(value)?;
    let ip = &mut host.stack.settings(id)?.ip;
    match name {
        // The mark of a stream is not the application's (RFC 3168 section 23.2).
        libc::IP_TOS if protocol == Protocol::Tcp => ip.tos = value as u8 & !3 | ip.tos & 3,
        libc::IP_TOS => ip.tos = value as u8,
        libc::IP_TTL if value == -1 => ip.ttl = 64,
        libc::IP_TTL => ip.ttl = within(value, 1..=255)? as u8,
        libc::IP_RECVERR => ip.recverr = value != 0,
        libc::IP_MTU_DISCOVER => {
            ip.mtu_discover = match value as i32 {
                libc::IP_PMTUDISC_DONT => MtuDiscover::Dont,
                libc::IP_PMTUDISC_WANT => MtuDiscover::Want,
                libc::IP_PMTUDISC_DO => MtuDiscover::Do,
                libc::IP_PMTUDISC_PROBE => MtuDiscover::Probe,
                // IP_PMTUDISC_INTERFACE and IP_PMTUDISC_OMIT
                4 => MtuDiscover::Interface,
                5 => MtuDiscover::Omit,
                _ => return Err(Error::Invalid.into()),
            }
        }
        _ => return unknown("IPPROTO_IP", name),
    }
    Ok(())
}
