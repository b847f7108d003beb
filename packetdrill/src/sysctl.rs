//! The file that `SOCKEYE_SYSCTL` names: lines like `net.ipv4.tcp_ecn=1`, Linux's names and units, which hold for the
//! sockets that are opened from then on. Scripts set such values by programs; whoever runs them has those programs write
//! there. It is read again for every socket: what it does not say is as if it had never been said.

use crate::bench::Bench;
use sockeye::{
    socket::{congestion, options},
    tcp::Knobs,
};
use std::fs;

/// Names the file.
const VARIABLE: &str = "SOCKEYE_SYSCTL";
/// The one value that is a name.
const CONGESTION: &str = "net.ipv4.tcp_congestion_control";

/// The file's settings, in its order. Empty lines and those that begin with `#` or `;` are comments (sysctl.conf(5)).
fn settings() -> Vec<(String, String)> {
    let text = sockeye::sys::env::var(VARIABLE).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().replace('/', "."), value.trim().to_owned())).collect()
}

/// Sets the stack's knobs as the file says. What the stack has no knob for is passed over, as are values that a knob
/// does not go to: a script's settings are for a whole machine.
pub fn apply(bench: &Bench) {
    let settings = settings();
    bench.engine.with(|stack, _| {
        let mut knobs = Knobs::default();
        for (name, value) in &settings {
            // Passed over, as said above.
            let _ = value.parse().map(|value| knobs.set(name, value));
        }
        *stack.knobs_mut() = knobs;
    });
}

/// Gives the new socket `fd` the congestion control that the file names, if it is one of ours.
pub fn apply_to(fd: i32) {
    let named = settings().into_iter().rev().find(|(name, _)| name == CONGESTION);
    if let Some(name) = named.and_then(|(_, value)| congestion::judge(CONGESTION, &value).ok()) {
        // A datagram socket has none.
        let _ = options::set(fd, libc::IPPROTO_TCP, libc::TCP_CONGESTION, name.as_bytes());
    }
}
