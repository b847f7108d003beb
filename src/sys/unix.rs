//! AF_UNIX sockets, with abstract names and with paths (unix(7)), and what a host has to know of who is at their other
//! end.

use super::steward;
use sockeye_shim::{kernel::int_of, narrow};
use std::{
    ffi::OsStr,
    io::{self, IoSlice, IoSliceMut},
    mem::{offset_of, size_of},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
    time::Duration,
};

/// The longest abstract name, the leading zero byte not counted, and the longest path without its last.
pub const MAX_NAME: usize = 107;

/// What a socket carries.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// SOCK_STREAM
    Stream,
    /// SOCK_SEQPACKET
    Packets,
    /// SOCK_DGRAM
    Datagrams,
}

/// Who is at the other end (SO_PEERCRED).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; 0 when it is not visible from here.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

impl Peer {
    /// Whether it is root's or this process's own user's: nobody else is believed to be a host, or acts for one.
    pub fn is_trusted(self) -> bool {
        self.uid == 0 || self.uid == own_uid()
    }
}

fn checked(returned: libc::c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// Takes a descriptor the kernel has just made.
fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = int_of(checked(returned)?);
    // SAFETY: the kernel returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An abstract name as the kernel wants it, or a file's path with its NUL: bytes at `start` of what holds them.
fn address_at(start: usize, bytes: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    if bytes.len() > MAX_NAME {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut path = [0; 108];
    for (to, from) in path[start..].iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    let len = offset_of!(libc::sockaddr_un, sun_path) + 1 + bytes.len();
    let len = libc::socklen_t::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok((libc::sockaddr_un { sun_family: narrow!(libc::AF_UNIX => u16), sun_path: path }, len))
}

/// An abstract name as the kernel wants it.
fn address(name: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    address_at(1, name)
}

/// A new socket that neither blocks nor survives exec.
///
/// # Errors
/// Those of socket(2).
pub fn open(kind: Kind) -> io::Result<OwnedFd> {
    let kind = match kind {
        Kind::Stream => libc::SOCK_STREAM,
        Kind::Packets => libc::SOCK_SEQPACKET,
        Kind::Datagrams => libc::SOCK_DGRAM,
    };
    // SAFETY: no pointers.
    owned(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) })
}

/// Gives a socket its abstract name.
///
/// # Errors
/// Those of bind(2): `AddrInUse` when somebody has the name.
pub fn bind(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (address, len) = address(name)?;
    // SAFETY: `address` is valid for `len` bytes.
    checked(unsafe { libc::syscall(libc::SYS_bind, fd.as_raw_fd(), &raw const address, len) }).map(drop)
}

/// Gives a socket a file's name, and makes the file.
///
/// # Errors
/// Those of bind(2): `AddrInUse` when there is such a file.
pub fn bind_path(fd: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
    let (address, len) = address_at(0, path)?;
    // SAFETY: `address` is valid for `len` bytes.
    checked(unsafe { libc::syscall(libc::SYS_bind, fd.as_raw_fd(), &raw const address, len) }).map(drop)
}

/// listen(2).
///
/// # Errors
/// Those of listen(2).
pub fn listen(fd: BorrowedFd<'_>, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_listen, fd.as_raw_fd(), backlog) }).map(drop)
}

