//! One connection between a program and the stack: bytes both ways, and how each way ends.
//!
//! | TCP | the program's end shows |
//! |---|---|
//! | FIN from the peer | end of data, after all data |
//! | reset by the peer | ECONNRESET, after what was delivered |
//! | the program shuts down or closes | FIN, after all data |
//! | the program closes with data unread | reset (RFC 2525 section 2.17) |
//!
//! A reset is shown by closing our end while a byte is left in it that was never read; the host's own end shows as one,
//! too. So there is one from the first: the last byte of what stands before a connection's own data, or the byte that
//! the program sends when it accepts. Of what it writes later the last byte is peeked at and stays. It keeps the buffer
//! it is in, at most 64 KiB of the kernel's memory, from being freed: only so many connections ([`PINS`]) may do that
//! with more than a little data. Beyond them a reset that comes after bulk looks like the end of data.

use super::{coming::Coming, end::End, linger::Closer};
use crate::{
    buf::Rope,
    error::Error,
    ready::Ready,
    socket::detached::Detached,
    sys::unix,
    tcp::{RecvFlags, SendFlags, Shutdown, run::Run},
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

/// How much moves at once, and how much is kept of what the other side did not take, each way.
pub const CHUNK: usize = 256 * 1024;
/// What is queued by the program is not bulk up to here.
const SMALL: usize = 4096;
/// How many connections may each keep a large buffer of the kernel's for the byte in it.
pub const PINS: usize = 1024;
/// Packets given to the program in one call.
const SLICES: usize = 64;
/// Chunks that one connection moves each way before it is the others' turn.
const ROUNDS: usize = 8;

/// What a connection costs the host beside what it costs the stack, bytes: the bridge, its slot, and its id's.
pub const COST: usize = size_of::<Bridge>() + 512;
/// How much what is kept may change before the stack is told.
const WORTHY: usize = 4096;

/// What becomes of a bridge after a turn.
#[must_use]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing more to do until something happens.
    Idle,
    /// There is more to move, when the others have had their turn.
    More,
    /// Our end is to hold more: [`Bridge::widen`].
    Widen,
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

/// What was done to tell a program that does not read of a reset.
#[derive(Clone, Debug)]
enum Farewell {
    None,
    /// Our end may hold all that is left for the program, once this has come.
    Widened(Coming<()>),
    /// Our end takes nothing more.
    Deaf,
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

/// What the program has written since the last look.
enum Fresh {
    /// Nothing more: it has ended.
    End,
    /// So many bytes, in the buffer.
    Small(usize),
    /// They are in [`Bridge::up`].
    Bulk,
}

/// Whoever has a clone keeps a large buffer; the host has the first.
pub type Pin = Arc<()>;

/// A connection and our end of the program's socket.
pub struct Bridge {
    end: End,
    pub socket: Detached,
    /// The program has closed it, and waits.
    pub closer: Option<Closer>,
    /// From the program to the stack.
    up: Rope,
    up_way: Way,
    /// From the stack to the program.
    down: Run,
    down_way: Way,
    /// A byte that is not to be forwarded (any more) is the first in our end.
    retained: bool,
    /// That byte is still to come: the program has not accepted yet, or was interrupted before it had sent it.
    due: bool,
    /// The byte may be in a large buffer: one of [`PINS`].
    pin: Option<Pin>,
    /// Urgent bytes that were not taken, each way.
    urgent_up: Option<u8>,
    urgent_down: Option<u8>,
    /// The connection is broken; what is kept for the program is still delivered.
    broken: bool,
    farewell: Farewell,
    /// What the stack knows of the memory that is kept here, bytes.
    told: usize,
}

impl Bridge {
    /// Joins our end of a program's socket and a connection. The end has got, or will get, one byte that is not the
    /// connection's: the last of what stands before a connection's own data, or the word that the program accepts.
    pub fn new(end: End, socket: Detached) -> Self {
        Self {
            end,
            socket,
            closer: None,
            up: Rope::default(),
            up_way: Way::Open,
            down: Run::default(),
            down_way: Way::Open,
            retained: true,
            due: true,
            pin: None,
            urgent_up: None,
            urgent_down: None,
            broken: false,
            farewell: Farewell::None,
            told: 0,
        }
    }

    /// Tells the stack how much memory is kept here, which counts as the connection's.
    pub fn tell_memory(&mut self) {
        let kept = self.up.footprint() + self.down.footprint();
        if kept.abs_diff(self.told) >= WORTHY || (kept == 0 && self.told > 0) {
            self.told = kept;
            // A connection that is gone holds nothing.
            let _ = self.socket.with(|stack, id, now| {
                stack.note_outside(id, kept, now);
                Ok(())
            });
        }
    }

    /// The connection.
    pub fn socket(&self) -> &Detached {
        &self.socket
    }

    /// Our end of the pair whose other end is the program's.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// The same, to be told of events.
    pub fn end_mut(&mut self) -> &mut End {
        &mut self.end
    }

    /// Bytes that the program has written and the stack does not have yet.
    pub fn kept(&self) -> usize {
        let queued = unix::queued(self.end.as_fd()).unwrap_or(0);
        queued.saturating_sub(usize::from(self.retained)) + self.up.len()
    }

    /// Moves what there is to move. `buffer` is [`CHUNK`] bytes long; `pins` is the host's.
    pub fn turn(&mut self, buffer: &mut [u8], pins: &Pin) -> Verdict {
        let up = if self.broken { self.await_byte() } else { self.move_up(buffer, pins) };
        let down = match up {
            Moved::ProgramReset => Moved::Idle,
            Moved::PeerReset | Moved::Idle | Moved::More => self.move_down(),
        };
        self.broken |= matches!(up, Moved::PeerReset) || matches!(down, Moved::PeerReset);
        match (up, down) {
            (Moved::ProgramReset, _) | (_, Moved::ProgramReset) => {
                self.socket.reset_on_close();
                Verdict::Over
            }
            // What came before the reset is the program's.
            (_, Moved::More) => Verdict::More,
            _ if self.broken && (self.down.is_empty() && !self.due || self.end.is_closed()) => Verdict::Over,
            _ if self.broken && !self.due => self.tell_writers(buffer, pins),
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
        self.up_way == Way::Shut && (self.down_way == Way::Shut || self.end.is_closed())
    }

    /// The connection is broken: all that the program can still send is the byte that is due. The reset cannot be shown
    /// without it.
    fn await_byte(&mut self) -> Moved {
        if self.due {
            match unix::recv(self.end.as_fd(), &mut [0], libc::MSG_PEEK) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(1..) => self.due = false,
                // It has not accepted and never will.
                Ok(0) | Err(_) => return Moved::ProgramReset,
            }
        }
        Moved::PeerReset
    }

    /// The connection is broken, and the program leaves what came before unread. It may do so because it waits to
    /// write, and TCP would tell it at once. So all is to be put into the kernel's hands, after which our end is
    /// closed; what the kernel does not take waits here, and who writes is told by EPIPE meanwhile.
    fn tell_writers(&mut self, buffer: &mut [u8], pins: &Pin) -> Verdict {
        match &self.farewell {
            Farewell::None => Verdict::Widen,
            Farewell::Widened(done) if done.get().is_none() => Verdict::Idle,
            Farewell::Widened(_) => {
                self.farewell = Farewell::Deaf;
                // A program that is gone needs no telling.
                let _ = unix::shutdown_read(self.end.as_fd());
                // What it has written goes nowhere; but for the byte that shows the reset it only keeps OUT from
                // showing.
                while matches!(self.read_program(buffer, pins), Ok(Fresh::Small(_) | Fresh::Bulk)) {
                    self.up = Rope::default();
                }
                Verdict::Idle
            }
            Farewell::Deaf => Verdict::Idle,
        }
    }

    /// Makes our end hold all that is left for the program, and then calls `wake`: another turn is due.
    pub fn widen(&mut self, wake: impl FnOnce() + Send + 'static) {
        let unread = self.socket.with(|stack, id, _| stack.readable(id)).unwrap_or(0);
        let (done, bring) = Coming::new(wake);
        self.farewell = Farewell::Widened(done);
        // A limit that cannot be raised stays as it is.
        let _ = unix::set_send_buffer(self.end.as_fd(), CHUNK + self.down.len() + unread, || bring(()));
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
    fn move_up(&mut self, buffer: &mut [u8], pins: &Pin) -> Moved {
        for _ in 0..ROUNDS {
            if !self.up.is_empty() {
                match self.socket.with(|stack, id, now| stack.send_rope(id, &mut self.up, now)) {
                    Ok(_) => {}
                    Err(Error::WouldBlock) => return Moved::Idle,
                    Err(_) => return Moved::PeerReset,
                }
                continue;
            }
            if let Some(byte) = self.urgent_up {
                match send_urgent(&self.socket, byte) {
                    Ok(_) => self.urgent_up = None,
                    Err(Error::WouldBlock) => return Moved::Idle,
                    Err(_) => return Moved::PeerReset,
                }
            }
            match self.up_way {
                Way::Shut => return Moved::Idle,
                // Closed and not shut down: closing the stack's socket says so, with SO_LINGER's time.
                Way::Ended if self.end.is_closed() => {
                    self.up_way = Way::Shut;
                    return Moved::Idle;
                }
                Way::Ended => {
                    let shut = self.socket.with(|stack, id, now| stack.shutdown(id, Shutdown::Write, now));
                    self.up_way = Way::Shut;
                    return if shut.is_ok() { Moved::Idle } else { Moved::PeerReset };
                }
                Way::Open => {}
            }
            let fresh = match self.read_program(buffer, pins) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.end.take_urgent() => {
                    self.urgent_up = self.read_urgent();
                    continue;
                }
                Ok(Fresh::End) => {
                    self.up_way = Way::Ended;
                    continue;
                }
                Ok(Fresh::Small(n)) => &buffer[..n],
                Ok(Fresh::Bulk) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Moved::Idle,
                Err(_) => return Moved::ProgramReset,
            };
            match send_up(&self.socket, fresh) {
                Ok(n) => self.up.push(&fresh[n..]),
                Err(Error::WouldBlock) => self.up.push(fresh),
                Err(_) => return Moved::PeerReset,
            }
        }
        Moved::More
    }

    /// What the program has written since the last call.
    fn read_program(&mut self, buffer: &mut [u8], pins: &Pin) -> io::Result<Fresh> {
        let end = self.end.as_fd();
        let old = usize::from(self.retained);
        let queued = unix::recv(end, &mut buffer[..=SMALL], libc::MSG_PEEK)?;
        self.due &= queued == 0;
        if queued <= old {
            if self.end.is_ended() || queued == 0 {
                let failed = unix::take_error(end);
                return if failed == 0 { Ok(Fresh::End) } else { Err(io::Error::from_raw_os_error(failed)) };
            }
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if queued > SMALL || self.pin.is_some() {
            return self.read_bulk(pins).map(|()| Fresh::Bulk);
        }
        // All but the last byte, which stays; if fewer come, the next one does.
        let taken = match queued {
            1 => 0,
            _ => unix::recv(end, &mut buffer[SMALL + 1..SMALL + queued], 0)?,
        };
        self.retained = true;
        buffer.copy_within(old..=taken, 0);
        Ok(Fresh::Small(taken + 1 - old))
    }

    /// The program's urgent byte. Nothing before it is left but the retained byte, which would hide what is behind.
    fn read_urgent(&mut self) -> Option<u8> {
        let end = self.end.as_fd();
        let mut byte = [0];
        unix::recv(end, &mut byte, libc::MSG_OOB).ok().filter(|n| *n == 1)?;
        if std::mem::take(&mut self.retained) {
            let _taken = unix::recv(end, &mut [0], 0);
        }
        Some(byte[0])
    }

    /// Takes what is queued, but for its last byte if that may stay.
    fn read_bulk(&mut self, pins: &Pin) -> io::Result<()> {
        let end = self.end.as_fd();
        if self.pin.is_none() && Arc::strong_count(pins) <= PINS {
            self.pin = Some(Arc::clone(pins));
        }
        let queued = unix::queued(end)?.min(CHUNK);
        let old = usize::from(self.retained);
        if self.retained && queued <= SMALL {
            // What it was in goes with it, and all behind it is small.
            self.pin = None;
        }
        let leaves_last = self.pin.is_some() || queued <= SMALL;
        let most = queued.saturating_sub(usize::from(leaves_last));
        let n = match most.checked_sub(old) {
            None => 0,
            Some(fresh) => old + self.up.fill(fresh, |room| take(end, old, room))?,
        };
        self.retained = false;
        // Fewer are read where urgent data is.
        if leaves_last && n == most {
            let mut last = [0];
            self.retained = match unix::recv(end, &mut last, libc::MSG_PEEK) {
                // It is the urgent one, which is not among the others.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
                peeked => peeked? == 1,
            };
            self.up.push(&last[..usize::from(self.retained)]);
        }
        Ok(())
    }

    /// From the stack to the program.
    fn move_down(&mut self) -> Moved {
        for _ in 0..ROUNDS {
            if !self.down.is_empty() {
                match self.write_program() {
                    Ok(n) => _ = self.down.consume(n),
                    // What is kept for a program that does not read would hide the reset behind it.
                    Err(Moved::Idle) if !self.broken && self.is_reset() => return Moved::PeerReset,
                    Err(moved) => return moved,
                }
                continue;
            }
            if let Some(byte) = self.urgent_down {
                match unix::send(self.end.as_fd(), &[byte], libc::MSG_OOB) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Moved::Idle,
                    // If the program is gone its end will tell.
                    _ => self.urgent_down = None,
                }
            }
            match self.down_way {
                // A reset may follow the end of data.
                Way::Shut if self.is_reset() => return Moved::PeerReset,
                Way::Shut => return Moved::Idle,
                // What ended it is a reset: our end is closed in a moment.
                Way::Ended if self.broken => return Moved::PeerReset,
                Way::Ended => {
                    self.down_way = Way::Shut;
                    // The program may be gone already, which its end tells.
                    let _ = unix::shutdown_write(self.end.as_fd());
                    return Moved::Idle;
                }
                Way::Open => {}
            }
            let mut urgent = None;
            let received = self.socket.with(|stack, id, now| {
                // All that is before the urgent byte is with the program.
                if stack.is_at_mark(id)? {
                    let flags = RecvFlags { oob: true, ..RecvFlags::default() };
                    let mut byte = [0];
                    if stack.recv(id, &mut [IoSliceMut::new(&mut byte)], flags, now).is_ok_and(|got| got.len == 1) {
                        urgent = Some(byte[0]);
                        return Err(Error::WouldBlock);
                    }
                }
                stack.recv_run(id, CHUNK, now)
            });
            match received {
                Ok(run) if run.is_empty() => self.down_way = Way::Ended,
                Ok(run) => self.down = run,
                Err(Error::WouldBlock) if urgent.is_some() => self.urgent_down = urgent,
                Err(Error::WouldBlock) => return Moved::Idle,
                Err(_) => return Moved::PeerReset,
            }
        }
        Moved::More
    }

    fn is_reset(&self) -> bool {
        self.socket.with(|stack, id, _| Ok(stack.ready(id).intersects(Ready::ERR))).unwrap_or(true)
    }

    /// Gives what is kept for it to the program: how much it took, or how the turn ends.
    fn write_program(&self) -> Result<usize, Moved> {
        let (mut slices, mut count) = ([IoSlice::new(&[]); SLICES], 0);
        for (slice, bytes) in slices.iter_mut().zip(self.down.slices()) {
            *slice = IoSlice::new(bytes);
            count += 1;
        }
        match unix::send_slices(self.end.as_fd(), &slices[..count]) {
            Ok(n) => Ok(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Moved::Idle),
            // It reads no more but is still there (SHUT_RD): Linux takes the data and throws it away.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && !self.end.is_closed() => Ok(self.down.len()),
            Err(_) => Err(Moved::ProgramReset),
        }
    }
}

/// Receives behind `old` bytes (one or none) that are thrown away.
fn take(end: BorrowedFd<'_>, old: usize, room: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let mut thrown = [0];
    let mut slices = vec![IoSliceMut::new(&mut thrown[..old])];
    slices.extend(room.iter_mut().map(|part| IoSliceMut::new(part)));
    Ok(unix::recv_slices(end, &mut slices)?.saturating_sub(old))
}

fn send_urgent(socket: &Detached, byte: u8) -> Result<usize, Error> {
    let flags = SendFlags { oob: true, ..SendFlags::default() };
    socket.with(|stack, id, now| stack.send(id, &[IoSlice::new(&[byte])], &crate::stack::SendTo::default(), flags, now))
}

fn send_up(socket: &Detached, data: &[u8]) -> Result<usize, Error> {
    socket.with(|stack, id, now| {
        stack.send(id, &[IoSlice::new(data)], &crate::stack::SendTo::default(), SendFlags::default(), now)
    })
}
