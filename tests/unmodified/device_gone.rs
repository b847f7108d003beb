//! The device is deleted while programs wait on the stack: they are told, and the next has a host on the device that
//! was made again.

use crate::{
    home::Home,
    host_killed::{ACCEPTS, CONNECTS, GONE, POLLS, RECEIVES},
    netns::KERNEL,
};
use std::{net::TcpListener, thread, time::Duration};

/// Connects to a host that does not answer.
const DIALS: &str = "
import socket, sys
s = socket.socket()
print('listening', flush=True)
try: s.connect((sys.argv[1], 9))
except OSError as error: print(error.errno)
";

both_ways! {
    fn who_waits_is_told_and_the_next_has_the_new_one(home: &Home) {
        let waits = [ACCEPTS, RECEIVES, POLLS].map(|text| home.start(&["python3", "-c", text]));
        let dials = home.start(&["python3", "-c", DIALS, "10.97.0.77"]);
        waits.iter().chain([&dials]).for_each(|program| program.says("listening"));
        thread::sleep(Duration::from_millis(200));
        home.namespace.ip("link delete t0");
        let [accepts, receives, polls] = waits.map(|program| program.ended());
        let dials = dials.ended();
        // The host says so once, where its starter writes; the programs say one line each.
        let all: String = [&accepts, &receives, &polls, &dials].iter().map(|outcome| outcome.stderr.as_str()).collect();
        let of_host = |line: &&str| line.contains("the device is gone: tap t0 was deleted; ");
        assert_eq!(all.lines().filter(of_host).count(), 1, "{all}");
        let said = |text: &str| text.lines().filter(|line| !of_host(line)).map(|line| format!("{line}\n")).collect();
        let said: [String; 3] = [&accepts, &receives, &polls].map(|outcome| said(&outcome.stderr));
        assert_eq!((said[0].as_str(), said[1].lines().count(), said[2].as_str()), (GONE, 1, GONE));
        assert_eq!(accepts.text(), "listening\n100\nTimeoutError\n");
        assert_eq!(receives.text(), "listening\n100\n");
        assert_eq!(polls.text(), "listening\n100\nwoken 1\n");
        assert_eq!(dials.text(), "listening\n100\n");
        home.namespace.add_tap("t0", "10.97.0.1/24");
        let _listener = home.namespace.inside(|| TcpListener::bind((KERNEL, 9000))).expect("a listener");
        assert_eq!(home.run(&["python3", "-c", CONNECTS, KERNEL]).text(), "connected\n");
    }
}
