//! Letting programs in, by each door only so many a turn, and hearing what they ask.

use super::{end::End, gate::Door, slot::Host, strangers};
use crate::{
    sys::{closer, panics, readiness, unix},
    time::Duration,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

/// Of those let in, how many that have asked meanwhile are served at once.
const AT_ONCE: usize = 256;
/// How long to leave programs waiting when there is no descriptor for them.
const SHORTAGE: Duration = Duration::from_millis(20);

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

    /// The next who waits at a door, if it is open. Where there is no descriptor for it all wait.
    pub fn let_in(&mut self, door: Door) -> Option<OwnedFd> {
        if self.gate.is_shut(door) {
            return None;
        }
        match unix::accept(self.gate.listener(door)?) {
            Ok(fd) => Some(fd),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                self.life.on_shortage(self.engine.now(), &error);
                self.shut(door, SHORTAGE);
                None
            }
        }
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
