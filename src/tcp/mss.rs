//! Segment sizes (RFC 9293 section 3.7.1, RFC 6691; the path's MTU: RFC 1191, RFC 8201).

use super::{Path, Settings};
use std::net::IpAddr;

/// TCP header without options, bytes.
const TCP_HEADER: u32 = 20;
/// The smallest TCP_MAXSEG that is announced.
const LEAST: u16 = 48;

/// Bytes of the IP header in front of a segment.
pub const fn ip_header(addr: IpAddr) -> u32 {
    match addr {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

/// What a peer that sends no MSS option can take (RFC 9293 section 3.7.1, MUST-15).
pub const fn default_for(addr: IpAddr) -> u16 {
    match addr {
        IpAddr::V4(_) => 536,
        IpAddr::V6(_) => 1220,
    }
}

/// Largest segment, without options, in an IP packet of `mtu` bytes.
pub fn within_mtu(mtu: u32, addr: IpAddr) -> u16 {
    let segment = mtu.saturating_sub(ip_header(addr) + TCP_HEADER);
    u16::try_from(segment).unwrap_or(u16::MAX).max(LEAST)
}

/// Smallest IP packet that has room for a segment of `mss` bytes, options included.
pub const fn to_mtu(mss: u32, addr: IpAddr) -> u32 {
    mss.saturating_add(ip_header(addr) + TCP_HEADER)
}

/// The MSS option of our SYN: what the link brings us, not reduced by options (RFC 6691 section 2), nor by what the
/// path the other way takes.
pub fn advertised(settings: &Settings, path: &Path, addr: IpAddr) -> u16 {
    let link = within_mtu(path.link_mtu, addr);
    settings.maxseg.map_or(link, |maxseg| link.min(maxseg.max(LEAST)))
}

/// The largest segment we send, options included in it: the least of what the peer takes, what the path takes and what
/// the user wants (RFC 9293 section 3.7.1, Eff.snd.MSS before options are taken off), but as Linux nothing makes it
/// less than `tcp_min_snd_mss`.
pub fn limit(peer: u16, settings: &Settings, path: &Path, addr: IpAddr) -> u16 {
    let least = u16::try_from(settings.knobs.min_snd_mss).unwrap_or(u16::MAX);
    peer.min(advertised(settings, path, addr)).min(within_mtu(path.mtu, addr)).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_peer_path_and_user_wins() {
        let addr: IpAddr = "10.0.0.1".parse().unwrap();
        let v6: IpAddr = "fd00::1".parse().unwrap();
        let path = Path { mtu: 1500, link_mtu: 1500, max_frame: 1500 };
        let mut settings = Settings::default();
        assert_eq!(advertised(&settings, &path, addr), 1460);
        assert_eq!(advertised(&settings, &path, v6), 1440);
        assert_eq!(limit(536, &settings, &path, addr), 536);
        assert_eq!(limit(0, &settings, &path, addr), 48);
        let narrow = Path { mtu: 1200, ..path };
        assert_eq!((advertised(&settings, &narrow, addr), limit(1460, &settings, &narrow, addr)), (1460, 1160));
        settings.maxseg = Some(1000);
        assert_eq!(limit(9000, &settings, &path, addr), 1000);
        assert_eq!(within_mtu(0, addr), 48);
    }
}
