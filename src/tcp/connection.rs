//! One TCP connection: what it consists of. What it does is in the files named after it (see the table in `mod.rs`).

use super::{
    Settings, State,
    ack::Acks,
    challenge::Limiter,
    congestion::{AnyController, used::WindowUse},
    ecn::Ecn,
    handshake::Opening,
    info::Stats,
    keepalive::KeepAlive,
    limited::Limited,
    memory::Share,
    mss,
    output::Pending,
    pacing::Pacing,
    persist::Persist,
    plpmtud::Search,
    recovery::Recovery,
    recv_queue::RecvQueue,
    reports::Reports,
    rtt::RttEstimator,
    send_queue::SendQueue,
    send_window::SendWindow,
    timer::{Timer, TimerTable},
    timestamps::Clock,
    urgent::Urgent,
    window::RecvWindow,
};
use crate::{
    addr::Flow,
    buf::Packet,
    cx::Cx,
    error::Error,
    ready::Ready,
    rng::Key,
    time::Instant,
    wire::{seq::SeqNum, tcp::Header},
};

/// What the network layer knows of the way to the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Largest IP packet that fits, bytes.
    pub mtu: u32,
    /// The same of the first hop: what the device takes. It is what a peer is told (RFC 6691 section 2).
    pub link_mtu: u32,
    /// Largest IP packet the device takes as one super-frame and splits itself, bytes; equal to `mtu` when it does not.
    pub max_frame: u32,
}

/// What an ICMP error about one of our segments means (RFC 1122 section 4.2.3.9, RFC 5927, RFC 1191).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum IcmpVerdict {
    /// Ends a connection attempt; kept as a soft error by an established one.
    Error(Error),
    /// The path takes packets of this many bytes at most.
    PacketTooBig(u32),
}

/// Who still uses the connection, and how it ended.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// The application has let go.
    pub orphan: bool,
    /// Made for a SYN that came in, and not established yet: no application knows of it.
    pub embryo: bool,
    /// Made for a SYN that came in, and not accepted yet.
    pub unaccepted: bool,
    /// The application will read no more, or the peer will send no more (Linux's RCV_SHUTDOWN).
    pub read_shut: bool,
    /// The application will write no more (Linux's SEND_SHUTDOWN).
    pub write_shut: bool,
    /// The peer's FIN was taken: the end of data is a clean one (Linux's SOCK_DONE).
    pub peer_done: bool,
    /// The error to be reported once.
    pub error: Option<Error>,
    /// What ICMP said of an established connection; the error if it dies by a time-out (RFC 1122 section 4.2.3.9).
    pub soft_error: Option<Error>,
}

/// One TCP connection, pure: segments, time and the application's calls go in, segments and readiness come out.
pub struct Connection {
    /// The values of the socket's options. After changing any call [`Connection::on_settings_changed`].
    pub settings: Settings,
    pub(super) flow: Flow,
    pub(super) path: Path,
    pub(super) state: State,
    pub(super) opening: Opening,
    pub(super) life: Life,
    pub(super) snd: SendQueue,
    pub(super) peer: SendWindow,
    /// The largest segment the peer takes (its MSS option).
    pub(super) peer_mss: u16,
    pub(super) rcv: RecvQueue,
    pub(super) window: RecvWindow,
    /// Where the peer's FIN stands, once seen.
    pub(super) peer_fin: Option<SeqNum>,
    pub(super) acks: Acks,
    pub(super) clock: Clock,
    pub(super) rtt: RttEstimator,
    pub(super) cc: AnyController,
    pub(super) window_use: WindowUse,
    pub(super) recovery: Recovery,
    pub(super) ecn: Ecn,
    pub(super) urgent: Urgent,
    pub(super) limiter: Limiter,
    pub(super) persist: Persist,
    pub(super) keepalive: KeepAlive,
    pub(super) timers: TimerTable,
    pub(super) pending: Pending,
    pub(super) pacing: Pacing,
    pub(super) limited: Limited,
    /// Readiness that came up since it was last taken.
    pub(super) events: Ready,
    /// The send buffer was too full to write: OUT comes up when there is room.
    pub(super) is_full: bool,
    /// The search for the path's MTU, where there is one.
    pub(super) search: Option<Box<Search>>,
    pub(super) stats: Stats,
    /// Its part in the memory of all connections.
    pub(super) share: Share,
    /// What the application is told of its data, if it asks.
    pub(super) reports: Option<Box<Reports>>,
}

