//! An algorithm with a mistake in it, for tests of what a panic ends. It has no place among the names.

use super::{AckSample, Controller, initial_window};
use crate::time::{Duration, Instant};

/// Where the mistake is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Place {
    Acknowledgement,
    Timer,
    Sending,
    Setting,
}

/// The names, by where the mistake is: when an acknowledgement comes, a timer runs out, data is sent, an option is set.
pub const FAULTS: [&str; 4] = ["faulty-ack", "faulty-timer", "faulty-send", "faulty-set"];
const PLACES: [Place; 4] = [Place::Acknowledgement, Place::Timer, Place::Sending, Place::Setting];

/// The algorithm: a window that stays as it is.
#[derive(Clone, Debug)]
pub struct Faulty {
    place: Place,
    window: u32,
}

impl Faulty {
    /// The one of this name.
    pub fn named(name: &str, mss: u16) -> Option<Self> {
        let at = FAULTS.iter().position(|fault| *fault == name)?;
        Some(Self { place: PLACES[at], window: initial_window(mss) })
    }

    fn pass(&self, place: Place) {
        assert!(self.place != place, "a mistake made for a test");
    }
}

impl Controller for Faulty {
    fn window(&self) -> u32 {
        self.window
    }

    fn ssthresh(&self) -> u32 {
        u32::MAX
    }

    fn on_ack(&mut self, _ack: &AckSample) {
        self.pass(Place::Acknowledgement);
    }

    fn on_loss(&mut self, _in_flight: u32, _now: Instant) {}

    fn on_ecn(&mut self, _in_flight: u32, _now: Instant) {}

    fn on_recovered(&mut self, _now: Instant) {}

    fn on_rto(&mut self, _in_flight: u32, _now: Instant) {
        self.pass(Place::Timer);
    }

    fn undo(&mut self, _now: Instant) {}

    fn on_idle(&mut self, _idle: Duration) {}

    fn on_restart(&mut self, _idle: Duration, _rto: Duration) {}

    fn on_unused(&mut self, _used: u32) {}

    fn on_handshake_lost(&mut self) {}

    fn set_mss(&mut self, _mss: u16) {
        self.pass(Place::Setting);
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.pass(Place::Sending);
        None
    }
}
