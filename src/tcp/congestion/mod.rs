//! Congestion control: how much may be in flight. One algorithm a file; a connection holds one of them by value.

pub mod bbr;
pub mod bbr1;
pub mod cubic;
#[cfg(test)]
pub mod faulty;
pub mod hystart;
pub mod reno;
pub mod used;
pub mod window;

use crate::{
    tcp::rate::RateSample,
    time::{Duration, Instant},
};
use bbr::Bbr;
use bbr1::Bbr1;
use cubic::Cubic;
use reno::Reno;

/// The algorithm of a socket that asks for none (as Linux).
pub const DEFAULT: &str = "cubic";

/// The largest window: what the largest window scale can advertise (RFC 7323 section 2.3).
pub const MAX_WINDOW: u32 = 1 << 30;

/// What an acknowledgement says.
#[derive(Copy, Clone, Debug, Default)]
pub struct AckSample {
    /// Bytes newly acknowledged, cumulatively or by SACK.
    pub acked: u32,
    /// It acknowledges new data cumulatively; where reordering is known, also if it reports some by SACK (as Linux).
    pub advanced: bool,
    /// The congestion window was not made use of: it says nothing about the network that this much got through (RFC
    /// 7661).
    pub unused: bool,
    /// Bytes in flight before this acknowledgement.
    pub in_flight: u32,
    /// The sender had less to send (or the peer's window took less) than the congestion window allowed.
    pub app_limited: bool,
    /// Bytes of which the peer tells that they were marked, about; `None` if it does not count them (RFC 9768).
    pub marked: Option<u32>,
    /// The round-trip time this acknowledgement measured.
    pub rtt: Option<Duration>,
    /// The shortest round trip of the path.
    pub min_rtt: Option<Duration>,
    /// What was delivered, and how fast.
    pub rate: RateSample,
    /// The time.
    pub now: Instant,
}

/// A congestion control algorithm. All amounts are bytes.
///
/// "In flight" is RFC 6675's pipe: what is sent and neither acknowledged nor known to have left the network (by SACK,
/// or one segment for each duplicate acknowledgement where there is no SACK). The window is therefore never inflated.
pub trait Controller {
    /// The congestion window.
    fn window(&self) -> u32;

    /// The slow start threshold; `u32::MAX` before the first loss.
    fn ssthresh(&self) -> u32;

    /// Something was acknowledged, cumulatively or by SACK.
    fn on_ack(&mut self, ack: &AckSample);

    /// A loss was detected (not by time-out) with `in_flight` bytes in flight: fast recovery begins. Called once for
    /// all losses of one window.
    fn on_loss(&mut self, in_flight: u32, now: Instant);

    /// The peer echoed congestion marks (RFC 3168 section 6.1.2) with `in_flight` bytes in flight. Called once for all
    /// marks of one window; [`Controller::on_recovered`] ends it.
    fn on_ecn(&mut self, in_flight: u32, now: Instant);

    /// Everything that was in flight at the loss (or time-out) is acknowledged: recovery is over.
    fn on_recovered(&mut self, now: Instant);

    /// The retransmission timer ran out with `in_flight` bytes in flight.
    fn on_rto(&mut self, in_flight: u32, now: Instant);

    /// The last loss or time-out turns out not to have been one: the window is as it was before.
    fn undo(&mut self, now: Instant);

    /// Nothing was in flight for `idle`, and data is to be sent now.
    fn on_idle(&mut self, idle: Duration);

    /// Nothing was sent for `idle`, and the application writes again: the window decays (RFC 2861 section 2.2).
    fn on_restart(&mut self, idle: Duration, rto: Duration);

    /// For a whole time-out no more than `used` bytes of the window were in flight.
    fn on_unused(&mut self, used: u32);

    /// The SYN or SYN-ACK was lost: the first window is one segment (RFC 6928 section 2).
    fn on_handshake_lost(&mut self);

    /// The maximum segment size is now `mss`.
    fn set_mss(&mut self, mss: u16);

    /// Whether fast recovery sends in proportion to what is delivered (RFC 9937) until the window is down to the
    /// threshold; an algorithm that sets its window itself in recovery says no.
    fn is_reduced_in_proportion(&self) -> bool {
        true
    }

