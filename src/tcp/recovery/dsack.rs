//! What the peer reports to have received twice (RFC 2883 section 4).

use crate::{
    cx::Cx,
    tcp::Connection,
    wire::{seq::SeqNum, tcp::SackBlocks},
};

/// The block that reports a duplicate, if the first one does: it lies before the acknowledgement, or within the second
/// (RFC 2883 sections 4.1 and 4.2).
fn duplicate(blocks: &SackBlocks, ack: SeqNum) -> Option<(SeqNum, SeqNum)> {
    let (start, end) = *blocks.as_slice().first()?;
    let within = |&(first, last): &(SeqNum, SeqNum)| start >= first && end <= last;
    (start < end && (start < ack || blocks.as_slice().get(1).is_some_and(within))).then_some((start, end))
}

impl Connection {
    /// Looks for the report of a duplicate; says whether there was one.
    pub(in crate::tcp) fn on_duplicate_report(&mut self, blocks: &SackBlocks, ack: SeqNum, cx: &mut Cx<'_>) -> bool {
        let Some((start, end)) = duplicate(blocks, ack).filter(|_| self.opening.sack) else { return false };
        let len = end - start;
        // Nothing that was never sent can have come twice.
        if end > self.snd.nxt() || len > self.peer.max().max(1 << 16) {
            return false;
        }
        if start < ack {
            cx.mib.tcp_dsack_recv += 1;
        } else {
            cx.mib.tcp_dsack_ofo_recv += 1;
        }
        let segments = len.div_ceil(u32::from(self.segment_size()));
        self.stats.dsack_dups = self.stats.dsack_dups.saturating_add(segments);
        // More duplicates than retransmissions: the network made them (as Linux).
        if self.stats.dsack_dups > self.stats.retransmitted_segs {
            return false;
        }
        let probe = self.recovery.tlp.is_answered_by(end);
        if !probe {
            self.recovery.rack.on_duplicate(self.snd.una(), self.snd.nxt());
        }
        self.recovery.undo.on_duplicate(start, end);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(blocks: &[(u32, u32)], ack: u32) -> Option<(u32, u32)> {
        let mut sack = SackBlocks::default();
        blocks.iter().for_each(|&(start, end)| assert!(sack.push(SeqNum(start), SeqNum(end))));
        duplicate(&sack, SeqNum(ack)).map(|(start, end)| (start.0, end.0))
    }

    #[test]
    fn a_first_block_before_the_acknowledgement_or_within_the_second_is_a_duplicate() {
        assert_eq!(judge(&[(100, 200)], 300), Some((100, 200)));
        assert_eq!(judge(&[(500, 600), (400, 900)], 300), Some((500, 600)));
        assert_eq!(judge(&[(500, 600), (700, 900)], 300), None);
        assert_eq!(judge(&[(500, 600)], 300), None);
        assert_eq!(judge(&[], 300), None);
    }
}
