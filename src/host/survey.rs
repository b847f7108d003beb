//! What running stacks are and have, for the operator: all are asked at once, and nobody is waited for whose turn it is
//! not. The names are abstract ones, which any user may invent: one of another user's that says nothing costs a second,
//! however many there are.

use super::{
    client::{Asked, PATIENCE, Trouble, judge},
    plain::{plain, plain_line},
};
use crate::sys::{clock, process, readiness, unix};
use sockeye_shim::{
    format::{Op, Request, Response, Token},
    name::is_stack,
    report::Report,
};
use std::{
    os::fd::{AsFd, AsRawFd},
    time::Duration,
};

/// How long those may take together that are neither this user's nor root's.
const STRANGERS: Duration = Duration::from_secs(1);
/// How soon one is tried again whose queue is full.
const RETRY: Duration = Duration::from_millis(10);
/// The largest text that a stack may tell of itself, bytes: a specification is not much longer than a path.
const TEXT: usize = 1 << 16;
/// Sockets at most that a stack may tell of: it has no more.
const SOCKETS: usize = 1 << 20;
/// The longest packet of an answer.
const PACKET: usize = Response::SIZE + Report::SIZE;

/// A question that takes one request or more, and what is known of its answer.
pub trait Question: Clone {
    /// What comes of it.
    type Answer;

    /// The next request.
    fn request(&self, token: Token) -> Request;

    /// Hears a packet.
    ///
    /// # Errors
    /// Why there is no answer.
    fn hear(&mut self, packet: &[u8]) -> Result<Heard, Trouble>;

    /// What was heard.
    fn answer(self) -> Self::Answer;
}

/// What there is to do after a packet.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// More packets follow.
    More,
    /// There is another request to be sent.
    Ask,
    /// That was the last.
    Done,
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
    /// How many lines of its log are warnings or worse.
    pub warnings: u64,
    /// The device's name, or its kind where it has none.
    pub device: String,
    /// The stack's addresses with their prefixes.
    pub addresses: Vec<String>,
    /// The network specification.
    pub net: String,
    /// It is inside the process, which alone can use it.
    pub is_inside: bool,
    /// Why it has no network any more.
    pub lost: Option<String>,
}

/// Which sockets are there?
#[derive(Clone, Default)]
pub struct Sockets {
    from: u64,
    found: Vec<Report>,
}

/// What was counted?
#[derive(Clone, Default)]
pub struct Counters {
    /// Makes it what later answers compare with.
    pub mark: bool,
    from: u64,
    found: Vec<Count>,
}

impl Counters {
    /// What was counted, and marked if that is wanted.
    pub fn marking(mark: bool) -> Self {
        Self { mark, ..Self::default() }
    }
}

/// What is it?
#[derive(Clone, Default)]
pub struct Describe {
    from: u64,
    text: Vec<u8>,
}

/// Where the next request begins; `Done` behind the last.
fn go_on(from: &mut u64, next: u64) -> Result<Heard, Trouble> {
    match next {
        0 => Ok(Heard::Done),
        next if next > *from => {
            *from = next;
            Ok(Heard::Ask)
        }
        _ => Err(Trouble::Silent),
    }
}

impl Question for Sockets {
    type Answer = Vec<Report>;

    fn request(&self, token: Token) -> Request {
        Request { from: self.from, ..Request::new(Op::Sockets, token) }
    }

    fn hear(&mut self, packet: &[u8]) -> Result<Heard, Trouble> {
        if let Ok(report) = Report::from_bytes(packet) {
            self.found.push(report);
            return if self.found.len() > SOCKETS { Err(Trouble::Silent) } else { Ok(Heard::More) };
        }
        let last = judge(Response::from_bytes(packet))?;
        let next = last.data.as_bytes().try_into().map(u64::from_le_bytes).map_err(|_| Trouble::Silent)?;
        go_on(&mut self.from, next)
    }

