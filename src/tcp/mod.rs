//! TCP: one connection as a pure state machine.
//!
//! | file | what | where it is written down |
//! |---|---|---|
//! | `connection`, `state` | the connection and its states | RFC 9293 section 3.3 |
//! | `handshake`, `isn` | opening, initial numbers | RFC 9293 sections 3.4.1, 3.5; RFC 6528 |
//! | `input` | segments that come in | RFC 9293 section 3.10.7 |
//! | `output` | segments that go out | RFC 9293 sections 3.7.4, 3.10.8 |
//! | `close`, `abort`, `time_wait` | the ways to end | RFC 9293 sections 3.6, 3.10.4, 3.10.5; RFC 1337, 6191 |
//! | `send`, `recv`, `ready` | the application's calls | send(2), recv(2), poll(2), tcp(7) |
//! | `send_queue`, `recv_queue`, `assembler`, `run` | data on its way out and in | RFC 9293 section 3.4 |
//! | `send_window` | the peer's window, the send buffer | RFC 9293 section 3.8.6 |
//! | `window` | our window and its growth | RFC 9293 section 3.8.6.2.2; RFC 7323 section 2 |
//! | `memory` | memory of all connections | tcp(7), tcp_mem; RFC 2018 section 8 |
//! | `nagle` | what is worth sending | RFC 9293 sections 3.7.4, 3.8.6.2.1; RFC 896 |
//! | `push` | what the receiver is to hand on at once | RFC 9293 section 3.9.1.2; send(2), MSG_EOR |
//! | `ack` | when to acknowledge | RFC 9293 section 3.8.6.3; RFC 5681 section 4.2 |
//! | `acknowledged` | what an acknowledgement does | RFC 9293 section 3.10.7.4; RFC 5681 |
//! | `sack` | the scoreboard | RFC 2018, 6675 |
//! | `recovery` | repairing losses | RFC 5681, 6582, 6675, 3042, 8985, 9937, 5682, 2883, 3522, 4015 |
//! | `rtt` | round trips and time-outs | RFC 6298 |
//! | `congestion` | how much may be in flight | RFC 5681, 3465, 6928, 7661, 9406, 9438; draft-ietf-ccwg-bbr |
//! | `pacing` | spreading segments over time, the size of frames | draft-ietf-ccwg-bbr section 5.6 |
//! | `limited` | what keeps a sender back | tcp_info |
//! | `rate` | how fast the path delivers | draft-ietf-ccwg-bbr section 4.1 |
//! | `fastopen` | data in the SYN | RFC 7413 |
//! | `ecn`, `accecn` | marks instead of losses | RFC 3168, 9768 |
//! | `timestamps` | time stamps, old duplicates | RFC 7323 |
//! | `challenge` | forged segments | RFC 5961 |
//! | `mss`, `pmtu` | segment sizes, what ICMP says | RFC 6691, 1191, 8201, 5927 |
//! | `plpmtud` | finding the path's MTU by probes | RFC 4821 |
//! | `persist` | closed windows | RFC 9293 section 3.8.6.1 |
//! | `keepalive` | silent peers | RFC 9293 section 3.8.4 |
//! | `user_timeout` | giving up | RFC 9293 section 3.8.3; RFC 5482 |
//! | `urgent` | urgent data | RFC 9293 section 3.8.5; RFC 6093 |
//! | `timer`, `settings`, `knobs`, `info` | timers, options, the administrator's settings, TCP_INFO | tcp(7) |
#![forbid(unsafe_code)]

pub mod abort;
pub mod accecn;
pub mod ack;
mod acknowledged;
pub mod assembler;
pub mod challenge;
mod close;
pub mod congestion;
pub mod connection;
pub mod ecn;
pub mod fastopen;
mod handshake;
pub mod info;
mod input;
pub mod isn;
mod keepalive;
pub mod knobs;
pub mod limited;
pub mod memory;
pub mod mss;
pub mod nagle;
mod output;
mod pacing;
mod persist;
mod plpmtud;
mod pmtu;
pub mod push;
pub mod rate;
mod ready;
pub mod recovery;
mod recv;
pub mod recv_queue;
pub mod reports;
pub mod rtt;
pub mod run;
pub mod sack;
mod send;
pub mod send_queue;
pub mod send_window;
pub mod settings;
pub mod state;
pub mod time_wait;
pub mod timer;
pub mod timestamps;
pub mod urgent;
pub mod user_timeout;
pub mod window;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use abort::reset_for;
pub use connection::{Connection, IcmpVerdict, Path};
pub use knobs::{KnobError, Knobs, Sizes};
pub use settings::{BufferSize, RecvFlags, SendFlags, Settings, Shutdown};
pub use state::State;
pub use time_wait::{TimeWait, TimeWaitVerdict};
