//! The file that `SOCKEYE_SYSCTL` names: lines like `net.ipv4.tcp_ecn=1`, Linux's names and units, which hold for the
//! sockets that are opened from then on. Scripts set such values by programs; whoever runs them has those programs write
//! there. It is read again for every socket: what it does not say is as if it had never been said. What the stack has no
//! knob for is passed over, as are values that a knob does not go to: a script's settings are for a whole machine.

use crate::bench::Bench;
use std::fs;

/// Names the file.
const VARIABLE: &str = "SOCKEYE_SYSCTL";

/// The file's settings, in its order: names without `net.ipv4.`, and values. Empty lines and those that begin with `#` or
/// `;` are comments (sysctl.conf(5)).
fn read() -> Vec<(String, String)> {
    let text = sockeye::sys::env::var(VARIABLE).and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']));
    let setting = |(name, value): (&str, &str)| {
        let name = name.trim().replace('/', ".");
        let name = name.strip_prefix("net.ipv4.")?.to_owned();
        Some((name, value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    lines.filter_map(|line| line.split_once('=')).filter_map(setting).collect()
}

/// Sets what the file says.
pub fn apply(bench: &Bench) {
    let settings = read();
    bench.engine.with(|stack, _| {
        stack.reset_sysctl();
        for (name, value) in &settings {
            // Passed over, as said above.
            let _ = stack.sysctl(name, value);
        }
    });
}
