//! A network of the test's own: a network namespace with a TAP device, on whose other side the kernel is.
//!
//! The namespace has no name in the file system: it lives as long as a descriptor of it, a socket or a process in it,
//! so it is gone with the test however that ends.

use std::{fs::File, io, os::fd::AsRawFd, panic::resume_unwind, process::Command, thread};

/// The kernel's address on `t0`.
pub const KERNEL: &str = "10.97.0.1";
/// Ours.
pub const OURS: &str = "10.97.0.2";

/// What to do when namespaces or devices cannot be made.
const CURE: &str = "the tests against the kernel make network namespaces and TAP devices: run them as root (or under \
                    `unshare --user --map-root-user --net`), with /dev/net/tun there (`modprobe tun`) and iproute2 installed";

/// A network namespace.
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// A namespace with the TAP `t0`, which has [`KERNEL`] and is up.
    pub fn new() -> Self {
        let namespace = Self::bare();
        namespace.add_tap("t0", "10.97.0.1/24");
        namespace
    }

    /// A namespace with nothing but a loopback device that is up.
    pub fn bare() -> Self {
        let unshared = thread::spawn(|| {
            // SAFETY: unshare(2) has no memory arguments; only this thread, which ends at once, changes its namespace.
            match unsafe { libc::unshare(libc::CLONE_NEWNET) } {
                0 => File::open("/proc/thread-self/ns/net"),
                _ => Err(io::Error::last_os_error()),
            }
        });
        let handle = unshared.join().expect("the thread does not panic");
        let handle = handle.unwrap_or_else(|error| panic!("no network namespace: {error}; {CURE}"));
        let namespace = Self { handle };
        namespace.ip("link set lo up");
        namespace
    }

    /// Makes a persistent TAP with an address, and sets it up.
    pub fn add_tap(&self, name: &str, address: &str) {
        self.ip(&format!("tuntap add dev {name} mode tap"));
        self.ip(&format!("address add {address} dev {name}"));
        self.ip(&format!("link set {name} up"));
    }

    /// Runs `act` on a thread in the namespace. Sockets and processes made there stay there.
    pub fn inside<R: Send>(&self, act: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let there = scope.spawn(|| {
                // SAFETY: setns(2) has no memory arguments; the descriptor is open.
                let entered = unsafe { libc::setns(self.handle.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(entered, 0, "setns: {}", io::Error::last_os_error());
                act()
            });
            there.join().unwrap_or_else(|panic| resume_unwind(panic))
        })
    }

    /// Runs `ip` with these words.
    pub fn ip(&self, words: &str) {
        let output = self.inside(|| Command::new("ip").args(words.split(' ')).output());
        let output = output.unwrap_or_else(|error| panic!("ip: {error}; {CURE}"));
        let why = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip {words}: {why}; {CURE}");
    }

    /// Writes a setting under /proc/sys/net.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.inside(|| std::fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The names of the network devices, sorted.
    pub fn devices(&self) -> Vec<String> {
        let table = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev")).expect("the device table");
        let mut names: Vec<String> =
            table.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
        names.sort();
        names
    }

    /// A device of this namespace joined to one of `other`, each with its MTU and address, and up.
    pub fn join(&self, other: &Self, (here, here_mtu, here_ip): End<'_>, (there, there_mtu, there_ip): End<'_>) {
        let far = format!("/proc/{}/fd/{}", std::process::id(), other.handle.as_raw_fd());
        let link = format!("link add {here} type veth peer name {there} netns {far}");
        self.ip(&link);
        for (namespace, name, mtu, address) in [(self, here, here_mtu, here_ip), (other, there, there_mtu, there_ip)] {
            namespace.ip(&format!("link set {name} mtu {mtu} up"));
            namespace.ip(&format!("address add {address} dev {name}"));
        }
    }
}

/// A device's name, MTU and address with its network.
pub type End<'a> = (&'a str, u32, &'a str);

/// The network specification for `t0` with [`OURS`], and more keys.
pub fn spec(more: &str) -> String {
    format!("tap:t0,ip={OURS}/24{more}")
}
