use super::*;
use crate::device::link::Link;
use pcap_file::pcapng::{Block, PcapNgReader};
use std::path::PathBuf;

const CAPS: Capabilities = Capabilities { medium: Medium::Ip, mtu: 1500, max_frame: 65_535, tx_checksum: true };

/// A path in the temporary directory that is removed with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("sockeye-{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Noon of a day.
fn wall() -> Duration {
    Duration::from_secs(1_000_000)
}

fn capture(name: &str) -> (Capture, Link, Scratch) {
    let (near, far) = Link::pair(CAPS, CAPS);
    let path = Scratch::new(name);
    (Capture::create(Box::new(near), Some("t0"), &path.0, wall).unwrap(), far, path)
}

/// Direction, time and bytes of each packet in the file.
fn records(path: &Scratch) -> Vec<(u32, Duration, Vec<u8>)> {
    let mut reader = PcapNgReader::new(File::open(&path.0).unwrap()).unwrap();
    let mut records = Vec::new();
    while let Some(block) = reader.next_block() {
        if let Block::EnhancedPacket(packet) = block.unwrap() {
            let Some(EnhancedPacketOption::Flags(direction)) = packet.options.first() else { panic!("no direction") };
            records.push((*direction, packet.timestamp, packet.data.to_vec()));
        }
    }
    assert_eq!(reader.interfaces()[0].linktype, DataLink::RAW);
    records
}

fn tcp_frame() -> Frame {
    let mut frame = Frame::new();
    let tcp = frame.append(20);
    tcp[12] = 0x50;
    // The pseudo-header between unspecified addresses: protocol and length.
    tcp[16..18].copy_from_slice(&(6 + 23_u16).to_be_bytes());
    frame.set_partial_checksum(16);
    let ip = frame.prepend(20);
    (ip[0], ip[3], ip[9]) = (0x45, 43, 6);
    frame.push_bytes(b"abc");
    frame
}

#[test]
fn both_directions_are_recorded_with_their_times_and_whole_checksums() {
    let (near, far, path) = capture("both");
    let whole = {
        let mut frame = tcp_frame();
        segment::complete(&mut frame);
        frame.to_vec()
    };
    let start = Instant::from_nanos(5_000_000_000);
    near.send(&tcp_frame(), start).unwrap();
    far.send(&tcp_frame(), start).unwrap();
    let packet = near.recv(start + Duration::from_nanos(17)).unwrap().unwrap();
    assert!(packet.meta.checksum_ok);
    assert_eq!(packet.bytes(), tcp_frame().to_vec());
    near.flush();
    let later = wall() + Duration::from_nanos(17);
    assert_eq!(records(&path), [(OUTBOUND, wall(), whole.clone()), (INBOUND, later, whole)]);
}

#[test]
fn the_file_can_be_read_a_tenth_of_a_second_later() {
    let (near, _far, path) = capture("later");
    assert_eq!(near.deadline(), None);
    near.send(&tcp_frame(), Instant::ZERO).unwrap();
    assert_eq!(records(&path).len(), 0);
    let due = near.deadline().unwrap();
    assert_eq!(due, Instant::ZERO + Duration::from_millis(100));
    near.on_timer(due).unwrap();
    assert_eq!(records(&path).len(), 1);
    assert_eq!(near.deadline(), None);
    near.send(&tcp_frame(), due).unwrap();
    drop(near);
    assert_eq!(records(&path).len(), 2);
}

#[test]
fn a_full_disk_ends_the_capture_and_not_the_traffic() {
    let (near, far) = Link::pair(CAPS, CAPS);
    let path = Scratch::new("full");
    let near = Capture::create(Box::new(near), Some("t0"), &path.0, wall).unwrap();
    near.recorder.lock().as_mut().unwrap().writer.get_mut().file = File::create("/dev/full").unwrap();
    near.send(&tcp_frame(), Instant::ZERO).unwrap();
    near.flush();
    assert!(!near.is_recording());
    near.send(&tcp_frame(), Instant::ZERO).unwrap();
    assert_eq!(near.deadline(), None);
    assert!(far.recv(Instant::ZERO).unwrap().is_some() && far.recv(Instant::ZERO).unwrap().is_some());
}

#[test]
fn a_file_that_cannot_be_made_is_an_error() {
    for path in ["/no/such/directory/x.pcapng", "/dev/full", "/"] {
        let (near, _far) = Link::pair(CAPS, CAPS);
        assert!(Capture::create(Box::new(near), Some("t0"), Path::new(path), wall).is_err(), "{path}");
    }
}

#[test]
fn the_loopback_is_an_interface_of_its_own_that_looks_like_linuxs() {
    let read = |path: &Scratch| {
        let mut reader = PcapNgReader::new(File::open(&path.0).unwrap()).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let Block::EnhancedPacket(packet) = block.unwrap() {
                packets.push((packet.interface_id, packet.data.to_vec()));
            }
        }
        let kinds: Vec<_> = reader.interfaces().iter().map(|interface| interface.linktype).collect();
        (kinds, packets)
    };
    let mut whole = tcp_frame();
    segment::complete(&mut whole);
    let whole = whole.to_vec();
    let on_ethernet = [&LOOPBACK_HEADER[..], &whole].concat();

    let (near, _far, path) = capture("loopback-beside");
    near.on_loopback(&tcp_frame(), Instant::from_nanos(5));
    near.send(&tcp_frame(), Instant::from_nanos(6)).unwrap();
    near.flush();
    assert_eq!(read(&path), (vec![DataLink::RAW; 2], vec![(1, whole.clone()), (0, whole)]));

    let path = Scratch::new("loopback-alone");
    let alone = Capture::create(Box::new(crate::device::none::NoDevice), None, &path.0, wall).unwrap();
    alone.on_loopback(&tcp_frame(), Instant::from_nanos(5));
    assert!(alone.deadline().is_some(), "it is written out soon");
    alone.on_timer(Instant::FAR_FUTURE).unwrap();
    assert_eq!(read(&path), (vec![DataLink::ETHERNET], vec![(0, on_ethernet)]));
}
