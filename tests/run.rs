//! `sockeye run`: what it runs, what it refuses, and how it ends. The preload library is one that does nothing.

use std::{
    env, fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

/// A folder with our program, a library to preload, and programs made for a test; gone with it.
struct Installed {
    folder: PathBuf,
}

impl Installed {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("sockeye-run-{name}-{}", process::id()));
        fs::create_dir_all(folder.join("bin")).expect("a folder");
        fs::create_dir_all(folder.join("lib")).expect("a folder");
        fs::copy(env!("CARGO_BIN_EXE_sockeye"), folder.join("bin/sockeye")).expect("our program");
        let installed = Self { folder };
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
        for name in ["SOCKEYE_NET", "SOCKEYE_STACK", "SOCKEYE_TOKEN", "LD_PRELOAD"] {
            command.env_remove(name);
        }
        let output = command.output().expect("it starts");
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
