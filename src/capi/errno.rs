//! errno of every failure.

use crate::error::Error;
use std::ffi::c_int;

/// The errno of a failure: the one place where they meet.
pub fn of(error: Error) -> c_int {
    match error {
        Error::WouldBlock => libc::EAGAIN,
        Error::Interrupted => libc::EINTR,
        Error::InProgress => libc::EINPROGRESS,
        Error::Already => libc::EALREADY,
        Error::IsConnected => libc::EISCONN,
        Error::NotConnected => libc::ENOTCONN,
        Error::ConnectionRefused => libc::ECONNREFUSED,
        Error::ConnectionReset => libc::ECONNRESET,
        Error::ConnectionAborted => libc::ECONNABORTED,
        Error::TimedOut => libc::ETIMEDOUT,
        Error::BrokenPipe => libc::EPIPE,
        Error::HostUnreachable => libc::EHOSTUNREACH,
        Error::HostDown => libc::EHOSTDOWN,
        Error::NetUnreachable => libc::ENETUNREACH,
        Error::NetDown => libc::ENETDOWN,
        Error::AddrInUse => libc::EADDRINUSE,
        Error::AddrNotAvailable => libc::EADDRNOTAVAIL,
        Error::DestinationRequired => libc::EDESTADDRREQ,
        Error::MessageTooLong => libc::EMSGSIZE,
        Error::Invalid => libc::EINVAL,
        Error::NotSupported => libc::EOPNOTSUPP,
        Error::NoProtocolOption => libc::ENOPROTOOPT,
        Error::ProtocolNotSupported => libc::EPROTONOSUPPORT,
        Error::WrongProtocolType => libc::EPROTOTYPE,
        Error::ProtocolError => libc::EPROTO,
        Error::SocketTypeNotSupported => libc::ESOCKTNOSUPPORT,
        Error::FamilyNotSupported => libc::EAFNOSUPPORT,
        Error::BadDescriptor => libc::EBADF,
        Error::NotSocket => libc::ENOTSOCK,
        Error::Fault => libc::EFAULT,
        Error::AccessDenied => libc::EACCES,
        Error::NotPermitted => libc::EPERM,
        Error::TooManyFiles => libc::EMFILE,
        Error::FileTableFull => libc::ENFILE,
        Error::NoBuffers => libc::ENOBUFS,
        Error::NoMemory => libc::ENOMEM,
        Error::NoDevice => libc::ENODEV,
        Error::Busy => libc::EBUSY,
        Error::Io => libc::EIO,
        Error::OutOfDomain => libc::EDOM,
        Error::NotTty => libc::ENOTTY,
        Error::Exists => libc::EEXIST,
        Error::NotFound => libc::ENOENT,
        Error::TooManyLevels => libc::ELOOP,
    }
}

/// Sets the calling thread's errno.
pub fn set(error: Error) {
    // SAFETY: errno's place is the calling thread's own.
    unsafe { *libc::__errno_location() = of(error) };
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
