//! What programs and strangers say to a host: requests with and without the token, with a socket that is lent, and any
//! bytes, in one packet or several. What the host says of itself in its log is what a mistake would show in.
#![no_main]

mod bytes;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye::{
    host::{self, Options},
    sys::{
        log, readiness,
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
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

const TOKEN: [u8; 16] = [5; 16];
/// Where a request has what it asks, and the token.
const OP: usize = 6;
const SECRET: std::ops::Range<usize> = 8..24;

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
        _ => drop(ask(stack, how, &mut input, None)),
    }
    check_log();
});

/// Reads what the host has said since the last time.
fn check_log() {
    static READ: AtomicU64 = AtomicU64::new(0);
    let (from, said) = log::read(READ.load(Relaxed), usize::MAX);
    READ.store(from + said.len() as u64, Relaxed);
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("a mistake of ours"), "{said}");
}

/// What both sides read of each other.
fn parse(data: &[u8]) {
    let _ = (Request::from_bytes(data), Response::from_bytes(data), Report::from_bytes(data));
    let _ = DatagramHeader::from_bytes(data);
    let _ = Meaning::read(data, b"fuzz");
}

/// A request, about a socket if one is lent, and what comes behind it.
fn ask(stack: &[u8], how: u8, input: &mut Bytes<'_>, lent: Option<&OwnedFd>) -> Option<()> {
    let fd = if lent.is_some() { enter(stack)? } else { reach(stack)? };
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
    kernel::lend(fd.as_raw_fd(), &packet, lent.map(AsRawFd::as_raw_fd).as_slice()).ok()?;
    if how & 8 != 0 {
        let _gone = unix::send(fd.as_fd(), input.take(512), 0);
    }
    if how & 16 == 0 && readiness::wait_readable(fd.as_fd(), Duration::from_millis(2)) {
        let _nothing = unix::recv(fd.as_fd(), &mut [0; 4096], 0);
    }
    Some(())
}

/// Requests about a socket, and data through it.
fn lend(stack: &[u8], how: u8, input: &mut Bytes<'_>) {
    let kind = if how & 32 == 0 { Kind::Stream } else { Kind::Datagrams };
    let Ok(socket) = unix::open(kind) else { return };
    for _ in 0..=(how >> 6) {
        if ask(stack, how, input, Some(&socket)).is_none() {
            return;
        }
    }
    let _gone = unix::send(socket.as_fd(), input.take(4096), 0);
}
