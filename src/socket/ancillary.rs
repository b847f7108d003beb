//! Control messages (cmsg(3), ip(7), socket(7)) as bytes: `struct cmsghdr` and what follows it.

use super::{address::Address, errno, file::Handle};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    stack::{Family, IfaceId, Received, SendTo, config::Kind},
    sys::wall,
    tcp::reports::Report,
    time::Instant,
    udp::error_queue::{self, Origin},
};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::atomic::Ordering,
};

/// sizeof(struct cmsghdr): length, level, type.
const HEADER: usize = size_of::<usize>() + 8;
/// The most control bytes a call is looked at: Linux's net.core.optmem_max is larger, what we understand is not.
pub const MAX_CONTROL: usize = 1024;

const fn align(len: usize) -> usize {
    (len + size_of::<usize>() - 1) & !(size_of::<usize>() - 1)
}

/// The index by which the application knows an interface: 1 is loopback, as if_nametoindex(3) says of "lo".
pub const fn interface_index(iface: IfaceId) -> i32 {
    iface.0 as i32 + 1
}

/// The interface of an index; 0 stands for none in particular.
///
/// # Errors
/// `NoDevice` when the socket's stack does not have it.
pub fn interface(index: i32, socket: &Handle) -> Result<Option<IfaceId>> {
    interface_of(index, socket.engine.config().kind != Kind::Null)
}

fn interface_of(index: i32, has_device: bool) -> Result<Option<IfaceId>> {
    match index {
        0 => Ok(None),
        _ if index == interface_index(IfaceId::LOOPBACK) => Ok(Some(IfaceId::LOOPBACK)),
        _ if has_device && index == interface_index(IfaceId::DEVICE) => Ok(Some(IfaceId::DEVICE)),
        _ => Err(Error::NoDevice),
    }
}

/// What recvmsg(2) reports besides the data. Only what was asked for by option is there.
#[derive(Copy, Clone, Debug, Default)]
pub struct Ancillary {
    /// Number of the SO_TIMESTAMP option and nanoseconds since 1970.
    pub timestamp: Option<(u8, u64)>,
    /// TCP_INQ: bytes left to be read.
    pub inq: Option<u32>,
    /// IP_PKTINFO: interface, and what a reply would come from, and destination address.
    pub pktinfo: Option<(i32, [Ipv4Addr; 2])>,
    /// The same is told as IPV6_PKTINFO (RFC 3542 section 6): interface, and the destination in its mapped form.
    pub is_v6: bool,
    /// IP_RECVTTL.
    pub ttl: Option<u8>,
    /// IP_RECVTOS.
    pub tos: Option<u8>,
    /// What came from the error queue.
    pub report: Option<Told>,
}

/// A report as the application sees it: `struct sock_extended_err` (linux/errqueue.h) and what stands around it.
#[derive(Copy, Clone, Debug)]
pub struct Told {
    errno: i32,
    origin: u8,
    kind: u8,
    code: u8,
    info: u32,
    data: u32,
    /// Who sent it, if it came from the network.
    offender: Option<IpAddr>,
    /// When, in nanoseconds since 1970 by the wall clock, if it is a stamp.
    stamp: Option<u64>,
    /// The socket is one of IPv6.
    family: Family,
}

impl Told {
    /// `struct scm_timestamping` for a stamp, and `struct sock_extended_err` with the address it came from.
    fn emit(&self, writer: &mut Writer<'_>) {
        if let Some(stamp) = self.stamp {
            let mut stamps = [0; 48];
            stamps[..8].copy_from_slice(&(stamp / 1_000_000_000).to_ne_bytes());
            stamps[8..16].copy_from_slice(&(stamp % 1_000_000_000).to_ne_bytes());
            writer.put(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, &stamps);
        }
        let mut error = [0; 44];
        error[..4].copy_from_slice(&self.errno.to_ne_bytes());
        error[4..7].copy_from_slice(&[self.origin, self.kind, self.code]);
        error[8..12].copy_from_slice(&self.info.to_ne_bytes());
        error[12..16].copy_from_slice(&self.data.to_ne_bytes());
        if let Some(offender) = self.offender {
            let address = Address::new(Endpoint::new(offender, 0), self.family);
            error[16..16 + address.bytes().len()].copy_from_slice(address.bytes());
        }
        match self.family {
            Family::V4 => writer.put(libc::IPPROTO_IP, libc::IP_RECVERR, &error[..32]),
            Family::V6 => writer.put(libc::IPPROTO_IPV6, libc::IPV6_RECVERR, &error),
        }
    }
}

