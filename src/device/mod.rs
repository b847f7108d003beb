//! Where frames come from and go to.

pub mod capture;
pub mod error;
pub mod impair;
pub mod link;
pub mod none;
pub mod open;
pub mod segment;
pub mod tuntap;
pub mod vnet;

pub use error::OpenError;
pub use open::open;

use crate::{
    buf::{Frame, Packet},
    stack::iface::Capabilities,
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

    /// Sends one frame. A frame the device has no room for is dropped and counted by the caller. What the frame leaves
    /// to be done (checksum, segmentation) is done, by the device or in software, whatever the capabilities say.
    ///
    /// # Errors
    /// `WouldBlock` when the device is full or finds fault with the frame, EIO when it is down, anything else when it
    /// is gone.
    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()>;

    /// A descriptor that polls readable when `recv` may give a frame; `None` for devices in memory.
    fn poll_fd(&self) -> Option<RawFd>;

    /// When [`Device::on_timer`] wants to be called (a link that delays frames), if ever. From that time on
    /// [`Device::recv`] may give frames too, though the descriptor is not readable.
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

    /// Whether frames can pass: an address is probed for only then.
    fn is_up(&self) -> bool {
        true
    }

    /// Whether frames that were sent have not left (a link that delays them).
    fn holds_frames(&self) -> bool {
        false
    }

    /// A datagram passed over the loopback, inside the stack: for a capture, which shows it.
    fn on_loopback(&self, _frame: &Frame, _now: Instant) {}

    /// The stack ends: what was held back leaves now, in its order, and what is buffered (a capture) is written out.
    fn flush(&self) {}
}

impl<D: Device + ?Sized> Device for std::sync::Arc<D> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    fn recv(&self, now: Instant) -> io::Result<Option<Packet>> {
        (**self).recv(now)
    }
    fn send(&self, frame: &Frame, now: Instant) -> io::Result<()> {
        (**self).send(frame, now)
    }
    fn poll_fd(&self) -> Option<RawFd> {
        (**self).poll_fd()
    }
    fn deadline(&self) -> Option<Instant> {
        (**self).deadline()
    }
    fn on_timer(&self, now: Instant) -> io::Result<()> {
        (**self).on_timer(now)
    }
    fn is_up(&self) -> bool {
        (**self).is_up()
    }
    fn holds_frames(&self) -> bool {
        (**self).holds_frames()
    }
    fn on_loopback(&self, frame: &Frame, now: Instant) {
        (**self).on_loopback(frame, now);
    }
    fn flush(&self) {
        (**self).flush();
    }
}
