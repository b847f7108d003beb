//! Segments that come in (RFC 9293 section 3.10.7, in its order; RFC 5961; RFC 7323 section 5).

use super::{
    Connection, State,
    ack::Arrival,
    challenge::{AckVerdict, ResetVerdict, judge_ack, judge_reset},
    timer::Timer,
    timestamps::PawsVerdict,
};
use crate::{
    buf::Packet,
    counters::Counters,
    cx::Cx,
    error::Error,
    ready::Ready,
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header},
    },
};

impl Connection {
    /// A segment came in.
    pub(super) fn handle_segment(&mut self, seg: &Header, payload: Packet, cx: &mut Cx<'_>) {
        self.stats.on_segment_in(&payload);
        match self.state {
            State::Closed | State::Listen => self.refuse(seg, payload.len()),
            State::SynSent => self.on_segment_in_syn_sent(seg, payload, cx),
            State::TimeWait => self.on_segment_in_time_wait(seg, payload.len(), cx),
            _ => self.on_segment_synchronized(seg, payload, cx),
        }
    }

    /// RFC 9293 section 3.10.7.4.
    fn on_segment_synchronized(&mut self, seg: &Header, payload: Packet, cx: &mut Cx<'_>) {
        let has = |flag| seg.flags.contains(flag);
        let len = payload.len() as u32 + u32::from(has(Flags::SYN)) + u32::from(has(Flags::FIN));
        // A reset is not subject to PAWS (RFC 7323 section 5.2).
        if !has(Flags::RST) && self.clock.judge(seg.options.timestamps, cx.now) == PawsVerdict::Old {
            cx.mib.tcp_paws_estab += 1;
            self.answer_strange(!payload.is_empty(), |mib| &mut mib.tcp_ack_skipped_paws, cx);
            return;
        }
        // As Linux, what begins before RCV.NXT but not before the last number acknowledged is let in: such
        // acknowledgements are merely reordered. Its bytes are old and are trimmed.
        let is_beyond = self.goes_too_far(seg.seq, payload.len());
        if is_beyond || seg.seq > self.window.edge() || seg.seq + len < self.acks.told() {
            cx.mib.tcp_beyond_window += u64::from(is_beyond || seg.seq > self.window.edge());
            match (has(Flags::RST), has(Flags::SYN)) {
                (true, _) => {}
                (_, true) if self.state == State::SynReceived => {
                    _ = self.on_syn_in_syn_received(seg, payload.meta.ecn, cx);
                }
                (_, true) => self.challenge_syn(seg, payload.meta.ecn, cx),
                _ => {
                    if self.opening.sack && !payload.is_empty() && seg.seq < self.rcv.rcv_nxt() {
                        // As Linux (tcp_send_dupack), what was acknowledged long ago is reported, too.
                        cx.mib.tcp_dsack_old_sent += 1;
                        self.acks.duplicate = Some((seg.seq, seg.seq + payload.len() as u32));
                        self.on_accecn_duplicate(seg.seq, true);
                    }
                    self.answer_strange(!payload.is_empty(), |mib| &mut mib.tcp_ack_skipped_seq, cx);
                }
            }
            return;
        }
        if has(Flags::RST) {
            self.on_reset(seg, cx);
            return;
        }
        if has(Flags::SYN) {
            if self.state != State::SynReceived {
                self.challenge_syn(seg, payload.meta.ecn, cx);
                return;
            }
            if !self.on_syn_in_syn_received(seg, payload.meta.ecn, cx) {
                return;
            }
        }
        if !has(Flags::ACK) {
            return;
        }
        self.keepalive.on_heard(cx.now);
        if self.state == State::SynReceived {
            if !self.on_ack_in_syn_received(seg, payload.len(), cx) {
                return;
            }
            self.on_accecn_third(seg, payload.len());
        }
        let believed = u64::from(self.peer.max()).min(self.stats.bytes_acked) as u32;
        match judge_ack(seg.ack, self.snd.una(), self.snd.nxt(), believed) {
            AckVerdict::Challenge | AckVerdict::Unsent => {
                self.challenge(cx);
                return;
            }
            AckVerdict::New | AckVerdict::Old => {}
        }
        // Only now is it sure that the segment is for this connection: a forged stamp would shut out what comes after.
        let is_later = self.clock.update(seg.options.timestamps, seg.seq, self.acks.told(), cx.now);
        self.on_accecn_arrival(&payload, is_later);
        self.on_acknowledgement(seg, payload.len(), cx);
        if matches!(self.state, State::Closed | State::TimeWait) {
            return;
        }
        let seq = seg.seq + u32::from(has(Flags::SYN));
        if has(Flags::URG) {
            self.on_urgent_pointer(seq, seg.urgent);
        }
        if self.is_data_refused(seq, payload.len() as u32) {
            cx.mib.tcp_abort_on_data += 1;
            self.abort(cx);
            // The reset answers the segment that caused it, as Linux's does.
            self.refuse(seg, payload.len());
            return;
        }
        if !payload.is_empty() || has(Flags::FIN) {
            let echoed = self.clock.echoed(seg.options.timestamps, cx.now);
            self.window.on_data(self.rcv.rcv_nxt(), echoed, cx.now);
            self.on_ecn_data(seg.flags, &payload);
            self.on_payload(seq, payload, has(Flags::FIN), cx);
        }
    }