/// Nanoseconds since 1970 of what was at `at`.
fn wall_nanos(socket: &Handle, at: Instant) -> u64 {
    let when = wall::since_epoch().saturating_sub(socket.engine.now().since(at));
    u64::try_from(when.as_nanos()).unwrap_or(u64::MAX)
}

/// When something came, by the wall clock.
fn timestamp(socket: &Handle, at: Instant) -> Option<(u8, u64)> {
    let option = socket.fields().timestamp.load(Ordering::Relaxed);
    (option != 0 && at != Instant::ZERO).then(|| (option, wall_nanos(socket, at)))
}

impl Ancillary {
    /// Of bytes of a stream that came at `at`, when `inq` were left.
    pub fn of_stream(socket: &Handle, at: Instant, inq: Option<u32>) -> Self {
        Self { timestamp: timestamp(socket, at), inq, ..Self::default() }
    }

    /// Of a datagram; the booleans are IP_PKTINFO, IP_RECVTTL and IP_RECVTOS.
    pub fn of_datagram(socket: &Handle, received: &Received, (pktinfo, ttl, tos): (bool, bool, bool)) -> Self {
        let destination = match received.to {
            Some(IpAddr::V4(to)) if pktinfo => Some((received.iface.map_or(0, interface_index), [to; 2])),
            _ => None,
        };
        Self {
            timestamp: timestamp(socket, received.at),
            inq: None,
            pktinfo: destination,
            is_v6: socket.family == Family::V6,
            ttl: ttl.then_some(received.ttl),
            tos: tos.then_some(received.tos),
            report: None,
        }
    }

    /// Of a report about a stream's data.
    pub fn of_report(socket: &Handle, report: Report) -> Self {
        let family = socket.family;
        let told = match report {
            Report::Released { first: info, last: data } => {
                let (origin, code) = (SO_EE_ORIGIN_ZEROCOPY, SO_EE_CODE_ZEROCOPY_COPIED);
                Told { errno: 0, origin, kind: 0, code, info, data, offender: None, stamp: None, family }
            }
            Report::Stamp { milestone, key: data, at, .. } => {
                let (origin, info, stamp) = (SO_EE_ORIGIN_TIMESTAMPING, milestone as u32, Some(wall_nanos(socket, at)));
                Told { errno: libc::ENOMSG, origin, kind: 0, code: 0, info, data, offender: None, stamp, family }
            }
        };
        Self { report: Some(told), ..Self::default() }
    }

    /// Of what a datagram socket's error queue held; the booleans as in [`Ancillary::of_datagram`], and what they ask
    /// for is that of the ICMP message (Linux ip_recv_error).
    pub fn of_error(socket: &Handle, report: &error_queue::Report, (pktinfo, ttl, tos): (bool, bool, bool)) -> Self {
        let (errno, info, family, origin) = (errno::of(report.error), report.info, socket.family, SO_EE_ORIGIN_LOCAL);
        let local = Told { errno, origin, kind: 0, code: 0, info, data: 0, offender: None, stamp: None, family };
        let Origin::Icmp { kind, code, meta } = report.origin else {
            return Self { report: Some(local), ..Self::default() };
        };
        let told = Told { origin: SO_EE_ORIGIN_ICMP, kind, code, offender: Some(meta.from.addr), ..local };
        let destination = match meta.to {
            IpAddr::V4(to) if pktinfo => Some((interface_index(meta.iface), [Ipv4Addr::UNSPECIFIED, to])),
            _ => None,
        };
        Self {
            timestamp: timestamp(socket, meta.at),
            inq: None,
            pktinfo: destination,
            is_v6: socket.family == Family::V6,
            ttl: ttl.then_some(meta.ttl),
            tos: tos.then_some(meta.tos),
            report: Some(told),
        }
    }

