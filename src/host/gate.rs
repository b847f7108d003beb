//! Where programs come in: by a secret path, or by an abstract name, which everybody knows. Having the name is being
//! the host.

use super::{
    secret::{Secret, Unmade},
    slot::Interest,
};
use crate::{
    sys::{
        entropy,
        unix::{self, Kind, Peer, Place},
    },
    time::Instant,
};
use sockeye_shim::{
    format::{Op, Request, Response, Token},
    kernel,
    name::Meaning,
    path::Path,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
    time::Duration,
};

/// How often, and how often at most, another host is asked whether it answers: it may be opening its device.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASK_TIMES: u32 = 250;

/// Where programs come to. The numbers are their slots.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Door {
    /// Requests of those that know the token.
    Requests,
    /// Requests of everybody: who joins, who asks what the stack is, and who does not see the secret path.
    PublicRequests,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Requests, Self::PublicRequests];

    /// The door of that slot.
    pub fn of(slot: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|door| *door as u64 == slot)
    }

    /// How many may wait. Where requests of programs come, all that wait are served in a turn ([`Door::share`]), so
    /// that what one asks before it writes is served before what it writes.
    const fn backlog(self) -> i32 {
        match self {
            Self::Requests => 128,
            Self::PublicRequests => 64,
        }
    }

    /// How many are let in a turn.
    pub const fn share(self) -> usize {
        match self {
            // The kernel lets one more wait than it is told.
            Self::Requests => 1 + Self::Requests.backlog().unsigned_abs() as usize,
            Self::PublicRequests => 16,
        }
    }
}

/// The name of a stack, taken.
pub struct Gate {
    /// Gone before the name is: whoever has it next may have the same path.
    secret: Option<Secret>,
    control: OwnedFd,
    /// Until when a door is shut.
    shut: [Option<Instant>; Door::ALL.len()],
    /// Who was let in by a door when there were no descriptors for what they may bring.
    held: [Option<OwnedFd>; Door::ALL.len()],
    /// Since when there have been none.
    short_since: Option<Instant>,
    /// Given up for the next who comes when there is no other.
    spare: Option<OwnedFd>,
    /// Strangers can send descriptors, which take long to close if they like: the kernel has no SO_PASSRIGHTS.
    pub takes_descriptors: bool,
}

/// Whose the name is.
pub enum Claim {
    /// Ours now.
    Ours(Gate),
    /// Another host's, which answers.
    Another,
}

impl Gate {
    /// Takes the name of the stack called `name`, without listening yet: programs wait.
    ///
    /// # Errors
    /// A text: another process has the name and does not answer, or is a stranger's; or there is no socket to be had.
    pub fn claim(name: &[u8]) -> Result<Claim, String> {
        let shown = String::from_utf8_lossy(name);
        for _ in 0..ASK_TIMES {
            match Self::take(name) {
                Ok(gate) => return Ok(Claim::Ours(gate)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(format!("cannot take the name of stack {shown}: {error}")),
            }
            // It may be about to begin, or to end: then the name is free soon.
            match ask(name) {
                Ok(()) => return Ok(Claim::Another),
                Err(Silence::Strangers(Peer { pid, uid })) => {
                    return Err(format!(
                        "the name of stack {shown} is taken by process {pid} of user {uid}, who is neither you nor root; \
                         choose another name (--stack NAME)"
                    ));
                }
                Err(Silence::Nobody) => thread::sleep(ASK_EVERY),
            }
        }
        Err(format!(
            "stack {shown} has a host that does not answer; end that process, or use another stack (--stack NAME)"
        ))
    }

    fn take(name: &[u8]) -> io::Result<Self> {
        let name = Meaning::Control.name(name).ok_or(io::ErrorKind::InvalidInput)?;
        let control = unix::open(Kind::Packets)?;
        unix::bind(control.as_fd(), name.as_bytes())?;
        Ok(Self {
            secret: None,
            control,
            shut: Default::default(),
            held: Default::default(),
            short_since: None,
            spare: unix::open(Kind::Packets).ok(),
            takes_descriptors: false,
        })
    }

    /// The secret path of the stack called `name`, where its programs look for it.
    pub fn path(&self, name: &[u8], token: &Token) -> Option<Path> {
        Path::of(name, token, kernel::network_of(self.control.as_raw_fd()))
    }

    /// Makes the secret path, without listening yet. Where that cannot be all come by the name.
    pub fn make_path(&mut self, path: Path) {
        let say = |unmade: &Unmade| {
            // Where `/tmp` cannot be used that is as it is; somebody who takes the folder means it.
            let level = if matches!(unmade, Unmade::Taken(..)) { log::Level::Warn } else { log::Level::Debug };
            log::log!(level, "programs come by the stack's public name alone, as strangers do: {unmade}");
        };
        self.secret = Secret::make(path).inspect_err(say).ok();
    }

    /// Lets programs in.
    ///
    /// # Errors
    /// A text.
    pub fn open(&mut self) -> Result<(), String> {
        self.takes_descriptors = unix::pass_rights(self.control.as_fd(), false).is_err();
        let open = |door: Door| match self.listener(door) {
            Some(fd) => unix::listen(fd, door.backlog()).map_err(|error| format!("cannot listen: {error}")),
            None => Ok(()),
        };
        // Who finds the name finds both.
        Door::ALL.into_iter().try_for_each(open)
    }

    /// Where programs wait that come by that door, if there is one.
    pub fn listener(&self, door: Door) -> Option<BorrowedFd<'_>> {
        match door {
            Door::Requests => self.secret.as_ref().map(|secret| secret.listener.as_fd()),
            Door::PublicRequests => Some(self.control.as_fd()),
        }
    }

