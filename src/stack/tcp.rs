//! TCP under the stack: segments in, segments out, and what is to be looked at after anything happened to a connection.

use super::{
    SocketId, Stack,
    fastopen::Standing,
    iface::IfaceId,
    journal::{Journal, Kind, Way},
    net::{Link, prepend_ipv4},
    settings::{MtuDiscover, Via},
    sockets::{Body, Entry, Owner, Stage},
    time_wait::Waiting,
};
use crate::{
    addr::{Endpoint, Flow},
    buf::{Frame, Packet},
    cx::Cx,
    ready::Ready,
    tcp::{State, TimeWaitVerdict, abort, ecn},
    time::Instant,
    wire::{checksum, ipv4, protocol, tcp},
};
use std::net::IpAddr;

/// What came of asking a socket for its next segment.
#[allow(clippy::large_enum_variant)] // taken apart at once
pub(super) enum Transmit {
    /// There is none now.
    Nothing,
    /// It stays in the stack, or waits for its neighbour.
    Elsewhere,
    /// It is for the device.
    Frame(Frame),
}

impl Stack {
    /// A TCP segment came in, its IP header taken off.
    pub(super) fn on_tcp(&mut self, iface: IfaceId, header: &ipv4::Header, mut packet: Packet, now: Instant) {
        let (src, dst) = (IpAddr::V4(header.src), IpAddr::V4(header.dst));
        if !packet.meta.checksum_ok && !tcp::verify(src, dst, packet.bytes()) {
            self.world.mib.tcp_in_csum_errors += 1;
            self.world.mib.tcp_in_errs += 1;
            return;
        }
        let Some((seg, len)) = tcp::Header::parse(packet.bytes()) else {
            self.world.mib.tcp_in_errs += 1;
            return;
        };
        packet.advance(len);
        packet.meta.ecn = header.tos & ecn::codepoint::MASK;
        self.world.mib.tcp_in_segs += 1;
        let flow = Flow { local: Endpoint::new(dst, seg.dst_port), remote: Endpoint::new(src, seg.src_port) };
        if Journal::is_on(Kind::Segment) {
            self.trace_arrival(iface, &flow, &seg, packet.len(), now);
        }
        if let Some(id) = self.demux.connection(&flow).filter(|id| self.hears(*id, iface)) {
            // Only a SYN asks for room, and few segments are one.
            let gives_way =
                seg.flags.contains(tcp::Flags::SYN) && self.gives_way(id, &flow, iface, &seg, packet.len(), now);
            if !gives_way {
                self.guarded(id, now, |stack| stack.on_connection_segment(id, &seg, packet, now));
                return;
            }
        } else if let Some(waiting) = self.time_waits.lookup(&flow) {
            match waiting.state.on_segment(&seg, packet.len(), now) {
                TimeWaitVerdict::Drop => return,
                TimeWaitVerdict::Skip => return self.world.mib.tcp_ack_skipped_time_wait += 1,
                TimeWaitVerdict::End => return self.forget_time_wait(&flow),
                TimeWaitVerdict::Reply(reply) => return self.send_segment(flow, &reply, now),
                TimeWaitVerdict::Reopen(reply) if self.demux.listener(&flow, iface).is_none() => {
                    return self.send_segment(flow, &reply, now);
                }
                TimeWaitVerdict::Reopen(_) => self.forget_time_wait(&flow),
            }
        }
        match self.demux.listener(&flow, iface) {
            Some(id) => {
                let seg = ecn::sanitized(seg, packet.meta.ecn);
                self.on_listener_segment(id, flow, &seg, packet, now);
            }
            None => self.refuse(flow, &seg, packet.len(), now),
        }
    }

    /// Whether connection `id`, in TIME-WAIT though somebody still holds its socket, makes room for the one that a SYN
    /// opens with a listener; then it is over.
    fn gives_way(
        &mut self,
        id: SocketId,
        flow: &Flow,
        iface: IfaceId,
        seg: &tcp::Header,
        payload: usize,
        now: Instant,
    ) -> bool {
        let Some(Entry { body: Body::Connection(connection), .. }) = self.sockets.lookup_mut(id) else { return false };
        if !connection.gives_way(seg, payload, now) || self.demux.listener(flow, iface).is_none() {
            return false;
        }
        connection.give_way();
        self.after(id, now);
        true
    }

    /// Whether a socket takes what comes in by `iface` (SO_BINDTODEVICE).
    fn hears(&self, id: SocketId, iface: IfaceId) -> bool {
        self.sockets.lookup(id).is_some_and(|entry| entry.settings.iface.is_none_or(|only| only == iface))
    }