    /// Whether data goes beyond the window. As Linux, it is not trimmed to it but taken whole if the application has
    /// nothing to read, and else dropped whole; a FIN may lie beyond in any case.
    fn goes_too_far(&self, seq: SeqNum, len: usize) -> bool {
        len > 0 && seq + len as u32 > self.window.edge() && self.rcv.readable() > 0
    }

    /// Data that nobody will read any more ends the connection (RFC 9293 section 3.6.1, Linux alike).
    fn is_data_refused(&self, seq: SeqNum, len: u32) -> bool {
        matches!(self.state, State::FinWait1 | State::FinWait2)
            && self.life.read_shut
            && len > 0
            && seq + len > self.rcv.rcv_nxt()
    }

    /// A reset within or near the window (RFC 5961 section 3).
    fn on_reset(&mut self, seg: &Header, cx: &mut Cx<'_>) {
        let behind = self.end_of_last_block() == Some(seg.seq);
        match judge_reset(seg.seq, self.rcv.rcv_nxt(), self.window.edge()) {
            ResetVerdict::Drop => {}
            // As Linux: for the sender the next number may be that behind what came out of order.
            ResetVerdict::Challenge if !behind => self.challenge(cx),
            ResetVerdict::Challenge | ResetVerdict::Genuine => {
                // The errors are Linux's (tcp_reset); RFC 9293 would call the reset of an active open in SYN-RECEIVED
                // a refusal.
                let error = match self.state {
                    State::CloseWait => Error::BrokenPipe,
                    _ => Error::ConnectionReset,
                };
                match self.state {
                    State::SynReceived => cx.mib.tcp_attempt_fails += 1,
                    State::Established | State::CloseWait => cx.mib.tcp_estab_resets += 1,
                    _ => {}
                }
                self.fail(error);
            }
        }
    }

    /// Where the last block ends that we have told the peer of.
    fn end_of_last_block(&self) -> Option<SeqNum> {
        let blocks = self.rcv.sack_blocks();
        let ends = blocks.as_slice().iter().map(|(_, end)| *end);
        ends.reduce(SeqNum::max).filter(|_| self.opening.sack)
    }

    /// A SYN on a synchronized connection (RFC 5961 section 4).
    fn challenge_syn(&mut self, syn: &Header, field: u8, cx: &mut Cx<'_>) {
        cx.mib.tcp_syn_challenge += 1;
        self.challenge(cx);
        self.on_accecn_challenge(syn, field);
    }

    /// Whether one more strange segment is answered now.
    pub(super) fn may_answer(&mut self, now: Instant) -> bool {
        self.limiter.allow(now, Duration::from_millis(self.settings.knobs.invalid_ratelimit.into()))
    }

    /// Sends a challenge acknowledgement, within the limit.
    pub(super) fn challenge(&mut self, cx: &mut Cx<'_>) {
        if self.may_answer(cx.now) {
            cx.mib.tcp_challenge_ack += 1;
            self.acks.owe_now();
        } else {
            cx.mib.tcp_ack_skipped_challenge += 1;
        }
    }

    /// Acknowledges a segment outside the window (RFC 9293 section 3.10.7.4). Those without data are limited: two ends
    /// that disagree would acknowledge each other for ever.
    fn answer_strange(&mut self, has_data: bool, skipped: fn(&mut Counters) -> &mut u64, cx: &mut Cx<'_>) {
        if has_data || self.may_answer(cx.now) {
            self.acks.owe_now();
        } else {
            *skipped(cx.mib) += 1;
        }
    }

    /// Data and FIN of an acceptable segment.
    pub(super) fn on_payload(&mut self, seq: SeqNum, mut payload: Packet, mut fin: bool, cx: &mut Cx<'_>) {
        if payload.is_empty() && !fin {
            return;
        }
        if self.life.peer_done {
            // Nothing comes after the FIN; this is the FIN again.
            self.acks.owe_now();
            return;
        }
        let end = seq + payload.len() as u32;
        if let Some(limit) = self.peer_fin.filter(|fin| end > *fin) {
            fin = false;
            payload.truncate(if limit > seq { (limit - seq) as usize } else { 0 });
            if payload.is_empty() {
                cx.mib.tcp_rcvq_drop += 1;
                self.acks.owe_now();
                return;
            }
        }
        if fin {
            self.peer_fin = Some(end);
        }
        if !payload.is_empty() {
            self.urgent.on_data(seq, payload.bytes());
            self.queue(seq, payload, cx);
        }
        if self.peer_fin == Some(self.rcv.rcv_nxt()) {
            self.on_fin(cx);
        } else if fin {
            self.acks.owe_now();
        }
        if self.urgent.take_news() {
            self.events |= Ready::PRI;
        }
    }

