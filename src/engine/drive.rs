//! Waiting is driving: whoever has to wait sleeps on the device and processes what comes, unless another thread does.

use super::{ENGINES, Engine, Inner, Woke, park::Place, ready::Parker, virtual_time};
use crate::{
    error::{Error, Result},
    ready::Ready,
    stack::{SocketId, Stack},
    sys::{
        clock,
        poll::{self, Slept},
        signals::{self, Blocked, Policy},
    },
    time::{Duration, Instant},
};
use std::{
    cell::Cell,
    ffi::c_void,
    mem::ManuallyDrop,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Stacks one wait leads at most; further ones are left to their helpers.
const MAX_ENGINES: usize = 4;
/// Turns that whoever drives takes at most for timers that are due, before it looks at the device again.
const TURNS: usize = 8;
/// Descriptors one wait polls without an allocation.
const INLINE_FDS: usize = 24;

impl Engine {
    /// Runs `attempt` until it says something else than `WouldBlock`, sleeping in between until one of `mask` comes up
    /// on `id`. Without a deadline a signal handler with SA_RESTART does not end the wait (signal(7)).
    ///
    /// A thread may be cancelled in here: the caller holds no guard and no allocation.
    ///
    /// # Errors
    /// Those of `attempt`; `WouldBlock` when `deadline` passes; `Interrupted`.
    pub fn block_on<R>(
        &'static self,
        id: SocketId,
        mask: Ready,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut Stack, Instant) -> Result<R>,
    ) -> Result<R> {
        let me = Place::mine();
        let (mut watching, mut is_late) = (false, false);
        let result = loop {
            me.prepare();
            let (result, epoch) = self.turn(None, &mut attempt);
            match result {
                Err(Error::WouldBlock) if is_late => break Err(Error::WouldBlock),
                Err(Error::WouldBlock) => {}
                result => break result,
            }
            let engines = [self];
            let mut wait = Wait { deadline, restart: deadline.is_none(), seen: Some(epoch), ..Wait::new(me, &engines) };
            if !wait.lead() && !watching {
                // Another thread drives and has to know whom to wake. Look again: it may just have been.
                self.watch(id, mask, 0, Parker::current());
                watching = true;
                continue;
            }
            match wait.sleep(&mut []) {
                // Frames for others may come without an end.
                Woke::Changed => is_late = wait.is_late(),
                Woke::TimedOut => break Err(Error::WouldBlock),
                Woke::Interrupted => break Err(Error::Interrupted),
            }
        };
        if watching {
            let parker: Arc<dyn super::Watcher> = Parker::current();
            self.unwatch(id, 0, &parker);
        }
        self.lead.leave(me);
        result
    }

    /// Reads and processes what the device has; true if there was something.
    fn read(&'static self, leader: &'static Place) -> bool {
        let port = self.port.read();
        let Some(port) = &*port else { return false };
        let now = super::now();
        port.on_timer(now);
        let mut reader = port.reader();
        port.read(&mut reader, now);
        self.process(Some(leader), port, &mut reader.batch)
    }

    /// From here on the calling thread drives alone, in the library or out of it, until the stack stops: for a process
    /// that does nothing else. It calls [`Engine::tend`] or [`wait`] again and again.
    pub fn reside(&'static self) {
        let me = Place::mine();
        while !self.lead.reside(me) {
            super::helper::nap(me, Some(Duration::from_millis(1)));
        }
    }

    /// Reads and processes what the device has and runs the timers that are due, without sleeping: for the thread that
    /// resides, while it has other things to do. True if there was something to read.
    pub fn tend(&'static self) -> bool {
        let me = Place::mine();
        let had_frames = self.read(me);
        let deadline = self.inner.lock().stack.next_deadline();
        if deadline.is_some_and(|at| at <= super::now()) {
            self.turn(Some(me), Stack::on_timer);
        }
        self.keep_house(super::now());
        had_frames
    }

    /// Whether a read is worth a try before a poll: more frames are likely there, or due.
    fn is_eager(&self) -> bool {
        self.port.read().as_ref().is_some_and(|port| port.reader().eager || port.is_due(super::now()))
    }

    /// Runs what is due and commits to sleep: from here on whoever makes something ready, or a deadline come sooner,
    /// rouses the leader. Returns until when; `None` when something has changed since `seen`, or another thread leads.
    fn commit(&'static self, me: &'static Place, seen: Option<u64>, limit: Instant) -> Option<Instant> {
        let mut turns = 0;
        loop {
            let now = super::now();
            self.keep_house(now);
            let held = self.port.read().as_ref().and_then(|port| port.deadline());
            let house = self.house.deadline();
            let mut inner = self.inner.lock();
            let Inner { stack, epoch, sleeps_until, sleeper, wants_events } = &mut *inner;
            // Asked under the stack's lock: whoever takes the lead after this commits after this.
            if seen.is_some_and(|seen| seen != *epoch) || !self.lead.is_held_by(me) {
                return None;
            }
            let deadline = stack.next_deadline().unwrap_or(Instant::FAR_FUTURE);
            if deadline > now || turns == TURNS {
                let until = held.into_iter().chain(house).fold(deadline.min(limit), Instant::min);
                *sleeps_until = until.as_nanos().max(1);
                *sleeper = Some(me);
                *wants_events = seen.is_some();
                return Some(until);
            }
            drop(inner);
            turns += 1;
            self.turn(Some(me), Stack::on_timer);
            if me.is_notified() {
                return None;
            }
        }
    }

    fn rise(&self, me: &'static Place) {
        self.inner.lock().rise(me);
    }
}

