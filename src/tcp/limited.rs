//! What keeps a sender from sending faster, as TCP_INFO tells it (Linux's tcp_chrono): how long it had something to
//! send, and for how much of that the peer's window or the send buffer was too small.

use crate::time::{Duration, Instant};

/// What a sender is doing.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Doing {
    /// It has nothing to send, and everything is acknowledged.
    #[default]
    Nothing,
    /// It sends as fast as the network lets it.
    Busy,
    /// It waits for the peer's window.
    WindowLimited,
    /// It waits for the application, which waits for room in the send buffer.
    BufferLimited,
}

/// How long it has been doing what.
#[derive(Debug, Default)]
pub struct Limited {
    doing: Doing,
    since: Instant,
    /// Microseconds of each; the first is not counted.
    spent: [u64; 4],
}

impl Limited {
    /// From now on it does this.
    pub fn set(&mut self, doing: Doing, now: Instant) {
        if doing != self.doing {
            self.spent[self.doing as usize] += now.since(self.since).as_micros() as u64;
            (self.doing, self.since) = (doing, now);
        }
    }

    /// What it does.
    pub fn doing(&self) -> Doing {
        self.doing
    }

    /// How long it has been doing that, all in all.
    fn spent(&self, doing: Doing, now: Instant) -> Duration {
        let present = if self.doing == doing { now.since(self.since) } else { Duration::ZERO };
        Duration::from_micros(self.spent[doing as usize]) + present
    }

    /// The times spent busy (the others included), waiting for the peer's window, and for the send buffer.
    pub fn times(&self, now: Instant) -> [Duration; 3] {
        let [window, buffer] = [Doing::WindowLimited, Doing::BufferLimited].map(|doing| self.spent(doing, now));
        [self.spent(Doing::Busy, now) + window + buffer, window, buffer]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_add_up_and_the_present_counts() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut limited = Limited::default();
        limited.set(Doing::Busy, at(100));
        limited.set(Doing::WindowLimited, at(110));
        limited.set(Doing::Busy, at(140));
        limited.set(Doing::Nothing, at(145));
        limited.set(Doing::BufferLimited, at(200));
        assert_eq!(limited.times(at(207)).map(|time| time.as_millis()), [52, 30, 7]);
    }
}
