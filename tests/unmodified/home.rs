//! A network of a test's own: a TAP with the kernel on one side and a stack with its programs on the other. While a
//! test runs it is watched that none of those programs has a socket of the kernel's network; when it has ended, that
//! nothing is left.

use crate::{
    http, installed,
    netns::{KERNEL, Namespace, spec},
    process,
    running::{Outcome, PATIENCE, Running},
};
use std::{
    env,
    fs::{self, File},
    io::Write,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How programs come to the stack.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// By LD_PRELOAD and SOCKEYE_NET.
    ByHand,
    /// By `sockeye run`.
    SockeyeRun,
}

/// A network, its programs, and a folder for their files.
pub struct Home {
    pub namespace: Namespace,
    pub folder: PathBuf,
    way: Way,
    /// What its specification says beside the addresses.
    more: &'static str,
    /// What shows that the namespace is meant.
    inode: u64,
    /// The programs that are the kernel's.
    peers: Mutex<Vec<i32>>,
    /// The stack has had a host.
    hosted: AtomicBool,
}

impl Home {
    /// Runs `test` in a network of its own, watched, and sees to it that nothing is left.
    pub fn test(way: Way, test: impl FnOnce(&Home)) {
        Self::test_with(way, "", test);
    }

    /// The same with no more connections in TIME-WAIT than are there after a moment: what a host holds does then not
    /// depend on how many there were in the last minute.
    pub fn test_at_rest(test: impl FnOnce(&Home)) {
        Self::test_with(Way::ByHand, ",sysctl=tcp_max_tw_buckets:500", test);
    }

    fn test_with(way: Way, more: &'static str, test: impl FnOnce(&Home)) {
        let home = Self::new(way, more);
        let is_over = AtomicBool::new(false);
        let held = thread::scope(|scope| {
            let watch = scope.spawn(|| home.watch(&is_over));
            let ends = Ends(&is_over);
            test(&home);
            home.end_peers();
            home.is_left_clean();
            drop(ends);
            watch.join().expect("the watch does not panic")
        });
        // A host that the watch was too slow to see has at least asked whether its address is free.
        let has_spoken = || home.namespace.inside(|| process::frames_from("t0")) > 0;
        assert!(home.hosted.load(Ordering::Relaxed) || has_spoken(), "the programs were never on a stack");
        assert!(held.is_empty(), "programs on the stack have sockets of the kernel's: {held:#?}");
    }

    fn new(way: Way, more: &'static str) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let namespace = Namespace::new();
        let inode = namespace.inside(|| fs::metadata("/proc/thread-self/ns/net").expect("a namespace").ino());
        let folder = installed::scratch(&format!("home{}", SERIAL.fetch_add(1, Ordering::Relaxed)));
        Self { namespace, folder, way, more, inode, peers: Mutex::default(), hosted: AtomicBool::new(false) }
    }

    /// Starts a program on the stack.
    pub fn start(&self, command: &[&str]) -> Running {
        self.spawn(command, false)
    }

    /// Starts a program on the stack that is fed.
    pub fn start_fed(&self, command: &[&str]) -> Running {
        self.spawn(command, true)
    }

    fn spawn(&self, command: &[&str], fed: bool) -> Running {
        self.namespace.inside(|| Running::start(&mut self.command(command), fed))
    }

    fn command(&self, words: &[&str]) -> Command {
        let (program, arguments) = words.split_first().expect("a program");
        let program = installed::debian(program);
        let mut command = match self.way {
            Way::ByHand => Command::new(program),
            Way::SockeyeRun => {
                let mut command = Command::new(installed::sockeye());
                command.args(["run", "--net", &self.net(), "--"]).arg(program);
                command
            }
        };
        self.clean(&mut command).args(arguments);
        if let Way::ByHand = self.way {
            command.env("LD_PRELOAD", installed::library()).env("SOCKEYE_NET", self.net());
        }
        command
    }

    fn net(&self) -> String {
        spec(&format!(",gw={KERNEL},dns={KERNEL}{}", self.more))
    }

