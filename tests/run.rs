//! `sockeye run`: what it runs, what it refuses, and how it ends. The preload library is one that does nothing.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

#[allow(dead_code, reason = "other tests use the rest")]
mod netns;

use netns::Namespace;
use std::{
    env, fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A folder with our program, a library to preload, and programs made for a test; gone with it.
struct Installed {
    folder: PathBuf,
    /// Stacks' names belong to it, so that no test meets another's.
    namespace: Namespace,
}

impl Installed {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("sockeye-run-{name}-{}", process::id()));
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        fs::create_dir_all(folder.join("lib")).expect("a folder");
        fs::copy(env!("CARGO_BIN_EXE_sockeye"), folder.join("bin/sockeye")).expect("our program");
        let installed = Self { folder, namespace: Namespace::bare() };
        installed.cc("lib/libsockeye_preload.so", "", &["-shared", "-fPIC"]);
        installed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn cc(&self, name: &str, source: &str, options: &[&str]) -> PathBuf {
        let path = self.path(name);
        let mut command = Command::new("cc");
        command.args(options).args(["-x", "c", "-", "-o"]).arg(&path).stdin(Stdio::piped());
        let mut child = command.spawn().expect("cc");
        child.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("cc reads");
        assert!(child.wait().expect("cc").success(), "cc {options:?}");
        path
    }

    fn write(&self, name: &str, text: &[u8], mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        path
    }

    /// Exit code, standard output and standard error of `sockeye run --net null: -- program arguments`.
    fn run(&self, program: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.ends(
            Command::new(self.path("bin/sockeye")).args(["run", "--net", "null:", "--"]).arg(program).args(arguments),
        )
    }

    fn ends(&self, command: &mut Command) -> (Option<i32>, String, String) {
        for name in ["SOCKEYE_NET", "SOCKEYE_STACK", "SOCKEYE_TOKEN", "SOCKEYE_HOST", "LD_PRELOAD"] {
            command.env_remove(name);
        }
        let output = self.namespace.inside(|| command.output()).expect("it starts");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The program is refused with a line that says this.
    fn refuses(&self, program: &Path, why: &str) {
        let (code, out, err) = self.run(program, &[]);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        assert!(err.starts_with("sockeye: ") && err.contains(why), "{why}: {err}");
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Installed {
    /// The pids of the hosts in the namespace, without the processes beside them.
    fn hosts(&self) -> Vec<String> {
        let program = self.path("bin/sockeye");
        let is_beside = |pid: &str| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            matches!(name.trim(), "sockeye-heir" | "sockeye-steward")
        };
        let is_ours =
            |pid: &String| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program) && !is_beside(pid);
        let entries = fs::read_dir("/proc").expect("proc(5)");
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(is_ours).collect()
    }

    /// A run with these words must end with 125 and one line, which is given back.
    fn fails(&self, words: &str) -> String {
        let mut command = Command::new(self.path("bin/sockeye"));
        let (code, out, err) = self.ends(command.arg("run").args(words.split(' ')));
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{words}: {err}");
        err.trim_start_matches("sockeye: ").trim_end().to_owned()
    }
}

#[test]
fn the_host_is_there_before_the_program_and_goes_after_it() {
    let installed = Installed::new("host");
    let held = installed.cc("held", "#include <unistd.h>\nint main(void) { return getppid() == 1 || sleep(1); }", &[]);
    installed.namespace.inside(|| {
        let run = |program: &Path| {
            let mut command = Command::new(installed.path("bin/sockeye"));
            command.args(["run", "--net", "null:", "--"]).arg(program).spawn().expect("it starts")
        };
        let mut first = run(&held);
        while installed.hosts().len() < 2 && first.try_wait().expect("a child").is_none() {
            thread::sleep(Duration::from_millis(5));
        }
        // The second joins; the hosts are no children of the programs.
        let mut second = run(&held);
        assert!(second.wait().expect("a child").success() && first.wait().expect("a child").success());
        assert_eq!(installed.hosts().len(), 1, "one host for both");
    });
    for _ in 0..250 {
        if installed.hosts().is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("the host stays");
}

#[test]
fn a_host_has_nothing_of_the_program_that_started_it() {
    let installed = Installed::new("clean");
    let script = "ulimit -Sn 64; umask 077; trap '' HUP TERM; exec 9</etc/passwd; exec \"$@\"";
    let sockeye = installed.path("bin/sockeye").display().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", &sockeye, "run", "--net", "null:", "--", "true"]);
    assert_eq!(installed.ends(&mut command), (Some(0), String::new(), String::new()));
    let pid = installed.hosts().pop().expect("the host waits a moment");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("proc(5)");
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default();
    assert_eq!(of("Umask:"), "0022");
    // SIGPIPE, which every Rust program ignores, and what limits of time and files raise: SIGXCPU, SIGXFSZ.
    assert_eq!((of("SigIgn:"), of("SigBlk:")), ("0000000001801000", "0000000000000000"));
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("proc(5)");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    let mut words = files.split_whitespace().skip(3);
    assert_eq!(words.next(), words.next(), "soft and hard");
    let descriptors: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("proc(5)")
        .filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.to_string_lossy().into_owned()))
        .collect();
    assert!(!descriptors.iter().any(|to| to == "/etc/passwd"), "{descriptors:?}");
    let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("proc(5)");
    assert!(!environment.split('\0').any(|variable| variable.starts_with("LD_PRELOAD=")), "{environment}");
    let session = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("proc(5)");
        stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(3).map(str::to_owned))
    };
    assert_ne!(session(&pid), session("self"));
}

