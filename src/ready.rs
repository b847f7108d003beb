//! Readiness: the bits of poll(2), so that no layer translates them.

use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

/// A set of readiness conditions. The values are those of poll(2) and epoll(7) on Linux.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ready(pub u32);

impl Ready {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Data (or a connection to accept, or the end of data) can be read.
    pub const IN: Self = Self(0x001);
    /// Urgent data.
    pub const PRI: Self = Self(0x002);
    /// There is room to write.
    pub const OUT: Self = Self(0x004);
    /// An error is pending.
    pub const ERR: Self = Self(0x008);
    /// Both directions are shut down.
    pub const HUP: Self = Self(0x010);
    /// Normal data (with [`Ready::IN`]).
    pub const RDNORM: Self = Self(0x040);
    /// Normal room (with [`Ready::OUT`]).
    pub const WRNORM: Self = Self(0x100);
    /// The peer has shut down its sending side.
    pub const RDHUP: Self = Self(0x2000);

    /// Whether the two sets share a condition.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether every condition of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Ready {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Ready {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Ready {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0)
    }
}
