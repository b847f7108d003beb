//! The byte counters (RFC 9768 sections 3.2.1 and 3.2.3): 24 bits of each are told, in an order, from a first value on.

use super::{AccEcn, failure};
use crate::{
    tcp::ecn::codepoint,
    wire::tcp::{AccEcnOption, Order},
};

/// The bits of a counter that are told.
const MASK: u32 = 0x00ff_ffff;
/// A counter that has grown past a multiple of this is told, lest it wrap unseen (as Linux: 2^22 bytes).
const TELL: u32 = 1 << 22;
/// Once so much was sent without an option coming back, one that comes later could have wrapped (as Linux).
pub const TOO_LATE: u64 = (1 << 23) - 1;

/// How much of the peer's option has been seen, as TCP_INFO shows it (tcpi_accecn_opt_seen).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// None.
    #[default]
    Nothing,
    /// One without counters.
    Empty,
    /// Counters.
    Counters,
    /// Counters that were zeroed on the way, or it came too late.
    Broken,
}

/// Bytes by codepoint.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteCounters {
    /// ECT(1), ECT(0), CE.
    bytes: [u32; 3],
}

impl ByteCounters {
    /// The bytes of a codepoint; not capable ones are not counted.
    pub fn of(&self, field: u8) -> u32 {
        usize::from(field).checked_sub(1).and_then(|at| self.bytes.get(at)).copied().unwrap_or(0)
    }

    fn slot(&mut self, field: u8) -> Option<&mut u32> {
        usize::from(field).checked_sub(1).and_then(|at| self.bytes.get_mut(at))
    }

    /// Counts; says whether the counter should be told again.
    pub fn add(&mut self, field: u8, bytes: u32) -> bool {
        let Some(slot) = self.slot(field) else { return false };
        let before = std::mem::replace(slot, slot.wrapping_add(bytes));
        before / TELL != *slot / TELL
    }

    /// Takes what the peer tells of a codepoint, modulo 2^24; says how much more it is.
    fn follow(&mut self, field: u8, told: u32) -> i32 {
        let Some(slot) = self.slot(field) else { return 0 };
        let more = told.wrapping_sub(first(field)).wrapping_sub(*slot) & MASK;
        // The upper half are reductions: an option that was overtaken.
        let more = ((more << 8) as i32) >> 8;
        *slot = slot.wrapping_add_signed(more);
        more
    }

    /// The option with all of them, in our order.
    pub fn option(&self) -> AccEcnOption {
        AccEcnOption::new(Order::One, &order(Order::One).map(|field| self.of(field).wrapping_add(first(field))))
    }
}

/// The codepoints in the order of an option.
const fn order(order: Order) -> [u8; 3] {
    match order {
        Order::Zero => [codepoint::ECT_0, codepoint::CE, codepoint::ECT_1],
        Order::One => [codepoint::ECT_1, codepoint::CE, codepoint::ECT_0],
    }
}

/// How many counters of our option it takes to tell of a codepoint.
pub const fn place(field: u8) -> u8 {
    match field {
        codepoint::ECT_1 => 1,
        codepoint::CE => 2,
        codepoint::ECT_0 => 3,
        _ => 0,
    }
}

/// What a counter begins with: not zero, so that one that was zeroed is seen, but for that of marks (RFC 9768 section
/// 3.2.1).
const fn first(field: u8) -> u32 {
    match field {
        codepoint::ECT_0 | codepoint::ECT_1 => 1,
        _ => 0,
    }
}

/// Judges the first option (RFC 9768 section 3.2.3.2.4): the counters that do not begin with zero must not be zero.
fn inspect(option: &AccEcnOption) -> Seen {
    let mut counters = option.counters();
    match (counters.next(), counters.nth(1)) {
        (None, _) => Seen::Empty,
        (Some(0), _) | (_, Some(0)) => Seen::Broken,
        _ => Seen::Counters,
    }
}

impl AccEcn {
    /// The peer's option is seen, in the handshake or later.
    pub(super) fn see(&mut self, option: &AccEcnOption) {
        if self.seen < Seen::Counters {
            self.seen = inspect(option);
            if self.seen == Seen::Broken {
                self.failed |= failure::OPTION_RECV;
            }
        }
    }

