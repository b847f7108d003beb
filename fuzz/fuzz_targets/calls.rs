//! Sequences of the C functions with hostile arguments: pointers to nothing, to what may not be written, to the end of
//! what is there; lengths and numbers of all sizes; descriptors that are closed, or none.
#![no_main]

mod bytes;
mod mistakes;

use bytes::Bytes;
use libc::{c_int, c_void, socklen_t};
use libfuzzer_sys::fuzz_target;
use sockeye::{capi::*, sys::log};
use std::{ptr, sync::OnceLock};

/// Calls and descriptors of one run.
const CALLS: usize = 200;
const DESCRIPTORS: usize = 32;
/// Memory that arguments point into: pages to be written, one to be read, and none for a long way behind.
const PAGE: usize = 4096;
const WRITABLE: usize = 32 * PAGE;
const BEHIND: usize = 1 << 34;

/// Where that memory begins.
fn arena() -> usize {
    static ARENA: OnceLock<usize> = OnceLock::new();
    *ARENA.get_or_init(|| {
        log::keep(::log::LevelFilter::Error);
        // SAFETY: before the first call of the library, in the only thread there is; fresh mappings, found by address.
        unsafe {
            std::env::set_var("SOCKEYE_NET", "null:,log=off");
            // write(2) raises it where it is told to.
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            let at = libc::mmap(ptr::null_mut(), BEHIND, libc::PROT_NONE, flags, -1, 0);
            assert_ne!(at, libc::MAP_FAILED);
            assert_eq!(libc::mprotect(at, WRITABLE, libc::PROT_READ | libc::PROT_WRITE), 0);
            assert_eq!(libc::mprotect(at.byte_add(WRITABLE), PAGE, libc::PROT_READ), 0);
            at as usize
        }
    })
}

struct Run<'a> {
    input: Bytes<'a>,
    open: Vec<c_int>,
}

fuzz_target!(|data: &[u8]| {
    arena();
    let mut run = Run { input: Bytes::new(data), open: Vec::new() };
    for _ in 0..CALLS {
        if run.input.is_over() {
            break;
        }
        run.call();
    }
    for fd in run.open {
        sockeye_close(fd);
    }
    mistakes::none_since();
});

