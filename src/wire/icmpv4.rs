//! ICMP for IPv4 (RFC 792; RFC 1122 section 3.2.2, RFC 1191 for the MTU of the next hop).

use super::{checksum, ipv4};
use std::net::Ipv4Addr;

/// Length of the part all messages have.
pub const HEADER: usize = 8;
/// Most bytes of the offending packet an error quotes: the ICMP packet stays within 576 bytes (RFC 1812 section
/// 4.3.2.3).
pub const MAX_QUOTE: usize = 576 - ipv4::MIN_HEADER - HEADER;

/// Message types (IANA "ICMP Parameters").
mod kind {
    pub const ECHO_REPLY: u8 = 0;
    pub const UNREACHABLE: u8 = 3;
    pub const SOURCE_QUENCH: u8 = 4;
    pub const REDIRECT: u8 = 5;
    pub const ECHO: u8 = 8;
    pub const TIME_EXCEEDED: u8 = 11;
    pub const PARAMETER_PROBLEM: u8 = 12;
    pub const TIMESTAMP: u8 = 13;
    pub const TIMESTAMP_REPLY: u8 = 14;
}

/// Why a destination was not reached: the codes of type 3 (RFC 792, RFC 1122 section 3.2.2.1, RFC 1812 section
/// 5.2.7.1).
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unreachable(pub u8);

impl Unreachable {
    /// No route to the network.
    pub const NET: Self = Self(0);
    /// The host does not answer.
    pub const HOST: Self = Self(1);
    /// The host does not speak the protocol.
    pub const PROTOCOL: Self = Self(2);
    /// Nobody has the port.
    pub const PORT: Self = Self(3);
    /// The packet is too large for the next hop and may not be fragmented.
    pub const FRAGMENTATION_NEEDED: Self = Self(4);
    /// A source route failed.
    pub const SOURCE_ROUTE_FAILED: Self = Self(5);
    /// The network is not known.
    pub const NET_UNKNOWN: Self = Self(6);
    /// The host is not known.
    pub const HOST_UNKNOWN: Self = Self(7);
    /// The source host is isolated.
    pub const HOST_ISOLATED: Self = Self(8);
    /// Communication with the network is prohibited.
    pub const NET_PROHIBITED: Self = Self(9);
    /// Communication with the host is prohibited.
    pub const HOST_PROHIBITED: Self = Self(10);
    /// The network has no route for this type of service.
    pub const NET_TOS: Self = Self(11);
    /// The host is not reachable with this type of service.
    pub const HOST_TOS: Self = Self(12);
    /// A packet filter refused it.
    pub const FILTERED: Self = Self(13);
    /// The host's precedence was violated.
    pub const PRECEDENCE_VIOLATION: Self = Self(14);
    /// The precedence is too low.
    pub const PRECEDENCE_CUTOFF: Self = Self(15);
}

/// What ran out of time: the codes of type 11.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct TimeExceeded(pub u8);

impl TimeExceeded {
    /// The time to live, on the way.
    pub const TTL: Self = Self(0);
    /// The time for fragments to come together.
    pub const REASSEMBLY: Self = Self(1);
}

/// Times of a timestamp message: milliseconds since midnight UT.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the sender last touched the request.
    pub originate: u32,
    /// When the echoer first touched it.
    pub receive: u32,
    /// When the echoer last touched it.
    pub transmit: u32,
}

