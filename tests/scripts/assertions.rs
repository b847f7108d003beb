//! Code blocks: lines of Python's `assert`, on what TCP_INFO tells. Names that are not known are errors.

use sockeye::tcp::info::Info;
use std::collections::BTreeMap;

/// A value of the little language.
#[derive(Copy, Clone, Debug, PartialEq)]
pub enum Value {
    Int(i128),
    Float(f64),
    Bool(bool),
}

impl Value {
    fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
            Self::Bool(is) => f64::from(u8::from(is)),
        }
    }

    fn int(self) -> Result<i128, String> {
        match self {
            Self::Int(int) => Ok(int),
            Self::Bool(is) => Ok(is.into()),
            Self::Float(_) => Err("a whole number is needed".into()),
        }
    }

    fn is_true(self) -> bool {
        self.float() != 0.0
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => write!(f, "{float}"),
            Self::Bool(is) => f.write_str(if *is { "True" } else { "False" }),
        }
    }
}

macro_rules! fields {
    ($($name:ident)*) => {
        fn field(info: &Info, name: &str) -> Option<Value> {
            match name {
                $(concat!("tcpi_", stringify!($name)) => Some(Value::Int(info.$name.into())),)*
                "tcpi_snd_wscale" => Some(Value::Int((info.wscale & 15).into())),
                "tcpi_rcv_wscale" => Some(Value::Int((info.wscale >> 4).into())),
                "tcpi_ecn_mode" => Some(Value::Int((info.ecn & 3).into())),
                "tcpi_accecn_opt_seen" => Some(Value::Int((info.ecn >> 2 & 3).into())),
                "tcpi_accecn_fail_mode" => Some(Value::Int((info.ecn >> 4 & 15).into())),
                "tcpi_options2" => Some(Value::Int((info.ecn >> 8).into())),
                "tcpi_delivery_rate_app_limited" => Some(Value::Int((info.flags & 1).into())),
                "tcpi_fastopen_client_fail" => Some(Value::Int((info.flags >> 1 & 3).into())),
                _ => None,
            }
        }
    };
}

fields! {
    state ca_state retransmits probes backoff options rto ato snd_mss rcv_mss unacked sacked lost retrans fackets
    last_data_sent last_ack_sent last_data_recv last_ack_recv pmtu rcv_ssthresh rtt rttvar snd_ssthresh snd_cwnd advmss
    reordering rcv_rtt rcv_space total_retrans pacing_rate max_pacing_rate bytes_acked bytes_received segs_out segs_in
    notsent_bytes min_rtt data_segs_in data_segs_out delivery_rate busy_time rwnd_limited sndbuf_limited delivered
    delivered_ce bytes_sent bytes_retrans dsack_dups reord_seen rcv_ooopack snd_wnd rcv_wnd rehash total_rto
    total_rto_recoveries total_rto_time received_ce delivered_e1_bytes delivered_e0_bytes delivered_ce_bytes
    received_e1_bytes received_e0_bytes received_ce_bytes
}

