//! What the stack has to say: lines of the log. They are kept until whoever holds the stack has let go of it, since
//! writing one is a system call. A storm of one kind is a few lines, and then how many more there were.

use super::{SocketId, Stack, iface::IfaceId, sockets::Body};
use crate::{
    addr::Flow,
    error::Error,
    tcp::{Connection, State},
    time::{Duration, Instant},
    wire::tcp::{Flags, Header},
};
use log::Level;
use std::{collections::VecDeque, fmt};

/// Lines of one kind in one [`PERIOD`] (as Linux's printk_ratelimit).
const BURST: u32 = 10;
/// See [`BURST`].
const PERIOD: Duration = Duration::from_secs(5);
/// Lines kept at most: they are taken after every call.
const ROOM: usize = 1024;
/// A connection is a matter for the operator at every so many time-outs in a row.
const STORM: u32 = 3;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $level:ident, $plural:literal;)*) => {
        /// What a line is about. Each kind has its level, and a limit of its own. Info is for who wants to know what
        /// happens to a stack; debug and trace are for who looks for something.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $name),* }

        const ALL: &[Kind] = &[$(Kind::$name),*];

        impl Kind {
            /// How much it matters.
            pub const fn level(self) -> Level {
                match self { $(Self::$name => Level::$level),* }
            }

            /// What there were more of.
            const fn plural(self) -> &'static str {
                match self { $(Self::$name => $plural),* }
            }
        }
    };
}

kinds! {
    /// Another station uses an address of ours.
    Conflict: Warn, "address conflicts";
    /// A program without the stack's token wants a connection.
    Stranger: Warn, "programs without the stack's token";
    /// Addresses are claimed on the link.
    Address: Info, "claims of addresses";
    /// A gateway's link-layer address became known, or is another.
    Gateway: Info, "changes of gateways";
    /// The link came up again.
    Link: Info, "changes of the link";
    /// Somebody on the link does not answer.
    Unreachable: Info, "packets to nobody";
    /// A peer wanted a connection and did not get it.
    Refused: Info, "refused connections";
    /// A connection ended by an error other than a reset.
    Failed: Info, "failed connections";
    /// Nothing is acknowledged any more.
    Storm: Info, "connections without acknowledgements";
    /// The memory of all connections is short, or no longer.
    Memory: Info, "changes of memory pressure";
    /// A connection begins or ends.
    Connection: Debug, "connections";
    /// A segment comes or goes.
    Segment: Trace, "segments";
}

/// A line that nobody has printed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// What it says, without a newline.
    pub text: String,
}

/// How many lines of a kind there were.
#[derive(Copy, Clone, Default)]
struct Gate {
    since: Option<Instant>,
    said: u32,
    held: u64,
}

/// The lines that wait, and what was held back.
pub struct Journal {
    lines: VecDeque<Line>,
    gates: [Gate; ALL.len()],
    /// When a number of lines that were held back is to be told.
    deadline: Option<Instant>,
    /// Lines there was no room for.
    lost: u64,
}

impl Default for Journal {
    fn default() -> Self {
        Self { lines: VecDeque::new(), gates: [Gate::default(); ALL.len()], deadline: None, lost: 0 }
    }
}

impl Journal {
    /// Whether lines of this kind are wanted.
    #[inline]
    pub fn is_on(kind: Kind) -> bool {
        kind.level() <= log::max_level()
    }

    /// Says a line, if its level is on and there were not too many of its kind.
    #[inline]
    pub fn say(&mut self, kind: Kind, now: Instant, text: impl FnOnce() -> String) {
        if Self::is_on(kind) {
            self.note(kind, now, text);
        }
    }

    #[cold]
    fn note(&mut self, kind: Kind, now: Instant, text: impl FnOnce() -> String) {
        self.on_timer(now);
        // Who asks for these asks for all of them.
        if kind.level() <= Level::Info && !self.admits(kind, now) {
            return;
        }
        self.push(kind.level(), text());
    }

    fn admits(&mut self, kind: Kind, now: Instant) -> bool {
        let gate = &mut self.gates[kind as usize];
        if gate.since.is_none_or(|since| since + PERIOD <= now) {
            *gate = Gate { since: Some(now), ..Gate::default() };
        }
        if gate.said < BURST {
            gate.said += 1;
            return true;
        }
        gate.held += 1;
        let due = gate.since.unwrap_or(now) + PERIOD;
        self.deadline = Some(self.deadline.map_or(due, |at| at.min(due)));
        false
    }

    fn push(&mut self, level: Level, text: String) {
        if self.lines.len() < ROOM {
            self.lines.push_back(Line { level, text });
        } else {
            self.lost += 1;
        }
    }

    /// Tells how many lines were held back, where the time has come.
    pub fn on_timer(&mut self, now: Instant) {
        if self.deadline.is_none_or(|at| at > now) {
            return;
        }
        self.deadline = None;
        for kind in ALL {
            let Gate { since, held, .. } = self.gates[*kind as usize];
            let Some(due) = since.filter(|_| held > 0).map(|since| since + PERIOD) else { continue };
            if due > now {
                self.deadline = Some(self.deadline.map_or(due, |at| at.min(due)));
                continue;
            }
            self.gates[*kind as usize] = Gate::default();
            self.push(kind.level(), format!("{held} more like this: {}", kind.plural()));
        }
    }

