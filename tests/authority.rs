//! What another user of the machine can do to the sockets of hosted programs: nothing. Each test plays that user beside
//! a program on a stack, and needs root for it. And what a program itself may do that has given up its rights: all that
//! it could before, with the sockets that it holds.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

#[path = "build/mod.rs"]
mod build;
#[allow(dead_code, reason = "other tests use the rest")]
mod netns;

use netns::Namespace;
use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdout, Command, Stdio},
};

/// Becomes somebody else.
const STRANGER: &str = "
import os, resource, socket, struct, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (8000, 8000))
os.setgroups([]); os.setresgid(1234, 1234, 1234); os.setresuid(1234, 1234, 1234)
def names():
    lines = (line.split(None, 7) for line in open('/proc/net/unix'))
    found = {line[7].rstrip() for line in lines if len(line) == 8 and 'sockeye' in line[7]}
    return sorted(name for name in found if not name.endswith('/ctl'))
def at(name): return '\\0' + name[1:] if name[0] == '@' else name
";

/// Goes to every name that there is, in every way.
const VISITS: &str = "
seen = names()
print(len(seen))
for name in seen:
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET:
        for call in socket.socket.connect, lambda s, at: s.sendto(b'from a stranger', at):
            try:
                call(socket.socket(socket.AF_UNIX, kind), at(name))
                print('let in', kind, name)
            except OSError: pass
";

/// Sends datagrams in the name of whoever has no peer for a moment, to 127.0.0.1:7002.
const FORGES: &str = "
to = struct.pack('<H10xH4B', 7002, 0xffff, 127, 0, 0, 1)
forged = [b'\\x89SkyD\\r\\n\\x1a' + struct.pack('<HHHBB', version, 0, 0, 0, 0) + to + bytes(18) + b'forged' for version in (3, 4)]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
targets = [at(name) for name in names()]
print('begins', flush=True)
end = time.monotonic() + 2
while time.monotonic() < end:
    for target in targets:
        for datagram in forged:
            try: s.sendto(datagram, target)
            except OSError: pass
";

/// Takes the names that the next sockets of the machine's first processor would have, if names were counted.
const TAKES: &str = "
DIGITS = b'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-'
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
address = struct.pack('<H10xH4B', 7003, 0xffff, 127, 0, 0, 1)
threes = [int.from_bytes(address[n:n + 3], 'big') for n in range(0, 18, 3)]
text = ''.join(chr(DIGITS[three >> shift & 63]) for three in threes for shift in (18, 12, 6, 0))
first = struct.unpack('Q', socket.socket().getsockopt(socket.SOL_SOCKET, 57, 8))[0]
held = []
for cookie in range(first + 1, first + 6000):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].bind('\\0sockeye/null/l/%09x/%s' % (cookie, text))
print('holds', flush=True)
sys.stdin.readline()
";

/// Has sockets of every kind; says what has come to them when it is told to.
const HOLDS: &str = "
import socket, sys
listener = socket.create_server(('127.0.0.1', 7000))
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('127.0.0.1', 7001))
client = socket.create_connection(('127.0.0.1', 7000))
server = listener.accept()[0]
print('ready', flush=True)
sys.stdin.readline()
def come(take):
    try: return take()
    except BlockingIOError: return 'nothing'
for one in listener, datagrams, server: one.setblocking(False)
print(come(listener.accept), come(lambda: datagrams.recvfrom(99)), come(lambda: server.recv(9)))
";

/// Is told of errors as fast as it can be, and counts what comes to another socket.
const ERRS: &str = "
import socket, sys, threading
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(('127.0.0.1', 7002))
refused = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
refused.connect(('127.0.0.1', 9))
print('ready', flush=True)
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), over.set())).start()
errors = 0
while not over.is_set():
    try: refused.send(b'x')
    except ConnectionRefusedError: errors += 1
sink.setblocking(False)
forged = 0
while True:
    try: sink.recv(99)
    except BlockingIOError: break
    forged += 1
