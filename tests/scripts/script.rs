//! What a script says: events, each with its time.

use std::fmt;

/// When an event is to happen. Times are nanoseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct When {
    pub base: Base,
    pub from: i64,
    /// The latest time, of a range (`0.1~0.2`).
    pub to: i64,
    /// When a call that blocks is to return (`0.1...0.2`).
    pub until: Option<i64>,
}

/// What times count from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Base {
    /// The start of the script.
    Start,
    /// The event before.
    Before,
    /// `*`: whenever it comes.
    Any,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub line: usize,
    /// The event as the script has it.
    pub text: String,
    pub when: When,
    pub action: Action,
}

#[derive(Clone, Debug)]
pub enum Action {
    Call(Call),
    /// The script sends it to the stack.
    Inbound(Packet),
    /// The stack has to send it.
    Outbound(Packet),
    Command(String),
    Code(String),
}

/// A socket call.
#[derive(Clone, Debug)]
pub struct Call {
    pub name: String,
    pub args: Vec<Expr>,
    pub result: Outcome,
}

/// What a call returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Value(i64),
    Errno(i32),
    /// `...`
    Any,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A number, and how the script writes it.
    Int(i64, String),
    Text(String),
    /// `...`
    Any,
    List(Vec<Expr>),
    Struct(Vec<(String, Expr)>),
    /// `htons(8080)`
    Apply(String, Vec<Expr>),
}

impl Expr {
    pub fn int(value: i64) -> Self {
        Self::Int(value, value.to_string())
    }

    /// Whether `actual` is what this allows.
    pub fn admits(&self, actual: &Self) -> bool {
        match (self, actual) {
            (Self::Any, _) => true,
            (Self::Int(a, _), Self::Int(b, _)) => a == b,
            (Self::List(a), Self::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.admits(b)),
            (Self::Struct(a), Self::Struct(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|((a, x), (b, y))| a == b && x.admits(y))
            }
            (a, b) => a == b,
        }
    }
}

/// A packet as a script describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    pub ip: Ip,
    /// Source and destination port, if given.
    pub ports: Option<(u16, u16)>,
    pub body: Body,
}

/// What is said of the IP header in brackets in front.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Ip {
    pub ecn: Option<u8>,
    pub tos: Option<u8>,
    pub ttl: Option<u8>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    Tcp(Segment),
    /// So many bytes.
    Udp(u16),
    Icmp(Icmp),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    pub flags: u16,
    /// Relative sequence number of the first byte.
    pub seq: u32,
    pub len: u32,
    pub ack: Option<u32>,
    pub win: Option<u16>,
    pub urg: Option<u16>,
    /// `None`: `<...>`, any.
    pub options: Option<Vec<TcpOption>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TcpOption {
    Nop,
    Eol,
    Mss(u16),
    Wscale(u8),
    SackOk,
    /// Relative numbers.
    Sack(Vec<(u32, u32)>),
    /// `None`: `...`
    Timestamps(Option<u32>, Option<u32>),
    FastOpen(Vec<u8>),
    /// RFC 6994 with the magic number of fast open.
    FastOpenExp(Vec<u8>),
    /// Accurate ECN (RFC 9768): the counters in their order, and whether that of ECT(1) is the first.
    AccEcn(bool, Vec<u32>),
    /// `md5 valid`-like signatures are not known; the bytes are.
    Unknown(u8, Vec<u8>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    pub mtu: Option<u16>,
    /// The segment it is about: first byte and length.
    pub quote: Option<(u32, u32)>,
}

/// The letters of flags in the order they are written.
pub const FLAGS: [(char, u16); 9] =
    [('F', 1), ('S', 2), ('R', 4), ('P', 8), ('.', 16), ('U', 32), ('E', 64), ('W', 128), ('A', 256)];

pub const SYN: u16 = 2;
pub const ACK: u16 = 16;
/// AE, CWR and ECE.
pub const ACE: u16 = 0x1c0;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[Self]| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Int(_, text) => f.write_str(text),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Any => f.write_str("..."),
            Self::List(items) => write!(f, "[{}]", list(items)),
            Self::Struct(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "{{{}}}", fields.join(", "))
            }
            Self::Apply(name, args) => write!(f, "{name}({})", list(args)),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Errno(errno) => {
                write!(f, "-1 {} ({})", super::names::errno_name(*errno), super::names::errno_text(*errno))
            }
            Self::Any => f.write_str("..."),
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<_> = self.args.iter().map(ToString::to_string).collect();
        write!(f, "{}({}) = {}", self.name, args.join(", "), self.result)
    }
}

