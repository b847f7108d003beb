//! A host ends while programs wait on their sockets. A connection that is cut they see by themselves; who waits at a
//! listener, or for a datagram, has to be told: by a connection from [`Meaning::Gone`], and by an error.
//!
//! A host that was killed tells nobody. Its heir does, a process that has slept since the host began and has its
//! descriptors. It keeps the names and the device no longer than it must: the next host waits for them. Where the heir
//! was killed, too, its substitute takes its place, and the host's steward the last one's.

use super::{
    directory, secret,
    slot::{Host, Item},
};
use crate::sys::{
    entropy, heir,
    unix::{self, Kind},
};
use sockeye_shim::{name::Meaning, path::Path as SecretPath};
use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How long heirs have to do what they are there for: one may be stopped, and then the other waits for it.
const HEIRS: Duration = Duration::from_secs(10);
const STEP: Duration = Duration::from_millis(20);

/// Sees to it that the programs of the stack called `stack` are told if this process is killed, whose directory is gone
/// then, too.
pub fn prepare(stack: &[u8], secret: Option<SecretPath>, directory: &Path) {
    if let Err(error) = heir::appoint(|descriptors| take_leave(stack, secret, directory, descriptors)) {
        log::debug!("programs that wait will not be told if this host is killed: {error}");
    }
}

/// What the heir does. A host that has ended as it should has taken its names back before.
fn take_leave(stack: &[u8], secret: Option<SecretPath>, directory: &Path, descriptors: Vec<OwnedFd>) {
    let is_control = |fd: &OwnedFd| {
        let meaning = unix::own_name(fd.as_fd()).and_then(|name| Meaning::read(&name, stack));
        meaning == Some(Meaning::Control)
    };
    if !descriptors.iter().any(is_control) {
        return;
    }
    let is_datagrams = |fd: &OwnedFd| {
        unix::kind(fd.as_fd()) == Some(Kind::Datagrams)
            && unix::own_path(fd.as_fd()).is_some_and(|path| path.starts_with(directory))
    };
    let (gate, rest): (Vec<_>, Vec<_>) = descriptors.into_iter().partition(is_control);
    let (ends, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(is_datagrams);
    // As long as it is there no other host takes the directory for one that is left.
    let (_sign, rest): (Vec<_>, Vec<_>) = rest.into_iter().partition(|fd| directory::is_sign(directory, fd));
    // The device first: who finds the name free opens it.
    drop(rest);
    // And the path before the names: the next host may make the same.
    secret.iter().for_each(secret::clear);
    drop(gate);
    tell_listeners(stack, directory);
    for end in ends {
        let _ = wake_datagrams(&end);
    }
    let _ = fs::remove_dir_all(directory);
}

/// What the steward does at the end, if host and heir were both killed: what can be told without their descriptors, and
/// what is left of their files. The heir has some time before.
pub fn clear_up(stack: &[u8], secret: Option<SecretPath>, directory: &Path) {
    let mut sign = None;
    for _ in 0..HEIRS.as_millis() / STEP.as_millis() {
        if !directory.exists() {
            return;
        }
        // An heir may still have it.
        sign = sign.or_else(|| directory::take_sign(directory));
        thread::sleep(STEP);
    }
    tell_listeners(stack, directory);
    secret.iter().for_each(secret::clear);
    let _ = fs::remove_dir_all(directory);
}

fn tell_listeners(stack: &[u8], directory: &Path) {
    for listener in directory::bound_ends(directory).unwrap_or_default() {
        // What cannot be told any more is no matter.
        let _ = wake_listener(stack, listener.as_os_str().as_bytes());
    }
}

/// Tells the program that listens at a path, if one does.
fn wake_listener(stack: &[u8], listener: &[u8]) -> io::Result<()> {
    let name = Meaning::Gone { id: entropy::seed()[0] }.name(stack).ok_or(io::ErrorKind::InvalidInput)?;
    let end = unix::open(Kind::Stream)?;
    unix::bind(end.as_fd(), name.as_bytes())?;
    unix::connect_path(end.as_fd(), listener)
}

/// Makes the program's end of `end` show an error, for good.
fn wake_datagrams(end: &OwnedFd) -> io::Result<()> {
    let path = |path: Option<PathBuf>| path.ok_or(io::ErrorKind::NotConnected);
    let (ours, theirs) = (path(unix::own_path(end.as_fd()))?, path(unix::peer_path(end.as_fd()))?);
    super::datagram::let_go(end.as_fd(), ours.as_os_str().as_bytes(), theirs.as_os_str().as_bytes())
}

impl Host {
    /// Tells all who wait: the host ends, by request or because its stack has no network any more. The stack was freed
    /// before. Names and device are free by then: who is told, or was turned away, may want the next host.
    pub fn take_leave(self) {
        let Self { gate, name, slots, .. } = self;
        drop(gate);
        for slot in slots.values() {
            match &slot.item {
                Item::Held(held) if held.listening => {
                    let _ = held.place.as_ref().map(|place| wake_listener(&name, place.path()));
                }
                Item::Datagram(datagram) => _ = wake_datagrams(datagram.end()),
                _ => {}
            }
        }
    }
}
