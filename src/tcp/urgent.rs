//! Urgent data (RFC 9293 section 3.8.5, RFC 6093; MSG_OOB, SO_OOBINLINE and SIOCATMARK as Linux has them: the pointer
//! names the byte behind the urgent one, and only the last urgent byte counts).

use super::Connection;
use crate::wire::seq::SeqNum;

/// The byte the peer's urgent pointer names.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Byte {
    /// It has not come.
    Awaited,
    /// It is there.
    Here(u8),
    /// The application has read it out of band.
    Taken,
}

/// What reading the urgent byte gives.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum OutOfBand {
    /// There is none, or it was read.
    Nothing,
    /// It was announced and has not come.
    Awaited,
    /// This one.
    Byte(u8),
}

/// Urgent data of both directions.
#[derive(Debug, Default)]
pub struct Urgent {
    /// The peer's urgent byte: where it is, and what is known of it.
    mark: Option<(SeqNum, Byte)>,
    /// The urgent byte came since this was asked last.
    news: bool,
    /// Behind our own last urgent byte (SND.UP).
    snd_up: Option<SeqNum>,
}

impl Urgent {
    /// An urgent pointer came that names the byte `at`; `copied` is the next number the application reads. Says whether
    /// the pointer is news, and whether an earlier urgent byte is now next in the stream, where it is not to be read.
    pub fn on_pointer(&mut self, at: SeqNum, copied: SeqNum, rcv_nxt: SeqNum) -> (bool, bool) {
        if copied > at || at < rcv_nxt || self.mark.is_some_and(|(mark, _)| at <= mark) {
            return (false, false);
        }
        let skip = self.mark.is_some_and(|(mark, _)| mark == copied) && copied != rcv_nxt;
        self.mark = Some((at, Byte::Awaited));
        (true, skip)
    }

    /// Data that begins at `seq` came: the urgent byte may be in it.
    pub fn on_data(&mut self, seq: SeqNum, data: &[u8]) {
        if let Some((at, byte @ Byte::Awaited)) = &mut self.mark
            && *at >= seq
            && let Some(&value) = data.get((*at - seq) as usize)
        {
            *byte = Byte::Here(value);
            self.news = true;
        }
    }

    /// Takes the news that the urgent byte came.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Where the urgent byte is in the stream, unless the stream has been read past it.
    pub fn mark(&self) -> Option<SeqNum> {
        self.mark.map(|(at, _)| at)
    }

    /// The application has read up to `copied`.
    pub fn on_read(&mut self, copied: SeqNum) {
        if self.mark.is_some_and(|(at, _)| copied > at) {
            self.mark = None;
        }
    }

    /// Whether the urgent byte can be read.
    pub fn is_here(&self) -> bool {
        matches!(self.mark, Some((_, Byte::Here(_))))
    }

    /// Reads the urgent byte.
    pub fn take(&mut self, peek: bool) -> OutOfBand {
        match &mut self.mark {
            Some((_, byte @ Byte::Here(_))) => {
                let Byte::Here(value) = *byte else { return OutOfBand::Nothing };
                if !peek {
                    *byte = Byte::Taken;
                }
                OutOfBand::Byte(value)
            }
            Some((_, Byte::Awaited)) => OutOfBand::Awaited,
            Some((_, Byte::Taken)) | None => OutOfBand::Nothing,
        }
    }

    /// The application wrote an urgent byte that ends at `end`.
    pub fn on_written(&mut self, end: SeqNum) {
        self.snd_up = Some(end);
    }

    /// Everything up to `una` is acknowledged.
    pub fn on_acked(&mut self, una: SeqNum) {
        if self.snd_up.is_some_and(|up| up <= una) {
            self.snd_up = None;
        }
    }

    /// Whether urgent data is not acknowledged yet: segments leave one by one then, each with its own pointer.
    pub fn is_sending(&self, una: SeqNum) -> bool {
        self.snd_up.is_some_and(|up| up > una)
    }

    /// The urgent pointer of a segment that begins at `seq`; one too far to be named is announced as far as possible.
    pub fn pointer(&self, seq: SeqNum) -> Option<u16> {
        let up = self.snd_up.filter(|&up| up > seq)?;
        Some(u16::try_from(up - seq).unwrap_or(u16::MAX))
    }
}

impl Connection {
    /// A segment that begins at `seq` has an urgent pointer.
    pub(super) fn on_urgent_pointer(&mut self, seq: SeqNum, pointer: u16) {
        if self.life.peer_done {
            return;
        }
        let at = seq + u32::from(pointer.saturating_sub(1));
        let (news, skip) = self.urgent.on_pointer(at, self.copied_seq(), self.rcv.rcv_nxt());
        if news && skip && !self.settings.oob_inline {
            self.rcv.skip(1);
        }
    }

    /// The number of the next byte the application reads.
    pub(super) fn copied_seq(&self) -> SeqNum {
        self.rcv.rcv_nxt() - u32::from(self.life.peer_done) - self.rcv.readable() as u32
    }

    /// Whether the next byte to be read is the urgent one (SIOCATMARK).
    pub fn is_at_mark(&self) -> bool {
        self.urgent.mark() == Some(self.copied_seq())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_is_taken_once_and_the_pointer_may_come_before_it() {
        let mut urgent = Urgent::default();
        assert_eq!(urgent.on_pointer(SeqNum(12), SeqNum(10), SeqNum(10)), (true, false));
        assert_eq!(urgent.take(false), OutOfBand::Awaited);
        urgent.on_data(SeqNum(10), b"ab");
        urgent.on_data(SeqNum(12), b"!c");
        assert!(urgent.take_news() && urgent.is_here());
        assert_eq!([urgent.take(true), urgent.take(false)], [OutOfBand::Byte(b'!'); 2]);
        assert_eq!(urgent.take(false), OutOfBand::Nothing);
        assert_eq!(urgent.on_pointer(SeqNum(12), SeqNum(10), SeqNum(10)), (false, false));
        urgent.on_read(SeqNum(13));
        assert_eq!(urgent.mark(), None);
    }

    #[test]
    fn our_pointer_counts_from_each_segment() {
        let mut urgent = Urgent::default();
        urgent.on_written(SeqNum(100));
        assert_eq!([urgent.pointer(SeqNum(90)), urgent.pointer(SeqNum(100))], [Some(10), None]);
        assert_eq!(urgent.pointer(SeqNum(100) - 70_000), Some(u16::MAX));
        urgent.on_acked(SeqNum(100));
        assert!(!urgent.is_sending(SeqNum(100)));
    }
}
