//! What programs ask, one request and one response a connection. What is asked about a socket comes with that socket
//! ([`super::lent`]).

use super::{
    end::End,
    entry,
    lent::Lent,
    listener::Held,
    slot::{GIVEN, Host, Item, Slot},
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
    sys::{
        closer,
        unix::{self, Kind},
    },
};
use sockeye_shim::{
    address::Address,
    format::{DATA, Data, Fault, MEANT, NO_REPLY, Op, REUSEADDR, Request, Response, SIOCOUTQNSD},
    narrow,
    tag::Tag,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::{AsFd, OwnedFd},
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

/// What came with a request that is not served: closing it may take as long as its owner likes.
fn refuse(lent: [Option<OwnedFd>; 2]) {
    let lent: Vec<_> = lent.into_iter().flatten().collect();
    if !lent.is_empty() {
        closer::close(lent);
    }
}

/// Whether nobody waits for an answer any more.
pub fn has_gone(asker: &mut End) -> bool {
    asker.look();
    asker.is_ended()
}

impl Host {
    /// A program was let in, or may have said now what it asks.
    pub fn hear(&mut self, number: u64, mut asker: End, is_new: bool) {
        // What was let in had room. Who says only now what it asks is heard when there is some.
        let now = self.engine.now();
        if !is_new && !self.has_room() && !self.gate.note_shortage(now, entry::PATIENCE) {
            self.put(number, Item::Asker(asker), None);
            return self.life.retry(number, now + entry::SHORTAGE);
        }
        let mut bytes = [0; Request::SIZE + MEANT];
        let (n, lent) = match unix::recv_lent(asker.as_fd(), &mut bytes) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let events = libc::EPOLLIN | libc::EPOLLRDHUP;
                if !is_new || self.asking.add(&asker, events, number).is_ok() {
                    self.put(number, Item::Asker(asker), None);
                }
                return;
            }
            Err(error) => {
                // It is told what the kernel would say. A program that does not wait for its answer has gone.
                if error.raw_os_error() == Some(libc::EMFILE) {
                    let _ = unix::send(asker.as_fd(), &Response::new(libc::EMFILE).to_bytes(), 0);
                }
                return;
            }
        };
        let (response, wanted) = match Request::from_bytes(&bytes[..n]) {
            Ok(request) => {
                let peer = unix::peer(asker.as_fd());
                let uid = peer.map(|peer| peer.uid);
                let response = if self.guard.admits(&request.token, uid) {
                    let meant = bytes.get(Request::SIZE..n).unwrap_or_default();
                    let pid = peer.map_or(0, |peer| peer.pid);
                    let is_programs = (request.op as u16) < Op::Sockets as u16;
                    if is_programs && request.flags & NO_REPLY == 0 {
                        log::debug!("a program waits for {:?}", request.op);
                    }
                    if lent[0].is_some() {
                        // What was closed before the question is not to be in its way.
                        self.hear_last_closes();
                    }
                    let lent = lent.map(|fd| fd.and_then(|fd| self.borrow(fd)));
                    match request.op {
                        Op::Show => return self.trust(number, asker, is_new),
                        Op::Sockets => self.show_sockets(asker.as_fd(), request.from),
                        Op::Counters => {
                            let marks = request.value == 1 && !has_gone(&mut asker);
                            self.show_counters(request.from, marks)
                        }
                        Op::Describe => self.describe(request.from),
                        Op::Log => inspect::log(request.from),
                        Op::Resolve | Op::Reverse => {
                            self.note_user(pid);
                            return self.look_up(number, asker, &request, is_new);
                        }
                        Op::Linger => {
                            self.note_user(pid);
                            let id = lent[0].as_ref().map_or(GIVEN, |lent| lent.id);
                            return self.on_linger(number, asker, (&request, id), is_new);
                        }
                        // Its program shall not begin on a stack that leads nowhere.
                        Op::Tree if self.engine.loss().is_some() => self.admit(&[]),
                        Op::Tree | Op::Start => {
                            self.note_user(pid);
                            return self.await_gift(number, asker, &request, uid, is_new);
                        }
                        // Every program with the token may use the stack; who ends it for all is another matter.
                        Op::Stop if !self.guard.knows(uid) => Response::new(libc::EPERM),
                        // Whoever ordered it may have given up while this host stood still.
                        Op::Stop if has_gone(&mut asker) => return,
                        _ => self.serve_program((&request, lent), meant, pid),
                    }
                } else {
                    refuse(lent);
                    Response::new(libc::EACCES)
                };
                (response, request.flags & NO_REPLY == 0)
            }
            Err(fault) => {
                refuse(lent);
                if fault == Fault::Foreign {
                    return;
                }
                (Response::new(libc::EPROTO), true)
            }
        };
        if wanted {
            // A program that does not wait for its answer any more has gone.
            let _ = unix::send(asker.as_fd(), &response.to_bytes(), 0);
        }
    }

    /// Takes descriptors on this connection from now on, and waits for the request.
    fn trust(&mut self, number: u64, asker: End, is_new: bool) {
        // A kernel that does not know the option lets them through anyway.
        let _ = unix::pass_rights(asker.as_fd(), true);
        let shown = unix::send(asker.as_fd(), &Response::new(0).to_bytes(), 0).is_ok();
        if shown && (!is_new || self.asking.add(&asker, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_ok()) {
            self.put(number, Item::Asker(asker), None);
        }
    }

    fn serve_program(&mut self, asked: (&Request, [Option<Lent>; 2]), meant: &[u8], pid: i32) -> Response {
        let (request, [lent, second]) = asked;
        // The operator's program is no user of the stack.
        if request.op != Op::Stop {
            self.note_user(pid);
        }
        #[cfg(test)]
        assert_ne!(request.from, super::tests::UNLUCKY, "a mistake made for a test");
        let answer = match &lent {
            Some(lent) => self.answer_about(lent, second, request),
            None => self.answer(request, meant),
        };
        answer.unwrap_or_else(|error| Response::new(errno::of(error)))
    }

    /// What is asked without a socket.
    fn answer(&mut self, request: &Request, meant: &[u8]) -> Result<Response> {
        let nothing = Response::new(0);
        let data = |bytes: &[u8]| Data::of(bytes).map(|data| Response { data, ..nothing }).ok_or(Error::MessageTooLong);
        match request.op {
            Op::Join => Ok(self.admit(meant)),
            Op::Interfaces => Ok(Response { data: self.interfaces(), ..nothing }),
            Op::Stop => data(&self.stop()),
            // The others are about a socket, or passed on before they come here.
            _ => Err(Error::Invalid),
        }
    }

    /// What is asked about a socket.
    fn answer_about(&mut self, lent: &Lent, second: Option<Lent>, request: &Request) -> Result<Response> {
        let nothing = Response::new(0);
        let data = |bytes: &[u8]| Data::of(bytes).map(|data| Response { data, ..nothing }).ok_or(Error::MessageTooLong);
        self.settle_datagrams(lent.id);
        match request.op {
            Op::Bind => self.bind(request, lent).map(|local| Response { local, ..nothing }),
            Op::Listen => self.listen(request, lent).map(|()| nothing),
            Op::Connect => self.connect(request, lent),
            Op::Succeed => self.succeed(lent, &second.ok_or(Error::Invalid)?).map(|()| nothing),
            Op::Result => Ok(self.result(lent.id)),
            // A connection that is over still has its own name.
            Op::Names if self.socket(lent.id).is_none() => match self.outcomes.of(lent.id) {
                Some((0, local, _)) => Ok(Response { local, ..nothing }),
                _ => Err(Error::NotFound),
            },
            Op::Names => {
                let socket = self.socket(lent.id).ok_or(Error::NotFound)?;
                let (local, remote) =
                    socket.with(|stack, id, _| Ok((stack.local_endpoint(id)?, stack.remote_endpoint(id).ok())))?;
                let remote = remote.map_or(Address::NONE, mapped);
                Ok(Response { local: mapped(local), remote, ..nothing })
            }
            Op::SetOption => {
                let (level, name) = (request.level, request.name);
                self.named_or_new(request, lent)?.set_option(level, name, request.data.as_bytes())?;
                if level == libc::SOL_SOCKET && matches!(name, libc::SO_RCVBUF | libc::SO_RCVBUFFORCE) {
                    self.on_buffer_changed(lent.id);
                }
                Ok(nothing)
            }
            Op::GetOption
                if (request.level, request.name) == (libc::SOL_SOCKET, libc::SO_ERROR)
                    && let Some(errno) = self.take_datagram_error(lent.id) =>
            {
                data(&errno.to_ne_bytes())
            }
            Op::GetOption => data(&self.option(request, lent.id)?),
            Op::Queued => data(&self.count_queued(request, lent.id)?.to_ne_bytes()),
            Op::Datagram => self.open_datagram(request, lent),
            Op::Associate => self.associate(request, lent.id),
            _ => Err(Error::Invalid),
        }
    }

    /// The answer to who comes to the stack: its token, or why it is not to be used.
    fn admit(&self, meant: &[u8]) -> Response {
        if let Some(line) = super::join::objection(self.engine.loss(), &self.config, &self.name, meant) {
            return Response { data: line, ..Response::new(libc::EINVAL) };
        }
        Response { data: Data::of(&self.guard.token).unwrap_or(Data::NONE), ..Response::new(0) }
    }

    fn family(request: &Request) -> (Family, Protocol) {
        let flag = |flag: u16| request.flags & u32::from(flag) != 0;
        let family = if flag(Tag::V6) { Family::V6 } else { Family::V4 };
        (family, if flag(Tag::DATAGRAM) { Protocol::Udp } else { Protocol::Tcp })
    }

    /// The socket that was lent; one that is new is kept until its last descriptor is closed.
    pub fn named_or_new(&mut self, request: &Request, lent: &Lent) -> Result<&Detached> {
        if self.socket(lent.id).is_none() {
            let (family, protocol) = Self::family(request);
            let is_datagram = protocol == Protocol::Udp;
            if lent.id & GIVEN != 0 || is_datagram != (lent.kind() == Some(Kind::Datagrams)) {
                return Err(Error::NotFound);
            }
            let socket = Detached::open(self.stack, family, protocol)?;
            self.await_last_close(lent)?;
            let number = self.reserve();
            self.put(number, Item::Held(Box::new(Held::new(socket, lent.inode()))), Some(lent.id));
        }
        self.socket(lent.id).ok_or(Error::NotFound)
    }

    fn bind(&mut self, request: &Request, lent: &Lent) -> Result<Address> {
        let is_new = self.named(lent.id).is_none();
        let bound = self.bind_to(request, lent);
        if bound.is_err() && is_new {
            // What was opened for nothing but this is closed again.
            self.ids.get(&lent.id).copied().map(|number| self.take(number));
        }
        bound
    }

    fn bind_to(&mut self, request: &Request, lent: &Lent) -> Result<Address> {
        let (flags, local) = (request.flags, endpoint(&request.address));
        let socket = self.named_or_new(request, lent)?;
        let bound = socket.with(|stack, id, now| {
            let settings = stack.settings(id)?;
            settings.reuse_port |= flags & u32::from(Tag::REUSEPORT) != 0;
            settings.reuse_addr |= flags & REUSEADDR != 0;
            settings.v6only = is_v6only(flags);
            stack.bind(id, local, now)?;
            stack.local_endpoint(id)
        });
        let local = mapped(bound?);
        self.name_file(lent, local)?;
        Ok(local)
    }

    /// Gives the file of a socket that is bound the path that says so.
    fn name_file(&mut self, lent: &Lent, local: Address) -> Result<()> {
        let place = self.directory.bound(local);
        unix::bind_path(lent.as_fd(), place.path()).map_err(|_| Error::Invalid)?;
        self.held(lent.id).ok_or(Error::Invalid)?.place = Some(place);
        Ok(())
    }

    /// The socket without a connection that has the id.
    fn held(&mut self, id: u64) -> Option<&mut Held> {
        let number = self.ids.get(&id)?;
        match &mut self.slots.get_mut(number)?.item {
            Item::Held(held) => Some(held),
            _ => None,
        }
    }

    fn listen(&mut self, request: &Request, lent: &Lent) -> Result<()> {
        let backlog = request.value;
        let backlog = if (0..=SOMAXCONN).contains(&backlog) { backlog } else { SOMAXCONN };
        let held = self.held(lent.id).filter(|held| held.place.is_some()).ok_or(Error::Invalid)?;
        held.socket.with(|stack, id, now| stack.listen(id, backlog.unsigned_abs() as usize, now))?;
        unix::listen(lent.as_fd(), request.value).map_err(|_| Error::Invalid)?;
        let is_new = !std::mem::replace(&mut held.listening, true);
        let socket = held.socket.id();
        if is_new && let Some(number) = self.ids.get(&lent.id).copied() {
            self.watch(socket, number);
        }
        Ok(())
    }

    /// A program puts a new file in the place of one that cannot connect again.
    fn succeed(&mut self, old: &Lent, new: &Lent) -> Result<()> {
        if new.id & GIVEN != 0 || new.kind() != old.kind() || self.named(new.id).is_some() {
            return Err(Error::Invalid);
        }
        self.outcomes.forget(old.id);
        let Some(held) = self.held(old.id).filter(|held| !held.listening) else { return Ok(()) };
        held.inode = new.inode();
        let local = if held.place.take().is_some() {
            Some(mapped(held.socket.with(|stack, id, _| stack.local_endpoint(id))?))
        } else {
            None
        };
        self.await_last_close(new)?;
        if let Some(number) = self.ids.get(&old.id).copied()
            && let Some(Slot { item, .. }) = self.take(number)
        {
            self.put(number, item, Some(new.id));
        }
        local.map_or(Ok(()), |local| self.name_file(new, local))
    }

    fn result(&self, id: u64) -> Response {
        match (self.named(id), self.outcomes.of(id)) {
            (Some(Item::Connecting(_)), _) | (_, None) => Response::new(libc::EINPROGRESS),
            (_, Some((errno, local, remote))) => Response { local, remote, ..Response::new(errno) },
        }
    }

    /// getsockopt(2). A socket that nothing is known of yet has the options of a new one.
    fn option(&self, request: &Request, id: u64) -> Result<Vec<u8>> {
        let room = request.value.max(0).min(narrow!(DATA => i32));
        let fresh;
        let socket = match self.socket(id) {
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
    fn count_queued(&self, request: &Request, id: u64) -> Result<i32> {
        let Some(socket) = self.socket(id) else { return Ok(0) };
        let stacks = socket.with(|stack, id, now| match request.value {
            SIOCOUTQNSD => stack.tcp_info(id, now).map(|info| info.notsent_bytes as usize),
            _ => stack.unacknowledged(id),
        })?;
        let written = if let Some(Item::Bridge(bridge)) = self.named(id) { bridge.kept() } else { 0 };
        Ok(i32::try_from(stacks.saturating_add(written)).unwrap_or(i32::MAX))
    }
}
