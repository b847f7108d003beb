//! What every protocol function may know of the world.

use crate::{counters::Counters, rng::Rng, time::Instant};

/// The time, a source of randomness and the counters: all that a pure function of the core gets from outside.
pub struct Cx<'a> {
    /// The time of this event.
    pub now: Instant,
    /// Randomness.
    pub rng: &'a mut dyn Rng,
    /// The stack's counters.
    pub mib: &'a mut Counters,
}
