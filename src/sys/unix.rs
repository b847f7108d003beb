//! AF_UNIX sockets with abstract names (unix(7)), and what a host has to know of who is at their other end.

use super::steward;
use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::{offset_of, size_of},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// The longest abstract name, the leading zero byte not counted.
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

fn checked(returned: libc::c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// Takes a descriptor the kernel has just made.
fn owned(returned: libc::c_long) -> io::Result<OwnedFd> {
    let fd = checked(returned)? as RawFd;
    // SAFETY: the kernel returned a new descriptor, which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An abstract name as the kernel wants it.
fn address(name: &[u8]) -> io::Result<(libc::sockaddr_un, libc::socklen_t)> {
    if name.len() > MAX_NAME {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut path = [0; 108];
    for (to, from) in path[1..].iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }
    let len = offset_of!(libc::sockaddr_un, sun_path) + 1 + name.len();
    Ok((libc::sockaddr_un { sun_family: libc::AF_UNIX as u16, sun_path: path }, len as libc::socklen_t))
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

/// Whether a datagram socket has this name, asked by way of one that has no peer: the name's owner has one, and so
/// refuses.
pub fn has_datagrams(fd: BorrowedFd<'_>, name: &[u8]) -> bool {
    match connect(fd, name) {
        // It had no peer, and we are that of nobody else's again.
        Ok(()) => disconnect(fd).is_ok(),
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
    }
}

/// SO_SNDBUF, of which the kernel makes twice as much: how much it has then. Beyond net.core.wmem_max only for root, or
/// who has a steward of root's.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_send_buffer(fd: BorrowedFd<'_>, bytes: usize) -> io::Result<usize> {
    let has = || option(fd, libc::SO_SNDBUF, 0i32).and_then(|has| usize::try_from(has).ok()).unwrap_or(0);
    set_buffer(fd, libc::SO_SNDBUF, bytes)?;
    let forced = || force_send_buffer(fd, bytes).or_else(|_| steward::widen_send_buffer(fd, bytes));
    match has() {
        enough if enough >= bytes.saturating_mul(2) => Ok(enough),
        little => Ok(forced().map_or(little, |()| has())),
    }
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

/// Whether any stream socket has this name.
///
/// The kernel is asked by taking the name for a moment: a look-up that costs the same however many sockets there are.
///
/// # Errors
/// No descriptor is left to ask with.
pub fn is_taken(name: &[u8]) -> io::Result<bool> {
    use std::os::fd::AsFd;
    let asking = open(Kind::Stream)?;
    match bind(asking.as_fd(), name) {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(true),
        Err(error) => Err(error),
    }
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
    recv_with_descriptor(fd, &mut [0], libc::MSG_DONTWAIT).map(|(_, descriptor)| descriptor)
}

/// Receives a packet and the descriptor behind it (SCM_RIGHTS), if there is one; it does not survive exec.
///
/// # Errors
/// Those of recvmsg(2).
pub fn recv_with_descriptor(fd: BorrowedFd<'_>, into: &mut [u8], flags: i32) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut piece = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // Room for one: the kernel closes what there is more.
    let mut control = [0u64; 3];
    // SAFETY: a header of zeros names no address and no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = size_of_val(&control);
    let flags = flags | libc::MSG_CMSG_CLOEXEC;
    // SAFETY: the bytes and the control data are valid for what the header says.
    let len = checked(unsafe { libc::syscall(libc::SYS_recvmsg, fd.as_raw_fd(), &raw mut message, flags) })?;
    // SAFETY: the header is as the kernel left it; a control message that it names is within `control`.
    let descriptor = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let carries = |header: &libc::cmsghdr| {
            header.cmsg_level == libc::SOL_SOCKET
                && header.cmsg_type == libc::SCM_RIGHTS
                && header.cmsg_len >= libc::CMSG_LEN(4) as usize
        };
        header.as_ref().is_some_and(carries).then(|| libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned())
    };
    // SAFETY: the kernel has just made it, for us alone.
    Ok((len, descriptor.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) })))
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
    let mut len = size_of::<T>() as libc::socklen_t;
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
    let mut address = libc::sockaddr_un { sun_family: 0, sun_path: [0; 108] };
    let mut len = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `address`, and how many there are into `len`.
    checked(unsafe { libc::syscall(number, fd.as_raw_fd(), &raw mut address, &raw mut len) }).ok()?;
    let path = address.sun_path.get(..(len as usize).checked_sub(offset_of!(libc::sockaddr_un, sun_path))?)?;
    let is_abstract = i32::from(address.sun_family) == libc::AF_UNIX && path.first() == Some(&0);
    is_abstract.then(|| path.iter().skip(1).map(|c| c.cast_unsigned()).collect())
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
    fn a_name_is_taken_until_its_socket_is_closed() {
        let name = name("taken");
        assert!(!is_taken(&name).unwrap());
        let listener = open(Kind::Stream).unwrap();
        bind(listener.as_fd(), &name).unwrap();
        assert!(is_taken(&name).unwrap());
        assert_eq!((own_name(listener.as_fd()), peer_name(listener.as_fd())), (Some(name.clone()), None));
        drop(listener);
        assert!(!is_taken(&name).unwrap());
        assert!(bind(open(Kind::Stream).unwrap().as_fd(), &[b'x'; MAX_NAME + 1]).is_err());
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