    /// Writes the control messages, in Linux's order. Returns the bytes used and whether some had no room (MSG_CTRUNC).
    pub fn emit(&self, out: &mut [u8]) -> (usize, bool) {
        let mut writer = Writer { out, used: 0, truncated: false };
        if let Some((option, nanos)) = self.timestamp {
            let fraction = match i32::from(option) {
                libc::SO_TIMESTAMP | SO_TIMESTAMP_NEW => nanos % 1_000_000_000 / 1000,
                _ => nanos % 1_000_000_000,
            };
            let [seconds, fraction] = [nanos / 1_000_000_000, fraction].map(u64::to_ne_bytes);
            writer.put(libc::SOL_SOCKET, option.into(), &[seconds, fraction].concat());
        }
        if let Some(inq) = self.inq {
            writer.put(libc::IPPROTO_TCP, TCP_CM_INQ, &inq.to_ne_bytes());
        }
        if let Some((index, [local, to])) = self.pktinfo {
            let index = index.to_ne_bytes();
            if self.is_v6 {
                let to = to.to_ipv6_mapped().octets();
                writer.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &[&to[..], &index].concat());
            } else {
                let info = [index, local.octets(), to.octets()].concat();
                writer.put(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
        }
        if let Some(ttl) = self.ttl {
            writer.put(libc::IPPROTO_IP, libc::IP_TTL, &i32::from(ttl).to_ne_bytes());
        }
        if let Some(tos) = self.tos {
            writer.put(libc::IPPROTO_IP, libc::IP_TOS, &[tos]);
        }
        if let Some(told) = self.report {
            told.emit(&mut writer);
        }
        (writer.used, writer.truncated)
    }
}

/// linux/errqueue.h.
const SO_EE_ORIGIN_LOCAL: u8 = 1;
const SO_EE_ORIGIN_ICMP: u8 = 2;
const SO_EE_ORIGIN_TIMESTAMPING: u8 = 4;
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;
/// linux/tcp.h: the option's number is the message's.
pub const TCP_CM_INQ: i32 = 36;
/// SO_TIMESTAMP with 64-bit time on every machine (asm-generic/socket.h).
pub const SO_TIMESTAMP_NEW: i32 = 63;
/// SO_TIMESTAMPNS with 64-bit time on every machine.
pub const SO_TIMESTAMPNS_NEW: i32 = 64;

struct Writer<'a> {
    out: &'a mut [u8],
    used: usize,
    truncated: bool,
}

impl Writer<'_> {
    /// As Linux's put_cmsg: a message without room for its header is left out, one without room for its data is cut.
    fn put(&mut self, level: i32, kind: i32, data: &[u8]) {
        let room = self.out.len() - self.used;
        if room < HEADER {
            self.truncated = true;
            return;
        }
        let len = HEADER + data.len().min(room - HEADER);
        self.truncated |= len < HEADER + data.len();
        let place = &mut self.out[self.used..];
        place[..size_of::<usize>()].copy_from_slice(&len.to_ne_bytes());
        place[HEADER - 8..HEADER - 4].copy_from_slice(&level.to_ne_bytes());
        place[HEADER - 4..HEADER].copy_from_slice(&kind.to_ne_bytes());
        place[HEADER..len].copy_from_slice(&data[..len - HEADER]);
        self.used += align(len).min(room);
    }
}

/// Reads the control messages of sendmsg(2) on a datagram socket.
///
/// # Errors
/// `Invalid` for a malformed or unknown message (Linux: ip_cmsg_send, __sock_cmsg_send), `NoDevice` for an interface
/// that is not the stack's.
pub fn parse(control: &[u8], socket: &Handle) -> Result<SendTo> {
    parse_by(control, |index| interface(index, socket))
}

