//! Text of another process, made fit for a terminal: what would move its cursor, change its settings or turn the order
//! of letters around is shown as `?`. Who says it may be anybody: the name of a stack is whoever's took it first.

/// Whether a terminal shows nothing of its own for it. Control characters are C0, DEL and C1 (ECMA-48); the others are
/// the marks, embeddings, overrides and isolates of the bidirectional algorithm (UAX #9 section 2).
fn is_harmful(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && c != '\n')
}

/// The text, line by line as it was.
pub fn plain(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().map(|c| if is_harmful(c) { '?' } else { c }).collect()
}

/// The same of a text that has to be in one line.
pub fn plain_line(text: &[u8]) -> String {
    plain(text).replace('\n', "?")
}

/// The same of a text that comes by pieces, which may end inside a character.
#[derive(Default)]
pub struct Pieces {
    begun: Vec<u8>,
}

impl Pieces {
    /// What there is to show of it once this piece is here.
    pub fn take(&mut self, piece: &[u8]) -> String {
        self.begun.extend_from_slice(piece);
        let cut = match self.begun.utf8_chunks().last() {
            // Its end may be the beginning of a character: at most three bytes that are no character yet.
            Some(last) if std::str::from_utf8(last.invalid()).is_err_and(|error| error.error_len().is_none()) => {
                self.begun.len() - last.invalid().len()
            }
            _ => self.begun.len(),
        };
        let rest = self.begun.split_off(cut);
        plain(&std::mem::replace(&mut self.begun, rest))
    }

    /// What there is to show of a character that does not come to its end.
    pub fn end(&mut self) -> String {
        plain(&std::mem::take(&mut self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        let hostile =
            "a\x1b]0;title\x07b\r\x7f\u{9b}2J\u{202e}c\u{202a}\u{2066}\u{2069}\u{200e}\u{200f}d\te\n\u{e9}\u{2026}";
        assert_eq!(plain(hostile.as_bytes()), "a?]0;title?b???2J?c?????d?e\n\u{e9}\u{2026}");
        assert_eq!(plain_line(b"one\ntwo\x1bc"), "one?two?c");
    }

    #[test]
    fn a_character_that_comes_in_two_pieces_is_one() {
        let text = "\u{1f41f} \u{2026}\u{202e}\u{9b}x".as_bytes();
        for cut in 0..=text.len() {
            let mut pieces = Pieces::default();
            let (first, second) = text.split_at(cut);
            let shown = pieces.take(first) + &pieces.take(second) + &pieces.end();
            assert_eq!(shown, "\u{1f41f} \u{2026}??x", "cut at {cut}");
        }
        let mut pieces = Pieces::default();
        assert_eq!(pieces.take(b"a\xff\xe2\x80"), "a\u{fffd}");
        assert_eq!((pieces.end().as_str(), pieces.end().as_str()), ("\u{fffd}", ""));
    }
}
