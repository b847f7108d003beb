//! Which processes hold a stack's sockets now, by which descriptors: as ss(8) shows them in its last column.
//!
//! The host says which its own end of a socket is, or the programs' where it has none. The kernel says which socket is
//! that one's peer, and `/proc` who has descriptors of it.

use crate::Failure;
use sockeye::sys::unix_diag;
use sockeye_shim::report::Report;
use std::{collections::HashMap, fmt::Write, fs, io};

/// One descriptor.
struct Holder {
    command: String,
    pid: u32,
    fd: u32,
}

/// Who holds what, at the time it was asked.
#[derive(Default)]
pub struct Holders {
    /// The programs' ends, by the host's.
    peers: HashMap<u32, u32>,
    by_inode: HashMap<u32, Vec<Holder>>,
}

impl Holders {
    /// Asks the kernel. The descriptors of processes that may not be looked at are left out.
    pub fn now() -> Result<Self, Failure> {
        let sockets = unix_diag::all().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "--processes: the kernel does not say whose sockets they are; load its module (modprobe unix_diag)"
                    .to_owned()
            }
            _ => format!("--processes: the kernel does not say whose sockets they are: {error}"),
        })?;
        let mut holders = Self { by_inode: descriptors(), ..Self::default() };
        for socket in sockets {
            if let Some(peer) = socket.peer {
                holders.peers.insert(peer, socket.inode);
            }
        }
        Ok(holders)
    }

    /// `users:(("nginx",pid=12,fd=6),...)`; nothing for a socket that no process holds.
    pub fn of(&self, socket: &Report) -> String {
        let inode = if socket.end == 0 { Some(&socket.own) } else { self.peers.get(&socket.end) };
        let Some(holders) = inode.and_then(|inode| self.by_inode.get(inode)) else { return String::new() };
        let mut text = String::new();
        for Holder { command, pid, fd } in holders {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(text, "{comma}(\"{command}\",pid={pid},fd={fd})");
        }
        format!("users:({text})")
    }
}

/// All descriptors of sockets that may be seen, by the sockets' inodes.
fn descriptors() -> HashMap<u32, Vec<Holder>> {
    let mut found: HashMap<u32, Vec<Holder>> = HashMap::new();
    let numbers = |folder: &str| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut numbers: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    };
    for pid in numbers("/proc") {
        let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
        for fd in numbers(&format!("/proc/{pid}/fd")) {
            let Ok(what) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
            let what = what.to_string_lossy();
            let inode = what.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')?.parse().ok());
            if let Some(inode) = inode {
                found.entry(inode).or_default().push(Holder { command: command.clone(), pid, fd });
            }
        }
    }
    found
}
