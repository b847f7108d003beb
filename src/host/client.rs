//! Asking a host, for who is no program of its stack's: the launcher and the operator.

use super::plain::plain_line;
use crate::sys::{
    clock, readiness,
    unix::{self, Kind, Peer, Place},
};
use sockeye_shim::{
    format::{Fault, Op, Request, Response, Token},
    kernel,
    name::Meaning,
    path::Path,
};
use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// How long a host may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No host has the name.
    Absent,
    /// A host that asks for a token, and does not know the one it was shown.
    Another,
    /// A host of that user, which no program of another goes to.
    Foreign(u32),
    /// It can be used, but what is asked is for its own user, and root.
    Forbidden,
    /// A host that speaks another version.
    Version(u16),
    /// The stack is not the one that is meant: the host's own line.
    Different(String),
    /// It has the name and says nothing, or nothing that can be understood.
    Silent,
    /// The same, and nobody knows that it is this user's or root's: it need not be a host.
    Stranger,
    /// It ended while it was asked.
    Ended,
    /// This process cannot ask.
    Unable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("it is not running"),
            Self::Another => f.write_str(
                "it is another user's, and SOCKEYE_TOKEN is not its token; what that user starts on it has the token \
                     in its environment: have it from there, or use another stack (--stack)",
            ),
            Self::Foreign(uid) => write!(
                f,
                "it is another user's (user {uid}), and programs go to hosts of their own user and of root alone; start \
                 this as that user (without sudo, if that is you), or use another stack (--stack)"
            ),
            Self::Forbidden => f.write_str("it is another user's: only that user and root may do this"),
            Self::Version(version) => write!(
                f,
                "its host is of another version of sockeye (it speaks {version}, this program {}); end it, or use the \
                 version it has",
                sockeye_shim::format::VERSION
            ),
            Self::Different(line) => f.write_str(line),
            Self::Silent => f.write_str("its host does not answer; end that process, or use another stack (--stack)"),
            Self::Stranger => f.write_str("whoever has its name does not answer, and need not be a host"),
            Self::Ended => f.write_str("its host has just ended; try again"),
            Self::Unable(why) => write!(f, "its host cannot be asked: {why}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Absent,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Ended,
            _ => Self::Unable(error.to_string()),
        }
    }
}

/// One request that a host has been sent.
pub struct Asked {
    socket: OwnedFd,
    /// It was made by the public name, at which a host takes no descriptors from strangers.
    is_public: bool,
}

impl Asked {
    /// Sends a request to the host of the stack called `name`, and `more` behind it.
    ///
    /// # Errors
    /// `Absent`, `Another`, `Foreign`, `Silent`, `Ended`; `Unable`.
    pub fn new(name: &[u8], request: &Request, more: &[u8]) -> Result<Self, Trouble> {
        let asked = Self::reach_in_turn(name, request)?;
        asked.send(request, more)?;
        Ok(asked)
    }

    /// The same, or nothing while the host's queue is full.
    ///
    /// # Errors
    /// As [`Asked::new`].
    pub(super) fn try_new(name: &[u8], request: &Request, more: &[u8]) -> Result<Option<Self>, Trouble> {
        let enter = |socket: BorrowedFd<'_>, place: Place<'_>| match place {
            Place::Name(name) => unix::connect(socket, name),
            Place::Path(path) => unix::connect_path(socket, path),
        };
        let Some(asked) = Self::reach(name, request, enter)? else { return Ok(None) };
        asked.send(request, more)?;
        Ok(Some(asked))
    }

    /// As [`Asked::new`], and a descriptor with text in a packet of its own.
    fn with_descriptor(
        name: &[u8],
        request: &Request,
        text: &[u8],
        descriptor: BorrowedFd<'_>,
    ) -> Result<Self, Trouble> {
        let asked = Self::reach_in_turn(name, request)?;
        if asked.is_public {
            asked.send(&Request::new(Op::Show, request.token), &[])?;
            asked.response()?;
        }
        asked.send(request, &[])?;
        kernel::lend(asked.socket.as_raw_fd(), text, &[descriptor.as_raw_fd()])
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        Ok(asked)
    }

    fn reach_in_turn(name: &[u8], request: &Request) -> Result<Self, Trouble> {
        Self::reach(name, request, |socket, place| unix::connect_in_turn(socket, place, PATIENCE))?
            .ok_or(Trouble::Silent)
    }

