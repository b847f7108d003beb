//! Finding the program that is to be run, and whether it can be run on a stack.

use sockeye_shim::judge::{self, By, Refusal};
use std::{
    env,
    ffi::{OsStr, OsString},
    fmt,
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::{ffi::OsStrExt, fs::MetadataExt},
    },
    path::{Path, PathBuf},
};

/// How deep the kernel follows `#!` lines.
const DEPTH: usize = 5;
/// How much of a `#!` line it reads.
const LINE: u64 = 256;

/// Why a program is not run.
#[derive(Debug)]
pub enum Trouble {
    /// There is no such file.
    NotFound(PathBuf),
    /// The file is no program, or not for this user.
    NotExecutable(PathBuf, io::Error),
    /// The preload library would not come into it.
    Refused(PathBuf, Refusal),
}

impl Trouble {
    /// What `sockeye run` ends with, as env(1) and nohup(1) do.
    pub fn exit_code(&self) -> u8 {
        match self {
            Trouble::NotFound(_) => 127,
            Trouble::NotExecutable(..) => 126,
            Trouble::Refused(..) => 125,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotFound(path) => write!(f, "{}: there is no such program", path.display()),
            Trouble::NotExecutable(path, error) => write!(f, "{}: {error}", path.display()),
            Trouble::Refused(path, refusal) => write!(f, "{}: {}", path.display(), refusal.text()),
        }
    }
}

/// The file that execvp(3) would run.
pub fn find(name: &Path) -> Result<PathBuf, Trouble> {
    if name.as_os_str().as_bytes().contains(&b'/') {
        return Ok(name.to_owned());
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut forbidden = None;
    for file in env::split_paths(&path).map(|folder| folder.join(name)) {
        match fs::metadata(&file) {
            Ok(found) if found.is_file() && found.mode() & 0o111 != 0 => return Ok(file),
            Ok(_) => forbidden = forbidden.or(Some(file)),
            Err(_) => {}
        }
    }
    Err(match forbidden {
        Some(file) => Trouble::NotExecutable(file, io::ErrorKind::PermissionDenied.into()),
        None => Trouble::NotFound(name.to_owned()),
    })
}

/// Judges a program; a script by its interpreter, as the kernel will run that, and the loader by what it is told to
/// run. With `no_new_rights` no program gets other rights than ours.
pub fn check(path: &Path, words: &[OsString], no_new_rights: bool) -> Result<(), Trouble> {
    let mut path = path.to_owned();
    for _ in 0..DEPTH {
        if judge::is_loader(path.as_os_str().as_bytes()) {
            // Without a program it only tells something.
            let program = judge::loaded(words.iter().map(|word| word.as_bytes())).and_then(|at| words.get(at));
            return program.map_or(Ok(()), |program| {
                let path = Path::new(program);
                let fail = |error| trouble(path, error);
                verdict(path, &File::open(path).map_err(fail)?, By::Loader)
            });
        }
        match check_one(&path, no_new_rights)? {
            Some(interpreter) => path = interpreter,
            None => return Ok(()),
        }
    }
    Err(Trouble::NotExecutable(path, io::Error::from_raw_os_error(libc::ELOOP)))
}

fn trouble(path: &Path, error: io::Error) -> Trouble {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Trouble::NotFound(path.to_owned()),
        _ => Trouble::NotExecutable(path.to_owned(), error),
    }
}

/// The interpreter, for a script.
fn check_one(path: &Path, no_new_rights: bool) -> Result<Option<PathBuf>, Trouble> {
    let fail = |error| trouble(path, error);
    let found = fs::metadata(path).map_err(fail)?;
    if !found.is_file() || found.mode() & 0o111 == 0 {
        return Err(fail(io::ErrorKind::PermissionDenied.into()));
    }
    // What may be executed but not read cannot be judged, and might get past us to the kernel's network.
    let file = File::open(path).map_err(fail)?;
    let mut start = Vec::new();
    (&file).take(LINE).read_to_end(&mut start).map_err(fail)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let word = words.into_iter().find(|word| !word.is_empty()).unwrap_or(b"/bin/sh");
        return Ok(Some(PathBuf::from(OsStr::from_bytes(word))));
    }
    // The bits count for programs, not for scripts.
    if let Some(refusal) = judge::rights(file.as_raw_fd(), no_new_rights) {
        return Err(Trouble::Refused(path.to_owned(), refusal));
    }
    if !start.starts_with(b"\x7fELF") {
        // execvp(3) gives what has no `#!` line to the shell.
        return Ok(Some("/bin/sh".into()));
    }
    verdict(path, &file, By::Kernel).map(|()| None)
}

fn verdict(path: &Path, file: &File, by: By) -> Result<(), Trouble> {
    match judge::elf(file.as_raw_fd(), by) {
        Ok(None) => Ok(()),
        Ok(Some(refusal)) => Err(Trouble::Refused(path.to_owned(), refusal)),
        Err(_) => Err(Trouble::NotExecutable(path.to_owned(), io::Error::from_raw_os_error(libc::ENOEXEC))),
    }
}
