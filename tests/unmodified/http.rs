//! The kernel's client of a web server on the stack: pages, and load. To be called inside the namespace.

use crate::{netns::OURS, running::PATIENCE};
use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// A connection to our port.
pub fn connect(port: u16, limit: Duration) -> io::Result<TcpStream> {
    let ours: SocketAddr = format!("{OURS}:{port}").parse().expect("an address");
    let stream = TcpStream::connect_timeout(&ours, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// A page, on a connection of its own that the server closes.
pub fn page(port: u16, path: &str, limit: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(port, limit)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {OURS}\r\n\r\n")?;
    let (mut page, length) = begin(&mut stream)?;
    stream.read_to_end(&mut page)?;
    match length {
        Some(length) if length != page.len() => Err(io::Error::other(format!("{} of {length} bytes", page.len()))),
        _ => Ok(page),
    }
}

/// A page, on a connection of its own that we close: it is in TIME-WAIT here, not there.
pub fn page_of_known_length(port: u16, path: &str, limit: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(port, limit)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {OURS}\r\n\r\n")?;
    let (mut page, length) = begin(&mut stream)?;
    let begun = page.len();
    page.resize(length.ok_or(io::ErrorKind::InvalidData)?, 0);
    stream.read_exact(&mut page[begun..])?;
    Ok(page)
}

/// Reads the head of an answer: the page's beginning, and its length if that is said.
fn begin(stream: &mut TcpStream) -> io::Result<(Vec<u8>, Option<usize>)> {
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    let head_end = loop {
        if let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&piece[..n]),
        }
    };
    let page = answer.split_off(head_end + 4);
    let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    if head.split(' ').nth(1).is_none_or(|code| code != "200") {
        return Err(io::Error::other(head));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    Ok((page, length.and_then(|length| length.parse().ok())))
}

/// A page of a server that may be on its way up.
pub fn page_when_up(port: u16, path: &str) -> Vec<u8> {
    let end = Instant::now() + PATIENCE;
    loop {
        match page(port, path, Duration::from_secs(2)) {
            Ok(page) => return page,
            Err(error) => assert!(Instant::now() < end, "port {port}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Asks for a page so many times, so many at once, each on a connection of its own; gives the errors there were.
pub fn load(port: u16, path: &str, expected: &[u8], requests: usize, at_once: usize) -> Vec<String> {
    let begun = AtomicUsize::new(0);
    let client = || {
        let mut errors = Vec::new();
        while begun.fetch_add(1, Ordering::Relaxed) < requests {
            match page(port, path, PATIENCE) {
                Ok(page) if page == expected => {}
                Ok(page) => errors.push(format!("another page, of {} bytes", page.len())),
                Err(error) => errors.push(error.to_string()),
            }
        }
        errors
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..at_once).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|client| client.join().expect("a client does not panic")).collect()
    })
}