#[test]
fn a_limit_of_files_sizes_is_a_full_disk_to_a_host() {
    let installed = Installed::new("sizes");
    let log = installed.write("log", &[b'x'; 4096], 0o644);
    // Without the right to lift it.
    let limited = "ulimit -f 1; exec setpriv --bounding-set=-sys_resource --inh-caps=-sys_resource \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", limited, "sh"]).arg(installed.path("bin/sockeye"));
    let net = format!("null:,log=debug:{}", log.display());
    let (code, out, err) = installed.ends(command.args(["run", "--net", &net, "--", "true"]));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(fs::metadata(&log).expect("the log").len(), 4096);
}

#[test]
fn what_a_host_says_once_it_is_up_goes_where_its_starter_writes() {
    let installed = Installed::new("warnings");
    installed.namespace.add_tap("t0", "10.97.0.1/24");
    let errors = installed.path("errors");
    let mut command = Command::new(installed.path("bin/sockeye"));
    command.args(["run", "--net", "tap:t0,ip=10.97.0.2/24", "--", "sleep", "2"]);
    let file = fs::File::create(&errors).expect("a file");
    let mut child = installed.namespace.inside(|| command.stderr(file).spawn()).expect("it starts");
    let end = Instant::now() + Duration::from_secs(10);
    let comm = format!("/proc/{}/comm", child.id());
    while fs::read_to_string(&comm).expect("proc(5)") != "sleep\n" && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    installed.namespace.ip("link delete t0");
    let said = || fs::read_to_string(&errors).expect("text");
    while !said().contains("the device is gone") {
        assert!(Instant::now() < end, "{}", said());
        thread::sleep(Duration::from_millis(5));
    }
    assert!(said().lines().all(|line| line.starts_with("sockeye: ")), "{}", said());
    assert!(child.wait().expect("a child").success());
}

#[test]
fn a_joiner_means_the_same_network_or_is_told_the_key() {
    let installed = Installed::new("join");
    installed.namespace.add_tap("t0", "10.97.0.1/24");
    let net = "tap:t0,ip=10.97.0.2/24";
    let run = |net: &str| {
        let mut command = Command::new(installed.path("bin/sockeye"));
        installed.ends(command.args(["run", "--net", net, "--", "true"]))
    };
    let ran = (Some(0), String::new(), String::new());
    assert_eq!(run(net), ran);
    assert_eq!(run("tap:t0,offload=on,ip=10.97.0.2/24"), ran, "the text does not count");
    let line = installed.fails("--net tap:t0,ip=10.97.0.3/24 -- true");
    assert!(line.starts_with("ip: stack tap-t0 runs with ip=10.97.0.2/24, not with ip=10.97.0.3/24; "), "{line}");
    let line = installed.fails(&format!("-n {net} --link loss=1% -- true"));
    assert!(line.starts_with("link: stack tap-t0 runs with no link=, not with link=loss:1%; "), "{line}");
    let mut named = Command::new(installed.path("bin/sockeye"));
    assert_eq!(installed.ends(named.args(["run", "--stack", "tap-t0", "true"])), ran, "a name is enough");
    let line = installed.fails("--stack no-such-stack -- true");
    assert_eq!(line, "stack no-such-stack is not running, and no --net says how to start it");
    assert!(installed.fails("--stack no/name -- true").starts_with("\"no/name\" cannot be a stack's name: "));
}

