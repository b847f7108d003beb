//! Packetization-layer path MTU discovery (RFC 4821): finding what a path takes by sending larger segments, without
//! ICMP; and getting on where large segments vanish without a word. Conditions, sizes and the treatment of a lost probe
//! are Linux's (tcp_mtu_probe).

use super::{
    Connection, mss,
    recovery::{Phase, undo::Undo},
    rtt::RTO_MIN,
    user_timeout,
};
use crate::{
    cx::Cx,
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// The least congestion window, in segments, that leaves enough behind a probe to find it lost (RFC 4821 section 7.4).
const LEAST_WINDOW: u32 = 11;
/// Retransmissions after which a path is suspected to swallow what is large (tcp_retries1).
const SUSPICIOUS: u32 = 3;
/// `tcp_mtu_probing`: once a path is suspected.
const SUSPECTED: u32 = 1;
/// `tcp_mtu_probing`: from the beginning.
const ALWAYS: u32 = 2;

/// A probe that is out.
#[derive(Copy, Clone, Debug)]
struct Probe {
    start: SeqNum,
    end: SeqNum,
    /// Its IP packet, bytes.
    size: u32,
}

/// The search for the largest IP packet the path takes (RFC 4821 section 7.2). Sizes are those of IP packets.
#[derive(Clone, Debug)]
pub(super) struct Search {
    /// What gets through.
    low: u32,
    /// What the peer and the first hop take, or less than what was lost.
    high: u32,
    /// Segments are no larger than `low`. As in Linux those of an accepted connection are, until something changes.
    is_binding: bool,
    probe: Option<Probe>,
    /// When the search began, or began anew.
    since: Instant,
}

impl Search {
    /// The size in the middle of what is not known yet.
    const fn middle(&self) -> u32 {
        self.low.midpoint(self.high)
    }

    /// Whether what gets through and what does not are close enough together.
    fn is_over(&self, threshold: u32) -> bool {
        self.high < self.middle() || self.high.saturating_sub(self.low) < threshold.max(1)
    }
}

/// Whether to send a probe.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not now: send as usual.
    No,
    /// All is there but room: wait for an acknowledgement.
    Wait,
    /// Send so many bytes in one segment.
    Send(u32),
}

impl Connection {
    /// The connection is established: a search begins, if all connections search.
    pub(super) fn on_established_for_search(&mut self, is_passive: bool, now: Instant) {
        if self.settings.knobs.mtu_probing == ALWAYS {
            self.begin_search(!is_passive, now);
        }
    }

    fn begin_search(&mut self, is_binding: bool, now: Instant) {
        let low = self.packet_of(self.settings.knobs.base_mss);
        let high = mss::to_mtu(self.peer_mss.into(), self.flow.remote.addr).min(self.path.mtu);
        self.search = Some(Box::new(Search { low, high, is_binding, probe: None, since: now }));
        self.on_segment_size_changed();
    }

    /// The IP packet that has a payload of `mss` bytes.
    fn packet_of(&self, mss: u32) -> u32 {
        mss::to_mtu(mss.saturating_add(self.options_len()), self.flow.remote.addr)
    }

    /// The payload of an IP packet of `mtu` bytes.
    fn payload_of(&self, mtu: u32) -> u32 {
        let least = self.settings.knobs.min_snd_mss;
        let segment = u32::from(mss::within_mtu(mtu, self.flow.remote.addr).min(self.peer_mss)).max(least);
        segment.saturating_sub(self.options_len())
    }

    /// The largest segment the search lets us send, options included in it.
    pub(super) fn searched_limit(&self) -> u16 {
        match &self.search {
            Some(search) if search.is_binding => {
                let least = u16::try_from(self.settings.knobs.min_snd_mss).unwrap_or(u16::MAX);
                mss::within_mtu(search.low, self.flow.remote.addr).max(least)
            }
            _ => u16::MAX,
        }
    }

    /// What is known of the path has changed: the search stays within it.
    pub(super) fn on_path_changed_for_search(&mut self) {
        if let Some(search) = &mut self.search {
            search.high = search.high.min(self.path.mtu);
            search.is_binding = true;
        }
    }

    /// Whether new data is to leave in a probe, while segments have `segment` bytes.
    pub(super) fn judge_mtu_probe(&mut self, segment: u32, now: Instant) -> Verdict {
        let Some(search) = &self.search else { return Verdict::No };
        let window = self.window_now();
        // SACK blocks would make the headers longer than those of other segments.
        let reports = self.rcv.out_of_order() > 0 || self.acks.duplicate.is_some();
        if search.probe.is_some() || self.recovery.phase != Phase::Open || window < LEAST_WINDOW * segment || reports {
            return Verdict::No;
        }
        if search.is_over(self.settings.knobs.probe_threshold) {
            self.search_again(segment, now);
            return Verdict::No;
        }
        // This segment may have options that not all have, such as Accurate ECN's.
        let beside = u32::from(self.segment_limit()).saturating_sub(segment).saturating_sub(self.options_len());
        let size = self.payload_of(search.middle()).saturating_sub(beside);
        // Behind a probe there must be enough to find it lost by (RFC 4821 section 7.4).
        let needed = size.saturating_add((self.recovery.rack.reordering + 1).saturating_mul(segment));
        if self.snd.unsent_data() < needed || self.peer.size() < needed {
            return Verdict::No;
        }
        if self.peer.usable(self.snd.una(), self.snd.nxt()) < needed {
            return Verdict::Wait;
        }
        match self.pipe() {
            in_flight if in_flight + 2 * segment <= window => Verdict::Send(size),
            0 => Verdict::No,
            _ => Verdict::Wait,
        }
    }

