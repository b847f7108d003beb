//! What an administrator sets for all connections of a stack: Linux's `net.ipv4.tcp_*` by their names and units
//! (Documentation/networking/ip-sysctl.rst).

use super::settings::MAX_BUFFER;
use std::{fmt, ops::RangeInclusive};

/// Why a knob was not turned.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum KnobError {
    /// There is none of that name.
    Unknown,
    /// It does not go so far.
    OutOfRange,
}

/// The least, the first and the largest size of a socket buffer, bytes as Linux counts them: those of the payload and
/// as many again for what it is kept in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// What it is never less than.
    pub least: u32,
    /// What it begins with.
    pub first: u32,
    /// What it grows to at most.
    pub most: u32,
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { least, first, most } = self;
        write!(f, "{least}/{first}/{most}")
    }
}

/// net.core.rmem_max, bytes.
pub const RMEM_MAX: u32 = 4 << 20;

macro_rules! knobs {
    ($($(#[$doc:meta])* $field:ident = $name:literal, $default:literal, $range:expr;)*) => {
        /// The values of the knobs. A connection keeps those of its beginning.
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub struct Knobs {
            $($(#[$doc])* pub $field: u32,)*
            /// Receive buffers (`tcp_rmem`).
            pub rmem: Sizes,
            /// Send buffers (`tcp_wmem`), whose payload may fill them; the least is nowhere looked at.
            pub wmem: Sizes,
        }

        impl Default for Knobs {
            fn default() -> Self {
                Self {
                    $($field: $default,)*
                    rmem: Sizes { least: 4096, first: 131_072, most: 33_554_432 },
                    wmem: Sizes { least: 4096, first: 16_384, most: MAX_BUFFER as u32 },
                }
            }
        }

        impl Knobs {
            /// Every knob's name, without `net.ipv4.`, and its value.
            pub fn iter(self) -> impl Iterator<Item = (&'static str, u32)> {
                [$(($name, self.$field),)*].into_iter()
            }

            /// The names of all, without `net.ipv4.`, those of three numbers last.
            pub fn names() -> impl Iterator<Item = &'static str> {
                [$($name,)* "tcp_rmem", "tcp_wmem"].into_iter()
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
    /// Explicit congestion notification: 0 off, 1 ask and accept, 2 accept; the accurate one (RFC 9768): 3 ask and
    /// accept, 4 accept and ask for the other, 5 accept.
    ecn = "tcp_ecn", 2, 0..=5;
    /// The option of accurate ECN: 0 never, 1 sparingly, 2 wherever it fits, 3 even if it seems to be dropped on the
    /// way.
    ecn_option = "tcp_ecn_option", 2, 0..=3;
    /// How often in a round trip the option is sent where it is sent sparingly; 0 is no more often than it must be.
    ecn_option_beacon = "tcp_ecn_option_beacon", 3, 0..=4;
    /// Fast Open: the sum of 1 for clients, 2 for servers, 4 and 0x200 for both without cookies, 0x400 for every
    /// listener.
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
    /// How often a SYN is sent again (and those, if TCP_SYNCNT does not say).
    syn_retries = "tcp_syn_retries", 6, 1..=127;
    /// How often a SYN-ACK is sent again (if the listener's TCP_SYNCNT does not say).
    synack_retries = "tcp_synack_retries", 5, 0..=255;
    /// Retransmissions, as time, before a connection is given up (RFC 9293 section 3.8.3, R2).
    retries2 = "tcp_retries2", 15, 0..=255;
    /// The same for a connection without an owner; 0 is 8.
    orphan_retries = "tcp_orphan_retries", 0, 0..=255;
    /// Connections without an owner at most; more are reset.
    max_orphans = "tcp_max_orphans", 16_384, 0..=u32::MAX;
    /// Connections in TIME-WAIT at most; more end at once.
    max_tw_buckets = "tcp_max_tw_buckets", 131_072, 0..=u32::MAX;
    /// How long an orphan waits for the peer's FIN (unless TCP_LINGER2 says), seconds.
    fin_timeout = "tcp_fin_timeout", 60, 1..=2_147_483;
    /// How much may be queued and not sent (unless TCP_NOTSENT_LOWAT says), bytes; the default is any.
    notsent_lowat = "tcp_notsent_lowat", 4_294_967_295, 0..=u32::MAX;
    /// The least time between two answers to segments that are strange, milliseconds.
    invalid_ratelimit = "tcp_invalid_ratelimit", 500, 0..=600_000;
    /// Whether a reset leaves TIME-WAIT as it is (RFC 1337).
    rfc1337 = "tcp_rfc1337", 1, 0..=1;
    /// Packetization-layer path MTU discovery (RFC 4821): 0 never, 1 when a path swallows segments, 2 always.
    mtu_probing = "tcp_mtu_probing", 0, 0..=2;
    /// Where the search for a path's MTU begins, as a segment size, bytes.
    base_mss = "tcp_base_mss", 1024, 1..=u32::MAX;
    /// The least a peer's MSS or a path's MTU can make a segment, bytes with options.
    min_snd_mss = "tcp_min_snd_mss", 48, 48..=65_535;
    /// The least a search goes down to when even small segments are swallowed, as a segment size, bytes.
    mtu_probe_floor = "tcp_mtu_probe_floor", 48, 48..=65_535;
    /// How many bytes apart what gets through and what does not may be for the search to be over.
    probe_threshold = "tcp_probe_threshold", 8, 0..=u32::MAX;
    /// How long a search that is over is left alone, seconds.
    probe_interval = "tcp_probe_interval", 600, 0..=u32::MAX;
    /// Whether a SYN that asked for ECN and was lost is sent again without (RFC 3168 section 6.1.1.1).
    ecn_fallback = "tcp_ecn_fallback", 1, 0..=1;
    /// Tail loss probes (RFC 8985 section 7): 3 and 4 send them, the others do not.
    early_retrans = "tcp_early_retrans", 3, 0..=4;
    /// The most a retransmission time-out becomes, milliseconds.
    rto_max_ms = "tcp_rto_max_ms", 120_000, 1000..=120_000;
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
    /// What the knob called `name`, without `net.ipv4.`, takes; `None` for what takes three numbers, or is not there.
    pub fn range(name: &str) -> Option<RangeInclusive<u32>> {
        Self::default().find(name).map(|(_, range)| range)
    }

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

    /// Sets the knob of three numbers called `name`, with or without `net.ipv4.` in front.
    ///
    /// # Errors
    /// [`KnobError`]; nothing has changed then.
    pub fn set_sizes(&mut self, name: &str, [least, first, most]: [u32; 3]) -> Result<(), KnobError> {
        let sizes = match name.strip_prefix("net.ipv4.").unwrap_or(name) {
            "tcp_rmem" => &mut self.rmem,
            "tcp_wmem" => &mut self.wmem,
            _ => return Err(KnobError::Unknown),
        };
        if least == 0 || first == 0 || most == 0 {
            return Err(KnobError::OutOfRange);
        }
        *sizes = Sizes { least, first, most };
        Ok(())
    }

    /// The knobs of three numbers: their names, without `net.ipv4.`, and values.
    pub fn sizes(self) -> [(&'static str, Sizes); 2] {
        [("tcp_rmem", self.rmem), ("tcp_wmem", self.wmem)]
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
        assert_eq!(knobs.set_sizes("tcp_rmem", [4096, 0, 1]), Err(KnobError::OutOfRange));
        assert_eq!(knobs.set_sizes("tcp_ecn", [1, 1, 1]), Err(KnobError::Unknown));
        assert_eq!(knobs, Knobs::default());
    }
}
