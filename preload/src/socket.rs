//! The socket calls of libc.

use crate::{datagram, fail, next::next, settings::host};
use core::{
    ffi::{c_int, c_void},
    slice,
};
use libc::{msghdr, size_t, sockaddr, socklen_t, ssize_t};
use sockeye_shim::{
    Errno, Result, accept, bind as binding, close as closing,
    connect::{self as connecting, Begun},
    datagram as shim_datagram,
    host::Host,
    kernel::{self, UnixAddress, call, int},
    names,
    open::{self, Verdict},
    options, sockaddr as address,
    tag::Tag,
};

fn answer(result: Result<()>) -> c_int {
    result.map_or_else(fail, |()| 0)
}

/// The bytes of an address that a program gives, as many as any internet address has.
pub(crate) unsafe fn given<'a>(at: *const sockaddr, len: socklen_t) -> &'a [u8] {
    // Longer ones than there are (struct sockaddr_storage) are none, and refused as short ones are.
    if at.is_null() || len > 128 {
        return &[];
    }
    // SAFETY: the caller of the socket call vouches for `len` bytes.
    unsafe { slice::from_raw_parts(at.cast(), (len as usize).min(28)) }
}

/// Hands an address to a program, cut to the room it gives.
pub(crate) unsafe fn hand(from: sockeye_shim::address::Address, tag: Tag, at: *mut sockaddr, len: *mut socklen_t) {
    if at.is_null() || len.is_null() {
        return;
    }
    let (bytes, size) = address::write(from, tag);
    // SAFETY: the caller of the socket call vouches for `*len` bytes at `at`.
    unsafe {
        at.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), size.min(*len as usize));
        *len = socklen_t::try_from(size).unwrap_or(socklen_t::MAX);
    }
}

/// socket(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    let opened = match open::judge(domain, kind, protocol) {
        Verdict::Kernel => kernel::socket(domain, kind, protocol),
        Verdict::Stream(flags) => host().and_then(|_| open::socket(kind, flags)),
        Verdict::Datagram(flags) => {
            datagram::expect();
            host().and_then(|_| open::socket(kind, flags))
        }
        Verdict::Refused(errno) => Err(errno),
    };
    opened.unwrap_or_else(fail)
}

/// bind(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bind(fd: c_int, at: *const sockaddr, len: socklen_t) -> c_int {
    let Some(tag) = open::tag(fd) else {
        // SAFETY: the caller's own arguments.
        let result = unsafe { call(libc::SYS_bind, [int(fd), at as usize, len as usize, 0, 0, 0]) };
        return answer(result.map(drop));
    };
    // SAFETY: the caller's own arguments.
    let bytes = unsafe { given(at, len) };
    answer(address::read_own(bytes, tag).and_then(|address| {
        let host = host()?;
        let tag = options::enter_scope(fd, tag, bytes, &host)?;
        binding::bind(fd, tag, address, &host)
    }))
}

/// listen(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    answer(match open::tag(fd) {
        None => kernel::listen(fd, backlog),
        Some(tag) => host().and_then(|host| binding::listen(fd, tag, backlog, &host)),
    })
}

