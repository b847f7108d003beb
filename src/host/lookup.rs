//! A request that waits for name servers. Each is asked in turn, twice as in resolv.conf(5), from a port and with an id
//! that nobody can guess (RFC 5452 section 9.2).

use super::{
    coming::Coming,
    dns::{Found, MESSAGE, Question, Verdict},
    end::End,
    resolve::{Local, Verdict as Known, response},
    slot::{Host, Item},
};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    socket::detached::Detached,
    stack::{Family, Protocol, SendTo},
    sys::{entropy, steward, unix},
    tcp::{RecvFlags, SendFlags},
    time::{Duration, Instant},
};
use sockeye_shim::format::{Op, Request, Response};
use std::{
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, Ipv4Addr},
    os::fd::AsFd,
};

/// How long a server has to answer, and how often each is asked (resolv.conf(5), `timeout` and `attempts`).
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;
/// Datagrams looked at before it is the others' turn: anybody can send some that are no answers.
const ROUNDS: usize = 64;
/// Where name servers listen.
const PORT: u16 = 53;
/// Ports to send from, and how many of them are tried.
const PORTS: (u16, u16) = (32_768, 60_999);
const PORT_TRIES: usize = 16;

/// A question and how far it has come.
#[derive(Debug)]
struct Asked {
    question: Question,
    id: u16,
    /// What a server has said for good.
    answer: Option<Verdict>,
    /// The server that is being asked cannot say.
    failed: bool,
}

/// A program that waits, and the machine's own table of names once it is there.
pub struct Reader {
    asker: End,
    request: Request,
    table: Coming<String>,
}

impl Reader {
    /// The program's end, to be told of events.
    pub fn asker_mut(&mut self) -> &mut End {
        &mut self.asker
    }
}

/// A program that waits, and what it waits for.
pub struct Lookup {
    asker: End,
    op: Op,
    asked: Vec<Asked>,
    servers: Vec<IpAddr>,
    tries: usize,
    socket: Option<Detached>,
    until: Instant,
    /// There may be more to look at at once.
    is_at_it: bool,
}

impl Lookup {
    /// The program's end, to be told of events.
    pub fn asker_mut(&mut self) -> &mut End {
        &mut self.asker
    }

    /// The response, as soon as there is one. Otherwise the lookup wants another turn when its socket is ready, at
    /// [`Lookup::until`], or, when it [`Lookup::is_at_it`], soon.
    fn turn(&mut self, stack: u32, now: Instant) -> Option<Response> {
        let (mut is_lost, mut rounds) = (self.socket.is_none(), 0);
        self.is_at_it = false;
        while !is_lost && self.asked.iter().any(|asked| asked.answer.is_none() && !asked.failed) {
            if rounds == ROUNDS {
                self.is_at_it = now < self.until;
                if self.is_at_it {
                    return None;
                }
                break;
            }
            rounds += 1;
            match self.receive() {
                Ok(()) => {}
                Err(Error::WouldBlock) if now < self.until => return None,
                // Too late; or the server's host says that nobody listens, or cannot be reached.
                Err(_) => is_lost = true,
            }
        }
        while self.asked.iter().any(|asked| asked.answer.is_none()) {
            self.socket = None;
            let Some(&server) = self.servers.get(self.tries % self.servers.len().max(1)) else { break };
            if self.tries >= ATTEMPTS * self.servers.len() {
                break;
            }
            self.tries += 1;
            self.until = now + PATIENCE;
            if self.ask(stack, server).is_ok() {
                return None;
            }
        }
        Some(conclusion(self.op, &self.asked))
    }

    /// Takes one datagram.
    fn receive(&mut self) -> Result<()> {
        let socket = self.socket.as_ref().ok_or(Error::NotConnected)?;
        let mut bytes = [0; MESSAGE];
        let got = socket
            .with(|stack, id, now| stack.recv(id, &mut [IoSliceMut::new(&mut bytes)], RecvFlags::default(), now))?;
        for asked in self.asked.iter_mut().filter(|asked| asked.answer.is_none()) {
            match asked.question.judge(asked.id, &bytes[..got.len]) {
                Verdict::Foreign => {}
                Verdict::Failed => asked.failed = true,
                answer => asked.answer = Some(answer),
            }
        }
        Ok(())
    }

