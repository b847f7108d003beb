//! socket(2), and the tag of a descriptor.

use crate::{Errno, Result, kernel, tag::Tag};

/// What becomes of a socket that a program asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not a matter of the network: the kernel's.
    Kernel,
    /// TCP, with these flags in its tag.
    Stream(u16),
    /// UDP, with these flags in its tag.
    Datagram(u16),
    /// Of the network, but not served: it never becomes the kernel's.
    Refused(Errno),
}

/// Judges what a program asks of socket(2).
pub fn judge(domain: i32, kind: i32, protocol: i32) -> Verdict {
    let flags = match domain {
        libc::AF_INET => 0,
        libc::AF_INET6 => Tag::V6,
        libc::AF_PACKET | libc::AF_XDP | libc::AF_RDS | libc::AF_TIPC | AF_SMC => {
            return Verdict::Refused(Errno(libc::EAFNOSUPPORT));
        }
        _ => return Verdict::Kernel,
    };
    let (kind, flags_of_kind) = (kind & KINDS, kind & !KINDS);
    if flags_of_kind & !(libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC) != 0 || !(0..PROTOCOLS).contains(&protocol) {
        return Verdict::Refused(Errno(libc::EINVAL));
    }
    // The errors are those of a kernel that has TCP and UDP alone (inet_create).
    match (kind, protocol) {
        (libc::SOCK_STREAM, 0 | libc::IPPROTO_TCP) => Verdict::Stream(flags),
        (libc::SOCK_DGRAM, 0 | libc::IPPROTO_UDP) => Verdict::Datagram(flags | Tag::DATAGRAM),
        (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => Verdict::Refused(Errno(libc::EPROTONOSUPPORT)),
        (0 | 11.., _) => Verdict::Refused(Errno(libc::EINVAL)),
        _ => Verdict::Refused(Errno(libc::ESOCKTNOSUPPORT)),
    }
}

/// Sockets of TCP's kind that the kernel carries over its own network.
const AF_SMC: i32 = 43;
/// The bits of a type that are not flags (SOCK_TYPE_MASK).
const KINDS: i32 = 0xf;
/// IPPROTO_MAX, MPTCP's number among those below it being beyond 256.
const PROTOCOLS: i32 = libc::IPPROTO_MPTCP + 1;

/// SO_SNDBUF of a stream's end. The host may leave a byte unread in any buffer that the kernel made for it; the largest
/// is one of sendfile(2) or splice(2) and counts 66304 bytes. The end can still be written to while at most a quarter
/// of its buffer, which is twice this, is taken (unix_writable).
const BUFFER: i32 = 140_000;

/// Prepares a stream's end for what the host does with it.
///
/// # Errors
///
/// What the kernel says.
pub fn prepare(fd: i32) -> Result<()> {
    kernel::set_option(fd, libc::SO_SNDBUF, &BUFFER.to_ne_bytes())
}

/// socket(2) of the stack: an AF_UNIX socket with a tag.
///
/// # Errors
///
/// What the kernel says to an AF_UNIX socket (EMFILE, ENOBUFS ...).
pub fn socket(kind: i32, flags: u16) -> Result<i32> {
    let fd = kernel::socket(libc::AF_UNIX, kind, 0)?;
    let cookie = prepare(fd).and_then(|()| kernel::option::<u64>(fd, libc::SO_COOKIE));
    let tagged = cookie.and_then(|cookie| {
        // Cookies are counted, and no machine counts to 2^35 sockets: the host's own ids begin there.
        set_tag(fd, Tag { id: cookie & (Tag::GIVEN - 1), flags })
    });
    if let Err(errno) = tagged {
        let _ = kernel::close(fd);
        return Err(errno);
    }
    Ok(fd)
}

/// The tag of a descriptor; `None` if it is no socket of the stack's.
pub fn tag(fd: i32) -> Option<Tag> {
    kernel::option::<u64>(fd, libc::SO_MAX_PACING_RATE).ok().and_then(Tag::from_bits)
}

/// Stores a tag.
///
/// # Errors
///
/// What the kernel says.
pub fn set_tag(fd: i32, tag: Tag) -> Result<()> {
    kernel::set_option(fd, libc::SO_MAX_PACING_RATE, &tag.to_bits().to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tcp_is_served_and_nothing_else_of_the_network_is_the_kernels() {
        let nonblocking = libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        assert_eq!(judge(libc::AF_INET, nonblocking, 0), Verdict::Stream(0));
        assert_eq!(judge(libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_TCP), Verdict::Stream(Tag::V6));
        assert_eq!(judge(libc::AF_UNIX, libc::SOCK_STREAM, 0), Verdict::Kernel);
        for (domain, kind, protocol) in [
            (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
            (libc::AF_INET6, libc::SOCK_STREAM, libc::IPPROTO_SCTP),
            (libc::AF_PACKET, libc::SOCK_RAW, 0),
        ] {
            assert!(matches!(judge(domain, kind, protocol), Verdict::Refused(_)), "{domain} {kind} {protocol}");
        }
    }

    #[test]
    fn a_socket_of_the_stacks_is_known_by_its_tag() {
        let fd = socket(libc::SOCK_STREAM | libc::SOCK_CLOEXEC, Tag::V6).expect("a socket");
        let tag = tag(fd).expect("a tag");
        assert!(tag.is(Tag::V6) && tag.id != 0 && tag.id & Tag::GIVEN == 0);
        kernel::close(fd).expect("closed");
        let fd = kernel::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).expect("a socket");
        assert_eq!(super::tag(fd), None);
        kernel::close(fd).expect("closed");
    }
}