/// The next connection; it neither blocks nor survives exec.
///
/// # Errors
/// Those of accept4(2).
pub fn accept(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (no_address, flags) = (std::ptr::null_mut::<u8>(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
    // SAFETY: no address is asked for.
    owned(unsafe { libc::syscall(libc::SYS_accept4, fd.as_raw_fd(), no_address, no_address, flags) })
}

/// Connects to an abstract name.
///
/// # Errors
/// Those of connect(2): `WouldBlock` while the listener's queue is full, `ConnectionRefused` when nobody listens.
pub fn connect(fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let (address, len) = address(name)?;
    // SAFETY: `address` is valid for `len` bytes.
    checked(unsafe { libc::syscall(libc::SYS_connect, fd.as_raw_fd(), &raw const address, len) }).map(drop)
}

/// As [`connect`], to a file.
///
/// # Errors
/// Those of connect(2).
pub fn connect_path(fd: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
    let (address, len) = address_at(0, path)?;
    // SAFETY: `address` is valid for `len` bytes.
    checked(unsafe { libc::syscall(libc::SYS_connect, fd.as_raw_fd(), &raw const address, len) }).map(drop)
}

/// Sends a datagram to the socket that has a file's name; it never blocks.
///
/// # Errors
/// Those of sendto(2).
pub fn send_path(fd: BorrowedFd<'_>, from: &[u8], path: &[u8]) -> io::Result<usize> {
    let (address, len) = address_at(0, path)?;
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the kernel reads at most `from.len()` bytes, and `address` is valid for `len`.
    checked(unsafe {
        libc::syscall(libc::SYS_sendto, fd.as_raw_fd(), from.as_ptr(), from.len(), flags, &raw const address, len)
    })
}

/// Who is connected to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// An abstract name.
    Name(&'a [u8]),
    /// A file's path.
    Path(&'a [u8]),
}

/// As [`connect`], but waits while the listener's queue is full, `limit` at most. The kernel lets in first who has
/// waited longest.
///
/// # Errors
/// Those of connect(2): `WouldBlock` when the time is up.
pub fn connect_in_turn(fd: BorrowedFd<'_>, place: Place<'_>, limit: Duration) -> io::Result<()> {
    let (address, len) = match place {
        Place::Name(name) => address(name)?,
        Place::Path(path) => address_at(0, path)?,
    };
    let limit = libc::timeval {
        tv_sec: libc::time_t::try_from(limit.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_usec: libc::suseconds_t::from(limit.subsec_micros().max(1)),
    };
    let (level, name, size) = (libc::SOL_SOCKET, libc::SO_SNDTIMEO, size_of::<libc::timeval>());
    // SAFETY: the kernel reads `size` bytes of a timeval.
    checked(unsafe { libc::syscall(libc::SYS_setsockopt, fd.as_raw_fd(), level, name, &raw const limit, size) })?;
    set_blocking(fd, true)?;
    let connected = loop {
        // SAFETY: `address` is valid for `len` bytes.
        match checked(unsafe { libc::syscall(libc::SYS_connect, fd.as_raw_fd(), &raw const address, len) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => break connected.map(drop),
        }
    };
    set_blocking(fd, false).and(connected)
}

fn set_blocking(fd: BorrowedFd<'_>, blocks: bool) -> io::Result<()> {
    let not: libc::c_int = (!blocks).into();
    // SAFETY: the kernel reads an int.
    checked(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), libc::FIONBIO, &raw const not) }).map(drop)
}

/// Whether others may send descriptors to a socket, and to those that it accepts (SO_PASSRIGHTS).
///
/// # Errors
/// Those of setsockopt(2): a kernel before 6.16 does not know it, and they may.
pub fn pass_rights(fd: BorrowedFd<'_>, may: bool) -> io::Result<()> {
    /// include/uapi/asm-generic/socket.h, since Linux 6.16.
    const SO_PASSRIGHTS: libc::c_int = 83;
    let may: libc::c_int = may.into();
    let (level, len) = (libc::SOL_SOCKET, size_of::<libc::c_int>());
    // SAFETY: the kernel reads `len` bytes of an int.
    checked(unsafe { libc::syscall(libc::SYS_setsockopt, fd.as_raw_fd(), level, SO_PASSRIGHTS, &raw const may, len) })
        .map(drop)
}

/// Connects a datagram socket to nobody (connect(2) with AF_UNSPEC).
///
/// # Errors
/// Those of connect(2).
pub fn disconnect(fd: BorrowedFd<'_>) -> io::Result<()> {
    let nobody = libc::sa_family_t::try_from(libc::AF_UNSPEC).unwrap_or(0);
    // SAFETY: the kernel reads two bytes, which are there.
    checked(unsafe {
        libc::syscall(libc::SYS_connect, fd.as_raw_fd(), &raw const nobody, size_of::<libc::sa_family_t>())
    })
    .map(drop)
}

/// SO_SNDBUF, of which the kernel makes twice as much. Beyond net.core.wmem_max only for root, or who has a steward of
/// root's, which does it when it comes to it. `then` is called when nothing more is to come.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_send_buffer(fd: BorrowedFd<'_>, bytes: usize, then: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let set = set_buffer(fd, libc::SO_SNDBUF, bytes);
    let is_enough = || send_buffer(fd).is_some_and(|has| has >= bytes.saturating_mul(2));
    if set.is_err() || is_enough() || force_send_buffer(fd, bytes).is_ok() {
        then();
    } else {
        steward::widen_send_buffer(fd, bytes, then);
    }
    set
}

/// SO_SNDBUFFORCE: beyond net.core.wmem_max.
///
/// # Errors
/// EPERM for who has not CAP_NET_ADMIN.
pub fn force_send_buffer(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set_buffer(fd, libc::SO_SNDBUFFORCE, bytes)
}

fn set_buffer(fd: BorrowedFd<'_>, name: i32, bytes: usize) -> io::Result<()> {
    let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
    let (level, len) = (libc::SOL_SOCKET, size_of::<i32>());
    // SAFETY: the kernel reads `len` bytes of an int.
    checked(unsafe { libc::syscall(libc::SYS_setsockopt, fd.as_raw_fd(), level, name, &raw const bytes, len) })
        .map(drop)
}

/// recv(2) with `flags` (MSG_PEEK, MSG_TRUNC); it never blocks.
///
/// # Errors
/// Those of recv(2).
pub fn recv(fd: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> io::Result<usize> {
    let (flags, no_address) = (flags | libc::MSG_DONTWAIT, std::ptr::null_mut::<u8>());
    // SAFETY: the kernel writes at most `into.len()` bytes; no address is asked for.
    checked(unsafe {
        libc::syscall(libc::SYS_recvfrom, fd.as_raw_fd(), into.as_mut_ptr(), into.len(), flags, no_address, no_address)
    })
}

/// Receives into slices one after the other; it never blocks. At most `IOV_MAX` (1024) slices.
///
/// # Errors
/// Those of recvmsg(2).
pub fn recv_slices(fd: BorrowedFd<'_>, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    // SAFETY: a header of zeros names no address and no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSliceMut is laid out as struct iovec (std promises it).
    message.msg_iov = into.as_mut_ptr().cast();
    message.msg_iovlen = into.len();
    // SAFETY: each slice borrows its bytes for the call.
    checked(unsafe { libc::syscall(libc::SYS_recvmsg, fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) })
}

/// Receives a packet for the descriptor behind it; nothing if the packet has none. It never blocks.
///
/// # Errors
/// Those of recvmsg(2).
pub fn recv_descriptor(fd: BorrowedFd<'_>) -> io::Result<Option<OwnedFd>> {
    recv_lent(fd, &mut [0]).map(|(_, [first, _])| first)
}

/// Receives a packet and the descriptors that came with it (SCM_RIGHTS), two at most, which do not survive exec. It
/// never blocks.
///
/// # Errors
/// Those of recvmsg(2); EMFILE: this process may not have as many descriptors, and the packet is lost.
pub fn recv_lent(fd: BorrowedFd<'_>, into: &mut [u8]) -> io::Result<(usize, [Option<OwnedFd>; 2])> {
    recv_with_descriptors(fd, into, libc::MSG_DONTWAIT)
}

/// The same with `flags`: without MSG_DONTWAIT it waits, unless the socket does not.
///
/// # Errors
/// As [`recv_lent`].
pub fn recv_with_descriptors(
    fd: BorrowedFd<'_>,
    into: &mut [u8],
    flags: i32,
) -> io::Result<(usize, [Option<OwnedFd>; 2])> {
    let mut piece = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // A header and two descriptors: the kernel closes what there is more.
    let mut control = [0u64; 3];
    // SAFETY: a header of zeros names no address and no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the bytes and the control data are valid for what the header says.
    let n = checked(unsafe { libc::syscall(libc::SYS_recvmsg, fd.as_raw_fd(), &raw mut message, flags) })?;
    let lent = |at: usize| {
        // SAFETY: the header is as the kernel left it; a control message that it names is within `control`, and so are
        // the descriptors that its length counts.
        let descriptor = unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            let carries = |header: &libc::cmsghdr| {
                header.cmsg_level == libc::SOL_SOCKET
                    && header.cmsg_type == libc::SCM_RIGHTS
                    && u32::try_from((at + 1) * 4).is_ok_and(|len| header.cmsg_len >= libc::CMSG_LEN(len) as usize)
            };
            let is_there = header.as_ref().is_some_and(carries);
            is_there.then(|| libc::CMSG_DATA(header).cast::<RawFd>().add(at).read_unaligned())
        };
        // SAFETY: the kernel has just made it, for us alone.
        descriptor.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let lent = [lent(0), lent(1)];
    // Some did not find room: in `control` if there were too many, else among this process's.
    let is_short = message.msg_flags & libc::MSG_CTRUNC != 0 && lent.iter().any(Option::is_none);
    if is_short { Err(io::Error::from_raw_os_error(libc::EMFILE)) } else { Ok((n, lent)) }
}

/// send(2) with `flags` (MSG_OOB); it neither blocks nor raises SIGPIPE.
///
/// # Errors
/// Those of send(2).
pub fn send(fd: BorrowedFd<'_>, from: &[u8], flags: i32) -> io::Result<usize> {
    let (flags, no_address) = (flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL, std::ptr::null::<u8>());
    // SAFETY: the kernel reads at most `from.len()` bytes; there is no address.
    checked(unsafe {
        libc::syscall(libc::SYS_sendto, fd.as_raw_fd(), from.as_ptr(), from.len(), flags, no_address, 0usize)
    })
}

/// Sends slices one behind the other; it neither blocks nor raises SIGPIPE. At most `IOV_MAX` (1024) slices.
///
/// # Errors
/// Those of sendmsg(2).
pub fn send_slices(fd: BorrowedFd<'_>, from: &[IoSlice<'_>]) -> io::Result<usize> {
    // SAFETY: a header of zeros names no address and no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSlice is laid out as struct iovec (std promises it), and the kernel does not write to it.
    message.msg_iov = from.as_ptr().cast_mut().cast();
    message.msg_iovlen = from.len();
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: each slice borrows its bytes for the call.
    checked(unsafe { libc::syscall(libc::SYS_sendmsg, fd.as_raw_fd(), &raw const message, flags) })
}

/// How many bytes are there to be read (SIOCINQ).
///
/// # Errors
/// Those of ioctl(2).
pub fn queued(fd: BorrowedFd<'_>) -> io::Result<usize> {
    let mut n: libc::c_int = 0;
    // SAFETY: the kernel writes an int.
    checked(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), libc::FIONREAD, &raw mut n) })?;
    Ok(n.unsigned_abs() as usize)
}

