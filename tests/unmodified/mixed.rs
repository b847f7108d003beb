//! Clients of all tempers on a stack, and a plain server there that accepts and receives (`tests/programs/mixed.c`):
//! every connection ends on both sides, none fails that the kernel would not fail, and the host is afterwards as it was
//! before.

use crate::{build::Program, home::Home, netns::KERNEL, rest::at_rest};
use std::{env, time::Duration};

/// Connections, unless `SOCKEYE_TEST_CONNECTS` says how many.
const CONNECTS: u32 = 6000;
/// How long a connection may take on a busy machine.
const EACH: Duration = Duration::from_millis(10);
/// What the allocator may keep more than it did, in KiB.
const MEMORY: u64 = 2048;

#[test]
fn every_connection_ends_and_the_host_is_as_before() {
    let connects = env::var("SOCKEYE_TEST_CONNECTS").map_or(CONNECTS, |text| text.parse().expect("a number"));
    let program = Program::of_the_kernel("tests/programs/mixed.c", "mixed").path.display().to_string();
    let limit = Duration::from_secs(40) + EACH * connects;
    let count = connects.to_string();
    Home::test_at_rest(|home| {
        // It keeps the host there.
        let keeper = home.start(&["nc.openbsd", "-l", "9999"]);
        home.await_names(2);
        let host = home.host();
        let clients = |count: &str| home.start(&[&program, count, "127.0.0.1"]).ended_within(limit);
        clients("2000").text();
        let before = at_rest(home, host);
        let hosted = clients(&count);
        assert_eq!(hosted.stderr, "");
        let kernels = home.start_kernels(&[&program, &count, KERNEL]).ended_within(limit);
        assert_eq!(hosted.text(), kernels.text());
        let after = at_rest(home, host);
        println!("{count} connections; the host's memory: {} KiB, then {} KiB", before.2, after.2);
        assert_eq!((&before.0, &before.1), (&after.0, &after.1), "descriptors, names");
        assert!(after.2 <= before.2 + MEMORY, "{} KiB, then {} KiB", before.2, after.2);
        keeper.end_by(libc::SIGTERM);
    });
}
