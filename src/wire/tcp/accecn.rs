//! The options of Accurate ECN (RFC 9768 section 3.2.3): how many bytes of payload came in by each codepoint, three
//! counters of 24 bits, of which the last ones may be missing.

use std::fmt;

/// Bytes before the counters: kind and length.
const BASE: usize = 2;
/// Bytes of one counter.
const FIELD: usize = 3;

/// The order of the counters, which is the option's kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// ECT(0), CE, ECT(1): AccECN0.
    Zero,
    /// ECT(1), CE, ECT(0): AccECN1.
    One,
}

impl Order {
    /// The kind of the option (IANA "TCP Option Kind Numbers").
    pub const fn kind(self) -> u8 {
        match self {
            Self::Zero => 172,
            Self::One => 174,
        }
    }

    /// What scripts call the counters, in their order.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Zero => ["e0b", "ceb", "e1b"],
            Self::One => ["e1b", "ceb", "e0b"],
        }
    }
}

/// One option.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct AccEcnOption {
    /// In which order the counters are.
    pub order: Order,
    len: u8,
    fields: [[u8; FIELD]; 3],
}

impl AccEcnOption {
    /// An option with these counters, of which the low 24 bits count; three at most.
    pub fn new(order: Order, counters: &[u32]) -> Self {
        let mut fields = [[0; FIELD]; 3];
        for (field, counter) in fields.iter_mut().zip(counters) {
            let [_, rest @ ..] = counter.to_be_bytes();
            *field = rest;
        }
        Self { order, len: u8::try_from(counters.len().min(3)).unwrap_or(3), fields }
    }

    /// Takes the data of an option of this kind; what is behind the last whole counter is ignored (RFC 9768 section
    /// 3.2.3.3).
    pub(super) fn parse(kind: u8, data: &[u8]) -> Option<Self> {
        let order = [Order::Zero, Order::One].into_iter().find(|order| order.kind() == kind)?;
        let mut fields = [[0; FIELD]; 3];
        let mut len = 0;
        for (field, bytes) in fields.iter_mut().zip(data.chunks_exact(FIELD)) {
            field.copy_from_slice(bytes);
            len += 1;
        }
        Some(Self { order, len, fields })
    }

    /// The counters there are, in the option's order.
    pub fn counters(&self) -> impl Iterator<Item = u32> {
        self.fields[..usize::from(self.len)].iter().map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]))
    }

    /// The same with the first `fields` counters only.
    #[must_use]
    pub fn shortened(mut self, fields: u8) -> Self {
        self.len = self.len.min(fields);
        self
    }

    /// Bytes of the option.
    pub(super) fn bytes(&self) -> usize {
        BASE + FIELD * usize::from(self.len)
    }

    /// Bytes it adds where others leave `room` bytes of padding in front of theirs (as Linux): what is over after the
    /// last four bytes goes there if all of it fits.
    pub(super) fn added(&self, room: usize) -> usize {
        let over = self.bytes() % 4;
        if over > room { self.bytes().next_multiple_of(4) } else { self.bytes() - over }
    }

    /// The option.
    pub(super) fn emit(&self) -> [u8; BASE + 3 * FIELD] {
        let mut out = [0; BASE + 3 * FIELD];
        out[0] = self.order.kind();
        out[1] = u8::try_from(self.bytes()).unwrap_or(u8::MAX);
        for (to, field) in out[BASE..].chunks_exact_mut(FIELD).zip(self.fields) {
            to.copy_from_slice(&field);
        }
        out
    }
}

impl fmt::Display for AccEcnOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ECN")?;
        self.order.names().iter().zip(self.counters()).try_for_each(|(name, counter)| write!(f, " {name} {counter}"))
    }
}
