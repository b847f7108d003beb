//! C programs for the tests: compiled against the kernel's sockets or ours, run with a time limit, their output
//! compared.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::HashMap,
    env,
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// What the administrator has set before a program of `c-tests/` runs: `net.ipv4.NAME` and its numbers.
pub fn sysctl(program: &str) -> &'static [(&'static str, &'static [u32])] {
    match program {
        "rare_options" => &[
            ("tcp_fin_timeout", &[33]),
            ("tcp_rmem", &[4096, 100_000, 6_291_456]),
            ("tcp_wmem", &[4096, 20_000, 4_194_304]),
        ],
        _ => &[],
    }
}

/// The address of the device `t0` that a program of `c-tests/` has beside the loopback; most have none.
fn device(program: &str) -> Option<&'static str> {
    (program == "bind_to_device").then_some("10.97.0.2/24")
}

/// A stack with the program's [`device`], and what [`sysctl`] says.
pub fn stack_for(program: &str) -> String {
    let numbers = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("/");
    let set: Vec<_> = sysctl(program).iter().map(|(name, value)| format!("{name}:{}", numbers(value))).collect();
    let net = device(program).map_or_else(|| "null:".to_owned(), |ip| format!("tap:t0,ip={ip}"));
    if set.is_empty() { net } else { format!("{net},sysctl={}", set.join("+")) }
}

/// A command of the shell that runs the program `$0` in a fresh network namespace: without IPv6, as the stack is, and
/// with its [`device`] and what [`sysctl`] says.
pub fn on_the_kernel(program: &str) -> String {
    let mut script = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 && ip link set lo up".to_owned();
    if let Some(ip) = device(program) {
        script += " && ip tuntap add dev t0 mode tap && ip address add ";
        script += &format!("{ip} dev t0 && ip link set t0 up");
    }
    for (name, value) in sysctl(program) {
        let value = value.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
        write!(script, " && echo {value} >/proc/sys/net/ipv4/{name}").unwrap();
    }
    script + " && exec \"$0\" \"$@\""
}

/// Where programs and outputs go.
pub fn scratch() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The directory with the libsockeye.so that was built for this very run: cargo builds the library in all its forms
/// before an integration test, and leaves them beside the test's executable.
pub fn library() -> PathBuf {
    let deps = env::current_exe().unwrap().parent().unwrap().to_owned();
    assert!(deps.join("libsockeye.so").exists(), "no libsockeye.so in {}", deps.display());
    deps
}

/// The preload library, built as `make` does, where the tests of unmodified programs build it too.
pub fn preload() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = scratch().parent().expect("the folder of what cargo builds").to_owned();
        let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let status = Command::new(cargo)
            .current_dir(root())
            .args(["build", "-q", "--profile", "preload", "--package", "sockeye-preload", "--target-dir"])
            .arg(&target)
            .status();
        assert!(status.is_ok_and(|status| status.success()), "the preload library cannot be built");
        target.join("preload/libsockeye_preload.so")
    })
}

/// A compiled C program.
pub struct Program {
    /// Its executable.
    pub path: PathBuf,
}

impl Program {
    /// Compiles `source` (relative to the repository) against the kernel's sockets.
    pub fn of_the_kernel(source: &str, variant: &str) -> Self {
        Self::compile(source, &format!("kernel-{variant}"), &[], &[])
    }

    /// Compiles `source` with -DSOCKEYE against the library.
    pub fn of_ours(source: &str, variant: &str, flags: &[&str]) -> Self {
        let library = library().display().to_string();
        let include = format!("-I{}", root().join("include").display());
        let mut before = vec!["-DSOCKEYE", include.as_str()];
        before.extend(flags);
        // DT_RPATH and not DT_RUNPATH: cargo's LD_LIBRARY_PATH may lead to an older build.
        let after =
            [format!("-L{library}"), "-lsockeye".to_owned(), format!("-Wl,--disable-new-dtags,-rpath,{library}")];
        Self::compile(source, &format!("sockeye-{variant}"), &before, &after)
    }

