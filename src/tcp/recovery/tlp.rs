//! Tail loss probes: when the end of a flight is not acknowledged in about two round trips, one segment is sent so that
//! its acknowledgement tells what was lost, without a time-out (RFC 8985 section 7); and the timer that waits for
//! either (section 8).

use crate::{
    cx::Cx,
    tcp::{Connection, State, congestion::Controller, recovery::Phase, timer::Timer},
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

/// How long a receiver may keep back the acknowledgement of a lone segment (TLP.max_ack_delay; Linux's TCP_RTO_MIN).
const MAX_ACK_DELAY: Duration = Duration::from_millis(200);
/// What is added to two round trips (Linux's TCP_TIMEOUT_MIN, two ticks of 1 ms).
const GRACE: Duration = Duration::from_millis(2);

/// The state of probing.
#[derive(Copy, Clone, Debug, Default)]
pub struct Tlp {
    /// SND.NXT after the probe, while one is out (TLP.end_seq).
    end: Option<SeqNum>,
    /// The probe was a retransmission (TLP.is_retrans).
    again: bool,
    /// The probe is to be sent.
    pub due: bool,
}

/// What an acknowledgement says of the probe (RFC 8985 section 7.4.2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing yet.
    Open,
    /// Nothing was lost, or what was lost is judged elsewhere.
    Done,
    /// The probe has repaired a loss of which nothing else tells.
    Repaired,
}

impl Tlp {
    /// Whether the probe that is out ended at `end`.
    pub fn is_answered_by(&self, end: SeqNum) -> bool {
        self.again && self.end == Some(end)
    }

    /// The probe is forgotten: a time-out or a recovery has taken over.
    pub fn stop(&mut self) {
        *self = Self::default();
    }

    /// Judges an acknowledgement of `ack`; `repeats` says that it is a pure duplicate, `duplicate` that it reports one.
    fn judge(&self, ack: SeqNum, news: bool, duplicate: bool, repeats: bool) -> Verdict {
        let Some(end) = self.end.filter(|end| ack >= *end) else { return Verdict::Open };
        if !self.again || duplicate || (ack == end && !news && repeats) {
            // New data arrived; or original and probe both did.
            Verdict::Done
        } else if ack > end {
            Verdict::Repaired
        } else {
            Verdict::Open
        }
    }
}

impl Connection {
    /// After what time a probe would be sent, if one may be (RFC 8985 section 7.2): nothing was reported out of order,
    /// no loss is being repaired, and no probe is out.
    fn probe_time_out(&self) -> Option<Duration> {
        let quiet = self.recovery.phase == Phase::Open && self.snd.sacked() == 0 && self.recovery.timeouts == 0;
        let wanted = matches!(self.settings.knobs.early_retrans, 3 | 4);
        if !wanted || !self.opening.sack || !quiet || self.recovery.tlp.end.is_some() {
            return None;
        }
        let srtt = self.rtt.srtt()?;
        // RFC 8985 asks whether one segment is out. A receiver that counts bytes waits for two full ones.
        let lone = self.snd.unacked() <= u32::from(self.segment_size());
        Some(srtt * 2 + if lone { MAX_ACK_DELAY } else { GRACE })
    }

    /// Something was acknowledged; `advanced` says whether cumulatively. One timer waits, for the probe if one may be
    /// sent and else for the retransmission; it starts anew after each acknowledgement of new data (RFC 6298 section 5,
    /// rules 5.2 and 5.3).
    pub(in crate::tcp) fn restart_loss_timer(&mut self, advanced: bool, now: Instant) {
        if self.snd.unacked() == 0 {
            self.timers.stop(Timer::Retransmit);
            self.timers.stop(Timer::Tlp);
            self.timers.stop(Timer::Reo);
            return;
        }
        if self.snd.is_reneged() {
            // The timer waits for the peer to explain itself.
            return;
        }
        let running = self.timers.is_set(Timer::Retransmit);
        if advanced || !running {
            self.set_loss_timer(if advanced { now } else { self.head_sent_at(now) }, now);
        }
    }

    /// A stretch from `seq` on was sent.
    pub(in crate::tcp) fn on_sent_for_timers(&mut self, seq: SeqNum, again: bool, now: Instant) {
        if again && seq == self.snd.una() {
            self.set_loss_timer(now, now);
        } else if !self.timers.is_set(Timer::Retransmit) {
            // Each new segment puts the probe off, but not beyond the time-out of the oldest.
            self.set_loss_timer(self.head_sent_at(now), now);
        }
    }

