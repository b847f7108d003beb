//! Programs on the stack are killed at random, as by `kill -9`, while they work. The host lives, and has in the end no
//! more memory and descriptors than before.

use crate::{
    dice::Dice,
    home::{Ends, Home, noise},
    http,
    netns::KERNEL,
    nginx::Nginx,
    process,
    rest::at_rest,
    running::Running,
};
use std::{
    collections::HashMap,
    env,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// How long programs are killed, unless `SOCKEYE_TEST_KILLS` says how many seconds.
const LENGTH: Duration = Duration::from_secs(20);
/// How long before the host is measured for the first time: its memory has then been used once.
const WARM_UP: Duration = Duration::from_secs(6);
/// What the allocator may keep more than it did, in KiB.
const MEMORY: u64 = 2048;

/// The programs that are killed.
struct Crowd<'a> {
    home: &'a Home,
    nginx: Nginx<'a>,
    redis: Option<Running>,
    clients: Vec<Running>,
    killed: HashMap<&'static str, u32>,
}

impl<'a> Crowd<'a> {
    fn new(home: &'a Home, page: &[u8]) -> Self {
        let nginx = Nginx::start(home, page);
        let redis = Some(Self::redis(home));
        Self { home, nginx, redis, clients: Vec::new(), killed: HashMap::new() }
    }

    fn redis(home: &Home) -> Running {
        let server = home.start(&["redis-server", "--port", "6379", "--protected-mode", "no", "--save", ""]);
        server.says("Ready to accept connections");
        server
    }

    /// A client of one server or the other, the kernel's among them.
    fn client(&self, kind: usize) -> Running {
        let away = format!("http://{KERNEL}:8000/large");
        match kind {
            0 => self.home.start(&["curl", "-sS", "-o", "/dev/null", &away]),
            1 => self.home.start(&[
                "curl",
                "-sS",
                "-o",
                "/dev/null",
                "--limit-rate",
                "1M",
                "http://127.0.0.1:8080/large",
            ]),
            2 => self.home.start(&["redis-benchmark", "-n", "100000", "-c", "20", "-q"]),
            _ => self.home.start(&["wget", "-q", "-O", "/dev/null", &away]),
        }
    }

    /// Kills somebody.
    fn kill(&mut self, dice: &mut Dice) {
        let what = match dice.roll(4) {
            0 => {
                let workers = self.nginx.workers();
                process::kill(workers[dice.roll(workers.len())], libc::SIGKILL);
                "worker"
            }
            1 => {
                drop(self.redis.take());
                // Its port is free for the next at once.
                self.redis = Some(Self::redis(self.home));
                "server"
            }
            _ => {
                if !self.clients.is_empty() {
                    drop(self.clients.swap_remove(dice.roll(self.clients.len())));
                }
                "client"
            }
        };
        *self.killed.entry(what).or_default() += 1;
    }

    /// Works, and is killed, for so long.
    fn works(&mut self, dice: &mut Dice, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.clients.retain_mut(Running::is_alive);
            while self.clients.len() < 4 {
                self.clients.push(self.client(dice.roll(4)));
            }
            thread::sleep(Duration::from_millis(dice.roll(200) as u64));
            self.kill(dice);
        }
    }

    /// All are killed but the kernel's.
    fn ends(mut self) {
        self.clients.clear();
        self.nginx.is_killed();
        drop(self.redis);
    }
}

/// The kernel's clients of the web server, which bear with errors; gives how many pages came.
fn kernels_clients(home: &Home, page: &[u8], is_over: &AtomicBool) -> usize {
    let good = AtomicUsize::new(0);
    home.namespace.inside(|| {
        while !is_over.load(Ordering::Relaxed) {
            match http::page_of_known_length(8080, "/page", Duration::from_secs(5)) {
                Ok(got) => {
                    assert!(got == page, "another page, of {} bytes", got.len());
                    good.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => thread::sleep(Duration::from_millis(10)),
            }
        }
    });
    good.into_inner()
}

fn test(home: &Home, seed: u64) {
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let page = noise(50_000);
    home.file("large", &noise(3_000_000));
    let kernels = home.kernels_web_server(8000);
    // It keeps the host there when all others have been killed.
    let keeper = home.start(&["nc.openbsd", "-l", "9999"]);
    home.await_names(2);
    let host = home.host();
    let mut measured = Vec::new();
    let seconds = env::var("SOCKEYE_TEST_KILLS").map(|text| text.parse().expect("a number of seconds"));
    for length in [WARM_UP, seconds.map_or(LENGTH, Duration::from_secs)] {
        let is_over = AtomicBool::new(false);
        let mut crowd = Crowd::new(home, &page);
        let (killed, pages) = thread::scope(|scope| {
            let clients = scope.spawn(|| kernels_clients(home, &page, &is_over));
            let ends = Ends(&is_over);
            crowd.works(&mut dice, length);
            drop(ends);
            (crowd.killed.clone(), clients.join().expect("pages are whole"))
        });
        crowd.ends();
        println!("killed {killed:?}, {pages} pages fetched");
        assert!(["client", "worker", "server"].iter().all(|what| killed.contains_key(what)) && pages > 0);
        assert_eq!(home.host(), host, "the host lives");
        measured.push(at_rest(home, host));
    }
    let [before, after] = [&measured[0], &measured[1]];
    assert_eq!(before.0, after.0, "descriptors");
    assert_eq!(before.1, after.1, "names");
    println!("the host's memory: {} KiB, then {} KiB", before.2, after.2);
    assert!(after.2 <= before.2 + MEMORY, "{} KiB, then {} KiB", before.2, after.2);
    // And it serves.
    let server = home.web_server("0.0.0.0", 8001);
    assert!(home.page(8001, "/page") == page);
    server.end_by(libc::SIGTERM);
    keeper.end_by(libc::SIGTERM);
    kernels.end_by(libc::SIGTERM);
}

/// Gives a socket an option that the host keeps, and dies before it is bound or connected.
const DIES: &str = "
import os, signal, socket
s = socket.socket()
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 7)
print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
";

both_ways! {
    fn a_socket_without_a_name_is_gone_with_its_program(home: &Home) {
        let outcome = home.run(&["python3", "-c", DIES]);
        let (status, said) = (outcome.status.as_str(), outcome.stdout.as_slice());
        assert_eq!((status, said), ("signal 9", &b"7\n"[..]), "{}", outcome.stderr);
    }
}

#[test]
fn the_host_is_afterwards_as_it_was_before() {
    let seed = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").subsec_nanos();
    Home::test_at_rest(|home| test(home, seed.into()));
}
