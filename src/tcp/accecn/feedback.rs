//! How many marked segments an acknowledgement tells of: the header has three bits of the count (RFC 9768 section
//! 3.2.2.5.2 and appendix A.2).

use super::{AccEcn, ace, failure};
use crate::{
    tcp::ecn::codepoint,
    wire::tcp::{AccEcnOption, Flags},
};

/// The average of segments in an acknowledgement: in 64ths, a new one counts for a 64th.
const PRECISION: u32 = 6;
/// Acknowledgements of more segments than this on average are thinned out on their way, so a large one is no sign that
/// others were lost (as Linux).
const THIN: u32 = 4 << PRECISION;

/// An acknowledgement.
#[derive(Debug)]
pub struct Acked<'a> {
    pub flags: Flags,
    pub option: Option<&'a AccEcnOption>,
    /// What it acknowledges for the first time.
    pub segments: u32,
    pub bytes: u32,
    /// It says something new.
    pub is_new: bool,
    /// What it acknowledges is known exactly: SACK, or no loss.
    pub is_exact: bool,
    pub mss: u32,
    /// Bytes sent in all.
    pub sent: u64,
}

impl AccEcn {
    /// How many marked segments are told beyond `told` by an acknowledgement that was not overtaken.
    pub(super) fn judge(&mut self, acked: &Acked<'_>, told: u32) -> u32 {
        let Acked { flags, option, segments, bytes, .. } = *acked;
        // RFC 9768 section 3.2.2.4: what a peer says whose field cannot be trusted is not responded to.
        if self.failed & failure::ACE_RECV != 0 {
            return 0;
        }
        let before = self.delivered.of(codepoint::CE);
        let is_reliable = self.follow(option, bytes, acked.sent);
        self.usual = match (self.usual, segments) {
            (usual, 0) => usual,
            (0, segments) => segments << PRECISION,
            (usual, segments) => (((usual << PRECISION) - usual + (segments << PRECISION)) >> PRECISION).min(0xffff),
        };
        // The field of the segment that ended the handshake told of our SYN.
        if self.is_opening {
            return 0;
        }
        let more = ace::more(ace::of(flags), told);
        if segments <= ace::MASK {
            return more;
        }
        let marked = is_reliable.then(|| self.delivered.of(codepoint::CE).wrapping_sub(before));
        unwrapped(acked, more, marked, self.usual)
    }
}

/// So many segments are acknowledged that the field may have wrapped: at least `more`, at most what fills them.
/// `marked` are the bytes that the option tells of.
fn unwrapped(acked: &Acked<'_>, more: u32, marked: Option<u32>, usual: u32) -> u32 {
    let Acked { segments, bytes, is_exact, mss, .. } = *acked;
    let most = segments - (segments.wrapping_sub(more) & ace::MASK);
    let Some(marked) = marked else {
        return if usual > THIN { more } else { most };
    };
    if marked == 0 {
        return more;
    }
    if segments >= 2 * (ace::MASK + 1) && is_exact {
        if bytes <= marked {
            return most;
        }
        let share = (u64::from(marked) * u64::from(segments)).div_ceil(u64::from(bytes)) as u32;
        return most.min(more + (share & !ace::MASK));
    }
    match u64::from(marked) {
        marked if marked > u64::from(more) * u64::from(mss) => most,
        marked if marked < u64::from(most) * u64::from(mss) / 2 => more,
        _ => most,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tcp::Order;

    fn acked(field: u8, segments: u32) -> Acked<'static> {
        Acked {
            flags: ace::flags(field),
            option: None,
            segments,
            bytes: segments * 1000,
            is_new: true,
            is_exact: true,
            mss: 1000,
            sent: 0,
        }
    }

    #[test]
    fn a_small_acknowledgement_tells_by_its_three_bits() {
        let mut accecn = AccEcn::default();
        assert_eq!(accecn.judge(&acked(5, 1), 0), 0);
        assert_eq!(accecn.judge(&acked(6, 2), 0), 1);
        assert_eq!(accecn.judge(&acked(0, 7), 1), 2);
    }

    #[test]
    fn a_large_one_after_small_ones_is_taken_for_the_worst() {
        let mut accecn = AccEcn::default();
        accecn.judge(&acked(5, 1), 0);
        assert_eq!(accecn.judge(&acked(5, 9), 0), 8);
        assert_eq!(accecn.judge(&acked(6, 10), 8), 9);
    }

    #[test]
    fn where_large_ones_are_usual_they_tell_the_least() {
        let mut accecn = AccEcn::default();
        assert_eq!(accecn.judge(&acked(5, 10), 0), 0);
        assert_eq!(accecn.judge(&acked(4, 10), 0), 7);
    }

    #[test]
    fn the_bytes_of_the_option_tell_whether_the_field_wrapped() {
        let table = [(10, 0, 0), (10, 1000, 8), (10, 8000, 8), (20, 20_000, 16), (20, 9000, 8), (20, 100, 0)];
        for (segments, marked, expected) in table {
            let mut accecn = AccEcn::default();
            let first = AccEcnOption::new(Order::Zero, &[1, 0, 1]);
            accecn.judge(&Acked { option: Some(&first), ..acked(5, 1) }, 0);
            accecn.expected = codepoint::CE;
            let option = AccEcnOption::new(Order::Zero, &[1, marked, 1]);
            let acked = Acked { option: Some(&option), ..acked(5, segments) };
            assert_eq!(accecn.judge(&acked, 0), expected, "{segments} segments, {marked} bytes");
        }
    }
}
