//! Several stacks in one process.

use crate::{kernel, netns::Namespace, program::Puppet};
use std::{
    fs,
    io::Write,
    net::TcpListener,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

/// Two TAPs, and a puppet with a stack on each.
fn two() -> (Namespace, Puppet) {
    let namespace = Namespace::new();
    namespace.add_tap("t1", "10.98.0.1/24");
    let mut app = Puppet::with(&namespace, &[]);
    app.gives("stack tap:t0,ip=10.97.0.2/24,gw=10.97.0.1", "0");
    app.gives("stack tap:t1,ip=10.98.0.2/24,gw=10.98.0.1", "1");
    (namespace, app)
}

#[test]
fn each_of_two_stacks_has_its_own_network() {
    let (namespace, mut app) = two();
    for (stack, net) in [(0, "10.97.0"), (1, "10.98.0")] {
        let listener = namespace.inside(|| TcpListener::bind(format!("{net}.1:0"))).unwrap();
        let fd = app.number(format!("socket tcp {stack}"));
        app.gives(format!("connect {fd} {net}.1 {}", listener.local_addr().unwrap().port()), "0");
        let mut peer = kernel::accepted(&listener);
        assert!(peer.peer_addr().unwrap().to_string().starts_with(&format!("{net}.2:")));
        app.gives(format!("send {fd} hello"), "5");
        assert_eq!(kernel::read(&mut peer, 5), b"hello");
        peer.write_all(b"world").unwrap();
        app.gives(format!("recv {fd} 100"), "5 world");
    }
    // The same port may be bound in each.
    for stack in [0, 1] {
        let fd = app.number(format!("socket tcp {stack}"));
        app.gives(format!("bind {fd} 0.0.0.0 7"), "0");
        app.gives(format!("listen {fd} 5"), "0");
    }
}

#[test]
fn one_stack_reaches_the_other_through_the_kernel() {
    let (namespace, mut app) = two();
    namespace.sysctl("ipv4/ip_forward", "1");
    let listener = app.number("socket tcp 1");
    app.gives(format!("bind {listener} 10.98.0.2 7"), "0");
    app.gives(format!("listen {listener} 5"), "0");
    let client = app.number("socket tcp 0");
    // One thread waits in the one stack while the helper of the other answers.
    app.gives(format!("connect {client} 10.98.0.2 7"), "0");
    let server = app.number(format!("accept {listener}"));
    app.gives(format!("send {client} hello"), "5");
    app.gives(format!("recv {server} 100"), "5 hello");
    app.gives(format!("send {server} world"), "5");
    app.gives(format!("poll 5000 {client}:in {server}:in"), format!("{client}:in"));
    app.gives(format!("recv {client} 100"), "5 world");
    app.gives(format!("close {server}"), "0");
    app.gives(format!("recv {client} 100"), "0");
    app.gives(format!("close {client}"), "0");
}

#[test]
fn a_stack_that_is_freed_lets_go_of_its_device_and_the_other_goes_on() {
    let (namespace, mut app) = two();
    let lost = app.number("socket tcp 0");
    app.gives(format!("bind {lost} 0.0.0.0 7"), "0");
    let other = app.number("socket tcp 1");
    app.gives("unstack 0", "0");
    let refused = app.ask(format!("connect {lost} 10.97.0.1 7"));
    assert!(["-1 ENETDOWN", "-1 EBADF"].contains(&refused.as_str()), "{refused}");
    let listener = namespace.inside(|| TcpListener::bind("10.98.0.1:0")).unwrap();
    app.gives(format!("connect {other} 10.98.0.1 {}", listener.local_addr().unwrap().port()), "0");
    // Another may have the device now.
    let mut next = Puppet::new(&namespace, "");
    next.listening(7, 5);
    kernel::connected(&namespace, 7);
}

/// What `sockeye WORDS` ends with, says and complains of.
fn operator(namespace: &Namespace, words: &str, user: &[&str]) -> (Option<i32>, String, String) {
    let program = env!("CARGO_BIN_EXE_sockeye");
    let mut command = Command::new(user.first().unwrap_or(&program));
    command.args(user.iter().skip(1)).args((!user.is_empty()).then_some(program)).args(words.split(' '));
    let Output { status, stdout, stderr } = namespace.inside(|| command.output()).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// How many threads of a process answer operators.
fn answering(pid: &str) -> usize {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads").flatten();
    let name = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
    threads.map(name).filter(|name| name.trim() == "sockeye-listed").count()
}

#[test]
fn the_operator_sees_stacks_inside_a_process() {
    let (namespace, mut app) = two();
    let listener = app.number("socket tcp 0");
    app.gives(format!("bind {listener} 0.0.0.0 7"), "0");
    app.gives(format!("listen {listener} 5"), "0");
    let (code, rows, err) = operator(&namespace, "ls -H", &[]);
    assert_eq!((code, err.as_str(), rows.lines().count()), (Some(0), "", 2), "{rows}");
    let cells: Vec<&str> = rows.lines().next().unwrap().split_whitespace().collect();
    let name = cells[0];
    let pid = name.strip_prefix("t0@").expect("the device and the process");
    assert_eq!(cells[1..6], ["t0", "10.97.0.2/24", "1", "1", pid]);
    assert!(rows.contains(&format!("\nt1@{pid} ")), "{rows}");
    let (code, sockets, err) = operator(&namespace, &format!("ss -Hltn --stack {name}"), &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(sockets.split_whitespace().collect::<Vec<_>>(), ["LISTEN", "0", "5", "0.0.0.0:7", "0.0.0.0:*"]);
    kernel::connected(&namespace, 7);
    let counted = format!("nstat --stack {name}");
    let (_, first, _) = operator(&namespace, &counted, &[]);
    assert!(
        first.starts_with(&format!("#{name}\n")) && first.contains("TcpPassiveOpens                 1 "),
        "{first}"
    );
    let (_, then, _) = operator(&namespace, &counted, &[]);
    assert!(!then.contains("TcpPassiveOpens"), "what was counted is told once: {then}");
    // It is the process's alone.
    let (code, out, err) = operator(&namespace, &format!("stop --stack {name}"), &[]);
    let cure = format!("it is inside process {pid}, which alone can use it; end that process\n");
    assert_eq!((code, out.as_str(), err), (Some(1), "", format!("sockeye: stack {name}: {cure}")));
    let inside = format!("a stack is inside process {pid}: name it as --stack {name}");
    assert_eq!(operator(&namespace, "stop", &[]).2, format!("sockeye: no host is running; {inside}\n"));
    let (code, _, err) = operator(&namespace, "down t0", &[]);
    assert_eq!(
        (code, err),
        (Some(1), format!("sockeye: t0: stack {name} has it, inside process {pid}; end that process\n"))
    );
    let nobody = ["setpriv", "--reuid", "65534", "--clear-groups"];
    assert_eq!(operator(&namespace, "ls -H", &nobody), (Some(0), String::new(), String::new()), "another user's");
    app.gives("unstack 1", "0");
    let end = Instant::now() + Duration::from_secs(20);
    while operator(&namespace, "ls -H", &[]).1.contains("t1@") {
        assert!(Instant::now() < end, "a stack that is freed is listed");
        thread::sleep(Duration::from_millis(5));
    }
    // And nobody answers for it any more.
    while answering(pid) > 1 {
        assert!(Instant::now() < end, "the thread of a stack that is freed lives");
        thread::sleep(Duration::from_millis(5));
    }
    drop(app);
    assert_eq!(operator(&namespace, "ls -H", &[]).1, "");
}

#[test]
fn the_operator_is_told_which_stack_has_lost_its_device() {
    let (namespace, app) = two();
    namespace.ip("link delete t0");
    let end = Instant::now() + Duration::from_secs(20);
    let told = loop {
        let (code, rows, err) = operator(&namespace, "ls -H", &[]);
        assert_eq!((code, rows.lines().count()), (Some(0), 2), "{rows}");
        if !err.is_empty() {
            break err;
        }
        assert!(Instant::now() < end, "nobody is told");
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(told.lines().count(), 1, "{told}");
    let why = " has no network any more: the device is gone: tap t0 was deleted; end process ";
    assert!(told.starts_with("sockeye: stack t0@") && told.contains(why), "{told}");
    // A device that is made anew is not that of the stack, and may go again.
    let (code, said, err) = operator(&namespace, "up t0 --ip 10.97.0.1/24", &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{said}");
    assert!(said.contains("t0: is not that of stack t0@"), "{said}");
    let (code, _, err) = operator(&namespace, "down t0", &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    drop(app);
}
