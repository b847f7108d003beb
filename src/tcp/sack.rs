//! Selective acknowledgements from the peer: which are believed (RFC 2018 section 5). What they show to be lost is
//! judged by [`super::recovery::rack`].

use super::Connection;
use crate::{time::Instant, wire::tcp::SackBlocks};

/// Segments that must have arrived behind one that is thought lost, while reordering was never seen (RFC 6675 section
/// 2, DupThresh).
pub const DUP_THRESH: u32 = 3;

/// What SACK blocks told.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct SackNews {
    /// Bytes newly known to have arrived.
    pub bytes: u32,
    /// When the latest of these was sent, if once only.
    pub sent_at: Option<Instant>,
}

impl Connection {
    /// Takes note of the blocks. Those outside what is outstanding are not believed; what tells of
    /// duplicates (RFC 2883) is read by [`super::recovery::dsack`].
    pub(super) fn on_sack_blocks(&mut self, blocks: &SackBlocks) -> SackNews {
        let mut news = SackNews::default();
        for &(start, end) in blocks.as_slice() {
            if start < end && start >= self.snd.una() && end <= self.snd.nxt() {
                let (bytes, sent_at) = self.snd.on_sack(start, end, u32::from(self.segment_size()));
                news.bytes += bytes;
                news.sent_at = news.sent_at.max(sent_at);
            }
        }
        news
    }
}
