//! What netdevice(7) knows of an interface, asked by ioctl on any socket of the namespace.

use sockeye_shim::narrow;
use std::{
    ffi::{c_char, c_int, c_ulong, c_void},
    io, mem,
    net::Ipv4Addr,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// A socket of `family` to ask by.
fn socket(family: c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: three numbers go in, a descriptor comes out.
    let fd = unsafe { libc::syscall(libc::SYS_socket, family, kind, 0) };
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
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

/// By AF_UNIX: every kernel has it, and it opens no way to the network.
fn ask(request: &mut libc::ifreq, code: c_ulong) -> io::Result<()> {
    ask_family(libc::AF_UNIX, request, code)
}

/// By AF_INET, which addresses want: for `sockeye up`, which runs outside of every fence.
fn ask_family(family: c_int, request: &mut libc::ifreq, code: c_ulong) -> io::Result<()> {
    let socket = socket(family)?;
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
    Ok(flags(name)? & narrow!(libc::IFF_UP => i16) != 0)
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
    let bit = narrow!(libc::IFF_UP => i16);
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

/// The interface's first IPv4 address and the length of its network's prefix; `None` when it has no address.
///
/// # Errors
/// ENODEV when there is no such interface.
pub fn address(name: &str) -> io::Result<Option<(Ipv4Addr, u8)>> {
    let read = |code| -> io::Result<Ipv4Addr> {
        let mut request = request(name)?;
        ask_family(libc::AF_INET, &mut request, code)?;
        // SAFETY: the kernel has written a struct sockaddr_in, as large as this member of the union.
        let addr: libc::sockaddr_in = unsafe { mem::transmute(request.ifr_ifru.ifru_addr) };
        Ok(Ipv4Addr::from(u32::from_be(addr.sin_addr.s_addr)))
    };
    let addr = match read(libc::SIOCGIFADDR) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRNOTAVAIL) => return Ok(None),
        addr => addr?,
    };
    let mask = u32::from(read(libc::SIOCGIFNETMASK)?);
    Ok(Some((addr, u8::try_from(mask.leading_ones()).unwrap_or(32))))
}

/// Gives the interface an IPv4 address in a network whose prefix has `prefix` bits (32 at most), in the place of the
/// one that [`address`] tells. Needs CAP_NET_ADMIN.
///
/// # Errors
/// ENODEV, EPERM, EINVAL (no host may have the address).
pub fn set_address(name: &str, addr: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let write = |code, value: u32| {
        // SAFETY: all members are numbers, for which zero is a value.
        let mut addr: libc::sockaddr_in = unsafe { mem::zeroed() };
        addr.sin_family = narrow!(libc::AF_INET => libc::sa_family_t);
        addr.sin_addr.s_addr = value.to_be();
        let mut request = request(name)?;
        // SAFETY: struct sockaddr_in is made to be cast to struct sockaddr, which has its size.
        request.ifr_ifru.ifru_addr = unsafe { mem::transmute::<libc::sockaddr_in, libc::sockaddr>(addr) };
        ask_family(libc::AF_INET, &mut request, code)
    };
    write(libc::SIOCSIFADDR, u32::from(addr))?;
    // The kernel has guessed a mask from the address's class.
    write(libc::SIOCSIFNETMASK, u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0))
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
