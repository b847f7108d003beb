//! Datagram sockets: our end, the stack's socket, and the datagrams between them, each behind a header that says where
//! it goes or came from.
//!
//! A program's end is told of an error by ECONNRESET, which the kernel makes of an end that lets go of it with
//! something unread in its queue; the program then asks for the reason.

use super::{
    bridge::{CHUNK, Verdict},
    coming::Coming,
    directory::Place,
    lent::Lent,
    request::{endpoint, is_v6only},
    slot::{Host, Item},
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    socket::{detached::Detached, errno, inspect::mapped},
    stack::{IfaceId, SendTo},
    sys::unix::{self, Kind},
    tcp::{RecvFlags, SendFlags},
    udp::MAX_PAYLOAD,
};
use sockeye_shim::{
    address::Address,
    format::{ASSOCIATE, CHECK, DISSOLVE, Data, DatagramHeader, REUSEADDR, Request, Response},
    tag::Tag,
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Datagrams moved to a program before it is the others' turn.
const ROUNDS: usize = 64;
/// The same from a program: what goes to another of this stack must not overflow its queue before it had its turn.
const UP_ROUNDS: usize = 8;
/// What an end must hold at least: the largest datagram and its header.
const LEAST_BUFFER: usize = 140_000;

/// A datagram socket of a program's.
pub struct Datagram {
    end: OwnedFd,
    /// The path of our end, and that of the program's, each connected to the other.
    places: [Place; 2],
    socket: Detached,
    /// What the program's end has no room for waits in the stack.
    queues: bool,
    /// How much our end is to hold, which shows when the other has come.
    fits: Option<(usize, Coming<()>)>,
    /// A datagram that the program had no room for.
    kept: Vec<u8>,
    /// The error that the program was signalled, and has not asked for yet.
    pub error: Option<Error>,
}

impl Datagram {
    /// The stack's socket.
    pub fn socket(&self) -> &Detached {
        &self.socket
    }

    /// Our end of it.
    pub fn end(&self) -> &OwnedFd {
        &self.end
    }

    /// Moves what there is to move. `buffer` is [`CHUNK`] bytes long.
    pub fn turn(&mut self, buffer: &mut [u8]) -> Verdict {
        self.note_buffer();
        let up = self.move_up(buffer);
        let down = self.move_down(buffer);
        if up || down { Verdict::More } else { Verdict::Idle }
    }

    /// From the program to the stack. True if there may be more.
    fn move_up(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..UP_ROUNDS {
            match unix::recv(self.end.as_fd(), buffer, 0) {
                Ok(n) => self.send_up(&buffer[..n]),
                Err(_) => return false,
            }
        }
        true
    }

    /// What cannot be sent is an error that the program hears of with its next call, or lost as datagrams may be.
    fn send_up(&mut self, bytes: &[u8]) {
        let (header, payload) = match DatagramHeader::from_bytes(bytes) {
            Ok(header) => (header, &bytes[DatagramHeader::SIZE..]),
            // Written by a function that does not know of headers: to the peer, if there is one.
            Err(_) => (DatagramHeader::NONE, bytes),
        };
        let first = self.send_one(&header, payload);
        let again = match first {
            Err(Error::WouldBlock | Error::DestinationRequired) | Ok(()) => return,
            // An earlier datagram's, which has to be told: this one is not the worse for it.
            Err(error @ (Error::ConnectionRefused | Error::HostUnreachable)) => {
                self.fail(error);
                self.send_one(&header, payload)
            }
            other => other,
        };
        if let Err(error) = again {
            self.fail(error);
        }
    }

    fn send_one(&self, header: &DatagramHeader, payload: &[u8]) -> Result<()> {
        let is = |flag| header.flags & flag != 0;
        let dest = if header.peer == Address::NONE { None } else { Some(endpoint(&header.peer)) };
        let to = SendTo {
            dest,
            source: header.local.to_v4().map(|v4| IpAddr::V4(Ipv4Addr::from(v4))),
            iface: match header.interface.checked_sub(1) {
                Some(index) => Some(IfaceId(u8::try_from(index).map_err(|_| Error::NoDevice)?)),
                None => None,
            },
            ttl: is(DatagramHeader::TTL).then_some(header.ttl),
            tos: is(DatagramHeader::TOS).then_some(header.tos),
        };
        let flags = SendFlags { more: is(DatagramHeader::MORE), ..SendFlags::default() };
        self.socket.with(|stack, id, now| {
            let before = stack.settings(id)?.dont_route;
            stack.settings(id)?.dont_route |= is(DatagramHeader::DONTROUTE);
            let sent = stack.send(id, &[IoSlice::new(payload)], &to, flags, now);
            stack.settings(id)?.dont_route = before;
            sent.map(drop)
        })
    }

    /// From the stack to the program. True if there may be more.
    fn move_down(&mut self, buffer: &mut [u8]) -> bool {
        for _ in 0..ROUNDS {
            if !self.kept.is_empty() {
                match unix::send(self.end.as_fd(), &self.kept, 0) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    // A program that is gone needs nothing.
                    _ => self.kept = Vec::new(),
                }
                continue;
            }
            let len = match self.take_down(buffer) {
                Ok(len) => len,
                Err(Error::WouldBlock | Error::NetDown) => return false,
                Err(error) => {
                    self.fail(error);
                    continue;
                }
            };
            let sent = unix::send(self.end.as_fd(), &buffer[..len], 0);
            if sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                // The queue at the program's end is the socket's, unless it must not be as long as was asked for.
                if self.queues {
                    self.kept = buffer[..len].to_vec();
                } else {
                    self.count_overflow();
                }
            }
        }
        true
    }

    /// The next datagram for the program, behind its header, at the front of `buffer`.
    fn take_down(&self, buffer: &mut [u8]) -> Result<usize> {
        let (head, payload) = buffer.split_at_mut(DatagramHeader::SIZE);
        let received = self.socket.with(|stack, id, now| {
            let received =
                stack.recv(id, &mut [IoSliceMut::new(&mut payload[..MAX_PAYLOAD])], RecvFlags::default(), now)?;
            let ip = &stack.settings(id)?.ip;
            let flag = |set: bool, flag: u16| if set { flag } else { 0 };
            let flags = flag(ip.pktinfo, DatagramHeader::PKTINFO)
                | flag(ip.recv_ttl, DatagramHeader::TTL)
                | flag(ip.recv_tos, DatagramHeader::TOS);
            Ok((received, flags))
        });
        let (received, flags) = received?;
        // Nothing comes from nowhere but the end of a socket that was shut down, which ours never are.
        let from = received.from.ok_or(Error::WouldBlock)?;
        let header = DatagramHeader {
            peer: mapped(from),
            local: received.to.map_or(Address::NONE, |to| mapped(Endpoint::new(to, 0))),
            interface: received.iface.map_or(0, |iface| iface.0 as u16 + 1),
            flags,
            ttl: received.ttl,
            tos: received.tos,
        };
        head.copy_from_slice(&header.to_bytes());
        Ok(DatagramHeader::SIZE + received.len)
    }

    /// Keeps an error, and makes the program's end show one.
    fn fail(&mut self, error: Error) {
        if self.error.replace(error).is_none() {
            // Without it, the error is told with the next one.
            let _ = self.signal();
        }
    }

    fn signal(&mut self) -> io::Result<()> {
        let [ours, theirs] = &self.places;
        let_go(self.end.as_fd(), ours.path(), theirs.path())?;
        unix::connect_path(self.end.as_fd(), theirs.path())
    }
}