/// linux/tcp.h and net/tcp_states.h.
const CONSTANTS: [(&str, i128); 36] = [
    ("TCPI_ECN_MODE_DISABLED", 0),
    ("TCPI_ECN_MODE_RFC3168", 1),
    ("TCPI_ECN_MODE_ACCECN", 2),
    ("TCPI_ECN_MODE_PENDING", 3),
    ("TCP_ACCECN_OPT_NOT_SEEN", 0),
    ("TCP_ACCECN_OPT_EMPTY_SEEN", 1),
    ("TCP_ACCECN_OPT_COUNTER_SEEN", 2),
    ("TCP_ACCECN_OPT_FAIL_SEEN", 3),
    ("TCP_ACCECN_ACE_FAIL_SEND", 1),
    ("TCP_ACCECN_ACE_FAIL_RECV", 2),
    ("TCP_ACCECN_OPT_FAIL_SEND", 4),
    ("TCP_ACCECN_OPT_FAIL_RECV", 8),
    ("TCPI_OPT_TIMESTAMPS", 1),
    ("TCPI_OPT_SACK", 2),
    ("TCPI_OPT_WSCALE", 4),
    ("TCPI_OPT_ECN", 8),
    ("TCPI_OPT_ECN_SEEN", 16),
    ("TCPI_OPT_SYN_DATA", 32),
    ("TCP_CA_Open", 0),
    ("TCP_CA_Disorder", 1),
    ("TCP_CA_CWR", 2),
    ("TCP_CA_Recovery", 3),
    ("TCP_CA_Loss", 4),
    ("TCP_ESTABLISHED", 1),
    ("TCP_SYN_SENT", 2),
    ("TCP_SYN_RECV", 3),
    ("TCP_FIN_WAIT1", 4),
    ("TCP_FIN_WAIT2", 5),
    ("TCP_TIME_WAIT", 6),
    ("TCP_CLOSE", 7),
    ("TCP_CLOSE_WAIT", 8),
    ("TCP_LAST_ACK", 9),
    ("TCP_LISTEN", 10),
    ("TCP_CLOSING", 11),
    ("TCP_INFINITE_SSTHRESH", 0x7fff_ffff),
    ("None", 0),
];

/// Runs a code block; `names` are those that blocks before it have given values. The error says which assertion does
/// not hold, with the values of its names.
pub fn run(code: &str, info: &Info, names: &mut BTreeMap<String, Value>) -> Result<(), String> {
    for line in statements(code) {
        run_one(&line, info, names)
            .map_err(|why| if why.starts_with("expected") { why } else { format!("`{line}`: {why}") })?;
    }
    Ok(())
}

fn run_one(line: &str, info: &Info, names: &mut BTreeMap<String, Value>) -> Result<(), String> {
    // What a block prints is for those who watch.
    if line.starts_with("print") {
        return Ok(());
    }
    let Some(rest) = line.strip_prefix("assert").filter(|rest| rest.starts_with([' ', '('])) else {
        return assign(line, info, names);
    };
    let mut expr = Expr { tokens: tokens(rest)?, at: 0, info, names, seen: Vec::new() };
    let value = expr.or()?;
    // What comes behind a comma is the message; what is read is told anyhow.
    if !matches!(expr.peek(), None | Some(Token::Sign(","))) {
        return Err("what follows the expression is not understood".into());
    }
    if value.is_true() {
        return Ok(());
    }
    let seen: Vec<_> = expr.seen.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    Err(format!("expected  {line}\nactual    {}", seen.join(", ")))
}

/// `name = expression` or `name += expression`.
fn assign(line: &str, info: &Info, names: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let tokens = tokens(line)?;
    let (name, sign, rest) = match tokens.as_slice() {
        [Token::Name(name), Token::Sign("="), rest @ ..] => (name.clone(), None, rest),
        [Token::Name(name), Token::Sign(sign @ ("+" | "-" | "*")), Token::Sign("="), rest @ ..] => {
            (name.clone(), Some(*sign), rest)
        }
        _ => return Err("only assertions are known, and names that are given values".into()),
    };
    let mut expr = Expr { tokens: rest.to_vec(), at: 0, info, names, seen: Vec::new() };
    let mut value = expr.or()?;
    if expr.peek().is_some() {
        return Err("what follows the expression is not understood".into());
    }
    if let Some(sign) = sign {
        value = operate(expr.name(name.clone())?, sign, value)?;
    }
    names.insert(name, value);
    Ok(())
}

/// Lines, or parts of lines between semicolons; an open parenthesis joins lines.
fn statements(code: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let (mut depth, mut in_text) = (0, false);
    for line in code.lines() {
        let line = line.split('#').next().unwrap_or_default().trim_end().trim_end_matches('\\');
        for c in line.chars() {
            match c {
                '"' | '\'' => in_text = !in_text,
                '(' if !in_text => depth += 1,
                ')' if !in_text => depth -= 1,
                _ => {}
            }
            match (c, statements.last_mut()) {
                (';', _) if !in_text => statements.push(String::new()),
                (c, Some(last)) => last.push(c),
                _ => {}
            }
        }
        if depth <= 0 {
            statements.push(String::new());
        }
    }
    statements.iter().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(Value),
    Name(String),
    Text,
    Sign(&'static str),
}

const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "<<", ">>", "//", "<", ">", "+", "-", "*", "/", "%", "(", ")", "&", "|", "^", "~", ",",
    "=", "[", "]",
];

