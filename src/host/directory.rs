//! The host's own directory: what it binds programs' sockets to, and its own ends of them, has a path there. Nobody
//! else can enter it (mode 0700), so that nobody else can connect to these sockets, send to them, or take their names.
//! Who has a socket itself needs no path.

use crate::sys::{entropy, env, steward, unix};
use sockeye_shim::{address::Address, name};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

/// The longest path of a directory that still leaves room for a file's name in a `sockaddr_un`.
const LONGEST: usize = 64;

/// A directory, which is removed when this is dropped.
pub struct Directory {
    path: PathBuf,
    next: u64,
    /// Says by its lock that somebody has the directory: this host, or its heir.
    sign: Option<(File, Place)>,
}

/// The name of that file. A directory without one is none of these.
const SIGN: &str = "host";

/// A path in it that one socket has. The file is removed when this is dropped.
pub struct Place(PathBuf);

impl Directory {
    /// Makes one, where what the machine or this user runs belongs.
    ///
    /// # Errors
    /// A text: none can be made.
    pub fn make() -> Result<Self, String> {
        let mut why = String::new();
        for folder in folders() {
            let [high, low] = entropy::seed();
            let path = folder.join(format!("sockeye-{high:016x}{low:016x}"));
            if path.as_os_str().len() > LONGEST {
                continue;
            }
            clear(&folder);
            let signed = fs::DirBuilder::new().mode(0o700).create(&path).and_then(|()| sign(&path.join(SIGN)));
            match signed {
                Ok(file) => {
                    let sign = Some((file, Place(path.join(SIGN))));
                    return Ok(Self { path, next: 0, sign });
                }
                Err(error) => why = format!("{}: {error}", folder.display()),
            }
        }
        Err(format!("no directory can be made for the sockets of programs: {why}"))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path that nothing has, whose name begins with `kind`.
    pub fn place(&mut self, kind: &str) -> Place {
        self.next += 1;
        Place(self.path.join(format!("{kind}{:x}", self.next)))
    }

    /// A path for a stream end that is bound to an address ([`name::bound`]).
    pub fn bound(&mut self, local: Address) -> Place {
        let text = local.to_text();
        let address: String = text.iter().map(|byte| char::from(*byte)).collect();
        self.place(&format!("{}{address}-", char::from(name::BOUND)))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.sign = None;
        // Its places are gone before, or it must not look for them any more. What cannot be removed is left to whoever
        // cleans such places.
        let _ = fs::remove_dir_all(&self.path).or_else(|_| steward::remove_folder(&self.path));
    }
}

impl Place {
    /// The path.
    pub fn path(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It may never have been made, or be gone with the directory.
        let _ = fs::remove_file(&self.0);
    }
}

/// Makes the file, and locks it.
fn sign(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.try_lock()?;
    Ok(file)
}

/// Takes over a directory that nobody has any more.
pub fn take_sign(directory: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(directory.join(SIGN)).ok()?;
    file.try_lock().ok().map(|()| file)
}

/// Whether a descriptor is what says that somebody has the directory.
pub fn is_sign(directory: &Path, fd: &OwnedFd) -> bool {
    let place = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let own = place(Path::new(&format!("/proc/self/fd/{}", fd.as_raw_fd())));
    own.is_some() && own == place(&directory.join(SIGN))
}

/// Removes the directories of this user's hosts that were killed together with all who would have removed them.
fn clear(folder: &Path) {
    let uid = unix::own_uid();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with("sockeye-"))
            && entry
                .metadata()
                .is_ok_and(|found| found.is_dir() && found.uid() == uid && found.mode() & 0o777 == 0o700);
        if is_ours && let Some(_sign) = take_sign(&entry.path()) {
            // Another host may do the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where to look for room: this user's own place, the machine's, and the one that everybody has.
fn folders() -> Vec<PathBuf> {
    let uid = unix::own_uid();
    let owns = |path: &PathBuf| fs::metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    let own = env::var("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && owns(path));
    own.into_iter().chain((uid == 0).then(|| PathBuf::from("/run"))).chain([PathBuf::from("/tmp")]).collect()
}

/// The bound stream ends of a directory, for who tells them that their host is gone.
///
/// # Errors
/// Those of reading it.
pub fn bound_ends(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
    Ok(paths.filter(|path| name::bound(path.as_os_str().as_bytes()).is_some()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::unix::Kind;
    use std::os::{fd::AsFd, unix::fs::PermissionsExt};

    #[test]
    fn it_is_this_users_alone_and_gone_with_what_is_in_it() {
        let mut directory = Directory::make().unwrap();
        let path = directory.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        let ends = [(); 2].map(|()| unix::open(Kind::Stream).unwrap());
        let places = [(); 2].map(|()| directory.bound(Address::v4([255; 4], 65535)));
        let other = directory.place("own");
        ends.iter().zip(&places).for_each(|(end, place)| unix::bind_path(end.as_fd(), place.path()).unwrap());
        assert_eq!(bound_ends(&path).unwrap().len(), 2);
        drop(places);
        let left: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [SIGN]);
        fs::write(&other.0, b"").unwrap();
        drop((directory, other));
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_host_leaves_is_cleared_away_by_the_next() {
        let place = std::env::temp_dir().join(format!("sockeye-directory-{}", std::process::id()));
        let make = |name: &str| {
            let path = place.join(name);
            fs::DirBuilder::new().mode(0o700).recursive(true).create(&path).unwrap();
            path
        };
        let [left, lives, others, unsigned] = ["sockeye-1", "sockeye-2", "another-3", "sockeye-4"].map(make);
        let signs = [&left, &lives, &others].map(|path| sign(&path.join(SIGN)).unwrap());
        let [dead, _living, gone] = signs;
        drop((dead, gone));
        clear(&place);
        assert_eq!([&left, &lives, &others, &unsigned].map(|path| path.exists()), [false, true, true, true]);
        fs::remove_dir_all(&place).unwrap();
    }
}
