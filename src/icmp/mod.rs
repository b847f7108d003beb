//! ICMP: what an error means to a socket, and when we may send one.
//!
//! | file | what | source |
//! |---|---|---|
//! | `errors.rs` | the meaning of a received error | RFC 1122 3.2.2, Linux's `icmp_err_convert` |
//! | `answer.rs` | whether an error may be sent about a datagram | RFC 1122 3.2.2, RFC 1812 4.3.2.7 |
//! | `limit.rs` | how many errors we send | RFC 1812 4.3.2.8, Linux's `icmp_ratelimit` |
#![forbid(unsafe_code)]

pub mod answer;
pub mod errors;
pub mod limit;