/// shutdown(2) of the sending side.
///
/// # Errors
/// `NotConnected`: the other end is gone.
pub fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_shutdown, fd.as_raw_fd(), libc::SHUT_WR) }).map(drop)
}

/// shutdown(2) of the receiving side: who writes at the other end meets EPIPE; what is queued can still be received.
///
/// # Errors
/// `NotConnected`: the other end is gone.
pub fn shutdown_read(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    checked(unsafe { libc::syscall(libc::SYS_shutdown, fd.as_raw_fd(), libc::SHUT_RD) }).map(drop)
}

/// Reads an option of SOL_SOCKET; nothing when the kernel refuses.
fn option<T: Copy>(fd: BorrowedFd<'_>, name: i32, mut value: T) -> Option<T> {
    let mut len = narrow!(size_of::<T>() => libc::socklen_t);
    // SAFETY: the kernel writes at most `len` bytes into `value`, which is made of integers only (private function).
    let result = unsafe {
        libc::syscall(libc::SYS_getsockopt, fd.as_raw_fd(), libc::SOL_SOCKET, name, &raw mut value, &raw mut len)
    };
    (result == 0).then_some(value)
}

/// The error number pending on a socket; 0 if there is none.
pub fn take_error(fd: BorrowedFd<'_>) -> i32 {
    option(fd, libc::SO_ERROR, 0i32).unwrap_or(0)
}

