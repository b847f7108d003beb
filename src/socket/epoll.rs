//! epoll(7). The descriptor is an epoll instance of the kernel, which keeps the kernel descriptors; our sockets are in
//! an interest list here, with a list of those that may be ready. What a wait costs depends on the ready ones alone.
//!
//! Level-triggered entries stay on the ready list and are asked again at the next wait; edge-triggered ones return to
//! it with the next edge. An instance in another is told of in [`super::nested`]. Locks: a file's memberships, then the
//! instance; neither is held while the engine is called, which calls [`Watcher::on_ready`] under a lock of its own.

use super::{
    file::{FileRef, Handle},
    nested::{self, Children, Doorbell},
    poll::{Engines, Timeout, without_bands},
    shelf::Shelf,
    stacks,
    table::{self, Entry},
};
use crate::{
    engine::{
        self, Engine, Woke,
        ready::{Parker, Watcher},
    },
    error::{Error, Result},
    ready::Ready,
    stack::with_bands,
    sys::{
        placeholder,
        readiness::{self, PollFd},
    },
};
use libc::epoll_event;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
};

const ONESHOT: u32 = libc::EPOLLONESHOT as u32;
const EDGE: u32 = libc::EPOLLET as u32;
const EXCLUSIVE: u32 = libc::EPOLLEXCLUSIVE as u32;
const WAKEUP: u32 = libc::EPOLLWAKEUP as u32;
/// All that EPOLLEXCLUSIVE may be asked for with (epoll_ctl(2)).
const WITH_EXCLUSIVE: u32 = EXCLUSIVE | WAKEUP | EDGE | Ready::IN.0 | Ready::OUT.0 | Ready::ERR.0 | Ready::HUP.0;

/// Entries asked for their readiness under one lock of the stack.
const AT_ONCE: usize = 64;

/// An epoll instance. Instances are never freed but used again, so that no wait holds a count of one.
#[derive(Default)]
pub struct Epoll {
    pub(super) state: Mutex<State>,
    bell: OnceLock<Arc<dyn Watcher>>,
}

#[derive(Default)]
pub(super) struct State {
    entries: Vec<Slot>,
    free: Vec<u32>,
    /// Tokens of entries that may be ready, in the order they became so. Those of removed entries lead nowhere.
    ready: VecDeque<u64>,
    waiters: Vec<Waiter>,
    /// Stacks of the entries, with the number of their entries.
    stacks: Vec<(u32, usize)>,
    /// Kernel descriptors that were added and not deleted; closed ones may still be counted.
    kernel: usize,
    /// Whether the kernel's are asked first this time, so that neither side starves the other.
    kernel_first: bool,
    /// Instances in this one.
    pub(super) children: Children,
    /// What shows the instances that this one is in, and those who poll it, that the ready list is not empty.
    pub(super) doorbell: Option<Doorbell>,
}

/// A place of the interest list; the generation tells a new entry from the one a late event is meant for.
#[derive(Default)]
struct Slot {
    generation: u32,
    entry: Option<Interest>,
}

/// An entry of the interest list.
struct Interest {
    socket: Handle,
    events: u32,
    data: u64,
    /// On the ready list.
    queued: bool,
    /// EPOLLONESHOT has fired.
    disabled: bool,
}

struct Waiter {
    parker: Arc<Parker>,
    /// A thread in epoll_wait: one event wakes one of them. Others poll the instance: all are woken.
    exclusive: bool,
}

pub(super) static EPOLLS: Shelf<Epoll> = Shelf::new();
static FREE: Mutex<(Vec<u32>, u32)> = Mutex::new((Vec::new(), 0));

/// That a file is in an instance's interest list.
#[derive(Copy, Clone, Debug)]
pub struct Membership {
    epoll: u32,
    fd: i32,
    token: u64,
}

/// What becomes of readiness edges.
struct Bell(u32);

impl Watcher for Bell {
    fn on_ready(&self, token: u64, ready: Ready) {
        if let Some(mut state) = EPOLLS.at(self.0).enqueue(token, ready) {
            state.notify(|parker| parker.on_ready(0, ready));
        }
    }

