//! `sockeye demo`: becomes the demonstration of the source tree it was built in, or the one installed with it.

use crate::Failure;
use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Comes back only when it cannot be run.
pub fn run() -> Failure {
    let own = env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(Path::new("/"));
    match script(folder) {
        Some(script) => {
            let error = Command::new(&script).env("PATH", path(folder)).exec();
            format!("{}: {error}", script.display())
        }
        None => format!(
            "the demonstration is neither in ../share/sockeye/demo of {} nor in a source tree above it; run `make \
             install` again, or `make demo` in the source tree",
            folder.display()
        ),
    }
}

/// demo/run.sh of the source tree in whose target/release this program is, or of what was installed with it.
fn script(folder: &Path) -> Option<PathBuf> {
    let in_tree = folder.ancestors().map(|above| above.join("demo/run.sh"));
    in_tree
        .filter(|script| script.with_file_name("../Cargo.toml").is_file())
        .chain([folder.join("../share/sockeye/demo/run.sh")])
        .find(|script| script.is_file())
}

/// This program is the one that is shown.
fn path(folder: &Path) -> OsString {
    let mut path = folder.as_os_str().to_owned();
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    path
}
