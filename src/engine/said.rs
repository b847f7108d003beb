//! Lines of the log on their way from the stack to whoever prints them: taken under the stack's lock, printed after it,
//! in their order, by whoever gets there first.

use crate::{
    stack::{Stack, journal::Line},
    sys::threads,
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
};

/// How often who prints looks again at most: others go on saying things. What is left is printed in the next turn.
const ROUNDS: usize = 16;

#[derive(Default)]
pub(super) struct Said {
    lines: Mutex<VecDeque<Line>>,
    is_waiting: AtomicBool,
    /// Held by who prints.
    printing: Mutex<()>,
}

impl Said {
    /// Takes what the stack has to say, while it is locked.
    pub(super) fn take(&self, stack: &mut Stack) {
        if stack.journal_mut().has_lines() {
            self.lines.lock().append(&mut stack.journal_mut().poll_lines());
            self.is_waiting.store(true, Ordering::Release);
        }
    }

    /// Prints it, unless another thread is at it, which then looks again after letting go: a program's own logger may
    /// well use the stack.
    pub(super) fn print(&self) {
        for _ in 0..ROUNDS {
            if !self.is_waiting.load(Ordering::Acquire) {
                return;
            }
            let Some(_turn) = self.printing.try_lock() else { return };
            self.is_waiting.store(false, Ordering::Release);
            let lines = std::mem::take(&mut *self.lines.lock());
            // The logger may have places where a thread is cancelled.
            threads::without_cancellation(|| {
                lines.iter().for_each(|Line { level, text }| log::log!(target: "sockeye::stack", *level, "{text}"));
            });
        }
    }
}
