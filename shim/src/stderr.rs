//! A line for whoever runs the program: on standard error, or by syslog(3). A socket that has that number may have a
//! client at its other end (inetd(8) hands a server its connection as 0, 1 and 2), so that no line is ever written to
//! one.

use crate::{
    Errno, Result,
    kernel::{self, UnixAddress},
};

const STDERR: i32 = 2;
const LOG: &[u8] = b"/dev/log";
/// LOG_USER and LOG_ERR, as a line begins on its way there (RFC 3164 section 4.1.1).
const PRIORITY: &[u8] = b"<11>";

/// Writes `sockeye: ` and a line to standard error, in one call.
///
/// # Errors
///
/// EBADF if that is a socket, too; those of writev(2).
pub fn write(line: &[u8]) -> Result<()> {
    match kernel::option::<i32>(STDERR, libc::SO_TYPE) {
        Err(Errno(libc::ENOTSOCK)) => kernel::write_pieces(STDERR, &[b"sockeye: ", line, b"\n"]).map(drop),
        _ => Err(Errno(libc::EBADF)),
    }
}

/// Gives a line to the system's log, unless there is none or it would have to be waited for.
pub fn log(line: &[u8]) {
    log_at(LOG, line);
}

fn log_at(path: &[u8], line: &[u8]) {
    let Some(log) = UnixAddress::of_path(path) else { return };
    if let Ok(fd) = kernel::socket(libc::AF_UNIX, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) {
        // There is nobody left to tell that there is no log.
        let _ = kernel::send_pieces(fd, &log, &[PRIORITY, b"sockeye: ", line]);
        let _ = kernel::close(fd);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::{ffi::OsStrExt, net::UnixDatagram};

    #[test]
    fn the_systems_log_gets_the_line_and_how_bad_it_is() {
        let path = std::env::temp_dir().join(format!("sockeye-log-{}", std::process::id()));
        let log = UnixDatagram::bind(&path).expect("a log");
        log_at(path.as_os_str().as_bytes(), b"no network");
        log.set_nonblocking(true).expect("a flag");
        let mut bytes = [0; 64];
        let len = log.recv(&mut bytes);
        std::fs::remove_file(&path).expect("it was made above");
        assert_eq!(&bytes[..len.expect("a line")], b"<11>sockeye: no network");
    }
}
