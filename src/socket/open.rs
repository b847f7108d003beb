//! socket(2).

use super::{congestion, file::FileRef, stacks, table};
use crate::{
    error::{Error, Result},
    stack::{Family, Protocol},
    sys::placeholder,
};

/// SOCK_MAX of Linux: the first number that is no socket type.
const SOCK_MAX: i32 = 11;
/// IPPROTO_MAX before MPTCP.
const IPPROTO_MAX: i32 = 256;
/// The bits of `type` that are the type.
const SOCK_TYPE_MASK: i32 = 0xf;

/// What `type` asks for besides the type, for socket(2) and accept4(2).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct OpenFlags {
    /// SOCK_NONBLOCK
    pub nonblock: bool,
    /// SOCK_CLOEXEC
    pub cloexec: bool,
}

impl OpenFlags {
    /// Reads SOCK_NONBLOCK and SOCK_CLOEXEC.
    ///
    /// # Errors
    /// `Invalid` for any other bit.
    pub fn parse(flags: i32) -> Result<Self> {
        if flags & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 {
            return Err(Error::Invalid);
        }
        Ok(Self { nonblock: flags & libc::SOCK_NONBLOCK != 0, cloexec: flags & libc::SOCK_CLOEXEC != 0 })
    }
}

/// Judges the arguments of socket(2).
fn judge(domain: i32, kind: i32, protocol: i32) -> Result<(Family, Protocol, OpenFlags)> {
    let flags = OpenFlags::parse(kind & !SOCK_TYPE_MASK)?;
    let kind = kind & SOCK_TYPE_MASK;
    let family = match domain {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return Err(Error::FamilyNotSupported),
    };
    if kind >= SOCK_MAX || !(0..IPPROTO_MAX).contains(&protocol) {
        return Err(Error::Invalid);
    }
    let protocol = match (kind, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Protocol::Tcp,
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Protocol::Udp,
        (libc::SOCK_STREAM | libc::SOCK_DGRAM | libc::SOCK_RAW, _) => return Err(Error::ProtocolNotSupported),
        _ => return Err(Error::SocketTypeNotSupported),
    };
    Ok((family, protocol, flags))
}

/// Opens a socket of the default stack.
///
/// # Errors
/// As socket(2); `NetDown` when there is no default stack.
pub fn socket(domain: i32, kind: i32, protocol: i32) -> Result<i32> {
    super::enter()?;
    judge(domain, kind, protocol)?;
    socket_in(stacks::default()?, domain, kind, protocol)
}

/// Opens a socket of the stack numbered `stack`.
///
/// # Errors
/// As socket(2).
pub fn socket_in(stack: u32, domain: i32, kind: i32, protocol: i32) -> Result<i32> {
    super::enter()?;
    let (family, protocol, flags) = judge(domain, kind, protocol)?;
    open_in(stack, family, protocol, flags)
}

fn open_in(stack: u32, family: Family, protocol: Protocol, flags: OpenFlags) -> Result<i32> {
    let engine = stacks::engine(stack).ok_or(Error::Invalid)?;
    let fd = placeholder::new(flags.cloexec)?;
    let opened = engine.with(|stack, _| {
        let id = stack.open(family, protocol)?;
        // It was found to be right when the stack was made.
        if let (Protocol::Tcp, Ok(Some(congestion))) = (protocol, congestion::chosen()) {
            stack.tcp_settings(id)?.congestion = congestion;
        }
        Ok(id)
    });
    match opened {
        Ok(id) => table::add(fd, FileRef::of_socket(stack, id, family, protocol, flags.nonblock)),
        Err(error) => {
            placeholder::close(fd);
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libc::{
        AF_INET, AF_INET6, AF_UNIX, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
    };

    #[test]
    fn domains_types_and_protocols_are_judged_as_linux_does() {
        let plain = OpenFlags { nonblock: false, cloexec: false };
        assert_eq!(judge(AF_INET, SOCK_STREAM, 0), Ok((Family::V4, Protocol::Tcp, plain)));
        assert_eq!(judge(AF_INET6, SOCK_DGRAM, IPPROTO_UDP), Ok((Family::V6, Protocol::Udp, plain)));
        let nonblock = OpenFlags { nonblock: true, cloexec: true };
        let kind = SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        assert_eq!(judge(AF_INET, kind, IPPROTO_TCP), Ok((Family::V4, Protocol::Tcp, nonblock)));
        for (domain, kind, protocol, error) in [
            (AF_UNIX, SOCK_STREAM, 0, Error::FamilyNotSupported),
            (-1, SOCK_STREAM, 0, Error::FamilyNotSupported),
            (AF_INET, SOCK_STREAM, IPPROTO_UDP, Error::ProtocolNotSupported),
            (AF_INET, SOCK_DGRAM, IPPROTO_TCP, Error::ProtocolNotSupported),
            (AF_INET, SOCK_RAW, 1, Error::ProtocolNotSupported),
            (AF_INET, SOCK_SEQPACKET, 0, Error::SocketTypeNotSupported),
            (AF_INET, 12, 0, Error::Invalid),
            (AF_INET, SOCK_STREAM | 0x100, 0, Error::Invalid),
            (AF_INET, SOCK_STREAM, 256, Error::Invalid),
            (AF_INET, SOCK_STREAM, -1, Error::Invalid),
        ] {
            assert_eq!(judge(domain, kind, protocol), Err(error), "{domain} {kind} {protocol}");
        }
    }
}
