//! What an operator is told of stacks that run, and by what a user goes on when something is refused: each line is
//! true, and its cure is one.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

mod build;
#[allow(dead_code, reason = "other tests use the rest")]
mod netns;
mod place;

use place::{NOBODY, PATIENCE, Place, Running, command, fine, install, installed};
use std::{
    fs,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// Binds sockets to any address: TCP that listens, and UDP, of IPv4, of both families, and of IPv6 alone.
const ANY: &str = r#"
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
static int any(int family, int type, int only, int port) {
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(port) };
    int is_six = family == AF_INET6, fd = socket(family, type, 0);
    if (is_six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only)) return 1;
    if (bind(fd, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four)) return 1;
    return type == SOCK_STREAM && listen(fd, 5);
}
int main(void) {
    for (int type = SOCK_STREAM; type <= SOCK_DGRAM; type++)
        if (any(AF_INET, type, 0, 4001) || any(AF_INET6, type, 0, 4002) || any(AF_INET6, type, 1, 4003)) return 1;
    puts("up"); fflush(stdout);
    getchar();
    return 0;
}"#;

#[test]
fn sockets_of_any_address_are_shown_as_ss_shows_them() {
    let place = Place::bare();
    install("any", ANY);
    let table = |program: &str, shows: &str| {
        let mut program = place.start(program, &[]);
        assert_eq!(program.line(), "up\n");
        let (code, out, err) = place.ends(shows, &[]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        program.rest();
        let mut rows: Vec<String> =
            out.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        rows.sort();
        rows
    };
    let kernels = table("@any", "ss -Htunl");
    assert!(kernels.contains(&"tcp LISTEN 0 5 *:4002 *:*".to_owned()) && kernels.len() == 6, "{kernels:?}");
    assert_eq!(table("@sockeye run --net null: -- @any", "@sockeye ss -Htunl --stack null"), kernels);
}

/// The only line that a command which fails says.
fn complaint(place: &Place, words: &str, variables: &[(&str, &str)], code: i32) -> String {
    let (ended, out, err) = place.ends(words, variables);
    assert_eq!((ended, out.as_str(), err.lines().count()), (Some(code), "", 1), "{words}: {err}");
    err.trim_start_matches("sockeye: ").trim_end().to_owned()
}

#[test]
fn who_holds_a_device_is_named_with_what_ends_it() {
    let place = Place::new();
    let mut holder = place.start("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let other = "@sockeye run --stack other --net tap:t0,ip=10.97.0.3/24 -- @open";
    let line = complaint(&place, other, &[], 125);
    assert!(line.starts_with("tap t0: stack tap-t0 has the device (process "), "{line}");
    assert!(line.ends_with("); end it with `sockeye stop --stack tap-t0`, or use another device"), "{line}");
    // One device has one stack: no other name would help.
    let line = complaint(&place, "@sockeye run --net tap:t0,ip=10.97.0.3/24 -- @open", &[], 125);
    let cure = "give the same, or end that stack with `sockeye stop --stack tap-t0`";
    assert_eq!(line, format!("ip: stack tap-t0 runs with ip=10.97.0.2/24, not with ip=10.97.0.3/24; {cure}"));
    assert_eq!(place.ends("@sockeye stop --stack tap-t0", &[]).0, Some(0));
    holder.rest();
    assert_eq!(place.ends(other, &[]), fine());

    // A program that is no host.
    let hold = "import fcntl,os,struct;fd=os.open('/dev/net/tun',os.O_RDWR);\
                fcntl.ioctl(fd,0x400454ca,struct.pack('16sH22x',b't1',0x1002));print('up',flush=True);input()";
    fs::write(installed("t1.py"), hold).expect("a script");
    let mut python = place.start("python3 @t1.py", &[]);
    assert_eq!(python.line(), "up\n");
    let line = complaint(&place, "@sockeye run --net tap:t1,ip=10.98.0.3/24 -- @open", &[], 125);
    let pid = python.child.id();
    assert_eq!(line, format!("tap t1: process {pid} (python3) has the device; end it, or use another device"));
    drop(python);
}

#[test]
fn what_a_user_may_not_do_is_told_with_the_command_that_may() {
    let place = Place::bare();
    let line = complaint(&place, &format!("{NOBODY} @sockeye run --net tap:t0,ip=10.97.0.2/24 -- @open"), &[], 125);
    let may_open = fs::metadata("/dev/net/tun").is_ok_and(|tun| {
        use std::os::unix::fs::PermissionsExt;
        tun.permissions().mode() & 0o6 == 0o6
    });
    let cure = if may_open { "; make it with `sudo sockeye up t0`" } else { "(`chmod 666 /dev/net/tun`)" };
    assert!(line.starts_with("tap t0: ") && line.ends_with(cure), "{line}");
    for words in ["@sockeye down lo", "@sockeye up lo"] {
        assert!(!complaint(&place, words, &[], 1).contains("ip link del"), "{words}");
    }
    assert!(!complaint(&place, "@sockeye run --net tap:lo,ip=10.97.0.2/24 -- @open", &[], 125).contains("ip link del"));
    let line = complaint(&place, "@sockeye up t0 --ip 10.97.0.0/24", &[], 1);
    let form = "--ip: `10.97.0.0/24` is the network itself, not a host in it; give it as --ip 10.97.0.1/24";
    assert_eq!(line, form);
    let line = complaint(&place, "@sockeye run --net tap:t0,ip=10.97.0.2/24 --link loss=2 -- @open", &[], 125);
    assert!(line.starts_with("--link: loss=2 could be ") && line.contains("write loss=1% or loss=0.01,"), "{line}");
}

#[test]
fn sudo_is_told_whose_the_stack_is_and_a_stranger_where_a_token_comes_from() {
    let place = Place::bare();
    let mut host = place.start(&format!("{NOBODY} @sockeye host --net null:"), &[]);
    place.await_host("null");
    let cure = "start this as that user (without sudo, if that is you), or use another stack (--stack)";
    let line = complaint(&place, "@sockeye run --net null: -- @open", &[], 125);
    assert!(line.starts_with("stack null: it is another user's (user 65534), ") && line.ends_with(cure), "{line}");
    let (_, _, err) = place.by_hand("@open", &[("SOCKEYE_NET", "null:")]);
    assert!(err.contains("without sudo, if that is you") && err.lines().count() == 1, "{err}");
    assert_eq!(place.ends("@sockeye stop", &[]).0, Some(0));
    assert!(host.child.wait().expect("the host").success());

    // The other way about a token helps, and the line says where there is one.
    let mut holder = place.start("@sockeye run --net null: -- @hold", &[]);
    assert_eq!(holder.line(), "up\n");
    let join = format!("{NOBODY} @sockeye run --net null: -- @open");
    let line = complaint(&place, &join, &[], 125);
    let source = "what that user starts on it has the token in its environment: have it from there";
    assert!(
        line.starts_with("stack null: it is another user's, and SOCKEYE_TOKEN ") && line.contains(source),
        "{line}"
    );
    let environment = fs::read(format!("/proc/{}/environ", holder.child.id())).expect("the program's environment");
    let environment = String::from_utf8_lossy(&environment).into_owned();
    let token = environment.split('\0').find_map(|variable| variable.strip_prefix("SOCKEYE_TOKEN=")).expect("a token");
    assert_eq!(place.ends(&join, &[("SOCKEYE_TOKEN", token)]), fine());
    holder.rest();
}

#[test]
fn a_host_takes_its_network_and_name_from_the_environment_and_says_when_there_is_nothing_to_do() {
    let place = Place::bare();
    let line = complaint(&place, "@sockeye host", &[], 1);
    assert!(line.starts_with("no network; give it as --net ") && line.contains("SOCKEYE_NET"), "{line}");
    let variables = [("SOCKEYE_NET", "null:"), ("SOCKEYE_STACK", "here")];
    let mut host = place.start("@sockeye host", &variables);
    place.await_host("here");
    let runs = "here: runs already, as that network; `sockeye ls` shows it\n".to_owned();
    assert_eq!(place.ends("@sockeye host", &variables), (Some(0), runs, String::new()));
    assert_eq!(place.ends("@sockeye host --quiet", &variables), (Some(0), String::new(), String::new()));
    let line = complaint(&place, "@sockeye host --net tap:t0,ip=10.97.0.2/24", &variables, 1);
    assert!(line.starts_with("device: stack here runs with null:, not with tap:t0; "), "{line}");
    assert_eq!(place.ends("@sockeye stop", &[]).0, Some(0));
    assert!(host.child.wait().expect("the host").success());
}

#[test]
fn warnings_that_nobody_heard_are_counted_where_stacks_are_listed() {
    let place = Place::new();
    // Standard error is a pipe that nobody holds up a program for.
    let mut dial = command("@sockeye run --net tap:t0,ip=10.97.0.2/24 -- @dial 9", &[]);
    dial.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let warnings = || {
        let (code, json, err) = place.ends("@sockeye ls -j", &[]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let count = json.split("\"warnings\":").nth(1).and_then(|rest| rest.split(',').next()?.parse::<u64>().ok());
        (count, json)
    };
    let _program = Running::new(place.0.inside(|| dial.spawn()).expect("it starts"));
    place.await_host("tap-t0");
    let end = Instant::now() + PATIENCE;
    while warnings().0.is_none() {
        assert!(Instant::now() < end, "no stack");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(warnings().0, Some(0));
    // What the stack sends from here on is dropped, which is worth a warning.
    place.0.ip("link set t0 down");
    let (_second, end) = (place.start("@sockeye run --stack tap-t0 -- @dial 10", &[]), Instant::now() + PATIENCE);
    while warnings().0 != Some(1) {
        assert!(Instant::now() < end, "{}", warnings().1);
        thread::sleep(Duration::from_millis(20));
    }
    let (_, log, _) = place.ends("@sockeye log --stack tap-t0", &[]);
    assert!(log.contains(" WARN tap t0 is down and drops what is sent; "), "{log}");
    assert_eq!(place.ends("@sockeye stop --stack tap-t0", &[]).0, Some(0));
}
