//! The adapter for the original packetdrill, called by a C program as packetdrill calls it: all thirty-three members of
//! its interface, blocking calls on a second thread that is watched in /proc, and libc's own names when the library is
//! preloaded.

#[path = "build/mod.rs"]
mod build;

use build::{Program, run};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

/// The library, built where cargo builds: next to the test, whose dependencies it shares.
fn library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let deps = build::library();
        let (profile, target) = (deps.parent().unwrap(), deps.ancestors().nth(2).unwrap());
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(cargo);
        // For a test its dependencies have the features that they have in this one, and nothing is built a second time.
        command.current_dir(build::root()).args(["build", "-q", "--lib", "--test", "packetdrill_adapter"]);
        command.args(["--package", "sockeye", "--package", "sockeye-packetdrill", "--target-dir"]);
        command.arg(target).args(profile.ends_with("release").then_some("--release"));
        assert!(command.status().is_ok_and(|status| status.success()), "the library cannot be built");
        profile.join("libsockeye_packetdrill.so")
    })
}

/// The driver, which needs dlopen(3) and nothing of ours.
fn driver() -> String {
    Program::of_the_kernel("tests/packetdrill/driver.c", "packetdrill").path.display().to_string()
}

fn all_is_as_it_should_be(name: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    let sysctl = build::scratch().join(format!("{name}.sysctl")).display().to_string();
    fs::write(&sysctl, "").unwrap();
    let mut environment = environment.to_vec();
    environment.push(("SOCKEYE_SYSCTL", &sysctl));
    let mut command = vec![driver(), library().display().to_string()];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let outcome = run(&command, &environment, Duration::from_secs(60));
    assert_eq!(outcome.stdout, "all is as it should be\n", "{}", outcome.stderr);
    assert_eq!(outcome.status, "exit 0", "{}", outcome.stderr);
}

#[test]
fn every_member_does_what_packetdrill_expects_of_it() {
    all_is_as_it_should_be("plain", &[], &[]);
}

#[test]
fn preloaded_it_serves_the_calls_that_packetdrill_makes_by_itself() {
    let library = library().display().to_string();
    all_is_as_it_should_be("preloaded", &["preloaded"], &[("LD_PRELOAD", &library)]);
}

/// Flags, and what is said of them; nothing if they are right.
const FLAGS: [(&str, &str); 8] = [
    ("192.168.0.1 192.168.0.1 16 192.0.2.0/24 1500", ""),
    ("  10.0.0.1   10.0.0.254 8  0.0.0.0/0 68", ""),
    ("192.168.0.1 192.168.0.1 16 192.0.2.0/24", "five words are asked for, 4 are there"),
    ("192.168.0.1 192.168.0.1 33 192.0.2.0/24 1500", "a prefix is a number from 0 to 32"),
    ("192.168.0.1 192.168.0.1 16 192.0.2.0 1500", "`192.0.2.0` has no prefix"),
    ("192.168.0.1 gateway 16 192.0.2.0/24 1500", "`gateway` is no IP address"),
    ("fd3d::1 fd3d::2 48 fd3e::/48 1520", "`fd3e::` is an IPv6 address, which this stack does not have yet"),
    ("192.168.0.1 192.168.0.1 16 192.0.2.0/24 9", "an MTU is a number from 68 to 65535"),
];

#[test]
fn flags_that_are_wrong_end_the_program_with_what_is_wrong() {
    for (flags, wrong) in FLAGS {
        let command = [driver(), library().display().to_string(), "flags".to_owned(), flags.to_owned()];
        let outcome = run(&command, &[], Duration::from_secs(10));
        let (status, stdout) = if wrong.is_empty() { ("exit 0", "a stack was made\n") } else { ("exit 1", "") };
        assert_eq!((&*outcome.status, &*outcome.stdout), (status, stdout), "{flags}: {}", outcome.stderr);
        assert!(wrong.is_empty() || outcome.stderr.contains(&format!("--so_flags: {wrong};")), "{}", outcome.stderr);
    }
}

#[test]
fn a_program_that_has_it_preloaded_and_no_stack_is_none_the_wiser() {
    let library = library().display().to_string();
    let command = ["sh", "-c", "echo one | cat; cat /proc/self/comm"].map(str::to_owned);
    let outcome = run(&command, &[("LD_PRELOAD", &library)], Duration::from_secs(10));
    assert_eq!((&*outcome.stdout, &*outcome.status), ("one\ncat\n", "exit 0"), "{}", outcome.stderr);
}