/// Makes a program's end at the path `theirs` show an error: an end of ours lets go of it with a byte unread, which is
/// a reset (unix_dgram_disconnected in Linux). It puts that byte there itself, while it is connected to nobody.
pub fn let_go(end: BorrowedFd<'_>, ours: &[u8], theirs: &[u8]) -> io::Result<()> {
    unix::disconnect(end)?;
    unix::send_path(end, b"!", ours)?;
    unix::connect_path(end, theirs)?;
    unix::disconnect(end)
}

impl Host {
    /// Something happened to a datagram socket, or to the program's end of it.
    pub fn exchange(&mut self, number: u64, mut datagram: Box<Datagram>, id: Option<u64>) {
        if datagram.turn(&mut self.buffer) == Verdict::More {
            self.again.push(number);
        }
        self.put(number, Item::Datagram(datagram), id);
    }

    /// What the program has sent before it asked goes first.
    pub fn settle_datagrams(&mut self, id: u64) {
        if let Some(Item::Datagram(_)) = self.named(id)
            && let Some(number) = self.ids.get(&id).copied()
        {
            self.run(number, 0);
        }
    }

    fn datagram(&mut self, id: u64) -> Option<&mut Datagram> {
        let number = self.ids.get(&id)?;
        match &mut self.slots.get_mut(number)?.item {
            Item::Datagram(datagram) => Some(datagram),
            _ => None,
        }
    }

