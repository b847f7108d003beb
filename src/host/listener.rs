//! Sockets that are bound or listen, and the connections that come to them.
//!
//! The program's listener is an AF_UNIX one: for each connection an end of ours connects to it, and its name says the
//! addresses. While the program's queue is full the connection waits here, and the others in the stack's queue.

use super::{
    bridge::Bridge,
    end::{self, End},
    life::Life,
    slot::{Host, Item},
};
use crate::{
    addr::Flow,
    error::Error,
    socket::{detached::Detached, inspect::mapped},
    sys::unix::{self, Kind},
    time::{Duration, Instant},
};
use sockeye_shim::name::Meaning;
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// How soon a listener whose queue was full is tried again.
const RETRY: Duration = Duration::from_millis(3);
/// Connections delivered before it is the others' turn.
const ROUNDS: usize = 64;
/// How long a program may take to give its end the name it was told.
const NAMING: Duration = Duration::from_secs(2);
/// How long options are kept for a socket without a name whose program has ended: a child may have it, and use it yet.
const ORPHAN: Duration = Duration::from_secs(10);

/// A socket without a connection.
pub struct Held {
    /// The stack's socket.
    pub socket: Detached,
    /// The name of the program's end, once it is bound.
    pub name: Option<Vec<u8>>,
    /// The program's end has been seen to have that name.
    pub seen: bool,
    since: Instant,
    /// The process that asked for it last, which answers for it while it has no name; 0 if that is not known.
    pub pid: i32,
    /// It listens.
    pub listening: bool,
    /// The user whose listener it is.
    pub uid: Option<u32>,
    /// The connection that found the program's queue full.
    pub waiting: Option<Arrival>,
}

/// A connection on its way to the program.
pub struct Arrival {
    end: OwnedFd,
    connection: Unaccepted,
    id: u64,
}

/// A connection that the stack has accepted and no program has. Whatever keeps it from one, its peer sees a reset, as
/// Linux makes it of those that a closed listener leaves (inet_csk_listen_stop), and no end of data that nobody has
/// sent.
struct Unaccepted(Option<Detached>);

impl Unaccepted {
    /// A program has it.
    fn taken(mut self) -> Option<Detached> {
        self.0.take()
    }
}

impl Drop for Unaccepted {
    fn drop(&mut self) {
        self.0.iter().for_each(Detached::reset_on_close);
    }
}

/// How a delivery went.
enum Delivery {
    Done,
    /// The program's queue is full.
    Full(Arrival),
    /// Nobody listens there any more.
    Gone,
}

impl Held {
    /// A socket that is neither bound nor listens.
    pub fn new(socket: Detached, now: Instant) -> Self {
        Self { socket, name: None, seen: false, since: now, pid: 0, listening: false, uid: None, waiting: None }
    }

    /// The program was told to call its end `name`.
    pub fn named(&mut self, name: Vec<u8>, now: Instant) {
        (self.name, self.since) = (Some(name), now);
    }

    /// Whether nothing has the name of the program's end. One without a name cannot be asked for.
    pub fn is_gone(&self) -> bool {
        self.name.as_ref().is_some_and(|name| unix::is_taken(name).is_ok_and(|taken| !taken))
    }

    /// Whether the program's end is gone and not just on its way. One without a name is gone with the program.
    fn is_abandoned(&mut self, now: Instant, life: &Life) -> bool {
        if self.name.is_none() {
            let is_orphan = self.pid > 0 && !life.is_user(self.pid);
            return is_orphan && (!life.has_users() || self.since + ORPHAN <= now);
        }
        let is_gone = self.is_gone();
        self.seen |= !is_gone;
        is_gone && (self.seen || self.since + NAMING <= now)
    }
}

impl Host {
    /// Hands the connections that have come to the program. A listener whose program is gone is closed.
    pub fn deliver(&mut self, number: u64, mut held: Box<Held>, id: Option<u64>) {
        if !held.listening {
            return self.put(number, Item::Held(held), id);
        }
        let mut rounds = 0;
        loop {
            let arrival = match held.waiting.take() {
                Some(arrival) => Ok(arrival),
                None => self.arrive(&held),
            };
            let delivery = match arrival {
                Ok(arrival) => self.deliver_one(&held, arrival),
                Err(Error::WouldBlock) => break,
                // Out of descriptors: the connection waits in the stack.
                Err(_) => {
                    self.life.retry(number, self.engine.now() + RETRY);
                    break;
                }
            };
            match delivery {
                Delivery::Done => {}
                Delivery::Full(arrival) => {
                    held.waiting = Some(arrival);
                    self.life.retry(number, self.engine.now() + RETRY);
                    break;
                }
                // Dropping it resets what waits.
                Delivery::Gone => return,
            }
            rounds += 1;
            if rounds == ROUNDS {
                self.again.push(number);
                break;
            }
        }
        self.put(number, Item::Held(held), id);
    }

    /// The next connection of the listener, with an end of ours that is named after it.
    fn arrive(&mut self, held: &Held) -> Result<Arrival, Error> {
        held.socket.with(|stack, id, _| if stack.ready(id).is_empty() { Err(Error::WouldBlock) } else { Ok(()) })?;
        let end = unix::open(Kind::Stream).map_err(|error| {
            self.life.on_shortage(self.engine.now(), &error);
            Error::TooManyFiles
        })?;
        let (child, flow) = held.socket.with(|stack, id, now| stack.accept(id, now))?;
        let connection = Unaccepted(Some(held.socket.accepted(child)?));
        let id = self.give_id();
        let Flow { local, remote } = flow;
        let name = Meaning::Accepted { id, peer: mapped(remote), local: mapped(local) }.name(&self.name);
        let name = name.ok_or(Error::Invalid)?;
        unix::bind(end.as_fd(), name.as_bytes()).map_err(|_| Error::AddrInUse)?;
        Ok(Arrival { end, connection, id })
    }

    fn deliver_one(&mut self, held: &Held, arrival: Arrival) -> Delivery {
        let name = held.name.as_deref().unwrap_or_default();
        match unix::connect(arrival.end.as_fd(), name) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Delivery::Full(arrival),
            Err(_) => return Delivery::Gone,
        }
        let Arrival { end, connection, id } = arrival;
        let listener = unix::peer(end.as_fd()).map(|peer| peer.uid);
        let number = self.reserve();
        // Somebody else may have taken the name of a program that is gone.
        let is_program = listener == held.uid || listener == Some(0) || listener == Some(self.guard.uid);
        if !is_program || self.interest.add(&end, end::EVENTS, number).is_err() {
            return if is_program { Delivery::Done } else { Delivery::Gone };
        }
        let Some(socket) = connection.taken() else { return Delivery::Done };
        self.watch(socket.id(), number);
        self.put(number, Item::Bridge(Box::new(Bridge::new(End::new(end), socket))), Some(id));
        Delivery::Done
    }

    /// Frees the ports of those bound sockets and listeners whose program's end is gone.
    pub fn sweep(&mut self) {
        self.sweep_datagrams();
        let now = self.engine.now();
        let life = &self.life;
        let abandoned = |item: &mut Item| match item {
            Item::Held(held) => held.is_abandoned(now, life),
            _ => false,
        };
        let gone: Vec<u64> =
            self.slots.iter_mut().filter_map(|(number, slot)| abandoned(&mut slot.item).then_some(*number)).collect();
        for number in gone {
            // Dropping it closes the socket.
            drop(self.take(number));
        }
    }
}