/// One thread's wait.
struct Wait<'a> {
    me: &'static Place,
    engines: &'a [&'static Engine],
    leading: [bool; MAX_ENGINES],
    deadline: Option<Instant>,
    /// The epoch in which the caller last looked, for a leader nobody else would notify.
    seen: Option<u64>,
    restart: bool,
    sigmask: Option<&'a libc::sigset_t>,
}

impl<'a> Wait<'a> {
    fn new(me: &'static Place, engines: &'a [&'static Engine]) -> Self {
        Self { me, engines, leading: [false; MAX_ENGINES], deadline: None, seen: None, restart: false, sigmask: None }
    }

    /// Takes the lead where it is to be had; true if everywhere. In virtual time who moves the time drives, without it.
    fn lead(&mut self) -> bool {
        if clock::is_stopped() {
            return false;
        }
        for (leading, engine) in self.leading.iter_mut().zip(self.engines) {
            *leading = engine.lead.take(self.me);
        }
        self.engines.len() <= MAX_ENGINES && self.leading[..self.engines.len()].iter().all(|leading| *leading)
    }

    /// Whether its deadline has passed.
    fn is_late(&self) -> bool {
        self.deadline.is_some_and(|at| at <= super::now())
    }

    fn led(&self) -> impl Iterator<Item = &'static Engine> {
        self.engines.iter().zip(&self.leading).filter_map(|(engine, leading)| leading.then_some(*engine))
    }

    /// Sleeps once. `Changed` also when frames came in that may concern others only.
    fn sleep(&mut self, extra: &mut [libc::pollfd]) -> Woke {
        let me = self.me;
        if self.led().any(|engine| engine.is_eager() && engine.read(me)) {
            return Woke::Changed;
        }
        let limit = self.deadline.unwrap_or(Instant::FAR_FUTURE);
        let mut until = limit;
        for engine in self.led() {
            match engine.commit(me, self.seen, limit) {
                Some(at) => until = until.min(at),
                None => {
                    self.led().for_each(|engine| engine.rise(me));
                    return Woke::Changed;
                }
            }
        }
        if self.spin(until) || !me.fall_asleep() {
            self.led().for_each(|engine| engine.rise(me));
            return Woke::Changed;
        }
        let slept = self.doze(until, extra);
        self.led().for_each(|engine| engine.rise(me));
        match slept {
            Slept::Interrupted => return Woke::Interrupted,
            Slept::Ready(0) => {}
            Slept::Ready(_) => return Woke::Changed,
        }
        if self.is_late() { Woke::TimedOut } else { Woke::Changed }
    }

