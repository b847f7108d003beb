//! The receive window: how much we offer, and how the offer grows with what the application reads (RFC 9293 section
//! 3.8.6; silly-window avoidance of section 3.8.6.2.2; scaling of RFC 7323 section 2; growth by Dynamic Right-Sizing,
//! as in Linux).

use super::{
    knobs::RMEM_MAX,
    settings::{BufferSize, Settings},
};
use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// Segments of the sender's initial window (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;
/// Segments of fewer bytes do not let the window grow (as Linux).
const SMALL: usize = 128;
/// The largest shift count (RFC 7323 section 2.3).
pub const MAX_SHIFT: u8 = 14;
/// Time stamps tick in milliseconds: a round trip measured by them is worth something from here on.
const COARSE: Duration = Duration::from_millis(2);

/// The window we offer.
#[derive(Debug)]
pub struct RecvWindow {
    /// Bytes we are ready to hold at present.
    capacity: u32,
    /// Bytes we offer at most at present: segments that come let it grow towards the capacity (Linux's rcv_ssthresh).
    ssthresh: u32,
    /// The last offer's size, bytes.
    size: u32,
    /// Right edge of what we have offered; it never moves to the left (RFC 9293 section 3.8.6, SHLD-14).
    edge: SeqNum,
    /// Shift count of our window field.
    shift: u8,
    /// Estimate of the peer's round trip for right-sizing.
    rtt: Option<Duration>,
    /// When this round began and the number that ends it: one window's worth later.
    round: (Instant, SeqNum),
    /// Bytes read by the application since, in the present interval; and in the best interval so far.
    copied: u32,
    copied_since: Instant,
    best: u32,
}

/// The largest window there is.
const LARGEST: u32 = (u16::MAX as u32) << MAX_SHIFT;

/// The most TCP_WINDOW_CLAMP lets us offer, bytes.
fn clamp(settings: &Settings) -> u32 {
    if settings.window_clamp == 0 { LARGEST } else { settings.window_clamp.min(LARGEST) }
}

/// The most an application's receive buffer may become, bytes of payload.
fn limit(settings: &Settings) -> u32 {
    let bytes = match settings.recv_buffer {
        BufferSize::Auto { max } => max.min(settings.knobs.rmem.most as usize / 2),
        BufferSize::Fixed(size) => size,
    };
    u32::try_from(bytes).unwrap_or(LARGEST).min(clamp(settings)).max(1)
}

/// The shift count a SYN offers: the smallest that can express the largest buffer (RFC 7323 section 2.3). Linux takes
/// the size of a buffer that may grow with its overhead, and with what an application may set.
pub fn shift_for(settings: &Settings) -> u8 {
    let most = match settings.recv_buffer {
        BufferSize::Auto { .. } => limit(settings).saturating_mul(2).max(RMEM_MAX).min(clamp(settings)),
        BufferSize::Fixed(_) => limit(settings),
    };
    (0..MAX_SHIFT).find(|shift| most >> shift <= u32::from(u16::MAX)).unwrap_or(MAX_SHIFT)
}

/// What is offered first: a whole number of segments, where that is possible (Linux's tcp_select_initial_window).
const fn initial(capacity: u32, mss: u32) -> u32 {
    if capacity > mss && mss > 0 { capacity - capacity % mss } else { capacity }
}

impl RecvWindow {
    /// A window for a connection that begins at `rcv_nxt`, whose peer's segments may have `mss` bytes; nothing is
    /// offered yet.
    pub fn new(settings: &Settings, rcv_nxt: SeqNum, mss: u16, now: Instant) -> Self {
        let capacity = match settings.recv_buffer {
            BufferSize::Auto { .. } => limit(settings).min(settings.knobs.rmem.first.div_ceil(2)),
            BufferSize::Fixed(_) => limit(settings),
        };
        let ssthresh = initial(capacity, mss.into());
        Self {
            capacity,
            ssthresh,
            size: ssthresh,
            edge: rcv_nxt,
            shift: 0,
            rtt: None,
            round: (now, rcv_nxt),
            copied: 0,
            copied_since: now,
            best: ssthresh.min(INITIAL_SEGMENTS * u32::from(mss)),
        }
    }

    /// Right edge of the window offered: the first number that is outside.
    pub fn edge(&self) -> SeqNum {
        self.edge
    }

