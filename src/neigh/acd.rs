//! Address conflict detection (RFC 5227): probing for our IPv4 addresses, announcing and defending them.

use super::arp;
use crate::{
    time::{Duration, Instant},
    wire::{arp::Packet, ethernet::MacAddr},
};
use std::{collections::VecDeque, net::Ipv4Addr};

/// Announcements sent for each address (ANNOUNCE_NUM).
const ANNOUNCEMENTS: u8 = 2;
/// Time between them (ANNOUNCE_INTERVAL).
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// An address is defended at most once in this time (DEFEND_INTERVAL).
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// Conflicts remembered until somebody asks for them.
const MAX_CONFLICTS: usize = 16;

struct Claim {
    addr: Ipv4Addr,
    /// Probed for and not yet announced.
    tentative: bool,
    announcements: u8,
    announce_at: Option<Instant>,
    defended: Option<Instant>,
}

/// Our claims on the addresses of one link.
pub struct Claims {
    mac: MacAddr,
    claims: Vec<Claim>,
    out: VecDeque<Packet>,
    conflicts: VecDeque<(Ipv4Addr, MacAddr)>,
}

impl Claims {
    /// Claims on `addrs`, which are ours from the start unless they are probed for.
    pub fn new(mac: MacAddr, addrs: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let claim = |addr| Claim { addr, tentative: false, announcements: 0, announce_at: None, defended: None };
        let claims = addrs.into_iter().map(claim).collect();
        Self { mac, claims, out: VecDeque::new(), conflicts: VecDeque::new() }
    }

    /// Sends one probe for each address (RFC 5227 section 2.1.1): they are tentative until announced.
    pub fn probe(&mut self) {
        for claim in &mut self.claims {
            claim.tentative = true;
            self.out.push_back(arp::probe(self.mac, claim.addr));
        }
    }

    /// Announces each address now and once more (RFC 5227 section 2.3).
    pub fn announce(&mut self, now: Instant) {
        for claim in &mut self.claims {
            claim.tentative = false;
            claim.announcements = ANNOUNCEMENTS;
            claim.announce_at = Some(now);
        }
        self.on_timer(now);
    }

    /// Whether `addr` is being probed for.
    pub fn is_tentative(&self, addr: Ipv4Addr) -> bool {
        self.claims.iter().any(|claim| claim.addr == addr && claim.tentative)
    }

    /// The station `mac` uses, or wants, our `addr`. We defend it, but not more often than allowed, and keep it
    /// (RFC 5227 section 2.4 (c)): a program cannot change its address in the middle of its connections.
    pub fn on_conflict(&mut self, addr: Ipv4Addr, mac: MacAddr, now: Instant) {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.addr == addr) else { return };
        if !claim.tentative {
            if claim.defended.is_some_and(|at| now.since(at) < DEFEND_INTERVAL) {
                return;
            }
            claim.defended = Some(now);
            self.out.push_back(arp::announcement(self.mac, addr));
        }
        if self.conflicts.len() < MAX_CONFLICTS && !self.conflicts.contains(&(addr, mac)) {
            self.conflicts.push_back((addr, mac));
        }
    }

    /// The time of [`Claims::poll_deadline`] has come.
    pub fn on_timer(&mut self, now: Instant) {
        for claim in &mut self.claims {
            if claim.announce_at.is_some_and(|at| at <= now) {
                claim.announcements -= 1;
                claim.announce_at = (claim.announcements > 0).then_some(now + ANNOUNCE_INTERVAL);
                self.out.push_back(arp::announcement(self.mac, claim.addr));
            }
        }
    }

    /// When [`Claims::on_timer`] wants to be called.
    pub fn poll_deadline(&self) -> Option<Instant> {
        self.claims.iter().filter_map(|claim| claim.announce_at).min()
    }

    /// Takes the next packet to be broadcast.
    pub fn poll_transmit(&mut self) -> Option<Packet> {
        self.out.pop_front()
    }

    /// Takes the next conflict: the address, and the station that uses it too.
    pub fn poll_conflict(&mut self) -> Option<(Ipv4Addr, MacAddr)> {
        self.conflicts.pop_front()
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
        assert_eq!(claims.poll_conflict(), Some((OWN, THIEF)));
        assert_eq!(claims.poll_conflict(), None);
    }

    #[test]
    fn a_tentative_address_is_not_defended_but_the_conflict_is_told() {
        let mut claims = Claims::new(ME, [OWN]);
        claims.probe();
        assert_eq!(sent(&mut claims), [arp::probe(ME, OWN)]);
        claims.on_conflict(OWN, THIEF, at(0));
        assert!(claims.is_tentative(OWN) && sent(&mut claims).is_empty());
        assert_eq!(claims.poll_conflict(), Some((OWN, THIEF)));
        claims.announce(at(1));
        assert!(!claims.is_tentative(OWN));
    }
}
