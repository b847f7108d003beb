//! What a host has given up when it serves, and what it still has done for it by the process beside it.
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

#[allow(dead_code, reason = "other tests use the rest")]
mod netns;

use netns::Namespace;
use sockeye::sys::unix::{self, Kind};
use sockeye_shim::{
    Errno,
    address::Address,
    format::{Data, Op, Request},
    host::Host,
};
use std::{
    env, fs,
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// An ordinary user, who need not exist.
const USER: u32 = 61_234;
const NETS: [(&str, &str); 3] =
    [("null", "null:"), ("tap", "tap:t0,ip=10.97.0.2/24"), ("tun", "tun:u0,ip=10.96.0.2/24,gw=10.96.0.1")];

/// A folder that everybody may use, a network, and hosts in it; gone with the test.
struct Place {
    folder: PathBuf,
    namespace: Namespace,
}

impl Place {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("sockeye-confined-{name}-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("its mode");
        // Others may not be let into the target folder.
        fs::copy(env!("CARGO_BIN_EXE_sockeye"), folder.join("sockeye")).expect("our program");
        let namespace = Namespace::new();
        namespace.ip("tuntap add dev u0 mode tun");
        namespace.ip("link set u0 up");
        Self { folder, namespace }
    }

    /// A host that has begun to serve, started by `words` before the command.
    fn host(&self, words: &[&str], net: &str, stack: &str) -> Running<'_> {
        let program = self.folder.join("sockeye").display().to_string();
        let words = [words, &[&program, "host", "--net", net, "--stack", stack]].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdout(Stdio::null()).current_dir(&self.folder).env_remove("SOCKEYE_TOKEN");
        let child = self.namespace.inside(|| command.spawn()).expect("it starts");
        let running = Running { place: self, child, stack: stack.to_owned() };
        wait_until("the host does not serve", || running.asks(&["ls"]).contains(stack));
        running
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

struct Running<'a> {
    place: &'a Place,
    child: Child,
    stack: String,
}

impl Running<'_> {
    /// What the operator's program prints, asked as root.
    fn asks(&self, words: &[&str]) -> String {
        let mut command = Command::new(self.place.folder.join("sockeye"));
        let output = self.place.namespace.inside(|| command.args(words).output()).expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    }

    /// What proc(5) says of the host under a key of its status.
    fn status(&self, key: &str) -> String {
        status(&self.child.id().to_string(), key)
    }

    /// The process beside it with that name.
    fn beside(&self, name: &str) -> String {
        let own = self.child.id().to_string();
        let is_it = |pid: &String| {
            status(pid, "PPid:") == own
                && fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim() == name
        };
        let all =
            fs::read_dir("/proc").expect("proc(5)").filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        all.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).find(is_it).expect("it is there")
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.asks(&["stop", "--stack", &self.stack]);
        let end = Instant::now() + PATIENCE;
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > end {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn status(pid: &str, key: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(key)).map(|value| value.trim().to_owned()).unwrap_or_default()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

const NO_CAPABILITY: &str = "0000000000000000";

#[test]
fn a_host_of_roots_has_no_rights_left() {
    let place = Place::new("root");
    for (stack, net) in NETS {
        let host = place.host(&["env"], net, stack);
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
            assert_eq!(host.status(set), NO_CAPABILITY, "{set} of {net}");
        }
        assert_eq!((host.status("NoNewPrivs:"), host.status("Seccomp:")), ("1".to_owned(), "2".to_owned()), "{net}");
        let own = [0; 4].map(|id: u32| id.to_string()).join("\t");
        assert_eq!(host.status("Uid:"), own, "programs know it by its user");
        let limits = fs::read_to_string(format!("/proc/{}/limits", host.child.id())).expect("proc(5)");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
        assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{net}");
        assert_ne!(host.status("VmLck:"), "0 kB", "{net}: its keys are locked in memory");
        let heir = host.beside("sockeye-heir");
        assert_eq!((status(&heir, "CapEff:").as_str(), status(&heir, "NoNewPrivs:").as_str()), (NO_CAPABILITY, "1"));
        assert_eq!(status(&host.beside("sockeye-steward"), "Seccomp:"), "0", "what it is there for wants rights");
    }
}

#[test]
fn the_processes_beside_a_host_end_with_it() {
    let place = Place::new("ends");
    let mut host = place.host(&["env"], "null:", "ends");
    let beside = ["sockeye-heir", "sockeye-steward"].map(|name| host.beside(name));
    host.child.kill().expect("it runs");
    for pid in beside {
        wait_until("it stays", || {
            !Path::new(&format!("/proc/{pid}")).exists() || status(&pid, "State:").starts_with('Z')
        });
    }
}

#[test]
fn the_folder_a_host_was_started_in_is_free_again() {
    let place = Place::new("folder");
    let host = place.host(&["env"], "null:", "folder");
    let beside = ["sockeye-heir", "sockeye-steward"].map(|name| host.beside(name));
    for pid in beside.into_iter().chain([host.child.id().to_string()]) {
        assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).expect("its folder"), Path::new("/"), "{pid}");
    }
}

