//! The engine: the only clock, locks and threads. It decides who drives the stack and who sleeps.
//!
//! The thread that calls drives: a thread that has to wait takes the lead ([`lead`]), sleeps on the device, reads,
//! processes for all, and wakes those whose sockets became ready ([`ready`], [`park`]). Locks, in the order they may be
//! taken: stack, device queue, lead, watchers. No system call is made under the stack's lock.

mod drive;
mod helper;
mod house;
mod lead;
mod loss;
mod park;
mod port;
pub mod ready;
mod said;
#[cfg(test)]
mod tests;
pub mod virtual_time;

pub use drive::{drive_once, if_cancelled, spin_limit, wait};
pub use loss::Loss;

use crate::{
    buf::pool,
    counters::Counters,
    device::Device,
    error::{Error, Result},
    ready::Ready,
    rng::SeededRng,
    stack::{Config, IfaceId, SocketId, Stack, config::Kind},
    sys::{clock, entropy, fork, memory, panics, pinned},
    tcp::memory::Limits,
    time::{Duration, Instant},
};
use house::House;
use lead::Lead;
use park::Place;
use parking_lot::{Mutex, RwLock};
use port::Port;
use ready::{Hub, Watcher};
use said::Said;
use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// How long a stack that stops waits for the thread that was roused to leave the device.
const DEPARTURE: Duration = Duration::from_millis(200);

/// Which part of what connections may hold each pool of buffers may keep beside it.
const KEPT: usize = 16;

/// Frames that the stack gives in one turn at most, while others want to come in. The rest is for whoever drives.
const SHARE: usize = 512;

/// How often a thread that drains looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// Why an engine does not start.
#[derive(Debug)]
pub enum StartError {
    /// There is no network from the start.
    Lost(Loss),
    /// Its thread cannot be started.
    NoThread(std::io::Error),
}

impl StartError {
    /// What a call that wanted the stack fails with.
    pub fn error(&self) -> Error {
        match self {
            Self::Lost(loss) => loss.error(),
            Self::NoThread(_) => Error::NoMemory,
        }
    }
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Lost(loss) => loss.fmt(f),
            Self::NoThread(error) => write!(
                f,
                "cannot start the stack's thread: {error}; raise the limits of processes and memory (ulimit -u, ulimit -v)"
            ),
        }
    }
}

/// A stack with its device, clock and lock. Engines live as long as the process: handles to them are plain references.
pub struct Engine {
    config: Config,
    inner: Mutex<Inner>,
    port: RwLock<Option<Port>>,
    hub: Hub,
    said: Said,
    lead: Lead,
    house: House,
    helper: &'static Place,
    /// Why the stack has no network any more.
    lost: OnceLock<Loss>,
    /// Whoever started it has it, and learns of what happens by the log.
    started: AtomicBool,
    /// Its sockets are no more: calls on them fail.
    freed: AtomicBool,
    stopped: AtomicBool,
}

struct Inner {
    stack: Stack,
    /// Counts the turns that brought readiness: a leader compares before it sleeps.
    epoch: u64,
    /// Until when the leader sleeps, nanoseconds; 0 while it is awake. Who brings the next deadline forward, or makes
    /// a socket ready, rouses it.
    sleeps_until: u64,
    /// Whose that promise is: a leader that was displaced or has given the lead away must not take back its
    /// successor's.
    sleeper: Option<&'static Place>,
    /// The sleeping leader is no watcher of what it waits for: any readiness rouses it.
    wants_events: bool,
}

impl Inner {
    /// `me` is awake.
    fn rise(&mut self, me: &'static Place) {
        if self.sleeper.is_some_and(|sleeper| sleeper.is(me)) {
            self.sleeps_until = 0;
        }
    }
}

/// How a wait ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Woke {
    /// Something may have changed: look again.
    Changed,
    /// The deadline has passed.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

/// All engines of the process.
static ENGINES: Mutex<Vec<&'static Engine>> = Mutex::new(Vec::new());

/// The engine clock, the same for all engines.
pub fn now() -> Instant {
    clock::now()
}

