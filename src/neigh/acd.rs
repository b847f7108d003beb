//! Address conflict detection (RFC 5227): probing for our IPv4 addresses, announcing and defending them.

use super::arp;
use crate::{
    buf::Frame,
    time::{Duration, Instant},
    wire::{arp::Packet, ethernet::MacAddr},
};
use std::{collections::VecDeque, net::Ipv4Addr};

/// How often an address is probed for before it is used (PROBE_NUM): the kernel's side of a device that was just opened
/// may not send its answer to the first.
const PROBES: u8 = 3;
/// How long an answer is waited for after each. The RFC takes some seconds; a program that is started wants to be
/// heard.
const PROBE_WAIT: Duration = Duration::from_millis(67);
/// Announcements sent for each address (ANNOUNCE_NUM).
const ANNOUNCEMENTS: u8 = 2;
/// Time between them (ANNOUNCE_INTERVAL).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is defended at most once in this time (DEFEND_INTERVAL).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Frames that wait for the addresses at most, beside those that wait for a neighbour.
const MAX_HELD_FRAMES: usize = 1024;
/// See [`MAX_HELD_FRAMES`].
const MAX_HELD_BYTES: usize = 1 << 20;

struct Claim {
    addr: Ipv4Addr,
    announcements: u8,
    announce_at: Option<Instant>,
    defended: Option<Instant>,
}

/// How far the addresses are ours. They become so together: no frame leaves before.
enum Phase {
    /// Probed for; so many probes are to come, the next (or the end) at that time.
    Probing { left: u8, at: Instant },
    /// Another station has one, or wants it: they never become ours.
    Lost { addr: Ipv4Addr, by: MacAddr, is_told: bool },
    /// Ours.
    Owned,
}

/// Our claims on the addresses of one link.
pub struct Claims {
    mac: MacAddr,
    phase: Phase,
    claims: Vec<Claim>,
    out: VecDeque<Packet>,
    held: VecDeque<Frame>,
    held_bytes: usize,
}

impl Claims {
    /// Claims on `addrs`, which are ours from the start unless they are probed for.
    pub fn new(mac: MacAddr, addrs: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let claim = |addr| Claim { addr, announcements: 0, announce_at: None, defended: None };
        let claims = addrs.into_iter().map(claim).collect();
        Self { mac, phase: Phase::Owned, claims, out: VecDeque::new(), held: VecDeque::new(), held_bytes: 0 }
    }

    /// Starts probing for each address (RFC 5227 section 2.1.1): they are tentative until announced.
    pub fn probe(&mut self, now: Instant) {
        self.phase = Phase::Probing { left: PROBES, at: now };
        self.on_timer(now);
    }

    /// Announces each address now and once more (RFC 5227 section 2.3).
    pub fn announce(&mut self, now: Instant) {
        self.phase = Phase::Owned;
        for claim in &mut self.claims {
            claim.announcements = ANNOUNCEMENTS;
            claim.announce_at = Some(now);
        }
        self.on_timer(now);
    }

    /// Whether the addresses are not ours yet: no frame may have one of them as its source.
    pub fn are_tentative(&self) -> bool {
        !matches!(self.phase, Phase::Owned)
    }

    /// Whether `addr` is one of those that are not ours yet.
    pub fn is_tentative(&self, addr: Ipv4Addr) -> bool {
        self.are_tentative() && self.claims.iter().any(|claim| claim.addr == addr)
    }

    /// Whether probes are still to come, or an answer to the last.
    pub fn is_probing(&self) -> bool {
        matches!(self.phase, Phase::Probing { .. })
    }

    /// Keeps a frame until the addresses are ours; false if there is no room, or they never will be.
    pub fn hold(&mut self, frame: Frame) -> bool {
        let has_room = self.held.len() < MAX_HELD_FRAMES && self.held_bytes + frame.len() <= MAX_HELD_BYTES;
        let is_held = has_room && self.is_probing();
        if is_held {
            self.held_bytes += frame.len();
            self.held.push_back(frame);
        }
        is_held
    }

    /// Whether a frame waits for the addresses.
    pub fn holds_frames(&self) -> bool {
        !self.held.is_empty()
    }

