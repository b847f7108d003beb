//! How connections end: in halves, orderly, lingering, and by reset.

use crate::{
    kernel,
    netns::{KERNEL, Namespace},
    program::Puppet,
    stream,
};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    thread::sleep,
    time::{Duration, Instant},
};

/// A connection that we made, and the kernel's end of it.
fn pair(namespace: &Namespace, app: &mut Puppet) -> (i64, TcpStream) {
    let (listener, port) = kernel::listener(namespace);
    let fd = app.connected(port);
    (fd, kernel::accepted(&listener))
}

fn error_of(stream: &mut TcpStream) -> ErrorKind {
    stream.read(&mut [0]).expect_err("an error").kind()
}

#[test]
fn we_end_our_half_and_go_on_receiving() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer) = pair(&namespace, &mut app);
    app.gives(format!("send {fd} question"), "8");
    app.gives(format!("shutdown {fd} wr"), "0");
    assert_eq!(kernel::read_all(&mut peer).unwrap(), b"question");
    app.gives(format!("send {fd} more nosignal"), "-1 EPIPE");
    sleep(Duration::from_millis(100));
    peer.write_all(&stream::bytes(100_000)).unwrap();
    drop(peer);
    app.gives(format!("recvn {fd} 1000000"), stream::answer(100_000));
    app.gives(format!("close {fd}"), "0");
}

#[test]
fn the_kernel_ends_its_half_and_goes_on_receiving() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer) = pair(&namespace, &mut app);
    peer.write_all(b"question").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    app.gives(format!("recv {fd} 100"), "8 question");
    app.gives(format!("recv {fd} 100"), "0");
    app.gives(format!("poll 0 {fd}:in|out|rdhup"), format!("{fd}:in|out|rdhup"));
    app.begin(format!("sendn {fd} 1000000"));
    assert_eq!(stream::receive(&mut peer, 1_000_000).unwrap(), app.answer());
    app.gives(format!("close {fd}"), "0");
    assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
}

#[test]
fn our_close_with_linger_zero_resets() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer) = pair(&namespace, &mut app);
    app.gives(format!("linger {fd} 0"), "0");
    app.gives(format!("close {fd}"), "0");
    assert_eq!(error_of(&mut peer), ErrorKind::ConnectionReset);
}

#[test]
fn our_close_with_unread_data_resets() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer) = pair(&namespace, &mut app);
    peer.write_all(b"never read").unwrap();
    app.gives(format!("poll 5000 {fd}:in"), format!("{fd}:in"));
    app.gives(format!("close {fd}"), "0");
    assert_eq!(error_of(&mut peer), ErrorKind::ConnectionReset);
}

#[test]
fn data_for_a_socket_that_we_closed_is_answered_with_a_reset() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer) = pair(&namespace, &mut app);
    app.gives(format!("close {fd}"), "0");
    assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
    peer.write_all(b"too late").unwrap();
    sleep(Duration::from_millis(200));
    assert_eq!(peer.write_all(b"and later").expect_err("an error").kind(), ErrorKind::BrokenPipe);
}

#[test]
fn the_kernels_close_with_linger_zero_resets_us() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, peer) = pair(&namespace, &mut app);
    kernel::reset_on_close(&peer);
    drop(peer);
    app.gives(format!("poll 5000 {fd}:in|rdhup"), format!("{fd}:in|err|hup|rdhup"));
    app.gives(format!("recv {fd} 100"), "-1 ECONNRESET");
    // The error is told once; after it comes the end.
    app.gives(format!("recv {fd} 100"), "0");
    app.gives(format!("send {fd} more nosignal"), "-1 EPIPE");
}

#[test]
fn the_kernels_close_with_unread_data_resets_us() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, peer) = pair(&namespace, &mut app);
    app.gives(format!("send {fd} never-read"), "10");
    assert!(kernel::is_readable(&peer, Duration::from_secs(5)));
    app.begin(format!("recv {fd} 100"));
    drop(peer);
    assert_eq!(app.answer(), "-1 ECONNRESET");
}

