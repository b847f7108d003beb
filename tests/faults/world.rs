//! A network of a test's own with a host, programs that serve on its stack, and the kernel beyond its TAP.

use crate::{
    netns::{KERNEL, OURS, spec},
    place::{self, Place},
    process,
    program::{PATIENCE, Program, until},
};
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// Ports of who echoes: on the stack, its datagrams, and the kernel's.
pub const SERVES: &str = "7001";
pub const ECHOES: &str = "7002";
pub const KERNELS: &str = "7003";

/// The name of the file that is on a full disk.
const CAPTURE: &str = "capture";

/// How long a host must hold the same for it to be at rest.
const REST: Duration = Duration::from_millis(60);
/// A clock of the day that jumps twenty years forth and back, several times a second: the machine's own cannot be set
/// beside other tests, and a time namespace has none. It stands before libc's.
const JUMPS: &str = r#"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    struct timespec steady;
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result || clock != CLOCK_REALTIME) return result;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &steady);
    now->tv_sec += steady.tv_nsec / 50000000 % 2 ? 315360000 : -315360000;
    return 0;
}"#;

/// Whose program it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Home {
    Stack,
    Kernel,
}

/// What makes life hard for a host from its beginning on.
#[derive(Copy, Clone, Debug, Default)]
pub struct Hardships {
    /// Its captures are on a disk that is full.
    pub full_disk: bool,
    /// The time of day jumps.
    pub jumping_clock: bool,
}

/// What a host holds: its descriptors, and the names of its stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    descriptors: Vec<String>,
    names: Vec<String>,
}

impl Held {
    /// Whether everything in it is in the other.
    fn is_part_of(&self, other: &Self) -> bool {
        let is_part = |these: &[String], all: &[String]| {
            let mut left = all.to_vec();
            these
                .iter()
                .all(|what| left.iter().position(|other| other == what).map(|at| left.swap_remove(at)).is_some())
        };
        is_part(&self.descriptors, &other.descriptors) && is_part(&self.names, &other.names)
    }
}

/// The host and who serves on it.
pub struct Inhabitants {
    pub host: Program,
    pub serves: Program,
    pub echoes: Program,
    /// When nobody else was there.
    held: Held,
}

/// The network.
pub struct World {
    pub inhabitants: Option<Inhabitants>,
    kernels: Option<Program>,
    net: String,
    pub has_device: bool,
    folder: PathBuf,
    place: Place,
}

/// A file system of a few pages, which is unmounted again.
struct Disk;

impl Disk {
    fn mount(folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "sockeye-faults"]).arg(folder).status();
        assert!(mounted.is_ok_and(|status| status.success()), "a tmpfs of 64 KiB cannot be mounted at {folder:?}");
    }
}

impl World {
    /// A world without a host; with a TAP or without.
    pub fn new(has_device: bool) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("sockeye-faults-{}-{serial}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| place::install("checked", include_str!("../programs/checked.c")));
        let place = if has_device { Place::new() } else { Place::bare() };
        let net = if has_device { spec("") } else { "null:".to_owned() };
        let mut world = Self { inhabitants: None, kernels: None, net, has_device, folder, place };
        if has_device {
            world.kernels = Some(world.start_up(Home::Kernel, &format!("serve {KERNELS}")));
        }
        world
    }

