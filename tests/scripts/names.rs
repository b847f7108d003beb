//! The names scripts use for numbers: constants of the C library, errno, ICMP.

macro_rules! constants {
    ($($name:ident)*; $($other:literal = $value:expr,)*) => {
        const CONSTANTS: &[(&str, i64)] = &[$((stringify!($name), libc::$name as i64),)* $(($other, $value),)*];
    };
}

constants! {
    AF_INET AF_INET6 AF_UNSPEC PF_INET PF_INET6 SOCK_STREAM SOCK_DGRAM SOCK_NONBLOCK SOCK_CLOEXEC
    IPPROTO_TCP IPPROTO_UDP IPPROTO_IP IPPROTO_IPV6 SOL_SOCKET
    SO_REUSEADDR SO_REUSEPORT SO_KEEPALIVE SO_LINGER SO_OOBINLINE SO_SNDBUF SO_RCVBUF SO_RCVLOWAT SO_SNDLOWAT
    SO_RCVTIMEO SO_SNDTIMEO SO_ERROR SO_TYPE SO_PROTOCOL SO_DOMAIN SO_ACCEPTCONN SO_BROADCAST SO_DONTROUTE SO_PRIORITY
    SO_MAX_PACING_RATE SO_ZEROCOPY SO_TIMESTAMP SO_BUSY_POLL SO_MARK SO_INCOMING_CPU
    TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2 TCP_DEFER_ACCEPT
    TCP_WINDOW_CLAMP TCP_INFO TCP_QUICKACK TCP_CONGESTION TCP_USER_TIMEOUT TCP_FASTOPEN TCP_MD5SIG
    IP_TOS IP_TTL IP_MTU IP_MTU_DISCOVER IP_RECVERR IP_RECVTOS IP_RECVTTL IP_PKTINFO
    IP_PMTUDISC_DONT IP_PMTUDISC_WANT IP_PMTUDISC_DO IP_PMTUDISC_PROBE
    F_GETFL F_SETFL F_GETFD F_SETFD FD_CLOEXEC O_RDWR O_RDONLY O_WRONLY O_NONBLOCK
    SHUT_RD SHUT_WR SHUT_RDWR
    MSG_OOB MSG_PEEK MSG_DONTWAIT MSG_WAITALL MSG_NOSIGNAL MSG_MORE MSG_TRUNC MSG_CTRUNC MSG_ERRQUEUE MSG_EOR
    MSG_FASTOPEN MSG_DONTROUTE MSG_ZEROCOPY SO_TIMESTAMPING
    SOF_TIMESTAMPING_TX_SOFTWARE SOF_TIMESTAMPING_SOFTWARE SOF_TIMESTAMPING_OPT_ID SOF_TIMESTAMPING_TX_SCHED
    SOF_TIMESTAMPING_TX_ACK SOF_TIMESTAMPING_OPT_TSONLY
    POLLIN POLLPRI POLLOUT POLLERR POLLHUP POLLNVAL POLLRDNORM POLLWRNORM POLLRDHUP
    EPOLLIN EPOLLPRI EPOLLOUT EPOLLERR EPOLLHUP EPOLLRDNORM EPOLLWRNORM EPOLLRDHUP EPOLLET EPOLLONESHOT EPOLLEXCLUSIVE
    EPOLL_CTL_ADD EPOLL_CTL_MOD EPOLL_CTL_DEL EPOLL_CLOEXEC
    FIONREAD FIONBIO TIOCOUTQ TIOCINQ INADDR_ANY INADDR_LOOPBACK SOMAXCONN;
    "NULL" = 0,
    "SCM_TIMESTAMPING" = libc::SO_TIMESTAMPING as i64,
    "SCM_TSTAMP_SND" = 0,
    "SCM_TSTAMP_SCHED" = 1,
    "SCM_TSTAMP_ACK" = 2,
    "SO_EE_ORIGIN_TIMESTAMPING" = 4,
    "SO_EE_ORIGIN_ZEROCOPY" = 5,
    "SO_EE_CODE_ZEROCOPY_COPIED" = 1,
    "ENOMSG" = libc::ENOMSG as i64,
    "EHOSTUNREACH" = libc::EHOSTUNREACH as i64,
    "SOL_TCP" = libc::IPPROTO_TCP as i64,
    "SOL_UDP" = libc::IPPROTO_UDP as i64,
    "SOL_IP" = libc::IPPROTO_IP as i64,
    "SIOCINQ" = libc::FIONREAD as i64,
    "SIOCOUTQ" = libc::TIOCOUTQ as i64,
    "SIOCOUTQNSD" = 0x894b,
    "SIOCATMARK" = 0x8905,
    "TCP_NOTSENT_LOWAT" = 25,
    "TCP_CC_INFO" = 26,
    "TCP_SAVE_SYN" = 27,
    "TCP_SAVED_SYN" = 28,
    "TCP_FASTOPEN_CONNECT" = 30,
    "TCP_FASTOPEN_KEY" = 33,
    "TCP_FASTOPEN_NO_COOKIE" = 34,
    "TCP_INQ" = 36,
    "TCP_CM_INQ" = 36,
}

