//! What the host keeps, each thing in a slot of its own: a number that the kernel's epoll and the stack's readiness
//! both come back with.
//!
//! Both tell of a change once. What is told to one item and concerns the next is carried over, or looked for anew:
//!
//! | an item becomes | of the program's end | of the stack's socket |
//! |---|---|---|
//! | a lent socket, `Connecting` | first told after it was added | [`Host::watch`] has it looked at once more |
//! | `Connecting`, `Bridge` | carried in its [`End`] | put among [`Host::again`] |
//! | `Connecting`, `Held` (it failed) | the program may be gone; the end is closed | nobody watches it any more |
//! | `Held`, `Connecting` | has another slot, and an end of its own | watched as that slot |
//! | `Held`, `Datagram` | first told after it was added | watched anew |
//! | an arrival that waits, `Bridge` | first told after it was added | [`Host::watch`] |
//! | `Bridge`, `Lingering` | closed | [`Host::part_with`] has it looked at once more |
//! | an answer that lingers: `Asker`, closer | told by nobody: it has a time of its own | as before |
//! | accepted, `Asker` | first told after it was added | none |
//! | accepted, `Stranger` | first told after it was added | none |
//! | `Stranger`, what it is with the token | carried in its [`End`]; what it has said is received then | none |
//! | `Asker`, `Reader` | carried in its [`End`], if it was added, else first told then | none |
//! | `Reader`, `Lookup` | carried in its [`End`] | [`Host::watch`] |
//! | `Asker`, `Giver` or `Closer` | carried in its [`End`], if it was added, else first told then | none |
//! | a slot whose item was dropped | its descriptor is closed: epoll(7) forgets it | [`Detached`] has it forgotten |

use super::{
    bridge::{Bridge, Pin},
    connect::Connecting,
    connect::Outcomes,
    datagram::Datagram,
    directory::Directory,
    end::End,
    gate::{Door, Gate, Guard},
    lent::{Closes, Ends},
    life::Life,
    linger::{Leaving, Lingering},
    listener::Held,
    lookup::{Lookup, Reader},
    strangers::Strangers,
    tree::Gift,
};
use crate::{
    counters::Counters,
    engine::{
        Engine,
        ready::{Parker, Watcher},
    },
    ready::Ready,
    shrink,
    socket::detached::Detached,
    stack::{Config, SocketId},
    sys::{entropy, placeholder, readiness, unix},
};
use parking_lot::Mutex;
use sockeye_shim::format::Token;
use std::{
    collections::HashMap,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::Arc,
};

/// The slot of [`Host::asking`]. Those before it are doors ([`Door`]).
pub const ASKING: u64 = Door::ALL.len() as u64;
/// The slot of [`Host::hear_last_closes`].
pub const LAST_CLOSE: u64 = ASKING + 1;
const FIRST: u64 = LAST_CLOSE + 1;

/// A bit of the id of connections that programs have accepted, which this host makes up. No cookie of the kernel's has
/// it; alone it is the id of no socket.
pub const GIVEN: u64 = 1 << 63;

/// What stands in a slot.
pub enum Item {
    /// A program that has not yet said what it asks.
    Asker(End),
    /// Somebody who came by the public name, is another user and has not shown the token.
    Stranger(End),
    /// A connection that is being made.
    Connecting(Box<Connecting>),
    /// A connection.
    Bridge(Box<Bridge>),
    /// A connection that its program has closed, and that is waited for.
    Lingering(Box<Lingering>),
    /// A socket that is bound, listens, or whose options are kept.
    Held(Box<Held>),
    /// A datagram socket.
    Datagram(Box<Datagram>),
    /// A program that waits for what this machine knows of names.
    Reader(Box<Reader>),
    /// A program that waits for what name servers say.
    Lookup(Box<Lookup>),
    /// A process that uses the stack, by a descriptor that tells its end.
    Client(OwnedFd, i32),
    /// A program that has a descriptor to give.
    Giver(End, Gift),
    /// A program that is about to close a connection, and will wait for it.
    Closer(End, Leaving),
    /// A tree of programs that uses the stack, by a descriptor that tells its end.
    Tree(OwnedFd),
}

impl Item {
    /// The program's end in it, of those whose events count beyond the moment they come in.
    pub fn end_mut(&mut self) -> Option<&mut End> {
        match self {
            Self::Asker(end) | Self::Stranger(end) | Self::Giver(end, _) | Self::Closer(end, _) => Some(end),
            Self::Connecting(connecting) => Some(connecting.end_mut()),
            Self::Bridge(bridge) => Some(bridge.end_mut()),
            Self::Reader(reader) => Some(reader.asker_mut()),
            Self::Lookup(lookup) => Some(lookup.asker_mut()),
            Self::Lingering(_) | Self::Held(_) | Self::Datagram(_) => None,
            Self::Client(..) | Self::Tree(_) => None,
        }
    }