    fn on_ready_exclusive(&self, token: u64, ready: Ready) -> bool {
        let state = EPOLLS.at(self.0).enqueue(token, ready);
        state.is_some_and(|mut state| state.notify(|parker| parker.on_ready(0, ready)))
    }
}

const fn token(index: u32, generation: u32) -> u64 {
    (generation as u64) << 32 | index as u64
}

/// The conditions an entry reports: EPOLLERR and EPOLLHUP always.
const fn mask(events: u32) -> Ready {
    const INPUT_FLAGS: u32 = ONESHOT | EDGE | EXCLUSIVE | WAKEUP;
    Ready(events & !INPUT_FLAGS | Ready::ERR.0 | Ready::HUP.0)
}

impl State {
    fn entry(&mut self, token: u64) -> Option<&mut Interest> {
        let slot = self.entries.get_mut(token as u32 as usize)?;
        if slot.generation == (token >> 32) as u32 { slot.entry.as_mut() } else { None }
    }

    fn insert(&mut self, entry: Interest) -> u64 {
        match self.stacks.iter_mut().find(|(stack, _)| *stack == entry.socket.stack) {
            Some((_, count)) => *count += 1,
            None => self.stacks.push((entry.socket.stack, 1)),
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Slot::default());
            self.entries.len() as u32 - 1
        });
        let slot = &mut self.entries[index as usize];
        slot.entry = Some(entry);
        token(index, slot.generation)
    }

    fn remove(&mut self, token: u64) -> Option<Interest> {
        self.entry(token)?;
        let index = token as u32;
        let slot = &mut self.entries[index as usize];
        slot.generation = slot.generation.wrapping_add(1);
        let entry = slot.entry.take()?;
        self.free.push(index);
        if let Some(at) = self.stacks.iter().position(|(stack, _)| *stack == entry.socket.stack) {
            self.stacks[at].1 -= 1;
            if self.stacks[at].1 == 0 {
                self.stacks.swap_remove(at);
            }
        }
        Some(entry)
    }

    /// Tells one thread in epoll_wait and all that poll the instance; they are no waiters any more. Whether there was a
    /// thread in epoll_wait.
    fn notify(&mut self, tell: impl Fn(&Parker)) -> bool {
        let mut one = false;
        self.waiters.retain(|waiter| {
            let stays = waiter.exclusive && one;
            if !stays {
                tell(&waiter.parker);
                one |= waiter.exclusive;
            }
            stays
        });
        one
    }

    /// One of the kernel's descriptors more.
    pub(super) fn add_kernel(&mut self) {
        self.kernel += 1;
    }

    /// One less.
    pub(super) fn remove_kernel(&mut self) {
        self.kernel = self.kernel.saturating_sub(1);
    }

    /// Shows whether the ready list is empty; rings once more where it is not.
    pub(super) fn show(&mut self) {
        let is_empty = self.ready.is_empty();
        if let Some(doorbell) = &mut self.doorbell {
            if is_empty { doorbell.silence() } else { doorbell.ring() }
        }
    }
}

impl Epoll {
    /// Puts an entry on the ready list if `ready` concerns it. The state, for [`State::notify`], if it is news.
    fn enqueue(&self, token: u64, ready: Ready) -> Option<parking_lot::MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        let entry = state.entry(token)?;
        if entry.disabled || !without_bands(mask(entry.events)).intersects(ready) {
            return None;
        }
        if !std::mem::replace(&mut entry.queued, true) {
            state.ready.push_back(token);
        }
        // An edge also where it was on the list: the instances it is in may be asked for edges.
        state.show();
        Some(state)
    }

    /// Takes entries off the front of the ready list until one is ready indeed.
    pub(super) fn settle(&self) {
        loop {
            let candidate = {
                let mut state = self.state.lock();
                match state.ready.len() {
                    0 => return,
                    _ => state.pop(),
                }
            };
            let is_ready = candidate.is_some_and(|Candidate { token, socket, .. }| {
                let ready = with_bands(socket.engine.with(|stack, _| stack.ready(socket.id)), socket.protocol);
                self.state.lock().put_back(token, ready)
            });
            let mut state = self.state.lock();
            if is_ready {
                return;
            }
            if state.ready.is_empty() {
                state.show();
            }
        }
    }

    fn bell(&self, epoll: u32) -> &Arc<dyn Watcher> {
        self.bell.get_or_init(|| Arc::new(Bell(epoll)))
    }
}

