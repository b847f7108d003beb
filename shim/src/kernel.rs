//! System calls, made directly: the names of libc are what the preload library stands in for, and errno, cancellation
//! and the loader are libc's affair. The only `unsafe` of this crate.

use crate::{Errno, Result, name::Name, narrow};
use core::{
    ffi::c_long,
    mem::{MaybeUninit, size_of},
};

/// Makes a system call.
///
/// # Errors
///
/// What the kernel says.
///
/// # Safety
///
/// The arguments must be what the call of that number takes.
#[cfg(target_arch = "x86_64")]
pub unsafe fn call(number: c_long, args: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = args;
    let result;
    // SAFETY: the registers are those of the kernel's convention; the caller vouches for the arguments.
    unsafe {
        core::arch::asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    verdict(result)
}

/// Makes a system call.
///
/// # Errors
///
/// What the kernel says.
///
/// # Safety
///
/// The arguments must be what the call of that number takes.
#[cfg(target_arch = "aarch64")]
pub unsafe fn call(number: c_long, args: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = args;
    let mut result = a.cast_signed();
    // SAFETY: the registers are those of the kernel's convention; the caller vouches for the arguments.
    unsafe {
        core::arch::asm!("svc 0", inlateout("x0") result, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            in("x5") f, in("x8") number, options(nostack));
    }
    verdict(result)
}

fn verdict(result: isize) -> Result<usize> {
    match i32::try_from(result) {
        Ok(errno @ -4095..0) => Err(Errno(-errno)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// An int in a register.
#[allow(clippy::cast_sign_loss, reason = "the kernel takes the low half, and that is the int again")]
pub const fn int(value: i32) -> usize {
    value as usize
}

/// The int that a call came to: a descriptor, for one.
#[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "it was an int in the kernel")]
pub const fn int_of(result: usize) -> i32 {
    result as i32
}

/// A `sockaddr_un` as the kernel fills or reads it.
#[repr(C)]
pub struct UnixAddress {
    family: u16,
    path: [u8; 108],
    len: u32,
}

impl UnixAddress {
    /// One to be filled.
    pub const fn empty() -> Self {
        Self { family: 0, path: [0; 108], len: 110 }
    }

    /// That of an abstract name.
    pub fn of(name: &Name) -> Self {
        let mut address = Self { family: narrow!(libc::AF_UNIX => u16), ..Self::empty() };
        let bytes = name.as_bytes();
        address.path[1..=bytes.len()].copy_from_slice(bytes);
        address.len = 3 + name.len();
        address
    }

    /// That of a file; nothing if the path is too long for one.
    pub fn of_path(path: &[u8]) -> Option<Self> {
        let mut address = Self { family: narrow!(libc::AF_UNIX => u16), ..Self::empty() };
        // With its NUL.
        address.path[..107].get_mut(..path.len())?.copy_from_slice(path);
        address.len = 3 + u32::try_from(path.len()).ok()?;
        Some(address)
    }

    /// The path, if it is a file's.
    pub fn path(&self) -> Option<&[u8]> {
        let path = self.path.get(..(self.len as usize).checked_sub(2)?)?;
        // With its NUL or without.
        let path = path.split(|byte| *byte == 0).next()?;
        if path.is_empty() { None } else { Some(path) }
    }

    /// The abstract name, if it is one.
    pub fn name(&self) -> Option<&[u8]> {
        let (nul, name) = self.path.get(..(self.len as usize).checked_sub(2)?)?.split_first()?;
        if *nul == 0 { Some(name) } else { None }
    }

    /// Where the kernel is to write it.
    pub fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut *self).cast()
    }

    /// Where the kernel is to write its length.
    pub fn len_mut_ptr(&mut self) -> *mut u32 {
        &raw mut self.len
    }

    /// Its length, as bind(2) takes it.
    pub fn size(&self) -> usize {
        self.len as usize
    }
}

/// socket(2).
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32> {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_socket, [int(domain), int(kind), int(protocol), 0, 0, 0]) }.map(int_of)
}

/// close(2).
pub fn close(fd: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_close, [int(fd), 0, 0, 0, 0, 0]) }.map(drop)
}

fn id(number: c_long) -> u32 {
    // SAFETY: the calls made here have no arguments.
    unsafe { call(number, [0; 6]) }.map_or(0, |id| int_of(id).cast_unsigned())
}

/// getuid(2).
pub fn getuid() -> u32 {
    id(libc::SYS_getuid)
}

/// geteuid(2).
pub fn geteuid() -> u32 {
    id(libc::SYS_geteuid)
}