    pub(super) fn on_connection_segment(&mut self, id: SocketId, seg: &tcp::Header, packet: Packet, now: Instant) {
        if let Some(&Entry { owner: Owner::Listener(parent, Stage::Embryo), .. }) = self.sockets.lookup(id)
            && !self.may_complete(parent, seg)
        {
            return;
        }
        let epoch = self.net.epoch();
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let unacknowledged = connection.unacknowledged();
        let standing = Standing::of(connection);
        let before = connection.state();
        self.memory.inform(connection);
        connection.on_segment(seg, packet, &mut self.world.cx(now));
        connection.note_reports(now);
        self.journal.on_progress(connection, before, now);
        // An acknowledgement of new data proves that the neighbour passes our segments on (RFC 4861 section 7.3.1).
        if connection.unacknowledged() < unacknowledged
            && let Some(hop) = &entry.hop
            && let Link::Neighbour(neighbour) = hop.link
            && hop.epoch == epoch
        {
            self.net.neighbours.confirm(neighbour, &mut *self.world.rng, now);
        }
        match standing {
            Standing::Other => {}
            Standing::Asking => self.learn_server(id),
            Standing::Unconfirmed if seg.flags.contains(tcp::Flags::RST) && connection.state() == State::Closed => {
                let flow = connection.flow();
                if let Some(listener) = self.demux.listener(&flow, IfaceId::DEVICE) {
                    self.on_fast_reset(listener, id, now);
                }
            }
            Standing::Unconfirmed => {}
        }
        self.after(id, now);
    }

    /// Answers a segment that belongs to no connection (RFC 9293 section 3.10.7.1).
    pub(super) fn refuse(&mut self, flow: Flow, seg: &tcp::Header, payload: usize, now: Instant) {
        if let Some(reset) = abort::reset_for(seg, payload) {
            if seg.flags.contains(tcp::Flags::SYN) && !seg.flags.contains(tcp::Flags::ACK) {
                let Flow { local, remote } = flow;
                self.journal.say(Kind::Refused, now, || format!("{remote} is refused: nobody listens at {local}"));
            }
            self.world.mib.tcp_out_rsts += 1;
            self.send_segment(flow, &reset, now);
        }
    }

    /// Sends a segment that no connection owns.
    pub(super) fn send_segment(&mut self, flow: Flow, seg: &tcp::Header, now: Instant) {
        let Ok(hop) = self.net.hop(flow.remote.addr, Via::default(), now) else { return };
        if Journal::is_on(Kind::Segment) {
            self.journal.on_segment(Way::Out, &flow, seg, 0, State::Closed, now);
        }
        let mut frame = Frame::new();
        seg.emit(frame.append(seg.len()));
        let sum = checksum::pseudo_header(flow.local.addr, flow.remote.addr, protocol::TCP, seg.len());
        let field = tcp::CHECKSUM_FIELD;
        frame.head_mut()[field..field + 2].copy_from_slice(&checksum::fold(sum).to_be_bytes());
        frame.set_partial_checksum(field);
        self.world.mib.tcp_out_segs += 1;
        let header = ipv4::Header { protocol: protocol::TCP, ..ipv4::Header::default() };
        let _unreachable = self.send_ip(frame, flow, header, &hop, MtuDiscover::Do, now);
    }

    /// Asks a connection for its next segment and sends it on its way.
    pub(super) fn transmit(&mut self, id: SocketId, now: Instant) -> Transmit {
        let epoch = self.net.epoch();
        let Some(entry) = self.sockets.lookup_mut(id) else { return Transmit::Nothing };
        let Body::Connection(connection) = &mut entry.body else { return Transmit::Nothing };
        let mut cx = self.world.cx(now);
        let flow = connection.flow();
        if entry.hop.is_none_or(|hop| hop.epoch != epoch) {
            let hop = self.net.hop(flow.remote.addr, entry.settings.via(flow.remote.addr), now).ok();
            if let Some(hop) = hop
                && entry.hop.is_none_or(|old| old.path != hop.path)
            {
                connection.on_path_changed(hop.path, &mut cx);
            }
            entry.hop = hop;
        }
        if connection.follows_knobs() && connection.settings.follow(&self.knobs) {
            connection.on_settings_changed(&mut cx);
        }
        let mut frame = Frame::new();
        if !connection.poll_transmit(&mut frame, &mut cx) {
            return Transmit::Nothing;
        }
        connection.note_reports(now);
        if Journal::is_on(Kind::Segment)
            && let Some((seg, len)) = tcp::Header::parse(frame.head())
        {
            self.journal.on_segment(Way::Out, &flow, &seg, frame.len() - len, connection.state(), now);
        }
        let (IpAddr::V4(src), IpAddr::V4(dst)) = (flow.local.addr, flow.remote.addr) else { return Transmit::Nothing };
        let Some(hop) = entry.hop else {
            cx.mib.ip_out_no_routes += 1;
            return Transmit::Elsewhere;
        };
        let segments = frame.gso.map_or(1, |gso| frame.len().div_ceil(usize::from(gso.size.max(1))));
        let header = ipv4::Header {
            tos: entry.settings.ip.tos & !ecn::codepoint::MASK | frame.ecn,
            id: entry.ident,
            dont_fragment: match entry.settings.ip.mtu_discover {
                MtuDiscover::Do => true,
                MtuDiscover::Want => !hop.no_df,
                _ => false,
            },
            ttl: entry.settings.ip.ttl,
            protocol: protocol::TCP,
            src,
            dst,
            ..ipv4::Header::default()
        };
        entry.ident = entry.ident.wrapping_add(segments as u16);
        prepend_ipv4(&mut frame, header);
        cx.mib.ip_out_requests += 1;
        self.net.forward(frame, hop.link, &mut cx).map_or(Transmit::Elsewhere, Transmit::Frame)
    }

