//! Connections as packet traces, one theme a file, and simulations of two of them.

mod acknowledging;
mod calls;
mod closing;
mod ecn;
mod fastopen;
mod growth;
mod handshake;
mod hostile;
mod icmp;
mod paces;
mod receiving;
mod recovery;
mod repairing;
mod requirements;
mod resets;
mod sending;
mod stamps;
mod timers;
mod transfer;
mod urgent;
mod windows;

use super::{
    Settings,
    testing::{Tester, seg},
};

/// An established connection with ten segments of 1000 bytes out and more to come; `sack` is whether the peer has SACK.
fn ten_out(sack: bool) -> Tester {
    let syn_ack = seg("S.", 0, 1, 0).mss(1000);
    let reno = Settings { congestion: "reno", ..Settings::default() };
    let mut t = Tester::established_with(reno, if sack { syn_ack.sack_ok() } else { syn_ack });
    t.write(30_000).unwrap();
    assert_eq!(t.output().len(), 10);
    t
}

/// The stretches sent, without the rest of the lines.
fn sent(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| line.split(['(', ' ']).nth(1).unwrap().to_owned()).collect()
}
