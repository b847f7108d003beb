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
}

struct Watch {
    mask: Ready,
    token: u64,
    watcher: Arc<dyn Watcher>,
}

/// The watchers of one engine's sockets.
#[derive(Default)]
pub(super) struct Hub {
    watches: Mutex<HashMap<SocketId, Vec<Watch>>>,
    /// Number of sockets watched, so that an event nobody waits for costs one load.
    sockets: AtomicUsize,
}

impl Hub {
    pub(super) fn watch(&self, id: SocketId, mask: Ready, token: u64, watcher: Arc<dyn Watcher>) {
        let mut watches = self.watches.lock();
        watches.entry(id).or_default().push(Watch { mask: mask | Ready::ERR | Ready::HUP, token, watcher });
        self.sockets.store(watches.len(), Ordering::SeqCst);
    }

    pub(super) fn unwatch(&self, id: SocketId, token: u64, watcher: &Arc<dyn Watcher>) {
        let mut watches = self.watches.lock();
        if let Some(list) = watches.get_mut(&id) {
            if let Some(at) = list.iter().position(|w| w.token == token && Arc::ptr_eq(&w.watcher, watcher)) {
                list.swap_remove(at);
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
            for watch in watches.get(id).into_iter().flatten().filter(|w| w.mask.intersects(*ready)) {
                watch.watcher.on_ready(watch.token, *ready);
            }
        }
    }
}
