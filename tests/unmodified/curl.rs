//! curl.

use crate::{
    home::{Home, noise},
    netns::{KERNEL, OURS},
};
use std::time::Duration;

/// A large file's size.
const LARGE: usize = 100_000_000;

both_ways! {
    fn a_hundred_megabytes_come_from_the_kernel_whole(home: &Home) {
        let content = noise(LARGE);
        home.file("large", &content);
        let server = home.kernels_web_server(8000);
        let output = home.run(&["curl", "--silent", "--show-error", &format!("http://{KERNEL}:8000/large")]).bytes();
        assert!(output == content, "{} of {} bytes", output.len(), content.len());
        server.end_by(libc::SIGTERM);
    }

    fn several_run_at_once_on_one_stack(home: &Home) {
        let content = noise(LARGE / 10);
        home.file("large", &content);
        let server = home.kernels_web_server(8000);
        let url = format!("http://{KERNEL}:8000/large");
        let clients: Vec<_> = (0..5).map(|_| home.start(&["curl", "-sS", &url])).collect();
        for client in clients {
            let output = client.ended().bytes();
            assert!(output == content, "{} of {} bytes", output.len(), content.len());
        }
        server.end_by(libc::SIGTERM);
    }

    fn a_page_is_sent_and_fetched_on_the_stack_itself(home: &Home) {
        home.file("page", b"at home\n");
        let server = home.web_server("0.0.0.0", 8000);
        assert_eq!(home.run(&["curl", "-sS", "http://127.0.0.1:8000/page"]).text(), "at home\n");
        assert_eq!(home.run(&["curl", "-sS", &format!("http://{OURS}:8000/page")]).text(), "at home\n");
        server.end_by(libc::SIGTERM);
    }

    fn what_cannot_be_reached_is_said_as_elsewhere(home: &Home) {
        let refused = home.run(&["curl", "-sS", &format!("http://{KERNEL}:1/")]);
        assert_eq!(refused.status, "exit 7", "{}", refused.stderr);
        assert!(refused.stderr.contains("Failed to connect"), "{}", refused.stderr);
        let begun = std::time::Instant::now();
        let silent = home.run(&["curl", "-sS", "--connect-timeout", "1", "http://10.97.0.9/"]);
        assert!(["exit 7", "exit 28"].contains(&silent.status.as_str()), "{}: {}", silent.status, silent.stderr);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