    /// The sleep itself, and the reading after it.
    fn doze(&mut self, until: Instant, extra: &mut [libc::pollfd]) -> Slept {
        let mut fds = Fds::new();
        fds.push(self.me.fd());
        for engine in self.led() {
            fds.push(
                engine.port.read().as_ref().filter(|port| !port.is_gone()).and_then(|port| port.fd()).unwrap_or(-1),
            );
        }
        let own = fds.len();
        extra.iter().for_each(|fd| fds.push_poll(*fd));
        let timeout = self.me.nap((until != Instant::FAR_FUTURE).then(|| until - super::now()));
        let restart = self.restart.then(current_policy);
        let slept = match restart {
            _ if clock::is_stopped() => virtual_time::doze(self.me, until, fds.as_mut(), self.sigmask, on_cancel),
            Some(_) if own == 1 && extra.is_empty() && timeout.is_none() => {
                poll::sleep_restartable(self.me.fd(), on_cancel)
            }
            Some(Policy::Mixed) => sleep_blocked(&mut fds, timeout),
            _ => poll::sleep(fds.as_mut(), timeout, self.sigmask, on_cancel),
        };
        let slept = match slept {
            Slept::Interrupted if self.restart && signals::policy() == Policy::Restart => Slept::Ready(0),
            slept => slept,
        };
        // Awake before reading: what is read may be for this very thread, which needs no signal then.
        self.me.wake_up();
        let polled = fds.as_mut();
        for (fd, polled) in extra.iter_mut().zip(&polled[own..]) {
            fd.revents = polled.revents;
        }
        if polled[0].revents != 0 {
            self.me.clear();
        }
        for (engine, fd) in self.led().zip(&polled[1..own]) {
            if fd.revents != 0 {
                engine.read(self.me);
            }
        }
        fds.free();
        slept
    }

    /// Reads the devices again and again for up to `SOCKEYE_SPIN` microseconds; true if anything came.
    fn spin(&self, until: Instant) -> bool {
        let limit = spin_limit().unwrap_or(Duration::ZERO);
        if limit.is_zero() || clock::is_stopped() {
            return false;
        }
        let stop = until.min(super::now() + limit);
        while super::now() < stop {
            if self.me.is_notified() || self.led().any(|engine| engine.read(self.me)) {
                return true;
            }
            std::hint::spin_loop();
        }
        false
    }
}

