//! IPPROTO_IP (ip(7); Linux net/ipv4/ip_sockglue.c).

use super::{
    super::{ancillary::interface, file::Handle},
    Row, Value, change, read_only, setting, write_only, zero,
};
use crate::{
    error::{Error, Result},
    stack::{IfaceId, MtuDiscover, Protocol},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::atomic::Ordering::Relaxed,
};

/// Names that the C library does not have for every target (linux/in.h).
const IP_HDRINCL: i32 = 3;
const IP_OPTIONS: i32 = 4;
const IP_ROUTER_ALERT: i32 = 5;
const IP_RECVOPTS: i32 = 6;
const IP_RETOPTS: i32 = 7;
const IP_PASSSEC: i32 = 18;
const IP_ORIGDSTADDR: i32 = 20;
const IP_MINTTL: i32 = 21;
const IP_NODEFRAG: i32 = 22;
const IP_CHECKSUM: i32 = 23;
const IP_RECVFRAGSIZE: i32 = 25;
const IP_MULTICAST_ALL: i32 = 49;
const IP_UNICAST_IF: i32 = 50;
/// Values of IP_MTU_DISCOVER (linux/in.h).
const IP_PMTUDISC_INTERFACE: i32 = 4;
const IP_PMTUDISC_OMIT: i32 = 5;
/// sizeof(struct ip_mreq)
const MREQ: usize = 8;

pub(super) const TABLE: &[Row] = &[
    Row { name: libc::IP_TOS, get: |s| setting(s, |o| o.ip.tos.into()), set: set_tos },
    Row { name: libc::IP_TTL, get: |s| setting(s, |o| o.ip.ttl.into()), set: set_ttl },
    Row { name: IP_HDRINCL, get: zero, set: read_only },
    // A socket never has options, which sshd insists on; none are sent.
    Row {
        name: IP_OPTIONS,
        get: |_| Ok(Value::bytes(&[])),
        set: |_, v| if v.is_empty() { Ok(()) } else { Err(Error::NotPermitted) },
    },
    Row { name: IP_ROUTER_ALERT, get: write_only, set: read_only },
    off(IP_RECVOPTS),
    off(IP_RETOPTS),
    boolean!(libc::IP_PKTINFO, number, ip.pktinfo),
    Row { name: libc::IP_MTU_DISCOVER, get: |s| setting(s, |o| discover_number(o.ip.mtu_discover)), set: set_discover },
    Row {
        name: libc::IP_RECVERR,
        get: |s| setting(s, |o| o.ip.recverr.into()),
        set: |s, v| {
            let on = loose(v) != 0;
            s.with(|stack, id, _| stack.set_recverr(id, on))
        },
    },
    boolean!(libc::IP_RECVTTL, number, ip.recv_ttl),
    boolean!(libc::IP_RECVTOS, number, ip.recv_tos),
    Row { name: libc::IP_MTU, get: mtu, set: read_only },
    boolean!(libc::IP_FREEBIND, number, ip.freebind),
    off(IP_PASSSEC),
    Row { name: libc::IP_TRANSPARENT, get: zero, set: |_, v| only_off(v, Error::NotPermitted) },
    off(IP_ORIGDSTADDR),
    off(IP_MINTTL),
    Row { name: IP_NODEFRAG, get: zero, set: read_only },
    off(IP_CHECKSUM),
    boolean!(libc::IP_BIND_ADDRESS_NO_PORT, number, ip.bind_address_no_port),
    off(IP_RECVFRAGSIZE),
    Row { name: libc::IP_MULTICAST_IF, get: multicast_if, set: set_multicast_if },
    Row { name: libc::IP_MULTICAST_TTL, get: |s| setting(s, |o| o.ip.multicast_ttl.into()), set: set_multicast_ttl },
    boolean!(libc::IP_MULTICAST_LOOP, byte_at_least, ip.multicast_loop),
    // Groups need IGMP: until it is there no device has them.
    Row { name: libc::IP_ADD_MEMBERSHIP, get: write_only, set: |s, v| group(s, v, Error::NoDevice) },
    Row { name: libc::IP_DROP_MEMBERSHIP, get: write_only, set: |s, v| group(s, v, Error::AddrNotAvailable) },
    Row {
        name: IP_MULTICAST_ALL,
        get: |_| Ok(Value::Int(1)),
        set: |_, v| if loose(v) == 1 { Ok(()) } else { Err(Error::NoProtocolOption) },
    },
    Row { name: IP_UNICAST_IF, get: zero, set: |_, v| only_off(v, Error::NoDevice) },
];

/// The number an option is set to: an int, a byte where there is no int, 0 where there is nothing
/// (do_ip_setsockopt).
fn loose(value: &[u8]) -> i32 {
    match value.first_chunk() {
        Some(int) => i32::from_ne_bytes(*int),
        None => value.first().copied().unwrap_or(0).into(),
    }
}

/// The same, where a function that may refuse is wanted.
fn number(value: &[u8]) -> Result<i32> {
    Ok(loose(value))
}

/// Like [`loose`], but there must be something.
fn byte_at_least(value: &[u8]) -> Result<i32> {
    if value.is_empty() { Err(Error::Invalid) } else { Ok(loose(value)) }
}

/// An option that is never on.
const fn off(name: i32) -> Row {
    Row { name, get: zero, set: |_, v| only_off(v, Error::NoProtocolOption) }
}

/// Not honoured, so that only "off" can be asked for.
fn only_off(value: &[u8], refusal: Error) -> Result<()> {
    if loose(value) == 0 { Ok(()) } else { Err(refusal) }
}