    /// Our shift count.
    pub fn shift(&self) -> u8 {
        self.shift
    }

    /// Bytes we offer at most at present.
    pub fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    /// The peer's SYN came before ours went: its segments will have `mss` bytes.
    pub fn on_peer_first(&mut self, mss: u16) {
        self.ssthresh = initial(self.capacity, mss.into());
        self.size = self.ssthresh;
        self.best = self.ssthresh.min(INITIAL_SEGMENTS * u32::from(mss));
    }

    /// Bytes we are ready to hold at present.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Round trip as seen by the receiver.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Bytes read in the best interval.
    pub fn space(&self) -> u32 {
        self.best
    }

    /// The peer agreed to scaling.
    pub fn set_shift(&mut self, shift: u8) {
        self.shift = shift;
    }

    /// The peer's first number is known: the window begins there, `offered` bytes of it were offered with our SYN.
    pub fn start_at(&mut self, rcv_nxt: SeqNum, offered: u32, now: Instant) {
        self.edge = rcv_nxt + offered;
        self.round = (now, self.edge);
        self.copied_since = now;
    }

    /// A SYN-ACK leaves that acknowledges data of the SYN up to `rcv_nxt`: all of its window is offered from there on.
    pub fn offer_with_syn_ack(&mut self, rcv_nxt: SeqNum) {
        self.edge = self.edge.max(rcv_nxt + u32::from(self.syn_field()));
    }

    /// The application set its buffer size: growth takes effect, an offer once made stands.
    pub fn on_settings_changed(&mut self, settings: &Settings) {
        let before = self.capacity;
        self.capacity = match settings.recv_buffer {
            BufferSize::Auto { .. } => self.capacity.min(limit(settings)),
            BufferSize::Fixed(_) => limit(settings),
        };
        // What the application sets it gets at once; what is taken back in bytes is no reason to wait for segments.
        self.ssthresh = match settings.recv_buffer {
            BufferSize::Auto { .. } => self.ssthresh.min(self.capacity),
            BufferSize::Fixed(_) if self.capacity < before => self.ssthresh.min(self.capacity),
            BufferSize::Fixed(_) if self.capacity > before => self.capacity,
            BufferSize::Fixed(_) => self.ssthresh,
        };
    }

    /// The window field of a SYN, which is never scaled (RFC 7323 section 2.2).
    pub fn syn_field(&self) -> u16 {
        u16::try_from(self.ssthresh).unwrap_or(u16::MAX)
    }

    /// How many bytes we would offer while `unread` bytes wait for the reader, if no offer stood (RFC 9293 section
    /// 3.8.6.2.2 against silly windows, by Linux's rules).
    fn wanted(&self, unread: usize, mss: u32) -> u32 {
        let unit = 1_u32 << self.shift;
        let mss = mss.min(self.capacity);
        let mut free = self.capacity.saturating_sub(u32::try_from(unread).unwrap_or(u32::MAX));
        if free < self.capacity / 2 {
            free -= free % unit;
            if free < self.capacity / 16 || free < mss {
                return 0;
            }
        }
        let free = free.min(self.ssthresh);
        if self.shift > 0 {
            // Rounding down would close a window smaller than the unit.
            return free.next_multiple_of(unit).min(u32::from(u16::MAX) << self.shift);
        }
        // Without scaling the edge stays within a segment of what is free, and offers are whole segments.
        let offer = match self.size {
            size if size > free || size.saturating_add(mss) <= free => free - free % mss.max(1),
            size if mss == self.capacity && free > size.saturating_add(self.capacity / 2) => free,
            size => size,
        };
        offer.min(u16::MAX.into())
    }

    /// Whether the reader lags so far behind that less than half of what we can hold is free.
    pub fn is_half_full(&self, unread: usize) -> bool {
        self.capacity.saturating_sub(u32::try_from(unread).unwrap_or(u32::MAX)) < self.capacity / 2
    }

    /// How many bytes from `rcv_nxt` on we would offer while `unread` bytes wait for the reader.
    pub fn select(&self, rcv_nxt: SeqNum, unread: usize, mss: u32) -> u32 {
        self.wanted(unread, mss).max(self.offered(rcv_nxt))
    }

