//! What an administrator sets for all connections of a stack: Linux's `net.ipv4.tcp_*` by their names and units
//! (Documentation/networking/ip-sysctl.rst).

use std::ops::RangeInclusive;

/// Why a knob was not turned.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum KnobError {
    /// There is none of that name.
    Unknown,
    /// It does not go so far.
    OutOfRange,
}

macro_rules! knobs {
    ($($(#[$doc:meta])* $field:ident = $name:literal, $default:literal, $range:expr;)*) => {
        /// The values of the knobs. A connection keeps those of its beginning.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub struct Knobs { $($(#[$doc])* pub $field: u32,)* }

        impl Default for Knobs {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl Knobs {
            /// Every knob's name, without `net.ipv4.`, and its value.
            pub fn iter(self) -> impl Iterator<Item = (&'static str, u32)> {
                [$(($name, self.$field),)*].into_iter()
            }

            /// The knob called `name` and its range.
            fn find(&mut self, name: &str) -> Option<(&mut u32, RangeInclusive<u32>)> {
                match name {
                    $($name => Some((&mut self.$field, $range)),)*
                    _ => None,
                }
            }
        }
    };
}

knobs! {
    /// Explicit congestion notification: 0 off, 1 ask and accept, 2 accept.
    ecn = "tcp_ecn", 2, 0..=2;
    /// Fast Open: the sum of 1 for clients, 2 for servers, 4 and 0x200 for both without cookies, 0x400 for every listener.
    fastopen = "tcp_fastopen", 1, 0..=u32::MAX;
    /// SYN cookies: 0 never, 1 when a listener's SYN queue is full, 2 always.
    syncookies = "tcp_syncookies", 1, 0..=2;
    /// Time stamps (RFC 7323): 0 none, 1 with a clock of its own for every flow, 2 with the same clock for all.
    timestamps = "tcp_timestamps", 1, 0..=2;
    /// Whether selective acknowledgements (RFC 2018) are offered and accepted.
    sack = "tcp_sack", 1, 0..=1;
    /// Whether window scaling (RFC 7323) is offered and accepted.
    window_scaling = "tcp_window_scaling", 1, 0..=1;
    /// How many of the first retransmissions of a SYN come after the same time, beside those that double it.
    syn_linear_timeouts = "tcp_syn_linear_timeouts", 4, 0..=127;
    /// How often a SYN-ACK is sent again.
    synack_retries = "tcp_synack_retries", 5, 0..=255;
    /// Retransmissions, as time, before a connection is given up (RFC 9293 section 3.8.3, R2).
    retries2 = "tcp_retries2", 15, 0..=255;
    /// The same for a connection without an owner; 0 is 8.
    orphan_retries = "tcp_orphan_retries", 0, 0..=255;
    /// Connections without an owner at most; more are reset.
    max_orphans = "tcp_max_orphans", 16_384, 0..=u32::MAX;
    /// The least time between two answers to segments that are strange, milliseconds.
    invalid_ratelimit = "tcp_invalid_ratelimit", 500, 0..=600_000;
    /// Whether a reset leaves TIME-WAIT as it is (RFC 1337).
    rfc1337 = "tcp_rfc1337", 1, 0..=1;
    /// Whether a handshake that ends while the queue of its listener is full is answered by a reset.
    abort_on_overflow = "tcp_abort_on_overflow", 0, 0..=1;
    /// Whether a SYN that asked for ECN and was lost is sent again without (RFC 3168 section 6.1.1.1).
    ecn_fallback = "tcp_ecn_fallback", 1, 0..=1;
    /// Tail loss probes (RFC 8985 section 7): 3 and 4 send them, the others do not.
    early_retrans = "tcp_early_retrans", 3, 0..=4;
    /// Whether the congestion window decays while nothing is sent (RFC 2861).
    slow_start_after_idle = "tcp_slow_start_after_idle", 1, 0..=1;
    /// The least a frame takes however slow the path is, segments.
    min_tso_segs = "tcp_min_tso_segs", 2, 1..=65_535;
    /// Sending does not wait for a larger frame once this part of the window could be sent; 0 leaves it to the others.
    tso_win_divisor = "tcp_tso_win_divisor", 3, 0..=u32::MAX;
    /// How much faster than a window each round trip is sent in slow start, percent.
    pacing_ss_ratio = "tcp_pacing_ss_ratio", 200, 0..=1000;
    /// And in congestion avoidance.
    pacing_ca_ratio = "tcp_pacing_ca_ratio", 120, 0..=1000;
}

impl Knobs {
    /// Sets the knob called `name`, with or without `net.ipv4.` in front.
    ///
    /// # Errors
    /// [`KnobError`]; nothing has changed then.
    pub fn set(&mut self, name: &str, value: u32) -> Result<(), KnobError> {
        let name = name.strip_prefix("net.ipv4.").unwrap_or(name);
        let (knob, range) = self.find(name).ok_or(KnobError::Unknown)?;
        if !range.contains(&value) {
            return Err(KnobError::OutOfRange);
        }
        *knob = value;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_is_found_by_its_name_and_its_default_is_in_its_range() {
        for (name, value) in Knobs::default().iter() {
            let mut knobs = Knobs::default();
            assert_eq!(knobs.set(&format!("net.ipv4.{name}"), value), Ok(()), "{name}");
            assert_eq!(knobs, Knobs::default(), "{name}");
        }
    }

    #[test]
    fn what_is_not_there_or_too_much_changes_nothing() {
        let mut knobs = Knobs::default();
        assert_eq!(knobs.set("tcp_colour", 1), Err(KnobError::Unknown));
        assert_eq!(knobs.set("tcp_ecn", 77), Err(KnobError::OutOfRange));
        assert_eq!(knobs, Knobs::default());
    }
}
