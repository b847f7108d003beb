//! netcat, both ways.

use crate::{
    home::{Home, noise},
    http,
    netns::KERNEL,
    running::{PATIENCE, Running},
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

/// Debian has two programs of that name.
const NC: &str = "nc.openbsd";

/// Connects to a listener that may be on its way up.
pub fn connected(home: &Home, port: u16) -> TcpStream {
    let end = Instant::now() + PATIENCE;
    loop {
        match home.namespace.inside(|| http::connect(port, Duration::from_secs(2))) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < end, "port {port}: {error}"),
        }
        thread::sleep(Duration::from_millis(20));
    }
}

both_ways! {
    fn bytes_go_to_the_kernel_and_come_back(home: &Home) {
        let content = noise(5_000_000);
        let listener = home.namespace.inside(|| TcpListener::bind((KERNEL, 9000))).expect("a listener");
        let mut client = home.start_fed(&[NC, "-N", KERNEL, "9000"]);
        let (mut stream, _) = listener.accept().expect("a connection");
        let echo = thread::spawn(move || {
            let mut all = Vec::new();
            stream.read_to_end(&mut all).expect("all of it");
            stream.write_all(&all).expect("a reader");
        });
        client.feed(&content);
        assert!(client.ended().bytes() == content);
        echo.join().expect("an echo");
    }

    fn the_kernel_sends_to_a_listener_and_hears_from_it(home: &Home) {
        let content = noise(5_000_000);
        let mut server = home.start_fed(&[NC, "-l", "-N", "9000"]);
        let mut stream = connected(home, 9000);
        server.feed(b"hello from the stack\n");
        let mut greeting = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| stream.try_clone().expect("a copy").read_to_end(&mut greeting).expect("all of it"));
            (&stream).write_all(&content).expect("a reader");
            stream.shutdown(Shutdown::Write).expect("connected");
        });
        stream.flush().expect("connected");
        assert_eq!(greeting, b"hello from the stack\n");
        assert!(server.ended().bytes() == content);
    }

    fn datagrams_go_to_the_kernel_and_come_back(home: &Home) {
        let socket = home.namespace.inside(|| UdpSocket::bind((KERNEL, 9000))).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut client = home.start_fed(&[NC, "-u", KERNEL, "9000"]);
        client.feed(b"question\n");
        let mut room = [0; 100];
        let (n, from) = socket.recv_from(&mut room).expect("a datagram");
        assert_eq!(&room[..n], b"question\n");
        socket.send_to(b"answer\n", from).expect("sent");
        client.says("answer");
        client.end_by(libc::SIGTERM);
    }

    fn one_talks_to_another_on_the_stack(home: &Home) {
        let server = home.start(&[NC, "-l", "127.0.0.1", "9000"]);
        let say = || -> Running {
            let mut client = home.start_fed(&[NC, "-N", "127.0.0.1", "9000"]);
            client.feed(b"one to the other\n");
            client
        };
        let end = Instant::now() + PATIENCE;
        // The listener may be on its way up.
        while say().ended().status != "exit 0" {
            assert!(Instant::now() < end);
        }
        assert_eq!(server.ended().text(), "one to the other\n");
    }
}
