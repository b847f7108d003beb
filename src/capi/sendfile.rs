//! sendfile(2).

use super::size;
use crate::{
    error::Result,
    socket::{
        sendfile::sendfile,
        table::{self, Entry},
    },
    sys::{kernel, user},
};
use libc::{off_t, ssize_t};
use std::ffi::c_int;

/// Sends from a file of the kernel to a socket, or to any other descriptor of the process. See sendfile(2). A
/// cancellation point.
///
/// @param out_fd  where it goes
/// @param in_fd   the file
/// @param offset  where in the file to begin; receives where to go on; the file's own position stays. NULL: begins at
///                the file's position, which moves
/// @param count   how many bytes at most
/// @return the number of bytes sent, or -1 with errno EINVAL and ESPIPE (the file cannot be read at a place of choice),
///         EBADF, EFAULT, or as sockeye_send(); for other descriptors as sendfile(2)
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_sendfile(
    out_fd: c_int,
    in_fd: c_int,
    offset: *mut off_t,
    count: usize,
) -> ssize_t {
    match (table::entry(out_fd), table::entry(in_fd)) {
        // SAFETY: the caller's own arguments.
        (Entry::Foreign, Entry::Foreign) => unsafe { kernel::sendfile(out_fd, in_fd, offset, count) },
        _ => size(sendfile_at(out_fd, in_fd, offset as usize, count)),
    }
}

fn sendfile_at(out: c_int, input: c_int, at: usize, count: usize) -> Result<usize> {
    if at == 0 {
        return sendfile(out, input, None, count);
    }
    let offset = user::read::<i64>(at)?;
    let sent = sendfile(out, input, Some(offset), count)?;
    user::write(at, offset.saturating_add_unsigned(sent as u64))?;
    Ok(sent)
}