    fn answer(self) -> Vec<Report> {
        self.found
    }
}

impl Question for Counters {
    type Answer = Vec<Count>;

    fn request(&self, token: Token) -> Request {
        Request { from: self.from, value: self.mark.into(), ..Request::new(Op::Counters, token) }
    }

    fn hear(&mut self, packet: &[u8]) -> Result<Heard, Trouble> {
        let response = judge(Response::from_bytes(packet))?;
        let next = take_counts(response.data.as_bytes(), &mut self.found).ok_or(Trouble::Silent)?;
        if self.found.len() > TEXT { Err(Trouble::Silent) } else { go_on(&mut self.from, next) }
    }

    fn answer(self) -> Vec<Count> {
        self.found
    }
}

impl Question for Describe {
    type Answer = Description;

    fn request(&self, token: Token) -> Request {
        Request { from: self.from, ..Request::new(Op::Describe, token) }
    }

    fn hear(&mut self, packet: &[u8]) -> Result<Heard, Trouble> {
        let response = judge(Response::from_bytes(packet))?;
        let (next, piece) = response.data.as_bytes().split_first_chunk().ok_or(Trouble::Silent)?;
        self.text.extend_from_slice(piece);
        let next = u64::from_le_bytes(*next);
        if self.text.len() > TEXT { Err(Trouble::Silent) } else { go_on(&mut self.from, next) }
    }

    fn answer(self) -> Description {
        read_description(&plain(&self.text))
    }
}

/// Reads counters ([`Op::Counters`]), and where to go on.
fn take_counts(bytes: &[u8], found: &mut Vec<Count>) -> Option<u64> {
    let (next, mut rest) = bytes.split_first_chunk()?;
    while let Some((value, after)) = rest.split_first_chunk() {
        let (marked, after) = after.split_first_chunk()?;
        let (len, after) = after.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(*len))?;
        found.push(Count {
            name: plain_line(name),
            value: u64::from_le_bytes(*value),
            marked: u64::from_le_bytes(*marked),
        });
        rest = after;
    }
    rest.is_empty().then_some(u64::from_le_bytes(*next))
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
            "warnings" => read.warnings = value.parse().unwrap_or(0),
            "device" => value.clone_into(&mut read.device),
            "addresses" => read.addresses = value.split_whitespace().map(str::to_owned).collect(),
            "net" => value.clone_into(&mut read.net),
            "lost" => read.lost = Some(value.to_owned()),
            _ => {}
        }
    }
    read
}

/// The names of the stacks that run in this network namespace, sorted. Whoever has a name need not be a host.
fn names() -> Vec<String> {
    let table = std::fs::read("/proc/net/unix").unwrap_or_default();
    let name = |line: &[u8]| {
        let at = line.windows(10).position(|part| part == b" @sockeye/")? + 10;
        let name = line.get(at..)?.strip_suffix(b"/ctl").filter(|name| is_stack(name))?;
        String::from_utf8(name.to_vec()).ok()
    };
    let mut names: Vec<String> = table.split(|byte| *byte == b'\n').filter_map(name).collect();
    names.sort();
    // A connection that waits to be accepted has its listener's name.
    names.dedup();
    names
}

/// Asks the stack called `name`, for as long as a host may take.
///
/// # Errors
/// Why there is no answer.
pub fn one<Q: Question>(name: &[u8], token: Option<Token>, question: Q) -> Result<Q::Answer, Trouble> {
    let mut talks = [Talk::new(name.to_vec(), token, question)];
    drive(&mut talks, Some(PATIENCE));
    let [talk] = talks;
    talk.result()
}

