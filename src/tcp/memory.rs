//! Memory of all connections of a stack together: three thresholds as Linux's tcp_mem, what a connection may hold
//! between them, how many of them there may be, and what it gives back first (data out of order, which the peer still
//! has: RFC 2018 section 8).

use super::Connection;
use crate::{cx::Cx, wire::seq::SeqNum};

/// What every connection may hold whatever the others do: the first number of tcp_rmem as it is by default, bytes.
pub const GUARANTEED: usize = 4096;
/// In pages of so many bytes is counted what is held outside a connection.
const PAGE: usize = 4096;
/// No limit.
const UNLIMITED: usize = usize::MAX;
/// Memory that received data may hold beside the window, in windows: what is out of order goes when there is more.
const OVERHEAD: usize = 3;
/// The least window that [`OVERHEAD`] is reckoned from, bytes.
const LEAST_WINDOW: usize = 65_536;

/// The thresholds, bytes (tcp(7), tcp_mem).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At or below it pressure ends.
    pub low: usize,
    /// Above it pressure begins: buffers do not grow, and each connection keeps to its share.
    pub pressure: usize,
    /// From here on a connection gets no more than what every connection is guaranteed.
    pub high: usize,
}

impl Limits {
    /// Thresholds in the proportions Linux gives them, for at most `high` bytes.
    pub const fn at_most(high: usize) -> Self {
        Self { low: high / 2, pressure: high / 3 * 2, high }
    }
}

impl Default for Limits {
    /// 768 MiB, about what Linux takes on a machine of 8 GiB.
    fn default() -> Self {
        Self::at_most(768 << 20)
    }
}

/// What all connections hold, and what they are made of.
#[derive(Debug)]
pub struct Account {
    limits: Limits,
    /// Bytes for data.
    used: usize,
    /// Connections there are.
    connections: usize,
    /// What each of them costs before it holds any data, bytes.
    each: usize,
    /// Connections that hold something.
    holders: usize,
    is_pressed: bool,
}

/// One connection's part in it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Share {
    /// Bytes accounted for: more than fit are as good as those that do.
    held: u32,
    /// Pages held outside the connection: taken from it, and not yet with the program.
    outside: u16,
    /// The connection is one of those accounted for.
    is_counted: bool,
    /// Bytes it may hold at present.
    allowance: usize,
}

impl Default for Share {
    fn default() -> Self {
        Self { held: 0, outside: 0, is_counted: false, allowance: UNLIMITED }
    }
}

impl Share {
    /// Whether memory is short: nothing grows.
    pub fn is_short(self) -> bool {
        self.allowance != UNLIMITED
    }

    /// The most bytes the application may have queued for sending, if `limit` are allowed otherwise.
    pub fn send_limit(self, limit: usize) -> usize {
        limit.min(self.allowance)
    }
}

impl Account {
    /// An account nobody holds anything of.
    pub const fn new(limits: Limits) -> Self {
        Self { limits, used: 0, connections: 0, each: 0, holders: 0, is_pressed: false }
    }

    /// Every connection costs `bytes` more before it holds any data.
    pub const fn charge_each(&mut self, bytes: usize) {
        self.each += bytes;
    }

    /// The thresholds are others from here on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The thresholds.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes of data held by all connections together.
    pub const fn used(&self) -> usize {
        self.used
    }

    /// The same with what the connections are made of.
    pub const fn total(&self) -> usize {
        self.used + self.connections * self.each
    }

    /// Whether there is room for one more connection: all of them are to find, at the worst, what they are made of and
    /// what each is guaranteed.
    pub const fn admits(&self) -> bool {
        (self.connections + 1).saturating_mul(self.each + GUARANTEED) <= self.limits.high
    }

    /// Whether three quarters of that room are taken: the rest is for those who have shown that they are there.
    pub const fn is_crowded(&self) -> bool {
        (self.connections + 1).saturating_mul(self.each + GUARANTEED) > self.limits.high / 4 * 3
    }

    /// Whether so many `things` of `size` bytes, which come beside the connections, take no more than an eighth of the
    /// memory.
    pub const fn admits_small(&self, things: usize, size: usize) -> bool {
        things.saturating_mul(size) <= self.limits.high / 8
    }

    /// Whether pressure has begun and not ended.
    pub const fn is_pressed(&self) -> bool {
        self.is_pressed
    }

    /// Whether the limit is reached: what has no owner is let go (Linux's tcp_check_oom).
    pub const fn is_exhausted(&self) -> bool {
        self.total() >= self.limits.high
    }