    /// Something happened to a connection: its events, its timer, its output, and whether its flow is free.
    pub(super) fn after(&mut self, id: SocketId, now: Instant) {
        self.settle_memory(id, now);
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let owner = entry.owner;
        if owner == Owner::Application {
            let events = connection.poll_events();
            if !events.is_empty() {
                self.events.push_back((id, events));
            }
        }
        if connection.state() == State::Closed && self.demux.remove_connection(&connection.flow(), id) {
            self.journal.on_closed(connection, now);
        }
        let drains = owner == Owner::Nobody && connection.unacknowledged() > 0;
        self.draining = self.draining + usize::from(drains) - usize::from(entry.drains);
        entry.drains = drains;
        self.timers.arm(id.index, connection.poll_deadline());
        if !entry.dirty {
            entry.dirty = true;
            let is_local = entry.hop.is_some_and(|hop| hop.link.is_loopback());
            if is_local { self.dirty_local.push_back(id) } else { self.dirty.push_back(id) }
        }
        if let Owner::Listener(parent, stage) = owner {
            self.on_child_progress(id, parent, stage, now);
        }
    }

    /// A connection has sent all that it may: is it the last we hear of it?
    pub(super) fn on_drained(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        entry.dirty = false;
        let Body::Connection(connection) = &mut entry.body else { return };
        self.timers.arm(id.index, connection.poll_deadline());
        if entry.owner == Owner::Application {
            let events = connection.poll_events();
            if !events.is_empty() {
                self.events.push_back((id, events));
            }
        }
        if entry.owner != Owner::Nobody {
            return;
        }
        let (flow, is_finished) = (connection.flow(), connection.is_finished());
        let time_wait = if connection.state() == State::TimeWait { connection.to_time_wait() } else { None };
        if let Some(state) = time_wait {
            let binding = entry.binding.take();
            self.free(id, now);
            let limit = self.time_wait_limit();
            if let Err(Waiting { binding, .. }) = self.time_waits.add(flow, Waiting { state, binding }, limit) {
                binding.iter().for_each(|binding| self.ports.remove(binding));
                self.world.mib.tcp_time_wait_overflow += 1;
            }
        } else if is_finished {
            self.free(id, now);
        }
    }

    /// Takes a socket out of every table.
    pub(super) fn free(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.remove(id) else { return };
        self.timers.disarm(id.index);
        self.orphans -= usize::from(entry.owner == Owner::Nobody);
        self.draining -= usize::from(entry.drains);
        if let Some(binding) = entry.binding {
            self.ports.remove(&binding);
        }
        match entry.body {
            Body::Connection(mut connection) => {
                self.memory.release(&mut connection);
                self.note_relief(now);
                self.demux.remove_connection(&connection.flow(), id);
            }
            Body::Datagram(socket) => {
                self.datagram_memory -= socket.footprint();
                self.demux.remove_datagrams(entry.local.port, id);
            }
            Body::Listener(_) | Body::Idle(_) => {}
        }
    }

    /// TIME-WAIT ends, or gives way.
    fn forget_time_wait(&mut self, flow: &Flow) {
        if let Some(waiting) = self.time_waits.remove(flow) {
            waiting.binding.iter().for_each(|binding| self.ports.remove(binding));
        }
    }

    /// The timers of TIME-WAIT.
    pub(super) fn expire_time_waits(&mut self, share: usize, now: Instant) {
        for _ in 0..share {
            let Some(waiting) = self.time_waits.poll_expired(now) else { return };
            waiting.binding.iter().for_each(|binding| self.ports.remove(binding));
            self.world.mib.tcp_time_waited += 1;
        }
    }

    /// A connection's timer may have fired.
    pub(super) fn on_connection_timer(&mut self, id: SocketId, now: Instant) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let deadline = connection.poll_deadline();
        if deadline.is_some_and(|deadline| deadline <= now) {
            let before = connection.timeouts_in_a_row();
            connection.on_timer(&mut self.world.cx(now));
            self.journal.on_timeouts(connection, before, now);
            self.after(id, now);
        } else {
            self.timers.arm(id.index, deadline);
        }
    }

    /// Puts readiness on the list for the layer above.
    pub(super) fn announce(&mut self, id: SocketId, ready: Ready) {
        if !ready.is_empty() {
            self.events.push_back((id, ready));
        }
    }
}

/// The context of an event, from the parts of a stack that every protocol function needs.
impl super::World {
    pub(super) fn cx(&mut self, now: Instant) -> Cx<'_> {
        Cx { now, rng: &mut *self.rng, mib: &mut self.mib }
    }
}