/// connect(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn connect(fd: c_int, at: *const sockaddr, len: socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    let bytes = unsafe { given(at, len) };
    let tag = match address::family(bytes) {
        None | Some(libc::AF_INET | libc::AF_INET6 | libc::AF_UNSPEC) => open::tag(fd),
        _ => None,
    };
    let Some(tag) = tag else {
        return next!(c"connect" as fn(c_int, *const sockaddr, socklen_t) -> c_int, fd, at, len);
    };
    // Who may not enter the scope of the peer has no address there.
    let enter = |host: &Host<'_>| {
        options::enter_scope(fd, tag, bytes, host).map_err(|errno| match errno {
            Errno(libc::ENODEV) => Errno(libc::EADDRNOTAVAIL),
            errno => errno,
        })
    };
    if tag.is(Tag::DATAGRAM) {
        let peer = match address::family(bytes) {
            Some(libc::AF_UNSPEC) => Ok(None),
            _ => address::read_peer(bytes, tag).map(Some),
        };
        return answer(peer.and_then(|peer| {
            let host = host()?;
            shim_datagram::associate(fd, enter(&host)?, peer, &host)
        }));
    }
    if address::family(bytes) == Some(libc::AF_UNSPEC) {
        return answer(host().and_then(|host| connecting::dissolve(fd, tag, &host)));
    }
    answer(address::read(bytes, tag).and_then(|address| {
        let host = host()?;
        let tag = enter(&host)?;
        match connecting::begin(fd, tag, address, &host) {
            Ok(Begun::Done) => Ok(()),
            Ok(Begun::InProgress) if !is_blocking(fd) => Err(Errno(libc::EINPROGRESS)),
            Err(Errno(libc::EALREADY)) if !is_blocking(fd) => Err(Errno(libc::EALREADY)),
            Ok(Begun::InProgress) | Err(Errno(libc::EALREADY)) => {
                wait(fd)?;
                let tag = open::tag(fd).ok_or(Errno(libc::EBADF))?;
                connecting::result(fd, tag.with(Tag::CONNECTING), &host)
            }
            Err(errno) => Err(errno),
        }
    }))
}

fn is_blocking(fd: c_int) -> bool {
    // SAFETY: no pointers.
    let flags = unsafe { call(libc::SYS_fcntl, [int(fd), libc::F_GETFL as usize, 0, 0, 0, 0]) };
    flags.is_ok_and(|flags| flags & libc::O_NONBLOCK as usize == 0)
}

/// Waits until a connection is made or has failed: EINPROGRESS when SO_SNDTIMEO is over, as socket(7).
fn wait(fd: c_int) -> Result<()> {
    let [seconds, micros] = kernel::option::<[i64; 2]>(fd, libc::SO_SNDTIMEO).unwrap_or_default();
    let limit = match seconds.saturating_mul(1000).saturating_add((micros + 999) / 1000) {
        0 => -1,
        millis => i32::try_from(millis).unwrap_or(i32::MAX),
    };
    loop {
        let mut set = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
        // SAFETY: one pollfd. libc's poll is a cancellation point, as connect is.
        match unsafe { libc::poll(&raw mut set, 1, limit) } {
            0 => return Err(Errno(libc::EINPROGRESS)),
            1.. => return Ok(()),
            _ if may_restart() => {}
            _ => return Err(Errno(libc::EINTR)),
        }
    }
}

/// Whether every handler of a signal has SA_RESTART: poll(2) says EINTR all the same, connect(2) would not.
fn may_restart() -> bool {
    (1..=64usize).all(|signal| {
        let mut action = [0usize; 4];
        // SAFETY: room for the kernel's sigaction (handler, flags, restorer, mask), which is only read.
        let read = unsafe { call(libc::SYS_rt_sigaction, [signal, 0, action.as_mut_ptr() as usize, 8, 0, 0]) };
        read.is_err() || action[0] <= 1 || action[1] & libc::SA_RESTART as usize != 0
    })
}

/// accept4(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept4(fd: c_int, at: *mut sockaddr, len: *mut socklen_t, flags: c_int) -> c_int {
    let Some(tag) = open::tag(fd) else {
        return next!(c"accept4" as fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int, fd, at, len, flags);
    };
    let host = match host() {
        Ok(host) => host,
        Err(errno) => return fail(errno),
    };
    if !len.is_null() && !at.is_null() {
        // SAFETY: the caller's own argument.
        let room = unsafe { *len };
        if room > i32::MAX as u32 {
            return fail(Errno(libc::EINVAL));
        }
    }
    loop {
        let mut from = UnixAddress::empty();
        let (name, room) = (from.as_mut_ptr(), from.len_mut_ptr());
        let accepted =
            next!(c"accept4" as fn(c_int, *mut sockaddr, *mut socklen_t, c_int) -> c_int, fd, name, room, flags);
        if accepted < 0 {
            return accepted;
        }
        match accept::adopt(fd, tag, accepted, &from, host.stack) {
            Ok(peer) => {
                // SAFETY: the caller's own arguments.
                unsafe { hand(peer, tag, at, len) };
                return accepted;
            }
            Err(Errno(libc::ENETDOWN)) => {
                (host.say)(b"the stack's host is gone: nobody comes to what this program listens at any more");
                return fail(Errno(libc::ENETDOWN));
            }
            Err(_) => {}
        }
    }
}

