//! poll(2): stack sockets, epoll instances and kernel descriptors in one wait.

use super::{
    epoll, nested,
    table::{self, Entry},
};
use crate::{
    engine::{self, Engine, Woke, ready::Parker},
    error::{Error, Result},
    ready::Ready,
    stack::{Protocol, WRBAND, with_bands},
    sys::readiness::{PollFd, look},
    time::Instant,
};
use std::{mem::ManuallyDrop, sync::Arc};

/// Stacks that one wait can drive.
pub const MAX_ENGINES: usize = 16;
/// Kernel descriptors of one wait that need no allocation.
const FEW: usize = 64;
/// What an epoll instance with events is.
const READABLE: i16 = libc::POLLIN | libc::POLLRDNORM;
/// POLLNVAL of poll(2).
const NVAL: i16 = 0x20;

/// How long a call may wait.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Not at all: one look.
    Now,
    /// Until this time.
    At(Instant),
    /// For ever.
    Never,
}

impl Timeout {
    /// From milliseconds as poll(2) and epoll_wait(2) take them: negative is for ever.
    pub fn from_millis(millis: i32) -> Self {
        match u64::try_from(millis) {
            Ok(millis) => Self::from_duration(std::time::Duration::from_millis(millis)),
            Err(_) => Self::Never,
        }
    }

    /// From the time to wait.
    pub fn from_duration(time: std::time::Duration) -> Self {
        if time.is_zero() { Self::Now } else { Self::At(engine::now() + time) }
    }

    /// The time as the engine takes it.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Now => Some(Instant::ZERO),
            Self::At(at) => Some(at),
            Self::Never => None,
        }
    }
}

/// The stacks a wait concerns.
#[derive(Copy, Clone, Default)]
pub struct Engines {
    list: [Option<&'static Engine>; MAX_ENGINES],
    count: usize,
}

impl Engines {
    /// Adds a stack.
    ///
    /// # Errors
    /// `NoBuffers` beyond [`MAX_ENGINES`].
    pub fn add(&mut self, engine: &'static Engine) -> Result<()> {
        if self.list[..self.count].iter().flatten().any(|known| std::ptr::eq(*known, engine)) {
            return Ok(());
        }
        *self.list.get_mut(self.count).ok_or(Error::NoBuffers)? = Some(engine);
        self.count += 1;
        Ok(())
    }

