use super::*;
use crate::wire::tcp;
use std::cell::RefCell;

const SRC: [u8; 4] = [10, 0, 0, 1];
const DST: [u8; 4] = [10, 0, 0, 2];

/// A frame with `payload`, `beside` bytes of it in the head and the rest in slices of `step` bytes.
fn frame(medium: Medium, protocol: u8, payload: &[u8], beside: usize, step: usize) -> Frame {
    let mut frame = Frame::new();
    let (header, field) = if protocol == TCP { (32, 16) } else { (8, 6) };
    let len = header + payload.len();
    let transport = frame.append(header);
    transport[..4].copy_from_slice(&[0x12, 0x34, 0x00, 0x50]);
    if protocol == TCP {
        transport[4..8].copy_from_slice(&0xffff_fff0_u32.to_be_bytes());
        transport[12] = 8 << 4;
        transport[13] = 0x80 | 0x10 | 0x08 | 0x01;
        transport[20..22].copy_from_slice(&[1, 1]);
        transport[22..24].copy_from_slice(&[8, 10]);
    } else {
        transport[4..6].copy_from_slice(&(len as u16).to_be_bytes());
    }
    let pseudo = checksum::pseudo_header(SRC.into(), DST.into(), protocol, len);
    transport[field..field + 2].copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
    frame.set_partial_checksum(field);
    let ip = frame.prepend(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&((20 + len) as u16).to_be_bytes());
    ip[4..6].copy_from_slice(&[0xff, 0xff]);
    ip[6] = 0x40;
    ip[8..10].copy_from_slice(&[64, protocol]);
    ip[12..16].copy_from_slice(&SRC);
    ip[16..20].copy_from_slice(&DST);
    if medium == Medium::Ethernet {
        frame.prepend(14)[12] = 0x08;
    }
    frame.push_bytes(&payload[..beside]);
    payload[beside..].chunks(step).for_each(|chunk| frame.push(Slice::copy_from(chunk)));
    frame
}

