//! TCP Fast Open (RFC 7413) of one connection: data in the SYN, a cookie that vouches for the client, and what becomes
//! of both. Cookies are made and kept by the stack.

use super::{Connection, State, mss};
use crate::{
    buf::Packet,
    cx::Cx,
    time::Instant,
    wire::tcp::{FastOpen, Header, MAX_OPTIONS},
};

/// TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_NO_COOKIE and TCP_FASTOPEN_KEY.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FastOpenSettings {
    /// How many connections may be open fast and not yet confirmed; 0 is none.
    pub queue: u32,
    /// connect(2) waits for the first data.
    pub connect: bool,
    /// Neither end asks for a cookie.
    pub no_cookie: bool,
    /// The listener's own keys: the first makes cookies, both are accepted.
    pub keys: Vec<[u8; 16]>,
}

/// Why data in the SYN did not work (`tcpi_fastopen_client_fail`).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// It did, or was not tried.
    #[default]
    None = 0,
    /// There was no cookie.
    NoCookie = 1,
    /// The SYN-ACK did not acknowledge it.
    NotAcked = 2,
    /// The SYN was lost.
    SynLost = 3,
}

/// The state of a fast opening.
#[derive(Debug, Default)]
pub struct FastOpening {
    /// The option of the first SYN or SYN-ACK: later ones go without (as Linux).
    option: Option<FastOpen>,
    /// connect(2) has been called, the SYN waits for data.
    waits: bool,
    /// A listener made the connection of the data in a SYN: it is used before the handshake is complete.
    passive: bool,
    /// A writer waits with more data: it acknowledges the SYN-ACK.
    writer: bool,
    /// Bytes in the SYN.
    data: u32,
    /// The SYN-ACK acknowledged them (or, passive, there were some).
    acked: bool,
    failure: Failure,
    /// What the server's segments took at last, bytes; 0 is not known.
    mss: u16,
    /// What the SYN-ACK told of the server.
    learned: Option<Lesson>,
}

/// How to ask a server that did not answer a request for a cookie (Linux's try_exp).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Retry {
    /// As the first time.
    #[default]
    Usual,
    /// By the experimental option, which came before the one of its own.
    Experimental,
    /// Neither was answered: by the usual one, without end.
    Settled,
}

/// What a SYN-ACK tells of a server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// A cookie that was asked for.
    pub cookie: Option<FastOpen>,
    /// Its MSS option.
    pub mss: u16,
    /// How to ask the next time, if there is no cookie.
    pub retry: Retry,
}

/// What a client has for a server.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Ticket {
    /// A cookie.
    Cookie(FastOpen),
    /// None is needed.
    NotNeeded,
    /// None yet: the SYN asks for one.
    Ask {
        /// By the experimental option.
        experimental: bool,
    },
}

impl Connection {
    /// The connection just begun opens fast: with a cookie its SYN waits for data, without it asks for one. `mss` is
    /// what the server's segments took at last, 0 if that is not known.
    pub fn open_fast(&mut self, ticket: Ticket, mss: u16) {
        let (option, waits) = match ticket {
            Ticket::Cookie(cookie) => (Some(cookie), true),
            Ticket::NotNeeded => (None, true),
            Ticket::Ask { experimental } => (Some(FastOpen::new(&[], experimental)), false),
        };
        let failure = if waits { Failure::None } else { Failure::NoCookie };
        self.opening.fast = Some(Box::new(FastOpening { option, waits, failure, mss, ..FastOpening::default() }));
        self.pending.syn = !waits;
    }

    /// Whether the SYN waits for data (TCP_FASTOPEN_CONNECT).
    pub fn awaits_data(&self) -> bool {
        self.state == State::SynSent && self.opening.fast.as_ref().is_some_and(|fast| fast.waits)
    }

    /// Whether it is used although the handshake is not complete (RFC 7413 section 4.2.2).
    pub fn is_fast_passive(&self) -> bool {
        self.state == State::SynReceived && self.opening.fast.as_ref().is_some_and(|fast| fast.passive)
    }

    /// Whether a listener made it of a SYN with a cookie (TCPI_OPT_TFO_CHILD).
    pub(super) fn is_fast_child(&self) -> bool {
        self.opening.fast.as_ref().is_some_and(|fast| fast.passive)
    }

    /// Bytes that find room in the SYN: all options are taken off, for boxes on the way that add some (as Linux).
    pub(super) fn syn_room(&self) -> usize {
        let known = self.opening.fast.as_ref().map_or(0, |fast| fast.mss);
        let peer = if known == 0 { u16::MAX } else { known };
        let segment = mss::limit(peer, &self.settings, &self.path, self.flow.remote.addr);
        usize::from(segment).saturating_sub(MAX_OPTIONS)
    }

    /// The SYN has its data and may leave.
    pub(super) fn release_syn(&mut self) {
        if let Some(fast) = &mut self.opening.fast {
            fast.waits = false;
        }
        self.pending.syn = true;
    }

