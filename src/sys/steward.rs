//! A process beside this one, the steward, that keeps the rights this one gives up and runs the few errands that want
//! them. It ends with this process, and sees then to what that and its heir have left undone.
//!
//! It may be slow, or stopped: what it brings is waited for on a thread of its own ([`Channel::post`]), and by who ends
//! anyway.
//!
//! | errand | what it does | what keeps it small |
//! |---|---|---|
//! | hosts(5) | opens it for reading | no other file |
//! | the log's file | opens it for writing behind its end | the file that was named when the steward was made |
//! | a send buffer | raises it beyond net.core.wmem_max | for a socket that this process has |
//! | a folder | removes it, if it is empty | the folders that were named when the steward was made |
//! | a request | does what its own table says with a connection | it is another process's, which says what it wants |

use super::{
    readiness,
    signals::Blocked,
    threads, transfer,
    unix::{self, Peer},
};
use parking_lot::Mutex;
use sockeye_shim::kernel;
use std::{
    fs::{self, File, OpenOptions},
    io, mem,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{
            fs::{MetadataExt, OpenOptionsExt},
            net::UnixDatagram,
        },
    },
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

/// hosts(5).
const HOSTS: &str = "/etc/hosts";
/// How long an errand may take. Who cannot have it goes on without; and so does whoever wants one after it, at once,
/// until there is an answer again.
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
    /// What is to be done when the other process and its heir have ended.
    pub last: Box<dyn FnOnce()>,
}

/// What an errand has brought: a file, or why there is none.
type Brought = io::Result<Option<OwnedFd>>;
/// What is done with it.
type Then = Box<dyn FnOnce(Brought) + Send>;
/// An answer that came before its errand was waited for, and which errand's it is.
type Early = Option<(u32, Brought)>;

/// The way to the steward.
struct Channel {
    end: OwnedFd,
    posted: Mutex<Posted>,
    log: Mutex<Log>,
    folders: Vec<PathBuf>,
}

/// What the steward was asked for.
#[derive(Default)]
struct Posted {
    /// The last errand's number: an answer that comes too late is not the next one's.
    last: u32,
    /// The thread that waits for answers, in the order of the errands; nothing in it where none could be started.
    thread: Option<Option<Sender<(u32, Then)>>>,
}

/// The log's file, and lines that wait for it.
#[derive(Default)]
struct Log {
    file: Option<File>,
    waiting: Vec<Line>,
}

/// A line, and what is done if it cannot be written.
struct Line {
    bytes: Vec<u8>,
    otherwise: Box<dyn FnOnce() + Send>,
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
            (duties.last)();
            // SAFETY: ends the process at once: nothing of the other's is to run here at exit.
            unsafe { libc::_exit(0) }
        }
        -1 => Err(io::Error::last_os_error()),
        _ => {
            let folders = duties.folders;
            let channel = Channel { end: ours, posted: Mutex::default(), log: Mutex::default(), folders };
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
    // SAFETY: strings, and numbers. What is closed belongs to frames of the other process's, which this one never
    // returns to.
    unsafe {
        libc::prctl(libc::PR_SET_NAME, c"sockeye-steward".as_ptr());
        // No folder is in use because of it.
        libc::chdir(c"/".as_ptr());
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
            // What came with it is lost: it is not answered.
            Err(error) if error.raw_os_error() == Some(libc::EMFILE) => continue,
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

/// Opens the file that lines of the log go to: behind its end, made if there is none, and then its owner's alone, since
/// it tells who speaks with whom.
///
/// # Errors
/// Those of open(2). A FIFO without a reader is refused, and one with a reader that is slow holds nobody up.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(libc::O_NONBLOCK).open(path)
}

impl Channel {
    /// Sends an errand, and returns its number.
    fn send(&self, posted: &mut Posted, errand: Errand, more: &[u8], given: Option<BorrowedFd<'_>>) -> io::Result<u32> {
        posted.last = posted.last.wrapping_add(1);
        let message = [&posted.last.to_ne_bytes()[..], &[errand as u8], more].concat();
        kernel::lend(self.end.as_raw_fd(), &message, given.map(|fd| fd.as_raw_fd()).as_slice())
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        Ok(posted.last)
    }

    /// Has an errand run, and does something with what it brings on another thread. Where that cannot be `then` is told
    /// here.
    fn post(&'static self, errand: Errand, more: &[u8], given: Option<BorrowedFd<'_>>, then: Then) {
        let mut posted = self.posted.lock();
        let thread = posted.thread.get_or_insert_with(|| self.start()).clone();
        let sent = self.send(&mut posted, errand, more, given);
        match (thread, sent) {
            // The thread never ends. It is told in the order of the numbers.
            (Some(thread), Ok(number)) => _ = thread.send((number, then)),
            (_, sent) => {
                drop(posted);
                then(Err(sent.err().unwrap_or_else(|| io::ErrorKind::Unsupported.into())));
            }
        }
    }

    /// Starts the thread that waits for answers.
    fn start(&'static self) -> Option<Sender<(u32, Then)>> {
        let (sender, receiver) = mpsc::channel::<(u32, Then)>();
        let thread = thread::Builder::new().name("sockeye-errands".to_owned()).stack_size(64 * 1024);
        // Signals are the program's own threads' affair.
        let blocked = Blocked::all();
        let started = thread.spawn(move || {
            let (mut patience, mut early) = (PATIENCE, None);
            for (number, then) in receiver {
                let brought = self.answer_to(number, patience, &mut early);
                let is_silent = brought.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut);
                patience = if is_silent { Duration::ZERO } else { PATIENCE };
                then(brought);
            }
        });
        blocked.restore();
        started.ok().map(|_| sender)
    }

    /// Waits for the answer to an errand. One that has come before belongs to a later errand: the steward skips those
    /// whose descriptors it could not take.
    fn answer_to(&self, number: u32, patience: Duration, early: &mut Early) -> Brought {
        loop {
            let (numbered, brought) = match early.take() {
                Some(answer) => answer,
                None if readiness::wait_readable(self.end.as_fd(), patience) => self.receive()?,
                None => return Err(io::ErrorKind::TimedOut.into()),
            };
            match numbered.wrapping_sub(number).cast_signed() {
                0 => return brought,
                // Nobody waits for it any more.
                ..0 => {}
                1.. => {
                    *early = Some((numbered, brought));
                    return Err(io::ErrorKind::NotFound.into());
                }
            }
        }
    }

    /// An answer, and which errand's it is.
    fn receive(&self) -> io::Result<(u32, Brought)> {
        let mut bytes = [0; MESSAGE];
        let (len, [brought, _]) = unix::recv_lent(self.end.as_fd(), &mut bytes)?;
        let Some((number, errno)) = bytes[..len].split_first_chunk::<4>() else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let brought = match errno.try_into().map(i32::from_ne_bytes) {
            Ok(0) => Ok(brought),
            Ok(errno) => Err(io::Error::from_raw_os_error(errno)),
            Err(_) => Err(io::ErrorKind::InvalidData.into()),
        };
        Ok((u32::from_ne_bytes(*number), brought))
    }

    /// Writes the lines that wait to the file that has come.
    fn write_waiting(&self, brought: Brought) {
        let mut log = self.log.lock();
        log.file = brought.ok().flatten().map(File::from);
        let mut failed = Vec::new();
        for Line { bytes, otherwise } in mem::take(&mut log.waiting) {
            let write = |file: &File| transfer::write(file.as_fd(), &bytes).is_ok();
            if !log.file.as_ref().is_some_and(write) {
                failed.push(otherwise);
            }
        }
        drop(log);
        failed.into_iter().for_each(|otherwise| otherwise());
    }
}

