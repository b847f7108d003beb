//! Packet scripts, those of strangers too: read, and run on the stack.
#![no_main]
#![allow(dead_code, reason = "the runner of tests/scripts is used as it is")]

#[path = "../../tests/scripts/assertions.rs"]
mod assertions;
#[path = "../../tests/scripts/calls.rs"]
mod calls;
#[path = "../../tests/scripts/epoll.rs"]
mod epoll;
#[path = "../../tests/scripts/host.rs"]
mod host;
#[path = "../../tests/scripts/lexer.rs"]
mod lexer;
#[path = "../../tests/scripts/names.rs"]
mod names;
#[path = "../../tests/scripts/options.rs"]
mod options;
#[path = "../../tests/scripts/parse_packet.rs"]
mod parse_packet;
#[path = "../../tests/scripts/parser.rs"]
mod parser;
#[path = "../../tests/scripts/runner.rs"]
mod runner;
#[path = "../../tests/scripts/script.rs"]
mod script;
#[path = "../../tests/scripts/shell.rs"]
mod shell;
#[path = "../../tests/scripts/wire.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = str::from_utf8(data) else { return };
    // Both readings of it; that it fails is no matter.
    let _ = runner::run(text, false);
    let _ = runner::run(text, true);
});