/// Sleeps, driving `engines` if nobody else does, until something may have changed for the calling thread: a watcher
/// that wakes it (see [`Parker`]) was called, one of `extra` is ready (its revents are set), the deadline passed, or a
/// signal came. Never restarts: for poll, select and epoll_wait. `sigmask` as in ppoll(2).
///
/// A thread may be cancelled in here: the caller holds no guard and no allocation.
pub fn wait(
    engines: &[&'static Engine],
    extra: &mut [libc::pollfd],
    deadline: Option<Instant>,
    sigmask: Option<&libc::sigset_t>,
) -> Woke {
    let me = Place::mine();
    extra.iter_mut().for_each(|fd| fd.revents = 0);
    let mut wait = Wait { deadline, sigmask, ..Wait::new(me, engines) };
    let woke = loop {
        if me.is_notified() {
            break Woke::Changed;
        }
        wait.lead();
        match wait.sleep(extra) {
            Woke::Changed if me.is_notified() || extra.iter().any(|fd| fd.revents != 0) => break Woke::Changed,
            // Frames for others may come without an end.
            Woke::Changed if wait.is_late() => break Woke::TimedOut,
            Woke::Changed => {}
            woke => break woke,
        }
    };
    for engine in engines {
        engine.lead.leave(me);
    }
    woke
}

/// One look at the devices of `engines` without sleeping (for poll with a time-out of zero).
pub fn drive_once(engines: &[&'static Engine]) {
    engines.iter().for_each(|engine| _ = engine.glance());
}

impl Engine {
    /// Drives for one sleep, until `deadline` at most. False if another thread drives.
    pub(super) fn step(&'static self, me: &'static Place, deadline: Option<Instant>) -> bool {
        me.prepare();
        let engines = [self];
        let mut wait = Wait { deadline, ..Wait::new(me, &engines) };
        let leading = wait.lead();
        if leading {
            wait.sleep(&mut []);
        }
        leading
    }
}

/// `SOCKEYE_SPIN`: how long to spin before sleeping, in microseconds; zero unless it is set.
///
/// # Errors
/// A line for the user about what is no number.
pub fn spin_limit() -> Result<Duration, &'static str> {
    static LIMIT: OnceLock<Result<Duration, String>> = OnceLock::new();
    let read = || match crate::sys::env::var("SOCKEYE_SPIN").filter(|text| !text.is_empty()) {
        None => Ok(Duration::ZERO),
        Some(text) => text.parse().map(Duration::from_micros).map_err(|_| {
            format!("SOCKEYE_SPIN: `{text}` is not a number of microseconds; give it as SOCKEYE_SPIN=20, or unset it")
        }),
    };
    LIMIT.get_or_init(read).as_ref().copied().map_err(String::as_str)
}

/// What the signal handlers ask for, looked at every 50 ms at most.
fn current_policy() -> Policy {
    static LOOKED: AtomicU64 = AtomicU64::new(0);
    static POLICY: AtomicU64 = AtomicU64::new(0);
    const ALL: [Policy; 3] = [Policy::Restart, Policy::Interrupt, Policy::Mixed];
    let now = super::now().as_nanos();
    if now.saturating_sub(LOOKED.load(Ordering::Relaxed)) > 50_000_000 {
        LOOKED.store(now, Ordering::Relaxed);
        POLICY.store(signals::policy() as u64, Ordering::Relaxed);
    }
    ALL[POLICY.load(Ordering::Relaxed) as usize % ALL.len()]
}

/// A sleep during which no handler runs: afterwards it is known who came, and whether the wait is to go on.
fn sleep_blocked(fds: &mut Fds, timeout: Option<Duration>) -> Slept {
    let blocked = Blocked::all();
    let fd = blocked.fd();
    fds.push(fd);
    let slept = poll::sleep(fds.as_mut(), timeout, None, on_cancel);
    let signalled = fds.pop().revents != 0;
    signals::close(fd);
    let interrupts = signalled && blocked.interrupts();
    blocked.restore();
    match slept {
        _ if interrupts => Slept::Interrupted,
        // The signal's own descriptor is nobody's readiness.
        Slept::Ready(n) if signalled => Slept::Ready(n - 1),
        slept => slept,
    }
}

/// A function and its argument.
type Call = (fn(u64), u64);

thread_local! {
    /// What else is to be done if the thread is cancelled in its sleep.
    static IF_CANCELLED: Cell<Option<Call>> = const { Cell::new(None) };
}

/// Has a function called with its argument should the calling thread be cancelled in a [`wait`]; `None` ends that.
pub fn if_cancelled(then: Option<Call>) {
    IF_CANCELLED.set(then);
}

/// The sleeping thread is cancelled: it leads no more, and waits for nothing.
extern "C" fn on_cancel(_: *mut c_void) {
    let me = Place::mine();
    me.wake_up();
    for engine in ENGINES.lock().iter() {
        engine.lead.abandon(me);
    }
    if let Some((then, argument)) = IF_CANCELLED.take() {
        then(argument);
    }
}

/// The descriptors of one poll, inline up to a number.
struct Fds {
    inline: [libc::pollfd; INLINE_FDS],
    len: usize,
    /// All of them, once they are too many; leaked if the thread is cancelled.
    spilled: ManuallyDrop<Vec<libc::pollfd>>,
}

impl Fds {
    fn new() -> Self {
        let none = libc::pollfd { fd: -1, events: 0, revents: 0 };
        Self { inline: [none; INLINE_FDS], len: 0, spilled: ManuallyDrop::new(Vec::new()) }
    }

    fn push(&mut self, fd: i32) {
        self.push_poll(libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    }

    fn push_poll(&mut self, fd: libc::pollfd) {
        if self.len < INLINE_FDS {
            self.inline[self.len] = fd;
        } else {
            if self.spilled.is_empty() {
                self.spilled.extend_from_slice(&self.inline);
            }
            self.spilled.push(fd);
        }
        self.len += 1;
    }

    /// Takes the last one back.
    fn pop(&mut self) -> libc::pollfd {
        self.len -= 1;
        self.spilled.pop().unwrap_or(self.inline[self.len.min(INLINE_FDS - 1)])
    }

    fn len(&self) -> usize {
        self.len
    }

    fn as_mut(&mut self) -> &mut [libc::pollfd] {
        if self.spilled.is_empty() { &mut self.inline[..self.len] } else { &mut self.spilled }
    }

    fn free(self) {
        drop(ManuallyDrop::into_inner(self.spilled));
    }
}