    /// The station `mac` uses, or wants, our `addr`. One that is ours we defend, but not more often than allowed, and
    /// keep (RFC 5227 section 2.4 (c)): a program cannot change its address in the middle of its connections.
    pub fn on_conflict(&mut self, addr: Ipv4Addr, mac: MacAddr, now: Instant) {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.addr == addr) else { return };
        match self.phase {
            Phase::Probing { .. } => {
                self.phase = Phase::Lost { addr, by: mac, is_told: false };
                self.held.clear();
            }
            Phase::Lost { .. } => {}
            Phase::Owned if claim.defended.is_some_and(|at| now.since(at) < DEFEND_INTERVAL) => {}
            Phase::Owned => {
                claim.defended = Some(now);
                self.out.push_back(arp::announcement(self.mac, addr));
            }
        }
    }

    /// The time of [`Claims::poll_deadline`] has come. True when nobody has answered the probes: the addresses are to
    /// be announced.
    pub fn on_timer(&mut self, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Probing { left: 0, at } if *at <= now => return true,
            Phase::Probing { left, at } if *at <= now => {
                *left -= 1;
                *at = now + PROBE_WAIT;
                self.out.extend(self.claims.iter().map(|claim| arp::probe(self.mac, claim.addr)));
            }
            _ => {}
        }
        for claim in &mut self.claims {
            if claim.announce_at.is_some_and(|at| at <= now) {
                claim.announcements -= 1;
                claim.announce_at = (claim.announcements > 0).then_some(now + ANNOUNCE_INTERVAL);
                self.out.push_back(arp::announcement(self.mac, claim.addr));
            }
        }
        false
    }

    /// When [`Claims::on_timer`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        let probe = if let Phase::Probing { at, .. } = self.phase { Some(at) } else { None };
        self.claims.iter().filter_map(|claim| claim.announce_at).chain(probe).min()
    }

    /// Takes the next packet to be broadcast.
    pub fn poll_transmit(&mut self) -> Option<Packet> {
        self.out.pop_front()
    }

    /// Takes the next frame that waited for the addresses, once they are ours.
    pub fn poll_released(&mut self) -> Option<Frame> {
        let frame = if self.are_tentative() { None } else { self.held.pop_front() }?;
        self.held_bytes -= frame.len();
        Some(frame)
    }

    /// An address that was probed for in vain, and the station that has it; told once.
    pub fn poll_lost(&mut self) -> Option<(Ipv4Addr, MacAddr)> {
        let Phase::Lost { addr, by, is_told } = &mut self.phase else { return None };
        (!std::mem::replace(is_told, true)).then_some((*addr, *by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const THIEF: MacAddr = MacAddr([2, 0, 0, 0, 0, 66]);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

    fn at(s: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(s)
    }

    fn sent(claims: &mut Claims) -> Vec<Packet> {
        std::iter::from_fn(|| claims.poll_transmit()).collect()
    }

    #[test]
    fn an_address_is_announced_twice_two_seconds_apart() {
        let mut claims = Claims::new(ME, [OWN]);
        claims.announce(at(0));
        assert_eq!(sent(&mut claims), [arp::announcement(ME, OWN)]);
        assert_eq!(claims.poll_deadline(), Some(at(2)));
        claims.on_timer(at(2));
        assert_eq!(sent(&mut claims), [arp::announcement(ME, OWN)]);
        assert_eq!(claims.poll_deadline(), None);
    }

    #[test]
    fn an_address_is_defended_once_in_ten_seconds() {
        let mut claims = Claims::new(ME, [OWN]);
        for s in [0, 5, 9] {
            claims.on_conflict(OWN, THIEF, at(s));
        }
        assert_eq!(sent(&mut claims).len(), 1);
        claims.on_conflict(OWN, THIEF, at(10));
        assert_eq!(sent(&mut claims).len(), 1);
        assert_eq!(claims.poll_lost(), None);
    }

    /// Runs the timers until the probing is over; how many probes there were, and when the end was.
    fn probed(claims: &mut Claims) -> (usize, Instant) {
        let mut probes = 0;
        loop {
            let now = claims.poll_deadline().unwrap();
            let is_over = claims.on_timer(now);
            let fresh = sent(claims);
            assert!(fresh.iter().all(|packet| *packet == arp::probe(ME, OWN)), "{fresh:?}");
            probes += fresh.len();
            if is_over {
                return (probes, now);
            }
        }
    }

    #[test]
    fn an_address_is_probed_for_three_times_and_what_is_sent_waits_meanwhile() {
        let mut claims = Claims::new(ME, [OWN]);
        claims.probe(at(0));
        let mut frame = Frame::new();
        frame.push_bytes(b"held");
        assert!(claims.is_tentative(OWN) && !claims.is_tentative(Ipv4Addr::new(10, 0, 0, 3)));
        assert!(claims.hold(frame));
        assert_eq!(probed(&mut claims), (3, at(0) + PROBE_WAIT * 3));
        assert!(claims.is_probing() && claims.poll_released().is_none());
        claims.announce(at(1));
        assert!(!claims.are_tentative() && claims.poll_released().is_some());
        assert_eq!(sent(&mut claims), [arp::announcement(ME, OWN)]);
    }

    #[test]
    fn what_waits_for_an_address_is_bounded() {
        let mut claims = Claims::new(ME, [OWN]);
        claims.probe(at(0));
        let frame = |bytes: usize| {
            let mut frame = Frame::new();
            frame.push_bytes(&vec![0; bytes]);
            frame
        };
        assert_eq!((0..2000).filter(|_| claims.hold(frame(10))).count(), MAX_HELD_FRAMES);
        claims.announce(at(1));
        while claims.poll_released().is_some() {}
        claims.probe(at(2));
        assert_eq!((0..100).filter(|_| claims.hold(frame(32 << 10))).count(), 32);
    }

    #[test]
    fn a_tentative_address_is_not_defended_but_lost() {
        let mut claims = Claims::new(ME, [OWN]);
        claims.probe(at(0));
        assert_eq!(sent(&mut claims), [arp::probe(ME, OWN)]);
        assert!(claims.hold(Frame::new()));
        claims.on_conflict(OWN, THIEF, at(0));
        assert!(!claims.holds_frames() && !claims.hold(Frame::new()), "it would wait for ever");
        assert!(claims.is_tentative(OWN) && !claims.is_probing() && sent(&mut claims).is_empty());
        assert_eq!((claims.poll_lost(), claims.poll_lost()), (Some((OWN, THIEF)), None));
        assert_eq!((claims.poll_deadline(), claims.on_timer(at(9))), (None, false));
    }
}
