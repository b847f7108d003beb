//! Asking a host, for who is no program of its stack's: the launcher and the operator.

use crate::sys::{
    clock, readiness,
    unix::{self, Kind},
};
use sockeye_shim::{
    format::{Fault, Op, Request, Response, Token},
    kernel,
    name::Meaning,
    report::Report,
};
use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    time::Duration,
};

/// How long a host may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No host has the name.
    Absent,
    /// A host of another user, or one that does not know the token.
    Another,
    /// A host that speaks another version.
    Version(u16),
    /// The stack is not the one that is meant: the host's own line.
    Different(String),
    /// It has the name and says nothing, or nothing that can be understood.
    Silent,
    /// This process cannot ask.
    Unable(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("it is not running"),
            Self::Another => {
                f.write_str("it is another user's; have its SOCKEYE_TOKEN, or choose another name (--stack)")
            }
            Self::Version(version) => write!(
                f,
                "its host is of another version of sockeye (it speaks {version}, this program {}); end it, or use the \
                 version it has",
                sockeye_shim::format::VERSION
            ),
            Self::Different(line) => f.write_str(line),
            Self::Silent => f.write_str("its host does not answer; end that process, or choose another name (--stack)"),
            Self::Unable(why) => write!(f, "its host cannot be asked: {why}"),
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Absent,
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Silent,
            _ => Self::Unable(error.to_string()),
        }
    }
}

/// One request that a host has been sent.
pub struct Asked {
    socket: OwnedFd,
}

impl Asked {
    /// Sends a request to the host of the stack called `name`, and `more` behind it.
    ///
    /// # Errors
    /// `Absent`, `Another`; `Unable`.
    pub fn new(name: &[u8], request: &Request, more: &[u8]) -> Result<Self, Trouble> {
        let control = Meaning::Control.name(name).ok_or(Trouble::Absent)?;
        let socket = unix::open(Kind::Packets)?;
        let mut connected = unix::connect(socket.as_fd(), control.as_bytes());
        for _ in 0..500 {
            if !matches!(&connected, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
            // Its queue is full.
            std::thread::sleep(Duration::from_millis(10));
            connected = unix::connect(socket.as_fd(), control.as_bytes());
        }
        connected.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Trouble::Silent,
            _ => error.into(),
        })?;
        // An abstract name is whoever's bound it first: a program and its token are for nobody but our own host, or
        // root's. Without a token, the host may be looked at all the same.
        let is_secret = request.op == Op::Join || request.token != [0; 16];
        let owner = unix::peer(socket.as_fd()).map(|peer| peer.uid);
        if is_secret && owner != Some(0) && owner != Some(unix::own_uid()) {
            return Err(Trouble::Another);
        }
        let packet = [&request.to_bytes()[..], more].concat();
        unix::send(socket.as_fd(), &packet, 0)?;
        Ok(Self { socket })
    }

    /// As [`Asked::new`], and a descriptor with text in a packet of its own.
    fn with_descriptor(
        name: &[u8],
        request: &Request,
        text: &[u8],
        descriptor: BorrowedFd<'_>,
    ) -> Result<Self, Trouble> {
        let asked = Self::new(name, request, &[])?;
        kernel::send_with_descriptor(asked.socket.as_raw_fd(), text, Some(descriptor.as_raw_fd()))
            .map_err(|errno| io::Error::from_raw_os_error(errno.0))?;
        Ok(asked)
    }

    /// The next packet of the answer.
    ///
    /// # Errors
    /// `Silent`: it has closed, or says nothing.
    pub fn packet<const N: usize>(&self) -> Result<([u8; N], usize), Trouble> {
        let mut bytes = [0; N];
        if !readiness::wait_readable(self.socket.as_fd(), PATIENCE) {
            return Err(Trouble::Silent);
        }
        match unix::recv(self.socket.as_fd(), &mut bytes, 0)? {
            0 => Err(Trouble::Silent),
            n => Ok((bytes, n)),
        }
    }

    /// The answer of one packet.
    ///
    /// # Errors
    /// Why there is none.
    pub fn response(&self) -> Result<Response, Trouble> {
        let (bytes, n) = self.packet::<{ Response::SIZE }>()?;
        judge(Response::from_bytes(&bytes[..n]))
    }
}

