//! TCP in virtual time over ways built of boxes: links with queues, losses, delays, disorder.
//!
//! Everything follows from a seed. A failure prints it, and `SOCKEYE_SEED=n cargo test --test sim NAME -- --nocapture`
//! runs it again alone with a trace of all segments. `SOCKEYE_SEEDS=n` runs more (or fewer) of them.

mod any_link;
mod any_size;
mod chain;
mod end;
mod goodput;
mod queue;
mod seeds;
mod segment;
mod sharing;
mod world;
