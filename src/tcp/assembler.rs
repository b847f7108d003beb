//! Data that came before its turn: runs with gaps before each of them, waiting for the gaps to be filled.
//!
//! Positions are 64-bit offsets into the stream, so that nothing here wraps around.

use super::run::Run;
use crate::buf::Packet;
use std::{collections::BTreeMap, ops::Range};

/// Memory of one run beside its packets: its place in the map.
const PER_RUN: usize = 96;
/// How many runs a SACK option can report.
const REPORTED: usize = 4;

/// What became of the bytes of a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// The first part that was there already.
    pub duplicate: Option<Range<u64>>,
}

/// Runs of bytes by the position of their first byte. No two touch.
#[derive(Debug, Default)]
pub struct Assembler {
    runs: BTreeMap<u64, Run>,
    /// Positions in the runs that changed last, the latest first. A position stays right when runs join.
    recent: [Option<u64>; REPORTED],
    bytes: usize,
    footprint: usize,
}

impl Assembler {
    /// Bytes held.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Memory held, in bytes.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// The position of the first byte held.
    pub fn first(&self) -> Option<u64> {
        self.runs.first_key_value().map(|(at, _)| *at)
    }

    /// The position behind the last byte held.
    pub fn end(&self) -> Option<u64> {
        self.runs.last_key_value().map(|(at, run)| *at + run.len() as u64)
    }

    /// Adds `packet`, whose first byte belongs at `start`. Where bytes are there already they are kept: what the peer
    /// has sent once cannot be changed by who guesses a sequence number.
    pub fn insert(&mut self, start: u64, packet: Packet) -> Placed {
        let end = start + packet.len() as u64;
        let mut placed = Placed::default();
        if packet.is_empty() {
            return placed;
        }
        let mut at = start;
        let mut packet = Some(packet);
        while at < end {
            if let Some(held) = self.run_at(at) {
                let held_end = held.end.min(end);
                placed.duplicate.get_or_insert(at..held_end);
                at = held_end;
                continue;
            }
            let gap_end = self.runs.range(at..).next().map_or(end, |(next, _)| end.min(*next));
            let Some(part) = Self::part(&mut packet, start, at..gap_end, end) else { break };
            self.fill(at, part);
            at = gap_end;
        }
        self.touch(start);
        placed
    }

    /// The bytes `part` of `packet`, which lies at `start..end`: the last part is the packet itself, parts before it
    /// are copies.
    fn part(packet: &mut Option<Packet>, start: u64, part: Range<u64>, end: u64) -> Option<Packet> {
        let from = (part.start - start) as usize;
        let to = (part.end - start) as usize;
        if part.end < end {
            return packet.as_ref().map(|packet| Packet::copy_from(&packet.bytes()[from..to]));
        }
        let mut rest = packet.take()?;
        rest.advance(from);
        Some(rest)
    }

    /// The run that holds the byte at `at`.
    fn run_at(&self, at: u64) -> Option<Range<u64>> {
        let (start, run) = self.runs.range(..=at).next_back()?;
        let end = start + run.len() as u64;
        (at < end).then_some(*start..end)
    }

    /// Puts `packet` into the gap at `at`, and joins it with the runs it touches.
    fn fill(&mut self, at: u64, packet: Packet) {
        let end = at + packet.len() as u64;
        self.bytes += packet.len();
        let after = self.take(end);
        let before = self.runs.range_mut(..at).next_back().filter(|(start, run)| **start + run.len() as u64 == at);
        if let Some((_, run)) = before {
            let held = run.footprint();
            run.push(packet);
            run.extend(after);
            self.footprint = self.footprint - held + run.footprint();
        } else {
            let mut run = Run::default();
            run.push(packet);
            run.extend(after);
            self.footprint += run.footprint() + PER_RUN;
            self.runs.insert(at, run);
        }
    }

    /// Takes the run that starts at `at` out of the map; its bytes still count as held.
    fn take(&mut self, at: u64) -> Option<Run> {
        let run = self.runs.remove(&at)?;
        self.footprint -= run.footprint() + PER_RUN;
        Some(run)
    }

    /// Takes the run that starts at `at`, whose turn has come.
    pub fn take_run(&mut self, at: u64) -> Option<Run> {
        let run = self.take(at)?;
        self.bytes -= run.len();
        Some(run)
    }

