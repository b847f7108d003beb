//! A process that a test has started: what it prints goes to files, and whoever waits for it does so for a while only.

use crate::process;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

/// How long anything may take on a machine that does something else, too. What takes longer hangs.
pub const PATIENCE: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(2);

/// Waits until that is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not after {PATIENCE:?}");
        thread::sleep(STEP);
    }
}

/// A process, which is killed when this is dropped.
pub struct Program {
    what: String,
    child: Child,
    input: Option<ChildStdin>,
    output: PathBuf,
    errors: PathBuf,
}

impl Program {
    /// Starts it; its files are in that folder.
    pub fn start(mut command: Command, folder: &Path) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let [output, errors] = ["out", "err"].map(|kind| folder.join(format!("{serial}.{kind}")));
        let file = |path: &PathBuf| File::create(path).expect("a file");
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        let child = command.stdin(Stdio::piped()).stdout(file(&output)).stderr(file(&errors)).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { what: words.join(" "), input: child.stdin.take(), child, output, errors }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it has printed.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it has complained of.
    pub fn complaints(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Waits until it has printed that line, or has ended.
    pub fn says(&mut self, line: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.text().lines().any(|said| said == line) && self.is_alive() {
            assert!(Instant::now() < end, "{}", self.hangs());
            thread::sleep(STEP);
        }
    }

    /// Whether it has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    pub fn signal(&self, signal: i32) {
        process::kill(self.pid(), signal);
    }

    /// Gives it a line.
    pub fn tell(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input");
        // One that has ended needs none.
        let _ = writeln!(input, "{line}");
    }

    /// Waits for its end, and returns its last line; how it ended if it printed none, or a signal ended it.
    pub fn ended(&mut self) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return match (status.signal(), self.text().lines().last()) {
                    (Some(signal), _) => format!("signal {signal}"),
                    (None, Some(line)) => line.to_owned(),
                    (None, None) => format!("{status}, {}", self.complaints()),
                };
            }
            assert!(Instant::now() < end, "{}", self.hangs());
            thread::sleep(STEP);
        }
    }

    fn hangs(&self) -> String {
        let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.pid())).unwrap_or_default();
        let (said, complaints) = (self.text(), self.complaints());
        format!("{} hangs, in {} {}; said {said:?}, {complaints:?}", self.what, of("wchan"), of("syscall"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.output);
        let _ = fs::remove_file(&self.errors);
    }
}