    /// What one connection may hold. Under pressure it is an even part of all there is (as Linux's
    /// __sk_mem_raise_allocated compares), but never less than the first value of tcp_rmem, here for both directions:
    /// it goes on, slowly, so that a stack without memory does not stand still.
    fn allowance(&self, connection: &Connection) -> usize {
        if !self.is_pressed {
            return UNLIMITED;
        }
        let part = self.limits.high / if self.holders == 0 { 1 } else { self.holders };
        let guaranteed = connection.settings.knobs.rmem.least as usize;
        if self.is_exhausted() { guaranteed } else { part.max(guaranteed) }
    }

    /// Brings the account up to date with what a connection holds, and tells it what it may hold. Says whether pressure
    /// begins with this.
    pub fn settle(&mut self, connection: &mut Connection) -> bool {
        let holds = connection.holds();
        let Share { held, is_counted, .. } = &mut connection.share;
        self.connections += usize::from(!std::mem::replace(is_counted, true));
        self.used = self.used - *held as usize + holds as usize;
        self.holders = self.holders + usize::from(holds > 0) - usize::from(*held > 0);
        *held = holds;
        let begins = !self.is_pressed && self.total() > self.limits.pressure;
        if self.is_pressed || begins {
            self.is_pressed = self.total() > self.limits.low;
        }
        connection.share.allowance = self.allowance(connection);
        begins && self.is_pressed
    }

    /// Tells a connection, to which something is about to happen, what it may hold.
    pub fn inform(&self, connection: &mut Connection) {
        connection.share.allowance = self.allowance(connection);
    }

    /// A connection is taken out: what it holds goes with it.
    pub fn release(&mut self, connection: &mut Connection) {
        let Share { held, is_counted, .. } = std::mem::take(&mut connection.share);
        self.used -= held as usize;
        self.connections -= usize::from(is_counted);
        self.holders -= usize::from(held > 0);
        self.is_pressed &= self.total() > self.limits.low;
    }
}

