//! The three-way handshake from both sides, and from both at once (RFC 9293 sections 3.5, 3.10.7.3 and 3.10.7.4;
//! options: RFC 7323, RFC 2018, RFC 6691; retransmission: RFC 6298 section 5 and Linux's tcp_syn_retries).

use super::{
    Connection, Path, Settings, State,
    ack::Acks,
    congestion::Controller,
    fastopen::FastOpening,
    isn, mss,
    recv_queue::RecvQueue,
    rtt::RTO_INITIAL,
    timer::Timer,
    user_timeout::patience,
    window::{MAX_SHIFT, shift_for},
};
use crate::{
    addr::Flow,
    buf::Packet,
    cx::Cx,
    error::Error,
    ready::Ready,
    rng::Key,
    time::{Duration, Instant},
    wire::{
        seq::SeqNum,
        tcp::{Flags, Header, Options},
    },
};

/// What the handshake needs to know.
#[derive(Debug)]
pub(super) struct Opening {
    /// Our initial sequence number.
    pub iss: SeqNum,
    /// The peer's.
    pub irs: SeqNum,
    /// Our options, then those both sides have: window scale and SACK.
    pub scale: bool,
    pub sack: bool,
    /// How often the SYN was sent again.
    pub retries: u32,
    /// When it was sent first.
    sent_at: Option<Instant>,
    /// TCP_DEFER_ACCEPT: the handshake's last segment came without data.
    deferred: bool,
    /// TCP Fast Open, where it is used.
    pub fast: Option<Box<FastOpening>>,
}

impl Opening {
    /// An active open.
    pub fn active(flow: &Flow, settings: &Settings, secret: &Key, now: Instant) -> Self {
        Self {
            iss: isn::isn(flow, secret, now),
            irs: SeqNum(0),
            scale: settings.knobs.window_scaling != 0,
            sack: settings.knobs.sack != 0,
            retries: 0,
            sent_at: None,
            deferred: false,
            fast: None,
        }
    }
}

impl Connection {
    /// Answers a SYN that came to a listener: SYN-RECEIVED, the SYN-ACK comes out of [`Connection::poll_transmit`].
    pub fn accept(flow: Flow, syn: &Header, settings: Settings, path: Path, secret: &Key, cx: &mut Cx<'_>) -> Self {
        let opening = Opening::active(&flow, &settings, secret, cx.now);
        let mut connection = Self::new(flow, settings, path, opening, secret, cx.now);
        connection.life.embryo = true;
        connection.life.unaccepted = true;
        connection.stats.on_syn();
        connection.take_syn(syn, 0, cx.now);
        connection.state = State::SynReceived;
        connection
    }

    /// A connection whose SYN-ACK is not kept: `iss` is the cookie in it (RFC 4987 section 3.6), `syn` what it stands
    /// for. The next segment completes the handshake.
    pub fn resume(
        flow: Flow,
        syn: &Header,
        iss: SeqNum,
        settings: Settings,
        path: Path,
        secret: &Key,
        cx: &mut Cx<'_>,
    ) -> Self {
        let opening = Opening { iss, ..Opening::active(&flow, &settings, secret, cx.now) };
        let mut connection = Self::new(flow, settings, path, opening, secret, cx.now);
        connection.life.embryo = true;
        connection.life.unaccepted = true;
        connection.stats.on_syn();
        connection.take_syn(syn, 0, cx.now);
        connection.state = State::SynReceived;
        connection.pending.syn = false;
        connection
    }

    /// The SYN-ACK of a connection that [`Connection::resume`] made.
    pub fn syn_ack(mut self, now: Instant) -> Header {
        self.syn_header(now)
    }

    /// Takes the peer's SYN apart: where it begins and what it can do; its IP header has ECN field `field`.
    fn take_syn(&mut self, syn: &Header, field: u8, now: Instant) {
        let Options { mss, window_scale, sack_permitted, timestamps, .. } = syn.options;
        let first = syn.seq + 1;
        self.opening.irs = syn.seq;
        self.on_ecn_syn(syn, field);
        self.rcv = RecvQueue::new(first);
        self.acks = Acks::new(first, now);
        self.acks.set_interactive(!self.settings.quickack);
        if self.life.embryo {
            let stamps = if timestamps.is_some() { 12 } else { 0 };
            self.window.on_peer_first(mss::advertised(&self.settings, &self.path, self.flow.remote.addr) - stamps);
        }
        self.window.start_at(first, u32::from(self.window.syn_field()), now);
        self.opening.sack &= sack_permitted;
        self.opening.scale &= window_scale.is_some();
        match timestamps.filter(|_| self.clock.is_on()) {
            Some(timestamps) => self.clock.on_syn(timestamps.val, now),
            None => self.clock.turn_off(),
        }
        // A larger shift is used as 14 (RFC 7323 section 2.3).
        let shift = if self.opening.scale { window_scale.unwrap_or(0).min(MAX_SHIFT) } else { 0 };
        if self.opening.scale {
            self.window.set_shift(shift_for(&self.settings));
        }
        self.peer.on_syn(syn.seq, self.opening.iss, syn.window, shift);
        self.peer_mss = mss.unwrap_or(mss::default_for(self.flow.remote.addr));
        self.on_segment_size_changed();
    }