#[test]
fn an_ordinary_users_host_is_not_to_be_looked_into() {
    let place = Place::new("user");
    let user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"];
    let host = place.host(&user, "null:", "user");
    assert_eq!((host.status("CapPrm:").as_str(), host.status("CapEff:").as_str()), (NO_CAPABILITY, NO_CAPABILITY));
    assert_eq!((host.status("NoNewPrivs:").as_str(), host.status("Seccomp:").as_str()), ("1", "2"));
    assert!(host.status("Uid:").starts_with(&USER.to_string()));
    let pid = host.child.id();
    let read = |file: &str| {
        let output = Command::new(user[0]).args(&user[1..]).args(["cat", &format!("/proc/{pid}/{file}")]).output();
        output.expect("setpriv").status.success()
    };
    assert!(read("stat") && !read("environ") && !read("maps"));
}

#[test]
fn a_capture_is_its_owners_alone() {
    let place = Place::new("capture");
    let (new, old) = (place.folder.join("new.pcapng"), place.folder.join("old.pcapng"));
    fs::write(&old, "of an earlier run").expect("a file");
    fs::set_permissions(&old, fs::Permissions::from_mode(0o644)).expect("its mode");
    for (stack, path) in [("new", &new), ("old", &old)] {
        let host = place.host(&["env"], &format!("null:,pcap={}", path.display()), stack);
        let file = fs::metadata(path).expect("the capture");
        assert_eq!((file.mode() & 0o777, file.uid()), (0o600, 0), "{stack}");
        drop(host);
        assert!(fs::read(path).expect("the capture").starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]), "{stack}");
    }
}

#[test]
fn the_logs_file_is_made_anew_where_the_host_may_not() {
    let place = Place::new("log");
    let folder = place.folder.join("private");
    fs::create_dir(&folder).expect("a folder");
    let log = folder.join("log");
    let net = format!("tap:t0,ip=10.97.0.2/24,log=info:{}", log.display());
    let _host = place.host(&["env"], &net, "log");
    let said = |what: &str| fs::read_to_string(&log).is_ok_and(|text| text.contains(what));
    assert!(said("runs"));
    assert_eq!(fs::metadata(&log).expect("the log").mode() & 0o777, 0o600);
    // As logrotate(8) does; and the folder is another user's, whom root without capabilities is no more than anybody.
    fs::rename(&log, folder.join("log.1")).expect("a file");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("its mode");
    std::os::unix::fs::chown(&folder, Some(USER), Some(USER)).expect("its owner");
    place.namespace.ip("link delete t0");
    wait_until("the line is not in the new file", || said("the device is gone"));
}

#[test]
fn what_has_its_path_in_the_hosts_directory_goes_with_it() {
    let place = Place::new("paths");
    // A path that a socket's address has room for.
    let folder = env::temp_dir().join(format!("sockeye-{}.d", process::id()));
    fs::create_dir(&folder).expect("a folder");
    let runtime = format!("XDG_RUNTIME_DIR={}", folder.display());
    let host = place.host(&["env", &runtime], "null:", "paths");
    let directory = fs::read_dir(&folder).expect("the folder").next().expect("a directory").expect("its name").path();
    let start = || Err(Errno(libc::ENETDOWN));
    let program = Host { stack: b"paths", token: [0; 16], network: 0, congestion: b"", start, say: |_| {} };
    let socket = unix::open(Kind::Stream).expect("a socket");
    let request = Request { address: Address::v4([127, 0, 0, 1], 9), ..Request::new(Op::Connect, [0; 16]) };
    place.namespace.inside(|| program.ask_about(socket.as_raw_fd(), &request)).expect("a connection is begun");
    assert!(fs::read_dir(&directory).expect("the directory").count() > 0, "our end came from somewhere");
    drop(host);
    let left: Vec<_> = fs::read_dir(&folder).expect("the folder").collect();
    fs::remove_dir_all(&folder).expect("it is there");
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_table_of_hosts_is_read_anew() {
    let place = Place::new("hosts");
    let table = place.folder.join("hosts");
    let write = |address: &str| fs::write(&table, format!("{address} name.test\n")).expect("a file");
    write("192.0.2.1");
    let mount = format!("mount --bind '{}' /etc/hosts && exec \"$@\"", table.display());
    let _host = place.host(&["unshare", "--mount", "sh", "-c", &mount, "sh"], "null:", "hosts");
    let asked = || {
        let data = Data::of(b"name.test").expect("short");
        let request = Request { data, value: libc::AF_INET, ..Request::new(Op::Resolve, [0; 16]) };
        let start = || Err(Errno(libc::ENETDOWN));
        let host = Host { stack: b"hosts", token: [0; 16], network: 0, congestion: b"", start, say: |_| {} };
        place.namespace.inside(|| host.ask(&request)).expect("it knows the name").data.as_bytes().to_vec()
    };
    let contains = |answer: &[u8], address: [u8; 4]| answer.windows(4).any(|bytes| bytes == address);
    assert!(contains(&asked(), [192, 0, 2, 1]));
    write("198.51.100.7");
    assert!(contains(&asked(), [198, 51, 100, 7]));
}