impl Connection {
    /// Bytes of memory held for data.
    fn holds(&self) -> u32 {
        let bytes = self.rcv.footprint() + self.snd.memory() + usize::from(self.share.outside) * PAGE;
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    /// Whoever moves this connection's data holds `bytes` of it, on the way in or out, that the connection does not.
    pub fn note_outside(&mut self, bytes: usize) {
        self.share.outside = u16::try_from(bytes.div_ceil(PAGE)).unwrap_or(u16::MAX);
    }

    /// Gives back what is out of order as far as the connection holds more than its share.
    pub fn give_back(&mut self, cx: &mut Cx<'_>) {
        let allowance = self.share.allowance.saturating_sub(self.snd.held());
        if self.rcv.out_of_order() > 0 && self.rcv.footprint() > allowance {
            self.prune(allowance, cx);
        }
    }

    /// Drops what is out of order, the far end first, until the receive queue holds `goal` bytes at most.
    fn prune(&mut self, goal: usize, cx: &mut Cx<'_>) {
        cx.mib.tcp_prune_called += 1;
        if self.rcv.prune_to(goal) > 0 {
            cx.mib.tcp_ofo_pruned += 1;
        }
    }

    /// Makes room for `len` bytes that begin at `seq`; whether there is room now. Bytes in order are refused only when
    /// all memory is short and unread ones are there: the reader will make room.
    pub(super) fn make_room(&mut self, seq: SeqNum, len: usize, cx: &mut Cx<'_>) -> bool {
        let window = self.window.capacity() as usize + LEAST_WINDOW;
        let most = self.share.allowance.min(OVERHEAD * window);
        if self.rcv.footprint() + len <= most {
            return true;
        }
        self.prune(most.saturating_sub(len), cx);
        if self.rcv.footprint() + len <= most {
            return true;
        }
        if seq > self.rcv.rcv_nxt() {
            cx.mib.tcp_ofo_drop += 1;
            return false;
        }
        if self.share.is_short() && self.rcv.readable() > 0 {
            cx.mib.tcp_rcv_pruned += 1;
            cx.mib.tcp_rcvq_drop += 1;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::testing::{Tester, seg};

    const LIMITS: Limits = Limits { low: 20_000, pressure: 30_000, high: 60_000 };

    #[test]
    fn the_thresholds_have_the_proportions_of_linux() {
        assert_eq!(Limits::at_most(600), Limits { low: 300, pressure: 400, high: 600 });
    }

    #[test]
    fn pressure_begins_above_its_threshold_and_ends_at_the_low_one() {
        let mut account = Account::new(LIMITS);
        let mut t = Tester::established();
        assert!(!account.settle(&mut t.connection) && account.used() == 0);
        for n in 0..40 {
            t.inject(seg(".", 1 + n * 1000, 1, 1000));
        }
        assert!(account.settle(&mut t.connection), "{}", account.used());
        assert!(account.is_pressed() && t.connection.share.is_short());
        assert!(!account.settle(&mut t.connection), "it begins once");
        t.read(15_000).unwrap();
        account.settle(&mut t.connection);
        assert!(account.is_pressed(), "{} is above the low threshold", account.used());
        t.read(25_000).unwrap();
        account.settle(&mut t.connection);
        assert!(!account.is_pressed() && !t.connection.share.is_short());
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn a_connection_that_is_taken_out_takes_its_part_along() {
        let mut account = Account::new(LIMITS);
        let mut t = Tester::established();
        t.write(50_000).unwrap();
        account.settle(&mut t.connection);
        assert_eq!((account.used(), account.holders, account.is_pressed()), (64 << 10, 1, true));
        account.release(&mut t.connection);
        assert_eq!((account.used(), account.holders, account.is_pressed()), (0, 0, false));
        account.release(&mut t.connection);
        assert_eq!(account.used(), 0);
    }

    #[test]
    fn what_connections_are_made_of_counts_and_bounds_their_number() {
        let mut account = Account::new(LIMITS);
        account.charge_each(5904);
        let mut testers: Vec<Tester> = Vec::new();
        while account.admits() {
            let mut t = Tester::established();
            account.settle(&mut t.connection);
            account.settle(&mut t.connection);
            testers.push(t);
        }
        assert_eq!((testers.len(), account.used(), account.total()), (6, 0, 6 * 5904));
        assert!(account.is_pressed() && account.is_crowded(), "{LIMITS:?}");
        testers[0].connection.note_outside(1000);
        account.settle(&mut testers[0].connection);
        assert_eq!(account.used(), PAGE);
        testers.iter_mut().for_each(|t| account.release(&mut t.connection));
        assert_eq!((account.used(), account.total(), account.admits()), (0, 0, true));
        assert!(!account.is_pressed() && !account.is_crowded());
        assert!(account.admits_small(75, 100) && !account.admits_small(76, 100));
    }

    #[test]
    fn under_pressure_what_is_out_of_order_goes_first_and_its_far_end_before_the_rest() {
        let mut account = Account::new(LIMITS);
        let mut t = Tester::established();
        t.inject(seg(".", 1, 1, 1000));
        for n in 0..20 {
            t.inject(seg(".", 3001 + n * 2000, 1, 1000));
        }
        let _ = t.output();
        // Somebody else holds the rest.
        account.used = 40_000;
        assert!(account.settle(&mut t.connection) && account.is_exhausted());
        t.connection.give_back(&mut t.world.cx());
        assert_eq!((t.world.mib.tcp_prune_called, t.world.mib.tcp_ofo_pruned), (1, 1));
        assert!(t.connection.rcv.footprint() <= GUARANTEED, "{}", t.connection.rcv.footprint());
        assert_eq!(t.read(9000).unwrap().len(), 1000, "what is in order stays");
        // What was given back comes again, and with memory at hand it is taken.
        t.connection.share = Share::default();
        t.inject(seg(".", 1001, 1, 4000));
        assert_eq!(t.read(9000).unwrap().len(), 5000, "of what was out of order the near end was kept");
    }

    #[test]
    fn without_memory_each_connection_goes_on_with_little() {
        let mut account = Account::new(LIMITS);
        let mut t = Tester::established();
        account.used = 80_000;
        account.settle(&mut t.connection);
        account.settle(&mut t.connection);
        assert_eq!(t.connection.share.allowance, GUARANTEED);
        for n in 0..8 {
            t.inject(seg(".", 1 + n * 1000, 1, 1000));
        }
        assert!(t.world.mib.tcp_rcv_pruned > 0 && t.world.mib.tcp_rcvq_drop == t.world.mib.tcp_rcv_pruned);
        let queued = t.connection.rcv.readable();
        assert!((1000..=GUARANTEED).contains(&queued), "{queued}");
        assert_eq!(
            t.output().last().unwrap(),
            &format!(". 1:1(0) ack {}", queued + 1),
            "the peer learns what was taken"
        );
        t.read(9000).unwrap();
        t.inject(seg(".", 1 + queued as u32, 1, 1000));
        assert_eq!(t.read(9000).unwrap().len(), 1000, "what is read makes room");
        assert_eq!(t.write(10_000), Ok(GUARANTEED));
        assert!(t.write(1).is_err());
    }

    #[test]
    fn how_little_that_is_the_administrator_says() {
        let mut knobs = crate::tcp::Knobs::default();
        knobs.set_sizes("tcp_rmem", [10_000, 131_072, 1 << 20]).unwrap();
        let mut account = Account::new(LIMITS);
        let mut t = Tester::established();
        t.connection.settings.knobs = knobs.into();
        account.used = 80_000;
        account.settle(&mut t.connection);
        assert_eq!(t.connection.share.allowance, 10_000);
        account.inform(&mut t.connection);
        assert_eq!(t.connection.share.allowance, 10_000);
    }
}