impl Connection {
    /// Starts an active open: SYN-SENT, the SYN comes out of [`Connection::poll_transmit`]. `secret` keys the initial
    /// sequence number (RFC 6528) and the timestamp offset.
    pub fn connect(flow: Flow, settings: Settings, path: Path, secret: &Key, cx: &mut Cx<'_>) -> Self {
        cx.mib.tcp_active_opens += 1;
        let opening = Opening::active(&flow, &settings, secret, cx.now);
        Self::new(flow, settings, path, opening, secret, cx.now)
    }

    /// A connection without a peer yet.
    pub(super) fn new(
        flow: Flow,
        settings: Settings,
        path: Path,
        opening: Opening,
        secret: &Key,
        now: Instant,
    ) -> Self {
        let first = opening.iss + 1;
        let segment = mss::limit(mss::default_for(flow.remote.addr), &settings, &path, flow.remote.addr);
        let advertised = mss::advertised(&settings, &path, flow.remote.addr);
        let window = RecvWindow::new(&settings, SeqNum(0), advertised, now);
        let is_own = settings.knobs.timestamps != 2;
        let mut clock = Clock::new(if is_own { super::isn::timestamp_offset(&flow, secret) } else { 0 });
        if settings.knobs.timestamps == 0 {
            clock.turn_off();
        }
        let cc = AnyController::named(settings.congestion, segment)
            .unwrap_or_else(|| AnyController::Cubic(super::congestion::cubic::Cubic::new(segment)));
        let rtt = RttEstimator::new().limited_to(crate::time::Duration::from_millis(settings.knobs.rto_max_ms.into()));
        Self {
            ecn: Ecn::active(&settings),
            settings,
            flow,
            path,
            state: State::SynSent,
            life: Life::default(),
            snd: SendQueue::new(first),
            peer: SendWindow::default(),
            peer_mss: mss::default_for(flow.remote.addr),
            rcv: RecvQueue::new(SeqNum(0)),
            window,
            peer_fin: None,
            acks: Acks::new(SeqNum(0), now),
            clock,
            rtt,
            cc,
            window_use: WindowUse::new(opening.iss),
            recovery: Recovery::new(opening.iss),
            urgent: Urgent::default(),
            limiter: Limiter::default(),
            persist: Persist::default(),
            keepalive: KeepAlive::new(now),
            timers: TimerTable::new(),
            pending: Pending::syn(),
            pacing: Pacing::default(),
            limited: Limited::default(),
            events: Ready::NONE,
            is_full: false,
            search: None,
            stats: Stats::new(now),
            share: Share::default(),
            reports: None,
            opening,
        }
    }

    /// A segment of this flow came in, its checksum verified; `payload` has had the header taken off.
    pub fn on_segment(&mut self, seg: &Header, payload: Packet, cx: &mut Cx<'_>) {
        self.handle_segment(seg, payload, cx);
        self.arm_timers(cx.now);
    }

    /// The time of [`Connection::poll_deadline`] has come.
    pub fn on_timer(&mut self, cx: &mut Cx<'_>) {
        while let Some(timer) = self.timers.take_expired(cx.now) {
            match timer {
                Timer::Retransmit => self.on_retransmit_timeout(cx),
                Timer::DelayedAck => self.on_ack_delay_over(cx),
                Timer::Persist => self.on_persist_timeout(cx),
                Timer::KeepAlive => self.on_keepalive_timeout(cx),
                Timer::UserTimeout => self.on_user_timeout(cx),
                Timer::Cork => {
                    self.pending.force = true;
                    self.pending.push.finish();
                }
                Timer::FinWait2 => self.finish(),
                Timer::TimeWait => {
                    cx.mib.tcp_time_waited += 1;
                    self.finish();
                }
                Timer::Reo => self.on_reordering_timeout(cx),
                Timer::Tlp => self.on_probe_timeout(cx),
                // What waited is asked for by [`Connection::poll_transmit`].
                Timer::Pacing => {}
            }
        }
        self.arm_timers(cx.now);
    }

