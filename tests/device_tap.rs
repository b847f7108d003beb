//! TAP and TUN devices against the kernel. Every test runs in a network namespace of its own thread, which goes away
//! with it. Needs root (or a user namespace in which /dev/net/tun opens): without, the tests fail.

use sockeye::{
    buf::{Frame, Gso, Packet, Slice},
    device::{self, Device},
    stack::Config,
    sys::ifreq,
    time::{Duration, Instant},
    wire::checksum,
};
use std::{
    fs::OpenOptions,
    io,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd},
    process::Command,
};

/// Runs `test` in a network namespace of its own.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        // SAFETY: a number goes in; only this thread changes its namespace.
        let done = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(done, 0, "a network namespace of our own needs root: {}", io::Error::last_os_error());
        test();
    };
    if let Err(panic) = std::thread::spawn(run).join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("the program `ip` (iproute2) runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

fn config(spec: &str) -> Config {
    Config::parse(spec).unwrap()
}

fn open(spec: &str) -> Box<dyn Device> {
    device::open(&config(spec)).unwrap_or_else(|error| panic!("{error}")).unwrap()
}

fn refusal(spec: &str) -> String {
    match device::open(&config(spec)) {
        Ok(_) => panic!("{spec} was opened"),
        Err(error) => error.to_string(),
    }
}

/// Waits until there is no such device: a program that another test has just begun has a copy of its descriptor until
/// it is executed.
fn await_gone(name: &str) {
    let is_gone = |_| match ifreq::mtu(name) {
        Ok(_) => {
            std::thread::sleep(std::time::Duration::from_millis(5));
            false
        }
        Err(error) => error.raw_os_error() == Some(libc::ENODEV),
    };
    assert!((0..2000).any(is_gone), "the device {name} stays");
}

const NOW: Instant = Instant::ZERO;

/// The next packet that `is_wanted`, within two seconds.
fn wait_for(device: &dyn Device, is_wanted: impl Fn(&Packet) -> bool) -> Packet {
    for _ in 0..200 {
        while let Some(packet) = device.recv(NOW).unwrap() {
            if is_wanted(&packet) {
                return packet;
            }
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing came");
}

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const US: [u8; 4] = [10, 98, 0, 2];
const KERNEL: [u8; 4] = [10, 98, 0, 1];
const TAP: &str = "tap:t0,ip=10.98.0.2/24";
const TUN: &str = "tun:t0,ip=10.98.0.2/24";

/// Asks who has the kernel's address: the kernel's MAC address.
fn resolve(device: &dyn Device) -> [u8; 6] {
    let mut frame = Frame::new();
    frame.push_bytes(&[0xff; 6]);
    frame.push_bytes(&MAC);
    frame.push_bytes(&[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.push_bytes(&MAC);
    frame.push_bytes(&US);
    frame.push_bytes(&[0; 6]);
    frame.push_bytes(&KERNEL);
    device.send(&frame, NOW).unwrap();
    let reply = wait_for(device, |packet| packet.bytes()[12..14] == [8, 6] && packet.bytes()[20..22] == [0, 2]);
    assert_eq!(reply.bytes()[28..32], KERNEL);
    reply.bytes()[22..28].try_into().unwrap()
}

/// Sets the device up with the kernel's address and a neighbour entry for ours.
fn set_up(device: &dyn Device) -> [u8; 6] {
    ip("addr add 10.98.0.1/24 dev t0");
    ip("link set t0 up");
    assert!(device.is_up());
    ip("neigh replace 10.98.0.2 lladdr 02:00:00:00:00:02 dev t0 nud permanent");
    resolve(device)
}

/// A UDP datagram to the kernel with a partial checksum; `to` is its MAC address on a TAP.
fn datagram(to: Option<[u8; 6]>, port: u16, payload: &[u8]) -> Frame {
    let mut frame = Frame::new();
    let len = 8 + payload.len() as u16;
    let udp = frame.append(8);
    udp[..2].copy_from_slice(&9_u16.to_be_bytes());
    udp[2..4].copy_from_slice(&port.to_be_bytes());
    udp[4..6].copy_from_slice(&len.to_be_bytes());
    let sum = checksum::fold(checksum::pseudo_header(US.into(), KERNEL.into(), 17, len.into()));
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    frame.set_partial_checksum(6);
    let header = frame.prepend(20);
    header[0] = 0x45;
    header[2..4].copy_from_slice(&(20 + len).to_be_bytes());
    header[8..10].copy_from_slice(&[64, 17]);
    header[12..16].copy_from_slice(&US);
    header[16..20].copy_from_slice(&KERNEL);
    let sum = !checksum::fold(checksum::add(0, header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    if let Some(to) = to {
        let ethernet = frame.prepend(14);
        ethernet[..6].copy_from_slice(&to);
        ethernet[6..12].copy_from_slice(&MAC);
        ethernet[12] = 8;
    }
    // In several slices of odd lengths, as a send queue might have it.
    payload.chunks(777).for_each(|chunk| frame.push(Slice::copy_from(chunk)));
    frame
}

fn kernel_socket() -> UdpSocket {
    let socket = UdpSocket::bind("10.98.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// Sends to the kernel, plain and as a super-frame, and checks what a socket there gets.
fn sends_to_the_kernel(device: &dyn Device, mac: Option<[u8; 6]>) {
    let socket = kernel_socket();
    let port = socket.local_addr().unwrap().port();
    let payload: Vec<u8> = (0..1400).map(|at| (at % 251) as u8).collect();
    let mut buffer = [0; 65_536];
    device.send(&datagram(mac, port, &payload), NOW).unwrap();
    let (len, from) = socket.recv_from(&mut buffer).expect("the checksum is right");
    assert_eq!((&buffer[..len], from.to_string().as_str()), (&payload[..], "10.98.0.2:9"));

    let payload: Vec<u8> = (0..10_000).map(|at| (at % 241) as u8).collect();
    let mut whole = datagram(mac, port, &payload);
    whole.gso = Some(Gso { size: 1_200, tcp: false, ipv6: false });
    device.send(&whole, NOW).unwrap();
    let mut came = Vec::new();
    let mut sizes = Vec::new();
    while came.len() < payload.len() {
        let len = socket.recv(&mut buffer).expect("every datagram arrives");
        sizes.push(len);
        came.extend_from_slice(&buffer[..len]);
    }
    assert_eq!(came, payload);
    assert_eq!(sizes, [1200, 1200, 1200, 1200, 1200, 1200, 1200, 1200, 400]);
}

/// Has a kernel socket send a small datagram, a large one, and several coalesced ones.
fn receives_from_the_kernel(device: &dyn Device, header: usize) {
    let socket = kernel_socket();
    socket.connect("10.98.0.2:7").unwrap();
    let is_ours = |packet: &Packet| packet.len() > header + 28 && packet.bytes()[header + 9] == 17;
    let payload = |packet: &Packet| packet.bytes()[header + 28..].to_vec();
    for len in [100, 1400] {
        let sent: Vec<u8> = (0..len).map(|at| (at % 239) as u8).collect();
        socket.send(&sent).unwrap();
        assert_eq!(payload(&wait_for(device, is_ours)), sent);
    }
    let (size, sent): (libc::c_int, Vec<u8>) = (1000, (0..5500).map(|at| (at % 233) as u8).collect());
    // SAFETY: UDP_SEGMENT takes an int, which is borrowed for the call.
    let set = unsafe {
        let size: *const libc::c_int = &raw const size;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, size.cast(), 4)
    };
    assert_eq!(set, 0);
    socket.send(&sent).unwrap();
    let came: Vec<Vec<u8>> = (0..6).map(|_| payload(&wait_for(device, is_ours))).collect();
    assert_eq!(came.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 1000, 1000, 1000, 500]);
    assert_eq!(came.concat(), sent);
    assert_eq!(device.deadline(), None);
}

#[test]
fn a_tap_with_offloads_exchanges_frames_with_the_kernel() {
    in_namespace(|| {
        let device = open(TAP);
        let capabilities = device.capabilities();
        assert_eq!((capabilities.mtu, capabilities.max_frame, capabilities.tx_checksum), (1500, 65_535, true));
        let mac = set_up(&*device);
        sends_to_the_kernel(&*device, Some(mac));
        receives_from_the_kernel(&*device, 14);
    });
}

#[test]
fn a_plain_tap_exchanges_frames_with_the_kernel() {
    in_namespace(|| {
        let device = open(&format!("{TAP},offload=off"));
        let capabilities = device.capabilities();
        assert_eq!((capabilities.mtu, capabilities.max_frame, capabilities.tx_checksum), (1500, 1500, false));
        let mac = set_up(&*device);
        sends_to_the_kernel(&*device, Some(mac));
        receives_from_the_kernel(&*device, 14);
    });
}

#[test]
fn a_tun_exchanges_packets_with_the_kernel_with_and_without_offloads() {
    for offload in ["on", "off"] {
        in_namespace(move || {
            let device = open(&format!("{TUN},offload={offload}"));
            ip("addr add 10.98.0.1/24 dev t0");
            ip("link set t0 up");
            sends_to_the_kernel(&*device, None);
            receives_from_the_kernel(&*device, 0);
        });
    }
}

#[test]
fn a_device_that_was_made_before_is_attached_to_whatever_its_last_user_asked_for() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap");
        let mut mac = None;
        for offload in ["on", "off", "on"] {
            let device = open(&format!("{TAP},offload={offload}"));
            let mac = *mac.get_or_insert_with(|| set_up(&*device));
            assert_eq!(resolve(&*device), mac);
            sends_to_the_kernel(&*device, Some(mac));
            receives_from_the_kernel(&*device, 14);
        }
        assert!(ifreq::mtu("t0").is_ok(), "a persistent device stays");
    });
}

#[test]
fn one_queue_of_a_multi_queue_device_is_attached_to_if_nobody_has_another() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap multi_queue");
        for offload in ["on", "off"] {
            let spec = format!("{TAP},offload={offload}");
            let device = open(&spec);
            assert_eq!(device.capabilities().tx_checksum, offload == "on");
            let refused = refusal(&spec);
            assert!(refused.contains("another stack of this process has the device"), "{refused}");
        }
    });
}

#[test]
fn a_device_that_is_made_goes_away_with_its_user_and_is_never_set_up() {
    in_namespace(|| {
        let device = open(TAP);
        assert!(!device.is_up());
        assert!(!ifreq::is_up("t0").unwrap());
        drop(device);
        await_gone("t0");
    });
}

#[test]
fn the_mtu_is_the_devices_unless_given() {
    in_namespace(|| {
        ip("tuntap add dev t0 mode tap");
        ifreq::set_mtu("t0", 9000).unwrap();
        assert_eq!(open(TAP).capabilities().mtu, 9000);
        assert_eq!(open(&format!("{TAP},mtu=1400,offload=off")).capabilities().max_frame, 1400);
        assert_eq!(ifreq::mtu("t0").unwrap(), 9000);
    });
}

#[test]
fn a_device_that_is_down_drops_what_is_sent_until_it_is_up() {
    in_namespace(|| {
        let device = open(TAP);
        let mut frame = Frame::new();
        frame.append(60);
        for _ in 0..2 {
            assert_eq!(device.send(&frame, NOW).unwrap_err().raw_os_error(), Some(libc::EIO));
            assert!(device.recv(NOW).unwrap().is_none());
        }
        let mac = set_up(&*device);
        ifreq::set_up("t0", false).unwrap();
        assert_eq!(device.send(&frame, NOW).unwrap_err().raw_os_error(), Some(libc::EIO));
        ifreq::set_up("t0", true).unwrap();
        assert_eq!(resolve(&*device), mac);
    });
}

#[test]
fn a_device_that_is_deleted_is_gone() {
    in_namespace(|| {
        for (spec, kind) in [(TAP, "tap"), (TUN, "tun")] {
            let device = open(spec);
            ip("link set t0 up");
            ip("link del t0");
            let error = device.recv(NOW).unwrap_err();
            assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::NotFound, format!("{kind} t0 was deleted")));
            let mut frame = Frame::new();
            frame.append(60)[0] = 0x45;
            assert_eq!(device.send(&frame, NOW).unwrap_err().kind(), io::ErrorKind::NotFound);
            let mut poll = libc::pollfd { fd: device.poll_fd().unwrap(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd, borrowed for the call.
            assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 0) }, 1);
            assert_ne!(poll.revents & libc::POLLERR, 0);
        }
    });
}

