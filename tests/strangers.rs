//! What another user of the same machine can do to a host by the name that everybody knows, and what not. Each test is
//! a host of its own, which root starts, and strangers with a user id that nobody else has.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

use sockeye::{
    host::{
        client::{self, Trouble},
        survey,
    },
    sys::unix::{self, Kind, Place},
};
use sockeye_shim::{
    Errno,
    format::{Data, Op, Request, Response, Token, token_to_text},
    kernel,
    name::Meaning,
    path::Path,
};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Seek},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    process::{self, Child, Command, Stdio},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// The strangers' user.
const STRANGER: u32 = 61_235;
const TOKEN: Token = [0x5e; 16];
const WRONG: Token = [9; 16];
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host, which root runs.
struct Host {
    name: Vec<u8>,
    child: Child,
    said: File,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The secret path of the stack called `name`, in this network namespace.
fn path_of(name: &[u8]) -> Path {
    let asking = unix::open(Kind::Packets).expect("a socket");
    Path::of(name, &TOKEN, kernel::network_of(asking.as_raw_fd())).expect("a path")
}

impl Host {
    fn start(name: &str, net: &str) -> Self {
        let name = format!("strangers-{}-{name}", process::id());
        let path = std::env::temp_dir().join(&name);
        let open = || File::options().read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        let said = open();
        fs::remove_file(&path).expect("its name");
        let child = Command::new(env!("CARGO_BIN_EXE_sockeye"))
            .args(["host", "--net", net, "--stack", &name])
            .env("SOCKEYE_TOKEN", String::from_utf8_lossy(&token_to_text(&TOKEN)).as_ref())
            .stderr(said.try_clone().expect("its end"))
            .stdin(Stdio::null())
            .spawn()
            .expect("a host");
        let host = Self { name: name.into_bytes(), child, said };
        until("the host is there", || survey::one(&host.name, Some(TOKEN), survey::Describe::default()).is_ok());
        host
    }

    /// Keeps it there for as long as the test runs.
    fn use_it(&self) {
        assert_eq!(self.join(), Ok(TOKEN));
    }

    fn join(&self) -> Result<Token, Trouble> {
        client::join(&self.name, Some(TOKEN), &[])
    }

    fn public(&self) -> Vec<u8> {
        Meaning::Control.name(&self.name).expect("a name").as_bytes().to_vec()
    }

    fn path(&self) -> Path {
        path_of(&self.name)
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("its descriptors").count()
    }

    fn log(&mut self) -> String {
        let mut text = String::new();
        self.said.rewind().and_then(|()| self.said.read_to_string(&mut text)).expect("the log");
        text
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not so: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Does something as the strangers' user, on a thread of its own.
fn as_stranger<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    let stranger = || {
        // SAFETY: numbers only; the raw calls change the identity of this thread alone.
        let changed = unsafe {
            libc::syscall(libc::SYS_setresgid, STRANGER, STRANGER, STRANGER)
                | libc::syscall(libc::SYS_setresuid, STRANGER, STRANGER, STRANGER)
        };
        assert_eq!(changed, 0, "another user can only be made by root: {}", io::Error::last_os_error());
        work()
    };
    thread::scope(|scope| scope.spawn(stranger).join().expect("the stranger"))
}

fn connected(name: &[u8]) -> OwnedFd {
    let fd = unix::open(Kind::Packets).expect("a socket");
    unix::connect_in_turn(fd.as_fd(), Place::Name(name), PATIENCE).expect("a connection");
    fd
}

/// Asks and waits for the answer; nothing where there is none.
fn ask(fd: &OwnedFd, request: &Request) -> Option<Response> {
    unix::send(fd.as_fd(), &request.to_bytes(), 0).ok()?;
    let mut bytes = [0; Response::SIZE];
    let n = kernel::recv(set_blocking(fd), &mut bytes).ok()?;
    Response::from_bytes(&bytes[..n]).ok()
}

fn set_blocking(fd: &OwnedFd) -> i32 {
    // SAFETY: numbers only.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, 0) };
    fd.as_raw_fd()
}

#[test]
fn strangers_that_say_nothing_are_few_and_not_for_long() {
    let host = Host::start("idle", "null:");
    host.use_it();
    let (name, before) = (host.public(), host.descriptors());
    let held: Vec<OwnedFd> = as_stranger(|| (0..300).map(|_| connected(&name)).collect());
    // Those that wait to be let in are the host's from then on.
    let mut most = 0;
    until("all but a few are let go", || {
        let now = host.descriptors();
        most = most.max(now.saturating_sub(before));
        now <= before
    });
    // One is let in before another has to go for it.
    assert!((1..=65).contains(&most), "{most} descriptors for {} strangers", held.len());
    assert_eq!(host.join(), Ok(TOKEN));
    drop(held);
}

#[test]
fn strangers_do_not_keep_a_host_that_nobody_uses() {
    let mut host = Host::start("unused", "null:");
    let name = host.public();
    let (is_over, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            as_stranger(|| {
                let mut held = Vec::new();
                while !is_over.load(Relaxed) {
                    let fd = unix::open(Kind::Packets).expect("a socket");
                    let _gone = unix::connect_in_turn(fd.as_fd(), Place::Name(&name), Duration::from_millis(20));
                    held.push(fd);
                    tries.fetch_add(1, Relaxed);
                    held.truncate(100);
                    thread::sleep(Duration::from_millis(1));
                }
            });
        });
        let end = Instant::now() + PATIENCE;
        let ended = loop {
            match host.child.try_wait().expect("its status") {
                Some(status) => break Some(status),
                None if Instant::now() > end => break None,
                None => thread::sleep(Duration::from_millis(20)),
            }
        };
        is_over.store(true, Relaxed);
        let tries = tries.load(Relaxed);
        assert!(ended.is_some_and(|status| status.success()) && tries > 100, "{ended:?} after {tries} strangers");
    });
}

