//! How much memory the process may have: what the machine has, what the control groups that it is in allow (cgroups(7);
//! `memory.max` of version 2, `memory.limit_in_bytes` of version 1), and the process's own limits (getrlimit(2)).

use super::process;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// How much of the machine's memory a stack takes at most: a quarter, as it is not alone.
const OF_MACHINE: usize = 4;
/// How much of what a control group allows: half. The other half is for the program, and what else is in the group.
const OF_GROUP: usize = 2;
/// How much of what is left of the process's own limits: a third. They count what is reserved, and allocators reserve
/// more than they use.
const OF_PROCESS: usize = 3;

/// What a stack may take of the memory that the process may have, bytes; nothing says less than `most`.
pub fn share(most: usize) -> usize {
    let machine = machine().map(|bytes| bytes / OF_MACHINE);
    let group = group(Path::new("/proc/self")).map(|bytes| bytes / OF_GROUP);
    let process = left().map(|bytes| bytes.saturating_sub(process::to_be_reserved()) / OF_PROCESS);
    [machine, group, process].into_iter().flatten().fold(most, usize::min)
}

/// What the machine has, bytes.
fn machine() -> Option<usize> {
    // SAFETY: a plain value that sysinfo(2) fills.
    let mut info: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid place for it.
    let result = unsafe { libc::sysinfo(&raw mut info) };
    let total = usize::try_from(info.totalram).ok()?.checked_mul(usize::try_from(info.mem_unit).ok()?)?;
    (result == 0 && total > 0).then_some(total)
}

/// What is left of RLIMIT_AS and RLIMIT_DATA, whichever is less, bytes.
fn left() -> Option<usize> {
    let sizes = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = |field| sizes.split(' ').nth(field).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0);
    // SAFETY: it takes a number.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    // Of statm the first field is the size, the sixth data and stack.
    let limits = [(libc::RLIMIT_AS, pages(0)), (libc::RLIMIT_DATA, pages(5))];
    let rest = |(resource, pages): (_, usize)| Some(limit(resource)?.saturating_sub(pages.saturating_mul(page)));
    limits.into_iter().filter_map(rest).min()
}

/// A limit of the process's, if there is one.
fn limit(resource: libc::__rlimit_resource_t) -> Option<usize> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for an rlimit.
    let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
    if result != 0 || limit.rlim_cur == libc::RLIM_INFINITY { None } else { usize::try_from(limit.rlim_cur).ok() }
}

/// The least that any control group on the way from the process's own to the root allows, in either version, bytes.
/// `process` is its folder under /proc.
fn group(process: &Path) -> Option<usize> {
    let groups = fs::read_to_string(process.join("cgroup")).ok()?;
    let mounts = fs::read_to_string(process.join("mountinfo")).ok()?;
    let places = groups.lines().filter_map(|line| place(line, &mounts));
    places.flat_map(|(root, folder, file)| limits_up(&root, &folder, file)).min()
}

/// Where the hierarchy of a line of /proc/PID/cgroup that bounds memory is mounted, the process's folder there, and the
/// name of the file that has the limit.
fn place(line: &str, mounts: &str) -> Option<(PathBuf, PathBuf, &'static str)> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let is_second = controllers.is_empty();
    if !is_second && !controllers.split(',').any(|name| name == "memory") {
        return None;
    }
    let (root, point) = mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut after = after.split(' ');
        let (kind, options) = (after.next()?, after.nth(1)?);
        let fits = match is_second {
            true => kind == "cgroup2",
            false => kind == "cgroup" && options.split(',').any(|option| option == "memory"),
        };
        let mut before = before.split(' ').skip(3);
        fits.then_some((before.next()?, before.next()?))
    })?;
    let point = PathBuf::from(point);
    // In a container the mount may show a part of the hierarchy, and the path may be of another part.
    let below = Path::new(path).strip_prefix(root).ok().map(|below| point.join(below)).filter(|folder| folder.is_dir());
    let folder = below.unwrap_or_else(|| point.clone());
    Some((point, folder, if is_second { "memory.max" } else { "memory.limit_in_bytes" }))
}

/// The limits in `folder` and all above it, up to `root`.
fn limits_up(root: &Path, folder: &Path, file: &str) -> Vec<usize> {
    let folders = folder.ancestors().take_while(|folder| folder.starts_with(root));
    // "max" is no number: none there.
    let read = |folder: &Path| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
    folders.filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process's folder and the hierarchies that it is in, as files.
    struct Machine(PathBuf);

    impl Machine {
        fn new(name: &str, groups: &str, mounts: &str, limits: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("sockeye-groups-{name}-{}", std::process::id()));
            let machine = Self(root);
            machine.write("proc/cgroup", groups);
            machine.write("proc/mountinfo", &mounts.replace("ROOT", machine.0.to_str().unwrap()));
            limits.iter().for_each(|(path, text)| machine.write(path, text));
            machine
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn least(&self) -> Option<usize> {
            group(&self.0.join("proc"))
        }
    }

    impl Drop for Machine {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const SECOND: &str = "30 23 0:26 / ROOT/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";

    #[test]
    fn the_least_limit_on_the_way_up_counts() {
        let limits =
            [("cg/a/memory.max", "500000\n"), ("cg/a/b/memory.max", "max\n"), ("cg/a/b/c/memory.max", "700000\n")];
        let machine = Machine::new("nested", "0::/a/b/c\n", SECOND, &limits);
        assert_eq!(machine.least(), Some(500_000));
        machine.write("cg/a/b/memory.max", "400000\n");
        assert_eq!(machine.least(), Some(400_000));
    }

    #[test]
    fn a_group_without_limits_says_nothing() {
        let machine = Machine::new("free", "0::/a\n", SECOND, &[("cg/a/memory.max", "max\n")]);
        assert_eq!(machine.least(), None);
        assert_eq!(group(Path::new("/no/such/process")), None);
    }

    #[test]
    fn both_versions_are_known_and_the_stricter_counts() {
        let mounts = "31 23 0:27 / ROOT/v1/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      32 23 0:28 / ROOT/v1/memory rw - cgroup cgroup rw,memory\n";
        let limits = [
            ("v1/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("v1/memory/x/memory.limit_in_bytes", "300000\n"),
            ("cg/y/memory.max", "200000\n"),
        ];
        let groups = "12:cpu,cpuacct:/z\n4:memory:/x\n0::/\n";
        let machine = Machine::new("hybrid", groups, &format!("{mounts}{SECOND}"), &limits);
        assert_eq!(machine.least(), Some(300_000));
        machine.write("proc/cgroup", "4:memory:/x\n0::/y\n");
        assert_eq!(machine.least(), Some(200_000));
    }

    #[test]
    fn in_a_container_the_mount_is_the_group_or_a_part_of_the_way() {
        let mount = "30 23 0:26 /docker/1 ROOT/cg ro - cgroup2 cgroup rw\n";
        let limits = [("cg/memory.max", "100000\n"), ("cg/in/memory.max", "90000\n")];
        let machine = Machine::new("container", "0::/docker/1/in\n", mount, &limits);
        assert_eq!(machine.least(), Some(90_000));
        machine.write("proc/cgroup", "0::/../elsewhere\n");
        assert_eq!(machine.least(), Some(100_000));
    }

    #[test]
    fn a_stack_takes_a_part_of_what_there_is() {
        let whole = share(usize::MAX);
        assert!(whole > 1 << 20 && whole <= machine().unwrap() / OF_MACHINE);
        assert_eq!(share(12_345), 12_345);
    }
}
