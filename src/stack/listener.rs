//! Listening sockets: SYN queue, accept queue, and who may enter them.

use super::{
    SocketId, SocketSettings, Stack,
    fastopen::{Unconfirmed, Verdict},
    journal::Kind,
    net::Hop,
    sockets::{Body, Entry, Owner, Phase, Stage},
};
use crate::{
    addr::{Endpoint, Flow},
    buf::Packet,
    error::{Error, Result},
    ready::Ready,
    tcp::{self, Connection, State},
    time::Instant,
    wire::tcp::{Flags, Header},
};
use std::collections::VecDeque;

/// The SYN queue holds at least this many, whatever the backlog.
const MIN_SYN_QUEUE: usize = 128;
/// The SYN queue holds at most this many (Linux's tcp_max_syn_backlog), and so does the accept queue (somaxconn).
const MAX_QUEUE: usize = 4096;

/// A listener's part of its socket.
pub struct Listener {
    /// Options its connections inherit.
    pub settings: tcp::Settings,
    backlog: usize,
    /// Connections in the SYN queue.
    embryos: usize,
    accept: VecDeque<SocketId>,
    /// Fast connections that are not yet confirmed.
    pub(super) unconfirmed: Unconfirmed,
    /// When a SYN was last answered by a cookie.
    pub(super) cookies_at: Option<Instant>,
}

impl Listener {
    fn new(settings: tcp::Settings, backlog: usize) -> Self {
        Self {
            settings,
            backlog: backlog.min(MAX_QUEUE),
            embryos: 0,
            accept: VecDeque::new(),
            unconfirmed: Unconfirmed::default(),
            cookies_at: None,
        }
    }

    /// Whether the accept queue is full: with a backlog of n there is room for n + 1, as on Linux.
    pub fn is_full(&self) -> bool {
        self.accept.len() > self.backlog
    }

    fn is_syn_queue_full(&self) -> bool {
        self.embryos >= self.backlog.clamp(MIN_SYN_QUEUE, MAX_QUEUE)
    }

    /// TCP_INFO of a listener, as Linux fills it: the accept queue's length and limit stand in `unacked` and `sacked`.
    pub fn info(&self) -> tcp::info::Info {
        tcp::info::Info {
            state: State::Listen as u8,
            unacked: self.accept.len() as u32,
            sacked: self.backlog as u32,
            ..tcp::info::Info::default()
        }
    }

    /// Present readiness.
    pub fn ready(&self) -> Ready {
        if self.accept.is_empty() { Ready::NONE } else { Ready::IN | Ready::RDNORM }
    }
}

impl Stack {
    /// listen(2). A second call changes the backlog.
    ///
    /// # Errors
    /// `NotSupported` (datagram), `Invalid` (connected), `AddrInUse`, `NetDown` (the device is gone).
    pub fn listen(&mut self, id: SocketId, backlog: usize, now: Instant) -> Result<()> {
        let entry = self.sockets.owned_mut(id)?;
        match &mut entry.body {
            Body::Listener(listener) => {
                listener.backlog = backlog.min(MAX_QUEUE);
                return Ok(());
            }
            Body::Datagram(_) => return Err(Error::NotSupported),
            Body::Connection(_) if entry.phase != Phase::Unconnected => return Err(Error::Invalid),
            Body::Connection(_) | Body::Idle(_) => {}
        }
        self.make_idle(id, now);
        if self.sockets.owned(id)?.binding.is_none() {
            let bound = self.sockets.owned(id)?.bound;
            self.may_serve(id, bound.addr)?;
            self.bind_to(id, bound, now)?;
        }
        self.rebind(id, |binding| binding.listening = true)?;
        let entry = self.sockets.owned_mut(id)?;
        let Body::Idle(settings) = &entry.body else { return Err(Error::Invalid) };
        entry.body = Body::Listener(Box::new(Listener::new((**settings).clone(), backlog)));
        self.place_listener(id);
        Ok(())
    }

