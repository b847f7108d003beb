//! What may be executed: a program that the loader would not give this library to is refused (`sockeye_shim::judge`).
//! Makes system calls alone: this runs in children of vfork.

use crate::{
    exec::Strings,
    settings::{each, environ, say, settings, value_of},
};
use core::ffi::{CStr, c_char, c_int};
use sockeye_shim::{
    Result,
    judge::{self, By, Refusal},
    kernel::{self, call, int, int_of},
};

/// How much of a program is read to see who interprets it.
const HEAD: usize = 2048;
/// Interpreters of interpreters that are followed (the kernel's own limit is near).
const DEPTH: u32 = 4;

fn raw(number: libc::c_long, [a, b, c, d]: [usize; 4]) -> Result<usize> {
    // SAFETY: the calls made here have at most four arguments, whose pointers are to live locals and strings.
    unsafe { call(number, [a, b, c, d, 0, 0]) }
}

/// Judges the program at a path.
///
/// # Errors
///
/// EACCES, ENOEXEC, after one line that says why. What cannot be read is left to the kernel.
///
/// # Safety
///
/// `path` must be null or a string, `arguments` null or a list of strings.
pub unsafe fn path(path: *const c_char, arguments: Strings) -> Result<()> {
    if !is_on_a_stack() || path.is_null() {
        return Ok(());
    }
    at_path(libc::AT_FDCWD, path, arguments)
}

/// Judges the program that execveat(2) means.
///
/// # Errors
///
/// As [`path`].
///
/// # Safety
///
/// As [`path`].
pub unsafe fn at(folder: c_int, path: *const c_char, arguments: Strings, flags: c_int) -> Result<()> {
    if !is_on_a_stack() || path.is_null() {
        return Ok(());
    }
    // SAFETY: a string has one byte at least.
    let is_empty = unsafe { *path } == 0;
    if is_empty && flags & libc::AT_EMPTY_PATH != 0 { descriptor(folder) } else { at_path(folder, path, arguments) }
}

/// Judges the program that a descriptor is open for.
///
/// # Errors
///
/// As [`path`].
pub fn descriptor(fd: c_int) -> Result<()> {
    if is_on_a_stack() { verdict(b"fexecve", at_descriptor(fd, By::Kernel, DEPTH)) } else { Ok(()) }
}

/// Judges the program that execvp(3) finds.
///
/// # Errors
///
/// As [`path`].
///
/// # Safety
///
/// `file` must be null or a string, `arguments` null or a list of strings.
pub unsafe fn file(file: *const c_char, arguments: Strings) -> Result<()> {
    if !is_on_a_stack() || file.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's string.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    if name.contains(&b'/') {
        return at_path(libc::AT_FDCWD, file, arguments);
    }
    let mut folders: &[u8] = b"/bin:/usr/bin";
    // SAFETY: the process's own environment.
    unsafe {
        each(environ, |variable: &'static CStr| folders = value_of(variable.to_bytes(), b"PATH").unwrap_or(folders));
    }
    for folder in folders.split(|&c| c == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let mut text = [0u8; 1024];
        let Some(room) = text.get_mut(..folder.len() + 1 + name.len() + 1) else { continue };
        room[..folder.len()].copy_from_slice(folder);
        room[folder.len()] = b'/';
        room[folder.len() + 1..][..name.len()].copy_from_slice(name);
        let at = text.as_ptr() as usize;
        if raw(libc::SYS_faccessat, [int(libc::AT_FDCWD), at, libc::X_OK as usize, 0]).is_ok() {
            return at_path(libc::AT_FDCWD, text.as_ptr().cast(), arguments);
        }
    }
    Ok(())
}

fn is_on_a_stack() -> bool {
    settings().is_some_and(|settings| !settings.stack.as_bytes().is_empty())
}

fn verdict(name: &[u8], refusal: Option<Refusal>) -> Result<()> {
    let Some(refusal) = refusal else { return Ok(()) };
    let (mut line, mut len) = ([0u8; 1024], 0);
    for piece in [name, b": ", refusal.text().as_bytes()] {
        if let Some(room) = line.get_mut(len..len + piece.len()) {
            room.copy_from_slice(piece);
            len += piece.len();
        }
    }
    say(&line[..len]);
    Err(refusal.errno())
}

/// Judges the program at a path, and what the loader is to run if it is the loader.
fn at_path(folder: c_int, path: *const c_char, arguments: Strings) -> Result<()> {
    // SAFETY: the caller's string.
    let name = unsafe { CStr::from_ptr(path) };
    if !judge::is_loader(name.to_bytes()) {
        return verdict(name.to_bytes(), opened(folder, name, By::Kernel, DEPTH));
    }
    // SAFETY: the caller's list; its first word is the loader's name.
    let words = || (1..).map(move |at| unsafe { *arguments.add(at) }).take_while(|word| !word.is_null());
    // SAFETY: the strings of that list.
    let texts = || words().map(|word| unsafe { CStr::from_ptr(word) });
    // SAFETY: the caller's list.
    let is_empty = arguments.is_null() || unsafe { *arguments }.is_null();
    let program =
        if is_empty { None } else { judge::loaded(texts().map(CStr::to_bytes)).and_then(|at| texts().nth(at)) };
    program.map_or(Ok(()), |name| verdict(name.to_bytes(), opened(libc::AT_FDCWD, name, By::Loader, 0)))
}

fn opened(folder: c_int, path: &CStr, by: By, depth: u32) -> Option<Refusal> {
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK) as usize;
    let fd = raw(libc::SYS_openat, [int(folder), path.as_ptr() as usize, flags, 0]).ok()?;
    let refusal = at_descriptor(int_of(fd), by, depth);
    let _ = raw(libc::SYS_close, [fd, 0, 0, 0]);
    refusal
}

fn at_descriptor(fd: c_int, by: By, depth: u32) -> Option<Refusal> {
    // The loader gives no rights: it only reads.
    if by == By::Kernel
        && let Some(refusal) = judge::rights(fd, kernel::gains_no_rights())
    {
        return Some(refusal);
    }
    let mut head = [0u8; HEAD];
    let n = kernel::read_at(fd, &mut head[..HEAD - 1], 0).ok()?;
    let Some(line) = head[..=n].strip_prefix(b"#!") else {
        // What is none is the kernel's to refuse.
        return if head.starts_with(b"\x7fELF") { judge::elf(fd, by).ok().flatten() } else { None };
    };
    let line = line.split(|&c| c == b'\n').next()?.trim_ascii_start();
    let end = line.iter().position(|c| c.is_ascii_whitespace() || *c == 0).unwrap_or(line.len());
    let mut text = [0u8; HEAD];
    text[..end].copy_from_slice(&line[..end]);
    let interpreter = CStr::from_bytes_until_nul(&text).ok()?;
    if depth == 0 || judge::is_loader(interpreter.to_bytes()) {
        return None;
    }
    opened(libc::AT_FDCWD, interpreter, By::Kernel, depth - 1)
}
