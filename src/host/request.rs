//! What programs ask, one request and one response a connection.

use super::{
    end::End,
    listener::Held,
    slot::{Host, Item},
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    socket::{
        detached::Detached,
        errno,
        inspect::{self, mapped},
        options::Value,
    },
    stack::{Family, Protocol},
    sys::unix,
};
use sockeye_shim::{
    address::Address,
    format::{DATA, Data, Fault, MEANT, NO_REPLY, Op, REUSEADDR, Request, Response, SIOCOUTQNSD},
    name::Meaning,
    tag::Tag,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
};

/// net.core.somaxconn.
const SOMAXCONN: i32 = 4096;

/// The stack's endpoint for an address of a program's.
pub fn endpoint(address: &Address) -> Endpoint {
    let addr = match address.to_v4() {
        Some(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        None => IpAddr::V6(Ipv6Addr::from(address.ip)),
    };
    Endpoint::new(addr, address.port)
}

/// Whether a socket's flags say that it is of IPv6 alone.
pub fn is_v6only(flags: u32) -> bool {
    let both = u32::from(Tag::V6 | Tag::V6ONLY);
    flags & both == both
}

impl Host {
    /// A program was let in, or may have said now what it asks.
    pub fn hear(&mut self, number: u64, asker: End, is_new: bool) {
        let mut bytes = [0; Request::SIZE + MEANT];
        let n = match unix::recv(asker.as_fd(), &mut bytes, 0) {
            Ok(0) => return,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let events = libc::EPOLLIN | libc::EPOLLRDHUP;
                if !is_new || self.interest.add(&asker, events, number).is_ok() {
                    self.put(number, Item::Asker(asker), None);
                    self.life.asking.push(number);
                }
                return;
            }
            Err(_) => return,
        };
        let (response, wanted) = match Request::from_bytes(&bytes[..n]) {
            Ok(request) => {
                let is_programs = (request.op as u16) < Op::Sockets as u16;
                if is_programs && request.flags & NO_REPLY == 0 {
                    log::debug!("a program waits for {:?} of socket {:#x}", request.op, request.id);
                }
                let peer = unix::peer(asker.as_fd());
                let uid = peer.map(|peer| peer.uid);
                let response = if self.guard.admits(&request.token, uid) {
                    let meant = bytes.get(Request::SIZE..n).unwrap_or_default();
                    let pid = peer.map_or(0, |peer| peer.pid);
                    match request.op {
                        Op::Sockets => self.show_sockets(asker.as_fd(), request.id),
                        Op::Counters => self.show_counters(request.id, request.value == 1),
                        Op::Describe => self.describe(request.id),
                        Op::Log => inspect::log(request.id),
                        Op::Resolve | Op::Reverse => {
                            self.note_user(pid);
                            return self.look_up(number, asker, &request, is_new);
                        }
                        Op::Linger => {
                            self.note_user(pid);
                            return self.on_linger(asker, &request);
                        }
                        Op::Tree | Op::Start => {
                            self.note_user(pid);
                            return self.await_gift(number, asker, &request, uid, is_new);
                        }
                        _ => self.serve_program(&request, meant, uid, pid),
                    }
                } else {
                    Response::new(libc::EACCES)
                };
                (response, request.flags & NO_REPLY == 0)
            }
            Err(Fault::Foreign) => return,
            Err(Fault::Version(_) | Fault::Malformed) => (Response::new(libc::EPROTO), true),
        };
        if wanted {
            // A program that does not wait for its answer any more has gone.
            let _ = unix::send(asker.as_fd(), &response.to_bytes(), 0);
        }
    }

    fn serve_program(&mut self, request: &Request, meant: &[u8], uid: Option<u32>, pid: i32) -> Response {
        // The operator's program is no user of the stack.
        if request.op != Op::Stop {
            self.note_user(pid);
        }
        #[cfg(test)]
        assert_ne!(request.id, super::tests::UNLUCKY, "a mistake made for a test");
        let response = self.answer(request, meant, uid).unwrap_or_else(|error| Response::new(errno::of(error)));
        if let Some(held) = self.held(request.id) {
            held.pid = pid;
        }
        response
    }

    fn answer(&mut self, request: &Request, meant: &[u8], uid: Option<u32>) -> Result<Response> {
        let nothing = Response::new(0);
        self.settle_datagrams(request.id);
        let data = |bytes: &[u8]| Data::of(bytes).map(|data| Response { data, ..nothing }).ok_or(Error::MessageTooLong);
        match request.op {
            Op::Join => {
                let lost = self.engine.lost_address();
                match super::join::objection(lost.as_ref(), &self.config, &self.name, meant) {
                    Some(line) => Ok(Response { data: line, ..Response::new(libc::EINVAL) }),
                    None => data(&self.guard.token),
                }
            }
            Op::Bind => self.bind(request).map(|local| Response { local, ..nothing }),
            Op::Listen => self.listen(request, uid).map(|()| nothing),
            Op::Result => Ok(self.result(request.id)),
            // A connection that is over still has its own name.
            Op::Names if self.socket(request.id).is_none() => match self.outcomes.of(request.id) {
                Some((0, local, _)) => Ok(Response { local, ..nothing }),
                _ => Err(Error::NotFound),
            },
            Op::Names => {
                let socket = self.socket(request.id).ok_or(Error::NotFound)?;
                let (local, remote) =
                    socket.with(|stack, id, _| Ok((stack.local_endpoint(id)?, stack.remote_endpoint(id).ok())))?;
                let remote = remote.map_or(Address::NONE, mapped);
                Ok(Response { local: mapped(local), remote, ..nothing })
            }
            Op::SetOption => {
                let (level, name) = (request.level, request.name);
                self.named_or_new(request)?.set_option(level, name, request.data.as_bytes())?;
                if (level, name) == (libc::SOL_SOCKET, libc::SO_RCVBUF) {
                    self.on_buffer_changed(request.id);
                }
                Ok(nothing)
            }
            Op::GetOption
                if (request.level, request.name) == (libc::SOL_SOCKET, libc::SO_ERROR)
                    && let Some(errno) = self.take_datagram_error(request.id) =>
            {
                data(&errno.to_ne_bytes())
            }
            Op::GetOption => data(&self.option(request)?),
            Op::Closed => {
                self.on_closed(request.id);
                Ok(nothing)
            }
            // Those may have to wait: `hear` passes them on before it comes here.
            Op::Resolve | Op::Reverse | Op::Linger | Op::Tree | Op::Start => Err(Error::Invalid),
            Op::Queued => data(&self.count_queued(request)?.to_ne_bytes()),
            Op::Interfaces => Ok(Response { data: self.interfaces(), ..nothing }),
            Op::Datagram => self.open_datagram(request),
            Op::Associate => self.associate(request),
            Op::Stop => data(&self.stop()),
            Op::Sockets | Op::Counters | Op::Describe | Op::Log => Err(Error::Invalid),
        }
    }

    fn family(request: &Request) -> (Family, Protocol) {
        let flag = |flag: u16| request.flags & u32::from(flag) != 0;
        let family = if flag(Tag::V6) { Family::V6 } else { Family::V4 };
        (family, if flag(Tag::DATAGRAM) { Protocol::Udp } else { Protocol::Tcp })
    }

    /// The socket of a request; one that is new is kept for it.
    pub fn named_or_new(&mut self, request: &Request) -> Result<&Detached> {
        if self.socket(request.id).is_none() {
            if request.id & Tag::GIVEN != 0 {
                return Err(Error::NotFound);
            }
            let (family, protocol) = Self::family(request);
            let socket = Detached::open(self.stack, family, protocol)?;
            let number = self.reserve();
            let now = self.engine.now();
            self.put(number, Item::Held(Box::new(Held::new(socket, now))), Some(request.id));
        }
        self.socket(request.id).ok_or(Error::NotFound)
    }

    fn bind(&mut self, request: &Request) -> Result<Address> {
        let local = endpoint(&request.address);
        let is_new = self.named(request.id).is_none();
        let bound = self.bind_to(request, local);
        if bound.is_err() && is_new {
            // What was opened for nothing but this is closed again.
            self.ids.get(&request.id).copied().map(|number| self.take(number));
        }
        bound
    }

    fn bind_to(&mut self, request: &Request, local: Endpoint) -> Result<Address> {
        let flags = request.flags;
        let socket = self.named_or_new(request)?;
        let set = |socket: &Detached| {
            socket.with(|stack, id, now| {
                let settings = stack.settings(id)?;
                settings.reuse_port |= flags & u32::from(Tag::REUSEPORT) != 0;
                settings.reuse_addr |= flags & REUSEADDR != 0;
                settings.v6only = is_v6only(flags);
                stack.bind(id, local, now)?;
                stack.local_endpoint(id)
            })
        };
        let bound = match set(socket) {
            // Whoever had it may be gone without a word.
            Err(Error::AddrInUse) => {
                self.sweep();
                set(self.socket(request.id).ok_or(Error::NotFound)?)?
            }
            bound => bound?,
        };
        let local = mapped(bound);
        let name = Meaning::Bound { id: request.id, local }.name(&self.name).ok_or(Error::Invalid)?;
        let now = self.engine.now();
        match self.held(request.id) {
            Some(held) => held.named(name.as_bytes().to_vec(), now),
            None => return Err(Error::Invalid),
        }
        Ok(local)
    }

    /// The socket without a connection that programs call `id`.
    fn held(&mut self, id: u64) -> Option<&mut Held> {
        let number = self.ids.get(&id)?;
        match &mut self.slots.get_mut(number)?.item {
            Item::Held(held) => Some(held),
            _ => None,
        }
    }

    fn listen(&mut self, request: &Request, uid: Option<u32>) -> Result<()> {
        let backlog = request.value;
        let backlog = if (0..=SOMAXCONN).contains(&backlog) { backlog } else { SOMAXCONN };
        let held = self.held(request.id).filter(|held| held.name.is_some()).ok_or(Error::Invalid)?;
        held.socket.with(|stack, id, now| stack.listen(id, backlog.unsigned_abs() as usize, now))?;
        let is_new = !std::mem::replace(&mut held.listening, true);
        held.uid = uid;
        held.seen = true;
        let socket = held.socket.id();
        if is_new && let Some(number) = self.ids.get(&request.id).copied() {
            self.watch(socket, number);
        }
        Ok(())
    }

    fn result(&self, id: u64) -> Response {
        match (self.named(id), self.outcomes.of(id)) {
            (Some(Item::Connecting(_)), _) | (_, None) => Response::new(libc::EINPROGRESS),
            (_, Some((errno, local, remote))) => Response { local, remote, ..Response::new(errno) },
        }
    }

    /// getsockopt(2). A socket that nothing is known of yet has the options of a new one.
    fn option(&self, request: &Request) -> Result<Vec<u8>> {
        let room = request.value.clamp(0, DATA as i32);
        let fresh;
        let socket = match self.socket(request.id) {
            Some(socket) => socket,
            None => {
                let (family, protocol) = Self::family(request);
                fresh = Detached::open(self.stack, family, protocol)?;
                &fresh
            }
        };
        let mut value = match socket.option(request.level, request.name, room)? {
            Value::Int(int) => int.to_ne_bytes().to_vec(),
            Value::Error(error) => error.map_or(0, errno::of).to_ne_bytes().to_vec(),
            Value::Bytes(bytes) => bytes.as_slice().to_vec(),
        };
        value.truncate(room.unsigned_abs() as usize);
        Ok(value)
    }

    /// SIOCOUTQ and SIOCOUTQNSD: what the program has written and is not here yet, and what the stack has.
    fn count_queued(&self, request: &Request) -> Result<i32> {
        let Some(socket) = self.socket(request.id) else { return Ok(0) };
        let stacks = socket.with(|stack, id, now| match request.value {
            SIOCOUTQNSD => stack.tcp_info(id, now).map(|info| info.notsent_bytes as usize),
            _ => stack.unacknowledged(id),
        })?;
        let written = if let Some(Item::Bridge(bridge)) = self.named(request.id) { bridge.kept() } else { 0 };
        Ok(i32::try_from(stacks.saturating_add(written)).unwrap_or(i32::MAX))
    }

    fn on_closed(&mut self, id: u64) {
        if let Some(Item::Datagram(_)) = self.named(id) {
            return self.on_datagram_closed(id);
        }
        let Some(held) = self.held(id) else { return };
        // A socket that was never bound has no name to be looked up by: the program's word is all there is.
        if held.name.is_some() && !held.is_gone() {
            let now = self.engine.now();
            return self.life.sweep_soon(now);
        }
        if let Some(number) = self.ids.get(&id).copied() {
            drop(self.take(number));
        }
    }
}