fn parse_by(mut control: &[u8], interface: impl Fn(i32) -> Result<Option<IfaceId>>) -> Result<SendTo> {
    let mut to = SendTo::default();
    while control.len() >= HEADER {
        let word = |at: usize| i32::from_ne_bytes([control[at], control[at + 1], control[at + 2], control[at + 3]]);
        let len = control.first_chunk().map_or(0, |len| usize::from_ne_bytes(*len));
        let data = control.get(HEADER..len).ok_or(Error::Invalid)?;
        match (word(HEADER - 8), word(HEADER - 4)) {
            (libc::IPPROTO_IP, kind) => parse_ip(kind, data, &interface, &mut to)?,
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => parse_pktinfo6(data, &interface, &mut to)?,
            // Meant for other families; Linux passes over them here.
            (libc::SOL_SOCKET, libc::SCM_RIGHTS | libc::SCM_CREDENTIALS) => {}
            // By which nothing is routed or filtered here.
            (libc::SOL_SOCKET, libc::SO_MARK) if data.len() == size_of::<u32>() => {}
            (libc::SOL_SOCKET, _) => return Err(Error::Invalid),
            _ => {}
        }
        control = control.get(align(len)..).unwrap_or(&[]);
    }
    Ok(to)
}

/// `struct in6_pktinfo`: an address to send from, unless it is `::`, and an interface.
fn parse_pktinfo6(data: &[u8], interface: impl Fn(i32) -> Result<Option<IfaceId>>, to: &mut SendTo) -> Result<()> {
    let info: &[u8; 20] = data.try_into().map_err(|_| Error::Invalid)?;
    to.iface = interface(i32::from_ne_bytes([info[16], info[17], info[18], info[19]]))?;
    let octets: [u8; 16] = info[..16].try_into().map_err(|_| Error::Invalid)?;
    let source = Ipv6Addr::from(octets);
    to.source = match source.to_ipv4_mapped() {
        None if source.is_unspecified() => None,
        // What is sent is IPv4, and nothing of it comes from there.
        None => return Err(Error::Invalid),
        Some(source) => (!source.is_unspecified()).then_some(IpAddr::V4(source)),
    };
    Ok(())
}

