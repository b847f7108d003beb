//! TCP Fast Open (RFC 7413) under the stack: cookies for clients and from servers, and whom a listener trusts.

use super::{SocketId, Stack, sockets::Body};
use crate::{
    addr::Endpoint,
    error::{Error, Result},
    rng::siphash_2_4,
    tcp::{
        Connection, KnobError, State,
        fastopen::{FastOpenSettings, Lesson, Retry, Ticket},
    },
    time::{Duration, Instant},
    wire::tcp::{FastOpen, Header},
};
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
};

/// Bits of `net.ipv4.tcp_fastopen`.
mod knob {
    pub const CLIENT: u32 = 1;
    pub const SERVER: u32 = 2;
    pub const CLIENT_NO_COOKIE: u32 = 4;
    pub const SERVER_NO_COOKIE: u32 = 0x200;
    pub const EVERY_LISTENER: u32 = 0x400;
}

/// Servers whose cookies are kept at most.
const SERVERS: usize = 1024;
/// How long a fast connection that was reset counts as unconfirmed: who spoofs addresses makes their owners send resets
/// (RFC 7413 section 5.1; the time is Linux's).
const RESET_COUNTS: Duration = Duration::from_secs(60);
/// What a listener of [`knob::EVERY_LISTENER`] has for a queue beside its backlog.
const DEFAULT_QUEUE: u32 = 4096;

/// What is known of a server.
#[derive(Copy, Clone, Debug, Default)]
struct Known {
    cookie: Option<FastOpen>,
    /// The largest segment it takes; 0 is not known.
    mss: u16,
    /// It did not answer a request for a cookie: how the next one asks.
    retry: Retry,
}

/// What is known of servers.
#[derive(Default)]
pub struct Servers {
    of: HashMap<IpAddr, Known>,
}

impl Servers {
    fn learn(&mut self, server: IpAddr, lesson: &Lesson) {
        if self.of.len() >= SERVERS && !self.of.contains_key(&server) {
            // Which one goes is the hash table's choice, which nobody can predict.
            if let Some(other) = self.of.keys().next().copied() {
                self.of.remove(&other);
            }
        }
        let known = self.of.entry(server).or_default();
        known.mss = lesson.mss;
        match lesson.cookie {
            Some(cookie) => known.cookie = Some(cookie),
            // Both options have been tried then: it is the first one from there on (as Linux).
            None if known.cookie.is_none() => known.retry = known.retry.max(lesson.retry),
            None => {}
        }
    }
}

/// The fast connections of a listener that are not yet confirmed.
#[derive(Default)]
pub struct Unconfirmed {
    open: Vec<SocketId>,
    reset: VecDeque<Instant>,
}

/// Where a connection stands that [`Stack::connect_fast`] was to begin.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// Its SYN waits for the first data, and takes it along.
    Waits,
    /// Its SYN is on its way without data.
    Asked,
    /// The handshake was complete before.
    Open,
}

/// What a listener does with a SYN.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A connection like any other.
    Slow,
    /// The same, and the SYN-ACK brings a cookie.
    Grant(FastOpen),
    /// The data is for the application at once; perhaps with a new cookie.
    Trust(Option<FastOpen>),
}

/// The cookie for a client (RFC 7413 section 4.1.2). It is Linux's, so that servers behind one address may share a key.
fn cookie(key: &[u8; 16], client: IpAddr, server: IpAddr, experimental: bool) -> FastOpen {
    let hash = match (client, server) {
        (IpAddr::V4(client), IpAddr::V4(server)) => siphash_2_4(key, &[client.octets(), server.octets()].concat()),
        (IpAddr::V6(client), IpAddr::V6(server)) => siphash_2_4(key, &[client.octets(), server.octets()].concat()),
        // A connection has both ends in one family.
        _ => 0,
    };
    FastOpen::new(&hash.to_le_bytes(), experimental)
}

