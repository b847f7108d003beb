//! What POSIX means: descriptors, flags, blocking, options, poll, select and epoll. No C types; memory of the
//! application is named by address and touched through [`crate::sys::user`] only.
//!
//! Threads can be cancelled inside calls that block. The cancellation unwinds through the frames here, so nothing with
//! a destructor is alive where a thread may sleep: a call works with a copied [`file::Handle`], reaches the
//! application's buffers through windows without a destructor, and turns panics into EIO inside the closures that act
//! on the stack, where nobody sleeps.
#![forbid(unsafe_code)]

pub mod accept;
pub mod address;
pub mod ancillary;
pub mod bind;
pub mod close;
pub mod congestion;
pub mod connect;
pub mod detached;
pub mod dup;
pub mod epoll;
pub mod errno;
pub mod fcntl;
pub mod file;
pub mod inspect;
pub mod ioctl;
mod listed;
mod nested;
pub mod open;
pub mod options;
pub mod poll;
mod pollable;
pub mod recv;
pub mod select;
pub mod send;
pub mod sendfile;
mod shelf;
pub mod stacks;
pub mod table;

use crate::{
    error::{Error, Result},
    sys::fork,
};

/// Every call on a socket or epoll instance of ours enters here.
///
/// # Errors
/// `NetDown` in a forked child: the stacks are its parent's.
#[inline]
pub fn enter() -> Result<()> {
    if fork::is_child() { Err(Error::NetDown) } else { Ok(()) }
}
