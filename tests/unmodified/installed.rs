//! Our program beside the preload library, as installed; and Debian's programs.

use crate::build::preload;
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// A directory that every user may read, with the program `sockeye` and the preload library; gone when the tests end.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = env::temp_dir().join(format!("sockeye-unmodified-{}", std::process::id()));
    fs::create_dir_all(&place).expect("a directory for the programs");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("its mode");
    fs::copy(env!("CARGO_BIN_EXE_sockeye"), place.join("sockeye")).expect("a copy of our program");
    fs::copy(preload(), place.join("libsockeye_preload.so")).expect("a copy of the preload library");
    // SAFETY: registers a function that takes and returns nothing.
    unsafe { libc::atexit(remove_place) };
    place
});

extern "C" fn remove_place() {
    let _ = fs::remove_dir_all(&*PLACE);
}

/// The program `sockeye`.
pub fn sockeye() -> PathBuf {
    PLACE.join("sockeye")
}

/// The preload library.
pub fn library() -> PathBuf {
    PLACE.join("libsockeye_preload.so")
}

/// A folder for what a test's programs read and write, which every user may write to.
pub fn scratch(name: &str) -> PathBuf {
    let folder = PLACE.join(name);
    fs::create_dir_all(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("its mode");
    folder
}

/// Where one of Debian's programs is. Others of the name that come first in PATH are not meant.
pub fn debian(name: &str) -> PathBuf {
    if name.starts_with('/') {
        return name.into();
    }
    let places = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|folder| Path::new(folder).join(name));
    let found = places.into_iter().find(|place| place.exists());
    found.unwrap_or_else(|| panic!("{name} is missing: `.ci/tools test` installs it"))
}
