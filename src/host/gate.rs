//! Where programs come in: two abstract names. Having the first is being the host.

use crate::sys::unix::{self, Kind};
use sockeye_shim::{
    format::{Op, Request, Response, Token},
    name::Meaning,
};
use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    thread,
    time::Duration,
};

/// Programs that may wait to be let in, each way.
const BACKLOG: i32 = 4096;
/// How often, and how often at most, another host is asked whether it answers: it may be opening its device.
const ASK_EVERY: Duration = Duration::from_millis(20);
const ASK_TIMES: u32 = 250;

/// The names of a stack, taken.
pub struct Gate {
    /// Requests come here.
    pub control: OwnedFd,
    /// Connections to be made come here.
    pub connect: OwnedFd,
}

/// Whose the names are.
pub enum Claim {
    /// Ours now.
    Ours(Gate),
    /// Another host's, which answers.
    Another,
}

impl Gate {
    /// Takes the names of the stack called `name`, without listening yet: programs wait.
    ///
    /// # Errors
    /// A text: another process has the name and does not answer, or there is no socket to be had.
    pub fn claim(name: &[u8]) -> Result<Claim, String> {
        for _ in 0..ASK_TIMES {
            match Self::take(name) {
                Ok(gate) => return Ok(Claim::Ours(gate)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(format!("cannot take the name of stack {}: {error}", String::from_utf8_lossy(name)));
                }
            }
            // It may be about to begin, or to end: then the name is free soon.
            if ask(name).is_ok() {
                return Ok(Claim::Another);
            }
            thread::sleep(ASK_EVERY);
        }
        let name = String::from_utf8_lossy(name);
        Err(format!(
            "stack {name} has a host that does not answer; end that process, or use another stack (--stack NAME)"
        ))
    }

    fn take(name: &[u8]) -> io::Result<Self> {
        let taken = |meaning: Meaning, kind| {
            let name = meaning.name(name).ok_or(io::ErrorKind::InvalidInput)?;
            let fd = unix::open(kind)?;
            unix::bind(fd.as_fd(), name.as_bytes()).map(|()| fd)
        };
        let control = taken(Meaning::Control, Kind::Packets)?;
        Ok(Self { control, connect: taken(Meaning::Connect, Kind::Stream)? })
    }

    /// Lets programs in.
    ///
    /// # Errors
    /// A text.
    pub fn open(&self) -> Result<(), String> {
        let open = |fd: &OwnedFd| unix::listen(fd.as_fd(), BACKLOG).map_err(|error| format!("cannot listen: {error}"));
        open(&self.connect).and_then(|()| open(&self.control))
    }
}

/// Asks the host that is there whether it is one.
fn ask(name: &[u8]) -> io::Result<()> {
    let control = Meaning::Control.name(name).ok_or(io::ErrorKind::InvalidInput)?;
    let fd = unix::open(Kind::Packets)?;
    unix::connect(fd.as_fd(), control.as_bytes())?;
    unix::send(fd.as_fd(), &Request::new(Op::Join, [0; 16], 0).to_bytes(), 0)?;
    for _ in 0..50 {
        let mut bytes = [0; Response::SIZE];
        match unix::recv(fd.as_fd(), &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(2)),
            // Whatever it says, it is a host: it may not be ours to use.
            Ok(n) if n > 0 => return Ok(()),
            Ok(_) => break,
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::TimedOut.into())
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
        known || (*token == [0; 16] && uid.is_some_and(|uid| uid == 0 || uid == self.uid))
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
