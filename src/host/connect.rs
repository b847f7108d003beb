//! Connections that programs make: from the header at their end to the bridge, or to the reason why there is none.

use super::{
    bridge::{Bridge, CHUNK},
    listener::Held,
    request::{endpoint, mapped},
    slot::{Host, Item},
};
use crate::{
    addr::Endpoint,
    error::Error,
    socket::{detached::Detached, errno},
    stack::{Family, Protocol},
    sys::unix::{self, Peer},
};
use sockeye_shim::{
    address::Address,
    format::{ConnectHeader, KEEPALIVE, REUSEADDR},
    name::Meaning,
    tag::Tag,
};
use std::{
    collections::{HashMap, VecDeque},
    io,
    os::fd::{AsFd, OwnedFd},
};

/// How many connection attempts' ends are remembered for programs that ask later.
const REMEMBERED: usize = 4096;

/// A connection that is being made.
pub struct Connecting {
    /// Our end of the program's socket, header and zeros still in it.
    pub end: OwnedFd,
    /// The connection.
    pub socket: Detached,
    remote: Endpoint,
    filled: usize,
    id: u64,
    source: Address,
}

/// How connection attempts ended.
#[derive(Default)]
pub struct Outcomes {
    known: HashMap<u64, (i32, Address, Address)>,
    order: VecDeque<u64>,
}

impl Outcomes {
    /// The attempt of `id` failed.
    pub fn failed(&mut self, id: u64, errno: i32) {
        self.note(id, (errno, Address::NONE, Address::NONE));
    }

