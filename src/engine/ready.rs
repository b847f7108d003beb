//! Who is told when a socket becomes ready.

use crate::{ready::Ready, stack::SocketId};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

pub use super::park::Parker;

/// Told of readiness edges. Called without the stack's lock, possibly from another thread; must not block.
pub trait Watcher: Send + Sync {
    /// `ready` came up on what was registered with `token`.
    fn on_ready(&self, token: u64, ready: Ready);

    /// The same where one of several is enough: says whether a thread that waited was woken, so that no other need be.
    fn on_ready_exclusive(&self, token: u64, ready: Ready) -> bool {
        self.on_ready(token, ready);
        true
    }
}

struct Watch {
    mask: Ready,
    token: u64,
    watcher: Arc<dyn Watcher>,
    /// EPOLLEXCLUSIVE: need not be told once another such watcher has woken a thread.
    is_exclusive: bool,
}

/// The watchers of one engine's sockets.
#[derive(Default)]
pub(super) struct Hub {
    watches: Mutex<HashMap<SocketId, Vec<Watch>>>,
    /// Number of sockets watched, so that an event nobody waits for costs one load.
    sockets: AtomicUsize,
}

impl Hub {
    pub(super) fn watch(&self, id: SocketId, mask: Ready, token: u64, watcher: Arc<dyn Watcher>, is_exclusive: bool) {
        let mut watches = self.watches.lock();
        let watch = Watch { mask: mask | Ready::ERR | Ready::HUP, token, watcher, is_exclusive };
        watches.entry(id).or_default().push(watch);
        self.sockets.store(watches.len(), Ordering::SeqCst);
    }

    pub(super) fn unwatch(&self, id: SocketId, token: u64, watcher: &Arc<dyn Watcher>) {
        let mut watches = self.watches.lock();
        if let Some(list) = watches.get_mut(&id) {
            if let Some(at) = list.iter().position(|w| w.token == token && Arc::ptr_eq(&w.watcher, watcher)) {
                list.remove(at);
            }
            if list.is_empty() {
                watches.remove(&id);
            }
        }
        self.sockets.store(watches.len(), Ordering::SeqCst);
    }

    pub(super) fn forget(&self, id: SocketId) {
        let mut watches = self.watches.lock();
        watches.remove(&id);
        self.sockets.store(watches.len(), Ordering::SeqCst);
    }

    pub(super) fn deliver(&self, events: &[(SocketId, Ready)]) {
        if events.is_empty() || self.sockets.load(Ordering::SeqCst) == 0 {
            return;
        }
        let watches = self.watches.lock();
        for (id, ready) in events {
            watches.get(id).inspect(|watches| tell(watches, *ready));
        }
    }
}

/// Conditions that end something, of which everybody is told, as of Linux's sk_state_change.
const ENDS: Ready = Ready(Ready::RDHUP.0 | Ready::HUP.0 | Ready::ERR.0);

/// Tells all watchers that `ready` concerns; of the exclusive ones, in their order, as many as it takes to wake a
/// thread (epoll_ctl(2), EPOLLEXCLUSIVE).
fn tell(watches: &[Watch], ready: Ready) {
    let is_for_all = ready.intersects(ENDS);
    let mut is_served = false;
    for watch in watches.iter().filter(|watch| watch.mask.intersects(ready)) {
        if is_for_all || !watch.is_exclusive {
            watch.watcher.on_ready(watch.token, ready);
        } else if !is_served {
            is_served = watch.watcher.on_ready_exclusive(watch.token, ready);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has a thread to wake or not, and counts what it is told.
    struct Listener(bool, AtomicUsize);

    impl Watcher for Listener {
        fn on_ready(&self, _token: u64, _ready: Ready) {
            self.1.fetch_add(1, Ordering::SeqCst);
        }

        fn on_ready_exclusive(&self, token: u64, ready: Ready) -> bool {
            self.on_ready(token, ready);
            self.0
        }
    }

    #[test]
    fn exclusive_watchers_are_told_until_one_has_woken_a_thread_and_all_of_an_end() {
        let hub = Hub::default();
        let id = SocketId::from_bits(1);
        let listeners = [(false, true), (true, true), (true, true), (false, false)].map(|(wakes, is_exclusive)| {
            let listener = Arc::new(Listener(wakes, AtomicUsize::new(0)));
            hub.watch(id, Ready::IN, 0, Arc::clone(&listener) as _, is_exclusive);
            listener
        });
        let told = || listeners.each_ref().map(|listener| listener.1.swap(0, Ordering::SeqCst));
        hub.deliver(&[(id, Ready::IN)]);
        assert_eq!(told(), [1, 1, 0, 1]);
        hub.deliver(&[(id, Ready::OUT)]);
        assert_eq!(told(), [0, 0, 0, 0]);
        hub.deliver(&[(id, Ready::IN | Ready::HUP)]);
        assert_eq!(told(), [1, 1, 1, 1]);
        let second: Arc<dyn Watcher> = Arc::clone(&listeners[1]) as _;
        hub.unwatch(id, 0, &second);
        hub.deliver(&[(id, Ready::IN)]);
        assert_eq!(told(), [1, 0, 1, 1]);
    }
}
