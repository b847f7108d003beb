//! Programs with the real preload library and the hosts they meet: which they may join and how they are told no, what
//! the operator sees of them, and what they see when their host is ended. Whatever goes wrong is one line.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

#[allow(dead_code, reason = "other tests use the rest")]
mod netns;

use netns::Namespace;
use sockeye::sys::unix::{self, Kind};
use std::{
    env, fs,
    io::{self, BufRead, BufReader, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsFd, FromRawFd},
        unix::{fs::PermissionsExt, net::UnixDatagram},
    },
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

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

/// Our program, the preload library and the programs above, in a folder that every user may read.
struct Installed(PathBuf);

static INSTALLED: LazyLock<Installed> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").to_owned();
    let built = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--quiet", "--profile", "preload", "--package", "sockeye-preload", "--target-dir"])
        .arg(&target)
        .output()
        .expect("cargo");
    assert!(built.status.success(), "the preload library:\n{}", String::from_utf8_lossy(&built.stderr));
    // Others may not be let into the folders above the target folder.
    let place = env::temp_dir().join(format!("sockeye-joining-{}", process::id()));
    fs::create_dir_all(&place).expect("a folder");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("its mode");
    let library = target.join("preload/libsockeye_preload.so");
    fs::copy(library, place.join("libsockeye_preload.so")).expect("the preload library");
    fs::copy(env!("CARGO_BIN_EXE_sockeye"), place.join("sockeye")).expect("our program");
    for (name, source, option) in [
        ("open", OPEN, "-O1"),
        ("hold", HOLD, "-O1"),
        ("talk", TALK, "-O1"),
        ("dial", DIAL, "-O1"),
        ("static", OPEN, "-static"),
    ] {
        let mut cc = Command::new("cc");
        cc.args(["-x", "c", option, "-", "-o"]).arg(place.join(name)).stdin(Stdio::piped());
        let mut cc = cc.spawn().expect("cc");
        cc.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("cc reads");
        assert!(cc.wait().expect("cc").success());
    }
    // SAFETY: registers a function that takes and returns nothing.
    unsafe { libc::atexit(remove_installed) };
    Installed(place)
});

extern "C" fn remove_installed() {
    let _ = fs::remove_dir_all(&INSTALLED.0);
}

/// The path of one of the files that were installed.
fn installed(name: &str) -> String {
    INSTALLED.0.join(name).display().to_string()
}

