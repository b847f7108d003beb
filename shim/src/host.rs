//! Asking the host: one request, one response, over a connection of its own. It is made by the secret path, and where
//! that cannot be seen by the public name.

use crate::{
    Errno, Result,
    format::{Data, Fault, MEANT, NO_REPLY, Op, Request, Response, Token},
    kernel::{self, UnixAddress},
    name::Meaning,
    path::Path,
};

/// How a program finds its host, and what it shows it.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The stack's name.
    pub stack: &'a [u8],
    /// The stack's token.
    pub token: Token,
    /// The network namespace in which this program met it ([`kernel::network_of`]).
    pub network: u64,
    /// The congestion control that new sockets are to have; empty for the stack's own.
    pub congestion: &'a [u8],
    /// Makes a host where there is none.
    pub start: fn() -> Result<()>,
    /// Tells the user why there is no network, in one line.
    pub say: fn(&[u8]),
}

/// A connection to the host, which is closed again.
struct Socket {
    fd: i32,
    /// It was made by the public name, at which the host takes no descriptors of strangers.
    is_public: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = kernel::close(self.fd);
    }
}

const DOWN: Errno = Errno(libc::ENETDOWN);
const FOREIGN: &[u8] =
    b"the stack of that name is another user's, and programs go to hosts of their own user and of root alone; start \
    this program as that user (without sudo, if that is you), or use another stack (SOCKEYE_STACK)";
/// Said where a program cannot go on without the host that it had.
pub const GONE: &[u8] = b"the stack's host is gone; start the program again";
/// The host ended while it was asked.
const ENDED: Errno = Errno(libc::ECONNRESET);
const ANOTHERS: &[u8] =
    b"the stack of that name is another user's, and SOCKEYE_TOKEN is not its token; what that user starts on it \
    has the token in its environment: have it from there, or use another stack (SOCKEYE_STACK)";

