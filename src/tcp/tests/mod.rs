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