    /// Takes the option of an acknowledgement of `delivered` bytes (RFC 9768 appendix A.3). Says whether the counters
    /// are reliable for this acknowledgement.
    pub(super) fn follow(&mut self, option: Option<&AccEcnOption>, delivered: u32, sent: u64) -> bool {
        if self.failed & failure::OPTION_RECV != 0 {
            return false;
        }
        let Some(option) = option else {
            if self.seen == Seen::Nothing {
                if sent >= TOO_LATE {
                    self.seen = Seen::Broken;
                    self.failed |= failure::OPTION_RECV;
                }
                return false;
            }
            // As before, if that is known.
            self.delivered.add(self.expected, delivered);
            return self.expected != 0;
        };
        self.see(option);
        let before = self.expected;
        let mut grown = None;
        let mut is_clear = true;
        for (field, told) in order(option.order).into_iter().zip(option.counters()) {
            let more = self.delivered.follow(field, told);
            is_clear &= more >= 0;
            if more != 0 && field != before {
                // Two at once: which of them the next bytes are is open.
                is_clear &= grown.is_none();
                grown = grown.or(Some(field));
            }
        }
        self.expected = if is_clear { grown.unwrap_or(before) } else { 0 };
        before != 0 && is_clear
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use codepoint::{CE, ECT_0, ECT_1};

    #[test]
    fn counters_are_told_from_their_first_values_in_our_order() {
        let mut counters = ByteCounters::default();
        assert_eq!(counters.option().to_string(), "ECN e1b 1 ceb 0 e0b 1");
        counters.add(ECT_0, 1000);
        counters.add(CE, 3);
        assert_eq!(counters.option().to_string(), "ECN e1b 1 ceb 3 e0b 1001");
        assert_eq!([ECT_1, CE, ECT_0].map(place), [1, 2, 3]);
    }

    #[test]
    fn a_counter_is_to_be_told_each_four_mebibytes() {
        let mut counters = ByteCounters::default();
        assert!(!counters.add(ECT_0, TELL - 1));
        assert!(counters.add(ECT_0, 1));
        assert!(!counters.add(ECT_0, TELL - 1));
        assert!(counters.add(ECT_0, 2));
    }

    #[test]
    fn told_counters_wrap_and_may_be_overtaken() {
        let mut counters = ByteCounters::default();
        assert_eq!(counters.follow(ECT_0, 1001), 1000);
        assert_eq!(counters.follow(ECT_0, 501), -500);
        assert_eq!(counters.follow(ECT_0, 1001), 500);
        counters.bytes[1] = 0x1ff_fff0;
        assert_eq!(counters.follow(ECT_0, 0x11), 0x20);
        assert_eq!(counters.of(ECT_0), 0x200_0010);
    }

    #[test]
    fn an_option_that_was_zeroed_is_seen() {
        let judged = |order, counters: &[u32]| inspect(&AccEcnOption::new(order, counters));
        assert_eq!(judged(Order::One, &[]), Seen::Empty);
        assert_eq!(judged(Order::Zero, &[0]), Seen::Broken);
        assert_eq!(judged(Order::Zero, &[1, 0]), Seen::Counters);
        assert_eq!(judged(Order::One, &[1, 0, 0]), Seen::Broken);
        assert_eq!(judged(Order::One, &[1, 0, 1]), Seen::Counters);
    }

    #[test]
    fn what_two_options_agree_on_holds_until_the_next() {
        let mut accecn = AccEcn::default();
        let option = |counters| AccEcnOption::new(Order::Zero, counters);
        assert!(!accecn.follow(None, 100, 0), "none was seen yet");
        assert!(!accecn.follow(Some(&option(&[1001, 0, 1])), 1000, 0), "which they are is news");
        assert!(accecn.follow(Some(&option(&[2001, 0, 1])), 1000, 0));
        assert!(accecn.follow(None, 500, 0), "as before");
        assert_eq!(accecn.delivered.of(ECT_0), 2500);
        assert!(!accecn.follow(Some(&option(&[3001, 10, 5])), 500, 0), "two others at once");
        assert!(!accecn.follow(None, 500, 0));
        let late = &mut AccEcn::default();
        assert!(!late.follow(None, 1, TOO_LATE));
        assert_eq!((late.seen, late.failed), (Seen::Broken, failure::OPTION_RECV));
    }
}
