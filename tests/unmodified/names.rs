//! Hosts' names, looked up by glibc's own functions: the name server is the kernel's.

use crate::{home::Home, netns::KERNEL, running::Running};
use std::time::{Duration, Instant};

/// Knows `web.test`, its alias, a name with IPv6 alone, and the kernel's address; is broken or silent for others.
const SERVER: &str = r#"
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('10.97.0.1', 53))
print('ready')
text = lambda name: b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0'
known = {('web.test', 1): socket.inet_aton('10.97.0.1'), ('six.test', 28): bytes(15) + b'\1',
         ('1.0.97.10.in-addr.arpa', 12): text('kernel.test')}
while True:
    query, peer = s.recvfrom(2000)
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, kind = '.'.join(labels), struct.unpack('>H', query[at + 1:at + 3])[0]
    print(name, kind)
    if name == 'silent.test':
        continue
    record = lambda name, kind, data: text(name) + struct.pack('>HHIH', kind, 1, 60, len(data)) + data
    records = []
    if name == 'alias.test':
        name = 'web.test'
        records.append(record('alias.test', 5, text(name)))
    if (name, kind) in known:
        records.append(record(name, kind, known[name, kind]))
    code = 2 if name == 'broken.test' else 0 if name in [n for n, _ in known] else 3
    answer = query[:2] + struct.pack('>HHHHH', 0x8180 | code, 1, len(records), 0, 0) + query[12:at + 5]
    # From a stranger, and with another id: nobody may believe these.
    forged = struct.pack('>H', struct.unpack('>H', query[:2])[0] ^ 1) + answer[2:4] + struct.pack('>HHHH', 1, 0, 0, 0)
    s.sendto(forged + query[12:at + 5], peer)
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(answer[:6] + bytes(6) + query[12:at + 5], peer)
    s.sendto(answer + b''.join(records), peer)
"#;

/// Evaluates each argument, and prints what it comes to.
const LOOK: &str = r#"
import sys
from socket import *
for text in sys.argv[1:]:
    try:
        print(eval(text))
    except (gaierror, herror) as error:
        print(type(error).__name__, error.errno)
"#;

/// Calls gethostbyname_r(3) with buffers from nothing to one that is enough; says how large that is, and what is in it.
const SIZES: &str = r#"
from ctypes import *
class Host(Structure):
    _fields_ = [('name', c_char_p), ('aliases', POINTER(c_char_p)), ('family', c_int), ('length', c_int),
                ('addresses', POINTER(POINTER(c_ubyte * 4)))]
call, host, result, error = CDLL(None).gethostbyname_r, Host(), c_void_p(), c_int()
for size in range(1000):
    buffer = create_string_buffer(b'\7' * 1000, 1001)
    # Not aligned, and with something behind it.
    code = call(b'alias.test', byref(host), byref(buffer, 1), c_size_t(size), byref(result), byref(error))
    assert buffer.raw[1 + size:1000] == b'\7' * (999 - size), size
    if code != 34:
        break
    assert not result.value and error.value == -1
print(code, size > 60, host.name, host.aliases[0], host.aliases[1], bytes(host.addresses[0][0]), bool(host.addresses[1]))
"#;

fn name_server(home: &Home) -> Running {
    home.file("server.py", SERVER.as_bytes());
    let server = home.start_kernels(&["python3", "server.py"]);
    server.says("ready");
    server
}

fn look(home: &Home, calls: &[&str]) -> Vec<String> {
    let words = [&["python3", "-c", LOOK], calls].concat();
    home.run(&words).text().lines().map(str::to_owned).collect()
}

