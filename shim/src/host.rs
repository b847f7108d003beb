//! Asking the host: one request, one response, over a connection of its own.

use crate::{
    Errno, Result,
    format::{Fault, MEANT, NO_REPLY, Op, Request, Response, Token},
    kernel,
    name::Meaning,
};

/// How a program finds its host, and what it shows it.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The stack's name.
    pub stack: &'a [u8],
    /// The stack's token.
    pub token: Token,
    /// The congestion control that new sockets are to have; empty for the stack's own.
    pub congestion: &'a [u8],
    /// Makes a host where there is none.
    pub start: fn() -> Result<()>,
    /// Tells the user why there is no network, in one line.
    pub say: fn(&[u8]),
}

/// A descriptor that is closed again.
struct Socket(i32);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = kernel::close(self.0);
    }
}

const DOWN: Errno = Errno(libc::ENETDOWN);
const ANOTHERS: &[u8] =
    b"the stack of that name is another user's; choose another name (SOCKEYE_STACK), or have its SOCKEYE_TOKEN";

impl Host<'_> {
    /// Sends a request and waits for what the host says.
    ///
    /// # Errors
    ///
    /// The response's errno; ENETDOWN if there is no host, it is another user's, or of another version; what socket(2)
    /// says.
    pub fn ask(&self, request: &Request) -> Result<Response> {
        match self.exchange(&request.to_bytes())? {
            response if response.errno == 0 => Ok(response),
            response => Err(Errno(response.errno)),
        }
    }

    /// Asks for the stack's token. `meant` is what [`Op::Join`] says of the text behind the request.
    ///
    /// # Errors
    ///
    /// ENETDOWN after a line that says why: the stack is another, or another user's; what [`Host::ask`] says.
    pub fn join(&self, meant: &[u8]) -> Result<Token> {
        let mut response = self.present(self.token, meant)?;
        if response.errno == libc::EACCES && self.token != [0; 16] {
            // The token may be another stack's.
            response = self.present([0; 16], meant)?;
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
        self.exchange(joined(&Request::new(Op::Join, token, 0), meant, &mut packet)?)
    }

    /// Sends a packet and waits for the response.
    fn exchange(&self, packet: &[u8]) -> Result<Response> {
        let socket = self.control()?;
        kernel::send(socket.0, packet).map_err(|_| DOWN)?;
        self.response(&socket)
    }

    fn response(&self, socket: &Socket) -> Result<Response> {
        let mut bytes = [0; Response::SIZE];
        let len = kernel::recv(socket.0, &mut bytes).map_err(|_| DOWN)?;
        match Response::from_bytes(&bytes[..len]) {
            Ok(response) => Ok(response),
            Err(Fault::Version(_)) => {
                (self.say)(b"the stack's host is of another version of sockeye; end it, or use the version it has");
                Err(DOWN)
            }
            Err(_) => Err(DOWN),
        }
    }

    /// Sends a request whose answer nobody waits for.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`], without the response's errno.
    pub fn tell(&self, mut request: Request) -> Result<()> {
        request.flags |= NO_REPLY;
        let socket = self.control()?;
        kernel::send(socket.0, &request.to_bytes()).map_err(|_| DOWN).map(drop)
    }

    /// Gives the host the descriptor that tells the end of a tree of programs ([`Op::Tree`]): it lives as long.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`].
    pub fn hold(&self, listener: i32) -> Result<()> {
        self.hand_over(&Request::new(Op::Tree, self.token, 0), &[0], listener)
    }

    /// Has the host start another one ([`Op::Start`]), whose complaints go to `words`. `meant` is the text that comes
    /// with them.
    ///
    /// # Errors
    ///
    /// As [`Host::ask`]; EPERM if the host is another user's.
    pub fn start_another(&self, meant: &[u8], words: i32) -> Result<()> {
        self.hand_over(&Request::new(Op::Start, self.token, 0), meant, words)
    }

    /// Sends a request, then text with a descriptor, and waits for the response. Starts no host.
    fn hand_over(&self, request: &Request, text: &[u8], descriptor: i32) -> Result<()> {
        let socket = self.reach()?;
        kernel::send(socket.0, &request.to_bytes()).map_err(|_| DOWN)?;
        kernel::send_with_descriptor(socket.0, text, Some(descriptor)).map_err(|_| DOWN)?;
        match self.response(&socket)?.errno {
            0 => Ok(()),
            errno => Err(Errno(errno)),
        }
    }

    /// Sends a request and waits for any answer, or for a signal. Starts no host.
    pub fn wait(&self, request: &Request) {
        if let Ok(socket) = self.reach()
            && kernel::send(socket.0, &request.to_bytes()).is_ok()
        {
            let _ = kernel::recv_once(socket.0, &mut [0; Response::SIZE]);
        }
    }

    /// Sees to it that a host is there.
    ///
    /// # Errors
    ///
    /// EMFILE, ENFILE, ENOMEM, ENOBUFS: it cannot be asked whether one is. What starting one says.
    pub fn meet(&self) -> Result<()> {
        match self.reach() {
            Ok(_) => Ok(()),
            Err(errno @ Errno(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS)) => Err(errno),
            Err(_) => (self.start)(),
        }
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
        let name = Meaning::Control.name(self.stack).ok_or(DOWN)?;
        let socket = Socket(kernel::socket(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0)?);
        kernel::connect_in_turn(socket.0, &name)?;
        // An abstract name is whoever's bound it first: the token is for nobody but our own host.
        if Self::is_ours(socket.0, kernel::geteuid()) {
            return Ok(socket);
        }
        (self.say)(ANOTHERS);
        Err(DOWN)
    }
}

/// One packet of a request and the text behind it.
fn joined<'a>(request: &Request, meant: &[u8], packet: &'a mut [u8; Request::SIZE + MEANT]) -> Result<&'a [u8]> {
    let (head, room) = packet.split_at_mut(Request::SIZE);
    head.copy_from_slice(&request.to_bytes());
    room.get_mut(..meant.len()).ok_or(DOWN)?.copy_from_slice(meant);
    Ok(&packet[..Request::SIZE + meant.len()])
}
