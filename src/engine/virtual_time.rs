//! Virtual time: the clock of all engines stands until a thread moves it, and then goes from deadline to deadline. For
//! programs that put the stack to the test in a time of their own, with a thread that moves the time and others that
//! sleep in calls meanwhile.
//!
//! Before the time moves, every other thread that uses the stack has come to rest: who was woken has done what it had
//! to do at that time. If all others wait for a thread that sleeps here, that thread moves the time itself.

use super::{Engine, park::Place};
use crate::{
    stack::Stack,
    sys::{
        clock,
        poll::{self, OnCancel, Slept},
        threads::{self, State},
    },
    time::{Duration, Instant},
};
use parking_lot::Mutex;
use std::{
    cell::Cell,
    ptr,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
};

/// Where the clock stands at first: late enough that nothing is before its beginning.
pub const BEGINNING: Instant = Instant::from_nanos(1_000_000 * 1_000_000_000);

/// How far time is moved in the wait for something to happen.
pub const REACH: Duration = Duration::from_secs(100);
/// How long, in real time, a thread that does not come to rest is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// After how long, in real time, a sleeping thread looks whether the others wait for it: less and less often.
const LOOK: Duration = Duration::from_millis(1);
const SELDOM: Duration = Duration::from_millis(16);

/// Held by who moves the time.
static MOVING: Mutex<()> = Mutex::new(());
/// Who sleeps until when.
static ALARMS: Mutex<Vec<(Instant, &'static Place)>> = Mutex::new(Vec::new());
/// Those who have used the stack.
static THREADS: Mutex<Vec<&'static Thread>> = Mutex::new(Vec::new());
/// Counts the calls that began.
static CALLS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Thread {
    id: i32,
    /// Calls it is in, one in the other.
    depth: AtomicU32,
    /// It sleeps in one of them.
    sleeps: AtomicBool,
}

thread_local! {
    static MINE: Cell<Option<&'static Thread>> = const { Cell::new(None) };
}

fn mine() -> &'static Thread {
    MINE.get().unwrap_or_else(|| {
        let fresh = Thread { id: threads::mine(), depth: AtomicU32::new(0), sleeps: AtomicBool::new(false) };
        let thread: &'static Thread = Box::leak(Box::new(fresh));
        MINE.set(Some(thread));
        let mut threads = THREADS.lock();
        threads.retain(|other| threads::state(other.id) != State::Gone && other.id != thread.id);
        threads.push(thread);
        thread
    })
}

/// All threads but the calling one.
fn others() -> Vec<&'static Thread> {
    let me = mine();
    THREADS.lock().iter().copied().filter(|other| !ptr::eq(*other, me)).collect()
}

/// Stops the clock of all engines, if it is not stopped yet.
pub fn begin() {
    clock::stop(BEGINNING);
}

/// Everything a program does with the stack happens in here.
pub fn call<R>(act: impl FnOnce() -> R) -> R {
    let me = mine();
    me.depth.fetch_add(1, SeqCst);
    CALLS.fetch_add(1, SeqCst);
    let result = act();
    me.depth.fetch_sub(1, SeqCst);
    result
}

/// Waits until all other threads have come to rest.
pub fn settle() {
    let until = clock::monotonic() + PATIENCE;
    let is_running = |other: &&Thread| threads::state(other.id) == State::Running;
    while others().iter().any(is_running) && clock::monotonic() < until {
        threads::yield_now();
    }
}

/// When something is to happen next.
fn next() -> Option<Instant> {
    let alarm = ALARMS.lock().iter().map(|(at, _)| *at).min();
    super::all().into_iter().filter_map(Engine::deadline).chain(alarm).min()
}

/// Moves the time on to the next deadline and does what is due then. False if there is none by `limit`.
fn step(limit: Instant) -> bool {
    let Some(at) = next().filter(|at| *at <= limit) else { return false };
    clock::move_to(at);
    let now = clock::now();
    for engine in super::all() {
        if engine.deadline().is_some_and(|at| at <= now) {
            engine.with(Stack::on_timer);
        }
    }
    let mut alarms = ALARMS.lock();
    let is_due = |(at, _): &mut (Instant, &'static Place)| *at <= now;
    let due: Vec<_> = alarms.extract_if(.., is_due).collect();
    drop(alarms);
    due.iter().for_each(|(_, place)| place.wake());
    true
}

/// Moves the time on, by [`REACH`] at most, until `is_over` says so; true if it did. The time stays where nothing more
/// was to happen.
pub fn pass_until(mut is_over: impl FnMut() -> bool) -> bool {
    let _moving = MOVING.lock();
    let limit = clock::now() + REACH;
    loop {
        settle();
        if is_over() {
            return true;
        }
        if !step(limit) {
            return false;
        }
    }
}

/// Moves the time on by `time`.
pub fn pass(time: Duration) {
    let _moving = MOVING.lock();
    let limit = clock::now() + time;
    settle();
    while step(limit) {
        settle();
    }
    clock::move_to(limit);
}

/// Moves the time on by a little, which is not worth waiting for anybody; returns what the clock says then.
pub fn tick(time: Duration) -> Instant {
    let now = clock::move_by(time);
    // Who moves the time does what is due itself.
    if let Some(_moving) = MOVING.try_lock() {
        while step(now) {}
    }
    now
}

/// The calling thread sleeps until it is notified, one of `fds` is ready, or the time is `until`.
pub(super) fn doze(
    me: &'static Place,
    until: Instant,
    fds: &mut [libc::pollfd],
    sigmask: Option<&libc::sigset_t>,
    on_cancel: OnCancel,
) -> Slept {
    let thread = mine();
    if until != Instant::FAR_FUTURE {
        ALARMS.lock().push((until, me));
    }
    thread.sleeps.store(true, SeqCst);
    let (mut quiet, mut look) = (Quiet { calls: u64::MAX, limit: None }, LOOK);
    let slept = loop {
        match poll::sleep(fds, Some(look), sigmask, on_cancel) {
            Slept::Ready(_) if clock::now() >= until => break Slept::Ready(0),
            Slept::Ready(0) if !me.is_notified() => {
                move_alone(me, &mut quiet);
                look = SELDOM.min(look * 2);
            }
            slept => break slept,
        }
    };
    thread.sleeps.store(false, SeqCst);
    ALARMS.lock().retain(|(_, place)| !place.is(me));
    slept
}

/// What a sleeping thread remembers of its last look.
struct Quiet {
    /// How many calls there had been.
    calls: u64,
    /// How far it moves the time, as long as no other call begins.
    limit: Option<Instant>,
}

/// If nobody has come in since the last look and all others wait for the calling thread, moves the time on until it
/// is notified.
fn move_alone(me: &'static Place, quiet: &mut Quiet) {
    let calls = CALLS.load(SeqCst);
    if quiet.calls != calls {
        *quiet = Quiet { calls, limit: None };
        return;
    }
    let Some(_moving) = MOVING.try_lock() else { return };
    let limit = *quiet.limit.get_or_insert_with(|| clock::now() + REACH);
    while all_wait() && CALLS.load(SeqCst) == calls && !me.is_notified() && step(limit) {
        settle();
    }
}

/// Whether every other thread sleeps in a call here, or outside until another thread wakes it.
fn all_wait() -> bool {
    let waits = |other: &Thread| match threads::state(other.id) {
        State::Running => false,
        State::Asleep if other.depth.load(SeqCst) > 0 => other.sleeps.load(SeqCst),
        State::Asleep => threads::waits_for_another(other.id),
        State::Gone => true,
    };
    others().into_iter().all(waits)
}
