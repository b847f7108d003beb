//! Socket addresses to and from the application's memory.

use crate::{
    error::Result,
    socket::address::{Address, MAX_LEN},
    sys::user,
};
use std::ffi::c_int;

/// A copy of an address of the application.
#[derive(Copy, Clone)]
pub(super) struct Given {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Given {
    /// Copies it in. `len` is the application's `socklen_t`.
    ///
    /// # Errors
    /// `Invalid` for an impossible length, `Fault`.
    pub(super) fn read(addr: usize, len: libc::socklen_t) -> Result<Self> {
        let len = user::length(len as c_int)?;
        let mut this = Self { bytes: [0; MAX_LEN], len };
        let place = this.bytes.get_mut(..len).ok_or(crate::error::Error::Invalid)?;
        user::read_bytes(addr, place)?;
        Ok(this)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Copies an address out, cut to the room there is, and sets the length to the whole address's.
///
/// # Errors
/// `Invalid` for a negative length, `Fault`.
pub(super) fn write(address: Option<&Address>, addr: usize, len: usize) -> Result<()> {
    let bytes = address.map_or(&[][..], Address::bytes);
    let room = user::length(user::read::<c_int>(len)?)?;
    user::write_bytes(addr, &bytes[..room.min(bytes.len())])?;
    user::write(len, bytes.len() as u32)
}
