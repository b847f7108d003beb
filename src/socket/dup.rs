//! dup(2), dup2(2), dup3(2) and F_DUPFD: descriptors that share one file. Works on any mixture of ours and the
//! kernel's.

use super::{close, file::FileRef, table};
use crate::{
    error::{Error, Result},
    sys::placeholder,
};

/// The lowest free descriptor from `min` on, made a duplicate of `fd`.
///
/// # Errors
/// As fcntl(2) with F_DUPFD.
pub fn dup(fd: i32, min: i32, cloexec: bool) -> Result<i32> {
    let file = table::file(fd);
    let new = placeholder::dup(fd, min, cloexec)?;
    match file {
        Some(file) => share(file, new),
        None => {
            close::finish(table::remove(new).and_then(FileRef::release));
            Ok(new)
        }
    }
}

/// Makes `onto`, a kernel descriptor already, one of `file`.
fn share(file: FileRef, onto: i32) -> Result<i32> {
    if file.retain() {
        return table::add(onto, file);
    }
    placeholder::close(onto);
    Err(Error::BadDescriptor)
}

/// dup2(2): the same numbers are no error.
///
/// # Errors
/// As dup2(2).
pub fn dup2(fd: i32, onto: i32) -> Result<i32> {
    if fd != onto {
        return replace(fd, onto, false);
    }
    if placeholder::is_open(fd) { Ok(fd) } else { Err(Error::BadDescriptor) }
}

/// dup3(2).
///
/// # Errors
/// As dup3(2).
pub fn dup3(fd: i32, onto: i32, flags: i32) -> Result<i32> {
    if flags & !libc::O_CLOEXEC != 0 || fd == onto {
        return Err(Error::Invalid);
    }
    replace(fd, onto, flags & libc::O_CLOEXEC != 0)
}

fn replace(fd: i32, onto: i32, cloexec: bool) -> Result<i32> {
    let file = table::file(fd);
    placeholder::dup_onto(fd, onto, cloexec)?;
    match file {
        Some(file) => share(file, onto),
        None => {
            close::finish(table::remove(onto).and_then(FileRef::release));
            Ok(onto)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::table::Entry;

    fn epoll() -> i32 {
        crate::socket::epoll::create(0).unwrap()
    }

    #[test]
    fn duplicates_share_the_file_until_the_last_is_closed() {
        let fd = epoll();
        let copy = dup(fd, 700, true).unwrap();
        assert!(copy >= 700 && table::file(copy) == table::file(fd));
        let file = table::file(fd).unwrap();
        assert!(close::close(fd) && file.is_alive());
        assert!(close::close(copy) && !file.is_alive());
        assert!(!close::close(copy));
    }

    #[test]
    fn dup2_goes_from_ours_to_the_kernels_and_back() {
        let (ours, kernel) = (epoll(), placeholder::new(true).unwrap());
        assert_eq!(dup2(ours, kernel), Ok(kernel));
        assert!(matches!(table::entry(kernel), Entry::Epoll(..)));
        let file = table::file(ours).unwrap();
        let null = placeholder::new(true).unwrap();
        assert_eq!(dup3(null, ours, libc::O_CLOEXEC), Ok(ours));
        assert!(matches!(table::entry(ours), Entry::Foreign) && file.is_alive());
        assert_eq!(dup2(null, kernel), Ok(kernel));
        assert!(!file.is_alive());
        assert_eq!(dup2(null, null), Ok(null));
        assert_eq!(dup3(null, null, 0), Err(Error::Invalid));
        [ours, kernel, null].into_iter().for_each(placeholder::close);
        assert_eq!(dup2(null, null), Err(Error::BadDescriptor));
        assert_eq!(dup(-1, 0, false), Err(Error::BadDescriptor));
    }
}
