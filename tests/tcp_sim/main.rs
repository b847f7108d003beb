//! Two TCP connections over an impaired link, in virtual time: whatever the link does, bytes arrive whole and in order
//! both ways, both sides end, nothing hangs, no timer storms, nothing is left behind.
//!
//! Everything follows from a seed. A failure prints it, and `SOCKEYE_SIM_SEED=n cargo test --test tcp_sim -- --nocapture`
//! runs it again alone with a trace of all segments. `SOCKEYE_SIM_SEEDS=n` runs more (or fewer) of them.

mod end;
mod link;

use end::{End, Plan};
use link::Link;
use sockeye::{
    addr::{Endpoint, Flow},
    counters::Counters,
    cx::Cx,
    rng::{Key, Rng, SeededRng},
    time::{Duration, Instant},
};

/// No simulation takes longer: a lost FIN at the end of a back-off, and TIME-WAIT.
const LONGEST: Duration = Duration::from_secs(3600);

/// What a seed stands for.
struct Scenario {
    seed: u64,
    link: Link,
    ends: [End; 2],
    now: Instant,
    rng: SeededRng,
    mib: Counters,
    /// Calls of `on_timer` and segments sent.
    timers: u64,
    segments: u64,
}

/// The two flows of one connection, seen from either end.
fn flows() -> [Flow; 2] {
    let client = Endpoint::new("10.0.0.1".parse().unwrap(), 40_000);
    let server = Endpoint::new("10.0.0.2".parse().unwrap(), 80);
    [Flow { local: client, remote: server }, Flow { local: server, remote: client }]
}

impl Scenario {
    /// The scenario of `seed`; `adjust` changes what the two ends plan to do.
    fn new(seed: u64, trace: bool, adjust: impl FnOnce(&mut [Plan; 2], &mut Link)) -> Self {
        let mut rng = SeededRng::new([seed, 0x50c4]);
        let mut link = Link::random(&mut rng);
        link.trace = trace;
        let mut plans = [Plan::random(&mut rng), Plan::random(&mut rng)];
        plans[0].opens = true;
        // Two ends that both wait for the other's end would wait for ever.
        plans[0].finish_last &= !plans[1].finish_last;
        if link.loss > 0.05 {
            plans.iter_mut().for_each(|plan| plan.send_at_most(50_000));
        }
        adjust(&mut plans, &mut link);
        let secret = Key::random(&mut rng);
        let [client_flow, server_flow] = flows();
        let [client, server] = plans;
        let ends = [
            End::new("client", client_flow, client, secret, link.mtu),
            End::new("server", server_flow, server, secret, link.mtu),
        ];
        let now = Instant::from_nanos(1_000_000_000 + rng.u64() % (1 << 50));
        Self { seed, link, ends, now, rng, mib: Counters::default(), timers: 0, segments: 0 }
    }

    /// Runs until both ends have ended, and checks them.
    fn run(&mut self) {
        let start = self.now;
        loop {
            self.settle();
            if self.ends.iter().all(End::is_over) {
                break;
            }
            let next = self.ends.iter().filter_map(End::deadline).chain(self.link.deadline()).min();
            let Some(next) = next else { panic!("nothing will ever happen again:\n{self}") };
            assert!(next > self.now, "a deadline is not in the future after it was served:\n{self}");
            self.now = next;
            assert!(self.now.since(start) < LONGEST, "it takes too long:\n{self}");
        }
        let seconds = self.now.since(start).as_secs();
        let allowed = 200 + 4 * self.segments + 10 * seconds;
        assert!(self.timers < allowed, "{} timers, {} segments, {seconds} s:\n{self}", self.timers, self.segments);
        let [client, server] = &self.ends;
        client.check(server);
        server.check(client);
    }

    /// Does everything that is due now, and all that follows from it at once.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "it does not come to rest:\n{self}");
            let mut busy = false;
            while let Some((to, segment)) = self.link.deliver(self.now) {
                let reply = self.ends[to].receive(segment, &mut cx(self.now, &mut self.rng, &mut self.mib));
                if let Some(reply) = reply {
                    self.link.send(1 - to, reply, self.now, &mut self.rng);
                }
                busy = true;
            }
            for side in 0..2 {
                let mut cx = cx(self.now, &mut self.rng, &mut self.mib);
                let end = &mut self.ends[side];
                self.timers += u64::from(end.run_timers(&mut cx));
                busy |= end.run_application(&mut cx);
                let frames = end.transmit(&mut cx);
                busy |= !frames.is_empty();
                for frame in frames {
                    let segments = self.link.segments(&frame, flows()[side]);
                    self.segments += segments.len() as u64;
                    for segment in segments {
                        self.link.send(1 - side, segment, self.now, &mut self.rng);
                    }
                }
            }
            if !busy {
                return;
            }
        }
    }
}

fn cx<'a>(now: Instant, rng: &'a mut SeededRng, mib: &'a mut Counters) -> Cx<'a> {
    Cx { now, rng, mib }
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "seed {} at {:?}", self.seed, self.now)?;
        writeln!(f, "{:?}", self.link)?;
        self.ends.iter().try_for_each(|end| writeln!(f, "{end:?}"))
    }
}

/// Runs `test` for many seeds, or for the one in the environment, and names the seed of a failure.
fn for_seeds(count: u64, test: impl Fn(u64, bool) + std::panic::RefUnwindSafe) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SOCKEYE_SIM_SEED") {
        return test(seed, true);
    }
    for seed in 0..number("SOCKEYE_SIM_SEEDS").unwrap_or(count) {
        if let Err(panic) = std::panic::catch_unwind(|| test(seed, false)) {
            eprintln!("failed; run again with SOCKEYE_SIM_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn bytes_arrive_whole_and_in_order_over_any_link() {
    for_seeds(400, |seed, trace| Scenario::new(seed, trace, |_, _| ()).run());
}

#[test]
fn a_perfect_link_needs_no_retransmission() {
    for_seeds(60, |seed, trace| {
        let mut scenario = Scenario::new(seed, trace, |plans, link| {
            link.repair();
            plans[1].opens = false;
        });
        scenario.run();
        // A reader that lags delays acknowledgements by far more than two short round trips: that is probed, no more.
        let mib = &scenario.mib;
        let repaired = (mib.tcp_timeouts, mib.tcp_sack_recovery + mib.tcp_reno_recovery, mib.tcp_loss_probe_recovery);
        assert_eq!(repaired, (0, 0, 0), "seed {seed}:\n{scenario}");
        assert!(mib.tcp_retrans_segs <= mib.tcp_loss_probes, "seed {seed}:\n{scenario}");
    });
}

#[test]
fn a_reset_ends_both_sides_however_much_is_lost() {
    for_seeds(100, |seed, trace| {
        let aborts = |plans: &mut [Plan; 2], _: &mut Link| {
            plans[(seed % 2) as usize].abort_after = Some(seed as usize * 499);
            plans.iter_mut().for_each(Plan::keep_alive);
        };
        Scenario::new(seed, trace, aborts).run();
    });
}

#[test]
fn a_slow_reader_is_waited_for_through_closed_windows() {
    for_seeds(60, |seed, trace| {
        let slow = |plans: &mut [Plan; 2], _: &mut Link| {
            plans.iter_mut().for_each(|plan| plan.read_slowly(Duration::from_millis(400)));
        };
        Scenario::new(seed, trace, slow).run();
    });
}
