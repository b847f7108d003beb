//! Fast retransmit and fast recovery (RFC 5681 section 3.2, RFC 6675 section 5): what each acknowledgement makes of the
//! phase recovery is in.

use super::{
    AckNews, Phase,
    frto::Verdict,
    prr::{Prr, Step},
    undo::Undo,
};
use crate::{
    cx::Cx,
    tcp::{Connection, congestion::Controller, send_queue::by_time::Heard},
};

impl Connection {
    /// What is in the network, bytes (RFC 6675 section 3).
    pub(in crate::tcp) fn pipe(&self) -> u32 {
        self.snd.pipe().saturating_sub(self.recovery.departed)
    }

    /// What may be in the network now, bytes: the congestion window, which fast recovery and the answer to a mark
    /// approach step by step (RFC 9937; Linux's tcp_cwnd_reduction does both).
    pub(in crate::tcp) fn window_now(&self) -> u32 {
        match self.recovery.phase {
            Phase::Recovery if self.cc.is_reduced_in_proportion() => self.recovery.prr.window(),
            // As Linux: the window shrinks for marks as it does for losses (RFC 9937 section 1).
            Phase::Cwr if self.is_marked_down_in_proportion() => self.recovery.prr.window(),
            _ => self.cc.window(),
        }
    }

    /// Whether the window shrinks in proportion when marks are told: not where the algorithm has no threshold to shrink
    /// to.
    fn is_marked_down_in_proportion(&self) -> bool {
        self.cc.is_reduced_in_proportion() && self.cc.ssthresh() != u32::MAX
    }

    /// Takes what an acknowledgement told to be delivered.
    pub(in crate::tcp) fn on_heard(&mut self, cx: &mut Cx<'_>) -> Heard {
        let heard = std::mem::take(&mut self.snd.heard);
        if self.opening.sack {
            let (mss, seen) = (u32::from(self.segment_size()), self.recovery.rack.reord_seen);
            self.recovery.rack.on_heard(&heard, mss, self.rtt.min_rtt(), cx.now);
            cx.mib.tcp_sack_reorder += u64::from(self.recovery.rack.reord_seen - seen);
        }
        heard
    }

    /// An acknowledgement came with news; returns the bytes it tells to be delivered.
    pub(in crate::tcp) fn on_ack_news(&mut self, news: &AckNews, cx: &mut Cx<'_>) -> u32 {
        let departed = self.count_departures(news);
        if news.advanced > 0 {
            self.recovery.dup_acks = 0;
        } else if if self.opening.sack { news.sacked > 0 } else { news.repeats } {
            // Where SACK is there, an acknowledgement without a block tells of nothing.
            self.recovery.dup_acks += 1;
        }
        let delivered = if self.opening.sack { news.unsacked + news.sacked } else { departed };
        if self.suspects_reneging(news, cx.now) {
            return delivered;
        }
        match self.recovery.phase {
            Phase::Recovery => self.on_ack_in_recovery(news, delivered, cx),
            Phase::Loss => self.on_ack_in_loss(news, delivered, cx),
            _ => self.on_ack_in_order(news, delivered, cx),
        }
        delivered
    }

    /// Nothing is being repaired.
    fn on_ack_in_order(&mut self, news: &AckNews, delivered: u32, cx: &mut Cx<'_>) {
        if news.duplicate {
            self.undo_by_duplicates(cx);
        }
        let suspicious = self.snd.sacked() > 0 || self.snd.resent() > 0;
        let lost = if self.opening.sack { suspicious && self.detect(cx) > 0 } else { self.lost_first() };
        if lost && self.is_lost_mtu_probe(cx) {
            return;
        }
        if lost {
            self.enter_recovery(news.in_flight, cx);
            self.step(delivered, false);
        } else if self.recovery.phase == Phase::Cwr {
            self.step(delivered, news.advanced > 0);
        } else {
            let disorder = self.snd.sacked() > 0 || self.recovery.dup_acks > 0;
            self.recovery.phase = if disorder { Phase::Disorder } else { Phase::Open };
        }
    }

    /// Fast recovery goes on, ends, or turns out not to have been called for.
    fn on_ack_in_recovery(&mut self, news: &AckNews, delivered: u32, cx: &mut Cx<'_>) {
        let late = news.advanced > 0 && self.recovery.undo.is_late_original(news.echo);
        if self.snd.una() >= self.recovery.recover {
            if late {
                cx.mib.tcp_full_undo += 1;
                self.recovery.rack.on_late();
                self.undo_reduction(cx);
            }
            self.leave_recovery(cx);
            self.on_ack_in_order(news, delivered, cx);
            return;
        }
        if late {
            // The hole was filled by the original (as Linux): no more is sent again, and once nothing that was is
            // out, all is as before.
            self.recovery.rack.on_late();
            if self.snd.resent() == 0 {
                cx.mib.tcp_partial_undo += 1;
                self.undo_reduction(cx);
            } else {
                self.step(delivered, true);
            }
            return;
        }
        if news.duplicate && self.undo_by_duplicates(cx) {
            return;
        }
        let lost = match self.opening.sack {
            true => self.detect(cx),
            false if news.advanced > 0 => self.lost_next(),
            false => 0,
        };
        self.step(delivered, news.advanced > 0 && lost == 0);
    }