    fn compile(source: &str, variant: &str, before: &[&str], after: &[String]) -> Self {
        let name = Path::new(source).file_stem().and_then(OsStr::to_str).unwrap();
        let path = scratch().join(format!("{name}-{variant}"));
        // Once for all tests of a run that want it.
        static COMPILED: Mutex<Option<HashMap<PathBuf, Arc<OnceLock<()>>>>> = Mutex::new(None);
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let once = compiled.get_or_insert_default().entry(path.clone()).or_default().clone();
        drop(compiled);
        once.get_or_init(|| Self::compile_at(&path, source, before, after));
        Self { path }
    }

    fn compile_at(path: &Path, source: &str, before: &[&str], after: &[String]) {
        // Written aside and moved into place: the test of another run may be compiling the same program.
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let fresh = path.with_extension(format!("{}.{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed)));
        let triple = format!("{}-unknown-linux-gnu", env::consts::ARCH);
        let output = Command::new(cc::Build::new().opt_level(1).target(&triple).host(&triple).get_compiler().path())
            .current_dir(root())
            .args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Wno-nonnull", "-Wno-stringop-overread"])
            .args(["-Wno-stringop-overflow", "-Werror", "-pthread", "-o"])
            .arg(&fresh)
            .args(before)
            .arg(source)
            .args(after)
            .output()
            .expect("a C compiler");
        assert!(output.status.success(), "{source}:\n{}", String::from_utf8_lossy(&output.stderr));
        fs::rename(&fresh, path).unwrap();
    }
}

/// What a program printed and how it ended.
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    /// "exit N", "signal N" or "time limit".
    pub status: String,
}

/// A child that does not outlive its owner, nor do its children.
pub struct Running(Child);

impl Running {
    /// Starts `command` in a process group of its own.
    pub fn start(command: &[String], environment: &[(&str, &str)], stdout: Stdio, stderr: Stdio) -> Self {
        let child = Command::new(&command[0])
            .args(&command[1..])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Self(child)
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits up to `limit`; says how it ended.
    pub fn end(&mut self, limit: Duration) -> String {
        let end = SystemTime::UNIX_EPOCH.elapsed().unwrap() + limit;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit {code}"),
                    (None, signal) => format!("signal {}", signal.unwrap_or(0)),
                };
            }
            if SystemTime::UNIX_EPOCH.elapsed().unwrap() > end {
                self.kill();
                return format!("time limit of {} s", limit.as_secs());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends `signal` to the child alone.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory preconditions; the child has not been waited for.
        unsafe { libc::kill(self.0.id().cast_signed(), signal) };
    }

    fn kill(&mut self) {
        // SAFETY: as above; the group is the child's own.
        unsafe { libc::kill(-self.0.id().cast_signed(), libc::SIGKILL) };
        self.0.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Runs `command` to its end or to `limit`.
pub fn run(command: &[String], environment: &[(&str, &str)], limit: Duration) -> Outcome {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = |kind: &str| scratch().join(format!("output.{}.{serial}.{kind}", std::process::id()));
    let (out, err) = (name("stdout"), name("stderr"));
    let status =
        Running::start(command, environment, File::create(&out).unwrap().into(), File::create(&err).unwrap().into())
            .end(limit);
    let take = |path: &Path| {
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        fs::remove_file(path).unwrap();
        text
    };
    Outcome { stdout: take(&out), stderr: take(&err), status }
}

/// The lines in which two texts differ, in the way of `diff -u`, with three lines around each place.
pub fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    // Lengths of the longest common subsequences of all pairs of tails.
    let mut common = vec![vec![0u32; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    let mut text = String::new();
    let mut shown_to = 0;
    for at in 0..lines.len() {
        let near = lines[at.saturating_sub(3)..lines.len().min(at + 4)].iter().any(|line| line.0 != ' ');
        if near {
            if shown_to != at {
                text.push_str("@@\n");
            }
            let _ = writeln!(text, "{}{}", lines[at].0, lines[at].1);
            shown_to = at + 1;
        }
    }
    text
}

#[test]
fn a_difference_shows_what_changed_and_three_lines_around_it() {
    let old = "1\n2\n3\n4\n5\n6\n7\n8\n";
    assert_eq!(difference(old, &old.replace('6', "six")), "@@\n 3\n 4\n 5\n-6\n+six\n 7\n 8\n");
    assert_eq!(difference(old, old), "");
}
