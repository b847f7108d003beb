//! Faults at random: programs, host and helpers are killed, stopped, and robbed of descriptors and memory; disks are
//! full, devices vanish, clocks jump; and every byte is checked at both ends. Whatever goes on is right, whoever cannot
//! is told, and nobody waits for ever. Needs root.
//!
//! `make faults ROUNDS=1000 SEED=7` runs more of them, and those of one seed again: the round that failed says its own.
//!
//! | file | what |
//! |---|---|
//! | `round.rs` | what happens, and what must be so afterwards |
//! | `told.rs` | faults that were found, each alone |
//! | `world.rs` | a network, its host, and who serves on it |
//! | `program.rs` | a process, which nobody waits for without an end |
//! | `dice.rs` | numbers that a seed determines |
#![allow(clippy::disallowed_methods, reason = "tests wait for the machine's clock")]

#[path = "../build/mod.rs"]
mod build;
mod dice;
#[path = "../netns/mod.rs"]
#[allow(dead_code, reason = "a part of it is for other tests")]
mod netns;
#[path = "../place/mod.rs"]
mod place;
#[path = "../unmodified/process.rs"]
#[allow(dead_code, reason = "a part of it is for other tests")]
mod process;
mod program;
mod round;
mod told;
mod world;

use std::{env, fmt::Debug, str::FromStr, time::SystemTime};

/// How many rounds there are in both networks together.
const ROUNDS: u64 = 100;
/// Which of those without a device is that of the crowd.
const CROWD: u64 = 20;

fn variable<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error:?}")))
}

/// Half of the rounds: one network's.
fn rounds(has_device: bool) {
    let seed = variable("SOCKEYE_TEST_SEED")
        .unwrap_or_else(|| u64::from(SystemTime::UNIX_EPOCH.elapsed().expect("a clock").subsec_nanos()));
    let all = variable("SOCKEYE_TEST_ROUNDS").unwrap_or(ROUNDS);
    let mut rounds = round::Rounds::new(has_device);
    for number in 0..all.div_ceil(2) {
        rounds.round(seed.wrapping_add(number), number == CROWD && !has_device);
    }
}

#[test]
fn without_a_device() {
    rounds(false);
}

#[test]
fn with_a_device() {
    rounds(true);
}