    /// The stack's socket in it.
    pub fn socket(&self) -> Option<&Detached> {
        match self {
            Self::Connecting(connecting) => Some(connecting.socket()),
            Self::Bridge(bridge) => Some(bridge.socket()),
            Self::Lingering(lingering) => Some(lingering.socket()),
            Self::Held(held) => Some(&held.socket),
            Self::Datagram(datagram) => Some(datagram.socket()),
            Self::Asker(_) | Self::Stranger(_) | Self::Closer(..) | Self::Reader(_) | Self::Lookup(_) => None,
            Self::Client(..) | Self::Giver(..) | Self::Tree(_) => None,
        }
    }
}

/// An item and the id by which it is found when a program lends its socket ([`super::lent`]).
pub struct Slot {
    pub item: Item,
    pub id: Option<u64>,
}

/// The slots whose sockets became ready in the stack. Filled by whichever thread drives, emptied by ours.
pub struct Inbox {
    slots: Mutex<Vec<u64>>,
    parker: Arc<Parker>,
}

impl Watcher for Inbox {
    fn on_ready(&self, slot: u64, ready: Ready) {
        let mut slots = self.slots.lock();
        if slots.last() != Some(&slot) {
            slots.push(slot);
        }
        drop(slots);
        self.parker.on_ready(slot, ready);
    }
}

impl Inbox {
    /// Takes what has come.
    pub fn take(&self, into: &mut Vec<u64>) {
        into.append(&mut self.slots.lock());
    }
}

/// The kernel's epoll instance.
pub struct Interest(RawFd);

impl Interest {
    pub fn fd(&self) -> RawFd {
        self.0
    }

    /// One that is empty.
    ///
    /// # Errors
    /// `TooManyFiles`, `FileTableFull`, `NoMemory`.
    pub fn new() -> crate::error::Result<Self> {
        readiness::new(true).map(Self)
    }

    /// Asks for edges of `events` on `fd`, to be told as `slot`. It ends when the descriptor is closed.
    pub fn add(&self, fd: &impl AsFd, events: i32, slot: u64) -> crate::error::Result<()> {
        let event = libc::epoll_event { events: (events | libc::EPOLLET).cast_unsigned(), u64: slot };
        readiness::control(self.0, libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), event)
    }

    /// Asks to be told as `slot` as long as there is something to read: of what is taken in shares.
    pub fn add_level(&self, fd: &impl AsFd, slot: u64) -> crate::error::Result<()> {
        self.control_level(libc::EPOLL_CTL_ADD, fd.as_fd().as_raw_fd(), libc::EPOLLIN, slot)
    }

    /// Asks to be told as `slot` as long as another instance has something to tell.
    pub fn add_interest(&self, other: &Self, slot: u64) -> crate::error::Result<()> {
        self.control_level(libc::EPOLL_CTL_ADD, other.0, libc::EPOLLIN, slot)
    }

    /// Is not told of `fd`, which was added by [`Interest::add_level`], for now; or is again.
    pub fn hush(&self, fd: &impl AsFd, slot: u64, is_hushed: bool) {
        let events = if is_hushed { 0 } else { libc::EPOLLIN };
        // It was added: nothing can be wrong.
        let _changed = self.control_level(libc::EPOLL_CTL_MOD, fd.as_fd().as_raw_fd(), events, slot);
    }

    fn control_level(&self, op: i32, fd: RawFd, events: i32, slot: u64) -> crate::error::Result<()> {
        readiness::control(self.0, op, fd, libc::epoll_event { events: events.cast_unsigned(), u64: slot })
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        placeholder::close(self.0);
    }
}

/// The host.
pub struct Host {
    pub stack: u32,
    pub engine: &'static Engine,
    pub name: Vec<u8>,
    /// What the stack was made from.
    pub config: Config,
    pub gate: Gate,
    pub guard: Guard,
    pub interest: Interest,
    /// Programs that were let in and have not said what they ask, apart from all else: they are heard first.
    pub asking: Interest,
    /// How many those are.
    pub askers: usize,
    pub strangers: Strangers,
    pub ends: Ends,
    pub closes: Closes,
    pub inbox: Arc<Inbox>,
    pub parker: Arc<Parker>,
    pub slots: HashMap<u64, Slot>,
    pub ids: HashMap<u64, u64>,
    pub outcomes: Outcomes,
    pub life: Life,
    /// Slots that have more to do at once.
    pub again: Vec<u64>,
    pub buffer: Vec<u8>,
    pub pins: Pin,
    /// What was counted when an operator last asked.
    pub marked: Counters,
    pub next_slot: u64,
    /// Where programs' sockets and our ends of them have their paths. It goes last: a host that cannot look into it any
    /// more cannot remove it with something in it.
    pub directory: Directory,
}

