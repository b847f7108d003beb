//! One connection between a program and the stack: bytes both ways, and how each way ends.
//!
//! | TCP | the program's end shows |
//! |---|---|
//! | FIN from the peer | end of data, after all data |
//! | reset by the peer | ECONNRESET, after what was delivered |
//! | the program shuts down or closes | FIN, after all data |
//! | the program closes with data unread | reset (RFC 2525 section 2.17) |
//!
//! A reset is shown by closing our end while a byte is left in it that was never read. So of what the program writes the
//! last byte is peeked at and stays, unless the data is bulk: the byte would keep the whole buffer it is in from being
//! freed, and the program from writing on. Then, and when the program has never written, a reset looks like the end of
//! data.

use crate::{
    error::Error,
    socket::detached::Detached,
    sys::unix,
    tcp::{RecvFlags, SendFlags, Shutdown},
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, OwnedFd},
};

/// How much moves at once, and how much is kept of what the other side did not take, each way.
pub const CHUNK: usize = 256 * 1024;
/// What is queued by the program is not bulk up to here.
const SMALL: usize = 4096;
/// Chunks that one connection moves each way before it is the others' turn.
const ROUNDS: usize = 8;

/// What becomes of a bridge after a turn.
#[must_use]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more to do until something happens.
    Idle,
    /// There is more to move, when the others have had their turn.
    More,
    /// Both ways are over, or one end is gone: drop the bridge.
    Over,
}

/// How one way of the bridge stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Its source has ended; what is kept is still to be delivered.
    Ended,
    /// And the end has been passed on.
    Shut,
}

/// What came of moving one way.
enum Moved {
    Idle,
    More,
    /// The program closed without reading all.
    ProgramReset,
    /// The connection is broken.
    PeerReset,
}

/// Data the other side did not take.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    at: usize,
}

impl Kept {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn keep(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
    }

    /// `n` bytes were taken. When it was the last of them the memory is given back.
    fn took(&mut self, n: usize) {
        self.at += n;
        if self.is_empty() {
            *self = Self::default();
        }
    }
}

/// A connection and our end of the program's socket.
pub struct Bridge {
    end: OwnedFd,
    socket: Detached,
    /// From the program to the stack.
    up: Kept,
    up_way: Way,
    /// From the stack to the program.
    down: Kept,
    down_way: Way,
    /// A byte that was forwarded is still in our end.
    retained: bool,
    /// The last read filled the buffer: what is left may be a part of something large.
    capped: bool,
    /// The program sends no more.
    end_of_program: bool,
    /// The program's end is closed.
    hung_up: bool,
    /// The connection is broken; what is kept for the program is still delivered.
    broken: bool,
}

impl Bridge {
    /// Joins our end of a program's socket and a connection that is established.
    pub fn new(end: OwnedFd, socket: Detached) -> Self {
        Self {
            end,
            socket,
            up: Kept::default(),
            up_way: Way::Open,
            down: Kept::default(),
            down_way: Way::Open,
            retained: false,
            capped: false,
            end_of_program: false,
            hung_up: false,
            broken: false,
        }
    }

    /// The connection.
    pub fn socket(&self) -> &Detached {
        &self.socket
    }

    /// The process at the other end: who connected it, or listens.
    pub fn user(&self) -> i32 {
        unix::peer(self.end.as_fd()).map_or(0, |peer| peer.pid)
    }

    /// Our end was reported ready: `events` are epoll(7)'s.
    pub fn on_end_ready(&mut self, events: u32) {
        let any = |mask: i32| events & mask as u32 != 0;
        self.end_of_program |= any(libc::EPOLLRDHUP | libc::EPOLLHUP);
        self.hung_up |= any(libc::EPOLLHUP);
    }

    /// Moves what there is to move. `buffer` is [`CHUNK`] bytes long.
    pub fn turn(&mut self, buffer: &mut [u8]) -> Verdict {
        let up = if self.broken { Moved::PeerReset } else { self.move_up(buffer) };
        let down = match up {
            Moved::ProgramReset => Moved::Idle,
            Moved::PeerReset | Moved::Idle | Moved::More => self.move_down(buffer),
        };
        self.broken |= matches!(up, Moved::PeerReset) || matches!(down, Moved::PeerReset);
        match (up, down) {
            (Moved::ProgramReset, _) | (_, Moved::ProgramReset) => {
                self.socket.reset_on_close();
                Verdict::Over
            }
            // What came before the reset is the program's.
            (_, Moved::More) => Verdict::More,
            _ if self.broken && (self.down.is_empty() || self.hung_up) => Verdict::Over,
            _ if self.is_over() => {
                self.part();
                Verdict::Over
            }
            (Moved::More, _) => Verdict::More,
            _ => Verdict::Idle,
        }
    }

