//! What a forked child finds. A page that the kernel wipes at fork (MADV_WIPEONFORK) marks the child without a system
//! call; the devices' descriptors are closed there at once, so that no child holds a device.

use std::{
    os::fd::RawFd,
    ptr,
    sync::{
        Once,
        atomic::{AtomicI32, AtomicPtr, AtomicU8, Ordering},
    },
};

/// The page: 1 in the process that made it, 0 in its children; null before any stack was made.
static PAGE: AtomicPtr<AtomicU8> = AtomicPtr::new(ptr::null_mut());

/// Descriptors a child lets go of; -1 is a free place.
static DEVICES: [AtomicI32; 64] = [const { AtomicI32::new(-1) }; 64];

/// Called once a stack is made: from here on [`is_child`] tells children from their parent.
pub fn mark_parent() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: a fresh anonymous page of our own, used for nothing but this byte.
        unsafe {
            let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            let page = libc::mmap(ptr::null_mut(), 4096, prot, flags, -1, 0);
            if page == libc::MAP_FAILED || libc::madvise(page, 4096, libc::MADV_WIPEONFORK) != 0 {
                return;
            }
            let flag: *mut AtomicU8 = page.cast();
            (*flag).store(1, Ordering::Relaxed);
            PAGE.store(flag, Ordering::Release);
            libc::pthread_atfork(None, None, Some(let_go));
        }
    });
}

/// Whether this process is a forked child of one that made a stack.
pub fn is_child() -> bool {
    let page = PAGE.load(Ordering::Acquire);
    // SAFETY: null, or the page made above, which is never unmapped.
    !page.is_null() && unsafe { (*page).load(Ordering::Relaxed) } == 0
}

/// A device was opened on `fd`.
pub fn hold(fd: RawFd) {
    let free = |place: &&AtomicI32| place.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    DEVICES.iter().find(free);
}

/// The device on `fd` was closed.
pub fn release(fd: RawFd) {
    let held = |place: &&AtomicI32| place.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    DEVICES.iter().find(held);
}

/// Runs in the child, between fork and its first line: closes the devices.
extern "C" fn let_go() {
    for place in &DEVICES {
        let fd = place.swap(-1, Ordering::AcqRel);
        if fd >= 0 {
            // SAFETY: the child's own copy of the descriptor; its engine never runs again.
            unsafe { libc::close(fd) };
        }
    }
}
