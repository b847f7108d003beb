//! close(2) and SO_LINGER.

use super::{
    epoll,
    file::{Handle, Last, Object, Patience},
    table,
};
use crate::{
    error::Error,
    ready::Ready,
    stack::Protocol,
    sys::{fork, placeholder},
    tcp::Shutdown,
    time::Duration,
};

/// close(2) of a descriptor of ours. False when it is not ours: the kernel's to close.
#[must_use]
pub fn close(fd: i32) -> bool {
    let Some(file) = table::remove(fd) else { return false };
    placeholder::close(fd);
    // A forked child shares nothing with its parent's stack; its copy of a lock may be held by nobody.
    if !fork::is_child() {
        finish(file.release());
    }
    true
}

/// Ends what the last descriptor referred to. May sleep for SO_LINGER.
pub fn finish(last: Option<Last>) {
    match last {
        Some(Last { object: Object::Socket(socket), linger }) => {
            if let (Some(linger), Protocol::Tcp) = (linger.filter(|time| !time.is_zero()), socket.protocol) {
                wait_for_acknowledgement(&socket, linger);
            }
            abandon_socket(&socket);
        }
        Some(Last { object: Object::Epoll(epoll), .. }) => epoll::shut(epoll),
        None => {}
    }
}

/// Like [`finish`], but never sleeps: for exit(), which waits for all at once.
pub fn abandon(last: Last) {
    if let Object::Socket(socket) = last.object {
        abandon_socket(&socket);
    }
}

fn abandon_socket(socket: &Handle) {
    // A panic in there has closed nothing that could be closed otherwise.
    let _ = socket.with(|stack, id, now| {
        stack.close(id, now);
        Ok(())
    });
    socket.engine.forget(socket.id);
}

/// SO_LINGER with a time: the FIN goes out, and until everything is acknowledged, the time has passed or a signal came,
/// the caller waits. Data left unread means a reset, for which nobody waits (Linux tcp_close; RFC 2525 section 2.17).
fn wait_for_acknowledgement(socket: &Handle, linger: Duration) {
    let until = socket.engine.now() + linger;
    let worthwhile = socket.with(|stack, id, now| {
        let unread = stack.readable(id)?;
        if unread == 0 { stack.shutdown(id, Shutdown::Write, now).map(|()| true) } else { Ok(false) }
    });
    if worthwhile != Ok(true) {
        return;
    }
    // The connection says OUT once its FIN is acknowledged, and when it is over.
    let _in_time = socket.transfer(Ready::OUT, Patience::Until(until), |stack, id, _| match stack.unacknowledged(id) {
        Ok(left) if left > 0 => Err(Error::WouldBlock),
        _ => Ok(()),
    });
}
