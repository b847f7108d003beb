//! How often programs wait for their host's answer: at most once a connection. The host says so in its log.

use crate::{
    home::{Home, Way},
    netns::{KERNEL, OURS},
    running::Running,
};

/// Requests that were waited for so far, but for those of a process's beginning: who its host is, and of what tree it
/// is.
fn waits(host: &Running) -> Vec<String> {
    let said = host.said();
    let is_first = |line: &&str| line.ends_with(" for Join") || line.ends_with(" for Tree");
    let waited = said.lines().filter(|line| line.contains("a program waits") && !is_first(line));
    waited.map(str::to_owned).collect()
}

/// A program on the stack, which means that its host has a log.
fn logged<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["env", "SOCKEYE_LOG=debug"], words].concat()
}

#[test]
fn a_client_waits_once_a_connection_at_most() {
    Home::test(Way::ByHand, |home| {
        home.file("page", b"a page\n");
        let server = home.kernels_web_server(8000);
        let host = home.start_logging_host();
        let url = format!("http://{KERNEL}:8000/page");
        // The server closes after each page.
        assert_eq!(home.run(&logged(&["curl", "-sS", &url, &url, &url])).text(), "a page\n".repeat(3));
        let waits = waits(&host);
        assert!(waits.len() <= 3, "{waits:#?}");
        server.end_by(libc::SIGTERM);
        host.ended();
    });
}

#[test]
fn a_server_waits_for_nothing_that_comes_to_it() {
    Home::test(Way::ByHand, |home| {
        let host = home.start_logging_host();
        let server = home.start(&logged(&["redis-server", "--protected-mode", "no", "--save", ""]));
        server.says("Ready to accept connections");
        let before = waits(&host).len();
        let load = ["redis-benchmark", "-h", OURS, "-n", "1000", "-c", "20", "-t", "set", "--csv"];
        home.run_kernels(&load).text();
        let waits = waits(&host).split_off(before);
        assert!(waits.is_empty(), "{waits:#?}");
        server.end_by(libc::SIGTERM);
        host.ended();
    });
}
