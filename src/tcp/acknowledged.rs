//! What an acknowledgement does on the sending side: it releases data, moves the window, measures the round trip,
//! reports losses and lets the congestion window grow (RFC 9293 section 3.10.7.4, RFC 5681, RFC 6298).

use super::{
    Connection,
    congestion::{AckSample, Controller},
    recovery::AckNews,
    send_queue::Released,
    timer::Timer,
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
        self.stats.acked_at = cx.now;
        let released = if seg.ack > self.snd.una() { self.snd.on_ack(seg.ack) } else { Released::default() };
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
            self.recovery.on_progress();
            self.life.soft_error = None;
            self.urgent.on_acked(self.snd.una());
        }
        self.on_ecn_ack(seg, outstanding, in_flight, cx);
        if released.bytes > 0 || sacked.bytes > 0 || repeats {
            self.detect_undo(seg, &released, cx);
            let news = AckNews { advanced: released.bytes, sacked: sacked.bytes, repeats, in_flight };
            self.on_ack_news(&news, cx);
        }
        let acked = released.unsacked + sacked.bytes;
        let delivered = acked.div_ceil(u32::from(self.mss()));
        self.stats.delivered = self.stats.delivered.wrapping_add(delivered);
        if self.is_echo(seg) {
            self.stats.delivered_ce = self.stats.delivered_ce.wrapping_add(delivered);
            cx.mib.tcp_delivered_ce += u64::from(delivered);
        }
        // Reports of disorder do not make the window grow; what they told counts when data is acknowledged (as Linux).
        if released.bytes > 0 {
            let app_limited = self.recovery.app_limited;
            let min_rtt = self.rtt.min_rtt();
            self.cc.on_ack(&AckSample { acked, in_flight, app_limited, rtt, min_rtt, now: cx.now });
            self.restart_retransmit_timer(cx.now);
            self.note_room();
            if self.snd.is_fin_acked() {
                self.on_fin_acked(cx);
            }
        }
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

    /// The retransmission timer runs while something is outstanding, and anew after each acknowledgement of new data
    /// (RFC 6298 section 5, rules 5.2 and 5.3).
    pub(super) fn restart_retransmit_timer(&mut self, now: Instant) {
        if self.snd.unacked() == 0 {
            self.timers.stop(Timer::Retransmit);
        } else {
            self.timers.set(Timer::Retransmit, now + self.clamped_to_user_timeout(self.rtt.rto(), now));
        }
    }

    /// There may be room for the application's data again.
    pub(super) fn note_room(&mut self) {
        if self.is_full && self.is_writable() {
            self.is_full = false;
            self.events |= Ready::OUT | Ready::WRNORM;
        }
    }
}