/// getegid(2).
pub fn getegid() -> u32 {
    id(libc::SYS_getegid)
}

/// What fstat(2) says of a file's rights.
pub struct Status {
    /// Its kind and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// fstat(2).
pub fn status(fd: i32) -> Result<Status> {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: room for the answer.
    unsafe { call(libc::SYS_fstat, [int(fd), stat.as_mut_ptr() as usize, 0, 0, 0, 0]) }?;
    // SAFETY: the kernel has filled it, and zeros were there before.
    let stat = unsafe { stat.assume_init() };
    Ok(Status { mode: stat.st_mode, uid: stat.st_uid, gid: stat.st_gid })
}

/// Whether a file has capabilities (capabilities(7)).
pub fn has_capabilities(fd: i32) -> bool {
    let (mut value, name) = ([0u8; 64], c"security.capability");
    let (at, name) = (value.as_mut_ptr() as usize, name.as_ptr() as usize);
    // SAFETY: a string, and room for the value.
    unsafe { call(libc::SYS_fgetxattr, [int(fd), name, at, value.len(), 0, 0]) }.is_ok()
}

/// pread(2).
pub fn read_at(fd: i32, into: &mut [u8], offset: u64) -> Result<usize> {
    let (at, room) = (into.as_mut_ptr() as usize, into.len());
    let offset = usize::try_from(offset).map_err(|_| Errno(libc::EINVAL))?;
    // SAFETY: the kernel writes at most as many bytes as there is room for.
    unsafe { call(libc::SYS_pread64, [int(fd), at, room, offset, 0, 0]) }
}

/// bind(2) to an abstract name.
pub fn bind(fd: i32, name: &Name) -> Result<()> {
    let address = UnixAddress::of(name);
    // SAFETY: the address lives through the call and has the length given.
    unsafe { call(libc::SYS_bind, [int(fd), (&raw const address) as usize, address.size(), 0, 0, 0]) }.map(drop)
}

/// Puts the file of `new` in the place of `fd`'s (dup3(2)), with the flags that the descriptor has and its file had.
pub fn replace(fd: i32, new: i32) -> Result<()> {
    let control = |fd: i32, command: i32, argument: usize| {
        // SAFETY: no pointers.
        unsafe { call(libc::SYS_fcntl, [int(fd), int(command), argument, 0, 0, 0]) }
    };
    control(new, libc::F_SETFL, control(fd, libc::F_GETFL, 0)?)?;
    let close_on_exec = control(fd, libc::F_GETFD, 0)? & libc::FD_CLOEXEC as usize != 0;
    let flags = if close_on_exec { libc::O_CLOEXEC as usize } else { 0 };
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_dup3, [int(new), int(fd), flags, 0, 0, 0]) }.map(drop)
}

/// connect(2) to an abstract name.
pub fn connect(fd: i32, name: &Name) -> Result<()> {
    connect_to(fd, &UnixAddress::of(name))
}

/// connect(2).
pub fn connect_to(fd: i32, address: &UnixAddress) -> Result<()> {
    let at = (&raw const *address) as usize;
    // SAFETY: the address lives through the call and has the length given.
    unsafe { call(libc::SYS_connect, [int(fd), at, address.size(), 0, 0, 0]) }.map(drop)
}

/// How long connecting waits for its turn at most, in milliseconds.
const TURNS: usize = 5000;

/// As [`connect`], but waits while the listener's queue is full, also where the descriptor does not block: TCP's
/// connect(2) knows no such queue, and would be in progress. A signal makes it begin again.
pub fn connect_in_turn(fd: i32, name: &Name) -> Result<()> {
    let millisecond = [0i64, 1_000_000];
    for _ in 1..TURNS {
        match connect(fd, name) {
            Err(Errno(libc::EAGAIN)) => {
                // SAFETY: a timespec of 64-bit Linux that lives through the call; what is left of it is not asked for.
                let _ = unsafe { call(libc::SYS_nanosleep, [millisecond.as_ptr() as usize, 0, 0, 0, 0, 0]) };
            }
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
    connect(fd, name)
}

/// listen(2).
pub fn listen(fd: i32, backlog: i32) -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_listen, [int(fd), int(backlog), 0, 0, 0, 0]) }.map(drop)
}

/// getsockname(2) of an AF_UNIX socket.
pub fn own_name(fd: i32) -> Result<UnixAddress> {
    name_by(libc::SYS_getsockname, fd)
}

/// getpeername(2) of an AF_UNIX socket.
pub fn peer_name(fd: i32) -> Result<UnixAddress> {
    name_by(libc::SYS_getpeername, fd)
}

