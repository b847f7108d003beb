//! What the application is told of its data on the way, by recvmsg(2) with MSG_ERRQUEUE: that the memory of a send with
//! MSG_ZEROCOPY may be used again (Documentation/networking/msg_zerocopy.rst), and when the last byte of a send left
//! and arrived (SO_TIMESTAMPING, Documentation/networking/timestamping.rst).
//!
//! Data is copied here when it is sent, as Linux does on loopback, and each completion says so.

use super::{Connection, SendFlags, State};
use crate::{ready::Ready, time::Instant, wire::seq::SeqNum};
use std::collections::VecDeque;

/// Flags of SO_TIMESTAMPING (linux/net_tstamp.h) that mean something to a stream.
pub mod stamping {
    /// When the byte leaves the host.
    pub const SOFTWARE_SENT: u32 = 1 << 1;
    /// Software's stamps are reported; without this none is.
    pub const SOFTWARE: u32 = 1 << 4;
    /// Reports are numbered by the byte they are about.
    pub const ID: u32 = 1 << 7;
    /// When the byte is handed to the queue of its device.
    pub const SCHEDULED: u32 = 1 << 8;
    /// When the byte is acknowledged.
    pub const ACKNOWLEDGED: u32 = 1 << 9;
    /// Reports come without the packet.
    pub const ONLY: u32 = 1 << 11;
    /// Bytes are numbered from the next one to be written, rather than from the oldest that is not acknowledged.
    pub const ID_OF_STREAM: u32 = 1 << 16;
    /// All that are known.
    pub const KNOWN: u32 = SOFTWARE_SENT | SOFTWARE | ID | SCHEDULED | ACKNOWLEDGED | ONLY | ID_OF_STREAM;
}

/// Reports that wait at most.
const MOST: usize = 512;

/// What happened to the last byte of a send.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// It left the host (SCM_TSTAMP_SND).
    Sent = 0,
    /// It was handed to the device's queue (SCM_TSTAMP_SCHED).
    Scheduled = 1,
    /// The peer has it (SCM_TSTAMP_ACK).
    Acknowledged = 2,
}

/// One report.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// The sends with MSG_ZEROCOPY of these numbers, both included, are done; their data was copied.
    Released {
        /// The first.
        first: u32,
        /// The last.
        last: u32,
    },
    /// A time stamp.
    Stamp {
        /// Of what.
        milestone: Milestone,
        /// Which byte; 0 if they are not numbered.
        key: u32,
        /// When.
        at: Instant,
        /// The packet would have come with it.
        with_packet: bool,
    },
}

/// The last byte of a send whose way is watched.
#[derive(Copy, Clone, Debug)]
struct Mark {
    /// Behind the byte.
    end: SeqNum,
    flags: u32,
    has_left: bool,
}

/// The reports of one connection, and what they will be about.
#[derive(Debug, Default)]
pub struct Reports {
    waiting: VecDeque<Report>,
    /// Sends with MSG_ZEROCOPY that are not acknowledged: behind their last bytes, and their numbers.
    unreleased: VecDeque<(SeqNum, u32)>,
    next: u32,
    marks: VecDeque<Mark>,
    /// The byte that is number 0, if bytes are numbered.
    first: Option<SeqNum>,
}

impl Reports {
    fn push(&mut self, report: Report) {
        if let (Some(Report::Released { last, .. }), Report::Released { first, last: end }) =
            (self.waiting.back_mut(), report)
            && last.wrapping_add(1) == first
        {
            *last = end;
        } else if self.waiting.len() < MOST {
            self.waiting.push_back(report);
        }
    }

    fn stamp(&mut self, mark: Mark, milestone: Milestone, at: Instant) {
        let key = self.first.map_or(0, |first| (mark.end - 1) - first);
        self.push(Report::Stamp { milestone, key, at, with_packet: mark.flags & stamping::ONLY == 0 });
    }
}

