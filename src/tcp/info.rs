//! TCP_INFO: what a connection tells of itself, in the layout of Linux's `struct tcp_info`.

use super::{
    Connection, State,
    congestion::{AnyController, Controller, bbr::BbrInfo},
    ecn::{Mode, codepoint},
    timer::Timer,
};
use crate::{
    buf::Packet,
    time::{Duration, Instant},
};

/// Linux's `struct tcp_info` (include/uapi/linux/tcp.h, 6.18, the last word as 7.0 has it); times are microseconds, or
/// milliseconds where the name begins with `last`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
#[allow(missing_docs)]
pub struct Info {
    pub state: u8,
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    pub options: u8,
    /// The peer's shift count in the low four bits, ours in the high four.
    pub wscale: u8,
    /// Bit 0: delivery rate application-limited; bits 1 and 2: fast open's failure.
    pub flags: u8,
    pub rto: u32,
    pub ato: u32,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub fackets: u32,
    pub last_data_sent: u32,
    pub last_ack_sent: u32,
    pub last_data_recv: u32,
    pub last_ack_recv: u32,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    pub rtt: u32,
    pub rttvar: u32,
    pub snd_ssthresh: u32,
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: u32,
    pub rcv_space: u32,
    pub total_retrans: u32,
    pub pacing_rate: u64,
    pub max_pacing_rate: u64,
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    pub min_rtt: u32,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    pub delivery_rate: u64,
    pub busy_time: u64,
    pub rwnd_limited: u64,
    pub sndbuf_limited: u64,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub rehash: u32,
    pub total_rto: u16,
    pub total_rto_recoveries: u16,
    pub total_rto_time: u32,
    pub received_ce: u32,
    pub delivered_e1_bytes: u32,
    pub delivered_e0_bytes: u32,
    pub delivered_ce_bytes: u32,
    pub received_e1_bytes: u32,
    pub received_e0_bytes: u32,
    pub received_ce_bytes: u32,
    /// From the lowest bit on `ecn_mode` (2 bits), `accecn_opt_seen` (2), `accecn_fail_mode` (4), `options2` (24).
    pub ecn: u32,
}

/// tcpi_options.
const OPT_TIMESTAMPS: u8 = 1;
const OPT_SACK: u8 = 2;
const OPT_WSCALE: u8 = 4;
const OPT_ECN: u8 = 8;
const OPT_ECN_SEEN: u8 = 16;
const OPT_SYN_DATA: u8 = 32;
const OPT_TFO_CHILD: u8 = 128;

/// What is counted for one connection.
#[derive(Debug, Default)]
pub(super) struct Stats {
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub bytes_retransmitted: u64,
    pub segs_in: u32,
    pub segs_out: u32,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    pub retransmitted_segs: u32,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub out_of_order: u32,
    pub dsack_dups: u32,
    pub timeouts: u16,
    pub timeout_recoveries: u16,
    /// Milliseconds of the rows of time-outs that are over.
    timeout_time: u32,
    /// When the present row of time-outs began; time zero if there is none.
    timing_out_since: Instant,
    pub data_sent_at: Instant,
    pub data_received_at: Instant,
    pub acked_at: Instant,
}

impl Stats {
    /// Nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { data_sent_at: now, data_received_at: now, acked_at: now, ..Self::default() }
    }

    /// The connection is established.
    pub fn on_established(&mut self, is_passive: bool, now: Instant) {
        self.data_received_at = now;
        self.acked_at = now;
        // The SYN counts (RFC 4898 calls it an octet; Linux counts it delivered). Of a connection that is accepted
        // Linux counts from the acknowledgement of its SYN-ACK on.
        self.delivered = self.delivered.wrapping_add(1);
        self.bytes_acked += u64::from(!is_passive);
    }

    /// A SYN came to a listener; what answers it is not counted (as Linux).
    pub fn on_syn(&mut self) {
        self.segs_in = 1;
    }

    /// A segment, or several in one packet, came in.
    pub fn on_segment_in(&mut self, payload: &Packet) {
        let size = usize::from(payload.meta.gso_size);
        let count = if size == 0 { 1 } else { payload.len().div_ceil(size).max(1) } as u32;
        self.segs_in = self.segs_in.wrapping_add(count);
        if !payload.is_empty() {
            self.data_segs_in = self.data_segs_in.wrapping_add(count);
        }
    }

    /// New bytes came in order.
    pub fn on_received(&mut self, bytes: u32, now: Instant) {
        self.bytes_received += u64::from(bytes);
        self.data_received_at = now;
    }

    /// Bytes of ours were acknowledged.
    pub fn on_acked(&mut self, bytes: u64) {
        self.bytes_acked += bytes;
    }

    /// Data left, again or for the first time.
    pub fn on_data_sent(&mut self, segments: u32, bytes: u32, now: Instant) {
        if bytes > 0 {
            self.data_segs_out = self.data_segs_out.wrapping_add(segments);
            self.bytes_sent += u64::from(bytes);
            self.data_sent_at = now;
        }
    }

    /// How long ago data left last, if ever.
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        (self.data_segs_out > 0).then(|| now.since(self.data_sent_at))
    }

    /// It left again.
    pub fn on_retransmitted(&mut self, segments: u32, bytes: u32) {
        self.retransmitted_segs = self.retransmitted_segs.wrapping_add(segments);
        self.bytes_retransmitted += u64::from(bytes);
    }

    /// The retransmission timer ran out; `first` of a row of time-outs.
    pub fn on_timeout(&mut self, first: bool, now: Instant) {
        self.timeouts = self.timeouts.saturating_add(1);
        if first {
            self.timeout_recoveries = self.timeout_recoveries.saturating_add(1);
            self.timing_out_since = now;
        }
    }

    /// What had timed out is made up for.
    pub fn on_timeouts_over(&mut self, now: Instant) {
        self.timeout_time = self.total_timeout_time(now);
        self.timing_out_since = Instant::ZERO;
    }

    /// Milliseconds of all rows of time-outs.
    fn total_timeout_time(&self, now: Instant) -> u32 {
        let present = if self.timing_out_since == Instant::ZERO { 0 } else { millis_since(self.timing_out_since, now) };
        self.timeout_time.saturating_add(present)
    }
}

