//! Initial sequence numbers (RFC 6528, RFC 9293 section 3.4.1) and the offset of the timestamp clock (RFC 7323 section
//! 5.4).

use crate::{addr::Flow, rng::Key, time::Instant, wire::seq::SeqNum};

/// Nanoseconds of one tick of the clock in initial sequence numbers. The RFCs' tick of 4 us stays ahead of a previous
/// connection that sent 250 kB/s; Linux's, followed here, of one that sent 16 MB/s, and still takes more than two
/// maximum segment lifetimes to come around.
const TICK: u64 = 64;

/// The initial sequence number of a connection: a clock, so that numbers of a flow used again grow, and a keyed hash of
/// the flow, so that nobody who lacks `key` can guess it.
pub fn isn(flow: &Flow, key: &Key, now: Instant) -> SeqNum {
    let clock = (now.as_nanos() / TICK) as u32;
    SeqNum(clock.wrapping_add(key.hash(&("isn", flow)) as u32))
}

/// What is added to the clock of a connection's timestamps: they tell neither up-time nor one flow from another, but
/// grow over the lives of one flow, which TIME-WAIT needs to be cut short (RFC 6191).
pub fn timestamp_offset(flow: &Flow, key: &Key) -> u32 {
    key.hash(&("timestamps", flow)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{addr::Endpoint, rng::SeededRng};

    fn flow(port: u16) -> Flow {
        let end = |port| Endpoint::new("10.0.0.1".parse().unwrap(), port);
        Flow { local: end(port), remote: end(80) }
    }

    #[test]
    fn numbers_of_one_flow_grow_with_the_clock() {
        let key = Key::random(&mut SeededRng::new([1, 1]));
        let first = isn(&flow(1), &key, Instant::from_nanos(1_000_000));
        let later = isn(&flow(1), &key, Instant::from_nanos(2_000_000));
        assert_eq!(later - first, 1_000_000 / 64);
    }

    #[test]
    fn other_flows_and_other_keys_have_other_numbers() {
        let mut rng = SeededRng::new([2, 2]);
        let (key, other) = (Key::random(&mut rng), Key::random(&mut rng));
        let now = Instant::ZERO;
        assert_ne!(isn(&flow(1), &key, now), isn(&flow(2), &key, now));
        assert_ne!(isn(&flow(1), &key, now), isn(&flow(1), &other, now));
        assert_ne!(timestamp_offset(&flow(1), &key), timestamp_offset(&flow(2), &key));
        assert_ne!(timestamp_offset(&flow(1), &key), isn(&flow(1), &key, now).0);
    }
}