/// `net.ipv4.tcp_fastopen_key`: one key, or two with a comma between, each of four numbers of 32 bits in hexadecimal.
fn parse_keys(text: &str) -> Option<Vec<[u8; 16]>> {
    let key = |text: &str| {
        let mut parts = text.trim().split('-');
        let mut key = [0; 16];
        for word in key.chunks_exact_mut(4) {
            word.copy_from_slice(&u32::from_str_radix(parts.next()?, 16).ok()?.to_le_bytes());
        }
        parts.next().is_none().then_some(key)
    };
    let keys: Option<Vec<_>> = text.split(',').map(key).collect();
    keys.filter(|keys| keys.len() <= 2)
}

/// Judges the option of a SYN: a cookie made by the first key is good, one by another is good and replaced.
fn judge(asked: FastOpen, keys: &[[u8; 16]], client: IpAddr, server: IpAddr) -> Verdict {
    let of = |key: &[u8; 16]| cookie(key, client, server, asked.experimental);
    let Some(first) = keys.first() else { return Verdict::Slow };
    match keys.iter().position(|key| of(key) == asked) {
        Some(0) => Verdict::Trust(None),
        Some(_) => Verdict::Trust(Some(of(first))),
        None => Verdict::Grant(of(first)),
    }
}

impl Stack {
    /// Whether a client may open fast.
    pub fn may_open_fast(&self) -> bool {
        self.knobs.fastopen & knob::CLIENT != 0
    }

    /// The key by which a socket makes cookies, or the stack's (TCP_FASTOPEN_KEY).
    ///
    /// # Errors
    /// `BadDescriptor`, `NoProtocolOption` (datagram).
    pub fn fast_open_keys(&mut self, id: SocketId) -> Result<Vec<[u8; 16]>> {
        let own = self.tcp_settings(id)?.fast_open.as_ref().map(|fast| fast.keys.clone());
        Ok(own.filter(|keys| !keys.is_empty()).unwrap_or_else(|| self.fast_keys.clone()))
    }

    /// Sets the keys by which listeners without their own make cookies (`net.ipv4.tcp_fastopen_key`).
    ///
    /// # Errors
    /// `OutOfRange`: it is no key.
    pub fn set_fast_open_keys(&mut self, text: &str) -> std::result::Result<(), KnobError> {
        self.fast_keys = parse_keys(text).ok_or(KnobError::OutOfRange)?;
        Ok(())
    }

    /// Forgets what is known of servers.
    pub fn forget_servers(&mut self) {
        self.servers = Servers::default();
    }

    /// A connection to `server` was begun: how it opens, if its socket or the call (`now`) wants it fast.
    pub(super) fn open_fast(&mut self, id: SocketId, server: IpAddr, at_once: bool) {
        let allowed = self.may_open_fast();
        let no_cookie = self.knobs.fastopen & knob::CLIENT_NO_COOKIE != 0;
        let known = self.servers.of.get(&server).copied().unwrap_or_default();
        let Ok(entry) = self.sockets.owned_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let wants = connection.settings.fast_open.as_deref();
        if !allowed || !(at_once || wants.is_some_and(|fast| fast.connect)) {
            return;
        }
        let ticket = match known.cookie {
            _ if no_cookie || wants.is_some_and(|fast| fast.no_cookie) => Ticket::NotNeeded,
            Some(cookie) => Ticket::Cookie(cookie),
            None => Ticket::Ask { experimental: known.retry == Retry::Experimental },
        };
        connection.open_fast(ticket, known.mss);
    }

    /// Begins a connection for sendto(2) with MSG_FASTOPEN, unless there is one.
    ///
    /// # Errors
    /// `NotSupported`, and as connect(2).
    pub fn connect_fast(&mut self, id: SocketId, remote: Endpoint, now: Instant) -> Result<Begun> {
        if !self.may_open_fast() {
            return Err(Error::NotSupported);
        }
        if self.awaits_data(id).is_some() {
            return Ok(Begun::Waits);
        }
        self.fast_call = true;
        let begun = self.connect(id, remote, now);
        self.fast_call = false;
        match begun {
            Ok(()) | Err(Error::InProgress) if self.awaits_data(id).is_some() => Ok(Begun::Waits),
            Ok(()) => Ok(Begun::Open),
            Err(Error::InProgress) => Ok(Begun::Asked),
            Err(error) => Err(error),
        }
    }