fn name_by(number: c_long, fd: i32) -> Result<UnixAddress> {
    let mut address = UnixAddress::empty();
    let (at, len) = (address.as_mut_ptr() as usize, address.len_mut_ptr() as usize);
    // SAFETY: both pointers are into `address`, which has the room it says.
    unsafe { call(number, [int(fd), at, len, 0, 0, 0]) }?;
    Ok(address)
}

/// A plain value that getsockopt(2) may fill: any bytes make one.
pub trait Plain: Copy + Default {}
impl Plain for i32 {}
impl Plain for u64 {}
impl Plain for [u32; 3] {}
impl Plain for [i32; 2] {}
impl Plain for [i64; 2] {}

/// getsockopt(2) of a value with a fixed size.
///
/// # Errors
///
/// What the kernel says; EINVAL if the size is another.
pub fn option<T: Plain>(fd: i32, name: i32) -> Result<T> {
    let mut value = T::default();
    let mut len = narrow!(size_of::<T>() => u32);
    let (at, room) = ((&raw mut value) as usize, (&raw mut len) as usize);
    // SAFETY: `value` has room for `len` bytes, and may be any bytes.
    unsafe { call(libc::SYS_getsockopt, [int(fd), int(libc::SOL_SOCKET), int(name), at, room, 0]) }?;
    if len as usize == size_of::<T>() { Ok(value) } else { Err(Errno(libc::EINVAL)) }
}

/// The network namespace that a socket was made in (SO_NETNS_COOKIE, Linux 5.14): a number that no other namespace
/// ever has; 0 where the kernel does not say.
pub fn network_of(fd: i32) -> u64 {
    option(fd, libc::SO_NETNS_COOKIE).unwrap_or(0)
}

/// setsockopt(2) at SOL_SOCKET.
pub fn set_option(fd: i32, name: i32, value: &[u8]) -> Result<()> {
    let (at, len) = (value.as_ptr() as usize, value.len());
    // SAFETY: the slice lives through the call.
    unsafe { call(libc::SYS_setsockopt, [int(fd), int(libc::SOL_SOCKET), int(name), at, len, 0]) }.map(drop)
}

/// send(2), without SIGPIPE.
pub fn send(fd: i32, bytes: &[u8]) -> Result<usize> {
    let flags = libc::MSG_NOSIGNAL as usize;
    // SAFETY: the slice lives through the call.
    unsafe { call(libc::SYS_sendto, [int(fd), bytes.as_ptr() as usize, bytes.len(), flags, 0, 0]) }
}

fn pieces<const N: usize>(of: &[&[u8]; N]) -> [libc::iovec; N] {
    of.map(|bytes| libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() })
}

/// writev(2).
pub fn write_pieces<const N: usize>(fd: i32, of: &[&[u8]; N]) -> Result<usize> {
    let pieces = pieces(of);
    // SAFETY: the slices live through the call and are only read.
    unsafe { call(libc::SYS_writev, [int(fd), pieces.as_ptr() as usize, N, 0, 0, 0]) }
}

/// Sends a datagram to an address (sendmsg(2)), without SIGPIPE and without waiting.
pub fn send_pieces<const N: usize>(fd: i32, to: &UnixAddress, of: &[&[u8]; N]) -> Result<usize> {
    let pieces = pieces(of);
    let message = [(&raw const *to) as usize, to.size(), pieces.as_ptr() as usize, N, 0, 0, 0];
    let flags = (libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT) as usize;
    // SAFETY: a msghdr of 64-bit Linux (the name, the pieces and how many, no control, no flags), whose parts live
    // through the call and are only read.
    unsafe { call(libc::SYS_sendmsg, [int(fd), message.as_ptr() as usize, flags, 0, 0, 0]) }
}

/// recv(2); begins again after a signal.
pub fn recv(fd: i32, bytes: &mut [u8]) -> Result<usize> {
    loop {
        match recv_once(fd, bytes) {
            Err(Errno(libc::EINTR)) => {}
            other => return other,
        }
    }
}

/// recv(2).
pub fn recv_once(fd: i32, bytes: &mut [u8]) -> Result<usize> {
    let at = bytes.as_mut_ptr() as usize;
    // SAFETY: the slice lives through the call.
    unsafe { call(libc::SYS_recvfrom, [int(fd), at, bytes.len(), 0, 0, 0]) }
}

/// Which of IN, OUT, ERR and HUP a descriptor has now.
pub fn ready(fd: i32) -> i16 {
    let mut set = [libc::pollfd { fd, events: libc::POLLOUT, revents: 0 }];
    if poll(&mut set).is_ok() { set[0].revents } else { 0 }
}