    /// When [`Connection::on_timer`] wants to be called next.
    #[must_use]
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The two ends.
    pub fn flow(&self) -> Flow {
        self.flow
    }

    /// The present maximum segment size for sending, bytes (TCP_MAXSEG): without the options every segment has.
    pub fn mss(&self) -> u16 {
        self.segment_limit() - self.options_len() as u16
    }

    /// The largest segment we send, options included in it.
    pub(super) fn segment_limit(&self) -> u16 {
        mss::limit(self.peer_mss, &self.settings, &self.path, self.flow.remote.addr).min(self.searched_limit())
    }

    /// Bytes of the options that every segment has.
    pub(super) fn options_len(&self) -> u32 {
        if self.clock.is_on() { 12 } else { 0 }
    }

    /// The payload of a full segment now, bytes: less than the maximum where every segment has Accurate ECN's option.
    pub(super) fn segment_size(&self) -> u16 {
        self.mss().saturating_sub(self.accecn_overhead()).max(1)
    }

    /// The largest payload of a segment we take: what our MSS option said, without the time stamps each has.
    pub(super) fn advertised_mss(&self) -> u16 {
        let advertised = mss::advertised(&self.settings, &self.path, self.flow.remote.addr);
        advertised - self.options_len() as u16
    }

    /// accept(2) has taken it: from here on its buffers may grow beyond the first window.
    pub fn on_accepted(&mut self) {
        self.life.unaccepted = false;
    }

    /// An error that was taken is pending again.
    pub fn keep_error(&mut self, error: Error) {
        self.life.error = Some(error);
    }

    /// The pending error.
    pub fn error(&self) -> Option<Error> {
        self.life.error
    }

    /// Takes the pending error (SO_ERROR).
    pub fn take_error(&mut self) -> Option<Error> {
        self.life.error.take()
    }

    /// Whether an error is pending.
    pub fn has_failed(&self) -> bool {
        self.life.error.is_some()
    }

    /// Bytes sent or queued and not acknowledged, our FIN included (SIOCOUTQ).
    pub fn unacknowledged(&self) -> usize {
        (self.snd.end() - self.snd.una()) as usize
    }

    /// Whether nothing is left to be done: closed, all segments taken, and (after [`Connection::close`]) ready to be
    /// forgotten.
    pub fn is_finished(&self) -> bool {
        self.state == State::Closed && self.pending.reset.is_none() && (self.life.orphan || self.life.embryo)
    }

    /// The application changed [`Connection::settings`].
    pub fn on_settings_changed(&mut self, cx: &mut Cx<'_>) {
        self.window.on_settings_changed(&self.settings);
        // TCP_QUICKACK reads back the mode it sets, so a difference is the user's wish.
        self.acks.set_interactive(!self.settings.quickack);
        // TCP_NODELAY releases what waits, however often it is set, and corked or not (as Linux).
        self.pending.force |= std::mem::take(&mut self.settings.pushes) && self.snd.unsent_data() > 0;
        if self.cc.name() != self.settings.congestion
            && let Some(cc) = AnyController::named(self.settings.congestion, self.segment_size())
        {
            self.cc = cc;
        }
        self.on_segment_size_changed();
        self.on_keepalive_changed(cx.now);
        if !self.settings.cork {
            self.timers.stop(Timer::Cork);
        }
        self.note_room();
        self.arm_timers(cx.now);
    }

    /// Sets the timers that follow from the state of things rather than from an event.
    pub(super) fn arm_timers(&mut self, now: Instant) {
        let owed = self.state != State::Closed && self.acks.owed() == super::ack::Owed::Delayed;
        if owed && !self.timers.is_set(Timer::DelayedAck) {
            self.timers.set(Timer::DelayedAck, now + self.acks.delay(self.rtt.srtt()));
        }
        self.settings.quickack = !self.acks.is_interactive();
    }

    /// The acknowledgement has waited long enough.
    fn on_ack_delay_over(&mut self, cx: &mut Cx<'_>) {
        if self.acks.owed() == super::ack::Owed::Delayed {
            cx.mib.tcp_delayed_acks += 1;
            self.acks.on_delay_over(self.rtt.rto());
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} > {} {:?}", self.flow.local, self.flow.remote, self.state)
    }
}
