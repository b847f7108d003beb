//! splice(2) between a pipe of the kernel and a socket of the stack: the bytes are copied, no more of them than both
//! sides take.

use crate::calls::fail;
use libc::{SPLICE_F_MORE, SPLICE_F_NONBLOCK, loff_t, size_t, ssize_t};
use sockeye::{
    capi,
    engine::virtual_time,
    socket::table::{self, Entry},
};
use std::{
    ffi::{c_int, c_uint, c_ulong, c_void},
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// ioctl_list(2); libc has no name for it.
const SIOCATMARK: c_ulong = 0x8905;

/// Bytes moved in one piece: what a pipe holds unless it was made larger.
const PIECE: usize = 65_536;

fn is_socket(fd: c_int) -> bool {
    matches!(table::entry(fd), Entry::Socket(_))
}

fn is_pipe(fd: c_int) -> bool {
    // SAFETY: no pointers; only pipes have a size.
    unsafe { libc::fcntl(fd, libc::F_GETPIPE_SZ) >= 0 }
}

/// A length that is one, or errno's error.
fn checked(len: ssize_t) -> io::Result<usize> {
    usize::try_from(len).map_err(|_| io::Error::last_os_error())
}

fn refuse<T>(errno: c_int) -> io::Result<T> {
    Err(io::Error::from_raw_os_error(errno))
}

/// splice(2). packetdrill names a place for an offset always, and one with 0 in it is its word for NULL, which pipes
/// and sockets want.
pub unsafe extern "C-unwind" fn splice(
    _: *mut c_void,
    input: c_int,
    input_at: *mut loff_t,
    out: c_int,
    out_at: *mut loff_t,
    len: size_t,
    flags: c_uint,
) -> c_int {
    let offset = |fd: c_int, at: *mut loff_t| {
        // SAFETY: null or the caller's own.
        let is_zero = at.is_null() || unsafe { at.read() } == 0;
        if is_zero && (is_socket(fd) || is_pipe(fd)) { ptr::null_mut() } else { at }
    };
    let (input_at, out_at) = (offset(input, input_at), offset(out, out_at));
    let moved = virtual_time::call(|| match (is_socket(input), is_socket(out)) {
        (false, false) => {
            // SAFETY: the caller's own arguments.
            checked(unsafe { libc::splice(input, input_at, out, out_at, len, flags) })
        }
        (true, _) if !is_pipe(out) => refuse(libc::EINVAL),
        (_, true) if !is_pipe(input) => refuse(libc::EINVAL),
        _ if !input_at.is_null() || !out_at.is_null() => refuse(libc::ESPIPE),
        _ if len == 0 => Ok(0),
        (true, _) => from_socket(input, out, len, flags),
        (false, _) => to_socket(input, out, len, flags),
    });
    match moved {
        Ok(moved) => c_int::try_from(moved).unwrap_or(c_int::MAX),
        Err(error) => fail(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

/// How long the socket's calls wait, as poll(2) says it: not at all with O_NONBLOCK, else as long as SO_RCVTIMEO
/// allows.
fn patience(socket: c_int) -> io::Result<c_int> {
    // SAFETY: F_GETFL takes no pointer.
    let status = checked(unsafe { capi::sockeye_fcntl(socket, libc::F_GETFL, 0) } as ssize_t)?;
    if status & libc::O_NONBLOCK as usize != 0 {
        return Ok(0);
    }
    let mut limit = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let mut len = size_of_val(&limit) as libc::socklen_t;
    let place = ptr::from_mut(&mut limit).cast();
    // SAFETY: a place for a timeval, and its length.
    let told = unsafe { capi::sockeye_getsockopt(socket, libc::SOL_SOCKET, libc::SO_RCVTIMEO, place, &mut len) };
    checked(told as ssize_t)?;
    let millis = limit.tv_sec.saturating_mul(1000).saturating_add((limit.tv_usec + 999) / 1000);
    Ok(if millis == 0 { -1 } else { c_int::try_from(millis).unwrap_or(c_int::MAX) })
}

/// Whether the next byte is there and is the urgent one.
fn is_at_urgent_byte(socket: c_int) -> bool {
    let says = |request| {
        let mut answer: c_int = 0;
        // SAFETY: a place for an int.
        unsafe { capi::sockeye_ioctl(socket, request, ptr::from_mut(&mut answer).cast()) == 0 && answer != 0 }
    };
    says(SIOCATMARK) && says(libc::FIONREAD)
}

/// Copies what the socket has, without taking it: waits for one byte at least, but returns 0 at the urgent one, which
/// no splice passes (Linux's tcp_splice_read).
fn peek(socket: c_int, piece: &mut [u8]) -> io::Result<usize> {
    let patience = patience(socket)?;
    for waited in [false, true] {
        if is_at_urgent_byte(socket) {
            return if patience == 0 { refuse(libc::EAGAIN) } else { Ok(0) };
        }
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        // SAFETY: the piece is that long.
        let there = checked(unsafe { capi::sockeye_recv(socket, piece.as_mut_ptr().cast(), piece.len(), flags) });
        match there {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && !waited && patience != 0 => {
                let mut data = libc::pollfd { fd: socket, events: libc::POLLIN | libc::POLLPRI, revents: 0 };
                // SAFETY: one descriptor.
                checked(unsafe { capi::sockeye_poll(&mut data, 1, patience) } as ssize_t)?;
            }
            there => return there,
        }
    }
    refuse(libc::EAGAIN)
}

/// What the socket has now goes into the pipe; what the pipe has no room for stays.
fn from_socket(socket: c_int, pipe: c_int, len: usize, flags: c_uint) -> io::Result<usize> {
    let mut piece = vec![0; len.min(PIECE)];
    let there = peek(socket, &mut piece)?;
    if there == 0 {
        return Ok(0);
    }
    let into = piece.as_mut_ptr().cast();
    let written = loop {
        // Never sleeps in the write: what is written has to be known before the next byte comes.
        let iov = libc::iovec { iov_base: into, iov_len: there };
        // SAFETY: one buffer with `there` bytes in it.
        match checked(unsafe { libc::pwritev2(pipe, &iov, 1, -1, libc::RWF_NOWAIT) }) {
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) && flags & SPLICE_F_NONBLOCK == 0 => {
                let mut full = libc::pollfd { fd: pipe, events: libc::POLLOUT, revents: 0 };
                // SAFETY: one descriptor.
                unsafe { libc::poll(&mut full, 1, -1) };
            }
            written => break written?,
        }
    };
    // SAFETY: the piece has room for that much.
    checked(unsafe { capi::sockeye_recv(socket, into, written, libc::MSG_DONTWAIT) })
}

/// What the pipe has goes to the socket; what the socket does not take stays.
fn to_socket(pipe: c_int, socket: c_int, len: usize, flags: c_uint) -> io::Result<usize> {
    let mut copy = [0; 2];
    // SAFETY: room for two descriptors.
    checked(unsafe { libc::pipe2(copy.as_mut_ptr(), libc::O_CLOEXEC) } as ssize_t)?;
    // SAFETY: made just now, and ours alone.
    let [from, to] = copy.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let mut moved = 0;
    let mut piece = vec![0u8; len.min(PIECE)];
    while moved < len {
        // Waits for the first byte only.
        let wait = if moved > 0 { SPLICE_F_NONBLOCK } else { flags & SPLICE_F_NONBLOCK };
        let most = piece.len().min(len - moved);
        // SAFETY: no pointers.
        let copied = checked(unsafe { libc::tee(pipe, to.as_raw_fd(), most, wait) });
        let there = match copied {
            Ok(0) => break,
            Err(error) if moved == 0 => return Err(error),
            Err(_) => break,
            // SAFETY: the piece is at least as long as what was copied.
            Ok(there) => checked(unsafe { libc::read(from.as_raw_fd(), piece.as_mut_ptr().cast(), there) })?,
        };
        let mut waiting: c_int = 0;
        // SAFETY: a place for an int.
        unsafe { libc::ioctl(pipe, libc::FIONREAD, &mut waiting) };
        let is_last = usize::try_from(waiting).unwrap_or(0) <= there || moved + there >= len;
        let more = if flags & SPLICE_F_MORE != 0 || !is_last { libc::MSG_MORE } else { 0 };
        // SAFETY: `there` bytes of the piece were read just now.
        let sent = match checked(unsafe { capi::sockeye_send(socket, piece.as_ptr().cast(), there, more) }) {
            Err(error) if moved == 0 => return Err(error),
            Err(_) => break,
            Ok(sent) => sent,
        };
        // SAFETY: the piece is at least that long, and the pipe has as much.
        moved += checked(unsafe { libc::read(pipe, piece.as_mut_ptr().cast(), sent) })?;
        if sent < there {
            break;
        }
    }
    Ok(moved)
}
