//! What programs lend: the very file of a socket, with the question about it. Which socket that is the kernel tells,
//! and not the program:
//!
//! | the file | is known by |
//! |---|---|
//! | one that a program has made | SO_COOKIE, which no other socket ever has |
//! | one that the kernel made when a program accepted | both its peer's credentials and its name: this host's |
//!
//! A program may have a file closed before the host has looked at it. So a file is let go of as soon as its question is
//! answered, and whoever is kept for a socket that has no end of ours is told of the last close by inotify(7).

use super::{
    directory::{Directory, Place},
    slot::{GIVEN, Host, Item},
};
use crate::{
    error::{Error, Result},
    sys::{
        closer,
        last_close::LastClose,
        unix::{self, Kind},
    },
};
use sockeye_shim::name::Meaning;
use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Connections of ours that may wait for us: there is never more than one.
const BACKLOG: i32 = 8;
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// A program's socket, for as long as a question about it lasts.
pub struct Lent {
    fd: OwnedFd,
    cookie: u64,
    /// What this host knows it by, or would.
    pub id: u64,
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Lent {
    /// A stream or a datagram socket.
    pub fn kind(&self) -> Option<Kind> {
        unix::kind(self.as_fd())
    }

    /// The kernel's number of its file.
    pub fn inode(&self) -> u32 {
        unix::inode(self.as_fd())
    }

    /// Whether it was neither connected nor has listened yet.
    fn is_fresh(&self) -> bool {
        unix::peer(self.as_fd()).is_some_and(|peer| peer.uid == u32::MAX)
    }

    /// Sends as many zeros as make it unwritable: a quarter of its buffer may be taken (unix_writable in Linux). The
    /// last goes by itself: we leave it unread, and it shall not keep the others. Returns how many there are before it.
    ///
    /// # Errors
    /// `NoBuffers`: the kernel does not take them.
    fn fill(&self) -> Result<usize> {
        let before_last = unix::send_buffer(self.as_fd()).unwrap_or(0).clamp(4608, 8 << 20) / 4 + 63;
        let mut left = before_last;
        while left > 0 {
            left -= self.put(&ZEROS[..left.min(ZEROS.len())])?;
        }
        self.put(&ZEROS[..1])?;
        Ok(before_last)
    }

    fn put(&self, bytes: &[u8]) -> Result<usize> {
        unix::send(self.as_fd(), bytes, 0).map_err(|_| Error::NoBuffers)
    }
}

/// Where our ends of connections that programs make come from: programs' files are connected to a listener of our own.
#[derive(Default)]
pub struct Ends(Option<(OwnedFd, Place)>);

impl Ends {
    /// Connects a program's file to an end of ours, which is returned.
    fn join(&mut self, lent: &Lent, directory: &mut Directory) -> io::Result<OwnedFd> {
        let (listener, place) = match self.0.take() {
            Some(made) => made,
            None => {
                let (listener, place) = (unix::open(Kind::Stream)?, directory.place("own"));
                unix::bind_path(listener.as_fd(), place.path())?;
                unix::listen(listener.as_fd(), BACKLOG)?;
                (listener, place)
            }
        };
        unix::connect_path(lent.as_fd(), place.path())?;
        // Where there is no descriptor for it now, it would be taken for the next: then the listener goes with it.
        let end = loop {
            let end = unix::accept(listener.as_fd())?;
            // Another process of this user can come here as well.
            if unix::peer(end.as_fd()).is_some_and(|peer| peer.pid == own_pid()) {
                break end;
            }
        };
        self.0 = Some((listener, place));
        Ok(end)
    }
}

fn own_pid() -> i32 {
    std::process::id().cast_signed()
}

/// Who is told of the last close of a file.
pub struct Closes {
    told: LastClose,
    watched: HashMap<i32, u64>,
}

impl Closes {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// Those of inotify_init1(2).
    pub fn new() -> io::Result<Self> {
        Ok(Self { told: LastClose::new()?, watched: HashMap::new() })
    }
}

impl AsFd for Closes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}

impl Host {
    /// Takes a descriptor that came with a request; nothing if it can be no socket of a program's.
    pub fn borrow(&self, fd: OwnedFd) -> Option<Lent> {
        let can_be = |cookie: &u64| {
            // Most are known already.
            self.ids.contains_key(cookie) || matches!(unix::kind(fd.as_fd()), Some(Kind::Stream | Kind::Datagrams))
        };
        let Some(cookie) = unix::cookie(fd.as_fd()).filter(can_be) else {
            // Closing it may take as long as its owner likes.
            closer::close(vec![fd]);
            return None;
        };
        let mut lent = Lent { fd, cookie, id: GIVEN };
        lent.id = self.identify(&lent);
        Some(lent)
    }

    /// The id of a file. One that is not ours, or is not ours any more, has that of no socket.
    fn identify(&self, lent: &Lent) -> u64 {
        if self.ids.contains_key(&lent.cookie) || lent.is_fresh() {
            return lent.cookie;
        }
        let is_ours = unix::peer(lent.as_fd()).is_some_and(|peer| peer.pid == own_pid() && peer.uid == self.guard.uid);
        let label = unix::peer_name(lent.as_fd());
        match label.and_then(|label| Meaning::read(&label, &self.name)) {
            _ if !is_ours => GIVEN,
            Some(Meaning::Accepted { id, .. }) => id,
            Some(_) => GIVEN,
            // One that this host has connected, which may be over.
            None => lent.cookie,
        }
    }

    /// Has this host told when the last descriptor of a file is closed, whose socket is kept here.
    ///
    /// # Errors
    /// `NoBuffers`: the kernel watches no more.
    pub fn await_last_close(&mut self, lent: &Lent) -> Result<()> {
        let watch = self.closes.told.add(lent.as_fd()).map_err(|error| {
            log::warn!("a program's socket cannot be watched: {error}");
            Error::NoBuffers
        })?;
        self.closes.watched.insert(watch, lent.id);
        Ok(())
    }

    /// Lets go of the sockets whose files were closed. Connections have ends of their own that tell.
    pub fn hear_last_closes(&mut self) {
        for watch in self.closes.told.take() {
            let Some(id) = self.closes.watched.remove(&watch) else { continue };
            self.outcomes.forget(id);
            let Some(number) = self.ids.get(&id).copied() else { continue };
            match self.slots.get(&number).map(|slot| &slot.item) {
                Some(Item::Datagram(_)) => self.part(number),
                Some(Item::Held(_)) => drop(self.take(number)),
                _ => {}
            }
        }
        crate::shrink::map(&mut self.closes.watched);
    }

    /// Connects a program's file to an end of ours and fills it, so that it looks as one that is being connected. The
    /// end is told of as `number`. Returns it and how many bytes are in it before the last.
    ///
    /// # Errors
    /// `IsConnected`: the file was connected before, or listens. `TooManyFiles`, `NoBuffers`.
    pub fn join(&mut self, lent: &Lent, number: u64) -> Result<(OwnedFd, usize)> {
        if lent.kind() != Some(Kind::Stream) || !lent.is_fresh() {
            return Err(Error::IsConnected);
        }
        let end = self.ends.join(lent, &mut self.directory).map_err(|error| {
            self.life.on_shortage(self.engine.now(), &error);
            Error::TooManyFiles
        })?;
        let filled = lent.fill()?;
        self.interest.add(&end, super::end::EVENTS, number)?;
        Ok((end, filled))
    }
}