#[test]
fn a_host_that_cannot_start_says_why_once() {
    let installed = Installed::new("broken");
    let line = installed.fails("--net tap:lo,ip=10.97.0.2/24 -- true");
    assert!(line.contains("lo"), "{line}");
    assert!(installed.hosts().is_empty());
    let host = installed.write("silent", b"#!/bin/sh\n", 0o755);
    let run = |host: &Path| {
        let mut command = Command::new("env");
        command.arg(format!("SOCKEYE_HOST={}", host.display())).arg(installed.path("bin/sockeye"));
        let (code, out, err) = installed.ends(command.args(["run", "--net", "null:", "true"]));
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(125), "", 1), "{err}");
        err
    };
    assert!(run(&installed.path("no-such-host")).contains("no-such-host: No such file"));
    assert_eq!(run(&host), "sockeye: the host does not come up\n");
}

const NOTHING: &str = "int main(void) { return 7; }";

#[test]
fn the_program_runs_in_the_same_process_with_the_environment_it_needs() {
    let installed = Installed::new("env");
    let program = "echo $$; echo $LD_PRELOAD; echo $SOCKEYE_NET; echo ${#SOCKEYE_TOKEN}; exit 3";
    let mut command = Command::new(installed.path("bin/sockeye"));
    command.args(["run", "--net", "tap:t0,ip=10.97.0.2/24", "--link", "delay=1ms,loss=1%", "--", "sh", "-c", program]);
    for name in ["SOCKEYE_TOKEN", "LD_PRELOAD"] {
        command.env_remove(name);
    }
    let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
    let id = child.id();
    let output = child.wait_with_output().expect("it ends");
    let library = fs::canonicalize(installed.path("lib/libsockeye_preload.so")).expect("the library");
    let expected = format!("{id}\n{}\ntap:t0,ip=10.97.0.2/24,link=delay:1ms+loss:1%\n32\n", library.display());
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(3), expected.as_str()));
}

#[test]
fn exit_codes_are_those_of_env() {
    let installed = Installed::new("codes");
    let code = |program: &Path| installed.run(program, &[]).0;
    assert_eq!(code(&installed.cc("seven", NOTHING, &[])), Some(7));
    assert_eq!(code(Path::new("no-such-program")), Some(127));
    assert_eq!(code(&installed.path("no/such/program")), Some(127));
    assert_eq!(code(&installed.write("not-for-us", b"#!/bin/sh\n", 0o644)), Some(126));
    assert_eq!(code(&installed.folder), Some(126));
    let mut usage = Command::new(installed.path("bin/sockeye"));
    assert_eq!(installed.ends(usage.args(["run", "--no-such-option"])).0, Some(125));
    let mut networkless = Command::new(installed.path("bin/sockeye"));
    let (code, out, err) = installed.ends(networkless.args(["run", "true"]));
    assert_eq!((code, out.as_str()), (Some(125), ""));
    assert!(err.starts_with("sockeye: no network; give it as --net "), "{err}");
    // Standard error that takes nothing changes no exit code.
    let mut mute = Command::new("sh");
    let script = "exec \"$0\" run true 2>/dev/full";
    assert_eq!(installed.ends(mute.arg("-c").arg(script).arg(installed.path("bin/sockeye"))).0, Some(125));
    fs::remove_file(installed.path("lib/libsockeye_preload.so")).expect("it was there");
    installed.refuses(Path::new("true"), "libsockeye_preload.so is neither beside");
}

#[test]
fn static_programs_are_refused() {
    let installed = Installed::new("static");
    installed.refuses(&installed.cc("static", NOTHING, &["-static"]), "static: is a static program");
    installed.refuses(&installed.cc("pie", NOTHING, &["-static-pie"]), "pie: is a static program");
    assert_eq!(installed.run(&installed.cc("dynamic", NOTHING, &["-no-pie"]), &[]).0, Some(7));
}

