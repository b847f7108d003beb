//! The send window: what the peer allows (RFC 9293 sections 3.8.6 and 3.10.7.4), and the room for the application's
//! data behind it.

use super::{
    knobs::Sizes,
    settings::{BufferSize, Settings},
};
use crate::{time::Duration, wire::seq::SeqNum};

/// The peer's window.
#[derive(Debug, Default)]
pub struct SendWindow {
    /// SND.WND, bytes from SND.UNA on.
    wnd: u32,
    /// SND.WL1 and SND.WL2: sequence and acknowledgement number of the segment that set the window last.
    wl1: SeqNum,
    wl2: SeqNum,
    /// The largest window the peer ever offered: an estimate of its buffer (RFC 9293 section 3.8.6.2.1).
    max: u32,
    /// Shift count of the peer's window field.
    shift: u8,
}

impl SendWindow {
    /// Takes the window of a SYN, which is not scaled.
    pub fn on_syn(&mut self, seq: SeqNum, ack: SeqNum, field: u16, shift: u8) {
        *self = Self { wnd: u32::from(field), wl1: seq, wl2: ack, max: u32::from(field), shift };
    }

    /// The size of a window field that is scaled.
    pub fn scaled(&self, field: u16) -> u32 {
        u32::from(field) << self.shift
    }

    /// Takes the window of a segment unless it is older than the one that set it last; says whether it changed.
    pub fn update(&mut self, seq: SeqNum, ack: SeqNum, field: u16) -> bool {
        if self.wl1 > seq || (self.wl1 == seq && self.wl2 > ack) {
            return false;
        }
        let wnd = self.scaled(field);
        let changed = wnd != self.wnd;
        self.wnd = wnd;
        self.max = self.max.max(wnd);
        (self.wl1, self.wl2) = (seq, ack);
        changed
    }

    /// SND.WND.
    pub fn size(&self) -> u32 {
        self.wnd
    }

    /// The largest window ever offered.
    pub fn max(&self) -> u32 {
        self.max
    }

    /// The peer's shift count.
    pub fn shift(&self) -> u8 {
        self.shift
    }

    /// Bytes from `nxt` on that the window allows. A peer that has pulled its window back leaves none (RFC 9293
    /// section 3.8.6, MUST-34).
    pub fn usable(&self, una: SeqNum, nxt: SeqNum) -> u32 {
        self.wnd.saturating_sub(nxt - una)
    }
}

/// What an autotuned send buffer has at least: enough for a local link before the congestion window has grown.
const START: usize = 256 * 1024;

/// What an autotuned send buffer has at most while the path's round trip is shorter than [`LOCAL_RTT`]: 16 Gbit/s and
/// more need no more in flight there, and more would only fall out of the processor's cache between being written and
/// being sent.
const LOCAL_MOST: usize = 2 << 20;
/// Round trips up to here are those of one machine or one rack.
const LOCAL_RTT: Duration = Duration::from_millis(1);

/// The most a send buffer holds: half of what sequence numbers can tell apart.
const MOST: usize = 1 << 30;

/// Bytes the application may have queued: twice the congestion window, so that the next flight can be written while
/// this one is out (as Linux does).
pub fn buffer_limit(settings: &Settings, cwnd: u32, min_rtt: Option<Duration>) -> usize {
    let useful = if min_rtt.is_some_and(|rtt| rtt < LOCAL_RTT) { LOCAL_MOST } else { MOST };
    let limit = match settings.send_buffer {
        BufferSize::Auto { max } => {
            let Sizes { first, most, .. } = settings.knobs.wmem;
            (cwnd as usize * 2).max(START).min(useful).max(first as usize).min(most as usize).min(max)
        }
        // As getsockopt(2) tells it.
        BufferSize::Fixed(size) => size.saturating_mul(2),
    };
    limit.min(MOST)
}

/// So much room is enough however large the buffer: a third of Linux's largest (tcp_wmem, 4 MiB). A third of a larger
/// one would be waited for while a long path runs empty.
const ENOUGH: usize = (4 << 20) / 3;

/// What Linux books for a buffer beside its payload, bytes: socket buffers of a size that the application has set count
/// that, too.
const OVERHEAD: usize = 1280;

/// What `held` bytes count for, gathered in chunks.
pub fn charge(settings: &Settings, held: usize, chunk: usize) -> usize {
    match settings.send_buffer {
        BufferSize::Auto { .. } => held,
        BufferSize::Fixed(_) => held.saturating_add(held.div_ceil(chunk).saturating_mul(OVERHEAD)),
    }
}

