//! Finding the program that is to be run, and whether it can be run on a stack.

use crate::elf;
use std::{
    env, fmt,
    fs::{self, File},
    io::{self, Read},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
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
    /// The kernel would drop the preload library: set-user-ID or set-group-ID.
    Privileged(PathBuf),
    /// Its format.
    Refused(PathBuf, elf::Refusal),
}

impl Trouble {
    /// What `sockeye run` ends with, as env(1) and nohup(1) do.
    pub fn exit_code(&self) -> u8 {
        match self {
            Trouble::NotFound(_) => 127,
            Trouble::NotExecutable(..) => 126,
            Trouble::Privileged(_) | Trouble::Refused(..) => 125,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotFound(path) => write!(f, "{}: there is no such program", path.display()),
            Trouble::NotExecutable(path, error) => write!(f, "{}: {error}", path.display()),
            Trouble::Privileged(path) => write!(
                f,
                "{}: runs with the rights of another user or group, so that the kernel loads nothing into it; run it as \
                 that user, or use a copy without the bit",
                path.display()
            ),
            Trouble::Refused(path, refusal) => write!(f, "{}: {refusal}", path.display()),
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

/// Judges a program; a script by its interpreter, as the kernel will run that.
pub fn check(path: &Path, ids: (u32, u32)) -> Result<(), Trouble> {
    let mut path = path.to_owned();
    for _ in 0..DEPTH {
        match check_one(&path, ids)? {
            Some(interpreter) => path = interpreter,
            None => return Ok(()),
        }
    }
    Err(Trouble::NotExecutable(path, io::Error::from_raw_os_error(libc::ELOOP)))
}

/// The interpreter, for a script.
fn check_one(path: &Path, (uid, gid): (u32, u32)) -> Result<Option<PathBuf>, Trouble> {
    let fail = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Trouble::NotFound(path.to_owned()),
        _ => Trouble::NotExecutable(path.to_owned(), error),
    };
    let found = fs::metadata(path).map_err(fail)?;
    let mode = found.mode();
    if !found.is_file() || mode & 0o111 == 0 {
        return Err(fail(io::ErrorKind::PermissionDenied.into()));
    }
    // Set-group-ID without the group's right to execute means something else (inode(7)).
    let is_other_group = mode & libc::S_ISGID != 0 && mode & libc::S_IXGRP != 0 && found.gid() != gid;
    // What may be executed but not read cannot be judged, and might get past us to the kernel's network.
    let file = File::open(path).map_err(fail)?;
    let mut start = Vec::new();
    (&file).take(LINE).read_to_end(&mut start).map_err(fail)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let words = line.split(|byte| matches!(byte, b' ' | b'\t'));
        let word = words.into_iter().find(|word| !word.is_empty()).unwrap_or(b"/bin/sh");
        return Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(word))));
    }
    // The bits count for programs, not for scripts.
    if mode & libc::S_ISUID != 0 && found.uid() != uid || is_other_group {
        return Err(Trouble::Privileged(path.to_owned()));
    }
    if !start.starts_with(b"\x7fELF") {
        // execvp(3) gives what has no `#!` line to the shell.
        return Ok(Some("/bin/sh".into()));
    }
    match elf::judge(&file) {
        Ok(None) => Ok(None),
        Ok(Some(refusal)) => Err(Trouble::Refused(path.to_owned(), refusal)),
        Err(_) => Err(fail(io::Error::from_raw_os_error(libc::ENOEXEC))),
    }
}