#[test]
fn the_loader_is_judged_by_what_it_is_to_run() {
    let installed = Installed::new("loader");
    let loader = Path::new(if cfg!(target_arch = "x86_64") {
        "/lib64/ld-linux-x86-64.so.2"
    } else {
        "/lib/ld-linux-aarch64.so.1"
    });
    let [seven, unlinked] = [("seven", &[][..]), ("static", &["-static"])]
        .map(|(name, options)| installed.cc(name, NOTHING, options).display().to_string());
    assert_eq!(installed.run(loader, &[&seven]).0, Some(7));
    assert_eq!(installed.run(loader, &["--argv0", &unlinked, "--inhibit-cache", &seven]).0, Some(7));
    assert_eq!(installed.run(loader, &["--verify", &seven]).0, Some(0));
    let (code, _, err) = installed.run(loader, &["--argv0", &seven, &unlinked]);
    assert!(code == Some(125) && err.contains("static: is a static program"), "{err}");
}

#[test]
fn a_fence_is_not_opened_from_inside() {
    let installed = Installed::new("inside");
    let inner = installed.path("bin/sockeye");
    let (code, _, err) = installed.run(&inner, &["run", "--allow-kernel", "--net", "null:", "--", "true"]);
    assert!(code == Some(125) && err.starts_with("sockeye: --allow-kernel: "), "{err}");
    let (code, _, err) = installed.run(&inner, &["up", "t9"]);
    assert!(code == Some(1) && err.starts_with("sockeye: t9: cannot be set up from behind the fence"), "{err}");
}

#[test]
fn go_programs_are_refused_by_their_note_or_their_section() {
    let installed = Installed::new("go");
    let note = r#"__asm__(".section .note.go.buildid,\"a\",@note\n.p2align 2\n.long 4,4,4\n.asciz \"Go\\0\"\n.ascii \"abcd\"\n.text");"#;
    installed.refuses(&installed.cc("note", &format!("{note}\n{NOTHING}"), &["-s"]), "is a Go program");
    let section = r#"__attribute__((section(".go.buildinfo"))) int info = 1;"#;
    installed.refuses(&installed.cc("section", &format!("{section}\n{NOTHING}"), &[]), "is a Go program");
}

#[test]
fn other_formats_and_rights_are_refused() {
    let installed = Installed::new("formats");
    let program = fs::read(installed.cc("seven", NOTHING, &[])).expect("a program");
    let narrow = [&program[..4], &[1], &program[5..]].concat();
    installed.refuses(&installed.write("narrow", &narrow, 0o755), "is a 32-bit program");
    let foreign = [&program[..18], &[8, 0], &program[20..]].concat();
    installed.refuses(&installed.write("foreign", &foreign, 0o755), "another kind of machine");
    let cut = installed.write("cut", &program[..100], 0o755);
    assert_eq!(installed.run(&cut, &[]).0, Some(126));
    let privileged = installed.write("privileged", &program, 0o755);
    std::os::unix::fs::chown(&privileged, Some(1), Some(1)).expect("run the tests as root");
    for mode in [0o4755, 0o2755] {
        fs::set_permissions(&privileged, fs::Permissions::from_mode(mode)).expect("its mode");
        installed.refuses(&privileged, "runs with the rights of another user or group");
    }
}

#[test]
fn scripts_are_judged_by_their_interpreter() {
    let installed = Installed::new("scripts");
    let script = installed.write("script", b"#! /bin/sh -e\nexit 9\n", 0o755);
    assert_eq!(installed.run(&script, &[]).0, Some(9));
    assert_eq!(installed.run(&installed.write("bare", b"exit 8\n", 0o755), &[]).0, Some(8));
    let interpreter = installed.cc("static", NOTHING, &["-static"]);
    let line = format!("#!{}\n", interpreter.display());
    installed.refuses(&installed.write("of-static", line.as_bytes(), 0o755), "static: is a static program");
    let lost = installed.write("lost", b"#!/no/such/interpreter\n", 0o755);
    assert_eq!(installed.run(&lost, &[]).0, Some(127));
}
