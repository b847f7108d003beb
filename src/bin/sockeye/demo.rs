//! `sockeye demo`: becomes the demonstration of the source tree it was built in.

use crate::Failure;
use std::{env, os::unix::process::CommandExt, path::PathBuf, process::Command};

/// Comes back only when it cannot be run.
pub fn run() -> Failure {
    match script() {
        Some(script) => {
            let error = Command::new(&script).exec();
            format!("{}: {error}", script.display())
        }
        None => "the demonstration is in the source tree; run `make demo` there".to_owned(),
    }
}

/// demo/run.sh above the folder of this program, which is target/release of the source tree.
fn script() -> Option<PathBuf> {
    let own = env::current_exe().ok()?;
    own.ancestors()
        .skip(1)
        .map(|folder| folder.join("demo/run.sh"))
        .find(|script| script.is_file() && script.with_file_name("../Cargo.toml").is_file())
}
