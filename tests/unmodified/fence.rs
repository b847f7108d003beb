//! The fence: by whatever way a program on a stack asks for it, there is no socket of the kernel's network; and the
//! tree of programs keeps its host, which is outside.

use crate::{
    home::{Home, Way},
    installed, process,
    running::{PATIENCE, Running},
};
use std::{
    ffi::CString,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Longer than a host stays that nobody uses.
const GRACE: Duration = Duration::from_millis(2500);

/// What tests/programs/every_way.c is to say, before its children's lines.
const CLOSED: &str = "socket of libc: open\na thread that was there before: EAFNOSUPPORT\nAF_UNIX: open\nAF_NETLINK: open\n\
                      io_uring_setup: ENOSYS\nx32: ENOSYS\ni386: ENOSYS\ni386 exit_group: 3\n";

/// Compiles it.
fn every_way(home: &Home, name: &str, options: &[&str]) -> PathBuf {
    let (path, source) =
        (home.folder.join(name), Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs/every_way.c"));
    let mut compiler = Command::new("cc");
    compiler.args(["-O1", "-Wall", "-Wextra", "-Werror", "-pthread"]).args(options);
    let status = compiler.arg("-o").arg(&path).arg(source).status().expect("cc");
    assert!(status.success(), "cc {options:?}");
    path
}

/// Gives an executable the capability to open raw sockets (CAP_NET_RAW), as Debian's ping has it.
fn give_capability(path: &Path) {
    // struct vfs_cap_data (linux/capability.h): revision 2, effective; permitted and inheritable, lower and upper half.
    let value = [0x0200_0001u32, 1 << 13, 0, 0, 0].map(u32::to_le_bytes);
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let (name, value) = (c"security.capability", value.as_flattened());
    // SAFETY: two strings, and a value of the length given.
    let set = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    assert_eq!(set, 0, "setxattr: {}", std::io::Error::last_os_error());
}

fn host_of(home: &Home, stack: &str) -> Option<i32> {
    let is_host = |pid: &i32| {
        let line = process::command_line(*pid);
        line.contains(" host ") && line.ends_with(stack) && !process::is_beside_a_host(*pid)
    };
    home.programs().into_iter().find(is_host)
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

both_ways! {
    fn no_way_leads_to_the_kernels_network(home: &Home) {
        let program = every_way(home, "every_way", &[]);
        let unlinked = every_way(home, "static", &["-static"]);
        let capable = every_way(home, "capable", &[]);
        give_capability(&capable);
        let [program, unlinked, capable] = [program, unlinked, capable].map(|path| path.display().to_string());
        let said = home.run(&[&program, &unlinked, &capable]).text();
        let children = ["static", "capable", "every_way"].map(|name| format!("{name}: EAFNOSUPPORT\n")).concat();
        assert_eq!(said, format!("{CLOSED}{children}"));
    }
}

#[test]
fn an_ordinary_user_is_behind_it_too() {
    Home::test(Way::SockeyeRun, |home| {
        let [program, capable] = ["every_way", "capable"].map(|name| every_way(home, name, &[]));
        give_capability(&capable);
        let user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"];
        let sockeye = installed::sockeye().display().to_string();
        let run = [&sockeye, "run", "--stack", "user", "--net", "null:", "--"];
        let [program, capable] = [program, capable].map(|path| path.display().to_string());
        let words = [&user[..], &run, &[&program, &capable]].concat();
        let said = home.start_kernels(&words).ended().text();
        assert_eq!(said, format!("{CLOSED}capable: EAFNOSUPPORT\nevery_way: EAFNOSUPPORT\n"));
        home.web_server("0.0.0.0", 8000).end_by(libc::SIGTERM);
    });
}

/// The tests' user runs it: a copy of cat that is root's to run, and a copy that has a capability.
#[test]
fn programs_with_rights_of_their_own_run_with_their_callers_or_not_at_all() {
    Home::test(Way::SockeyeRun, |home| {
        let [raised, capable] = ["raised", "capable"].map(|name| {
            let path = home.folder.join(name);
            fs::copy(installed::debian("cat"), &path).expect("a copy");
            path
        });
        fs::set_permissions(&raised, fs::Permissions::from_mode(0o4755)).expect("its mode");
        give_capability(&capable);
        let sockeye = installed::sockeye().display().to_string();
        let user = ["setpriv", "--reuid=61234", "--regid=61234", "--clear-groups"];
        let run = |program: &[&str]| {
            let run = [&sockeye, "run", "--stack", "user", "--net", "null:", "--"];
            home.start_kernels(&[&user[..], &run, program].concat()).ended()
        };
        for program in [&["./raised"][..], &["sh", "-c", "exec ./raised \"$@\"", "sh"]] {
            let said = run(&[program, &["/proc/self/status", "/proc/self/maps"]].concat()).text();
            assert!(said.contains("Uid:\t61234\t61234\t") && said.contains("libsockeye_preload.so"), "{said}");
        }
        let [direct, inside] = [&["./capable"][..], &["sh", "-c", "exec ./capable"]].map(run);
        assert_eq!((direct.status.as_str(), inside.status.as_str()), ("exit 125", "exit 126"));
        for said in [direct.stderr, inside.stderr] {
            assert!(said.contains("./capable: has capabilities of its own, "), "{said}");
        }
        home.web_server("0.0.0.0", 8000).end_by(libc::SIGTERM);
    });
}

/// The loader, run by hand, and programs that are not for a stack: the library knows what the launcher knows.
#[test]
fn the_loader_is_judged_by_what_it_is_to_run() {
    Home::test(Way::SockeyeRun, |home| {
        every_way(home, "static", &["-static"]);
        let loader =
            if cfg!(target_arch = "x86_64") { "/lib64/ld-linux-x86-64.so.2" } else { "/lib/ld-linux-aarch64.so.1" };
        let maps = ["--argv0", "x", "--library-path", "", "/bin/cat", "/proc/self/maps"];
        assert!(home.run(&[&[loader][..], &maps].concat()).text().contains("libsockeye_preload.so"));
        let words = format!("{loader} {} ; exec {loader} ./static", maps.join(" ").replace("  ", " '' "));
        let outcome = home.run(&["sh", "-c", &words]);
        assert_eq!(outcome.status, "exit 126");
        assert!(outcome.stderr.contains("sockeye: ./static: is a static program, "), "{}", outcome.stderr);
        assert!(String::from_utf8_lossy(&outcome.stdout).contains("libsockeye_preload.so"));
        // What only tells something is run, on what is no program too.
        assert!(home.run(&["ldd", "/bin/cat"]).text().contains("libc.so.6"));
        home.web_server("0.0.0.0", 8000).end_by(libc::SIGTERM);
    });
}

#[test]
fn a_host_lives_as_long_as_the_tree_of_programs() {
    Home::test(Way::SockeyeRun, |home| {
        let outcome = home.run(&["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!"]);
        let left: i32 = outcome.text().trim().parse().expect("a pid");
        let host = home.host();
        thread::sleep(GRACE);
        assert_eq!(home.host(), host, "the host has not stayed for what the program left running");
        process::kill(left, libc::SIGKILL);
        wait_until("the host stays", || !process::is_there(host));
    });
}

#[test]
fn another_stacks_host_is_started_outside() {
    Home::test(Way::SockeyeRun, |home| {
        let sockeye = installed::sockeye().display().to_string();
        // The device is made: the new host has the rights that the old one began with.
        let inner = format!("'{sockeye}' run --stack inner --net tun:inner0,ip=10.96.0.2/24 -- cat");
        let mut outer = home.start_fed(&["sh", "-c", &inner]);
        wait_until("the inner stack has no host", || host_of(home, "inner").is_some());
        let host = host_of(home, "inner").expect("it is there");
        let filters = |pid: i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
            status.lines().find_map(|line| line.strip_prefix("Seccomp_filters:")?.trim().parse::<u32>().ok())
        };
        // Its own, and not the fence's besides, once it serves.
        let outside = filters(host_of(home, "tap-t0").expect("it is there"));
        assert!(outside > Some(0));
        wait_until("the inner host is behind the fence", || filters(host) == outside);
        drop(outer.stdin());
        assert_eq!(outer.ended().text(), "");
    });
}

#[test]
fn a_host_that_was_stopped_is_not_born_again_inside() {
    Home::test(Way::SockeyeRun, |home| {
        let sockeye = installed::sockeye().display().to_string();
        let asks = "import socket; s = socket.socket(); s.bind((\"127.0.0.1\", 0))";
        let script = format!("'{sockeye}' stop --stack tap-t0 && exec /usr/bin/python3 -c '{asks}'");
        let outcome = home.run(&["sh", "-c", &script]);
        assert_eq!(outcome.status, "exit 1");
        assert!(
            outcome.stderr.contains("sockeye: the stack's host is gone or in another network namespace, and this ")
        );
        assert!(outcome.stderr.contains("[Errno 100]"), "{}", outcome.stderr);
    });
}

#[test]
fn it_can_be_left_out() {
    Home::test(Way::SockeyeRun, |home| {
        let program = every_way(home, "every_way", &[]).display().to_string();
        let sockeye = installed::sockeye().display().to_string();
        let words = [&sockeye, "run", "--allow-kernel", "--stack", "open", "--net", "null:", "--", &program];
        let running: Running = home.start_kernels(&words);
        let said = running.ended().text();
        assert!(
            said.contains("every_way: open\n") && said.contains("a thread that was there before: open\n"),
            "{said}"
        );
        home.web_server("0.0.0.0", 8000).end_by(libc::SIGTERM);
    });
}
