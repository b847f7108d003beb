//! From tokens to events. What the language does not have is an error with its line.

use super::{
    lexer::{Fault, Kind, Token, tokens},
    names,
    script::{Action, Base, Call, Event, Expr, Outcome, When},
};

/// A parsed script.
#[derive(Debug)]
pub struct Script {
    /// `--name=value` lines at the top.
    pub options: Vec<(usize, String, String)>,
    pub events: Vec<Event>,
}

pub struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

/// Reads a script.
pub fn parse(text: &str) -> Result<Script, Fault> {
    let (options, body, first_line) = split_options(text)?;
    let mut parser = Parser { text: body, tokens: tokens(body, first_line)?, at: 0 };
    let mut events = Vec::new();
    while *parser.peek() != Kind::End {
        events.push(parser.event()?);
    }
    if events.is_empty() {
        return Err(Fault { line: first_line, what: "the script has no events".into() });
    }
    Ok(Script { options, events })
}

type Options = Vec<(usize, String, String)>;

/// Options stand on lines of their own, before everything but comments.
fn split_options(text: &str) -> Result<(Options, &str, usize), Fault> {
    let (mut options, mut at) = (Vec::new(), 0);
    let mut line_number = 1;
    for line in text.split_inclusive('\n') {
        let words = line.split("//").next().unwrap_or_default().trim();
        if !words.is_empty() && !words.starts_with("--") {
            break;
        }
        for word in words.split_whitespace() {
            let parts = word.strip_prefix("--").and_then(|word| word.split_once('='));
            let Some((name, value)) = parts else {
                return Err(Fault { line: line_number, what: format!("`{word}` is no option: --name=value") });
            };
            options.push((line_number, name.to_owned(), value.to_owned()));
        }
        at += line.len();
        line_number += 1;
    }
    Ok((options, &text[at..], line_number))
}

