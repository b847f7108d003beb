//! The programs of `c-tests/`, as they are for the kernel, run with the preload library on a stack of a host's: what
//! they print is what they print on the kernel's sockets, but for the lines of [`DIFFERENCES`]. Both runs have a
//! network namespace of their own; in the hosted one the loopback is down, so that nothing can reach the kernel's
//! sockets.

#[path = "build/mod.rs"]
mod build;

use build::{Program, preload, run};
use std::{fs, time::Duration};

/// What differs, and why: of each program the lines of the kernel's output that are not to be compared, by number, and
/// as many of the hosted one's.
const DIFFERENCES: &[(&str, &[usize], &str)] = &[
    ("half_close", &[15, 16, 45], "an AF_UNIX socket keeps its peer's name, and shuts down twice"),
    ("half_close", &[23], "what comes after SHUT_RD cannot be read"),
    ("half_close", &[38], "a reset after the end of data is not told to who has shut down, too"),
    ("reset_semantics", &[13, 15, 27], "writing to what is reset is EPIPE, and ECONNRESET waits for the next read"),
    ("reset_semantics", &[33], "a reset after the end of data is ECONNRESET, not EPIPE"),
    ("reset_semantics", &[35, 37], "an AF_UNIX socket keeps its peer's name, and shuts down twice"),
    ("reset_semantics", &[44], "on a busy machine the wait for SO_LINGER's time was seen to end early"),
    ("signals", &[82, 83], "sending on what was never connected is ENOTCONN, and no signal"),
    ("signals", &[85, 86, 87, 88, 89], "writing to what is reset is EPIPE, and ECONNRESET waits for the next read"),
    ("timeouts", &[31], "writing to what is reset is EPIPE, and ECONNRESET waits for the next read"),
];

fn words(text: &[&str]) -> Vec<String> {
    let mut words = vec!["unshare".to_owned(), "-n".to_owned()];
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        words.push("-r".to_owned());
    }
    words.extend(text.iter().map(|word| (*word).to_owned()));
    words
}

fn same(name: &str) {
    let program = Program::of_the_kernel(&format!("c-tests/{name}.c"), "hosted").path.display().to_string();
    let limit = Duration::from_secs(60);
    let expected = fs::read_to_string(build::root().join(format!("c-tests/{name}.expected")));
    let kernel = expected
        .unwrap_or_else(|_| run(&words(&["sh", "-c", &build::on_the_kernel(name), &program]), &[], limit).stdout);
    let preload = preload().display().to_string();
    let stack = build::stack_for(name);
    let environment = [
        ("LD_PRELOAD", preload.as_str()),
        ("SOCKEYE_NET", stack.as_str()),
        ("SOCKEYE_HOST", env!("CARGO_BIN_EXE_sockeye")),
    ];
    let hosted = run(&words(&[&program]), &environment, limit);
    let lines = |text: &str| {
        let skipped = DIFFERENCES.iter().filter(|(program, ..)| *program == name);
        let skipped: Vec<usize> = skipped.flat_map(|(_, lines, _)| lines.iter().copied()).collect();
        let kept = text.lines().enumerate().filter(|(at, _)| !skipped.contains(&(at + 1)));
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let (kernel, ours) = (lines(&kernel), lines(&hosted.stdout));
    if kernel != ours || hosted.status != "exit 0" {
        let difference = build::difference(&kernel, &ours);
        panic!("{name}: {}\n--- kernel\n+++ hosted\n{difference}{}", hosted.status, hosted.stderr);
    }
    assert_eq!(hosted.stderr, "", "{name}");
}

macro_rules! hosted {
    ($($name:ident)*) => { $(#[test] fn $name() { same(stringify!($name)); })* };
}

hosted! {
    bind_conflicts bind_to_device cancellation chroot dup_family epoll_edges epoll_exclusive epoll_nested exit_drains family
    fcntl_ioctl
    full_duplex half_close interfaces nonblocking open_and_names rare_options reset_semantics signals threads timeouts
    udp
}
