//! What programs and strangers say to a host: requests with and without the token, headers, and any bytes, in one packet
//! or several. What the host says of itself in its log is what a mistake would show in.
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
    format::{ConnectHeader, DatagramHeader, Op, Request, Response},
    name::Meaning,
    report::Report,
};
use std::{
    os::fd::{AsFd, OwnedFd},
    sync::OnceLock,
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
        while reach(&name, Meaning::Control, Kind::Packets).is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        name
    })
}

fn reach(stack: &[u8], meaning: Meaning, kind: Kind) -> Option<OwnedFd> {
    let fd = unix::open(kind).ok()?;
    unix::connect(fd.as_fd(), meaning.name(stack)?.as_bytes()).ok().map(|()| fd)
}

fuzz_target!(|data: &[u8]| {
    let mut input = Bytes::new(data);
    let (how, stack) = (input.u8(), stack());
    match how & 3 {
        0 => parse(input.rest()),
        1 => connect(stack, how, input.rest()),
        _ => ask(stack, how, &mut input),
    }
    let (_, said) = log::read(0, usize::MAX);
    let said = String::from_utf8_lossy(&said);
    assert!(!said.contains("a mistake of ours"), "{said}");
});

/// What both sides read of each other.
fn parse(data: &[u8]) {
    let _ = (Request::from_bytes(data), Response::from_bytes(data), Report::from_bytes(data));
    let _ = (ConnectHeader::from_bytes(data), DatagramHeader::from_bytes(data));
    let _ = Meaning::read(data, b"fuzz");
}

/// A request, and what comes behind it.
fn ask(stack: &[u8], how: u8, input: &mut Bytes<'_>) {
    let Some(fd) = reach(stack, Meaning::Control, Kind::Packets) else { return };
    let op = input.u8();
    let mut packet = Request::new(Op::Join, [0; 16], 0).to_bytes().to_vec();
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
        return;
    }
    if unix::send(fd.as_fd(), &packet, 0).is_err() {
        return;
    }
    if how & 8 != 0 {
        let _gone = unix::send(fd.as_fd(), input.take(512), 0);
    }
    if how & 16 == 0 && readiness::wait_readable(fd.as_fd(), Duration::from_millis(2)) {
        let _nothing = unix::recv(fd.as_fd(), &mut [0; 4096], 0);
    }
}

/// A header at the name for connections, and data.
fn connect(stack: &[u8], how: u8, data: &[u8]) {
    let Some(fd) = reach(stack, Meaning::Connect, Kind::Stream) else { return };
    let (head, rest) = data.split_at(data.len().min(ConnectHeader::SIZE));
    let mut head = head.to_vec();
    if how & 4 == 0 && head.len() >= 28 {
        head[12..28].copy_from_slice(&TOKEN);
    }
    let _gone = unix::send(fd.as_fd(), &head, 0);
    let _gone = unix::send(fd.as_fd(), rest, 0);
}