/// A network of a test's own, in which nothing of a stack may be left.
struct Place(Namespace);

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
fn command(words: &str, variables: &[(&str, &str)]) -> Command {
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
struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// The next line it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line
    }

    /// What else it prints once its input has ended, if it ends well.
    fn rest(mut self) -> String {
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
    fn new() -> Self {
        Self(Namespace::new())
    }

    fn bare() -> Self {
        Self(Namespace::bare())
    }

    /// Exit code, standard output, standard error; 124 when it takes too long.
    fn ends(&self, words: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let limited = format!("timeout -k 1 {} {words}", PATIENCE.as_secs());
        let output = self.0.inside(|| command(&limited, variables).stdin(Stdio::null()).output()).expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn start(&self, words: &str, variables: &[(&str, &str)]) -> Running {
        let mut child = self
            .0
            .inside(|| command(words, variables).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        Running { input: child.stdin.take(), output, child }
    }

    /// A program that is run by hand: its output, and its line on standard error.
    fn by_hand(&self, words: &str, variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let library = installed("libsockeye_preload.so");
        self.ends(words, &[&[("LD_PRELOAD", library.as_str())], variables].concat())
    }

    /// The launcher ends with 125, and a program by hand gets ENETDOWN; both say one line with these words in it.
    fn refuses(&self, net: &str, words: &str) {
        let (code, out, err) = self.ends(&format!("@sockeye run --net {net} -- @open"), &[]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains(words), "{words}: {err}");
        self.leaves_down(&[("SOCKEYE_NET", net)], words);
    }

    /// A program by hand gets ENETDOWN, and a line with these words in it.
    fn leaves_down(&self, variables: &[(&str, &str)], words: &str) {
        let (code, out, err) = self.by_hand("@open", variables);
        assert_eq!((code, out, err.lines().count()), (Some(0), format!("{}\n", libc::ENETDOWN), 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains(words), "{words}: {err}");
    }

    /// The kernel's table of the AF_UNIX sockets.
    fn names(&self) -> String {
        self.0.inside(|| fs::read_to_string("/proc/thread-self/net/unix")).expect("the table")
    }

    fn await_host(&self, name: &str) {
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
fn fine() -> (Option<i32>, String, String) {
    (Some(0), "0\n".to_owned(), String::new())
}

#[test]
fn a_joiner_whose_network_differs_is_told_the_key() {
    let place = Place::new();
    let net = "tap:t0,ip=10.97.0.2/24";
    let mut holder = place.start(&format!("@sockeye run --net {net} -- @hold"), &[]);
    assert_eq!(holder.line(), "up\n");
    let line = "ip: stack tap-t0 runs with ip=10.97.0.2/24, not with ip=10.97.0.9/24";
    place.refuses("tap:t0,ip=10.97.0.9/24", line);
    assert_eq!(place.by_hand("@open", &[("SOCKEYE_NET", "tap:t0,offload=on,ip=10.97.0.2/24")]), fine());
    place.leaves_down(&[("SOCKEYE_NET", net), ("SOCKEYE_LINK", "loss=1%")], "link: stack tap-t0 runs with no link=");
    // A program in a tree that has the stack's token is asked no less.
    let other = "@sockeye run --net tap:t0,ip=10.97.0.2/24 -- env SOCKEYE_NET=tap:t0,ip=10.97.0.9/24 @open";
    let (code, out, err) = place.ends(other, &[]);
    assert_eq!((code, out, err.lines().count()), (Some(0), format!("{}\n", libc::ENETDOWN), 1), "{err}");
    assert!(err.contains(line), "{err}");
    // One of another stack's does not count against it.
    let strange = "00112233445566778899aabbccddeeff";
    assert_eq!(place.by_hand("@open", &[("SOCKEYE_NET", net), ("SOCKEYE_TOKEN", strange)]), fine());
    holder.rest();
}

#[test]
fn a_host_that_cannot_start_is_one_line() {
    let place = Place::bare();
    place.refuses("tap:lo,ip=10.97.0.2/24", "lo: ");
    place.refuses("tap:t0,ip=nonsense", "ip: ");
    place.refuses("wire:t0", "wire");
    place.leaves_down(&[("SOCKEYE_STACK", "nobodys")], "SOCKEYE_NET does not say how to start one");
    place.leaves_down(&[], "neither SOCKEYE_NET nor SOCKEYE_STACK");
    place.leaves_down(&[("SOCKEYE_NET", "null:"), ("SOCKEYE_HOST", "/no/such/host")], "SOCKEYE_HOST");
    assert_eq!(place.0.devices(), ["lo"]);
}

#[test]
fn an_address_that_another_machine_has_is_one_line() {
    let place = Place::new();
    // The kernel's own address on the link: it answers the probe.
    place.refuses("tap:t0,ip=10.97.0.1/24", "10.97.0.1");
}

#[test]
fn a_host_of_another_version_is_one_line() {
    let place = Place::bare();
    let listener = place.0.inside(|| {
        let listener = unix::open(Kind::Packets).expect("a socket");
        unix::bind(listener.as_fd(), b"sockeye/null/ctl").expect("the name");
        unix::listen(listener.as_fd(), 9).expect("a listener");
        listener
    });
    let is_over = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut askers = Vec::new();
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                askers.extend(unix::accept(listener.as_fd()));
                // Who has asked is answered; all stay open.
                for asker in &askers {
                    if unix::recv(asker.as_fd(), &mut [0; 4096], 0).is_ok_and(|n| n > 0) {
                        let _ = unix::send(asker.as_fd(), b"SkyR\x63\x00what another version says", 0);
                    }
                }
                thread::sleep(Duration::from_millis(1));
            }
        });
        let _over = Ends(&is_over);
        place.refuses("null:", "of another version of sockeye");
        let (code, out, err) = place.ends("@sockeye stop", &[]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(1), "", 1), "{err}");
        assert!(err.starts_with("sockeye: stack null: its host is of another version"), "{err}");
    });
    drop(listener);
}