/// The number behind a name.
pub fn constant(name: &str) -> Option<i64> {
    CONSTANTS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The name of an option's number, for messages.
pub fn flags(value: i64, of: &[&str]) -> String {
    let names: Vec<_> =
        of.iter().filter(|name| constant(name).is_some_and(|bit| bit != 0 && value & bit == bit)).collect();
    let known = names.iter().fold(0, |known, name| known | constant(name).unwrap_or(0));
    let mut words: Vec<_> = names.iter().map(|name| (**name).to_owned()).collect();
    if value & !known != 0 || words.is_empty() {
        words.push(format!("{:#x}", value & !known));
    }
    words.join("|")
}

macro_rules! errnos {
    ($($name:ident)*) => {
        const ERRNOS: &[(&str, i32)] = &[$((stringify!($name), libc::$name),)*];
    };
}

errnos! {
    EAGAIN EWOULDBLOCK EINTR EINPROGRESS EALREADY EISCONN ENOTCONN ECONNREFUSED ECONNRESET ECONNABORTED ETIMEDOUT EPIPE
    EHOSTUNREACH EHOSTDOWN ENETUNREACH ENETDOWN EADDRINUSE EADDRNOTAVAIL EDESTADDRREQ EMSGSIZE EINVAL EOPNOTSUPP
    ENOPROTOOPT EPROTONOSUPPORT EPROTOTYPE EPROTO ESOCKTNOSUPPORT EAFNOSUPPORT EBADF ENOTSOCK EFAULT EACCES EPERM EMFILE
    ENFILE ENOBUFS ENOMEM ENODEV EBUSY EIO EDOM ENOTTY EEXIST ENOENT ESPIPE ELOOP ENONET
}

pub fn errno(name: &str) -> Option<i32> {
    ERRNOS.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

pub fn errno_name(errno: i32) -> String {
    ERRNOS.iter().find(|(_, value)| *value == errno).map_or_else(|| errno.to_string(), |(name, _)| (*name).to_owned())
}

/// What the C library says of an errno.
pub fn errno_text(errno: i32) -> String {
    let text = std::io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// ICMP: type's name, code's name, and their numbers.
const ICMP: [(&str, u8, &str, u8); 17] = [
    ("unreachable", 3, "net_unreachable", 0),
    ("unreachable", 3, "host_unreachable", 1),
    ("unreachable", 3, "protocol_unreachable", 2),
    ("unreachable", 3, "port_unreachable", 3),
    ("unreachable", 3, "frag_needed", 4),
    ("unreachable", 3, "source_route_failed", 5),
    ("unreachable", 3, "net_unknown", 6),
    ("unreachable", 3, "host_unknown", 7),
    ("unreachable", 3, "source_host_isolated", 8),
    ("unreachable", 3, "net_prohibited", 9),
    ("unreachable", 3, "host_prohibited", 10),
    ("unreachable", 3, "net_unreachable_for_tos", 11),
    ("unreachable", 3, "host_unreachable_for_tos", 12),
    ("unreachable", 3, "packet_filtered", 13),
    ("time_exceeded", 11, "ttl_expired_in_transit", 0),
    ("time_exceeded", 11, "fragment_reassembly_time_exceeded", 1),
    ("source_quench", 4, "", 0),
];

/// Type and code by their names; a type without a code of its own needs none.
pub fn icmp(kind: &str, code: Option<&str>) -> Option<(u8, u8)> {
    let row = ICMP.iter().find(|(name, _, code_name, _)| *name == kind && *code_name == code.unwrap_or_default());
    row.map(|(_, kind, _, code)| (*kind, *code))
}

/// Whether `name` is a type.
pub fn is_icmp_type(name: &str) -> bool {
    ICMP.iter().any(|(kind, ..)| *kind == name)
}

pub fn icmp_name(kind: u8, code: u8) -> String {
    match ICMP.iter().find(|(_, number, _, code_number)| (*number, *code_number) == (kind, code)) {
        Some((kind, _, code, _)) => format!("{kind} {code}").trim_end().to_owned(),
        None => format!("type {kind} code {code}"),
    }
}
