//! Selective acknowledgements from the peer: which are believed, and which segments they show to be lost (RFC 2018
//! section 5, RFC 6675 section 4).

use super::{
    Connection,
    send_queue::{Fate, Sent},
};
use crate::{time::Instant, wire::tcp::SackBlocks};

/// Segments or stretches that must have arrived behind one that is thought lost (RFC 6675 section 2, DupThresh).
pub const DUP_THRESH: u32 = 3;

/// What SACK blocks told.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct SackNews {
    /// Bytes newly known to have arrived.
    pub bytes: u32,
    /// When the latest of these was sent, if once only.
    pub sent_at: Option<Instant>,
}

/// Walks over the stretches from the last to the first and says of each whether it is lost (RFC 6675 section 4,
/// IsLost).
#[derive(Debug)]
pub struct LossJudge {
    mss: u32,
    /// Bytes that arrived behind the present stretch, and the runs they form.
    bytes: u32,
    runs: u32,
    in_run: bool,
}

impl LossJudge {
    /// A judge for segments of `mss` bytes.
    pub fn new(mss: u32) -> Self {
        Self { mss, bytes: 0, runs: 0, in_run: false }
    }

    /// Judges the next stretch towards the front.
    pub fn is_lost(&mut self, sent: &Sent) -> bool {
        if sent.fate == Fate::Sacked {
            self.runs += u32::from(!self.in_run);
            self.bytes += sent.span();
            self.in_run = true;
            return false;
        }
        self.in_run = false;
        self.runs >= DUP_THRESH || self.bytes > (DUP_THRESH - 1) * self.mss
    }
}

impl Connection {
    /// Takes note of the blocks. Those outside what is outstanding are not believed; one below SND.UNA is a D-SACK
    /// (RFC 2883) and tells nothing new here.
    pub(super) fn on_sack_blocks(&mut self, blocks: &SackBlocks) -> SackNews {
        let mut news = SackNews::default();
        for &(start, end) in blocks.as_slice() {
            if start < end && start >= self.snd.una() && end <= self.snd.nxt() {
                let (bytes, sent_at) = self.snd.on_sack(start, end, u32::from(self.mss()));
                news.bytes += bytes;
                news.sent_at = news.sent_at.max(sent_at);
            }
        }
        news
    }

    /// Marks what the scoreboard shows to be lost; returns how many bytes.
    pub(super) fn judge_losses(&mut self) -> u32 {
        let mut judge = LossJudge::new(u32::from(self.mss()));
        self.snd.judge_losses(|sent| judge.is_lost(sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seq::SeqNum;

    /// Judges stretches of 1000 bytes written as a line, `S` for arrived and `.` for not; `x` are those found lost.
    fn judge(line: &str) -> String {
        let mut judge = LossJudge::new(1000);
        let verdicts: Vec<char> = line
            .chars()
            .rev()
            .map(|c| {
                let fate = if c == 'S' { Fate::Sacked } else { Fate::InFlight };
                let sent = Sent {
                    start: SeqNum(0),
                    end: SeqNum(1000),
                    at: Instant::ZERO,
                    fate,
                    retransmitted: false,
                    stamp: Default::default(),
                };
                if judge.is_lost(&sent) { 'x' } else { c }
            })
            .collect();
        verdicts.into_iter().rev().collect()
    }

    #[test]
    fn three_segments_or_three_runs_behind_it_show_a_loss() {
        assert_eq!(judge(".SS"), ".SS");
        assert_eq!(judge(".SSS"), "xSSS");
        assert_eq!(judge("..S.S.S"), "xxS.S.S");
        assert_eq!(judge(".S.SS."), "xS.SS.");
    }
}