/// Tells another thread that it is over, also when the test fails.
struct Ends<'a>(&'a std::sync::atomic::AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups";

#[test]
fn a_stack_of_another_user_is_one_line() {
    let place = Place::bare();
    // Not even root gives a program to it.
    let mut host = place.start(&format!("{NOBODY} @sockeye host --net null:"), &[]);
    place.await_host("null");
    place.refuses("null:", "another user's");
    let (code, out, err) = place.ends("@sockeye stop", &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "root may end it: {out}");
    assert!(host.child.wait().expect("the host").success());
}

/// The kernel's side of `t0`, frame by frame.
fn wire(place: &Place) -> fs::File {
    // SAFETY: the address is a whole sockaddr_ll of the length that is told, and the descriptor is a fresh one.
    place.0.inside(|| unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, i32::from(ETH_P_ALL.to_be()));
        assert!(fd >= 0, "a packet socket: {}", io::Error::last_os_error());
        let mut at: libc::sockaddr_ll = std::mem::zeroed();
        at.sll_family = libc::AF_PACKET as u16;
        at.sll_protocol = ETH_P_ALL.to_be();
        at.sll_ifindex = libc::if_nametoindex(c"t0".as_ptr()) as i32;
        let bound = libc::bind(fd, (&raw const at).cast(), size_of_val(&at) as u32);
        assert_eq!(bound, 0, "{}", io::Error::last_os_error());
        fs::File::from_raw_fd(fd)
    })
}

const ETH_P_ALL: u16 = libc::ETH_P_ALL as u16;
/// Our address, and its place in a frame as the target of an ARP packet.
const OURS: [u8; 4] = [10, 97, 0, 2];
const TARGET: std::ops::Range<usize> = 38..42;

/// The sender's address in a frame; `None` if that is neither ARP nor IPv4.
fn sender(frame: &[u8]) -> Option<[u8; 4]> {
    let at = match frame.get(12..14)? {
        [8, 6] => 28,
        [8, 0] => 26,
        _ => return None,
    };
    frame.get(at..at + 4)?.try_into().ok()
}

/// Whether a frame is an ARP probe for our address.
fn is_probe(frame: &[u8]) -> bool {
    frame[12..14] == [8, 6] && sender(frame) == Some([0; 4]) && frame.get(TARGET) == Some(&OURS)
}

#[test]
fn a_program_runs_at_once_and_its_address_is_not_on_the_link_before_it_is_its_own() {
    let place = Place::new();
    let mut wire = wire(&place);
    let listener = place.0.inside(|| TcpListener::bind("10.97.0.1:0")).expect("a listener");
    let port = listener.local_addr().expect("a port").port();
    let mut dial = place.start(&format!("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial {port}"), &[]);
    assert_eq!(dial.line(), "0\n", "the first connect(2) is made");
    drop(listener.accept().expect("a connection"));
    dial.rest();
    let mut frames: Vec<Vec<u8>> = Vec::new();
    while frames.last().is_none_or(|frame| frame[12..14] != [8, 0]) {
        let mut frame = vec![0; 2048];
        let len = wire.read(&mut frame).expect("a frame");
        frame.truncate(len);
        // What the kernel sends is here, too.
        if is_probe(&frame) || frames.first().is_some_and(|first| first[6..12] == frame[6..12]) {
            frames.push(frame);
        }
    }
    let told: Vec<_> = frames.iter().map(|frame| (sender(frame).unwrap_or_default(), is_probe(frame))).collect();
    assert_eq!(told[..4], [([0; 4], true), ([0; 4], true), ([0; 4], true), (OURS, false)]);
    assert_eq!(frames[3].get(TARGET), Some(&OURS[..]), "an announcement");
}

