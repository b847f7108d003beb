//! What the application has asked of a socket below TCP and UDP: the values behind SOL_SOCKET and IPPROTO_IP options.

/// IP_MTU_DISCOVER (ip(7)).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MtuDiscover {
    /// IP_PMTUDISC_DONT: never set DF.
    Dont,
    /// IP_PMTUDISC_WANT: per route; fragment what is too large.
    Want,
    /// IP_PMTUDISC_DO: always DF, `MessageTooLong` for what is too large.
    Do,
    /// IP_PMTUDISC_PROBE: DF, but ignore the path MTU.
    Probe,
}

/// Values of IPPROTO_IP options.
#[derive(Clone, Debug)]
pub struct IpSettings {
    /// IP_TTL.
    pub ttl: u8,
    /// IP_TOS.
    pub tos: u8,
    /// IP_MTU_DISCOVER.
    pub mtu_discover: MtuDiscover,
    /// IP_RECVTTL.
    pub recv_ttl: bool,
    /// IP_RECVTOS.
    pub recv_tos: bool,
    /// IP_PKTINFO.
    pub pktinfo: bool,
    /// IP_RECVERR: ICMP errors are reported on unconnected datagram sockets too.
    pub recverr: bool,
    /// IP_MULTICAST_TTL.
    pub multicast_ttl: u8,
    /// IP_MULTICAST_LOOP.
    pub multicast_loop: bool,
    /// IP_BIND_ADDRESS_NO_PORT.
    pub bind_address_no_port: bool,
}

impl Default for IpSettings {
    fn default() -> Self {
        Self {
            ttl: 64,
            tos: 0,
            mtu_discover: MtuDiscover::Want,
            recv_ttl: false,
            recv_tos: false,
            pktinfo: false,
            recverr: false,
            multicast_ttl: 1,
            multicast_loop: true,
            bind_address_no_port: false,
        }
    }
}

/// Values of options every socket has.
#[derive(Clone, Debug)]
pub struct SocketSettings {
    /// SO_REUSEADDR.
    pub reuse_addr: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// SO_BROADCAST.
    pub broadcast: bool,
    /// SO_DONTROUTE: only on-link destinations.
    pub dont_route: bool,
    /// SO_TIMESTAMP, SO_TIMESTAMPNS: deliver receive times.
    pub timestamp: bool,
    /// SO_RCVBUF of a datagram socket, bytes.
    pub recv_buffer: usize,
    /// SO_SNDBUF of a datagram socket, bytes.
    pub send_buffer: usize,
    /// IPPROTO_IP options.
    pub ip: IpSettings,
}

impl Default for SocketSettings {
    /// Linux's defaults (net.core.rmem_default, wmem_default).
    fn default() -> Self {
        Self {
            reuse_addr: false,
            reuse_port: false,
            broadcast: false,
            dont_route: false,
            timestamp: false,
            recv_buffer: 212_992,
            send_buffer: 212_992,
            ip: IpSettings::default(),
        }
    }
}