#[test]
fn writing_to_a_connection_that_is_gone_raises_sigpipe() {
    use std::os::unix::process::ExitStatusExt;
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, peer) = pair(&namespace, &mut app);
    kernel::reset_on_close(&peer);
    drop(peer);
    app.gives(format!("poll 5000 {fd}:in"), format!("{fd}:in|err|hup"));
    app.gives(format!("send {fd} first nosignal"), "-1 ECONNRESET");
    app.begin(format!("send {fd} second"));
    let status = app.program().ended(Duration::from_secs(5));
    assert_eq!(status.signal(), Some(libc::SIGPIPE));
}

/// A connection whose kernel end takes little and does not read yet; filled from our side.
fn clogged(namespace: &Namespace, app: &mut Puppet) -> (i64, TcpStream, u64) {
    let (listener, port) = kernel::listener(namespace);
    kernel::receive_buffer(&listener, 4096);
    let fd = app.connected(port);
    let peer = kernel::accepted(&listener);
    let sent = app.number(format!("fill {fd}"));
    assert!(sent > 16_384, "the send buffer took only {sent}");
    (fd, peer, sent as u64)
}

#[test]
fn a_lingering_close_waits_for_the_reader() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer, sent) = clogged(&namespace, &mut app);
    app.gives(format!("linger {fd} 20"), "0");
    let begun = Instant::now();
    app.begin(format!("close {fd}"));
    sleep(Duration::from_millis(700));
    let received = stream::receive(&mut peer, u64::MAX).unwrap();
    assert!(received.starts_with(&format!("{sent} ")), "{received} of {sent}");
    assert_eq!(app.answer(), "0");
    let took = begun.elapsed();
    assert!((Duration::from_millis(700)..Duration::from_secs(15)).contains(&took), "close took {took:?}");
}

#[test]
fn a_lingering_close_waits_no_longer_than_it_was_told() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer, sent) = clogged(&namespace, &mut app);
    app.gives(format!("linger {fd} 1"), "0");
    let begun = Instant::now();
    app.ask(format!("close {fd}"));
    let took = begun.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(3)).contains(&took), "close took {took:?}");
    // The connection goes on in the background.
    let received = stream::receive(&mut peer, u64::MAX).unwrap();
    assert!(received.starts_with(&format!("{sent} ")), "{received} of {sent}");
}

#[test]
fn a_plain_close_returns_at_once_and_everything_arrives() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    let (fd, mut peer, sent) = clogged(&namespace, &mut app);
    let begun = Instant::now();
    app.gives(format!("close {fd}"), "0");
    assert!(begun.elapsed() < Duration::from_millis(500), "close took {:?}", begun.elapsed());
    sleep(Duration::from_millis(300));
    let received = stream::receive(&mut peer, u64::MAX).unwrap();
    assert!(received.starts_with(&format!("{sent} ")), "{received} of {sent}");
}

#[test]
fn a_port_can_be_listened_on_again_though_connections_of_it_rest() {
    let namespace = Namespace::new();
    let mut app = Puppet::new(&namespace, "");
    for _ in 0..3 {
        let listener = app.listening(7, 5);
        let mut peer = kernel::connected(&namespace, 7);
        let fd = app.number(format!("accept {listener}"));
        app.gives(format!("close {fd}"), "0");
        assert_eq!(kernel::read_all(&mut peer).unwrap(), b"");
        drop(peer);
        app.gives(format!("close {listener}"), "0");
    }
    // Without SO_REUSEADDR the connections that we closed first keep the port (TIME-WAIT).
    sleep(Duration::from_millis(100));
    let fd = app.number("socket tcp");
    app.gives(format!("bind {fd} {} 7", crate::netns::OURS), "-1 EADDRINUSE");
    app.gives(format!("bind {fd} {KERNEL} 7"), "-1 EADDRNOTAVAIL");
}