#[test]
fn an_address_that_turns_out_to_be_another_hosts_takes_the_network_down() {
    let place = Place::new();
    let mut wire = wire(&place);
    // It is slow: nothing comes upon the first probe.
    thread::spawn(move || {
        let mut probes = 0;
        let mut frame = vec![0; 2048];
        loop {
            let len = wire.read(&mut frame).expect("a frame");
            probes += u32::from(is_probe(&frame[..len]));
            if is_probe(&frame[..len]) && probes > 1 {
                let asked = frame[6..12].to_vec();
                let head = [8, 6, 0, 1, 8, 0, 6, 4, 0, 2];
                let answer = [&asked[..], &THIEF, &head, &THIEF, &OURS, &asked, &[0; 4]].concat();
                wire.write_all(&answer).expect("it is sent");
            }
        }
    });
    let said = "10.97.0.2 is in use on the link by 02:00:00:00:00:42; choose another address (ip=)";
    let errors = env::temp_dir().join(format!("sockeye-joining-{}-lost", process::id()));
    let output = fs::File::create(&errors).expect("a file");
    let mut dial = command("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial 9", &[]);
    dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
    let mut child = place.0.inside(|| dial.spawn()).expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut dial = Running { input: child.stdin.take(), output, child };
    match dial.line().as_str() {
        // The machine was so slow that the program had not begun.
        "" => assert_eq!(dial.child.wait().expect("it ends").code(), Some(125)),
        line => assert_eq!(line, format!("{}\n", libc::ENETDOWN)),
    }
    let end = Instant::now() + PATIENCE;
    while !fs::read_to_string(&errors).expect("text").contains(said) {
        assert!(Instant::now() < end, "{:?}", fs::read_to_string(&errors));
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_file(&errors).expect("it is there");
    // Who comes now is told before it begins.
    place.refuses("tap:t0,ip=10.97.0.2/24", said);
}

/// A host that has our address.
const THIEF: [u8; 6] = [2, 0, 0, 0, 0, 0x42];

#[test]
fn a_user_without_the_token_does_not_join_roots_stack() {
    let place = Place::bare();
    let mut holder = place.start("@sockeye run --net null: -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let told = |(code, out, err): (Option<i32>, String, String), wanted: (i32, &str)| {
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(wanted.0), wanted.1, 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains("another user's"), "{err}");
    };
    told(place.ends(&format!("{NOBODY} @sockeye run --net null: -- @open"), &[]), (125, ""));
    let by_hand = format!("{NOBODY} env LD_PRELOAD={} @open", installed("libsockeye_preload.so"));
    told(place.ends(&by_hand, &[("SOCKEYE_NET", "null:")]), (0, &format!("{}\n", libc::ENETDOWN)));
    told(place.ends(&format!("{NOBODY} @sockeye stop"), &[]), (1, ""));
    told(place.ends(&format!("{NOBODY} @sockeye ss --stack null"), &[]), (1, ""));
    // With the token it does: a worker of a server that root has started.
    assert_eq!(place.ends(&format!("@sockeye run --net null: -- {NOBODY} @open"), &[]), fine());
    holder.rest();
}

#[test]
fn a_program_that_would_go_past_the_stack_is_refused_in_the_tree_too() {
    let place = Place::bare();
    fs::copy(installed("open"), installed("privileged")).expect("a copy");
    std::os::unix::fs::chown(installed("privileged"), Some(65534), Some(65534)).expect("run the tests as root");
    fs::set_permissions(installed("privileged"), fs::Permissions::from_mode(0o4755)).expect("its mode");
    for (program, words) in [("static", "is a static program"), ("privileged", "runs with the rights of another")] {
        let (code, out, err) = place.ends(&format!("@sockeye run --net null: -- env @{program}"), &[]);
        assert_eq!((code, out.as_str()), (Some(126), ""), "{err}");
        // The second line is env's own.
        let line = err.lines().next().unwrap_or_default();
        assert!(line.starts_with("sockeye: ") && line.contains(words), "{err}");
    }
}

