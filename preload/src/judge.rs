//! What may be executed: a program that the loader would not give this library to is refused, or it would reach the
//! kernel's network. Makes system calls alone: this runs in children of vfork.

use crate::settings::{each, environ, say, settings, value_of};
use core::{
    ffi::{CStr, c_char, c_int},
    mem::MaybeUninit,
};
use sockeye_shim::{Errno, Result, kernel::call};

/// How much of a program is read: its header and the program headers behind it.
const HEAD: usize = 2048;
/// Interpreters of interpreters that are followed (the kernel's own limit is near).
const DEPTH: u32 = 4;
/// PT_INTERP: who loads the program; ours is loaded with it.
const INTERPRETER: u32 = 3;

/// Why a program does not run on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    Privileged,
    Static,
    Narrow,
}

impl Refusal {
    fn line(self) -> &'static [u8] {
        match self {
            Self::Privileged => {
                b"a setuid program or one with capabilities was not executed: it would use the kernel's network"
            }
            Self::Static => b"a statically linked program was not executed: it would use the kernel's network",
            Self::Narrow => {
                b"a program for another machine or of 32 bits was not executed: it would use the kernel's network"
            }
        }
    }

    fn errno(self) -> Errno {
        Errno(if self == Self::Narrow { libc::ENOEXEC } else { libc::EACCES })
    }
}

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
/// `path` must be null or a string.
pub unsafe fn path(path: *const c_char) -> Result<()> {
    if !is_on_a_stack() || path.is_null() {
        return Ok(());
    }
    verdict(at_path(libc::AT_FDCWD, path, DEPTH))
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
pub unsafe fn at(folder: c_int, path: *const c_char, flags: c_int) -> Result<()> {
    if !is_on_a_stack() || path.is_null() {
        return Ok(());
    }
    // SAFETY: a string has one byte at least.
    let is_empty = unsafe { *path } == 0;
    if is_empty && flags & libc::AT_EMPTY_PATH != 0 {
        descriptor(folder)
    } else {
        verdict(at_path(folder, path, DEPTH))
    }
}

/// Judges the program that a descriptor is open for.
///
/// # Errors
///
/// As [`path`].
pub fn descriptor(fd: c_int) -> Result<()> {
    if is_on_a_stack() { verdict(at_descriptor(fd, DEPTH)) } else { Ok(()) }
}

/// Judges the program that execvp(3) finds.
///
/// # Errors
///
/// As [`path`].
///
/// # Safety
///
/// `file` must be null or a string.
pub unsafe fn file(file: *const c_char) -> Result<()> {
    if !is_on_a_stack() || file.is_null() {
        return Ok(());
    }
    // SAFETY: the caller's string.
    let name = unsafe { CStr::from_ptr(file) }.to_bytes();
    if name.contains(&b'/') {
        return verdict(at_path(libc::AT_FDCWD, file, DEPTH));
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
        if raw(libc::SYS_faccessat, [libc::AT_FDCWD as usize, at, libc::X_OK as usize, 0]).is_ok() {
            return verdict(at_path(libc::AT_FDCWD, text.as_ptr().cast(), DEPTH));
        }
    }
    Ok(())
}

fn is_on_a_stack() -> bool {
    settings().is_some_and(|settings| !settings.stack.as_bytes().is_empty())
}

fn verdict(refusal: Option<Refusal>) -> Result<()> {
    let Some(refusal) = refusal else { return Ok(()) };
    say(refusal.line());
    Err(refusal.errno())
}

fn at_path(folder: c_int, path: *const c_char, depth: u32) -> Option<Refusal> {
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK) as usize;
    let fd = raw(libc::SYS_openat, [folder as usize, path as usize, flags, 0]).ok()?;
    let refusal = at_descriptor(fd as c_int, depth);
    let _ = raw(libc::SYS_close, [fd, 0, 0, 0]);
    // SAFETY: a string, which open(2) has read.
    let name = unsafe { CStr::from_ptr(path) }.to_bytes();
    refusal.filter(|refusal| *refusal != Refusal::Static || !is_loader(name))
}

fn at_descriptor(fd: c_int, depth: u32) -> Option<Refusal> {
    if is_privileged(fd) {
        return Some(Refusal::Privileged);
    }
    let mut head = [0u8; HEAD];
    let n = raw(libc::SYS_pread64, [fd as usize, head.as_mut_ptr() as usize, HEAD - 1, 0]).ok()?;
    let head = &head[..=n];
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|&c| c == b'\n').next()?.trim_ascii_start();
        let end = line.iter().position(|c| c.is_ascii_whitespace() || *c == 0).unwrap_or(line.len());
        let mut text = [0u8; HEAD];
        text[..end].copy_from_slice(&line[..end]);
        return if depth == 0 { None } else { at_path(libc::AT_FDCWD, text.as_ptr().cast(), depth - 1) };
    }
    elf(&head[..n])
}

/// Whether the kernel runs it with other rights than ours, and the loader then without this library.
fn is_privileged(fd: c_int) -> bool {
    let mut stat = MaybeUninit::<libc::stat>::zeroed();
    if raw(libc::SYS_fstat, [fd as usize, stat.as_mut_ptr() as usize, 0, 0]).is_err() {
        return false;
    }
    // SAFETY: the kernel has filled it, and zeros were there before.
    let stat = unsafe { stat.assume_init() };
    let own = |number| raw(number, [0; 4]).unwrap_or(0) as u32;
    let is_set = |bits: u32| stat.st_mode & bits == bits;
    let user = own(libc::SYS_getuid);
    let (mut value, name) = ([0u8; 64], c"security.capability");
    let attribute = [fd as usize, name.as_ptr() as usize, value.as_mut_ptr() as usize, value.len()];
    (is_set(libc::S_ISUID) && stat.st_uid != user)
        || (is_set(libc::S_ISGID | libc::S_IXGRP) && stat.st_gid != own(libc::SYS_getgid))
        || (user != 0 && raw(libc::SYS_fgetxattr, attribute).is_ok())
}

/// What an executable's header says (elf(5)). What is none is the kernel's to refuse.
fn elf(head: &[u8]) -> Option<Refusal> {
    const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    let half = |at: usize| head.get(at..at + 2).map(|two| u16::from_le_bytes([two[0], two[1]]));
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    if head.get(4..6) != Some(&[2, 1]) || half(18) != Some(MACHINE) {
        return Some(Refusal::Narrow);
    }
    let offset = u64::from_le_bytes(*head.get(32..)?.first_chunk()?);
    let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
    let offset = usize::try_from(offset).ok()?;
    let kind = |at: usize| {
        let bytes = head.get(offset.checked_add(at.checked_mul(size)?)?..)?;
        bytes.first_chunk().map(|four| u32::from_le_bytes(*four))
    };
    let is_loaded = (0..count).any(|at| kind(at) == Some(INTERPRETER));
    if is_loaded { None } else { Some(Refusal::Static) }
}

/// Whether a path is the loader's: it has no interpreter either, and takes this library when it is run by hand.
fn is_loader(path: &[u8]) -> bool {
    path.rsplit(|&c| c == b'/').next().is_some_and(|name| name.starts_with(b"ld-linux"))
}
