//! The file that `SOCKEYE_SYSCTL` names: lines like `net.ipv4.tcp_ecn=1`, Linux's names and units. Scripts set such
//! values by programs, whenever they like; whoever runs them has those programs write there. It is read again before
//! whatever comes next, and what it does not say is as if it had never been said. What the stack has no knob for is
//! passed over, as are values that a knob does not go to: a script's settings are for a whole machine.

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

fn text() -> String {
    sockeye::sys::env::var(VARIABLE).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default()
}

/// The settings of `text`, in its order. Empty lines and those that begin with `#` or `;` are comments
/// (sysctl.conf(5)).
fn settings(text: &str) -> Vec<Setting> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let setting = |(name, value): (&str, &str)| {
        let name = name.trim().replace('/', ".");
        let name = name.strip_prefix("net.ipv4.")?.to_owned();
        Some((name, value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    lines.filter_map(|line| line.split_once('=')).filter_map(setting).collect()
}

/// Sets what the file says, if it says something else than before.
pub fn follow(bench: &Bench) {
    let now = text();
    let mut known = bench.sysctl.lock();
    if *known != now {
        let settings = settings(&now);
        let pairs = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        bench.engine.with(|stack, _| stack.replace_sysctl(pairs));
        *known = now;
    }
}

/// Gives the new socket `fd` the congestion control that the file names; the environment names that of others.
pub fn apply_to(bench: &Bench, fd: i32) {
    let Entry::Socket(socket) = table::entry(fd) else { return };
    let settings = settings(&bench.sysctl.lock());
    let named = settings.iter().rev().find(|(name, _)| name == "tcp_congestion_control");
    let named = named.and_then(|(name, value)| congestion::judge(name, value).ok());
    if let (Protocol::Tcp, Some(congestion)) = (socket.protocol, named) {
        // It was opened just now.
        let _ = socket.with(|stack, id, _| stack.tcp_settings(id).map(|tcp| tcp.congestion = congestion));
    }
}