impl Run<'_> {
    fn fd(&mut self) -> c_int {
        let number = usize::from(self.input.u8());
        match number {
            250.. => [-1, c_int::MIN, c_int::MAX, 1 << 20, 1023, 1 << 16][number - 250],
            _ if self.open.is_empty() => -1,
            _ => self.open[number % self.open.len()],
        }
    }

    fn keep(&mut self, fd: c_int) -> c_int {
        if fd >= 0 {
            // No call is to wait for ever.
            let flags = unsafe { sockeye_fcntl(fd, libc::F_GETFL, 0) };
            unsafe { sockeye_fcntl(fd, libc::F_SETFL, (flags | libc::O_NONBLOCK).into()) };
            self.open.push(fd);
        }
        fd
    }

    fn pointer<T>(&mut self) -> *mut T {
        let base = arena();
        let at = match self.input.u8() {
            0 => 0,
            1 => 1,
            2 => usize::MAX,
            3 => base + WRITABLE - usize::from(self.input.u8()),
            4 => base + WRITABLE + usize::from(self.input.u16()) % PAGE,
            5 => base + WRITABLE + PAGE - usize::from(self.input.u8()),
            6 => base + WRITABLE + PAGE + usize::from(self.input.u16()),
            7 => 0xffff_8000_0000_0000 | usize::from(self.input.u16()),
            _ => base + usize::from(self.input.u16()),
        };
        at as *mut T
    }

    /// Bytes of the input, somewhere in the memory.
    fn filled<T>(&mut self) -> *mut T {
        let at = self.pointer::<u8>();
        let place = (at as usize).wrapping_sub(arena());
        if place < WRITABLE {
            let len = usize::from(self.input.u8()).min(WRITABLE - place);
            let bytes = self.input.take(len);
            // SAFETY: within the pages that are written to.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
        }
        at.cast()
    }

    fn len(&mut self) -> usize {
        match self.input.u8() {
            0 => usize::MAX,
            1 => isize::MAX as usize,
            2 => 1 << 31,
            3 => WRITABLE + PAGE,
            4..=120 => usize::from(self.input.u16()),
            n => usize::from(n - 120),
        }
    }

    fn number(&mut self) -> c_int {
        match self.input.u8() {
            n @ ..=199 => n.into(),
            200..=249 => self.input.u32().cast_signed(),
            n => [-1, c_int::MIN, c_int::MAX, 0x4000, 0x40, 0x2000][usize::from(n) - 250],
        }
    }

    fn flags(&mut self) -> c_int {
        self.number() | libc::MSG_DONTWAIT
    }

    /// An address, mostly of the loopback.
    fn address(&mut self) -> (*mut libc::sockaddr, socklen_t) {
        let at = self.filled::<libc::sockaddr>();
        let is_plain = self.input.u8() & 3 != 0;
        let place = (at as usize).wrapping_sub(arena());
        if is_plain && place < WRITABLE - 128 {
            let port = u16::from(self.input.u8() % 8 + 1) * 1000;
            let own = libc::sockaddr_in {
                sin_family: libc::AF_INET as u16,
                sin_port: port.to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_be_bytes([127, 0, 0, 1]).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: within the pages that are written to.
            unsafe { at.cast::<libc::sockaddr_in>().write_unaligned(own) };
            return (at, 16);
        }
        (at, self.input.u8().into())
    }

    /// A message header with pieces and control data, or what there is.
    fn message(&mut self) -> *mut libc::msghdr {
        let at = self.pointer::<libc::msghdr>();
        let place = (at as usize).wrapping_sub(arena());
        if place >= WRITABLE - 4096 {
            return at;
        }
        let pieces = usize::from(self.input.u8() % 5);
        let first = (at as usize + 64) as *mut libc::iovec;
        for n in 0..pieces {
            let piece = libc::iovec { iov_base: self.pointer(), iov_len: self.len() };
            // SAFETY: within the pages that are written to.
            unsafe { first.add(n).write_unaligned(piece) };
        }
        let (name, namelen) = if self.input.u8() & 1 == 0 { (ptr::null_mut(), 0) } else { self.address() };
        let (control, controllen) =
            if self.input.u8() & 1 == 0 { (ptr::null_mut::<c_void>(), 0) } else { (self.filled(), self.len()) };
        // SAFETY: numbers and pointers, for which zeros are a value; the place is within the pages written to.
        unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            (message.msg_name, message.msg_namelen) = (name.cast(), namelen);
            (message.msg_iov, message.msg_iovlen) = (first, pieces);
            (message.msg_control, message.msg_controllen) = (control, controllen);
            at.write_unaligned(message);
        }
        at
    }

    fn millisecond(&mut self) -> *mut libc::timespec {
        let at = (arena() + WRITABLE - 64) as *mut libc::timespec;
        // SAFETY: within the pages that are written to.
        unsafe { at.write_unaligned(libc::timespec { tv_sec: 0, tv_nsec: (self.input.u8() & 1).into() }) };
        at
    }

    fn call(&mut self) {
        let op = self.input.u8() % 36;
        if self.open.len() >= DESCRIPTORS && matches!(op, 0 | 5 | 6 | 9 | 10 | 11 | 30 | 35) {
            return;
        }
        // SAFETY: the functions probe every pointer; that is what is tried here.
        unsafe {
            match op {
                0 => {
                    let kind = self.input.one_of(&[1, 2, 1, 2, 3, 5]) | libc::SOCK_NONBLOCK;
                    let family = self.input.one_of(&[2, 2, 2, 10, 1, 17, -1]);
                    let protocol = self.input.one_of(&[0, 0, 0, 6, 17, 132]);
                    let fd = sockeye_socket(family, kind, protocol);
                    self.keep(fd);
                }
                1 => {
                    let (fd, (address, len)) = (self.fd(), self.address());
                    sockeye_bind(fd, address, len);
                }
                2 => {
                    let (fd, backlog) = (self.fd(), self.number());
                    sockeye_listen(fd, backlog);
                }
                3 | 4 => {
                    let (fd, (address, len)) = (self.fd(), self.address());
                    sockeye_connect(fd, address, len);
                }
                5 => {
                    let (fd, address, len) = (self.fd(), self.pointer(), self.filled());
                    let accepted = sockeye_accept(fd, address, len);
                    self.keep(accepted);
                }
                6 => {
                    let (fd, address, len, flags) = (self.fd(), self.pointer(), self.filled(), self.number());
                    let accepted = sockeye_accept4(fd, address, len, flags);
                    self.keep(accepted);
                }
                7 => {
                    let (fd, how) = (self.fd(), self.number());
                    sockeye_shutdown(fd, how);
                }
                8 => {
                    let fd = self.fd();
                    sockeye_close(fd);
                    if self.input.u8() & 7 != 0 {
                        self.open.retain(|open| *open != fd);
                    }
                }
                9 => {
                    let fd = self.fd();
                    let new = sockeye_dup(fd);
                    self.keep(new);
                }
                10 | 11 => {
                    // A number that nobody has; other ones are the fuzzer's own.
                    let (fd, onto, flags) = (self.fd(), 500 + c_int::from(self.input.u8()), self.number());
                    let new = if op == 10 { sockeye_dup2(fd, onto) } else { sockeye_dup3(fd, onto, flags) };
                    self.open.retain(|open| *open != onto);
                    self.keep(new);
                }
                12 => {
                    let (fd, address, len) = (self.fd(), self.pointer(), self.filled());
                    sockeye_getsockname(fd, address, len);
                }
                13 => {
                    let (fd, address, len) = (self.fd(), self.pointer(), self.filled());
                    sockeye_getpeername(fd, address, len);
                }
                14 => {
                    let (fd, level, name) = (self.fd(), self.level(), self.number());
                    let (value, len) = (self.pointer(), self.filled());
                    sockeye_getsockopt(fd, level, name, value, len);
                }
                15 | 16 => {
                    let (fd, level, name) = (self.fd(), self.level(), self.number());
                    let (value, len) = (self.filled(), self.input.u8().into());
                    // With a time to linger close(2) waits.
                    if (level, name) != (libc::SOL_SOCKET, libc::SO_LINGER) {
                        sockeye_setsockopt(fd, level, name, value, len);
                    }
                }
                17 => {
                    let (fd, at, len, flags) = (self.fd(), self.pointer(), self.len(), self.flags());
                    sockeye_recv(fd, at, len, flags);
                }
                18 => {
                    let (fd, at, len, flags) = (self.fd(), self.pointer(), self.len(), self.flags());
                    let (address, address_len) = (self.pointer(), self.filled());
                    sockeye_recvfrom(fd, at, len, flags, address, address_len);
                }
                19 => {
                    let (fd, message, flags) = (self.fd(), self.message(), self.flags());
                    sockeye_recvmsg(fd, message, flags);
                }
                20 => {
                    let (fd, at, len) = (self.fd(), self.pointer(), self.len());
                    sockeye_read(fd, at, len);
                }
                21 => {
                    let (fd, at, count) = (self.fd(), self.filled(), self.number());
                    sockeye_readv(fd, at, count);
                }
                22 => {
                    let (fd, at, len, flags) = (self.fd(), self.filled(), self.len(), self.flags());
                    sockeye_send(fd, at, len, flags | libc::MSG_NOSIGNAL);
                }
                23 => {
                    let (fd, at, len, flags) = (self.fd(), self.filled(), self.len(), self.flags());
                    let (address, address_len) = self.address();
                    sockeye_sendto(fd, at, len, flags | libc::MSG_NOSIGNAL, address, address_len);
                }
                24 => {
                    let (fd, message, flags) = (self.fd(), self.message(), self.flags());
                    sockeye_sendmsg(fd, message, flags | libc::MSG_NOSIGNAL);
                }
                25 => {
                    let (fd, at, len) = (self.fd(), self.filled(), self.len());
                    sockeye_write(fd, at, len);
                }
                26 => {
                    let (fd, at, count) = (self.fd(), self.filled(), self.number());
                    sockeye_writev(fd, at, count);
                }
                27 => {
                    let (fd, messages, count, flags) =
                        (self.fd(), self.message(), self.number().cast_unsigned(), self.flags());
                    sockeye_sendmmsg(fd, messages.cast(), count, flags | libc::MSG_NOSIGNAL);
                }
                28 => {
                    let (fd, messages, count, flags) =
                        (self.fd(), self.message(), self.number().cast_unsigned(), self.flags());
                    let time = self.millisecond();
                    sockeye_recvmmsg(fd, messages.cast(), count, flags, time);
                }
                29 => {
                    let (command, fd) = (self.number(), self.fd());
                    let arg = self.input.u32();
                    // No call is to wait for ever, and the numbers of others' descriptors are theirs.
                    if !matches!(command, libc::F_SETFL | libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
                        sockeye_fcntl(fd, command, arg.into());
                    }
                }
                30 => {
                    let fd = sockeye_epoll_create1(self.input.one_of(&[0, libc::EPOLL_CLOEXEC, 1]));
                    self.keep(fd);
                }
                31 => {
                    let (set, op, fd, event) = (self.fd(), self.number() % 5, self.fd(), self.filled());
                    sockeye_epoll_ctl(set, op, fd, event);
                }
                32 => {
                    let (set, events, most, wait) = (self.fd(), self.pointer(), self.number(), self.input.u8() & 1);
                    sockeye_epoll_wait(set, events, most, wait.into());
                }
                33 => {
                    let (fds, count, wait) = (self.filled(), self.input.u8() % 12, self.input.u8() & 1);
                    self.poll_own(fds, count);
                    sockeye_poll(fds, count.into(), wait.into());
                }
                34 => {
                    let (fd, request) = (self.fd(), self.number());
                    let at = self.pointer();
                    // FIONBIO has calls wait.
                    if request != libc::FIONBIO as c_int {
                        sockeye_ioctl(fd, request as libc::c_ulong, at);
                    }
                    let name = self.filled();
                    sockeye_counter(ptr::null_mut(), name);
                }
                _ => {
                    let (out, input, offset, count) = (self.fd(), self.fd(), self.pointer(), self.len());
                    sockeye_sendfile(out, input, offset, count);
                }
            }
        }
    }

    fn level(&mut self) -> c_int {
        self.input.one_of(&[libc::SOL_SOCKET, libc::IPPROTO_IP, libc::IPPROTO_TCP, libc::IPPROTO_IPV6, 17, 0x50c5, -1])
    }

    /// Descriptors of ours in a set for poll(2).
    fn poll_own(&mut self, fds: *mut libc::pollfd, count: u8) {
        let place = (fds as usize).wrapping_sub(arena());
        if place >= WRITABLE - 4096 {
            return;
        }
        for n in 0..usize::from(count) {
            let set = libc::pollfd { fd: self.fd(), events: self.input.u16().cast_signed(), revents: 0 };
            // SAFETY: within the pages that are written to.
            unsafe { fds.add(n).write_unaligned(set) };
        }
    }
}
