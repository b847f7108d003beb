//! What the kernel says of all AF_UNIX sockets of this network namespace (sock_diag(7)): whose peer is whose.

use std::{
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What its descriptors are called by, as in `/proc/PID/fd`: `socket:[INODE]`.
    pub inode: u32,
    /// The socket it is connected to; none while that waits to be accepted.
    pub peer: Option<u32>,
}

// linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const SHOW_PEER: u32 = 4;
const PEER: u16 = 2;
/// The sizes of struct nlmsghdr and struct unix_diag_msg.
const HEADER: usize = 16;
const MESSAGE: usize = 16;

/// All of them.
///
/// # Errors
/// Those of socket(2), sendto(2) and recv(2); `NotFound` where the kernel has no such thing (module `unix_diag`).
pub fn all() -> io::Result<Vec<Socket>> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers; what it returns is checked.
    let fd = checked(unsafe { libc::syscall(libc::SYS_socket, libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) })?;
    // SAFETY: the kernel has just made it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let request = request();
    let no_address = std::ptr::null::<u8>();
    // SAFETY: the kernel reads the request; without an address it is the kernel that is meant.
    checked(unsafe {
        libc::syscall(libc::SYS_sendto, fd.as_raw_fd(), request.as_ptr(), request.len(), 0, no_address, 0usize)
    })?;
    let (mut found, mut buffer) = (Vec::new(), vec![0u8; 1 << 16]);
    loop {
        let (room, none) = (buffer.len(), std::ptr::null_mut::<u8>());
        // SAFETY: the kernel writes at most as many bytes as there are; no address is asked for.
        let n = checked(unsafe {
            libc::syscall(libc::SYS_recvfrom, fd.as_raw_fd(), buffer.as_mut_ptr(), room, 0, none, none)
        })?;
        if is_last(&buffer[..n], &mut found)? {
            return Ok(found);
        }
    }
}

fn checked(returned: libc::c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// struct nlmsghdr and struct unix_diag_req: every socket in any state.
fn request() -> [u8; HEADER + 24] {
    let mut bytes = [0; HEADER + 24];
    bytes[..4].copy_from_slice(&((HEADER + 24) as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    bytes[HEADER] = libc::AF_UNIX as u8;
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[HEADER + 12..HEADER + 16].copy_from_slice(&SHOW_PEER.to_ne_bytes());
    // The cookie of any socket.
    bytes[HEADER + 16..].fill(0xff);
    bytes
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|two| u16::from_ne_bytes(*two))
}

fn long(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_ne_bytes(*four))
}

/// Takes the sockets out of an answer; whether it is the last one.
fn is_last(mut bytes: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    while let (Some(len), Some(kind)) = (long(bytes, 0), short(bytes, 4)) {
        let Some(body) = bytes.get(HEADER..len as usize) else { return Err(io::ErrorKind::InvalidData.into()) };
        match kind {
            DONE => return Ok(true),
            ERROR => {
                let errno = long(body, 0).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(errno.saturating_neg()));
            }
            _ => found.extend(socket(body)),
        }
        bytes = bytes.get(padded(len as usize)..).unwrap_or_default();
    }
    Ok(false)
}

fn padded(len: usize) -> usize {
    len.next_multiple_of(size_of::<u32>())
}

/// struct unix_diag_msg and its attributes.
fn socket(body: &[u8]) -> Option<Socket> {
    let mut socket = Socket { inode: long(body, 4)?, peer: None };
    let mut rest = body.get(MESSAGE..)?;
    while let (Some(len), Some(kind)) = (short(rest, 0), short(rest, 2)) {
        let value = rest.get(4..usize::from(len))?;
        if kind == PEER {
            socket.peer = long(value, 0).filter(|inode| *inode != 0);
        }
        rest = rest.get(padded(usize::from(len))..).unwrap_or_default();
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{
        linux::net::SocketAddrExt,
        unix::{fs::MetadataExt, net},
    };

    fn inode(fd: &impl AsRawFd) -> u32 {
        std::fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().ino() as u32
    }

    #[test]
    fn the_ends_of_a_pair_are_each_others_peers() {
        let (one, other) = net::UnixStream::pair().unwrap();
        let name = format!("sockeye-test/{}/diag", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let listener = net::UnixListener::bind_addr(&address).unwrap();
        let all = all().unwrap();
        let of = |inode: u32| all.iter().find(|socket| socket.inode == inode).unwrap();
        assert_eq!((of(inode(&one)).peer, of(inode(&listener)).peer), (Some(inode(&other)), None));
    }

    #[test]
    fn what_is_cut_off_is_no_socket() {
        let message = request().to_vec();
        assert!(!is_last(&message[..5], &mut Vec::new()).unwrap());
        assert!(is_last(&message[..8], &mut Vec::new()).is_err());
        assert!(is_last(&message[..message.len() - 1], &mut Vec::new()).is_err());
        assert_eq!(socket(&[1; 19]).map(|socket| socket.peer), Some(None));
        assert_eq!(socket(&[1; 7]), None);
    }
}