impl Host<'_> {
    /// Sends a request and waits for what the host says.
    ///
    /// # Errors
    ///
    /// The response's errno; ENETDOWN if there is no host, it is another user's, or of another version, and after a
    /// line if it ends meanwhile; what socket(2) says.
    pub fn ask(&self, request: &Request) -> Result<Response> {
        self.ask_with(&[], request)
    }

    /// As [`Host::ask`], about a socket, which is lent to the host with the question: who has it may ask.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`]; EBADF if the descriptor was closed meanwhile.
    pub fn ask_about(&self, fd: i32, request: &Request) -> Result<Response> {
        self.ask_with(&[fd], request)
    }

    /// As [`Host::ask_about`], about two.
    ///
    /// # Errors
    ///
    /// As [`Host::ask_about`].
    pub(crate) fn ask_with(&self, lent: &[i32], request: &Request) -> Result<Response> {
        match self.exchange(&request.to_bytes(), lent) {
            Ok(response) if response.errno == 0 => Ok(response),
            Ok(response) => Err(Errno(response.errno)),
            Err(ENDED) => {
                (self.say)(GONE);
                Err(DOWN)
            }
            Err(errno) => Err(errno),
        }
    }

    /// Asks for the stack's token. `meant` is what [`Op::Join`] says of the text behind the request.
    ///
    /// # Errors
    ///
    /// ENETDOWN after a line that says why: the stack is another, or another user's; what [`Host::ask`] says.
    pub fn join(&self, meant: &[u8]) -> Result<Token> {
        let mut response = match self.present(self.token, meant) {
            // The next one is another.
            Err(ENDED) => self.present(self.token, meant),
            other => other,
        }
        .map_err(|errno| if errno == ENDED { DOWN } else { errno })?;
        if response.errno == libc::EACCES && self.token != [0; 16] {
            // The token may be another stack's.
            response = self.present([0; 16], meant).map_err(|errno| if errno == ENDED { DOWN } else { errno })?;
        }
        match (response.errno, response.data.as_bytes().try_into()) {
            (0, Ok(token)) => return Ok(token),
            (libc::EINVAL, _) => (self.say)(response.data.as_bytes()),
            (libc::EACCES, _) => (self.say)(ANOTHERS),
            _ => (self.say)(b"the stack's host does not let this program in"),
        }
        Err(DOWN)
    }

    fn present(&self, token: Token, meant: &[u8]) -> Result<Response> {
        let mut packet = [0; Request::SIZE + MEANT];
        self.exchange(joined(&Request::new(Op::Join, token), meant, &mut packet)?, &[])
    }

    /// Sends a packet, with the descriptors that it is about, and waits for the response; `ENDED` if none came.
    fn exchange(&self, packet: &[u8], lent: &[i32]) -> Result<Response> {
        let socket = self.control()?;
        self.give(&socket, packet, lent)?;
        self.response(&socket)
    }

    fn response(&self, socket: &Socket) -> Result<Response> {
        let mut bytes = [0; Response::SIZE];
        let len = kernel::recv(socket.fd, &mut bytes).map_err(|_| ENDED)?;
        if len == 0 {
            return Err(ENDED);
        }
        match Response::from_bytes(&bytes[..len]) {
            Ok(response) => Ok(response),
            Err(Fault::Version(_)) => {
                (self.say)(b"the stack's host is of another version of sockeye; end it, or use the version it has");
                Err(DOWN)
            }
            Err(_) => Err(DOWN),
        }
    }

    /// Sends a request about a socket, as [`Host::ask_about`], whose answer nobody waits for.
    ///
    /// # Errors
    ///
    /// As [`Host::ask_about`], without the response's errno.
    pub fn tell_about(&self, fd: i32, mut request: Request) -> Result<()> {
        request.flags |= NO_REPLY;
        let socket = self.control()?;
        self.give(&socket, &request.to_bytes(), &[fd])
    }

    /// Gives the host the descriptor that tells the end of a tree of programs ([`Op::Tree`]): it lives as long.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`]; ENETDOWN after a line that says why, if the stack has no network any more.
    pub fn hold(&self, listener: i32) -> Result<()> {
        self.hand_over(&Request::new(Op::Tree, self.token), &[0], listener)
    }

    /// Has the host start another one ([`Op::Start`]), whose complaints go to `words`. `meant` is the text that comes
    /// with them.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`]; EPERM if the host is another user's.
    pub fn start_another(&self, meant: &[u8], words: i32) -> Result<()> {
        self.hand_over(&Request::new(Op::Start, self.token), meant, words)
    }

    /// Sends a request, then text with a descriptor, and waits for the response. Starts no host.
    fn hand_over(&self, request: &Request, text: &[u8], descriptor: i32) -> Result<()> {
        let socket = self.reach()?;
        self.show(&socket)?;
        kernel::send(socket.fd, &request.to_bytes()).map_err(|_| DOWN)?;
        kernel::lend(socket.fd, text, &[descriptor]).map_err(|_| DOWN)?;
        match self.response(&socket) {
            Ok(response) if response.errno == 0 => Ok(()),
            Ok(response) if response.data != Data::NONE => {
                (self.say)(response.data.as_bytes());
                Err(DOWN)
            }
            Ok(response) => Err(Errno(response.errno)),
            Err(_) => Err(DOWN),
        }
    }

    /// Shows the token where the host takes no descriptors from strangers ([`Op::Show`]): before one is sent.
    fn show(&self, socket: &Socket) -> Result<()> {
        if !socket.is_public {
            return Ok(());
        }
        kernel::send(socket.fd, &Request::new(Op::Show, self.token).to_bytes()).map_err(|_| DOWN)?;
        match self.response(socket)?.errno {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }

    /// Sends a packet and what it is about. What is wrong with those is the program's to know, anything else means that
    /// there is no host any more.
    fn give(&self, socket: &Socket, packet: &[u8], lent: &[i32]) -> Result<()> {
        if !lent.is_empty() {
            self.show(socket)?;
        }
        match kernel::lend(socket.fd, packet, lent) {
            Ok(_) => Ok(()),
            Err(errno @ Errno(libc::EBADF | libc::ETOOMANYREFS | libc::ENOBUFS | libc::ENOMEM)) => Err(errno),
            Err(_) => Err(DOWN),
        }
    }

    /// Sends a request about a socket that is to be answered later, when [`Wait::wait`] says so. Starts no host.
    ///
    /// # Errors
    ///
    /// As [`Host::ask_about`].
    pub fn announce(&self, fd: i32, request: &Request) -> Result<Wait> {
        let socket = self.reach()?;
        self.give(&socket, &request.to_bytes(), &[fd])?;
        Ok(Wait(socket))
    }

    /// Whether a host is there now. Starts none.
    pub fn is_there(&self) -> bool {
        self.reach().is_ok()
    }

    /// Whether the other end of a socket is our host's: held by root, or by a user that `trusted` names.
    pub fn is_ours(fd: i32, trusted: u32) -> bool {
        let credentials = kernel::option::<[u32; 3]>(fd, libc::SO_PEERCRED);
        matches!(credentials, Ok([_, uid, _]) if uid == 0 || uid == trusted)
    }

    fn control(&self) -> Result<Socket> {
        match self.reach() {
            Err(Errno(libc::ECONNREFUSED)) => {
                (self.start)()?;
                self.reach().map_err(|_| DOWN)
            }
            other => other,
        }
    }

    fn reach(&self) -> Result<Socket> {
        let fd = kernel::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)?;
        let mut socket = Socket { fd, is_public: false };
        if !self.enter(&socket) {
            socket.is_public = true;
            kernel::connect_in_turn(socket.fd, &Meaning::Control.name(self.stack).ok_or(DOWN)?)?;
        }
        // A name is whoever's bound it first: the token is for nobody but our own host.
        if Self::is_ours(socket.fd, kernel::geteuid()) {
            return Ok(socket);
        }
        (self.say)(FOREIGN);
        Err(DOWN)
    }

    /// Connects by the secret path; false where it is not known, or not to be seen from here.
    fn enter(&self, socket: &Socket) -> bool {
        let path = Path::of(self.stack, &self.token, self.network);
        let Some(address) = path.and_then(|path| UnixAddress::of_path(path.as_bytes())) else { return false };
        loop {
            match kernel::connect_to(socket.fd, &address) {
                // By a signal while others were before it.
                Err(Errno(libc::EINTR)) => {}
                entered => return entered.is_ok(),
            }
        }
    }
}

/// A request that the host keeps until it is asked to answer.
pub struct Wait(Socket);

impl Wait {
    /// Waits for any answer, or for a signal.
    pub fn wait(self) {
        if kernel::send(self.0.fd, &[0]).is_ok() {
            let _ = kernel::recv_once(self.0.fd, &mut [0; Response::SIZE]);
        }
    }
}

/// One packet of a request and the text behind it.
fn joined<'a>(request: &Request, meant: &[u8], packet: &'a mut [u8; Request::SIZE + MEANT]) -> Result<&'a [u8]> {
    let (head, room) = packet.split_at_mut(Request::SIZE);
    head.copy_from_slice(&request.to_bytes());
    room.get_mut(..meant.len()).ok_or(DOWN)?.copy_from_slice(meant);
    Ok(&packet[..Request::SIZE + meant.len()])
}
