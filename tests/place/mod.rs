//! A network of a test's own, and in it our program, programs with the real preload library, and the hosts they meet.
#![allow(dead_code, reason = "each test uses a part of it")]

use super::{build, netns::Namespace};
use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// A user who has nothing.
pub const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Opens a socket; prints the error number, 0 for none.
const OPEN: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
int main(void) { printf("%d\n", socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0); return 0; }"#;

/// Opens a socket and holds it until its input ends.
const HOLD: &str = r#"
#include <stdio.h>
#include <sys/socket.h>
int main(void) {
    if (socket(AF_INET, SOCK_STREAM, 0) < 0) return 1;
    puts("up"); fflush(stdout);
    getchar();
    return 0;
}"#;

/// Connects to itself, with a child that has the listener too; says so, and prints how the connection ended.
const TALK: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(8080), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    closefrom(3); // what whoever runs the test has open
    int listener = socket(AF_INET, SOCK_STREAM, 0), client, server, ends[2];
    char byte = 0, name[16] = "";
    socklen_t len = sizeof name;
    if (bind(listener, (void *)&at, sizeof at) || listen(listener, 7) || pipe(ends)) return 1;
    int child = fork();
    if (child == 0) { close(ends[1]); return read(ends[0], &byte, 1); }
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (void *)&at, sizeof at)) return 2;
    server = accept(listener, 0, 0);
    if (server < 0 || write(client, &byte, 1) != 1 || read(server, &byte, 1) != 1) return 3;
    if (connect(socket(AF_INET, SOCK_DGRAM, 0), (void *)&at, sizeof at)) return 4;
    getsockopt(server, IPPROTO_TCP, TCP_CONGESTION, name, &len);
    printf("up %d %s\n", child, name); fflush(stdout);
    ssize_t got = read(client, &byte, 1);
    printf("%d\n", got < 0 ? errno : 0);
    return 0;
}"#;

/// Connects to the kernel's port that it is told, says that it did or the error number, and stays until its input ends.
const DIAL: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int argc, char **argv) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(argc > 1 ? atoi(argv[1]) : 0) };
    inet_pton(AF_INET, "10.97.0.1", &at.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    printf("%d\n", fd < 0 || connect(fd, (void *)&at, sizeof at) ? errno : 0); fflush(stdout);
    getchar();
    return 0;
}"#;

/// Waits for a connection, or for a datagram, by the call that it is told or by poll(2) before it; prints the error
/// number of the first call that fails.
const WAIT: &str = r#"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
int main(int argc, char **argv) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(7) };
    int is_stream = argc > 1 && !strcmp(argv[1], "accept"), polls = argc > 2;
    int fd = socket(AF_INET, is_stream ? SOCK_STREAM : SOCK_DGRAM, 0);
    struct pollfd set = { .fd = fd, .events = POLLIN };
    char byte;
    int failed = fd < 0 || bind(fd, (void *)&at, sizeof at) || (is_stream && listen(fd, 5))
        || (polls && poll(&set, 1, -1) < 0) || (is_stream ? accept(fd, 0, 0) : recv(fd, &byte, 1, 0)) < 0;
    printf("%d\n", failed ? errno : 0);
    return 0;
}"#;

/// Our program, the preload library and the programs above, in a folder that every user may read.
struct Installed(PathBuf);

static INSTALLED: LazyLock<Installed> = LazyLock::new(|| {
    // Others may not be let into the folders above the target folder.
    let place = env::temp_dir().join(format!("sockeye-place-{}", process::id()));
    fs::create_dir_all(&place).expect("a folder");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::copy(build::preload(), place.join("libsockeye_preload.so")).expect("the preload library");
    fs::copy(env!("CARGO_BIN_EXE_sockeye"), place.join("sockeye")).expect("our program");
    for (name, source, option) in [
        ("open", OPEN, "-O1"),
        ("hold", HOLD, "-O1"),
        ("talk", TALK, "-O1"),
        ("dial", DIAL, "-O1"),
        ("wait", WAIT, "-O1"),
        ("static", OPEN, "-static"),
    ] {
        compile(&place.join(name), source, option);
    }
    // SAFETY: registers a function that takes and returns nothing.
    unsafe { libc::atexit(remove_installed) };
    Installed(place)
});

