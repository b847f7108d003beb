//! Datagram sockets: the functions of libc that send and receive put headers on and take them off.
//!
//! read(2) and write(2) belong to them, which programs call far more often for other things: whether this process can
//! have a datagram socket at all is remembered, so that the others pay nothing.

use crate::{
    fail,
    next::next,
    settings::host,
    socket::{given, hand},
};
use core::{
    ffi::{c_int, c_uint},
    slice,
    sync::atomic::{AtomicU8, Ordering::Relaxed},
};
use libc::{iovec, mmsghdr, msghdr, sockaddr, socklen_t, ssize_t, timespec};
use sockeye_shim::{
    Errno, Result,
    datagram::{self, Outgoing},
    kernel::{self, call, int, int_of},
    open,
    tag::Tag,
};

/// Whether this process may have datagram sockets of the stack's.
static PRESENCE: AtomicU8 = AtomicU8::new(UNKNOWN);
/// As after exec, or after descriptors came from elsewhere.
const UNKNOWN: u8 = 0;
const NONE: u8 = 1;
const SOME: u8 = 2;

/// A datagram socket is made.
pub fn expect() {
    PRESENCE.store(SOME, Relaxed);
}

/// Descriptors may have come from elsewhere.
pub fn look_again() {
    let _ = PRESENCE.compare_exchange(NONE, UNKNOWN, Relaxed, Relaxed);
}

/// The tag of a datagram socket of the stack's.
pub fn tag(fd: c_int) -> Option<Tag> {
    match PRESENCE.load(Relaxed) {
        NONE => return None,
        UNKNOWN => {
            let found = if any_inherited() { SOME } else { NONE };
            let _ = PRESENCE.compare_exchange(UNKNOWN, found, Relaxed, Relaxed);
        }
        _ => {}
    }
    open::tag(fd).filter(|tag| tag.is(Tag::DATAGRAM))
}

/// Looks through the descriptors of this process. Where /proc is not to be had, there may be some.
fn any_inherited() -> bool {
    let (path, flags) = (c"/proc/self/fd", libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
    // SAFETY: the path ends with a NUL.
    let opened = unsafe { call(libc::SYS_openat, [int(libc::AT_FDCWD), path.as_ptr() as usize, int(flags), 0, 0, 0]) };
    let Ok(directory) = opened else { return true };
    let mut found = false;
    let mut entries = [0u8; 1024];
    loop {
        let (at, room) = (entries.as_mut_ptr() as usize, entries.len());
        // SAFETY: the kernel writes at most as much as there is room for.
        let Ok(len @ 1..) = (unsafe { call(libc::SYS_getdents64, [directory, at, room, 0, 0, 0]) }) else { break };
        let mut rest = entries.get(..len).unwrap_or(&[]);
        // struct linux_dirent64: the record's length at 16, the name at 19.
        while let (Some(size), Some(name)) = (rest.get(16..18), rest.get(19..)) {
            let digits = name.iter().take_while(|c| c.is_ascii_digit());
            let number = digits.fold(0i32, |number, digit| number.wrapping_mul(10).wrapping_add((digit - b'0').into()));
            found |= name.first().is_some_and(u8::is_ascii_digit)
                && open::tag(number).is_some_and(|tag| tag.is(Tag::DATAGRAM));
            rest = rest.get(usize::from(u16::from_ne_bytes([size[0], size[1]])).max(1)..).unwrap_or(&[]);
        }
    }
    let _ = kernel::close(int_of(directory));
    found
}

/// What a function of libc comes to, without its errno.
fn checked(result: ssize_t) -> Result<usize> {
    // SAFETY: errno is the calling thread's own.
    usize::try_from(result).map_err(|_| Errno(unsafe { *libc::__errno_location() }))
}

fn answer(result: Result<usize>) -> ssize_t {
    match result {
        Ok(n) => n.cast_signed(),
        Err(errno) => fail(errno) as ssize_t,
    }
}

/// An array of the caller's; nothing where there is none.
unsafe fn array<'a, T>(at: *const T, len: usize) -> &'a [T] {
    // SAFETY: the caller vouches for `len` of them.
    if at.is_null() || len == 0 { &[] } else { unsafe { slice::from_raw_parts(at, len) } }
}

fn put(fd: c_int, tag: Tag, message: Outgoing<'_>, flags: c_int) -> Result<usize> {
    datagram::send(fd, tag, message, flags, &host()?, |message, flags| {
        checked(next!(c"sendmsg" as fn(c_int, *const msghdr, c_int) -> ssize_t, fd, message, flags))
    })
}

/// sendto(2) of one piece.
pub unsafe fn send_one(
    fd: c_int,
    tag: Tag,
    piece: iovec,
    flags: c_int,
    at: *const sockaddr,
    len: socklen_t,
) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let name = unsafe { given(at, len) };
    let name = if at.is_null() { None } else { Some(name) };
    answer(put(fd, tag, Outgoing { name, control: &[], pieces: &[piece] }, flags))
}