    /// Connects to who is to be asked that, by the secret path or, where it is not to be seen, by the name; nothing
    /// while the queue there is full.
    fn reach(
        name: &[u8],
        request: &Request,
        enter: impl Fn(BorrowedFd<'_>, Place<'_>) -> io::Result<()>,
    ) -> Result<Option<Self>, Trouble> {
        let socket = unix::open(Kind::Packets)?;
        let secret = Path::of(name, &request.token, kernel::network_of(socket.as_raw_fd()));
        let is_public = secret.is_none_or(|path| enter(socket.as_fd(), Place::Path(path.as_bytes())).is_err());
        if is_public {
            let control = Meaning::Control.name(name).ok_or(Trouble::Absent)?;
            match enter(socket.as_fd(), Place::Name(control.as_bytes())) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                entered => entered?,
            }
        }
        let asked = Self { socket, is_public };
        // A name is whoever's took it first: a program and its token are for nobody but our own host, or root's, and
        // nobody else is believed. Root may look at everybody's all the same.
        let is_secret = request.op == Op::Join || request.token != [0; 16];
        if !asked.is_trusted() && (is_secret || unix::own_uid() != 0) {
            return Err(asked.peer().map_or(Trouble::Another, |owner| Trouble::Foreign(owner.uid)));
        }
        Ok(Some(asked))
    }

    fn send(&self, request: &Request, more: &[u8]) -> Result<(), Trouble> {
        let packet = [&request.to_bytes()[..], more].concat();
        unix::send(self.as_fd(), &packet, 0)?;
        Ok(())
    }

    /// Who is asked.
    fn peer(&self) -> Option<Peer> {
        unix::peer(self.as_fd())
    }

    /// Whether who is asked is root, or this process's own user.
    pub(super) fn is_trusted(&self) -> bool {
        self.peer().is_some_and(Peer::is_trusted)
    }

    /// The next packet of the answer, if it is there.
    ///
    /// # Errors
    /// `Ended`: it has closed.
    pub(super) fn try_packet<const N: usize>(&self) -> Result<Option<([u8; N], usize)>, Trouble> {
        let mut bytes = [0; N];
        match unix::recv(self.as_fd(), &mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            received => match received? {
                0 => Err(Trouble::Ended),
                n => Ok(Some((bytes, n))),
            },
        }
    }

    /// The answer of one packet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn response(&self) -> Result<Response, Trouble> {
        if !readiness::wait_readable(self.as_fd(), PATIENCE) {
            return Err(Trouble::Silent);
        }
        let (bytes, n) = self.try_packet::<{ Response::SIZE }>()?.ok_or(Trouble::Silent)?;
        judge(Response::from_bytes(&bytes[..n]))
    }
}