fn tokens(mut text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else { return Ok(tokens) };
        let len = match first {
            '0'..='9' => {
                let len = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(text.len());
                tokens.push(Token::Number(number(&text[..len])?));
                len
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let len = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
                tokens.push(Token::Name(text[..len].to_owned()));
                len
            }
            '"' | '\'' => {
                tokens.push(Token::Text);
                text[1..].find(first).ok_or("a text without an end")? + 2
            }
            _ => {
                let sign =
                    SIGNS.iter().find(|sign| text.starts_with(**sign)).ok_or(format!("`{first}` is not known"))?;
                tokens.push(Token::Sign(sign));
                sign.len()
            }
        };
        text = &text[len..];
    }
}

fn number(text: &str) -> Result<Value, String> {
    let hex = text.strip_prefix("0x").map(|hex| i128::from_str_radix(hex, 16).map(Value::Int).ok());
    let value =
        hex.unwrap_or_else(|| text.parse().map(Value::Int).ok().or_else(|| text.parse().map(Value::Float).ok()));
    value.ok_or_else(|| format!("`{text}` is no number"))
}

/// Descends an expression and computes it, with Python's order of operators.
struct Expr<'a> {
    tokens: Vec<Token>,
    at: usize,
    info: &'a Info,
    names: &'a BTreeMap<String, Value>,
    /// Names that were looked up.
    seen: Vec<(String, Value)>,
}

type Computed = Result<Value, String>;