fn parse_ip(kind: i32, data: &[u8], interface: impl Fn(i32) -> Result<Option<IfaceId>>, to: &mut SendTo) -> Result<()> {
    let int = || data.first_chunk().map(|int| i32::from_ne_bytes(*int)).ok_or(Error::Invalid);
    let byte = |range: std::ops::RangeInclusive<i32>| {
        int().and_then(|int| if range.contains(&int) { Ok(int as u8) } else { Err(Error::Invalid) })
    };
    match kind {
        libc::IP_PKTINFO => {
            let info: &[u8; 12] = data.try_into().map_err(|_| Error::Invalid)?;
            to.iface = interface(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]))?;
            let source = Ipv4Addr::new(info[4], info[5], info[6], info[7]);
            to.source = (!source.is_unspecified()).then_some(IpAddr::V4(source));
        }
        libc::IP_TTL => to.ttl = Some(byte(1..=255)?),
        libc::IP_TOS if data.len() == 1 => to.tos = Some(data[0]),
        libc::IP_TOS => to.tos = Some(byte(0..=255)?),
        _ => return Err(Error::Invalid),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Ancillary = Ancillary {
        timestamp: Some((libc::SO_TIMESTAMPNS as u8, 1_700_000_000_123_456_789)),
        inq: None,
        pktinfo: Some((2, [Ipv4Addr::new(10, 0, 0, 2); 2])),
        is_v6: false,
        ttl: Some(64),
        tos: Some(0x10),
        report: None,
    };

    #[test]
    fn the_packet_information_of_ipv6_has_the_mapped_address() {
        let mut bytes = [0; 64];
        let told =
            Ancillary { pktinfo: Some((2, [Ipv4Addr::new(10, 0, 0, 2); 2])), is_v6: true, ..Ancillary::default() };
        let (used, _) = told.emit(&mut bytes);
        let to = parse_by(&bytes[..used], |_| Ok(None)).unwrap();
        assert_eq!(to.source, Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2))));
        // Nothing of IPv4 comes from an address of IPv6.
        bytes[HEADER..HEADER + 16].fill(0xfd);
        assert_eq!(parse_by(&bytes[..used], |_| Ok(None)).err(), Some(Error::Invalid));
    }

    #[test]
    fn messages_stand_in_linux_order_aligned_and_cut_where_the_room_ends() {
        let mut out = [0u8; 256];
        let (used, truncated) = ALL.emit(&mut out);
        assert_eq!((used, truncated), (32 + 32 + 24 + 24, false));
        assert_eq!(out[..8], 32usize.to_ne_bytes());
        assert_eq!(out[16..24], 1_700_000_000u64.to_ne_bytes());
        assert_eq!(out[24..32], 123_456_789u64.to_ne_bytes());
        assert_eq!(out[32..40], 28usize.to_ne_bytes());
        assert_eq!(ALL.emit(&mut out[..31]), (31, true));
        assert_eq!(ALL.emit(&mut out[..15]), (0, true));
        assert_eq!(ALL.emit(&mut []), (0, true));
        assert_eq!(Ancillary::default().emit(&mut []), (0, false));
        let micro = Ancillary { timestamp: Some((libc::SO_TIMESTAMP as u8, 5_000_007_000)), ..Ancillary::default() };
        micro.emit(&mut out);
        assert_eq!(out[24..32], 7u64.to_ne_bytes());
    }

    fn parse(control: &[u8]) -> Result<SendTo> {
        parse_by(control, |index| interface_of(index, true))
    }

    #[test]
    fn a_stack_without_a_device_has_no_second_interface() {
        assert_eq!([0, 1, 2, 3].map(|index| interface_of(index, false).is_ok()), [true, true, false, false]);
        assert_eq!(interface_of(2, true), Ok(Some(IfaceId::DEVICE)));
    }

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 64];
        let mut writer = Writer { out: &mut out, used: 0, truncated: false };
        writer.put(level, kind, data);
        let used = writer.used;
        out.truncate(used);
        out
    }

    #[test]
    fn sent_messages_set_source_ttl_and_tos() {
        let mut control = message(libc::IPPROTO_IP, libc::IP_PKTINFO, &[2, 0, 0, 0, 10, 0, 0, 2, 0, 0, 0, 0]);
        control.extend(message(libc::IPPROTO_IP, libc::IP_TTL, &9i32.to_ne_bytes()));
        control.extend(message(libc::IPPROTO_IP, libc::IP_TOS, &[8]));
        let to = parse(&control).unwrap();
        assert_eq!((to.source, to.ttl, to.tos), (Some("10.0.0.2".parse().unwrap()), Some(9), Some(8)));
        assert_eq!(to.iface, Some(IfaceId::DEVICE));
        for (level, kind, data, error) in [
            (libc::IPPROTO_IP, libc::IP_TTL, &0i32.to_ne_bytes()[..], Error::Invalid),
            (libc::IPPROTO_IP, libc::IP_TTL, &[1], Error::Invalid),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &[7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Error::NoDevice),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &[0; 11], Error::Invalid),
            (libc::IPPROTO_IP, 99, &[], Error::Invalid),
            (libc::SOL_SOCKET, libc::SO_MARK, &[0; 5], Error::Invalid),
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &[0; 4], Error::Invalid),
        ] {
            assert_eq!(parse(&message(level, kind, data)).err(), Some(error), "{level} {kind}");
        }
        for kind in [libc::SCM_RIGHTS, libc::SO_MARK] {
            assert!(parse(&message(libc::SOL_SOCKET, kind, &[0; 4])).is_ok());
        }
        assert_eq!(parse(&[0xff; 40]).err(), Some(Error::Invalid));
        assert_eq!(parse(&[0; 40]).err(), Some(Error::Invalid));
    }
}