    /// When [`Journal::on_timer`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether there is something to print.
    #[inline]
    pub fn has_lines(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Takes what there is to print.
    pub fn poll_lines(&mut self) -> VecDeque<Line> {
        if let Some(lost) = std::num::NonZero::new(std::mem::take(&mut self.lost)) {
            self.lines.push_back(Line { level: Level::Warn, text: format!("{lost} lines of the log are lost") });
        }
        std::mem::take(&mut self.lines)
    }

    /// Something has happened to a connection that was in the state `before`.
    pub(super) fn on_progress(&mut self, connection: &Connection, before: State, now: Instant) {
        let is_handshake = |state| matches!(state, State::SynSent | State::SynReceived);
        let after = connection.state();
        let flow = Between(connection.flow());
        if is_handshake(before) && !is_handshake(after) && after != State::Closed {
            self.say(Kind::Connection, now, || format!("{flow} is open"));
        } else if after == State::TimeWait && before != after {
            self.say(Kind::Connection, now, || format!("{flow} is closed, and in TIME-WAIT"));
        }
    }

    /// A connection is over.
    pub(super) fn on_closed(&mut self, connection: &Connection, now: Instant) {
        let flow = Between(connection.flow());
        match connection.error() {
            None => self.say(Kind::Connection, now, || format!("{flow} is closed")),
            Some(error @ (Error::ConnectionReset | Error::ConnectionAborted)) => {
                self.say(Kind::Connection, now, || format!("{flow} is closed: {error}"));
            }
            Some(error) => self.say(Kind::Failed, now, || format!("{flow} has failed: {error}")),
        }
    }

    /// A timer of a connection has run, before which it had so many time-outs in a row.
    pub(super) fn on_timeouts(&mut self, connection: &Connection, before: u32, now: Instant) {
        let count = connection.timeouts_in_a_row();
        if count > before && count.is_multiple_of(STORM) {
            self.say(Kind::Storm, now, || {
                let (flow, waiting) = (Between(connection.flow()), connection.unacknowledged());
                let state = connection.state();
                format!("{flow}: {count} time-outs in a row, {waiting} bytes unacknowledged, {state}")
            });
        }
    }

    /// A segment goes, or comes, of a connection in a state.
    pub(super) fn on_segment(&mut self, way: Way, flow: &Flow, seg: &Header, len: usize, state: State, now: Instant) {
        self.say(Kind::Segment, now, || {
            let Header { flags, seq, ack, window, .. } = seg;
            let (way, from, to) = match way {
                Way::In => ("in", flow.remote, flow.local),
                Way::Out => ("out", flow.local, flow.remote),
            };
            let ack = if flags.contains(Flags::ACK) { format!(" ack {}", ack.0) } else { String::new() };
            format!("{way} {from} > {to} {flags} seq {}{ack} len {len} win {window} {state}", seq.0)
        });
    }
}

/// Which way a segment goes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To us.
    In,
    /// From us.
    Out,
}

/// A connection, by its two ends.
struct Between(Flow);

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} > {}", self.0.local, self.0.remote)
    }
}

impl Stack {
    /// What the stack has to say: whoever prints it has let go of the stack.
    pub fn journal_mut(&mut self) -> &mut Journal {
        &mut self.journal
    }

    /// A segment has come: what becomes of it depends on the state of its connection, or on the listener.
    #[cold]
    pub(super) fn trace_arrival(&mut self, iface: IfaceId, flow: &Flow, seg: &Header, len: usize, now: Instant) {
        let state = |id: SocketId| match &self.sockets.lookup(id)?.body {
            Body::Connection(connection) => Some(connection.state()),
            _ => None,
        };
        let known = self.demux.connection(flow).and_then(state);
        let waiting = || self.time_waits.lookup(flow).map(|_| State::TimeWait);
        let state = known.or_else(waiting).unwrap_or_else(|| match self.demux.listener(flow, iface) {
            Some(_) => State::Listen,
            None => State::Closed,
        });
        self.journal.on_segment(Way::In, flow, seg, len, state, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    fn texts(journal: &mut Journal) -> Vec<String> {
        journal.poll_lines().into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn of_a_storm_a_few_lines_are_said_and_then_how_many_more_there_were() {
        let mut journal = Journal::default();
        (0..100).for_each(|n| journal.note(Kind::Refused, at(1000 + n), || format!("{n}")));
        journal.note(Kind::Memory, at(1100), || "another kind".to_owned());
        let said = texts(&mut journal);
        assert_eq!(said.len(), 11);
        assert_eq!((said[9].as_str(), said[10].as_str()), ("9", "another kind"));
        assert_eq!(journal.poll_deadline(), Some(at(6000)));
        journal.on_timer(at(5999));
        assert_eq!(texts(&mut journal), [""; 0]);
        journal.on_timer(at(6000));
        assert_eq!(texts(&mut journal), ["90 more like this: refused connections"]);
        assert_eq!(journal.poll_deadline(), None);
        journal.note(Kind::Refused, at(6001), || "anew".to_owned());
        assert_eq!(texts(&mut journal), ["anew"]);
    }

    #[test]
    fn what_was_held_back_is_told_before_the_next_of_its_kind() {
        let mut journal = Journal::default();
        (0..12).for_each(|n| journal.note(Kind::Storm, at(n), || "x".to_owned()));
        journal.note(Kind::Storm, at(9000), || "later".to_owned());
        assert_eq!(texts(&mut journal)[10..], ["2 more like this: connections without acknowledgements", "later"]);
    }

    #[test]
    fn segments_are_not_held_back_but_bounded() {
        let mut journal = Journal::default();
        (0..2000).for_each(|n| journal.note(Kind::Segment, at(0), || format!("{n}")));
        let said = texts(&mut journal);
        assert_eq!((said.len(), said[1024].as_str()), (1025, "976 lines of the log are lost"));
        assert_eq!(texts(&mut journal), [""; 0]);
    }
}
