//! `sockeye log`: what the host of a stack has said.

use crate::{Failure, arguments::Log, ss, stop};
use sockeye::host::client::{self, Piece, Trouble};
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// How often a host is asked for more.
const EVERY: Duration = Duration::from_millis(200);

/// Prints it as it comes.
pub fn show(arguments: &Log) -> Result<String, Failure> {
    let name = stop::one(arguments.stack.as_ref())?;
    let token = ss::token()?;
    let mut at = 0;
    loop {
        match client::log(name.as_bytes(), token, at) {
            Ok(Piece { text, from, next }) => {
                if at != 0 && from > at {
                    complain!("sockeye: {} bytes of the log came and went too fast to be read", from - at);
                }
                if !text.is_empty() {
                    match io::stdout().lock().write_all(&text) {
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(String::new()),
                        written => written.map_err(|error| format!("standard output: {error}"))?,
                    }
                } else if arguments.follow {
                    thread::sleep(EVERY);
                } else {
                    return Ok(String::new());
                }
                at = next;
            }
            // It has ended while it was followed, as it may.
            Err(Trouble::Absent) if at != 0 => return Ok(String::new()),
            Err(trouble) => return Err(stop::failure(&name, &trouble)),
        }
    }
}
