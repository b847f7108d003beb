//! Landlock (landlock(7)): a process shuts itself out of the file system and of the kernel's TCP, as far as the kernel
//! knows how. What is open already stays so.

use sockeye_shim::kernel;
use std::{
    ffi::c_long,
    fs::File,
    io,
    mem::size_of,
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
    path::Path,
};

/// `struct landlock_ruleset_attr` of linux/landlock.h, as far as it is used here.
#[repr(C)]
struct Attributes {
    handled_access_fs: u64,
    handled_access_net: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed_access: u64,
    parent_fd: RawFd,
}

/// LANDLOCK_RULE_PATH_BENEATH
const PATH_BENEATH: u32 = 1;
/// LANDLOCK_ACCESS_FS_REMOVE_FILE and LANDLOCK_ACCESS_FS_MAKE_SOCK.
const SOCKETS: u64 = 1 << 5 | 1 << 9;
/// LANDLOCK_CREATE_RULESET_VERSION
const VERSION: u32 = 1;
/// How many kinds of access to files each version of the interface knows: the first so many bits.
const KINDS: [u32; 5] = [13, 14, 15, 15, 16];
/// The version from which on TCP is known, and its two kinds of access.
const WITH_NET: usize = 4;
const NET: u64 = 0b11;

fn checked(returned: c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// Shuts the calling thread, and all it will start, out. It must gain no rights any more (PR_SET_NO_NEW_PRIVS). In
/// `folders` sockets may still be made, renamed and removed. False where the kernel has no Landlock, or it is turned
/// off.
///
/// # Errors
/// Those of landlock_create_ruleset(2), landlock_add_rule(2) and landlock_restrict_self(2); a folder cannot be opened.
pub fn shut_out(folders: &[impl AsRef<Path>]) -> io::Result<bool> {
    let nothing = std::ptr::null::<Attributes>();
    // SAFETY: asks for the version: no pointer is followed.
    let version = match checked(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, VERSION) }) {
        Ok(version) => version,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)) => return Ok(false),
        Err(error) => return Err(error),
    };
    let kinds = KINDS.get(version.saturating_sub(1)).copied().unwrap_or(KINDS[KINDS.len() - 1]);
    let handled_access_net = if version >= WITH_NET { NET } else { 0 };
    let attributes = Attributes { handled_access_fs: (1 << kinds) - 1, handled_access_net };
    // Versions without TCP take the shorter form alone.
    let size = if version >= WITH_NET { size_of::<Attributes>() } else { size_of::<u64>() };
    // SAFETY: a structure that is valid for `size` bytes; what comes back is a descriptor of our own.
    let rules = unsafe {
        let rules = checked(libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attributes, size, 0))?;
        OwnedFd::from_raw_fd(kernel::int_of(rules))
    };
    for folder in folders {
        let folder = File::open(folder.as_ref())?;
        let rule = Beneath { allowed_access: SOCKETS, parent_fd: folder.as_raw_fd() };
        // SAFETY: a structure of the kind that is named, with an open descriptor in it.
        checked(unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
        })?;
    }
    // SAFETY: numbers.
    checked(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, rules.as_raw_fd(), 0) }).map(|_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs, os::unix::net::UnixListener, process, thread};

    #[test]
    fn nothing_can_be_opened_and_sockets_be_made_in_one_folder() {
        let folder = env::temp_dir().join(format!("sockeye-landlock-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        let (inside, outside) =
            (folder.join("in"), env::temp_dir().join(format!("sockeye-landlock-{}.o", process::id())));
        let done = thread::scope(|scope| {
            let shut = scope.spawn(|| {
                kernel::give_up_new_rights().unwrap();
                let shut = shut_out(&[&folder]).unwrap();
                let refused = [
                    fs::File::open("/etc/passwd").is_err(),
                    fs::File::create(&inside).is_err(),
                    UnixListener::bind(&outside).is_err(),
                    fs::read_dir(&folder).is_err(),
                ];
                let made = UnixListener::bind(&inside).is_ok() && fs::remove_file(&inside).is_ok();
                (shut, refused, made)
            });
            shut.join().unwrap()
        });
        let _ = fs::remove_file(&outside);
        fs::remove_dir(&folder).unwrap();
        let (shut, refused, made) = done;
        assert_eq!((refused, made), ([shut; 4], true), "only a kernel without Landlock opens files");
        assert!(fs::File::open("/etc/passwd").is_ok(), "other threads do as they like");
    }
}