    /// When the oldest stretch was sent last.
    fn head_sent_at(&self, now: Instant) -> Instant {
        self.snd.first().map_or(now, |first| first.at)
    }

    /// Sets the timer: a time-out counts from `base`.
    fn set_loss_timer(&mut self, base: Instant, now: Instant) {
        let timeout = base + self.clamped_to_user_timeout(self.rtt.rto(), now);
        let timeout = timeout.max(now);
        if let Some(wait) = self.probe_time_out() {
            self.timers.stop(Timer::Retransmit);
            self.timers.set(Timer::Tlp, timeout.min(now + wait));
        } else {
            self.timers.stop(Timer::Tlp);
            self.timers.set(Timer::Retransmit, timeout);
        }
    }

    /// The probe timer ran out (RFC 8985 section 7.3).
    pub(in crate::tcp) fn on_probe_timeout(&mut self, cx: &mut Cx<'_>) {
        let open = !matches!(self.state, State::SynSent | State::SynReceived | State::Closed | State::TimeWait);
        self.recovery.tlp.due = open && self.snd.unacked() > 0;
        self.timers.set(Timer::Retransmit, cx.now + self.rtt.rto());
    }

    /// The probe, if one is due: the next new segment if the peer's window takes it, be it only a FIN, else the last
    /// one again. It does not wait for the congestion window.
    pub(in crate::tcp) fn take_probe(&mut self, segment: u32) -> Option<(SeqNum, u32, bool)> {
        if !std::mem::take(&mut self.recovery.tlp.due) || self.recovery.phase != Phase::Open {
            return None;
        }
        let nxt = self.snd.nxt();
        let data = self.snd.unsent_data().min(segment);
        let ends = self.snd.has_fin() && !self.snd.is_fin_sent() && data == self.snd.unsent_data();
        let room = self.peer.usable(self.snd.una(), nxt);
        let new = data + u32::from(ends && data < room);
        if new > 0 && room >= new {
            self.recovery.tlp = Tlp { end: Some(nxt + new), again: false, due: false };
            return Some((nxt, new, false));
        }
        let last = *self.snd.last()?;
        let len = last.span().min(segment);
        let start = last.end - len;
        // What a peer that pulled its window back does not take is not sent again, but for the first segment.
        if start != self.snd.una() && start - self.snd.una() >= self.peer.size() {
            return None;
        }
        self.recovery.tlp = Tlp { end: Some(nxt), again: true, due: false };
        Some((start, len, true))
    }

    /// An acknowledgement came: what does it say of the probe?
    pub(in crate::tcp) fn on_probe_acknowledged(
        &mut self,
        ack: SeqNum,
        news: bool,
        duplicate: bool,
        repeats: bool,
        cx: &mut Cx<'_>,
    ) {
        match self.recovery.tlp.judge(ack, news, duplicate, repeats) {
            Verdict::Open => {}
            Verdict::Done => self.recovery.tlp.stop(),
            Verdict::Repaired => {
                self.recovery.tlp.stop();
                if !self.recovery.is_repairing() {
                    // The loss is over before it was seen; the window answers it all the same (section 7.4.1).
                    cx.mib.tcp_loss_probe_recovery += 1;
                    self.recovery.undo.on_reduced(self.snd.una(), 0);
                    self.cc.on_loss(self.pipe(), cx.now);
                    self.cc.on_recovered(cx.now);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_of_the_probe_alone_tells_a_loss_only_when_more_follows() {
        let tlp = Tlp { end: Some(SeqNum(500)), again: true, due: false };
        assert_eq!(tlp.judge(SeqNum(499), true, false, false), Verdict::Open);
        assert_eq!(tlp.judge(SeqNum(500), true, false, false), Verdict::Open);
        assert_eq!(tlp.judge(SeqNum(500), false, false, true), Verdict::Done);
        assert_eq!(tlp.judge(SeqNum(500), false, true, false), Verdict::Done);
        assert_eq!(tlp.judge(SeqNum(600), true, false, false), Verdict::Repaired);
        let new = Tlp { again: false, ..tlp };
        assert_eq!(new.judge(SeqNum(500), true, false, false), Verdict::Done);
    }
}