    /// Has `interest` told of who waits, as long as somebody does.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch(&self, interest: &Interest) -> crate::error::Result<()> {
        let add = |door: Door| self.listener(door).map_or(Ok(()), |fd| interest.add_level(&fd, door as u64));
        Door::ALL.into_iter().try_for_each(add)
    }

    /// Lets nobody in by a door until then.
    pub fn shut(&mut self, door: Door, until: Instant, interest: &Interest) {
        self.shut[door as usize] = Some(until);
        if let Some(fd) = self.listener(door) {
            interest.hush(&fd, door as u64, true);
        }
    }

    /// Whether nobody is let in there now.
    pub fn is_shut(&self, door: Door) -> bool {
        self.shut[door as usize].is_some()
    }

    /// When [`Gate::reopen`] wants to be called.
    pub fn next_opening(&self) -> Option<Instant> {
        self.shut.iter().flatten().copied().min()
    }

    /// Opens the doors whose time has come. True if somebody waits whom the kernel does not tell of.
    pub fn reopen(&mut self, now: Instant, interest: &Interest) -> bool {
        let mut waits = false;
        for door in Door::ALL {
            if self.shut[door as usize].take_if(|until| *until <= now).is_some()
                && let Some(fd) = self.listener(door)
            {
                interest.hush(&fd, door as u64, false);
                waits |= self.held[door as usize].is_some();
            }
        }
        waits
    }

    /// Keeps somebody who was let in until there are descriptors for what they may bring.
    pub fn hold(&mut self, door: Door, fd: OwnedFd) {
        self.held[door as usize] = Some(fd);
    }

    /// Who is kept.
    pub fn take_held(&mut self, door: Door) -> Option<OwnedFd> {
        self.held[door as usize].take()
    }

    /// Whether somebody is kept.
    pub fn holds(&self) -> bool {
        self.held.iter().any(Option::is_some)
    }

    /// Notes that there are too few descriptors now. True if that has been so for `time`.
    pub fn note_shortage(&mut self, now: Instant, time: crate::time::Duration) -> bool {
        *self.short_since.get_or_insert(now) + time <= now
    }

    /// Notes that there are enough.
    pub fn note_enough(&mut self) {
        self.short_since = None;
        if self.spare.is_none() {
            self.spare = unix::open(Kind::Packets).ok();
        }
    }

    /// Gives up the descriptor that is kept for a shortage: the next who comes has it.
    pub fn spend_spare(&mut self) {
        self.spare = None;
    }
}

/// Why no host answers.
enum Silence {
    /// There is none, or it says nothing.
    Nobody,
    /// Somebody has its name who is neither root nor this user.
    Strangers(Peer),
}

impl From<io::Error> for Silence {
    fn from(_: io::Error) -> Self {
        Self::Nobody
    }
}

/// Asks the host that is there whether it is one.
fn ask(name: &[u8]) -> Result<(), Silence> {
    let control = Meaning::Control.name(name).ok_or(Silence::Nobody)?;
    let fd = unix::open(Kind::Packets)?;
    unix::connect_in_turn(fd.as_fd(), Place::Name(control.as_bytes()), Duration::from_secs(1))?;
    // A name is whoever's took it first: a stranger may answer as a host does.
    match unix::peer(fd.as_fd()) {
        Some(peer) if peer.is_trusted() => {}
        Some(peer) => return Err(Silence::Strangers(peer)),
        None => return Err(Silence::Nobody),
    }
    unix::send(fd.as_fd(), &Request::new(Op::Join, [0; 16]).to_bytes(), 0)?;
    for _ in 0..50 {
        let mut bytes = [0; Response::SIZE];
        match unix::recv(fd.as_fd(), &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(2)),
            // Whatever it says, it is a host: it may not be ours to use.
            Ok(n) if n > 0 => return Ok(()),
            Ok(_) | Err(_) => break,
        }
    }
    Err(Silence::Nobody)
}

/// A token that nobody can guess.
pub fn new_token() -> Token {
    let [high, low] = entropy::seed();
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// Who may use the stack.
pub struct Guard {
    /// What programs prove themselves with.
    pub token: Token,
    /// The host's own user.
    pub uid: u32,
}

impl Guard {
    /// Whether somebody who presents `token` and is user `uid` may use the stack. Without a token only the host's own
    /// user and root may.
    pub fn admits(&self, token: &Token, uid: Option<u32>) -> bool {
        let known = token.iter().zip(&self.token).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0;
        known || (*token == [0; 16] && self.knows(uid))
    }

    /// Whether a user is the host's own, or root.
    pub fn knows(&self, uid: Option<u32>) -> bool {
        uid.is_some_and(|uid| uid == 0 || uid == self.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_or_the_own_user_is_let_in() {
        let guard = Guard { token: [7; 16], uid: 1000 };
        assert!(
            guard.admits(&[7; 16], Some(33)) && guard.admits(&[0; 16], Some(1000)) && guard.admits(&[0; 16], Some(0))
        );
        assert!(
            !guard.admits(&[0; 16], Some(33)) && !guard.admits(&[0; 16], None) && !guard.admits(&[8; 16], Some(1000))
        );
    }
}
