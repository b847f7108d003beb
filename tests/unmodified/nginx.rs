//! nginx: a daemon with two workers that are another user's.

use crate::{
    home::{Home, noise},
    http, process,
    running::PATIENCE,
};
use std::{
    fs, thread,
    time::{Duration, Instant},
};

const PORT: u16 = 8080;

/// A running nginx.
pub struct Nginx<'a> {
    home: &'a Home,
    config: String,
    prefix: String,
}

impl<'a> Nginx<'a> {
    /// Starts the daemon with a page `/page` that is `page`.
    pub fn start(home: &'a Home, page: &[u8]) -> Self {
        let folder = home.folder.display();
        home.file("page", page);
        let config = home.file(
            "nginx.conf",
            format!(
                "worker_processes 2; pid {folder}/pid; error_log {folder}/error.log; daemon on;
                 events {{ worker_connections 512; }}
                 http {{
                     access_log off; sendfile on; tcp_nopush on; client_body_temp_path {folder}/body;
                     proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
                     uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                     server {{ listen {PORT}; root {folder}; default_type application/octet-stream; }}
                 }}"
            )
            .as_bytes(),
        );
        let nginx = Self { home, config: config.display().to_string(), prefix: folder.to_string() };
        nginx.tell(&[]);
        nginx.workers();
        nginx
    }

    fn tell(&self, words: &[&str]) {
        self.home.run(&[&["nginx", "-p", &self.prefix, "-c", &self.config], words].concat()).text();
    }

    /// The process that leads the others.
    pub fn master(&self) -> i32 {
        let text = fs::read_to_string(self.home.folder.join("pid")).expect("its pid file");
        text.trim().parse().expect("a number")
    }

    /// The two processes that serve, once they are there.
    pub fn workers(&self) -> Vec<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            let workers = self.workers_left();
            if workers.len() == 2 {
                return workers;
            }
            assert!(Instant::now() < end, "workers: {workers:?}; {}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The processes that serve now, whoever their parent is.
    pub fn workers_left(&self) -> Vec<i32> {
        let mut workers = self.home.programs();
        workers.retain(|pid| process::command_line(*pid) == "nginx: worker process");
        workers.sort_unstable();
        workers
    }

    /// Has all its processes killed, those that the master has begun meanwhile and that have no title yet among them.
    pub fn is_killed(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let mut left = self.home.programs();
            left.retain(|pid| process::command_line(*pid).starts_with("nginx: "));
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "nginx lives: {left:?}");
            left.iter().for_each(|pid| process::kill(*pid, libc::SIGKILL));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Whether one of these still runs.
    fn is_one_left(&self, of: &[i32]) -> bool {
        let programs = self.home.programs();
        of.iter().any(|pid| programs.contains(pid))
    }

    /// Has it stop at once, and waits until it has.
    pub fn stop(&self) {
        let all = [&[self.master()], self.workers().as_slice()].concat();
        self.tell(&["-s", "stop"]);
        let end = Instant::now() + PATIENCE;
        while self.is_one_left(&all) {
            assert!(Instant::now() < end, "nginx does not stop; {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What it has to complain of.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.folder.join("error.log")).unwrap_or_default()
    }

    /// Asks for the page so many times, 50 at once; none may fail.
    fn serves(&self, page: &[u8], requests: usize) {
        let errors = self.home.namespace.inside(|| http::load(PORT, "/page", page, requests, 50));
        assert_eq!(errors, Vec::<String>::new(), "{}", self.log());
    }
}

both_ways! {
    fn two_thousand_requests_fifty_at_once_do_not_fail(home: &Home) {
        let page = noise(10_000);
        let nginx = Nginx::start(home, &page);
        nginx.serves(&page, 2000);
        nginx.stop();
    }

    fn no_request_fails_while_it_reads_its_settings_again(home: &Home) {
        let page = noise(10_000);
        let nginx = Nginx::start(home, &page);
        let old = nginx.workers();
        thread::scope(|scope| {
            let load = scope.spawn(|| nginx.serves(&page, 600));
            process::kill(nginx.master(), libc::SIGHUP);
            let end = Instant::now() + PATIENCE;
            while nginx.is_one_left(&old) {
                assert!(Instant::now() < end, "the old workers stay; {}", nginx.log());
                thread::sleep(Duration::from_millis(20));
            }
            load.join().expect("no request fails");
        });
        nginx.serves(&page, 100);
        nginx.stop();
    }

    fn its_port_is_free_when_it_has_stopped(home: &Home) {
        let nginx = Nginx::start(home, b"first\n");
        assert_eq!(home.page(PORT, "/page"), b"first\n");
        assert_eq!(home.run(&["curl", "-sS", "http://127.0.0.1:8080/page"]).text(), "first\n");
        nginx.stop();
        let again = Nginx::start(home, b"second\n");
        assert_eq!(home.page(PORT, "/page"), b"second\n");
        again.stop();
        let refused = home.run(&["curl", "-sS", "http://127.0.0.1:8080/page"]);
        assert_eq!(refused.status, "exit 7", "{}", refused.stderr);
    }
}