/// poll(2), without waiting.
pub fn poll(set: &mut [libc::pollfd]) -> Result<usize> {
    let limit = [0u64; 2];
    let (at, limit) = (set.as_mut_ptr() as usize, limit.as_ptr() as usize);
    // SAFETY: a slice of pollfd and a timespec of zero, both alive through the call; no signal mask.
    unsafe { call(libc::SYS_ppoll, [at, set.len(), limit, 0, 0, 0]) }
}

/// Sends one byte and a descriptor behind it (SCM_RIGHTS); both are received together.
pub fn send_descriptor(fd: i32, sent: i32) -> Result<()> {
    lend(fd, &[0], &[sent]).map(drop)
}

/// How many descriptors one packet carries at most.
pub const LENT: usize = 2;

/// Sends a packet and up to [`LENT`] descriptors with it (SCM_RIGHTS), without SIGPIPE.
///
/// # Errors
///
/// What the kernel says: EBADF for what is no descriptor, ETOOMANYREFS where too many are on their way.
pub fn lend(fd: i32, bytes: &[u8], lent: &[i32]) -> Result<usize> {
    /// A control message of descriptors (cmsg(3)), as long as the kernel wants it.
    #[repr(C)]
    struct Rights {
        len: usize,
        level: i32,
        kind: i32,
        descriptors: [i32; LENT],
    }
    let count = lent.len().min(LENT);
    let len = 16 + count * size_of::<i32>();
    let mut rights = Rights { len, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, descriptors: [0; LENT] };
    rights.descriptors[..count].copy_from_slice(&lent[..count]);
    let piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let room = if count == 0 { 0 } else { size_of::<Rights>() };
    let message = [0usize, 0, (&raw const piece) as usize, 1, (&raw const rights) as usize, room, 0];
    let flags = libc::MSG_NOSIGNAL as usize;
    // SAFETY: a msghdr of 64-bit Linux (no name, one piece, one control message or none, no flags), whose parts live
    // through the call and are only read.
    unsafe { call(libc::SYS_sendmsg, [int(fd), message.as_ptr() as usize, flags, 0, 0, 0]) }
}

/// seccomp(2) with SECCOMP_SET_MODE_FILTER. Returns what the call does: the listener's descriptor, if one is asked for.
///
/// # Errors
///
/// What the kernel says.
pub fn set_filter(program: &[libc::sock_filter], flags: libc::c_ulong) -> Result<i32> {
    let invalid = |_| Errno(libc::EINVAL);
    let (len, flags) = (u16::try_from(program.len()).map_err(invalid)?, usize::try_from(flags).map_err(invalid)?);
    let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
    let (mode, at) = (libc::SECCOMP_SET_MODE_FILTER as usize, (&raw const program) as usize);
    // SAFETY: the kernel reads the program, which lives through the call.
    unsafe { call(libc::SYS_seccomp, [mode, flags, at, 0, 0, 0]) }.map(int_of)
}

/// Whether this thread gains no rights by exec any more (PR_GET_NO_NEW_PRIVS).
pub fn gains_no_rights() -> bool {
    // SAFETY: no pointers.
    let answer = unsafe { call(libc::SYS_prctl, [int(libc::PR_GET_NO_NEW_PRIVS), 0, 0, 0, 0, 0]) };
    answer == Ok(1)
}

/// Whether this thread has CAP_SYS_ADMIN.
pub fn is_administrator() -> bool {
    const CAP_SYS_ADMIN: u32 = 21;
    const VERSION: u32 = 0x2008_0522;
    // Effective, permitted and inheritable, twice 32 of each.
    let (mut header, mut sets) = ([VERSION, 0], [0u32; 6]);
    let (at, to) = (header.as_mut_ptr() as usize, sets.as_mut_ptr() as usize);
    // SAFETY: a header of version 3 (linux/capability.h), and room for what belongs to it.
    let answer = unsafe { call(libc::SYS_capget, [at, to, 0, 0, 0, 0]) };
    answer.is_ok() && sets[0] & 1 << CAP_SYS_ADMIN != 0
}

/// prctl(2) with PR_SET_NO_NEW_PRIVS: exec gives no rights any more that are not there.
///
/// # Errors
///
/// What the kernel says.
pub fn give_up_new_rights() -> Result<()> {
    // SAFETY: no pointers.
    unsafe { call(libc::SYS_prctl, [int(libc::PR_SET_NO_NEW_PRIVS), 1, 0, 0, 0, 0]) }.map(drop)
}
