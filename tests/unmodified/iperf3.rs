//! iperf3, both directions, over TCP and UDP.

use crate::{home::Home, netns::KERNEL, netns::OURS, running::Running};

const UDP: [&str; 3] = ["-u", "-b", "50M"];
const UDP_BACK: [&str; 4] = ["-u", "-b", "50M", "-R"];

fn up(server: Running) -> Running {
    server.says("Server listening");
    server
}

/// Both ends saw bytes.
fn assert_moved(report: &str) {
    let moved = |who: &str| {
        report.lines().any(|line| line.ends_with(who) && line.contains("Bytes") && !line.contains(" 0.00 Bytes"))
    };
    assert!(moved("sender") && moved("receiver"), "{report}");
}

both_ways! {
    fn the_kernel_measures_a_server_on_the_stack(home: &Home) {
        let server = up(home.start(&["iperf3", "-s", "--forceflush"]));
        let ways = [&[][..], &["-R"], &["--bidir", "-P", "2"], &UDP, &UDP_BACK];
        for (test, direction) in ways.into_iter().enumerate() {
            // Between two tests it listens on nothing for a moment.
            server.says(&format!("(test #{})", test + 1));
            let client = [&["iperf3", "-c", OURS, "-t", "1"], direction].concat();
            assert_moved(&home.run_kernels(&client).text());
        }
        server.end_by(libc::SIGTERM);
    }

    fn a_client_on_the_stack_measures_the_kernel(home: &Home) {
        let server = up(home.start_kernels(&["iperf3", "-s", "--forceflush"]));
        for (test, direction) in [&[][..], &["-R"], &UDP, &UDP_BACK].into_iter().enumerate() {
            server.says(&format!("(test #{})", test + 1));
            let client = [&["iperf3", "-c", KERNEL, "-t", "1"], direction].concat();
            assert_moved(&home.run(&client).text());
        }
        server.end_by(libc::SIGTERM);
    }

    fn two_on_one_stack_measure_each_other(home: &Home) {
        let server = up(home.start(&["iperf3", "-s", "-1", "--forceflush"]));
        assert_moved(&home.run(&["iperf3", "-c", "127.0.0.1", "-t", "1"]).text());
        assert_eq!(server.ended().status, "exit 0");
    }
}
