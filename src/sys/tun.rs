//! The ioctls of /dev/net/tun (Documentation/networking/tuntap.rst of the kernel) that crate `tun-tap` does not have.

use super::ifreq;
use sockeye_shim::narrow;
use std::{
    ffi::{c_int, c_long},
    fs::{File, OpenOptions},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd},
    ptr,
};

pub use libc::{TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6};

/// Layer 3 or 2 of a device, and its flags (TUNSETIFF).
pub mod flag {
    use super::narrow;

    /// IP packets.
    pub const TUN: i16 = narrow!(libc::IFF_TUN => i16);
    /// Ethernet frames.
    pub const TAP: i16 = narrow!(libc::IFF_TAP => i16);
    /// No packet information in front of a frame.
    pub const NO_PI: i16 = narrow!(libc::IFF_NO_PI => i16);
    /// A virtio-net header in front of a frame.
    pub const VNET_HDR: i16 = narrow!(libc::IFF_VNET_HDR => i16);
    /// One of several queues of the device.
    pub const MULTI_QUEUE: i16 = narrow!(libc::IFF_MULTI_QUEUE => i16);
}

fn check(returned: c_long) -> io::Result<()> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Opens /dev/net/tun: a descriptor that is attached to no device yet.
///
/// # Errors
/// Those of open(2).
pub fn open() -> io::Result<OwnedFd> {
    OpenOptions::new().read(true).write(true).open("/dev/net/tun").map(|file: File| file.into())
}

/// Opens /dev/net/tun and attaches to the device `name` without any header in front of its frames.
///
/// # Errors
/// As [`open`] and [`attach`].
pub fn open_plain(name: &str, mode: tun_tap::Mode) -> io::Result<OwnedFd> {
    let device = tun_tap::Iface::without_packet_info(name, mode)?;
    // SAFETY: `into_raw_fd` gives the descriptor away, so that we are its only owner.
    Ok(unsafe { OwnedFd::from_raw_fd(device.into_raw_fd()) })
}

/// TUNSETIFF: attaches to the device `name`, which is made if there is none.
///
/// # Errors
/// EPERM, EBUSY, EINVAL (the device is of another kind).
pub fn attach(tun: BorrowedFd<'_>, name: &str, flags: i16) -> io::Result<()> {
    let mut request = ifreq::request(name)?;
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: TUNSETIFF reads and writes a struct ifreq.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })
}

/// TUNGETIFF: the flags of the device the descriptor is attached to.
///
/// # Errors
/// EBADFD when it is attached to none.
pub fn flags(tun: BorrowedFd<'_>) -> io::Result<i16> {
    let mut request = ifreq::request("")?;
    // SAFETY: TUNGETIFF writes a struct ifreq.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNGETIFF, &raw mut request) })?;
    // SAFETY: TUNGETIFF has written this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// TUNSETOFFLOAD: what the reader of the descriptor is ready to be given unfinished (`TUN_F_*`).
///
/// # Errors
/// EINVAL when the kernel does not know one of `bits`.
pub fn set_offload(tun: BorrowedFd<'_>, bits: u32) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(bits)) })
}

/// TUNSETVNETHDRSZ and TUNSETVNETLE: the virtio-net header has `size` bytes and is little-endian. Both are kept by a
/// persistent device, so what its last user has set must not be relied on.
///
/// # Errors
/// EINVAL when the kernel cannot.
pub fn set_vnet_header(tun: BorrowedFd<'_>, size: c_int) -> io::Result<()> {
    // SAFETY: TUNSETVNETHDRSZ reads an int.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETVNETHDRSZ, ptr::from_ref(&size)) })?;
    let little: c_int = 1;
    // SAFETY: TUNSETVNETLE reads an int.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETVNETLE, ptr::from_ref(&little)) })
}

/// TUNSETPERSIST: whether the device stays when its last descriptor is closed.
///
/// # Errors
/// EBADFD when the descriptor is attached to no device.
pub fn set_persistent(tun: BorrowedFd<'_>, stays: bool) -> io::Result<()> {
    // SAFETY: TUNSETPERSIST takes its argument by value.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETPERSIST, libc::c_ulong::from(stays)) })
}

/// TUNSETOWNER: the user who may attach to the device without CAP_NET_ADMIN. A device without one is anybody's.
///
/// # Errors
/// EBADFD when the descriptor is attached to no device; EINVAL when the user namespace does not know `uid`.
pub fn set_owner(tun: BorrowedFd<'_>, uid: u32) -> io::Result<()> {
    // SAFETY: TUNSETOWNER takes its argument by value.
    check(unsafe { libc::syscall(libc::SYS_ioctl, tun.as_raw_fd(), libc::TUNSETOWNER, libc::c_ulong::from(uid)) })
}

/// Makes reads and writes of the descriptor say EAGAIN instead of waiting.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_nonblocking(tun: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: numbers only.
    let flags = unsafe { libc::syscall(libc::SYS_fcntl, tun.as_raw_fd(), libc::F_GETFL) };
    check(flags)?;
    // SAFETY: numbers only.
    check(unsafe {
        libc::syscall(libc::SYS_fcntl, tun.as_raw_fd(), libc::F_SETFL, flags | c_long::from(libc::O_NONBLOCK))
    })
}
