//! The descriptor table: which of the process's descriptors are ours, and which file each refers to.

use super::file::{FileRef, Handle, Last, Object};
use crate::{
    error::{Error, Result},
    sys::placeholder,
};
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

const CHUNK: usize = 1024;
/// 2^20 descriptors: Linux's fs.nr_open.
const CHUNKS: usize = 1024;

type Chunk = Box<[AtomicU64]>;
static TABLE: [OnceLock<Chunk>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];

/// What a descriptor is.
#[derive(Copy, Clone, Debug)]
pub enum Entry {
    /// A socket of a stack.
    Socket(Handle),
    /// An epoll instance of ours, by its number.
    Epoll(u32, FileRef),
    /// The kernel's, or not open.
    Foreign,
}

fn slot(fd: i32) -> Option<&'static AtomicU64> {
    let fd = usize::try_from(fd).ok()?;
    TABLE.get(fd / CHUNK)?.get().map(|chunk| &chunk[fd % CHUNK])
}

/// The file of a descriptor of ours.
pub fn file(fd: i32) -> Option<FileRef> {
    FileRef::from_bits(slot(fd)?.load(Ordering::Acquire))
}

/// What `fd` is. The hot path of every call: no lock, no count, no system call.
#[inline]
pub fn entry(fd: i32) -> Entry {
    loop {
        let Some(file) = file(fd) else { return Entry::Foreign };
        match file.object() {
            Some(Object::Socket(handle)) => return Entry::Socket(handle),
            Some(Object::Epoll(epoll)) => return Entry::Epoll(epoll, file),
            // Closed or replaced in this moment: the slot says what is there now.
            None if self::file(fd) == Some(file) => return Entry::Foreign,
            None => {}
        }
    }
}

/// The socket that `fd` is.
///
/// # Errors
/// `NotSocket` for other open descriptors, `BadDescriptor` for closed ones; `NetDown` after a fork, and once the
/// socket's stack was freed.
#[inline]
pub fn socket(fd: i32) -> Result<Handle> {
    super::enter()?;
    match entry(fd) {
        Entry::Socket(handle) => handle.live().map(|()| handle),
        _ if placeholder::is_open(fd) => Err(Error::NotSocket),
        _ => Err(Error::BadDescriptor),
    }
}

/// Makes `fd` a descriptor of `file`. What the slot held is released: its number was closed behind our back, or taken
/// over by dup2(2).
///
/// # Errors
/// `TooManyFiles` for a number beyond the table.
pub fn install(fd: i32, file: FileRef) -> Result<Option<Last>> {
    let index = usize::try_from(fd).map_err(|_| Error::BadDescriptor)?;
    let chunk = TABLE.get(index / CHUNK).ok_or(Error::TooManyFiles)?;
    let slots = chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect());
    let before = slots[index % CHUNK].swap(file.to_bits(), Ordering::AcqRel);
    Ok(FileRef::from_bits(before).and_then(FileRef::release))
}

/// Takes `fd` out of the table: its file, if it was ours. The number stays open.
pub fn remove(fd: i32) -> Option<FileRef> {
    FileRef::from_bits(slot(fd)?.swap(0, Ordering::AcqRel))
}

/// Makes the fresh descriptor `fd` one of `file`; closes and releases both if the table has no place for it.
///
/// # Errors
/// `TooManyFiles`.
pub fn add(fd: i32, file: FileRef) -> Result<i32> {
    match install(fd, file) {
        Ok(stale) => {
            super::close::finish(stale);
            Ok(fd)
        }
        Err(error) => {
            placeholder::close(fd);
            super::close::finish(file.release());
            Err(error)
        }
    }
}

/// Empties the table: calls `each` with what every last descriptor referred to.
pub fn take_all(mut each: impl FnMut(Last)) {
    let slots = TABLE.iter().filter_map(OnceLock::get).flat_map(|chunk| chunk.iter());
    let files = slots.filter_map(|slot| FileRef::from_bits(slot.swap(0, Ordering::AcqRel)));
    files.filter_map(FileRef::release).for_each(&mut each);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_ours_from_install_to_remove() {
        let fd = placeholder::new(true).unwrap();
        assert!(matches!(entry(fd), Entry::Foreign));
        let file = FileRef::of_epoll(3);
        assert!(install(fd, file).unwrap().is_none());
        assert!(matches!(entry(fd), Entry::Epoll(3, f) if f == file));
        let other = FileRef::of_epoll(4);
        assert!(install(fd, other).unwrap().is_some(), "the stale file was the last descriptor's");
        assert_eq!(remove(fd), Some(other));
        assert!(matches!(entry(fd), Entry::Foreign) && remove(fd).is_none());
        assert!(other.release().is_some());
        assert_eq!(socket(fd).err(), Some(Error::NotSocket));
        placeholder::close(fd);
        assert_eq!(socket(1_000_000).err(), Some(Error::BadDescriptor));
        assert_eq!(socket(-1).err(), Some(Error::BadDescriptor));
    }

    #[test]
    fn a_look_up_takes_a_few_nanoseconds() {
        let fd = placeholder::new(true).unwrap();
        let file = FileRef::of_epoll(5);
        assert!(install(fd, file).unwrap().is_none());
        let start = crate::sys::clock::now();
        const ROUNDS: u32 = 1_000_000;
        for _ in 0..ROUNDS {
            assert!(matches!(std::hint::black_box(entry(std::hint::black_box(fd))), Entry::Epoll(5, _)));
        }
        let nanos = crate::sys::clock::now().since(start).as_nanos() / u128::from(ROUNDS);
        println!("descriptor look-up: {nanos} ns");
        assert!(nanos < 500, "{nanos} ns");
        remove(fd).and_then(FileRef::release);
        placeholder::close(fd);
    }
}
