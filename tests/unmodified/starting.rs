//! The beginning of a program on a new stack: its address is probed for meanwhile (RFC 5227), not before.

use crate::{
    home::{Home, Way},
    process,
    running::PATIENCE,
};
use std::{
    thread,
    time::{Duration, Instant},
};

/// What precedes the claim of an address (RFC 5227 section 1.1, PROBE_NUM).
const PROBES: u64 = 3;

#[test]
fn a_program_begins_before_its_address_is_probed_for_to_the_end() {
    Home::test(Way::SockeyeRun, |home| {
        let end = Instant::now() + PATIENCE;
        // On a machine that is slow now and then a program may come after all probes; that each does is the fault.
        loop {
            let before = home.namespace.inside(|| process::frames_from("t0"));
            let table = home.run(&["cat", "/proc/self/net/dev"]).text();
            let frames = process::frames_told("t0", &table) - before;
            if frames < PROBES {
                break;
            }
            assert!(Instant::now() < end, "{frames} frames were sent before the program began");
            let gone = Instant::now() + PATIENCE;
            while !home.names().is_empty() {
                assert!(Instant::now() < gone, "the host does not end");
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
}
