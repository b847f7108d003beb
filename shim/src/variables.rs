//! The variables of the environment that a program's library and the programs that start it read alike: which values
//! each may have. (Those that describe a stack are its host's to judge.)

use crate::{format::token_from_text, name::is_stack};

/// A variable, and what is said of a value it may not have.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    is_legal: fn(&[u8]) -> bool,
    /// What is wrong with any other value, and the cure.
    problem: &'static str,
    /// A wrong value is not shown.
    is_secret: bool,
}

const NAME: &str =
    "cannot be a stack's name, which has 1 to 31 letters, digits, '-', '_', '.', ':' or '@'; give another, or unset it";

/// The name of the stack that is meant.
pub const STACK: Variable = Variable { name: "SOCKEYE_STACK", is_legal: is_stack, problem: NAME, is_secret: false };
/// The stack whose host holds the tree of programs behind the fence.
pub const FENCE: Variable = Variable { name: "SOCKEYE_FENCE", is_legal: is_stack, problem: NAME, is_secret: false };
/// The right to use a stack.
pub const TOKEN: Variable = Variable {
    name: "SOCKEYE_TOKEN",
    is_legal: |value| token_from_text(value).is_some(),
    problem: "is not 32 hexadecimal digits; unset it",
    is_secret: true,
};
/// Whether the kernel's network stays open.
pub const ALLOW_KERNEL: Variable = Variable {
    name: "SOCKEYE_ALLOW_KERNEL",
    is_legal: |value| switch(value).is_some(),
    problem: "is neither on nor off; give it as SOCKEYE_ALLOW_KERNEL=1, or unset it",
    is_secret: false,
};

/// All of them.
pub const ALL: [Variable; 4] = [STACK, FENCE, TOKEN, ALLOW_KERNEL];

/// What is said of a process that is behind no fence and has [`FENCE`] set.
pub const NO_FENCE: &str =
    "SOCKEYE_FENCE: is set, and this program is behind no fence; `sockeye run` sets it, so unset it";

/// Whether a variable that is a switch is on. An empty one is as good as none, which is off.
pub fn switch(value: &[u8]) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()));
    if is_one_of(&["1", "on", "yes", "true"]) {
        Some(true)
    } else if is_one_of(&["", "0", "off", "no", "false"]) {
        Some(false)
    } else {
        None
    }
}

impl Variable {
    /// What there is to say against a value: a line that names the variable and the cure. An empty value is as good as
    /// none.
    pub fn objection(&self, value: &[u8]) -> Option<Line> {
        if value.is_empty() || (self.is_legal)(value) {
            return None;
        }
        let mut line = Line::of(&[self.name.as_bytes(), b": "]);
        if !self.is_secret {
            // Of a long one its beginning is enough to know it by.
            let (shown, rest) = value.split_at(value.len().min(40));
            line.push(&[b"`", shown, if rest.is_empty() { b"" } else { b"..." }, b"` "]);
        }
        line.push(&[self.problem.as_bytes()]);
        Some(line)
    }
}

/// A line for the user, without memory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    bytes: [u8; 256],
    len: usize,
}

impl Line {
    /// A line of these pieces, as far as they fit.
    pub fn of(pieces: &[&[u8]]) -> Self {
        let mut line = Self { bytes: [0; 256], len: 0 };
        line.push(pieces);
        line
    }

    fn push(&mut self, pieces: &[&[u8]]) {
        for byte in pieces.iter().copied().flatten() {
            if let Some(room) = self.bytes.get_mut(self.len) {
                *room = *byte;
                self.len += 1;
            }
        }
    }

    /// Its bytes, which need not be UTF-8: they show what was given.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::STACK_MAX;

    fn said(variable: &Variable, value: &str) -> Option<String> {
        let line = variable.objection(value.as_bytes())?;
        Some(String::from_utf8_lossy(line.as_bytes()).into_owned())
    }

    #[test]
    fn each_variable_has_values_that_are_right_and_a_line_for_others() {
        let token = "00112233445566778899aAbBcCdDeEfF";
        for (variable, right, wrong, told) in [
            (STACK, "tap-t0", "a/b", "`a/b` cannot be a stack's name, which has 1 to 31 letters, "),
            (FENCE, "null", "a b", "`a b` cannot be a stack's name, "),
            (TOKEN, token, "0123", "is not 32 hexadecimal digits; unset it"),
            (ALLOW_KERNEL, "1", "maybe", "`maybe` is neither on nor off; give it as SOCKEYE_ALLOW_KERNEL=1, "),
        ] {
            assert_eq!((said(&variable, right), said(&variable, "")), (None, None));
            let line = said(&variable, wrong).expect("it is refused");
            assert!(line.starts_with(&format!("{}: {told}", variable.name)), "{line}");
            assert!(ALL.iter().any(|listed| listed.name == variable.name));
        }
    }

    #[test]
    fn a_long_value_is_shown_in_part_and_its_cure_in_full() {
        let line = said(&STACK, &"x".repeat(STACK_MAX + 1)).expect("it is refused");
        assert!(line.contains(&format!("`{}` ", "x".repeat(STACK_MAX + 1))), "the names' limit is said: {line}");
        let line = said(&FENCE, &"y".repeat(4000)).expect("it is refused");
        assert!(line.contains(&format!("`{}...` ", "y".repeat(40))) && line.ends_with("or unset it"), "{line}");
    }

    #[test]
    fn a_switch_is_off_by_any_word_that_says_so() {
        assert!(["1", "on", "Yes", "TRUE"].iter().all(|word| switch(word.as_bytes()) == Some(true)));
        assert!(["", "0", "off", "No", "false"].iter().all(|word| switch(word.as_bytes()) == Some(false)));
        assert!(["2", "maybe", " 1"].iter().all(|word| switch(word.as_bytes()).is_none()));
    }
}
