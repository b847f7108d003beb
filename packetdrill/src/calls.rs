//! The calls of the interface that are those of the socket layer, each known to virtual time as a call, and each with
//! the settings that `SOCKEYE_SYSCTL`'s file has now.

use crate::{bench::Bench, sysctl};
use libc::{epoll_event, iovec, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t};
use sockeye::{
    capi,
    engine::virtual_time,
    socket::{errno, open, stacks},
};
use std::ffi::{c_int, c_long, c_ulong, c_void};

/// Sets errno.
pub fn fail(errno: c_int) -> c_int {
    // SAFETY: errno's place is the calling thread's own.
    unsafe { *libc::__errno_location() = errno };
    -1
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $kind:ty),*) -> $result:ty = $function:ident;)*) => {
        $(pub unsafe extern "C-unwind" fn $name(userdata: *mut c_void, $($arg: $kind),*) -> $result {
            // SAFETY: packetdrill hands us our own.
            let bench = unsafe { Bench::at(userdata) };
            virtual_time::call(|| {
                sysctl::follow(bench);
                // SAFETY: the caller's own arguments, which the call demands of it as its man page does.
                #[allow(unused_unsafe, reason = "some of them take no pointers")]
                unsafe { capi::$function($($arg),*) }
            })
        })*
    };
}

forward! {
    listen(fd: c_int, backlog: c_int) -> c_int = sockeye_listen;
    accept(fd: c_int, addr: *mut sockaddr, len: *mut socklen_t) -> c_int = sockeye_accept;
    connect(fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int = sockeye_connect;
    read(fd: c_int, buf: *mut c_void, len: size_t) -> ssize_t = sockeye_read;
    readv(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t = sockeye_readv;
    recv(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int) -> ssize_t = sockeye_recv;
    recvfrom(fd: c_int, buf: *mut c_void, len: size_t, flags: c_int, from: *mut sockaddr, from_len: *mut socklen_t)
        -> ssize_t = sockeye_recvfrom;
    recvmsg(fd: c_int, msg: *mut msghdr, flags: c_int) -> ssize_t = sockeye_recvmsg;
    write(fd: c_int, buf: *const c_void, len: size_t) -> ssize_t = sockeye_write;
    writev(fd: c_int, iov: *const iovec, count: c_int) -> ssize_t = sockeye_writev;
    send(fd: c_int, buf: *const c_void, len: size_t, flags: c_int) -> ssize_t = sockeye_send;
    sendto(fd: c_int, buf: *const c_void, len: size_t, flags: c_int, to: *const sockaddr, to_len: socklen_t)
        -> ssize_t = sockeye_sendto;
    sendmsg(fd: c_int, msg: *const msghdr, flags: c_int) -> ssize_t = sockeye_sendmsg;
    ioctl(fd: c_int, request: c_ulong, arg: *mut c_void) -> c_int = sockeye_ioctl;
    close(fd: c_int) -> c_int = sockeye_close;
    shutdown(fd: c_int, how: c_int) -> c_int = sockeye_shutdown;
    getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut socklen_t) -> c_int
        = sockeye_getsockopt;
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: socklen_t) -> c_int
        = sockeye_setsockopt;
    poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int = sockeye_poll;
    epoll_ctl(epfd: c_int, op: c_int, fd: c_int, event: *mut epoll_event) -> c_int = sockeye_epoll_ctl;
    epoll_wait(epfd: c_int, events: *mut epoll_event, max: c_int, timeout: c_int) -> c_int = sockeye_epoll_wait;
}

/// Ends the stack; what is open on it fails from then on.
pub unsafe extern "C-unwind" fn free(userdata: *mut c_void) {
    // SAFETY: what Interface::of made of a box, and is freed once.
    let bench = unsafe { Box::from_raw(userdata.cast::<Bench>()) };
    // It is freed once, as said.
    let _ = virtual_time::call(|| stacks::free(bench.stack, Some(std::time::Duration::ZERO)));
}

/// socket(2).
pub unsafe extern "C-unwind" fn socket(userdata: *mut c_void, domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    // SAFETY: packetdrill hands us our own.
    let bench = unsafe { Bench::at(userdata) };
    virtual_time::call(|| {
        sysctl::follow(bench);
        let opened = open::socket_in(bench.stack, domain, kind, protocol);
        opened.inspect(|fd| sysctl::apply_to(bench, *fd)).unwrap_or_else(|error| fail(errno::of(error)))
    })
}

/// bind(2).
pub unsafe extern "C-unwind" fn bind(_: *mut c_void, fd: c_int, addr: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    virtual_time::call(|| unsafe { capi::sockeye_bind(fd, addr, len) })
}

/// fcntl(2). The argument of all commands that packetdrill knows is an int.
pub unsafe extern "C-unwind" fn fcntl(_: *mut c_void, fd: c_int, command: c_int, arg: c_int) -> c_int {
    // SAFETY: the caller's own arguments.
    virtual_time::call(|| unsafe { capi::sockeye_fcntl(fd, command, c_long::from(arg)) })
}

/// epoll_create(2): the size has no meaning but that it is one.
pub unsafe extern "C-unwind" fn epoll_create(_: *mut c_void, size: c_int) -> c_int {
    if size <= 0 { fail(libc::EINVAL) } else { virtual_time::call(|| capi::sockeye_epoll_create1(0)) }
}

/// pipe(2), the kernel's.
pub unsafe extern "C-unwind" fn pipe(_: *mut c_void, ends: *mut c_int) -> c_int {
    // SAFETY: the caller's own argument.
    unsafe { libc::pipe(ends) }
}