/// Asks all stacks that run; see [`Trouble`] for who gives no answer. Root's and this user's may take as long as one
/// alone, all others [`STRANGERS`] together. Those would not let anybody in but root: for another they are left out.
pub fn all<Q: Question>(token: Option<Token>, question: &Q) -> Vec<(String, Result<Q::Answer, Trouble>)> {
    // One for each, and as few as the process begins with are easily taken by names that nobody answers for.
    process::raise_descriptor_limit(0);
    let talk = |name: String| Talk::new(name.into_bytes(), token, question.clone());
    let mut talks: Vec<_> = names().into_iter().map(talk).collect();
    drive(&mut talks, None);
    let named = |talk: Talk<Q>| (String::from_utf8_lossy(&talk.name).into_owned(), talk.result());
    talks.into_iter().filter(Talk::is_shown).map(named).collect()
}

/// A conversation with whoever has a stack's name.
struct Talk<Q: Question> {
    name: Vec<u8>,
    fresh: Q,
    question: Q,
    /// The token that is shown, and whether to try without it: it may be another stack's.
    token: Token,
    is_known: bool,
    asked: Option<Asked>,
    /// Whether its owner is root or this user, once that is known.
    is_trusted: Option<bool>,
    over: Option<Result<(), Trouble>>,
}

impl<Q: Question> Talk<Q> {
    fn new(name: Vec<u8>, token: Option<Token>, question: Q) -> Self {
        let (fresh, is_known, token) = (question.clone(), token.is_some(), token.unwrap_or_default());
        Self { name, fresh, question, token, is_known, asked: None, is_trusted: None, over: None }
    }

    fn result(self) -> Result<Q::Answer, Trouble> {
        let silence = if self.is_trusted == Some(true) { Trouble::Silent } else { Trouble::Stranger };
        self.over.unwrap_or(Err(silence)).map(|()| self.question.answer())
    }

    fn is_shown(&self) -> bool {
        self.is_trusted == Some(true) || is_root() || matches!(self.over, Some(Err(Trouble::Unable(_))))
    }

    /// How long it may take in all.
    fn limit(&self) -> Duration {
        match self.is_trusted {
            Some(true) => PATIENCE,
            // Nobody would be shown what it says.
            Some(false) if !is_root() => Duration::ZERO,
            Some(false) | None => STRANGERS,
        }
    }

    /// Sends the next request, if whoever has the name lets anybody in now.
    fn ask(&mut self) {
        match Asked::try_new(&self.name, &self.question.request(self.token), &[]) {
            Ok(Some(asked)) => {
                self.is_trusted = Some(asked.is_trusted());
                self.asked = Some(asked);
            }
            Ok(None) => {}
            Err(trouble) => self.end(Err(trouble)),
        }
    }

    fn hear(&mut self) {
        let Some(asked) = &self.asked else { return };
        let heard = match asked.try_packet::<PACKET>() {
            Ok(None) => return,
            Ok(Some((bytes, n))) => self.question.hear(&bytes[..n]),
            Err(trouble) => Err(trouble),
        };
        match heard {
            Ok(Heard::More) => {}
            Ok(Heard::Ask) => self.asked = None,
            Ok(Heard::Done) => self.end(Ok(())),
            Err(trouble) => self.end(Err(trouble)),
        }
    }

    fn end(&mut self, how: Result<(), Trouble>) {
        self.asked = None;
        if matches!(how, Err(Trouble::Another | Trouble::Foreign(_))) && std::mem::take(&mut self.is_known) {
            self.token = [0; 16];
            self.question = self.fresh.clone();
        } else {
            self.over = Some(how);
        }
    }
}

fn is_root() -> bool {
    unix::own_uid() == 0
}

