//! What AF_UNIX sockets of a stack's are called. Abstract names (without the NUL that begins them in a `sockaddr_un`):
//!
//! | name | whose |
//! |---|---|
//! | `sockeye/STACK/ctl` | the host's SEQPACKET listener: one request, one response, closed |
//! | `sockeye/STACK/a/ID/PEER+LOCAL` | the host's end of an accepted connection |
//! | `sockeye/STACK/c/ID/PEER+LOCAL` | a program's end of a connection it has made, once the host has told it both |
//! | `sockeye/STACK/g/ID` | who tells a program that listens that its host is gone |
//!
//! ID is 16 hexadecimal digits, an address is [`Address::to_text`]. None of these names is proof of anything, and those
//! that the host gives have an ID that nobody can know before. Files in the host's own directory:
//!
//! | file | whose |
//! |---|---|
//! | `lLOCAL-NUMBER` | a program's bound stream end |

use crate::address::Address;

/// The longest name of a stack, in bytes.
pub const STACK_MAX: usize = 31;

/// The digits of an id.
const ID: usize = 16;

/// An abstract name: at most 107 bytes, what a `sockaddr_un` holds after the leading NUL.
#[derive(Clone, Copy)]
pub struct Name {
    bytes: [u8; 107],
    len: u8,
}

/// What a name of a stack's says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The host's control listener.
    Control,
    /// The host's end of an accepted connection.
    Accepted {
        /// What the host knows the connection by.
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
    /// The end of a connection that a listener is to take as the word that its host is gone.
    Gone {
        /// It tells the name from others.
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
            Self::Accepted { id, peer, local } | Self::Made { id, peer, local } => {
                name.push_kind(if matches!(self, Self::Made { .. }) { b"/c/" } else { b"/a/" }, *id);
                name.push(b"/");
                name.push(&peer.to_text());
                name.push(&local.to_text());
            }
            Self::Gone { id } => name.push_kind(b"/g/", *id),
        }
        Some(name)
    }

    /// What a name says, if it is one of this stack's.
    pub fn read(name: &[u8], stack: &[u8]) -> Option<Self> {
        let rest = name.strip_prefix(b"sockeye/")?.strip_prefix(stack)?.strip_prefix(b"/")?;
        if rest == b"ctl" {
            return Some(Self::Control);
        }
        let (kind, rest) = rest.split_first_chunk::<2>()?;
        let (digits, rest) = rest.split_first_chunk::<ID>()?;
        let id = id(digits)?;
        match (kind, rest) {
            (b"g/", []) => Some(Self::Gone { id }),
            (b"a/" | b"c/", [b'/', both @ ..]) => {
                let (peer, local) = both.split_first_chunk::<{ Address::TEXT }>()?;
                let (peer, local) = (Address::from_text(peer)?, Address::from_text(local.try_into().ok()?)?);
                Some(if kind == b"c/" { Self::Made { id, peer, local } } else { Self::Accepted { id, peer, local } })
            }
            _ => None,
        }
    }
}

/// What begins the name of a bound stream end's file, before the address.
pub const BOUND: u8 = b'l';

/// What the path of a bound stream end says that it is bound to; `None` for any other path.
pub fn bound(path: &[u8]) -> Option<Address> {
    let (first, rest) = path.rsplit(|byte| *byte == b'/').next()?.split_first()?;
    let (address, rest) = rest.split_first_chunk::<{ Address::TEXT }>()?;
    if *first == BOUND && rest.first() == Some(&b'-') { Address::from_text(address) } else { None }
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
        &self.bytes[..usize::from(self.len)]
    }

    /// How many they are.
    pub(crate) fn len(&self) -> u32 {
        self.len.into()
    }

    fn push(&mut self, bytes: &[u8]) {
        // The longest of all, an accepted connection's with the longest stack name, is 8+31+3+16+1+48 = 107 bytes.
        let begin = usize::from(self.len);
        let end = begin + bytes.len();
        if let (Some(room), Ok(len)) = (self.bytes.get_mut(begin..end), u8::try_from(end)) {
            room.copy_from_slice(bytes);
            self.len = len;
        }
    }

    fn push_kind(&mut self, kind: &[u8; 3], id: u64) {
        self.push(kind);
        let mut digits = [0; ID];
        for (place, digit) in digits.iter_mut().enumerate() {
            *digit = b"0123456789abcdef"[(id >> (60 - 4 * place) & 15) as usize];
        }
        self.push(&digits);
    }
}

fn id(digits: &[u8; ID]) -> Option<u64> {
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
            Meaning::Accepted { id: 1 << 63 | 7, peer, local },
            Meaning::Made { id: 6, peer, local },
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
        let name = Meaning::Gone { id: 5 }.name(b"t").expect("a name");
        let bytes = name.as_bytes();
        for end in 0..bytes.len() {
            assert_eq!(Meaning::read(&bytes[..end], b"t"), None, "{end}");
        }
        assert_eq!(Meaning::read(b"sockeye/t/ctl2", b"t"), None);
    }

    #[test]
    fn a_bound_ends_path_says_its_address() {
        let local = Address::v4([10, 0, 0, 2], 80);
        let path = |end: &str| [b"/run/x/l", &local.to_text()[..], end.as_bytes()].concat();
        assert_eq!(bound(&path("-7")), Some(local));
        assert_eq!((bound(&path("")), bound(b"/run/x/l"), bound(b"/run/x/own"), bound(b"")), (None, None, None, None));
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