impl fmt::Display for TcpOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let or_any = |value: &Option<u32>| value.map_or_else(|| "...".to_owned(), |value| value.to_string());
        match self {
            Self::Nop => f.write_str("nop"),
            Self::Eol => f.write_str("eol"),
            Self::Mss(mss) => write!(f, "mss {mss}"),
            Self::Wscale(shift) => write!(f, "wscale {shift}"),
            Self::SackOk => f.write_str("sackOK"),
            Self::Sack(blocks) => {
                let blocks: Vec<_> = blocks.iter().map(|(start, end)| format!("{start}:{end}")).collect();
                write!(f, "sack {}", blocks.join(" "))
            }
            Self::Timestamps(val, ecr) => write!(f, "TS val {} ecr {}", or_any(val), or_any(ecr)),
            Self::FastOpen(cookie) => write!(f, "FO {}", hex(cookie)),
            Self::FastOpenExp(cookie) => write!(f, "FOEXP {}", hex(cookie)),
            Self::AccEcn(one_first, counters) => {
                let names = if *one_first { ["e1b", "ceb", "e0b"] } else { ["e0b", "ceb", "e1b"] };
                f.write_str("ECN")?;
                if counters.is_empty() && *one_first {
                    return f.write_str(" e1b");
                }
                names.iter().zip(counters).try_for_each(|(name, counter)| write!(f, " {name} {counter}"))
            }
            Self::Unknown(kind, data) => write!(f, "opt {kind} {}", hex(data)),
        }
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        words.extend(self.ecn.map(|ecn| ["noecn", "ect1", "ect0", "ce"][usize::from(ecn & 3)].to_owned()));
        words.extend(self.tos.map(|tos| format!("tos {tos:#x}")));
        words.extend(self.ttl.map(|ttl| format!("ttl {ttl}")));
        if words.is_empty() { Ok(()) } else { write!(f, "[{}] ", words.join(", ")) }
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        if let Some((src, dst)) = self.ports {
            write!(f, "{src} > {dst} ")?;
        }
        match &self.body {
            Body::Tcp(segment) => write!(f, "{segment}"),
            Body::Udp(len) => write!(f, "udp ({len})"),
            Body::Icmp(icmp) => write!(f, "{icmp}"),
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters: String = FLAGS.iter().filter(|(_, bit)| self.flags & bit != 0).map(|(c, _)| c).collect();
        if letters.is_empty() {
            letters.push('-');
        }
        write!(f, "{letters} {}:{}({})", self.seq, self.seq.wrapping_add(self.len), self.len)?;
        if let Some(ack) = self.ack {
            write!(f, " ack {ack}")?;
        }
        if let Some(win) = self.win {
            write!(f, " win {win}")?;
        }
        if let Some(urg) = self.urg {
            write!(f, " urg {urg}")?;
        }
        match &self.options {
            None => f.write_str(" <...>"),
            Some(options) if options.is_empty() => Ok(()),
            Some(options) => {
                let options: Vec<_> = options.iter().map(ToString::to_string).collect();
                write!(f, " <{}>", options.join(","))
            }
        }
    }
}

impl fmt::Display for Icmp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((seq, len)) = self.quote {
            write!(f, "[{seq}:{}({len})] ", seq.wrapping_add(len))?;
        }
        write!(f, "icmp {}", super::names::icmp_name(self.kind, self.code))?;
        if let Some(mtu) = self.mtu {
            write!(f, " mtu {mtu}")?;
        }
        Ok(())
    }
}