/// Talks to all until everybody has answered or its time is over: `limit`, if there is one, else its own.
fn drive<Q: Question>(talks: &mut [Talk<Q>], limit: Option<Duration>) {
    let begun = clock::now();
    let until = |talk: &Talk<Q>| begun + limit.unwrap_or_else(|| talk.limit());
    loop {
        talks.iter_mut().filter(|talk| talk.over.is_none() && talk.asked.is_none()).for_each(Talk::ask);
        let now = clock::now();
        let mut waiting: Vec<_> = talks.iter_mut().filter(|talk| talk.over.is_none() && now < until(talk)).collect();
        let Some(latest) = waiting.iter().map(|talk| until(talk)).max() else { return };
        let is_full = waiting.iter().any(|talk| talk.asked.is_none());
        let fd = |talk: &&mut Talk<Q>| talk.asked.as_ref().map_or(-1, |asked| asked.as_fd().as_raw_fd());
        let poll = |fd| readiness::PollFd { fd, events: libc::POLLIN, revents: 0 };
        let mut fds: Vec<_> = waiting.iter().map(fd).map(poll).collect();
        let left = latest.since(now);
        readiness::wait(&mut fds, if is_full { left.min(RETRY) } else { left });
        let ready = waiting.iter_mut().zip(&fds).filter(|(_, fd)| fd.revents != 0);
        ready.for_each(|(talk, _)| talk.hear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::OwnedFd;

    /// Somebody who has a stack's name.
    fn listener(name: &str) -> (Vec<u8>, OwnedFd) {
        let name = format!("{}-survey-{name}", std::process::id()).into_bytes();
        let control = sockeye_shim::name::Meaning::Control.name(&name).unwrap();
        let fd = unix::open(unix::Kind::Packets).unwrap();
        unix::bind(fd.as_fd(), control.as_bytes()).unwrap();
        unix::listen(fd.as_fd(), 0).unwrap();
        (name, fd)
    }

    #[test]
    fn who_lets_nobody_in_and_who_says_nothing_take_the_time_of_one() {
        let listeners = ["mute", "full", "other"].map(listener);
        // Its queue has room for one.
        let waits = Asked::new(&listeners[1].0, &Request::new(Op::Describe, [0; 16]), &[]).unwrap();
        let talk = |(name, _): &(Vec<u8>, OwnedFd)| Talk::new(name.clone(), None, Describe::default());
        let mut talks: Vec<_> = listeners.iter().map(talk).collect();
        let begun = clock::now();
        drive(&mut talks, Some(Duration::from_millis(100)));
        assert!((100..2000).contains(&clock::now().since(begun).as_millis()));
        // Whose the full one is nobody knows.
        let silences = [Trouble::Silent, Trouble::Stranger, Trouble::Silent];
        assert_eq!(talks.into_iter().map(|talk| talk.result().unwrap_err()).collect::<Vec<_>>(), silences);
        drop(waits);
    }

    #[test]
    fn what_ends_while_it_is_asked_has_ended() {
        let (name, listener) = listener("ends");
        let mut talks = [Talk::new(name, None, Describe::default())];
        talks[0].ask();
        drop(listener);
        drive(&mut talks, Some(PATIENCE));
        let [talk] = talks;
        assert_eq!(talk.result(), Err(Trouble::Ended));
    }

    #[test]
    fn a_description_shows_no_escapes_and_no_end() {
        let mut asked = Describe::default();
        let response = |next: u64, text: &[u8]| {
            let data = sockeye_shim::format::Data::of(&[&next.to_le_bytes(), text].concat()).unwrap();
            Response { data, ..Response::new(0) }.to_bytes()
        };
        assert_eq!(asked.hear(&response(9, b"device=t\x1b[2J0\nlost=")), Ok(Heard::Ask));
        assert_eq!(asked.hear(&response(9, b"")), Err(Trouble::Silent), "it goes round in circles");
        assert_eq!(asked.hear(&response(0, b"it is gone\n")), Ok(Heard::Done));
        let Description { device, lost, .. } = asked.answer();
        assert_eq!((device.as_str(), lost.as_deref()), ("t?[2J0", Some("it is gone")));
        let mut asked = Describe::default();
        let mut at = 0;
        while asked.hear(&response(at + 1, &[b'x'; 200])) == Ok(Heard::Ask) {
            at += 1;
        }
        assert!(at < 1000, "it has an end");
    }
}