/// What becomes of an answer.
///
/// # Errors
/// Why it is none.
pub fn judge(answer: Result<Response, Fault>) -> Result<Response, Trouble> {
    match answer {
        Ok(response) if response.errno == 0 => Ok(response),
        Ok(response) if response.errno == libc::EACCES => Err(Trouble::Another),
        Ok(response) if response.errno == libc::EINVAL => {
            Err(Trouble::Different(String::from_utf8_lossy(response.data.as_bytes()).into_owned()))
        }
        Ok(_) | Err(Fault::Foreign | Fault::Malformed) => Err(Trouble::Silent),
        Err(Fault::Version(version)) => Err(Trouble::Version(version)),
    }
}

/// Joins the stack called `name`, and learns its token. `token` is the one that is known, if any; `meant` is the text
/// behind an [`Op::Join`].
///
/// # Errors
/// Why this is not possible.
pub fn join(name: &[u8], token: Option<Token>, meant: &[u8]) -> Result<Token, Trouble> {
    let ask = |token| {
        let response = Asked::new(name, &Request::new(Op::Join, token, 0), meant)?.response()?;
        response.data.as_bytes().try_into().map_err(|_| Trouble::Silent)
    };
    with_token(token, ask)
}

/// Gives the host of the stack called `name` the descriptor that tells the end of a tree of programs: it lives as long.
///
/// # Errors
/// Why this is not possible.
pub fn hold(name: &[u8], token: Token, tree: BorrowedFd<'_>) -> Result<(), Trouble> {
    Asked::with_descriptor(name, &Request::new(Op::Tree, token, 0), &[0], tree)?.response().map(drop)
}

/// Has the host of the stack called `name` start another one ([`Op::Start`]), which complains to `words`. `meant` is
/// the text that comes with them.
///
/// # Errors
/// Why this is not possible.
pub fn start_another(name: &[u8], token: Token, meant: &[u8], words: BorrowedFd<'_>) -> Result<(), Trouble> {
    Asked::with_descriptor(name, &Request::new(Op::Start, token, 0), meant, words)?.response().map(drop)
}

/// Asks with the token that is known, and without: what is known may be another stack's.
fn with_token<R>(token: Option<Token>, ask: impl Fn(Token) -> Result<R, Trouble>) -> Result<R, Trouble> {
    match token.map_or(Err(Trouble::Another), &ask) {
        Err(Trouble::Another) => ask([0; 16]),
        other => other,
    }
}

/// All sockets of the stack called `name`.
///
/// # Errors
/// Why this is not possible.
pub fn sockets(name: &[u8], token: Option<Token>) -> Result<Vec<Report>, Trouble> {
    with_token(token, |token| {
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let asked = Asked::new(name, &Request::new(Op::Sockets, token, from), &[])?;
            let last = loop {
                let (bytes, n) = asked.packet::<{ Response::SIZE + Report::SIZE }>()?;
                match Report::from_bytes(&bytes[..n]) {
                    Ok(report) => found.push(report),
                    Err(_) => break judge(Response::from_bytes(&bytes[..n]))?,
                }
            };
            from = last.data.as_bytes().try_into().map(u64::from_le_bytes).map_err(|_| Trouble::Silent)?;
            if from == 0 {
                return Ok(found);
            }
        }
    })
}

/// What a stack has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What nstat(8) calls it.
    pub name: String,
    /// Since the stack began.
    pub value: u64,
    /// What it was when it was marked last.
    pub marked: u64,
}

/// What the stack called `name` has counted; `mark` makes it what later calls compare with.
///
/// # Errors
/// Why this is not possible.
pub fn counters(name: &[u8], token: Option<Token>, mark: bool) -> Result<Vec<Count>, Trouble> {
    with_token(token, |token| {
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            let mut request = Request::new(Op::Counters, token, from);
            request.value = mark.into();
            let response = Asked::new(name, &request, &[])?.response()?;
            match take_counts(response.data.as_bytes(), &mut found) {
                Some(0) => return Ok(found),
                Some(next) if next > from => from = next,
                _ => return Err(Trouble::Silent),
            }
        }
    })
}

/// Reads counters ([`Op::Counters`]), and where to go on.
fn take_counts(bytes: &[u8], found: &mut Vec<Count>) -> Option<u64> {
    let (next, mut rest) = bytes.split_first_chunk()?;
    while let Some((value, after)) = rest.split_first_chunk() {
        let (marked, after) = after.split_first_chunk()?;
        let (len, after) = after.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*len))?;
        let name = String::from_utf8_lossy(name).into_owned();
        found.push(Count { name, value: u64::from_le_bytes(*value), marked: u64::from_le_bytes(*marked) });
        rest = after;
    }
    rest.is_empty().then_some(u64::from_le_bytes(*next))
}

