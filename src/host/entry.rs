//! Letting programs in, by each door only so many a turn, and hearing what they ask.

use super::{end::End, gate::Door, slot::Host, strangers};
use crate::{
    sys::{
        closer, panics, process, readiness,
        unix::{self, Kind},
    },
    time::Duration,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// Of those let in, how many that have asked meanwhile are served at once.
const AT_ONCE: usize = 256;
/// How long to leave programs waiting when there is no descriptor for them, until it is looked again.
pub const SHORTAGE: Duration = Duration::from_millis(20);
/// How long they may be left waiting in all. From then on, until there are descriptors again, the operator is served,
/// and who lends a socket is told that there are too many files.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Descriptors that a request may take: the sockets that are lent, our end, and what tells of its program's end.
const WANTED: usize = 4;
/// Descriptors of a host beside those in slots, more than it ever has.
const OWN: usize = 64;

impl Host {
    /// Lets in programs that wait with a request, and serves those that have asked. What one has asked before it came
    /// again is served first, also if it was not there when it was let in. By the public name they come later than by
    /// the secret path, and only where it is known that somebody waits there; `is_public` says so.
    pub fn hear_programs(&mut self, is_public: bool) {
        self.hear_from(Door::Requests);
        if is_public || self.gate.listener(Door::Requests).is_none() {
            self.hear_from(Door::PublicRequests);
        }
        self.hear_those_let_in(false);
    }

    fn hear_from(&mut self, door: Door) {
        // What strangers have left to be closed is closed before others come.
        if door == Door::PublicRequests && closer::waiting() >= strangers::MOST {
            return self.shut(door, strangers::PAUSE);
        }
        for _ in 0..door.share() {
            let Some(fd) = self.let_in(door) else { break };
            self.hear_those_let_in(false);
            // The others that wait are heard all the same.
            panics::catch(|| self.hear_new(door, fd));
        }
        if door == Door::PublicRequests && std::mem::take(&mut self.strangers.rush) {
            self.shut(door, strangers::PAUSE);
        }
    }

    fn hear_new(&mut self, door: Door, fd: OwnedFd) {
        let peer = if door == Door::PublicRequests { unix::peer(fd.as_fd()) } else { None };
        if door == Door::PublicRequests && !self.guard.knows(peer.map(|peer| peer.uid)) {
            return self.meet_stranger(fd, peer);
        }
        let number = self.reserve();
        self.hear(number, End::new(fd), true);
    }

    /// The next who waits at a door, if it is open. Where there are no descriptors for it and what it may bring, all
    /// wait: what cannot be taken is lost with its question.
    pub fn let_in(&mut self, door: Door) -> Option<OwnedFd> {
        if self.gate.is_shut(door) {
            return None;
        }
        let next = match self.gate.take_held(door) {
            Some(held) => Ok(held),
            None => unix::accept(self.gate.listener(door)?),
        };
        let next = match next {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            Ok(fd) if self.has_room() => {
                self.gate.note_enough();
                return Some(fd);
            }
            next => next,
        };
        let now = self.engine.now();
        let is_long = self.gate.note_shortage(now, PATIENCE);
        let error = match next {
            Ok(fd) if is_long => return Some(fd),
            Ok(fd) => {
                self.gate.hold(door, fd);
                io::Error::from_raw_os_error(libc::EMFILE)
            }
            // The next takes the place of one that is kept for this.
            Err(error) => {
                if is_long {
                    self.gate.spend_spare();
                }
                error
            }
        };
        self.life.on_shortage(now, &error);
        self.shut(door, SHORTAGE);
        None
    }

    /// Whether there are descriptors for whatever a request may bring and want.
    pub fn has_room(&self) -> bool {
        // Most slots have one, none has more than two.
        let most = OWN + 2 * self.slots.len() + closer::waiting();
        if most < process::descriptor_limit() {
            return true;
        }
        let opened: Vec<_> = (0..WANTED).map_while(|_| unix::open(Kind::Packets).ok()).collect();
        opened.len() == WANTED
    }

    /// Lets nobody in by a door for a while.
    pub fn shut(&mut self, door: Door, time: Duration) {
        self.gate.shut(door, self.engine.now() + time, &self.interest);
    }

    /// Serves those that were let in and have said only now what they ask. Whoever says nothing costs nothing: the
    /// kernel tells of those that do. `is_told` says that it has; otherwise it is asked if there is anybody.
    pub fn hear_those_let_in(&mut self, is_told: bool) {
        if !is_told && self.askers == 0 {
            return;
        }
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; AT_ONCE];
        // Out of memory is all that can go wrong here, and passes.
        let n = readiness::take(self.asking.fd(), &mut events).unwrap_or(0);
        for event in &events[..n] {
            self.run(event.u64, event.events);
        }
    }
}
