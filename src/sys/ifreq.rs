//! What netdevice(7) knows of an interface, asked by ioctl on any socket of the namespace.

use std::{
    ffi::{c_char, c_ulong, c_void},
    io, mem,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// A socket to ask by. AF_UNIX: every kernel has it, and it opens no way to the network.
fn socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers go in, a descriptor comes out.
    let fd = unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor, nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A request that names `name` and is otherwise zero.
///
/// # Errors
/// `InvalidInput` when the name does not fit.
pub(super) fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all members are numbers, arrays and pointers, for which zero is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

fn ask(request: &mut libc::ifreq, code: c_ulong) -> io::Result<()> {
    let socket = socket()?;
    // SAFETY: every `code` used in this file takes a struct ifreq, and those that follow its pointer are given a
    // valid one by `driver`.
    match unsafe { libc::syscall(libc::SYS_ioctl, socket.as_raw_fd(), code, request as *mut libc::ifreq) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The interface's MTU in bytes.
///
/// # Errors
/// ENODEV when there is no such interface.
pub fn mtu(name: &str) -> io::Result<u32> {
    let mut request = request(name)?;
    ask(&mut request, libc::SIOCGIFMTU)?;
    // SAFETY: SIOCGIFMTU has written this member of the union.
    u32::try_from(unsafe { request.ifr_ifru.ifru_mtu }).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Whether the interface is set up (`ip link set NAME up`).
///
/// # Errors
/// ENODEV when there is no such interface.
pub fn is_up(name: &str) -> io::Result<bool> {
    Ok(flags(name)? & libc::IFF_UP as i16 != 0)
}

fn flags(name: &str) -> io::Result<i16> {
    let mut request = request(name)?;
    ask(&mut request, libc::SIOCGIFFLAGS)?;
    // SAFETY: SIOCGIFFLAGS has written this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_flags })
}

/// Sets the interface up or down, as `ip link set` does. Needs CAP_NET_ADMIN.
///
/// # Errors
/// ENODEV, EPERM.
pub fn set_up(name: &str, up: bool) -> io::Result<()> {
    let bit = libc::IFF_UP as i16;
    let flags = flags(name)?;
    let mut request = request(name)?;
    request.ifr_ifru.ifru_flags = if up { flags | bit } else { flags & !bit };
    ask(&mut request, libc::SIOCSIFFLAGS)
}

/// Sets the interface's MTU in bytes. Needs CAP_NET_ADMIN.
///
/// # Errors
/// ENODEV, EPERM, EINVAL.
pub fn set_mtu(name: &str, mtu: u32) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_mtu = i32::try_from(mtu).map_err(|_| io::ErrorKind::InvalidInput)?;
    ask(&mut request, libc::SIOCSIFMTU)
}

/// struct ethtool_drvinfo of linux/ethtool.h.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    version: [u8; 32],
    firmware: [u8; 32],
    bus: [u8; 32],
    rest: [u8; 64],
}

/// struct ethtool_channels of linux/ethtool.h.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    most: [u32; 4],
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// The interface's driver and bus, as `ethtool -i` prints them: `("tun", "tap")` for a TAP device.
///
/// # Errors
/// ENODEV when there is no such interface; EOPNOTSUPP when its driver does not say.
pub fn driver(name: &str) -> io::Result<(String, String)> {
    let blank = [0; 32];
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: blank,
        version: blank,
        firmware: blank,
        bus: blank,
        rest: [0; 64],
    };
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = (&raw mut info).cast::<c_char>();
    ask(&mut request, libc::SIOCETHTOOL)?;
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    Ok((text(&info.driver), text(&info.bus)))
}

/// How many queues of the interface are in use: for a TAP, how many descriptors are attached to it.
///
/// # Errors
/// ENODEV when there is no such interface; EOPNOTSUPP when its driver does not say.
pub fn queues_in_use(name: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = (&raw mut channels).cast::<c_void>().cast::<c_char>();
    ask(&mut request, libc::SIOCETHTOOL)?;
    Ok(channels.combined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_an_mtu_and_an_unknown_interface_none() {
        assert!(mtu("lo").unwrap() >= 1500);
        assert_eq!(mtu("no-such-if").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(is_up("no-such-if").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(mtu("a-name-that-is-too-long").is_err());
    }
}
