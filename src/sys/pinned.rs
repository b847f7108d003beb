//! Memory that holds secrets stays in memory (mlock(2)): it is never written to a disk's swap.

use std::{io, ops::Range, ptr};

/// What mlock(2) rounds to.
const PAGE: usize = 4096;

/// Where a value lies.
pub fn place<T: ?Sized>(value: &T) -> Range<usize> {
    let at = ptr::from_ref(value).cast::<u8>().addr();
    at..at + size_of_val(value)
}

/// The calling thread's stack from its caller on, if it is the main thread's, with the environment at its end.
pub fn stack() -> Range<usize> {
    let here = 0u8;
    // SAFETY: getauxval has no preconditions. The program's name, AT_EXECFN, is the last thing on the first stack.
    let end = usize::try_from(unsafe { libc::getauxval(libc::AT_EXECFN) }).unwrap_or(0);
    let from = ptr::from_ref(&here).addr();
    from..end.max(from)
}

/// Keeps the pages of `places` in memory. Their contents must stay where they are.
///
/// # Errors
/// Those of mlock(2): ENOMEM or EPERM beyond RLIMIT_MEMLOCK.
pub fn keep(places: &[Range<usize>]) -> io::Result<()> {
    for place in places {
        let from = place.start & !(PAGE - 1);
        // SAFETY: numbers for the kernel, which refuses what is no memory of this process; nothing is accessed.
        if unsafe { libc::syscall(libc::SYS_mlock, from, place.end.saturating_sub(from)) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
