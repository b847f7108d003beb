//! The secret path ([`sockeye_shim::path`]): a socket in a folder that nobody else can list, for who knows the token.
//!
//! The kernel shows everybody the path that a socket was bound to (`/proc/net/unix`), and goes by the file: the socket
//! gets its secret name after it is bound.

use crate::sys::{
    steward,
    unix::{self, Kind},
};
use sockeye_shim::path::Path;
use std::{
    ffi::OsStr,
    fmt,
    fs::{self, DirBuilder, Permissions},
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        },
    },
    path::{self, PathBuf},
    time::Duration,
};

/// Others go through the folder and see nothing of what is in it.
const FOLDER: u32 = 0o711;
/// Everybody who finds the socket may connect.
const SOCKET: u32 = 0o666;

/// How old a folder is whose host does not begin any more.
const OLD: Duration = Duration::from_secs(60);

/// A socket with a secret path, which is removed with it.
pub struct Secret {
    pub listener: OwnedFd,
    path: Path,
}

/// Why there is no secret path.
#[derive(Debug)]
pub enum Unmade {
    /// Its folder is there and another user's, who has known its name: of that user, if the folder lets itself be
    /// looked at.
    Taken(String, Option<u32>),
    /// A system call failed. `AddrInUse`: a host has the path, where the kernel does not tell network namespaces
    /// apart. Else those of mkdir(2), bind(2) and rename(2).
    Failed(io::Error),
}

impl From<io::Error> for Unmade {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<io::ErrorKind> for Unmade {
    fn from(kind: io::ErrorKind) -> Self {
        Self::Failed(kind.into())
    }
}

impl fmt::Display for Unmade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(folder, Some(uid)) => write!(f, "user {uid} has taken {folder}"),
            Self::Taken(folder, None) => write!(f, "somebody has taken {folder}"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl Secret {
    /// Makes a socket with that path, without listening yet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn make(path: Path) -> Result<Self, Unmade> {
        let folder = of(path.folder());
        match DirBuilder::new().mode(FOLDER).create(folder) {
            // A host that was killed has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let taken = |uid| Unmade::Taken(folder.display().to_string(), uid);
        // A file system of another user's that is mounted there may refuse to be looked at.
        let found = fs::symlink_metadata(folder).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => taken(None),
            _ => error.into(),
        })?;
        if !found.is_dir() || found.uid() != unix::own_uid() {
            return Err(taken(Some(found.uid())));
        }
        if is_served(&path) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // The mask of new files does not count.
        fs::set_permissions(folder, Permissions::from_mode(FOLDER))?;
        let before = folder.join("new");
        let listener = unix::open(Kind::Packets)?;
        let _left_behind = fs::remove_file(&before);
        unix::bind_path(listener.as_fd(), before.as_os_str().as_bytes())?;
        let secret = Self { listener, path };
        fs::set_permissions(&before, Permissions::from_mode(SOCKET))?;
        fs::rename(&before, of(path.as_bytes()))?;
        Ok(secret)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn of(bytes: &[u8]) -> &path::Path {
    path::Path::new(OsStr::from_bytes(bytes))
}

fn is_ours(folder: &path::Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir() && found.uid() == unix::own_uid())
}

/// Whether a host listens there.
fn is_served(path: &Path) -> bool {
    let reached = unix::open(Kind::Packets).and_then(|asking| unix::connect_path(asking.as_fd(), path.as_bytes()));
    // Its queue may be full.
    reached.is_ok() || reached.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

/// Removes what a host has left that was killed.
pub fn clear(path: &Path) {
    if !is_served(path) {
        remove(path);
    }
}

/// Removes the folders of this user's hosts that were killed together with all who would have removed them. One that
/// begins has its folder before it listens.
pub fn clear_old(place: &path::Path) {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with("sockeye-"))
            && entry.metadata().is_ok_and(|found| {
                let is_old = found.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age > OLD));
                found.is_dir() && found.uid() == unix::own_uid() && found.mode() & 0o777 == FOLDER && is_old
            });
        if !is_ours {
            continue;
        }
        for file in fs::read_dir(entry.path()).into_iter().flatten().flatten() {
            let reached = unix::open(Kind::Packets)
                .and_then(|asking| unix::connect_path(asking.as_fd(), file.path().as_os_str().as_bytes()));
            if reached.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                let _gone = fs::remove_file(file.path());
            }
        }
        // It stays while there is something else in it.
        let _gone = fs::remove_dir(entry.path());
    }
}

/// Removes what [`Secret::make`] has made, as far as it is there and ours.
fn remove(path: &Path) {
    let folder = of(path.folder());
    // A link of another user's would lead to files that are none of ours.
    if !is_ours(folder) {
        return;
    }
    for file in [of(path.as_bytes()), &folder.join("new")] {
        let _gone = fs::remove_file(file);
    }
    let _gone = steward::remove_folder(folder);
}

/// The folder in which [`Secret::make`] makes the socket.
pub fn folder(path: &Path) -> PathBuf {
    of(path.folder()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str, token: [u8; 16]) -> Path {
        Path::of(format!("secret-{}-{name}", std::process::id()).as_bytes(), &token, 1).unwrap()
    }

    #[test]
    fn the_path_is_known_by_the_token_alone_and_gone_with_its_socket() {
        let path = path("known", [0xd7; 16]);
        let secret = Secret::make(path).unwrap();
        unix::listen(secret.listener.as_fd(), 1).unwrap();
        assert_eq!(fs::metadata(of(path.folder())).unwrap().mode() & 0o777, FOLDER);
        assert_eq!(fs::metadata(of(path.as_bytes())).unwrap().mode() & 0o777, SOCKET);
        let shown = fs::read_to_string("/proc/net/unix").unwrap();
        let folder = String::from_utf8_lossy(path.folder()).into_owned();
        let own = String::from_utf8_lossy(&path.as_bytes()[path.folder().len() + 1..]).into_owned();
        assert!(shown.contains(&format!("{folder}/new")) && !shown.contains(&own), "what everybody sees");
        assert!(!shown.contains("d7d7") && !own.contains("d7d7"), "the token is nobody's to see");
        assert!(is_served(&path));
        drop(secret);
        assert!(!of(path.folder()).exists());
    }

    #[test]
    fn what_a_dead_host_leaves_is_no_obstacle_and_what_a_living_one_has_is_left_to_it() {
        let path = path("left", [0xd8; 16]);
        fs::create_dir(of(path.folder())).unwrap();
        fs::write(of(path.as_bytes()), "").unwrap();
        let secret = Secret::make(path).unwrap();
        unix::listen(secret.listener.as_fd(), 1).unwrap();
        let again = Secret::make(path).map(drop);
        assert!(matches!(again, Err(Unmade::Failed(error)) if error.kind() == io::ErrorKind::AddrInUse));
        clear(&path);
        assert!(is_served(&path));
        drop(secret);
        assert!(!is_served(&path) && !of(path.folder()).exists());
    }

    #[test]
    fn a_folder_that_is_not_ours_is_said_to_be_taken() {
        let path = path("taken", [0xd9; 16]);
        fs::write(of(path.folder()), "").unwrap();
        let made = Secret::make(path).map(drop);
        fs::remove_file(of(path.folder())).unwrap();
        let folder = String::from_utf8_lossy(path.folder()).into_owned();
        let unmade = made.unwrap_err();
        assert_eq!(unmade.to_string(), format!("user {} has taken {folder}", unix::own_uid()));
        assert!(matches!(unmade, Unmade::Taken(..)));
    }
}