/// Reads hosts(5), and hands its text on: on another thread where a steward reads it. It is empty without one.
pub fn hosts(then: impl FnOnce(String) + Send + 'static) {
    match STEWARD.get() {
        Some(steward) => {
            let then = |brought: Brought| {
                let file = brought.ok().flatten().map(File::from);
                then(file.and_then(|file| io::read_to_string(file).ok()).unwrap_or_default());
            };
            steward.post(Errand::Hosts, &[], None, Box::new(then));
        }
        None => then(fs::read_to_string(HOSTS).unwrap_or_default()),
    }
}

/// Writes a line to the log's file, or does something else if that cannot be. The file is opened for each line: it may
/// have been renamed meanwhile (logrotate(8)), and the number of a descriptor that stays may come to be another file's
/// in a program that closes what it does not know. A process with a steward closes nothing that is not its own, and
/// asks for a new one where the path is another's; the line is written when it has come.
pub fn write_line(path: &Path, line: &[u8], otherwise: impl FnOnce() + Send + 'static) {
    let write = |file: &File| transfer::write(file.as_fd(), line).map(drop);
    let Some(steward) = STEWARD.get() else {
        return append(path).and_then(|file| write(&file)).unwrap_or_else(|_| otherwise());
    };
    let mut log = steward.log.lock();
    let is_there = |file: &File| {
        let (ours, named) = (file.metadata().ok()?, fs::metadata(path).ok()?);
        Some((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
    };
    let is_asked_for = !log.waiting.is_empty();
    if let Some(file) = log.file.as_ref().filter(|file| !is_asked_for && is_there(file) == Some(true)) {
        let written = write(file);
        drop(log);
        return written.unwrap_or_else(|_| otherwise());
    }
    log.waiting.push(Line { bytes: line.to_owned(), otherwise: Box::new(otherwise) });
    drop(log);
    if !is_asked_for {
        steward.post(Errand::Log, &[], None, Box::new(move |brought| steward.write_waiting(brought)));
    }
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
        Some(number) if refused(&error) => {
            let (told, hears) = mpsc::channel();
            let then = move |done: Brought| _ = told.send(done.map(drop));
            steward.post(Errand::Folder, &[number], None, Box::new(then));
            // The thread may wait for an earlier one as long.
            hears.recv_timeout(2 * PATIENCE).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        }
        _ => Err(error),
    }
}

/// Has a socket's send buffer raised beyond what this process may, and calls `then` when that is done or cannot be: on
/// another thread, if there is a steward.
pub fn widen_send_buffer(socket: BorrowedFd<'_>, bytes: usize, then: impl FnOnce() + Send + 'static) {
    match STEWARD.get() {
        Some(steward) => {
            steward.post(Errand::Buffer, &(bytes as u64).to_ne_bytes(), Some(socket), Box::new(|_| then()));
        }
        None => then(),
    }
}

/// Gives the steward a connection, to read from it what its other end wants, and to answer. It sees `more` too.
///
/// # Errors
/// There is no steward.
pub fn pass_on(asker: BorrowedFd<'_>, more: &[u8]) -> io::Result<()> {
    let steward = STEWARD.get().ok_or(io::ErrorKind::Unsupported)?;
    steward.send(&mut steward.posted.lock(), Errand::Request, more, Some(asker)).map(drop)
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
        hosts(|text| assert!(text.contains("localhost")));
        let duties = Duties { log: None, folders: Vec::new(), request: |_, _| {}, last: Box::new(|| {}) };
        assert_eq!(appoint(duties).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