impl AsFd for Asked {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What becomes of an answer.
///
/// # Errors
/// Why it is none.
pub fn judge(answer: Result<Response, Fault>) -> Result<Response, Trouble> {
    match answer {
        Ok(response) if response.errno == 0 => Ok(response),
        Ok(response) if response.errno == libc::EACCES => Err(Trouble::Another),
        Ok(response) if response.errno == libc::EPERM => Err(Trouble::Forbidden),
        Ok(response) if response.errno == libc::EINVAL => Err(Trouble::Different(plain_line(response.data.as_bytes()))),
        Ok(_) | Err(Fault::Foreign | Fault::Malformed) => Err(Trouble::Silent),
        Err(Fault::Version(version)) => Err(Trouble::Version(version)),
    }
}

/// Joins the stack called `name`, and learns its token. `token` is the one that is known, if any; `meant` is the text
/// behind an [`Op::Join`].
///
/// # Errors
/// Why this is not possible.
pub fn join(name: &[u8], token: Option<Token>, meant: &[u8]) -> Result<Token, Trouble> {
    let ask = |token| {
        let response = Asked::new(name, &Request::new(Op::Join, token), meant)?.response()?;
        response.data.as_bytes().try_into().map_err(|_| Trouble::Silent)
    };
    with_token(token, ask)
}

/// Gives the host of the stack called `name` the descriptor that tells the end of a tree of programs: it lives as long.
///
/// # Errors
/// Why this is not possible.
pub fn hold(name: &[u8], token: Token, tree: BorrowedFd<'_>) -> Result<(), Trouble> {
    Asked::with_descriptor(name, &Request::new(Op::Tree, token), &[0], tree)?.response().map(drop)
}

/// Has the host of the stack called `name` start another one ([`Op::Start`]), which complains to `words`. `meant` is
/// the text that comes with them.
///
/// # Errors
/// Why this is not possible.
pub fn start_another(name: &[u8], token: Token, meant: &[u8], words: BorrowedFd<'_>) -> Result<(), Trouble> {
    Asked::with_descriptor(name, &Request::new(Op::Start, token), meant, words)?.response().map(drop)
}

/// Asks with the token that is known, and without: what is known may be another stack's.
fn with_token<R>(token: Option<Token>, ask: impl Fn(Token) -> Result<R, Trouble>) -> Result<R, Trouble> {
    match token.map_or(Err(Trouble::Another), &ask) {
        Err(Trouble::Another | Trouble::Foreign(_)) => ask([0; 16]),
        other => other,
    }
}

/// A part of a stack's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text as it came, not made fit for a terminal ([`super::plain`]); empty where there is no more yet.
    pub text: Vec<u8>,
    /// Whether who says it is root or this user.
    pub is_trusted: bool,
    /// Where it begins, in bytes since the host began: behind what was asked for if that is gone.
    pub from: u64,
    /// Where the next begins.
    pub next: u64,
}

/// What the host of the stack called `name` has said from the byte numbered `from` on, as far as it is still there.
///
/// # Errors
/// Why this is not possible.
pub fn log(name: &[u8], token: Option<Token>, from: u64) -> Result<Piece, Trouble> {
    with_token(token, |token| {
        let asked = Asked::new(name, &Request { from, ..Request::new(Op::Log, token) }, &[])?;
        let (response, is_trusted) = (asked.response()?, asked.is_trusted());
        let (next, text) = response.data.as_bytes().split_first_chunk().ok_or(Trouble::Silent)?;
        let next = u64::from_le_bytes(*next);
        let from = next.checked_sub(text.len() as u64).ok_or(Trouble::Silent)?;
        Ok(Piece { text: text.to_vec(), is_trusted, from, next })
    })
}

/// What the end of a host cut off.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that used the stack.
    pub programs: u32,
    /// Connections that were open.
    pub connections: u32,
}

/// Ends the host of the stack called `name`, and waits until its name is free.
///
/// # Errors
/// Why this is not possible.
pub fn stop(name: &[u8], token: Option<Token>) -> Result<Stopped, Trouble> {
    let (response, host) = with_token(token, |token| {
        let asked = Asked::new(name, &Request::new(Op::Stop, token), &[])?;
        Ok((asked.response()?, asked.peer()))
    })?;
    let counts: [u8; 8] = response.data.as_bytes().try_into().map_err(|_| Trouble::Silent)?;
    let [a, b, c, d, e, f, g, h] = counts;
    let until = clock::now() + PATIENCE;
    while is_there(name, host)? {
        if clock::now() > until {
            return Err(Trouble::Silent);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Stopped { programs: u32::from_le_bytes([a, b, c, d]), connections: u32::from_le_bytes([e, f, g, h]) })
}

/// Whether that host listens at its stack's name; whoever takes it next is another.
fn is_there(name: &[u8], host: Option<Peer>) -> Result<bool, Trouble> {
    let name = Meaning::Control.name(name).ok_or(Trouble::Absent)?;
    let socket = unix::open(Kind::Packets)?;
    match unix::connect(socket.as_fd(), name.as_bytes()) {
        Ok(()) => Ok(unix::peer(socket.as_fd()) == host),
        Err(error) => Ok(error.kind() != io::ErrorKind::ConnectionRefused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sockeye_shim::format::Data;

    #[test]
    fn a_line_of_another_process_has_nothing_for_the_terminal() {
        let data = Data::of("ip:\u{202e} no\x1b[2J\u{9b}\nroot# ".as_bytes()).unwrap();
        let trouble = judge(Ok(Response { data, ..Response::new(libc::EINVAL) })).unwrap_err();
        assert_eq!(trouble.to_string(), "ip:? no?[2J??root# ");
    }
}