/// The abstract name a socket has; nothing for one that has none, or is of another family.
pub fn own_name(fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    name_by(libc::SYS_getsockname, fd)
}

/// The abstract name of the socket that this one is connected to.
pub fn peer_name(fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    name_by(libc::SYS_getpeername, fd)
}

fn name_by(number: libc::c_long, fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let name = unix_name_by(number, fd)?;
    name.split_first().filter(|(first, _)| **first == 0).map(|(_, rest)| rest.to_vec())
}

/// The path a socket has; nothing for one that has none, or is of another family.
pub fn own_path(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    path_by(libc::SYS_getsockname, fd)
}

/// The path of the socket that this one is connected to.
pub fn peer_path(fd: BorrowedFd<'_>) -> Option<PathBuf> {
    path_by(libc::SYS_getpeername, fd)
}

fn path_by(number: libc::c_long, fd: BorrowedFd<'_>) -> Option<PathBuf> {
    let name = unix_name_by(number, fd)?;
    let path = name.split(|byte| *byte == 0).next().filter(|path| !path.is_empty())?;
    Some(PathBuf::from(OsStr::from_bytes(path)))
}

/// What the kernel calls a socket of AF_UNIX: a path and its NUL, or a name behind one.
fn unix_name_by(number: libc::c_long, fd: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let mut address = libc::sockaddr_un { sun_family: 0, sun_path: [0; 108] };
    let mut len = narrow!(size_of::<libc::sockaddr_un>() => libc::socklen_t);
    // SAFETY: the kernel writes at most `len` bytes into `address`, and how many there are into `len`.
    checked(unsafe { libc::syscall(number, fd.as_raw_fd(), &raw mut address, &raw mut len) }).ok()?;
    let end = (len as usize).min(size_of::<libc::sockaddr_un>());
    let path = address.sun_path.get(..end.checked_sub(offset_of!(libc::sockaddr_un, sun_path))?)?;
    let is_unix = i32::from(address.sun_family) == libc::AF_UNIX && !path.is_empty();
    is_unix.then(|| path.iter().map(|c| c.cast_unsigned()).collect())
}