/// Microseconds, saturated.
fn micros(d: Duration) -> u32 {
    u32::try_from(d.as_micros()).unwrap_or(u32::MAX)
}

/// Milliseconds since `at`, saturated.
fn millis_since(at: Instant, now: Instant) -> u32 {
    u32::try_from(now.since(at).as_millis()).unwrap_or(u32::MAX)
}

impl Connection {
    /// What TCP_CC_INFO tells; `None` if the algorithm tells nothing of itself.
    pub fn congestion_info(&self) -> Option<BbrInfo> {
        match &self.cc {
            AnyController::Bbr(bbr) => Some(bbr.info()),
            AnyController::Bbr1(bbr) => Some(bbr.info()),
            _ => None,
        }
    }

    /// The TCP_INFO of this connection, in Linux's layout (`struct tcp_info`).
    pub fn info(&self, now: Instant) -> Info {
        let mut info = Info::default();
        self.fill_state(&mut info);
        self.fill_sending(&mut info);
        self.fill_receiving(&mut info);
        self.fill_times(&mut info, now);
        self.fill_counts(&mut info);
        info
    }

    /// How often the same was sent again for want of an answer.
    pub fn timeouts_in_a_row(&self) -> u32 {
        match self.state {
            State::SynSent | State::SynReceived => self.opening.retries,
            _ => self.recovery.timeouts,
        }
    }

    fn fill_state(&self, info: &mut Info) {
        // For the application a connection in TIME-WAIT is closed, as in Linux.
        let state = if self.state == State::TimeWait { State::Closed } else { self.state };
        info.state = state as u8;
        info.ca_state = self.recovery.phase as u8;
        info.retransmits = self.timeouts_in_a_row().min(255) as u8;
        info.probes = self.persist.unanswered.max(self.keepalive.probes).min(255) as u8;
        let backoff =
            if self.timers.is_set(Timer::Persist) { u32::from(self.persist.probes) } else { self.rtt.back_offs() };
        info.backoff = backoff.min(255) as u8;
        let ecn = self.ecn.mode(self.state != State::SynSent);
        info.ecn = ecn as u32;
        if self.state != State::SynSent {
            info.options |= if self.clock.is_on() { OPT_TIMESTAMPS } else { 0 };
            info.options |= if self.opening.sack { OPT_SACK } else { 0 };
            info.options |= if matches!(ecn, Mode::Classic | Mode::Accurate) { OPT_ECN } else { 0 };
            info.options |= if self.ecn.is_seen() { OPT_ECN_SEEN } else { 0 };
            if self.opening.scale {
                info.options |= OPT_WSCALE;
                info.wscale = self.peer.shift() | self.window.shift() << 4;
            }
        }
        let (syn_data, failure) = self.fast_result();
        info.options |= if syn_data { OPT_SYN_DATA } else { 0 };
        info.options |= if self.is_fast_child() { OPT_TFO_CHILD } else { 0 };
        info.flags = u8::from(self.snd.rate.is_reported_app_limited()) | (failure as u8) << 1;
        info.delivery_rate = self.snd.rate.reported_rate();
    }