/// A program in C.
fn compile(program: &Path, source: &str, option: &str) {
    let mut cc = Command::new("cc");
    cc.args(["-x", "c", option, "-", "-o"]).arg(program).stdin(Stdio::piped());
    let mut cc = cc.spawn().expect("cc");
    cc.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("cc reads");
    assert!(cc.wait().expect("cc").success());
}

/// Installs another program in C beside ours.
pub fn install(name: &str, source: &str) {
    compile(&INSTALLED.0.join(name), source, "-O1");
}

extern "C" fn remove_installed() {
    let _ = fs::remove_dir_all(&INSTALLED.0);
}

/// The path of one of the files that were installed.
pub fn installed(name: &str) -> String {
    INSTALLED.0.join(name).display().to_string()
}

/// A network of a test's own, in which nothing of a stack may be left.
pub struct Place(pub Namespace);

impl Drop for Place {
    fn drop(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.names().contains("@sockeye/") && !thread::panicking() {
            assert!(Instant::now() < end, "left behind: {}", self.names());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A command whose words that begin with @ are what was installed.
pub fn command(words: &str, variables: &[(&str, &str)]) -> Command {
    let words: Vec<String> =
        words.split(' ').map(|word| word.strip_prefix('@').map_or_else(|| word.to_owned(), installed)).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    for (name, _) in env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"SOCKEYE_") || name == "LD_PRELOAD" {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command
}

/// A program that runs, ended at the latest when it is dropped.
pub struct Running {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// One whose input and output are pipes.
    pub fn new(mut child: Child) -> Self {
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Self { input: child.stdin.take(), output, child }
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line
    }

    /// What else it prints once its input has ended, if it ends well.
    pub fn rest(mut self) -> String {
        self.input = None;
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        assert!(self.child.wait().expect("it ends").success());
        rest
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// With the TAP `t0`, whose kernel side is 10.97.0.1/24.
    pub fn new() -> Self {
        Self(Namespace::new())
    }

    /// With nothing but a loopback.
    pub fn bare() -> Self {
        Self(Namespace::bare())
    }

    /// Exit code, standard output, standard error; 124 when it takes too long.
    pub fn ends(&self, words: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let limited = format!("timeout -k 1 {} {words}", PATIENCE.as_secs());
        let output = self.0.inside(|| command(&limited, variables).stdin(Stdio::null()).output()).expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// A program that goes on running.
    pub fn start(&self, words: &str, variables: &[(&str, &str)]) -> Running {
        let start = || command(words, variables).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Running::new(self.0.inside(start).expect("it starts"))
    }

    /// A program that is run by hand: its output, and its line on standard error.
    pub fn by_hand(&self, words: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let library = installed("libsockeye_preload.so");
        self.ends(words, &[&[("LD_PRELOAD", library.as_str())], variables].concat())
    }

    /// The launcher ends with 125, and a program by hand gets ENETDOWN; both say one line with these words in it.
    pub fn refuses(&self, net: &str, words: &str) {
        let (code, out, err) = self.ends(&format!("@sockeye run --net {net} -- @open"), &[]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains(words), "{words}: {err}");
        self.leaves_down(&[("SOCKEYE_NET", net)], words);
    }

    /// A program by hand gets ENETDOWN, and a line with these words in it.
    pub fn leaves_down(&self, variables: &[(&str, &str)], words: &str) {
        let (code, out, err) = self.by_hand("@open", variables);
        assert_eq!((code, out, err.lines().count()), (Some(0), format!("{}\n", libc::ENETDOWN), 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains(words), "{words}: {err}");
    }

    /// The kernel's table of the AF_UNIX sockets.
    pub fn names(&self) -> String {
        self.0.inside(|| fs::read_to_string("/proc/thread-self/net/unix")).expect("the table")
    }

    /// Waits until the host of that stack lets programs in.
    pub fn await_host(&self, name: &str) {
        let end = Instant::now() + PATIENCE;
        let name = format!("@sockeye/{name}/ctl");
        // The kernel's flag of a socket that listens.
        let is_there = |line: &str| line.ends_with(&name) && line.contains(" 00010000 ");
        while !self.names().lines().any(is_there) {
            assert!(Instant::now() < end, "no host");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A program's output that could open a socket.
pub fn fine() -> (Option<i32>, String, String) {
    (Some(0), "0\n".to_owned(), String::new())
}
