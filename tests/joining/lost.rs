//! A stack loses its network: who waits is told, and the next program has a host of its own, which says why not if that
//! still holds.

use super::{PATIENCE, Place, Running, command};
use std::{
    env, fs,
    io::{self, Read, Write},
    net::TcpListener,
    os::fd::FromRawFd,
    process::{self, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The kernel's side of `t0`, frame by frame.
fn wire(place: &Place) -> fs::File {
    // SAFETY: the address is a whole sockaddr_ll of the length that is told, and the descriptor is a fresh one.
    place.0.inside(|| unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(ETH_P_ALL.to_be()));
        assert!(fd >= 0, "a packet socket: {}", io::Error::last_os_error());
        let mut at: libc::sockaddr_ll = std::mem::zeroed();
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = ETH_P_ALL.to_be();
        at.sll_ifindex = libc::if_nametoindex(c"t0".as_ptr()) as i32;
        let bound = libc::bind(fd, (&raw const at).cast(), size_of_val(&at) as u32);
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        fs::File::from_raw_fd(fd)
    })
}

const ETH_P_ALL: u16 = libc::ETH_P_ALL as u16;
/// Our address, and its place in a frame as the target of an ARP packet.
const OURS: [u8; 4] = [10, 97, 0, 2];
const TARGET: std::ops::Range<usize> = 38..42;

/// The sender's address in a frame; `None` if that is neither ARP nor IPv4.
fn sender(frame: &[u8]) -> Option<[u8; 4]> {
    let at = match frame.get(12..14)? {
        [8, 6] => 28,
        [8, 0] => 26,
        _ => return None,
    };
    frame.get(at..at + 4)?.try_into().ok()
}

/// Whether a frame is an ARP probe for our address.
fn is_probe(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] && sender(frame) == Some([0; 4]) && frame.get(TARGET) == Some(&OURS)
}

#[test]
fn a_program_runs_at_once_and_its_address_is_not_on_the_link_before_it_is_its_own() {
    let place = Place::new();
    let mut wire = wire(&place);
    let listener = place.0.inside(|| TcpListener::bind("10.97.0.1:0")).expect("a listener");
    let port = listener.local_addr().expect("a port").port();
    let mut dial = place.start(&format!("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial {port}"), &[]);
    assert_eq!(dial.line(), "0\n", "the first connect(2) is made");
    drop(listener.accept().expect("a connection"));
    dial.rest();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    while frames.last().is_none_or(|frame| frame[12..14] != [8, 0]) {
        let mut frame = vec![0; 2048];
        let len = wire.read(&mut frame).expect("a frame");
        frame.truncate(len);
        // What the kernel sends is here, too.
        if is_probe(&frame) || frames.first().is_some_and(|first| first[6..12] == frame[6..12]) {
            frames.push(frame);
        }
    }
    let told: Vec<_> = frames.iter().map(|frame| (sender(frame).unwrap_or_default(), is_probe(frame))).collect();
    assert_eq!(told[..4], [([0; 4], true), ([0; 4], true), ([0; 4], true), (OURS, false)]);
    assert_eq!(frames[3].get(TARGET), Some(&OURS[..]), "an announcement");
}

/// Another host has our address. It is slow: every second probe alone is answered, so that a stack runs meanwhile.
fn thief(place: &Place) {
    let mut wire = wire(place);
    thread::spawn(move || {
        let mut probes = 0;
        let mut frame = vec![0; 2048];
        loop {
            let Ok(len) = wire.read(&mut frame) else { return };
            probes += u32::from(is_probe(&frame[..len]));
            if is_probe(&frame[..len]) && probes % 2 == 0 {
                let asked = frame[6..12].to_vec();
                let head = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
                let answer = [&asked[..], &THIEF, &head, &THIEF, &OURS, &asked, &[0; 4]].concat();
                wire.write_all(&answer).expect("it is sent");
            }
        }
    });
}

/// A program on that network does not begin, or learns from connect(2) that there is none, if the kernel answered the
/// probe later than a program waits; a line with these words says why, or that the host ended while it was asked.
pub fn is_told(place: &Place, net: &str, words: &str) {
    let (code, out, err) = place.ends(&format!("@sockeye run --net {net} -- @dial 9"), &[]);
    let has_begun = code != Some(125);
    let told = if has_begun { (Some(0), format!("{}\n", libc::ENETDOWN)) } else { (Some(125), String::new()) };
    assert_eq!((code, out), told);
    assert!(err.contains(words) || has_begun && err.contains("the stack's host is gone"), "{err}");
}

#[test]
fn an_address_that_turns_out_to_be_another_hosts_takes_the_network_down() {
    let place = Place::new();
    thief(&place);
    let said = "10.97.0.2 is in use on the link by ";
    let errors = env::temp_dir().join(format!("sockeye-joining-{}-lost", process::id()));
    let output = fs::File::create(&errors).expect("a file");
    let mut dial = command("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial 9", &[]);
    dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
    let mut dial = Running::new(place.0.inside(|| dial.spawn()).expect("it starts"));
    match dial.line().as_str() {
        // The machine was so slow that the program had not begun.
        "" => assert_eq!(dial.child.wait().expect("it ends").code(), Some(125)),
        line => assert_eq!(line, format!("{}\n", libc::ENETDOWN)),
    }
    let end = Instant::now() + PATIENCE;
    while !fs::read_to_string(&errors).expect("text").contains(said) {
        assert!(Instant::now() < end, "{:?}", fs::read_to_string(&errors));
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(&errors).expect("it is there");
    // Its host has ended though the program has not, and nobody joins a stack that leads nowhere.
    while place.names().contains("@sockeye/tap-t0/ctl") {
        assert!(Instant::now() < end, "the host stays");
        thread::sleep(Duration::from_millis(5));
    }
    // Who comes now has a new host, which is told by the kernel: at once, or when that has seen that the link is up.
    place.0.ip("address add 10.97.0.2/32 dev t0");
    is_told(&place, "tap:t0,ip=10.97.0.2/24", said);
    // And one that works once the address is free.
    place.0.ip("address del 10.97.0.2/32 dev t0");
    place.0.ip("link delete t0");
    place.0.add_tap("t0", "10.97.0.1/24");
    let listener = place.0.inside(|| TcpListener::bind("10.97.0.1:0")).expect("a listener");
    let port = listener.local_addr().expect("a port").port();
    let (code, out, err) = place.ends(&format!("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial {port}"), &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "0\n", ""));
}

#[test]
fn who_waits_is_told_that_the_address_is_another_hosts() {
    let place = Place::new();
    thief(&place);
    for words in ["accept", "accept poll", "recv", "recv poll"] {
        let (code, out, err) = place.by_hand(&format!("@wait {words}"), &[("SOCKEYE_NET", "tap:t0,ip=10.97.0.2/24")]);
        assert_eq!((code, out), (Some(0), format!("{}\n", libc::ENETDOWN)), "{words}: {err}");
        assert!(err.lines().count() <= 1, "{words}: {err}");
    }
}

/// A host that has our address.
const THIEF: [u8; 6] = [2, 0, 0, 0, 0, 0x42];