/// writev(2).
pub unsafe fn write(fd: c_int, tag: Tag, at: *const iovec, count: c_int) -> ssize_t {
    let Ok(count) = usize::try_from(count) else { return fail(Errno(libc::EINVAL)) as ssize_t };
    // SAFETY: the caller's own arguments.
    let pieces = unsafe { array(at, count) };
    answer(put(fd, tag, Outgoing { name: None, control: &[], pieces }, 0))
}

/// sendmsg(2).
pub unsafe fn send(fd: c_int, tag: Tag, message: &msghdr, flags: c_int) -> Result<usize> {
    // SAFETY: the caller's own message.
    let (name, control, pieces) = unsafe {
        (
            given(message.msg_name.cast(), message.msg_namelen),
            array(message.msg_control.cast(), message.msg_controllen),
            array(message.msg_iov, message.msg_iovlen),
        )
    };
    let name = if message.msg_name.is_null() || message.msg_namelen == 0 { None } else { Some(name) };
    put(fd, tag, Outgoing { name, control, pieces }, flags)
}

fn take(fd: c_int, tag: Tag, pieces: &[iovec], control: &mut [u8], flags: c_int) -> Result<datagram::Incoming> {
    datagram::receive(fd, tag, pieces, control, flags, &host()?, |message, flags| {
        checked(next!(c"recvmsg" as fn(c_int, *mut msghdr, c_int) -> ssize_t, fd, message, flags))
    })
}

/// recvfrom(2) into one piece.
pub unsafe fn receive_one(
    fd: c_int,
    tag: Tag,
    piece: iovec,
    flags: c_int,
    at: *mut sockaddr,
    len: *mut socklen_t,
) -> ssize_t {
    answer(take(fd, tag, &[piece], &mut [], flags).map(|incoming| {
        // SAFETY: the caller's own arguments.
        unsafe {
            match incoming.peer {
                Some(peer) => hand(peer, tag, at, len),
                None if !at.is_null() && !len.is_null() => *len = 0,
                None => {}
            }
        }
        incoming.len
    }))
}

/// readv(2).
pub unsafe fn read(fd: c_int, tag: Tag, at: *const iovec, count: c_int) -> ssize_t {
    let Ok(count) = usize::try_from(count) else { return fail(Errno(libc::EINVAL)) as ssize_t };
    // SAFETY: the caller's own arguments.
    let pieces = unsafe { array(at, count) };
    answer(take(fd, tag, pieces, &mut [], 0).map(|incoming| incoming.len))
}

/// recvmsg(2).
pub unsafe fn receive(fd: c_int, tag: Tag, message: &mut msghdr, flags: c_int) -> ssize_t {
    // SAFETY: the caller's own message.
    answer(unsafe { receive_message(fd, tag, message, flags) })
}