#[test]
fn what_stands_in_the_way_is_said_with_its_cure() {
    in_namespace(|| {
        let first = open(TAP);
        for offload in ["on", "off"] {
            let spec = format!("{TAP},offload={offload}");
            let text = "tap t0: another stack of this process has the device; free that one, or use another device";
            assert_eq!(refusal(&spec), text);
        }
        drop(first);
        ip("tuntap add dev t0 mode tun");
        for offload in ["on", "off"] {
            let spec = format!("{TAP},offload={offload}");
            assert_eq!(refusal(&spec), "tap t0: the interface t0 is a TUN device; use another name");
        }
        let text = refusal("tun:lo,ip=10.98.0.2/24");
        assert!(text.starts_with("tun lo: the interface lo is no TAP or TUN device"), "{text}");
    });
}

#[test]
fn without_the_right_to_make_a_device_the_cure_names_the_command() {
    in_namespace(|| {
        ip("tuntap add dev t1 mode tap user 1");
        // SAFETY: numbers only; the raw call changes the identity of this thread alone.
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) }, 0);
        let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
        let (make, attach) = (refusal(TAP), refusal("tap:t1,ip=10.98.0.2/24"));
        match tun.map(|tun| tun.as_fd().as_raw_fd()) {
            Ok(_) => {
                assert!(make.contains("making it needs root or CAP_NET_ADMIN"), "{make}");
                assert!(make.ends_with("; make it with `sudo sockeye up t0`"), "{make}");
                assert!(attach.contains("the device belongs to another user"), "{attach}");
            }
            Err(_) => {
                assert!(make.contains("/dev/net/tun may not be opened") && attach.contains("may not be"), "{make}")
            }
        }
    });
}