    fn note(&mut self, id: u64, outcome: (i32, Address, Address)) {
        if self.known.insert(id, outcome).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The socket makes a new attempt, or is gone.
    fn forget(&mut self, id: u64) {
        if self.known.remove(&id).is_some() {
            self.order.retain(|known| *known != id);
        }
    }

    /// How the attempt of `id` ended: errno, and the two addresses.
    pub fn of(&self, id: u64) -> Option<(i32, Address, Address)> {
        self.known.get(&id).copied()
    }
}

fn begin(header: &ConnectHeader, socket: &Detached) -> Result<Endpoint, Error> {
    let flag = |flag: u16| header.flags & u32::from(flag) != 0;
    let remote = endpoint(&header.destination)?;
    socket.with(|stack, id, now| {
        let settings = stack.tcp_settings(id)?;
        settings.nodelay |= flag(Tag::NODELAY);
        settings.keepalive |= header.flags & KEEPALIVE != 0;
        stack.settings(id)?.reuse_addr |= header.flags & REUSEADDR != 0;
        stack.on_settings_changed(id, now);
        Ok(())
    })?;
    match socket.with(|stack, id, now| stack.connect(id, remote, now)) {
        Ok(()) | Err(Error::InProgress) => Ok(remote),
        Err(error) => Err(error),
    }
}

/// An attempt that failed.
struct Ended {
    id: u64,
    socket: Detached,
    source: Address,
}

impl Host {
    /// Takes the ends that programs have connected.
    pub fn take_connects(&mut self) {
        loop {
            match unix::accept(self.gate.connect.as_fd()) {
                Ok(end) => {
                    // What its program has said of the socket before.
                    self.hear_programs();
                    let number = self.reserve();
                    let events = libc::EPOLLIN | libc::EPOLLPRI | libc::EPOLLOUT | libc::EPOLLRDHUP;
                    if self.interest.add(&end, events, number).is_ok() {
                        self.read_header(number, end);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.raw_os_error() == Some(libc::ECONNABORTED) => {}
                Err(error) => {
                    self.life.on_shortage(self.engine.now(), &error);
                    return;
                }
            }
        }
    }

    /// Looks for the header at a program's end, and begins the connection. An end without a proper one is closed.
    pub fn read_header(&mut self, number: u64, end: OwnedFd) {
        let mut bytes = [0; ConnectHeader::SIZE];
        match unix::recv(end.as_fd(), &mut bytes, libc::MSG_PEEK) {
            Ok(n) if n == bytes.len() => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.put(number, Item::Header(end), None);
            }
            // The header is written at once: what is shorter is none.
            _ => return,
        }
        let peer = unix::peer(end.as_fd());
        let Ok(header) = ConnectHeader::from_bytes(&bytes) else { return };
        if !self.guard.admits(&header.token, peer.map(|peer| peer.uid)) {
            log::warn!("a connection without the stack's token is refused");
            return self.outcomes.failed(header.id, libc::EACCES);
        }
        self.outcomes.forget(header.id);
        let is_v6 = header.flags & u32::from(Tag::V6) != 0;
        let begun = self.held_for_connect(header.id, is_v6).map(|socket| (begin(&header, &socket), socket));
        let (remote, socket) = match begun {
            Ok((Ok(remote), socket)) => (remote, socket),
            Ok((Err(error), socket)) => {
                self.outcomes.failed(header.id, errno::of(error));
                return self.keep(number, Ended { id: header.id, socket, source: header.source }, peer);
            }
            Err(error) => return self.outcomes.failed(header.id, errno::of(error)),
        };
        let (filled, id, source) = (header.filled as usize, header.id, header.source);
        self.watch(socket.id(), number);
        self.put(number, Item::Connecting(Connecting { end, socket, remote, filled, id, source }), Some(id));
    }

    /// Keeps the socket of an attempt that failed, with its address and options, for another.
    fn keep(&mut self, number: u64, ended: Ended, peer: Option<Peer>) {
        let Ended { id, socket, source } = ended;
        let now = self.engine.now();
        self.engine.forget(socket.id());
        let mut held = Held::new(socket, now);
        held.pid = peer.map_or(0, |peer| peer.pid);
        if source != Address::NONE
            && let Some(name) = (Meaning::Bound { id, local: source }).name(&self.name)
        {
            held.named(name.as_bytes().to_vec(), now);
        }
        self.put(number, Item::Held(Box::new(held)), Some(id));
    }

    /// The socket that the program has bound or given options, or a new one.
    fn held_for_connect(&mut self, id: u64, is_v6: bool) -> Result<Detached, Error> {
        let slot = self.ids.get(&id).copied();
        if let Some(slot) = slot.filter(|_| matches!(self.named(id), Some(Item::Held(_))))
            && let Some(Item::Held(held)) = self.take(slot).map(|slot| slot.item)
        {
            let Held { socket, .. } = *held;
            return Ok(socket);
        }
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        Detached::open(self.stack, family, Protocol::Tcp)
    }

    /// Something happened to a connection that is being made, or to the program's end of it.
    pub fn advance(&mut self, number: u64, connecting: Connecting, events: u32) {
        let Connecting { end, socket, remote, filled, id, source } = connecting;
        if events & (libc::EPOLLHUP | libc::EPOLLERR) as u32 != 0 {
            return self.outcomes.forget(id);
        }
        match socket.with(|stack, id, now| stack.connect(id, remote, now)) {
            Ok(()) | Err(Error::IsConnected) => {}
            Err(Error::InProgress | Error::Already) => {
                let connecting = Connecting { end, socket, remote, filled, id, source };
                return self.put(number, Item::Connecting(connecting), Some(id));
            }
            // Closing with the header unread shows ERR and HUP.
            Err(error) => {
                self.outcomes.failed(id, errno::of(error));
                let peer = unix::peer(end.as_fd());
                return self.keep(number, Ended { id, socket, source }, peer);
            }
        }
        let names =
            socket.with(|stack, id, _| Ok((stack.local_endpoint(id)?, stack.remote_endpoint(id).unwrap_or(remote))));
        let (local, remote) = names.map_or((Address::NONE, mapped(remote)), |(l, r)| (mapped(l), mapped(r)));
        self.outcomes.note(id, (0, local, remote));
        if !self.drain(&end, filled - 1) {
            return;
        }
        self.put(number, Item::Bridge(Box::new(Bridge::connected(end, socket))), Some(id));
        self.again.push(number);
    }

    /// Reads header and zeros, which makes the program's end writable. False if they are not all there. The last of the
    /// zeros stays: see the bridge.
    fn drain(&mut self, end: &OwnedFd, filled: usize) -> bool {
        let mut left = filled;
        while left > 0 {
            match unix::recv(end.as_fd(), &mut self.buffer[..left.min(CHUNK)], 0) {
                Ok(n) if n > 0 => left -= n,
                _ => return false,
            }
        }
        true
    }
}
