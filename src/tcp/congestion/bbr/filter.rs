//! The largest value of a while: of the last `N` periods, the present one included.

/// Keeps the largest value of each of `N` periods.
#[derive(Clone, Debug)]
pub struct WindowedMax<const N: usize> {
    /// The largest of each period, the present one first.
    best: [u64; N],
    /// The present period's number.
    period: u32,
}

impl<const N: usize> Default for WindowedMax<N> {
    fn default() -> Self {
        Self { best: [0; N], period: 0 }
    }
}

impl<const N: usize> WindowedMax<N> {
    /// A value of period `period`, which may be a later one than the last.
    pub fn update(&mut self, value: u64, period: u32) {
        let passed = (period.wrapping_sub(self.period) as usize).min(N);
        self.period = period;
        self.best.rotate_right(passed % N.max(1));
        self.best[..passed].fill(0);
        if let Some(present) = self.best.first_mut() {
            *present = value.max(*present);
        }
    }

    /// The largest value.
    pub fn max(&self) -> u64 {
        self.best.iter().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_its_period_and_the_next() {
        let mut filter = WindowedMax::<2>::default();
        filter.update(10, 0);
        filter.update(7, 0);
        filter.update(5, 1);
        assert_eq!(filter.max(), 10);
        filter.update(6, 2);
        assert_eq!(filter.max(), 6);
        filter.update(1, 9);
        assert_eq!(filter.max(), 1);
    }
}
