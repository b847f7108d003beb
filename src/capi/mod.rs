//! The C functions of `include/sockeye.h`: arguments in, a call of [`crate::socket`], errno out.
//!
//! Pointers of the application are addresses here, which [`crate::sys::user`] probes before it uses them; hence no
//! function has more to demand than what the man pages do. A panic in a call that cannot sleep ends as EIO ([`call`]);
//! in one that can, those of the stack end so where it is acted on, and the frames here only pass a cancellation
//! through.
#![allow(clippy::missing_safety_doc, reason = "every pointer is probed; the demands are those of the man pages")]

mod address;
mod descriptor;
mod errno;
mod lifecycle;
mod message;
mod mmsg;
mod receive;
mod send;
mod sendfile;
mod stack;
mod wait;
mod waiting;

pub use descriptor::*;
pub use lifecycle::*;
pub use mmsg::*;
pub use receive::*;
pub use send::*;
pub use sendfile::*;
pub use stack::*;
pub use wait::*;

use crate::{
    error::{Error, Result},
    sys::panics,
};
use std::ffi::c_int;

/// The result of a call that gives a number, as C has it.
fn int(result: Result<c_int>) -> c_int {
    result.unwrap_or_else(|error| {
        errno::set(error);
        -1
    })
}

/// The result of a call that gives nothing.
fn unit(result: Result<()>) -> c_int {
    int(result.map(|()| 0))
}

/// The result of a call that gives a count of bytes.
fn size(result: Result<usize>) -> libc::ssize_t {
    result.map_or_else(
        |error| {
            errno::set(error);
            -1
        },
        crate::sys::user::as_ssize,
    )
}

/// The result of a call that gives a count of descriptors.
fn count(result: Result<usize>) -> c_int {
    int(result.map(|n| c_int::try_from(n).unwrap_or(c_int::MAX)))
}

/// Runs a call that never sleeps.
fn call<R>(act: impl FnOnce() -> Result<R>) -> Result<R> {
    panics::claim_all();
    panics::catch(act).unwrap_or(Err(Error::Io))
}
