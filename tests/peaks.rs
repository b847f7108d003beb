//! What a process keeps after a peak, and what happens where there is no memory for one: in a program with the stack in
//! it, and in the host of one without.
#![allow(clippy::disallowed_methods)]

#[path = "build/mod.rs"]
mod build;

use build::{Outcome, Program, Running, preload, run};
use std::{collections::HashMap, fs, process::Stdio, thread, time::Duration};

const SOURCE: &str = "tests/programs/peaks.c";
const LIMIT: Duration = Duration::from_secs(100);
/// Connections of a peak.
const PEAK: &str = "600";
/// Connections that are tried where there is too little memory.
const TRIED: &str = "20000";
/// What may be left of a peak, KiB.
const LEFT: u64 = 8 << 10;

/// Where the stack is.
#[derive(Clone, Copy)]
enum Homed {
    InTheProgram,
    InAHost,
}

/// Runs the program with the stack in its home, under a limit of addresses in KiB.
fn peaks(home: Homed, name: &str, mode: [&str; 2], addresses: Option<u32>) -> HashMap<String, String> {
    let limited = |program: &str| match addresses {
        Some(most) => format!("ulimit -v {most} && exec {program} \"$@\""),
        None => format!("exec {program} \"$@\""),
    };
    let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let outcome = match home {
        Homed::InTheProgram => {
            let program = Program::of_ours(SOURCE, "peaks", &[]).path.display().to_string();
            run(
                &words(&["sh", "-c", &limited(&program), "sh", mode[0], mode[1], "0"]),
                &[("SOCKEYE_NET", "null:")],
                LIMIT,
            )
        }
        Homed::InAHost => hosted(name, mode, &limited(env!("CARGO_BIN_EXE_sockeye"))),
    };
    assert_eq!(outcome.status, "exit 0", "{}{}", outcome.stdout, outcome.stderr);
    let mut told = outcome.stdout.split_whitespace();
    std::iter::from_fn(|| Some((told.next()?.to_owned(), told.next()?.to_owned()))).collect()
}

fn hosted(name: &str, mode: [&str; 2], host: &str) -> Outcome {
    let program = Program::of_the_kernel(SOURCE, "peaks").path.display().to_string();
    let stack = format!("peaks-{name}-{}", std::process::id());
    let words = |text: &[&str]| text.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let arguments = ["sh", "-c", host, "sh", "host", "--net", "null:", "--stack", &stack];
    let mut serving = Running::start(&words(&arguments), &[], Stdio::null(), Stdio::inherit());
    let pid = serving.id().to_string();
    await_host(&stack);
    let preload = preload().display().to_string();
    let environment = [
        ("LD_PRELOAD", preload.as_str()),
        ("SOCKEYE_NET", "null:"),
        ("SOCKEYE_STACK", stack.as_str()),
        ("SOCKEYE_HOST", env!("CARGO_BIN_EXE_sockeye")),
    ];
    let outcome = run(&words(&[&program, mode[0], mode[1], &pid]), &environment, LIMIT);
    // It ends by itself when its last program has.
    assert_eq!(serving.end(Duration::from_secs(20)), "exit 0", "{}", outcome.stdout);
    outcome
}

/// Waits until the host of the stack lets programs in: it listens by its name then.
fn await_host(stack: &str) {
    let name = format!("@sockeye/{stack}/ctl");
    for _ in 0..1000 {
        let text = fs::read_to_string("/proc/net/unix").expect("/proc/net/unix");
        // The kernel's flag of a socket that listens.
        if text.lines().any(|line| line.contains(" 00010000 ") && line.ends_with(&name)) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the host does not come up");
}

fn number(told: &HashMap<String, String>, what: &str) -> u64 {
    told.get(what).and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{what} in {told:?}"))
}

fn gives_back(home: Homed, name: &str) {
    let told = peaks(home, name, ["peak", PEAK], None);
    println!("{name}: {told:?}");
    assert_eq!(number(&told, "lost"), 0);
    let (before, full, after) = (number(&told, "before"), number(&told, "full"), number(&told, "after"));
    assert!(full > before + 4 * LEFT, "it was no peak: {told:?}");
    assert!(after < before + LEFT, "{told:?}");
}

#[test]
fn a_program_that_calls_nothing_more_gives_a_peak_back() {
    gives_back(Homed::InTheProgram, "embedded");
}

#[test]
fn a_host_gives_a_peak_back_while_a_connection_stays() {
    gives_back(Homed::InAHost, "hosted");
}

/// 160 MB of addresses: connections are refused, and those that are there go on.
fn refuses(home: Homed, name: &str) {
    let told = peaks(home, name, ["limit", TRIED], Some(160 << 10));
    println!("{name}: {told:?}");
    assert!(number(&told, "opened") > 300, "{told:?}");
    assert!(["ENOBUFS", "ENOMEM", "ETIMEDOUT"].contains(&told["error"].as_str()), "{told:?}");
    assert_eq!(number(&told, "echoed"), 1, "{told:?}");
}

#[test]
fn a_program_with_few_addresses_is_refused_connections_and_goes_on() {
    refuses(Homed::InTheProgram, "embedded-limit");
}

#[test]
fn a_host_with_few_addresses_refuses_connections_and_goes_on() {
    refuses(Homed::InAHost, "hosted-limit");
}
