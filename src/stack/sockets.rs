//! The sockets: a slab whose slots are used again and whose ids are not.

use super::{SocketId, SocketSettings, listener::Listener, net::Hop, ports::Binding};
use crate::{addr::Endpoint, error::Error, tcp, udp};

/// Sockets at most, those without an owner included.
const LIMIT: usize = 1 << 20;

/// Slots that are never worth giving back.
const FLOOR: usize = 1024;

/// Whose a socket is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The application's.
    Application,
    /// A listener's, until accept(2) takes it.
    Listener(SocketId, Stage),
    /// Nobody's: it finishes by itself.
    Nobody,
}

/// How far a connection has come that nobody has accepted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the SYN queue: the handshake is not complete.
    Embryo,
    /// In the accept queue.
    Queued,
}

/// Where a stream socket is between connect(2) and the next connect(2): Linux's `sock->state`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It can connect.
    Unconnected,
    /// connect(2) has not told its result yet.
    Connecting,
    /// connect(2) has succeeded, or the socket was accepted.
    Connected,
}

/// What a socket is made of.
pub enum Body {
    /// A stream socket before connect or listen.
    Idle(Box<tcp::Settings>),
    /// A listening socket.
    Listener(Box<Listener>),
    /// A connection, in any state.
    Connection(Box<tcp::Connection>),
    /// A datagram socket.
    Datagram(Box<udp::Socket>),
}

/// A socket.
pub struct Entry {
    /// Whose it is.
    pub owner: Owner,
    /// See [`Phase`].
    pub phase: Phase,
    /// It is in a queue of sockets that may have something to send.
    pub dirty: bool,
    /// It has no owner and something unacknowledged: counted in `Stack::draining`.
    pub drains: bool,
    /// The device it needs is gone.
    pub is_down: bool,
    /// The identification of its next datagram (with DF any will do, RFC 6864).
    pub ident: u16,
    /// Own end: what was bound, and, while connected, what was chosen.
    pub local: Endpoint,
    /// What the application asked for by bind(2): it stays when the connection is gone.
    pub bound: Endpoint,
    /// The claim on the port.
    pub binding: Option<Binding>,
    /// The way to the peer.
    pub hop: Option<Hop>,
    /// An error of the stack's own making.
    pub error: Option<Error>,
    /// Options.
    pub settings: SocketSettings,
    /// What it is.
    pub body: Body,
}

impl Entry {
    /// A socket with default options, bound to nothing.
    pub fn new(owner: Owner, unbound: Endpoint, body: Body) -> Self {
        Self {
            owner,
            phase: Phase::Unconnected,
            dirty: false,
            drains: false,
            is_down: false,
            ident: 0,
            local: unbound,
            bound: unbound,
            binding: None,
            hop: None,
            error: None,
            settings: SocketSettings::default(),
            body,
        }
    }
}

struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// The slab.
#[derive(Default)]
pub struct Sockets {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// The generation a new slot begins with: none that was there before at its index was as high.
    newest: u32,
}