    /// Calls `each` with the stacks as a slice.
    pub fn with<R>(&self, each: impl FnOnce(&[&'static Engine]) -> R) -> R {
        match self.list[0] {
            None => each(&[]),
            Some(first) => {
                let all = self.list.map(|engine| engine.unwrap_or(first));
                each(&all[..self.count])
            }
        }
    }
}

/// The conditions to watch for: who asks for a band waits for IN or OUT.
pub fn without_bands(mut asked: Ready) -> Ready {
    if asked.intersects(Ready::RDNORM) {
        asked |= Ready::IN;
    }
    if asked.intersects(Ready::WRNORM | WRBAND) {
        asked |= Ready::OUT;
    }
    asked
}

/// A pollfd's events, and what poll(2) reports unasked.
fn asked(events: i16) -> Ready {
    Ready(u32::from(events as u16)) | Ready::ERR | Ready::HUP
}

/// The revents for what is ready.
fn revents(events: i16, ready: Ready, protocol: Protocol) -> i16 {
    (with_bands(ready, protocol) & asked(events)).0 as i16
}

/// poll(2). `mask` as in ppoll(2).
///
/// # Errors
/// `Interrupted`; `NoBuffers` for sockets of more than [`MAX_ENGINES`] stacks.
pub fn poll(fds: &mut [PollFd], timeout: Timeout, mask: Option<&libc::sigset_t>) -> Result<usize> {
    let mut engines = Engines::default();
    let mut kernel = 0;
    for fd in fds.iter().filter(|fd| fd.fd >= 0) {
        match table::entry(fd.fd) {
            Entry::Socket(_) if super::enter().is_err() => {}
            Entry::Socket(socket) => engines.add(socket.engine)?,
            Entry::Epoll(epoll, _) => {
                super::enter()?;
                epoll::add_engines(epoll, &mut engines)?;
                kernel += 1;
            }
            Entry::Foreign => kernel += 1,
        }
    }
    const NONE: PollFd = PollFd { fd: -1, events: 0, revents: 0 };
    if kernel <= FEW {
        return run(fds, &mut [NONE; FEW][..kernel], &engines, timeout, mask);
    }
    // No destructor here either: a thread cancelled while it polls that many kernel descriptors leaves this behind.
    let mut extra = ManuallyDrop::new(vec![NONE; kernel]);
    let result = run(fds, &mut extra, &engines, timeout, mask);
    drop(ManuallyDrop::into_inner(extra));
    result
}

fn run(
    fds: &mut [PollFd],
    extra: &mut [PollFd],
    engines: &Engines,
    timeout: Timeout,
    mask: Option<&libc::sigset_t>,
) -> Result<usize> {
    if timeout == Timeout::Now {
        engines.with(engine::drive_once);
    }
    gather(fds, extra);
    settle(fds);
    look(extra);
    let found = scan(fds, extra);
    if found > 0 || timeout == Timeout::Now {
        return Ok(found);
    }
    watch(fds);
    let result = sleep(fds, extra, engines, timeout, mask);
    unwatch(fds);
    result
}

fn sleep(
    fds: &mut [PollFd],
    extra: &mut [PollFd],
    engines: &Engines,
    timeout: Timeout,
    mask: Option<&libc::sigset_t>,
) -> Result<usize> {
    loop {
        Parker::current().prepare();
        let found = scan(fds, extra);
        if found > 0 {
            return Ok(found);
        }
        let woke = engines.with(|engines| engine::wait(engines, extra, timeout.deadline(), mask));
        match (woke, scan(fds, extra)) {
            (Woke::Changed, 0) => {}
            (Woke::Interrupted, 0) => return Err(Error::Interrupted),
            (_, found) => return Ok(found),
        }
        rearm(fds);
    }
}

/// Has epoll instances show to the kernel what there is.
fn settle(fds: &[PollFd]) {
    for fd in fds.iter().filter(|fd| fd.fd >= 0) {
        if let Entry::Epoll(epoll, _) = table::entry(fd.fd) {
            nested::settle(epoll);
        }
    }
}

/// Fills `extra` with the descriptors the kernel has to answer for, in their order in `fds`.
fn gather(fds: &[PollFd], extra: &mut [PollFd]) {
    let kernels = fds.iter().filter(|fd| fd.fd >= 0 && !matches!(table::entry(fd.fd), Entry::Socket(_)));
    for (place, fd) in extra.iter_mut().zip(kernels) {
        *place = PollFd { fd: fd.fd, events: fd.events, revents: 0 };
    }
}

/// Sets every revents from what the stacks say now and from the kernel's last answer; returns how many are set.
fn scan(fds: &mut [PollFd], extra: &[PollFd]) -> usize {
    let mut answers = extra.iter().peekable();
    let mut at = 0;
    while at < fds.len() {
        let fd = &mut fds[at];
        match table::entry(fd.fd) {
            _ if fd.fd < 0 => fd.revents = 0,
            // A forked child has no stack to ask.
            Entry::Socket(_) if super::enter().is_err() => fd.revents = NVAL,
            Entry::Socket(socket) => {
                at += scan_run(socket.engine, &mut fds[at..]);
                continue;
            }
            entry => {
                // An entry that changed its kind meanwhile was closed under the call: that is POLLNVAL.
                let answer = answers.next_if(|answer| answer.fd == fd.fd).map_or(NVAL, |answer| answer.revents);
                let is_ready = matches!(entry, Entry::Epoll(epoll, _) if epoll::is_ready(epoll));
                fd.revents = if is_ready { answer | (fd.events & READABLE) } else { answer };
            }
        }
        at += 1;
    }
    fds.iter().filter(|fd| fd.revents != 0).count()
}

/// Sets the revents of the sockets of `engine` that `fds` starts with, some at a time under one lock; returns how many.
fn scan_run(engine: &'static Engine, fds: &mut [PollFd]) -> usize {
    const AT_ONCE: usize = 64;
    engine.with(|stack, _| {
        let mut done = 0;
        for fd in fds.iter_mut().take(AT_ONCE) {
            match table::entry(fd.fd) {
                Entry::Socket(socket) if std::ptr::eq(socket.engine, engine) => {
                    fd.revents = revents(fd.events, stack.ready(socket.id), socket.protocol);
                }
                // The first was a socket when it was looked at; if it was closed since, that is POLLNVAL.
                _ if done == 0 => fd.revents = NVAL,
                _ => break,
            }
            done += 1;
        }
        done
    })
}

/// The calling thread is told of what comes up from here on.
fn watch(fds: &[PollFd]) {
    let parker = Parker::current();
    for fd in fds.iter().filter(|fd| fd.fd >= 0) {
        match table::entry(fd.fd) {
            Entry::Socket(socket) => {
                socket.engine.watch(socket.id, without_bands(asked(fd.events)), 0, Arc::clone(&parker) as _);
            }
            Entry::Epoll(epoll, _) => epoll::join(epoll, &parker),
            Entry::Foreign => {}
        }
    }
}

/// An epoll instance forgets whom it has woken.
fn rearm(fds: &[PollFd]) {
    let parker = Parker::current();
    for fd in fds.iter().filter(|fd| fd.fd >= 0) {
        if let Entry::Epoll(epoll, _) = table::entry(fd.fd) {
            epoll::leave(epoll, &parker);
            epoll::join(epoll, &parker);
        }
    }
}

fn unwatch(fds: &[PollFd]) {
    let parker = Parker::current();
    let watcher: Arc<dyn engine::ready::Watcher> = Arc::clone(&parker) as _;
    for fd in fds.iter().filter(|fd| fd.fd >= 0) {
        match table::entry(fd.fd) {
            Entry::Socket(socket) => socket.engine.unwatch(socket.id, 0, &watcher),
            Entry::Epoll(epoll, _) => epoll::leave(epoll, &parker),
            Entry::Foreign => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_in_pairs_and_only_when_asked_for() {
        let all = Ready::IN | Ready::OUT | Ready::ERR | Ready::RDHUP;
        let [tcp, udp] = [Protocol::Tcp, Protocol::Udp];
        let bands = libc::POLLRDNORM | libc::POLLWRNORM | libc::POLLWRBAND;
        assert_eq!(revents(libc::POLLIN, all, tcp), libc::POLLIN | libc::POLLERR);
        assert_eq!(revents(bands, all, tcp), libc::POLLRDNORM | libc::POLLWRNORM | libc::POLLERR);
        assert_eq!(revents(bands, all, udp), bands | libc::POLLERR);
        assert_eq!(revents(0, Ready::HUP, tcp), libc::POLLHUP);
        assert!(without_bands(asked(libc::POLLRDNORM)).contains(Ready::IN | Ready::HUP));
    }

    #[test]
    fn kernel_descriptors_alone_are_polled_and_negative_ones_passed_over() {
        let (reader, mut writer) = std::os::unix::net::UnixStream::pair().unwrap();
        use std::{io::Write, os::fd::AsRawFd};
        let fd = |fd| PollFd { fd, events: libc::POLLIN, revents: 0x7f };
        let mut fds = [fd(-1), fd(reader.as_raw_fd()), fd(999_999)];
        assert_eq!(poll(&mut fds[..2], Timeout::Now, None), Ok(0));
        writer.write_all(b"x").unwrap();
        assert_eq!(poll(&mut fds, Timeout::Never, None), Ok(2));
        assert_eq!(fds.map(|fd| fd.revents), [0, libc::POLLIN, libc::POLLNVAL]);
    }
}
