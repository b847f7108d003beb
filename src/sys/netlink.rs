//! Asking the kernel by netlink(7), and taking its answers apart.

use sockeye_shim::kernel::int_of;
use std::{
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

// linux/netlink.h
/// A request whose answer is one message.
pub const REQUEST: u16 = 0x1;
/// An acknowledgement ends the answer.
pub const ACKNOWLEDGE: u16 = 0x4;
/// A request whose answer is every message there is.
pub const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The size of struct nlmsghdr.
const HEADER: usize = 16;

/// A request: struct nlmsghdr, and behind it `body`.
pub fn request(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
    // The kernel refuses a length that is not so.
    let len = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = len.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.resize(HEADER, 0);
    bytes.extend(body);
    bytes
}

/// Sends a request to one of the kernel's protocols (NETLINK_ROUTE and so on), and calls `each` with what stands behind
/// the header of every message of the answer.
///
/// # Errors
/// Those of socket(2), sendto(2) and recv(2); what the kernel answers; `InvalidData` if that cannot be read.
pub fn ask(protocol: i32, request: &[u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; what it returns is checked.
    let fd = checked(unsafe { libc::syscall(libc::SYS_socket, libc::AF_NETLINK, kind, protocol) })?;
    // SAFETY: the kernel has just made it.
    let fd = unsafe { OwnedFd::from_raw_fd(int_of(fd)) };
    let no_address = std::ptr::null::<u8>();
    // SAFETY: the kernel reads the request; without an address it is the kernel that is meant.
    checked(unsafe {
        libc::syscall(libc::SYS_sendto, fd.as_raw_fd(), request.as_ptr(), request.len(), 0, no_address, 0usize)
    })?;
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let (room, none) = (buffer.len(), std::ptr::null_mut::<u8>());
        // SAFETY: the kernel writes at most as many bytes as there are; no address is asked for.
        let n = checked(unsafe {
            libc::syscall(libc::SYS_recvfrom, fd.as_raw_fd(), buffer.as_mut_ptr(), room, 0, none, none)
        })?;
        if is_last(&buffer[..n], &mut each)? {
            return Ok(());
        }
    }
}

fn checked(returned: libc::c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// The two bytes at a place, as the number they are.
pub fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

/// The four bytes at a place, as the number they are.
pub fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

/// Takes the messages out of a piece of an answer; whether it is the last one.
fn is_last(mut bytes: &[u8], each: &mut impl FnMut(&[u8])) -> io::Result<bool> {
    while let (Some(len), Some(kind)) = (long(bytes, 0), short(bytes, 4)) {
        let Some(body) = bytes.get(HEADER..len as usize) else { return Err(io::ErrorKind::InvalidData.into()) };
        match kind {
            DONE => return Ok(true),
            ERROR => match long(body, 0).unwrap_or(0).cast_signed() {
                0 => return Ok(true),
                errno => return Err(io::Error::from_raw_os_error(errno.saturating_neg())),
            },
            _ => each(body),
        }
        bytes = bytes.get(padded(len as usize)..).unwrap_or_default();
    }
    Ok(false)
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(size_of::<u32>())
}

/// An attribute (struct nlattr) and the bytes to its end.
pub fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(padded(bytes.len()), 0);
    bytes
}

/// The attributes in `rest`, up to one that is cut off: kind and value.
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    // NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of the kind.
    const KIND: u16 = 0x3fff;
    std::iter::from_fn(move || {
        let len = usize::from(short(rest, 0)?);
        let found = (short(rest, 2)? & KIND, rest.get(4..len)?);
        rest = rest.get(padded(len)..).unwrap_or_default();
        Some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_cut_off_is_none() {
        let message = request(20, DUMP, &[7; 8]);
        let mut seen = Vec::new();
        let mut judge =
            |bytes: &[u8]| is_last(bytes, &mut |body: &[u8]| seen.push(body.to_vec())).map_err(|e| e.kind());
        assert_eq!(judge(&message[..5]), Ok(false));
        assert_eq!(judge(&message[..8]), Err(io::ErrorKind::InvalidData));
        assert_eq!(judge(&message[..message.len() - 1]), Err(io::ErrorKind::InvalidData));
        assert_eq!(judge(&message), Ok(false));
        assert_eq!(judge(&request(ERROR, 0, &[0; 4])), Ok(true));
        assert_eq!(judge(&request(ERROR, 0, &(-19i32).to_ne_bytes())), Err(io::Error::from_raw_os_error(19).kind()));
        assert_eq!(seen, [vec![7; 8]]);
    }

    #[test]
    fn attributes_are_read_as_they_were_written() {
        let bytes = [attribute(1, b"abc"), attribute(0x8002, b""), attribute(3, &[9; 4])].concat();
        let read: Vec<_> = attributes(&bytes).collect();
        assert_eq!(read, [(1, &b"abc"[..]), (2, b""), (3, &[9; 4])]);
        assert_eq!(attributes(&bytes[..bytes.len() - 1]).count(), 2);
    }
}
