//! Other links: without offload, impaired, captured, and a TUN device.

use crate::{
    kernel,
    netns::{KERNEL, Namespace},
    program::{PATIENCE, Puppet},
    stream,
};
use std::{
    net::{TcpListener, TcpStream},
    process::Command,
    time::{Duration, Instant},
};

/// So many bytes each way over a new connection to the kernel.
fn transfer(namespace: &Namespace, app: &mut Puppet, amount: u64) {
    let (listener, port) = kernel::listener(namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    both_ways(app, fd, &mut peer, amount);
    app.gives(format!("close {fd}"), "0");
    assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
}

fn both_ways(app: &mut Puppet, fd: i64, peer: &mut TcpStream, amount: u64) {
    app.begin(format!("sendn {fd} {amount}"));
    assert_eq!(stream::receive(peer, amount).unwrap(), app.answer_within(PATIENCE * 4));
    app.begin(format!("recvn {fd} {amount}"));
    let mut to = peer.try_clone().unwrap();
    let sender = std::thread::spawn(move || stream::send(&mut to, amount).unwrap());
    assert_eq!(app.answer_within(PATIENCE * 4), sender.join().unwrap());
}

#[test]
fn a_transfer_without_offload_arrives() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, ",offload=off");
    transfer(&namespace, &mut app, 20 << 20);
}

#[test]
fn a_transfer_over_a_small_mtu_arrives() {
    for more in [",mtu=576", ",mtu=576,offload=off"] {
        let namespace = Namespace::new();
        let mut app = Puppet::new(&namespace, more);
        transfer(&namespace, &mut app, 2 << 20);
    }
}

#[test]
fn a_delayed_link_delays() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, ",link=delay:100ms");
    let (_listener, port) = kernel::listener(&namespace);
    app.connected(port);
    // The first connection waited for the kernel's address as well.
    let begun = Instant::now();
    app.connected(port);
    let took = begun.elapsed();
    assert!((Duration::from_millis(100)..Duration::from_secs(2)).contains(&took), "connect took {took:?}");
}

#[test]
fn a_transfer_over_a_lossy_link_arrives() {
    for more in ["loss:1%+seed:7", "delay:5ms+loss:1%+seed:7", "delay:5ms+loss:0.1%+reorder:2%+duplicate:1%+seed:8"] {
        let namespace = Namespace::new();
        let mut app = Puppet::new(&namespace, &format!(",link={more}"));
        transfer(&namespace, &mut app, 2 << 20);
    }
}

#[test]
fn a_transfer_over_a_corrupting_link_arrives() {
    for more in [",link=corrupt:0.5%+seed:9", ",link=corrupt:0.5%+seed:9,offload=off"] {
        let namespace = Namespace::new();
        let mut app = Puppet::new(&namespace, more);
        transfer(&namespace, &mut app, 1 << 20);
    }
}

#[test]
fn the_capture_can_be_read_by_tcpdump() {
    let namespace = Namespace::new();
    let file = std::env::temp_dir().join(format!("sockeye-kernel-peer-{}.pcapng", std::process::id()));
    let mut app = Puppet::new(&namespace, &format!(",pcap={}", file.display()));
    transfer(&namespace, &mut app, 1 << 20);
    app.gives("exit 0", "bye");
    app.program().ended(Duration::from_secs(10));
    let output = Command::new("tcpdump").args(["-nnr"]).arg(&file).output().expect("tcpdump is installed");
    std::fs::remove_file(&file).unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && !errors.contains("trunc"), "{errors}");
    for words in [
        &["ARP", "who-has", KERNEL][..],
        &["10.97.0.2.", "> 10.97.0.1.", "Flags [S],"],
        &["10.97.0.1.", "> 10.97.0.2.", "Flags [S.],"],
        &["10.97.0.2.", "> 10.97.0.1.", "Flags [F.],"],
    ] {
        let has = text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        assert!(has, "no line with {words:?} in the capture, which ends with {:?}", text.lines().last());
    }
    let sent: u64 = text
        .lines()
        .filter(|line| line.contains("IP 10.97.0.2."))
        .filter_map(|line| line.rsplit_once("length ")?.1.split(':').next()?.parse::<u64>().ok())
        .sum();
    assert!(sent >= 1 << 20, "{sent} bytes of ours are in the capture");
}

#[test]
fn a_tun_device_serves_as_well() {
    for more in ["", ",offload=off"] {
        let namespace = Namespace::bare();
        namespace.ip("tuntap add dev u0 mode tun");
        namespace.ip("address add 10.96.0.1/24 dev u0");
        namespace.ip("link set u0 up");
        let mut app = Puppet::with(&namespace, &[("SOCKEYE_NET", &format!("tun:u0,ip=10.96.0.2/24{more}"))]);
        let listener = namespace.inside(|| TcpListener::bind("10.96.0.1:0")).unwrap();
        let fd = app.number("socket tcp");
        app.gives(format!("connect {fd} 10.96.0.1 {}", listener.local_addr().unwrap().port()), "0");
        both_ways(&mut app, fd, &mut kernel::accepted(&listener), 5 << 20);
    }
}
