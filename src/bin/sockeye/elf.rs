//! Whether a program would let itself be preloaded, judged by its ELF headers (elf(5)).

use std::{fmt, fs::File, io, os::unix::fs::FileExt};

/// Why a program cannot be run on a stack. A program that is let through all the same would use the kernel's network.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
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

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Static => {
                "is a static program, which loads no library; use a dynamically linked build of it (see `file`)"
            }
            Refusal::Go => "is a Go program, which makes its system calls without the C library",
            Refusal::Narrow => "is a 32-bit program, and the preload library has 64 bits; use a 64-bit build of it",
            Refusal::Machine => "is a program for another kind of machine",
            Refusal::Musl => "is linked with musl, and the preload library with glibc; use a build for glibc",
        })
    }
}

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
const PT_INTERP: u32 = 3;
const PT_NOTE: u32 = 4;
/// Longest table or note section that is read: more than any linker writes.
const MOST: u64 = 1 << 22;

/// Judges a file that begins with "\x7fELF"; `Ok(None)` when nothing speaks against it.
///
/// # Errors
/// Those of reading; `InvalidData` or `UnexpectedEof` when the headers point outside the file.
pub fn judge(file: &File) -> io::Result<Option<Refusal>> {
    let header = read(file, 0, 20)?;
    match header[4] {
        2 => {}
        1 => return Ok(Some(Refusal::Narrow)),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    }
    if header[5] != 1 || u16_at(&header, 18) != MACHINE {
        return Ok(Some(Refusal::Machine));
    }
    let header = read(file, 0, 64)?;
    let mut loader = None;
    let mut is_go = false;
    for entry in table(file, u64_at(&header, 32), u16_at(&header, 54), u16_at(&header, 56), 56)? {
        let (offset, size) = (u64_at(&entry, 8), u64_at(&entry, 32));
        match u32_at(&entry, 0) {
            PT_INTERP => loader = Some(read(file, offset, size)?),
            PT_NOTE => is_go |= has_go_note(&read(file, offset, size)?),
            _ => {}
        }
    }
    if is_go || has_go_section(file, &header)? {
        return Ok(Some(Refusal::Go));
    }
    Ok(match loader {
        None => Some(Refusal::Static),
        Some(path) if path.windows(7).any(|part| part == b"ld-musl") => Some(Refusal::Musl),
        Some(_) => None,
    })
}

/// `count` entries of `size` bytes each; `least` of them are used.
fn table(file: &File, offset: u64, size: u16, count: u16, least: u16) -> io::Result<Vec<Vec<u8>>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if size < least {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let bytes = read(file, offset, u64::from(size) * u64::from(count))?;
    Ok(bytes.chunks_exact(size.into()).map(<[u8]>::to_vec).collect())
}

/// A note of the owner "Go" (type 4 is its build id).
fn has_go_note(mut notes: &[u8]) -> bool {
    let padded = |len: u32| usize::try_from(u64::from(len).next_multiple_of(4)).unwrap_or(usize::MAX);
    while notes.len() >= 12 {
        let (name, description) = (padded(u32_at(notes, 0)), padded(u32_at(notes, 4)));
        if notes[12..].starts_with(b"Go\0\0") && u32_at(notes, 0) == 4 {
            return true;
        }
        let Some(rest) = notes.get(12_usize.saturating_add(name).saturating_add(description)..) else { return false };
        notes = rest;
    }
    false
}

/// A stripped program has no section headers; then the note must tell.
fn has_go_section(file: &File, header: &[u8]) -> io::Result<bool> {
    let sections = table(file, u64_at(header, 40), u16_at(header, 58), u16_at(header, 60), 64)?;
    let Some(names) = sections.get(usize::from(u16_at(header, 62))) else { return Ok(false) };
    let names = read(file, u64_at(names, 24), u64_at(names, 32))?;
    Ok(sections.iter().any(|section| {
        let start = usize::try_from(u32_at(section, 0)).unwrap_or(usize::MAX);
        names.get(start..).is_some_and(|name| name.starts_with(b".go.buildinfo\0"))
    }))
}

fn read(file: &File, offset: u64, size: u64) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size.min(MOST + 1)).ok().filter(|&size| size as u64 <= MOST);
    let mut bytes = vec![0; size.ok_or(io::ErrorKind::InvalidData)?];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
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

    #[test]
    fn a_go_note_is_found_behind_others() {
        let gnu = b"\x04\0\0\0\x02\0\0\0\x03\0\0\0GNU\0ab\0\0";
        let go = b"\x04\0\0\0\x01\0\0\0\x04\0\0\0Go\0\0x\0\0\0";
        assert!(has_go_note(&[&gnu[..], go].concat()));
        assert!(!has_go_note(gnu) && !has_go_note(&go[..11]) && !has_go_note(&[0xff; 64]));
    }
}
