//! Connections that programs make: from their end, which the host connects to one of its own and fills, to the bridge,
//! or to the reason why there is none.

use super::{
    bridge::{Bridge, CHUNK},
    directory::Place,
    end::End,
    lent::Lent,
    listener::Held,
    request::{endpoint, is_v6only},
    slot::{GIVEN, Host, Item},
};
use crate::{
    addr::Endpoint,
    error::Error,
    shrink,
    socket::{detached::Detached, errno, inspect::mapped},
    stack::{Family, Protocol},
    sys::unix,
};
use sockeye_shim::{
    address::Address,
    format::{KEEPALIVE, REUSEADDR, Request, Response},
    tag::Tag,
};
use std::{
    collections::{HashMap, VecDeque},
    os::fd::AsFd,
};

/// How many connection attempts' ends are remembered for programs that ask later: as many as they may have under way.
const REMEMBERED: usize = 16_384;

/// A connection that is being made.
pub struct Connecting {
    attempt: Attempt,
    remote: Endpoint,
    /// How many zeros are in our end before the last.
    filled: usize,
}

/// What a connection is made of.
struct Attempt {
    /// Our end of the program's socket.
    end: End,
    socket: Detached,
    id: u64,
    known: Option<Known>,
}

/// What the program has told of the socket before, its address and its options: another attempt is to find it.
struct Known {
    place: Option<Place>,
    inode: u32,
}

impl Connecting {
    /// Our end.
    pub fn end(&self) -> &End {
        &self.attempt.end
    }

    /// The same, to be told of events.
    pub fn end_mut(&mut self) -> &mut End {
        &mut self.attempt.end
    }

    /// The connection.
    pub fn socket(&self) -> &Detached {
        &self.attempt.socket
    }

    /// Whether the program has gone without leaving anything to be sent: nobody wants the connection any more.
    fn is_abandoned(&self) -> bool {
        let end = &self.attempt.end;
        end.is_closed() && unix::queued(end.as_fd()).is_ok_and(|queued| queued <= self.filled + 1)
    }

    /// Reads what fills the program's end, which makes it writable. The last byte stays: see the bridge. False if the
    /// kernel does not give it.
    fn drain(&mut self, buffer: &mut [u8]) -> bool {
        while self.filled > 0 {
            match unix::recv(self.attempt.end.as_fd(), &mut buffer[..self.filled.min(CHUNK)], 0) {
                Ok(n @ 1..) => self.filled -= n,
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }
}

/// How connection attempts ended.
#[derive(Default)]
pub struct Outcomes {
    known: HashMap<u64, (i32, Address, Address)>,
    /// In which order, those that were forgotten since among them.
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
        while self.known.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        if self.order.len() > 2 * REMEMBERED {
            self.order.retain(|id| self.known.contains_key(id));
            shrink::queue(&mut self.order);
        }
    }

    /// The socket makes a new attempt, or is gone.
    pub fn forget(&mut self, id: u64) {
        self.known.remove(&id);
        shrink::map(&mut self.known);
    }

    /// How the attempt of `id` ended: errno, and the two addresses.
    pub fn of(&self, id: u64) -> Option<(i32, Address, Address)> {
        self.known.get(&id).copied()
    }
}

fn begin(request: &Request, socket: &Detached) -> Result<Endpoint, Error> {
    let flag = |flag: u16| request.flags & u32::from(flag) != 0;
    let remote = endpoint(&request.address);
    socket.with(|stack, id, now| {
        let settings = stack.tcp_settings(id)?;
        settings.nodelay |= flag(Tag::NODELAY);
        settings.keepalive |= request.flags & KEEPALIVE != 0;
        let settings = stack.settings(id)?;
        settings.reuse_addr |= request.flags & REUSEADDR != 0;
        settings.v6only = is_v6only(request.flags);
        stack.on_settings_changed(id, now);
        Ok(())
    })?;
    match socket.with(|stack, id, now| stack.connect(id, remote, now)) {
        Ok(()) | Err(Error::InProgress) => Ok(remote),
        Err(error) => Err(error),
    }
}

impl Host {
    /// A program connects a socket. From here on its end says how far that is.
    ///
    /// # Errors
    /// Why no packet can be sent for it; the socket is as it was.
    pub fn connect(&mut self, request: &Request, lent: &Lent) -> Result<Response, Error> {
        match self.named(lent.id) {
            Some(Item::Held(held)) if !held.listening => {}
            Some(Item::Connecting(_)) => return Err(Error::Already),
            Some(_) => return Err(Error::IsConnected),
            None if lent.id & GIVEN != 0 => return Err(Error::IsConnected),
            None => {}
        }
        self.outcomes.forget(lent.id);
        let (socket, known) = self.held_for_connect(lent.id, request.flags & u32::from(Tag::V6) != 0)?;
        let remote = match begin(request, &socket) {
            Ok(remote) => remote,
            Err(error) => {
                self.keep(socket, lent.id, known);
                return Err(error);
            }
        };
        let number = self.reserve();
        let (end, filled) = self.join(lent, number)?;
        // The stack's own address is meant by none, and which that is shows when the connection is made.
        let to = if request.address.is_unspecified() { Address::NONE } else { mapped(remote) };
        let local = socket.with(|stack, id, _| stack.local_endpoint(id)).map_or(Address::NONE, mapped);
        self.watch(socket.id(), number);
        let attempt = Attempt { end: End::new(end), socket, id: lent.id, known };
        self.put(number, Item::Connecting(Box::new(Connecting { attempt, remote, filled })), Some(lent.id));
        Ok(Response { local, remote: to, ..Response::new(0) })
    }