    /// The SYN or SYN-ACK to be sent now.
    pub(super) fn syn_header(&mut self, now: Instant) -> Header {
        let passive = self.state == State::SynReceived;
        self.opening.sent_at.get_or_insert(now);
        let flags = if passive { Flags::SYN.with(Flags::ACK) } else { Flags::SYN };
        let ecn = self.ecn.syn_flags(passive, self.opening.retries, &self.settings);
        let mut options = Options {
            mss: Some(mss::advertised(&self.settings, &self.path, self.flow.remote.addr)),
            window_scale: self.opening.scale.then(|| shift_for(&self.settings)),
            sack_permitted: self.opening.sack,
            timestamps: self.clock.option(now),
            fast_open: self.fast_option(),
            ..Options::default()
        };
        self.add_syn_ack_option(&mut options);
        Header {
            src_port: self.flow.local.port,
            dst_port: self.flow.remote.port,
            seq: self.opening.iss,
            ack: if passive { self.rcv.rcv_nxt() } else { SeqNum(0) },
            flags: flags.with(ecn),
            window: self.window.syn_field(),
            urgent: 0,
            options,
        }
    }

    /// A segment in SYN-SENT (RFC 9293 section 3.10.7.3).
    pub(super) fn on_segment_in_syn_sent(&mut self, seg: &Header, payload: Packet, cx: &mut Cx<'_>) {
        let has = |flag| seg.flags.contains(flag);
        // More than the SYN itself only if it had data (RFC 7413 section 4.2.1).
        if has(Flags::ACK) && (seg.ack < self.opening.iss + 1 || seg.ack > self.snd.nxt()) {
            if !has(Flags::RST) {
                self.refuse(seg, payload.len());
            }
            return;
        }
        // Nor may it echo a time stamp that no SYN of ours had: it is of an old connection (as Linux).
        if has(Flags::ACK)
            && self.clock.is_on()
            && !self.clock.is_echo(seg.options.timestamps, self.opening.sent_at, cx.now)
        {
            self.refuse(seg, payload.len());
            return;
        }
        if has(Flags::RST) {
            if has(Flags::ACK) {
                cx.mib.tcp_attempt_fails += 1;
                self.fail(Error::ConnectionRefused);
            }
            return;
        }
        if !has(Flags::SYN) {
            return;
        }
        self.take_syn(seg, payload.meta.ecn, cx.now);
        if !has(Flags::ACK) {
            // Both sides opened at once (RFC 9293 figure 7).
            self.state = State::SynReceived;
            self.pending.syn = true;
            return;
        }
        self.peer.update(seg.seq, seg.ack, seg.window);
        self.peer.on_syn(seg.seq, seg.ack, seg.window, self.peer.shift());
        self.establish(seg, cx);
        self.on_fast_syn_ack(seg, cx);
        self.acknowledge_syn_ack(cx.now);
        self.on_payload(seg.seq + 1, payload, has(Flags::FIN), cx);
    }

    /// A SYN in SYN-RECEIVED: the same one again, or the SYN-ACK of a peer that opened at the same time. Says whether
    /// the rest of the segment is to be handled.
    pub(super) fn on_syn_in_syn_received(&mut self, seg: &Header, field: u8, cx: &mut Cx<'_>) -> bool {
        if seg.seq != self.opening.irs {
            self.challenge(cx);
            return false;
        }
        // Data in our SYN may be acknowledged, too.
        let acks_syn = seg.ack > self.opening.iss && seg.ack <= self.snd.nxt();
        let is_syn_ack = seg.flags.contains(Flags::ACK) && acks_syn;
        if !is_syn_ack && self.may_answer(cx.now) {
            self.on_accecn_syn_again(seg, field);
            self.pending.syn = true;
        }
        if is_syn_ack {
            // Its number has come before: the peer, which may be waiting in SYN-RECEIVED, hears so at once (as Linux).
            self.acks.duplicate = self.opening.sack.then(|| (seg.seq, seg.seq + 1));
            cx.mib.tcp_dsack_old_sent += u64::from(self.opening.sack);
            self.acks.owe_now();
        }
        is_syn_ack
    }