#[test]
fn the_operator_sees_the_sockets_and_ends_the_stack() {
    let place = Place::bare();
    let mut program = place.start("@sockeye run --stack here --net null: -- @talk", &[]);
    let line = program.line();
    let child = line.split(' ').nth(1).expect("its child");

    let ss = |words: &str| {
        let (code, out, err) = place.ends(&format!("@sockeye ss {words}"), &[]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words}");
        out
    };
    let table = ss("--stack here -tlnp");
    let (titles, row) = table.split_once('\n').expect("two lines");
    let columns: Vec<&str> = titles.split_whitespace().collect();
    assert_eq!(columns, ["State", "Recv-Q", "Send-Q", "Local", "Address:Port", "Peer", "Address:Port", "Process"]);
    let own = program.child.id();
    let process = format!("users:((\"talk\",pid={own},fd=3),(\"talk\",pid={child},fd=3))");
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells, ["LISTEN", "0", "7", "127.0.0.1:8080", "0.0.0.0:*", &process]);
    let table = ss("-tinpH");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.lines().step_by(2).all(|row| row.starts_with("here  ESTAB ") || row.starts_with("here ESTAB ")));
    for fd in [6, 7] {
        assert!(table.contains(&format!("users:((\"talk\",pid={own},fd={fd}))\n")), "{table}");
    }
    for word in ["\t ts sack cubic wscale:", " rto:", " rtt:", " mss:", " cwnd:", "bytes_received:1 ", "bytes_sent:1 "]
    {
        assert!(table.contains(word), "{word}: {table}");
    }
    let row = ss("-unpH --stack here");
    assert!(row.contains("127.0.0.1:8080") && row.contains(&format!("users:((\"talk\",pid={own},fd=8))\n")), "{row}");
    assert_eq!(ss("-ta --stack here").lines().count(), 4);

    let stopped = place.ends("@sockeye stop", &[]);
    let said = "here: stopped; 1 process used it, 2 connections reset\n".to_owned();
    assert_eq!(stopped, (Some(0), said, String::new()));
    assert_eq!(program.rest(), format!("{}\n", libc::ECONNRESET), "not a clean end of data");
    let absent = |words: &str, line: &str| {
        assert_eq!(place.ends(words, &[]), (Some(1), String::new(), format!("sockeye: {line}\n")));
    };
    absent("@sockeye stop", "no stack is running");
    absent("@sockeye stop --stack here", "stack here is not running");
    absent("@sockeye ss --stack here", "stack here is not running");
}

