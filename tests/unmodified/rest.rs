//! What a host holds when nothing happens any more: tests compare it before and after.

use crate::{home::Home, process, running::PATIENCE};
use std::{
    thread,
    time::{Duration, Instant},
};

/// What the host holds when it has come to rest: its descriptors, the stack's names, and its memory in KiB.
pub fn at_rest(home: &Home, host: i32) -> (Vec<String>, Vec<String>, u64) {
    let look = || {
        let mut names = home.names();
        names.sort();
        let mut descriptors = process::descriptors(host);
        // Numbers of their own.
        descriptors.iter_mut().for_each(|what| what.truncate(what.find('[').unwrap_or(what.len())));
        descriptors.sort();
        (descriptors, names)
    };
    let end = Instant::now() + PATIENCE * 3;
    let (mut before, mut since) = (look(), Instant::now());
    while since.elapsed() < Duration::from_secs(3) {
        assert!(Instant::now() < end, "the host does not come to rest: {before:?}");
        thread::sleep(Duration::from_millis(100));
        let now = look();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    (before.0, before.1, process::memory(host))
}
