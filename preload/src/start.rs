//! Starting the host: the first call of a program whose stack has none.

use crate::settings::{NOBODY, Settings, each, environ, network, say, settings, token, value_of};
use core::ffi::{CStr, c_char, c_long};
use sockeye_shim::{
    Errno, Result, fence,
    format::{FILLERS, MEANT},
    host::Host,
    kernel::{self, call, int},
};

const DOWN: Errno = Errno(libc::ENETDOWN);

/// How long a host may take to be there, in steps of 10 ms.
const PATIENCE: usize = 1000;

/// A path, with its NUL.
struct Path {
    bytes: [u8; 1024],
    len: usize,
}

/// Starts a host for this program's stack and waits until it is there. Of several that start at once one stays: the
/// name it binds is the lock.
///
/// # Errors
///
/// ENETDOWN, after one line that says why.
pub fn start() -> Result<()> {
    let settings = settings().ok_or(DOWN)?;
    if settings.net.as_bytes().is_empty() {
        say(b"the stack that SOCKEYE_STACK names has no host, and SOCKEYE_NET does not say how to start one");
        return Err(DOWN);
    }
    // What is behind the fence has it started from outside.
    let program = match fence::is_raised() {
        true => None,
        false => Some(program(settings).ok_or_else(|| {
            say(match settings.host.as_bytes() {
                b"" => {
                    b"the program sockeye, which holds the stack, is not beside the preload library; SOCKEYE_HOST may name it"
                }
                _ => b"SOCKEYE_HOST: names no program that can be executed; correct it, or unset it",
            });
            DOWN
        })?),
    };
    let mut ends = [0i32; 2];
    raw(libc::SYS_pipe2, [ends.as_mut_ptr() as usize, libc::O_CLOEXEC as usize, 0])?;
    let Some(program) = program else {
        if let Err(errno) = start_outside(settings, ends[1]) {
            close_both(ends);
            return Err(errno);
        }
        return come_up(settings, ends);
    };
    // No exit signal: the program's own wait() never sees this child.
    match raw(libc::SYS_clone, [0; 3]) {
        Ok(0) => become_host(settings, &program, ends[1]),
        Ok(_) => {}
        Err(_) => {
            close_both(ends);
            say(b"the host cannot be started: no process can be made");
            return Err(DOWN);
        }
    }
    come_up(settings, ends)
}

/// Waits for the host whose stderr is the second end of a pipe, and closes both ends.
fn come_up(settings: &Settings, ends: [i32; 2]) -> Result<()> {
    let _ = raw(libc::SYS_close, [int(ends[1]), 0, 0]);
    let there = await_host(settings, ends[0]);
    let _ = raw(libc::SYS_close, [int(ends[0]), 0, 0]);
    there
}

/// Has the host that holds this process's tree start the one that is wanted: what is born behind the fence stays there.
///
/// # Errors
///
/// ENETDOWN, after one line that says why.
fn start_outside(settings: &Settings, words: i32) -> Result<()> {
    let outer = settings.fence.as_bytes();
    if outer.is_empty() || outer == settings.stack.as_bytes() {
        say(b"the stack's host is gone or in another network namespace, and this program cannot start another; \
              start it again from outside");
        return Err(DOWN);
    }
    let (mut meant, mut len) = ([0u8; MEANT], 0);
    let room = meant.len();
    // SAFETY: the kernel writes at most `room` bytes.
    let folder = unsafe { call(libc::SYS_getcwd, [meant.as_mut_ptr() as usize, room, 0, 0, 0, 0]) };
    // With its NUL.
    len += folder.map_err(|_| DOWN)?;
    let mut push = |pieces: &[&[u8]]| {
        for piece in pieces {
            let Some(room) = meant.get_mut(len..len + piece.len()) else { return false };
            room.copy_from_slice(piece);
            len += piece.len();
        }
        true
    };
    let mut fits = push(&[settings.net.as_bytes(), b"\0", settings.stack.as_bytes(), b"\0"]);
    for (name, value) in FILLERS.iter().zip(&settings.fillers).filter(|(_, value)| !value.as_bytes().is_empty()) {
        fits &= push(&[name.as_bytes(), b"=", value.as_bytes(), b"\0"]);
    }
    let host = Host { stack: outer, token: token().unwrap_or_default(), network: network(), ..NOBODY };
    let started = if fits { host.start_another(&meant[..len], words) } else { Err(Errno(libc::ENAMETOOLONG)) };
    started.map_err(|_| {
        say(b"the host that holds this program's tree does not start another; start that stack from outside");
        DOWN
    })
}

