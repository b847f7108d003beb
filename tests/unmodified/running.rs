//! A program that runs, and what it printed.

use crate::process;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long a program may take unless the test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How a program ended and what it printed.
pub struct Outcome {
    pub what: String,
    /// "exit N" or "signal N".
    pub status: String,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    /// What it printed, if it went well.
    #[track_caller]
    pub fn bytes(self) -> Vec<u8> {
        assert_eq!(self.status, "exit 0", "{}: {}{}", self.what, self.stderr, String::from_utf8_lossy(&self.stdout));
        self.stdout
    }

    /// What it printed, if it went well.
    #[track_caller]
    pub fn text(self) -> String {
        String::from_utf8(self.bytes()).expect("text")
    }
}

/// A running program, killed when it is dropped.
pub struct Running {
    child: Child,
    what: String,
    files: [PathBuf; 2],
}

impl Running {
    /// Starts `command`. It reads what is given it by [`Running::feed`] if `fed`, else nothing.
    pub fn start(command: &mut Command, fed: bool) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let files = ["out", "err"].map(|kind| {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            std::env::temp_dir().join(format!("sockeye-unmodified-{}.{serial}.{kind}", std::process::id()))
        });
        let [out, err] = files.each_ref().map(|file| Stdio::from(File::create(file).expect("a file for the output")));
        command.stdin(if fed { Stdio::piped() } else { Stdio::null() }).stdout(out).stderr(err);
        let what = format!("{command:?}");
        let child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        Self { child, what, files }
    }

    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Its standard input.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("started with one")
    }

    /// Gives it all it reads.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.stdin().write_all(bytes).expect("it reads");
    }

    /// What it has written on standard output and standard error so far.
    pub fn said(&self) -> String {
        self.files
            .each_ref()
            .map(|file| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned())
            .concat()
    }

    /// Waits until it has said this.
    pub fn says(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            assert!(Instant::now() < end, "{} does not say {text:?} but {:?}", self.what, self.said());
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: i32) {
        process::kill(self.pid(), signal);
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits until it has ended.
    #[track_caller]
    pub fn ended(self) -> Outcome {
        self.ended_within(PATIENCE)
    }

    /// Waits until it has ended, so long at most.
    #[track_caller]
    pub fn ended_within(mut self, limit: Duration) -> Outcome {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                break status;
            }
            assert!(Instant::now() < end, "{} is still running and said {:?}", self.what, self.said());
            thread::sleep(Duration::from_millis(5));
        };
        let status = match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit {code}"),
            (None, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        let [stdout, stderr] = self.files.each_ref().map(|file| fs::read(file).expect("its output"));
        let stderr = String::from_utf8_lossy(&stderr).into_owned();
        Outcome { what: self.what.clone(), status, stdout, stderr }
    }

    /// Ends it by a signal, and waits until it has ended.
    #[track_caller]
    pub fn end_by(self, signal: i32) -> Outcome {
        self.signal(signal);
        self.ended()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{} said:\n{}", self.what, self.said());
        }
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}