impl Membership {
    /// The file's last descriptor is closed: it leaves the interest list. The engine forgets its watchers itself.
    pub fn forget(self) {
        EPOLLS.at(self.epoll).state.lock().remove(self.token);
    }
}

/// epoll_create1(2).
///
/// # Errors
/// `Invalid` for unknown flags; out of descriptors.
pub fn create(flags: i32) -> Result<i32> {
    if flags & !libc::EPOLL_CLOEXEC != 0 {
        return Err(Error::Invalid);
    }
    let fd = readiness::new(flags & libc::EPOLL_CLOEXEC != 0)?;
    let epoll = {
        let mut free = FREE.lock();
        free.0.pop().unwrap_or_else(|| {
            free.1 += 1;
            free.1 - 1
        })
    };
    table::add(fd, FileRef::of_epoll(epoll))
}

/// The last descriptor of an instance is closed.
pub fn shut(epoll: u32) {
    let this = EPOLLS.at(epoll);
    let bell = this.bell(epoll);
    let mut left = Vec::new();
    {
        let mut state = this.state.lock();
        for index in 0..state.entries.len() as u32 {
            let token = token(index, state.entries[index as usize].generation);
            left.extend(state.remove(token).map(|entry| (token, entry)));
        }
        state.kernel = 0;
        (state.children, state.doorbell) = (Children::default(), None);
        state.notify(Parker::wake);
        state.waiters.drain(..).for_each(|waiter| waiter.parker.wake());
    }
    for (token, Interest { socket, .. }) in left {
        socket.engine.unwatch(socket.id, token, bell);
        socket.fields().memberships.lock().retain(|member| member.epoll != epoll || member.token != token);
    }
    FREE.lock().0.push(epoll);
}

/// epoll_ctl(2).
///
/// # Errors
/// As epoll_ctl(2). `Invalid` also for a descriptor of ours in an instance of the kernel.
pub fn control(epfd: i32, op: i32, fd: i32, event: Option<epoll_event>) -> Result<()> {
    super::enter()?;
    let epoll = match table::entry(epfd) {
        Entry::Epoll(epoll, _) => epoll,
        _ if !placeholder::is_open(epfd) => return Err(Error::BadDescriptor),
        // An instance of the kernel that this library did not make can hold kernel descriptors only.
        Entry::Foreign if matches!(table::entry(fd), Entry::Foreign) => {
            return readiness::control(epfd, op, fd, event.unwrap_or(epoll_event { events: 0, u64: 0 }));
        }
        _ => return Err(Error::Invalid),
    };
    match (op, table::entry(fd), event) {
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, Entry::Foreign, event) => {
            readiness::control(epfd, op, fd, event.unwrap_or(epoll_event { events: 0, u64: 0 }))?;
            let mut state = EPOLLS.at(epoll).state.lock();
            match op {
                libc::EPOLL_CTL_ADD => state.add_kernel(),
                libc::EPOLL_CTL_DEL => state.remove_kernel(),
                _ => {}
            }
            Ok(())
        }
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, Entry::Epoll(inner, file), event) => {
            let event = event.unwrap_or(epoll_event { events: 0, u64: 0 });
            nested::control(nested::Place { fd: epfd, epoll }, op, nested::Child { fd, epoll: inner, file }, event)
        }
        (libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD, Entry::Socket(socket), Some(_)) if socket.live().is_err() => {
            Err(Error::NetDown)
        }
        (libc::EPOLL_CTL_ADD, Entry::Socket(socket), Some(event)) => add(epoll, fd, &socket, event),
        (libc::EPOLL_CTL_MOD, Entry::Socket(socket), Some(event)) => modify(epoll, fd, &socket, event),
        (libc::EPOLL_CTL_DEL, Entry::Socket(socket), _) => delete(epoll, fd, &socket),
        _ => Err(Error::Invalid),
    }
}