#[test]
fn a_congestion_control_is_known_or_the_known_ones_are_told() {
    let place = Place::bare();
    for words in ["@sockeye run --net null: --cc reno -- @talk", "env SOCKEYE_CC=reno @sockeye run --net null: @talk"] {
        let mut program = place.start(words, &[]);
        let line = program.line();
        assert!(line.starts_with("up ") && line.ends_with(" reno\n"), "{line}");
        assert_eq!(place.ends("@sockeye stop", &[]).0, Some(0));
        program.rest();
    }
    let told = "there is no congestion control \"fast\"; known: bbr, bbr1, cubic, reno";
    let (code, out, err) = place.ends("@sockeye run --net null: --cc fast -- @open", &[]);
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
    assert!(err.starts_with(&format!("sockeye: --cc: {told}")), "{err}");
    let (code, _, err) = place.ends("@sockeye run --net null: -- @open", &[("SOCKEYE_CC", "fast")]);
    assert!(code == Some(125) && err.starts_with(&format!("sockeye: SOCKEYE_CC: {told}")), "{err}");
    place.leaves_down(&[("SOCKEYE_NET", "null:"), ("SOCKEYE_CC", "fast")], told);
    let mut holder = place.start("@sockeye run --net null: -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    place.leaves_down(&[("SOCKEYE_NET", "null:"), ("SOCKEYE_CC", "fast")], told);
    place.leaves_down(&[("SOCKEYE_STACK", "null"), ("SOCKEYE_CC", "fast")], told);
    holder.rest();
}

#[test]
fn a_joiner_that_says_nothing_of_link_capture_and_log_joins() {
    let place = Place::new();
    let (net, capture) = ("tap:t0,ip=10.97.0.2/24", installed("joined.pcapng"));
    let variables = [("SOCKEYE_LINK", "delay=1ms"), ("SOCKEYE_PCAP", capture.as_str()), ("SOCKEYE_LOG", "error")];
    let mut holder = place.start(&format!("@sockeye run --net {net} -- @hold"), &variables);
    assert_eq!(holder.line(), "up\n");
    assert_eq!(place.ends(&format!("@sockeye run --net {net} -- @open"), &[]), fine());
    assert_eq!(place.by_hand("@open", &[("SOCKEYE_NET", net)]), fine());
    let other = [("SOCKEYE_NET", net), ("SOCKEYE_LINK", "delay=2ms")];
    place.leaves_down(&other, "link: stack tap-t0 runs with link=delay:1ms, not with link=delay:2ms; ");
    holder.rest();
}

#[test]
fn a_stack_without_a_socket_is_listed() {
    let place = Place::new();
    let ls = |words: &str| {
        let (code, out, err) = place.ends(&format!("@sockeye ls{words}"), &[]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words}");
        out
    };
    assert_eq!(ls(" -j"), "[]\n");
    let titles = ["Stack", "Device", "Addresses", "Programs", "Sockets", "PID", "Age", "Specification"];
    assert_eq!(ls("").split_whitespace().collect::<Vec<_>>(), titles);
    let mut host = place.start("@sockeye host --stack here --net tap:t0,ip=10.97.0.2/24,gw=10.97.0.1", &[]);
    // It has its name before it lets anybody in.
    let end = Instant::now() + PATIENCE;
    let mut row = ls(" -H");
    while row.is_empty() {
        assert!(Instant::now() < end, "no host");
        row = ls(" -H");
    }
    let cells: Vec<&str> = row.split_whitespace().collect();
    let pid = host.child.id().to_string();
    assert_eq!(cells[..6], ["here", "t0", "10.97.0.2/24", "0", "0", &pid], "{row}");
    assert_eq!(cells[7..], ["tap:t0,ip=10.97.0.2/24,gw=10.97.0.1"], "{row}");
    let json = ls(" -j");
    let begins =
        "[{\"stack\":\"here\",\"device\":\"t0\",\"addresses\":[\"10.97.0.2/24\"],\"programs\":0,\"sockets\":0,";
    assert!(json.starts_with(begins) && json.contains(&format!("\"pid\":{pid},\"age\":")), "{json}");
    // Another user's is not this one's to see.
    let (_, out, err) = place.ends(&format!("{NOBODY} @sockeye ls -H"), &[]);
    assert_eq!((out.as_str(), err.as_str()), ("", ""));
    assert_eq!(place.ends("@sockeye stop", &[]).0, Some(0));
    assert!(host.child.wait().expect("the host").success());
}

#[test]
fn down_waits_for_a_stack_that_is_about_to_end_and_names_one_that_is_used() {
    let place = Place::new();
    let mut holder = place.start("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let (code, _, err) = place.ends("@sockeye down t0", &[]);
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    let cure = ", programs: 1); end them, or the stack: `sockeye stop --stack tap-t0`\n";
    assert!(err.starts_with("sockeye: t0: stack tap-t0 has it (process ") && err.ends_with(cure), "{err}");
    holder.rest();
    // The host is still there, for the next program that may come.
    assert_eq!(place.ends("@sockeye down t0", &[]), (Some(0), "t0: removed, a TAP device\n".to_owned(), String::new()));
}

#[test]
fn down_counts_a_tree_of_programs_that_asked_nothing_and_no_program_that_has_ended() {
    let place = Place::new();
    // What the launcher became has ended; what it has left behind has no socket.
    let (mut words, net) = (command("@sockeye run --net", &[]), "tap:t0,ip=10.97.0.2/24");
    words.args([net, "--", "sh", "-c", "exec 3<&0; cat <&3 >/dev/null 2>&1 &"]).stdin(Stdio::piped());
    let mut launcher = place.0.inside(|| words.spawn()).expect("it starts");
    let input = launcher.stdin.take();
    assert!(launcher.wait().expect("it ends").success());
    let is_used = |(code, _, err): &(Option<i32>, String, String)| {
        *code == Some(1) && err.contains(", programs: 1); end them, or the stack: ")
    };
    let told = place.ends("@sockeye down t0", &[]);
    assert!(is_used(&told), "{told:?}");
    drop(input);
    // It ends a moment later.
    let end = Instant::now() + PATIENCE;
    let mut told = place.ends("@sockeye down t0", &[]);
    while is_used(&told) && Instant::now() < end {
        told = place.ends("@sockeye down t0", &[]);
    }
    assert_eq!(told, (Some(0), "t0: removed, a TAP device\n".to_owned(), String::new()));
}

#[test]
fn what_a_host_says_later_is_in_its_log() {
    let place = Place::new();
    let mut holder = place.start("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let mut follower = place.start("@sockeye log -f", &[]);
    let begun = follower.line();
    let (time, said) = begun.split_once(' ').unwrap_or_default();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{begun}");
    assert!(said.ends_with(" runs\n") && said.starts_with("INFO the stack tap:t0,ip=10.97.0.2/24,"), "{begun}");
    let claimed = follower.line();
    assert!(claimed.contains(" INFO 10.97.0.2/24 is claimed as "), "{claimed}");
    let refused = place.0.inside(|| TcpStream::connect("10.97.0.2:9").map_err(|error| error.kind()));
    assert_eq!(refused.map(drop), Err(ErrorKind::ConnectionRefused));
    let line = follower.line();
    assert!(line.contains(" INFO 10.97.0.1:"), "{line}");
    assert!(line.ends_with(" is refused: nobody listens at 10.97.0.2:9\n"), "{line}");
    // The same for who comes later, and only once.
    let (code, all, err) = place.ends("@sockeye log --stack tap-t0", &[]);
    assert_eq!((code, err.as_str(), all.lines().count()), (Some(0), "", 3), "{all}");
    assert!(all.ends_with(&line), "{all}");
    holder.rest();
    assert_eq!(follower.rest(), "", "it ends with the host");
    let (code, out, err) = place.ends("@sockeye log --stack tap-t0", &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(1), "", "sockeye: stack tap-t0 is not running\n"));
}

#[test]
fn a_log_goes_to_a_file_or_says_why_not() {
    let place = Place::new();
    let file = installed("stack.log");
    let net = format!("tap:t0,ip=10.97.0.2/24,log=debug:{file}");
    assert_eq!(place.ends(&format!("@sockeye run --net {net} -- @open"), &[]), fine());
    let end = Instant::now() + PATIENCE;
    let mut text = String::new();
    while !text.ends_with(" has ended\n") {
        assert!(Instant::now() < end, "{text}");
        thread::sleep(Duration::from_millis(20));
        text = fs::read_to_string(&file).expect("the log");
    }
    let (first, last) = (text.lines().next().unwrap_or_default(), text.lines().last().unwrap_or_default());
    assert!(first.contains("] DEBUG tap t0 is open, mtu 1500, "), "{text}");
    assert!(last.contains("] INFO the stack tap:t0,ip=10.97.0.2/24,") && last.ends_with(" has ended"), "{text}");
    let cure =
        "log: /no/such/place cannot be written: No such file or directory (os error 2); name a file in a directory";
    place.refuses("null:n,log=info:/no/such/place", cure);
    // One that nobody reads holds nobody up.
    let fifo = installed("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    place.refuses(
        &format!("null:n,log=info:{fifo}"),
        &format!("log: {fifo} cannot be written: No such device or address"),
    );
}

#[test]
fn a_log_goes_to_the_systems_log() {
    let place = Place::bare();
    let folder = installed("syslog");
    fs::create_dir(&folder).expect("a folder");
    let (socket, devices) = (format!("{folder}/socket"), format!("{folder}/dev"));
    let log = UnixDatagram::bind(&socket).expect("a socket");
    log.set_read_timeout(Some(PATIENCE)).expect("a limit");
    fs::create_dir(&devices).expect("a folder");
    // With a /dev of its own, where what is bound above is the system's log.
    let host = format!("{} host --stack logged --net null:,log=info:syslog", installed("sockeye"));
    let script = format!(
        "mount -t tmpfs dev {devices} && cp -a /dev/null /dev/urandom {devices} && ln -s {socket} {devices}/log && \
         mount --move {devices} /dev && exec {host}"
    );
    let start = || Command::new("unshare").args(["--mount", "sh", "-c", &script]).spawn();
    let mut host = place.0.inside(start).expect("unshare");
    let mut bytes = [0; 1024];
    let len = log.recv(&mut bytes).expect("a line");
    // LOG_DAEMON and LOG_INFO.
    let line = format!("<30>sockeye[{}]: the stack null:,log=info:syslog runs", host.id());
    assert_eq!(String::from_utf8_lossy(&bytes[..len]), line);
    place.await_host("logged");
    assert_eq!(place.ends("@sockeye stop --stack logged", &[]).0, Some(0));
    assert!(host.wait().expect("the host").success());
}

#[test]
fn a_variable_that_is_wrong_is_one_line_that_says_what_is_right() {
    let place = Place::bare();
    for (name, value, told) in [
        (
            "SOCKEYE_SPIN",
            "fast",
            "SOCKEYE_SPIN: `fast` is not a number of microseconds; give it as SOCKEYE_SPIN=20, or unset it\n",
        ),
        (
            "SOCKEYE_LOG",
            "loud",
            "SOCKEYE_LOG: `loud` is no level; the levels are off, error, warn, info, debug, trace\n",
        ),
        // A token is a secret, also one that is mistyped.
        ("SOCKEYE_TOKEN", "0123456789", "SOCKEYE_TOKEN: is not 32 hexadecimal digits; unset it\n"),
    ] {
        let (code, out, err) = place.ends("@sockeye run --net null: -- @open", &[(name, value)]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.ends_with(told), "{err}");
        place.leaves_down(&[("SOCKEYE_NET", "null:"), (name, value)], told);
    }
    let told = "sockeye: SOCKEYE_TOKEN: is not 32 hexadecimal digits; unset it\n";
    for words in ["ls", "ss", "nstat", "log", "stop"] {
        let ends = place.ends(
            &format!("@sockeye {words} --stack here").replace("ls --stack here", "ls"),
            &[("SOCKEYE_TOKEN", "x")],
        );
        assert_eq!(ends, (Some(1), String::new(), told.to_owned()), "{words}");
    }
}

#[test]
fn a_stack_without_a_device_captures_its_loopback() {
    let place = Place::bare();
    let file = installed("loopback.pcapng");
    let mut program = place.start(&format!("@sockeye run --net null:,pcap={file} -- @talk"), &[]);
    assert!(program.line().starts_with("up "));
    assert_eq!(place.ends("@sockeye stop", &[]).0, Some(0));
    let output = Command::new("tcpdump").args(["-nnr", &file]).output().expect("tcpdump is installed");
    let text = String::from_utf8_lossy(&output.stdout);
    for segment in
        ["> 127.0.0.1.8080: Flags [S], seq ", "IP 127.0.0.1.8080 > 127.0.0.1.", "Flags [S.], seq ", "Flags [P.], seq 1"]
    {
        assert!(text.contains(segment), "{segment}: {text}");
    }
}
