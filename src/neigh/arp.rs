//! What an ARP packet means to us (RFC 826, RFC 5227), and the packets we send.

use super::nud::Heard;
use crate::wire::{
    arp::{Operation, Packet},
    ethernet::MacAddr,
};
use std::net::Ipv4Addr;

/// What an address is to us.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Ours.
    Own,
    /// To become ours if nobody else has it.
    Tentative,
    /// Of a network on this link.
    OnLink,
    /// None of these.
    Foreign,
}

/// What is to be done about a packet.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The sender's address is to be learnt.
    pub learn: Option<Heard>,
    /// The packet asks for our address.
    pub reply: bool,
    /// The sender uses, or wants, this address of ours.
    pub conflict: Option<Ipv4Addr>,
}

/// Judges a received packet. Nothing is learnt from senders that cannot be on the link, nor from talk between others.
pub fn judge(packet: &Packet, own_mac: MacAddr, standing: impl Fn(Ipv4Addr) -> Standing) -> Verdict {
    let &Packet { operation, sender_mac, sender_ip, target_mac, target_ip } = packet;
    if sender_mac == own_mac {
        return Verdict::default();
    }
    let target = standing(target_ip);
    match standing(sender_ip) {
        Standing::Own | Standing::Tentative => {
            return Verdict { conflict: Some(sender_ip), ..Verdict::default() };
        }
        // RFC 5227 section 2.1.1: somebody probes for the address that we are probing for; we may not have both.
        Standing::Foreign if sender_ip.is_unspecified() => {
            let asked = operation == Operation::Request;
            let conflict = (asked && target == Standing::Tentative).then_some(target_ip);
            return Verdict { reply: asked && target == Standing::Own, conflict, learn: None };
        }
        Standing::Foreign => return Verdict::default(),
        Standing::OnLink => {}
    }
    let learn = match (operation, target) {
        (Operation::Request, Standing::Own) => Some(Heard::Asked),
        (Operation::Reply, Standing::Own) if target_mac == own_mac => Some(Heard::Answer),
        _ if sender_ip == target_ip => Some(Heard::Announced),
        _ => None,
    };
    Verdict { learn, reply: learn == Some(Heard::Asked), conflict: None }
}

/// Asks who has `target`.
pub const fn request(mac: MacAddr, source: Ipv4Addr, target: Ipv4Addr) -> Packet {
    Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: source,
        target_mac: MacAddr::UNSPECIFIED,
        target_ip: target,
    }
}

/// Answers a request for one of our addresses.
pub const fn reply(mac: MacAddr, request: &Packet) -> Packet {
    Packet {
        operation: Operation::Reply,
        sender_mac: mac,
        sender_ip: request.target_ip,
        target_mac: request.sender_mac,
        target_ip: request.sender_ip,
    }
}

/// Asks whether anybody has `addr`, without claiming it (RFC 5227 section 1.1).
pub const fn probe(mac: MacAddr, addr: Ipv4Addr) -> Packet {
    request(mac, Ipv4Addr::UNSPECIFIED, addr)
}

/// Tells everybody that `addr` is ours (RFC 5227 section 1.1).
pub const fn announcement(mac: MacAddr, addr: Ipv4Addr) -> Packet {
    request(mac, addr, addr)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
    const PEER: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
    const WANTED: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 77);

    fn verdict(packet: Packet) -> Verdict {
        judge(&packet, ME, |addr| match addr {
            OWN => Standing::Own,
            WANTED => Standing::Tentative,
            addr if addr.octets()[..3] == [10, 0, 0] => Standing::OnLink,
            _ => Standing::Foreign,
        })
    }

    #[test]
    fn a_request_for_us_is_answered_and_its_sender_learnt() {
        let asked = request(PEER, HOST, OWN);
        assert_eq!(verdict(asked), Verdict { learn: Some(Heard::Asked), reply: true, conflict: None });
        let answer = reply(ME, &asked);
        assert_eq!((answer.sender_ip, answer.target_ip, answer.target_mac), (OWN, HOST, PEER));
    }

    #[test]
    fn an_answer_to_us_is_learnt_and_talk_between_others_is_not() {
        let answer = reply(PEER, &request(ME, OWN, HOST));
        assert_eq!(verdict(answer).learn, Some(Heard::Answer));
        assert_eq!(verdict(request(PEER, HOST, OTHER)), Verdict::default());
        assert_eq!(verdict(reply(PEER, &request(MacAddr([4; 6]), OTHER, HOST))), Verdict::default());
    }

    #[test]
    fn an_announcement_updates_only() {
        assert_eq!(verdict(announcement(PEER, HOST)).learn, Some(Heard::Announced));
    }

    #[test]
    fn nothing_is_learnt_from_senders_off_the_link() {
        assert_eq!(verdict(request(PEER, Ipv4Addr::new(192, 0, 2, 1), OWN)), Verdict::default());
    }

    #[test]
    fn whoever_speaks_with_our_address_is_in_conflict_and_our_own_echo_is_not() {
        assert_eq!(verdict(request(PEER, OWN, HOST)).conflict, Some(OWN));
        assert_eq!(verdict(request(PEER, WANTED, HOST)).conflict, Some(WANTED));
        assert_eq!(verdict(announcement(ME, OWN)), Verdict::default());
    }

    #[test]
    fn a_probe_for_our_address_is_answered_and_one_for_a_tentative_address_is_a_conflict() {
        assert_eq!(verdict(probe(PEER, OWN)), Verdict { learn: None, reply: true, conflict: None });
        assert_eq!(verdict(probe(PEER, WANTED)), Verdict { learn: None, reply: false, conflict: Some(WANTED) });
    }
}
