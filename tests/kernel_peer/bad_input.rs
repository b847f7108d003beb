//! Whatever is wrong with what a stack is to be made of: one clear error that names cause and cure, and nothing
//! half-made is left behind.

use crate::{
    kernel,
    netns::{Namespace, spec},
    program::{Program, Puppet, clean, compiled},
};
use std::{
    fs,
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// What a process has: descriptors, threads, and the network devices around it.
#[derive(Debug, PartialEq)]
struct Belongings {
    descriptors: i64,
    threads: usize,
    devices: Vec<String>,
}

fn belongings(namespace: &Namespace, app: &mut Puppet) -> Belongings {
    let descriptors = app.number("fds");
    let tasks = format!("/proc/{}/task", app.program().pid());
    let threads = || fs::read_dir(&tasks).expect("the process lives").count();
    // A thread that ends is counted until the kernel has seen it off.
    let end = Instant::now() + Duration::from_secs(1);
    while threads() > 1 && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
    Belongings { descriptors, threads: threads(), devices: namespace.devices() }
}

/// Making a stack of `spec` fails with `errno` and one line that contains all of `words`, and leaves nothing behind.
#[track_caller]
fn fails(namespace: &Namespace, app: &mut Puppet, spec: &str, errno: &str, words: &[&str]) {
    let before = belongings(namespace, app);
    let answer = app.ask(format!("stack {spec}"));
    assert!(answer.starts_with(&format!("-1 {errno}: ")), "{spec}: {answer}");
    is_clear(app, &answer, words);
    assert_eq!(belongings(namespace, app), before, "{spec} left something behind");
}

/// An error's text has all of `words`, and is said once.
#[track_caller]
fn is_clear(app: &mut Puppet, answer: &str, words: &[&str]) {
    for word in words {
        assert!(answer.contains(word), "{word:?} is missing in: {answer}");
    }
    let text = answer.split_once(": ").map_or("", |(_, text)| text);
    assert!(text.len() > 20, "an error without a text: {answer}");
    let said = app.program().stderr();
    assert!(said.lines().count() <= 1, "it is said more than once: {said}");
}

#[test]
fn a_bad_specification_names_the_key_and_shows_the_right_form() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    for (spec, words) in [
        ("t0", &["tap:"][..]),
        ("tap:", &["tap:"]),
        ("wire:t0,ip=10.97.0.2/24", &["wire", "tap"]),
        ("tap:t0,colour=red", &["colour"]),
        ("tap:t0,ip=10.97.0.2/24,ip=10.97.0.3/24", &["ip", "+"]),
        ("tap:t0,ip=10.97.0.300/24", &["ip=", "10.97.0.300", "/24"]),
        ("tap:t0,ip=10.97.0.2/33", &["ip=", "/33", "/24"]),
        ("tap:t0,ip=10.97.0.2/24,gw=there", &["gw=", "there"]),
        ("tap:t0,ip=10.97.0.2/24,mtu=12", &["mtu=", "12", "68"]),
        ("tap:t0,ip=10.97.0.2/24,mac=red", &["mac=", "red"]),
        ("tap:t0,ip=10.97.0.2/24,offload=maybe", &["offload=", "maybe", "on", "off"]),
        ("tap:t0,ip=10.97.0.2/24,queues=0", &["queues="]),
        ("tap:t0,ip=10.97.0.2/24,link=loss:200%", &["link", "loss", "200"]),
        ("tap:t0,ip=10.97.0.2/24,link=speed:9", &["link", "speed"]),
        ("tap:t0,ip=10.97.0.2/24,log=loud", &["log", "loud"]),
        ("tap:t0,ip=10.97.0.2/24,mtu", &["mtu"]),
    ] {
        fails(&namespace, &mut app, spec, "EINVAL", words);
    }
    app.gives(format!("stack {}", spec("")), "0");
}

#[test]
fn without_a_specification_the_first_socket_says_which_variable_is_missing() {
    let namespace = Namespace::new();
    for value in [&[][..], &[("SOCKEYE_NET", "")], &[("SOCKEYE_NET", "tap:t0,colour=red")]] {
        let mut app = Puppet::with(&namespace, value);
        let before = belongings(&namespace, &mut app);
        let answer = app.ask("first");
        assert!(answer.starts_with("-1 ENETDOWN: "), "{answer}");
        is_clear(
            &mut app,
            &answer,
            if value.iter().any(|(_, value)| value.contains("red")) { &["colour"] } else { &["SOCKEYE_NET", "tap:"] },
        );
        assert_eq!(belongings(&namespace, &mut app), before);
    }
}

