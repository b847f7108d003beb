//! A host ends while programs wait on their sockets. A connection that is cut they see by themselves; who waits at a
//! listener, or for a datagram, has to be told: by a connection from [`Meaning::Gone`], and by an error.
//!
//! A host that was killed tells nobody. Its heir does, a process that has slept since the host began and has its
//! descriptors. It keeps the names and the device no longer than it must: the next host waits for them.

use super::{
    secret,
    slot::{Host, Item},
};
use crate::sys::{
    heir,
    unix::{self, Kind},
};
use sockeye_shim::{format::Token, name::Meaning, path::Path};
use std::{
    fs, io,
    os::fd::{AsFd, OwnedFd},
};

/// Sees to it that the programs of the stack called `stack` are told if this process is killed.
pub fn prepare(stack: &[u8], token: &Token) {
    if let Err(error) = heir::appoint(|descriptors| take_leave(stack, token, descriptors)) {
        log::debug!("programs that wait will not be told if this host is killed: {error}");
    }
}

/// What the heir does. A host that has ended as it should has taken its names back before.
fn take_leave(stack: &[u8], token: &Token, descriptors: Vec<OwnedFd>) {
    let names = |fd: &OwnedFd| unix::own_name(fd.as_fd()).and_then(|name| Meaning::read(&name, stack));
    let known: Vec<(Option<Meaning>, OwnedFd)> = descriptors.into_iter().map(|fd| (names(&fd), fd)).collect();
    if !known.iter().any(|(meaning, _)| *meaning == Some(Meaning::Control)) {
        return;
    }
    // As long as the control name is taken there is no other host whose listeners could be among them.
    let listeners = listeners(stack).unwrap_or_default();
    let (ends, gate): (Vec<_>, Vec<_>) =
        known.into_iter().partition(|(meaning, _)| matches!(meaning, Some(Meaning::HostDatagram { .. })));
    let (gate, rest): (Vec<_>, Vec<_>) =
        gate.into_iter().partition(|(meaning, _)| matches!(meaning, Some(Meaning::Control | Meaning::Connect)));
    // The device first: who finds the names free opens it.
    drop(rest);
    // And the path before the names: the next host may make the same.
    Path::of(stack, token).iter().for_each(secret::clear);
    drop(gate);
    for listener in listeners {
        // What cannot be told any more is no matter.
        let _ = wake_listener(stack, &listener);
    }
    for (_, end) in ends {
        let _ = wake_datagrams(&end);
    }
}

/// The names at which programs of the stack may listen.
fn listeners(stack: &[u8]) -> io::Result<Vec<Vec<u8>>> {
    let table = fs::read("/proc/self/net/unix")?;
    let name = |line: &[u8]| {
        let at = line.windows(2).position(|two| two == b" @")?;
        let name = line.get(at + 2..)?;
        matches!(Meaning::read(name, stack), Some(Meaning::Bound { .. })).then(|| name.to_vec())
    };
    Ok(table.split(|byte| *byte == b'\n').filter_map(name).collect())
}

/// Tells the program that listens at `listener`, if one does.
fn wake_listener(stack: &[u8], listener: &[u8]) -> io::Result<()> {
    let Some(Meaning::Bound { id, .. }) = Meaning::read(listener, stack) else { return Ok(()) };
    let name = Meaning::Gone { id }.name(stack).ok_or(io::ErrorKind::InvalidInput)?;
    let end = unix::open(Kind::Stream)?;
    unix::bind(end.as_fd(), name.as_bytes())?;
    unix::connect(end.as_fd(), listener)
}

/// Makes the program's end of `end` show an error. While ours is connected to nobody anybody can put a byte into it;
/// letting go of the program's with that byte unread is a reset (unix_dgram_disconnected in Linux).
fn wake_datagrams(end: &OwnedFd) -> io::Result<()> {
    let name = |name: Option<Vec<u8>>| name.ok_or(io::ErrorKind::NotConnected);
    let (ours, theirs) = (name(unix::own_name(end.as_fd()))?, name(unix::peer_name(end.as_fd()))?);
    let stranger = unix::open(Kind::Datagrams)?;
    unix::disconnect(end.as_fd())?;
    unix::connect(stranger.as_fd(), &ours)?;
    unix::send(stranger.as_fd(), b"!", 0)?;
    unix::connect(end.as_fd(), &theirs)?;
    unix::disconnect(end.as_fd())
}

impl Host {
    /// Tells all who wait: the host is about to end by request.
    pub fn take_leave(&mut self) {
        for slot in self.slots.values() {
            match &slot.item {
                Item::Held(held) if held.listening => {
                    let _ = held.name.as_ref().map(|name| wake_listener(&self.name, name));
                }
                Item::Datagram(datagram) => _ = wake_datagrams(datagram.end()),
                _ => {}
            }
        }
    }
}
