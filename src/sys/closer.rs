//! Closing descriptors that strangers have sent, on a thread of its own: the last reference to a socket with SO_LINGER
//! may be among them or in their queues, and closing that takes as long as the stranger likes.

use super::signals::Blocked;
use std::{
    os::fd::OwnedFd,
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{Sender, channel},
    },
    thread,
};

type Work = (usize, Box<dyn FnOnce() + Send>);

/// Nothing where no thread could be started.
static THREAD: OnceLock<Option<Sender<Work>>> = OnceLock::new();
/// Descriptors that are not closed yet.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Closes descriptors sooner or later. Without a thread to do it they are closed here.
pub fn close(descriptors: Vec<OwnedFd>) {
    aside(descriptors.len(), move || drop(descriptors));
}

/// Does something with so many descriptors, which it closes, sooner or later; without a thread to do it nothing but to
/// close them.
pub fn aside(count: usize, work: impl FnOnce() + Send + 'static) {
    let thread = THREAD.get_or_init(|| {
        let (sender, receiver) = channel::<Work>();
        let body = move || {
            for (count, work) in receiver {
                work();
                WAITING.fetch_sub(count, Relaxed);
            }
        };
        let thread = thread::Builder::new().name("sockeye-closer".to_owned()).stack_size(64 * 1024);
        // Signals are the program's own threads' affair.
        let blocked = Blocked::all();
        let started = thread.spawn(body);
        blocked.restore();
        started.ok().map(|_| sender)
    });
    if let Some(thread) = thread {
        WAITING.fetch_add(count, Relaxed);
        // The thread never ends.
        let _sent = thread.send((count, Box::new(work)));
    }
}

/// How many descriptors are still to be closed: whoever takes them from strangers takes no more while there are many.
pub fn waiting() -> usize {
    WAITING.load(Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;
    use std::{
        io::{self, Read},
        time::Duration,
    };

    #[test]
    fn what_is_handed_over_is_closed_and_no_longer_counted() {
        let (mut reader, writer) = io::pipe().unwrap();
        close(vec![writer.into()]);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the other end is closed");
        let until = clock::now() + Duration::from_secs(10);
        while waiting() > 0 {
            assert!(clock::now() < until, "{} are waited for", waiting());
            thread::sleep(Duration::from_millis(1));
        }
    }
}