fn add(epoll: u32, fd: i32, socket: &Handle, event: epoll_event) -> Result<()> {
    let this = EPOLLS.at(epoll);
    let (events, data) = (event.events, event.u64);
    if events & EXCLUSIVE != 0 && events & !WITH_EXCLUSIVE != 0 {
        return Err(Error::Invalid);
    }
    let token = {
        let mut members = socket.fields().memberships.lock();
        if members.iter().any(|member| member.epoll == epoll && member.fd == fd) {
            return Err(Error::Exists);
        }
        if !socket.file.is_alive() {
            return Err(Error::BadDescriptor);
        }
        let entry = Interest { socket: *socket, events, data, queued: false, disabled: false };
        let token = this.state.lock().insert(entry);
        members.push(Membership { epoll, fd, token });
        token
    };
    arm(epoll, socket, token, events);
    if !socket.file.is_alive() {
        socket.engine.unwatch(socket.id, token, this.bell(epoll));
    }
    Ok(())
}

/// Has the engine report edges from here on, and reports what is there already.
fn arm(epoll: u32, socket: &Handle, token: u64, events: u32) {
    let this = EPOLLS.at(epoll);
    let (mask, bell) = (without_bands(mask(events)), Arc::clone(this.bell(epoll)));
    match events & EXCLUSIVE {
        0 => socket.engine.watch(socket.id, mask, token, bell),
        _ => socket.engine.watch_exclusively(socket.id, mask, token, bell),
    }
    let ready = with_bands(socket.engine.with(|stack, _| stack.ready(socket.id)), socket.protocol);
    if let Some(mut state) = this.enqueue(token, ready) {
        state.notify(Parker::wake);
    }
}

/// The token of a socket's entry.
fn member(epoll: u32, fd: i32, socket: &Handle) -> Result<u64> {
    let members = socket.fields().memberships.lock();
    let found = members.iter().find(|member| member.epoll == epoll && member.fd == fd);
    found.map(|member| member.token).ok_or(Error::NotFound)
}

fn modify(epoll: u32, fd: i32, socket: &Handle, event: epoll_event) -> Result<()> {
    let this = EPOLLS.at(epoll);
    let (events, data) = (event.events, event.u64);
    if events & EXCLUSIVE != 0 {
        return Err(Error::Invalid);
    }
    let token = member(epoll, fd, socket)?;
    {
        let mut state = this.state.lock();
        let entry = state.entry(token).ok_or(Error::NotFound)?;
        // What shares its wake-ups does so for good (epoll_ctl(2)).
        if entry.events & EXCLUSIVE != 0 {
            return Err(Error::Invalid);
        }
        (entry.events, entry.data, entry.disabled) = (events, data, false);
    }
    socket.engine.unwatch(socket.id, token, this.bell(epoll));
    arm(epoll, socket, token, events);
    Ok(())
}

fn delete(epoll: u32, fd: i32, socket: &Handle) -> Result<()> {
    let this = EPOLLS.at(epoll);
    let token = {
        let mut members = socket.fields().memberships.lock();
        let at = members.iter().position(|member| member.epoll == epoll && member.fd == fd).ok_or(Error::NotFound)?;
        members.swap_remove(at).token
    };
    this.state.lock().remove(token);
    socket.engine.unwatch(socket.id, token, this.bell(epoll));
    Ok(())
}

/// Whether `fd` is a descriptor of ours, so that [`wait`] answers for it.
pub fn is_ours(fd: i32) -> bool {
    !matches!(table::entry(fd), Entry::Foreign)
}

