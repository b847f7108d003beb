//! sendfile(2): from a file of the kernel to a socket of ours.

use super::{
    send::{Send, send},
    table::{self, Entry},
};
use crate::{
    error::{Error, Result},
    sys::{
        file,
        user::{Buffers, MAX_BYTES},
    },
};

/// Bytes read and sent at once: as many as the kernel's sendfile hands to a socket in one piece.
const PIECE: usize = 64 * 1024;

/// Sends up to `count` bytes of `input` from `offset` on, or from its own position, which then moves by what was sent.
/// Returns how many were sent, fewer at the file's end or when the socket takes no more.
///
/// # Errors
/// As sendfile(2): `Invalid` for an input that cannot be read at a place of choice, `NotSeekable` if an offset was
/// named.
pub fn sendfile(out: i32, input: i32, offset: Option<i64>, count: usize) -> Result<usize> {
    if !matches!(table::entry(input), Entry::Foreign) {
        return Err(if offset.is_some() { Error::NotSeekable } else { Error::Invalid });
    }
    let start = match (offset, file::position(input)) {
        (_, Err(Error::BadDescriptor)) => return Err(Error::BadDescriptor),
        (None, Err(_)) | (Some(..0), _) => return Err(Error::Invalid),
        (Some(_), Err(error)) => return Err(error),
        (Some(at), Ok(_)) | (None, Ok(at)) => at,
    };
    table::socket(out)?;
    let sent = send_pieces(out, input, start, count.min(MAX_BYTES));
    if let (None, Ok(sent)) = (offset, sent) {
        file::set_position(input, start.saturating_add_unsigned(sent as u64))?;
    }
    sent
}

fn send_pieces(out: i32, input: i32, start: i64, count: usize) -> Result<usize> {
    let end = file::size(input)?;
    let mut piece = [0; PIECE];
    let mut done = 0;
    while done < count {
        let most = PIECE.min(count - done);
        let at = start.saturating_add_unsigned(done as u64);
        let (read, sent) = match file::read_at(input, &mut piece[..most], at) {
            Ok(0) => break,
            Ok(read) => {
                // More to come, so that no segment goes out short in between.
                let more = done + read < count && at.saturating_add_unsigned(read as u64) < end;
                let flags = if more { libc::MSG_MORE } else { 0 };
                let buffers = Buffers::one(piece.as_ptr() as usize, read);
                (read, send(out, Send { buffers, flags, dest: None, control: &[] }))
            }
            Err(error) => (0, Err(error)),
        };
        match sent {
            Ok(sent) => done += sent,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
        if sent.is_ok_and(|sent| sent < read) {
            break;
        }
    }
    Ok(done)
}
