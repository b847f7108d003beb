//! recv(2), recvfrom(2), recvmsg(2), read(2), readv(2).

use super::{
    ancillary::Ancillary,
    file::{Handle, Patience},
    table,
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    ready::Ready,
    stack::{Protocol, Received, SocketId, Stack},
    sys::user::{Buffers, WINDOW},
    tcp::{RecvFlags, State, reports::Report},
    time::Instant,
    udp::scatter,
};
use std::{io::IoSliceMut, sync::atomic::Ordering};

/// Pieces of the application's memory used at once by a stream.
const PIECES: usize = 16;
/// UIO_MAXIOV: the most pieces of a datagram.
const MOST_PIECES: usize = 1024;
/// More than this is in no datagram.
const MAX_DATAGRAM: usize = 65_535;
/// Where MSG_TRUNC lets a stream's bytes go, bytes at a time.
const DISCARD: usize = 4096;

/// What a receiving call got.
#[derive(Copy, Clone, Debug, Default)]
pub struct Message {
    /// What the call returns: bytes copied, or with MSG_TRUNC the datagram's length.
    pub len: usize,
    /// MSG_TRUNC, MSG_OOB for msg_flags.
    pub flags: i32,
    /// The sender (datagram sockets).
    pub from: Option<Endpoint>,
    /// What recvmsg(2) reports besides.
    pub ancillary: Ancillary,
}

/// One receiving call.
struct Call<'a> {
    socket: Handle,
    buffers: Buffers<'a>,
    flags: i32,
    patience: Patience,
}

impl Call<'_> {
    fn has(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }

    fn recv_flags(&self) -> RecvFlags {
        RecvFlags { oob: self.has(libc::MSG_OOB), peek: self.has(libc::MSG_PEEK), trunc: self.has(libc::MSG_TRUNC) }
    }
}

/// Receives.
///
/// # Errors
/// As recv(2).
pub fn recv(fd: i32, buffers: Buffers<'_>, flags: i32) -> Result<Message> {
    let socket = table::socket(fd)?;
    // A datagram socket has no urgent data and passes over the flag; a stream never waits for it (Linux tcp_recv_urg).
    let flags = if socket.protocol == Protocol::Udp { flags & !libc::MSG_OOB } else { flags };
    let dontwait = flags & (libc::MSG_DONTWAIT | libc::MSG_OOB) != 0;
    let call = Call { socket, buffers, flags, patience: socket.recv_patience(dontwait) };
    // Never waited for.
    match socket.protocol {
        Protocol::Tcp if call.has(libc::MSG_ERRQUEUE) => stream_report(&socket),
        Protocol::Udp if call.has(libc::MSG_ERRQUEUE) => datagram_report(&call),
        Protocol::Tcp => stream(&call),
        Protocol::Udp if buffers.count() <= PIECES => datagram::<PIECES>(&call),
        Protocol::Udp => datagram::<MOST_PIECES>(&call),
    }
}

fn stream_report(socket: &Handle) -> Result<Message> {
    let report = socket.with(|stack, id, _| stack.take_report(id))?;
    let cut = if matches!(report, Report::Stamp { with_packet: true, .. }) { libc::MSG_TRUNC } else { 0 };
    let ancillary = Ancillary::of_report(socket, report);
    Ok(Message { flags: libc::MSG_ERRQUEUE | cut, ancillary, ..Message::default() })
}

/// As Linux's ip_recv_error: the name is where the datagram was going, and MSG_PEEK and MSG_TRUNC mean nothing.
#[inline(never)]
fn datagram_report(call: &Call<'_>) -> Result<Message> {
    let mut window = call.buffers.window_mut::<MOST_PIECES>(0, MAX_DATAGRAM)?;
    let (report, ip) = call.socket.with(|stack, id, _| {
        let report = stack.take_error_report(id)?;
        let ip = &stack.settings(id)?.ip;
        Ok((report, (ip.pktinfo, ip.recv_ttl, ip.recv_tos)))
    })?;
    let len = scatter(&report.payload, window.slices());
    let cut = if len < report.payload.len() { libc::MSG_TRUNC } else { 0 };
    let ancillary = Ancillary::of_error(&call.socket, &report, ip);
    Ok(Message { len, flags: libc::MSG_ERRQUEUE | cut, from: Some(report.dest), ancillary })
}

/// At least so many bytes are waited for: all with MSG_WAITALL, else SO_RCVLOWAT (Linux sock_rcvlowat).
fn target(call: &Call<'_>) -> usize {
    let len = call.buffers.len();
    if call.has(libc::MSG_WAITALL) {
        return len.max(1);
    }
    len.min(call.socket.fields().recv_lowat.load(Ordering::Relaxed) as usize).max(1)
}

