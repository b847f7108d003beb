//! `struct packetdrill_interface`, member for member in the order of packetdrill's `packetdrill.h`.

use crate::{bench::Bench, calls, netdev, splice};
use libc::{
    epoll_event, iovec, loff_t, msghdr, nfds_t, pollfd, size_t, sockaddr, socklen_t, ssize_t, timeval, timezone,
    useconds_t,
};
use std::ffi::{c_int, c_longlong, c_uint, c_ulong, c_void};

/// Writes the structure and how it is filled in: each member's type, and the function that it is.
macro_rules! interface {
    ($($name:ident: fn($($arg:ty),*) $(-> $result:ty)? = $function:path;)*) => {
        /// What packetdrill calls instead of the kernel. fcntl and ioctl are variadic in C; the argument, if there is
        /// one, is passed as theirs here is.
        #[repr(C)]
        #[derive(Debug)]
        pub struct Interface {
            userdata: *mut c_void,
            $($name: unsafe extern "C-unwind" fn(*mut c_void, $($arg),*) $(-> $result)?,)*
        }

        impl Interface {
            /// The interface of a stack, which [`Interface`]'s `free` ends.
            pub(crate) fn of(bench: Box<Bench>) -> Self {
                Self { userdata: Box::into_raw(bench).cast(), $($name: $function,)* }
            }
        }
    };
}

interface! {
    free: fn() = calls::free;
    socket: fn(c_int, c_int, c_int) -> c_int = calls::socket;
    bind: fn(c_int, *const sockaddr, socklen_t) -> c_int = calls::bind;
    listen: fn(c_int, c_int) -> c_int = calls::listen;
    accept: fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int = calls::accept;
    connect: fn(c_int, *const sockaddr, socklen_t) -> c_int = calls::connect;
    read: fn(c_int, *mut c_void, size_t) -> ssize_t = calls::read;
    readv: fn(c_int, *const iovec, c_int) -> ssize_t = calls::readv;
    recv: fn(c_int, *mut c_void, size_t, c_int) -> ssize_t = calls::recv;
    recvfrom: fn(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t = calls::recvfrom;
    recvmsg: fn(c_int, *mut msghdr, c_int) -> ssize_t = calls::recvmsg;
    write: fn(c_int, *const c_void, size_t) -> ssize_t = calls::write;
    writev: fn(c_int, *const iovec, c_int) -> ssize_t = calls::writev;
    send: fn(c_int, *const c_void, size_t, c_int) -> ssize_t = calls::send;
    sendto: fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t = calls::sendto;
    sendmsg: fn(c_int, *const msghdr, c_int) -> ssize_t = calls::sendmsg;
    fcntl: fn(c_int, c_int, c_int) -> c_int = calls::fcntl;
    ioctl: fn(c_int, c_ulong, *mut c_void) -> c_int = calls::ioctl;
    close: fn(c_int) -> c_int = calls::close;
    shutdown: fn(c_int, c_int) -> c_int = calls::shutdown;
    getsockopt: fn(c_int, c_int, c_int, *mut c_void, *mut socklen_t) -> c_int = calls::getsockopt;
    setsockopt: fn(c_int, c_int, c_int, *const c_void, socklen_t) -> c_int = calls::setsockopt;
    poll: fn(*mut pollfd, nfds_t, c_int) -> c_int = calls::poll;
    netdev_send: fn(*const c_void, size_t) -> c_int = netdev::send;
    netdev_receive: fn(*mut c_void, *mut size_t, *mut c_longlong) -> c_int = netdev::receive;
    usleep: fn(useconds_t) -> c_int = netdev::usleep;
    gettimeofday: fn(*mut timeval, *mut timezone) -> c_int = netdev::gettimeofday;
    epoll_create: fn(c_int) -> c_int = calls::epoll_create;
    epoll_ctl: fn(c_int, c_int, c_int, *mut epoll_event) -> c_int = calls::epoll_ctl;
    epoll_wait: fn(c_int, *mut epoll_event, c_int, c_int) -> c_int = calls::epoll_wait;
    pipe: fn(*mut c_int) -> c_int = calls::pipe;
    splice: fn(c_int, *mut loff_t, c_int, *mut loff_t, size_t, c_uint) -> c_int = splice::splice;
}

const _: () = assert!(size_of::<Interface>() == 33 * size_of::<*const ()>());
