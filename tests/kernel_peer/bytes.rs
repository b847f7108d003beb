//! What a program that looks at the wire sees: the windows and option bytes of our segments are those of the kernel's.

use crate::{
    kernel,
    netns::Namespace,
    program::{PATIENCE, Puppet},
};
use std::{collections::HashMap, io::Write, process::Command};

/// SYN, ACK.
const SYN: u8 = 2;
const ACK: u8 = 16;

/// What a segment says beside numbers and data.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    window: u16,
    /// Time stamps are left out of their option.
    options: Vec<u8>,
}

/// The parts of a conversation, by who says them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Syn,
    SynAck,
    LastAck,
    ClientData,
    ServerData,
}

/// The options with zeros for time stamps.
fn without_stamps(mut options: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while at < options.len() {
        let len = match options[at] {
            0 => break,
            1 => 1,
            _ => usize::from(options[at + 1]),
        };
        if options[at] == 8 {
            options[at + 2..at + len].fill(0);
        }
        at += len;
    }
    options
}

/// One IP packet of a capture, if it is the first of its part of the conversation.
fn note(packet: &[u8], server: u16, seen: &mut HashMap<Part, Look>) {
    if packet.len() < 40 || packet[9] != 6 {
        return;
    }
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let segment = &packet[usize::from(packet[0] & 15) * 4..total];
    let offset = usize::from(segment[12] >> 4) * 4;
    let from_server = u16::from_be_bytes([segment[0], segment[1]]) == server;
    let has_data = segment.len() > offset;
    let part = match (segment[13] & (SYN | ACK), from_server, has_data) {
        (SYN, false, false) => Part::Syn,
        (flags, true, false) if flags == SYN | ACK => Part::SynAck,
        (ACK, false, false) => Part::LastAck,
        (ACK, false, true) => Part::ClientData,
        (ACK, true, true) => Part::ServerData,
        _ => return,
    };
    let window = u16::from_be_bytes([segment[14], segment[15]]);
    seen.entry(part).or_insert_with(|| Look { window, options: without_stamps(segment[20..offset].to_vec()) });
}

/// The conversation in a capture: the first segment of each part.
fn conversation(capture: &std::path::Path, server: u16) -> HashMap<Part, Look> {
    let output = Command::new("tcpdump").args(["-nn", "-x", "-r"]).arg(capture).output().expect("tcpdump is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut seen = HashMap::new();
    let mut packet = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("0x").and_then(|line| line.split_once(':')) {
            Some((_, digits)) => {
                let digits: Vec<_> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
                let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
                packet.extend(digits.chunks_exact(2).map(byte));
            }
            None => note(&std::mem::take(&mut packet), server, &mut seen),
        }
    }
    note(&packet, server, &mut seen);
    seen
}

#[test]
fn windows_and_option_bytes_are_those_of_the_kernel() {
    let namespace = Namespace::new();
    namespace.sysctl("ipv4/tcp_rmem", "4096 131072 33554432");
    let file = |name| std::env::temp_dir().join(format!("sockeye-bytes-{name}-{}.pcapng", std::process::id()));
    let (client, server) = (file("client"), file("server"));

    // We are the client, the kernel is the server.
    let (listener, port) = kernel::listener(&namespace);
    let mut app = Puppet::new(&namespace, &format!(",pcap={}", client.display()));
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.gives(format!("send {fd} hello"), "5");
    assert_eq!(kernel::read(&mut peer, 5), b"hello");
    peer.write_all(b"world").unwrap();
    app.gives(format!("recv {fd} 100"), "5 world");
    app.gives("exit 0", "bye");
    app.program().ended(PATIENCE);
    drop(peer);
    let first = conversation(&client, port);

    // And the other way round.
    let mut app = Puppet::new(&namespace, &format!(",pcap={}", server.display()));
    let listener = app.listening(7, 5);
    let mut peer = kernel::connected(&namespace, 7);
    let fd = app.number(format!("accept {listener}"));
    app.greets(fd, &mut peer);
    app.gives("exit 0", "bye");
    app.program().ended(PATIENCE);
    drop(peer);
    let second = conversation(&server, 7);

    for file in [client, server] {
        let _none = std::fs::remove_file(file);
    }
    for part in [Part::Syn, Part::SynAck, Part::LastAck, Part::ClientData, Part::ServerData] {
        assert!(first.contains_key(&part), "no {part:?} in the capture");
        assert_eq!(first.get(&part), second.get(&part), "{part:?}: with us as the client, and as the server");
    }
}