impl Parser<'_> {
    pub fn peek(&self) -> &Kind {
        &self.tokens[self.at].kind
    }

    pub fn peek_second(&self) -> &Kind {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].kind
    }

    /// Whether the next two tokens have nothing between them.
    pub fn is_joined(&self) -> bool {
        self.at + 1 < self.tokens.len() && self.tokens[self.at].end == self.tokens[self.at + 1].start
    }

    /// The next token as the script writes it.
    pub fn source(&self) -> &str {
        &self.text[self.tokens[self.at].start..self.tokens[self.at].end]
    }

    pub fn next(&mut self) -> Kind {
        let kind = self.tokens[self.at].kind.clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        kind
    }

    pub fn line(&self) -> usize {
        self.tokens[self.at].line
    }

    /// Something is wrong with what was read last.
    pub fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { line: self.tokens[self.at.saturating_sub(1)].line, what: what.into() })
    }

    fn expected<T>(&self, what: &str) -> Result<T, Fault> {
        Err(Fault { line: self.line(), what: format!("expected {what}, found {}", self.peek()) })
    }

    pub fn is_sign(&self, sign: char) -> bool {
        *self.peek() == Kind::Sign(sign)
    }

    pub fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(found) if found == word)
    }

    pub fn take_sign(&mut self, sign: char) -> bool {
        let is = self.is_sign(sign);
        if is {
            self.next();
        }
        is
    }

    pub fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.next();
        }
        is
    }

    pub fn sign(&mut self, sign: char) -> Result<(), Fault> {
        if self.take_sign(sign) { Ok(()) } else { self.expected(&format!("`{sign}`")) }
    }

    pub fn word(&mut self, what: &str) -> Result<String, Fault> {
        match self.peek().clone() {
            Kind::Word(word) => {
                self.next();
                Ok(word)
            }
            _ => self.expected(what),
        }
    }

    /// A number that a field of the type can hold.
    pub fn number<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T, Fault> {
        match *self.peek() {
            Kind::Int(value) => match T::try_from(value) {
                Ok(number) => {
                    self.next();
                    Ok(number)
                }
                Err(_) => self.fault(format!("{value} is out of range for {what}")),
            },
            _ => self.expected(what),
        }
    }

    fn event(&mut self) -> Result<Event, Fault> {
        let (line, start) = (self.line(), self.tokens[self.at].start);
        // What is set up before everything and put back at the end needs no time.
        let is_bare = matches!(self.peek(), Kind::Command(_));
        let when = if is_bare { When { base: Base::Before, from: 0, to: 0, until: None } } else { self.when()? };
        let action = match self.peek().clone() {
            Kind::Sign('<') => {
                self.next();
                Action::Inbound(self.packet(true)?)
            }
            Kind::Sign('>') => {
                self.next();
                Action::Outbound(self.packet(false)?)
            }
            Kind::Command(command) => {
                self.next();
                Action::Command(command)
            }
            Kind::Code(code) => {
                self.next();
                Action::Code(code)
            }
            Kind::Word(name) => {
                self.next();
                Action::Call(self.call(name)?)
            }
            _ => return self.expected("a packet, a call, a command or a code block"),
        };
        if when.base == Base::Any && !matches!(action, Action::Outbound(_)) {
            return Err(Fault { line, what: "only packets the stack sends can come at any time".into() });
        }
        if when.until.is_some() && !matches!(action, Action::Call(_)) {
            return Err(Fault { line, what: "only calls can take time".into() });
        }
        if when.to != when.from && !matches!(action, Action::Outbound(_)) {
            return Err(Fault { line, what: "only packets the stack sends can come within a range of times".into() });
        }
        let end = self.tokens[self.at - 1].end;
        let text = self.text[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Event { line, text, when, action })
    }

    /// `0.1`, `+0.1`, `0.1~0.2`, `+0.1~+0.2`, `0.1...0.2`, `*`.
    fn when(&mut self) -> Result<When, Fault> {
        if self.take_sign('*') {
            return Ok(When { base: Base::Any, from: 0, to: 0, until: None });
        }
        let (base, from) = self.time()?;
        let mut when = When { base, from, to: from, until: None };
        if self.take_sign('~') {
            let (end, to) = self.time()?;
            if end != base {
                return self.fault("both ends of a range count from the same time");
            }
            when.to = to;
        } else if *self.peek() == Kind::Dots {
            self.next();
            // The time of return counts from where the start counts from, with or without a plus.
            let (end, until) = self.time()?;
            if end == Base::Before && base == Base::Start {
                return self.fault("a call at an absolute time returns at one");
            }
            when.until = Some(until);
        }
        if when.to < from || when.until.is_some_and(|until| until < from) {
            return self.fault("the end lies before the start");
        }
        Ok(when)
    }

    fn time(&mut self) -> Result<(Base, i64), Fault> {
        let base = if self.take_sign('+') { Base::Before } else { Base::Start };
        match *self.peek() {
            Kind::Int(seconds) if (0..=9_000_000_000).contains(&seconds) => {
                self.next();
                Ok((base, seconds * 1_000_000_000))
            }
            Kind::Decimal(nanos) => {
                self.next();
                Ok((base, nanos))
            }
            _ => self.expected("a time"),
        }
    }

    fn call(&mut self, name: String) -> Result<Call, Fault> {
        let args = self.arguments()?;
        self.sign('=')?;
        let result = self.result()?;
        Ok(Call { name, args, result })
    }

    fn arguments(&mut self) -> Result<Vec<Expr>, Fault> {
        self.sign('(')?;
        self.list(')')
    }

    fn list(&mut self, close: char) -> Result<Vec<Expr>, Fault> {
        let mut items = Vec::new();
        if self.take_sign(close) {
            return Ok(items);
        }
        loop {
            items.push(self.expr()?);
            if self.take_sign(close) {
                return Ok(items);
            }
            self.sign(',')?;
        }
    }

    /// `3`, `0x2 (flags O_RDWR)`, `-1 EAGAIN (Resource temporarily unavailable)`, `...`.
    fn result(&mut self) -> Result<Outcome, Fault> {
        if *self.peek() == Kind::Dots {
            self.next();
            return Ok(Outcome::Any);
        }
        let Expr::Int(value, _) = self.expr()? else { return self.fault("a call returns a number") };
        let name = match self.peek().clone() {
            Kind::Word(name) if names::errno(&name).is_some() => {
                self.next();
                Some(name)
            }
            _ => None,
        };
        let Some(name) = name else {
            if self.is_sign('(') {
                self.flags_note(value)?;
            }
            return Ok(Outcome::Value(value));
        };
        let errno = names::errno(&name).unwrap_or_default();
        if value != -1 {
            return self.fault(format!("a call that fails returns -1, not {value}"));
        }
        if self.is_sign('(') {
            let note = self.note()?;
            if note != names::errno_text(errno) {
                return self.fault(format!("{name} is called \"{}\", not \"{note}\"", names::errno_text(errno)));
            }
        }
        Ok(Outcome::Errno(errno))
    }

    /// `(flags O_RDWR|O_NONBLOCK)` behind what fcntl returned.
    fn flags_note(&mut self, value: i64) -> Result<(), Fault> {
        self.sign('(')?;
        if !self.take_word("flags") {
            return self.expected("`flags`");
        }
        match self.expr()? {
            Expr::Int(flags, text) if flags != value => self.fault(format!("{text} is {flags:#x}, not {value:#x}")),
            Expr::Int(..) => self.sign(')'),
            _ => self.fault("flags are a number"),
        }
    }

    /// The text between parentheses.
    fn note(&mut self) -> Result<String, Fault> {
        self.sign('(')?;
        let (start, line) = (self.tokens[self.at].start, self.line());
        while !self.is_sign(')') {
            if *self.peek() == Kind::End || self.line() != line {
                return self.fault("the note has no end");
            }
            self.next();
        }
        let note = self.text[start..self.tokens[self.at].start].trim().to_owned();
        self.sign(')')?;
        Ok(note)
    }

    /// Terms joined by `|`.
    fn expr(&mut self) -> Result<Expr, Fault> {
        let mut expr = self.term()?;
        while self.take_sign('|') {
            expr = match (expr, self.term()?) {
                (Expr::Int(a, x), Expr::Int(b, y)) => Expr::Int(a | b, format!("{x}|{y}")),
                _ => return self.fault("only numbers can be joined by `|`"),
            };
        }
        Ok(expr)
    }

    fn term(&mut self) -> Result<Expr, Fault> {
        match self.next() {
            Kind::Int(value) => Ok(Expr::int(value)),
            Kind::Text(text) => Ok(Expr::Text(text)),
            Kind::Dots => Ok(Expr::Any),
            Kind::Sign('-') => self.number("a number").map(|value: i64| Expr::int(-value)),
            Kind::Sign('[') => self.list(']').map(Expr::List),
            Kind::Sign('{') => self.fields().map(Expr::Struct),
            Kind::Word(name) if self.is_sign('(') => Ok(Expr::Apply(name, self.arguments()?)),
            Kind::Word(name) => match names::constant(&name) {
                Some(value) => Ok(Expr::Int(value, name)),
                None => self.fault(format!("`{name}` is not known")),
            },
            _ => {
                self.at -= 1;
                self.expected("a value")
            }
        }
    }

    /// `name=value` pairs; a name may have a length behind it: `msg_iov(1)=[...]`.
    fn fields(&mut self) -> Result<Vec<(String, Expr)>, Fault> {
        let mut fields = Vec::new();
        while !self.take_sign('}') {
            if !fields.is_empty() {
                self.sign(',')?;
            }
            if fields.is_empty() && matches!(self.peek(), Kind::Dots) {
                // An I/O vector's element: {address, length}.
                self.next();
                self.sign(',')?;
                fields.push(("base".to_owned(), Expr::Any));
                fields.push(("len".to_owned(), self.expr()?));
                continue;
            }
            let name = self.word("the name of a field")?;
            if self.is_sign('(') {
                self.arguments()?;
            }
            self.sign('=')?;
            fields.push((name, self.expr()?));
        }
        Ok(fields)
    }
}
