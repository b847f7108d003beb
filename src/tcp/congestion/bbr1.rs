//! BBR without an answer to losses and marks, as its version 1 had none: for paths that lose by themselves what version
//! 3 takes for congestion (above 2 %). All else is version 3's.

use super::{
    AckSample, Controller,
    bbr::{Bbr, BbrInfo},
};
use crate::time::{Duration, Instant};

/// BBR that heeds no loss.
#[derive(Clone, Debug)]
pub struct Bbr1(Bbr);

impl Bbr1 {
    /// The state at the start of a connection.
    pub fn new(mss: u16) -> Self {
        Self(Bbr::heedless(mss))
    }

    /// What it tells of itself.
    pub fn info(&self) -> BbrInfo {
        self.0.info()
    }
}

impl Controller for Bbr1 {
    fn window(&self) -> u32 {
        self.0.window()
    }

    fn ssthresh(&self) -> u32 {
        self.0.ssthresh()
    }

    fn on_ack(&mut self, ack: &AckSample) {
        self.0.on_ack(ack);
    }

    fn on_loss(&mut self, in_flight: u32, now: Instant) {
        self.0.on_loss(in_flight, now);
    }

    fn on_ecn(&mut self, in_flight: u32, now: Instant) {
        // No more than a loss.
        self.0.on_loss(in_flight, now);
    }

    fn on_recovered(&mut self, now: Instant) {
        self.0.on_recovered(now);
    }

    fn on_rto(&mut self, in_flight: u32, now: Instant) {
        self.0.on_rto(in_flight, now);
    }

    fn undo(&mut self, now: Instant) {
        self.0.undo(now);
    }

    fn on_idle(&mut self, idle: Duration) {
        self.0.on_idle(idle);
    }

    fn on_restart(&mut self, idle: Duration, rto: Duration) {
        self.0.on_restart(idle, rto);
    }

    fn on_unused(&mut self, used: u32) {
        self.0.on_unused(used);
    }

    fn on_handshake_lost(&mut self) {
        self.0.on_handshake_lost();
    }

    fn set_mss(&mut self, mss: u16) {
        self.0.set_mss(mss);
    }

    fn is_reduced_in_proportion(&self) -> bool {
        self.0.is_reduced_in_proportion()
    }

    fn pacing_rate(&self) -> Option<u64> {
        self.0.pacing_rate()
    }
}
