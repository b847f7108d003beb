//! Where frames come from and go to.

use crate::{
    buf::{Frame, Packet},
    stack::{Config, iface::Capabilities},
    time::Instant,
};
use std::{io, os::fd::RawFd};

/// A device. All methods may be called from several threads at once, but `recv` by one at a time.
pub trait Device: Send + Sync {
    /// What it can do; fixed for its lifetime.
    fn capabilities(&self) -> Capabilities;

    /// The next received frame, or `None` when there is none now. Never blocks.
    ///
    /// # Errors
    /// The device is gone for good (`io::ErrorKind::NotFound` or other); a device that is only down gives `None`.
    fn recv(&self, now: Instant) -> io::Result<Option<Packet>>;

    /// Sends one frame. A frame the device has no room for is dropped and counted by the caller.
    ///
    /// # Errors
    /// `WouldBlock` when the device is full, EIO when it is down, anything else when it is gone.
    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()>;

    /// A descriptor that polls readable when `recv` may give a frame; `None` for devices in memory.
    fn poll_fd(&self) -> Option<RawFd>;

    /// When [`Device::on_timer`] wants to be called (a link that delays frames), if ever.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The time of [`Device::deadline`] has come: frames that were held back leave now.
    ///
    /// # Errors
    /// As [`Device::send`].
    fn on_timer(&self, _now: Instant) -> io::Result<()> {
        Ok(())
    }
}

/// Opens the device that `config` names, with the link and the capture it asks for around it; none for `null`.
///
/// # Errors
/// A text that names cause and cure.
#[allow(unused_variables, clippy::unimplemented)]
pub fn open(config: &Config) -> Result<Option<Box<dyn Device>>, String> {
    unimplemented!()
}