/// epoll_wait(2) and epoll_pwait(2). `None`: not an instance of ours.
///
/// # Errors
/// `Interrupted`; `BadDescriptor` when the instance is closed meanwhile; `NoBuffers` for sockets of too many stacks.
pub fn wait(
    epfd: i32,
    out: &mut [epoll_event],
    timeout: Timeout,
    sigmask: Option<&libc::sigset_t>,
) -> Result<Option<usize>> {
    let (epoll, file) = match table::entry(epfd) {
        Entry::Epoll(epoll, file) => (epoll, file),
        Entry::Socket(_) => return Err(Error::Invalid),
        Entry::Foreign => return Ok(None),
    };
    super::enter()?;
    if timeout == Timeout::Now {
        let mut engines = Engines::default();
        add_engines(epoll, &mut engines)?;
        engines.with(engine::drive_once);
    }
    loop {
        Parker::current().prepare();
        let found = collect(epoll, epfd, out)?;
        if found > 0 || timeout == Timeout::Now {
            return Ok(Some(found));
        }
        let mut engines = Engines::default();
        add_engines(epoll, &mut engines)?;
        let Some(kernel) = enlist(epoll, file) else { continue };
        engine::if_cancelled(Some((pass_on, u64::from(epoll))));
        let woke = sleep(epfd, kernel, &engines, timeout, sigmask);
        engine::if_cancelled(None);
        leave(epoll, &Parker::current());
        if !file.is_alive() {
            return Err(Error::BadDescriptor);
        }
        if woke != Woke::Changed {
            let found = collect(epoll, epfd, out)?;
            return if found == 0 && woke == Woke::Interrupted { Err(Error::Interrupted) } else { Ok(Some(found)) };
        }
    }
}

fn sleep(epfd: i32, kernel: bool, engines: &Engines, timeout: Timeout, sigmask: Option<&libc::sigset_t>) -> Woke {
    let mut extra = [PollFd { fd: epfd, events: libc::POLLIN, revents: 0 }];
    let extra = if kernel { &mut extra[..] } else { &mut [] };
    engines.with(|engines| engine::wait(engines, extra, timeout.deadline(), sigmask))
}

/// The calling thread is told when something becomes ready. `None` when something may be already; else whether kernel
/// descriptors are in the list.
fn enlist(epoll: u32, file: FileRef) -> Option<bool> {
    let parker = Parker::current();
    let mut state = EPOLLS.at(epoll).state.lock();
    // An instance closed in this moment has nobody to wake who comes later.
    if !state.ready.is_empty() || !file.is_alive() {
        return None;
    }
    state.waiters.push(Waiter { parker, exclusive: true });
    Some(state.kernel > 0)
}

/// The thread is cancelled in epoll_wait: what it was woken for is the next one's.
fn pass_on(epoll: u64) {
    leave(epoll as u32, &Parker::current());
    let mut state = EPOLLS.at(epoll as u32).state.lock();
    if !state.ready.is_empty() {
        state.notify(Parker::wake);
    }
}

/// A poll(2) of the instance is told when something becomes ready.
pub fn join(epoll: u32, parker: &Arc<Parker>) {
    EPOLLS.at(epoll).state.lock().waiters.push(Waiter { parker: Arc::clone(parker), exclusive: false });
}

/// The thread waits no more.
pub fn leave(epoll: u32, parker: &Arc<Parker>) {
    EPOLLS.at(epoll).state.lock().waiters.retain(|waiter| !Arc::ptr_eq(&waiter.parker, parker));
}

/// Adds the stacks of an instance's sockets, and of those of the instances in it, to those a wait drives.
///
/// # Errors
/// `NoBuffers` when they are too many.
pub fn add_engines(epoll: u32, engines: &mut Engines) -> Result<()> {
    nested::try_each(epoll, &mut |epoll| {
        let state = epoll.state.lock();
        state.stacks.iter().filter_map(|(stack, _)| stacks::engine(*stack)).try_for_each(|engine| engines.add(engine))
    })
}

/// Whether a wait would return a socket's event at once.
pub fn is_ready(epoll: u32) -> bool {
    let this = EPOLLS.at(epoll);
    let mut looked_at = 0;
    loop {
        let candidate = {
            let mut state = this.state.lock();
            let Some(token) = state.ready.get(looked_at).copied() else { return false };
            state.entry(token).map(|entry| (entry.socket, mask(entry.events)))
        };
        match candidate {
            Some((socket, mask)) => {
                let ready = with_bands(socket.engine.with(|stack, _| stack.ready(socket.id)), socket.protocol);
                if ready.intersects(mask) {
                    return true;
                }
                looked_at += 1;
            }
            None => looked_at += 1,
        }
    }
}

