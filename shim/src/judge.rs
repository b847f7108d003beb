//! What may be executed on a stack: a program that the loader would not give the preload library to (ld.so(8)) would
//! find no network, or the kernel's. Its file tells. The launcher and the library both judge by this list; it makes
//! system calls alone, for the library does so in children of vfork.

use crate::{Errno, Result, kernel};

/// Why a program does not run on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The kernel would run it with other rights: set-user-ID or set-group-ID.
    Privileged,
    /// The file has capabilities (capabilities(7)).
    Capable,
    /// No dynamic loader is asked for.
    Static,
    /// Go's runtime makes its system calls by itself.
    Go,
    /// ELFCLASS32.
    Narrow,
    /// For another machine.
    Machine,
    /// The loader is musl's.
    Musl,
}

impl Refusal {
    /// The reason and what helps, to stand behind the program's name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Privileged => {
                "runs with the rights of another user or group, so that the kernel loads nothing into it; run it as that \
                 user, or use a copy without the bit"
            }
            Self::Capable => {
                "has capabilities of its own, so that the kernel loads nothing into it; use a copy without them (see \
                 `getcap`)"
            }
            Self::Static => {
                "is a static program, which loads no library; use a dynamically linked build of it (see `file`)"
            }
            Self::Go => "is a Go program, which makes its system calls without the C library",
            Self::Narrow => "is a 32-bit program, and the preload library has 64 bits; use a 64-bit build of it",
            Self::Machine => "is a program for another kind of machine",
            Self::Musl => "is linked with musl, and the preload library with glibc; use a build for glibc",
        }
    }

    /// What execve(2) fails with.
    pub const fn errno(self) -> Errno {
        match self {
            Self::Narrow | Self::Machine => Errno(libc::ENOEXEC),
            _ => Errno(libc::EACCES),
        }
    }
}

/// Who maps a program into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The kernel, which has the program's own loader do the rest.
    Kernel,
    /// The loader, run by hand: it needs no name of itself in the program.
    Loader,
}

const MACHINE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
/// As many notes of a segment, and entries of the dynamic section, are read: more than any linker writes.
const MOST: u64 = 4096;
const MALFORMED: Errno = Errno(libc::ENOEXEC);

/// Judges by the rights that an open program gives. With `no_new_rights` the kernel gives it those of its caller
/// (PR_SET_NO_NEW_PRIVS), but loads nothing into what has capabilities all the same.
pub fn rights(fd: i32, no_new_rights: bool) -> Option<Refusal> {
    let kernel::Status { mode, uid, gid } = kernel::status(fd).ok()?;
    let is_set = |bits: u32| mode & bits == bits;
    // Set-group-ID without the group's right to execute means something else (inode(7)).
    let changes = is_set(libc::S_ISUID) && uid != kernel::geteuid()
        || is_set(libc::S_ISGID | libc::S_IXGRP) && gid != kernel::getegid();
    if changes && !no_new_rights {
        return Some(Refusal::Privileged);
    }
    (kernel::getuid() != 0 && kernel::has_capabilities(fd)).then_some(Refusal::Capable)
}

/// Judges an open file that begins with "\x7fELF" by its headers (elf(5)).
///
/// # Errors
///
/// ENOEXEC when they point outside the file; those of pread(2).
pub fn elf(fd: i32, by: By) -> Result<Option<Refusal>> {
    let start: [u8; 20] = read(fd, 0)?;
    match (start[4], start[5]) {
        (1, _) => return Ok(Some(Refusal::Narrow)),
        (2, 1) if u16_at(&start, 18) == MACHINE => {}
        (2, _) => return Ok(Some(Refusal::Machine)),
        _ => return Err(MALFORMED),
    }
    let header: [u8; 64] = read(fd, 0)?;
    let (mut is_loaded, mut is_musl, mut is_go) = (false, false, false);
    for entry in table::<56>(fd, u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56)) {
        let entry = entry?;
        let (offset, size) = (u64_at(&entry, 8), u64_at(&entry, 32));
        match u32_at(&entry, 0) {
            PT_INTERP => {
                is_loaded |= by == By::Kernel;
                is_musl = names_musl(fd, offset, size)?;
            }
            PT_DYNAMIC => is_loaded |= by == By::Loader && needs_libraries(fd, offset, size)?,
            PT_NOTE => is_go |= has_go_note(fd, offset, size)?,
            _ => {}
        }
    }
    Ok(if is_go || has_go_section(fd, &header)? {
        Some(Refusal::Go)
    } else if is_musl {
        Some(Refusal::Musl)
    } else {
        (!is_loaded).then_some(Refusal::Static)
    })
}

/// Whether a path is the loader's, by the names that distributions give it.
pub fn is_loader(path: &[u8]) -> bool {
    let name = path.rsplit(|&c| c == b'/').next().unwrap_or(path);
    name.starts_with(b"ld-linux") || name == b"ld.so"
}