/// Bytes that may be queued now. As on Linux a chunk that is begun is filled, and a new one is begun as long as there
/// is room for anything and no more is unsent than TCP_NOTSENT_LOWAT.
pub fn room(settings: &Settings, held: usize, unsent: u32, chunk: usize, limit: usize) -> usize {
    let free = limit.saturating_sub(charge(settings, held, chunk));
    let begun = match unsent as usize % chunk {
        0 => 0,
        part => chunk - part,
    };
    let by_size = match settings.send_buffer {
        BufferSize::Auto { .. } => free,
        BufferSize::Fixed(_) => begun + free.saturating_sub(begun).div_ceil(chunk + OVERHEAD) * chunk,
    };
    let by_lowat = settings.notsent_limit().map_or(usize::MAX, |lowat| {
        let left = (lowat as usize).saturating_sub(unsent as usize + begun);
        begun + left.div_ceil(chunk).saturating_mul(chunk)
    });
    by_size.min(by_lowat)
}

/// Whether poll(2) says there is room: a third of the buffer is free, and no more is unsent than TCP_NOTSENT_LOWAT
/// (as Linux's sk_stream_is_writeable).
pub fn is_writable(settings: &Settings, queued: usize, unsent: u32, limit: usize) -> bool {
    let wanted = (queued / 2).min(ENOUGH);
    queued < limit && limit - queued >= wanted && settings.notsent_limit().is_none_or(|lowat| unsent < lowat)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_segment_does_not_change_the_window() {
        let mut window = SendWindow::default();
        window.on_syn(SeqNum(10), SeqNum(0), 1000, 2);
        assert!(window.update(SeqNum(11), SeqNum(5), 500));
        assert_eq!(window.size(), 2000);
        assert!(!window.update(SeqNum(10), SeqNum(9), 1));
        assert!(!window.update(SeqNum(11), SeqNum(4), 1));
        assert_eq!((window.size(), window.max()), (2000, 2000));
    }

    #[test]
    fn a_window_pulled_back_leaves_nothing_usable() {
        let mut window = SendWindow::default();
        window.on_syn(SeqNum(0), SeqNum(0), 1000, 0);
        assert_eq!(window.usable(SeqNum(0), SeqNum(400)), 600);
        window.update(SeqNum(1), SeqNum(0), 300);
        assert_eq!(window.usable(SeqNum(0), SeqNum(400)), 0);
    }

    #[test]
    fn an_autotuned_buffer_follows_the_congestion_window_and_stays_small_on_a_local_path() {
        let limit = |cwnd, rtt| buffer_limit(&Settings::default(), cwnd, Some(Duration::from_micros(rtt)));
        assert_eq!([limit(14_600, 20_000), limit(1 << 20, 20_000), limit(1 << 24, 20_000)], [START, 2 << 20, 16 << 20]);
        assert_eq!(limit(1 << 24, 50), LOCAL_MOST);
        let fixed = Settings { send_buffer: BufferSize::Fixed(5 << 20), ..Settings::default() };
        assert_eq!(buffer_limit(&fixed, 1, Some(Duration::ZERO)), 10 << 20);
    }

    #[test]
    fn a_buffer_of_a_size_that_was_set_takes_whole_chunks_until_it_is_full() {
        let fixed = Settings { send_buffer: BufferSize::Fixed(21_000), ..Settings::default() };
        assert_eq!(room(&fixed, 0, 0, 25_000, 42_000), 50_000);
        assert_eq!(room(&fixed, 50_000, 40_000, 25_000, 42_000), 10_000);
        assert_eq!(room(&fixed, 60_000, 50_000, 25_000, 42_000), 0);
        let lowat = Settings { notsent_lowat: Some(32_000), ..Settings::default() };
        assert_eq!(room(&lowat, 0, 0, 16_000, 262_144), 32_000);
        assert_eq!(room(&lowat, 32_000, 22_000, 16_000, 262_144), 10_000);
    }

    #[test]
    fn there_is_room_again_when_a_third_of_the_buffer_is_free() {
        let settings = Settings::default();
        assert!(is_writable(&settings, 200, 0, 300));
        assert!(!is_writable(&settings, 201, 0, 300));
        assert!(is_writable(&settings, 15 << 20, 0, (15 << 20) + ENOUGH));
        let lowat = Settings { notsent_lowat: Some(10), ..settings };
        assert!(!is_writable(&lowat, 50, 10, 300));
    }
}