/// An IPv6 TCP packet with a partial checksum.
fn frame_v6(payload: &[u8]) -> Frame {
    let (src, dst): (IpAddr, IpAddr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    let mut frame = Frame::new();
    let transport = frame.append(20);
    transport[12] = 5 << 4;
    let pseudo = checksum::pseudo_header(src, dst, TCP, 20 + payload.len());
    transport[16..18].copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
    frame.set_partial_checksum(16);
    let ip = frame.prepend(40);
    ip[0] = 0x60;
    ip[4..6].copy_from_slice(&(20 + payload.len() as u16).to_be_bytes());
    ip[6] = TCP;
    ip[23] = 1;
    ip[8] = 0xfd;
    ip[24] = 0xfd;
    ip[39] = 2;
    frame.push(Slice::copy_from(payload));
    frame
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

/// The segments with their checksums finished.
fn segments(frame: &Frame, medium: Medium) -> Vec<Vec<u8>> {
    let out = RefCell::new(Vec::new());
    split(frame, medium, &mut |segment| {
        complete(segment);
        out.borrow_mut().push(segment.to_vec());
        Ok(())
    })
    .unwrap();
    out.into_inner()
}

fn is_right(packet: &[u8], at: usize) -> bool {
    let layout = Layout::of(&packet[at..], Medium::Ip).unwrap();
    let ip = &packet[at..];
    let pseudo = u64::from(layout.pseudo_sum(ip, ip.len() - layout.transport));
    let header = layout.ipv6 || checksum::fold(checksum::add(0, &ip[..layout.transport])) == 0xffff;
    header && checksum::fold(checksum::add(pseudo, &ip[layout.transport..])) == 0xffff
}

#[test]
fn a_partial_checksum_is_finished_whatever_the_slices() {
    for (len, beside, step) in [(0, 0, 1), (1, 0, 100), (1000, 0, 333), (1001, 7, 101), (1000, 1, 999), (200, 100, 97)]
    {
        for protocol in [TCP, UDP] {
            let mut frame = frame(Medium::Ip, protocol, &bytes(len), beside, step);
            complete(&mut frame);
            let packet = frame.to_vec();
            let layout = Layout::of(&packet, Medium::Ip).unwrap();
            let pseudo = u64::from(layout.pseudo_sum(&packet, packet.len() - 20));
            assert_eq!(checksum::fold(checksum::add(pseudo, &packet[20..])), 0xffff, "{len} {beside} {step}");
            assert_eq!(frame.partial_checksum(), None);
        }
    }
}

#[test]
fn a_tcp_super_frame_becomes_segments_that_carry_on_from_one_another() {
    for (medium, at) in [(Medium::Ethernet, 14), (Medium::Ip, 0)] {
        for (beside, step) in [(0, 65_536), (40, 1000), (100, 77)] {
            let payload = bytes(5000);
            let mut whole = frame(medium, TCP, &payload, beside, step);
            whole.gso = Some(Gso { size: 1448, tcp: true, ipv6: false });
            let segments = segments(&whole, medium);
            assert_eq!(segments.len(), 4);
            let mut carried = Vec::new();
            for (nth, segment) in segments.iter().enumerate() {
                assert!(is_right(segment, at), "segment {nth}");
                let ip = &segment[at..];
                assert_eq!(usize::from(u16::from_be_bytes([ip[2], ip[3]])), ip.len());
                assert_eq!(u16::from_be_bytes([ip[4], ip[5]]), 0xffff_u16.wrapping_add(nth as u16));
                let (header, length) = tcp::Header::parse(&ip[20..]).unwrap();
                assert_eq!(header.seq.0, 0xffff_fff0_u32.wrapping_add(carried.len() as u32));
                let flags = [0x90, 0x10, 0x10, 0x19][nth];
                assert_eq!(header.flags.0, flags, "segment {nth}");
                carried.extend_from_slice(&ip[20 + length..]);
            }
            assert_eq!(carried, payload);
        }
    }
}

#[test]
fn a_udp_super_frame_becomes_datagrams_of_the_same_size_but_the_last() {
    let mut whole = frame(Medium::Ip, UDP, &bytes(2500), 0, 4096);
    whole.gso = Some(Gso { size: 1000, tcp: false, ipv6: false });
    let segments = segments(&whole, Medium::Ip);
    let lengths: Vec<u16> = segments.iter().map(|ip| u16::from_be_bytes([ip[24], ip[25]])).collect();
    assert_eq!(lengths, [1008, 1008, 508]);
    assert!(segments.iter().all(|segment| is_right(segment, 0)));
}

#[test]
fn ipv6_is_split_as_well() {
    let mut whole = frame_v6(&bytes(3000));
    whole.gso = Some(Gso { size: 1440, tcp: true, ipv6: true });
    let segments = segments(&whole, Medium::Ip);
    assert_eq!(segments.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 1500, 180]);
    assert!(
        segments.iter().all(|ip| is_right(ip, 0) && usize::from(u16::from_be_bytes([ip[4], ip[5]])) + 40 == ip.len())
    );
}

#[test]
fn what_cannot_be_split_is_refused_and_what_need_not_be_passes() {
    let count = |frame: &Frame| {
        let mut count = 0;
        split(frame, Medium::Ethernet, &mut |_| {
            count += 1;
            Ok(())
        })
        .map(|()| count)
    };
    let mut arp = Frame::new();
    arp.append(42)[12..14].copy_from_slice(&[0x08, 0x06]);
    assert_eq!(count(&arp).unwrap(), 1);
    arp.gso = Some(Gso { size: 10, tcp: true, ipv6: false });
    assert!(count(&arp).is_err());
    let mut zero = frame(Medium::Ethernet, TCP, &bytes(100), 0, 100);
    zero.gso = Some(Gso { size: 0, tcp: true, ipv6: false });
    assert!(count(&zero).is_err());
}

#[test]
fn a_coalesced_packet_comes_apart_into_what_it_was_made_of() {
    let mut whole = frame(Medium::Ethernet, TCP, &bytes(5000), 0, 65_536);
    whole.gso = Some(Gso { size: 1448, tcp: true, ipv6: false });
    let again = coalesced(&whole.to_packet(), Medium::Ethernet).unwrap();
    assert_eq!(segments(&again, Medium::Ethernet), segments(&whole, Medium::Ethernet));
    assert!(coalesced(&Packet::copy_from(&whole.to_vec()), Medium::Ethernet).is_none());
}

#[test]
fn a_received_partial_checksum_is_finished_up_to_the_end_of_the_packet_not_of_its_padding() {
    let mut padded = frame(Medium::Ethernet, TCP, &[], 0, 1).to_vec();
    let mut whole = frame(Medium::Ethernet, TCP, &[], 0, 1);
    complete(&mut whole);
    padded.extend_from_slice(&[0xaa; 9]);
    complete_received(&mut padded, Medium::Ethernet);
    assert_eq!(padded[..whole.len()], whole.to_vec());
}

#[test]
fn no_bytes_make_it_panic() {
    let mut good = frame(Medium::Ethernet, TCP, &bytes(64), 0, 64).to_vec();
    for cut in 0..good.len() {
        complete_received(&mut good[..cut].to_vec(), Medium::Ethernet);
        complete_received(&mut good[cut..].to_vec(), Medium::Ip);
    }
    for at in 0..good.len() {
        for value in [0, 0x0f, 0x4f, 0x6f, 0xff] {
            let before = std::mem::replace(&mut good[at], value);
            complete_received(&mut good.clone(), Medium::Ethernet);
            let mut packet = Packet::copy_from(&good);
            packet.meta.gso_size = 3;
            if let Some(frame) = coalesced(&packet, Medium::Ethernet) {
                split(&frame, Medium::Ethernet, &mut |segment| {
                    complete(segment);
                    Ok(())
                })
                .unwrap();
            }
            good[at] = before;
        }
    }
}