#[test]
fn two_that_connect_as_fast_as_they_can_keep_nobody_from_being_served() {
    let host = Host::start("rush", "null:");
    let name = host.public();
    let (is_over, tries) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                as_stranger(|| {
                    while !is_over.load(Relaxed) {
                        drop(connected(&name));
                        tries.fetch_add(1, Relaxed);
                    }
                });
            });
        }
        until("they are at it", || tries.load(Relaxed) > 200);
        let served = (0..200).map_while(|_| host.join().ok()).count();
        // By the name that they use, too.
        let joined = client::join(&host.name, None, &[]);
        is_over.store(true, Relaxed);
        assert_eq!((served, joined), (200, Ok(TOKEN)));
    });
}

#[test]
fn the_secret_path_is_for_who_knows_the_token() {
    let mut host = Host::start("secret", "null:");
    let (path, name) = (host.path(), host.public());
    as_stranger(|| {
        let folder = std::path::Path::new(OsStr::from_bytes(path.folder()));
        let listed = fs::read_dir(folder).map(drop).map_err(|error| error.kind());
        assert_eq!(listed, Err(io::ErrorKind::PermissionDenied));
        let seen = fs::read_to_string("/proc/net/unix").expect("the sockets");
        let token = String::from_utf8_lossy(&token_to_text(&TOKEN)).into_owned();
        assert!(seen.contains(folder.to_str().expect("a text")) && !seen.contains(&token), "the token is seen");
        let file = std::path::Path::new(OsStr::from_bytes(path.as_bytes()));
        let file = file.strip_prefix(folder).expect("it is in the folder").to_str().expect("a text");
        assert!(!seen.contains(file), "the socket's name is seen");
        assert!(
            !path.as_bytes().windows(token.len()).any(|part| part == token.as_bytes()),
            "a look-up tells the token"
        );
        // It is not the user that counts there.
        let fd = unix::open(Kind::Packets).expect("a socket");
        unix::connect_in_turn(fd.as_fd(), Place::Path(path.as_bytes()), PATIENCE).expect("a connection");
        assert_eq!(ask(&fd, &Request::new(Op::Join, TOKEN)).map(|answer| answer.errno), Some(0));
        assert_eq!(ask(&connected(&name), &Request::new(Op::Join, TOKEN)).map(|answer| answer.errno), Some(0));
        let refused = ask(&connected(&name), &Request::new(Op::Join, WRONG)).map(|answer| answer.errno);
        assert_eq!(refused, Some(libc::EACCES));
    });
    // It goes with the host, and with one that is killed.
    assert!(host.child.kill().is_ok());
    let _killed = host.child.wait();
    until("the folder is gone", || !std::path::Path::new(OsStr::from_bytes(path.folder())).exists());
}

#[test]
fn a_folder_that_a_stranger_takes_first_is_told_of_and_costs_the_path_alone() {
    let name = format!("strangers-{}-taken", process::id());
    let path = path_of(name.as_bytes());
    let folder = std::path::Path::new(OsStr::from_bytes(path.folder()));
    as_stranger(|| fs::create_dir(folder)).expect("a folder");
    let mut host = Host::start("taken", "null:");
    let joined = host.join();
    let (is_there, log) = (std::path::Path::new(OsStr::from_bytes(path.as_bytes())).exists(), host.log());
    drop(host);
    fs::remove_dir(folder).expect("the host leaves it alone");
    assert_eq!((joined, is_there), (Ok(TOKEN), false));
    let line = format!("user {STRANGER} has taken {}", folder.display());
    assert!(log.lines().any(|said| said.contains("WARN") && said.ends_with(&line)), "{log}");
}

#[test]
fn strangers_send_no_descriptors_before_they_show_the_token() {
    let host = Host::start("rights", "null:");
    host.use_it();
    let name = host.public();
    let knows_the_option = unix::pass_rights(unix::open(Kind::Packets).expect("a socket").as_fd(), true).is_ok();
    let sent = File::open("/dev/null").expect("a descriptor");
    as_stranger(|| {
        let fd = connected(&name);
        let refused = kernel::send_descriptor(fd.as_raw_fd(), sent.as_raw_fd());
        assert_eq!(refused, if knows_the_option { Err(Errno(libc::EPERM)) } else { Ok(()) });
        let fd = connected(&name);
        assert_eq!(ask(&fd, &Request::new(Op::Show, TOKEN)).map(|answer| answer.errno), Some(0));
        unix::send(fd.as_fd(), &Request::new(Op::Tree, TOKEN).to_bytes(), 0).expect("a request");
        assert_eq!(kernel::send_descriptor(fd.as_raw_fd(), sent.as_raw_fd()), Ok(()));
        let mut bytes = [0; Response::SIZE];
        let n = kernel::recv(fd.as_raw_fd(), &mut bytes).expect("an answer");
        let answer = Response::from_bytes(&bytes[..n]).expect("an answer");
        assert_eq!(answer.errno, libc::EINVAL, "it came, and tells the end of no tree");
    });
}