/// Which of the words behind the loader's name is the program that it is to run (ld.so(8)); none if it only tells
/// something.
pub fn loaded<'a>(words: impl Iterator<Item = &'a [u8]>) -> Option<usize> {
    let mut is_value = false;
    for (at, word) in words.enumerate() {
        match word {
            _ if is_value => is_value = false,
            b"--list" | b"--verify" | b"--help" | b"--version" | b"--list-tunables" | b"--list-diagnostics" => {
                return None;
            }
            b"--library-path"
            | b"--inhibit-rpath"
            | b"--audit"
            | b"--preload"
            | b"--argv0"
            | b"--glibc-hwcaps-mask"
            | b"--glibc-hwcaps-prepend" => is_value = true,
            _ if word.starts_with(b"--") => {}
            _ => return Some(at),
        }
    }
    None
}

/// `count` entries of `size` bytes each, of which `N` are read.
fn table<const N: usize>(fd: i32, offset: u64, size: u16, count: u16) -> impl Iterator<Item = Result<[u8; N]>> {
    let entry = move |at: u16| {
        let offset = offset.checked_add(u64::from(at) * u64::from(size)).ok_or(MALFORMED)?;
        if usize::from(size) < N { Err(MALFORMED) } else { read(fd, offset) }
    };
    (0..count).map(entry)
}

fn names_musl(fd: i32, offset: u64, size: u64) -> Result<bool> {
    let mut path = [0; 256];
    let room = path.len().min(usize::try_from(size).unwrap_or(usize::MAX));
    let len = kernel::read_at(fd, &mut path[..room], offset)?;
    Ok(path[..len].windows(7).any(|part| part == b"ld-musl"))
}

fn needs_libraries(fd: i32, offset: u64, size: u64) -> Result<bool> {
    for at in (0..size.min(16 * MOST)).step_by(16) {
        let entry: [u8; 16] = read(fd, offset.checked_add(at).ok_or(MALFORMED)?)?;
        match u64_at(&entry, 0) {
            DT_NEEDED => return Ok(true),
            DT_NULL => break,
            _ => {}
        }
    }
    Ok(false)
}

/// A note of the owner "Go" (type 4 is its build id).
fn has_go_note(fd: i32, offset: u64, size: u64) -> Result<bool> {
    let (mut at, end) = (offset, offset.checked_add(size).ok_or(MALFORMED)?);
    for _ in 0..MOST {
        if at.checked_add(12).is_none_or(|behind| behind > end) {
            break;
        }
        let note: [u8; 12] = read(fd, at)?;
        let padded = |len: u32| u64::from(len).next_multiple_of(4);
        if u32_at(&note, 0) == 4 && read(fd, at + 12)? == *b"Go\0\0" {
            return Ok(true);
        }
        at = (at + 12).saturating_add(padded(u32_at(&note, 0)) + padded(u32_at(&note, 4)));
    }
    Ok(false)
}

/// A stripped program has no section headers; then the note must tell.
fn has_go_section(fd: i32, header: &[u8; 64]) -> Result<bool> {
    let sections = || table::<64>(fd, u64_at(header, 40), u16_at(header, 58), u16_at(header, 60));
    let Some(names) = sections().nth(u16_at(header, 62).into()) else { return Ok(false) };
    let names = u64_at(&names?, 24);
    for section in sections() {
        let name = names.checked_add(u32_at(&section?, 0).into()).ok_or(MALFORMED)?;
        let mut start = [0; 14];
        if kernel::read_at(fd, &mut start, name)? == start.len() && start == *b".go.buildinfo\0" {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read<const N: usize>(fd: i32, offset: u64) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    if kernel::read_at(fd, &mut bytes, offset)? == N { Ok(bytes) } else { Err(MALFORMED) }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |part| u16::from_le_bytes([part[0], part[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write, os::fd::AsRawFd};

    #[test]
    fn a_go_note_is_found_behind_others() {
        let gnu = b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0ab\0\0";
        let go = b"\x04\0\0\0\x01\0\0\0\x04\0\0\0Go\0\0x\0\0\0";
        let path = std::env::temp_dir().join(format!("sockeye-notes-{}", std::process::id()));
        let judge = |notes: &[u8]| {
            let mut file = std::fs::File::create_new(&path).expect("a file");
            file.write_all(notes).expect("written");
            let file = std::fs::File::open(&path).expect("the file");
            std::fs::remove_file(&path).expect("it was made above");
            has_go_note(file.as_raw_fd(), 0, notes.len() as u64)
        };
        assert_eq!(judge(&[&gnu[..], go].concat()), Ok(true));
        assert_eq!((judge(gnu), judge(&go[..11]), judge(&[0xff; 64])), (Ok(false), Ok(false), Ok(false)));
        assert_eq!(judge(&go[..12]), Err(MALFORMED));
    }

    #[test]
    fn the_loaders_program_is_the_first_word_that_is_no_option_nor_its_value() {
        let at = |line: &str| loaded(line.split(' ').map(str::as_bytes));
        assert_eq!(at("prog --list"), Some(0));
        assert_eq!(at("--inhibit-cache --library-path /lib --argv0 --list prog"), Some(5));
        assert_eq!(at("--preload x --glibc-hwcaps-mask m -p"), Some(4));
        assert_eq!((at("--list prog"), at("--audit prog"), at("--version")), (None, None, None));
        assert!(is_loader(b"/lib64/ld-linux-x86-64.so.2") && is_loader(b"ld.so") && !is_loader(b"/ld-linux/prog"));
    }
}