    /// In the test's folder, and without the variables of whoever runs the tests.
    fn clean<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, _) in env::vars_os() {
            let name_bytes = name.as_encoded_bytes();
            if name_bytes.starts_with(b"SOCKEYE_") || name_bytes.to_ascii_lowercase().ends_with(b"_proxy") {
                command.env_remove(name);
            }
        }
        command.current_dir(&self.folder).env("PYTHONUNBUFFERED", "1").env("LC_ALL", "C.UTF-8")
    }

    /// Runs a program on the stack to its end.
    pub fn run(&self, command: &[&str]) -> Outcome {
        self.start(command).ended()
    }

    /// Starts the host before anybody needs it.
    pub fn start_host(&self) -> Running {
        self.start_host_with(|_| {})
    }

    /// Starts a host that says what it is asked. Programs that join it must mean that by SOCKEYE_LOG.
    pub fn start_logging_host(&self) -> Running {
        self.start_host_with(|command| _ = command.env("SOCKEYE_LOG", "debug"))
    }

    fn start_host_with(&self, prepare: impl FnOnce(&mut Command)) -> Running {
        let mut command = Command::new(installed::sockeye());
        self.clean(&mut command).args(["host", "--net", &self.net()]);
        prepare(&mut command);
        let host = self.namespace.inside(|| Running::start(&mut command, false));
        let end = Instant::now() + PATIENCE;
        while !self.namespace.inside(process::has_host) {
            assert!(Instant::now() < end, "names: {:?}", self.names());
            thread::sleep(Duration::from_millis(10));
        }
        host
    }

    /// Starts a program that is the kernel's.
    pub fn start_kernels(&self, words: &[&str]) -> Running {
        let (program, arguments) = words.split_first().expect("a program");
        let mut command = Command::new(installed::debian(program));
        self.clean(&mut command).args(arguments);
        // The watch must not see it before it is known for what it is.
        let mut peers = self.peers.lock().expect("nobody panics with it");
        let running = self.namespace.inside(|| Running::start(&mut command, false));
        peers.push(running.pid());
        running
    }

    /// Runs a program that is the kernel's to its end.
    pub fn run_kernels(&self, command: &[&str]) -> Outcome {
        self.start_kernels(command).ended()
    }

    /// A web server of the kernel's for the test's folder, on this port.
    pub fn kernels_web_server(&self, port: u16) -> Running {
        let port = port.to_string();
        let server = self.start_kernels(&["python3", "-m", "http.server", "--bind", KERNEL, &port]);
        server.says("Serving HTTP");
        server
    }

    /// A web server on the stack for the test's folder, at this address and port.
    pub fn web_server(&self, address: &str, port: u16) -> Running {
        let server = self.start(&["python3", "-m", "http.server", "--bind", address, &port.to_string()]);
        server.says("Serving HTTP");
        server
    }

    /// A file in the test's folder.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.join(name);
        File::create(&path).and_then(|mut file| file.write_all(bytes)).expect("a file");
        path
    }

    /// The programs on the stack and its host.
    pub fn programs(&self) -> Vec<i32> {
        let peers = self.peers.lock().expect("nobody panics with it");
        let mut all = process::of_namespace(self.inode);
        all.retain(|pid| !peers.contains(pid));
        all
    }

    /// The stack's host.
    #[track_caller]
    pub fn host(&self) -> i32 {
        // Of several that are started at once all but one find that they are not needed, and end.
        let has_device = |pid: &i32| process::descriptors(*pid).iter().any(|what| what == "/dev/net/tun");
        let hosts: Vec<i32> = self.programs().into_iter().filter(|pid| is_host(*pid)).filter(has_device).collect();
        assert_eq!(hosts.len(), 1, "hosts: {hosts:?}");
        hosts[0]
    }

    /// The stack's abstract names.
    pub fn names(&self) -> Vec<String> {
        self.namespace.inside(process::names)
    }

    /// Waits until there are so many of them.
    pub fn await_names(&self, count: usize) {
        let end = Instant::now() + PATIENCE;
        while self.names().len() < count {
            assert!(Instant::now() < end, "names: {:?}", self.names());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sockets of the kernel's network that programs on the stack have, until the test is over.
    fn watch(&self, is_over: &AtomicBool) -> Vec<String> {
        self.namespace.inside(|| {
            let mut held = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                let sockets = process::kernel_sockets();
                let programs = self.programs();
                held.extend(process::held(&sockets, &programs));
                self.hosted.fetch_or(programs.into_iter().any(is_host), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(100));
            }
            held.sort();
            held.dedup();
            held
        })
    }

    fn end_peers(&self) {
        for pid in self.peers.lock().expect("nobody panics with it").iter() {
            let is_there = process::of_namespace(self.inode).contains(pid);
            assert!(!is_there, "the test did not end {}", process::command_line(*pid));
        }
    }

    /// Waits until the host has ended by itself, and nothing of the stack is left.
    fn is_left_clean(&self) {
        let end = Instant::now() + PATIENCE;
        let left = || {
            let programs: Vec<_> = self.programs().into_iter().map(process::command_line).collect();
            (programs, self.names())
        };
        while left() != (Vec::new(), Vec::new()) {
            assert!(Instant::now() < end, "left behind: {:?}", left());
            thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(self.namespace.devices(), ["lo", "t0"]);
        assert!(!self.tap_is_held(), "somebody still holds the TAP");
    }

    fn tap_is_held(&self) -> bool {
        let text =
            self.namespace.inside(|| Command::new("ip").args(["link", "show", "dev", "t0"]).output()).expect("ip");
        !String::from_utf8_lossy(&text.stdout).contains("NO-CARRIER")
    }

    /// What the kernel's client gets from our port, tried until something answers.
    pub fn page(&self, port: u16, path: &str) -> Vec<u8> {
        self.namespace.inside(|| http::page_when_up(port, path))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in process::of_namespace(self.inode) {
            process::kill(pid, libc::SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_host(pid: i32) -> bool {
    process::command_line(pid).contains("sockeye host") && !process::is_beside_a_host(pid)
}

/// Tells another thread that it is over, also when the test fails.
pub struct Ends<'a>(pub &'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// `len` bytes that look like nothing, and are the same each time.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(len.div_ceil(8)).flatten().collect();
    bytes.truncate(len);
    bytes
}
