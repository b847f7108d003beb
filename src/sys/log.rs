//! Log lines: `sockeye: WARN tap t0 is down`. They go where `log=` says, one write(2) a line, so that lines of several
//! processes do not mix, and into a ring of the last ones, which `sockeye log` shows.
//!
//! The standard error of a host that a program has started is a pipe to that program, until the host is up. Its
//! standard output, where it has nothing else to say, is the program's standard error if that is a terminal or a file:
//! there the lines go once nobody reads the pipe.

use super::{fork, steward, threads, transfer, wall};
use crate::stack::config::{Logging, Whither};
use log::{Level, LevelFilter, Log, Metadata, Record};
use parking_lot::{Mutex, RwLock};
use sockeye_shim::{Errno, stderr};
use std::{
    collections::VecDeque,
    io,
    os::{fd::AsFd, unix::net::UnixDatagram},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// What the ring holds: lines, and bytes of them, at most.
const LINES: usize = 256;
const BYTES: usize = 64 * 1024;
/// Where syslog(3) writes to.
const SYSLOG: &str = "/dev/log";

/// What is written where, and what is kept besides.
struct Plan {
    written: Vec<Logging>,
    kept: LevelFilter,
}

static PLAN: RwLock<Plan> = RwLock::new(Plan { written: Vec::new(), kept: LevelFilter::Off });
static RING: Mutex<Ring> = Mutex::new(Ring { lines: VecDeque::new(), bytes: 0, begins: 0 });

/// How many lines were warnings or worse.
static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// Standard output is the log's, once nobody reads standard error.
static HAS_STDOUT: AtomicBool = AtomicBool::new(false);

struct Ours;

impl Log for Ours {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        // A lock that another thread of the parent's held stays locked for ever in the child.
        if self.enabled(record.metadata()) && !fork::is_child() {
            threads::without_cancellation(|| tell(record.level(), &record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// A Rust program's other crates log too; their lines are not the stack's to print.
fn is_ours(target: &str) -> bool {
    target == "sockeye" || target.starts_with("sockeye::")
}

fn tell(level: Level, text: &str) {
    let time = Utc(wall::since_epoch());
    let line = format!("{time} {level} {text}\n");
    for Logging { whither, .. } in PLAN.read().written.iter().filter(|logging| level <= logging.level) {
        // What finds its place full, or gone, is not lost.
        match whither {
            Whither::Stderr => to_stderr(level, text),
            Whither::Syslog => _ = to_syslog(level, text).map_err(|_| to_stderr(level, text)),
            Whither::File(path) => {
                let line = format!("{time} [{}] {level} {text}\n", std::process::id());
                let text = text.to_owned();
                steward::write_line(path, line.as_bytes(), move || to_stderr(level, &text));
            }
        }
    }
    RING.lock().push(line);
    if level <= Level::Warn {
        WARNINGS.fetch_add(1, Ordering::Relaxed);
    }
}

/// How many lines since the process began were warnings or worse, wherever they went.
pub fn warnings() -> u64 {
    WARNINGS.load(Ordering::Relaxed)
}

/// What cannot be written there goes to syslog(3): a socket is no place for it ([`sockeye_shim::stderr`]).
fn to_stderr(level: Level, text: &str) {
    let line = format!("{level} {text}");
    match stderr::write(line.as_bytes()) {
        Ok(()) => {}
        Err(Errno(libc::EPIPE)) if HAS_STDOUT.load(Ordering::Relaxed) => {
            // Whoever started a host has heard it come up, and listens no more. There is nobody left to tell that
            // standard output is closed too.
            let _ = transfer::write(io::stdout().as_fd(), format!("sockeye: {line}\n").as_bytes());
        }
        Err(_) => _ = to_syslog(level, text),
    }
}

/// This process is a host: it prints nothing on standard output, which lines may go to.
pub fn take_stdout() {
    HAS_STDOUT.store(true, Ordering::Relaxed);
}

/// One datagram as syslog(3) sends it, without its time, which the receiver adds (RFC 3164 section 4.3.2).
fn to_syslog(level: Level, text: &str) -> io::Result<usize> {
    // LOG_DAEMON, and the severities of RFC 5424 section 6.2.1.
    let severity = match level {
        Level::Error => libc::LOG_ERR,
        Level::Warn => libc::LOG_WARNING,
        Level::Info => libc::LOG_INFO,
        Level::Debug | Level::Trace => libc::LOG_DEBUG,
    };
    let line = format!("<{}>sockeye[{}]: {text}", libc::LOG_DAEMON | severity, std::process::id());
    reach_syslog()?.send(line.as_bytes())
}

/// A logger that does not read holds nobody up.
fn reach_syslog() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(SYSLOG)?;
    Ok(socket)
}

/// Writes lines as `logging` says (WARN and worse to standard error, if nothing is said) from here on. Each of several
/// stacks has what it asked for, and what a place is told twice the more talkative decides; a program that has
/// installed a logger of its own keeps it, and its levels.
///
/// # Errors
/// A line: the place cannot be written to.
pub fn install(logging: Option<&Logging>) -> Result<(), String> {
    let wanted = logging.cloned().unwrap_or(Logging { level: LevelFilter::Warn, whither: Whither::Stderr });
    match &wanted.whither {
        Whither::Stderr => {}
        Whither::Syslog => _ = reach_syslog().map_err(|error| {
            format!("log: the system's log {SYSLOG} cannot be reached: {error}; start its daemon, or log to a file as log=info:/PATH")
        })?,
        Whither::File(path) => _ = steward::append(path).map_err(|error| {
            format!(
                "log: {} cannot be written: {error}; name a file in a directory that exists and is writable",
                path.display()
            )
        })?,
    }
    take_over(|plan| match plan.written.iter_mut().find(|present| present.whither == wanted.whither) {
        Some(present) => present.level = present.level.max(wanted.level),
        None => plan.written.push(wanted),
    });
    Ok(())
}

/// Keeps lines of `level` and worse in the ring, wherever they are written: for who looks for them later.
pub fn keep(level: LevelFilter) {
    take_over(|plan| plan.kept = level);
}

fn take_over(change: impl FnOnce(&mut Plan)) {
    static OURS: OnceLock<bool> = OnceLock::new();
    if *OURS.get_or_init(|| log::set_logger(&Ours).is_ok()) {
        let mut plan = PLAN.write();
        change(&mut plan);
        let written = plan.written.iter().map(|logging| logging.level).max();
        log::set_max_level(plan.kept.max(written.unwrap_or(LevelFilter::Off)));
    }
}

/// Some of the last lines: bytes of the log from the one numbered `from` on, since the process began, `room` at most;
/// and the number of the first of them. It is another where those from `from` on are gone, or have never been.
pub fn read(from: u64, room: usize) -> (u64, Vec<u8>) {
    RING.lock().read(from, room)
}

/// The last lines, each with its newline.
struct Ring {
    lines: VecDeque<String>,
    bytes: usize,
    /// The number of the first byte.
    begins: u64,
}

impl Ring {
    fn push(&mut self, line: String) {
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            let gone = self.lines.pop_front().map_or(0, |line| line.len());
            self.bytes -= gone;
            self.begins += gone as u64;
        }
    }

    fn read(&self, from: u64, room: usize) -> (u64, Vec<u8>) {
        let ends = self.begins + self.bytes as u64;
        let from = if (self.begins..=ends).contains(&from) { from } else { self.begins };
        let mut skip = usize::try_from(from - self.begins).unwrap_or(usize::MAX);
        let mut piece = Vec::new();
        for line in &self.lines {
            let rest = line.as_bytes().get(skip..).unwrap_or_default();
            skip = skip.saturating_sub(line.len());
            piece.extend_from_slice(&rest[..rest.len().min(room - piece.len())]);
            if piece.len() == room {
                break;
            }
        }
        (from, piece)
    }
}

/// A time since 1970-01-01, as RFC 3339 writes it.
struct Utc(Duration);

impl std::fmt::Display for Utc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        // Years that begin with March end with the day that some have and others do not.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let of_era = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
        let march = (5 * of_year + 2) / 153;
        let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
        let year = era * 400 + of_era + u64::from(month < 3);
        let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Ring {
        Ring { lines: VecDeque::new(), bytes: 0, begins: 0 }
    }

    #[test]
    fn times_are_written_as_date_writes_them() {
        let utc = |seconds, millis: u32| Utc(Duration::new(seconds, millis * 1_000_000)).to_string();
        assert_eq!(utc(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400, 7), "2000-02-29T00:00:00.007Z");
        assert_eq!(utc(1_709_251_199, 999), "2024-02-29T23:59:59.999Z");
        assert_eq!(utc(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
        assert_eq!(utc(1_796_034_999, 120), "2026-11-30T10:36:39.120Z");
    }

    #[test]
    fn the_ring_keeps_the_last_lines_and_says_where_they_begin() {
        let mut ring = empty();
        (0..300).for_each(|n| ring.push(format!("line {n:03}\n")));
        let (begins, all) = ring.read(0, usize::MAX);
        assert_eq!((begins, all.len()), (44 * 9, 256 * 9));
        assert!(all.starts_with(b"line 044\n") && all.ends_with(b"line 299\n"));
        ring.push("x".repeat(BYTES));
        assert_eq!(ring.read(0, usize::MAX), (300 * 9, vec![b'x'; BYTES]));
    }

    #[test]
    fn the_ring_is_read_by_pieces_and_from_its_end_on() {
        let mut ring = empty();
        ["one\n", "two\n", "three\n"].iter().for_each(|line| ring.push((*line).to_owned()));
        let (mut from, mut text) = (0, Vec::new());
        loop {
            let (at, piece) = ring.read(from, 5);
            assert_eq!(at, from);
            if piece.is_empty() {
                break;
            }
            from += piece.len() as u64;
            text.extend(piece);
        }
        assert_eq!((from, text.as_slice()), (14, &b"one\ntwo\nthree\n"[..]));
        ring.push("four\n".to_owned());
        assert_eq!(ring.read(14, 100), (14, b"four\n".to_vec()));
        assert_eq!(ring.read(1000, 3), (0, b"one".to_vec()), "another process's numbers begin anew");
    }
}