    /// The option of the SYN or SYN-ACK that is leaving.
    pub(super) fn fast_option(&self) -> Option<FastOpen> {
        let fast = self.opening.fast.as_ref().filter(|_| self.opening.retries == 0)?;
        // Two ends that open at once acknowledge each other without it.
        let is_first = self.state == State::SynSent || fast.passive || self.life.embryo;
        fast.option.filter(|_| is_first)
    }

    /// The data of the SYN that is leaving, bytes. It is sent again by itself, never with the SYN (as Linux).
    pub(super) fn syn_data(&mut self, cx: &mut Cx<'_>) -> u32 {
        let waiting = self.snd.unsent_data();
        match &mut self.opening.fast {
            Some(fast) if self.state == State::SynSent && self.opening.retries == 0 && waiting > 0 => {
                fast.data = waiting;
                self.snd.on_sent(waiting, true, cx.now);
                waiting
            }
            _ => 0,
        }
    }

    /// A SYN with data came to a listener that trusts it: the data is there at once. `reply` is a new cookie.
    pub fn accept_fast(&mut self, payload: Packet, reply: Option<FastOpen>, cx: &mut Cx<'_>) {
        let acked = !payload.is_empty();
        let fast = FastOpening { option: reply, passive: true, acked, ..FastOpening::default() };
        self.opening.fast = Some(Box::new(fast));
        self.life.embryo = false;
        cx.mib.tcp_passive_opens += 1;
        cx.mib.tcp_fast_open_passive += 1;
        let first = self.opening.irs + 1;
        self.on_payload(first, payload, false, cx);
        self.acks.forget_pace();
    }

    /// The SYN-ACK will have a cookie.
    pub fn grant(&mut self, cookie: FastOpen) {
        let fast = FastOpening { option: Some(cookie), ..FastOpening::default() };
        self.opening.fast = Some(Box::new(fast));
    }

    /// The SYN-ACK is here: its cookie, and what it acknowledges of the data (RFC 7413 section 4.2.1).
    pub(super) fn on_fast_syn_ack(&mut self, seg: &Header, cx: &mut Cx<'_>) {
        let retries = self.opening.retries;
        let Some(fast) = &mut self.opening.fast else { return };
        // A cookie nobody asked for is ignored. One that was asked for and does not come may be had by the other
        // option, unless the request may have been lost.
        let cookie = seg.options.fast_open.filter(|cookie| fast.option.is_some() && !cookie.is_request());
        let retry = match (fast.option, seg.options.fast_open) {
            (Some(asked), None) if retries == 0 && fast.data == 0 => {
                if asked.experimental {
                    Retry::Settled
                } else {
                    Retry::Experimental
                }
            }
            _ => Retry::Usual,
        };
        fast.learned = Some(Lesson { cookie, mss: self.peer_mss, retry });
        if fast.data == 0 {
            return;
        }
        if seg.ack > self.snd.una() {
            fast.acked = true;
            cx.mib.tcp_fast_open_active += 1;
            let released = self.snd.on_ack(seg.ack);
            self.stats.on_acked(released.bytes.into());
        }
        if self.snd.unacked() > 0 {
            // It is sent again as in a connection that opened slowly.
            fast.acked = false;
            fast.failure = if retries > 0 { Failure::SynLost } else { Failure::NotAcked };
            cx.mib.tcp_fast_open_active_fail += 1;
            self.snd.mark_all_lost();
            self.recovery.retransmit_now = true;
        }
        // What this acknowledgement told is not left to the next, a round trip later: RACK's round trip would be both.
        self.on_heard(cx);
        self.restart_loss_timer(true, cx.now);
    }

    /// The SYN was too large for its path: it is sent again at once, without its data (as Linux).
    pub(super) fn on_syn_too_big(&mut self) {
        if self.state == State::SynSent && self.opening.fast.as_ref().is_some_and(|fast| fast.data > 0) {
            self.opening.retries += 1;
            self.pending.syn = true;
        }
    }

    /// Who called waits with more data than the SYN took.
    pub fn on_writer_waits(&mut self) {
        self.opening.fast.iter_mut().for_each(|fast| fast.writer = true);
    }

    /// The SYN-ACK is acknowledged: at once, unless data is about to do it (as Linux, which knows who sleeps in a
    /// write).
    pub(super) fn acknowledge_syn_ack(&mut self, now: Instant) {
        if self.opening.fast.as_ref().is_some_and(|fast| fast.writer) {
            self.acks.await_answer(now);
        } else {
            self.acks.owe_now();
        }
    }

    /// Takes what the SYN-ACK told of the server.
    pub fn take_lesson(&mut self) -> Option<Lesson> {
        self.opening.fast.as_mut()?.learned.take()
    }

    /// The largest segment the peer takes, bytes.
    pub fn peer_mss(&self) -> u16 {
        self.peer_mss
    }

    /// Whether data in a SYN was accepted (TCPI_OPT_SYN_DATA), and why not.
    pub(super) fn fast_result(&self) -> (bool, Failure) {
        self.opening.fast.as_ref().map_or((false, Failure::None), |fast| (fast.acked, fast.failure))
    }
}
