//! The host is killed while programs run: they see that the connection broke, and the next gets a new host.

use crate::{home::Home, http, netns::KERNEL, process, running::PATIENCE};
use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

/// Says one thing, and then listens to the end.
const LISTENS: &str = "
import socket, sys
s = socket.create_connection((sys.argv[1], 9000))
s.sendall(b'request')
try:
    while s.recv(65536): print('data', flush=True)
    print('a clean end')
except OSError as error:
    print(type(error).__name__)
";

/// Makes a new socket.
const CONNECTS: &str = "import socket, sys; socket.create_connection((sys.argv[1], 9000)); print('connected')";

both_ways! {
    fn a_connection_does_not_seem_to_have_ended_well(home: &Home) {
        let listener = home.namespace.inside(|| TcpListener::bind((KERNEL, 9000))).expect("a listener");
        let client = home.start(&["python3", "-c", LISTENS, KERNEL]);
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 7];
        stream.read_exact(&mut request).expect("a request");
        stream.write_all(b"answer").expect("a reader");
        client.says("data");
        let first = home.host();
        process::kill(first, libc::SIGKILL);
        assert_eq!(client.ended().text(), "data\nConnectionResetError\n");
        // Its TAP has gone with it, and the next host has its own.
        assert_eq!(home.run(&["python3", "-c", CONNECTS, KERNEL]).text(), "connected\n");
    }

    fn a_transfer_fails_and_the_next_has_a_new_host(home: &Home) {
        home.file("large", &vec![7; 50_000_000]);
        let server = home.kernels_web_server(8000);
        let url = format!("http://{KERNEL}:8000/large");
        let slow = home.start(&["curl", "-sS", "--limit-rate", "1M", "-o", "/dev/null", &url]);
        let served = home.start(&["python3", "-m", "http.server", "--bind", "0.0.0.0", "8001"]);
        served.says("Serving HTTP");
        server.says("GET /large");
        let first = home.host();
        process::kill(first, libc::SIGKILL);
        let outcome = slow.ended();
        assert!(["exit 18", "exit 56"].contains(&outcome.status.as_str()), "{}: {}", outcome.status, outcome.stderr);
        // Nobody answers for the listener any more.
        let refused = home.run(&["curl", "-sS", "http://127.0.0.1:8001/"]);
        assert_eq!(refused.status, "exit 7", "{}", refused.stderr);
        assert_eq!(home.run(&["curl", "-sS", "-o", "/dev/null", &url]).status, "exit 0");
        served.end_by(libc::SIGTERM);
        // A server that is started again serves.
        let again = home.web_server("0.0.0.0", 8001);
        let end = Instant::now() + PATIENCE;
        while home.namespace.inside(|| http::page(8001, "/", Duration::from_secs(2))).is_err() {
            assert!(Instant::now() < end);
            thread::sleep(Duration::from_millis(20));
        }
        again.end_by(libc::SIGTERM);
        server.end_by(libc::SIGTERM);
    }
}