impl Host {
    /// A host for the stack numbered `stack`, whose names are taken.
    ///
    /// # Errors
    /// A text: no descriptor is left.
    pub fn new(
        stack: u32,
        engine: &'static Engine,
        (name, config): (Vec<u8>, Config),
        (gate, directory): (Gate, Directory),
        token: Token,
    ) -> Result<Self, String> {
        let closes = Closes::new().map_err(|error| format!("programs' sockets cannot be watched: {error}"))?;
        let wait = || {
            let (interest, asking) = (Interest::new()?, Interest::new()?);
            interest.add_interest(&asking, ASKING)?;
            interest.add(&closes, libc::EPOLLIN, LAST_CLOSE)?;
            gate.watch(&interest)?;
            Ok::<_, crate::error::Error>((interest, asking))
        };
        let (interest, asking) = wait().map_err(|error| format!("cannot wait for programs: {error}"))?;
        engine.with(|stack, _| stack.charge_each_connection(super::bridge::COST));
        let parker = Parker::current();
        Ok(Self {
            stack,
            engine,
            name,
            config,
            gate,
            guard: Guard { token, uid: unix::own_uid() },
            interest,
            asking,
            askers: 0,
            strangers: Strangers::default(),
            directory,
            ends: Ends::default(),
            closes,
            inbox: Arc::new(Inbox { slots: Mutex::default(), parker: Arc::clone(&parker) }),
            parker,
            slots: HashMap::new(),
            ids: HashMap::new(),
            outcomes: Outcomes::default(),
            life: Life::new(engine.now()),
            again: Vec::new(),
            buffer: vec![0; super::bridge::CHUNK],
            pins: Pin::default(),
            marked: Counters::default(),
            next_slot: FIRST,
        })
    }

    /// The number of the next slot.
    pub fn reserve(&mut self) -> u64 {
        self.next_slot += 1;
        self.next_slot - 1
    }

    /// An id for a connection that no program has named yet.
    pub fn give_id(&self) -> u64 {
        // Nobody may take the name that is made of it before.
        GIVEN | entropy::seed()[0]
    }

    /// Fills a slot.
    pub fn put(&mut self, slot: u64, item: Item, id: Option<u64>) {
        if let Some(id) = id {
            self.ids.insert(id, slot);
        }
        self.askers += usize::from(matches!(item, Item::Asker(_)));
        self.slots.insert(slot, Slot { item, id });
    }

    /// Empties a slot, to be filled again or dropped.
    pub fn take(&mut self, slot: u64) -> Option<Slot> {
        let taken = self.slots.remove(&slot)?;
        self.askers -= usize::from(matches!(taken.item, Item::Asker(_)));
        shrink::map(&mut self.slots);
        if let Some(id) = taken.id
            && self.ids.get(&id) == Some(&slot)
        {
            self.ids.remove(&id);
            shrink::map(&mut self.ids);
        }
        Some(taken)
    }

    /// What has the id.
    pub fn named(&self, id: u64) -> Option<&Item> {
        self.slots.get(self.ids.get(&id)?).map(|slot| &slot.item)
    }

    /// The stack's socket behind an id.
    pub fn socket(&self, id: u64) -> Option<&Detached> {
        self.named(id)?.socket()
    }

    /// Makes a slot run: to be called when something has come that it waits for, on whichever thread.
    pub fn waker(&self, slot: u64) -> impl FnOnce() + Send + use<> {
        let inbox = Arc::clone(&self.inbox);
        move || inbox.on_ready(slot, Ready::OUT)
    }

    /// Asks the stack for the readiness of a socket, to be told as `slot`. What is so already is looked at once.
    pub fn watch(&mut self, socket: SocketId, slot: u64) {
        let inbox: Arc<dyn Watcher> = Arc::clone(&self.inbox) as _;
        let wanted = Ready::IN | Ready::PRI | Ready::OUT | Ready::RDHUP | Ready::ERR | Ready::HUP;
        self.engine.watch(socket, wanted, slot, inbox);
        self.again.push(slot);
    }
}
