//! What a user types: network specifications, what fills them, settings of the administrator's, tokens, names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockeye::{
    rng::SeededRng,
    socket::stacks,
    stack::{Capabilities, Config, Medium, Stack, config::Impairment, config::Logging},
    time::{Duration, Instant},
};
use sockeye_shim::{format::token_from_text, name};

fuzz_target!(|data: &[u8]| {
    let _ = (token_from_text(data), name::is_stack(data), name::stack_of(data));
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let (spec, filler, rest) = (lines.next().unwrap_or_default(), lines.next(), lines);
    let _ = (Logging::parse("log", spec), Impairment::parse(spec));
    if let Ok(config) = stacks::describe(spec, |_| filler.map(str::to_owned)) {
        // What a stack is said to be is what it was made of.
        assert_eq!(config.difference(&config), None, "{spec}");
        let _ = config.to_string();
        let caps = Capabilities { medium: Medium::Ethernet, mtu: 1500, max_frame: 1500, tx_checksum: false };
        let now = Instant::ZERO + Duration::from_secs(1);
        let mut stack = Stack::new(&config, Some(caps), Box::new(SeededRng::new([1, 2])), now);
        for (name, value) in rest.filter_map(|line| line.split_once('=')) {
            let _ = stack.sysctl(name, value);
        }
    }
    let _ = Config::parse(spec);
});
