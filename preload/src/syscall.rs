//! syscall(2), by which libuv, jemalloc and language runtimes go past libc's functions.

use crate::{datagram, exec, fail, namespace, read, socket};
use core::ffi::{c_int, c_long};
use sockeye_shim::{
    Errno,
    kernel::{self, call, int_of},
};

/// syscall(2). What does not concern sockets goes to the kernel from here, with nothing on the stack: the number may
/// be vfork's.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn syscall() -> c_long {
    core::arch::naked_asm!(
        "cmp rdi, {close}",
        "je {ours}",
        "cmp rdi, {execve}",
        "je {ours}",
        "cmp rdi, {execveat}",
        "je {ours}",
        "cmp rdi, {accept4}",
        "je {ours}",
        "cmp rdi, {io_uring}",
        "je {ours}",
        "cmp rdi, {sendmmsg}",
        "je {ours}",
        "cmp rdi, {recvmmsg}",
        "je {ours}",
        "cmp rdi, {socket}",
        "jb 2f",
        "cmp rdi, {getsockopt}",
        "jbe {ours}",
        "cmp rdi, {clone}",
        "je 4f",
        "cmp rdi, {clone3}",
        "je 4f",
        "cmp rdi, {unshare}",
        "je 4f",
        "2:",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 3f",
        "ret",
        "3:",
        "neg eax",
        "mov edi, eax",
        "5:",
        "sub rsp, 8",
        "call {fail}",
        "add rsp, 8",
        "movsxd rax, eax",
        "ret",
        "4:",
        with_arguments_aside!("call {refused}"),
        "test al, al",
        "jz 2b",
        "mov edi, {invalid}",
        "jmp 5b",
        close = const libc::SYS_close,
        execve = const libc::SYS_execve,
        execveat = const libc::SYS_execveat,
        accept4 = const libc::SYS_accept4,
        io_uring = const libc::SYS_io_uring_setup,
        sendmmsg = const libc::SYS_sendmmsg,
        recvmmsg = const libc::SYS_recvmmsg,
        socket = const libc::SYS_socket,
        getsockopt = const libc::SYS_getsockopt,
        clone = const libc::SYS_clone,
        clone3 = const libc::SYS_clone3,
        unshare = const libc::SYS_unshare,
        invalid = const libc::EINVAL,
        refused = sym namespace::is_call_refused,
        ours = sym ours,
        fail = sym fail_number,
    )
}

extern "C" fn fail_number(errno: c_int) -> c_int {
    fail(Errno(errno))
}

/// The calls of this library by number; the arguments are in the registers of a C function's.
unsafe extern "C" fn ours(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
    let fd = int_of(a);
    // SAFETY: the caller's own arguments, of the types that the call of that number has.
    unsafe {
        match number {
            libc::SYS_socket => socket::socket(fd, int_of(b), int_of(c)).into(),
            libc::SYS_bind => socket::bind(fd, b as *const _, int_of(c).cast_unsigned()).into(),
            libc::SYS_listen => socket::listen(fd, int_of(b)).into(),
            libc::SYS_connect => socket::connect(fd, b as *const _, int_of(c).cast_unsigned()).into(),
            libc::SYS_accept => socket::accept(fd, b as *mut _, c as *mut _).into(),
            libc::SYS_accept4 => socket::accept4(fd, b as *mut _, c as *mut _, int_of(d)).into(),
            libc::SYS_getsockname => socket::getsockname(fd, b as *mut _, c as *mut _).into(),
            libc::SYS_getpeername => socket::getpeername(fd, b as *mut _, c as *mut _).into(),
            libc::SYS_setsockopt => {
                socket::setsockopt(fd, int_of(b), int_of(c), d as *const _, int_of(e).cast_unsigned()).into()
            }
            libc::SYS_getsockopt => socket::getsockopt(fd, int_of(b), int_of(c), d as *mut _, e as *mut _).into(),
            libc::SYS_recvfrom => socket::recvfrom(fd, b as *mut _, c, int_of(d), e as *mut _, f as *mut _) as c_long,
            libc::SYS_recvmsg => socket::recvmsg(fd, b as *mut _, int_of(c)) as c_long,
            libc::SYS_sendmsg => read::sendmsg(fd, b as *const _, int_of(c)) as c_long,
            libc::SYS_shutdown => datagram::shutdown(fd, int_of(b)).into(),
            libc::SYS_sendmmsg => datagram::sendmmsg(fd, b as *mut _, int_of(c).cast_unsigned(), int_of(d)).into(),
            libc::SYS_recvmmsg => {
                datagram::recvmmsg(fd, b as *mut _, int_of(c).cast_unsigned(), int_of(d), e as *mut _).into()
            }
            libc::SYS_sendto => {
                socket::sendto(fd, b as *const _, c, int_of(d), e as *const _, int_of(f).cast_unsigned()) as c_long
            }
            libc::SYS_execve => exec::execve(a as *const _, b as *const _, c as *const _).into(),
            libc::SYS_execveat => exec::execveat(fd, b as *const _, c as *const _, d as *const _, int_of(e)).into(),
            // A ring would make and connect sockets of the kernel's: as in a kernel without rings.
            libc::SYS_io_uring_setup => fail(Errno(libc::ENOSYS)).into(),
            // Allocators close their files so before there is a libc to look up.
            libc::SYS_close => socket::close_by(fd, || kernel::close(fd).map_or_else(fail, |()| 0)).into(),
            _ => match call(number, [a, b, c, d, e, f]) {
                Ok(result) => result.cast_signed() as c_long,
                Err(errno) => fail(errno).into(),
            },
        }
    }
}
