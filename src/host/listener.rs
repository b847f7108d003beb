//! Sockets that are bound or listen, and the connections that come to them.
//!
//! The program's listener is an AF_UNIX one in the host's directory: for each connection an end of ours connects to it,
//! and its name says the addresses. While the program's queue is full the connection waits here, and the others in the
//! stack's queue.

use super::{
    bridge::Bridge,
    directory::Place,
    end::{self, End},
    slot::{Host, Item},
};
use crate::{
    addr::Flow,
    error::Error,
    socket::{detached::Detached, inspect::mapped},
    sys::unix::{self, Kind},
    time::Duration,
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

/// A socket without a connection.
pub struct Held {
    /// The stack's socket.
    pub socket: Detached,
    /// The kernel's number of the program's file.
    pub inode: u32,
    /// The path of that file, once it is bound.
    pub place: Option<Place>,
    /// It listens.
    pub listening: bool,
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
    /// A socket that is neither bound nor listens. Its program's file has that number.
    pub fn new(socket: Detached, inode: u32) -> Self {
        Self { socket, inode, place: None, listening: false, waiting: None }
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
        let Some(place) = &held.place else { return Delivery::Gone };
        match unix::connect_path(arrival.end.as_fd(), place.path()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Delivery::Full(arrival),
            Err(_) => return Delivery::Gone,
        }
        let Arrival { end, connection, id } = arrival;
        let number = self.reserve();
        if self.interest.add(&end, end::EVENTS, number).is_err() {
            return Delivery::Gone;
        }
        let Some(socket) = connection.taken() else { return Delivery::Done };
        self.watch(socket.id(), number);
        self.put(number, Item::Bridge(Box::new(Bridge::new(End::new(end), socket))), Some(id));
        Delivery::Done
    }
}
