//! Strangers: who comes by the public name, is neither root nor the host's own user, and has not shown the token. A
//! worker in a chroot, which has other rights and does not see the secret path, is one for a moment; anybody else may
//! be one for as long as they like. So there are few of them, not for long, and they wait for each other and not the
//! stack's programs for them.

use super::{
    end::End,
    slot::{Host, Item},
};
use crate::{
    stack::journal::Kind,
    sys::{
        closer,
        unix::{self, Peer},
    },
    time::{Duration, Instant},
};
use sockeye_shim::format::{Fault, MEANT, NO_REPLY, Request, Response};
use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, OwnedFd},
};

/// How many there are at most. Then the oldest goes of the user that has most.
pub const MOST: usize = 64;
/// How long one may take to show the token.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many may be there, still without a word, before the next have to wait.
const UNSUSPICIOUS: usize = 4;
/// How long nobody is let in by the public name once there were some without the token.
pub const PAUSE: Duration = Duration::from_millis(5);

/// Those that are let in.
#[derive(Default)]
pub struct Strangers {
    /// The oldest first.
    known: VecDeque<Stranger>,
    /// There were some without the token, or there are many.
    pub rush: bool,
}

#[derive(Copy, Clone)]
struct Stranger {
    number: u64,
    uid: Option<u32>,
    until: Instant,
}

impl Strangers {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// When the patience with one ends.
    pub fn deadline(&self) -> Option<Instant> {
        self.known.front().map(|stranger| stranger.until)
    }

    /// Who is to go for another to come.
    fn surplus(&self) -> Option<u64> {
        if self.len() < MOST {
            return None;
        }
        let of = |uid| self.known.iter().filter(|stranger| stranger.uid == uid).count();
        // Of several the first, which is the oldest.
        let most = self.known.iter().rev().max_by_key(|stranger| of(stranger.uid))?.uid;
        self.known.iter().find(|stranger| stranger.uid == most).map(|stranger| stranger.number)
    }

    fn forget(&mut self, number: u64) {
        self.known.retain(|stranger| stranger.number != number);
    }
}

/// What becomes of a stranger after a look at what it has said.
enum Look {
    /// Nothing yet.
    Silent,
    /// It has shown the token.
    Admitted,
    /// It has said something else, to which this is the answer's errno, or has gone.
    Refused(Option<i32>),
}

impl Host {
    /// One has come.
    pub fn meet_stranger(&mut self, fd: OwnedFd, peer: Option<Peer>) {
        if let Some(surplus) = self.strangers.surplus() {
            self.dismiss(surplus);
        }
        let number = self.reserve();
        if self.interest.add(&fd, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_err() {
            return self.part_with_stranger(End::new(fd), None);
        }
        let until = self.engine.now() + PATIENCE;
        self.strangers.known.push_back(Stranger { number, uid: peer.map(|peer| peer.uid), until });
        self.hear_stranger(number, End::new(fd));
        self.strangers.rush |= self.strangers.len() > UNSUSPICIOUS;
    }

    /// One may have shown the token, and is none any more then: what it has said is still to be received.
    pub fn hear_stranger(&mut self, number: u64, end: End) {
        match self.look_at(&end) {
            Look::Silent => self.put(number, Item::Stranger(end), None),
            Look::Admitted => {
                self.strangers.forget(number);
                self.hear(number, end, false);
            }
            Look::Refused(answer) => {
                self.strangers.forget(number);
                if answer.is_some() {
                    self.say_of_stranger(unix::peer(end.as_fd()));
                }
                self.part_with_stranger(end, answer);
            }
        }
    }

    /// Looks at what a stranger has said, and leaves it there: to receive it is to close what came with it.
    fn look_at(&self, end: &End) -> Look {
        let mut bytes = [0; Request::SIZE + MEANT];
        let n = match unix::recv(end.as_fd(), &mut bytes, libc::MSG_PEEK) {
            Ok(0) => return Look::Refused(None),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !end.is_ended() => return Look::Silent,
            Err(_) => return Look::Refused(None),
        };
        let uid = unix::peer(end.as_fd()).map(|peer| peer.uid);
        match Request::from_bytes(&bytes[..n]) {
            Ok(request) if self.guard.admits(&request.token, uid) => Look::Admitted,
            Ok(request) => Look::Refused((request.flags & NO_REPLY == 0).then_some(libc::EACCES)),
            Err(Fault::Foreign) => Look::Refused(None),
            Err(Fault::Version(_) | Fault::Malformed) => Look::Refused(Some(libc::EPROTO)),
        }
    }

    /// Ends the patience with those that have been silent for too long.
    pub fn dismiss_strangers(&mut self) {
        let now = self.engine.now();
        while let Some(Stranger { number, .. }) =
            self.strangers.known.front().copied().filter(|first| first.until <= now)
        {
            self.dismiss(number);
        }
    }

    fn dismiss(&mut self, number: u64) {
        self.strangers.forget(number);
        if let Some(Item::Stranger(end)) = self.take(number).map(|slot| slot.item) {
            self.part_with_stranger(end, None);
        }
    }

    /// Answers a stranger, and closes its connection with what it has sent.
    fn part_with_stranger(&mut self, end: End, answer: Option<i32>) {
        self.strangers.rush = true;
        let part = move || {
            if let Some(answer) = answer {
                // Closed with something unread it would not see the answer. It may have gone.
                let _ = unix::recv(end.as_fd(), &mut [0; 1], 0);
                let _ = unix::send(end.as_fd(), &Response::new(answer).to_bytes(), 0);
            }
        };
        if self.gate.takes_descriptors { closer::aside(1, part) } else { part() }
    }

    /// Says in the log that somebody was refused, as often as its kind of lines may be said.
    pub fn say_of_stranger(&self, peer: Option<Peer>) {
        let now = self.engine.now();
        self.engine.with(|stack, _| {
            stack.journal_mut().say(Kind::Stranger, now, || {
                let who = peer.map_or_else(String::new, |peer| format!(" of process {}, user {}", peer.pid, peer.uid));
                format!("what comes{who} without the stack's token is refused")
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_most_makes_room_and_the_oldest_of_theirs_first() {
        let mut strangers = Strangers::default();
        let add = |strangers: &mut Strangers, number, uid| {
            strangers.known.push_back(Stranger { number, uid: Some(uid), until: Instant::ZERO });
        };
        add(&mut strangers, 1, 33);
        (2..MOST as u64).for_each(|number| add(&mut strangers, number, 1000));
        assert_eq!(strangers.surplus(), None, "there is room");
        add(&mut strangers, 100, 33);
        assert_eq!(strangers.surplus(), Some(2));
        strangers.forget(2);
        assert_eq!((strangers.len(), strangers.surplus()), (MOST - 1, None));
    }
}
