//! The timers of one connection: when each of them runs out, and which does next.

use crate::time::Instant;

macro_rules! timers {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A timer of a connection.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Timer { $($(#[$doc])* $name,)* }

        impl Timer {
            /// Every timer. Of two that run out at the same time the one that stands first here comes first.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The timer's name, as logs and traces show it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }

        /// How many timers there are.
        const COUNT: usize = [$($text,)*].len();
    };
}

timers! {
    /// The time the user allows unacknowledged data has passed (RFC 5482, TCP_USER_TIMEOUT).
    UserTimeout = "user-timeout",
    /// TIME-WAIT has lasted 2 MSL (RFC 9293 section 3.4.2).
    TimeWait = "time-wait",
    /// An orphan has waited for the peer's FIN long enough (TCP_LINGER2).
    FinWait2 = "fin-wait-2",
    /// The oldest segment has to be sent again (RFC 6298).
    Retransmit = "retransmit",
    /// A closed window has to be probed (RFC 9293 section 3.8.6.1).
    Persist = "persist",
    /// A delayed acknowledgement has to leave (RFC 9293 section 3.8.6.3).
    DelayedAck = "delayed-ack",
    /// An idle peer has to be probed (RFC 9293 section 3.8.4).
    KeepAlive = "keep-alive",
    /// A corked partial segment has waited long enough (TCP_CORK).
    Cork = "cork",
    /// The reordering window has passed (RFC 8985 section 6.3).
    Reo = "reo",
    /// The tail may be lost (RFC 8985 section 7).
    Tlp = "tlp",
    /// The next segment may leave.
    Pacing = "pacing",
}

impl std::fmt::Display for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The timers that are running, eight bytes each: there are few, so looking at all of them is cheaper than an order.
#[derive(Clone, Debug)]
pub struct TimerTable {
    /// [`Instant::FAR_FUTURE`] if the timer is stopped.
    at: [Instant; COUNT],
}

impl Default for TimerTable {
    fn default() -> Self {
        Self::new()
    }
}

impl TimerTable {
    /// No timer runs.
    pub const fn new() -> Self {
        Self { at: [Instant::FAR_FUTURE; COUNT] }
    }

    /// Starts (or moves) `timer` to run out at `at`.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.at[timer as usize] = at;
    }

    /// Stops `timer`.
    pub fn stop(&mut self, timer: Timer) {
        self.at[timer as usize] = Instant::FAR_FUTURE;
    }

    /// Stops every timer.
    pub fn stop_all(&mut self) {
        *self = Self::new();
    }

    /// Whether `timer` runs.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.at(timer).is_some()
    }

    /// When `timer` runs out, if it runs.
    pub fn at(&self, timer: Timer) -> Option<Instant> {
        Some(self.at[timer as usize]).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// When the next timer runs out.
    pub fn next(&self) -> Option<Instant> {
        let next = self.at.iter().fold(Instant::FAR_FUTURE, |next, at| next.min(*at));
        Some(next).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// Stops and returns the timer that ran out first, if one has run out by `now`. Call until there is none.
    pub fn take_expired(&mut self, now: Instant) -> Option<Timer> {
        let next = self.next().filter(|next| *next <= now)?;
        let timer = *Timer::ALL.iter().find(|timer| self.at[**timer as usize] == next)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn timers_run_out_in_order_of_time_and_then_of_the_table() {
        let mut timers = TimerTable::new();
        timers.set(Timer::KeepAlive, ms(30));
        timers.set(Timer::Retransmit, ms(20));
        timers.set(Timer::DelayedAck, ms(20));
        timers.set(Timer::Cork, ms(90));
        assert_eq!(timers.next(), Some(ms(20)));
        assert_eq!(timers.take_expired(ms(19)), None);
        let expired: Vec<_> = std::iter::from_fn(|| timers.take_expired(ms(50))).collect();
        assert_eq!(expired, [Timer::Retransmit, Timer::DelayedAck, Timer::KeepAlive]);
        assert_eq!(timers.next(), Some(ms(90)));
    }

    #[test]
    fn a_timer_is_moved_and_stopped() {
        let mut timers = TimerTable::new();
        assert_eq!(timers.next(), None);
        timers.set(Timer::Persist, ms(5));
        timers.set(Timer::Persist, ms(8));
        assert_eq!(timers.at(Timer::Persist), Some(ms(8)));
        timers.stop(Timer::Persist);
        assert!(!timers.is_set(Timer::Persist));
        assert_eq!(timers.take_expired(Instant::FAR_FUTURE), None);
        timers.set(Timer::Tlp, ms(1));
        timers.stop_all();
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_costs_eight_bytes_and_names_are_all_different() {
        assert_eq!(size_of::<TimerTable>(), 8 * Timer::ALL.len());
        let names: std::collections::HashSet<_> = Timer::ALL.iter().map(|timer| timer.name()).collect();
        assert_eq!(names.len(), Timer::ALL.len());
    }
}
