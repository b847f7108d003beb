//! redis-server, redis-cli and redis-benchmark.

use crate::{
    home::Home,
    netns::OURS,
    running::{PATIENCE, Running},
};
use std::{
    thread,
    time::{Duration, Instant},
};

fn server(home: &Home, more: &[&str]) -> Running {
    let command = ["redis-server", "--port", "6379", "--protected-mode", "no", "--save", ""];
    let server = home.start(&[&command, more].concat());
    server.says("Ready to accept connections");
    server
}

fn ask(home: &Home, words: &[&str]) -> String {
    home.run(&[&["redis-cli", "-h", "127.0.0.1"], words].concat()).text().trim().to_owned()
}

/// Asks until the answer has this in it.
fn await_answer(home: &Home, words: &[&str], text: &str) {
    let end = Instant::now() + PATIENCE;
    while !ask(home, words).contains(text) {
        assert!(Instant::now() < end, "{words:?}: {}", ask(home, words));
        thread::sleep(Duration::from_millis(20));
    }
}

both_ways! {
    fn values_are_kept_for_the_stack_and_for_the_kernel(home: &Home) {
        let server = server(home, &[]);
        assert_eq!(ask(home, &["set", "fish", "salmon"]), "OK");
        assert_eq!(home.run_kernels(&["redis-cli", "-h", OURS, "get", "fish"]).text(), "salmon\n");
        let long = "x".repeat(100_000);
        assert_eq!(home.run_kernels(&["redis-cli", "-h", OURS, "set", "long", &long]).text(), "OK\n");
        assert_eq!(ask(home, &["get", "long"]), long);
        home.run(&["redis-cli", "shutdown", "nosave"]).text();
        assert_eq!(server.ended().status, "exit 0");
    }

    fn a_benchmark_runs_to_its_end(home: &Home) {
        let server = server(home, &[]);
        for pipeline in ["1", "16"] {
            let options = ["-n", "2000", "-c", "20", "-t", "set,get,lpush,mset", "--csv", "-P", pipeline];
            let here = home.run(&[&["redis-benchmark"], &options[..]].concat()).text();
            let there = home.run_kernels(&[&["redis-benchmark", "-h", OURS], &options[..]].concat()).text();
            for report in [here, there] {
                assert_eq!(report.lines().filter(|line| line.starts_with('"')).count(), 5, "{report}");
            }
        }
        home.run(&["redis-cli", "shutdown", "nosave"]).text();
        assert_eq!(server.ended().status, "exit 0");
    }

    fn a_fork_saves_while_the_parent_serves(home: &Home) {
        let running = server(home, &["--appendonly", "yes"]);
        ask(home, &["eval", "for i=1,20000 do redis.call('set', i, string.rep('x', 100)) end", "0"]);
        let before = ask(home, &["lastsave"]);
        // LASTSAVE counts seconds.
        thread::sleep(Duration::from_millis(1100));
        assert_eq!(ask(home, &["bgsave"]), "Background saving started");
        assert_eq!(ask(home, &["get", "7"]), "x".repeat(100));
        await_answer(home, &["info", "persistence"], "rdb_bgsave_in_progress:0");
        await_answer(home, &["info", "persistence"], "rdb_last_bgsave_status:ok");
        assert_ne!(ask(home, &["lastsave"]), before);
        ask(home, &["bgrewriteaof"]);
        await_answer(home, &["info", "persistence"], "aof_rewrite_in_progress:0");
        ask(home, &["set", "last", "word"]);
        home.run(&["redis-cli", "shutdown", "save"]).text();
        assert_eq!(running.ended().status, "exit 0");
        assert!(home.folder.join("dump.rdb").exists());

        let again = server(home, &["--appendonly", "yes"]);
        assert_eq!(ask(home, &["dbsize"]), "20001");
        assert_eq!(ask(home, &["get", "last"]), "word");
        assert_eq!(again.end_by(libc::SIGTERM).status, "exit 0");
    }
}
