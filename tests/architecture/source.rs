//! Reading Rust source as far as the rules need it: what is code and what is comment, which parts are tests, which
//! paths are named, where functions and unsafe blocks begin and end.

use std::collections::BTreeSet;

/// One source file. Lines are counted from 0 inside, from 1 when told.
pub struct Source {
    /// The text with comments, strings and characters blanked; line breaks stay.
    code: Vec<char>,
    /// The text of the comments, line by line.
    pub comments: Vec<String>,
    pub tokens: Vec<Token>,
    /// Lines within `#[cfg(test)]` items.
    test_lines: BTreeSet<usize>,
    /// Modules declared as `#[cfg(test)] mod name;`: their files are tests.
    pub test_modules: Vec<String>,
}

/// A word or a mark (`::` is one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// A function with a body: from the line of `fn` to that of the closing brace.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// `extern fn`: called from outside.
    pub is_extern: bool,
    pub first: usize,
    pub last: usize,
}

impl Function {
    pub fn lines(&self) -> usize {
        self.last - self.first + 1
    }
}

impl Source {
    pub fn new(text: &str) -> Self {
        let (code, comments) = split(text);
        let tokens = tokens(&code);
        let mut source = Self { code, comments, tokens, test_lines: BTreeSet::new(), test_modules: Vec::new() };
        source.find_tests();
        source
    }

    pub fn is_test(&self, line: usize) -> bool {
        self.test_lines.contains(&line)
    }

    fn text(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    fn matches(&self, at: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(n, text)| self.text(at + n) == *text)
    }

    /// The index of the token that closes the bracket at `open`.
    fn closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..self.tokens.len() {
            match self.text(at) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return at;
            }
        }
        self.tokens.len().saturating_sub(1)
    }

    /// The index of the `;` or of the closing brace that ends the item at `start`.
    fn end_of_item(&self, start: usize) -> usize {
        let mut at = start;
        while at < self.tokens.len() {
            match self.text(at) {
                ";" => return at,
                "{" => return self.closing(at),
                "(" | "[" => at = self.closing(at),
                _ => {}
            }
            at += 1;
        }
        self.tokens.len().saturating_sub(1)
    }

    fn find_tests(&mut self) {
        for at in 0..self.tokens.len() {
            if !self.matches(at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
                continue;
            }
            let mut item = at + 7;
            while self.matches(item, &["#", "["]) {
                item = self.closing(item + 1) + 1;
            }
            let end = self.end_of_item(item);
            if let Some(name) = (item..end).find(|&word| self.text(word) == "mod")
                && self.text(end) == ";"
            {
                self.test_modules.push(self.text(name + 1).to_owned());
            }
            self.test_lines.extend(self.tokens[at].line..=self.tokens[end].line);
        }
    }

    /// Every path named in the code, with `use a::{b, c::d}` taken apart.
    pub fn paths(&self) -> Vec<(usize, Vec<String>)> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            let inside = at > 0 && self.text(at - 1) == "::";
            if self.tokens[at].is_word() && !inside && self.text(at + 1) == "::" {
                self.walk(at, &mut Vec::new(), &mut found);
            }
            at += 1;
        }
        found
    }

    /// Reads the path (or tree of paths) at `at`; returns the index after it.
    fn walk(&self, mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<(usize, Vec<String>)>) -> usize {
        let before = prefix.len();
        loop {
            if self.text(at) == "{" {
                let end = self.closing(at);
                at += 1;
                while at < end {
                    let next = self.walk(at, prefix, found);
                    at = (next..end).find(|&mark| self.text(mark) == ",").unwrap_or(end) + 1;
                }
                at = end + 1;
                break;
            }
            let Some(token) = self.tokens.get(at) else { break };
            prefix.push(token.text.clone());
            at += 1;
            let goes_on =
                self.text(at) == "::" && (self.text(at + 1) == "{" || self.text(at + 1) == "*" || self.word(at + 1));
            if !goes_on {
                found.push((token.line, prefix.clone()));
                break;
            }
            at += 1;
        }
        prefix.truncate(before);
        at
    }

    fn word(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(Token::is_word)
    }

    pub fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in 0..self.tokens.len() {
            // `fn(` is a type.
            if self.text(at) != "fn" || !self.word(at + 1) {
                continue;
            }
            let end = self.end_of_item(at);
            if self.text(end) == "}" {
                let name = self.text(at + 1).to_owned();
                let is_extern = at > 0 && self.text(at - 1) == "extern";
                found.push(Function { name, is_extern, first: self.tokens[at].line, last: self.tokens[end].line });
            }
        }
        found
    }

    /// Lines with the word `unsafe`.
    pub fn unsafe_lines(&self) -> Vec<usize> {
        self.tokens.iter().filter(|token| token.text == "unsafe").map(|token| token.line).collect()
    }

    /// Lines of unsafe blocks and implementations that have no SAFETY comment before or in them.
    pub fn unexplained_unsafe(&self) -> Vec<usize> {
        let is_unsafe = |&at: &usize| self.text(at) == "unsafe" && matches!(self.text(at + 1), "{" | "impl");
        let blocks = (0..self.tokens.len()).filter(is_unsafe);
        blocks
            .filter_map(|at| {
                let line = self.tokens[at].line;
                let last = self.tokens[self.end_of_item(at)].line;
                let first = self.first_comment_before(line);
                let explained = self.comments[first..=last].iter().any(|comment| comment.contains("SAFETY"));
                (!explained).then_some(line)
            })
            .collect()
    }

    /// The first line of the comments that stand before the statement on `line`.
    fn first_comment_before(&self, line: usize) -> usize {
        let code: Vec<String> = self.code.split(|c| *c == '\n').map(|line| line.iter().collect()).collect();
        let ends = |text: &str| text.trim_end().ends_with([';', '{', '}', ',']);
        let is_attribute = |text: &str| text.trim().starts_with("#[");
        let mut first = line;
        while first > 0 {
            let above = &code[first - 1];
            let blank = above.trim().is_empty();
            if blank && self.comments[first - 1].is_empty() || !blank && ends(above) && !is_attribute(above) {
                break;
            }
            first -= 1;
        }
        first
    }
}

