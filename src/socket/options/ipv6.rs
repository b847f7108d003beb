//! IPPROTO_IPV6 (ipv6(7), RFC 3493, RFC 3542; Linux net/ipv6/ipv6_sockglue.c). An AF_INET6 socket reaches IPv4 alone,
//! by mapped addresses, and on Linux too most of these options steer packets of IPv6 and no others: they are kept for
//! who reads them. What holds for mapped addresses is IPV6_V6ONLY and IPV6_RECVPKTINFO.

use super::{
    super::{ancillary::interface, file::Handle},
    Row, Value, change, int, ip, read_only, setting, within, write_only,
};
use crate::{
    error::{Error, Result},
    stack::{Ipv6Settings, Protocol},
};

/// Names that the C library does not have for every target (linux/in6.h).
const IPV6_MULTICAST_ALL: i32 = 29;
const IPV6_DONTFRAG: i32 = 62;
const IPV6_AUTOFLOWLABEL: i32 = 70;
/// sizeof(struct ipv6_mreq)
const MREQ: usize = 20;
/// What is answered for a hop limit of -1 (net.ipv6.conf.all.hop_limit).
const HOP_LIMIT: i32 = 64;
/// IPV6_MIN_MTU
const MIN_MTU: i32 = 1280;

pub(super) const TABLE: &[Row] = &[
    Row { name: libc::IPV6_V6ONLY, get: |s| setting(s, |o| o.v6only.into()), set: set_v6only },
    boolean!(libc::IPV6_RECVPKTINFO, int, ip.pktinfo),
    Row { name: libc::IPV6_UNICAST_HOPS, get: |s| kept(s, |o| hops(o.unicast_hops)), set: set_unicast_hops },
    Row { name: libc::IPV6_MULTICAST_HOPS, get: |s| kept(s, |o| hops(o.multicast_hops)), set: set_multicast_hops },
    Row { name: libc::IPV6_MULTICAST_IF, get: |s| kept(s, |o| o.multicast_if), set: set_multicast_if },
    Row { name: libc::IPV6_MULTICAST_LOOP, get: is_on::<{ libc::IPV6_MULTICAST_LOOP }, true>, set: set_multicast_loop },
    kept_boolean::<IPV6_MULTICAST_ALL, true>(),
    Row {
        name: libc::IPV6_MTU_DISCOVER,
        get: |s| kept(s, |o| o.mtu_discover.into()),
        set: |s, v| {
            let discover = within(int(v)?, 0..=5)? as u8;
            keep(s, |o| o.mtu_discover = discover)
        },
    },
    // What is set is the size of IPv6's own fragments, and what is read the MTU of the way to the peer.
    Row { name: libc::IPV6_MTU, get: ip::mtu, set: set_mtu },
    Row { name: libc::IPV6_TCLASS, get: |s| kept(s, |o| o.tclass.into()), set: set_tclass },
    kept_boolean::<{ libc::IPV6_RECVERR }, false>(),
    kept_boolean::<{ libc::IPV6_RECVHOPLIMIT }, false>(),
    kept_boolean::<{ libc::IPV6_RECVTCLASS }, false>(),
    kept_boolean::<IPV6_DONTFRAG, false>(),
    kept_boolean::<IPV6_AUTOFLOWLABEL, true>(),
    // No device has groups of IPv6.
    Row { name: libc::IPV6_ADD_MEMBERSHIP, get: write_only, set: |s, v| group(s, v, Error::NoDevice) },
    Row { name: libc::IPV6_DROP_MEMBERSHIP, get: write_only, set: |s, v| group(s, v, Error::AddrNotAvailable) },
    Row { name: libc::IPV6_HOPLIMIT, get: write_only, set: read_only },
];

fn kept(s: &Handle, read: impl FnOnce(&Ipv6Settings) -> i32) -> Result<Value> {
    setting(s, |o| read(o.ipv6.as_deref().unwrap_or(&Ipv6Settings::default())))
}