    /// Puts data in the receive queue and decides on its acknowledgement.
    fn queue(&mut self, seq: SeqNum, payload: Packet, cx: &mut Cx<'_>) {
        let len = payload.len();
        let segment = if payload.meta.gso_size == 0 { len } else { len.min(usize::from(payload.meta.gso_size)) };
        if !self.make_room(seq, len, cx) {
            self.acks.owe_now();
            return;
        }
        let had_gap = self.rcv.out_of_order() > 0;
        let inserted = self.rcv.insert(seq, payload);
        if inserted.out_of_order {
            cx.mib.tcp_ofo_queue += 1;
            self.stats.out_of_order += 1;
        }
        if let Some((start, end)) = inserted.duplicate.filter(|(start, end)| self.opening.sack && start < end) {
            self.acks.duplicate = Some((start, end));
            self.on_accecn_duplicate(start, start == seq && inserted.advanced == 0 && end <= self.rcv.rcv_nxt());
            cx.mib.tcp_dsack_old_sent += u64::from(end <= self.rcv.rcv_nxt());
            cx.mib.tcp_dsack_ofo_sent += u64::from(end > self.rcv.rcv_nxt());
        }
        if inserted.advanced > 0 {
            self.stats.on_received(inserted.advanced, cx.now);
            self.events |= Ready::IN | Ready::RDNORM;
        }
        let rcv_nxt = self.rcv.rcv_nxt();
        self.window.reach(rcv_nxt);
        let advertised = self.advertised_mss();
        if !self.share.is_short() {
            self.window.on_segment(len, self.rcv.readable(), advertised);
            if inserted.out_of_order && !self.life.unaccepted && !self.life.orphan {
                self.window.on_out_of_order(self.rcv.ahead(), &self.settings);
            }
        }
        let mss = u32::from(self.acks.rcv_mss());
        let last_offer = self.window.offered(self.acks.told());
        let next_offer = self.window.select(rcv_nxt, self.rcv.readable(), mss);
        let arrival = Arrival {
            segment: u16::try_from(segment).unwrap_or(u16::MAX).min(advertised),
            rcv_nxt,
            irregular: inserted.out_of_order
                || inserted.duplicate.is_some()
                || had_gap
                || inserted.advanced == 0
                || self.is_accecn_hurried(),
            window_kept: next_offer.saturating_add(1 << self.window.shift()) > last_offer,
            offer: self.window.size(),
            crowded: self.window.is_half_full(self.rcv.readable()),
        };
        self.acks.on_data(arrival, self.rtt.rto(), cx.now);
    }

    /// Everything up to the peer's FIN is here (RFC 9293 section 3.10.7.4, eighth).
    fn on_fin(&mut self, cx: &mut Cx<'_>) {
        self.rcv.advance_past_fin();
        self.life.peer_done = true;
        self.life.read_shut = true;
        self.acks.on_fin();
        // As Linux, which counts it among what finds no room.
        if self.rcv.readable() >= self.window.capacity() as usize {
            self.acks.owe_now();
        }
        self.events |= Ready::IN | Ready::RDNORM | Ready::RDHUP;
        match self.state {
            State::Established => {
                self.state = State::CloseWait;
                return;
            }
            // A fast connection whose handshake is not complete.
            State::SynReceived => {}
            // Our FIN is not acknowledged: both closed at once.
            State::FinWait1 => self.state = State::Closing,
            State::FinWait2 => self.enter_time_wait(cx.now),
            _ => {}
        }
        self.acks.owe_now();
    }

    /// What an acknowledgement of our FIN changes (RFC 9293 section 3.10.7.4, fifth).
    pub(super) fn on_fin_acked(&mut self, cx: &mut Cx<'_>) {
        match self.state {
            State::FinWait1 => {
                self.state = State::FinWait2;
                self.limit_fin_wait_2(cx);
            }
            State::Closing => self.enter_time_wait(cx.now),
            State::LastAck => self.finish(),
            _ => {}
        }
        self.timers.stop(Timer::Retransmit);
        // Who lingers in close(2) waits for this (Linux's tcp_rcv_state_process tells all who wait, too).
        self.events |= Ready::OUT | Ready::WRNORM;
    }
}
