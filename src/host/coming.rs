//! What another thread brings: the slot that waits for it is woken, and looks then.

use std::sync::{Arc, OnceLock};

/// A value that is to come.
#[derive(Clone, Debug)]
pub struct Coming<T>(Arc<OnceLock<T>>);

impl<T: Send + Sync + 'static> Coming<T> {
    /// It, and what brings it: to be called once, on whichever thread, after which it calls `wake`.
    pub fn new(wake: impl FnOnce() + Send + 'static) -> (Self, impl FnOnce(T) + Send + 'static) {
        let place = Arc::new(OnceLock::new());
        let other = Arc::clone(&place);
        let bring = move |value| {
            // Nobody else sets it.
            let _ = other.set(value);
            wake();
        };
        (Self(place), bring)
    }

    /// It, if it has come.
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
}
