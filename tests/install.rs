//! `make install`: copies what `make` has built, builds nothing, and is undone by `make uninstall`. What is installed
//! here is the debug build that cargo has made for this run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, id},
};

/// A place where something was "built", and a root to install it under; gone when the test ends.
struct Stage(PathBuf);

impl Stage {
    fn new(name: &str) -> Self {
        let stage = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("install-{name}-{}", id()));
        fs::create_dir_all(&stage).expect("a folder");
        Self(stage)
    }

    /// What make leaves in target/release, as links to what cargo made for this test.
    fn build(&self) {
        let release = self.0.join("target/release");
        fs::create_dir_all(&release).expect("a folder");
        let deps = env::current_exe().expect("our path").parent().expect("its folder").to_owned();
        let library = deps.join("libsockeye.so");
        for (from, to) in [
            (Path::new(env!("CARGO_BIN_EXE_sockeye")), "sockeye"),
            (&library, "libsockeye.so"),
            (&library, "libsockeye_preload.so"),
            (&deps.join("libsockeye.a"), "libsockeye.a"),
        ] {
            fs::hard_link(from, release.join(to)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }

    /// `make TARGET` where no cargo is.
    fn make(&self, target: &str) -> Output {
        Command::new("make")
            .args(["--silent", target, "PREFIX=/usr"])
            .arg(format!("DESTDIR={}", self.0.join("root").display()))
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("CARGO", "/nonexistent/cargo")
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .output()
            .expect("make runs")
    }

    fn makes(&self, target: &str) {
        let output = self.make(target);
        assert!(output.status.success(), "make {target}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// The files and links below the root, with their sizes.
    fn installed(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        let mut folders = vec![self.0.join("root")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let kind = entry.metadata().expect("its kind");
                if kind.is_dir() { folders.push(entry.path()) } else { files.push((entry.path(), kind.len())) }
            }
        }
        files
    }

    fn size(&self, name: &str) -> u64 {
        let path = self.0.join("root/usr").join(name);
        fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const PROGRAM: &str = "bin/sockeye";
const LIBRARIES: [&str; 3] = ["lib/libsockeye.so", "lib/libsockeye_preload.so", "lib/libsockeye.a"];

fn program_runs(stage: &Stage) {
    let version = Command::new(stage.0.join("root/usr/bin/sockeye")).arg("version").output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&version.stdout), format!("sockeye {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_cargo_what_was_built_is_copied_and_removed_again() {
    let stage = Stage::new("plain");
    stage.build();
    stage.makes("install");
    program_runs(&stage);
    for name in LIBRARIES {
        assert!(stage.size(name) > 100_000, "{name}");
    }
    stage.makes("uninstall");
    assert_eq!(stage.installed(), []);
}

#[test]
fn what_was_not_built_is_asked_for_and_nothing_is_installed() {
    let stage = Stage::new("nothing");
    let output = stage.make("install");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is not there: run make first"), "{said}");
    assert_eq!(stage.installed(), []);
}

#[test]
fn debug_information_is_left_out_or_installed_apart() {
    let stage = Stage::new("debug");
    stage.build();
    stage.makes("install");
    let whole = [stage.size(PROGRAM), LIBRARIES.map(|name| stage.size(name)).iter().sum()];
    stage.makes("install-strip");
    program_runs(&stage);
    let bare = [stage.size(PROGRAM), LIBRARIES.map(|name| stage.size(name)).iter().sum()];
    assert!(bare.iter().zip(whole).all(|(bare, whole)| 2 * bare < whole), "{bare:?} of {whole:?} are left");
    stage.makes("uninstall");
    assert_eq!(stage.installed(), []);

    stage.makes("install-debug");
    program_runs(&stage);
    for (file, debug) in [
        (PROGRAM.to_owned(), "bin/.debug/sockeye.debug".to_owned()),
        (
            format!("lib/libsockeye.so.{}", env!("CARGO_PKG_VERSION")),
            format!("lib/.debug/libsockeye.so.{}.debug", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert!(stage.size(&debug) > stage.size(&file), "{debug}");
        let link = Command::new("readelf")
            .args(["--string-dump", ".gnu_debuglink"])
            .arg(stage.0.join("root/usr").join(&file))
            .output()
            .expect("readelf runs");
        let name = Path::new(&debug).file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(String::from_utf8_lossy(&link.stdout).contains(name), "{file} names {name}");
    }
    stage.makes("uninstall");
    assert_eq!(stage.installed(), []);
}
