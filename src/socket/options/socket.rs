//! SOL_SOCKET (socket(7); Linux net/core/sock.c).

use super::{
    super::{
        ancillary::{SO_TIMESTAMP_NEW, SO_TIMESTAMPNS_NEW, interface, interface_index},
        file::{Handle, LINGER_ON},
    },
    Row, Value, change, int, only_off, read_only, setting, tcp_change, tcp_setting, within, write_only, zero,
};
use crate::{
    error::{Error, Result},
    stack::{Family, IfaceId, Protocol, config::Kind},
    tcp::{BufferSize, State, reports::stamping as kind, settings::MAX_BUFFER},
    time::Duration,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Names that the C library does not have for every target (asm-generic/socket.h).
const SO_RCVTIMEO_NEW: i32 = 66;
const SO_SNDTIMEO_NEW: i32 = 67;
const SO_MEMINFO: i32 = 55;
const SO_INCOMING_NAPI_ID: i32 = 56;
const SO_COOKIE: i32 = 57;
const SO_BINDTOIFINDEX: i32 = 62;
const SO_DETACH_FILTER: i32 = 27;

/// The smallest buffers, as getsockopt(2) reports them (SOCK_MIN_SNDBUF and SOCK_MIN_RCVBUF on a 64-bit machine).
const MIN_SNDBUF: usize = 4608;
const MIN_RCVBUF: usize = 2304;
/// IFNAMSIZ
const NAME_SIZE: usize = 16;
/// The loopback's name.
const LOOPBACK: &[u8] = b"lo";

pub(super) const TABLE: &[Row] = &[
    // Only an administrator may debug, and there is nothing to see.
    Row { name: libc::SO_DEBUG, get: zero, set: |_, v| only_off(v, Error::AccessDenied) },
    boolean!(libc::SO_REUSEADDR, int, reuse_addr),
    boolean!(libc::SO_REUSEPORT, int, reuse_port),
    Row {
        name: libc::SO_TYPE,
        get: |s| {
            Ok(Value::Int(match s.protocol {
                Protocol::Tcp => libc::SOCK_STREAM,
                Protocol::Udp => libc::SOCK_DGRAM,
            }))
        },
        set: read_only,
    },
    Row {
        name: libc::SO_ERROR,
        get: |s| s.with(|stack, id, _| stack.take_error(id)).map(Value::Error),
        set: read_only,
    },
    boolean!(libc::SO_DONTROUTE, int, dont_route),
    boolean!(libc::SO_BROADCAST, int, broadcast),
    Row { name: libc::SO_SNDBUF, get: send_buffer, set: |s, v| set_send_buffer(s, asked(v, false)?) },
    Row { name: libc::SO_RCVBUF, get: recv_buffer, set: |s, v| set_recv_buffer(s, asked(v, false)?) },
    Row { name: libc::SO_SNDBUFFORCE, get: write_only, set: |s, v| set_send_buffer(s, asked(v, true)?) },
    Row { name: libc::SO_RCVBUFFORCE, get: write_only, set: |s, v| set_recv_buffer(s, asked(v, true)?) },
    Row {
        name: libc::SO_KEEPALIVE,
        get: |s| match s.protocol {
            Protocol::Tcp => tcp_setting(s, |o| o.keepalive.into()),
            Protocol::Udp => remembered(&s.fields().keepalive),
        },
        set: |s, v| match (s.protocol, int(v)? != 0) {
            (Protocol::Tcp, on) => tcp_change(s, |o| o.keepalive = on),
            (Protocol::Udp, on) => remember(&s.fields().keepalive, on),
        },
    },
    Row {
        name: libc::SO_OOBINLINE,
        get: |s| match s.protocol {
            Protocol::Tcp => tcp_setting(s, |o| o.oob_inline.into()),
            Protocol::Udp => remembered(&s.fields().oob_inline),
        },
        set: |s, v| match (s.protocol, int(v)? != 0) {
            (Protocol::Tcp, on) => tcp_change(s, |o| o.oob_inline = on),
            (Protocol::Udp, on) => remember(&s.fields().oob_inline, on),
        },
    },
    // Checksums are always there and always verified.
    Row { name: libc::SO_NO_CHECK, get: zero, set: |_, v| only_off(v, Error::NotSupported) },
    // Linux asks for CAP_NET_ADMIN beyond 6; of a stack of one's own one is the administrator. The device has one
    // queue, whose order it does not change.
    Row {
        name: libc::SO_PRIORITY,
        get: |s| Ok(Value::Int(s.fields().priority.load(Relaxed) as i32)),
        set: |s, v| int(v).map(|v| s.fields().priority.store(v as u32, Relaxed)),
    },
    Row { name: libc::SO_LINGER, get: linger, set: set_linger },
    // As Linux answers for sockets that are not AF_UNIX.
    Row { name: libc::SO_PASSCRED, get: zero, set: |_, v| only_off(v, Error::NotSupported) },
    Row {
        name: libc::SO_PEERCRED,
        get: |_| Ok(Value::bytes(&[0i32, -1, -1].map(i32::to_ne_bytes).concat())),
        set: read_only,
    },
    Row {
        name: libc::SO_RCVLOWAT,
        get: |s| Ok(Value::Int(s.fields().recv_lowat.load(Relaxed) as i32)),
        set: set_lowat,
    },
    Row { name: libc::SO_SNDLOWAT, get: |_| Ok(Value::Int(1)), set: read_only },
    Row {
        name: libc::SO_RCVTIMEO,
        get: |s| timeout(&s.fields().recv_timeout),
        set: |s, v| set_timeout(&s.fields().recv_timeout, v),
    },
    Row {
        name: libc::SO_SNDTIMEO,
        get: |s| timeout(&s.fields().send_timeout),
        set: |s, v| set_timeout(&s.fields().send_timeout, v),
    },
    Row {
        name: SO_RCVTIMEO_NEW,
        get: |s| timeout(&s.fields().recv_timeout),
        set: |s, v| set_timeout(&s.fields().recv_timeout, v),
    },
    Row {
        name: SO_SNDTIMEO_NEW,
        get: |s| timeout(&s.fields().send_timeout),
        set: |s, v| set_timeout(&s.fields().send_timeout, v),
    },
    Row { name: libc::SO_BINDTODEVICE, get: bound_device, set: bind_to_device },
    Row {
        name: SO_BINDTOIFINDEX,
        get: |s| setting(s, |o| o.iface.map_or(0, interface_index)),
        set: |s, v| match int(v)? {
            ..0 => Err(Error::Invalid),
            index => bind_to_index(s, index),
        },
    },
    Row { name: libc::SO_ATTACH_FILTER, get: write_only, set: |_, _| Err(Error::NotPermitted) },
    Row { name: SO_DETACH_FILTER, get: write_only, set: |_, _| Err(Error::NotFound) },
    Row {
        name: libc::SO_TIMESTAMP,
        get: |s| stamps_by(s, libc::SO_TIMESTAMP),
        set: |s, v| stamp_by(s, libc::SO_TIMESTAMP, v),
    },
    Row {
        name: libc::SO_TIMESTAMPNS,
        get: |s| stamps_by(s, libc::SO_TIMESTAMPNS),
        set: |s, v| stamp_by(s, libc::SO_TIMESTAMPNS, v),
    },
    Row {
        name: SO_TIMESTAMP_NEW,
        get: |s| stamps_by(s, SO_TIMESTAMP_NEW),
        set: |s, v| stamp_by(s, SO_TIMESTAMP_NEW, v),
    },
    Row {
        name: SO_TIMESTAMPNS_NEW,
        get: |s| stamps_by(s, SO_TIMESTAMPNS_NEW),
        set: |s, v| stamp_by(s, SO_TIMESTAMPNS_NEW, v),
    },
    // No clock of a network card to ask.
    Row { name: libc::SO_TIMESTAMPING, get: stamping, set: set_stamping },
    Row {
        name: libc::SO_ACCEPTCONN,
        get: |s| s.with(|stack, id, _| Ok(Value::Int((stack.state(id) == State::Listen).into()))),
        set: read_only,
    },
    // Linux asks for CAP_NET_ADMIN or CAP_NET_RAW; of a stack of one's own one is the administrator.
    Row {
        name: libc::SO_MARK,
        get: |s| Ok(Value::Int(s.fields().mark.load(Relaxed) as i32)),
        set: |s, v| int(v).map(|v| s.fields().mark.store(v as u32, Relaxed)),
    },
    Row {
        name: libc::SO_PROTOCOL,
        get: |s| {
            Ok(Value::Int(match s.protocol {
                Protocol::Tcp => libc::IPPROTO_TCP,
                Protocol::Udp => libc::IPPROTO_UDP,
            }))
        },
        set: read_only,
    },
    Row {
        name: libc::SO_DOMAIN,
        get: |s| {
            Ok(Value::Int(match s.family {
                Family::V4 => libc::AF_INET,
                Family::V6 => libc::AF_INET6,
            }))
        },
        set: read_only,
    },
    Row { name: libc::SO_RXQ_OVFL, get: zero, set: |_, v| only_off(v, Error::NoProtocolOption) },
    Row {
        name: libc::SO_BUSY_POLL,
        get: |s| Ok(Value::Int(s.fields().busy_poll.load(Relaxed) as i32)),
        set: |s, v| within(int(v)?, 0..=i32::MAX).map(|v| s.fields().busy_poll.store(v, Relaxed)),
    },
    Row { name: libc::SO_MAX_PACING_RATE, get: pacing, set: set_pacing },
    Row { name: libc::SO_INCOMING_CPU, get: |_| Ok(Value::Int(-1)), set: read_only },
    Row { name: SO_MEMINFO, get: memory, set: read_only },
    Row { name: SO_INCOMING_NAPI_ID, get: zero, set: read_only },
    Row { name: SO_COOKIE, get: |s| Ok(Value::whole(&s.file.to_bits().to_ne_bytes())), set: read_only },
    Row { name: libc::SO_ZEROCOPY, get: zerocopy, set: set_zerocopy },
];

fn zerocopy(s: &Handle) -> Result<Value> {
    if s.protocol == Protocol::Tcp { tcp_setting(s, |o| o.zerocopy.into()) } else { Ok(Value::Int(0)) }
}

/// Only a stream tells when it is done with a send's data.
fn set_zerocopy(s: &Handle, value: &[u8]) -> Result<()> {
    match (int(value)?, s.protocol) {
        (on @ 0..=1, Protocol::Tcp) => tcp_change(s, |o| o.zerocopy = on != 0),
        (0, Protocol::Udp) => Ok(()),
        (1, Protocol::Udp) => Err(Error::NotSupported),
        _ => Err(Error::Invalid),
    }
}

fn stamping(s: &Handle) -> Result<Value> {
    if s.protocol == Protocol::Tcp { tcp_setting(s, |o| o.stamping as i32) } else { Ok(Value::Int(0)) }
}

/// What a stream sends is stamped by software; what it receives, by SO_TIMESTAMP. Its bytes have numbers only once
/// there is a connection.
fn set_stamping(s: &Handle, value: &[u8]) -> Result<()> {
    let wanted = int(value)? as u32;
    if wanted == 0 && s.protocol == Protocol::Udp {
        return Ok(());
    }
    let is_connected = !matches!(s.with(|stack, id, _| Ok(stack.state(id)))?, State::Closed | State::Listen);
    if wanted & !kind::KNOWN != 0 || s.protocol == Protocol::Udp || wanted & kind::ID != 0 && !is_connected {
        return Err(Error::Invalid);
    }
    tcp_change(s, |o| o.stamping = wanted)?;
    s.with(|stack, id, _| {
        stack.on_stamping_set(id);
        Ok(())
    })
}

fn remembered(flag: &AtomicBool) -> Result<Value> {
    Ok(Value::Int(flag.load(Relaxed).into()))
}

fn remember(flag: &AtomicBool, on: bool) -> Result<()> {
    flag.store(on, Relaxed);
    Ok(())
}

fn buffer(bytes: usize) -> Value {
    Value::Int(i32::try_from(bytes).unwrap_or(i32::MAX))
}

fn send_buffer(s: &Handle) -> Result<Value> {
    s.with(|stack, id, _| match s.protocol {
        Protocol::Tcp => stack.buffer_sizes(id).map(|(send, _)| buffer(send)),
        Protocol::Udp => stack.settings(id).map(|settings| buffer(settings.send_buffer as usize)),
    })
}

fn recv_buffer(s: &Handle) -> Result<Value> {
    s.with(|stack, id, _| match s.protocol {
        Protocol::Tcp => stack.buffer_sizes(id).map(|(_, recv)| buffer(recv)),
        Protocol::Udp => stack.settings(id).map(|settings| buffer(settings.recv_buffer)),
    })
}

/// SO_MEMINFO: SK_MEMINFO_RMEM_ALLOC, RCVBUF, WMEM_ALLOC, SNDBUF, FWD_ALLOC, WMEM_QUEUED, OPTMEM, BACKLOG and DROPS
/// (linux/sock_diag.h). What waits in a queue counts by its bytes, without Linux's book-keeping; there is no backlog,
/// and nothing is set aside.
fn memory(s: &Handle) -> Result<Value> {
    let number = |value| if let Value::Int(bytes) = value { bytes.unsigned_abs() } else { 0 };
    let (recv, send) = (number(recv_buffer(s)?), number(send_buffer(s)?));
    // A socket without a connection has nothing queued.
    let queued = |bytes: Result<usize>| u32::try_from(bytes.unwrap_or(0)).unwrap_or(u32::MAX);
    let read = queued(s.with(|stack, id, _| stack.readable(id)));
    let sent = queued(s.with(|stack, id, _| stack.unacknowledged(id)));
    Ok(Value::bytes(&[read, recv, sent, send, 0, sent, 0, 0, 0].map(u32::to_ne_bytes).concat()))
}

/// What is asked for, clamped as Linux does: to what buffers grow to by themselves (net.core.wmem_max, rmem_max),
/// unless it is `forced`, which Linux leaves to CAP_NET_ADMIN; of a stack of one's own one is the administrator.
fn asked(value: &[u8], forced: bool) -> Result<usize> {
    let value = int(value)?;
    Ok(match usize::try_from(value) {
        Ok(bytes) if forced => bytes.min(i32::MAX as usize / 2),
        Ok(bytes) => bytes.min(MAX_BUFFER),
        Err(_) if forced => 0,
        // A negative number is a large unsigned one, and so the limit.
        Err(_) => MAX_BUFFER,
    })
}

fn set_send_buffer(s: &Handle, asked: usize) -> Result<()> {
    let size = (asked * 2).max(MIN_SNDBUF);
    match s.protocol {
        Protocol::Tcp => tcp_change(s, |o| o.send_buffer = BufferSize::Fixed(size / 2)),
        Protocol::Udp => change(s, |o| o.send_buffer = u32::try_from(size).unwrap_or(u32::MAX)),
    }
}

fn set_recv_buffer(s: &Handle, asked: usize) -> Result<()> {
    let size = (asked * 2).max(MIN_RCVBUF);
    match s.protocol {
        Protocol::Tcp => tcp_change(s, |o| o.recv_buffer = BufferSize::Fixed(size / 2)),
        Protocol::Udp => change(s, |o| o.recv_buffer = size),
    }
}

fn linger(s: &Handle) -> Result<Value> {
    let linger = s.fields().linger.load(Relaxed);
    let (on, seconds) = (i32::from(linger & LINGER_ON != 0), linger as i32);
    Ok(Value::bytes(&[on, seconds].map(i32::to_ne_bytes).concat()))
}

fn set_linger(s: &Handle, value: &[u8]) -> Result<()> {
    let value: &[u8; 8] = value.first_chunk().ok_or(Error::Invalid)?;
    let (on, seconds) = (int(&value[..4])? != 0, int(&value[4..])?);
    // A negative time is a very long one, as on Linux, and a time that is switched off is still remembered.
    let seconds = u64::from(seconds as u32);
    if on {
        s.fields().linger.store(LINGER_ON | seconds, Relaxed);
    } else {
        s.fields().linger.fetch_and(!LINGER_ON, Relaxed);
    }
    if s.protocol == Protocol::Tcp {
        let linger = on.then(|| Duration::from_secs(seconds));
        tcp_change(s, |o| o.linger = linger)?;
    }
    Ok(())
}

fn set_lowat(s: &Handle, value: &[u8]) -> Result<()> {
    let lowat = match int(value)? {
        0 => 1,
        value if value < 0 => i32::MAX,
        value => value,
    };
    s.fields().recv_lowat.store(lowat as u32, Relaxed);
    if s.protocol == Protocol::Tcp {
        tcp_change(s, |o| o.recv_lowat = lowat as usize)?;
    }
    Ok(())
}

fn timeout(nanos: &AtomicU64) -> Result<Value> {
    let nanos = nanos.load(Relaxed);
    Ok(Value::bytes(&[nanos / 1_000_000_000, nanos % 1_000_000_000 / 1000].map(u64::to_ne_bytes).concat()))
}

/// Zero is for ever; a negative time has passed already.
fn set_timeout(nanos: &AtomicU64, value: &[u8]) -> Result<()> {
    let value: &[u8; 16] = value.first_chunk().ok_or(Error::Invalid)?;
    let (seconds, micros) = value.split_at(8);
    let part = |bytes: &[u8]| bytes.try_into().map(i64::from_ne_bytes).map_err(|_| Error::Invalid);
    let (seconds, micros) = (part(seconds)?, part(micros)?);
    if !(0..1_000_000).contains(&micros) {
        return Err(Error::OutOfDomain);
    }
    let time = match u64::try_from(seconds) {
        Ok(seconds) => seconds.saturating_mul(1_000_000_000).saturating_add(micros as u64 * 1000),
        Err(_) => 1,
    };
    nanos.store(time, Relaxed);
    Ok(())
}

/// The interface's name, as a C string; nothing while the socket is bound to none.
fn bound_device(s: &Handle) -> Result<Value> {
    let mut name = match s.with(|stack, id, _| stack.settings(id).map(|settings| settings.iface))? {
        None => return Ok(Value::bytes(&[])),
        Some(IfaceId::LOOPBACK) => LOOPBACK.to_vec(),
        Some(_) => s.engine.config().name.clone().into_bytes(),
    };
    name.truncate(NAME_SIZE - 1);
    name.push(0);
    Ok(Value::bytes_of(&name, NAME_SIZE))
}

/// Linux asks for CAP_NET_RAW to bind elsewhere what is bound; these interfaces are the program's own.
fn bind_to_device(s: &Handle, value: &[u8]) -> Result<()> {
    let name = &value[..value.len().min(NAME_SIZE - 1)];
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let config = s.engine.config();
    let iface = match name {
        b"" => None,
        LOOPBACK => Some(IfaceId::LOOPBACK),
        _ if config.kind != Kind::Null && name == config.name.as_bytes() => Some(IfaceId::DEVICE),
        _ => return Err(Error::NoDevice),
    };
    change(s, |o| o.iface = iface)
}

/// Binds the socket to the interface of an index; 0 unbinds it.
///
/// # Errors
/// `NoDevice`: there is no such interface.
pub(in super::super) fn bind_to_index(s: &Handle, index: i32) -> Result<()> {
    let iface = interface(index, s)?;
    change(s, |o| o.iface = iface)
}

fn stamps_by(s: &Handle, option: i32) -> Result<Value> {
    Ok(Value::Int((i32::from(s.fields().timestamp.load(Relaxed)) == option).into()))
}

/// The option set last decides the form of time stamps; any of them switched off ends them, as on Linux.
fn stamp_by(s: &Handle, option: i32, value: &[u8]) -> Result<()> {
    let on = int(value)? != 0;
    s.fields().timestamp.store(if on { option as u8 } else { 0 }, Relaxed);
    change(s, |o| o.timestamp = on)
}

fn pacing(s: &Handle) -> Result<Value> {
    let rate =
        s.with(|stack, id, _| Ok(stack.tcp_settings(id).map_or(u64::MAX, |settings| settings.max_pacing_rate)))?;
    Ok(Value::bytes(&rate.to_ne_bytes()))
}

/// SO_MAX_PACING_RATE, bytes a second, 32 or 64 bits wide; all ones is no limit. Datagrams are not paced (nor are they
/// on Linux without the queueing discipline for it).
fn set_pacing(s: &Handle, value: &[u8]) -> Result<()> {
    let rate = match value.first_chunk() {
        Some(wide) => u64::from_ne_bytes(*wide),
        None => match int(value)? as u32 {
            u32::MAX => u64::MAX,
            rate => rate.into(),
        },
    };
    if s.with(|stack, id, _| Ok(stack.tcp_settings(id).is_ok()))? {
        tcp_change(s, |o| o.max_pacing_rate = rate)
    } else if rate == u64::MAX {
        Ok(())
    } else {
        Err(Error::NoProtocolOption)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffer_sizes_are_clamped_as_linux_does() {
        let asked = |value: i32, forced| asked(&value.to_ne_bytes(), forced);
        assert_eq!([1, 50_000, -1].map(|value| asked(value, false)), [Ok(1), Ok(50_000), Ok(MAX_BUFFER)]);
        assert_eq!([-1, 1 << 29, i32::MAX].map(|value| asked(value, true)), [Ok(0), Ok(1 << 29), Ok((1 << 30) - 1)]);
    }

    #[test]
    fn times_are_kept_to_the_microsecond_and_judged() {
        let time = |seconds: i64, micros: i64| [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat();
        let nanos = AtomicU64::new(0);
        set_timeout(&nanos, &time(2, 250_000)).unwrap();
        assert_eq!(nanos.load(Relaxed), 2_250_000_000);
        assert!(matches!(timeout(&nanos), Ok(Value::Bytes(b)) if b.as_slice() == time(2, 250_000)));
        set_timeout(&nanos, &time(-1, 0)).unwrap();
        assert_eq!(nanos.load(Relaxed), 1);
        assert_eq!(set_timeout(&nanos, &time(0, 1_000_000)), Err(Error::OutOfDomain));
        assert_eq!(set_timeout(&nanos, &time(0, -1)), Err(Error::OutOfDomain));
        assert_eq!(set_timeout(&nanos, &[0; 15]), Err(Error::Invalid));
        set_timeout(&nanos, &time(i64::MAX, 0)).unwrap();
        assert_eq!(nanos.load(Relaxed), u64::MAX);
    }
}
