//! What a socket of AF_INET6 may be bound and sent to while the stack has no IPv6: IPv4 by mapped addresses (RFC 4291
//! section 2.5.5.2, RFC 3493 section 3.7), and `::`. The errors are those of a Linux whose
//! net.ipv6.conf.all.disable_ipv6 is 1.

use super::{Protocol, SocketSettings};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who asks for a destination.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// connect(2).
    Connect(Protocol),
    /// sendto(2) of a datagram socket.
    Send,
}

/// Whether an address means nothing without the interface it is on (RFC 4007 section 6).
const fn needs_scope(addr: Ipv6Addr) -> bool {
    // ff01::/16 and ff02::/16 are groups of an interface and of a link (RFC 4291 section 2.7).
    addr.is_unicast_link_local() || matches!(addr.segments()[0] & 0xff0f, 0xff01 | 0xff02)
}

/// Judges the address of bind(2), as far as the family goes: an IPv4 address is still to be looked up.
///
/// # Errors
/// `Invalid`: a mapped address where IPV6_V6ONLY is set, an address without its scope where the socket is bound to no
/// interface, a group for a stream. `AddrNotAvailable`: any other IPv6 address.
pub(super) fn may_bind(addr: IpAddr, settings: &SocketSettings, protocol: Protocol) -> Result<()> {
    match addr {
        IpAddr::V4(_) if settings.v6only => Err(Error::Invalid),
        IpAddr::V4(_) | IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ok(()),
        IpAddr::V6(addr) if addr.is_multicast() && protocol == Protocol::Tcp => Err(Error::Invalid),
        IpAddr::V6(addr) if needs_scope(addr) && settings.iface.is_none() => Err(Error::Invalid),
        IpAddr::V6(_) => Err(Error::AddrNotAvailable),
    }
}

/// The destination meant by a socket whose own address is `own`: the unspecified address is this host (Linux; RFC 1122
/// section 3.2.1.3 leaves it open), in the family of the own address.
///
/// # Errors
/// `NetUnreachable`: IPv4 where IPV6_V6ONLY is set, IPv6 from an IPv4 address, a group for a stream. `Invalid`: a
/// datagram for port 0, connect(2) to an address without its scope where the socket is bound to no interface.
/// `AddrNotAvailable`: any other IPv6 address, since there is none to send from.
pub(super) fn destination(remote: Endpoint, own: IpAddr, settings: &SocketSettings, call: Call) -> Result<Endpoint> {
    match remote.addr {
        IpAddr::V4(_) if settings.v6only => Err(Error::NetUnreachable),
        _ if remote.port == 0 && call == Call::Send => Err(Error::Invalid),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) if own.is_ipv4() => {
            Ok(Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), remote.port))
        }
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ok(Endpoint::new(IpAddr::V4(Ipv4Addr::LOCALHOST), remote.port)),
        IpAddr::V4(_) => Ok(remote),
        IpAddr::V6(_) if own.is_ipv4() => Err(Error::NetUnreachable),
        IpAddr::V6(addr) if addr.is_multicast() && call == Call::Connect(Protocol::Tcp) => Err(Error::NetUnreachable),
        IpAddr::V6(addr) if needs_scope(addr) && settings.iface.is_none() && call != Call::Send => Err(Error::Invalid),
        IpAddr::V6(_) => Err(Error::AddrNotAvailable),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::iface::IfaceId, *};

    const ANY: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn settings(v6only: bool, iface: Option<IfaceId>) -> SocketSettings {
        SocketSettings { v6only, iface, ..SocketSettings::default() }
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_socket_is_bound_to_any_address_or_to_one_of_ipv4() {
        for (text, v6only, protocol, verdict) in [
            ("::", false, Protocol::Tcp, Ok(())),
            ("::", true, Protocol::Udp, Ok(())),
            ("127.0.0.1", false, Protocol::Tcp, Ok(())),
            ("127.0.0.1", true, Protocol::Tcp, Err(Error::Invalid)),
            ("::1", false, Protocol::Tcp, Err(Error::AddrNotAvailable)),
            ("fd00::1", true, Protocol::Udp, Err(Error::AddrNotAvailable)),
            ("fe80::1", false, Protocol::Udp, Err(Error::Invalid)),
            ("ff02::1", false, Protocol::Udp, Err(Error::Invalid)),
            ("ff0e::1", false, Protocol::Tcp, Err(Error::Invalid)),
        ] {
            assert_eq!(may_bind(addr(text), &settings(v6only, None), protocol), verdict, "{text}");
        }
    }

    #[test]
    fn an_address_with_its_scope_is_none_of_ours() {
        let bound_to = settings(false, Some(IfaceId::LOOPBACK));
        assert_eq!(may_bind(addr("fe80::1"), &bound_to, Protocol::Tcp), Err(Error::AddrNotAvailable));
        assert_eq!(may_bind(addr("ff02::1"), &bound_to, Protocol::Tcp), Err(Error::Invalid));
        let to = destination(Endpoint::new(addr("fe80::1"), 9), ANY, &bound_to, Call::Connect(Protocol::Tcp));
        assert_eq!(to, Err(Error::AddrNotAvailable));
    }

    #[test]
    fn only_ipv4_is_reached_and_only_without_v6only() {
        let to = |text, own, v6only, call| {
            destination(Endpoint::new(addr(text), 9), own, &settings(v6only, None), call).map(|to| to.addr)
        };
        let [tcp, udp] = [Call::Connect(Protocol::Tcp), Call::Connect(Protocol::Udp)];
        for (text, tcp_says, udp_says, send_says) in [
            ("::", Error::AddrNotAvailable, Error::AddrNotAvailable, Error::AddrNotAvailable),
            ("fd00::1", Error::AddrNotAvailable, Error::AddrNotAvailable, Error::AddrNotAvailable),
            ("fe80::1", Error::Invalid, Error::Invalid, Error::AddrNotAvailable),
            ("ff02::1", Error::NetUnreachable, Error::Invalid, Error::AddrNotAvailable),
        ] {
            let verdicts = [tcp, udp, Call::Send].map(|call| to(text, ANY, false, call));
            assert_eq!(verdicts, [Err(tcp_says), Err(udp_says), Err(send_says)], "{text}");
        }
        assert_eq!(to("0.0.0.0", ANY, false, tcp), Ok(LOCALHOST));
        assert_eq!(to("::", LOCALHOST, false, Call::Send), Ok(LOCALHOST));
        assert_eq!(to("::1", LOCALHOST, false, Call::Send), Err(Error::NetUnreachable));
        assert_eq!(to("127.0.0.1", ANY, true, tcp), Err(Error::NetUnreachable));
        let to_port_0 = |v6only| destination(Endpoint::new(LOCALHOST, 0), ANY, &settings(v6only, None), Call::Send);
        assert_eq!([to_port_0(false), to_port_0(true)], [Err(Error::Invalid), Err(Error::NetUnreachable)]);
    }
}