fn stream(call: &Call<'_>) -> Result<Message> {
    let (target, len) = (target(call), call.buffers.len());
    let mut patience = call.patience;
    let mut done = 0;
    let mut at = Instant::ZERO;
    let mut inq = None;
    loop {
        match stream_window(call, patience, done, target) {
            Ok((Received { len: 0, inq: left, .. }, _)) => {
                inq = left.or(inq);
                break;
            }
            Ok((received, filled)) => {
                done += received.len;
                at = received.at;
                inq = received.inq;
                let enough = done >= target;
                // What else is there is taken along, but not waited for, and no more of it than one window.
                if call.has(libc::MSG_PEEK | libc::MSG_OOB) || done >= len || enough && (!filled || done >= WINDOW) {
                    break;
                }
                patience = if enough { Patience::None } else { Handle::once_begun(patience) };
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    let flags = if call.has(libc::MSG_OOB) && done > 0 { libc::MSG_OOB } else { 0 };
    let ancillary = Ancillary::of_stream(&call.socket, at, inq);
    Ok(Message { len: done, flags, from: None, ancillary })
}

/// One window's worth; whether it was filled.
fn stream_window(call: &Call<'_>, patience: Patience, done: usize, target: usize) -> Result<(Received, bool)> {
    let flags = call.recv_flags();
    if flags.trunc {
        return discard(call, patience, done, target).map(|received| (received, true));
    }
    let mut window = call.buffers.window_mut::<PIECES>(done, WINDOW)?;
    let room = window.len();
    let out = window.slices();
    let received = call.socket.transfer(Ready::IN, patience, |stack, id, now| {
        if let Some(verdict) = before(stack, id, flags, patience, done, target) {
            return verdict;
        }
        stack.recv(id, out, flags, now)
    })?;
    Ok((received, received.len == room))
}

/// What is decided without taking data: an error behind data that was received is the next call's, and MSG_PEEK with a
/// target waits until that much is queued or no more will come.
fn before(
    stack: &Stack,
    id: SocketId,
    flags: RecvFlags,
    patience: Patience,
    done: usize,
    target: usize,
) -> Option<Result<Received>> {
    let ready = stack.ready(id);
    if done > 0 && stack.has_error(id) {
        return Some(Ok(Received::default()));
    }
    // No connection, no urgent byte: Linux looks for the byte first.
    if flags.oob && stack.state(id) == State::Closed {
        return Some(Err(Error::Invalid));
    }
    let ended = ready.intersects(Ready::RDHUP | Ready::HUP | Ready::ERR);
    if flags.peek
        && !flags.oob
        && target > 1
        && patience != Patience::None
        && !ended
        && stack.state(id) != State::Listen
    {
        match stack.readable(id) {
            Ok(queued) if queued < target => return Some(Err(Error::WouldBlock)),
            _ => {}
        }
    }
    None
}

/// MSG_TRUNC on a stream (tcp(7)): bytes are taken and go nowhere; the buffer's address is not even looked at. With
/// MSG_PEEK they stay, and only their number is told.
fn discard(call: &Call<'_>, patience: Patience, done: usize, target: usize) -> Result<Received> {
    let left = call.buffers.len() - done;
    let flags = RecvFlags { trunc: true, ..call.recv_flags() };
    call.socket.transfer(Ready::IN, patience, |stack, id, now| {
        if let Some(verdict) = before(stack, id, flags, patience, done, target) {
            return verdict;
        }
        let mut nowhere = [0u8; DISCARD];
        let mut take = |stack: &mut Stack, most: usize| {
            stack.recv(id, &mut [IoSliceMut::new(&mut nowhere[..most.min(DISCARD)])], flags, now)
        };
        let queued = if flags.peek && !flags.oob { stack.readable(id).unwrap_or(0) } else { 0 };
        let mut received = take(stack, left)?;
        if flags.peek {
            received.len = received.len.max(queued.min(left));
            return Ok(received);
        }
        while received.len < left {
            match take(stack, left - received.len) {
                Ok(Received { len: 0, .. }) | Err(_) => break,
                Ok(more) => received = Received { len: received.len + more.len, ..more },
            }
        }
        Ok(received)
    })
}

/// A function of its own per number of pieces: the array for the most is large and seldom needed.
#[inline(never)]
fn datagram<const N: usize>(call: &Call<'_>) -> Result<Message> {
    let flags = call.recv_flags();
    let mut window = call.buffers.window_mut::<N>(0, MAX_DATAGRAM)?;
    let out = window.slices();
    let (received, ip) = call.socket.transfer(Ready::IN, call.patience, |stack, id, now| {
        let received = stack.recv(id, out, flags, now)?;
        let ip = &stack.settings(id)?.ip;
        Ok((received, (ip.pktinfo, ip.recv_ttl, ip.recv_tos)))
    })?;
    let truncated = received.full_len > received.len;
    Ok(Message {
        len: if flags.trunc { received.full_len } else { received.len },
        flags: if truncated { libc::MSG_TRUNC } else { 0 },
        from: received.from,
        ancillary: Ancillary::of_datagram(&call.socket, &received, ip),
    })
}
