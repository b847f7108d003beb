//! What an acknowledgement does on the sending side: it releases data, moves the window, measures the round trip,
//! reports losses and lets the congestion window grow (RFC 9293 section 3.10.7.4, RFC 5681, RFC 6298).

use super::{
    Connection,
    accecn::Acked,
    congestion::{AckSample, Controller},
    recovery::{AckNews, Phase},
    send_queue::Released,
};
use crate::{
    cx::Cx,
    ready::Ready,
    time::{Duration, Instant},
    wire::tcp::{Flags, Header},
};

impl Connection {
    /// An acknowledgement that is neither forged nor too old.
    pub(super) fn on_acknowledgement(&mut self, seg: &Header, payload: usize, cx: &mut Cx<'_>) {
        let in_flight = self.pipe();
        let outstanding = self.snd.unacked();
        let window_moved = self.peer.update(seg.seq, seg.ack, seg.window);
        self.on_persist_answered(window_moved);
        if window_moved {
            self.note_silence(true, cx.now);
        }
        self.stats.acked_at = cx.now;
        self.pending.more = false;
        let released = if seg.ack > self.snd.una() { self.snd.on_ack(seg.ack) } else { Released::default() };
        let duplicate = self.on_duplicate_report(&seg.options.sack, seg.ack, cx);
        let sacked = if self.opening.sack { self.on_sack_blocks(&seg.options.sack) } else { Default::default() };
        let rtt = self.measure(seg, &released, sacked.sent_at, cx.now);
        let repeats = released.bytes == 0
            && seg.ack == self.snd.una()
            && outstanding > 0
            && payload == 0
            && !window_moved
            && !seg.flags.contains(Flags::FIN);
        if released.bytes > 0 {
            self.stats.on_acked(u64::from(released.bytes));
            self.rtt.reset_back_off();
            self.on_persist_progress();
            self.recovery.on_progress();
            self.life.soft_error = None;
            self.urgent.on_acked(self.snd.una());
            self.on_acked_for_search(cx);
        }
        let marked = self.on_marks_told(seg, &released, sacked.bytes);
        self.on_ecn_ack(marked > 0 || self.is_echo(seg), outstanding, in_flight, cx);
        let heard = self.on_heard(cx);
        self.on_probe_acknowledged(seg.ack, released.bytes > 0 || sacked.bytes > 0, duplicate, repeats, cx);
        let mut acked = released.unsacked + sacked.bytes;
        if released.bytes > 0 || sacked.bytes > 0 || repeats || duplicate {
            let echo = seg.options.timestamps.filter(|_| self.clock.is_on());
            let Released { bytes: advanced, unsacked, .. } = released;
            let news = AckNews { advanced, unsacked, sacked: sacked.bytes, repeats, duplicate, heard, echo, in_flight };
            acked = self.on_ack_news(&news, cx);
        }
        let delivered = acked.div_ceil(u32::from(self.segment_size()));
        self.stats.delivered = self.stats.delivered.wrapping_add(delivered);
        let marked = if self.is_echo(seg) { delivered } else { marked };
        self.stats.delivered_ce = self.stats.delivered_ce.wrapping_add(marked);
        cx.mib.tcp_delivered_ce += u64::from(marked);
        if outstanding > 0 {
            let app_limited = self.recovery.app_limited;
            let min_rtt = self.rtt.min_rtt();
            let rate = self.snd.rate.take_sample(min_rtt, cx.now);
            let advanced =
                released.bytes > 0 || (sacked.bytes > 0 && self.recovery.rack.reordering > super::sack::DUP_THRESH);
            let unused = !self.window_use.is_used(self.slow_start());
            let marked = self.ecn.accecn.as_ref().map(|_| marked.saturating_mul(u32::from(self.segment_size())));
            let now = cx.now;
            let sample = AckSample { acked, advanced, unused, in_flight, app_limited, marked, rtt, min_rtt, rate, now };
            self.cc.on_ack(&sample);
            if advanced && self.recovery.phase != super::recovery::Phase::Recovery {
                self.window_use.reset(cx.now);
            }
        }
        if released.bytes > 0 && self.snd.is_fin_acked() {
            self.on_fin_acked(cx);
        }
        if released.bytes > 0 || sacked.bytes > 0 {
            self.note_room();
            self.restart_loss_timer(released.bytes > 0, cx.now);
        }
    }

    /// How many marked segments an acknowledgement tells of accurately.
    fn on_marks_told(&mut self, seg: &Header, released: &Released, sacked: u32) -> u32 {
        if self.ecn.accecn.is_none() || seg.ack < self.snd.una() {
            return 0;
        }
        let bytes = released.unsacked + sacked;
        let mss = u32::from(self.segment_size());
        self.on_accecn_feedback(&Acked {
            flags: seg.flags,
            option: seg.options.accecn.as_ref(),
            segments: bytes.div_ceil(mss),
            bytes,
            is_new: released.bytes > 0 || sacked > 0,
            is_exact: self.opening.sack || matches!(self.recovery.phase, Phase::Open | Phase::Cwr),
            mss,
            sent: self.stats.bytes_sent,
        })
    }

    /// Takes a round-trip sample: from segments sent once, else from the echoed time stamp (RFC 6298 section 3, RFC
    /// 7323 section 4).
    fn measure(
        &mut self,
        seg: &Header,
        released: &Released,
        sacked_at: Option<Instant>,
        now: Instant,
    ) -> Option<Duration> {
        let sent_at = if released.bytes > 0 { released.sent_at.or(sacked_at) } else { sacked_at };
        let sample = match sent_at {
            Some(at) => now.since(at),
            None if released.bytes > 0 && released.retransmitted => {
                self.clock.echoed(seg.options.timestamps, now)?.max(Duration::from_millis(1))
            }
            None => return None,
        };
        self.rtt.on_sample(sample, now);
        Some(sample)
    }

    /// There may be room for the application's data again.
    pub(super) fn note_room(&mut self) {
        if self.is_full && self.is_writable() {
            self.is_full = false;
            self.events |= Ready::OUT | Ready::WRNORM;
        }
    }
}