/// accept(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn accept(fd: c_int, at: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { accept4(fd, at, len, 0) }
}

/// getsockname(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockname(fd: c_int, at: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { name_by(libc::SYS_getsockname, fd, at, len) }
}

/// getpeername(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getpeername(fd: c_int, at: *mut sockaddr, len: *mut socklen_t) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe { name_by(libc::SYS_getpeername, fd, at, len) }
}

unsafe fn name_by(number: libc::c_long, fd: c_int, at: *mut sockaddr, len: *mut socklen_t) -> c_int {
    let Some(tag) = open::tag(fd) else {
        // SAFETY: the caller's own arguments.
        return answer(unsafe { call(number, [int(fd), at as usize, len as usize, 0, 0, 0]) }.map(drop));
    };
    if at.is_null() || len.is_null() {
        return fail(Errno(libc::EFAULT));
    }
    // SAFETY: the caller's own argument.
    if unsafe { *len } > i32::MAX as u32 {
        return fail(Errno(libc::EINVAL));
    }
    let name = host().and_then(|host| {
        if number == libc::SYS_getsockname { names::local(fd, tag, &host) } else { names::peer(fd, tag, &host) }
    });
    // SAFETY: the caller's own arguments.
    answer(name.map(|name| unsafe { hand(name, tag, at, len) }))
}

/// setsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setsockopt(fd: c_int, level: c_int, name: c_int, at: *const c_void, len: socklen_t) -> c_int {
    let ours = match open::tag(fd) {
        Some(tag) if !at.is_null() || len == 0 => {
            // SAFETY: the caller vouches for `len` bytes.
            let value = if len == 0 { &[] } else { unsafe { slice::from_raw_parts(at.cast(), len as usize) } };
            host().and_then(|host| options::set(fd, tag, level, name, value, &host))
        }
        Some(_) => Err(Errno(libc::EFAULT)),
        None => Ok(false),
    };
    match ours {
        Ok(true) => 0,
        Err(errno) => fail(errno),
        Ok(false) => {
            let arguments = [int(fd), int(level), int(name), at as usize, len as usize, 0];
            // SAFETY: the caller's own arguments.
            answer(unsafe { call(libc::SYS_setsockopt, arguments) }.map(drop))
        }
    }
}

/// getsockopt(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getsockopt(
    fd: c_int,
    level: c_int,
    name: c_int,
    at: *mut c_void,
    len: *mut socklen_t,
) -> c_int {
    let ours = match open::tag(fd) {
        Some(tag) if !at.is_null() && !len.is_null() => {
            // SAFETY: the caller's own argument.
            let room = unsafe { *len };
            // A negative length.
            if room > i32::MAX as u32 {
                return fail(Errno(libc::EINVAL));
            }
            let room = room as usize;
            host().and_then(|host| options::read(fd, tag, level, name, room, &host))
        }
        Some(_) => Err(Errno(libc::EFAULT)),
        None => Ok(None),
    };
    match ours {
        // SAFETY: the caller vouches for `*len` bytes at `at`.
        Ok(Some(data)) => unsafe {
            let size = data.as_bytes().len().min(*len as usize);
            at.cast::<u8>().copy_from_nonoverlapping(data.as_bytes().as_ptr(), size);
            *len = socklen_t::try_from(size).unwrap_or(socklen_t::MAX);
            0
        },
        Err(errno) => fail(errno),
        Ok(None) => {
            let arguments = [int(fd), int(level), int(name), at as usize, len as usize, 0];
            // SAFETY: the caller's own arguments.
            answer(unsafe { call(libc::SYS_getsockopt, arguments) }.map(drop))
        }
    }
}

