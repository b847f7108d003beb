//! The numbers of the protocols above IP, for both families (IANA "Assigned Internet Protocol Numbers").

macro_rules! protocols {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: u8 = $number;)*

        /// The protocol's name in lower case, as in /etc/protocols; `None` for those the stack does not know.
        pub const fn name(protocol: u8) -> Option<&'static str> {
            match protocol {
                $($number => Some($text),)*
                _ => None,
            }
        }
    };
}

protocols! {
    /// ICMP for IPv4 (RFC 792).
    ICMP = 1, "icmp";
    /// IGMP (RFC 3376).
    IGMP = 2, "igmp";
    /// TCP (RFC 9293).
    TCP = 6, "tcp";
    /// UDP (RFC 768).
    UDP = 17, "udp";
    /// ICMP for IPv6 (RFC 4443).
    ICMPV6 = 58, "ipv6-icmp";
}
