//! Descriptors that run out: in a program, and in the host. The program has a soft limit of its own: a hard one would
//! be the host's too, which the program starts.

use crate::{
    home::{Home, noise},
    http, process,
    running::PATIENCE,
};
use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

/// More connections than there are descriptors for. Not all come to be: the server's queue is short.
fn crowd(home: &Home, port: u16) -> Vec<TcpStream> {
    home.namespace.inside(|| (0..40).filter_map(|_| http::connect(port, Duration::from_millis(100)).ok()).collect())
}

/// Sets a process's limit of open files.
fn set_limit(pid: i32, files: usize) {
    process::limit(pid, libc::RLIMIT_NOFILE, Some(files as u64));
    assert_eq!(process::limit(pid, libc::RLIMIT_NOFILE, None), files as u64, "prlimit");
}

const OPENS: &str = "
import errno, socket
sockets = []
try:
    while len(sockets) < 100: sockets.append(socket.socket())
except OSError as error:
    print(errno.errorcode[error.errno])
print(errno.errorcode[sockets[-1].connect_ex(('127.0.0.1', 9))])
last = sockets.pop()
del sockets
print(errno.errorcode[last.connect_ex(('127.0.0.1', 9))])
one = socket.socket()
one.bind(('127.0.0.1', 0))
print(one.getsockname()[0])
";

both_ways! {
    fn a_program_that_has_none_left_is_told_and_recovers(home: &Home) {
        let limited = ["sh", "-c", "ulimit -S -n 20; exec \"$@\"", "sh"];
        let opens = [&limited[..], &["/usr/bin/python3", "-c", OPENS]].concat();
        assert_eq!(home.run(&opens).text(), "EMFILE\nEMFILE\nECONNREFUSED\n127.0.0.1\n");
    }

    fn a_server_that_has_none_left_lets_clients_wait_and_recovers(home: &Home) {
        home.file("page", b"served\n");
        let command = ["sh", "-c", "ulimit -S -n 20; exec /usr/bin/python3 -m http.server --bind 0.0.0.0 8000"];
        let server = home.start(&command);
        assert_eq!(home.page(8000, "/page"), b"served\n");
        let crowd = crowd(home, 8000);
        let end = Instant::now() + PATIENCE;
        while process::descriptors(server.pid()).len() < 19 {
            assert!(Instant::now() < end, "{:?}", process::descriptors(server.pid()));
            thread::sleep(Duration::from_millis(10));
        }
        drop(crowd);
        assert_eq!(home.page(8000, "/page"), b"served\n");
        server.end_by(libc::SIGTERM);
    }

    fn a_host_that_has_none_left_says_so_once_and_recovers(home: &Home) {
        let page = noise(1000);
        home.file("page", &page);
        let host = home.start_host();
        let server = home.web_server("0.0.0.0", 8000);
        assert!(home.page(8000, "/page") == page);
        set_limit(host.pid(), process::descriptors(host.pid()).len() + 5);
        let crowd = crowd(home, 8000);
        host.says("raise the limit of open files");
        let client = home.start(&["curl", "-sS", "--max-time", "20", "http://127.0.0.1:8000/page"]);
        thread::sleep(Duration::from_millis(500));
        drop(crowd);
        set_limit(host.pid(), 1024);
        let errors = home.namespace.inside(|| http::load(8000, "/page", &page, 50, 10));
        assert_eq!(errors, Vec::<String>::new());
        // It waited, or was told.
        let outcome = client.ended();
        assert!(outcome.status != "exit 0" || outcome.stdout == page, "{}", outcome.stdout.len());
        server.end_by(libc::SIGTERM);
        let said = host.ended().stderr;
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}