fn keep(s: &Handle, write: impl FnOnce(&mut Ipv6Settings)) -> Result<()> {
    change(s, |o| write(o.ipv6.get_or_insert_default()))
}

/// An option that is on or off, and kept for who reads it.
const fn kept_boolean<const NAME: i32, const DEFAULT: bool>() -> Row {
    Row { name: NAME, get: is_on::<NAME, DEFAULT>, set: switch::<NAME, DEFAULT> }
}

fn is_on<const NAME: i32, const DEFAULT: bool>(s: &Handle) -> Result<Value> {
    kept(s, |o| i32::from((o.switched >> NAME & 1 != 0) != DEFAULT))
}

fn switch<const NAME: i32, const DEFAULT: bool>(s: &Handle, value: &[u8]) -> Result<()> {
    let is_switched = (int(value)? != 0) != DEFAULT;
    keep(s, |o| o.switched = o.switched & !(1 << NAME) | u128::from(is_switched) << NAME)
}

/// As long as there is no port: afterwards others have been judged by it.
fn set_v6only(s: &Handle, value: &[u8]) -> Result<()> {
    let on = int(value)? != 0;
    s.with(|stack, id, _| {
        if stack.local_endpoint(id)?.port != 0 {
            return Err(Error::Invalid);
        }
        stack.settings(id)?.v6only = on;
        Ok(())
    })
}

fn hops(value: i16) -> i32 {
    if value < 0 { HOP_LIMIT } else { value.into() }
}

fn hops_of(value: &[u8]) -> Result<i16> {
    let value = int(value)?;
    if (-1..=255).contains(&value) { Ok(value as i16) } else { Err(Error::Invalid) }
}

fn set_unicast_hops(s: &Handle, value: &[u8]) -> Result<()> {
    let hops = hops_of(value)?;
    keep(s, |o| o.unicast_hops = hops)
}

fn set_multicast_hops(s: &Handle, value: &[u8]) -> Result<()> {
    datagrams_only(s)?;
    // -1 is the default, 1 (RFC 3493 section 5.2).
    let hops = match hops_of(value)? {
        -1 => Ipv6Settings::default().multicast_hops,
        hops => hops,
    };
    keep(s, |o| o.multicast_hops = hops)
}

fn set_multicast_if(s: &Handle, value: &[u8]) -> Result<()> {
    datagrams_only(s)?;
    let index = int(value)?;
    interface(index, s)?;
    keep(s, |o| o.multicast_if = index)
}

/// 0 is no limit; less than every link of IPv6 takes (RFC 8200 section 5) is none.
fn set_mtu(_: &Handle, value: &[u8]) -> Result<()> {
    match int(value)? {
        0 | MIN_MTU.. => Ok(()),
        _ => Err(Error::Invalid),
    }
}

fn set_multicast_loop(s: &Handle, value: &[u8]) -> Result<()> {
    within(int(value)?, 0..=1)?;
    switch::<{ libc::IPV6_MULTICAST_LOOP }, true>(s, value)
}

/// -1 is the default. The lowest two bits of a stream's are ECN's (RFC 3168 section 23.2).
fn set_tclass(s: &Handle, value: &[u8]) -> Result<()> {
    let class = match int(value)? {
        -1 => 0,
        class => within(class, 0..=255)? as u8,
    };
    let class = if s.protocol == Protocol::Tcp { class & !3 } else { class };
    keep(s, |o| o.tclass = class)
}

fn datagrams_only(s: &Handle) -> Result<()> {
    if s.protocol == Protocol::Tcp { Err(Error::NoProtocolOption) } else { Ok(()) }
}

fn group(s: &Handle, value: &[u8], refusal: Error) -> Result<()> {
    let mreq: &[u8; MREQ] = value.first_chunk().ok_or(Error::Invalid)?;
    if s.protocol == Protocol::Tcp {
        return Err(Error::ProtocolError);
    }
    if mreq[0] != 0xff { Err(Error::Invalid) } else { Err(refusal) }
}
