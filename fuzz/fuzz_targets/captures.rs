//! Captures that others have made, replayed into a stack behind a capture of our own, which must hold what passed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pcap_file::{
    pcap::PcapParser,
    pcapng::{Block, PcapNgParser},
};
use sockeye::{
    buf::Frame,
    device::{Device, capture::Capture, link::Link},
    rng::SeededRng,
    stack::{Capabilities, Config, IfaceId, Medium, Stack},
    time::{Duration, Instant},
};
use std::{fs, os::fd::FromRawFd, path::Path, time::Duration as Wall};

/// Packets that are replayed at most, and how long they may be.
const PACKETS: usize = 16;
const LONGEST: usize = 70_000;

fuzz_target!(|data: &[u8]| {
    let (first, data) = data.split_first().map_or((0, data), |(first, rest)| (*first, rest));
    let medium = if first & 1 == 0 { Medium::Ethernet } else { Medium::Ip };
    let packets = if first & 2 == 0 { of_pcapng(data) } else { of_pcap(data) };
    let passed = replay(medium, &packets);
    assert_eq!(passed.0, of_pcapng(&passed.1).len(), "the capture has not what passed");
});

fn fits(packet: &[u8]) -> bool {
    !packet.is_empty() && packet.len() <= LONGEST
}

// Parsers and no readers, which begin with a buffer of megabytes.
fn of_pcapng(data: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let Ok((mut rest, mut parser)) = PcapNgParser::new(data) else { return packets };
    while let Ok((behind, block)) = parser.next_block(rest) {
        rest = behind;
        match block {
            Block::EnhancedPacket(packet) => packets.push(packet.data.into_owned()),
            Block::SimplePacket(packet) => packets.push(packet.data.into_owned()),
            _ => {}
        }
    }
    packets
}

fn of_pcap(data: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let Ok((mut rest, parser)) = PcapParser::new(data) else { return packets };
    while let Ok((behind, packet)) = parser.next_packet(rest) {
        rest = behind;
        packets.push(packet.data.into_owned());
    }
    packets
}

/// How many frames went in and out, and what was recorded of them.
fn replay(medium: Medium, packets: &[Vec<u8>]) -> (usize, Vec<u8>) {
    // SAFETY: a C string; the descriptor is the file's alone.
    let memory = unsafe { fs::File::from_raw_fd(libc::memfd_create(c"capture".as_ptr(), libc::MFD_CLOEXEC)) };
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&memory));
    let caps = Capabilities { medium, mtu: 1500, max_frame: 1500, tx_checksum: false };
    let (near, far) = Link::pair(caps, caps);
    let wall = || Wall::from_secs(1_700_000_000).into();
    let device = Capture::create(Box::new(near), Some("t0"), Path::new(&path), wall).expect("a capture in memory");
    let config = Config::parse("tap:t0,ip=10.0.0.1/24,gw=10.0.0.254,mac=02:00:00:00:00:01").expect("a specification");
    let mut now = Instant::ZERO + Duration::from_secs(1);
    let mut stack = Stack::new(&config, Some(caps), Box::new(SeededRng::new([1, 2])), now);
    let mut passed = 0;
    for packet in packets.iter().filter(|packet| fits(packet)).take(PACKETS) {
        now = now + Duration::from_millis(3);
        let mut frame = Frame::new();
        frame.push_bytes(packet);
        far.send(&frame, now).expect("there is room");
        while let Ok(Some(received)) = device.recv(now) {
            passed += 1;
            stack.receive(IfaceId::DEVICE, received, now);
        }
        while let Some(frame) = stack.poll_transmit(now) {
            passed += 1;
            device.send(&frame, now).expect("there is room");
            while let Ok(Some(_)) = far.recv(now) {}
        }
        if stack.next_deadline().is_some_and(|at| at <= now) {
            stack.on_timer(now);
        }
    }
    device.flush();
    (passed, fs::read(&path).expect("a file in memory"))
}