fn raw(number: c_long, [a, b, c]: [usize; 3]) -> Result<usize> {
    // SAFETY: the calls made here have at most three arguments, whose pointers are to live locals.
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

fn close_both(ends: [i32; 2]) {
    for end in ends {
        let _ = raw(libc::SYS_close, [int(end), 0, 0]);
    }
}

/// Waits for the host's name, while what the host says on its stderr comes through the pipe.
fn await_host(settings: &Settings, pipe: i32) -> Result<()> {
    let token = token().unwrap_or_default();
    let host = Host { stack: settings.stack.as_bytes(), token, network: network(), ..NOBODY };
    let (mut said, mut len, mut open) = ([0u8; 512], 0, true);
    for _ in 0..PATIENCE {
        if host.is_there() {
            return Ok(());
        }
        if !open && len > 0 {
            break;
        }
        let mut set = libc::pollfd { fd: if open { pipe } else { -1 }, events: libc::POLLIN, revents: 0 };
        let limit = [0u64, 10_000_000];
        let (at, limit) = ((&raw mut set) as usize, limit.as_ptr() as usize);
        if raw(libc::SYS_ppoll, [at, 1, limit]) == Ok(1) {
            let room = &mut said[len..];
            let (at, room) = (room.as_mut_ptr() as usize, room.len());
            match raw(libc::SYS_read, [int(pipe), at, room]) {
                Ok(0) | Err(_) => open = false,
                Ok(more) => len += more,
            }
        }
    }
    let line = said[..len].split(|&c| c == b'\n').next().unwrap_or_default();
    let line = line.strip_prefix(b"sockeye: ").unwrap_or(line);
    say(if line.is_empty() { b"the stack's host does not come up" } else { line });
    Err(DOWN)
}

/// Where the host's program is: named, or beside the real file of this library, or in the bin beside its folder.
fn program(settings: &Settings) -> Option<Path> {
    let named = settings.host.as_bytes();
    if !named.is_empty() {
        return Path::of(&[named]).filter(Path::is_executable);
    }
    // SAFETY: an empty Dl_info is one to be filled, and the address is this function's own.
    let file = unsafe {
        let mut info: libc::Dl_info = core::mem::zeroed();
        if libc::dladdr(start as *const () as *const _, &raw mut info) == 0 || info.dli_fname.is_null() {
            return None;
        }
        CStr::from_ptr(info.dli_fname)
    };
    let file = real(file)?;
    let folder = &file.bytes[..file.bytes[..file.len].iter().rposition(|&c| c == b'/')?];
    let beside = [&b"/sockeye"[..], b"/../bin/sockeye"];
    beside.into_iter().filter_map(|end| Path::of(&[folder, end])).find(Path::is_executable)
}

/// A file's path without symbolic links.
fn real(file: &CStr) -> Option<Path> {
    let flags = (libc::O_PATH | libc::O_CLOEXEC) as usize;
    let fd = raw(libc::SYS_openat, [int(libc::AT_FDCWD), file.as_ptr() as usize, flags]).ok()?;
    let (mut digits, mut at, mut number) = ([0u8; 10], 10, fd);
    while at == 10 || number > 0 {
        at -= 1;
        digits[at] = b"0123456789"[number % 10];
        number /= 10;
    }
    let link = Path::of(&[b"/proc/self/fd/", &digits[at..]])?;
    let mut path = Path { bytes: [0; 1024], len: 0 };
    let room = path.bytes.len() - 1;
    // SAFETY: a string with its NUL, and room for the answer.
    let read = unsafe {
        let (link, to) = (link.bytes.as_ptr() as usize, path.bytes.as_mut_ptr() as usize);
        call(libc::SYS_readlinkat, [int(libc::AT_FDCWD), link, to, room, 0, 0])
    };
    let _ = raw(libc::SYS_close, [fd, 0, 0]);
    path.len = read.ok()?;
    Some(path)
}

impl Path {
    fn of(pieces: &[&[u8]]) -> Option<Self> {
        let mut path = Self { bytes: [0; 1024], len: 0 };
        for piece in pieces {
            path.bytes.get_mut(path.len..path.len + piece.len())?.copy_from_slice(piece);
            path.len += piece.len();
        }
        if path.len < path.bytes.len() { Some(path) } else { None }
    }

    fn is_executable(&self) -> bool {
        let at = self.bytes.as_ptr() as usize;
        raw(libc::SYS_faccessat, [int(libc::AT_FDCWD), at, libc::X_OK as usize]).is_ok()
    }
}

/// Whether a descriptor is a terminal or a file: whoever reads a pipe waits for its end.
fn lasts(fd: i32) -> bool {
    let kind = kernel::status(fd).map_or(0, |status| status.mode & libc::S_IFMT);
    kind == libc::S_IFREG || kind == libc::S_IFCHR
}

/// In the child: a session of its own, nothing of the program's but its user, folder and environment.
fn become_host(settings: &Settings, program: &Path, pipe: i32) -> ! {
    let _ = raw(libc::SYS_setsid, [0; 3]);
    let nothing = [0u64; 4];
    for signal in 1..=64usize {
        // SAFETY: the kernel's sigaction of zeros is SIG_DFL; the mask has 8 bytes.
        let _ = unsafe { call(libc::SYS_rt_sigaction, [signal, nothing.as_ptr() as usize, 0, 8, 0, 0]) };
    }
    let mask = [libc::SIG_SETMASK as usize, nothing.as_ptr() as usize, 0, 8, 0, 0];
    // SAFETY: an empty mask of 8 bytes.
    let _ = unsafe { call(libc::SYS_rt_sigprocmask, mask) };
    let _ = raw(libc::SYS_umask, [0o022, 0, 0]);
    let _ = raw(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, 0, 0]);
    let everywhere = [u64::MAX; 16];
    let _ = raw(libc::SYS_sched_setaffinity, [0, 128, everywhere.as_ptr() as usize]);
    // Out of the way of 0, 1 and 2, which the program may have had closed.
    let pipe = raw(libc::SYS_fcntl, [int(pipe), libc::F_DUPFD as usize, 10]).unwrap_or(int(pipe));
    let (null, flags) = (c"/dev/null".as_ptr() as usize, libc::O_RDWR as usize);
    let null = raw(libc::SYS_openat, [int(libc::AT_FDCWD), null, flags]).unwrap_or(0);
    // The host has its say there once nobody reads the pipe any more.
    let lasting = if lasts(2) { 2 } else { null };
    for (from, to) in [(null, 0), (lasting, 1), (pipe, 2)] {
        if from != to {
            let _ = raw(libc::SYS_dup3, [from, to, 0]);
        }
    }
    let _ = raw(libc::SYS_close_range, [3, u32::MAX as usize, 0]);
    let text = |bytes: &[u8]| bytes.as_ptr().cast::<c_char>();
    let arguments = [
        text(&program.bytes),
        c"host".as_ptr(),
        c"--quiet".as_ptr(),
        c"--net".as_ptr(),
        text(settings.net.as_bytes()),
        c"--stack".as_ptr(),
        text(settings.stack.as_bytes()),
        core::ptr::null(),
    ];
    let mut variables = [core::ptr::null(); 1024];
    let mut count = 0;
    let keep = |variable: &CStr| {
        if value_of(variable.to_bytes(), b"LD_PRELOAD").is_none() && count < variables.len() - 1 {
            variables[count] = variable.as_ptr();
            count += 1;
        }
    };
    // SAFETY: the process's own environment.
    unsafe { each(environ, keep) };
    let (program, arguments) = (program.bytes.as_ptr() as usize, arguments.as_ptr() as usize);
    let _ = raw(libc::SYS_execve, [program, arguments, variables.as_ptr() as usize]);
    let line = b"the host's program cannot be executed\n";
    let _ = raw(libc::SYS_write, [2, line.as_ptr() as usize, line.len()]);
    loop {
        let _ = raw(libc::SYS_exit_group, [127, 0, 0]);
    }
}
