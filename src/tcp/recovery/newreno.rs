//! Fast retransmit and fast recovery (RFC 5681 section 3.2), NewReno (RFC 6582) where the peer has no SACK, the
//! scoreboard (RFC 6675) where it has.
//!
//! The congestion window is not inflated: instead, what a duplicate acknowledgement shows to have left the network is
//! taken out of the count of what is in flight. The effect is the same, limited transmit (RFC 3042) comes out of it by
//! itself, and both kinds of peer are handled alike.

use super::{AckNews, Eifel, Phase};
use crate::{
    cx::Cx,
    tcp::{Connection, congestion::Controller, sack::DUP_THRESH},
};

impl Connection {
    /// What is in the network, bytes (RFC 6675 section 3).
    pub(in crate::tcp) fn pipe(&self) -> u32 {
        self.snd.pipe().saturating_sub(self.recovery.departed)
    }

    /// An acknowledgement came with news.
    pub(in crate::tcp) fn on_ack_news(&mut self, news: &AckNews, cx: &mut Cx<'_>) {
        self.count_departures(news);
        if news.advanced > 0 {
            self.recovery.dup_acks = 0;
            if self.recovery.is_repairing() && self.snd.una() >= self.recovery.recover {
                self.leave_recovery(cx);
            }
        } else if news.repeats || news.sacked > 0 {
            self.recovery.dup_acks += 1;
        }
        match self.recovery.phase {
            Phase::Recovery | Phase::Loss if self.opening.sack => {
                if news.sacked > 0 {
                    self.judge_losses();
                }
            }
            // A partial acknowledgement: the next hole begins right there (RFC 6582 section 3.2, step 3).
            Phase::Recovery if news.advanced > 0 => {
                self.recovery.retransmit_now = self.snd.mark_first_lost(u32::from(self.mss())) > 0;
            }
            Phase::Recovery | Phase::Loss => {}
            Phase::Open | Phase::Disorder | Phase::Cwr => {
                let lost =
                    if self.opening.sack { news.sacked > 0 && self.judge_losses() > 0 } else { self.lost_first() };
                if lost {
                    self.enter_recovery(news.in_flight, cx);
                } else if self.recovery.phase != Phase::Cwr {
                    let disorder = self.snd.sacked() > 0 || self.recovery.dup_acks > 0;
                    self.recovery.phase = if disorder { Phase::Disorder } else { Phase::Open };
                }
            }
        }
    }

    /// Keeps the count of what has left the network when there is no SACK to tell.
    fn count_departures(&mut self, news: &AckNews) {
        if self.opening.sack {
            return;
        }
        let mss = u32::from(self.mss());
        let departed = &mut self.recovery.departed;
        if news.advanced > 0 {
            // One segment filled the hole; the others were counted when they were announced.
            *departed = departed.saturating_sub(news.advanced.saturating_sub(mss));
            if self.recovery.phase == Phase::Open || self.snd.unacked() == 0 {
                *departed = 0;
            }
        } else if news.repeats {
            *departed += mss;
        }
        *departed = (*departed).min(self.snd.pipe());
    }

    /// Without SACK: whether duplicate acknowledgements show the first segment to be lost. Those that repeat where the
    /// last recovery ended were caused by it (RFC 6582 section 3.2, step 2).
    fn lost_first(&mut self) -> bool {
        self.recovery.dup_acks >= DUP_THRESH
            && self.snd.una() > self.recovery.recover
            && self.snd.mark_first_lost(u32::from(self.mss())) > 0
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
        self.recovery.eifel = if reduced { Eifel::Decided } else { Eifel::Waiting };
        if !reduced {
            self.cc.on_loss(in_flight, cx.now);
            self.ecn.on_reduced();
        }
    }

    /// Everything that was out when recovery began has arrived.
    pub(in crate::tcp) fn leave_recovery(&mut self, cx: &mut Cx<'_>) {
        self.recovery.phase = Phase::Open;
        self.recovery.departed = 0;
        self.recovery.retransmit_now = false;
        self.recovery.eifel = Eifel::Waiting;
        self.cc.on_recovered(cx.now);
    }
}
