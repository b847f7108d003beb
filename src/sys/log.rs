//! Log lines on standard error: `sockeye: WARN tap t0 is down`. One write(2) a line, so that lines of several
//! processes do not mix.
//!
//! The standard error of a host that a program has started is a pipe to that program, until the host is up. Its standard
//! output, where it has nothing else to say, is the program's standard error if that is a terminal or a file: there the
//! lines go once nobody reads the pipe.

use super::transfer;
use log::{LevelFilter, Log, Metadata, Record};
use std::{io, os::fd::AsFd};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = format!("sockeye: {} {}\n", record.level(), record.args());
            let written = transfer::write(std::io::stderr().as_fd(), line.as_bytes());
            if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                // Whoever started a host has heard it come up, and listens no more. There is nobody left to tell that
                // standard output is closed too.
                let _ = transfer::write(io::stdout().as_fd(), line.as_bytes());
            }
        }
    }

    fn flush(&self) {}
}

/// A Rust program's other crates log too; their lines are not the stack's to print.
fn is_ours(target: &str) -> bool {
    target == "sockeye" || target.starts_with("sockeye::")
}

/// Prints lines of `level` (WARN if none was given) and worse from here on. The most talkative of several stacks wins;
/// a program that has installed a logger of its own keeps it, and its levels.
pub fn install(level: Option<LevelFilter>) {
    static STDERR: Stderr = Stderr;
    static OURS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    static LEVEL: parking_lot::Mutex<Option<LevelFilter>> = parking_lot::Mutex::new(None);
    if *OURS.get_or_init(|| log::set_logger(&STDERR).is_ok()) {
        let mut present = LEVEL.lock();
        let wanted = level.unwrap_or(LevelFilter::Warn);
        let level = present.map_or(wanted, |present| present.max(wanted));
        *present = Some(level);
        log::set_max_level(level);
    }
}
