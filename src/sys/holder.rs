//! Which process holds a TAP or TUN device, as proc(5) shows it: the descriptors of /dev/net/tun say what they are
//! attached to.

use sockeye_shim::name;
use std::{fmt, fs, path::PathBuf};

/// Who holds a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The host of a stack.
    Host {
        /// The stack's name.
        stack: String,
        /// The process.
        pid: u32,
    },
    /// Another program.
    Program {
        /// What it is called (`comm` of proc(5)).
        command: String,
        /// The process.
        pid: u32,
    },
    /// This process.
    Own,
    /// A process that this user may not look at.
    Unseen,
}

impl fmt::Display for Holder {
    /// As the reason why the device is not to be had, with the cure.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { stack, pid } => write!(
                f,
                "stack {stack} has the device (process {pid}); end it with `sockeye stop --stack {stack}`, or use \
                 another device"
            ),
            Self::Program { command, pid } => {
                write!(f, "process {pid} ({command}) has the device; end it, or use another device")
            }
            Self::Own => {
                f.write_str("another stack of this process has the device; free that one, or use another device")
            }
            Self::Unseen => f.write_str(
                "another process has the device, which this user may not look at; end it, or use another device (as \
                 root this line names the process)",
            ),
        }
    }
}

/// Who holds the device called `device` in this thread's network namespace. This process is named where no other is
/// seen to hold it.
pub fn of(device: &str) -> Holder {
    let own = std::process::id();
    let here = fs::read_link("/proc/thread-self/ns/net").ok();
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<u32> = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let is_here = |pid: &u32| here.is_some() && fs::read_link(format!("/proc/{pid}/ns/net")).ok() == here;
    let mut others = pids.into_iter().filter(|pid| *pid != own).filter(is_here);
    match others.find(|pid| has(*pid, device) && command(*pid) != "sockeye-heir") {
        Some(pid) => read(pid),
        None if has(own, device) => Holder::Own,
        None => Holder::Unseen,
    }
}

/// Whether a process has a descriptor that is attached to the device.
fn has(pid: u32, device: &str) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let descriptors = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    let mut tuns = descriptors.filter(|fd| fs::read_link(fd.path()).is_ok_and(|link| link == *"/dev/net/tun"));
    let is_attached = |line: &str| line.strip_prefix("iff:").is_some_and(|name| name.trim() == device);
    tuns.any(|fd| {
        let text = fs::read_to_string(folder.join("fdinfo").join(fd.file_name()));
        text.is_ok_and(|text| text.lines().any(is_attached))
    })
}

fn command(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

fn read(pid: u32) -> Holder {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> =
        words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    stack(&words).map_or_else(|| Holder::Program { command: command(pid), pid }, |stack| Holder::Host { stack, pid })
}

/// The stack whose host was started with these words, if they are a host's.
fn stack(words: &[String]) -> Option<String> {
    let program = words.first()?.rsplit('/').next()?;
    if program != "sockeye" || words.get(1)? != "host" {
        return None;
    }
    let value = |option: &str| {
        let at = words.iter().position(|word| word == option)?;
        words.get(at + 1).cloned()
    };
    let derived = || name::stack_of(value("--net")?.as_bytes()).map(|(name, len)| name[..len].to_vec());
    let named = value("--stack").filter(|name| !name.is_empty());
    named.or_else(|| derived().and_then(|name| String::from_utf8(name).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_known_by_the_words_it_was_started_with() {
        let stack = |words: &str| stack(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(stack("/usr/bin/sockeye host --net tap:t0,ip=10.0.0.2/24 --stack here"), Some("here".into()));
        assert_eq!(stack("sockeye host --net tap:t0,ip=10.0.0.2/24"), Some("tap-t0".into()));
        assert_eq!(stack("sockeye run --net tap:t0 x"), None);
        assert_eq!(stack("python3 host --stack here"), None);
        assert_eq!(stack("sockeye host"), None);
    }

    #[test]
    fn a_device_that_nobody_has_is_nobodys_who_is_seen() {
        assert_eq!(of("no-such-device"), Holder::Unseen);
    }
}
