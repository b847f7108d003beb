//! Who is told when a socket becomes ready.

use crate::ready::Ready;
use std::sync::Arc;

/// Told of readiness edges. Called without the stack's lock, possibly from another thread; must not block.
pub trait Watcher: Send + Sync {
    /// `ready` came up on what was registered with `token`.
    fn on_ready(&self, token: u64, ready: Ready);
}

/// A sleeping place of one thread; as a [`Watcher`] it wakes that thread out of [`super::wait`].
pub struct Parker {}

#[allow(clippy::unimplemented)]
impl Parker {
    /// The calling thread's own.
    pub fn current() -> Arc<Self> {
        unimplemented!()
    }

    /// Forgets earlier wake-ups: what comes from here on ends the next [`super::wait`] of this thread.
    /// Call it before registering and looking.
    pub fn prepare(&self) {
        unimplemented!()
    }
}

impl Watcher for Parker {
    #[allow(clippy::unimplemented, unused_variables)]
    fn on_ready(&self, token: u64, ready: Ready) {
        unimplemented!()
    }
}
