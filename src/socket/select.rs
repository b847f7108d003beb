//! select(2), in terms of poll(2).

use super::poll::{self, Timeout};
use crate::{
    error::{Error, Result},
    sys::readiness::PollFd,
};

/// FD_SETSIZE: descriptors of a set.
pub const SET_SIZE: usize = 1024;

/// The bits of a `fd_set`.
pub type Set = [u64; SET_SIZE / 64];

/// poll(2)'s bits that make a descriptor readable, writable or exceptional (Linux fs/select.c).
const READ: i16 = libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND | libc::POLLHUP | libc::POLLERR;
const WRITE: i16 = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND | libc::POLLERR;
const EXCEPT: i16 = libc::POLLPRI;

fn is_set(set: Option<&Set>, fd: usize) -> bool {
    set.is_some_and(|set| set[fd / 64] >> (fd % 64) & 1 != 0)
}

/// select(2) on the descriptors below `count`. The sets (readable, writable, exceptional) are replaced by what is
/// ready.
///
/// # Errors
/// `Invalid` for a count that is negative or above [`SET_SIZE`], `BadDescriptor`, `Interrupted`.
pub fn select(
    count: i32,
    sets: [Option<&mut Set>; 3],
    timeout: Timeout,
    mask: Option<&libc::sigset_t>,
) -> Result<usize> {
    let count = usize::try_from(count).ok().filter(|count| *count <= SET_SIZE).ok_or(Error::Invalid)?;
    let mut fds = [PollFd { fd: -1, events: 0, revents: 0 }; SET_SIZE];
    let mut used = 0;
    for fd in 0..count {
        let asked = [libc::POLLIN | libc::POLLRDNORM, libc::POLLOUT | libc::POLLWRNORM, libc::POLLPRI];
        let wants = sets.each_ref().map(|set| is_set(set.as_deref(), fd));
        let events = wants.iter().zip(asked).filter(|(wants, _)| **wants).fold(0, |events, (_, bits)| events | bits);
        if events != 0 {
            fds[used] = PollFd { fd: fd as i32, events, revents: 0 };
            used += 1;
        }
    }
    let fds = &mut fds[..used];
    poll::poll(fds, timeout, mask)?;
    if fds.iter().any(|fd| fd.revents & libc::POLLNVAL != 0) {
        return Err(Error::BadDescriptor);
    }
    Ok(sets.into_iter().zip([READ, WRITE, EXCEPT]).map(|(set, bits)| set.map_or(0, |set| report(set, fds, bits))).sum())
}

/// Leaves in `set` those that were in it and are ready; returns how many.
fn report(set: &mut Set, fds: &[PollFd], bits: i16) -> usize {
    let asked = std::mem::replace(set, [0; SET_SIZE / 64]);
    let ready = fds.iter().filter(|fd| fd.revents & bits != 0).map(|fd| fd.fd as usize);
    let mut found = 0;
    for fd in ready.filter(|fd| is_set(Some(&asked), *fd)) {
        set[fd / 64] |= 1 << (fd % 64);
        found += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::{fd::AsRawFd, unix::net::UnixStream};

    fn set(fds: &[i32]) -> Set {
        let mut set = Set::default();
        fds.iter().for_each(|fd| set[*fd as usize / 64] |= 1 << (fd % 64));
        set
    }

    #[test]
    fn sets_keep_what_is_ready_and_closed_descriptors_are_an_error() {
        let (a, _b) = UnixStream::pair().unwrap();
        let fd = a.as_raw_fd();
        let (mut read, mut write) = (set(&[fd]), set(&[fd]));
        assert_eq!(select(fd + 1, [Some(&mut read), Some(&mut write), None], Timeout::Never, None), Ok(1));
        assert_eq!((read, write), (set(&[]), set(&[fd])));
        let mut closed = set(&[1000]);
        assert_eq!(select(1001, [Some(&mut closed), None, None], Timeout::Now, None), Err(Error::BadDescriptor));
        assert_eq!(select(1000, [Some(&mut closed), None, None], Timeout::Now, None), Ok(0));
        assert_eq!(select(-1, [None, None, None], Timeout::Now, None), Err(Error::Invalid));
        assert_eq!(select(1025, [None, None, None], Timeout::Now, None), Err(Error::Invalid));
    }
}
