//! `sockeye log`: what the host of a stack has said.

use crate::{Failure, arguments::Log, ss, stop};
use sockeye::host::{
    client::{self, Piece, Trouble},
    plain::Pieces,
};
use std::{
    io::{self, Write},
    thread,
    time::Duration,
};

/// How often a host is asked for more.
const EVERY: Duration = Duration::from_millis(200);
/// How much is shown of a log whose host is neither root's nor this user's, bytes. A host keeps 64 KiB; whoever has
/// only its name may never come to an end.
const STRANGERS: u64 = 1 << 20;
/// What a piece counts at least: one may be a single byte.
const PIECE: u64 = 64;

/// Prints it as it comes.
pub fn show(arguments: &Log) -> Result<String, Failure> {
    let name = stop::one(arguments.stack.as_ref())?;
    let token = ss::token()?;
    let ask = |at| {
        client::log(name.as_bytes(), token, at).map_err(|trouble| (trouble.clone(), stop::failure(&name, &trouble)))
    };
    copy(ask, arguments.follow, &mut io::stdout().lock())
}

/// Prints what comes of asking for the text from a byte on, until there is no more.
fn copy(
    ask: impl Fn(u64) -> Result<Piece, (Trouble, Failure)>,
    is_followed: bool,
    to: &mut impl Write,
) -> Result<String, Failure> {
    let (mut at, mut of_strangers, mut pieces) = (0, 0, Pieces::default());
    loop {
        let (shown, is_over) = match ask(at) {
            Ok(Piece { text, is_trusted, from, next }) => {
                if at != 0 && from > at {
                    complain!("sockeye: {} bytes of the log came and went too fast to be read", from - at);
                }
                at = next;
                if !is_trusted && !text.is_empty() {
                    of_strangers += PIECE.max(text.len() as u64);
                }
                match (text.is_empty(), is_followed) {
                    (false, _) => (pieces.take(&text), false),
                    (true, true) => {
                        thread::sleep(EVERY);
                        continue;
                    }
                    (true, false) => (pieces.end(), true),
                }
            }
            // It has ended while it was followed, as it may.
            Err((Trouble::Absent | Trouble::Ended, _)) if at != 0 => (pieces.end(), true),
            Err((_, failure)) => return Err(failure),
        };
        match to.write_all(shown.as_bytes()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(String::new()),
            written => written.map_err(|error| format!("standard output: {error}"))?,
        }
        if is_over {
            return Ok(String::new());
        }
        if of_strangers >= STRANGERS {
            return Err(
                "its host is neither root's nor yours, and no more than 1 MiB of such a log is shown".to_owned()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn piece(text: &[u8], is_trusted: bool, from: u64) -> Piece {
        Piece { text: text.to_vec(), is_trusted, from, next: from + text.len() as u64 }
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed_and_pieces_are_joined() {
        let said = "one \u{2026}\ntwo \x1b[2J\u{202e}\n".as_bytes();
        let mut printed = Vec::new();
        let ask = |at: u64| {
            let rest = &said[at as usize..];
            Ok(piece(&rest[..rest.len().min(5)], false, at))
        };
        assert_eq!(copy(ask, false, &mut printed), Ok(String::new()));
        assert_eq!(String::from_utf8(printed), Ok("one \u{2026}\ntwo ?[2J?\n".to_owned()));
    }

    #[test]
    fn a_strangers_log_has_an_end_and_ones_own_is_shown() {
        for (size, least) in [(200, STRANGERS), (1, STRANGERS / PIECE)] {
            let mut printed = Vec::new();
            let ended = copy(|at| Ok(piece(&vec![b'x'; size], false, at)), false, &mut printed);
            assert!(ended.is_err_and(|line| line.contains("1 MiB")));
            assert!((least..least + 200).contains(&(printed.len() as u64)), "{} bytes", printed.len());
        }
        let asked = Cell::new(0);
        let ask = |at| {
            asked.set(asked.get() + 1);
            Ok(piece(if asked.get() <= 2 * STRANGERS / 1024 { &[b'x'; 1024] } else { b"" }, true, at))
        };
        let mut printed = Vec::new();
        assert_eq!(copy(ask, false, &mut printed), Ok(String::new()));
        assert_eq!(printed.len() as u64, 2 * STRANGERS);
    }
}