print(errors > 100, forged)
";

/// Binds where a stranger may have been before.
const BINDS: &str = "
import os, socket
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
for _ in range(20):
    one = socket.create_server(('127.0.0.1', 7003))
    socket.create_connection(one.getsockname()).close()
    one.close()
print('bound')
";

/// A worker that has become nobody in particular, in a folder without anything: it asks about what it holds, and makes
/// more.
const WORKS: &str = "
import os, socket, tempfile
listener = socket.create_server(('127.0.0.1', 7000))
client = socket.create_connection(('127.0.0.1', 7000))
server = listener.accept()[0]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('127.0.0.1', 7001))
jail = tempfile.mkdtemp()
os.chmod(jail, 0o755)
if os.fork() == 0:
    os.chroot(jail)
    os.setgroups([]); os.setresgid(1234, 1234, 1234); os.setresuid(1234, 1234, 1234)
    for one in client, server:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200)[0] == 1
    assert client.getpeername() == server.getsockname() == ('127.0.0.1', 7000)
    more = socket.create_connection(listener.getsockname())
    assert listener.accept()[0].getpeername() == more.getsockname()
    datagrams.connect(('127.0.0.1', 7005))
    assert datagrams.getsockname() == ('127.0.0.1', 7001)
    other = socket.create_server(('127.0.0.1', 0))
    assert socket.create_connection(other.getsockname()).getpeername() == other.getsockname()
    print('worked', flush=True)
    os._exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
os.rmdir(jail)
assert datagrams.getpeername() == ('127.0.0.1', 7005)
assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
";

/// Enters another network namespace with its sockets, where no abstract name of the host's is: it asks about them, and
/// makes more.
const LEAVES: &str = "
import ctypes, os, socket
libc = ctypes.CDLL(None, use_errno=True)
NEWNET = 0x40000000
ours, theirs = os.pipe()
told, tell = os.pipe()
pid = os.fork()
if pid == 0:
    assert libc.unshare(NEWNET) == 0
    os.write(theirs, b'x'); os.close(tell); os.read(told, 1)
    os._exit(0)
os.read(ours, 1)
another = os.open('/proc/%d/ns/net' % pid, os.O_RDONLY)
listener = socket.create_server(('127.0.0.1', 7000))
client = socket.create_connection(('127.0.0.1', 7000))
server = listener.accept()[0]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
datagrams.bind(('127.0.0.1', 7001))
assert libc.setns(another, NEWNET) == 0, os.strerror(ctypes.get_errno())
for one in client, server:
    assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 200)[0] == 1
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
    assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
    assert {one.getsockname(), one.getpeername()} == {client.getsockname(), ('127.0.0.1', 7000)}
more = socket.create_connection(('127.0.0.1', 7000))
accepted = listener.accept()[0]
accepted.send(b'here')
assert more.recv(9) == b'here'
other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
other.sendto(b'there', ('127.0.0.1', 7001))
assert datagrams.recv(9) == b'there'
print('went on')
";

/// Holds a stack until its input ends, or somebody stops it; says its token.
const LASTS: &str = "
import os, socket, sys
one = socket.create_server(('127.0.0.1', 0))
print(os.environ['SOCKEYE_TOKEN'], flush=True)
sys.stdin.readline()
print(one.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE))
";

/// Has a port until it is told to end.
const LISTENS: &str = "
import socket, sys
one = socket.create_server(('127.0.0.1', 7000))
print('listens', flush=True)
sys.stdin.readline()
";

const TOKEN: &str = "00112233445566778899aabbccddeeff";