#[test]
fn a_stranger_that_is_refused_fills_no_log() {
    let mut host = Host::start("log", "null:,log=debug");
    host.use_it();
    let (name, before) = (host.public(), host.log().lines().count());
    as_stranger(|| {
        for _ in 0..500 {
            let answer = ask(&connected(&name), &Request::new(Op::Names, WRONG));
            assert_eq!(answer.map(|answer| answer.errno), Some(libc::EACCES));
        }
    });
    let log = host.log();
    let of_strangers = log.lines().filter(|line| line.contains("without the stack's token")).count();
    assert!((1..=20).contains(&of_strangers), "{of_strangers} lines of 500 strangers:\n{log}");
    assert!(log.lines().count() - before < 40, "{log}");
}

/// A stack's name that a stranger has taken.
fn taken(name: &str) -> OwnedFd {
    let control = Meaning::Control.name(name.as_bytes()).expect("a name").as_bytes().to_vec();
    as_stranger(|| {
        let listener = unix::open(Kind::Packets).expect("a socket");
        unix::bind(listener.as_fd(), &control).expect("a name");
        unix::listen(listener.as_fd(), 100).expect("it listens");
        listener
    })
}

#[test]
fn a_strangers_log_does_nothing_to_the_terminal_and_has_an_end() {
    let name = format!("strangers-{}-endless", process::id());
    let listener = taken(&name);
    set_blocking(&listener);
    let is_over = AtomicBool::new(false);
    let shown = thread::scope(|scope| {
        scope.spawn(|| {
            let mut heard = [0; Request::SIZE];
            while let Ok(fd) = unix::accept(listener.as_fd()) {
                if is_over.load(Relaxed) {
                    return;
                }
                let Ok(n) = kernel::recv(set_blocking(&fd), &mut heard) else { continue };
                let request = Request::from_bytes(&heard[..n]).expect("a request");
                let text = "\x1b]0;yours\x07\u{202e}\u{9b}2J and so on\n".repeat(7);
                let next = request.from + text.len() as u64;
                let data = Data::of(&[&next.to_le_bytes(), text.as_bytes()].concat()).expect("it fits");
                let _gone = unix::send(fd.as_fd(), &Response { data, ..Response::new(0) }.to_bytes(), 0);
            }
        });
        let shown = Command::new(env!("CARGO_BIN_EXE_sockeye")).args(["log", "--stack", &name]).output();
        is_over.store(true, Relaxed);
        drop(connected(Meaning::Control.name(name.as_bytes()).expect("a name").as_bytes()));
        shown.expect("our program")
    });
    let (text, line) = (String::from_utf8(shown.stdout).expect("a text"), String::from_utf8_lossy(&shown.stderr));
    assert!(text.starts_with("?]0;yours???2J and so on\n?]0;"), "{:?}", text.get(..40));
    assert!(text.chars().all(|c| c == '\n' || c.is_ascii_graphic() || c == ' '));
    assert!(shown.status.code() == Some(1) && text.len() <= 1 << 20, "{} bytes: {line}", text.len());
    assert!(line.ends_with("no more than 1 MiB of such a log is shown\n") && line.lines().count() == 1, "{line}");
}

#[test]
fn whoever_has_the_name_and_answers_is_not_believed_to_be_the_host() {
    let name = format!("strangers-{}-false", process::id());
    let listener = taken(&name);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut heard = [0; Request::SIZE];
            while !is_over.load(Relaxed) {
                let Ok(fd) = unix::accept(listener.as_fd()) else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let request = kernel::recv(set_blocking(&fd), &mut heard).map(|n| Request::from_bytes(&heard[..n]));
                assert!(!matches!(request, Ok(Ok(request)) if request.token != [0; 16]), "it was told a token");
                let _gone = unix::send(fd.as_fd(), &Response::new(0).to_bytes(), 0);
            }
        });
        let host =
            Command::new(env!("CARGO_BIN_EXE_sockeye")).args(["host", "--net", "null:", "--stack", &name]).output();
        let joined = client::join(name.as_bytes(), Some(TOKEN), &[]);
        is_over.store(true, Relaxed);
        let host = host.expect("our program");
        let line = String::from_utf8_lossy(&host.stderr);
        assert!(
            !host.status.success() && line.contains(&format!("of user {STRANGER}, who is neither you nor root")),
            "{line}"
        );
        assert_eq!(joined, Err(Trouble::Foreign(STRANGER)));
    });
}
