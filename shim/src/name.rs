//! Abstract AF_UNIX names (without the NUL that begins them in a `sockaddr_un`):
//!
//! | name | whose |
//! |---|---|
//! | `sockeye/STACK/ctl` | the host's SEQPACKET listener: one request, one response, closed |
//! | `sockeye/STACK/conn` | the host's stream listener: each connection is a TCP connection being made |
//! | `sockeye/STACK/l/ID/LOCAL` | a program's bound stream end; a listener's takes connections from the host |
//! | `sockeye/STACK/a/ID/PEER+LOCAL` | the host's end of an accepted connection, id [`Tag::GIVEN`] |
//! | `sockeye/STACK/c/ID/PEER+LOCAL` | a program's end of a connection it has made, once the host has told it both |
//! | `sockeye/STACK/d/ID` | a program's datagram end, its id made up by the host |
//! | `sockeye/STACK/h/ID` | the host's end of that |
//! | `sockeye/STACK/g/ID` | who tells the program that listens as ID that its host is gone |
//!
//! ID is nine hexadecimal digits, an address is [`Address::to_text`].
//!
//! [`Tag::GIVEN`]: crate::tag::Tag::GIVEN

use crate::address::Address;

/// The longest name of a stack, in bytes.
pub const STACK_MAX: usize = 31;

/// An abstract name: at most 107 bytes, what a `sockaddr_un` holds after the leading NUL.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; 107],
    len: usize,
}

/// What a name of a stack's says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The host's control listener.
    Control,
    /// The host's connection listener.
    Connect,
    /// A program's bound stream end.
    Bound {
        /// The socket's id.
        id: u64,
        /// What it is bound to.
        local: Address,
    },
    /// The host's end of an accepted connection.
    Accepted {
        /// The id that the host gave the connection.
        id: u64,
        /// The address at the far end.
        peer: Address,
        /// The address at this end.
        local: Address,
    },
    /// A program's end of a connection that it has made.
    Made {
        /// The socket's id.
        id: u64,
        /// The address at the far end.
        peer: Address,
        /// The address at this end.
        local: Address,
    },
    /// A program's datagram end.
    Datagram {
        /// The socket's id.
        id: u64,
    },
    /// The host's datagram end.
    HostDatagram {
        /// The socket's id.
        id: u64,
    },
    /// The end of a connection that a listener is to take as the word that its host is gone.
    Gone {
        /// The listener's id.
        id: u64,
    },
}

impl Meaning {
    /// The name for it, in the stack of that name; `None` if that is no name for a stack ([`is_stack`]).
    pub fn name(&self, stack: &[u8]) -> Option<Name> {
        if !is_stack(stack) {
            return None;
        }
        let mut name = Name { bytes: [0; 107], len: 0 };
        name.push(b"sockeye/");
        name.push(stack);
        match self {
            Self::Control => name.push(b"/ctl"),
            Self::Connect => name.push(b"/conn"),
            Self::Bound { id, local } => {
                name.push_kind(b"/l/", *id);
                name.push(b"/");
                name.push(&local.to_text());
            }
            Self::Accepted { id, peer, local } | Self::Made { id, peer, local } => {
                name.push_kind(if matches!(self, Self::Made { .. }) { b"/c/" } else { b"/a/" }, *id);
                name.push(b"/");
                name.push(&peer.to_text());
                name.push(&local.to_text());
            }
            Self::Datagram { id } => name.push_kind(b"/d/", *id),
            Self::HostDatagram { id } => name.push_kind(b"/h/", *id),
            Self::Gone { id } => name.push_kind(b"/g/", *id),
        }
        Some(name)
    }