unsafe fn receive_message(fd: c_int, tag: Tag, message: &mut msghdr, flags: c_int) -> Result<usize> {
    let room = if message.msg_control.is_null() { 0 } else { message.msg_controllen };
    // SAFETY: the caller's own message, whose parts do not overlap.
    let (pieces, control) = unsafe {
        let control: &mut [u8] =
            if room == 0 { &mut [] } else { slice::from_raw_parts_mut(message.msg_control.cast(), room) };
        (array(message.msg_iov, message.msg_iovlen), control)
    };
    let incoming = take(fd, tag, pieces, control, flags)?;
    match incoming.peer {
        // SAFETY: the caller's own message.
        Some(peer) if !message.msg_name.is_null() => unsafe {
            hand(peer, tag, message.msg_name.cast(), &raw mut message.msg_namelen);
        },
        _ => message.msg_namelen = 0,
    }
    (message.msg_controllen, message.msg_flags) = (incoming.control, incoming.flags);
    Ok(incoming.len)
}

/// sendmmsg(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int {
    let Some(tag) = tag(fd) else {
        return next!(c"sendmmsg" as fn(c_int, *mut mmsghdr, c_uint, c_int) -> c_int, fd, messages, count, flags);
    };
    let mut done = 0;
    while done < count.min(1024) {
        // SAFETY: the caller vouches for `count` messages. The first of them may change the tag.
        let sent = unsafe {
            let message = messages.add(done as usize);
            let tag = if done == 0 { tag } else { open::tag(fd).unwrap_or(tag) };
            send(fd, tag, &(*message).msg_hdr, flags)
                .map(|len| (*message).msg_len = c_uint::try_from(len).unwrap_or(c_uint::MAX))
        };
        match sent {
            Ok(()) => done += 1,
            Err(errno) if done == 0 => return fail(errno),
            Err(_) => break,
        }
    }
    done.cast_signed()
}

/// recvmmsg(2). As the kernel does, it looks at the time limit only after each datagram.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmmsg(
    fd: c_int,
    messages: *mut mmsghdr,
    count: c_uint,
    flags: c_int,
    limit: *mut timespec,
) -> c_int {
    let Some(tag) = tag(fd) else {
        look_again();
        return next!(
            c"recvmmsg" as fn(c_int, *mut mmsghdr, c_uint, c_int, *mut timespec) -> c_int,
            fd,
            messages,
            count,
            flags,
            limit
        );
    };
    let now = || {
        let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: there is room for a timespec.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
    };
    // SAFETY: the caller's own argument.
    let limit = unsafe { limit.as_ref() };
    if limit.is_some_and(|limit| limit.tv_sec < 0 || !(0..1_000_000_000).contains(&limit.tv_nsec)) {
        return fail(Errno(libc::EINVAL));
    }
    let end = limit
        .map(|limit| now().saturating_add(limit.tv_sec.saturating_mul(1_000_000_000)).saturating_add(limit.tv_nsec));
    let mut done = 0;
    while done < count.min(1024) {
        let flags = flags & !libc::MSG_WAITFORONE
            | if done > 0 && flags & libc::MSG_WAITFORONE != 0 { libc::MSG_DONTWAIT } else { 0 };
        // SAFETY: the caller vouches for `count` messages.
        let got = unsafe {
            let message = messages.add(done as usize);
            receive_message(fd, tag, &mut (*message).msg_hdr, flags)
                .map(|len| (*message).msg_len = c_uint::try_from(len).unwrap_or(c_uint::MAX))
        };
        match got {
            Ok(()) => done += 1,
            Err(errno) if done == 0 => return fail(errno),
            Err(_) => break,
        }
        if end.is_some_and(|end| now() >= end) {
            break;
        }
    }
    done.cast_signed()
}

/// shutdown(2): a datagram socket without a peer is shut down and told that it has none, as on Linux.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shutdown(fd: c_int, how: c_int) -> c_int {
    // SAFETY: no pointers.
    let shut = unsafe { call(libc::SYS_shutdown, [int(fd), int(how), 0, 0, 0, 0]) };
    match shut {
        Ok(_) if tag(fd).is_some_and(|tag| !tag.is(Tag::CONNECTED)) => fail(Errno(libc::ENOTCONN)),
        Ok(_) => 0,
        Err(errno) => fail(errno),
    }
}
