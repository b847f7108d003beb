//! Whether a received datagram is for us, and how it was addressed (RFC 1122 section 3.2.1.3, RFC 1812 section 5.3.7).

use std::net::{IpAddr, Ipv4Addr};

/// How a datagram was addressed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Cast {
    /// To one of our addresses.
    Unicast,
    /// To all hosts of a network.
    Broadcast,
    /// To a group.
    Multicast,
}

/// What is to be done with a datagram.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is for us.
    Deliver(Cast),
    /// Its destination is not ours.
    NotOurs,
    /// Its source or destination cannot be right on this interface.
    Martian,
}

/// Whether an address can be the source of a datagram at all: one host's, and not of "this network" or the reserved
/// class E.
fn is_sender(addr: Ipv4Addr) -> bool {
    !matches!(addr.octets()[0], 0 | 224..=255)
}

/// Judges a datagram from `src` to `dst`. `looped`: it never left this machine. `link_broadcast`: its frame went
/// to more than one station. `own` says how one of our addresses is addressed by `dst`, if it is.
pub fn judge(
    src: Ipv4Addr,
    dst: Ipv4Addr,
    looped: bool,
    link_broadcast: bool,
    own: impl Fn(IpAddr) -> Option<Cast>,
) -> Verdict {
    let src_is_ours = || own(IpAddr::V4(src)).is_some();
    if !is_sender(src) || (!looped && (src.is_loopback() || dst.is_loopback() || src_is_ours())) {
        return Verdict::Martian;
    }
    match own(IpAddr::V4(dst)) {
        // RFC 1122 section 3.3.6: not for us alone on the link, so not for us alone.
        Some(Cast::Unicast) if link_broadcast => Verdict::Martian,
        Some(cast) => Verdict::Deliver(cast),
        None => Verdict::NotOurs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(src: &str, dst: &str, looped: bool, link_broadcast: bool) -> Verdict {
        let own = |addr: IpAddr| match addr.to_string().as_str() {
            "10.0.0.2" | "127.0.0.1" => Some(Cast::Unicast),
            "10.0.0.255" => Some(Cast::Broadcast),
            "224.0.0.1" => Some(Cast::Multicast),
            _ => None,
        };
        judge(src.parse().unwrap(), dst.parse().unwrap(), looped, link_broadcast, own)
    }

    #[test]
    fn martians_are_told_from_guests() {
        use Verdict::*;
        let table = [
            ("10.0.0.1", "10.0.0.2", false, false, Deliver(Cast::Unicast)),
            ("10.0.0.1", "10.0.0.255", false, true, Deliver(Cast::Broadcast)),
            ("10.0.0.1", "224.0.0.1", false, true, Deliver(Cast::Multicast)),
            ("10.0.0.1", "10.0.0.3", false, false, NotOurs),
            ("10.0.0.1", "10.0.0.2", false, true, Martian),
            ("127.0.0.1", "10.0.0.2", false, false, Martian),
            ("10.0.0.1", "127.0.0.1", false, false, Martian),
            ("10.0.0.2", "10.0.0.2", false, false, Martian),
            ("10.0.0.2", "10.0.0.2", true, false, Deliver(Cast::Unicast)),
            ("127.0.0.1", "127.0.0.1", true, false, Deliver(Cast::Unicast)),
            ("0.0.0.0", "10.0.0.2", false, false, Martian),
            ("224.0.0.9", "10.0.0.2", false, false, Martian),
            ("255.255.255.255", "10.0.0.2", false, false, Martian),
            ("240.0.0.1", "10.0.0.2", false, false, Martian),
            ("10.0.0.255", "10.0.0.2", false, false, Martian),
        ];
        for (src, dst, lo, bc, expected) in table {
            assert_eq!(verdict(src, dst, lo, bc), expected, "{src} > {dst}");
        }
    }
}
