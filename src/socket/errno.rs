//! errno of every failure: the one table of them.

use crate::error::Error;
use std::ffi::c_int;

macro_rules! errnos {
    ($($error:ident => $errno:ident,)*) => {
        /// The errno of a failure: the one place where they meet.
        pub const fn of(error: Error) -> c_int {
            match error { $(Error::$error => libc::$errno,)* }
        }
    };
}

errnos! {
    WouldBlock => EAGAIN,
    Interrupted => EINTR,
    InProgress => EINPROGRESS,
    Already => EALREADY,
    IsConnected => EISCONN,
    NotConnected => ENOTCONN,
    ConnectionRefused => ECONNREFUSED,
    ConnectionReset => ECONNRESET,
    ConnectionAborted => ECONNABORTED,
    TimedOut => ETIMEDOUT,
    BrokenPipe => EPIPE,
    HostUnreachable => EHOSTUNREACH,
    HostDown => EHOSTDOWN,
    NetUnreachable => ENETUNREACH,
    NetDown => ENETDOWN,
    AddrInUse => EADDRINUSE,
    AddrNotAvailable => EADDRNOTAVAIL,
    DestinationRequired => EDESTADDRREQ,
    MessageTooLong => EMSGSIZE,
    Invalid => EINVAL,
    NotSupported => EOPNOTSUPP,
    NoProtocolOption => ENOPROTOOPT,
    ProtocolNotSupported => EPROTONOSUPPORT,
    WrongProtocolType => EPROTOTYPE,
    ProtocolError => EPROTO,
    SocketTypeNotSupported => ESOCKTNOSUPPORT,
    FamilyNotSupported => EAFNOSUPPORT,
    BadDescriptor => EBADF,
    NotSocket => ENOTSOCK,
    Fault => EFAULT,
    AccessDenied => EACCES,
    NotPermitted => EPERM,
    TooManyFiles => EMFILE,
    FileTableFull => ENFILE,
    NoBuffers => ENOBUFS,
    NoMemory => ENOMEM,
    NoDevice => ENODEV,
    Busy => EBUSY,
    Io => EIO,
    OutOfDomain => EDOM,
    NotTty => ENOTTY,
    Exists => EEXIST,
    NotFound => ENOENT,
    NotSeekable => ESPIPE,
    TooManyLevels => ELOOP,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_an_errno_of_its_own() {
        let mut all: Vec<_> = Error::ALL.iter().map(|error| of(*error)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), Error::ALL.len());
    }
}
