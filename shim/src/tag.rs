//! The 64 bits that a program's end of a socket carries: which socket of the host's it is, and what it is doing.
//!
//! They are stored as SO_MAX_PACING_RATE, which means nothing on an AF_UNIX socket and follows it through dup, fork,
//! exec and SCM_RIGHTS:
//!
//! ```text
//! 63           48 47        36 35                                   0
//! | magic 0x50EE |   flags    | id                                   |
//! ```

/// What a socket is, as its tag says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Names the socket in every request. See [`Tag::GIVEN`].
    pub id: u64,
    /// The flags, any of the constants below.
    pub flags: u16,
}

const MAGIC: u64 = 0x50EE;
const ID_BITS: u32 = 36;
const ID_MASK: u64 = (1 << ID_BITS) - 1;
const FLAG_MASK: u64 = (1 << (48 - ID_BITS)) - 1;

impl Tag {
    /// The bit of an id that the host gave (a connection that was accepted, see [`crate::name`]). Ids without it are
    /// the program's: the kernel's SO_COOKIE of its end.
    pub const GIVEN: u64 = 1 << 35;

    /// An AF_INET6 socket.
    pub const V6: u16 = 1 << 0;
    /// IPV6_V6ONLY is set.
    pub const V6ONLY: u16 = 1 << 1;
    /// A datagram socket.
    pub const DATAGRAM: u16 = 1 << 2;
    /// Bound to an address of the stack, or of a kind that the host has heard of.
    pub const BOUND: u16 = 1 << 3;
    /// connect() was called, and it is not known yet how it ended.
    pub const CONNECTING: u16 = 1 << 4;
    /// Connected, or accepted. A datagram socket has a peer.
    pub const CONNECTED: u16 = 1 << 5;
    /// SO_REUSEPORT is set.
    pub const REUSEPORT: u16 = 1 << 6;
    /// TCP_NODELAY is set.
    pub const NODELAY: u16 = 1 << 7;
    /// The host holds options for this id although there is no connection yet: it wants to know when it is closed.
    pub const TOLD: u16 = 1 << 8;

    /// An option that accepted sockets inherit was set.
    pub const GENEROUS: u16 = 1 << 9;
    /// There is a way to every unicast address: a datagram socket need not ask before it sends.
    pub const ROUTED: u16 = 1 << 10;

    /// Whether a flag is set.
    pub const fn is(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// The same with a flag set.
    pub const fn with(self, flag: u16) -> Self {
        Self { id: self.id, flags: self.flags | flag }
    }

    /// The same with a flag clear.
    pub const fn without(self, flag: u16) -> Self {
        Self { id: self.id, flags: self.flags & !flag }
    }

    /// The bits to store.
    pub const fn to_bits(self) -> u64 {
        MAGIC << 48 | (self.flags as u64 & FLAG_MASK) << ID_BITS | self.id & ID_MASK
    }

    /// Reads what [`Tag::to_bits`] made; `None` for a socket that is not ours (the kernel's own value is all ones).
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> 48 != MAGIC {
            return None;
        }
        Some(Self { id: bits & ID_MASK, flags: (bits >> ID_BITS & FLAG_MASK) as u16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_give_the_tag_back() {
        let tag = Tag { id: ID_MASK - 5, flags: Tag::V6 | Tag::TOLD };
        assert_eq!(Tag::from_bits(tag.to_bits()), Some(tag));
        assert!(tag.is(Tag::V6) && !tag.is(Tag::NODELAY));
        assert_eq!(tag.with(Tag::NODELAY).without(Tag::NODELAY), tag);
    }

    #[test]
    fn a_socket_of_the_kernels_has_none() {
        assert_eq!(Tag::from_bits(u64::MAX), None);
        assert_eq!(Tag::from_bits(0), None);
        assert_eq!(Tag::from_bits(u64::from(u32::MAX)), None);
    }
}
