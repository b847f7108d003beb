//! TIME-WAIT in a few bytes (RFC 9293 section 3.3.2, RFC 6191, RFC 1337).

use super::{Connection, State, challenge::Limiter, timer::Timer, timestamps::Clock, timestamps::PawsVerdict};
use crate::{
    cx::Cx,
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header, Options},
    },
};

/// 2 MSL, as Linux's TCP_TIMEWAIT_LEN.
pub const LENGTH: Duration = Duration::from_secs(60);
/// An initial sequence number this far beyond the old connection's cannot be taken for it.
const REUSE_AFTER: Duration = Duration::from_secs(1);

/// A connection in TIME-WAIT.
#[derive(Clone, Debug)]
pub struct TimeWait {
    /// When it may be forgotten.
    pub until: Instant,
    local_port: u16,
    remote_port: u16,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    window: u16,
    clock: Clock,
    heard: Instant,
    answers: Limiter,
    /// The least time between two of them (`tcp_invalid_ratelimit`).
    interval: Duration,
    /// A reset leaves it as it is (`tcp_rfc1337`).
    is_steadfast: bool,
}

/// What to do with a segment that came to a connection in TIME-WAIT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeWaitVerdict {
    /// Nothing.
    Drop,
    /// Nothing, since the last answer was given only a moment ago.
    Skip,
    /// Send this bare segment.
    Reply(Header),
    /// A reset ended it: forget the connection.
    End,
    /// The SYN may open the flow anew (RFC 6191): forget the old connection and hand the SYN to the listener. Without a
    /// listener it is as old as any other, and this bare segment answers it.
    Reopen(Header),
}

impl TimeWait {
    /// Judges a segment; may restart the timer.
    pub fn on_segment(&mut self, seg: &Header, payload_len: usize, now: Instant) -> TimeWaitVerdict {
        let has = |flag| seg.flags.contains(flag);
        let stamps = seg.options.timestamps;
        let fresh = self.clock.judge(stamps, now) == PawsVerdict::Fresh;
        // RFC 1337: a reset does not cut TIME-WAIT short. (Linux's default lets it; the hazard is real, the gain is
        // not.)
        if has(Flags::RST) {
            let is_exact = fresh && seg.seq == self.rcv_nxt;
            return if is_exact && !self.is_steadfast { TimeWaitVerdict::End } else { TimeWaitVerdict::Drop };
        }
        if has(Flags::SYN) && !has(Flags::ACK) {
            // RFC 6191 section 2: later by its time stamp or by its number.
            let later = match stamps.filter(|_| self.clock.is_on()) {
                Some(stamps) => {
                    SeqNum(stamps.val) > SeqNum(self.clock.recent())
                        || (fresh && SeqNum(stamps.val) == SeqNum(self.clock.recent()) && seg.seq > self.rcv_nxt)
                }
                None => seg.seq > self.rcv_nxt,
            };
            if later && fresh {
                return TimeWaitVerdict::Reopen(self.acknowledgement(now));
            }
            return self.reply(now);
        }
        let is_bare = payload_len == 0 && !has(Flags::FIN) && !has(Flags::SYN);
        // Whatever shows that the peer still speaks of the old connection begins the wait anew: the FIN again, because
        // our acknowledgement of it was lost (RFC 9293 section 3.10.7.4, eighth), and, as on Linux, the others as well.
        self.until = now + LENGTH;
        if is_bare && fresh && seg.seq == self.rcv_nxt {
            self.clock.update(stamps, seg.seq, self.rcv_nxt, now);
            return TimeWaitVerdict::Drop;
        }
        // Two ends that wait could answer each other for ever, but not with data or a FIN, which are answered always.
        if is_bare || has(Flags::SYN) { self.reply(now) } else { TimeWaitVerdict::Reply(self.acknowledgement(now)) }
    }

