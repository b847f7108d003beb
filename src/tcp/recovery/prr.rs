//! Proportional rate reduction: during fast recovery, and while the window is reduced for marks, as much is sent as
//! comes out of the network, in the proportion to which the window is to shrink, so that the end of it is neither a
//! pause nor a burst (RFC 9937).

/// The state of one recovery; all amounts are bytes.
#[derive(Copy, Clone, Debug, Default)]
pub struct Prr {
    /// What was in flight when recovery began (RecoverFS).
    start: u32,
    /// What was delivered since then.
    delivered: u64,
    /// What was sent since then.
    out: u64,
    /// What may be in flight.
    window: u32,
}

/// What an acknowledgement in recovery said.
#[derive(Copy, Clone, Debug)]
pub struct Step {
    /// Bytes newly delivered.
    pub delivered: u32,
    /// It acknowledges new data and showed no further loss (SafeACK).
    pub safe: bool,
    /// What is in flight now.
    pub in_flight: u32,
    /// What is to be in flight at the end.
    pub ssthresh: u32,
    /// A segment.
    pub mss: u32,
}

impl Prr {
    /// Recovery begins with `in_flight` bytes in flight before the acknowledgement that showed the loss.
    pub fn new(in_flight: u32) -> Self {
        Self { start: in_flight.max(1), window: in_flight, ..Self::default() }
    }

    /// What may be in flight.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// An acknowledgement came, or a loss was found without one (RFC 9937 section 6.2).
    pub fn on_step(&mut self, step: &Step) {
        let &Step { delivered, safe, in_flight, ssthresh, mss } = step;
        self.delivered += u64::from(delivered);
        let behind = self.delivered.saturating_sub(self.out);
        let mut count = if in_flight > ssthresh {
            // At most 2^32 times 2^32: a connection does not deliver more within one recovery.
            let share = self.delivered.saturating_mul(u64::from(ssthresh)).div_ceil(u64::from(self.start));
            // Whole segments, as Linux counts: the share of one delivered lets one leave.
            share.next_multiple_of(u64::from(mss.max(1))).saturating_sub(self.out)
        } else {
            // Below the target: as much as was delivered (PRR-CRB), a segment more while all goes well (PRR-SSRB).
            let limit = behind.max(u64::from(delivered)) + if safe { u64::from(mss) } else { 0 };
            limit.min(u64::from(ssthresh - in_flight))
        };
        if self.out == 0 {
            // The first retransmission leaves at once.
            count = count.max(u64::from(mss));
        }
        self.window = in_flight.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// `len` bytes left.
    pub fn on_sent(&mut self, len: u32) {
        self.out += u64::from(len);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1000;

    /// Runs a recovery of a window of `window` segments, of which the first is lost: how many segments leave at each
    /// acknowledgement.
    fn run(window: u32, ssthresh: u32, acks: u32) -> Vec<u32> {
        let mut prr = Prr::new((window - 2) * MSS);
        let mut in_flight = (window - 4) * MSS;
        let mut sent = Vec::new();
        for _ in 0..acks {
            prr.on_step(&Step { delivered: MSS, safe: false, in_flight, ssthresh: ssthresh * MSS, mss: MSS });
            let mut n = 0;
            while in_flight + MSS <= prr.window() {
                prr.on_sent(MSS);
                in_flight += MSS;
                n += 1;
            }
            sent.push(n);
            in_flight -= MSS;
        }
        sent
    }

    #[test]
    fn halving_sends_one_segment_for_two_delivered() {
        assert_eq!(run(24, 11, 8), [1, 0, 1, 0, 1, 0, 1, 0]);
    }

    #[test]
    fn below_the_target_as_much_is_sent_as_was_delivered() {
        assert_eq!(run(8, 7, 4), [1, 1, 1, 1]);
    }

    #[test]
    fn the_first_retransmission_leaves_whatever_is_in_flight() {
        let mut prr = Prr::new(100 * MSS);
        prr.on_step(&Step { delivered: 0, safe: false, in_flight: 90 * MSS, ssthresh: 50 * MSS, mss: MSS });
        assert_eq!(prr.window(), 91 * MSS);
    }

    #[test]
    fn a_window_that_fell_far_below_the_target_grows_only_while_acknowledgements_are_good() {
        let step = Step { delivered: MSS, safe: true, in_flight: 2 * MSS, ssthresh: 50 * MSS, mss: MSS };
        let mut prr = Prr::new(100 * MSS);
        prr.on_step(&step);
        assert_eq!(prr.window(), 4 * MSS);
        prr.on_sent(2 * MSS);
        prr.on_step(&Step { safe: false, ..step });
        assert_eq!(prr.window(), 3 * MSS);
    }
}
