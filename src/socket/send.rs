//! send(2), sendto(2), sendmsg(2), write(2), writev(2).

use super::{
    address::{self, Unspec},
    ancillary, connect,
    file::{Handle, Patience},
    pollable, table,
};
use crate::{
    error::{Error, Result},
    ready::Ready,
    stack::{Begun, Protocol, SendTo},
    sys::{
        sigpipe,
        user::{Buffers, WINDOW},
    },
    tcp::SendFlags,
};

/// Pieces of the application's memory used at once by a stream.
const PIECES: usize = 16;
/// UIO_MAXIOV: the most pieces of a datagram.
const MOST_PIECES: usize = 1024;
/// More than this is in no datagram (RFC 768: the length field).
const MAX_DATAGRAM: usize = 65_535;

/// One sending call.
#[derive(Copy, Clone, Debug)]
pub struct Send<'a> {
    /// What to send.
    pub buffers: Buffers<'a>,
    /// MSG_ flags.
    pub flags: i32,
    /// The destination's address, if one was given.
    pub dest: Option<&'a [u8]>,
    /// Control messages. A stream passes over them.
    pub control: &'a [u8],
}

impl Send<'_> {
    fn has(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }
}

/// Sends. A stream that may sleep sends everything; what was sent before an interruption, time-out or error counts.
///
/// # Errors
/// As send(2). On `BrokenPipe` of a stream SIGPIPE is raised, unless MSG_NOSIGNAL is given.
pub fn send(fd: i32, call: Send<'_>) -> Result<usize> {
    let socket = table::socket(fd)?;
    if call.has(libc::MSG_FASTOPEN) && socket.protocol == Protocol::Tcp {
        pollable::on_connect(fd, &socket)?;
    }
    let patience = socket.send_patience(call.has(libc::MSG_DONTWAIT));
    match socket.protocol {
        Protocol::Tcp => {
            let sent = stream(&socket, &call, patience);
            if sent == Err(Error::BrokenPipe) && !call.has(libc::MSG_NOSIGNAL) {
                sigpipe::raise();
            }
            sent
        }
        Protocol::Udp => {
            let sent = match call.buffers.count() {
                ..=PIECES => datagram::<PIECES>(&socket, &call, patience),
                _ => datagram::<MOST_PIECES>(&socket, &call, patience),
            };
            // Linux binds before it looks at anything else: a send that failed has bound the socket, too.
            sent.or_else(|error| socket.with(|stack, id, now| stack.bind_implicitly(id, now)).and(Err(error)))
        }
    }
}

/// As Linux, a stream ignores the destination address.
fn stream(socket: &Handle, call: &Send<'_>, mut patience: Patience) -> Result<usize> {
    let total = call.buffers.len();
    let is_deferred = || socket.with(|stack, id, _| Ok(stack.awaits_data(id).is_some()));
    let opens = call.has(libc::MSG_FASTOPEN) || is_deferred()?;
    let mut done = if opens { open_fast(socket, call, patience)? } else { 0 };
    if done > 0 && (done >= total || patience == Patience::None) {
        return Ok(done);
    }
    loop {
        let sent = stream_window(socket, call, patience, done);
        match sent {
            Ok(0) => return Ok(done),
            Ok(n) => {
                done += n;
                patience = Handle::once_begun(patience);
            }
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
        if done >= total {
            return Ok(done);
        }
    }
}

/// MSG_FASTOPEN, and the first data after a connect(2) that waits for it (TCP_FASTOPEN_CONNECT): connects, with the
/// data in the SYN if there is a cookie. How much that was.
fn open_fast(socket: &Handle, call: &Send<'_>, patience: Patience) -> Result<usize> {
    let begun = socket.with(|stack, id, _| Ok(stack.awaits_data(id)))?;
    let remote = match (begun, call.dest) {
        (_, Some(dest)) if call.has(libc::MSG_FASTOPEN) && address::is_unspecified(dest) => {
            return Err(Error::NotSupported);
        }
        (Some(remote), _) => remote,
        (None, Some(dest)) => address::parse(dest, socket.family, Unspec::Refuse)?,
        (None, None) => return Err(Error::Invalid),
    };
    let window = call.buffers.window::<PIECES>(0, WINDOW)?;
    let (data, to) = (window.slices(), SendTo::default());
    let flags = SendFlags { zerocopy: call.has(libc::MSG_ZEROCOPY), ..SendFlags::default() };
    let (begun, sent) = socket.with(|stack, id, now| {
        let begun = stack.connect_fast(id, remote, now)?;
        let sent = if begun == Begun::Waits { stack.send(id, data, &to, flags, now)? } else { 0 };
        if patience != Patience::None && sent < call.buffers.len() {
            stack.on_writer_waits(id);
        }
        Ok((begun, sent))
    })?;
    if begun == Begun::Open {
        return Ok(0);
    }
    match connect::finish(socket, remote, Err(Error::InProgress), patience) {
        Ok(()) => Ok(sent),
        Err(Error::InProgress) if sent > 0 => Ok(sent),
        Err(error) => Err(error),
    }
}

fn stream_window(socket: &Handle, call: &Send<'_>, patience: Patience, done: usize) -> Result<usize> {
    let window = call.buffers.window::<PIECES>(done, WINDOW)?;
    let last = done + window.len() >= call.buffers.len();
    let flags = SendFlags {
        oob: call.has(libc::MSG_OOB) && last,
        more: call.has(libc::MSG_MORE) || !last,
        end_of_record: call.has(libc::MSG_EOR) && last,
        zerocopy: call.has(libc::MSG_ZEROCOPY),
        continues: done > 0,
    };
    let (data, to) = (window.slices(), SendTo::default());
    socket.transfer(Ready::OUT, patience, |stack, id, now| {
        // What was sent is the result, and the error the next call's.
        if done > 0 && stack.has_error(id) {
            return Ok(0);
        }
        stack.send(id, data, &to, flags, now)
    })
}

/// A function of its own per number of pieces: the array for the most is large and seldom needed.
#[inline(never)]
fn datagram<const N: usize>(socket: &Handle, call: &Send<'_>, patience: Patience) -> Result<usize> {
    if call.has(libc::MSG_OOB) {
        return Err(Error::NotSupported);
    }
    let dest = match call.dest {
        Some(bytes) => Some(address::parse(bytes, socket.family, Unspec::AsInet)?),
        None => None,
    };
    if call.buffers.len() > MAX_DATAGRAM {
        return Err(Error::MessageTooLong);
    }
    let window = call.buffers.window::<N>(0, MAX_DATAGRAM)?;
    if window.len() < call.buffers.len() {
        return Err(Error::Fault);
    }
    let to = SendTo { dest, ..ancillary::parse(call.control, socket)? };
    let flags = SendFlags { more: call.has(libc::MSG_MORE), ..SendFlags::default() };
    let (data, dont_route) = (window.slices(), call.has(libc::MSG_DONTROUTE));
    socket.transfer(Ready::OUT, patience, |stack, id, now| {
        let before = stack.settings(id)?.dont_route;
        stack.settings(id)?.dont_route |= dont_route;
        let sent = stack.send(id, data, &to, flags, now);
        stack.settings(id)?.dont_route = before;
        sent
    })
}
