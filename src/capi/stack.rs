//! Stacks, the version, and the text of configuration errors.

use super::{call, errno, int, unit};
use crate::{
    counters::NAMES,
    error::{Error, Result},
    socket::{open, stacks},
    time::Duration,
};
use std::ffi::{CStr, c_char, c_int};

/// A stack, made by sockeye_stack_new().
#[allow(non_camel_case_types, reason = "its name in C")]
pub struct sockeye_stack(());

/// Makes a stack of its own from a network specification, beside the default one that SOCKEYE_NET describes.
///
/// @param spec  for example "tap:t0,ip=10.0.0.2/24,gw=10.0.0.1"
/// @return the stack, or NULL with errno EINVAL (the specification is wrong, or the interface is of another kind), or
///         the cause in the way: EPERM (this user may not have the device), EBUSY (it is held), ENODEV (there is no
///         /dev/net/tun), EADDRINUSE (another host on the link has an address), EMFILE, ENFILE, ENOMEM, ENOENT or
///         EACCES (the capture file), ENETDOWN (anything else); EFAULT; sockeye_last_error() says what is wrong and how
///         to cure it
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_stack_new(spec: *const c_char) -> *mut sockeye_stack {
    let made = call(|| {
        super::message::text(spec as usize)
            .inspect_err(|_| stacks::note_error("the network specification is no readable text"))
            .and_then(|spec| stacks::create(&spec))
    });
    match made {
        Ok(number) => stacks::address(number) as *mut sockeye_stack,
        Err(error) => {
            errno::set(error);
            std::ptr::null_mut()
        }
    }
}

/// Ends a stack as exit(3) does: closes its sockets, waits until the peers have acknowledged what was sent, for as long
/// as SOCKEYE_EXIT_WAIT says (2 seconds), resets what is left, and lets go of the device. Its descriptors stay open
/// until they are closed; from now on every call on them fails with ENETDOWN but those that are about the descriptor
/// alone (sockeye_close, dup, F_DUPFD, F_GETFD, F_SETFD), and poll, select and epoll show ERR and HUP. NULL is no stack
/// and does nothing.
///
/// @param stack  from sockeye_stack_new(); must not be used afterwards
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_stack_free(stack: *mut sockeye_stack) {
    // Who wants to know how it went gives a limit.
    let _: Result<()> = call(|| stacks::free(stacks::at_address(stack as usize)?, None));
}

/// Like sockeye_stack_free(), with a limit of one's own to the wait. Without any time nothing is closed first: every
/// connection is reset.
///
/// @param stack         from sockeye_stack_new(); must not be used afterwards
/// @param milliseconds  how long to wait at most; negative: until everything is acknowledged or its connection has
///         failed
/// @return 0, or -1 with errno ETIMEDOUT (the time was over and something was reset; the stack is freed all the same),
///         EINVAL (no such stack) or ENETDOWN (after fork: the stack is the parent's)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_stack_free_within(stack: *mut sockeye_stack, milliseconds: c_int) -> c_int {
    let limit = u64::try_from(milliseconds).map_or(Duration::MAX, Duration::from_millis);
    unit(call(|| stacks::free(stacks::at_address(stack as usize)?, Some(limit))))
}

/// Like sockeye_socket(), on a stack of one's own.
///
/// @param stack     from sockeye_stack_new()
/// @param domain    AF_INET; or AF_INET6, which takes :: and mapped IPv4 addresses, and fails with EADDRNOTAVAIL
///                  for most others, as there is no IPv6 on the wire
/// @param type      SOCK_STREAM or SOCK_DGRAM, with SOCK_NONBLOCK and SOCK_CLOEXEC
/// @param protocol  0, or IPPROTO_TCP or IPPROTO_UDP
/// @return a descriptor, or -1 with errno EINVAL (also for a stack that is none) or as socket(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_msocket(
    stack: *mut sockeye_stack,
    domain: c_int,
    r#type: c_int,
    protocol: c_int,
) -> c_int {
    int(call(|| open::socket_in(stacks::at_address(stack as usize)?, domain, r#type, protocol)))
}

/// What a stack has counted, under the names of nstat(8): "TcpRetransSegs", "TcpExtTCPTimeouts" and so on.
///
/// @param stack  from sockeye_stack_new(), or NULL for the default one
/// @param name   one of those that sockeye_counter_name() lists
/// @return the count since the stack was made, or -1 with errno ENOENT (there is no such counter), EINVAL (no such
///         stack), ENETDOWN (no default stack can be made) or EFAULT
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_counter(stack: *mut sockeye_stack, name: *const c_char) -> i64 {
    let count = call(|| {
        let stack = if stack.is_null() { stacks::default() } else { stacks::at_address(stack as usize) };
        stacks::counter(stack?, &super::message::text(name as usize)?)
    });
    count.map_or_else(
        |error| {
            errno::set(error);
            -1
        },
        |count| i64::try_from(count).unwrap_or(i64::MAX),
    )
}

/// The names of the counters, in the order of nstat(8)'s groups.
///
/// @param index  from 0 on
/// @return a constant text; NULL behind the last one
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_counter_name(index: usize) -> *const c_char {
    NAMES.get(index).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// What was wrong with the last specification this thread used, with its cure: set when sockeye_stack_new() fails, and
/// when sockeye_socket() fails with ENETDOWN because there is no default stack.
///
/// @return the text, which stays valid until this thread's next such failure; NULL if there was none
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_last_error() -> *const c_char {
    let text = call(|| stacks::last_error(|text| text.map(|text| text.as_ptr())).ok_or(Error::Io));
    text.ok().flatten().unwrap_or(std::ptr::null())
}

/// The library's version, for example "0.1.0".
///
/// @return a constant text
#[unsafe(no_mangle)]
pub extern "C-unwind" fn sockeye_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}