    /// An acknowledgement in SYN-RECEIVED; says whether the connection is established by it.
    pub(super) fn on_ack_in_syn_received(&mut self, seg: &Header, payload: usize, cx: &mut Cx<'_>) -> bool {
        // A fast connection may have sent data by now.
        if seg.ack < self.opening.iss + 1 || seg.ack > self.snd.nxt() {
            self.refuse(seg, payload);
            return false;
        }
        let bare = payload == 0 && !seg.flags.contains(Flags::FIN);
        let waits = self.opening.sent_at.map(|at| at + self.settings.defer_accept);
        if self.life.embryo && bare && waits.is_some_and(|until| cx.now < until) {
            // TCP_DEFER_ACCEPT: nobody is told before data comes. At the end of that time the SYN-ACK is sent again,
            // and its acknowledgement counts (as Linux).
            self.opening.deferred = true;
            self.timers.set(Timer::Retransmit, waits.unwrap_or(cx.now));
            return false;
        }
        self.establish(seg, cx);
        self.peer.update(seg.seq, seg.ack, seg.window);
        true
    }

    /// The handshake is complete.
    fn establish(&mut self, seg: &Header, cx: &mut Cx<'_>) {
        let Opening { retries, sent_at, .. } = self.opening;
        let is_passive = std::mem::take(&mut self.life.embryo);
        cx.mib.tcp_passive_opens += u64::from(is_passive);
        self.on_established_for_search(is_passive, cx.now);
        self.timers.stop(Timer::Retransmit);
        self.pending.syn = false;
        // A SYN that was sent twice measures a round trip only by its time stamp (Karn).
        let sample = if retries == 0 {
            sent_at.map(|at| cx.now.since(at))
        } else {
            self.clock.echoed(seg.options.timestamps, cx.now)
        };
        if let Some(sample) = sample {
            self.rtt.on_sample(sample, cx.now);
            self.window.on_handshake_rtt(sample);
        }
        if retries > 0 {
            self.rtt.reset_back_off();
            self.rtt.on_handshake_timed_out();
        }
        // RFC 5681 section 3.1 says so of the first loss; Linux forgives that, as its first time-out is a short one.
        if retries > 1 {
            self.cc.on_handshake_lost();
        }
        self.state = if self.snd.has_fin() { State::FinWait1 } else { State::Established };
        self.stats.on_established(is_passive, cx.now);
        self.stats.on_timeouts_over(cx.now);
        if self.snd.unacked() > 0 {
            self.restart_loss_timer(true, cx.now);
        }
        self.keepalive.on_heard(cx.now);
        self.on_keepalive_changed(cx.now);
        self.events |= Ready::OUT | Ready::WRNORM;
    }

    /// When the SYN or SYN-ACK was sent first, until it is answered.
    pub(super) fn opening_since(&self) -> Option<Instant> {
        self.opening.sent_at.filter(|_| matches!(self.state, State::SynSent | State::SynReceived))
    }

    /// Whether the handshake has been tried for long enough: as Linux, so many times, `linear` of them in addition, or
    /// for as long as so many would take if each waited twice as long as the one before.
    fn is_opening_given_up(&self, linear: u32, now: Instant) -> bool {
        let Settings { syn_retries: count, user_timeout, ref knobs, .. } = self.settings;
        let passed = self.opening.sent_at.map_or(Duration::ZERO, |at| now.since(at));
        let sent_again = self.opening.retries;
        if !user_timeout.is_zero() && passed >= user_timeout {
            return true;
        }
        if self.life.embryo || self.is_fast_passive() {
            // A fast connection has one more: its program uses it already.
            return sent_again >= count.unwrap_or(knobs.synack_retries + u32::from(self.is_fast_passive()));
        }
        let retries = count.unwrap_or(knobs.syn_retries);
        let is_late = user_timeout.is_zero() && sent_again > 0 && passed >= patience(RTO_INITIAL, retries);
        is_late || sent_again >= retries.saturating_add(linear)
    }

    /// The SYN or SYN-ACK was not answered in time.
    pub(super) fn on_syn_timeout(&mut self, cx: &mut Cx<'_>) {
        // Linux's first few come one after the other at the same pace, and count in addition.
        let linear = if self.state == State::SynSent { self.settings.knobs.syn_linear_timeouts } else { 0 };
        if self.is_opening_given_up(linear, cx.now) {
            cx.mib.tcp_attempt_fails += 1;
            cx.mib.tcp_abort_on_timeout += 1;
            self.fail(self.life.soft_error.unwrap_or(Error::TimedOut));
            return;
        }
        self.opening.retries += 1;
        if !self.opening.deferred && self.opening.retries > linear {
            self.rtt.back_off();
        }
        cx.mib.tcp_timeouts += 1;
        self.stats.on_timeout(self.opening.retries == 1, cx.now);
        self.pending.syn = true;
    }
}