/// recvfrom(2): a stream has no sender's name, where AF_UNIX gives the host's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvfrom(
    fd: c_int,
    to: *mut c_void,
    room: size_t,
    flags: c_int,
    at: *mut sockaddr,
    len: *mut socklen_t,
) -> ssize_t {
    if let Some(tag) = datagram::tag(fd) {
        let piece = libc::iovec { iov_base: to, iov_len: room };
        // SAFETY: the caller's own arguments.
        return unsafe { datagram::receive_one(fd, tag, piece, flags, at, len) };
    }
    let tag = if at.is_null() && flags & libc::MSG_ERRQUEUE == 0 { None } else { open::tag(fd) };
    let nameless = tag.is_some() && !at.is_null();
    if tag.is_some() && flags & libc::MSG_ERRQUEUE != 0 {
        // TCP's is empty unless it was asked for; AF_UNIX would wait for data.
        return fail(Errno(libc::EAGAIN)) as ssize_t;
    }
    let (name, name_len) = if nameless { (core::ptr::null_mut(), core::ptr::null_mut()) } else { (at, len) };
    let got = next!(
        c"recvfrom" as fn(c_int, *mut c_void, size_t, c_int, *mut sockaddr, *mut socklen_t) -> ssize_t,
        fd,
        to,
        room,
        flags,
        name,
        name_len
    );
    if nameless && got >= 0 && !len.is_null() {
        // SAFETY: the caller's own argument.
        unsafe { *len = 0 };
    }
    got
}

/// recvmsg(2): as [`recvfrom`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
    if !message.is_null()
        && let Some(tag) = datagram::tag(fd)
    {
        // SAFETY: the caller's own message.
        return unsafe { datagram::receive(fd, tag, &mut *message, flags) };
    }
    if flags & libc::MSG_ERRQUEUE != 0 && open::tag(fd).is_some() {
        return fail(Errno(libc::EAGAIN)) as ssize_t;
    }
    // SAFETY: the caller's own message.
    let name = if message.is_null() { core::ptr::null_mut() } else { unsafe { (*message).msg_name } };
    let nameless = !name.is_null() && open::tag(fd).is_some();
    if nameless {
        // SAFETY: the caller's own message.
        unsafe { ((*message).msg_name, (*message).msg_namelen) = (core::ptr::null_mut(), 0) };
    }
    let got = next!(c"recvmsg" as fn(c_int, *mut msghdr, c_int) -> ssize_t, fd, message, flags);
    if nameless {
        // SAFETY: the caller's own message.
        unsafe { (*message).msg_name = name };
    }
    // SAFETY: the caller's own message.
    if got >= 0 && unsafe { (*message).msg_controllen } > 0 {
        datagram::look_again();
    }
    got
}

/// sendto(2): a connected stream takes no notice of an address, where AF_UNIX says EISCONN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sendto(
    fd: c_int,
    from: *const c_void,
    size: size_t,
    flags: c_int,
    at: *const sockaddr,
    len: socklen_t,
) -> ssize_t {
    if let Some(tag) = datagram::tag(fd) {
        let piece = libc::iovec { iov_base: from.cast_mut(), iov_len: size };
        // SAFETY: the caller's own arguments.
        return unsafe { datagram::send_one(fd, tag, piece, flags, at, len) };
    }
    let nameless = !at.is_null() && open::tag(fd).is_some();
    let (at, len) = if nameless { (core::ptr::null(), 0) } else { (at, len) };
    next!(
        c"sendto" as fn(c_int, *const c_void, size_t, c_int, *const sockaddr, socklen_t) -> ssize_t,
        fd,
        from,
        size,
        flags,
        at,
        len
    )
}

/// close(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn close(fd: c_int) -> c_int {
    close_by(fd, || next!(c"close" as fn(c_int) -> c_int, fd))
}

/// Closes a descriptor by `run`, and waits for SO_LINGER.
pub(crate) fn close_by(fd: c_int, run: impl FnOnce() -> c_int) -> c_int {
    let wait = match open::tag(fd).map_or(0, |tag| closing::lingers(fd, tag)) {
        0 => None,
        seconds => host().and_then(|host| closing::linger(fd, seconds, &host)).ok(),
    };
    let result = run();
    if let (Some(wait), 0) = (wait, result) {
        wait.wait();
    }
    result
}