    /// Who called sleeps with more data than the SYN took.
    pub fn on_writer_waits(&mut self, id: SocketId) {
        if let Ok(Body::Connection(connection)) = self.sockets.owned_mut(id).map(|entry| &mut entry.body) {
            connection.on_writer_waits();
        }
    }

    /// Where a connection goes that was begun and whose SYN waits for the first data (TCP_FASTOPEN_CONNECT).
    pub fn awaits_data(&self, id: SocketId) -> Option<Endpoint> {
        match &self.sockets.owned(id).ok()?.body {
            Body::Connection(connection) if connection.awaits_data() => Some(connection.flow().remote),
            _ => None,
        }
    }

    /// The handshake of an active open has moved on: something may have been learned of the server.
    pub(super) fn learn_server(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        if let Some(lesson) = connection.take_lesson() {
            self.servers.learn(connection.flow().remote.addr, &lesson);
        }
    }

    /// What listener `id` does with a SYN from `client` to `server`.
    pub(super) fn judge_fast(
        &mut self,
        id: SocketId,
        syn: &Header,
        has_data: bool,
        (client, server): (IpAddr, IpAddr),
        now: Instant,
    ) -> Verdict {
        let bits = self.knobs.fastopen;
        let Ok(entry) = self.sockets.owned(id) else { return Verdict::Slow };
        let Body::Listener(listener) = &entry.body else { return Verdict::Slow };
        let none = FastOpenSettings::default();
        let settings = listener.settings.fast_open.as_deref().unwrap_or(&none);
        let queue = if bits & knob::EVERY_LISTENER != 0 { settings.queue.max(DEFAULT_QUEUE) } else { settings.queue };
        if bits & knob::SERVER == 0 || queue == 0 || !(has_data || syn.options.fast_open.is_some()) {
            return Verdict::Slow;
        }
        let free = settings.no_cookie || bits & knob::SERVER_NO_COOKIE != 0;
        let keys = if settings.keys.is_empty() { &self.fast_keys } else { &settings.keys };
        let verdict = match syn.options.fast_open {
            _ if free => Verdict::Trust(None),
            Some(asked) => judge(asked, keys, client, server),
            None => Verdict::Slow,
        };
        let mib = &mut self.world.mib;
        match (verdict, syn.options.fast_open) {
            (Verdict::Grant(_), Some(asked)) if asked.is_request() => mib.tcp_fast_open_cookie_reqd += 1,
            (Verdict::Grant(_), _) => mib.tcp_fast_open_passive_fail += 1,
            _ => {}
        }
        if matches!(verdict, Verdict::Trust(_)) && !self.has_fast_room(id, queue as usize, now) {
            self.world.mib.tcp_fast_open_listen_overflow += 1;
            return Verdict::Slow;
        }
        verdict
    }

    /// Whether a listener takes one more fast connection before others are confirmed.
    fn has_fast_room(&mut self, id: SocketId, queue: usize, now: Instant) -> bool {
        let Ok(entry) = self.sockets.owned_mut(id) else { return false };
        let Body::Listener(listener) = &mut entry.body else { return false };
        let mut unconfirmed = std::mem::take(&mut listener.unconfirmed);
        if unconfirmed.open.len() + unconfirmed.reset.len() >= queue {
            let is_open = |id: &SocketId| match self.sockets.lookup(*id).map(|entry| &entry.body) {
                Some(Body::Connection(connection)) => connection.is_fast_passive(),
                _ => false,
            };
            unconfirmed.open.retain(is_open);
            while unconfirmed.reset.front().is_some_and(|at| now.since(*at) >= RESET_COUNTS) {
                unconfirmed.reset.pop_front();
            }
        }
        let has_room = unconfirmed.open.len() + unconfirmed.reset.len() < queue;
        if let Ok(entry) = self.sockets.owned_mut(id)
            && let Body::Listener(listener) = &mut entry.body
        {
            listener.unconfirmed = unconfirmed;
        }
        has_room
    }