    fn fill_sending(&self, info: &mut Info) {
        let mss = u32::from(self.segment_size());
        let segments = |bytes: u32| bytes.div_ceil(mss);
        info.snd_mss = u32::from(self.mss());
        info.unacked = segments(self.snd.unacked());
        info.sacked = segments(self.snd.sacked().max(self.recovery.departed));
        info.lost = segments(self.snd.lost() + self.snd.resent());
        info.retrans = segments(self.snd.resent());
        info.pmtu = self.path.mtu;
        let ssthresh = self.cc.ssthresh();
        info.snd_ssthresh = if ssthresh == u32::MAX { 0x7fff_ffff } else { ssthresh / mss };
        info.snd_cwnd = (self.window_now() / mss).max(1);
        info.reordering = self.recovery.rack.reordering;
        info.reord_seen = self.recovery.rack.reord_seen;
        info.dsack_dups = self.stats.dsack_dups;
        info.pacing_rate = self.pacing_rate();
        info.max_pacing_rate = self.settings.max_pacing_rate;
        info.notsent_bytes = self.snd.unsent();
        info.snd_wnd = self.peer.size();
    }

    fn fill_receiving(&self, info: &mut Info) {
        info.rcv_mss = u32::from(self.acks.rcv_mss());
        info.advmss = self.advertised_mss().into();
        info.rcv_ssthresh = self.window.ssthresh();
        info.rcv_rtt = self.window.rtt().map_or(0, micros);
        info.rcv_space = self.window.space();
        info.rcv_wnd = self.window.size();
        info.rcv_ooopack = self.stats.out_of_order;
    }

    fn fill_times(&self, info: &mut Info, now: Instant) {
        info.rto = micros(self.rtt.rto());
        info.ato = micros(self.acks.ato());
        info.rtt = self.rtt.srtt().map_or(0, micros);
        info.rttvar = micros(self.rtt.rttvar());
        info.min_rtt = self.rtt.min_rtt().map_or(u32::MAX, micros);
        let [busy, window, buffer] = self.limited.times(now).map(|time| time.as_micros() as u64);
        (info.busy_time, info.rwnd_limited, info.sndbuf_limited) = (busy, window, buffer);
        info.total_rto_time = self.stats.total_timeout_time(now);
        info.last_data_sent = millis_since(self.stats.data_sent_at, now);
        info.last_data_recv = millis_since(self.stats.data_received_at, now);
        info.last_ack_recv = millis_since(self.stats.acked_at, now);
    }

    fn fill_counts(&self, info: &mut Info) {
        let stats = &self.stats;
        info.total_retrans = stats.retransmitted_segs;
        info.bytes_acked = stats.bytes_acked;
        info.bytes_received = stats.bytes_received;
        info.segs_out = stats.segs_out;
        info.segs_in = stats.segs_in;
        info.data_segs_in = stats.data_segs_in;
        info.data_segs_out = stats.data_segs_out;
        info.delivered = stats.delivered;
        info.delivered_ce = stats.delivered_ce;
        info.bytes_sent = stats.bytes_sent;
        info.bytes_retrans = stats.bytes_retransmitted;
        info.total_rto = stats.timeouts;
        // Linux chooses another path (a hash for those on the way that choose by it) after each.
        info.rehash = stats.timeouts.into();
        info.total_rto_recoveries = stats.timeout_recoveries;
        if let Some(accecn) = &self.ecn.accecn {
            info.received_ce = accecn.received_ce;
            let fields = [codepoint::ECT_1, codepoint::ECT_0, codepoint::CE];
            [info.delivered_e1_bytes, info.delivered_e0_bytes, info.delivered_ce_bytes] =
                fields.map(|field| accecn.delivered.of(field));
            [info.received_e1_bytes, info.received_e0_bytes, info.received_ce_bytes] =
                fields.map(|field| accecn.received.of(field));
            info.ecn |= (accecn.seen as u32) << 2 | u32::from(accecn.failed) << 4;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_layout_is_that_of_linux() {
        assert_eq!(offset_of!(Info, wscale), 6);
        assert_eq!(offset_of!(Info, rto), 8);
        assert_eq!(offset_of!(Info, last_data_sent), 44);
        assert_eq!(offset_of!(Info, rtt), 68);
        assert_eq!(offset_of!(Info, total_retrans), 100);
        assert_eq!(offset_of!(Info, pacing_rate), 104);
        assert_eq!(offset_of!(Info, delivery_rate), 160);
        assert_eq!(offset_of!(Info, bytes_sent), 200);
        assert_eq!(offset_of!(Info, rcv_wnd), 232);
        assert_eq!(offset_of!(Info, total_rto_time), 244);
        assert_eq!(offset_of!(Info, received_ce), 248);
        assert_eq!(offset_of!(Info, ecn), 276);
        assert_eq!(size_of::<Info>(), 280);
    }
}