    /// Takes a connection from a listener's accept queue.
    ///
    /// # Errors
    /// `WouldBlock`, `Invalid` (not listening), `NotSupported` (datagram).
    pub fn accept(&mut self, id: SocketId, _now: Instant) -> Result<(SocketId, Flow)> {
        let entry = self.sockets.owned_mut(id)?;
        let is_down = entry.is_down;
        let listener = match &mut entry.body {
            Body::Listener(listener) => listener,
            Body::Datagram(_) => return Err(Error::NotSupported),
            Body::Idle(_) | Body::Connection(_) => return Err(Error::Invalid),
        };
        let pending = if is_down { Error::NetDown } else { Error::WouldBlock };
        let child = listener.accept.pop_front().ok_or(pending)?;
        let entry = self.sockets.lookup_mut(child).ok_or(Error::WouldBlock)?;
        entry.owner = Owner::Application;
        let Body::Connection(connection) = &mut entry.body else { return Err(Error::ConnectionAborted) };
        // Edges from before the application knew the socket are no news to it.
        let _before = connection.poll_events();
        connection.on_accepted();
        Ok((child, connection.flow()))
    }

    /// A segment for a listener (RFC 9293 section 3.10.7.2).
    pub(super) fn on_listener_segment(
        &mut self,
        id: SocketId,
        flow: Flow,
        seg: &Header,
        payload: Packet,
        now: Instant,
    ) {
        if seg.flags.contains(Flags::RST) {
            return;
        }
        if seg.flags.contains(Flags::ACK) {
            return match self.on_cookie(id, flow, seg, payload, now) {
                Ok(()) => {}
                Err(payload) => self.refuse(flow, seg, payload.len(), now),
            };
        }
        if !seg.flags.contains(Flags::SYN) || seg.flags.contains(Flags::FIN) {
            return;
        }
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Listener(listener) = &mut entry.body else { return };
        let has_no_room = !self.memory.admits();
        // Who has shown by a cookie that it is there comes before those who have shown nothing.
        let is_reserved = self.memory.is_crowded() && self.knobs.syncookies != 0;
        let is_flooded = listener.is_syn_queue_full() || has_no_room || is_reserved;
        if listener.is_full() || (is_flooded && self.knobs.syncookies == 0) {
            self.world.mib.tcp_listen_overflows += u64::from(listener.is_full());
            self.world.mib.tcp_req_q_full_drop += u64::from(!listener.is_full());
            self.world.mib.tcp_listen_drops += 1;
            let why = match (listener.is_full(), has_no_room) {
                (true, _) => "the accept queue",
                (false, true) => "the memory",
                (false, false) => "the SYN queue",
            };
            self.journal.say(Kind::Refused, now, || {
                let Flow { local, remote } = flow;
                format!("{remote} has to wait: {why} of the listener at {local} is full")
            });
            return;
        }
        let by_cookie = is_flooded || self.knobs.syncookies == 2;
        if by_cookie {
            listener.cookies_at = Some(now);
            self.world.mib.tcp_req_q_full_do_cookies += u64::from(is_flooded);
        }
        let options = tcp::Settings { knobs: self.knobs.clone(), ..listener.settings.clone() };
        let settings = entry.settings.clone();
        let Ok(hop) = self.net.hop(flow.remote.addr, settings.via(flow.remote.addr), now) else { return };
        if by_cookie {
            return self.send_cookie(flow, (seg, payload.meta.ecn), options, &hop, now);
        }
        let verdict = self.judge_fast(id, seg, !payload.is_empty(), (flow.remote.addr, flow.local.addr), now);
        let mut cx = self.world.cx(now);
        let mut connection = Connection::accept(flow, seg, options, hop.path, &self.secret, &mut cx);
        connection.note_syn_field(payload.meta.ecn);
        match verdict {
            Verdict::Slow => {}
            Verdict::Grant(cookie) => connection.grant(cookie),
            Verdict::Trust(reply) => connection.accept_fast(payload, reply, &mut cx),
        }
        if let Some(child) = self.add_child(id, flow, connection, settings, hop, now) {
            self.guarded(child, now, |stack| stack.after(child, now));
        }
    }

