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

/// Sets what the file says, for the sockets opened from now on.
pub fn apply(bench: &Bench, settings: &[Setting]) {
    bench.engine.with(|stack, _| {
        stack.reset_sysctl();
        for (name, value) in settings {
            // Passed over, as said above.
            let _ = stack.sysctl(name, value);
        }
    });
}

/// Gives the new socket `fd` the congestion control that the file names; the environment names that of others.
pub fn apply_to(fd: i32, settings: &[Setting]) {
    let Entry::Socket(socket) = table::entry(fd) else { return };
    let named = settings.iter().rev().find(|(name, _)| name == "tcp_congestion_control");
    let named = named.and_then(|(name, value)| congestion::judge(name, value).ok());
    if let (Protocol::Tcp, Some(congestion)) = (socket.protocol, named) {
        // It was opened just now.
        let _ = socket.with(|stack, id, _| stack.tcp_settings(id).map(|tcp| tcp.congestion = congestion));
    }
}
