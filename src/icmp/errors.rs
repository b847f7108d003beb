//! What a received ICMP error means to the socket whose datagram it quotes.

use crate::{
    error::Error,
    wire::icmpv4::{Message, Unreachable},
};

/// The meaning of an error.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The errno a socket gets. A soft one may pass by itself: a connected UDP socket hears only of hard ones.
    Error {
        /// The errno.
        error: Error,
        /// Whether it is final.
        hard: bool,
    },
    /// The datagram was too large for a link that takes this many bytes (0: the router does not say).
    TooBig(u16),
}

/// Linux's table `icmp_err_convert` for the codes of "destination unreachable", in their order. Linux says ENONET for
/// code 8, which nobody has sent since RFC 1812; here it is `HostUnreachable`.
const UNREACHABLE: [(Error, bool); 16] = [
    (Error::NetUnreachable, false),
    (Error::HostUnreachable, false),
    (Error::NoProtocolOption, true),
    (Error::ConnectionRefused, true),
    (Error::MessageTooLong, false),
    (Error::NotSupported, false),
    (Error::NetUnreachable, true),
    (Error::HostDown, true),
    (Error::HostUnreachable, true),
    (Error::NetUnreachable, true),
    (Error::HostUnreachable, true),
    (Error::NetUnreachable, false),
    (Error::HostUnreachable, false),
    (Error::HostUnreachable, true),
    (Error::HostUnreachable, true),
    (Error::HostUnreachable, true),
];

/// The meaning of `message`; `None` for what is no error, obsolete (source quench, RFC 6633) or not for hosts that
/// have one way out (redirect: Linux ignores them from anybody but the gateway, and ours is configured).
pub fn meaning(message: &Message<'_>) -> Option<Meaning> {
    match *message {
        Message::Unreachable { code: Unreachable::FRAGMENTATION_NEEDED, mtu, .. } => Some(Meaning::TooBig(mtu)),
        Message::Unreachable { code, .. } => {
            UNREACHABLE.get(usize::from(code.0)).map(|&(error, hard)| Meaning::Error { error, hard })
        }
        Message::TimeExceeded { .. } => Some(Meaning::Error { error: Error::HostUnreachable, hard: false }),
        Message::ParameterProblem { .. } => Some(Meaning::Error { error: Error::ProtocolError, hard: true }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::icmpv4::TimeExceeded;

    #[test]
    fn each_error_has_the_errno_linux_gives() {
        let unreachable = |code| meaning(&Message::Unreachable { code, mtu: 0, quote: &[] });
        let table = [
            (Unreachable::PORT, Error::ConnectionRefused, true),
            (Unreachable::PROTOCOL, Error::NoProtocolOption, true),
            (Unreachable::HOST, Error::HostUnreachable, false),
            (Unreachable::NET, Error::NetUnreachable, false),
            (Unreachable::HOST_UNKNOWN, Error::HostDown, true),
            (Unreachable::FILTERED, Error::HostUnreachable, true),
        ];
        for (code, error, hard) in table {
            assert_eq!(unreachable(code), Some(Meaning::Error { error, hard }), "{code:?}");
        }
        assert_eq!(unreachable(Unreachable(16)), None);
        let time = Message::TimeExceeded { code: TimeExceeded::TTL, quote: &[] };
        assert_eq!(meaning(&time), Some(Meaning::Error { error: Error::HostUnreachable, hard: false }));
        assert_eq!(meaning(&Message::SourceQuench { quote: &[] }), None);
    }

    #[test]
    fn a_datagram_too_big_brings_the_mtu() {
        let code = Unreachable::FRAGMENTATION_NEEDED;
        assert_eq!(meaning(&Message::Unreachable { code, mtu: 1400, quote: &[] }), Some(Meaning::TooBig(1400)));
    }
}