/// What kind of AF_UNIX socket a descriptor is; nothing for any other file.
pub fn kind(fd: BorrowedFd<'_>) -> Option<Kind> {
    if option(fd, libc::SO_DOMAIN, 0i32)? != libc::AF_UNIX {
        return None;
    }
    match option(fd, libc::SO_TYPE, 0i32)? {
        libc::SOCK_STREAM => Some(Kind::Stream),
        libc::SOCK_SEQPACKET => Some(Kind::Packets),
        libc::SOCK_DGRAM => Some(Kind::Datagrams),
        _ => None,
    }
}

/// What tells a socket from all others there are, and were (SO_COOKIE).
pub fn cookie(fd: BorrowedFd<'_>) -> Option<u64> {
    option(fd, libc::SO_COOKIE, 0u64)
}

/// SO_SNDBUF: how much memory what it has sent may take.
pub fn send_buffer(fd: BorrowedFd<'_>) -> Option<usize> {
    option(fd, libc::SO_SNDBUF, 0i32).and_then(|size| usize::try_from(size).ok())
}

/// Who is at the other end.
pub fn peer(fd: BorrowedFd<'_>) -> Option<Peer> {
    let nobody = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    option(fd, libc::SO_PEERCRED, nobody).map(|peer| Peer { pid: peer.pid, uid: peer.uid })
}

/// The number by which the kernel tells a socket from others; 0 if it does not say.
pub fn inode(fd: BorrowedFd<'_>) -> u32 {
    // SAFETY: integers only, for which zeros are a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills what is valid for it.
    let result = unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) };
    if result == 0 { u32::try_from(stat.st_ino).unwrap_or(0) } else { 0 }
}