impl Engine {
    /// Makes a stack for `config` on `device` (none for `null`), within [`Engine::limits`], and starts its helper
    /// thread. For `patience` at most, or without a limit, waits until the addresses are known to be nobody else's. One
    /// that turns out to be later takes the network down ([`Engine::loss`]); until then what is sent waits.
    ///
    /// # Errors
    /// What stood in the way, with the cure.
    pub fn start(
        config: Config,
        limits: Limits,
        device: Option<Box<dyn Device>>,
        patience: Option<Duration>,
    ) -> Result<&'static Self, StartError> {
        let engine = Self::create(config, limits, device, entropy::seed());
        let helper = engine.helper;
        let give_up = || {
            engine.stop();
            helper.release();
        };
        engine.claim_addresses(patience).inspect_err(|_| give_up())?;
        helper::spawn(engine).map_err(|error| {
            give_up();
            StartError::NoThread(error)
        })?;
        ENGINES.lock().push(engine);
        log::info!("the stack {} runs", engine.config);
        Ok(engine)
    }

    /// Makes a stack in [virtual time](virtual_time): nobody else is on its link, and who moves the time does what its
    /// helper would. The same `seed` makes the same stack.
    pub fn start_in_virtual_time(config: Config, device: Box<dyn Device>, seed: [u64; 2]) -> &'static Self {
        virtual_time::begin();
        let limits = Self::limits(&config);
        let engine = Self::create(config, limits, Some(device), seed);
        ENGINES.lock().push(engine);
        engine
    }

    /// How much all connections of such a stack may hold: what is configured, or else a share of what the process may
    /// have, which is looked up.
    pub fn limits(config: &Config) -> Limits {
        config.memory.unwrap_or_else(|| {
            let share = memory::share(Limits::default().high).max(Config::LEAST_MEMORY);
            log::debug!("all connections may hold {share} bytes");
            Limits::at_most(share)
        })
    }

    fn create(config: Config, limits: Limits, device: Option<Box<dyn Device>>, seed: [u64; 2]) -> &'static Self {
        fork::mark_parent();
        panics::log_caught();
        let real = device.as_ref().filter(|_| config.kind != Kind::Null);
        let capabilities = real.map(|device| device.capabilities());
        pool::keep_at_most(limits.high / KEPT);
        let bounded = Config { memory: Some(limits), ..config.clone() };
        let stack = Stack::new(&bounded, capabilities, Box::new(SeededRng::new(seed)), now());
        let helper = Place::new();
        Box::leak(Box::new(Self {
            config,
            inner: Mutex::new(Inner { stack, epoch: 0, sleeps_until: 0, sleeper: None, wants_events: false }),
            port: RwLock::new(device.map(Port::new)),
            hub: Hub::default(),
            said: Said::default(),
            lead: Lead::new(helper),
            house: House::default(),
            helper,
            lost: OnceLock::new(),
            started: AtomicBool::new(false),
            freed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        }))
    }

    /// When something is to be done without being asked for.
    fn deadline(&'static self) -> Option<Instant> {
        let held = self.port.read().as_ref().and_then(Port::deadline);
        self.inner.lock().stack.next_deadline().into_iter().chain(held).min()
    }

    /// Starts probing for the own addresses, if the link is up (RFC 5227 section 2.1), and drives for `patience`, until
    /// it is known whose they are at most.
    fn claim_addresses(&'static self, patience: Option<Duration>) -> Result<(), StartError> {
        if self.port.read().as_ref().is_some_and(Port::is_up) {
            let until = patience.map_or(Instant::FAR_FUTURE, |patience| now() + patience);
            self.with(Stack::probe_addresses);
            // What has come is read once at least, however late it is: whoever answers at once is heard.
            while self.with(|stack, _| stack.is_probing()) {
                self.step(Place::mine(), Some(until));
                if now() >= until {
                    break;
                }
            }
            self.lead.leave(Place::mine());
        }
        self.started.store(true, Ordering::Release);
        self.loss().map_or(Ok(()), |loss| Err(StartError::Lost(loss.clone())))
    }

    /// The stack has no network any more: whoever waits for it is told, and who resides ([`Engine::reside`]).
    fn lose(&self, leader: Option<&'static Place>, loss: Loss) {
        let loss = self.lost.get_or_init(|| loss);
        if self.started.load(Ordering::Acquire) {
            log::error!("{loss}; sockets that need the device fail with ENETDOWN");
        }
        self.turn(leader, Stack::on_device_gone);
        self.lead.rouse();
    }

    /// Why the stack has no network any more, if that is so: the device is gone, or another host has an own address, as
    /// was found out by probing for it. It never has one again.
    pub fn loss(&self) -> Option<&Loss> {
        self.lost.get()
    }

    /// Where the stack's keys lie. They stay there.
    pub fn secrets(&self) -> Vec<Range<usize>> {
        let mut places = vec![pinned::place(self)];
        places.extend(self.with(|stack, _| {
            let (rng, keys) = stack.secrets();
            [pinned::place(rng), pinned::place(keys)]
        }));
        places
    }

    /// The configuration the stack was made with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Ends the stack: closes its sockets as exit(3) would, drives until the peers have what was sent, for `limit` at
    /// most, and lets go of the device. What is left then is reset; without any time everything is, and nothing closed
    /// first, so that no peer takes it for a clean end. False if something was left.
    ///
    /// From the start every call on a socket of the stack fails with `NetDown`.
    pub fn free(&'static self, limit: Duration) -> bool {
        self.freed.store(true, Ordering::Release);
        let is_done = limit.is_zero() || {
            self.with(Stack::close_all);
            self.drain(now() + limit)
        };
        self.stop();
        is_done
    }

    /// Whether [`Engine::free`] was called.
    #[inline]
    pub fn is_freed(&self) -> bool {
        self.freed.load(Ordering::Acquire)
    }

    /// Resets what is open, ends the helper and lets go of the device. Later calls that need the device fail with
    /// `NetDown`.
    fn stop(&self) {
        if self.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        self.reset_all();
        self.with(Stack::on_device_gone);
        self.lead.move_out(Place::mine());
        self.lead.rouse();
        self.helper.wake();
        self.await_departure();
        drop(self.port.write().take());
        log::info!("the stack {} has ended", self.config);
        ENGINES.lock().retain(|engine| !std::ptr::eq(*engine, self));
    }

    /// Waits until nobody sleeps on the device any more: only then does closing it let go of it, and the next stack can
    /// have it.
    fn await_departure(&self) {
        let until = now() + DEPARTURE;
        while self.lead.is_inside() && now() < until {
            helper::nap(Place::mine(), Some(Duration::from_micros(50)));
        }
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// The clock.
    pub fn now(&self) -> Instant {
        now()
    }

    /// The stack's counters, with what the engine counted itself.
    pub fn counters(&self) -> Counters {
        let mut counters = self.with(|stack, _| stack.counters().clone());
        counters.dev_tx_dropped += self.port.read().as_ref().map_or(0, Port::dropped);
        counters
    }

    /// The only way into the stack: locks, acts, sends what came of it and wakes whom it concerns.
    /// `act` must not block nor call back.
    pub fn with<R>(&self, act: impl FnOnce(&mut Stack, Instant) -> R) -> R {
        self.turn(None, act).0
    }

    /// One turn of the stack. A leader names itself, to give the lead to the first thread it wakes. Returns the epoch
    /// in which `act` ran.
    fn turn<R>(&self, leader: Option<&'static Place>, act: impl FnOnce(&mut Stack, Instant) -> R) -> (R, u64) {
        // Recursive: a reader of the device takes a turn while it holds the device.
        let port = self.port.read_recursive();
        let now = now();
        // By the stack, which knows what it is about.
        let _caught = panics::Caught::from_here();
        let mut events = Vec::new();
        let (result, epoch, mut rouse, until) = {
            let mut inner = self.inner.lock();
            leader.into_iter().for_each(|me| inner.rise(me));
            let Inner { stack, epoch, sleeps_until, sleeper: _, wants_events } = &mut *inner;
            let before = stack.memory_used();
            let result = act(stack, now);
            let during = *epoch;
            match &*port {
                Some(port) => {
                    port.enqueue(SHARE, || stack.poll_transmit(now));
                    port.overhear(|| stack.poll_overheard());
                }
                None => _ = std::iter::from_fn(|| stack.poll_transmit(now)).take(SHARE).count(),
            }
            self.house.note(stack.memory_used());
            if stack.memory_used() != before {
                self.house.stir(now);
            }
            events.extend(std::iter::from_fn(|| stack.poll_event()));
            self.said.take(stack);
            *epoch += u64::from(!events.is_empty());
            let deadlines = || stack.next_deadline().into_iter().chain(self.house.deadline());
            let sooner = || deadlines().any(|at| at.as_nanos() < *sleeps_until);
            let rouse = *sleeps_until != 0 && (*wants_events && !events.is_empty() || sooner());
            let until = *sleeps_until;
            if rouse {
                *sleeps_until = 0;
            }
            (result, during, rouse, until)
        };
        let lost = port.as_ref().and_then(|port| {
            port.flush(now);
            // The device may have kept a frame to send it before the leader would look.
            rouse |= until != 0 && port.deadline().is_some_and(|at| at.as_nanos() < until);
            port.take_loss()
        });
        drop(port);
        self.said.print();
        self.hub.deliver(&events);
        let sleepers = park::take_sleepers();
        if let (Some(me), Some(first)) = (leader, sleepers.first()) {
            self.lead.give(me, first);
        }
        sleepers.iter().for_each(|place| place.signal());
        if rouse {
            self.lead.rouse();
        }
        lost.into_iter().for_each(|said| self.lose(leader, Loss::Device(said)));
        (result, epoch)
    }

    /// Like [`Engine::with`] for a call that must not block: when it says `WouldBlock`, the device is looked at once
    /// and the call tried again.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn attempt<R>(&'static self, mut act: impl FnMut(&mut Stack, Instant) -> Result<R>) -> Result<R> {
        match self.with(&mut act) {
            Err(Error::WouldBlock) if self.glance() => self.with(act),
            result => result,
        }
    }

    /// Reads and processes what the device has, if nobody else looks after it.
    fn glance(&'static self) -> bool {
        let port = self.port.read();
        let Some(port) = &*port else { return false };
        let now = now();
        let Some(mut reader) = port.try_reader(now) else { return false };
        port.read(&mut reader, now);
        self.process(None, port, &mut reader.batch)
    }

    /// Hands a batch of frames to the stack; false if there is none.
    fn process(&self, leader: Option<&'static Place>, port: &Port, batch: &mut Vec<crate::buf::Packet>) -> bool {
        if batch.is_empty() && !port.is_gone() {
            return false;
        }
        self.house.stir(now());
        let came_up = port.came_up();
        let (lost, _) = self.turn(leader, |stack, now| {
            if came_up {
                stack.on_link_up(now);
            }
            batch.drain(..).for_each(|packet| stack.receive(IfaceId::DEVICE, packet, now));
            stack.poll_lost_address()
        });
        lost.into_iter().for_each(|(addr, mac)| self.lose(leader, Loss::Address(addr, mac)));
        true
    }

    /// Calls `watcher` with `token` whenever one of `mask` (or ERR, HUP) comes up on `id`, until [`Engine::unwatch`].
    /// Edges only: look at [`Stack::ready`] after registering.
    pub fn watch(&self, id: SocketId, mask: Ready, token: u64, watcher: Arc<dyn Watcher>) {
        self.hub.watch(id, mask, token, watcher, false);
    }

    /// The same, except that of all who watch `id` so as many are told as it takes to wake one thread.
    pub fn watch_exclusively(&self, id: SocketId, mask: Ready, token: u64, watcher: Arc<dyn Watcher>) {
        self.hub.watch(id, mask, token, watcher, true);
    }

    /// Ends a [`Engine::watch`] (or exclusive one) of the same `token` and watcher.
    pub fn unwatch(&self, id: SocketId, token: u64, watcher: &Arc<dyn Watcher>) {
        self.hub.unwatch(id, token, watcher);
    }

    /// One socket more (or less) is waited for by means of the kernel's, outside the library: the helper then takes
    /// over from every thread that leaves.
    pub fn rely_on_helper(&self, more: bool) {
        self.lead.rely_on_helper(more);
    }

    /// The socket was closed: whoever waits for it looks again, and nobody watches it any more.
    pub fn forget(&self, id: SocketId) {
        self.hub.deliver(&[(id, Ready::HUP | Ready::ERR)]);
        park::take_sleepers().iter().for_each(|place| place.signal());
        self.lead.rouse();
        self.hub.forget(id);
    }

    /// Whether something that was sent and closed has not arrived: data of connections without an owner, what waits for
    /// a neighbour to answer, frames on an impaired link.
    pub fn is_draining(&self) -> bool {
        self.with(|stack, _| stack.is_draining()) || self.port.read().as_ref().is_some_and(Port::holds_frames)
    }

    /// Drives until what was sent and closed has arrived, `until` then at most; what is left is reset. False if
    /// something was left.
    pub fn drain(&'static self, until: Instant) -> bool {
        let me = Place::mine();
        let is_done = loop {
            let now = now();
            match self.is_draining() {
                false => break true,
                true if now >= until => break false,
                // Not for long at a time: another thread may take the last acknowledgement.
                true if self.step(me, Some(until.min(now + DRAIN_LOOK))) => {}
                true => helper::nap(me, Some(Duration::from_millis(1))),
            }
        };
        self.lead.leave(me);
        self.reset_all();
        is_done
    }

    /// Resets every connection that is not closed cleanly; what is on an impaired link arrives at once.
    fn reset_all(&self) {
        self.with(Stack::abort_all);
        if let Some(port) = &*self.port.read() {
            port.write_out();
        }
    }
}

/// The engines that run.
pub fn all() -> Vec<&'static Engine> {
    ENGINES.lock().clone()
}