    /// Bytes a second at which segments should leave; `None` if the algorithm does not pace.
    fn pacing_rate(&self) -> Option<u64> {
        None
    }
}

macro_rules! controllers {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The algorithms' names, as TCP_CONGESTION has them.
        pub const NAMES: &[&str] = &[$($text,)*];

        /// One of the algorithms.
        #[derive(Clone, Debug)]
        pub enum AnyController {
            $($(#[$doc])* $name($name),)*
            /// For tests, without a place among the names.
            #[cfg(test)]
            Faulty(faulty::Faulty),
        }

        impl AnyController {
            /// The algorithm called `name` at the start of a connection; `None` if there is none of that name.
            pub fn named(name: &str, mss: u16) -> Option<Self> {
                match name {
                    $($text => Some(Self::$name($name::new(mss))),)*
                    #[cfg(test)]
                    fault => faulty::Faulty::named(fault, mss).map(Self::Faulty),
                    #[cfg(not(test))]
                    _ => None,
                }
            }

            /// The algorithm's name.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                    #[cfg(test)]
                    Self::Faulty(_) => "faulty",
                }
            }
        }

        /// Passes a call on to the algorithm.
        macro_rules! each {
            ($any:expr, $controller:ident => $call:expr) => {
                match $any {
                    $(AnyController::$name($controller) => $call,)*
                    #[cfg(test)]
                    AnyController::Faulty($controller) => $call,
                }
            };
        }
    };
}

controllers! {
    /// Version 3 (draft-ietf-ccwg-bbr).
    Bbr = "bbr",
    /// Version 3 without its answer to losses.
    Bbr1 = "bbr1",
    /// RFC 9438, with RFC 9406.
    Cubic = "cubic",
    /// RFC 5681, with RFC 3465 and 6582.
    Reno = "reno",
}

impl Controller for AnyController {
    fn window(&self) -> u32 {
        each!(self, it => it.window())
    }

    fn ssthresh(&self) -> u32 {
        each!(self, it => it.ssthresh())
    }

    fn on_ack(&mut self, ack: &AckSample) {
        each!(self, it => it.on_ack(ack));
    }

    fn on_loss(&mut self, in_flight: u32, now: Instant) {
        each!(self, it => it.on_loss(in_flight, now));
    }

    fn on_ecn(&mut self, in_flight: u32, now: Instant) {
        each!(self, it => it.on_ecn(in_flight, now));
    }

    fn on_recovered(&mut self, now: Instant) {
        each!(self, it => it.on_recovered(now));
    }

    fn on_rto(&mut self, in_flight: u32, now: Instant) {
        each!(self, it => it.on_rto(in_flight, now));
    }

    fn undo(&mut self, now: Instant) {
        each!(self, it => it.undo(now));
    }

    fn on_idle(&mut self, idle: Duration) {
        each!(self, it => it.on_idle(idle));
    }

    fn on_restart(&mut self, idle: Duration, rto: Duration) {
        each!(self, it => it.on_restart(idle, rto));
    }

    fn on_unused(&mut self, used: u32) {
        each!(self, it => it.on_unused(used));
    }

    fn on_handshake_lost(&mut self) {
        each!(self, it => it.on_handshake_lost());
    }

    fn set_mss(&mut self, mss: u16) {
        each!(self, it => it.set_mss(mss));
    }

    fn is_reduced_in_proportion(&self) -> bool {
        each!(self, it => it.is_reduced_in_proportion())
    }

    fn pacing_rate(&self) -> Option<u64> {
        each!(self, it => it.pacing_rate())
    }
}

/// The first window: ten segments. RFC 6928 section 2 stops at 14,600 bytes; as Linux, segments of any size count
/// alike.
pub fn initial_window(mss: u16) -> u32 {
    10 * u32::from(mss)
}

#[cfg(test)]
mod any_size;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_makes_its_algorithm_and_others_none() {
        for name in NAMES {
            assert_eq!(AnyController::named(name, 1460).unwrap().name(), *name);
        }
        assert!(AnyController::named("vegas", 1460).is_none());
    }

    #[test]
    fn the_initial_window_is_that_of_rfc_6928() {
        for (mss, window) in [(536, 5_360), (1460, 14_600), (1448, 14_480), (4000, 40_000), (8960, 89_600)] {
            assert_eq!(initial_window(mss), window, "MSS {mss}");
        }
    }
}
