//! PSH: what the receiver hands on at once (RFC 9293 section 3.9.1.2, MUST-61). As on Linux the marks are set while
//! data is queued, and stay on it; the ends of records (MSG_EOR) are marks, too.

use crate::wire::seq::SeqNum;
use std::collections::VecDeque;

/// Data that was queued, and how Linux would gather it.
#[derive(Copy, Clone, Debug)]
pub struct Queued {
    /// Its first number.
    pub start: SeqNum,
    /// Behind its last one.
    pub end: SeqNum,
    /// SND.NXT.
    pub nxt: SeqNum,
    /// Bytes gathered in one buffer, whole segments.
    pub chunk: u32,
    /// The largest window the peer ever offered.
    pub max_window: u32,
    /// MSG_MORE.
    pub more: bool,
}

/// The marks on what has not been sent.
#[derive(Debug, Default)]
pub struct Push {
    /// The end of what is queued has no mark: the last call to send said MSG_MORE.
    unfinished: bool,
    /// Where the last buffer begins that Linux would have gathered.
    buffer: SeqNum,
    /// Where the last mark was set, once anything was queued.
    marked: Option<SeqNum>,
    /// The other marks: nothing is added to the segments that end there.
    #[expect(clippy::box_collection, reason = "a connection rarely has any, and is to be small")]
    ends: Option<Box<VecDeque<SeqNum>>>,
}

impl Push {
    /// Marks the end of a call without MSG_MORE, and every end that has half of the peer's largest window behind the
    /// last mark (Linux's forced_push). A mark moves with the end of its buffer until that is full.
    pub fn on_queued(&mut self, queued: &Queued) {
        let Queued { start, end, nxt, chunk, max_window, more } = *queued;
        let mut marked = self.marked.unwrap_or(start);
        let is_due = |end: SeqNum, marked: SeqNum| end - marked > max_window / 2;
        let mut buffer = if self.marked.is_some() { self.buffer.max(nxt) } else { start };
        let is_record = self.ends.as_ref().is_some_and(|ends| ends.back() == Some(&start));
        if is_record || start - buffer >= chunk {
            if !is_record && !self.unfinished {
                self.end_here(start);
            }
            buffer = start;
        }
        while end - buffer > chunk {
            buffer += chunk;
            if is_due(buffer, marked) {
                self.end_here(buffer);
                marked = buffer;
            }
        }
        self.unfinished = more && !is_due(end, marked);
        self.marked = Some(if self.unfinished { marked } else { end });
        self.buffer = buffer;
    }

    /// Nothing is added to the segment that ends at `end`, and it is pushed: a record (MSG_EOR) is over.
    pub fn end_here(&mut self, end: SeqNum) {
        self.ends.get_or_insert_default().push_back(end);
    }

    /// What MSG_MORE held back has waited long enough.
    pub fn finish(&mut self) {
        self.unfinished = false;
    }

    /// The end of all that is queued has a mark.
    pub fn is_finished(&self) -> bool {
        !self.unfinished
    }

    /// The first mark behind `next`, that of the end of all that is queued left out.
    pub fn next_end(&mut self, next: SeqNum) -> Option<SeqNum> {
        let ends = self.ends.as_mut()?;
        while ends.front().is_some_and(|end| *end <= next) {
            ends.pop_front();
        }
        let end = ends.front().copied();
        if end.is_none() {
            self.ends = None;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queues `len` bytes of which `sent` are gone already, with buffers of 4000 bytes and a window of 8000.
    fn queue(push: &mut Push, start: u32, len: u32, nxt: u32, more: bool) {
        let (start, nxt) = (SeqNum(start), SeqNum(nxt));
        push.on_queued(&Queued { start, end: start + len, nxt, chunk: 4000, max_window: 8000, more });
    }

    fn ends(push: &mut Push) -> Vec<u32> {
        let mut next = SeqNum(0);
        std::iter::from_fn(|| push.next_end(next).inspect(|end| next = *end)).map(|end| end.0).collect()
    }

    #[test]
    fn full_buffers_are_marked_when_half_of_the_window_has_none() {
        let mut push = Push::default();
        queue(&mut push, 1, 26_000, 1, false);
        assert!(push.is_finished());
        assert_eq!(ends(&mut push), [8001, 16_001, 24_001]);
    }

    #[test]
    fn a_mark_moves_with_the_end_of_its_buffer_until_that_is_full() {
        let mut push = Push::default();
        queue(&mut push, 1, 1500, 1, false);
        queue(&mut push, 1501, 2500, 1, false);
        queue(&mut push, 4001, 1000, 1, false);
        assert_eq!(ends(&mut push), [4001]);
    }

    #[test]
    fn msg_more_marks_an_end_only_behind_half_of_the_window() {
        let mut push = Push::default();
        let finished = [0, 1000, 2000, 3000, 4000, 5000].map(|sent| {
            queue(&mut push, 1 + sent, 1000, 1 + sent, true);
            push.is_finished()
        });
        assert_eq!(finished, [false, false, false, false, true, false]);
        assert_eq!(ends(&mut push), Vec::<u32>::new());
    }

    #[test]
    fn a_record_is_marked_once() {
        let mut push = Push::default();
        queue(&mut push, 1, 4000, 1, false);
        push.end_here(SeqNum(4001));
        queue(&mut push, 4001, 100, 1, false);
        assert_eq!(ends(&mut push), [4001]);
    }
}