impl Connection {
    /// The application has sent `taken` bytes.
    pub fn on_written_by(&mut self, taken: usize, flags: SendFlags) {
        let (zerocopy, wanted) = (flags.zerocopy && self.settings.zerocopy, self.settings.stamping);
        let is_stamped = wanted & stamping::SOFTWARE != 0
            && wanted & (stamping::SOFTWARE_SENT | stamping::SCHEDULED | stamping::ACKNOWLEDGED) != 0;
        if taken == 0 || !(zerocopy || is_stamped) {
            return;
        }
        let end = self.snd.data_end();
        let reports = self.reports.get_or_insert_default();
        if zerocopy {
            match reports.unreleased.back_mut() {
                Some((last, _)) if flags.continues => *last = end,
                _ => {
                    reports.unreleased.push_back((end, reports.next));
                    reports.next = reports.next.wrapping_add(1);
                }
            }
        }
        if is_stamped {
            match reports.marks.back_mut() {
                Some(mark) if flags.continues && !mark.has_left => mark.end = end,
                _ => reports.marks.push_back(Mark { end, flags: wanted, has_left: false }),
            }
        }
    }

    /// SO_TIMESTAMPING has been set: whether bytes are numbered, and from which on.
    pub fn on_stamping_set(&mut self) {
        let wanted = self.settings.stamping;
        let first = if wanted & stamping::ID_OF_STREAM != 0 { self.snd.end() } else { self.snd.una() };
        if wanted & stamping::ID == 0 {
            self.reports.iter_mut().for_each(|reports| reports.first = None);
        } else {
            self.reports.get_or_insert_default().first.get_or_insert(first);
        }
    }

    /// A segment left, or came: tells what the application wants to know of it.
    pub fn note_reports(&mut self, now: Instant) {
        let Some(reports) = &mut self.reports else { return };
        let (before, una, nxt) = (reports.waiting.len(), self.snd.una(), self.snd.nxt());
        let is_over = matches!(self.state, State::Closed);
        for at in 0..reports.marks.len() {
            let mark = reports.marks[at];
            if mark.has_left || mark.end > nxt {
                continue;
            }
            reports.marks[at].has_left = true;
            for (flag, milestone) in
                [(stamping::SCHEDULED, Milestone::Scheduled), (stamping::SOFTWARE_SENT, Milestone::Sent)]
            {
                if mark.flags & flag != 0 {
                    reports.stamp(mark, milestone, now);
                }
            }
        }
        while let Some(mark) = reports.marks.front().copied().filter(|mark| mark.end <= una || is_over) {
            reports.marks.pop_front();
            if !is_over && mark.flags & stamping::ACKNOWLEDGED != 0 {
                reports.stamp(mark, Milestone::Acknowledged, now);
            }
        }
        let mut released = false;
        while let Some((_, number)) = reports.unreleased.front().copied().filter(|(end, _)| *end <= una || is_over) {
            reports.unreleased.pop_front();
            reports.push(Report::Released { first: number, last: number });
            released = true;
        }
        if released || reports.waiting.len() > before {
            self.events |= Ready::ERR;
        }
    }

    /// Takes the oldest report.
    pub fn take_report(&mut self) -> Option<Report> {
        self.reports.as_mut()?.waiting.pop_front()
    }

    /// Whether a report waits.
    pub fn has_reports(&self) -> bool {
        self.reports.as_ref().is_some_and(|reports| !reports.waiting.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_follow_each_other_are_one_report() {
        let mut reports = Reports::default();
        for number in [0, 1, 2, 4] {
            reports.push(Report::Released { first: number, last: number });
        }
        assert_eq!(reports.waiting, [Report::Released { first: 0, last: 2 }, Report::Released { first: 4, last: 4 }]);
    }

    #[test]
    fn reports_nobody_takes_are_bounded() {
        let mut reports = Reports::default();
        for number in 0..2 * MOST as u32 {
            reports.push(Report::Released { first: number * 2, last: number * 2 });
        }
        assert_eq!(reports.waiting.len(), MOST);
    }
}
