//! What the kernel says of all AF_UNIX sockets of this network namespace (sock_diag(7)): whose peer is whose.

use super::netlink::{self, long};
use std::io;

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What its descriptors are called by, as in `/proc/PID/fd`: `socket:[INODE]`.
    pub inode: u32,
    /// The socket it is connected to; none while that waits to be accepted.
    pub peer: Option<u32>,
    /// Whether it came out of accept(2) or connect(2), or has been connected: it then has its listener's name.
    pub is_connected: bool,
    /// Its name with the zero that begins an abstract one; empty without one.
    pub name: Vec<u8>,
}

// linux/netlink.h, linux/sock_diag.h, linux/unix_diag.h
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SHOW: u32 = SHOW_NAME | SHOW_PEER;
const SHOW_NAME: u32 = 1;
const SHOW_PEER: u32 = 4;
const NAME: u16 = 0;
const PEER: u16 = 2;
/// TCP_ESTABLISHED, which AF_UNIX uses too.
const CONNECTED: u8 = 1;
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
    bytes[0] = libc::AF_UNIX as u8;
    bytes[4..8].copy_from_slice(&u32::MAX.to_ne_bytes());
    bytes[12..16].copy_from_slice(&SHOW.to_ne_bytes());
    // The cookie of any socket.
    bytes[16..].fill(0xff);
    bytes
}

/// struct unix_diag_msg and its attributes.
fn socket(body: &[u8]) -> Option<Socket> {
    let mut socket =
        Socket { inode: long(body, 4)?, peer: None, is_connected: *body.get(2)? == CONNECTED, name: Vec::new() };
    for (kind, value) in netlink::attributes(body.get(MESSAGE..)?) {
        match kind {
            NAME => socket.name = value.to_vec(),
            PEER => socket.peer = long(value, 0).filter(|inode| *inode != 0),
            _ => {}
        }
    }
    Some(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{
        fd::AsRawFd,
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
        assert_eq!((of(inode(&one)).peer, of(inode(&one)).is_connected), (Some(inode(&other)), true));
        let listening = of(inode(&listener));
        assert_eq!((listening.peer, listening.is_connected), (None, false));
        assert_eq!(listening.name, format!("\0{name}").into_bytes());
    }

    #[test]
    fn what_is_cut_off_is_no_socket() {
        assert_eq!(socket(&[1; 19]).map(|socket| socket.name), Some(Vec::new()));
        assert_eq!(socket(&[1; 7]), None);
    }
}