    /// What a program has told of a socket stays for another attempt.
    fn keep(&mut self, socket: Detached, id: u64, known: Option<Known>) {
        if let Some(Known { place, inode }) = known {
            let held = Held { place, ..Held::new(socket, inode) };
            let number = self.reserve();
            self.put(number, Item::Held(Box::new(held)), Some(id));
        }
    }

    /// An attempt has failed. Closing our end with its bytes unread shows ERR and HUP.
    fn fail(&mut self, attempt: Attempt, error: Error) {
        let Attempt { mut end, socket, id, known } = attempt;
        self.outcomes.failed(id, errno::of(error));
        // The word that it was closed may have come while there was nothing to be let go of.
        end.look();
        if end.is_closed() {
            return;
        }
        self.engine.forget(socket.id());
        self.keep(socket, id, known);
    }

    /// The socket that the program has bound or given options, or a new one.
    fn held_for_connect(&mut self, id: u64, is_v6: bool) -> Result<(Detached, Option<Known>), Error> {
        if let Some(slot) = self.ids.get(&id).copied()
            && let Some(Item::Held(held)) = self.take(slot).map(|slot| slot.item)
        {
            let Held { socket, place, inode, .. } = *held;
            return Ok((socket, Some(Known { place, inode })));
        }
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        Ok((Detached::open(self.stack, family, Protocol::Tcp)?, None))
    }

    /// Something happened to a connection that is being made, or to the program's end of it.
    pub fn advance(&mut self, number: u64, mut connecting: Box<Connecting>) {
        let id = connecting.attempt.id;
        if connecting.is_abandoned() {
            return self.outcomes.forget(id);
        }
        let remote = connecting.remote;
        match connecting.attempt.socket.with(|stack, id, now| stack.connect(id, remote, now)) {
            // It was made, and is over already: that is for the bridge to tell. A handshake that is reset is refused.
            Ok(()) | Err(Error::IsConnected | Error::ConnectionReset) => {}
            Err(Error::InProgress | Error::Already) => return self.put(number, Item::Connecting(connecting), Some(id)),
            Err(error) => return self.fail(connecting.attempt, error),
        }
        if !connecting.drain(&mut self.buffer) {
            return;
        }
        let Attempt { end, socket, .. } = connecting.attempt;
        let names =
            socket.with(|stack, id, _| Ok((stack.local_endpoint(id)?, stack.remote_endpoint(id).unwrap_or(remote))));
        let (local, remote) = names.map_or((Address::NONE, mapped(remote)), |(l, r)| (mapped(l), mapped(r)));
        self.outcomes.note(id, (0, local, remote));
        self.put(number, Item::Bridge(Box::new(Bridge::new(end, socket))), Some(id));
        self.again.push(number);
    }
}