/// A program that runs, ended at the latest when it is dropped.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    #[track_caller]
    fn says(&mut self, line: &str) {
        let mut said = String::new();
        self.output.read_line(&mut said).expect("text");
        assert_eq!(said.trim_end(), line);
    }

    /// What else it prints once it has been told to go on, if it ends well.
    #[track_caller]
    fn rest(mut self) -> String {
        // It may have ended by itself.
        let _ = self.child.stdin.take().expect("a pipe").write_all(b"\n");
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        assert!(self.child.wait().expect("it ends").success(), "{rest}");
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(namespace: &Namespace, script: &str, variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new("python3");
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir(build::scratch());
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SOCKEYE_") || name == "LD_PRELOAD" {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    let mut child = namespace.inside(|| command.spawn()).expect("python3");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    Running { child, output }
}

/// A program on the stack, which has no device.
fn hosted(namespace: &Namespace, script: &str) -> Running {
    let preload = build::preload().display().to_string();
    let sockeye = env!("CARGO_BIN_EXE_sockeye");
    let variables =
        [("LD_PRELOAD", &*preload), ("SOCKEYE_NET", "null:"), ("SOCKEYE_HOST", sockeye), ("SOCKEYE_TOKEN", TOKEN)];
    start(namespace, script, &variables)
}

fn stranger(namespace: &Namespace, script: &str) -> Running {
    start(namespace, &[STRANGER, script].concat(), &[])
}

#[test]
fn no_name_of_a_socket_lets_a_stranger_in() {
    let namespace = Namespace::bare();
    let mut program = hosted(&namespace, HOLDS);
    program.says("ready");
    let said = stranger(&namespace, VISITS).rest();
    let (count, let_in) = said.split_once('\n').expect("a line");
    assert!(count.parse::<u32>().expect("a number") > 3, "{count} names");
    assert_eq!(let_in, "");
    assert_eq!(program.rest(), "nothing nothing nothing\n");
}

#[test]
fn datagrams_are_nobody_elses_also_while_an_error_is_told() {
    let namespace = Namespace::bare();
    let mut program = hosted(&namespace, ERRS);
    program.says("ready");
    let mut forger = stranger(&namespace, FORGES);
    forger.says("begins");
    assert_eq!(forger.rest(), "");
    assert_eq!(program.rest(), "True 0\n");
}

#[test]
fn no_name_can_be_taken_in_advance() {
    let namespace = Namespace::bare();
    let mut taker = stranger(&namespace, TAKES);
    taker.says("holds");
    assert_eq!(hosted(&namespace, BINDS).rest(), "bound\n");
    taker.rest();
}

#[test]
fn a_worker_without_rights_in_a_jail_does_with_its_sockets_what_it_could_before() {
    let namespace = Namespace::bare();
    assert_eq!(hosted(&namespace, WORKS).rest(), "worked\n");
}

#[test]
fn in_another_network_namespace_sockets_are_what_they_were() {
    let namespace = Namespace::bare();
    assert_eq!(hosted(&namespace, LEAVES).rest(), "went on\n");
}

#[test]
fn in_each_network_namespace_a_name_and_a_token_mean_a_stack_of_its_own() {
    let namespaces = [(); 2].map(|()| Namespace::bare());
    let mut programs = namespaces.each_ref().map(|namespace| hosted(namespace, LISTENS));
    // On one stack the second would find the port taken.
    programs.iter_mut().for_each(|program| program.says("listens"));
    programs.into_iter().for_each(|program| assert_eq!(program.rest(), ""));
}

#[test]
fn who_has_the_token_and_is_another_user_cannot_end_the_stack() {
    let namespace = Namespace::bare();
    let mut program = hosted(&namespace, LASTS);
    program.says(TOKEN);
    let stop = |user: &[&str]| {
        let words = [user, &[env!("CARGO_BIN_EXE_sockeye"), "stop", "--stack", "null"]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("SOCKEYE_TOKEN", TOKEN);
        let output = namespace.inside(|| command.output()).expect("it starts");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let told = "sockeye: stack null: it is another user's: only that user and root may do this\n".to_owned();
    assert_eq!(stop(&["setpriv", "--reuid=1234", "--regid=1234", "--clear-groups"]), (Some(1), told));
    assert_eq!(program.rest(), "7200\n");
}
