//! C programs on the library: how they are built, started, told what to do, and ended.

use crate::{
    kernel,
    netns::{Namespace, spec},
};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write as _},
    net::TcpStream,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        Arc, LazyLock, Mutex,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

/// How long an answer may take unless the test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that every user may read, with the library and the programs in it; gone when the tests end.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("sockeye-kernel-peer-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a directory for the programs");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::copy(library(), place.join("libsockeye.so")).expect("a copy of the library");
    // The name programs are linked to, if the library has one of its own.
    symlink("libsockeye.so", place.join("libsockeye.so.0")).expect("a link to the library");
    // SAFETY: registers a function that takes and returns nothing.
    unsafe { libc::atexit(remove_place) };
    place
});

extern "C" fn remove_place() {
    let _ = fs::remove_dir_all(&*PLACE);
}

/// The shared library that cargo built along with this test: it lies beside it.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test");
    let beside = test.parent().expect("a directory").join("libsockeye.so");
    assert!(beside.exists(), "{} is not there; run the tests by `cargo test`", beside.display());
    beside
}

/// Compiles `tests/programs/{name}.c` (and what it is made of) once.
pub fn compiled(name: &'static str) -> PathBuf {
    static DONE: LazyLock<Mutex<HashMap<&'static str, PathBuf>>> = LazyLock::new(Mutex::default);
    DONE.lock().expect("no compilation panicked").entry(name).or_insert_with(|| compile(name)).clone()
}

fn compile(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: &[&str] = match name {
        "puppet" => &["puppet.c", "crowd.c", "stream.c"],
        "send_and_return" => &["send_and_return.c", "stream.c"],
        _ => panic!("there is no program {name}"),
    };
    let program = PLACE.join(name);
    let output = Command::new("cc")
        .args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(root.join("include"))
        .args(sources.iter().map(|source| root.join("tests/programs").join(source)))
        .arg("-o")
        .arg(&program)
        .arg("-L")
        .arg(&*PLACE)
        .args(["-lsockeye", "-Wl,--disable-new-dtags,-rpath,$ORIGIN"])
        .output()
        .unwrap_or_else(|error| panic!("cc: {error}; install a C compiler"));
    assert!(output.status.success(), "cc {name}.c:\n{}", String::from_utf8_lossy(&output.stderr));
    program
}

/// A running program, ended when it is dropped.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    /// What was said and answered, for whom a test fails.
    transcript: String,
}

impl Program {
    /// Starts `command` in the namespace.
    pub fn start(namespace: &Namespace, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = namespace.inside(|| command.spawn()).unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdin = child.stdin.take();
        let (said, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let stderr = Arc::<Mutex<String>>::default();
        let (mut from, to) = (child.stderr.take().expect("piped"), stderr.clone());
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(len @ 1..) = from.read(&mut piece) {
                to.lock().expect("nobody panics with it").push_str(&String::from_utf8_lossy(&piece[..len]));
            }
        });
        Self { child, stdin, lines, stderr, transcript: String::new() }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("nobody panics with it").clone()
    }

    /// Waits until it has ended.
    pub fn ended(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                return status;
            }
            thread::sleep(Duration::from_millis(2));
        }
        panic!("still running after {limit:?}");
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Says a line.
    fn say(&mut self, line: &str) {
        let _ = writeln!(self.transcript, "  > {line}");
        let stdin = self.stdin.as_mut().expect("open until it ends");
        // Who has died is found out when its answer is missing.
        let _ = stdin.write_all(format!("{line}\n").as_bytes());
    }

    /// The next line it says.
    fn hear(&mut self, limit: Duration) -> String {
        match self.lines.recv_timeout(limit) {
            Ok(line) => {
                let _ = writeln!(self.transcript, "  < {line}");
                line
            }
            Err(RecvTimeoutError::Timeout) => panic!("no answer within {limit:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.ended(limit);
                panic!("the program ended with {status}");
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!(
                "the program was told, and answered:\n{}and wrote on stderr:\n{}",
                self.transcript,
                self.stderr()
            );
        }
    }
}

/// A program that calls what it is told to.
pub struct Puppet {
    program: Program,
}

impl Puppet {
    /// A puppet with the stack that `tap:t0` and `more` specify, already made.
    pub fn new(namespace: &Namespace, more: &str) -> Self {
        let mut puppet = Self::with(namespace, &[("SOCKEYE_NET", &spec(more))]);
        let first = puppet.number("socket tcp");
        puppet.gives(format!("close {first}"), "0");
        puppet
    }

    /// A puppet without a stack, with these variables.
    pub fn with(namespace: &Namespace, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(compiled("puppet"));
        Self::from(Program::start(namespace, clean(&mut command).envs(variables.iter().copied())))
    }

    /// Tells it to make a call; the answer is for later.
    pub fn begin(&mut self, command: impl AsRef<str>) {
        self.program.say(command.as_ref());
    }

    /// The answer of what was begun.
    pub fn answer(&mut self) -> String {
        self.answer_within(PATIENCE)
    }

    /// The answer of what was begun, which may take long.
    pub fn answer_within(&mut self, limit: Duration) -> String {
        self.program.hear(limit)
    }

    /// Makes a call and gives its answer.
    pub fn ask(&mut self, command: impl AsRef<str>) -> String {
        self.begin(command);
        self.answer()
    }

    /// Makes a call that must give `answer`.
    #[track_caller]
    pub fn gives(&mut self, command: impl AsRef<str>, answer: impl AsRef<str>) {
        let command = command.as_ref();
        assert_eq!(self.ask(command), answer.as_ref(), "{command}");
    }

    /// Connection `fd` takes a greeting from the kernel's end of it and answers.
    #[track_caller]
    pub fn greets(&mut self, fd: i64, peer: &mut TcpStream) {
        peer.write_all(b"hello").unwrap();
        self.gives(format!("recv {fd} 100"), "5 hello");
        self.gives(format!("send {fd} world"), "5");
        assert_eq!(kernel::read(peer, 5), b"world");
    }

    /// Makes a call that must give a number (a descriptor, for example).
    #[track_caller]
    pub fn number(&mut self, command: impl AsRef<str>) -> i64 {
        let command = command.as_ref();
        let answer = self.ask(command);
        let number = answer.parse().unwrap_or(-1);
        assert!(number >= 0, "{command}: {answer}");
        number
    }

    /// A TCP socket connected to the kernel's port.
    #[track_caller]
    pub fn connected(&mut self, port: u16) -> i64 {
        let fd = self.number("socket tcp");
        self.gives(format!("connect {fd} {} {port}", crate::netns::KERNEL), "0");
        fd
    }

    /// A TCP socket that listens on a port.
    #[track_caller]
    pub fn listening(&mut self, port: u16, backlog: u32) -> i64 {
        let fd = self.number("socket tcp");
        self.gives(format!("set {fd} reuseaddr 1"), "0");
        self.gives(format!("bind {fd} 0.0.0.0 {port}"), "0");
        self.gives(format!("listen {fd} {backlog}"), "0");
        fd
    }

    /// Its process.
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }
}

impl From<Program> for Puppet {
    fn from(program: Program) -> Self {
        Self { program }
    }
}

/// Without the variables that the user of the tests may have set.
pub fn clean(command: &mut Command) -> &mut Command {
    let ours = |name: &OsStr| name.as_encoded_bytes().starts_with(b"SOCKEYE_") && name != "SOCKEYE_TEST_BYTES";
    for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
        command.env_remove(name);
    }
    command
}
