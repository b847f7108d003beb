//! The wire and the time, as packetdrill has them.

use crate::{bench::Bench, calls::fail, sysctl};
use libc::{size_t, timeval, timezone, useconds_t};
use sockeye::{
    buf::Packet,
    engine::virtual_time,
    stack::IfaceId,
    time::{Duration, Instant},
};
use std::{
    ffi::{c_int, c_longlong, c_void},
    slice,
};

/// By how much asking for the time moves it on: packetdrill spins until a time has come.
const GLANCE: Duration = Duration::from_micros(1);

fn micros(at: Instant) -> i64 {
    i64::try_from(at.as_micros()).unwrap_or(i64::MAX)
}

/// A packet comes in. Whom it wakes has done what it had to do when this returns.
pub unsafe extern "C-unwind" fn send(userdata: *mut c_void, packet: *const c_void, len: size_t) -> c_int {
    if packet.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: packetdrill hands us our own, and a packet of that length.
    let (bench, bytes) = unsafe { (Bench::at(userdata), slice::from_raw_parts(packet.cast::<u8>(), len)) };
    virtual_time::call(|| {
        sysctl::follow(bench);
        let packet = Packet::copy_from(bytes);
        bench.engine.with(|stack, now| stack.receive(IfaceId::DEVICE, packet, now));
        virtual_time::settle();
    });
    0
}

/// The next packet that leaves, cut to the room there is, and when it left. Time moves on until one does; where none
/// will, the length is 0.
pub unsafe extern "C-unwind" fn receive(
    userdata: *mut c_void,
    into: *mut c_void,
    len: *mut size_t,
    at: *mut c_longlong,
) -> c_int {
    if into.is_null() || len.is_null() || at.is_null() {
        return fail(libc::EFAULT);
    }
    // SAFETY: packetdrill hands us our own, and the number of bytes that `into` has.
    let (bench, room) = unsafe { (Bench::at(userdata), *len) };
    let (left_at, packet) = virtual_time::call(|| {
        sysctl::follow(bench);
        virtual_time::pass_until(|| bench.wire.has_packets());
        bench.wire.take().unwrap_or_else(|| (bench.engine.now(), Vec::new()))
    });
    let fits = packet.len().min(room);
    // SAFETY: `into` has `room` bytes, and the others are places of the caller's.
    unsafe {
        into.cast::<u8>().copy_from_nonoverlapping(packet.as_ptr(), fits);
        *len = fits;
        *at = micros(left_at);
    }
    0
}

/// usleep(3): what is due meanwhile happens.
pub unsafe extern "C-unwind" fn usleep(userdata: *mut c_void, time: useconds_t) -> c_int {
    // SAFETY: packetdrill hands us our own.
    let bench = unsafe { Bench::at(userdata) };
    virtual_time::call(|| {
        sysctl::follow(bench);
        virtual_time::pass(Duration::from_micros(time.into()));
    });
    0
}

/// gettimeofday(2); there are no time zones.
pub unsafe extern "C-unwind" fn gettimeofday(_: *mut c_void, now: *mut timeval, zone: *mut timezone) -> c_int {
    let at = micros(virtual_time::call(|| virtual_time::tick(GLANCE)));
    if !now.is_null() {
        // SAFETY: the caller's place for a timeval.
        unsafe { now.write(timeval { tv_sec: at / 1_000_000, tv_usec: at % 1_000_000 }) };
    }
    if !zone.is_null() {
        // SAFETY: the caller's place for two ints.
        unsafe { zone.cast::<[c_int; 2]>().write([0, 0]) };
    }
    0
}