both_ways! {
    fn a_name_servers_names_are_found(home: &Home) {
        let (server, web) = (name_server(home), home.kernels_web_server(8000));
        home.file("page", b"by name\n");
        let listed = home.run(&["getent", "ahosts", "web.test"]).text();
        assert!(listed.starts_with("10.97.0.1       STREAM web.test\n"), "{listed}");
        assert_eq!(home.run(&["getent", "hosts", KERNEL]).text(), "10.97.0.1       kernel.test\n");
        assert_eq!(home.run(&["curl", "-sS", "http://alias.test:8000/page"]).text(), "by name\n");
        assert_eq!(home.run(&["wget", "-q", "-O", "-", "http://web.test:8000/page"]).text(), "by name\n");
        let found = look(home, &[
            "gethostbyname_ex('alias.test')",
            "getaddrinfo('alias.test', 80, type=SOCK_STREAM, flags=AI_CANONNAME)[0][3:]",
            "getaddrinfo('web.test', 80, AF_INET, SOCK_STREAM, flags=AI_ADDRCONFIG)[0][4]",
            "getaddrinfo('web.test', 80, AF_INET6, SOCK_STREAM, flags=AI_V4MAPPED)[0][4][0]",
            "getaddrinfo('six.test', 80, AF_INET6, SOCK_STREAM)[0][4][0]",
            "getnameinfo(('10.97.0.1', 80), 0)",
        ]);
        assert_eq!(found, [
            "('web.test', ['alias.test'], ['10.97.0.1'])",
            "('web.test', ('10.97.0.1', 80))",
            "('10.97.0.1', 80)",
            "::ffff:10.97.0.1",
            "::1",
            "('kernel.test', 'http')",
        ]);
        server.end_by(libc::SIGTERM);
        web.end_by(libc::SIGTERM);
    }

    fn an_answer_stays_within_its_buffer(home: &Home) {
        let server = name_server(home);
        let said = home.run(&["python3", "-c", SIZES]).text();
        assert_eq!(said, "0 True b'web.test' b'alias.test' None b'\\na\\x00\\x01' False\n");
        server.end_by(libc::SIGTERM);
    }

    fn what_is_not_found_says_why(home: &Home) {
        let server = name_server(home);
        let nowhere = home.run(&["getent", "ahosts", "nowhere.test"]);
        assert_eq!((nowhere.status.as_str(), nowhere.stdout.len()), ("exit 2", 0));
        assert_eq!(home.run(&["curl", "-sS", "http://nowhere.test/"]).status, "exit 6");
        let found = look(home, &[
            "getaddrinfo('nowhere.test', 80)",
            "getaddrinfo('six.test', 80, AF_INET)",
            "getaddrinfo('broken.test', 80)",
            "gethostbyname('not a name')",
            "gethostbyaddr('10.97.0.77')",
            "getnameinfo(('10.97.0.77', 80), 0)",
        ]);
        assert_eq!(found, [
            "gaierror -2",
            "gaierror -5",
            "gaierror -3",
            "gaierror -2",
            "herror 1",
            "('10.97.0.77', 'http')",
        ]);
        server.end_by(libc::SIGTERM);
    }

    fn the_table_of_hosts_needs_no_name_server(home: &Home) {
        let found = look(home, &[
            "gethostbyname('localhost')",
            "getaddrinfo('127.0.0.1', 80, type=SOCK_STREAM)[0][4]",
            "getaddrinfo('nowhere.test', 80)",
        ]);
        assert_eq!(found, ["127.0.0.1", "('127.0.0.1', 80)", "gaierror -3"], "nobody listens at the server's port");
    }

    fn who_waits_for_a_silent_server_keeps_nobody_else(home: &Home) {
        let (server, web) = (name_server(home), home.kernels_web_server(8000));
        home.file("page", b"by name\n");
        let began = Instant::now();
        let mut waits = home.start(&["python3", "-c", LOOK, "getaddrinfo('silent.test', 80)"]);
        let gone = home.start(&["getent", "ahosts", "silent.test"]);
        server.says("silent.test");
        assert_eq!(gone.end_by(libc::SIGKILL).status, "signal 9");
        for _ in 0..3 {
            assert_eq!(home.run(&["curl", "-sS", "http://web.test:8000/page"]).text(), "by name\n");
        }
        assert!(began.elapsed() < Duration::from_secs(9) && waits.is_alive(), "the others waited too");
        assert_eq!(waits.ended().text(), "gaierror -3\n");
        assert!(began.elapsed() >= Duration::from_secs(10), "two attempts of five seconds");
        server.end_by(libc::SIGTERM);
        web.end_by(libc::SIGTERM);
    }
}
