//! What the kernel says of all AF_UNIX sockets of this network namespace (sock_diag(7)): whose peer is whose.

use super::netlink::{self, long};
use sockeye_shim::narrow;
use std::io;

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
const SHOW_PEER: u32 = 4;
const PEER: u16 = 2;
/// The size of struct unix_diag_msg.
const MESSAGE: usize = 16;

/// All of them.
///
/// # Errors
/// Those of socket(2), sendto(2) and recv(2); `NotFound` where the kernel has no such thing (module `unix_diag`).
pub fn all() -> io::Result<Vec<Socket>> {
    let mut found = Vec::new();
    let request = netlink::request(SOCK_DIAG_BY_FAMILY, netlink::DUMP, &any());
    netlink::ask(NETLINK_SOCK_DIAG, &request, |body| found.extend(socket(body)))?;
    Ok(found)
}

/// struct unix_diag_req: every socket in any state.
fn any() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[0] = narrow!(libc::AF_UNIX => u8);
    bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[12..16].copy_from_slice(&SHOW_PEER.to_ne_bytes());
    // The cookie of any socket.
    bytes[16..].fill(0xff);
    bytes
}

/// struct unix_diag_msg and its attributes.
fn socket(body: &[u8]) -> Option<Socket> {
    let mut socket = Socket { inode: long(body, 4)?, peer: None };
    for (kind, value) in netlink::attributes(body.get(MESSAGE..)?) {
        if kind == PEER {
            socket.peer = long(value, 0).filter(|inode| *inode != 0);
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{
        fd::AsRawFd,
        unix::{fs::MetadataExt, net},
    };

    fn inode(fd: &impl AsRawFd) -> u32 {
        std::fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap().ino() as u32
    }

    #[test]
    fn the_ends_of_a_pair_are_each_others_peers() {
        let (one, other) = net::UnixStream::pair().unwrap();
        let all = all().unwrap();
        let of = |inode: u32| all.iter().find(|socket| socket.inode == inode).unwrap();
        assert_eq!((of(inode(&one)).peer, of(inode(&other)).peer), (Some(inode(&other)), Some(inode(&one))));
        let (alone, _rest) = net::UnixDatagram::unbound().map(|socket| (inode(&socket), socket)).unwrap();
        assert!(super::all().unwrap().iter().all(|socket| socket.inode != alone || socket.peer.is_none()));
    }

    #[test]
    fn what_is_cut_off_is_no_socket() {
        assert_eq!(socket(&[1; 19]).map(|socket| socket.peer), Some(None));
        assert_eq!(socket(&[1; 7]), None);
    }
}
