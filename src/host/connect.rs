//! Connections that programs make: from the header at their end to the bridge, or to the reason why there is none.

use super::{
    bridge::{Bridge, CHUNK},
    end::{self, End},
    gate::Door,
    listener::Held,
    request::{endpoint, is_v6only},
    slot::{Host, Item},
};
use crate::{
    addr::Endpoint,
    error::Error,
    shrink,
    socket::{detached::Detached, errno, inspect::mapped},
    stack::{Family, Protocol},
    sys::{panics, unix},
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
    os::fd::AsFd,
};

/// How many connection attempts' ends are remembered for programs that ask later: as many as they may have under way.
const REMEMBERED: usize = 16_384;

/// A connection that is being made.
pub struct Connecting {
    attempt: Attempt,
    remote: Endpoint,
    /// How much of header and zeros, without the last, is still to be read.
    filled: usize,
    /// It is made, and waits for the rest of them.
    made: bool,
}

/// What a connection is made of.
struct Attempt {
    /// Our end of the program's socket, header and zeros still in it.
    end: End,
    socket: Detached,
    id: u64,
    source: Address,
    /// The program has bound the socket or given it options, which another attempt is to find.
    is_known: bool,
}

/// Whether header and zeros are read.
enum Drained {
    All,
    /// The program was interrupted while it wrote them: the rest comes.
    Part,
    /// The program is gone.
    Never,
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