    /// The path may have become wider: after a time the search begins anew (RFC 4821 section 7.2).
    fn search_again(&mut self, segment: u32, now: Instant) {
        let interval = Duration::from_secs(self.settings.knobs.probe_interval.into());
        let low = self.packet_of(segment);
        let high = mss::to_mtu(self.peer_mss.into(), self.flow.remote.addr).min(self.path.mtu);
        if let Some(search) = &mut self.search
            && now.since(search.since) >= interval
        {
            **search = Search { low, high, since: now, probe: None, ..**search };
        }
    }

    /// A probe left with `len` bytes from `start` on, behind so many bytes of options.
    pub(super) fn on_mtu_probe_sent(&mut self, start: SeqNum, len: u32, options: u32) {
        let size = mss::to_mtu(len.saturating_add(options), self.flow.remote.addr);
        if let Some(search) = &mut self.search {
            search.probe = Some(Probe { start, end: start + len, size });
        }
    }

    /// Something was sent again: what becomes of a probe says nothing any more.
    pub(super) fn forget_mtu_probe(&mut self) {
        if let Some(search) = &mut self.search {
            search.probe = None;
        }
    }

    /// New data was acknowledged. If the probe is, the path takes segments as large (RFC 4821 section 7.6.1).
    pub(super) fn on_acked_for_search(&mut self, cx: &mut Cx<'_>) {
        let una = self.snd.una();
        if let Some(search) = &mut self.search
            && let Some(probe) = search.probe.take_if(|probe| probe.end <= una)
        {
            search.low = probe.size;
            search.is_binding = true;
            cx.mib.tcp_mtup_success += 1;
            self.on_segment_size_changed();
        }
    }

    /// The first segment out is lost. If it is the probe, that is no sign of congestion: it is sent again in smaller
    /// segments (RFC 4821 section 7.6.2). Says whether it was.
    pub(super) fn is_lost_mtu_probe(&mut self, cx: &mut Cx<'_>) -> bool {
        let una = self.snd.una();
        let is_quiet = matches!(self.recovery.phase, Phase::Open | Phase::Disorder);
        let Some(search) = self.search.as_mut().filter(|_| is_quiet) else { return false };
        let Some(probe) = search.probe.take_if(|probe| probe.start == una) else { return false };
        search.high = probe.size - 1;
        cx.mib.tcp_mtup_fail += 1;
        self.snd.mark_first_lost(probe.end - probe.start);
        self.retransmit_simply();
        true
    }

    /// What is marked lost is sent again without a change of the window: less fits into a segment, not into the network
    /// (Linux's tcp_simple_retransmit; RFC 1191 section 6.5).
    pub(super) fn retransmit_simply(&mut self) {
        if self.snd.lost() == 0 {
            return;
        }
        self.recovery.retransmit_now = true;
        if self.recovery.phase != Phase::Loss {
            self.recovery.phase = Phase::Loss;
            self.recovery.recover = self.snd.nxt();
            self.recovery.departed = 0;
            self.recovery.undo = Undo::default();
            self.recovery.frto.stop();
            self.recovery.tlp.stop();
        }
    }

    /// The retransmission timer ran out. After several times large segments are suspected to vanish on the way: the
    /// search begins, or goes further down (RFC 4821 section 7.7).
    pub(super) fn suspect_black_hole(&mut self, now: Instant) {
        let knobs = self.settings.knobs.clone();
        let first_wait = self.rtt.rto() / (1 << self.rtt.back_offs().min(16));
        let again_for = self.recovery.stalled_since.map(|since| now.since(since + first_wait));
        let suspected = again_for.is_some_and(|time| time >= user_timeout::patience(RTO_MIN, SUSPICIOUS));
        if knobs.mtu_probing < SUSPECTED || self.recovery.timeouts == 0 || !suspected {
            return;
        }
        let half = self.search.as_ref().map(|search| self.payload_of(search.low) / 2);
        let lower =
            half.map(|half| self.packet_of(half.min(knobs.base_mss).max(knobs.mtu_probe_floor).max(knobs.min_snd_mss)));
        match (&mut self.search, lower) {
            (Some(search), Some(lower)) => {
                search.low = lower;
                search.is_binding = true;
                self.on_segment_size_changed();
            }
            _ => self.begin_search(true, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(low: u32, high: u32) -> Search {
        Search { low, high, is_binding: true, probe: None, since: Instant::ZERO }
    }

    #[test]
    fn the_search_halves_what_is_not_known() {
        assert_eq!(search(552, 1500).middle(), 1026);
        assert!(!search(1492, 1500).is_over(8));
        assert!(search(1493, 1500).is_over(8));
        assert!(search(1500, 1500).is_over(0), "there is nothing to be found");
        assert!(search(1600, 1500).is_over(8), "nor where the path has become narrower");
    }
}