    /// Makes our end of a datagram socket, and binds the socket if that is asked for.
    pub fn open_datagram(&mut self, request: &Request, lent: &Lent) -> Result<Response> {
        if request.flags & u32::from(Tag::DATAGRAM) == 0 || lent.kind() != Some(Kind::Datagrams) {
            return Err(Error::Invalid);
        }
        if self.datagram(lent.id).is_none() {
            // One that cannot have the address is left without an end of ours, so that it can try another.
            let is_new = self.named(lent.id).is_none();
            self.named_or_new(request, lent)?;
            let opened = self.bind_datagram(request, lent.id).and_then(|()| self.add_datagram(request, lent));
            if let Err(error) = opened {
                if is_new {
                    self.ids.get(&lent.id).copied().map(|number| self.take(number));
                }
                return Err(error);
            }
        } else {
            self.bind_datagram(request, lent.id)?;
        }
        let datagram = self.datagram(lent.id).ok_or(Error::NotFound)?;
        let local = datagram.socket.with(|stack, id, _| stack.local_endpoint(id))?;
        let local = mapped(local);
        // Not unicast to any network that a stack may be in, so it is the default route that leads there.
        let anywhere = Endpoint::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254)), 9);
        let routed = datagram.socket.with(|stack, id, now| stack.way(id, anywhere, now)).is_ok();
        let data = Data::of(&[u8::from(routed)]).ok_or(Error::MessageTooLong)?;
        Ok(Response { local, data, ..Response::new(0) })
    }

    /// Connects a program's end and one of ours to each other. The program's first: from then on nobody but our end
    /// can send to it.
    fn add_datagram(&mut self, request: &Request, lent: &Lent) -> Result<()> {
        let number = self.ids.get(&lent.id).copied().ok_or(Error::NotFound)?;
        let places = [self.directory.place("h"), self.directory.place("d")];
        let end = unix::open(Kind::Datagrams).map_err(|_| Error::TooManyFiles)?;
        let join = || {
            unix::bind_path(end.as_fd(), places[0].path())?;
            unix::connect_path(lent.as_fd(), places[0].path())?;
            unix::bind_path(lent.as_fd(), places[1].path())?;
            unix::connect_path(end.as_fd(), places[1].path())
        };
        join().map_err(|error| {
            log::debug!("a program's socket cannot be joined to one of ours: {error}");
            Error::Invalid
        })?;
        self.interest.add(&end, libc::EPOLLIN | libc::EPOLLOUT, number)?;
        let Some(Item::Held(held)) = self.take(number).map(|slot| slot.item) else { return Err(Error::Invalid) };
        let socket = held.socket;
        socket.with(|stack, id, _| stack.settings(id).map(|settings| settings.v6only = is_v6only(request.flags)))?;
        self.engine.forget(socket.id());
        self.watch(socket.id(), number);
        let mut datagram = Datagram { end, places, socket, queues: false, fits: None, kept: Vec::new(), error: None };
        datagram.fit_buffer(self.waker(number));
        self.put(number, Item::Datagram(Box::new(datagram)), Some(lent.id));
        Ok(())
    }

    /// Binds the socket if that is asked for.
    fn bind_datagram(&mut self, request: &Request, id: u64) -> Result<()> {
        if request.value != 1 {
            return Ok(());
        }
        let local = endpoint(&request.address);
        let flags = request.flags;
        self.socket(id).ok_or(Error::NotFound)?.with(|stack, id, now| {
            let settings = stack.settings(id)?;
            settings.reuse_port |= flags & u32::from(Tag::REUSEPORT) != 0;
            settings.reuse_addr |= flags & REUSEADDR != 0;
            settings.v6only = is_v6only(flags);
            stack.on_settings_changed(id, now);
            stack.bind(id, local, now)
        })
    }

    /// connect(2) of a datagram socket, its undoing, and whether a datagram may be sent.
    pub fn associate(&mut self, request: &Request, id: u64) -> Result<Response> {
        let remote = endpoint(&request.address);
        let datagram = self.datagram(id).ok_or(Error::NotFound)?;
        let local = datagram.socket.with(|stack, id, now| {
            match request.value {
                ASSOCIATE => stack.connect(id, remote, now)?,
                DISSOLVE => stack.disconnect(id, now)?,
                // A send that fails leaves it with a port, too.
                CHECK => stack.bind_implicitly(id, now).and_then(|()| stack.way(id, remote, now))?,
                _ => return Err(Error::Invalid),
            }
            stack.local_endpoint(id)
        })?;
        let local = mapped(local);
        Ok(Response { local, ..Response::new(0) })
    }

    /// SO_RCVBUF has changed.
    pub fn on_buffer_changed(&mut self, id: u64) {
        let Some(wake) = self.ids.get(&id).map(|number| self.waker(*number)) else { return };
        if let Some(datagram) = self.datagram(id) {
            datagram.fit_buffer(wake);
        }
    }

    /// The error a program asks the reason of.
    pub fn take_datagram_error(&mut self, id: u64) -> Option<i32> {
        self.datagram(id)?.error.take().map(errno::of)
    }

    /// Ends a datagram socket once what its program sent is sent.
    pub fn part(&mut self, number: u64) {
        if let Some(Item::Datagram(mut datagram)) = self.take(number).map(|slot| slot.item) {
            while datagram.move_up(&mut self.buffer[..CHUNK]) {}
        }
    }
}

impl Datagram {
    /// Gives our end room for what the program may have unread (SO_RCVBUF), and calls `wake` when it has it.
    fn fit_buffer(&mut self, wake: impl FnOnce() + Send + 'static) {
        let asked = self.socket.with(|stack, id, _| Ok(stack.settings(id)?.recv_buffer)).unwrap_or(0);
        let (done, bring) = Coming::new(wake);
        self.fits = Some((asked, done));
        // Until it has room the stack has.
        self.queues = true;
        // What cannot be set is seen to be too little.
        let _ = unix::set_send_buffer(self.end.as_fd(), asked.max(LEAST_BUFFER) / 2, || bring(()));
        self.note_buffer();
    }

    /// Looks what came of it.
    fn note_buffer(&mut self) {
        if let Some((asked, _)) = self.fits.take_if(|(_, done)| done.get().is_some()) {
            self.queues = unix::send_buffer(self.end.as_fd()).is_none_or(|has| has < asked);
        }
    }

    fn count_overflow(&self) {
        // A socket that is gone has nothing to count.
        let _ = self.socket.with(|stack, _, _| {
            stack.count_overflow();
            Ok(())
        });
    }
}