    /// A fast connection was made for a listener.
    pub(super) fn on_fast_child(&mut self, listener: SocketId, child: SocketId) {
        if let Some(listener) = self.listener_mut(listener) {
            listener.unconfirmed.open.push(child);
        }
    }

    /// A fast connection was reset before it was confirmed; `listener` made it.
    pub(super) fn on_fast_reset(&mut self, listener: SocketId, child: SocketId, now: Instant) {
        if let Some(listener) = self.listener_mut(listener) {
            listener.unconfirmed.open.retain(|open| *open != child);
            listener.unconfirmed.reset.push_back(now);
        }
    }
}

/// Where a connection stands in opening fast, before a segment is handled.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The SYN-ACK may bring a cookie.
    Asking,
    /// Used and not confirmed.
    Unconfirmed,
    /// Nothing of that.
    Other,
}

impl Standing {
    /// Of this connection.
    pub fn of(connection: &Connection) -> Self {
        match connection.state() {
            State::SynSent => Self::Asking,
            State::SynReceived if connection.is_fast_passive() => Self::Unconfirmed,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_one_client_and_two_keys() {
        let [client, other, server]: [IpAddr; 3] =
            ["10.0.0.1", "10.0.0.3", "10.0.0.2"].map(|addr| addr.parse().unwrap());
        let (new, old) = ([1; 16], [2; 16]);
        let of = |key| cookie(key, client, server, false);
        assert_eq!(judge(of(&new), &[new, old], client, server), Verdict::Trust(None));
        assert_eq!(judge(of(&old), &[new, old], client, server), Verdict::Trust(Some(of(&new))));
        assert_eq!(judge(of(&old), &[new], client, server), Verdict::Grant(of(&new)));
        assert_eq!(judge(FastOpen::REQUEST, &[new], client, server), Verdict::Grant(of(&new)));
        assert!(matches!(judge(of(&new), &[new], other, server), Verdict::Grant(_)));
    }

    #[test]
    fn a_cookie_is_the_one_linux_makes() {
        let [client, server]: [IpAddr; 2] = ["192.0.2.1", "192.168.0.1"].map(|addr| addr.parse().unwrap());
        let keys = parse_keys("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4,0-0-0-0").unwrap();
        let cookies: Vec<_> = keys.iter().map(|key| cookie(key, client, server, false)).collect();
        assert_eq!(cookies[0].bytes(), 0x3021_b9d8_8901_7eeb_u64.to_be_bytes());
        assert_eq!(cookies[1].bytes(), 0xb7c1_2350_a90d_c8f5_u64.to_be_bytes());
        assert_eq!(parse_keys("00000001-2-3-4").unwrap()[0][..5], [1, 0, 0, 0, 2]);
        assert!(
            ["", "1-2-3", "1-2-3-4-5", "1-2-3-x", "1-2-3-4,1-2-3-4,1-2-3-4"]
                .map(parse_keys)
                .iter()
                .all(Option::is_none)
        );
    }

    #[test]
    fn what_is_known_of_servers_is_bounded() {
        let mut servers = Servers::default();
        for n in 0..2 * SERVERS as u32 {
            let lesson = Lesson { cookie: Some(FastOpen::new(&[1; 8], false)), mss: 536, retry: Retry::Usual };
            servers.learn(IpAddr::from(n.to_be_bytes()), &lesson);
        }
        assert_eq!(servers.of.len(), SERVERS);
    }

    #[test]
    fn a_server_that_gives_no_cookie_is_asked_by_the_other_option_once() {
        let (mut servers, server) = (Servers::default(), "10.0.0.1".parse().unwrap());
        let mut hear = |retry| {
            servers.learn(server, &Lesson { cookie: None, mss: 1000, retry });
            servers.of[&server].retry
        };
        assert_eq!(hear(Retry::Experimental), Retry::Experimental);
        assert_eq!(hear(Retry::Settled), Retry::Settled);
        assert_eq!(hear(Retry::Experimental), Retry::Settled);
    }
}