    /// Asks a server what is not answered yet.
    fn ask(&mut self, stack: u32, server: IpAddr) -> Result<()> {
        let socket = Detached::open(stack, Family::V4, Protocol::Udp)?;
        socket.with(|stack, id, now| {
            bind(|port| stack.bind(id, Endpoint::new(Ipv4Addr::UNSPECIFIED.into(), port), now))?;
            stack.connect(id, Endpoint::new(server, PORT), now)
        })?;
        for asked in self.asked.iter_mut().filter(|asked| asked.answer.is_none()) {
            asked.failed = false;
            asked.id = random();
            let message = asked.question.message(asked.id).ok_or(Error::Invalid)?;
            let (to, flags) = (SendTo::default(), SendFlags::default());
            socket.with(|stack, id, now| stack.send(id, &[IoSlice::new(&message)], &to, flags, now))?;
        }
        self.socket = Some(socket);
        Ok(())
    }
}

fn random() -> u16 {
    let [first, second, ..] = entropy::seed()[0].to_ne_bytes();
    u16::from_ne_bytes([first, second])
}

/// Binds to a port of chance; the stack's own choice is a sequence for each destination (RFC 6056), of which one
/// datagram seen would tell the next.
fn bind(mut to: impl FnMut(u16) -> Result<()>) -> Result<()> {
    let many = u64::from(PORTS.1 - PORTS.0) + 1;
    let port = || PORTS.0 + u16::try_from(entropy::seed()[0] % many).unwrap_or_default();
    let taken = |result: &Result<()>| *result == Err(Error::AddrInUse);
    (0..PORT_TRIES).map(|_| to(port())).find(|result| !taken(result)).unwrap_or(Err(Error::AddrInUse))
}

/// What the answers come to. What one server knew counts more than what another could not say.
fn conclusion(op: Op, asked: &[Asked]) -> Response {
    let mut all = Found::default();
    for answer in asked.iter().filter_map(|asked| asked.answer.as_ref()) {
        if let Verdict::Found(found) = answer {
            all.addresses.extend(&found.addresses);
            all.name = all.name.or_else(|| found.name.clone());
        }
    }
    let says = |verdict: &Verdict| asked.iter().any(|asked| asked.answer.as_ref() == Some(verdict));
    match all {
        Found { addresses, name: None } if addresses.is_empty() => {}
        all => return response(op, &all),
    }
    Response::new(match () {
        () if asked.iter().any(|asked| asked.answer.is_none()) => libc::EAGAIN,
        () if says(&Verdict::NoData) => libc::ENODATA,
        () => libc::ENOENT,
    })
}

impl Host {
    /// A program asks for a name's addresses or an address's name: it is answered when this machine's own table has
    /// been read, or when name servers have said what they know.
    pub fn look_up(&mut self, number: u64, asker: End, request: &Request, is_new: bool) {
        // A program that cannot be watched would be waited for though it is gone.
        if is_new && self.interest.add(&asker, libc::EPOLLIN | libc::EPOLLRDHUP, number).is_err() {
            return;
        }
        let (table, bring) = Coming::new(self.waker(number));
        steward::hosts(bring);
        self.read_on(number, Box::new(Reader { asker, request: *request, table }));
    }

    /// Goes on with who waits for the machine's own table, if that has been read.
    pub fn read_on(&mut self, number: u64, reader: Box<Reader>) {
        if reader.asker.is_ended() {
            return;
        }
        let Some(table) = reader.table.get().cloned() else {
            return self.put(number, Item::Reader(reader), None);
        };
        let Reader { asker, request, .. } = *reader;
        let request = &request;
        let config = self.engine.config();
        let local = Local::read(table, config.addresses.iter().map(|cidr| cidr.addr).collect());
        let immediate = match local.judge(request) {
            Known::Known(found) => response(request.op, &found),
            Known::Ask(questions) if !config.dns.is_empty() => {
                let asked = |question| Asked { question, id: 0, answer: None, failed: false };
                let lookup = Lookup {
                    asker,
                    op: request.op,
                    asked: questions.into_iter().map(asked).collect(),
                    servers: config.dns.clone(),
                    tries: 0,
                    socket: None,
                    until: self.engine.now(),
                    is_at_it: false,
                };
                self.go_on_with(number, Box::new(lookup));
                return;
            }
            Known::Ask(_) | Known::Unknown => Response::new(libc::ENOENT),
        };
        // A program that does not wait for its answer any more has gone.
        let _ = unix::send(asker.as_fd(), &immediate.to_bytes(), 0);
    }