/// A message. Errors quote the packet they are about: its header and at least eight bytes behind it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the fields are named as in RFC 792
pub enum Message<'a> {
    /// Echo request.
    Echo { id: u16, seq: u16, data: &'a [u8] },
    /// Echo reply.
    EchoReply { id: u16, seq: u16, data: &'a [u8] },
    /// Destination unreachable; `mtu` is that of the next hop (zero from routers older than RFC 1191) if the code is
    /// [`Unreachable::FRAGMENTATION_NEEDED`], else zero.
    Unreachable { code: Unreachable, mtu: u16, quote: &'a [u8] },
    /// Source quench: obsolete, to be ignored (RFC 6633).
    SourceQuench { quote: &'a [u8] },
    /// Redirect: the code is 0 for a network, 1 for a host, 2 and 3 for the same with a type of service.
    Redirect { code: u8, gateway: Ipv4Addr, quote: &'a [u8] },
    /// Time exceeded.
    TimeExceeded { code: TimeExceeded, quote: &'a [u8] },
    /// Parameter problem: `pointer` is the offset of the offending byte if the code is 0.
    ParameterProblem { code: u8, pointer: u8, quote: &'a [u8] },
    /// Timestamp request.
    Timestamp { id: u16, seq: u16, times: Times },
    /// Timestamp reply.
    TimestampReply { id: u16, seq: u16, times: Times },
}

/// Why a message was refused.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// Too short for its type.
    Truncated,
    /// The checksum is wrong.
    Checksum,
    /// A type the stack does not know; dropped without a word (RFC 1122 section 3.2.2).
    UnknownType(u8),
}

/// The packet an error is about, as far as it was quoted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Quote<'a> {
    /// Its IP header.
    pub header: ipv4::Header,
    /// What is left of its payload.
    pub payload: &'a [u8],
}

fn u32_at(bytes: &[u8; 12], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl<'a> Message<'a> {
    /// Parses a message and checks its checksum.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let (&[kind, code, _, _, r0, r1, r2, r3], body) =
            bytes.split_first_chunk::<HEADER>().ok_or(ParseError::Truncated)?;
        if !checksum::is_valid(0, bytes) {
            return Err(ParseError::Checksum);
        }
        let (id, seq) = (u16::from_be_bytes([r0, r1]), u16::from_be_bytes([r2, r3]));
        let times = || {
            let body: &[u8; 12] = body.first_chunk().ok_or(ParseError::Truncated)?;
            Ok(Times { originate: u32_at(body, 0), receive: u32_at(body, 4), transmit: u32_at(body, 8) })
        };
        Ok(match kind {
            kind::ECHO => Self::Echo { id, seq, data: body },
            kind::ECHO_REPLY => Self::EchoReply { id, seq, data: body },
            kind::UNREACHABLE => {
                let code = Unreachable(code);
                let mtu = if code == Unreachable::FRAGMENTATION_NEEDED { seq } else { 0 };
                Self::Unreachable { code, mtu, quote: body }
            }
            kind::SOURCE_QUENCH => Self::SourceQuench { quote: body },
            kind::REDIRECT => Self::Redirect { code, gateway: Ipv4Addr::new(r0, r1, r2, r3), quote: body },
            kind::TIME_EXCEEDED => Self::TimeExceeded { code: TimeExceeded(code), quote: body },
            kind::PARAMETER_PROBLEM => Self::ParameterProblem { code, pointer: r0, quote: body },
            kind::TIMESTAMP => Self::Timestamp { id, seq, times: times()? },
            kind::TIMESTAMP_REPLY => Self::TimestampReply { id, seq, times: times()? },
            other => return Err(ParseError::UnknownType(other)),
        })
    }

    /// The packet an error is about; `None` for queries, and when the quote is too short for its own header.
    pub fn quoted(&self) -> Option<Quote<'a>> {
        match self {
            Self::Unreachable { quote, .. }
            | Self::SourceQuench { quote }
            | Self::Redirect { quote, .. }
            | Self::TimeExceeded { quote, .. }
            | Self::ParameterProblem { quote, .. } => {
                let (header, len) = ipv4::Header::parse_quoted(quote)?;
                Some(Quote { header, payload: &quote[len..] })
            }
            _ => None,
        }
    }

    /// Whether this is an error: no error may be sent in answer to one (RFC 1122 section 3.2.2).
    pub const fn is_error(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::SourceQuench { .. }
                | Self::Redirect { .. }
                | Self::TimeExceeded { .. }
                | Self::ParameterProblem { .. }
        )
    }

    /// Length of the message in bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        HEADER
            + match self {
                Self::Echo { data, .. } | Self::EchoReply { data, .. } => data.len(),
                Self::Unreachable { quote, .. }
                | Self::SourceQuench { quote }
                | Self::Redirect { quote, .. }
                | Self::TimeExceeded { quote, .. }
                | Self::ParameterProblem { quote, .. } => quote.len(),
                Self::Timestamp { .. } | Self::TimestampReply { .. } => 12,
            }
    }

    /// Type, code and the four bytes whose meaning depends on them.
    pub fn front(&self) -> (u8, u8, [u8; 4]) {
        let pair = |id: u16, seq: u16| {
            let ([a, b], [c, d]) = (id.to_be_bytes(), seq.to_be_bytes());
            [a, b, c, d]
        };
        match *self {
            Self::Echo { id, seq, .. } => (kind::ECHO, 0, pair(id, seq)),
            Self::EchoReply { id, seq, .. } => (kind::ECHO_REPLY, 0, pair(id, seq)),
            Self::Unreachable { code, mtu, .. } => (kind::UNREACHABLE, code.0, pair(0, mtu)),
            Self::SourceQuench { .. } => (kind::SOURCE_QUENCH, 0, [0; 4]),
            Self::Redirect { code, gateway, .. } => (kind::REDIRECT, code, gateway.octets()),
            Self::TimeExceeded { code, .. } => (kind::TIME_EXCEEDED, code.0, [0; 4]),
            Self::ParameterProblem { code, pointer, .. } => (kind::PARAMETER_PROBLEM, code, [pointer, 0, 0, 0]),
            Self::Timestamp { id, seq, .. } => (kind::TIMESTAMP, 0, pair(id, seq)),
            Self::TimestampReply { id, seq, .. } => (kind::TIMESTAMP_REPLY, 0, pair(id, seq)),
        }
    }

    /// Writes the message with its checksum into the first [`Message::len`] bytes of `out`.
    ///
    /// # Panics
    /// When `out` is shorter.
    pub fn emit(&self, out: &mut [u8]) {
        let out = &mut out[..self.len()];
        let (kind, code, rest) = self.front();
        out[..4].copy_from_slice(&[kind, code, 0, 0]);
        out[4..HEADER].copy_from_slice(&rest);
        let body = &mut out[HEADER..];
        match self {
            Self::Echo { data: bytes, .. }
            | Self::EchoReply { data: bytes, .. }
            | Self::Unreachable { quote: bytes, .. }
            | Self::SourceQuench { quote: bytes }
            | Self::Redirect { quote: bytes, .. }
            | Self::TimeExceeded { quote: bytes, .. }
            | Self::ParameterProblem { quote: bytes, .. } => body.copy_from_slice(bytes),
            Self::Timestamp { times, .. } | Self::TimestampReply { times, .. } => {
                body[0..4].copy_from_slice(&times.originate.to_be_bytes());
                body[4..8].copy_from_slice(&times.receive.to_be_bytes());
                body[8..12].copy_from_slice(&times.transmit.to_be_bytes());
            }
        }
        let sum = !checksum::fold(checksum::add(0, out));
        out[2..4].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::{Rng, SeededRng};

    /// An echo request as ping(8) sends it, its data cut to eight bytes.
    const PING: [u8; 16] = [8, 0, 0x7f, 0x4a, 0x12, 0x34, 0, 1, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17];

    fn bytes_of(message: &Message<'_>) -> Vec<u8> {
        let mut out = vec![0xee; message.len()];
        message.emit(&mut out);
        out
    }

    #[test]
    fn an_echo_request_is_parsed_and_emitted() {
        let data = &PING[8..];
        let echo = Message::Echo { id: 0x1234, seq: 1, data };
        let bytes = bytes_of(&echo);
        assert_eq!(bytes[..2], PING[..2]);
        assert_eq!(bytes[4..], PING[4..]);
        assert_eq!(Message::parse(&bytes), Ok(echo));
        assert!(!echo.is_error() && echo.quoted().is_none());
    }

    #[test]
    fn errors_quote_the_packet_they_are_about() {
        let mut quote = [0; 28];
        let header = ipv4::Header {
            total_len: 1500,
            protocol: ipv4::protocol::TCP,
            src: Ipv4Addr::new(10, 0, 0, 1),
            dst: Ipv4Addr::new(10, 0, 0, 2),
            ..ipv4::Header::default()
        };
        header.emit(&mut quote);
        quote[20..].copy_from_slice(b"8 bytes.");
        let error = Message::Unreachable { code: Unreachable::FRAGMENTATION_NEEDED, mtu: 1400, quote: &quote };
        let bytes = bytes_of(&error);
        assert_eq!(bytes[..8], [3, 4, bytes[2], bytes[3], 0, 0, 5, 120]);
        let parsed = Message::parse(&bytes).unwrap();
        assert_eq!(parsed, error);
        assert_eq!(parsed.quoted(), Some(Quote { header, payload: b"8 bytes." }));
        assert!(parsed.is_error());
        assert_eq!(Message::TimeExceeded { code: TimeExceeded::TTL, quote: &quote[..19] }.quoted(), None);
    }

    #[test]
    fn wrong_checksums_short_and_unknown_messages_are_refused() {
        let good = bytes_of(&Message::Echo { id: 1, seq: 2, data: b"abc" });
        let mut bad = good.clone();
        bad[9] ^= 1;
        assert_eq!(Message::parse(&bad), Err(ParseError::Checksum));
        assert_eq!(Message::parse(&good[..7]), Err(ParseError::Truncated));
        assert_eq!(Message::parse(&[13, 0, 0xf2, 0xff, 0, 0, 0, 0]), Err(ParseError::Truncated));
        assert_eq!(Message::parse(&[42, 0, 0xd5, 0xff, 0, 0, 0, 0]), Err(ParseError::UnknownType(42)));
    }

    #[test]
    fn every_message_is_parsed_back_as_it_was_emitted() {
        let (quote, data) = (b"quote".as_slice(), b"data".as_slice());
        let times = Times { originate: 1, receive: 2, transmit: 3 };
        let table = [
            Message::Echo { id: 1, seq: 2, data },
            Message::EchoReply { id: 1, seq: 2, data: &[] },
            Message::Unreachable { code: Unreachable::PORT, mtu: 0, quote },
            Message::SourceQuench { quote },
            Message::Redirect { code: 1, gateway: Ipv4Addr::new(10, 0, 0, 9), quote },
            Message::TimeExceeded { code: TimeExceeded::REASSEMBLY, quote },
            Message::ParameterProblem { code: 0, pointer: 20, quote },
            Message::Timestamp { id: 5, seq: 6, times },
            Message::TimestampReply { id: 5, seq: 6, times },
        ];
        for message in table {
            assert_eq!(Message::parse(&bytes_of(&message)), Ok(message));
        }
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut rng = SeededRng::new([11, 1]);
        for _ in 0..20_000 {
            let mut bytes: Vec<u8> = (0..rng.below(60)).map(|_| rng.u64() as u8).collect();
            if bytes.len() >= 9 {
                bytes[0] %= 16;
                bytes[8] = 0x40 | bytes[8] & 0x0f;
                bytes[2..4].fill(0);
                let sum = !checksum::fold(checksum::add(0, &bytes));
                bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            }
            if let Ok(message) = Message::parse(&bytes) {
                let _ = message.quoted();
                let again = bytes_of(&message);
                assert_eq!(Message::parse(&again), Ok(message));
            }
        }
    }
}