#[test]
fn a_capture_that_cannot_be_written_leaves_no_device_behind() {
    in_namespace(|| {
        let text = refusal(&format!("{TAP},pcap=/no/such/dir/x.pcapng"));
        assert!(
            text.starts_with("tap t0: the capture file /no/such/dir/x.pcapng cannot be written: No such file"),
            "{text}"
        );
        await_gone("t0");
    });
}

#[test]
fn an_impaired_and_captured_tap_still_exchanges_frames() {
    let path = std::env::temp_dir().join(format!("sockeye-tap-{}.pcapng", std::process::id()));
    let file = path.clone();
    in_namespace(move || {
        let device = open(&format!("{TAP},link=rate:1gbit+seed:1,pcap={}", file.display()));
        ip("addr add 10.98.0.1/24 dev t0");
        ip("link set t0 up");
        let socket = kernel_socket();
        let port = socket.local_addr().unwrap().port();
        device.send(&datagram(Some([0xff; 6]), port, b"hello"), NOW).unwrap();
        assert!(device.deadline().unwrap() > NOW, "it is still under way");
        device.on_timer(device.deadline().unwrap() + Duration::from_millis(200)).unwrap();
        let mut bytes = [0; 9];
        let len = socket.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..len], b"hello");
        drop(device);
        assert!(std::fs::metadata(&file).unwrap().len() > 150);
    });
    let _ = std::fs::remove_file(path);
}
