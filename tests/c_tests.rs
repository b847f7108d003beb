//! Every program of `c-tests/` prints what it sees of the socket interface. Here each is compiled twice, for the
//! kernel's sockets and for ours, and both must print the same: plainly, under the address and undefined-behaviour
//! sanitizers, and under valgrind. The kernel's runs have a network namespace of their own; ours have one whose
//! loopback is down, so that nothing can reach the kernel's sockets unnoticed.

#[path = "build/mod.rs"]
mod build;

use build::{Outcome, Program, run};
use std::{collections::BTreeSet, fs, time::Duration};

/// How ours is compiled and run.
#[derive(Copy, Clone, PartialEq)]
enum Mode {
    Plain,
    Sanitized,
    Valgrind,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Sanitized => "sanitized",
            Self::Valgrind => "valgrind",
        }
    }

    fn limit(self) -> Duration {
        Duration::from_secs(if self == Self::Plain { 60 } else { 120 })
    }

    /// By how much the amounts of work are divided.
    const fn divide(self) -> &'static str {
        match self {
            Self::Plain => "1",
            Self::Sanitized => "4",
            Self::Valgrind => "40",
        }
    }
}

/// Words in front of a program that give it a network namespace of its own.
fn in_namespace() -> Vec<String> {
    let mut words = vec!["unshare".to_owned(), "-n".to_owned()];
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        words.push("-r".to_owned());
    }
    words
}

fn on_the_kernel(name: &str, mode: Mode) -> Outcome {
    let expected = build::root().join(format!("c-tests/{name}.expected"));
    if let Ok(stdout) = fs::read_to_string(&expected) {
        return Outcome { stdout, stderr: String::new(), status: "exit 0".to_owned() };
    }
    let program = Program::of_the_kernel(&format!("c-tests/{name}.c"), "compared");
    let mut command = in_namespace();
    command.extend(["sh".to_owned(), "-c".to_owned(), build::on_the_kernel(name)]);
    command.push(program.path.display().to_string());
    run(&command, &[("C_TESTS_DIVIDE", mode.divide())], mode.limit())
}

/// Programs that fork: what belongs to the parent's threads looks lost in a child, which has only one of them, so that
/// leaks cannot be told there. (The leaks of all others are.)
const FORKING: &[&str] = &["fork_child"];

fn on_sockeye(name: &str, mode: Mode) -> Outcome {
    let (variant, flags): (_, &[&str]) = match mode {
        Mode::Sanitized => {
            ("sanitized", &["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"])
        }
        Mode::Plain | Mode::Valgrind => ("plain", &[]),
    };
    let program = Program::of_ours(&format!("c-tests/{name}.c"), variant, flags);
    let mut command = in_namespace();
    if mode == Mode::Valgrind {
        let leaks = if FORKING.contains(&name) { "--leak-check=no" } else { "--leak-check=full" };
        let suppressions = build::root().join("c-tests/valgrind.supp");
        command.extend(
            ["valgrind", "-q", "--error-exitcode=99", leaks, "--errors-for-leak-kinds=definite"].map(String::from),
        );
        command.extend(["--fair-sched=yes".to_owned(), format!("--suppressions={}", suppressions.display())]);
    }
    command.push(program.path.display().to_string());
    let sanitizer = if FORKING.contains(&name) { "exitcode=98:detect_leaks=0" } else { "exitcode=98" };
    let stack = build::stack_for(name);
    let environment = [("C_TESTS_DIVIDE", mode.divide()), ("SOCKEYE_NET", stack.as_str()), ("ASAN_OPTIONS", sanitizer)];
    run(&command, &environment, mode.limit())
}

/// Runs one test on both and fails with the difference.
fn same(name: &str, mode: Mode) {
    let kernel = on_the_kernel(name, mode);
    assert_eq!(kernel.status, "exit 0", "{name} on the kernel:\n{}{}", kernel.stdout, kernel.stderr);
    let ours = on_sockeye(name, mode);
    if kernel.stdout != ours.stdout || kernel.status != ours.status {
        let difference = build::difference(&kernel.stdout, &ours.stdout);
        panic!("{name}, {}: {}\n--- kernel\n+++ sockeye\n{difference}{}", mode.name(), ours.status, ours.stderr);
    }
    // Lines of valgrind's own begin with two dashes: remarks about system calls it does not know in full.
    let said = ours.stderr.lines().any(|line| !line.starts_with("--"));
    assert!(!said, "{name}, {}: said on stderr:\n{}", mode.name(), ours.stderr);
}

macro_rules! c_tests {
    ($($name:ident)*) => {
        const NAMES: &[&str] = &[$(stringify!($name)),*];
        mod plain { $(#[test] fn $name() { super::same(stringify!($name), super::Mode::Plain); })* }
        mod sanitized { $(#[test] fn $name() { super::same(stringify!($name), super::Mode::Sanitized); })* }
        mod valgrind { $(#[test] fn $name() { super::same(stringify!($name), super::Mode::Valgrind); })* }
    };
}

c_tests! {
    accept_flags bind_conflicts bind_to_device cancellation chroot connect_errors counters dup_family efault epoll_edges
    epoll_exclusive epoll_nested error_queue exit_drains family fcntl_ioctl fork_child
    fastopen full_duplex half_close listen_backlog many_messages nonblocking open_and_names options poll_bits pollable
    rare_options reset_semantics select_sets stack_free
    send_file send_recv_flags sendmsg_recvmsg signals tcp_info tcp_inq threads timeouts udp
}

/// What is about functions that only hosted programs have from us: see `hosted_c.rs`.
const HOSTED: [&str; 1] = ["interfaces"];

#[test]
fn every_program_in_the_directory_is_run() {
    let files: BTreeSet<String> = fs::read_dir(build::root().join("c-tests"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".c").map(str::to_owned))
        .collect();
    assert_eq!(files, NAMES.iter().chain(&HOSTED).map(|name| (*name).to_owned()).collect());
}
