//! A process beside this one, the steward, that keeps the rights this one gives up and runs the few errands that want
//! them. It does nothing of its own, and ends with this process.
//!
//! | errand | what it does | what keeps it small |
//! |---|---|---|
//! | hosts(5) | opens it for reading | no other file |
//! | the log's file | opens it for writing behind its end | the file that was named when the steward was made |
//! | a send buffer | raises it beyond net.core.wmem_max | for a socket that this process has |
//! | a folder | removes it, if it is empty | the folders that were named when the steward was made |
//! | a request | does what its own table says with a connection | it is another process's, which says what it wants |

use super::{
    threads, transfer,
    unix::{self, Peer},
};
use parking_lot::Mutex;
use sockeye_shim::kernel;
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

/// hosts(5).
const HOSTS: &str = "/etc/hosts";
/// How long an errand may take. Who cannot have it goes on without.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest message: number, errand, and what belongs to it.
const MESSAGE: usize = 64;

/// What a steward is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Errand {
    Hosts = 1,
    Log = 2,
    Buffer = 3,
    Request = 4,
    Folder = 5,
}

/// What the steward is made to do.
pub struct Duties {
    /// Where lines of the log go.
    pub log: Option<PathBuf>,
    /// Which folders it removes when it is asked to ([`remove_folder`]).
    pub folders: Vec<PathBuf>,
    /// What it does with a connection and the bytes that came with it ([`pass_on`]), once it has seen who is at its
    /// other end: a process of its own user or root's, and not the one it serves.
    pub request: fn(OwnedFd, &[u8]),
}

/// The way to the steward.
struct Channel {
    end: OwnedFd,
    /// The last errand's number: an answer that comes too late is not the next one's.
    last: Mutex<u32>,
    log: Mutex<Option<File>>,
    folders: Vec<PathBuf>,
}

static STEWARD: OnceLock<Channel> = OnceLock::new();

/// Makes the steward. To be called by the only thread of a process, once.
///
/// # Errors
/// The process has more threads or a steward already; those of socketpair(2) and clone(2).
pub fn appoint(duties: Duties) -> io::Result<()> {
    if !threads::is_alone() || STEWARD.get().is_some() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let [ours, theirs] = pair()?;
    // SAFETY: no pointers; it cannot fail.
    let own = unsafe { libc::getpid() };
    // SAFETY: as fork(2): a copy of this process goes on from here, on a copy of this stack. Its end is told by no
    // signal.
    match unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } {
        0 => {
            let channel = settle(&theirs);
            serve(channel, own, &duties);
            // SAFETY: ends the process at once: nothing of the other's is to run here at exit.
            unsafe { libc::_exit(0) }
        }
        -1 => Err(io::Error::last_os_error()),
        _ => {
            let channel = Channel { end: ours, last: Mutex::new(0), log: Mutex::new(None), folders: duties.folders };
            STEWARD.set(channel).map_err(|_| io::ErrorKind::Unsupported.into())
        }
    }
}

fn pair() -> io::Result<[OwnedFd; 2]> {
    let (mut ends, kind) = ([0; 2], libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC);
    // SAFETY: room for two descriptors.
    match unsafe { libc::syscall(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } {
        0 => {
            // SAFETY: the kernel has just made them, for us alone.
            let [ours, theirs] = ends.map(|end: RawFd| unsafe { OwnedFd::from_raw_fd(end) });
            let ours = UnixDatagram::from(ours);
            ours.set_nonblocking(true)?;
            Ok([ours.into(), theirs])
        }
        _ => Err(io::Error::last_os_error()),
    }
}

/// The new process takes its name, and lets go of everything but the channel, which it gives back.
fn settle(channel: &OwnedFd) -> BorrowedFd<'_> {
    let fd = channel.as_raw_fd();
    // SAFETY: a string, and numbers. What is closed belongs to frames of the other process's, which this one never
    // returns to.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"sockeye-steward".as_ptr());
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::syscall(libc::SYS_close_range, 3, fd - 1, 0);
        libc::syscall(libc::SYS_close_range, fd + 1, u32::MAX, 0);
    }
    channel.as_fd()
}

