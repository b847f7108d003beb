//! The device of a stack that has only its loopback: nothing comes from it, and nothing goes to it. A capture of the
//! loopback stands around it.

use super::Device;
use crate::{
    buf::{Frame, Packet},
    stack::{Capabilities, Medium},
    time::Instant,
};
use std::{io, os::fd::RawFd};

/// No device.
pub struct NoDevice;

impl Device for NoDevice {
    fn capabilities(&self) -> Capabilities {
        // What Linux's loopback looks like: Ethernet without addresses.
        Capabilities { medium: Medium::Ethernet, mtu: 65_535, max_frame: 65_535, tx_checksum: false }
    }

    fn recv(&self, _now: Instant) -> io::Result<Option<Packet>> {
        Ok(None)
    }

    fn send(&self, _frame: &Frame, _now: Instant) -> io::Result<()> {
        Ok(())
    }

    fn poll_fd(&self) -> Option<RawFd> {
        None
    }

    fn is_up(&self) -> bool {
        false
    }
}