    /// Puts a connection made for a listener into its queue.
    pub(super) fn add_child(
        &mut self,
        id: SocketId,
        flow: Flow,
        connection: Connection,
        settings: SocketSettings,
        hop: Hop,
        now: Instant,
    ) -> Option<SocketId> {
        let stage = if connection.is_fast_passive() { Stage::Queued } else { Stage::Embryo };
        if !self.memory.admits() {
            self.world.mib.tcp_listen_drops += 1;
            return None;
        }
        // The child keeps its listener's address, but nobody bound the port for it: should it let go of its peer
        // (connect(2) with AF_UNSPEC), then the port is the listener's alone.
        let bound = Endpoint::new(self.sockets.lookup(id)?.bound.addr, 0);
        let cx = self.world.cx(now);
        let child = Entry {
            phase: Phase::Connected,
            local: flow.local,
            hop: Some(hop),
            ident: cx.rng.u32() as u16,
            settings,
            ..Entry::new(Owner::Listener(id, stage), bound, Body::Connection(Box::new(connection)))
        };
        let child = self.sockets.insert(child).ok()?;
        let binding = self.claim(child, flow.local, false);
        if let (Some(entry), Some(binding)) = (self.sockets.lookup_mut(child), binding) {
            self.ports.add(binding);
            entry.binding = Some(binding);
        }
        match (self.listener_mut(id), stage) {
            (Some(listener), Stage::Embryo) => listener.embryos += 1,
            (Some(listener), Stage::Queued) => {
                listener.accept.push_back(child);
                self.on_fast_child(id, child);
                self.events.push_back((id, Ready::IN | Ready::RDNORM));
            }
            (None, _) => {}
        }
        self.demux.add_connection(flow, child);
        Some(child)
    }

    /// Whether a segment may go on to a connection that is not accepted yet: the one that would complete the
    /// handshake waits (for its retransmission) while the accept queue is full.
    pub(super) fn may_complete(&mut self, parent: SocketId, seg: &Header) -> bool {
        let is_full = self.listener_mut(parent).is_some_and(|listener| listener.is_full());
        if is_full && seg.flags.contains(Flags::ACK) && !seg.flags.contains(Flags::RST) {
            self.world.mib.tcp_listen_overflows += 1;
            return false;
        }
        true
    }

    /// Something happened on a connection that is not accepted yet.
    pub(super) fn on_child_progress(&mut self, child: SocketId, parent: SocketId, stage: Stage, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(child) else { return };
        let Body::Connection(connection) = &entry.body else { return };
        match (stage, connection.state()) {
            (Stage::Queued, _) | (Stage::Embryo, State::SynReceived) => {}
            (Stage::Embryo, State::Closed) => {
                self.leave_syn_queue(parent);
                self.disown(child, now);
            }
            (Stage::Embryo, _) => {
                entry.owner = Owner::Listener(parent, Stage::Queued);
                self.leave_syn_queue(parent);
                if let Some(listener) = self.listener_mut(parent) {
                    listener.accept.push_back(child);
                    self.events.push_back((parent, Ready::IN | Ready::RDNORM));
                }
            }
        }
    }

    fn leave_syn_queue(&mut self, parent: SocketId) {
        if let Some(listener) = self.listener_mut(parent) {
            listener.embryos = listener.embryos.saturating_sub(1);
        }
    }

    pub(super) fn listener_mut(&mut self, id: SocketId) -> Option<&mut Listener> {
        match &mut self.sockets.lookup_mut(id)?.body {
            Body::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    /// A listener ends: what nobody has accepted is reset. The socket is idle again, and keeps its port.
    pub(super) fn stop_listening(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Listener(listener) = &entry.body else { return };
        let port = entry.local.port;
        entry.body = Body::Idle(Box::new(listener.settings.clone()));
        self.demux.remove_listener(port, id);
        let _fewer_claims_never_conflict = self.rebind(id, |binding| binding.listening = false);
        let stage = |entry: &Entry| match entry.owner {
            Owner::Listener(parent, stage) if parent == id => Some(stage),
            _ => None,
        };
        let children: Vec<_> = self.sockets.iter().filter_map(|(id, entry)| Some((id, stage(entry)?))).collect();
        for (child, stage) in children {
            // Half a handshake is forgotten without a word (as Linux).
            if stage == Stage::Embryo {
                self.free(child, now);
                continue;
            }
            if let Some(Entry { body: Body::Connection(connection), .. }) = self.sockets.lookup_mut(child) {
                connection.abort(&mut self.world.cx(now));
            }
            self.disown(child, now);
        }
    }
}