    /// Remembers that the run around `at` changed last, and forgets other marks on the same run.
    fn touch(&mut self, at: u64) {
        let Some(touched) = self.run_at(at) else { return };
        let mut kept = [Some(at), None, None, None];
        let others = self.recent.iter().flatten().filter(|mark| !touched.contains(mark));
        for (slot, mark) in kept[1..].iter_mut().zip(others) {
            *slot = Some(*mark);
        }
        self.recent = kept;
    }

    /// Up to four runs to report, those that changed last first (RFC 2018 section 4), then the oldest gaps' ends.
    pub fn reports(&self) -> impl Iterator<Item = Range<u64>> {
        let mut reports: [Option<Range<u64>>; REPORTED] = [const { None }; REPORTED];
        let mut count = 0;
        let recent = self.recent.iter().flatten().filter_map(|mark| self.run_at(*mark));
        let oldest = self.runs.iter().take(REPORTED).map(|(at, run)| *at..*at + run.len() as u64);
        for run in recent.chain(oldest) {
            if count < REPORTED && !reports.contains(&Some(run.clone())) {
                reports[count] = Some(run);
                count += 1;
            }
        }
        reports.into_iter().flatten()
    }

    /// Drops runs from the far end until at most `goal` bytes of memory are held; returns how many bytes it freed.
    pub fn prune(&mut self, goal: usize) -> usize {
        let held = self.footprint;
        while self.footprint > goal {
            let Some((_, run)) = self.runs.pop_last() else { break };
            self.bytes -= run.len();
            self.footprint -= run.footprint() + PER_RUN;
        }
        held - self.footprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(len: usize) -> Packet {
        Packet::copy_from(&vec![0; len])
    }

    fn reports(assembler: &Assembler) -> Vec<(u64, u64)> {
        assembler.reports().map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn runs_grow_join_and_are_reported_latest_first() {
        let mut assembler = Assembler::default();
        for at in [100, 300, 500] {
            assert_eq!(assembler.insert(at, packet(50)), Placed::default());
        }
        assert_eq!(reports(&assembler), [(500, 550), (300, 350), (100, 150)]);
        assembler.insert(150, packet(50));
        assert_eq!(reports(&assembler), [(100, 200), (500, 550), (300, 350)]);
        assembler.insert(200, packet(100));
        assert_eq!(reports(&assembler), [(100, 350), (500, 550)]);
        assert_eq!((assembler.len(), assembler.first()), (300, Some(100)));
    }

    #[test]
    fn more_than_four_runs_report_the_latest_four_and_the_oldest_when_those_are_gone() {
        let mut assembler = Assembler::default();
        for at in [10, 30, 50, 70, 90] {
            assembler.insert(at, packet(5));
        }
        assert_eq!(reports(&assembler), [(90, 95), (70, 75), (50, 55), (30, 35)]);
        assembler.insert(75, packet(15));
        assert_eq!(reports(&assembler), [(70, 95), (50, 55), (30, 35), (10, 15)]);
    }

    #[test]
    fn a_segment_over_several_runs_fills_the_gaps_and_reports_what_was_there() {
        let mut assembler = Assembler::default();
        assembler.insert(10, packet(5));
        assembler.insert(20, packet(5));
        assert_eq!(assembler.insert(8, packet(22)).duplicate, Some(10..15));
        assert_eq!(reports(&assembler), [(8, 30)]);
        assert_eq!(assembler.insert(12, packet(3)).duplicate, Some(12..15));
        assert_eq!(assembler.len(), 22);
    }

    #[test]
    fn pruning_drops_the_far_end_first() {
        let mut assembler = Assembler::default();
        assembler.insert(10, packet(1000));
        let one = assembler.footprint();
        assembler.insert(2000, packet(1000));
        assert!(assembler.prune(one) >= 1000);
        assert_eq!(reports(&assembler), [(10, 1010)]);
        assembler.prune(0);
        assert!(assembler.is_empty());
        assert_eq!(assembler.footprint(), 0);
    }

    #[test]
    fn alternating_bytes_hold_bounded_memory_and_join_cheaply() {
        let mut assembler = Assembler::default();
        let n = 20_000;
        (0..n).for_each(|i| _ = assembler.insert(2 * i + 1, packet(1)));
        assert!(assembler.footprint() > 100 * assembler.len());
        (1..n).rev().for_each(|i| _ = assembler.insert(2 * i, packet(1)));
        assert_eq!(reports(&assembler), [(1, 2 * n)]);
        let run = assembler.take_run(1).unwrap();
        assert_eq!(run.len() as u64, 2 * n - 1);
        assert_eq!((assembler.len(), assembler.footprint()), (0, 0));
    }
}
