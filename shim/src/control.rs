//! Control messages of datagrams (cmsg(3), ip(7), ipv6(7)) as bytes: `struct cmsghdr` and what follows it.

use crate::{Errno, Result, address::Address, format::DatagramHeader, tag::Tag};

/// sizeof(struct cmsghdr): length, level, type.
const HEADER: usize = 16;
const INVALID: Errno = Errno(libc::EINVAL);

const fn align(len: usize) -> usize {
    len.saturating_add(7) & !7
}

fn number(bytes: &[u8]) -> Result<i32> {
    bytes.first_chunk().map(|four| i32::from_ne_bytes(*four)).ok_or(INVALID)
}

/// Reads the control messages of sendmsg(2) into the header.
///
/// # Errors
///
/// EINVAL for one that is malformed or unknown, as on Linux.
pub fn parse(mut control: &[u8], header: &mut DatagramHeader) -> Result<()> {
    while let Some((head, _)) = control.split_first_chunk::<HEADER>() {
        let len = head.first_chunk().map_or(0, |len| usize::from_ne_bytes(*len));
        let data = control.get(HEADER..len).ok_or(INVALID)?;
        match (number(&head[8..])?, number(&head[12..])?) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info: &[u8; 12] = data.try_into().map_err(|_| INVALID)?;
                source(header, number(info)?, Address::v4([info[4], info[5], info[6], info[7]], 0))?;
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info: &[u8; 20] = data.try_into().map_err(|_| INVALID)?;
                let (ip, index) = info.split_first_chunk::<16>().ok_or(INVALID)?;
                source(header, number(index)?, Address::v6(*ip, 0))?;
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                header.ttl = u8::try_from(number(data)?).ok().filter(|ttl| *ttl > 0).ok_or(INVALID)?;
                header.flags |= DatagramHeader::TTL;
            }
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                let tos = if let [tos] = data { i32::from(*tos) } else { number(data)? };
                header.tos = u8::try_from(tos).map_err(|_| INVALID)?;
                header.flags |= DatagramHeader::TOS;
            }
            // Meant for other families; Linux passes over them here.
            (libc::SOL_SOCKET, libc::SCM_RIGHTS | libc::SCM_CREDENTIALS) => {}
            // By which nothing is routed or filtered.
            (libc::SOL_SOCKET, libc::SO_MARK) if data.len() == 4 => {}
            (libc::SOL_SOCKET | libc::IPPROTO_IP | libc::IPPROTO_IPV6, _) => return Err(INVALID),
            _ => {}
        }
        control = control.get(align(len)..).unwrap_or(&[]);
    }
    Ok(())
}

fn source(header: &mut DatagramHeader, index: i32, address: Address) -> Result<()> {
    header.interface = u16::try_from(index).map_err(|_| Errno(libc::ENODEV))?;
    header.local = if address.is_unspecified() { Address::NONE } else { address };
    Ok(())
}

/// Writes what the header says was asked for behind the `used` bytes that are there. Returns the bytes used then, and
/// whether there was too little room (MSG_CTRUNC).
pub fn emit(header: &DatagramHeader, tag: Tag, room: &mut [u8], used: usize) -> (usize, bool) {
    let mut out = Writer { room, used, is_cut: false };
    let is = |flag| header.flags & flag != 0;
    let v6 = tag.is(Tag::V6);
    let index = i32::from(header.interface).to_ne_bytes();
    if is(DatagramHeader::PKTINFO) {
        if v6 {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&header.local.ip);
            info[16..].copy_from_slice(&index);
            out.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
        } else {
            let ip = header.local.to_v4().unwrap_or([0; 4]);
            let mut info = [0; 12];
            info[..4].copy_from_slice(&index);
            info[4..8].copy_from_slice(&ip);
            info[8..].copy_from_slice(&ip);
            out.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
        }
    }
    if is(DatagramHeader::TTL) {
        out.put(libc::IPPROTO_IP, libc::IP_TTL, &i32::from(header.ttl).to_ne_bytes());
    }
    if is(DatagramHeader::TOS) {
        out.put(libc::IPPROTO_IP, libc::IP_TOS, &[header.tos]);
    }
    (out.used, out.is_cut)
}

struct Writer<'a> {
    room: &'a mut [u8],
    used: usize,
    is_cut: bool,
}

impl Writer<'_> {
    /// As Linux's put_cmsg: a message without room for its header is left out, one without room for its data is cut.
    fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let place = self.room.get_mut(self.used..).unwrap_or_default();
        let Some((head, body)) = place.split_first_chunk_mut::<HEADER>() else {
            self.is_cut = true;
            return;
        };
        let len = data.len().min(body.len());
        self.is_cut |= len < data.len();
        head[..8].copy_from_slice(&(HEADER + len).to_ne_bytes());
        head[8..12].copy_from_slice(&level.to_ne_bytes());
        head[12..].copy_from_slice(&kind.to_ne_bytes());
        body[..len].copy_from_slice(&data[..len]);
        self.used = (self.used + align(HEADER + len)).min(self.room.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read_by_either_family() {
        for flags in [0, Tag::V6] {
            let tag = Tag { id: 1, flags };
            let asked = DatagramHeader::PKTINFO | DatagramHeader::TTL | DatagramHeader::TOS;
            let local = Address::v4([10, 0, 0, 2], 0);
            let header = DatagramHeader { local, interface: 2, flags: asked, ttl: 9, tos: 8, ..DatagramHeader::NONE };
            let mut room = [0; 128];
            let (used, is_cut) = emit(&header, tag, &mut room, 0);
            assert!(!is_cut && used.is_multiple_of(8));
            let mut read = DatagramHeader::NONE;
            parse(&room[..used], &mut read).unwrap();
            assert_eq!((read.local, read.interface, read.ttl, read.tos), (local, 2, 9, 8));
            assert_eq!(emit(&header, tag, &mut room[..20], 0), (20, true));
            assert_eq!(emit(&header, tag, &mut [], 0), (0, true));
        }
        for strange in [[0; 40], [0xff; 40]] {
            let mut header = DatagramHeader::NONE;
            assert_eq!(parse(&strange, &mut header), Err(INVALID));
        }
    }
}
