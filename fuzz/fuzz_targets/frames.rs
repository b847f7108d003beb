//! Frames into two stacks with live connections between them: raw ones, those of their own that are changed on the way,
//! lost, or sent twice, while both sides use their sockets and time passes.
#![no_main]

mod bytes;
#[path = "../../tests/wire_pair/mod.rs"]
mod wire_pair;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use sockeye::{
    stack::{Medium, Protocol, SocketId},
    tcp::{BufferSize, Shutdown},
    time::Duration,
    wire::checksum,
};
use std::{cell::RefCell, collections::VecDeque, net::IpAddr, rc::Rc};
use wire_pair::{Pair, Side, Wire, end};

/// Turns and sockets of one run.
const TURNS: usize = 150;
const SOCKETS: usize = 24;
/// Steps in which time goes on at the end.
const STEPS: usize = 200;
/// What is sent at once at most: small segments cost more than they show.
const SENT: [usize; 2] = [4000, 65_535];

/// What happens to a frame on the way.
enum Fate {
    Lost,
    Changed { at: usize, to: u8, is_mended: bool },
    Cut(usize, bool),
}

/// What the wire does, and has seen.
#[derive(Default)]
struct Way {
    fates: VecDeque<Fate>,
    last: [Vec<u8>; 2],
}

fuzz_target!(|data: &[u8]| run(&mut Bytes::new(data)));

fn run(input: &mut Bytes<'_>) {
    let medium = input.one_of(&[Medium::Ethernet, Medium::Ip]);
    // On a link of less than 88 bytes a segment of the smallest MSS, 48 (tcp_min_snd_mss), does not fit.
    let mtu = input.one_of(&[1500, 576, 88, 9000, 65_535]);
    let max_frame = if input.u8() & 1 == 0 { mtu } else { 65_535 };
    let most = SENT[usize::from(max_frame > mtu)];
    let link = if medium == Medium::Ethernet { 14 } else { 0 };
    let mut pair = Pair::on(Wire { medium, mtu, max_frame, seed: 7, ..Wire::default() });
    pair.keep_sent = false;
    let (client, server) = pair.connected(Side::A, 80);
    let way = Rc::new(RefCell::new(Way::default()));
    let seen = Rc::clone(&way);
    pair.filter = Some(Box::new(move |side, frame| pass(&mut seen.borrow_mut(), side, frame, link)));
    let mut sockets = vec![(Side::A, client), (Side::B, server)];
    for side in [Side::A, Side::B] {
        sockets.push((side, pair.udp(side, 53)));
        sockets.push((side, pair.listen(side, 81, 2)));
    }
    for _ in 0..TURNS {
        if input.is_over() {
            break;
        }
        turn(input, &mut pair, &way, &mut sockets, (link, most));
    }
    for (side, id) in sockets {
        pair.close(side, id);
    }
    let until = pair.now + Duration::from_secs(400);
    for _ in 0..STEPS {
        if !pair.step(until) {
            break;
        }
        pair.events.clear();
    }
}

fn pass(way: &mut Way, side: Side, frame: &mut Vec<u8>, link: usize) -> bool {
    way.last[side as usize].clone_from(frame);
    match way.fates.pop_front() {
        None => true,
        Some(Fate::Lost) => false,
        Some(Fate::Changed { at, to, is_mended }) => {
            let len = frame.len();
            frame[at % len] = to;
            if is_mended {
                mend(frame, link);
            }
            true
        }
        Some(Fate::Cut(len, is_mended)) => {
            frame.truncate(len.max(1));
            if is_mended {
                mend(frame, link);
            }
            true
        }
    }
}

