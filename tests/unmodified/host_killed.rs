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
pub const CONNECTS: &str = "import socket, sys; socket.create_connection((sys.argv[1], 9000)); print('connected')";

/// Waits for a connection, and then for another.
pub const ACCEPTS: &str = "
import socket
s = socket.create_server(('0.0.0.0', 9001))
print('listening', flush=True)
try: s.accept()
except OSError as error: print(error.errno, flush=True)
s.settimeout(0.5)
try: s.accept()
except OSError as error: print(type(error).__name__)
";

/// Waits for a datagram.
pub const RECEIVES: &str = "
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 9002))
print('listening', flush=True)
try: s.recvfrom(100)
except OSError as error: print(error.errno)
";

/// Waits in epoll for connections, and says how often it was woken in two seconds, from the first time on.
pub const POLLS: &str = "
import select, socket, time
s = socket.create_server(('0.0.0.0', 9003))
s.setblocking(False)
e = select.epoll()
e.register(s, select.EPOLLIN)
print('listening', flush=True)
e.poll()
woken, end = 0, time.monotonic() + 2
while time.monotonic() < end:
    woken += 1
    try: s.accept()
    except OSError as error: print(error.errno, flush=True)
    e.poll(end - time.monotonic())
print('woken', woken)
";

/// What a program says whose host is gone.
pub const GONE: &str = "sockeye: the stack's host is gone: nobody comes to what this program listens at any more\n";

both_ways! {
    fn who_waits_is_told(home: &Home) {
        let waits = [ACCEPTS, RECEIVES, POLLS].map(|text| home.start(&["python3", "-c", text]));
        waits.iter().for_each(|program| program.says("listening"));
        thread::sleep(Duration::from_millis(200));
        process::kill(home.host(), libc::SIGKILL);
        let [accepts, receives, polls] = waits.map(|program| program.ended());
        assert_eq!(accepts.stderr, GONE);
        assert_eq!(accepts.text(), "listening\n100\nTimeoutError\n");
        assert_eq!(receives.stderr.lines().count(), 1, "{}", receives.stderr);
        assert_eq!(receives.text(), "listening\n100\n");
        assert_eq!(polls.stderr, GONE);
        assert_eq!(polls.text(), "listening\n100\nwoken 1\n");
    }

    fn servers_say_so_once_and_do_not_spin(home: &Home) {
        let redis = home.start(&["redis-server", "--port", "6379", "--protected-mode", "no", "--save", ""]);
        redis.says("Ready to accept connections");
        let python = home.web_server("0.0.0.0", 8000);
        let servers = [redis.pid(), python.pid()];
        let before = servers.map(process::time_used);
        process::kill(home.host(), libc::SIGKILL);
        redis.says("host is gone");
        thread::sleep(Duration::from_secs(2));
        for (pid, before) in servers.into_iter().zip(before) {
            let used = process::time_used(pid) - before;
            assert!(used < 50, "{used} hundredths of a second: {}", process::command_line(pid));
        }
        for server in [redis, python] {
            let said = server.end_by(libc::SIGTERM).stderr;
            assert_eq!(said.matches(GONE).count(), 1, "{said}");
        }
    }

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