/// Takes code and comments apart. What is a string or a character in code becomes blanks.
fn split(text: &str) -> (Vec<char>, Vec<String>) {
    let chars: Vec<char> = text.chars().collect();
    let mut code = Vec::with_capacity(chars.len());
    let mut comments = vec![String::new()];
    let mut at = 0;
    while at < chars.len() {
        let after_word = at > 0 && is_word(chars[at - 1]);
        let (end, is_comment) = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => (find(&chars, at, &['\n']), true),
            ('/', Some('*')) => (end_of_block_comment(&chars, at), true),
            ('"', _) => (end_of_string(&chars, at), false),
            ('\'', _) => (end_of_char(&chars, at), false),
            ('r' | 'b' | 'c', _) if !after_word => (end_of_prefixed(&chars, at), false),
            _ => (at + 1, false),
        };
        let blank = is_comment || end > at + 1;
        for &c in &chars[at..end] {
            code.push(if blank && c != '\n' { ' ' } else { c });
            match c {
                '\n' => comments.push(String::new()),
                _ if is_comment => comments.last_mut().expect("never empty").push(c),
                _ => {}
            }
        }
        at = end;
    }
    (code, comments)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The index of `pattern` from `at` on, or the end.
fn find(chars: &[char], at: usize, pattern: &[char]) -> usize {
    chars[at..].windows(pattern.len()).position(|window| window == pattern).map_or(chars.len(), |n| at + n)
}

fn end_of_block_comment(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => depth += 1,
            ('*', Some('/')) => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// A character, or only the mark of a lifetime.
fn end_of_char(chars: &[char], start: usize) -> usize {
    if chars.get(start + 1) == Some(&'\\') {
        (find(chars, start + 3, &['\'']) + 1).min(chars.len())
    } else if chars.get(start + 2) == Some(&'\'') {
        start + 3
    } else {
        start + 1
    }
}

/// A string or character with a prefix (`r#""#`, `b""`, `br""`, `c""`, `b'x'`), or only one letter of code.
fn end_of_prefixed(chars: &[char], start: usize) -> usize {
    let prefix = chars[start..].iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let hashes = chars[start + prefix..].iter().take_while(|c| **c == '#').count();
    let open = start + prefix + hashes;
    let raw = chars[start..start + prefix].contains(&'r');
    match chars.get(open) {
        Some('"') if raw => {
            let mut close = vec!['"'];
            close.resize(hashes + 1, '#');
            (find(chars, open + 1, &close) + close.len()).min(chars.len())
        }
        Some('"') if hashes == 0 => end_of_string(chars, open),
        Some('\'') if hashes == 0 && prefix == 1 && chars[start] == 'b' => end_of_char(chars, open),
        _ => start + 1,
    }
}

fn tokens(code: &[char]) -> Vec<Token> {
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 0);
    while at < code.len() {
        let length = match code[at] {
            c if is_word(c) => code[at..].iter().take_while(|c| is_word(**c)).count(),
            ':' if code.get(at + 1) == Some(&':') => 2,
            _ => 1,
        };
        if !code[at].is_whitespace() {
            found.push(Token { text: code[at..at + length].iter().collect(), line });
        }
        line += usize::from(code[at] == '\n');
        at += length;
    }
    found
}