    /// An acknowledgement, unless one was sent a moment ago.
    fn reply(&mut self, now: Instant) -> TimeWaitVerdict {
        if self.answers.allow(now, self.interval) {
            TimeWaitVerdict::Reply(self.acknowledgement(now))
        } else {
            TimeWaitVerdict::Skip
        }
    }

    fn acknowledgement(&self, now: Instant) -> Header {
        Header {
            src_port: self.local_port,
            dst_port: self.remote_port,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            window: self.window,
            urgent: 0,
            options: Options { timestamps: self.clock.option(now), ..Options::default() },
        }
    }

    /// Whether a new connection from here may take over the flow now (Linux's tcp_tw_reuse rule, RFC 6191): only with
    /// time stamps, and when the peer's clock has ticked on, so that nothing of the old connection passes for new.
    pub fn may_be_reused(&self, now: Instant) -> bool {
        self.clock.is_on() && now.since(self.heard) > REUSE_AFTER
    }
}

impl Connection {
    /// Both sides have closed.
    pub(super) fn enter_time_wait(&mut self, now: Instant) {
        self.state = State::TimeWait;
        self.timers.stop_all();
        self.timers.set(Timer::TimeWait, now + LENGTH);
        // For the application this is the end (Linux's socket is in CLOSE by now).
        self.life.read_shut = true;
        self.life.write_shut = true;
        self.events |= crate::ready::Ready::HUP | crate::ready::Ready::IN | crate::ready::Ready::RDHUP;
    }

    /// What TIME-WAIT needs to know.
    fn time_wait(&self) -> TimeWait {
        TimeWait {
            until: self.timers.at(Timer::TimeWait).unwrap_or(Instant::ZERO),
            local_port: self.flow.local.port,
            remote_port: self.flow.remote.port,
            snd_nxt: self.snd.nxt(),
            rcv_nxt: self.rcv.rcv_nxt(),
            window: (self.window.offered(self.rcv.rcv_nxt()) >> self.window.shift()).min(0xffff) as u16,
            clock: self.clock,
            heard: self.keepalive.heard,
            answers: self.limiter.clone(),
            interval: Duration::from_millis(self.settings.knobs.invalid_ratelimit.into()),
            is_steadfast: self.settings.knobs.rfc1337 != 0,
        }
    }

    /// What is left of an ownerless connection in TIME-WAIT: the stack keeps this instead.
    pub fn to_time_wait(&self) -> Option<TimeWait> {
        let quiet = self.acks.owed() != super::ack::Owed::Now && self.pending.reset.is_none();
        (self.state == State::TimeWait && self.life.orphan && quiet).then(|| self.time_wait())
    }

    /// A segment in TIME-WAIT while the application still holds the socket.
    pub(super) fn on_segment_in_time_wait(&mut self, seg: &Header, payload: usize, cx: &mut Cx<'_>) {
        let mut time_wait = self.time_wait();
        let verdict = time_wait.on_segment(seg, payload, cx.now);
        (self.clock, self.limiter) = (time_wait.clock, time_wait.answers);
        self.timers.set(Timer::TimeWait, time_wait.until);
        match verdict {
            TimeWaitVerdict::Drop => {}
            TimeWaitVerdict::End => self.finish(),
            TimeWaitVerdict::Skip => cx.mib.tcp_ack_skipped_time_wait += 1,
            TimeWaitVerdict::Reply(_) | TimeWaitVerdict::Reopen(_) => self.acks.owe_now(),
        }
    }

    /// Whether a segment opens the flow of a connection in TIME-WAIT anew, although the application still holds its
    /// socket.
    pub fn gives_way(&self, seg: &Header, payload: usize, now: Instant) -> bool {
        self.state == State::TimeWait
            && seg.flags.contains(Flags::SYN)
            && matches!(self.time_wait().on_segment(seg, payload, now), TimeWaitVerdict::Reopen(_))
    }

    /// TIME-WAIT is over, because the flow is opened anew.
    pub fn give_way(&mut self) {
        self.finish();
    }
}
