//! Programs with the real preload library and the hosts they meet: which they may join and how they are told no, what
//! the operator sees of them, and what they see when their host is ended. Whatever goes wrong is one line.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

mod build;
#[path = "joining/lost.rs"]
mod lost;
#[allow(dead_code, reason = "other tests use the rest")]
mod netns;
mod place;
#[path = "joining/strangers.rs"]
mod strangers;

use place::{NOBODY, PATIENCE, Place, Running, command, fine, install, installed};
use sockeye::sys::unix::{self, Kind};
use std::{
    fs,
    io::ErrorKind,
    net::TcpStream,
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, net::UnixDatagram},
    },
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Has a socket of the stack's, and makes one past the library; prints the error number of the second.
const PAST: &str = r#"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
int main(void) {
    if (socket(AF_INET, SOCK_STREAM, 0) < 0) return 1;
    long fd, domain = AF_INET, type = SOCK_STREAM, protocol = 0;
    __asm__ volatile("syscall" : "=a"(fd) : "a"(SYS_socket), "D"(domain), "S"(type), "d"(protocol)
                     : "rcx", "r11", "memory");
    printf("%ld\n", fd < 0 ? -fd : 0);
    return 0;
}"#;

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
    place.leaves_down(&[("SOCKEYE_NET", "null:"), ("SOCKEYE_HOST", "/no/such/host")], "SOCKEYE_HOST: ");
    assert_eq!(place.0.devices(), ["lo"]);
}

#[test]
fn an_address_that_another_machine_has_is_one_line() {
    let place = Place::new();
    // The kernel's own address on the link: it answers the probe.
    lost::is_told(&place, "tap:t0,ip=10.97.0.1/24", "10.97.0.1");
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
    let titles = ["Stack", "Device", "Addresses", "Programs", "Sockets", "PID", "Age", "Warnings", "Specification"];
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
    assert_eq!(cells[7..], ["0", "tap:t0,ip=10.97.0.2/24,gw=10.97.0.1"], "{row}");
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
    let name = "cannot be a stack's name, which has 1 to 31 letters, digits, '-', '_', '.', ':' or '@'; \
                give another, or unset it";
    let long = "x".repeat(32);
    let named = |variable: &str, value: &str| format!("{variable}: `{value}` {name}");
    let [stack, long_stack, fence] =
        [named("SOCKEYE_STACK", "a/b"), named("SOCKEYE_STACK", &long), named("SOCKEYE_FENCE", "a/b")];
    let table = [
        (
            "SOCKEYE_SPIN",
            "fast",
            "SOCKEYE_SPIN: `fast` is not a number of microseconds; give it as SOCKEYE_SPIN=20, or unset it",
        ),
        (
            "SOCKEYE_EXIT_WAIT",
            "long",
            "SOCKEYE_EXIT_WAIT: `long` is not a number of seconds; give it as SOCKEYE_EXIT_WAIT=2, or unset it",
        ),
        ("SOCKEYE_LOG", "loud", "SOCKEYE_LOG: `loud` is no level; the levels are off, error, warn, info, debug, trace"),
        (
            "SOCKEYE_LINK",
            "speed=1",
            "SOCKEYE_LINK: knows no `speed`; it takes delay, jitter, loss, reorder, duplicate, corrupt, rate, queue, \
             seed",
        ),
        ("SOCKEYE_PCAP", "a,b", "SOCKEYE_PCAP: cannot name a file whose path has a `,` or `;` in it"),
        ("SOCKEYE_CC", "fast", "SOCKEYE_CC: there is no congestion control \"fast\"; known: bbr, bbr1, cubic, reno"),
        ("SOCKEYE_STACK", "a/b", stack.as_str()),
        ("SOCKEYE_STACK", long.as_str(), long_stack.as_str()),
        ("SOCKEYE_FENCE", "a/b", fence.as_str()),
        (
            "SOCKEYE_FENCE",
            "nope",
            "SOCKEYE_FENCE: is set, and this program is behind no fence; `sockeye run` sets it, so unset it",
        ),
        (
            "SOCKEYE_ALLOW_KERNEL",
            "maybe",
            "SOCKEYE_ALLOW_KERNEL: `maybe` is neither on nor off; give it as SOCKEYE_ALLOW_KERNEL=1, or unset it",
        ),
        // A token is a secret, also one that is mistyped.
        ("SOCKEYE_TOKEN", "0123456789", "SOCKEYE_TOKEN: is not 32 hexadecimal digits; unset it"),
    ];
    for (name, value, told) in table {
        let (code, out, err) = place.ends("@sockeye run --net null: -- @open", &[(name, value)]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        assert_eq!(err, format!("sockeye: {told}\n"));
        place.leaves_down(&[("SOCKEYE_NET", "null:"), (name, value)], told);
    }
    for (name, ..) in table {
        assert_eq!(place.by_hand("@open", &[("SOCKEYE_NET", "null:"), (name, "")]), fine(), "{name}: empty");
    }
    let host = ("SOCKEYE_HOST", "/no/such/host");
    place.leaves_down(
        &[("SOCKEYE_NET", "null:other"), host],
        "SOCKEYE_HOST: names no program that can be executed; correct it, or unset it\n",
    );
    let (code, _, err) = place.ends("@sockeye run --net null:other -- @open", &[host]);
    let told =
        "sockeye: SOCKEYE_HOST: /no/such/host: No such file or directory (os error 2); name a program, or unset it\n";
    assert_eq!((code, err.as_str()), (Some(125), told));
    let long = format!("null:,pcap=/{}", "x".repeat(1100));
    place.leaves_down(&[("SOCKEYE_NET", &long)], "SOCKEYE_NET: is too long to be used; shorten or unset it\n");
    place.leaves_down(&[("SOCKEYE_NET", "a/b")], "SOCKEYE_NET: is no network specification; ");
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
fn the_kernels_network_is_left_open_by_a_variable_that_is_on_and_by_no_other() {
    let place = Place::bare();
    // What goes past the library: the number of socket(2) by hand.
    install("past", PAST);
    let past = |variables: &[(&str, &str)]| {
        let launched = place.ends("@sockeye run --net null: -- @past", variables);
        let by_hand = place.by_hand("@past", &[&[("SOCKEYE_NET", "null:")], variables].concat());
        assert_eq!(launched, by_hand, "{variables:?}");
        launched
    };
    let closed = (Some(0), format!("{}\n", libc::EAFNOSUPPORT), String::new());
    for off in ["0", "no", "off", "False", ""] {
        assert_eq!(past(&[("SOCKEYE_ALLOW_KERNEL", off)]), closed, "{off}");
    }
    for on in ["1", "yes", "on", "TRUE"] {
        assert_eq!(past(&[("SOCKEYE_ALLOW_KERNEL", on)]), fine(), "{on}");
    }
    let inside = "@sockeye run --net null: -- env SOCKEYE_ALLOW_KERNEL=1 @sockeye run --net null:b -- @open";
    let (code, _, err) = place.ends(inside, &[]);
    assert_eq!(code, Some(125), "{err}");
    assert!(err.starts_with("sockeye: SOCKEYE_ALLOW_KERNEL: this process is behind the fence of another"), "{err}");
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