#[test]
fn who_may_not_open_the_device_is_told_who_may() {
    let namespace = Namespace::new();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(compiled("puppet"));
    let mut app = Puppet::from(Program::start(&namespace, clean(&mut command)));
    fails(&namespace, &mut app, &spec(""), "EPERM", &["t0", "root"]);
    fails(&namespace, &mut app, "tap:new0,ip=10.96.0.2/24", "EPERM", &["new0", "root"]);
}

#[test]
fn a_device_that_another_process_holds_is_busy() {
    let namespace = Namespace::new();
    let mut first = Puppet::new(&namespace, "");
    let mut second = Puppet::with(&namespace, &[]);
    fails(&namespace, &mut second, &spec(""), "EBUSY", &["t0", "(puppet) has the device"]);
    // The first is not disturbed; when it is gone, the second may have the device.
    first.listening(7, 5);
    kernel::connected(&namespace, 7);
    first.program().kill();
    second.gives(format!("stack {}", spec("")), "0");
}

#[test]
fn an_address_that_the_kernel_has_is_in_use() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    // A thread that has waited once keeps what it sleeps on; further failures must not add to that.
    app.ask("stack tap:t0,ip=10.97.0.1/24");
    fails(&namespace, &mut app, "tap:t0,ip=10.97.0.1/24", "EADDRINUSE", &["10.97.0.1", "in use", "ip="]);
    app.gives(format!("stack {}", spec("")), "0");
}

#[test]
fn a_device_that_is_down_works_once_it_is_set_up() {
    let namespace = Namespace::new();
    namespace.ip("link set t0 down");
    let mut app = Puppet::new(&namespace, "");
    let fd = app.number("socket tcp");
    app.gives(format!("nonblock {fd}"), "0");
    let (_listener, port) = kernel::listener(&namespace);
    app.gives(format!("connect {fd} 10.97.0.1 {port}"), "-1 EINPROGRESS");
    sleep(Duration::from_millis(500));
    let said = app.program().stderr();
    assert_eq!(said.matches("ip link set t0 up").count(), 1, "the cure is said once: {said:?}");
    namespace.ip("link set t0 up");
    app.gives(format!("poll 10000 {fd}:out"), format!("{fd}:out"));
    app.gives(format!("get {fd} error"), "0");
    app.listening(7, 5);
    kernel::connected(&namespace, 7);
}

#[test]
fn a_device_that_is_deleted_under_us_takes_the_network_down() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    app.gives(format!("stack {}", spec("")), "0");
    let fd = app.number("socket tcp 0");
    let (listener, port) = kernel::listener(&namespace);
    app.gives(format!("connect {fd} 10.97.0.1 {port}"), "0");
    let _peer = kernel::accepted(&listener);
    let idle = app.number("socket udp 0");
    app.gives(format!("bind {idle} 0.0.0.0 7"), "0");
    app.begin(format!("recv {fd} 100"));
    sleep(Duration::from_millis(200));
    namespace.ip("link delete t0");
    assert_eq!(app.answer(), "-1 ENETDOWN");
    let next = app.number("socket tcp 0");
    app.gives(format!("connect {next} 10.97.0.1 {port}"), "-1 ENETDOWN");
    app.gives(format!("sendto {idle} 10.97.0.1 7 10"), "-1 ENETDOWN");
    for fd in [fd, idle, next] {
        app.gives(format!("close {fd}"), "0");
    }
    // A new device of the name, and a new stack on it, work.
    app.gives("unstack 0", "0");
    namespace.add_tap("t0", "10.97.0.1/24");
    app.gives(format!("stack {}", spec("")), "1");
    let fd = app.number("socket tcp 1");
    let (_listener, port) = kernel::listener(&namespace);
    app.gives(format!("connect {fd} 10.97.0.1 {port}"), "0");
}