/// The user this process acts as.
pub fn own_uid() -> u32 {
    // SAFETY: no pointers; the call cannot fail.
    unsafe { libc::geteuid() }
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
///
/// # Errors
/// The process is gone, or no descriptor is left.
pub fn watch_process(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers. The descriptor has close-on-exec set.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn name(what: &str) -> Vec<u8> {
        format!("sockeye-test/{}/{what}", std::process::id()).into_bytes()
    }

    #[test]
    fn a_name_is_one_sockets_and_a_path_is_none() {
        let name = name("taken");
        let listener = open(Kind::Stream).unwrap();
        bind(listener.as_fd(), &name).unwrap();
        assert_eq!((own_name(listener.as_fd()), peer_name(listener.as_fd())), (Some(name.clone()), None));
        assert_eq!(own_path(listener.as_fd()), None);
        let taken = bind(open(Kind::Stream).unwrap().as_fd(), &name).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(bind(open(Kind::Stream).unwrap().as_fd(), &[b'x'; MAX_NAME + 1]).is_err());
    }

    #[test]
    fn two_datagram_sockets_are_each_others_alone_by_their_paths() {
        let path = |end: &str| format!("/tmp/sockeye-unix-{}-{end}", std::process::id());
        let ends = [open(Kind::Datagrams).unwrap(), open(Kind::Datagrams).unwrap()];
        let paths = [path("a"), path("b")];
        ends.iter().zip(&paths).for_each(|(end, path)| bind_path(end.as_fd(), path.as_bytes()).unwrap());
        ends.iter().zip(paths.iter().rev()).for_each(|(end, path)| connect_path(end.as_fd(), path.as_bytes()).unwrap());
        let [a, b] = &ends;
        assert_eq!(
            (own_path(a.as_fd()), peer_path(a.as_fd())),
            (Some(PathBuf::from(&paths[0])), Some(PathBuf::from(&paths[1])))
        );
        assert_eq!((own_name(a.as_fd()), kind(a.as_fd())), (None, Some(Kind::Datagrams)));
        send(a.as_fd(), b"x", 0).unwrap();
        assert_eq!(recv(b.as_fd(), &mut [0; 2], 0).unwrap(), 1);
        let stranger = open(Kind::Datagrams).unwrap();
        assert_eq!(
            send_path(stranger.as_fd(), b"x", paths[0].as_bytes()).unwrap_err().raw_os_error(),
            Some(libc::EPERM)
        );
        paths.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    }

    #[test]
    fn a_packet_comes_with_the_two_descriptors_that_were_lent_with_it() {
        use sockeye_shim::kernel::lend;
        let (one, other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let lent = [one.as_raw_fd(), other.as_raw_fd()];
        for count in 0..=2 {
            assert_eq!(lend(one.as_raw_fd(), b"asked", &lent[..count]), Ok(5));
            let (n, got) = recv_lent(other.as_fd(), &mut [0; 9]).unwrap();
            let cookies: Vec<_> = got.iter().flatten().map(|fd| cookie(fd.as_fd())).collect();
            assert_eq!((n, cookies), (5, [&one, &other].map(|fd| cookie(fd.as_fd()))[..count].to_vec()));
        }
        assert_eq!(recv_descriptor(other.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn an_unread_byte_makes_a_close_a_reset() {
        let name = name("reset");
        let listener = open(Kind::Stream).unwrap();
        bind(listener.as_fd(), &name).unwrap();
        listen(listener.as_fd(), 1).unwrap();
        let a = open(Kind::Stream).unwrap();
        connect(a.as_fd(), &name).unwrap();
        let b = accept(listener.as_fd()).unwrap();
        assert_eq!(peer(b.as_fd()).unwrap().pid, std::process::id() as i32);
        send(a.as_fd(), b"x", 0).unwrap();
        let mut byte = [0; 2];
        assert_eq!(recv(b.as_fd(), &mut byte, libc::MSG_PEEK).unwrap(), 1);
        drop(b);
        assert_eq!(take_error(a.as_fd()), libc::ECONNRESET);
    }
}
