//! What glibc does about names inside itself, where no call of its own can be stood in for.
//!
//! getaddrinfo(3) with AI_ADDRCONFIG asks the kernel which families it has: the kernel is not what the program talks
//! through. The flag is answered here, for the stack. To sort several addresses glibc connects datagram sockets of the
//! kernel's to them and asks for their names; nothing is sent by that, and the kernel's routes only choose the order.
//!
//! libresolv's functions make sockets of the kernel's and would send to the servers of resolv.conf(5): they fail.

use crate::next::next;
use core::ffi::{c_char, c_int};
use libc::addrinfo;

/// `NO_RECOVERY` of netdb.h.
const NO_RECOVERY: c_int = 3;

unsafe extern "C" {
    fn __h_errno_location() -> *mut c_int;
}

/// getaddrinfo(3). The stack has IPv4 alone, so that is what AI_ADDRCONFIG leaves of "any family".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    to: *mut *mut addrinfo,
) -> c_int {
    let mut ours: addrinfo;
    let mut hints = hints;
    // SAFETY: the caller's own hints, which are read and not kept.
    unsafe {
        if !hints.is_null() && (*hints).ai_flags & libc::AI_ADDRCONFIG != 0 {
            ours = hints.read();
            ours.ai_flags &= !libc::AI_ADDRCONFIG;
            if ours.ai_family == libc::AF_UNSPEC {
                ours.ai_family = libc::AF_INET;
            }
            hints = &raw const ours;
        }
    }
    next!(
        c"getaddrinfo" as fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int,
        name,
        service,
        hints,
        to
    )
}

/// Fails as resolver(3) does. Whatever the arguments are, they are not looked at.
fn refuse() -> c_int {
    // SAFETY: h_errno is the calling thread's own.
    unsafe { *__h_errno_location() = NO_RECOVERY };
    crate::fail(sockeye_shim::Errno(libc::ENETDOWN))
}

macro_rules! refused {
    ($($name:ident)*) => {$(
        #[doc = concat!(stringify!($name), "(3): not served.")]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_int {
            refuse()
        }
    )*};
}

refused! {
    res_query res_search res_querydomain res_send
    res_nquery res_nsearch res_nquerydomain res_nsend
    __res_query __res_search __res_querydomain __res_send
    __res_nquery __res_nsearch __res_nquerydomain __res_nsend
}
