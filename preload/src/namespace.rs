//! Network namespaces (network_namespaces(7)). A host's name is of one, and a process in another asks by the secret
//! path alone, which is not seen from a jail: programs that leave are also those that lock themselves up (vsftpd). So a
//! process that has a socket of the stack's gets none of its own, as from a kernel without CONFIG_NET_NS (EINVAL). One
//! that has none may go, and has no network there, as on Linux.

use crate::{fail, next::Next};
use core::ffi::{c_int, c_long, c_void};
use sockeye_shim::{
    Errno,
    kernel::{self, call, int},
    open,
};

/// unshare(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unshare(flags: c_int) -> c_int {
    if is_refused(int(flags) as u64) {
        return fail(Errno(libc::EINVAL));
    }
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_unshare, [int(flags), 0, 0, 0, 0, 0]) }.map_or_else(fail, |_| 0)
}

static CLONE: Next = Next::new(c"clone");

/// Where clone(2) goes on: libc's own, or nothing if it fails with errno set.
extern "C" fn next_clone(flags: c_int) -> *mut c_void {
    if is_refused(int(flags) as u64) {
        fail(Errno(libc::EINVAL));
        return core::ptr::null_mut();
    }
    CLONE.address()
}

/// clone(2). It jumps to libc's, which takes as many arguments as the flags say.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn clone() -> c_int {
    core::arch::naked_asm!(
        with_arguments_aside!("mov edi, edx", "call {next}"),
        "test rax, rax",
        "jz 2f",
        "jmp rax",
        "2:",
        "mov eax, -1",
        "ret",
        next = sym next_clone,
    )
}

/// Whether the call of that number would take this process or a child of it away from its sockets' host.
///
/// # Safety
///
/// `first` must be the first argument of that call.
pub unsafe extern "C" fn is_call_refused(number: c_long, first: usize) -> bool {
    match number {
        // SAFETY: the flags are what a struct clone_args begins with. Without one the kernel says EFAULT.
        libc::SYS_clone3 if first != 0 => is_refused(unsafe { *(first as *const u64) }),
        libc::SYS_clone | libc::SYS_unshare => is_refused(first as u64),
        _ => false,
    }
}

fn is_refused(flags: u64) -> bool {
    flags & libc::CLONE_NEWNET as u64 != 0 && has_sockets()
}

/// Whether any descriptor of this process is a socket of the stack's.
fn has_sockets() -> bool {
    let mut limit = [0u64; 2];
    let (resource, at) = (libc::RLIMIT_NOFILE as usize, limit.as_mut_ptr() as usize);
    // SAFETY: a struct rlimit of 64-bit Linux; no new limit.
    if unsafe { call(libc::SYS_prlimit64, [0, resource, 0, at, 0, 0]) }.is_err() {
        return true;
    }
    let end = i32::try_from(limit[0]).unwrap_or(i32::MAX);
    // One call says of many which are open: a limit may be a million.
    let mut set = [libc::pollfd { fd: 0, events: 0, revents: 0 }; 256];
    (0..end).step_by(set.len()).any(|first| {
        for (entry, fd) in set.iter_mut().zip(first..=i32::MAX) {
            entry.fd = fd;
        }
        kernel::poll(&mut set).is_err() || {
            let mut open = set.iter().filter(|entry| entry.revents & libc::POLLNVAL == 0);
            open.any(|entry| open::tag(entry.fd).is_some())
        }
    })
}