    /// A lookup's turn. It is over when its program is gone.
    pub fn go_on_with(&mut self, number: u64, mut lookup: Box<Lookup>) {
        if lookup.asker.is_ended() {
            return;
        }
        let tries = lookup.tries;
        if let Some(response) = lookup.turn(self.stack, self.engine.now()) {
            let _ = unix::send(lookup.asker.as_fd(), &response.to_bytes(), 0);
            return;
        }
        if lookup.is_at_it {
            self.again.push(number);
        }
        let (fresh, until) = (lookup.tries != tries, lookup.until);
        let socket = lookup.socket.as_ref().map(Detached::id);
        self.put(number, Item::Lookup(lookup), None);
        if let (true, Some(socket)) = (fresh, socket) {
            self.life.retry(number, until);
            self.watch(socket, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine, host::dns::Kind, socket::stacks};

    fn asked(answer: Option<Verdict>) -> Asked {
        let question = Question::of_name("a.example", Kind::V4).unwrap();
        Asked { question, id: 0, answer, failed: false }
    }

    fn found(text: &str) -> Option<Verdict> {
        Some(Verdict::Found(Found { addresses: vec![text.parse().unwrap()], name: None }))
    }

    #[test]
    fn what_one_server_knows_counts_more_than_what_another_does_not() {
        let errno = |answers: [Option<Verdict>; 2]| conclusion(Op::Resolve, &answers.map(asked)).errno;
        assert_eq!(errno([found("192.0.2.1"), None]), 0);
        assert_eq!(errno([found("192.0.2.1"), Some(Verdict::NoData)]), 0);
        assert_eq!(errno([Some(Verdict::NoName), None]), libc::EAGAIN);
        assert_eq!(errno([Some(Verdict::NoName), Some(Verdict::NoData)]), libc::ENODATA);
        assert_eq!(errno([Some(Verdict::NoName), Some(Verdict::NoName)]), libc::ENOENT);
        let both = conclusion(Op::Resolve, &[asked(found("192.0.2.1")), asked(found("2001:db8::1"))]);
        assert_eq!(both.data.as_bytes()[0], 2);
    }

    #[test]
    fn what_is_no_answer_is_looked_at_in_shares_and_does_not_put_off_the_end() {
        let stack = stacks::open("null:").unwrap().start(None).unwrap();
        let server = Detached::open(stack, Family::V4, Protocol::Udp).unwrap();
        let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
        server.with(|stack, id, now| stack.bind(id, Endpoint::new(localhost, PORT), now)).unwrap();
        let asker = unix::open(unix::Kind::Packets).unwrap();
        let mut lookup = Lookup {
            asker: End::new(asker),
            op: Op::Resolve,
            asked: vec![asked(None)],
            servers: vec![localhost],
            tries: 0,
            socket: None,
            until: Instant::ZERO,
            is_at_it: false,
        };
        let now = engine::now();
        assert!(lookup.turn(stack, now).is_none(), "a question goes out");
        let left = |lookup: &Lookup| {
            let socket = lookup.socket.as_ref().unwrap();
            socket.with(|stack, id, _| stack.readable(id)).unwrap()
        };
        let asked = lookup.socket.as_ref().unwrap().with(|stack, id, _| stack.local_endpoint(id)).unwrap();
        let to = SendTo { dest: Some(Endpoint::new(localhost, asked.port)), ..SendTo::default() };
        let send = |stack: &mut crate::stack::Stack, id, now| {
            stack.send(id, &[IoSlice::new(b"no answer")], &to, SendFlags::default(), now)
        };
        (0..3 * ROUNDS).for_each(|_| _ = server.with(send).unwrap());
        let mut turns = 0;
        while left(&lookup) > 0 {
            assert!(lookup.turn(stack, now).is_none() && lookup.is_at_it, "turn {turns}");
            turns += 1;
        }
        assert_eq!(turns, 3);
        // They go on, and its time is over.
        lookup.servers.clear();
        (0..3 * ROUNDS).for_each(|_| _ = server.with(send).unwrap());
        let response = lookup.turn(stack, lookup.until);
        assert_eq!(response.map(|response| response.errno), Some(libc::EAGAIN));
        drop((lookup, server));
        let _freed_once = stacks::free(stack, Some(Duration::ZERO));
    }

    #[test]
    fn ports_are_chosen_by_chance_until_one_is_free() {
        let mut tried = Vec::new();
        let bound = bind(|port| {
            tried.push(port);
            if tried.len() < 3 { Err(Error::AddrInUse) } else { Ok(()) }
        });
        assert_eq!((bound, tried.len()), (Ok(()), 3));
        assert!(tried.iter().all(|port| (PORTS.0..=PORTS.1).contains(port)));
        assert_eq!(bind(|_| Err(Error::AddrInUse)), Err(Error::AddrInUse));
        assert_eq!(bind(|_| Err(Error::NetDown)), Err(Error::NetDown));
    }
}