#[test]
fn whoever_waits_is_told_that_the_device_was_deleted() {
    for (waits, told) in [
        ("accept LISTENER", "-1 ENETDOWN"),
        ("recvfrom DATAGRAMS", "-1 ENETDOWN"),
        ("poll 20000 LISTENER:in", "LISTENER:in|err|hup"),
        ("poll 20000 DATAGRAMS:in", "DATAGRAMS:in|err|hup"),
        ("wait EPOLL 20000", "LISTENER:in|err|hup"),
        ("connect STREAM 10.97.0.77 9", "-1 ENETDOWN"),
    ] {
        let namespace = Namespace::new();
        let mut app = Puppet::new(&namespace, "");
        let (listener, datagrams, stream) = (app.listening(7, 5), app.number("socket udp"), app.number("socket tcp"));
        app.gives(format!("bind {datagrams} 0.0.0.0 7"), "0");
        let epoll = app.number("epoll");
        app.gives(format!("watch {epoll} {listener} in"), "0");
        let named = |text: &str| {
            let text = text.replace("LISTENER", &listener.to_string()).replace("DATAGRAMS", &datagrams.to_string());
            text.replace("EPOLL", &epoll.to_string()).replace("STREAM", &stream.to_string())
        };
        app.begin(named(waits));
        sleep(Duration::from_millis(200));
        namespace.ip("link delete t0");
        assert_eq!(app.answer(), named(told), "{waits}");
        // Nobody waits later either, but for what is inside.
        app.gives(format!("accept {listener}"), "-1 ENETDOWN");
        let later = app.number("socket tcp");
        app.gives(format!("listen {later} 5"), "-1 ENETDOWN");
        app.gives(format!("bind {later} 0.0.0.0 8"), "-1 ENETDOWN");
        app.gives(format!("bind {later} 127.0.0.1 8"), "0");
        app.gives(format!("listen {later} 5"), "0");
        let inside = app.number("socket tcp");
        app.gives(format!("connect {inside} 127.0.0.1 8"), "0");
    }
}

#[test]
fn out_of_descriptors_no_stack_is_made_and_nothing_is_left() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    let open = app.number("fds");
    let mut refusals = 0;
    for limit in open.. {
        app.gives(format!("nofile {limit}"), "0");
        let before = belongings(&namespace, &mut app);
        let answer = app.ask(format!("stack {}", spec("")));
        if answer == "0" {
            break;
        }
        refusals += 1;
        assert!(answer.starts_with("-1 EMFILE: "), "{answer}");
        is_clear(&mut app, &answer, &["out of descriptors", "ulimit -n"]);
        assert_eq!(belongings(&namespace, &mut app), before, "with room for {} descriptors", limit - open);
        assert!(limit < open + 30, "a stack needs more than 30 descriptors");
    }
    assert!(refusals > 0);
}

#[test]
fn out_of_descriptors_sockets_say_so_and_connections_wait() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let listener = app.listening(7, 5);
    let peer = kernel::connected(&namespace, 7);
    let open = app.number("fds");
    let lowest = app.number("lowest");
    app.gives(format!("nofile {lowest}"), "0");
    app.gives("socket tcp", "-1 EMFILE");
    app.gives("socket udp", "-1 EMFILE");
    app.gives("epoll", "-1 EMFILE");
    app.gives(format!("accept {listener}"), "-1 EMFILE");
    app.gives("fds", open.to_string());
    app.gives("nofile", "0");
    let fd = app.number(format!("accept {listener}"));
    app.gives(format!("peer {fd}"), peer.local_addr().unwrap().to_string());
}

#[test]
fn a_name_that_is_too_long_is_refused() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    fails(&namespace, &mut app, "tap:a-name-of-18-bytes,ip=10.97.0.2/24", "EINVAL", &["a-name-of-18-bytes", "15"]);
}

#[test]
fn a_device_of_another_kind_is_named_as_what_it_is() {
    let namespace = Namespace::new();
    namespace.ip("tuntap add dev u0 mode tun");
    namespace.ip("link add d0 type veth peer name d1");
    let mut app = Puppet::with(&namespace, &[]);
    fails(&namespace, &mut app, "tun:t0,ip=10.97.0.2/24", "EINVAL", &["t0", "TAP"]);
    fails(&namespace, &mut app, "tap:u0,ip=10.97.0.2/24", "EINVAL", &["u0", "TUN"]);
    fails(&namespace, &mut app, "tap:d0,ip=10.97.0.2/24", "EINVAL", &["d0"]);
    fails(&namespace, &mut app, "tap:lo,ip=10.97.0.2/24", "EINVAL", &["lo"]);
}

#[test]
fn a_capture_that_cannot_be_written_leaves_no_device() {
    let namespace = Namespace::new();
    let mut app = Puppet::with(&namespace, &[]);
    let spec = "tap:new0,ip=10.96.0.2/24,pcap=/no/such/directory/x.pcapng";
    fails(&namespace, &mut app, spec, "ENOENT", &["/no/such/directory", "directory"]);
}
