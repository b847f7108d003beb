//! The receive window: how much we offer, and how the offer grows with what the application reads (RFC 9293 section
//! 3.8.6; silly-window avoidance of section 3.8.6.2.2; scaling of RFC 7323 section 2; growth by Dynamic Right-Sizing,
//! as in Linux).

use super::settings::{BufferSize, Settings};
use crate::{
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// What an autotuned receive buffer starts with: the largest window that needs no scaling.
const START: u32 = 65_535;
/// The largest shift count (RFC 7323 section 2.3).
pub const MAX_SHIFT: u8 = 14;
/// Time stamps tick in milliseconds: a round trip measured by them is worth something from here on.
const COARSE: Duration = Duration::from_millis(2);

/// The window we offer.
#[derive(Debug)]
pub struct RecvWindow {
    /// Bytes we are ready to hold at present.
    capacity: u32,
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

/// The most an application's receive buffer may become, bytes.
fn limit(settings: &Settings) -> u32 {
    let bytes = match settings.recv_buffer {
        BufferSize::Auto { max } => max,
        BufferSize::Fixed(size) => size,
    };
    let most = u32::from(u16::MAX) << MAX_SHIFT;
    let clamp = if settings.window_clamp == 0 { most } else { settings.window_clamp };
    u32::try_from(bytes).unwrap_or(most).min(most).min(clamp).max(1)
}

/// The shift count a SYN offers: the smallest that can express the largest buffer (RFC 7323 section 2.3).
pub fn shift_for(settings: &Settings) -> u8 {
    let limit = limit(settings);
    (0..MAX_SHIFT).find(|shift| limit >> shift <= u32::from(u16::MAX)).unwrap_or(MAX_SHIFT)
}

impl RecvWindow {
    /// A window for a connection that begins at `rcv_nxt`; nothing is offered yet.
    pub fn new(settings: &Settings, rcv_nxt: SeqNum, now: Instant) -> Self {
        let capacity = match settings.recv_buffer {
            BufferSize::Auto { .. } => limit(settings).min(START),
            BufferSize::Fixed(_) => limit(settings),
        };
        Self {
            capacity,
            edge: rcv_nxt,
            shift: 0,
            rtt: None,
            round: (now, rcv_nxt),
            copied: 0,
            copied_since: now,
            best: capacity / 4,
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

    /// The application set its buffer size: growth takes effect, an offer once made stands.
    pub fn on_settings_changed(&mut self, settings: &Settings) {
        self.capacity = match settings.recv_buffer {
            BufferSize::Auto { .. } => self.capacity.min(limit(settings)),
            BufferSize::Fixed(_) => limit(settings),
        };
    }

    /// The window field of a SYN, which is never scaled (RFC 7323 section 2.2).
    pub fn syn_field(&self) -> u16 {
        u16::try_from(self.capacity).unwrap_or(u16::MAX)
    }

    /// How many bytes from `rcv_nxt` on we would offer while `unread` bytes wait for the reader.
    ///
    /// The edge moves only by a segment or half the buffer at once (RFC 9293 section 3.8.6.2.2).
    pub fn select(&self, rcv_nxt: SeqNum, unread: usize, mss: u32) -> u32 {
        let offered = self.offered(rcv_nxt);
        // A buffer that the field cannot express would stay closed for ever.
        let free = self.capacity.max(1 << self.shift).saturating_sub(u32::try_from(unread).unwrap_or(u32::MAX));
        let free = free.min(u32::from(u16::MAX) << self.shift) >> self.shift << self.shift;
        if free >= offered.saturating_add(mss.min(self.capacity / 2)) { free } else { offered }
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
        self.edge = self.edge.max(rcv_nxt + (u32::from(field) << self.shift));
        field
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

    /// The handshake measured a round trip.
    pub fn on_handshake_rtt(&mut self, rtt: Duration) {
        self.rtt = Some(rtt.max(Duration::from_micros(1)));
    }

    /// The application read `n` bytes. Once a round trip the buffer is made twice as large as what was read in it, and
    /// more when the rate grows, as it does in the peer's slow start.
    pub fn on_read(&mut self, n: usize, settings: &Settings, mss: u32, now: Instant) {
        self.copied = self.copied.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        let BufferSize::Auto { .. } = settings.recv_buffer else { return };
        let Some(rtt) = self.rtt else { return };
        if now.since(self.copied_since) < rtt {
            return;
        }
        if self.copied > self.best {
            let (copied, best) = (u64::from(self.copied), u64::from(self.best.max(1)));
            let wanted = 2 * copied + 16 * u64::from(mss);
            let wanted = wanted + 2 * wanted * (copied - best) / best;
            self.capacity = self.capacity.max(u32::try_from(wanted).unwrap_or(u32::MAX).min(limit(settings)));
            self.best = self.copied;
        }
        self.copied = 0;
        self.copied_since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(capacity: usize) -> RecvWindow {
        let settings = Settings { recv_buffer: BufferSize::Fixed(capacity), ..Settings::default() };
        RecvWindow::new(&settings, SeqNum(0), Instant::ZERO)
    }

    #[test]
    fn the_shift_expresses_the_largest_buffer() {
        let shift = |max| shift_for(&Settings { recv_buffer: BufferSize::Auto { max }, ..Settings::default() });
        assert_eq!([shift(65_535), shift(65_536), shift(16 << 20), shift(usize::MAX)], [0, 1, 9, 14]);
    }

    #[test]
    fn the_edge_does_not_move_by_silly_steps_nor_ever_back() {
        let mut window = window(10_000);
        assert_eq!(window.offer(SeqNum(0), 0, 1000), 10_000);
        assert_eq!(window.offer(SeqNum(4000), 4000, 1000), 6000);
        assert_eq!(window.offer(SeqNum(4000), 3001, 1000), 6000);
        assert_eq!(window.offer(SeqNum(4000), 3000, 1000), 7000);
        let small = Settings { recv_buffer: BufferSize::Fixed(100), ..Settings::default() };
        window.on_settings_changed(&small);
        assert_eq!(window.offer(SeqNum(4000), 3000, 1000), 7000);
        assert_eq!(window.offer(SeqNum(11_000), 0, 1000), 100);
    }

    #[test]
    fn a_kept_offer_is_rounded_up_when_scaled() {
        let mut window = window(1 << 20);
        window.set_shift(8);
        assert_eq!(u32::from(window.offer(SeqNum(0), 0, 1000)) << 8, 1 << 20);
        let edge = window.edge();
        window.offer(SeqNum(1), 1, 1000);
        assert!(window.edge() >= edge && window.edge() - edge < 256);
    }

    #[test]
    fn the_buffer_grows_with_what_is_read_in_a_round_trip() {
        let settings = Settings::default();
        let mut window = RecvWindow::new(&settings, SeqNum(0), Instant::ZERO);
        window.on_handshake_rtt(Duration::from_millis(10));
        let mut now = Instant::ZERO;
        for _ in 0..20 {
            now += Duration::from_millis(10);
            let all = window.capacity() as usize;
            window.on_read(all, &settings, 1460, now);
        }
        assert_eq!(window.capacity(), 16 << 20);
    }
}