    /// Both ways have ended, or the program has closed and all it sent is with the stack.
    fn is_over(&self) -> bool {
        self.up_way == Way::Shut && (self.down_way == Way::Shut || self.hung_up)
    }

    /// An orderly end: the program must not see a reset, and the peer one only if data was left unread.
    fn part(&mut self) {
        if self.retained {
            let _taken = unix::recv(self.end.as_fd(), &mut [0], 0);
        }
        if !self.down.is_empty() {
            self.socket.reset_on_close();
        }
    }

    /// From the program to the stack.
    fn move_up(&mut self, buffer: &mut [u8]) -> Moved {
        for _ in 0..ROUNDS {
            if !self.up.is_empty() {
                match send_up(&self.socket, self.up.rest()) {
                    Ok(n) => self.up.took(n),
                    Err(Error::WouldBlock) => return Moved::Idle,
                    Err(_) => return Moved::PeerReset,
                }
                continue;
            }
            match self.up_way {
                Way::Shut => return Moved::Idle,
                Way::Ended => {
                    let shut = self.socket.with(|stack, id, now| stack.shutdown(id, Shutdown::Write, now));
                    self.up_way = Way::Shut;
                    return if shut.is_ok() { Moved::Idle } else { Moved::PeerReset };
                }
                Way::Open => {}
            }
            let fresh = match self.read_program(buffer) {
                Ok(0..=0) => {
                    self.up_way = Way::Ended;
                    continue;
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Moved::Idle,
                Err(_) => return Moved::ProgramReset,
            };
            match send_up(&self.socket, &buffer[..fresh]) {
                Ok(n) => self.up.keep(&buffer[n..fresh]),
                Err(Error::WouldBlock) => self.up.keep(&buffer[..fresh]),
                Err(_) => return Moved::PeerReset,
            }
        }
        Moved::More
    }

    /// What the program has written since the last call, at the front of `buffer`; 0 at its end.
    fn read_program(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let end = self.end.as_fd();
        let old = usize::from(self.retained);
        let queued = unix::recv(end, &mut buffer[..=SMALL], libc::MSG_PEEK)?;
        if queued <= old {
            if self.end_of_program || queued == 0 {
                let failed = unix::take_error(end);
                return if failed == 0 { Ok(0) } else { Err(io::Error::from_raw_os_error(failed)) };
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = if queued <= SMALL && !self.capped {
            if queued > 1 {
                unix::recv(end, &mut buffer[SMALL + 1..SMALL + queued], 0)?;
            }
            self.retained = true;
            queued
        } else {
            let n = unix::recv(end, buffer, 0)?;
            self.retained = false;
            self.capped = n == buffer.len();
            n
        };
        buffer.copy_within(old..n, 0);
        Ok(n - old)
    }

    /// From the stack to the program.
    fn move_down(&mut self, buffer: &mut [u8]) -> Moved {
        for _ in 0..ROUNDS {
            if !self.down.is_empty() {
                match self.write_program(self.down.rest()) {
                    Ok(n) => self.down.took(n),
                    Err(moved) => return moved,
                }
                continue;
            }
            match self.down_way {
                Way::Shut => return Moved::Idle,
                // What ended it is a reset: our end is closed in a moment.
                _ if self.broken => return Moved::PeerReset,
                Way::Ended => {
                    self.down_way = Way::Shut;
                    // The program may be gone already, which its end tells.
                    let _ = unix::shutdown_write(self.end.as_fd());
                    return Moved::Idle;
                }
                Way::Open => {}
            }
            let received = self.socket.with(|stack, id, now| {
                stack.recv(id, &mut [IoSliceMut::new(buffer)], RecvFlags::default(), now).map(|got| got.len)
            });
            let n = match received {
                Ok(0) => {
                    self.down_way = Way::Ended;
                    continue;
                }
                Ok(n) => n,
                Err(Error::WouldBlock) => return Moved::Idle,
                Err(_) => return Moved::PeerReset,
            };
            match self.write_program(&buffer[..n]) {
                Ok(taken) => self.down.keep(&buffer[taken..n]),
                Err(Moved::Idle) => {
                    self.down.keep(&buffer[..n]);
                    return Moved::Idle;
                }
                Err(moved) => return moved,
            }
        }
        Moved::More
    }

    /// Gives data to the program: how much it took, or how the turn ends.
    fn write_program(&self, data: &[u8]) -> Result<usize, Moved> {
        match unix::send(self.end.as_fd(), data, 0) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Moved::Idle),
            // It reads no more but is still there (SHUT_RD): Linux takes the data and throws it away.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.hung_up => Ok(data.len()),
            Err(_) => Err(Moved::ProgramReset),
        }
    }
}

fn send_up(socket: &Detached, data: &[u8]) -> Result<usize, Error> {
    socket.with(|stack, id, now| {
        stack.send(id, &[IoSlice::new(data)], &crate::stack::SendTo::default(), SendFlags::default(), now)
    })
}
