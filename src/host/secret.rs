//! The secret path ([`sockeye_shim::path`]): a socket in a folder that nobody else can list, for who knows the token.
//!
//! The kernel shows everybody the path that a socket was bound to (`/proc/net/unix`), and goes by the file: the socket
//! gets its secret name after it is bound.

use crate::sys::unix::{self, Kind};
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
    path,
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
    /// `PermissionDenied`: the folder is there and another user's. Those of mkdir(2), bind(2) and rename(2).
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

/// Removes what [`Secret::make`] has made, as far as it is there and ours.
pub fn remove(path: &Path) {
    let folder = of(path.folder());
    for file in [of(path.as_bytes()), &folder.join("new")] {
        let _gone = fs::remove_file(file);
    }
    let _gone = fs::remove_dir(folder);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::unix::Place;
    use std::time::Duration;

    #[test]
    fn the_path_is_known_by_the_token_alone_and_gone_with_its_socket() {
        let (name, token) = (format!("secret-{}", std::process::id()), [0xd7; 16]);
        let path = Path::of(name.as_bytes(), &token).unwrap();
        let secret = Secret::make(name.as_bytes(), &token).unwrap();
        unix::listen(secret.listener.as_fd(), 1).unwrap();
        let folder = fs::metadata(of(path.folder())).unwrap();
        assert_eq!(folder.mode() & 0o777, FOLDER);
        assert_eq!(fs::metadata(of(path.as_bytes())).unwrap().mode() & 0o777, SOCKET);
        let shown = fs::read_to_string("/proc/net/unix").unwrap();
        let folder = String::from_utf8_lossy(path.folder()).into_owned();
        assert!(shown.contains(&format!("{folder}/new")) && !shown.contains("d7d7"), "what everybody sees");
        let asker = unix::open(Kind::Packets).unwrap();
        unix::connect_in_turn(asker.as_fd(), Place::Path(path.as_bytes()), Duration::from_secs(1)).unwrap();
        // What a host that was killed leaves is no obstacle.
        let again = Secret::make(name.as_bytes(), &token).unwrap();
        drop(again);
        assert!(!of(path.folder()).exists());
        drop(secret);
    }
}
