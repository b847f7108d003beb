//! Whether an ICMP error may be sent about a datagram (RFC 1122 section 3.2.2).

use crate::{
    ip::input::Cast,
    wire::{ipv4::Header, protocol},
};

/// Types of ICMP messages that are no errors: the only ICMP messages an error may be about.
const QUERIES: [u8; 5] = [0, 8, 13, 14, 17];

/// Whether an error may be sent about the datagram with `header`, addressed as `cast`, of whose payload `payload` is
/// the front: never about errors, about fragments other than the first, nor about what went to many.
pub fn may_send_error(header: &Header, cast: Cast, link_broadcast: bool, payload: &[u8]) -> bool {
    let is_error = header.protocol == protocol::ICMP && payload.first().is_none_or(|kind| !QUERIES.contains(kind));
    cast == Cast::Unicast
        && !link_broadcast
        && header.fragment_offset == 0
        && !is_error
        && !matches!(header.src.octets()[0], 0 | 224..=255)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_sent_about_unicast_first_fragments_only_and_never_about_errors() {
        let udp = Header { protocol: protocol::UDP, src: "10.0.0.1".parse().unwrap(), ..Header::default() };
        let icmp = Header { protocol: protocol::ICMP, ..udp };
        assert!(may_send_error(&udp, Cast::Unicast, false, &[]));
        assert!(may_send_error(&icmp, Cast::Unicast, false, &[8]));
        assert!(!may_send_error(&icmp, Cast::Unicast, false, &[3]));
        assert!(!may_send_error(&icmp, Cast::Unicast, false, &[]));
        assert!(!may_send_error(&udp, Cast::Broadcast, false, &[]));
        assert!(!may_send_error(&udp, Cast::Unicast, true, &[]));
        assert!(!may_send_error(&Header { fragment_offset: 8, ..udp }, Cast::Unicast, false, &[]));
        assert!(!may_send_error(&Header { src: "0.0.0.0".parse().unwrap(), ..udp }, Cast::Unicast, false, &[]));
    }
}
