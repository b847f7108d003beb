//! TCP Fast Open (RFC 7413) under the stack: cookies for clients and from servers, and whom a listener trusts.

use super::{SocketId, Stack, sockets::Body};
use crate::{
    error::{Error, Result},
    rng::Key,
    tcp::{
        Connection, State,
        fastopen::{FastOpenSettings, Ticket},
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

/// The cookies of servers.
#[derive(Default)]
pub struct Cookies {
    of: HashMap<IpAddr, FastOpen>,
}

impl Cookies {
    fn learn(&mut self, server: IpAddr, cookie: FastOpen) {
        if self.of.len() >= SERVERS && !self.of.contains_key(&server) {
            // Which one goes is the hash table's choice, which nobody can predict.
            if let Some(other) = self.of.keys().next().copied() {
                self.of.remove(&other);
            }
        }
        self.of.insert(server, cookie);
    }
}

/// The fast connections of a listener that are not yet confirmed.
#[derive(Default)]
pub struct Unconfirmed {
    open: Vec<SocketId>,
    reset: VecDeque<Instant>,
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

/// The cookie for a client (RFC 7413 section 4.1.2).
fn cookie(key: &[u8; 16], client: IpAddr, server: IpAddr, experimental: bool) -> FastOpen {
    FastOpen::new(&Key::from_bytes(key).hash(&(client, server)).to_be_bytes(), experimental)
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
        Ok(own.filter(|keys| !keys.is_empty()).unwrap_or_else(|| vec![self.fast_key]))
    }

    /// A connection to `server` was begun: how it opens, if its socket or the call (`now`) wants it fast.
    pub(super) fn open_fast(&mut self, id: SocketId, server: IpAddr, at_once: bool) {
        let allowed = self.may_open_fast();
        let no_cookie = self.knobs.fastopen & knob::CLIENT_NO_COOKIE != 0;
        let kept = self.cookies.of.get(&server).copied();
        let Ok(entry) = self.sockets.owned_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        let wants = connection.settings.fast_open.as_deref();
        if !allowed || !(at_once || wants.is_some_and(|fast| fast.connect)) {
            return;
        }
        connection.open_fast(match kept {
            _ if no_cookie || wants.is_some_and(|fast| fast.no_cookie) => Ticket::NotNeeded,
            Some(cookie) => Ticket::Cookie(cookie),
            None => Ticket::Ask,
        });
    }

    /// Begins a connection for sendto(2) with MSG_FASTOPEN. The first data sent on it leaves with the SYN if `true` is
    /// returned; otherwise there is no cookie yet, and the data waits for the handshake.
    ///
    /// # Errors
    /// `NotSupported`, and as connect(2).
    pub fn connect_fast(&mut self, id: SocketId, remote: crate::addr::Endpoint, now: Instant) -> Result<bool> {
        if !self.may_open_fast() {
            return Err(Error::NotSupported);
        }
        self.fast_call = true;
        let begun = self.connect(id, remote, now);
        self.fast_call = false;
        match begun {
            Ok(()) | Err(Error::InProgress) => {
                let Body::Connection(connection) = &self.sockets.owned(id)?.body else { return Err(Error::Invalid) };
                Ok(connection.awaits_data())
            }
            Err(error) => Err(error),
        }
    }

    /// The handshake of an active open has moved on: a cookie may have come.
    pub(super) fn learn_cookie(&mut self, id: SocketId) {
        let Some(entry) = self.sockets.lookup_mut(id) else { return };
        let Body::Connection(connection) = &mut entry.body else { return };
        if let Some(cookie) = connection.take_cookie() {
            self.cookies.learn(connection.flow().remote.addr, cookie);
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
        let keys = if settings.keys.is_empty() { vec![self.fast_key] } else { settings.keys.clone() };
        let verdict = match syn.options.fast_open {
            _ if free => Verdict::Trust(None),
            Some(asked) => judge(asked, &keys, client, server),
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
    fn the_cookies_of_servers_are_bounded() {
        let mut cookies = Cookies::default();
        for n in 0..2 * SERVERS as u32 {
            cookies.learn(IpAddr::from(n.to_be_bytes()), FastOpen::new(&[1; 8], false));
        }
        assert_eq!(cookies.of.len(), SERVERS);
    }
}
