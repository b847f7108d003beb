//! include/sockeye.h is current, C99 and C++, and declares every function of the library; docs/sockeye.7 lists them.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The header as the sources have it now.
fn generated() -> String {
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let builder = cbindgen::Builder::new().with_config(config).with_src(root().join("src/capi/mod.rs"));
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

fn header() -> String {
    fs::read_to_string(root().join("include/sockeye.h")).unwrap()
}

/// Compiles `source` without linking; the compiler must be there.
fn compile(compiler: &str, extension: &str, standard: &str, source: &str) {
    let dir = std::env::temp_dir().join(format!("sockeye-header-{}-{standard}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join(format!("use.{extension}"));
    fs::write(&file, source).unwrap();
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"])
        .arg("-I")
        .arg(root().join("include"))
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("{compiler} is needed to check the header: {error}"));
    fs::remove_dir_all(&dir).unwrap();
    assert!(output.status.success(), "{compiler} -std={standard}: {}", String::from_utf8_lossy(&output.stderr));
}

const USE: &str = r#"
#include <sockeye.h>
#include <sockeye.h>
int main(void) {
    struct sockeye_stack *stack = sockeye_stack_new("null:");
    struct epoll_event event;
    struct pollfd fds[1];
    struct msghdr message;
    struct iovec iov;
    fd_set set;
    int fd = sockeye_msocket(stack, AF_INET, SOCK_STREAM, 0);
    sockeye_fcntl(fd, 4, 2048);
    sockeye_ioctl(fd, 0x541b, &fd);
    (void)sockeye_recvmsg(fd, &message, 0);
    (void)sockeye_readv(fd, &iov, 1);
    sockeye_epoll_wait(sockeye_epoll_create1(0), &event, 1, 0);
    sockeye_select(fd + 1, &set, 0, 0, 0);
    sockeye_stack_free(stack);
    return sockeye_poll(fds, 1, 0) + (sockeye_last_error() != 0) + sockeye_version()[0];
}
"#;

#[test]
fn the_committed_header_is_current() {
    assert!(generated() == header(), "include/sockeye.h is not what the sources make: build, and commit it");
}

#[test]
fn the_header_is_c99_and_c11() {
    for standard in ["c99", "gnu99", "c11", "gnu17"] {
        compile("cc", "c", standard, USE);
    }
}

#[test]
fn the_header_is_cpp() {
    for standard in ["c++11", "c++17", "gnu++20"] {
        compile("c++", "cc", standard, USE);
    }
}

#[test]
fn every_exported_function_is_declared_and_documented() {
    let header = header();
    let lines: Vec<&str> = header.lines().collect();
    let sources =
        fs::read_dir(root().join("src/capi")).unwrap().map(|e| fs::read_to_string(e.unwrap().path()).unwrap());
    let mut functions = 0;
    for source in sources {
        for (at, _) in source.match_indices("extern \"C-unwind\" fn sockeye_") {
            let name = source[at..].split(['(', ' ']).nth(3).unwrap();
            let declares = |line: &&str| !line.starts_with([' ', '/']) && line.contains(&format!("{name}("));
            let declared = lines.iter().position(declares).unwrap_or_else(|| panic!("{name} is not declared"));
            assert_eq!(lines[declared - 1], " */", "{name} has no comment");
            functions += 1;
        }
    }
    assert_eq!(functions, 46);
}

/// The names that begin with `sockeye_`.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sockeye_")).collect()
}

#[test]
fn the_manual_lists_every_function_and_no_other() {
    let (header, manual) = (header(), fs::read_to_string(root().join("docs/sockeye.7")).unwrap());
    let section = manual.split(".SH ").find(|section| section.starts_with("FUNCTIONS\n")).unwrap();
    // A declaration begins its line, and a call in a comment does not.
    let declarations: String =
        header.lines().filter(|line| !line.starts_with([' ', '/'])).collect::<Vec<_>>().join("\n");
    assert_eq!(names(section), names(&declarations));
}
