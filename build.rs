//! Writes include/sockeye.h from the C functions in src/capi.

use std::{env, fs, path::Path};

fn main() {
    for input in ["build.rs", "cbindgen.toml", "src/capi"] {
        println!("cargo::rerun-if-changed={input}");
    }
    if env::var("CARGO_CFG_TARGET_POINTER_WIDTH").is_ok_and(|width| width != "64") {
        println!("cargo::error=sockeye needs a 64-bit machine");
        return;
    }
    // What is installed goes by this name (the Makefile has it too); tests load the library as cargo names it.
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libsockeye.so.0");
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo names the package's directory");
    let header = Path::new(&root).join("include/sockeye.h");
    let text = match generate(Path::new(&root)) {
        Ok(text) => text,
        Err(error) => return println!("cargo::error=cbindgen cannot make include/sockeye.h: {error}"),
    };
    if fs::read(&header).is_ok_and(|present| present == text) {
        return;
    }
    // A package that cannot be written to brings its header along; tests/header.rs tells whether it is current.
    if let Err(error) = fs::write(&header, text) {
        println!("cargo::warning=cannot write {}: {error}", header.display());
    }
}

fn generate(root: &Path) -> Result<Vec<u8>, String> {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/capi/mod.rs"));
    let mut text = Vec::new();
    builder.generate().map_err(|error| error.to_string())?.write(&mut text);
    Ok(text)
}