fn turn(
    input: &mut Bytes<'_>,
    pair: &mut Pair,
    way: &RefCell<Way>,
    sockets: &mut Vec<(Side, SocketId)>,
    (link, most): (usize, usize),
) {
    let op = input.u8() % 18;
    let (side, id) = sockets[usize::from(input.u8()) % sockets.len()];
    match op {
        0 => {
            let len = usize::from(input.u8()) * 8 + usize::from(input.u8() & 7);
            pair.inject(side, input.take(len));
        }
        // A frame that has passed, changed in some places.
        1..=4 => {
            let mut frame = way.borrow().last[side as usize].clone();
            for _ in 0..input.u8() % 8 {
                let (at, to) = (usize::from(input.u8()), input.u8());
                let len = frame.len().max(1);
                if let Some(byte) = frame.get_mut(at % len) {
                    *byte = to;
                }
            }
            if input.u8() & 1 == 1 {
                let more = usize::from(input.u8());
                frame.extend_from_slice(input.take(more));
                resize(&mut frame, link);
            }
            if op != 4 {
                mend(&mut frame, link);
            }
            pair.inject(side, &frame);
        }
        5 => way.borrow_mut().fates.push_back(Fate::Lost),
        6 => {
            let (at, to, is_mended) = (usize::from(input.u8()), input.u8(), input.u8() & 1 == 0);
            way.borrow_mut().fates.push_back(Fate::Changed { at, to, is_mended });
        }
        7 => {
            let fate = Fate::Cut(usize::from(input.u8()), input.u8() & 1 == 0);
            way.borrow_mut().fates.push_back(fate);
        }
        8 | 9 => {
            let data = vec![input.u8(); usize::from(input.u16()).min(most)];
            let to = if input.u8() & 1 == 0 { None } else { Some(end(side.other(), input.one_of(&[53, 80, 81, 9]))) };
            let _ = pair.send_to(side, id, &data, to);
        }
        10 => _ = pair.recv(side, id),
        11 => {
            let (how, now) = (input.one_of(&[Shutdown::Read, Shutdown::Write, Shutdown::Both]), pair.now);
            let _ = pair.stack(side).shutdown(id, how, now);
        }
        12 if sockets.len() > 2 => {
            sockets.retain(|(_, other)| *other != id);
            pair.close(side, id);
        }
        13 if sockets.len() < SOCKETS => {
            let protocol = input.one_of(&[Protocol::Tcp, Protocol::Udp]);
            let new = pair.open(side, protocol);
            let _ = pair.connect(side, new, end(input.one_of(&[Side::A, Side::B]), input.one_of(&[53, 80, 81, 9])));
            sockets.push((side, new));
        }
        14 => {
            let now = pair.now;
            if let Ok((accepted, _)) = pair.stack(side).accept(id, now) {
                sockets.push((side, accepted));
            }
        }
        15 => {
            let pair_stack = pair.stack(side);
            if let Ok(settings) = pair_stack.tcp_settings(id) {
                settings.nodelay = input.u8() & 1 == 0;
                settings.recv_buffer = BufferSize::Fixed(usize::from(input.u16()) + 2_304);
            }
            let now = pair.now;
            pair.stack(side).on_settings_changed(id, now);
        }
        16 => pair.run_for(Duration::from_micros(u64::from(input.u16()) * 100)),
        _ => pair.run(),
    }
    pair.pump();
    pair.events.clear();
}

/// The IP header says how long the frame is.
fn resize(frame: &mut [u8], link: usize) {
    let Some(ip) = frame.get_mut(link..).filter(|ip| ip.len() >= 20) else { return };
    let len = u16::try_from(ip.len()).unwrap_or(u16::MAX).to_be_bytes();
    ip[2..4].copy_from_slice(&len);
}

/// All checksums are right again, as far as the frame has any.
fn mend(frame: &mut [u8], link: usize) {
    let Some(ip) = frame.get_mut(link..).filter(|ip| ip.len() >= 20) else { return };
    let header = (usize::from(ip[0] & 15) * 4).clamp(20, ip.len());
    ip[10..12].fill(0);
    let sum = !checksum::fold(checksum::add(0, &ip[..header]));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let addr = |at: usize| IpAddr::from([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let (src, dst, protocol) = (addr(12), addr(16), ip[9]);
    let len = usize::from(u16::from_be_bytes([ip[2], ip[3]])).clamp(header, ip.len());
    let body = &mut ip[header..len];
    let field = match protocol {
        1 => 2,
        6 => 16,
        17 => 6,
        _ => return,
    };
    let Some(place) = body.get_mut(field..field + 2) else { return };
    place.fill(0);
    let sum = match protocol {
        1 => !checksum::fold(checksum::add(0, body)),
        protocol => checksum::transport(src, dst, protocol, body),
    };
    body[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}
