//! The failures a socket call can end with, by the name of their cause. The C layer maps each to its errno.

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// Why a call failed. Each variant is one errno of the man pages.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
        pub enum Error { $($(#[$doc])* $name,)* }

        impl Error {
            /// Every variant, for tests over the whole table.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }

        impl std::fmt::Display for Error {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$name => $text,)* })
            }
        }
    };
}

errors! {
    /// EAGAIN
    WouldBlock => "operation would block",
    /// EINTR
    Interrupted => "interrupted by a signal",
    /// EINPROGRESS
    InProgress => "connection in progress",
    /// EALREADY
    Already => "connection already in progress",
    /// EISCONN
    IsConnected => "already connected",
    /// ENOTCONN
    NotConnected => "not connected",
    /// ECONNREFUSED
    ConnectionRefused => "connection refused",
    /// ECONNRESET
    ConnectionReset => "connection reset by peer",
    /// ECONNABORTED
    ConnectionAborted => "connection aborted",
    /// ETIMEDOUT
    TimedOut => "connection timed out",
    /// EPIPE
    BrokenPipe => "broken pipe",
    /// EHOSTUNREACH
    HostUnreachable => "no route to host",
    /// EHOSTDOWN
    HostDown => "host is down",
    /// ENETUNREACH
    NetUnreachable => "network is unreachable",
    /// ENETDOWN
    NetDown => "network is down",
    /// EADDRINUSE
    AddrInUse => "address already in use",
    /// EADDRNOTAVAIL
    AddrNotAvailable => "cannot assign requested address",
    /// EDESTADDRREQ
    DestinationRequired => "destination address required",
    /// EMSGSIZE
    MessageTooLong => "message too long",
    /// EINVAL
    Invalid => "invalid argument",
    /// EOPNOTSUPP
    NotSupported => "operation not supported",
    /// ENOPROTOOPT
    NoProtocolOption => "protocol option not available",
    /// EPROTONOSUPPORT
    ProtocolNotSupported => "protocol not supported",
    /// EPROTOTYPE
    WrongProtocolType => "protocol wrong type for socket",
    /// EPROTO
    ProtocolError => "protocol error",
    /// ESOCKTNOSUPPORT
    SocketTypeNotSupported => "socket type not supported",
    /// EAFNOSUPPORT
    FamilyNotSupported => "address family not supported",
    /// EBADF
    BadDescriptor => "bad file descriptor",
    /// ENOTSOCK
    NotSocket => "not a socket",
    /// EFAULT
    Fault => "bad address",
    /// EACCES
    AccessDenied => "permission denied",
    /// EPERM
    NotPermitted => "operation not permitted",
    /// EMFILE
    TooManyFiles => "too many open files",
    /// ENFILE
    FileTableFull => "too many open files in system",
    /// ENOBUFS
    NoBuffers => "no buffer space available",
    /// ENOMEM
    NoMemory => "out of memory",
    /// ENODEV
    NoDevice => "no such device",
    /// EBUSY
    Busy => "device or resource busy",
    /// EIO
    Io => "input/output error",
    /// EDOM
    OutOfDomain => "argument out of domain",
    /// ENOTTY
    NotTty => "inappropriate ioctl for device",
    /// EEXIST
    Exists => "already exists",
    /// ENOENT
    NotFound => "no such entry",
    /// ESPIPE
    NotSeekable => "illegal seek",
    /// ELOOP
    TooManyLevels => "too many levels",
}

impl std::error::Error for Error {}

/// The result of a socket call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
