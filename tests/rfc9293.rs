//! docs/rfc9293.md names, for every requirement of RFC 9293, the test that shows it: each must exist. And what can only
//! be seen of a whole stack.

mod wire_pair;

use sockeye::{
    error::Error,
    stack::Protocol,
    tcp::State,
    time::Duration,
    wire::{checksum, ipv4, tcp::Flags, tcp::Header},
};
use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
};
use wire_pair::{Pair, Side::A, Side::B, end};

/// Every function and every C test there is.
fn tests_in(place: &Path, names: &mut HashSet<String>) {
    for entry in fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if path.is_dir() {
            tests_in(&path, names);
        } else if let Some(stem) = file.strip_suffix(".c").or(file.strip_suffix(".pkt")) {
            names.insert(stem.to_owned());
        } else if file.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap();
            let marked = text.split("#[test]").skip(1);
            names.extend(marked.filter_map(|part| Some(part.split_once("fn ")?.1.split_once('(')?.0.to_owned())));
        }
    }
}

/// The rows of the table: what, number, level, shown by.
fn rows(text: &str) -> Vec<[&str; 4]> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let text: &'static str = text.to_owned().leak();
    let lines = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| requirement"));
    lines.map(|line| cells(line).try_into().unwrap_or_else(|_| panic!("four cells: {line}"))).collect()
}

#[test]
fn every_requirement_is_shown_by_a_test_that_exists_or_says_why_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = HashSet::new();
    ["src", "tests", "c-tests"].iter().for_each(|place| tests_in(&root.join(place), &mut tests));
    let text = fs::read_to_string(root.join("docs/rfc9293.md")).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 126, "as many as the summary of requirements in appendix B has");
    let mut seen = HashMap::new();
    for [what, number, level, shown] in rows {
        assert!(["MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY"].contains(&level), "{number}: {level}");
        let named: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        for name in &named {
            assert!(tests.contains(*name), "{number} names {name}, which is no test");
        }
        assert!(
            !named.is_empty() || shown.starts_with("Not "),
            "{number} ({what}) is shown by nothing and gives no reason"
        );
        *seen.entry(number).or_insert(0) += 1;
    }
    for (kind, most) in [("MUST", 69), ("SHLD", 31), ("MAY", 18)] {
        for n in 1..=most {
            let number = format!("{kind}-{n}");
            assert!(seen.contains_key(number.as_str()), "{number} is missing");
        }
    }
}

/// The IP and TCP headers in an Ethernet frame.
fn segment(bytes: &[u8]) -> Option<(ipv4::Header, Header)> {
    let is_tcp = bytes.get(12..14) == Some(&[8, 0]) && bytes[23] == 6;
    is_tcp.then(|| (ipv4::Header::parse(&bytes[14..]).unwrap().0, Header::parse(&bytes[34..]).unwrap().0))
}

#[test]
fn the_type_of_service_and_time_to_live_of_a_socket_are_on_its_segments() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    for (tos, ttl) in [(0x10, 7), (0xb8, 200)] {
        let settings = pair.a.settings(client).unwrap();
        (settings.ip.tos, settings.ip.ttl) = (tos, ttl);
        pair.sent.clear();
        pair.send(A, client, b"x").unwrap();
        pair.pump();
        let (ip, _) = pair.sent.iter().find_map(|(_, bytes)| segment(bytes)).unwrap();
        assert_eq!((ip.tos, ip.ttl), (tos, ttl));
        pair.run();
        assert!(pair.recv(B, server).is_ok());
    }
}

#[test]
fn a_syn_to_everybody_or_from_nobody_is_not_answered() {
    for (dst, src) in [
        ([255, 255, 255, 255], [10, 0, 0, 1]),
        ([10, 0, 0, 255], [10, 0, 0, 1]),
        ([224, 0, 0, 1], [10, 0, 0, 1]),
        ([10, 0, 0, 2], [224, 0, 0, 1]),
        ([10, 0, 0, 2], [255, 255, 255, 255]),
        ([10, 0, 0, 2], [127, 0, 0, 1]),
    ] {
        let mut pair = Pair::new();
        pair.listen(B, 80, 5);
        let tcp = Header { src_port: 9, dst_port: 80, flags: Flags::SYN, window: 1000, ..Header::default() };
        let mut frame = [&B.mac()[..], &A.mac(), &[8, 0], &[0; 40]].concat();
        let ip = ipv4::Header {
            total_len: 40,
            ttl: 64,
            protocol: ipv4::protocol::TCP,
            src: src.into(),
            dst: dst.into(),
            ..ipv4::Header::default()
        };
        ip.emit(&mut frame[14..34]);
        tcp.emit(&mut frame[34..]);
        let pseudo = checksum::pseudo_header(src.into(), dst.into(), 6, 20);
        let sum = !checksum::fold(checksum::add(pseudo, &frame[34..]));
        frame[34 + 16..34 + 18].copy_from_slice(&sum.to_be_bytes());
        pair.inject(A, &frame);
        pair.run_for(Duration::from_millis(10));
        assert!(!pair.sent.iter().any(|(side, bytes)| *side == B && segment(bytes).is_some()), "{src:?} > {dst:?}");
    }
}

#[test]
fn a_source_quench_changes_nothing() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
    pair.filter = Some(Box::new(|_, bytes| segment(bytes).is_none()));
    pair.run();
    let (_, syn) = pair.sent.iter().find(|(_, bytes)| segment(bytes).is_some()).unwrap().clone();
    let mut message = [&[4, 0, 0, 0, 0, 0, 0, 0][..], &syn[14..42]].concat();
    let sum = !checksum::fold(checksum::add(0, &message));
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [&A.mac()[..], &B.mac(), &[8, 0], &[0; 20]].concat();
    let ip = ipv4::Header {
        total_len: 20 + message.len() as u16,
        ttl: 64,
        protocol: ipv4::protocol::ICMP,
        src: [10, 0, 0, 2].into(),
        dst: [10, 0, 0, 1].into(),
        ..ipv4::Header::default()
    };
    ip.emit(&mut frame[14..]);
    frame.extend_from_slice(&message);
    pair.inject(B, &frame);
    pair.run_for(Duration::from_millis(10));
    assert_eq!((pair.a.state(client), pair.a.take_error(client)), (State::SynSent, Ok(None)));
}