    /// After a time-out.
    fn on_ack_in_loss(&mut self, news: &AckNews, delivered: u32, cx: &mut Cx<'_>) {
        if news.advanced > 0 && self.recovery.undo.is_late_original(news.echo) {
            cx.mib.tcp_loss_undo += 1;
            self.undo_reduction(cx);
            return;
        }
        let recovered = self.snd.una() >= self.recovery.recover;
        let has_new = !recovered && self.snd.unsent() > 0 && self.peer.usable(self.snd.una(), self.snd.nxt()) > 0;
        let (recover, sack) = (self.recovery.recover, self.opening.sack);
        match self.recovery.frto.on_ack(news, news.heard.resent.is_some(), recover, sack, has_new) {
            Verdict::Spurious => {
                cx.mib.tcp_spurious_rtos += 1;
                cx.mib.tcp_loss_undo += 1;
                self.undo_reduction(cx);
                return;
            }
            // What is sent from here on is not what the time-out was about.
            Verdict::Probe => self.recovery.recover = self.snd.nxt(),
            Verdict::Repair => {}
        }
        if recovered {
            self.leave_recovery(cx);
            self.on_ack_in_order(news, delivered, cx);
        } else if sack {
            self.detect(cx);
        }
    }

    /// Finds what is lost; returns how many bytes.
    fn detect(&mut self, cx: &mut Cx<'_>) -> u32 {
        let judged = self.detect_losses(cx.now);
        cx.mib.tcp_lost_retransmit += u64::from(judged.lost_again.div_ceil(u32::from(self.segment_size())));
        judged.lost
    }

    /// What was late has been so for long enough (RFC 8985 section 6.3).
    pub(in crate::tcp) fn on_reordering_timeout(&mut self, cx: &mut Cx<'_>) {
        let in_flight = self.pipe();
        if self.detect(cx) == 0 {
            return;
        }
        if !self.recovery.is_repairing() {
            self.enter_recovery(in_flight, cx);
        }
        self.step(0, false);
    }

    /// Lets fast recovery send what it may.
    fn step(&mut self, delivered: u32, safe: bool) {
        let in_cwr = self.recovery.phase == Phase::Cwr && self.is_marked_down_in_proportion();
        if self.recovery.phase == Phase::Recovery || in_cwr {
            let (in_flight, ssthresh, mss) = (self.pipe(), self.cc.ssthresh(), u32::from(self.segment_size()));
            self.recovery.prr.on_step(&Step { delivered, safe, in_flight, ssthresh, mss });
        }
    }

    /// Takes the last reduction back if all that was sent again had arrived already; says whether.
    fn undo_by_duplicates(&mut self, cx: &mut Cx<'_>) -> bool {
        let undone = self.recovery.undo.is_all_duplicate();
        if undone {
            cx.mib.tcp_dsack_undo += 1;
            self.recovery.rack.on_late();
            self.undo_reduction(cx);
        }
        undone
    }

    /// Fast recovery begins.
    fn enter_recovery(&mut self, in_flight: u32, cx: &mut Cx<'_>) {
        if self.opening.sack {
            cx.mib.tcp_sack_recovery += 1;
        } else {
            cx.mib.tcp_reno_recovery += 1;
        }
        // A mark has reduced the window already, and that holds (RFC 3168 section 6.1.2).
        let reduced = self.recovery.phase == Phase::Cwr;
        self.recovery.phase = Phase::Recovery;
        self.recovery.recover = self.snd.nxt();
        self.recovery.retransmit_now = true;
        self.recovery.tlp.stop();
        self.recovery.prr = Prr::new(in_flight);
        if reduced {
            self.recovery.undo = Undo::default();
        } else {
            self.recovery.undo.on_reduced(self.snd.una(), self.snd.resent());
            self.cc.on_loss(in_flight, cx.now);
            self.ecn.on_reduced();
        }
    }

    /// Everything that was out when recovery began has arrived. What was sent again may yet be reported as duplicate.
    pub(in crate::tcp) fn leave_recovery(&mut self, cx: &mut Cx<'_>) {
        self.stats.on_timeouts_over(cx.now);
        self.recovery.phase = Phase::Open;
        self.recovery.departed = 0;
        self.recovery.retransmit_now = false;
        self.recovery.frto.stop();
        self.recovery.rack.on_recovered();
        self.cc.on_recovered(cx.now);
    }
}