impl Sockets {
    /// Puts a socket into a free slot.
    ///
    /// # Errors
    /// `NoBuffers` at the limit.
    pub fn insert(&mut self, entry: Entry) -> Result<SocketId, Error> {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.entry = Some(entry);
            return Ok(SocketId { index, generation: slot.generation });
        }
        if self.slots.len() >= LIMIT {
            return Err(Error::NoBuffers);
        }
        let generation = self.newest;
        self.slots.push(Slot { generation, entry: Some(entry) });
        Ok(SocketId { index: self.slots.len() as u32 - 1, generation })
    }

    /// Takes a socket out; its id names nothing from here on. A slot whose generations are used up stays empty.
    pub fn remove(&mut self, id: SocketId) -> Option<Entry> {
        let slot = self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?;
        let entry = slot.entry.take()?;
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(id.index);
        }
        Some(entry)
    }

    /// Gives back the slots behind the last that is in use, if they are most of all.
    pub fn shrink(&mut self) {
        let used = self.slots.iter().rposition(|slot| slot.entry.is_some()).map_or(0, |last| last + 1);
        if self.slots.len() < FLOOR || used > self.slots.len() / 4 {
            return;
        }
        // Their ids name nothing for ever: what comes in their place begins above them. A slot whose generations are
        // used up stays.
        let Some(newest) = self.slots[used..].iter().map(|slot| slot.generation).max().filter(|max| *max < u32::MAX)
        else {
            return;
        };
        self.newest = self.newest.max(newest);
        self.slots.truncate(used);
        self.slots.shrink_to_fit();
        self.free.retain(|index| (*index as usize) < used);
        self.free.shrink_to_fit();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The socket, whoever owns it.
    pub fn lookup(&self, id: SocketId) -> Option<&Entry> {
        self.slots.get(id.index as usize).filter(|slot| slot.generation == id.generation)?.entry.as_ref()
    }

    /// The socket, to be changed.
    pub fn lookup_mut(&mut self, id: SocketId) -> Option<&mut Entry> {
        self.slots.get_mut(id.index as usize).filter(|slot| slot.generation == id.generation)?.entry.as_mut()
    }

    /// The application's socket.
    ///
    /// # Errors
    /// `BadDescriptor` if there is none.
    pub fn owned(&self, id: SocketId) -> Result<&Entry, Error> {
        self.lookup(id).filter(|entry| entry.owner == Owner::Application).ok_or(Error::BadDescriptor)
    }

    /// The application's socket, to be changed.
    ///
    /// # Errors
    /// `BadDescriptor` if there is none.
    pub fn owned_mut(&mut self, id: SocketId) -> Result<&mut Entry, Error> {
        self.lookup_mut(id).filter(|entry| entry.owner == Owner::Application).ok_or(Error::BadDescriptor)
    }

    /// The id of the socket in a slot.
    pub fn id_at(&self, index: u32) -> Option<SocketId> {
        let slot = self.slots.get(index as usize).filter(|slot| slot.entry.is_some())?;
        Some(SocketId { index, generation: slot.generation })
    }

    /// All sockets.
    pub fn iter(&self) -> impl Iterator<Item = (SocketId, &Entry)> {
        self.iter_from(0)
    }

    /// All sockets, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.slots.iter_mut().filter_map(|slot| slot.entry.as_mut())
    }

    /// The sockets from a slot on.
    pub fn iter_from(&self, first: u32) -> impl Iterator<Item = (SocketId, &Entry)> {
        let id = |index: usize, slot: &Slot| SocketId { index: index as u32, generation: slot.generation };
        self.slots
            .iter()
            .enumerate()
            .skip(first as usize)
            .filter_map(move |(i, slot)| Some((id(i, slot), slot.entry.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let unbound = Endpoint::new("0.0.0.0".parse().unwrap(), 0);
        Entry::new(Owner::Application, unbound, Body::Datagram(Box::default()))
    }

    #[test]
    fn a_slot_is_used_again_and_an_id_is_not() {
        let mut sockets = Sockets::default();
        let first = sockets.insert(entry()).unwrap();
        assert!(sockets.remove(first).is_some() && sockets.remove(first).is_none());
        let second = sockets.insert(entry()).unwrap();
        assert_eq!(second.index, first.index);
        assert!(sockets.lookup(first).is_none() && sockets.owned(second).is_ok());
    }

    #[test]
    fn a_slot_whose_generations_are_used_up_stays_empty() {
        let mut sockets = Sockets::default();
        let first = sockets.insert(entry()).unwrap();
        sockets.slots[0].generation = u32::MAX;
        sockets.remove(SocketId { generation: u32::MAX, ..first });
        assert_eq!(sockets.insert(entry()).unwrap().index, 1);
    }

    #[test]
    fn slots_that_a_rush_has_left_go_and_their_ids_name_nothing_afterwards() {
        let mut sockets = Sockets::default();
        let rush: Vec<SocketId> = (0..10_000).map(|_| sockets.insert(entry()).unwrap()).collect();
        rush[1..].iter().for_each(|id| _ = sockets.remove(*id));
        sockets.shrink();
        assert_eq!((sockets.slots.len(), sockets.free.len(), sockets.len()), (1, 0, 1));
        assert!(sockets.lookup(rush[0]).is_some());
        (0..10_000).for_each(|_| assert!(sockets.insert(entry()).is_ok()));
        assert!(rush[1..].iter().all(|id| sockets.lookup(*id).is_none()));
        sockets.shrink();
        assert_eq!(sockets.len(), 10_001, "what is in use stays");
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<Entry>() <= 216, "{}", size_of::<Entry>());
    }
}