/// What a stack is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// The process that holds it.
    pub pid: u32,
    /// For how many seconds it has run.
    pub age: u64,
    /// How many processes use it.
    pub programs: usize,
    /// How many sockets they have.
    pub sockets: usize,
    /// The device's name, or its kind where it has none.
    pub device: String,
    /// The stack's addresses with their prefixes.
    pub addresses: Vec<String>,
    /// The network specification.
    pub net: String,
    /// It is inside the process, which alone can use it.
    pub is_inside: bool,
}

/// What the stack called `name` is.
///
/// # Errors
/// Why this is not possible.
pub fn describe(name: &[u8], token: Option<Token>) -> Result<Description, Trouble> {
    with_token(token, |token| {
        let (mut text, mut from) = (Vec::new(), 0);
        loop {
            let response = Asked::new(name, &Request::new(Op::Describe, token, from), &[])?.response()?;
            let (next, piece) = response.data.as_bytes().split_first_chunk().ok_or(Trouble::Silent)?;
            text.extend_from_slice(piece);
            match u64::from_le_bytes(*next) {
                0 => return Ok(read_description(&String::from_utf8_lossy(&text))),
                next if next > from => from = next,
                _ => return Err(Trouble::Silent),
            }
        }
    })
}

/// Reads what [`Op::Describe`] answers. A line that is not known is of a later version, and passed over.
fn read_description(text: &str) -> Description {
    let mut read = Description::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once('=')) {
        match key {
            "home" => read.is_inside = value == "process",
            "pid" => read.pid = value.parse().unwrap_or(0),
            "age" => read.age = value.parse().unwrap_or(0),
            "programs" => read.programs = value.parse().unwrap_or(0),
            "sockets" => read.sockets = value.parse().unwrap_or(0),
            "device" => value.clone_into(&mut read.device),
            "addresses" => read.addresses = value.split_whitespace().map(str::to_owned).collect(),
            "net" => value.clone_into(&mut read.net),
            _ => {}
        }
    }
    read
}

/// A part of a stack's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The text; empty where there is no more yet.
    pub text: Vec<u8>,
    /// Where it begins, in bytes since the host began: behind what was asked for if that is gone.
    pub from: u64,
    /// Where the next begins.
    pub next: u64,
}

/// What the host of the stack called `name` has said from the byte numbered `from` on, as far as it is still there.
///
/// # Errors
/// Why this is not possible.
pub fn log(name: &[u8], token: Option<Token>, from: u64) -> Result<Piece, Trouble> {
    with_token(token, |token| {
        let response = Asked::new(name, &Request::new(Op::Log, token, from), &[])?.response()?;
        let (next, text) = response.data.as_bytes().split_first_chunk().ok_or(Trouble::Silent)?;
        let next = u64::from_le_bytes(*next);
        let from = next.checked_sub(text.len() as u64).ok_or(Trouble::Silent)?;
        Ok(Piece { text: text.to_vec(), from, next })
    })
}

/// What the end of a host cut off.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Processes that used the stack.
    pub programs: u32,
    /// Connections that were open.
    pub connections: u32,
}

/// Ends the host of the stack called `name`, and waits until its name is free.
///
/// # Errors
/// Why this is not possible.
pub fn stop(name: &[u8], token: Option<Token>) -> Result<Stopped, Trouble> {
    let response = with_token(token, |token| Asked::new(name, &Request::new(Op::Stop, token, 0), &[])?.response())?;
    let counts: [u8; 8] = response.data.as_bytes().try_into().map_err(|_| Trouble::Silent)?;
    let [a, b, c, d, e, f, g, h] = counts;
    let until = clock::now() + PATIENCE;
    while is_there(name, Meaning::Control, Kind::Packets)? || is_there(name, Meaning::Connect, Kind::Stream)? {
        if clock::now() > until {
            return Err(Trouble::Silent);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(Stopped { programs: u32::from_le_bytes([a, b, c, d]), connections: u32::from_le_bytes([e, f, g, h]) })
}

/// Whether somebody listens at one of a stack's names.
fn is_there(name: &[u8], meaning: Meaning, kind: Kind) -> Result<bool, Trouble> {
    let name = meaning.name(name).ok_or(Trouble::Absent)?;
    let reached = unix::connect(unix::open(kind)?.as_fd(), name.as_bytes());
    Ok(!matches!(reached, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused))
}

/// The names of the stacks that run in this network namespace, sorted.
pub fn stacks() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let name = |line: &str| Some(line.rsplit_once(" @sockeye/")?.1.strip_suffix("/ctl")?.to_owned());
    let mut names: Vec<String> = table.lines().filter_map(name).collect();
    names.sort();
    // A connection that waits to be accepted has its listener's name.
    names.dedup();
    names
}
