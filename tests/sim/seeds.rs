//! Runs for many seeds.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

/// A number in the environment.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs `test` for the seeds below `count` on all processors, or for the one in the environment with a trace, and names
/// the seed of a failure.
pub fn for_seeds(count: u64, test: impl Fn(u64, bool) + Sync) {
    if let Some(seed) = number("SOCKEYE_SEED") {
        return test(seed, true);
    }
    map(number("SOCKEYE_SEEDS").unwrap_or(count), |seed| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed, false))) {
            eprintln!("failed; run again with SOCKEYE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    });
}

/// What `work` makes of the numbers below `count`, in their order; on all processors.
pub fn map<T: Send>(count: u64, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= count {
                return done;
            }
            done.push((n, work(n)));
        }
    };
    let mut all = thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let join = |worker: thread::ScopedJoinHandle<'_, Vec<(u64, T)>>| match worker.join() {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, done)| done).collect()
}