/// Runs errands until the other process has ended.
fn serve(channel: BorrowedFd<'_>, served: i32, duties: &Duties) {
    let mut bytes = [0; MESSAGE];
    loop {
        let (len, given) = match unix::recv_with_descriptors(channel, &mut bytes, 0) {
            Ok((0, _)) => return,
            Ok((len, [given, _])) => (len, given),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        let Some((number, [errand, rest @ ..])) = bytes[..len].split_first_chunk::<4>() else { continue };
        let done = match (*errand, given) {
            (errand, _) if errand == Errand::Hosts as u8 => File::open(HOSTS).map(Some),
            (errand, _) if errand == Errand::Log as u8 => duties.log.as_deref().map(append).transpose(),
            (errand, Some(socket)) if errand == Errand::Buffer as u8 => widen(&socket, rest).map(|()| None),
            (errand, _) if errand == Errand::Folder as u8 => remove(rest, &duties.folders).map(|()| None),
            (errand, Some(asker)) if errand == Errand::Request as u8 => {
                if is_trusted(unix::peer(asker.as_fd()), served) {
                    (duties.request)(asker, rest);
                }
                continue;
            }
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        let (errno, file) = match done {
            Ok(file) => (0, file),
            Err(error) => (error.raw_os_error().unwrap_or(libc::EIO), None),
        };
        let answer = [*number, errno.to_ne_bytes()].concat();
        // A process that has ended needs no answer.
        let _ = kernel::lend(channel.as_raw_fd(), &answer, file.as_ref().map(AsRawFd::as_raw_fd).as_slice());
    }
}

/// Whether a connection's other end is held by whom the steward acts for, and not by the process it serves: what that
/// one cannot do itself it must not have done in another's name.
fn is_trusted(peer: Option<Peer>, served: i32) -> bool {
    peer.is_some_and(|peer| peer.pid != served && peer.is_trusted())
}

fn widen(socket: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
    let bytes = bytes.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    let bytes = usize::try_from(u64::from_ne_bytes(bytes)).map_err(|_| io::ErrorKind::InvalidInput)?;
    unix::force_send_buffer(socket.as_fd(), bytes)
}

/// Removes the folder of this number.
fn remove(number: &[u8], folders: &[PathBuf]) -> io::Result<()> {
    let folder = number.first().and_then(|number| folders.get(usize::from(*number)));
    fs::remove_dir(folder.ok_or(io::ErrorKind::InvalidInput)?)
}

/// Opens the file that lines of the log go to: behind its end, made if there is none.
///
/// # Errors
/// Those of open(2). A FIFO without a reader is refused, and one with a reader that is slow holds nobody up.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o644).custom_flags(libc::O_NONBLOCK).open(path)
}

impl Channel {
    /// Has an errand run, and returns what it brought.
    fn send(&self, errand: Errand, more: &[u8], given: Option<BorrowedFd<'_>>) -> io::Result<Option<OwnedFd>> {
        let mut last = self.last.lock();
        *last = last.wrapping_add(1);
        let number = last.to_ne_bytes();
        let message = [&number[..], &[errand as u8], more].concat();
        kernel::lend(self.end.as_raw_fd(), &message, given.map(|fd| fd.as_raw_fd()).as_slice())
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        if errand == Errand::Request {
            return Ok(None);
        }
        let mut bytes = [0; MESSAGE];
        loop {
            if !super::readiness::wait_readable(self.end.as_fd(), PATIENCE) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let (len, [brought, _]) = unix::recv_lent(self.end.as_fd(), &mut bytes)?;
            let Some((numbered, errno)) = bytes[..len].split_first_chunk::<4>() else {
                return Err(io::ErrorKind::BrokenPipe.into());
            };
            if *numbered != number {
                continue;
            }
            return match errno.try_into().map(i32::from_ne_bytes) {
                Ok(0) => Ok(brought),
                Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
                Err(_) => Err(io::ErrorKind::InvalidData.into()),
            };
        }
    }

    /// The same for an errand that brings a file.
    fn fetch(&self, errand: Errand) -> io::Result<File> {
        self.send(errand, &[], None)?.map(File::from).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The text of hosts(5); empty without one.
pub fn hosts() -> String {
    match STEWARD.get() {
        Some(steward) => steward.fetch(Errand::Hosts).and_then(io::read_to_string).unwrap_or_default(),
        None => fs::read_to_string(HOSTS).unwrap_or_default(),
    }
}

/// Writes a line to the log's file. It is opened for each: it may have been renamed meanwhile (logrotate(8)), and the
/// number of a descriptor that stays may come to be another file's in a program that closes what it does not know. A
/// process with a steward closes nothing that is not its own, and asks for a new one where the path is another's.
///
/// # Errors
/// Those of open(2) and write(2).
pub fn write_line(path: &Path, line: &[u8]) -> io::Result<()> {
    let write = |file: &File| transfer::write(file.as_fd(), line).map(drop);
    let Some(steward) = STEWARD.get() else { return write(&append(path)?) };
    let mut present = steward.log.lock();
    let is_there = |file: &File| {
        let (ours, named) = (file.metadata().ok()?, fs::metadata(path).ok()?);
        Some((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
    };
    if let Some(file) = present.as_ref().filter(|file| is_there(file) == Some(true)) {
        return write(file);
    }
    write(present.insert(steward.fetch(Errand::Log)?))
}

/// Removes an empty folder.
///
/// # Errors
/// Those of rmdir(2); the steward was not told of this folder.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    let Err(error) = fs::remove_dir(folder) else { return Ok(()) };
    let Some(steward) = STEWARD.get() else { return Err(error) };
    match steward.folders.iter().position(|known| known == folder).and_then(|number| u8::try_from(number).ok()) {
        Some(number) if refused(&error) => steward.send(Errand::Folder, &[number], None).map(drop),
        _ => Err(error),
    }
}

/// Raises a socket's send buffer beyond what this process may.
///
/// # Errors
/// There is no steward, or it must not either.
pub fn widen_send_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let steward = STEWARD.get().ok_or(io::ErrorKind::Unsupported)?;
    steward.send(Errand::Buffer, &(bytes as u64).to_ne_bytes(), Some(socket)).map(drop)
}

/// Gives the steward a connection, to read from it what its other end wants, and to answer. It sees `more` too.
///
/// # Errors
/// There is no steward.
pub fn pass_on(asker: BorrowedFd<'_>, more: &[u8]) -> io::Result<()> {
    let steward = STEWARD.get().ok_or(io::ErrorKind::Unsupported)?;
    steward.send(Errand::Request, more, Some(asker)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_speaks_for_another() {
        let peer = |pid, uid| Some(Peer { pid, uid });
        assert!(is_trusted(peer(7, unix::own_uid()), 8) && is_trusted(peer(7, 0), 8));
        assert!(!is_trusted(peer(8, 0), 8), "the one that is served");
        assert!(!is_trusted(peer(7, 12_345), 8) && !is_trusted(None, 8));
    }

    #[test]
    fn without_one_what_wants_no_rights_is_done_here() {
        assert!(hosts().contains("localhost"));
        assert_eq!(
            appoint(Duties { log: None, folders: Vec::new(), request: |_, _| {} }).unwrap_err().kind(),
            io::ErrorKind::Unsupported
        );
    }
}
