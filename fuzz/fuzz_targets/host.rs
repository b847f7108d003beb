//! What programs and strangers say to a host: requests with and without the token, with a socket that is lent, and any
//! bytes, in one packet or several. What the host says of itself in its log is what a mistake would show in.
#![no_main]

mod bytes;
mod mistakes;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye::{
    host::{self, Options},
    sys::{
        readiness,
        unix::{self, Kind},
    },
};
use sockeye_shim::{
    format::{DatagramHeader, Op, Request, Response},
    kernel,
    name::Meaning,
    path::Path,
    report::Report,
};
use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    sync::OnceLock,
    thread,
    time::Duration,
};

const TOKEN: [u8; 16] = [5; 16];
/// Where a request has what it asks, and the token.
const OP: usize = 6;
const SECRET: std::ops::Range<usize> = 8..24;
/// Requests about two sockets at most.
const REQUESTS: usize = 8;

/// The name of the stack, whose host runs in a thread of this process.
fn stack() -> &'static [u8] {
    static STACK: OnceLock<Vec<u8>> = OnceLock::new();
    STACK.get_or_init(|| {
        let name = format!("fuzz-{}", std::process::id());
        let options = Options { name: name.clone(), net: "null:,log=off".to_owned(), token: Some(TOKEN) };
        thread::spawn(move || host::run(&options).expect("a host"));
        let name = name.into_bytes();
        while reach(&name).is_none() || enter(&name).is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        name
    })
}

/// By the public name.
fn reach(stack: &[u8]) -> Option<OwnedFd> {
    let fd = unix::open(Kind::Packets).ok()?;
    unix::connect(fd.as_fd(), Meaning::Control.name(stack)?.as_bytes()).ok().map(|()| fd)
}

/// By the secret path, where descriptors are taken at once.
fn enter(stack: &[u8]) -> Option<OwnedFd> {
    let fd = unix::open(Kind::Packets).ok()?;
    unix::connect_path(fd.as_fd(), Path::of(stack, &TOKEN, kernel::network_of(fd.as_raw_fd()))?.as_bytes())
        .ok()
        .map(|()| fd)
}

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes::new(data);
    let (how, stack) = (input.u8(), stack());
    match how & 3 {
        0 => parse(input.rest()),
        1 => lend(stack, how, &mut input),
        2 => _ = ask(stack, how, &mut input, &[]),
        _ => meet(stack, how, &mut input),
    }
    mistakes::none_since();
});

/// What both sides read of each other.
fn parse(data: &[u8]) {
    let _ = (Request::from_bytes(data), Response::from_bytes(data), Report::from_bytes(data));
    let _ = DatagramHeader::from_bytes(data);
    let _ = Meaning::read(data, b"fuzz");
}

/// A request, about the sockets that are lent, and what comes behind it.
fn ask(stack: &[u8], how: u8, input: &mut Bytes<'_>, lent: &[RawFd]) -> Option<()> {
    let fd = if lent.is_empty() { reach(stack)? } else { enter(stack)? };
    let op = input.u8();
    let mut packet = Request::new(Op::Join, [0; 16]).to_bytes().to_vec();
    let (from, len) = (usize::from(input.u16()), usize::from(input.u16()));
    let bytes = input.take(len.min(2400));
    let from = from % packet.len();
    packet.resize(packet.len().max(from + bytes.len()), 0);
    packet[from..from + bytes.len()].copy_from_slice(bytes);
    if how & 4 == 0 {
        packet[OP..OP + 2].copy_from_slice(&u16::from(op).to_le_bytes());
        packet[SECRET].copy_from_slice(&TOKEN);
    }
    // It would end the host.
    if packet[OP..OP + 2] == (Op::Stop as u16).to_le_bytes() {
        return None;
    }
    kernel::lend(fd.as_raw_fd(), &packet, lent).ok()?;
    if how & 8 != 0 {
        let _gone = unix::send(fd.as_fd(), input.take(512), 0);
    }
    if how & 16 == 0 && readiness::wait_readable(fd.as_fd(), Duration::from_millis(2)) {
        let _nothing = unix::recv(fd.as_fd(), &mut [0; 4096], 0);
    }
    Some(())
}

/// Which kind of socket is lent.
fn kind(how: u8) -> Kind {
    if how & 32 == 0 { Kind::Stream } else { Kind::Datagrams }
}

/// Requests about a socket, and data through it.
fn lend(stack: &[u8], how: u8, input: &mut Bytes<'_>) {
    let Ok(socket) = unix::open(kind(how)) else { return };
    for _ in 0..=(how >> 6) {
        if ask(stack, how, input, &[socket.as_raw_fd()]).is_none() {
            return;
        }
    }
    let _gone = unix::send(socket.as_fd(), input.take(4096), 0);
}

/// Requests about two sockets, or both, which may come to be connected with each other; and data from the second to
/// the first, or to what that accepts.
fn meet(stack: &[u8], how: u8, input: &mut Bytes<'_>) {
    let (Ok(first), Ok(second)) = (unix::open(kind(how)), unix::open(kind(how))) else { return };
    let both = [first.as_raw_fd(), second.as_raw_fd()];
    for _ in 0..REQUESTS {
        let lent = match input.u8() & 3 {
            0 => break,
            1 => &both[..1],
            2 => &both[1..],
            _ => &both[..],
        };
        if ask(stack, how, input, lent).is_none() {
            return;
        }
    }
    let _gone = unix::send(second.as_fd(), input.take(2048), 0);
    if readiness::wait_readable(first.as_fd(), Duration::from_millis(2)) {
        let accepted = unix::accept(first.as_fd()).ok();
        let end = accepted.as_ref().map_or(first.as_fd(), AsFd::as_fd);
        let _nothing = unix::recv(end, &mut [0; 4096], 0);
        let _gone = unix::send(end, b"back", 0);
    }
}
