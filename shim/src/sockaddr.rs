//! Internet addresses as programs give and take them: `struct sockaddr_in` and `struct sockaddr_in6`, as bytes.

use crate::{Errno, Result, address::Address, narrow, tag::Tag};

const IN: usize = 16;
const IN6: usize = 28;

/// The family that begins an address; `None` if there are not even two bytes.
pub fn family(bytes: &[u8]) -> Option<i32> {
    bytes.first_chunk().map(|two| i32::from(u16::from_ne_bytes(*two)))
}

/// Reads the address that a program gave for a socket.
///
/// # Errors
///
/// As Linux: EINVAL for a short one, EAFNOSUPPORT for one of another family than the socket's.
pub fn read(bytes: &[u8], tag: Tag) -> Result<Address> {
    let v6 = tag.is(Tag::V6);
    // RFC 2133's address, without a scope, is taken too.
    if bytes.len() < if v6 { 24 } else { IN } {
        return Err(Errno(libc::EINVAL));
    }
    let port = u16::from_be_bytes([bytes[2], bytes[3]]);
    match family(bytes) {
        Some(libc::AF_INET) if !v6 => Ok(Address::v4([bytes[4], bytes[5], bytes[6], bytes[7]], port)),
        Some(libc::AF_INET6) if v6 => {
            let ip = bytes[8..24].try_into().map_err(|_| Errno(libc::EINVAL))?;
            Ok(Address::v6(ip, port))
        }
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Reads the address of a peer. A datagram socket of AF_INET6 takes IPv4 addresses as they are, too (Linux's
/// udpv6_sendmsg, ip6_datagram_connect).
///
/// # Errors
///
/// As [`read`].
pub fn read_peer(bytes: &[u8], tag: Tag) -> Result<Address> {
    match family(bytes) {
        Some(libc::AF_INET) if tag.is(Tag::DATAGRAM) => read(bytes, tag.without(Tag::V6)),
        _ => read(bytes, tag),
    }
}

/// Reads the address that bind(2) is given: AF_UNSPEC is as good as AF_INET for any address (Linux's __inet_bind).
///
/// # Errors
///
/// As [`read`].
pub fn read_own(bytes: &[u8], tag: Tag) -> Result<Address> {
    match (family(bytes), bytes.get(2..IN)) {
        (Some(libc::AF_UNSPEC), Some([high, low, 0, 0, 0, 0, ..])) if !tag.is(Tag::V6) => {
            Ok(Address::v4([0; 4], u16::from_be_bytes([*high, *low])))
        }
        _ => read(bytes, tag),
    }
}

/// The scope that an address of a link comes with (sin6_scope_id, RFC 3493 section 3.3): the index of an interface.
/// Elsewhere it means nothing.
pub fn scope(bytes: &[u8]) -> Option<i32> {
    let bytes: &[u8; IN6] = bytes.first_chunk()?;
    let is_of_a_link = bytes[8] == 0xfe && bytes[9] & 0xc0 == 0x80;
    let scope = i32::from_ne_bytes([bytes[24], bytes[25], bytes[26], bytes[27]]);
    (family(bytes) == Some(libc::AF_INET6) && is_of_a_link && scope != 0).then_some(scope)
}

/// An address as a program reads it, and how long it is.
pub fn write(address: Address, tag: Tag) -> ([u8; IN6], usize) {
    let mut bytes = [0; IN6];
    bytes[2..4].copy_from_slice(&address.port.to_be_bytes());
    if tag.is(Tag::V6) {
        bytes[..2].copy_from_slice(&narrow!(libc::AF_INET6 => u16).to_ne_bytes());
        bytes[8..24].copy_from_slice(&address.ip);
        return (bytes, IN6);
    }
    bytes[..2].copy_from_slice(&narrow!(libc::AF_INET => u16).to_ne_bytes());
    bytes[4..8].copy_from_slice(&address.to_v4().unwrap_or([0; 4]));
    (bytes, IN)
}

/// The unspecified address of a socket's family, port 0.
pub fn any(tag: Tag) -> Address {
    if tag.is(Tag::V6) { Address::NONE } else { Address::v4([0; 4], 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: Tag = Tag { id: 1, flags: 0 };
    const V6: Tag = Tag { id: 1, flags: Tag::V6 };

    #[test]
    fn what_is_written_is_read_back() {
        let address = Address::v4([10, 97, 0, 2], 8080);
        for tag in [V4, V6] {
            let (bytes, len) = write(address, tag);
            assert_eq!(read(&bytes[..len], tag), Ok(address));
        }
        assert_eq!(write(address, V4).0[..8], [2, 0, 0x1f, 0x90, 10, 97, 0, 2]);
    }

    #[test]
    fn an_address_that_is_short_or_of_another_family_is_refused() {
        let (bytes, len) = write(Address::v4([10, 97, 0, 2], 8080), V4);
        assert_eq!(read(&bytes[..len - 1], V4), Err(Errno(libc::EINVAL)));
        assert_eq!(read(&bytes, V6), Err(Errno(libc::EAFNOSUPPORT)));
        assert_eq!(read(&[], V4), Err(Errno(libc::EINVAL)));
    }
}