    /// The last offer's size, bytes.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// What is left of the offer.
    pub fn offered(&self, rcv_nxt: SeqNum) -> u32 {
        if self.edge > rcv_nxt { self.edge - rcv_nxt } else { 0 }
    }

    /// The window field of a segment about to be sent; the offer is binding from here on. An offer that is kept is
    /// rounded up to what the field can express, so that scaling does not pull the edge to the left.
    pub fn offer(&mut self, rcv_nxt: SeqNum, unread: usize, mss: u32) -> u16 {
        let window = self.select(rcv_nxt, unread, mss);
        let field = u16::try_from(window.div_ceil(1 << self.shift)).unwrap_or(u16::MAX);
        self.size = u32::from(field) << self.shift;
        self.edge = self.edge.max(rcv_nxt + self.size);
        field
    }

    /// Everything up to `rcv_nxt` has come, perhaps more than was offered.
    pub fn reach(&mut self, rcv_nxt: SeqNum) {
        self.edge = self.edge.max(rcv_nxt);
    }

    /// Data came up to `rcv_nxt`; `echoed` is the round trip its time stamp tells.
    pub fn on_data(&mut self, rcv_nxt: SeqNum, echoed: Option<Duration>, now: Instant) {
        if let Some(sample) = echoed.filter(|&rtt| rtt >= COARSE) {
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
        let (began, end) = self.round;
        if rcv_nxt >= end {
            // A whole window came: that took at least a round trip.
            let took = now.since(began).max(Duration::from_micros(1));
            self.rtt = Some(self.rtt.map_or(took, |rtt| rtt.min(took)));
            self.round = (now, rcv_nxt + self.offered(rcv_nxt).max(1));
        }
    }

    /// A segment of `len` bytes came, `advertised` being our MSS: the peer is sending, and more is offered to it
    /// (Linux's tcp_grow_window).
    pub fn on_segment(&mut self, len: usize, unread: usize, advertised: u16) {
        if len < SMALL {
            return;
        }
        let room = self.capacity.saturating_sub(u32::try_from(unread).unwrap_or(u32::MAX));
        let growth = (u32::from(advertised) * 2).max(u32::try_from(len).unwrap_or(u32::MAX).saturating_mul(2));
        self.ssthresh = self.ssthresh.max(self.ssthresh.saturating_add(growth).min(room));
    }

    /// Something came out of order, which goes so far ahead: while the gap is repaired, for a round trip at least, as
    /// much again is on its way (Linux's tcp_rcvbuf_grow).
    pub fn on_out_of_order(&mut self, ahead: u32, settings: &Settings) {
        if let BufferSize::Auto { .. } = settings.recv_buffer {
            self.grow_to(2 * u128::from(self.best) + u128::from(ahead), settings);
        }
    }

    fn grow_to(&mut self, wanted: u128, settings: &Settings) {
        self.capacity = self.capacity.max(u32::try_from(wanted).unwrap_or(u32::MAX).min(limit(settings)));
    }

    /// The handshake measured a round trip.
    pub fn on_handshake_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt.max(Duration::from_micros(1)));
    }

    /// The application read `n` bytes. Once a round trip the buffer is made twice as large as what was read in it, and
    /// more when the rate grows, as it does in the peer's slow start; `ahead` is how far goes what came out of order.
    pub fn on_read(&mut self, n: usize, ahead: u32, settings: &Settings, mss: u32, now: Instant) {
        self.copied = self.copied.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        let BufferSize::Auto { .. } = settings.recv_buffer else { return };
        let Some(rtt) = self.rtt else { return };
        if now.since(self.copied_since) < rtt {
            return;
        }
        if self.copied > self.best {
            // A slow round trip of a fast path brings so much that 64 bits are not enough for the product.
            let (copied, best) = (u128::from(self.copied), u128::from(self.best.max(1)));
            let wanted = 2 * copied + 16 * u128::from(mss);
            let wanted = wanted + 2 * wanted * (copied - best) / best + u128::from(ahead);
            self.grow_to(wanted, settings);
            self.best = self.copied;
        }
        self.copied = 0;
        self.copied_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::{Knobs, knobs::Sizes};

    fn window(capacity: usize) -> RecvWindow {
        let settings = Settings { recv_buffer: BufferSize::Fixed(capacity), ..Settings::default() };
        RecvWindow::new(&settings, SeqNum(0), 1000, Instant::ZERO)
    }

    #[test]
    fn the_shift_expresses_the_largest_buffer() {
        let fixed = |size| shift_for(&Settings { recv_buffer: BufferSize::Fixed(size), ..Settings::default() });
        assert_eq!([fixed(65_535), fixed(65_536), fixed(16 << 20), fixed(usize::MAX)], [0, 1, 9, 14]);
        let knob = |most| {
            let knobs = Knobs { rmem: Sizes { least: 4096, first: 131_072, most }, ..Knobs::default() };
            shift_for(&Settings { knobs: knobs.into(), ..Settings::default() })
        };
        assert_eq!([knob(32 << 20), knob(15 << 20), knob(6_291_456), knob(100_000)], [10, 8, 7, 7]);
        let clamped = Settings { window_clamp: 30_000, ..Settings::default() };
        assert_eq!(shift_for(&clamped), 0);
    }

    #[test]
    fn the_first_offer_is_a_whole_number_of_segments() {
        let first = |mss| RecvWindow::new(&Settings::default(), SeqNum(0), mss, Instant::ZERO).syn_field();
        assert_eq!([first(1460), first(1448), first(536), first(8960)], [64_240, 65_160, 65_392, 62_720]);
        assert_eq!(window(100).syn_field(), 100);
        assert_eq!(window(1 << 20).syn_field(), u16::MAX);
    }

    #[test]
    fn the_edge_does_not_move_by_silly_steps_nor_ever_back() {
        let mut window = window(10_000);
        assert_eq!(window.offer(SeqNum(0), 0, 1000), 10_000);
        assert_eq!(window.offer(SeqNum(4000), 4000, 1000), 6000);
        assert_eq!(window.offer(SeqNum(4000), 3001, 1000), 6000);
        assert_eq!(window.offer(SeqNum(4000), 3000, 1000), 7000);
        assert_eq!(window.offer(SeqNum(11_000), 9100, 1000), 0, "less than a segment is as good as nothing");
        let small = Settings { recv_buffer: BufferSize::Fixed(100), ..Settings::default() };
        window.on_settings_changed(&small);
        assert_eq!(window.offer(SeqNum(11_000), 0, 1000), 100);
    }

    #[test]
    fn a_kept_offer_is_rounded_up_when_scaled() {
        let mut window = window(1 << 20);
        window.set_shift(8);
        assert_eq!(u32::from(window.offer(SeqNum(0), 0, 1000)) << 8, 1_048_064_u32.next_multiple_of(256));
        let edge = window.edge();
        window.offer(SeqNum(1), 1, 1000);
        assert!(window.edge() >= edge && window.edge() - edge < 256);
    }

    #[test]
    fn a_window_smaller_than_the_unit_is_not_scaled_away() {
        let mut window = window(600);
        window.set_shift(10);
        assert_eq!(window.offer(SeqNum(0), 0, 1000), 1);
    }

    #[test]
    fn what_comes_lets_more_be_offered() {
        let mut window = RecvWindow::new(&Settings::default(), SeqNum(0), 1460, Instant::ZERO);
        window.set_shift(10);
        window.on_segment(100, 0, 1460);
        assert_eq!(window.ssthresh(), 64_240);
        window.capacity = 100_000;
        window.on_segment(1000, 1000, 1460);
        assert_eq!(window.ssthresh(), 64_240 + 2 * 1460);
        window.on_segment(60_000, 60_000, 1460);
        assert_eq!(window.ssthresh(), 64_240 + 2 * 1460, "what is not read makes no room");
        window.on_segment(60_000, 0, 1460);
        assert_eq!(window.ssthresh(), 100_000);
    }

    #[test]
    fn the_buffer_grows_with_what_is_read_in_a_round_trip() {
        let settings = Settings::default();
        let mut window = RecvWindow::new(&settings, SeqNum(0), 1460, Instant::ZERO);
        window.on_handshake_rtt(Duration::from_millis(10));
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            now += Duration::from_millis(10);
            let all = window.capacity() as usize;
            window.on_read(all, 0, &settings, 1460, now);
        }
        assert_eq!(window.capacity(), 16 << 20);
    }
}