    /// What a name says, if it is one of this stack's.
    pub fn read(name: &[u8], stack: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(b"sockeye/")?.strip_prefix(stack)?.strip_prefix(b"/")?;
        match rest {
            b"ctl" => return Some(Self::Control),
            b"conn" => return Some(Self::Connect),
            _ => {}
        }
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (digits, rest) = rest.split_first_chunk::<9>()?;
        let id = id(digits)?;
        match (kind, rest) {
            (b"d/", []) => Some(Self::Datagram { id }),
            (b"h/", []) => Some(Self::HostDatagram { id }),
            (b"g/", []) => Some(Self::Gone { id }),
            (b"l/", [b'/', local @ ..]) => Some(Self::Bound { id, local: Address::from_text(local.try_into().ok()?)? }),
            (b"a/" | b"c/", [b'/', both @ ..]) => {
                let (peer, local) = both.split_first_chunk::<{ Address::TEXT }>()?;
                let (peer, local) = (Address::from_text(peer)?, Address::from_text(local.try_into().ok()?)?);
                Some(if kind == b"c/" { Self::Made { id, peer, local } } else { Self::Accepted { id, peer, local } })
            }
            _ => None,
        }
    }
}

/// Whether a stack may be called that: 1 to [`STACK_MAX`] letters, digits, `-`, `_`, `.`, `:` and `@`.
pub fn is_stack(name: &[u8]) -> bool {
    let fits = |&c: &u8| c.is_ascii_alphanumeric() || b"-_.:@".contains(&c);
    !name.is_empty() && name.len() <= STACK_MAX && name.iter().all(fits)
}

/// The stack's name when none is given: the device's kind and name, `tap-t0` for `tap:t0,ip=...`. `None` if the
/// specification does not begin like one. A device without a name has its kind alone (`null` for `null:`).
pub fn stack_of(specification: &[u8]) -> Option<([u8; STACK_MAX], usize)> {
    let device = specification.split(|&c| c == b',').next()?;
    let mut name = [0; STACK_MAX];
    let room = name.get_mut(..device.len())?;
    room.copy_from_slice(device);
    let colon = device.iter().position(|&c| c == b':');
    let len = match colon {
        Some(at) if at + 1 == device.len() => at,
        Some(at) => {
            name[at] = b'-';
            device.len()
        }
        None => device.len(),
    };
    if is_stack(&name[..len]) { Some((name, len)) } else { None }
}

impl Name {
    /// The bytes after the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        // The longest of all, an accepted connection's with the longest stack name, is 8+31+3+9+1+48 = 100 bytes.
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn push_kind(&mut self, kind: &[u8; 3], id: u64) {
        self.push(kind);
        let mut digits = [0; 9];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (32 - 4 * place)) as usize & 15];
        }
        self.push(&digits);
    }
}

fn id(digits: &[u8; 9]) -> Option<u64> {
    digits.iter().try_fold(0, |id, &digit| Some(id << 4 | u64::from((digit as char).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_was_put_in() {
        let (peer, local) = (Address::v4([10, 0, 0, 1], 1025), Address::v6([0xfd; 16], 443));
        for meaning in [
            Meaning::Control,
            Meaning::Connect,
            Meaning::Bound { id: 0xf_ffff_fffe, local },
            Meaning::Accepted { id: 1 << 35 | 7, peer, local },
            Meaning::Made { id: 6, peer, local },
            Meaning::Datagram { id: 77 },
            Meaning::HostDatagram { id: 77 },
            Meaning::Gone { id: 78 },
        ] {
            for stack in [&b"t"[..], &[b'x'; STACK_MAX]] {
                let name = meaning.name(stack).expect("a name for a stack");
                assert_eq!(Meaning::read(name.as_bytes(), stack), Some(meaning));
                assert_eq!(Meaning::read(name.as_bytes(), b"other"), None);
            }
        }
    }

    #[test]
    fn a_name_cut_short_or_longer_says_nothing() {
        let name = Meaning::Bound { id: 5, local: Address::NONE }.name(b"t").expect("a name");
        let bytes = name.as_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Meaning::read(&bytes[..end], b"t"), None, "{end}");
        }
        assert_eq!(Meaning::read(b"sockeye/t/ctl2", b"t"), None);
    }

    #[test]
    fn a_stack_is_called_after_its_device() {
        let name = |text: &str| stack_of(text.as_bytes()).map(|(name, len)| name[..len].to_vec());
        assert_eq!(name("tap:t0,ip=10.0.0.2/24"), Some(b"tap-t0".to_vec()));
        assert_eq!(name("null:"), Some(b"null".to_vec()));
        assert_eq!(name("null:,ip=10.0.0.2/24"), Some(b"null".to_vec()));
        assert_eq!(name(""), None);
        assert_eq!(name("unix:/a/path"), None);
    }
}
