//! Debian's own programs, unmodified, on a stack that a host serves: against the kernel's TCP and UDP over a TAP, and
//! against each other on one stack. Each test runs twice: once the programs are started by hand with the preload
//! library, once by `sockeye run`. Needs root and what `.ci/tools test` installs.
//!
//! | file | what |
//! |---|---|
//! | `installed.rs` | our program and library, and Debian's programs |
//! | `home.rs` | a network of a test's own, and that nothing is left in it |
//! | `running.rs` | a program that runs, and what it printed |
//! | `process.rs` | what the kernel says of processes and their sockets |
//! | `rest.rs` | what a host holds when nothing happens |
//! | `http.rs` | the kernel's client: pages, and load |
//! | the others | a program or a misfortune each |
#![allow(clippy::disallowed_methods)]

#[path = "../build/mod.rs"]
mod build;
#[path = "../faults/dice.rs"]
mod dice;
#[path = "../netns/mod.rs"]
#[allow(dead_code, reason = "a part of it is for other tests")]
mod netns;

/// The same test for programs that are started by hand and by `sockeye run`.
macro_rules! both_ways {
    ($($(#[$note:meta])* fn $name:ident($home:ident: &Home) $body:block)*) => {$(
        $(#[$note])*
        mod $name {
            use super::*;

            fn test($home: &Home) $body

            #[test]
            fn by_hand() {
                crate::home::Home::test(crate::home::Way::ByHand, test);
            }

            #[test]
            fn by_sockeye_run() {
                crate::home::Home::test(crate::home::Way::SockeyeRun, test);
            }
        }
    )*};
}

mod curl;
mod descriptors;
mod device_gone;
mod dual_stack;
mod fence;
mod home;
mod host_killed;
mod http;
mod installed;
mod interfaces;
mod iperf3;
mod listeners;
mod mixed;
mod names;
mod netcat;
mod nginx;
mod process;
mod python;
mod random_kills;
mod redis;
mod rest;
mod running;
mod starting;
mod tun;
mod vsftpd;
mod waiting;
mod wget;
