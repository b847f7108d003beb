//! A script's text as tokens. Comments are `//`, `/* */` and `#` to the end of the line.

use std::fmt;

/// What is wrong with a script, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A name, or the flags of a segment (`S.`).
    Word(String),
    Int(i64),
    /// Seconds, in nanoseconds.
    Decimal(i64),
    Text(String),
    /// `...`
    Dots,
    Sign(char),
    /// Between backticks.
    Command(String),
    /// Between `%{` and `}%`.
    Code(String),
    End,
}

#[derive(Clone, Debug)]
pub struct Token {
    pub kind: Kind,
    pub line: usize,
    /// Place in the text, bytes.
    pub start: usize,
    pub end: usize,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "`{word}`"),
            Self::Int(int) => write!(f, "`{int}`"),
            Self::Decimal(nanos) => write!(f, "`{}`", *nanos as f64 / 1e9),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Dots => f.write_str("`...`"),
            Self::Sign(sign) => write!(f, "`{sign}`"),
            Self::Command(_) => f.write_str("a command"),
            Self::Code(_) => f.write_str("a code block"),
            Self::End => f.write_str("the end of the script"),
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

/// Takes a script apart.
pub fn tokens(text: &str, first_line: usize) -> Result<Vec<Token>, Fault> {
    let mut lexer = Lexer { text, at: 0, line: first_line };
    let mut tokens = Vec::new();
    loop {
        lexer.skip()?;
        let (start, line) = (lexer.at, lexer.line);
        let kind = lexer.token()?;
        let is_end = kind == Kind::End;
        tokens.push(Token { kind, line, start, end: lexer.at });
        if is_end {
            return Ok(tokens);
        }
    }
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fault<T>(&self, what: &str) -> Result<T, Fault> {
        Err(Fault { line: self.line, what: what.to_owned() })
    }

    fn advance(&mut self, bytes: usize) -> &'a str {
        let taken = &self.rest()[..bytes];
        self.line += taken.matches('\n').count();
        self.at += bytes;
        taken
    }

    /// Passes over white space and comments.
    fn skip(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let blank = rest.len() - rest.trim_start().len();
            if blank > 0 {
                self.advance(blank);
            } else if rest.starts_with("//") || rest.starts_with('#') {
                self.advance(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                match rest.find("*/") {
                    Some(end) => self.advance(end + 2),
                    None => return self.fault("the comment has no end"),
                };
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Kind, Fault> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Kind::End) };
        if rest.starts_with("...") {
            self.advance(3);
            return Ok(Kind::Dots);
        }
        if rest.starts_with("%{") {
            return self.until(2, "}%", "the code block has no end").map(Kind::Code);
        }
        let second_is_digit = rest[first.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        match first {
            '`' => self.until(1, "`", "the command has no end").map(Kind::Command),
            '"' => self.string(),
            '0'..='9' => self.number(),
            '.' if second_is_digit => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => Ok(self.word()),
            _ => {
                self.advance(first.len_utf8());
                Ok(Kind::Sign(first))
            }
        }
    }

    fn until(&mut self, open: usize, close: &str, missing: &str) -> Result<String, Fault> {
        let inner = &self.rest()[open..];
        let Some(len) = inner.find(close) else { return self.fault(missing) };
        self.advance(open + len + close.len());
        Ok(inner[..len].to_owned())
    }

    /// A string with C's escapes.
    fn string(&mut self) -> Result<Kind, Fault> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.advance(at + 1);
                    return Ok(Kind::Text(text));
                }
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some('0') => text.push('\0'),
                    Some('x') => {
                        let mut digit = || chars.next().and_then(|(_, c)| c.to_digit(16));
                        let (Some(high), Some(low)) = (digit(), digit()) else {
                            return self.fault("a byte in a string is two hexadecimal digits");
                        };
                        text.push(char::from((high * 16 + low) as u8));
                    }
                    Some(c @ ('"' | '\\')) => text.push(c),
                    _ => return self.fault("an escape in a string that is not known"),
                },
                c => text.push(c),
            }
        }
        self.fault("the string has no end")
    }

    fn number(&mut self) -> Result<Kind, Fault> {
        let rest = self.rest();
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let len = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            let value = u64::from_str_radix(&hex[..len], 16);
            return match value {
                Ok(value) => {
                    self.advance(2 + len);
                    Ok(Kind::Int(value as i64))
                }
                Err(_) => self.fault("not a hexadecimal number"),
            };
        }
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let whole = digits(rest);
        let fraction = rest[whole..].strip_prefix('.').map_or(0, digits);
        if fraction == 0 {
            let value = rest[..whole].parse();
            self.advance(whole);
            return value.map(Kind::Int).or_else(|_| self.fault("the number is too large"));
        }
        let seconds: i64 = if whole == 0 { 0 } else { rest[..whole].parse().unwrap_or(i64::MAX) };
        let nanos = format!("{:0<9}", &rest[whole + 1..whole + 1 + fraction]);
        let nanos = if fraction > 9 { None } else { nanos.parse::<i64>().ok() };
        let value = nanos.and_then(|nanos| seconds.checked_mul(1_000_000_000)?.checked_add(nanos));
        self.advance(whole + 1 + fraction);
        value.map(Kind::Decimal).map_or_else(|| self.fault("the number is too large or too fine"), Ok)
    }

    /// A name. Flags of a segment may have dots in between (`P.U`).
    fn word(&mut self) -> Kind {
        let rest = self.rest();
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let flags = rest.find(|c: char| !"SFRPUEWCA.".contains(c)).unwrap_or(rest.len());
        let len = if flags > len && !rest[len..].starts_with("..") { flags } else { len };
        Kind::Word(self.advance(len).to_owned())
    }
}
