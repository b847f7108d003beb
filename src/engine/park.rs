//! Where one thread sleeps and how it is woken. A thread that is awake is woken without a system call.

use super::ready::Watcher;
use crate::{ready::Ready, sys::event::Event, time::Duration};
use parking_lot::Mutex;
use std::{
    cell::{Cell, RefCell},
    os::fd::RawFd,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;
const NOTIFIED: u32 = 2;

/// How long a thread sleeps that nothing can wake.
const BLIND: Duration = Duration::from_millis(1);

/// The sleeping place of one thread. Places are never freed: a thread that ends leaves its own to the next one.
#[derive(Debug)]
pub(super) struct Place {
    state: AtomicU32,
    /// Not there while the process is out of descriptors: then the thread sleeps for a [`BLIND`] at a time and looks.
    event: OnceLock<Event>,
    /// The program has closed the event: it is as if it were not there.
    is_lost: AtomicBool,
    handle: OnceLock<Arc<Parker>>,
}

/// Places whose threads have ended.
static IDLE: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

thread_local! {
    static MINE: Cell<Option<&'static Place>> = const { Cell::new(None) };
    static RETURN: ReturnAtExit = const { ReturnAtExit };
    /// Threads to be woken once readiness has been delivered everywhere, so that the device can be given along.
    static TO_WAKE: RefCell<Vec<&'static Place>> = const { RefCell::new(Vec::new()) };
}

struct ReturnAtExit;

impl Drop for ReturnAtExit {
    fn drop(&mut self) {
        if let Some(place) = MINE.take() {
            place.release();
        }
    }
}

impl Place {
    /// A place outside any thread's keeping: one that was released, or a new one.
    pub(super) fn new() -> &'static Self {
        if let Some(place) = IDLE.lock().pop() {
            place.prepare();
            return place;
        }
        let (state, event, is_lost) = (AtomicU32::new(AWAKE), OnceLock::new(), AtomicBool::new(false));
        Box::leak(Box::new(Self { state, event, is_lost, handle: OnceLock::new() }))
    }

    /// The calling thread's own.
    pub(super) fn mine() -> &'static Self {
        MINE.get().unwrap_or_else(|| {
            let place = Self::new();
            MINE.set(Some(place));
            // A thread that is already ending keeps its place until the process ends.
            let _ = RETURN.try_with(|_| ());
            place
        })
    }

    /// Leaves it to the next thread. Who still knows it may wake that one for nothing, which it has to expect anyway.
    pub(super) fn release(&'static self) {
        IDLE.lock().push(self);
    }

    pub(super) fn is(&'static self, other: &'static Self) -> bool {
        std::ptr::eq(self, other)
    }

    fn usable(&self) -> Option<&Event> {
        self.event.get().filter(|_| !self.is_lost.load(Ordering::Relaxed))
    }

    /// The descriptor to sleep on; -1, which poll(2) passes over, when there is none.
    pub(super) fn fd(&self) -> RawFd {
        self.usable().map_or(-1, Event::fd)
    }

    /// How long to sleep at once when `wanted` is how long there is to sleep.
    pub(super) fn nap(&self, wanted: Option<Duration>) -> Option<Duration> {
        if self.usable().is_some() { wanted } else { Some(wanted.map_or(BLIND, |wanted| wanted.min(BLIND))) }
    }

    /// Forgets earlier notifications.
    pub(super) fn prepare(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    pub(super) fn is_notified(&self) -> bool {
        self.state.load(Ordering::SeqCst) == NOTIFIED
    }

    /// From here on a notification signals the event. False when one has come already.
    #[must_use]
    pub(super) fn fall_asleep(&self) -> bool {
        // There before anybody can find the thread asleep, or the first signal would be lost.
        if self.event.get().is_none()
            && let Ok(event) = Event::new()
        {
            self.event.get_or_init(|| event);
        }
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// The thread is awake again; a notification that came in between stays.
    pub(super) fn wake_up(&self) {
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Resets the event after it polled readable.
    pub(super) fn clear(&self) {
        if self.event.get().is_some_and(|event| !event.clear()) {
            self.is_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Marks the thread as notified; true when it is asleep and [`Place::signal`] has to follow.
    #[must_use]
    pub(super) fn notify(&self) -> bool {
        self.state.swap(NOTIFIED, Ordering::SeqCst) == ASLEEP
    }

    /// Ends the sleep of a thread that [`Place::notify`] found asleep.
    pub(super) fn signal(&self) {
        self.event.get().inspect(|event| event.signal());
    }

    /// Notifies and, if need be, wakes.
    pub(super) fn wake(&self) {
        if self.notify() {
            self.signal();
        }
    }
}

/// The threads found asleep since the last call, in the order they were notified. None in a thread that is ending,
/// which drains the stack at exit: it wakes each at once.
pub(super) fn take_sleepers() -> Vec<&'static Place> {
    TO_WAKE.try_with(RefCell::take).unwrap_or_default()
}

/// A sleeping place as a [`Watcher`]: wakes its thread out of [`super::wait`].
#[derive(Debug)]
pub struct Parker(&'static Place);

impl Parker {
    /// The calling thread's own.
    pub fn current() -> Arc<Self> {
        let place = Place::mine();
        Arc::clone(place.handle.get_or_init(|| Arc::new(Self(place))))
    }

    /// Forgets earlier wake-ups: what comes from here on ends the next [`super::wait`] of this thread.
    /// Call it before registering and looking.
    pub fn prepare(&self) {
        self.0.prepare();
    }

    /// Wakes the thread at once, outside the delivery of readiness.
    pub fn wake(&self) {
        self.0.wake();
    }
}

impl Watcher for Parker {
    fn on_ready(&self, _token: u64, _ready: Ready) {
        if self.0.notify() && TO_WAKE.try_with(|sleepers| sleepers.borrow_mut().push(self.0)).is_err() {
            self.0.signal();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_before_the_sleep_prevents_it_and_one_during_it_must_signal() {
        let place = Place::new();
        assert!(!place.notify());
        assert!(!place.fall_asleep());
        place.prepare();
        assert!(place.fall_asleep());
        assert!(place.notify());
        place.wake_up();
        assert!(place.is_notified());
    }

    #[test]
    fn whoever_finds_a_thread_asleep_for_the_first_time_has_an_event_to_signal() {
        let place = Box::leak(Box::new(Place {
            state: AtomicU32::new(AWAKE),
            event: OnceLock::new(),
            is_lost: AtomicBool::new(false),
            handle: OnceLock::new(),
        }));
        assert_eq!(place.fd(), -1);
        assert!(place.fall_asleep());
        assert!(place.fd() >= 0);
        // The program has closed it: who cannot be woken does not spin.
        place.is_lost.store(true, Ordering::Relaxed);
        assert_eq!((place.fd(), place.nap(None)), (-1, Some(BLIND)));
    }
}
