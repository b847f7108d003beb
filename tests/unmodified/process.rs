//! What the kernel says of processes, their descriptors, and their sockets.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Sends a signal to a process.
pub fn kill(pid: i32, signal: i32) {
    assert!(pid > 1);
    // SAFETY: kill(2) has no memory arguments.
    unsafe { libc::kill(pid, signal) };
}

/// The processes whose network namespace is file `namespace` (an inode), zombies aside, but for our own.
pub fn of_namespace(namespace: u64) -> Vec<i32> {
    let all = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_there = |pid: &i32| fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|file| file.ino() == namespace);
    // A child that has not executed its program yet is this one, with copies of all that it has open.
    let program = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let own = program(&std::process::id().cast_signed());
    pids.filter(|pid| program(pid) != own).filter(is_there).filter(|pid| !command_line(*pid).is_empty()).collect()
}

/// Whether there is such a process, zombies aside.
pub fn is_there(pid: i32) -> bool {
    !command_line(pid).is_empty()
}

/// A process and its arguments; empty for one that has ended.
pub fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned()
}

/// What a process's descriptors are, those that can be read.
pub fn descriptors(pid: i32) -> Vec<String> {
    let Ok(folder) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let target = |path: PathBuf| Some(fs::read_link(path).ok()?.to_string_lossy().into_owned());
    folder.flatten().filter_map(|entry| target(entry.path())).collect()
}

/// A process's memory that is there, in KiB.
pub fn memory(pid: i32) -> u64 {
    status(pid, "VmRSS:").unwrap_or(0)
}

/// The processor time a process has used, in hundredths of a second.
pub fn time_used(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// Whether a process is one of those beside a host: the one that waits for its end, or the one that runs its errands.
pub fn is_beside_a_host(pid: i32) -> bool {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    matches!(name.trim(), "sockeye-heir" | "sockeye-steward")
}

fn status(pid: i32, key: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// The inodes of the namespace's IP and packet sockets, each with the table and line that has it. To be called inside.
pub fn kernel_sockets() -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for (table, column) in [
        ("tcp", 9),
        ("tcp6", 9),
        ("udp", 9),
        ("udp6", 9),
        ("udplite", 9),
        ("udplite6", 9),
        ("raw", 9),
        ("raw6", 9),
        ("icmp", 9),
        ("icmp6", 9),
        ("packet", 8),
    ] {
        let text = fs::read_to_string(Path::new("/proc/thread-self/net").join(table)).unwrap_or_default();
        for line in text.lines().skip(1) {
            let inode = line.split_whitespace().nth(column).and_then(|inode| inode.parse().ok()).unwrap_or(0);
            found.push((inode, format!("{table}: {line}")));
        }
    }
    found
}

/// How many frames came to the kernel from a device's other end. To be called inside.
pub fn frames_from(device: &str) -> u64 {
    frames_told(device, &fs::read_to_string("/proc/thread-self/net/dev").expect("/proc/net/dev"))
}

/// The same as a table says it that is /proc/net/dev's (proc_net_dev(5)).
pub fn frames_told(device: &str, table: &str) -> u64 {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("the device")
}

/// Those of `sockets` that one of `pids` holds.
pub fn held(sockets: &[(u64, String)], pids: &[i32]) -> Vec<String> {
    let mine: HashSet<String> = pids.iter().flat_map(|pid| descriptors(*pid)).collect();
    let is_held = |inode: &u64| mine.contains(&format!("socket:[{inode}]"));
    sockets.iter().filter(|(inode, _)| is_held(inode)).map(|(_, line)| line.clone()).collect()
}

/// A limit of a process (getrlimit(2)): what it has, and the soft one that it is to have.
pub fn limit(pid: i32, which: libc::__rlimit_resource_t, soft: Option<u64>) -> u64 {
    let mut had = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: no new limit is set, and there is room for the old one.
    let read = unsafe { libc::prlimit(pid, which, std::ptr::null(), &raw mut had) };
    if let (0, Some(soft)) = (read, soft) {
        let new = libc::rlimit { rlim_cur: soft.min(had.rlim_max), ..had };
        // SAFETY: the new limit is a live local, and the old one is not asked for. A process that has ended has none.
        unsafe { libc::prlimit(pid, which, &raw const new, std::ptr::null_mut()) };
    }
    had.rlim_cur
}

/// Whether a host lets programs in. To be called inside.
pub fn has_host() -> bool {
    let text = fs::read_to_string("/proc/thread-self/net/unix").expect("/proc/net/unix");
    // The kernel's flag of a socket that listens.
    text.lines().any(|line| line.contains(" 00010000 ") && line.contains("@sockeye/") && line.ends_with("/ctl"))
}

/// The abstract AF_UNIX names of ours in the namespace, and the paths of what programs have bound. To be called inside.
pub fn names() -> Vec<String> {
    let text = fs::read_to_string("/proc/thread-self/net/unix").expect("/proc/net/unix");
    let bound = |line: &str| line.find("/sockeye-").filter(|at| line[*at..].contains("/l"));
    text.lines().filter_map(|line| Some(line[line.find("@sockeye/").or(bound(line))?..].to_owned())).collect()
}