    /// Where programs on the stack, and the kernel's, find those that serve on the stack.
    pub fn ours(&self, from: Home) -> &'static str {
        match from {
            Home::Stack => "127.0.0.1",
            Home::Kernel => OURS,
        }
    }

    /// The address of the kernel's server.
    pub fn kernels(&self) -> &'static str {
        KERNEL
    }

    /// Starts host and servers.
    pub fn begin(&mut self, hardships: Hardships) {
        let mut more = String::new();
        if hardships.full_disk {
            let disk = self.folder.join("disk");
            Disk::mount(&disk);
            more = format!(",pcap={}", disk.join(CAPTURE).display());
        }
        self.net = if self.has_device { spec(&more) } else { format!("null:{more}") };
        let mut command = place::command(&format!("@sockeye host --net {}", self.net), &[]);
        if hardships.jumping_clock {
            command.env("LD_PRELOAD", self.jumps());
        }
        let mut host = self.start_command(command);
        until("a host", || self.place.0.inside(process::has_host) || !host.is_alive());
        let serves = self.start_up(Home::Stack, &format!("serve {SERVES}"));
        let echoes = self.start_up(Home::Stack, &format!("echo {ECHOES}"));
        // Some descriptors are made when they are first wanted, and stay.
        let mut first = self.start(Home::Stack, &format!("ping {} {SERVES} 1 1", self.ours(Home::Stack)));
        assert!(first.ended().starts_with("done 1 "), "{:?}, {:?}", first.text(), first.complaints());
        let held = self.at_rest(host.pid());
        self.inhabitants = Some(Inhabitants { host, serves, echoes, held });
    }

    /// The library with the clock that jumps.
    fn jumps(&self) -> PathBuf {
        let (source, library) = (self.folder.join("jumps.c"), self.folder.join("jumps.so"));
        if !library.exists() {
            fs::write(&source, JUMPS).expect("a file");
            let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
            assert!(built.is_ok_and(|status| status.success()), "cc");
        }
        library
    }

    fn start_command(&self, command: Command) -> Program {
        self.place.0.inside(|| Program::start(command, &self.folder))
    }

    /// Starts the program that checks its bytes (`tests/programs/checked.c`).
    pub fn start(&self, home: Home, words: &str) -> Program {
        let library = place::installed("libsockeye_preload.so");
        let variables = [("LD_PRELOAD", library.as_str()), ("SOCKEYE_NET", self.net.as_str())];
        let variables = if home == Home::Stack { &variables[..] } else { &[] };
        self.start_command(place::command(&format!("@checked {words}"), variables))
    }

    /// The same, and waits until it is at work.
    pub fn start_up(&self, home: Home, words: &str) -> Program {
        let mut program = self.start(home, words);
        program.says("up");
        program
    }

    /// Messages go to and fro between two programs on the stack: whoever stands still meanwhile does not hold them up,
    /// who would do so as long as that.
    #[track_caller]
    pub fn messages_go(&self) {
        let mut ping = self.start(Home::Stack, &format!("ping {} {SERVES} 100 7", self.ours(Home::Stack)));
        let said = ping.ended();
        assert!(said.starts_with("done 100 "), "{said:?}, {:?}", ping.complaints());
    }

    /// Programs that wait for what does not come: by the call itself, and by asking the kernel before.
    pub fn waiting(&self) -> Vec<Program> {
        let calls = ["accept 7101", "accept 7102 poll", "recv 7103", "recv 7104 poll"];
        calls.into_iter().map(|words| self.start_up(Home::Stack, words)).collect()
    }

    /// Runs our own program.
    pub fn operator(&self, words: &str) -> Program {
        self.start_command(place::command(&format!("@sockeye {words}"), &[]))
    }

    /// A command in this network.
    pub fn ip(&self, words: &str) {
        self.place.0.ip(words);
    }

    /// Makes the TAP that the host has or shall have.
    pub fn add_device(&self) {
        self.place.0.add_tap("t0", &format!("{KERNEL}/24"));
    }

    pub fn people(&mut self) -> &mut Inhabitants {
        self.inhabitants.as_mut().expect("a host")
    }

    /// The process of that name beside the host.
    pub fn beside(&mut self, name: &str) -> i32 {
        let pids = children(self.people().host.pid(), name);
        assert_eq!(pids.len(), 1, "{name}: {pids:?}");
        pids[0]
    }

    /// The processes of that name in this network.
    pub fn named(&self, name: &str) -> Vec<i32> {
        let of_thread = || fs::metadata("/proc/thread-self/ns/net").expect("a namespace").ino();
        let mut all = process::of_namespace(self.place.0.inside(of_thread));
        all.retain(|pid| is_named(*pid, name));
        all
    }

    /// The heirs of its host.
    pub fn heirs(&self) -> Vec<i32> {
        self.named("sockeye-heir")
    }

    /// The one that has a substitute, which is its child.
    pub fn heir(&self) -> i32 {
        let has_child = |pid: &i32| !children(*pid, "sockeye-heir").is_empty();
        let mut heir = None;
        until("an heir", || {
            heir = self.heirs().into_iter().find(has_child);
            heir.is_some()
        });
        heir.expect("an heir")
    }

    /// Folders of hosts with a socket in them.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let folder = |line: &str| {
            let path = PathBuf::from(line.split_whitespace().nth(7)?);
            let folder = path.parent()?.to_owned();
            folder.file_name()?.to_str()?.starts_with("sockeye-").then_some(folder)
        };
        self.place.names().lines().filter_map(folder).collect()
    }

    fn look(&self, host: i32) -> Held {
        let mut names = self.place.0.inside(process::names);
        // Each socket has a number of its own.
        names.iter_mut().for_each(|name| name.truncate(name.rfind('-').unwrap_or(name.len())));
        names.sort();
        let mut descriptors = process::descriptors(host);
        // It is given up when its disk is full.
        descriptors.retain(|what| !what.ends_with(CAPTURE));
        descriptors.iter_mut().for_each(|what| what.truncate(what.find('[').unwrap_or(what.len())));
        descriptors.sort();
        Held { descriptors, names }
    }

    fn at_rest(&self, host: i32) -> Held {
        let (mut held, mut since, begun) = (self.look(host), Instant::now(), Instant::now());
        while since.elapsed() < REST {
            assert!(begun.elapsed() < PATIENCE, "no rest: {held:?}");
            thread::sleep(REST / 4);
            let now = self.look(host);
            if now != held {
                (held, since) = (now, Instant::now());
            }
        }
        held
    }

    /// Waits until the host holds what it held when it began; nobody has ended who was not to.
    pub fn is_as_before(&mut self) {
        let Inhabitants { host, serves, echoes, .. } = self.people();
        for program in [host, serves, echoes] {
            assert!(program.is_alive(), "{} {:?}", program.ended(), program.complaints());
        }
        let people = self.inhabitants.as_ref().expect("a host");
        let (before, host) = (people.held.clone(), people.host.pid());
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.look(host);
            // Something of the first to come may have been there still. It is gone for good.
            if now.is_part_of(&before) {
                self.people().held = now;
                return;
            }
            assert!(Instant::now() < end, "the host had {before:#?} and has {now:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the host has ended, everybody was told, and nothing is left of it.
    pub fn is_over(&mut self, folders: &BTreeSet<PathBuf>) {
        let Inhabitants { mut host, mut serves, mut echoes, .. } = self.inhabitants.take().expect("a host");
        host.ended();
        assert_eq!(serves.ended(), "error accept ENETDOWN at 0", "{}", serves.complaints());
        assert_eq!(echoes.ended(), "error recvfrom ENETDOWN at 0", "{}", echoes.complaints());
        drop((host, serves, echoes));
        until("the names are gone", || self.place.0.inside(process::names).is_empty());
        until("the folders are gone", || folders.iter().all(|folder| !folder.exists()));
        self.unmount();
    }

    fn unmount(&self) {
        let disk = self.folder.join("disk");
        if disk.exists() {
            let unmounted = Command::new("umount").arg("-l").arg(&disk).status();
            assert!(unmounted.is_ok_and(|status| status.success()) || thread::panicking(), "umount {disk:?}");
            fs::remove_dir(&disk).expect("the folder of the disk");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.inhabitants = None;
        self.unmount();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_named(pid: i32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}

fn children(pid: i32, name: &str) -> Vec<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| is_named(*pid, name)).collect()
}