    /// Reads header and zeros, which makes the program's end writable. They come in several pieces, and not all at
    /// once. The last of the zeros stays: see the bridge.
    fn drain(&mut self, buffer: &mut [u8]) -> Drained {
        let end = &self.attempt.end;
        while self.filled > 0 {
            match unix::recv(end.as_fd(), &mut buffer[..self.filled.min(CHUNK)], 0) {
                Ok(n) if n > 0 => self.filled -= n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !end.is_ended() => return Drained::Part,
                Ok(_) | Err(_) => return Drained::Never,
            }
        }
        Drained::All
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

fn begin(header: &ConnectHeader, socket: &Detached) -> Result<Endpoint, Error> {
    let flag = |flag: u16| header.flags & u32::from(flag) != 0;
    let remote = endpoint(&header.destination);
    socket.with(|stack, id, now| {
        let settings = stack.tcp_settings(id)?;
        settings.nodelay |= flag(Tag::NODELAY);
        settings.keepalive |= header.flags & KEEPALIVE != 0;
        let settings = stack.settings(id)?;
        settings.reuse_addr |= header.flags & REUSEADDR != 0;
        settings.v6only = is_v6only(header.flags);
        stack.on_settings_changed(id, now);
        Ok(())
    })?;
    match socket.with(|stack, id, now| stack.connect(id, remote, now)) {
        Ok(()) | Err(Error::InProgress) => Ok(remote),
        Err(error) => Err(error),
    }
}

impl Host {
    /// Takes ends that programs have connected.
    pub fn take_connects(&mut self) {
        let ends: Vec<_> = (0..Door::Connections.share()).map_while(|_| self.let_in(Door::Connections)).collect();
        // What their programs have said of the sockets before.
        self.hear_programs(true);
        for end in ends {
            let number = self.reserve();
            if self.interest.add(&end, end::EVENTS, number).is_ok() {
                // The others that wait are let in all the same.
                panics::catch(|| self.read_header(number, End::new(end)));
            }
        }
    }

    /// Looks for the header at a program's end, and begins the connection. An end without a proper one is closed.
    pub fn read_header(&mut self, number: u64, end: End) {
        let mut bytes = [0; ConnectHeader::SIZE];
        match unix::recv(end.as_fd(), &mut bytes, libc::MSG_PEEK) {
            Ok(n) if n == bytes.len() => {}
            // The rest comes, or the word that the program is gone.
            Ok(1..) if !end.is_ended() => return self.put(number, Item::Header(end), None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.put(number, Item::Header(end), None);
            }
            Ok(_) | Err(_) => return,
        }
        let peer = unix::peer(end.as_fd());
        let Ok(header) = ConnectHeader::from_bytes(&bytes) else { return };
        if !self.guard.admits(&header.token, peer.map(|peer| peer.uid)) {
            // How another's attempt has ended is not for a stranger to say.
            return self.say_of_stranger(peer);
        }
        self.outcomes.forget(header.id);
        let is_v6 = header.flags & u32::from(Tag::V6) != 0;
        let (socket, is_known) = match self.held_for_connect(header.id, is_v6) {
            Ok(socket) => socket,
            Err(error) => return self.outcomes.failed(header.id, errno::of(error)),
        };
        let begun = begin(&header, &socket);
        let attempt = Attempt { end, socket, id: header.id, source: header.source, is_known };
        let remote = match begun {
            Ok(remote) => remote,
            Err(error) => return self.fail(number, attempt, error),
        };
        self.watch(attempt.socket.id(), number);
        let connecting = Connecting { attempt, remote, filled: header.filled as usize - 1, made: false };
        self.put(number, Item::Connecting(Box::new(connecting)), Some(header.id));
    }

    /// An attempt has failed. Closing our end with the header unread shows ERR and HUP. What the program has told of
    /// the socket, its address and its options, is kept for another attempt, as long as there can be one.
    fn fail(&mut self, number: u64, attempt: Attempt, error: Error) {
        let Attempt { mut end, socket, id, source, is_known } = attempt;
        self.outcomes.failed(id, errno::of(error));
        // The word that it was closed may have come while there was nothing to be let go of.
        end.look();
        if !is_known || end.is_closed() {
            return;
        }
        let now = self.engine.now();
        self.engine.forget(socket.id());
        let mut held = Held::new(socket, now);
        held.pid = unix::peer(end.as_fd()).map_or(0, |peer| peer.pid);
        if source != Address::NONE
            && let Some(name) = (Meaning::Bound { id, local: source }).name(&self.name)
        {
            held.named(name.as_bytes().to_vec(), now);
        }
        self.put(number, Item::Held(Box::new(held)), Some(id));
    }

    /// The socket that the program has bound or given options, or a new one; and whether it is the former.
    fn held_for_connect(&mut self, id: u64, is_v6: bool) -> Result<(Detached, bool), Error> {
        let slot = self.ids.get(&id).copied();
        if let Some(slot) = slot.filter(|_| matches!(self.named(id), Some(Item::Held(_))))
            && let Some(Item::Held(held)) = self.take(slot).map(|slot| slot.item)
        {
            let Held { socket, .. } = *held;
            return Ok((socket, true));
        }
        let family = if is_v6 { Family::V6 } else { Family::V4 };
        Ok((Detached::open(self.stack, family, Protocol::Tcp)?, false))
    }

    /// Something happened to a connection that is being made, or to the program's end of it.
    pub fn advance(&mut self, number: u64, mut connecting: Box<Connecting>) {
        if connecting.is_abandoned() {
            return self.outcomes.forget(connecting.attempt.id);
        }
        if !connecting.made {
            let remote = connecting.remote;
            match connecting.attempt.socket.with(|stack, id, now| stack.connect(id, remote, now)) {
                // It was made, and is over already: that is for the bridge to tell. A handshake that is reset is
                // refused.
                Ok(()) | Err(Error::IsConnected | Error::ConnectionReset) => connecting.made = true,
                Err(Error::InProgress | Error::Already) => {}
                Err(error) => return self.fail(number, connecting.attempt, error),
            }
        }
        let drained = if connecting.made { connecting.drain(&mut self.buffer) } else { Drained::Part };
        match drained {
            Drained::Part => {
                let id = connecting.attempt.id;
                return self.put(number, Item::Connecting(connecting), Some(id));
            }
            Drained::Never => return,
            Drained::All => {}
        }
        let Connecting { attempt: Attempt { end, socket, id, .. }, remote, .. } = *connecting;
        let names =
            socket.with(|stack, id, _| Ok((stack.local_endpoint(id)?, stack.remote_endpoint(id).unwrap_or(remote))));
        let (local, remote) = names.map_or((Address::NONE, mapped(remote)), |(l, r)| (mapped(l), mapped(r)));
        self.outcomes.note(id, (0, local, remote));
        self.put(number, Item::Bridge(Box::new(Bridge::new(end, socket))), Some(id));
        self.again.push(number);
    }
}
