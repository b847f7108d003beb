//! The programs of `c-tests/`, compiled for the kernel's sockets and run twice: on the kernel, and on a hosted stack by
//! the preload library. Both must print the same, but for what `c-tests/NAME.hosted` says: the whole output where it
//! differs, with a first line that begins with `#` and says why.

#[path = "build/mod.rs"]
mod build;

use build::{Outcome, Program, run};
use std::{fs, path::PathBuf, process::Command, sync::OnceLock, time::Duration};

const LIMIT: Duration = Duration::from_secs(60);

/// The preload library has a profile of its own, which `cargo test` does not build.
fn preload() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = build::scratch().parent().expect("a target directory").to_owned();
        let output = Command::new(cargo)
            .current_dir(build::root())
            .args(["build", "--quiet", "--profile", "preload", "--package", "sockeye-preload", "--target-dir"])
            .arg(&target)
            .output()
            .expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        target.join("preload/libsockeye_preload.so")
    })
}

/// In a network namespace of its own, whose loopback is up or down.
fn in_namespace(program: &Program, loopback: bool, environment: &[(&str, &str)]) -> Outcome {
    let mut command = vec!["unshare".to_owned(), "-n".to_owned()];
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        command.push("-r".to_owned());
    }
    let words = if loopback { "ip link set lo up && exec \"$0\"" } else { "LD_PRELOAD=$PRELOAD exec \"$0\"" };
    command.extend(["sh", "-c", words].map(String::from));
    command.push(program.path.display().to_string());
    run(&command, environment, LIMIT)
}

fn same(name: &str) {
    let program = Program::of_the_kernel(&format!("c-tests/{name}.c"), "hosted");
    let kernel = in_namespace(&program, true, &[]);
    assert_eq!(kernel.status, "exit 0", "{name} on the kernel:\n{}{}", kernel.stdout, kernel.stderr);
    let preload = preload().display().to_string();
    let host = env!("CARGO_BIN_EXE_sockeye");
    let ours =
        in_namespace(&program, false, &[("PRELOAD", &preload), ("SOCKEYE_HOST", host), ("SOCKEYE_NET", "null:")]);
    let documented = fs::read_to_string(build::root().join(format!("c-tests/{name}.hosted")));
    let expected = match &documented {
        Ok(text) => text.split_once('\n').expect("a line that says why, and the output").1,
        Err(_) => kernel.stdout.as_str(),
    };
    if expected != ours.stdout || ours.status != "exit 0" || !ours.stderr.is_empty() {
        let difference = build::difference(expected, &ours.stdout);
        panic!("{name}: {}\n--- expected\n+++ hosted\n{difference}{}", ours.status, ours.stderr);
    }
}

macro_rules! hosted {
    ($($name:ident)*) => { $(#[test] fn $name() { same(stringify!($name)); })* };
}

hosted! {
    udp
}
