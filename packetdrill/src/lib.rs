//! A Sockeye stack in virtual time for the original packetdrill (`--so_filename`): the thirty-three functions of its
//! `packetdrill.h`, over bare IP packets. `docs/packetdrill.md` says how it is used.
//!
//! packetdrill's main thread moves the time; a call that blocks comes on its second thread, which sleeps in the kernel
//! until the stack wakes it. How the two keep in step is [`sockeye::engine::virtual_time`]'s.

mod bench;
mod calls;
mod flags;
mod interface;
mod interpose;
mod netdev;
mod splice;
mod sysctl;

pub use interface::Interface;
pub use interpose::{close, getsockopt, sendfile, sendfile64, setsockopt};

use bench::Bench;
use std::ffi::{CStr, c_char};

/// Makes a stack as `flags` says (see [`flags`]) and fills in packetdrill's `struct packetdrill_interface`. Flags that
/// are wrong end the process, with a line that says what they should be: there is nobody to tell.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn packetdrill_interface_init(flags: *const c_char, interface: *mut Interface) {
    // packetdrill hands on what --so_flags said: nothing, if it was not there.
    let flags = if flags.is_null() {
        String::new()
    } else {
        // SAFETY: not null, and the caller's C string.
        unsafe { CStr::from_ptr(flags) }.to_string_lossy().into_owned()
    };
    match flags::parse(&flags) {
        // SAFETY: the caller's own structure, to be filled in.
        Ok(config) => unsafe { interface.write(Interface::of(Bench::new(config))) },
        Err(text) => {
            eprintln!("libsockeye_packetdrill: {text}");
            std::process::exit(1);
        }
    }
}
