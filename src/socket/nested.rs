//! An epoll(7) instance in another. The kernel keeps the entry, for both descriptors are instances of its own: it knows
//! loops and depth (ELOOP), edges, one shot, and takes the entry away when the inner one is closed. What it cannot see
//! are our sockets in the inner instance; for those the inner one gets a [`Doorbell`] among its kernel descriptors.
//!
//! The ready list may hold entries whose readiness somebody has used up since: before the kernel is asked about an
//! instance with others in it, those are settled, the innermost first.

use super::{
    epoll::{EPOLLS, Epoll},
    file::{FileRef, Object},
};
use crate::{
    error::Result,
    sys::{event::Event, readiness},
};
use libc::epoll_event;

/// How deep instances may be in each other: one more than the kernel's EP_MAX_NESTS. A race of two epoll_ctl can make
/// the lists here look like a loop for a moment; it ends here.
const DEPTH: usize = 5;

/// An eventfd in an instance of the kernel: readable while the ready list of ours beside it is not empty.
pub(super) struct Doorbell {
    event: Event,
    rung: bool,
}

impl Doorbell {
    /// The instance is readable, and was made so once more: an edge.
    pub(super) fn ring(&mut self) {
        self.event.signal();
        self.rung = true;
    }

    /// The instance is not readable for it.
    pub(super) fn silence(&mut self) {
        if std::mem::take(&mut self.rung) {
            self.event.clear();
        }
    }
}

/// The instances that were added to one and not deleted; closed ones may still be among them.
#[derive(Default)]
pub(super) struct Children(Vec<FileRef>);

impl Children {
    fn add(&mut self, file: FileRef) {
        self.0.retain(|known| known.is_alive());
        self.0.push(file);
    }

    fn remove(&mut self, file: FileRef) {
        if let Some(at) = self.0.iter().position(|known| *known == file) {
            self.0.swap_remove(at);
        }
    }
}

/// The outer instance, and its descriptor.
#[derive(Copy, Clone)]
pub(super) struct Place {
    pub(super) fd: i32,
    pub(super) epoll: u32,
}

/// The inner one.
#[derive(Copy, Clone)]
pub(super) struct Child {
    pub(super) fd: i32,
    pub(super) epoll: u32,
    pub(super) file: FileRef,
}

/// epoll_ctl(2) of an instance on another.
///
/// # Errors
/// Those of epoll_ctl(2); out of descriptors.
pub(super) fn control(outer: Place, op: i32, inner: Child, event: epoll_event) -> Result<()> {
    readiness::control(outer.fd, op, inner.fd, event)?;
    match op {
        libc::EPOLL_CTL_ADD => {
            if let Err(error) = install(inner) {
                let _ = readiness::control(outer.fd, libc::EPOLL_CTL_DEL, inner.fd, event);
                return Err(error);
            }
            let mut state = EPOLLS.at(outer.epoll).state.lock();
            state.children.add(inner.file);
            state.add_kernel();
        }
        libc::EPOLL_CTL_DEL => {
            let mut state = EPOLLS.at(outer.epoll).state.lock();
            state.children.remove(inner.file);
            state.remove_kernel();
        }
        _ => {}
    }
    Ok(())
}

/// The data of the doorbell's own events: an address that is nobody else's.
fn mark(epoll: &Epoll) -> u64 {
    std::ptr::from_ref(epoll).addr() as u64
}

/// Gives an instance its doorbell, if it has none.
fn install(inner: Child) -> Result<()> {
    let epoll = EPOLLS.at(inner.epoll);
    let mut state = epoll.state.lock();
    if state.doorbell.is_none() {
        let event = Event::out_of_the_way()?;
        let asked = epoll_event { events: libc::EPOLLIN as u32, u64: mark(epoll) };
        readiness::control(inner.fd, libc::EPOLL_CTL_ADD, event.fd(), asked)?;
        state.doorbell = Some(Doorbell { event, rung: false });
        state.show();
    }
    Ok(())
}

/// What the kernel has ready in an instance, without the doorbell.
///
/// # Errors
/// As epoll_wait(2).
pub(super) fn take(epoll: &Epoll, epfd: i32, out: &mut [epoll_event]) -> Result<usize> {
    let found = readiness::take(epfd, out)?;
    let mark = mark(epoll);
    let is_bell = |event: &epoll_event| event.u64 == mark;
    if found == 0 || epoll.state.lock().doorbell.is_none() {
        return Ok(found);
    }
    let Some(at) = out[..found].iter().position(is_bell) else { return Ok(found) };
    if found > 1 {
        out.copy_within(at + 1..found, at);
        return Ok(found - 1);
    }
    // It took the only place: the kernel puts it last then, so that a second look finds what else there is.
    let found = readiness::take(epfd, &mut out[..1])?;
    Ok(if out[..found].iter().any(is_bell) { 0 } else { found })
}

fn children(epoll: u32) -> Vec<u32> {
    let number = |file: &FileRef| match file.object() {
        Some(Object::Epoll(epoll)) if file.is_alive() => Some(epoll),
        _ => None,
    };
    EPOLLS.at(epoll).state.lock().children.0.iter().filter_map(number).collect()
}

/// Calls `each` for an instance and, before it, for those in it.
///
/// # Errors
/// The first of `each`.
pub(super) fn try_each(epoll: u32, each: &mut impl FnMut(&Epoll) -> Result<()>) -> Result<()> {
    descend(epoll, DEPTH, each)
}

fn descend(epoll: u32, depth: usize, each: &mut impl FnMut(&Epoll) -> Result<()>) -> Result<()> {
    if depth > 1 {
        children(epoll).into_iter().try_for_each(|child| descend(child, depth - 1, each))?;
    }
    each(EPOLLS.at(epoll))
}

/// Has an instance and those in it show to the kernel what is ready, and nothing that was.
pub(super) fn settle(epoll: u32) {
    let settled = try_each(epoll, &mut |epoll| {
        if epoll.state.lock().doorbell.is_some() {
            epoll.settle();
        }
        Ok(())
    });
    debug_assert!(settled.is_ok());
}

/// The same for those in it alone.
pub(super) fn settle_children(epoll: u32) {
    children(epoll).into_iter().for_each(settle);
}
