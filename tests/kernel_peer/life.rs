//! The program's own life: it returns, is killed, forks, and starts others.

use crate::{
    kernel,
    netns::{KERNEL, Namespace, spec},
    program::{Program, Puppet, clean, compiled},
    stream,
};
use std::{
    io::{Error, ErrorKind, Read, Write},
    process::Command,
    thread::sleep,
    time::{Duration, Instant},
};

/// A program that sends and returns; whether it closes first is its last word.
fn sent_and_returned(ending: &str, more: &str) {
    const BYTES: u64 = 10 << 20;
    let namespace = Namespace::new();
    let (listener, port) = kernel::listener(&namespace);
    let mut command = Command::new(compiled("send_and_return"));
    clean(&mut command).env("SOCKEYE_NET", spec(more)).args([KERNEL, &port.to_string(), &BYTES.to_string(), ending]);
    let mut program = Program::start(&namespace, &mut command);
    let mut peer = kernel::accepted(&listener);
    // The reader is late: most of it is still unsent when the program returns.
    sleep(Duration::from_millis(300));
    assert_eq!(stream::receive(&mut peer, u64::MAX).unwrap(), stream::answer(BYTES), "{ending}{more}");
    assert_eq!(program.ended(Duration::from_secs(10)).code(), Some(0), "{}", program.stderr());
}

#[test]
fn a_program_that_sends_closes_and_returns_loses_nothing() {
    sent_and_returned("close", "");
    sent_and_returned("close", ",offload=off");
    sent_and_returned("close", ",link=delay:20ms");
}

#[test]
fn a_program_that_sends_and_returns_without_closing_loses_nothing() {
    sent_and_returned("return", "");
}

#[test]
fn a_program_that_sends_closes_and_frees_its_stack_loses_nothing() {
    sent_and_returned("free", "");
    sent_and_returned("free", ",link=delay:20ms");
}

#[test]
fn what_a_freed_stack_cannot_deliver_in_its_time_is_reset_over_a_slow_link_too() {
    for more in ["", ",link=delay:20ms"] {
        let namespace = Namespace::new();
        let (listener, port) = kernel::listener(&namespace);
        kernel::receive_buffer(&listener, 4096);
        let mut command = Command::new(compiled("send_and_return"));
        // More than the peer takes, and less than the send buffer holds.
        let arguments = [KERNEL, &port.to_string(), "65536", "close", "100"];
        clean(&mut command).env("SOCKEYE_NET", spec(more)).args(arguments);
        let mut program = Program::start(&namespace, &mut command);
        let mut peer = kernel::accepted(&listener);
        assert_eq!(program.ended(Duration::from_secs(10)).code(), Some(3), "{}", program.stderr());
        assert!(program.stderr().contains("timed out"), "{}", program.stderr());
        let end = kernel::read_all(&mut peer).map(|bytes| bytes.len());
        assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset, "{more}");
    }
}

#[test]
fn a_program_whose_peer_takes_nothing_ends_all_the_same() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    kernel::receive_buffer(&listener, 4096);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    app.number(format!("fill {fd}"));
    app.gives(format!("close {fd}"), "0");
    let begun = Instant::now();
    app.gives("exit 3", "bye");
    let status = app.program().ended(Duration::from_secs(10));
    assert_eq!(status.code(), Some(3));
    assert!(begun.elapsed() < Duration::from_secs(5), "exit took {:?}", begun.elapsed());
    let end = kernel::read_all(&mut peer).map(|bytes| bytes.len());
    assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_kernel_finds_out_that_a_killed_program_is_gone() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    app.connected(port);
    let mut abandoned = kernel::accepted(&listener);
    app.connected(port);
    let mut reset = kernel::accepted(&listener);
    app.program().kill();
    // While nobody is there, what is sent is not acknowledged.
    kernel::user_timeout(&abandoned, 1500);
    abandoned.write_all(b"hello?").unwrap();
    let error = abandoned.read(&mut [0]).expect_err("nobody answers");
    let unanswered = [libc::ETIMEDOUT, libc::EHOSTUNREACH];
    assert!(error.raw_os_error().is_some_and(|error| unanswered.contains(&error)), "{error}");
    // A new program on the same device knows nothing of the connection.
    let _app = Puppet::new(&namespace, "");
    reset.write_all(b"hello?").unwrap();
    assert_eq!(reset.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_forked_childs_calls_fail_and_the_parent_goes_on() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (listener, port) = kernel::listener(&namespace);
    let fd = app.connected(port);
    let mut peer = kernel::accepted(&listener);
    let open = app.number("fds");
    app.gives(format!("fork {fd}"), "send ENETDOWN, recv ENETDOWN, socket ENETDOWN, close 0");
    app.gives("fds", open.to_string());
    app.gives(format!("send {fd} parent"), "6");
    assert_eq!(kernel::read(&mut peer, 6), b"parent");
    peer.write_all(b"goes on").unwrap();
    app.gives(format!("recv {fd} 100"), "7 goes on");
}

#[test]
fn a_program_that_we_start_does_not_keep_the_device() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let child = app.number("spawn");
    app.gives("exit 0", "bye");
    app.program().ended(Duration::from_secs(5));
    let mut next = Puppet::new(&namespace, "");
    next.listening(7, 5);
    kernel::connected(&namespace, 7);
    // SAFETY: kill(2) has no memory arguments; the child sleeps until it is ended here.
    assert_eq!(unsafe { libc::kill(child as i32, libc::SIGKILL) }, 0, "{}", Error::last_os_error());
}

#[test]
fn a_device_that_we_made_is_gone_with_us() {
    let namespace = Namespace::new();
    let before = namespace.devices();
    let mut app = Puppet::with(&namespace, &[]);
    app.gives("stack tap:made0,ip=10.96.0.2/24", "0");
    assert!(namespace.devices().contains(&"made0".to_owned()));
    app.gives("unstack 0", "0");
    assert_eq!(namespace.devices(), before);
    app.gives("stack tap:made0,ip=10.96.0.2/24", "1");
    app.program().kill();
    assert_eq!(namespace.devices(), before);
}
