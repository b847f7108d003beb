//! sendmmsg(2) and recvmmsg(2): many messages in one call. Both are cancellation points.

use super::{count, message::Header, receive::recv_message, waiting};
use crate::{
    engine,
    error::{Error, Result},
    socket::{options, poll::Timeout, table},
    sys::user,
};
use libc::{mmsghdr, timespec};
use std::{
    ffi::{c_int, c_uint},
    mem::offset_of,
};

/// UIO_MAXIOV: more messages are not looked at.
const MOST: usize = 1024;

/// The `index`th of the messages at `vec`.
fn message(vec: usize, index: usize) -> Result<usize> {
    index.checked_mul(size_of::<mmsghdr>()).and_then(|offset| vec.checked_add(offset)).ok_or(Error::Fault)
}

/// Writes msg_len.
fn report(message: usize, len: usize) -> Result<()> {
    user::write(message + offset_of!(mmsghdr, msg_len), u32::try_from(len).unwrap_or(u32::MAX))
}

/// Sends several messages. See sendmmsg(2).
///
/// @param fd      a socket
/// @param msgvec  the messages; msg_len receives how many bytes of each were sent
/// @param vlen    how many; those beyond the first 1024 are not sent
/// @param flags   as sockeye_send()
/// @return how many were sent, fewer when one fails or a stream takes only a part of one; or -1 with errno as
///         sockeye_sendmsg() when the first fails
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_sendmmsg(fd: c_int, msgvec: *mut mmsghdr, vlen: c_uint, flags: c_int) -> c_int {
    count(send_many(fd, msgvec as usize, (vlen as usize).min(MOST), flags))
}

fn send_many(fd: c_int, vec: usize, len: usize, flags: c_int) -> Result<usize> {
    table::socket(fd)?;
    for done in 0..len {
        match send_one(fd, vec, done, flags) {
            Ok(true) => {}
            Ok(false) => return Ok(done + 1),
            Err(error) if done == 0 => return Err(error),
            Err(_) => return Ok(done),
        }
    }
    Ok(len)
}

/// Whether all of it was sent.
fn send_one(fd: c_int, vec: usize, index: usize, flags: c_int) -> Result<bool> {
    let at = message(vec, index)?;
    let header = Header::read(at)?;
    let sent = header.send(fd, flags)?;
    report(at, sent)?;
    Ok(sent >= header.buffers()?.len())
}

/// Receives several messages. See recvmmsg(2). As on Linux the time is looked at after each message only: a call that
/// waits for the next one waits as long as the socket's SO_RCVTIMEO allows.
///
/// @param fd       a socket
/// @param msgvec   the messages; msg_len receives the length of each
/// @param vlen     how many at most
/// @param flags    as sockeye_recv(), and MSG_WAITFORONE: only the first is waited for
/// @param timeout  the time after which no further message is waited for, or NULL; receives what is left of it
/// @return how many were received; or -1 with errno as sockeye_recvmsg() when there is none, and EINVAL for a bad time
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn sockeye_recvmmsg(
    fd: c_int,
    msgvec: *mut mmsghdr,
    vlen: c_uint,
    flags: c_int,
    timeout: *mut timespec,
) -> c_int {
    count(receive_many(fd, msgvec as usize, vlen as usize, flags, timeout as usize))
}

fn receive_many(fd: c_int, vec: usize, len: usize, mut flags: c_int, time: usize) -> Result<usize> {
    let until = match waiting::timespec(time)? {
        Timeout::Now => Some(engine::now()),
        timeout => timeout.deadline(),
    };
    let socket = table::socket(fd)?;
    if flags & libc::MSG_ERRQUEUE == 0
        && let Some(error) = options::pending_error(&socket)?
    {
        return Err(error);
    }
    let mut done = 0;
    while done < len {
        match receive_one(fd, vec, done, flags & !libc::MSG_WAITFORONE) {
            Ok(urgent) => {
                done += 1;
                if flags & libc::MSG_WAITFORONE != 0 {
                    flags |= libc::MSG_DONTWAIT;
                }
                let left = until.map(|until| until.since(engine::now()));
                if let Some(left) = left {
                    user::write(time, [left.as_secs() as libc::c_long, left.subsec_nanos().into()])?;
                }
                if urgent || left.is_some_and(|left| left.is_zero()) {
                    break;
                }
            }
            Err(error) if done == 0 => return Err(error),
            // Messages that came count more than the failure, which the next call reports.
            Err(error) => {
                options::keep_error(&socket, error);
                break;
            }
        }
    }
    Ok(done)
}

/// Whether it was urgent data.
fn receive_one(fd: c_int, vec: usize, index: usize, flags: c_int) -> Result<bool> {
    let at = message(vec, index)?;
    let received = recv_message(fd, at, flags)?;
    report(at, received)?;
    Ok(user::read::<i32>(at + offset_of!(libc::msghdr, msg_flags))? & libc::MSG_OOB != 0)
}