/// Fills `out` with what is ready, the kernel's and ours by turns.
fn collect(epoll: u32, epfd: i32, out: &mut [epoll_event]) -> Result<usize> {
    let this = EPOLLS.at(epoll);
    let (kernel, kernel_first) = {
        let mut state = this.state.lock();
        state.kernel_first = !state.kernel_first;
        (state.kernel > 0, state.kernel_first)
    };
    if !kernel {
        return Ok(collect_sockets(this, out));
    }
    nested::settle_children(epoll);
    let mut found = if kernel_first { nested::take(this, epfd, out)? } else { collect_sockets(this, out) };
    let rest = &mut out[found..];
    if !rest.is_empty() {
        found += if kernel_first { collect_sockets(this, rest) } else { nested::take(this, epfd, rest)? };
    }
    Ok(found)
}

/// An entry taken off the ready list to be asked.
#[derive(Copy, Clone)]
struct Candidate {
    token: u64,
    socket: Handle,
    ready: Ready,
}

fn collect_sockets(this: &Epoll, out: &mut [epoll_event]) -> usize {
    let mut batch: [Option<Candidate>; AT_ONCE] = [None; AT_ONCE];
    let mut state = this.state.lock();
    // Level-triggered entries go back to the end of the list: each is looked at once.
    let mut left = state.ready.len();
    let mut found = 0;
    while left > 0 && found < out.len() {
        let room = AT_ONCE.min(out.len() - found);
        let mut taken = 0;
        while taken < room && left > 0 {
            left -= 1;
            if let Some(candidate) = state.pop() {
                batch[taken] = Some(candidate);
                taken += 1;
            }
        }
        drop(state);
        batch[..taken].chunk_by_mut(is_same_stack).for_each(ask);
        state = this.state.lock();
        for candidate in batch[..taken].iter().flatten() {
            found += usize::from(state.report(candidate, &mut out[found]));
        }
    }
    if state.ready.is_empty() {
        state.show();
    } else {
        state.notify(Parker::wake);
    }
    found
}

fn is_same_stack(a: &Option<Candidate>, b: &Option<Candidate>) -> bool {
    a.zip(*b).is_some_and(|(a, b)| a.socket.stack == b.socket.stack)
}

/// Asks the stack about candidates that are all its own.
fn ask(run: &mut [Option<Candidate>]) {
    let Some(engine): Option<&'static Engine> = run.iter().flatten().next().map(|c| c.socket.engine) else { return };
    engine.with(|stack, _| {
        run.iter_mut().flatten().for_each(|c| c.ready = with_bands(stack.ready(c.socket.id), c.socket.protocol));
    });
}

impl State {
    /// Takes the next entry off the ready list; nothing if it was removed meanwhile.
    fn pop(&mut self) -> Option<Candidate> {
        let token = self.ready.pop_front()?;
        let entry = self.entry(token)?;
        entry.queued = false;
        Some(Candidate { token, socket: entry.socket, ready: Ready::NONE })
    }

    /// Puts an entry that was asked back to the front of the list if it is ready; whether it was.
    fn put_back(&mut self, token: u64, ready: Ready) -> bool {
        let Some(entry) = self.entry(token) else { return false };
        let is_ready = !entry.disabled && ready.intersects(mask(entry.events));
        if is_ready && !std::mem::replace(&mut entry.queued, true) {
            self.ready.push_front(token);
        }
        is_ready
    }

    /// Writes the event of an entry that was asked, if it is ready; a level-triggered one goes back to the list.
    fn report(&mut self, candidate: &Candidate, out: &mut epoll_event) -> bool {
        let Some(entry) = self.entry(candidate.token) else { return false };
        let ready = candidate.ready & mask(entry.events);
        if entry.disabled || ready.is_empty() {
            return false;
        }
        *out = epoll_event { events: ready.0, u64: entry.data };
        if entry.events & ONESHOT != 0 {
            entry.disabled = true;
        } else if entry.events & EDGE == 0 && !std::mem::replace(&mut entry.queued, true) {
            self.ready.push_back(candidate.token);
        }
        true
    }
}
