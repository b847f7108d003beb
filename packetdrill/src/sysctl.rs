//! The file that `SOCKEYE_SYSCTL` names: lines like `net.ipv4.tcp_ecn=1`, Linux's names and units, which hold for the
//! sockets that are opened from then on. Scripts set such values by programs; whoever runs them has those programs write
//! there. It is read again for every socket: what it does not say is as if it had never been said. What the stack has no
//! knob for is passed over, as are values that a knob does not go to: a script's settings are for a whole machine.

use crate::bench::Bench;
use sockeye::{
    socket::{
        congestion,
        table::{self, Entry},
    },
    stack::Protocol,
    tcp::{BufferSize, Knobs, Settings},
    time::Duration,
};
use std::fs;

/// Names the file.
const VARIABLE: &str = "SOCKEYE_SYSCTL";

/// A setting: its name without `net.ipv4.`, and its value.
type Setting = (String, String);

/// The file's settings, in its order. Empty lines and those that begin with `#` or `;` are comments (sysctl.conf(5)).
pub fn read() -> Vec<Setting> {
    let text = sockeye::sys::env::var(VARIABLE).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let setting = |(name, value): (&str, &str)| {
        let name = name.trim().replace('/', ".");
        let name = name.strip_prefix("net.ipv4.")?.to_owned();
        Some((name, value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    lines.filter_map(|line| line.split_once('=')).filter_map(setting).collect()
}

/// The numbers of a value; in hexadecimal behind `0x`.
fn numbers(value: &str) -> Vec<u32> {
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => word.parse().ok(),
    };
    value.split([' ', ',', '\t']).filter(|word| !word.is_empty()).map_while(number).collect()
}

/// Sets the stack's knobs.
pub fn apply(bench: &Bench, settings: &[Setting]) {
    let mut knobs = Knobs::default();
    for (name, value) in settings {
        // Passed over, as said above.
        let _ = match numbers(value)[..] {
            [value] => knobs.set(name, value),
            [least, first, most] => knobs.set_sizes(name, [least, first, most]),
            _ => Ok(()),
        };
    }
    bench.engine.with(|stack, _| *stack.knobs_mut() = knobs);
}

/// Gives the new socket `fd` what new sockets begin with.
pub fn apply_to(fd: i32, settings: &[Setting]) {
    let Entry::Socket(socket) = table::entry(fd) else { return };
    if socket.protocol != Protocol::Tcp {
        return;
    }
    // It was opened just now.
    let _ = socket.with(|stack, id, _| {
        let tcp = stack.tcp_settings(id)?;
        settings.iter().for_each(|(name, value)| begin_with(tcp, name, value));
        Ok(())
    });
}

fn begin_with(tcp: &mut Settings, name: &str, value: &str) {
    if let ("tcp_congestion_control", Ok(congestion)) = (name, congestion::judge(name, value)) {
        tcp.congestion = congestion;
    }
    let number = match numbers(value)[..] {
        [number] => number,
        [_, _, most] if name == "tcp_wmem" => return tcp.send_buffer = BufferSize::Auto { max: most as usize },
        _ => return,
    };
    let seconds = Duration::from_secs(number.into());
    match name {
        "tcp_syn_retries" => tcp.syn_retries = number,
        "tcp_keepalive_time" => tcp.keep_idle = seconds,
        "tcp_keepalive_intvl" => tcp.keep_interval = seconds,
        "tcp_keepalive_probes" => tcp.keep_count = number,
        "tcp_fin_timeout" => tcp.fin_timeout = Some(seconds),
        "tcp_notsent_lowat" => tcp.notsent_lowat = Some(number).filter(|lowat| !matches!(*lowat, 0 | u32::MAX)),
        _ => {}
    }
}
