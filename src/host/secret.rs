//! The secret path ([`sockeye_shim::path`]): a socket in a folder that nobody else can list, for who knows the token.
//!
//! The kernel shows everybody the path that a socket was bound to (`/proc/net/unix`), and goes by the file: the socket
//! gets its secret name after it is bound.

use crate::sys::{
    steward,
    unix::{self, Kind},
};
use sockeye_shim::{format::Token, path::Path};
use std::{
    ffi::OsStr,
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
};

/// Others go through the folder and see nothing of what is in it.
const FOLDER: u32 = 0o711;
/// Everybody who finds the socket may connect.
const SOCKET: u32 = 0o666;

/// A socket with a secret path, which is removed with it.
pub struct Secret {
    pub listener: OwnedFd,
    path: Path,
}

impl Secret {
    /// Makes the socket for the stack called `name`, without listening yet.
    ///
    /// # Errors
    /// `PermissionDenied`: the folder is there and another user's. `AddrInUse`: a host in another network namespace has the
    /// same name and token. Those of mkdir(2), bind(2) and rename(2).
    pub fn make(name: &[u8], token: &Token) -> io::Result<Self> {
        let path = Path::of(name, token).ok_or(io::ErrorKind::InvalidInput)?;
        let folder = of(path.folder());
        match DirBuilder::new().mode(FOLDER).create(folder) {
            // A host that was killed has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
        let found = fs::symlink_metadata(folder)?;
        if !found.is_dir() || found.uid() != unix::own_uid() {
            return Err(io::ErrorKind::PermissionDenied.into());
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

/// Removes what [`Secret::make`] has made, as far as it is there and ours.
fn remove(path: &Path) {
    let folder = of(path.folder());
    for file in [of(path.as_bytes()), &folder.join("new")] {
        let _gone = fs::remove_file(file);
    }
    let _gone = steward::remove_folder(folder);
}

/// The folder in which [`Secret::make`] makes the socket.
pub fn folder(name: &[u8], token: &Token) -> Option<PathBuf> {
    Path::of(name, token).map(|path| of(path.folder()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str, token: &Token) -> (Vec<u8>, Path) {
        let name = format!("secret-{}-{name}", std::process::id()).into_bytes();
        let path = Path::of(&name, token).unwrap();
        (name, path)
    }

    #[test]
    fn the_path_is_known_by_the_token_alone_and_gone_with_its_socket() {
        let token = [0xd7; 16];
        let (name, path) = path("known", &token);
        let secret = Secret::make(&name, &token).unwrap();
        unix::listen(secret.listener.as_fd(), 1).unwrap();
        assert_eq!(fs::metadata(of(path.folder())).unwrap().mode() & 0o777, FOLDER);
        assert_eq!(fs::metadata(of(path.as_bytes())).unwrap().mode() & 0o777, SOCKET);
        let shown = fs::read_to_string("/proc/net/unix").unwrap();
        let folder = String::from_utf8_lossy(path.folder()).into_owned();
        assert!(shown.contains(&format!("{folder}/new")) && !shown.contains("d7d7"), "what everybody sees");
        assert!(is_served(&path));
        drop(secret);
        assert!(!of(path.folder()).exists());
    }

    #[test]
    fn what_a_dead_host_leaves_is_no_obstacle_and_what_a_living_one_has_is_left_to_it() {
        let token = [0xd8; 16];
        let (name, path) = path("left", &token);
        fs::create_dir(of(path.folder())).unwrap();
        fs::write(of(path.as_bytes()), "").unwrap();
        let secret = Secret::make(&name, &token).unwrap();
        unix::listen(secret.listener.as_fd(), 1).unwrap();
        assert_eq!(Secret::make(&name, &token).map(drop).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        clear(&path);
        assert!(is_served(&path));
        drop(secret);
        assert!(!is_served(&path) && !of(path.folder()).exists());
    }
}