/// The lowest two bits of a stream's TOS are ECN's, which the application has no say in (RFC 3168 section 23.2).
fn set_tos(s: &Handle, value: &[u8]) -> Result<()> {
    let tos = loose(value) as u8;
    let is_stream = s.protocol == Protocol::Tcp;
    // Each kind of service has its priority (Linux's ip_tos2prio).
    let priority = [0, 2, 6, 4][usize::from(tos >> 3 & 3)];
    s.fields().priority.store(priority, Relaxed);
    change(s, |o| o.ip.tos = if is_stream { tos & !3 | o.ip.tos & 3 } else { tos })
}

/// -1 is the default (ip(7)).
fn ttl(value: i32, default: u8) -> Result<u8> {
    match value {
        -1 => Ok(default),
        1..=255 => Ok(value as u8),
        _ => Err(Error::Invalid),
    }
}

fn set_ttl(s: &Handle, value: &[u8]) -> Result<()> {
    let ttl = ttl(byte_at_least(value)?, 64)?;
    change(s, |o| o.ip.ttl = ttl)
}

const fn discover_number(discover: MtuDiscover) -> i32 {
    match discover {
        MtuDiscover::Dont => libc::IP_PMTUDISC_DONT,
        MtuDiscover::Want => libc::IP_PMTUDISC_WANT,
        MtuDiscover::Do => libc::IP_PMTUDISC_DO,
        MtuDiscover::Probe => libc::IP_PMTUDISC_PROBE,
        MtuDiscover::Interface => IP_PMTUDISC_INTERFACE,
        MtuDiscover::Omit => IP_PMTUDISC_OMIT,
    }
}

fn set_discover(s: &Handle, value: &[u8]) -> Result<()> {
    use MtuDiscover::{Do, Dont, Interface, Omit, Probe, Want};
    let value = loose(value);
    let discover = [Dont, Want, Do, Probe, Interface, Omit]
        .into_iter()
        .find(|discover| discover_number(*discover) == value)
        .ok_or(Error::Invalid)?;
    change(s, |o| o.ip.mtu_discover = discover)
}

pub(super) fn mtu(s: &Handle) -> Result<Value> {
    let mtu = s.with(|stack, id, _| stack.path_mtu(id))?;
    Ok(Value::Int(i32::try_from(mtu).unwrap_or(i32::MAX)))
}

fn multicast_if(s: &Handle) -> Result<Value> {
    let chosen = s.with(|stack, id, _| stack.settings(id).map(|settings| settings.ip.multicast_if))?;
    let addr = chosen.map_or(Ipv4Addr::UNSPECIFIED, |(_, addr)| addr);
    Ok(Value::bytes(&addr.octets()))
}

/// An in_addr, or an ip_mreq with one in second place, or an ip_mreqn with an interface's index in third.
fn set_multicast_if(s: &Handle, value: &[u8]) -> Result<()> {
    if s.protocol == Protocol::Tcp {
        return Err(Error::Invalid);
    }
    let word = |at: usize| value.get(at..)?.first_chunk::<4>().copied();
    let addr = Ipv4Addr::from(word(if value.len() >= MREQ { 4 } else { 0 }).ok_or(Error::Invalid)?);
    let iface = match word(MREQ).map_or(0, i32::from_ne_bytes) {
        0 if addr.is_unspecified() => None,
        0 if addr.is_loopback() => Some(IfaceId::LOOPBACK),
        0 if s.engine.config().addresses.iter().any(|own| own.addr == IpAddr::V4(addr)) => Some(IfaceId::DEVICE),
        0 => return Err(Error::AddrNotAvailable),
        index => interface(index, s).map_err(|_| Error::AddrNotAvailable)?,
    };
    let bound = s.with(|stack, id, _| stack.settings(id).map(|settings| settings.iface))?;
    if iface.is_some() && bound.is_some() && iface != bound {
        return Err(Error::Invalid);
    }
    change(s, |o| o.ip.multicast_if = iface.map(|iface| (iface, addr)))
}

fn set_multicast_ttl(s: &Handle, value: &[u8]) -> Result<()> {
    if s.protocol == Protocol::Tcp {
        return Err(Error::Invalid);
    }
    let ttl = match byte_at_least(value)? {
        -1 => 1,
        value @ 0..=255 => value as u8,
        _ => return Err(Error::Invalid),
    };
    change(s, |o| o.ip.multicast_ttl = ttl)
}

fn group(s: &Handle, value: &[u8], refusal: Error) -> Result<()> {
    if s.protocol == Protocol::Tcp {
        return Err(Error::ProtocolError);
    }
    let mreq: &[u8; MREQ] = value.first_chunk().ok_or(Error::Invalid)?;
    if mreq[0] >> 4 != 0xe { Err(Error::Invalid) } else { Err(refusal) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_an_int_a_byte_or_nothing() {
        assert_eq!((loose(&300i32.to_ne_bytes()), loose(&[7]), loose(&[])), (300, 7, 0));
        assert_eq!(byte_at_least(&[]), Err(Error::Invalid));
    }

    #[test]
    fn a_ttl_is_1_to_255_or_the_default() {
        assert_eq!((ttl(-1, 64), ttl(1, 64), ttl(255, 64)), (Ok(64), Ok(1), Ok(255)));
        assert_eq!([0, 256, -2].map(|v| ttl(v, 64)), [Err(Error::Invalid); 3]);
    }
}