impl Expr<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let Some(Token::Sign(found)) = self.peek() else { return None };
        let sign = signs.iter().find(|sign| *sign == found)?;
        self.at += 1;
        Some(sign)
    }

    fn take_name(&mut self, name: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Name(found)) if found == name);
        self.at += usize::from(is);
        is
    }

    // Both sides are computed: there is nothing in them that could go wrong only sometimes.
    fn or(&mut self) -> Computed {
        let mut value = self.and()?;
        while self.take_name("or") {
            let other = self.and()?;
            value = if value.is_true() { value } else { other };
        }
        Ok(value)
    }

    fn and(&mut self) -> Computed {
        let mut value = self.not()?;
        while self.take_name("and") {
            let other = self.not()?;
            value = if value.is_true() { other } else { value };
        }
        Ok(value)
    }

    fn not(&mut self) -> Computed {
        if self.take_name("not") { Ok(Value::Bool(!self.not()?.is_true())) } else { self.comparison() }
    }

    /// Comparisons chain: `1 <= a < 3`.
    fn comparison(&mut self) -> Computed {
        let mut left = self.bits(0)?;
        let mut verdict = None;
        while let Some(sign) = self.take(&["==", "!=", "<=", ">=", "<", ">"]) {
            let right = self.bits(0)?;
            let order = left.float().partial_cmp(&right.float()).ok_or("not to be compared")?;
            let order = if let (Value::Int(a), Value::Int(b)) = (left, right) { a.cmp(&b) } else { order };
            let holds = match sign {
                "==" => order.is_eq(),
                "!=" => order.is_ne(),
                "<=" => order.is_le(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                _ => order.is_gt(),
            };
            verdict = Some(verdict.unwrap_or(true) && holds);
            left = right;
        }
        Ok(verdict.map_or(left, Value::Bool))
    }

    /// Binary operators from the weakest level up.
    fn bits(&mut self, level: usize) -> Computed {
        const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//", "/", "%"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.bits(level + 1)?;
        while let Some(sign) = self.take(signs) {
            let right = self.bits(level + 1)?;
            left = operate(left, sign, right)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Computed {
        match self.take(&["-", "+", "~"]) {
            Some("-") => match self.unary()? {
                Value::Float(float) => Ok(Value::Float(-float)),
                other => Ok(Value::Int(-other.int()?)),
            },
            Some("~") => Ok(Value::Int(!self.unary()?.int()?)),
            Some(_) => self.unary(),
            None => self.atom(),
        }
    }

    fn atom(&mut self) -> Computed {
        let token = self.peek().cloned().ok_or("something is missing")?;
        self.at += 1;
        match token {
            Token::Number(value) => Ok(value),
            Token::Sign("(") => {
                let value = self.or()?;
                self.close()?;
                Ok(value)
            }
            Token::Name(name) if matches!(self.peek(), Some(Token::Sign("("))) => self.function(&name),
            Token::Name(name) => self.name(name),
            Token::Sign(sign) => Err(format!("`{sign}` is not expected")),
            Token::Text => Err("a text is not expected".into()),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        self.take(&[")"]).map(|_| ()).ok_or_else(|| "a parenthesis is missing".into())
    }

    fn name(&mut self, name: String) -> Computed {
        match name.as_str() {
            "True" => return Ok(Value::Bool(true)),
            "False" => return Ok(Value::Bool(false)),
            _ => {}
        }
        if let Some((_, value)) = CONSTANTS.iter().find(|(known, _)| *known == name) {
            return Ok(Value::Int(*value));
        }
        let given = self.names.get(&name).copied();
        let value = given.or_else(|| field(self.info, &name)).ok_or_else(|| format!("`{name}` is not known"))?;
        if !self.seen.iter().any(|(seen, _)| *seen == name) {
            self.seen.push((name, value));
        }
        Ok(value)
    }

    fn function(&mut self, name: &str) -> Computed {
        self.at += 1;
        let mut args = vec![self.or()?];
        while self.take(&[","]).is_some() {
            args.push(self.or()?);
        }
        self.close()?;
        let least = |less: bool| {
            args.iter()
                .copied()
                .reduce(|a, b| if (b.float() < a.float()) == less { b } else { a })
                .ok_or_else(String::new)
        };
        match (name, args.as_slice()) {
            ("abs", [Value::Float(float)]) => Ok(Value::Float(float.abs())),
            ("abs", [value]) => Ok(Value::Int(value.int()?.abs())),
            ("int", [value]) => Ok(Value::Int(value.float() as i128)),
            ("float", [value]) => Ok(Value::Float(value.float())),
            ("min", _) => least(true),
            ("max", _) => least(false),
            _ => Err(format!("`{name}` is no function of {} values", args.len())),
        }
    }
}

fn operate(left: Value, sign: &str, right: Value) -> Computed {
    let whole = !matches!(left, Value::Float(_)) && !matches!(right, Value::Float(_));
    if whole && sign != "/" {
        let (a, b) = (left.int()?, right.int()?);
        let value = match sign {
            "|" => Some(a | b),
            "^" => Some(a ^ b),
            "&" => Some(a & b),
            "<<" => u32::try_from(b).ok().and_then(|b| a.checked_shl(b)),
            ">>" => u32::try_from(b).ok().and_then(|b| a.checked_shr(b)),
            "+" => a.checked_add(b),
            "-" => a.checked_sub(b),
            "*" => a.checked_mul(b),
            "//" => a.checked_div_euclid(b),
            _ => a.checked_rem_euclid(b),
        };
        return value.map(Value::Int).ok_or_else(|| format!("{a} {sign} {b} has no value"));
    }
    let (a, b) = (left.float(), right.float());
    match sign {
        "+" => Ok(Value::Float(a + b)),
        "-" => Ok(Value::Float(a - b)),
        "*" => Ok(Value::Float(a * b)),
        "/" if b != 0.0 => Ok(Value::Float(a / b)),
        "//" if b != 0.0 => Ok(Value::Float((a / b).floor())),
        _ => Err(format!("{left} {sign} {right} has no value")),
    }
}
