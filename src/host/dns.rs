//! Questions to name servers, and what their answers say (RFC 1035; RFC 3596 for IPv6), whoever carries them.
//!
//! An answer is believed if it has the question's id and repeats the question, and came to the port and from the server
//! that the socket is bound and connected to (RFC 5452 section 9.1). Answers that were truncated are used as far as
//! they go: fourteen addresses fit many times. What is known of names beyond that is not kept.

use simple_dns::{CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, TYPE, rdata::RData};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The largest message without extensions, bytes (RFC 1035 section 4.2.1); more room costs nothing.
pub const MESSAGE: usize = 1500;
/// Aliases of aliases that are followed within one answer.
const ALIASES: usize = 16;
/// The smallest record: an empty name, type, class, time to live and length.
const RECORD: usize = 11;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses (A).
    V4,
    /// IPv6 addresses (AAAA).
    V6,
    /// The name of an address (PTR).
    Pointer,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    name: String,
    kind: Kind,
}

/// What is known of a name or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Addresses, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The name itself: of an alias what it stands for, of an address what it is called.
    pub name: Option<String>,
}

/// What a message says about a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is no answer to it, or no message at all.
    Foreign,
    /// The answer.
    Found(Found),
    /// There is no such name.
    NoName,
    /// There is such a name, but nothing of that kind.
    NoData,
    /// The server cannot or will not say.
    Failed,
}

/// Whether a text can be a host's name: labels of letters, digits, `-` and `_`, as programs may trust (RFC 1123 section
/// 2.1; the underscore is common).
pub fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl Question {
    /// Asks for the addresses of a name; `None` if it cannot be a host's.
    pub fn of_name(name: &str, kind: Kind) -> Option<Self> {
        let name = name.strip_suffix('.').unwrap_or(name);
        is_host_name(name).then(|| Self { name: name.to_owned(), kind })
    }

    /// Asks for the name of an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
    pub fn of_address(addr: IpAddr) -> Self {
        let name = match addr {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(v6) => {
                let halves = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
                let digits = halves.map(|digit| format!("{digit:x}."));
                digits.collect::<String>() + "ip6.arpa"
            }
        };
        Self { name, kind: Kind::Pointer }
    }

    fn asked(&self) -> TYPE {
        match self.kind {
            Kind::V4 => TYPE::A,
            Kind::V6 => TYPE::AAAA,
            Kind::Pointer => TYPE::PTR,
        }
    }

    /// The message that asks it. Names that were checked always make one.
    pub fn message(&self, id: u16) -> Option<Vec<u8>> {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let (name, class) = (Name::new(&self.name).ok()?, QCLASS::CLASS(CLASS::IN));
        packet.questions.push(simple_dns::Question::new(name, QTYPE::TYPE(self.asked()), class, false));
        packet.build_bytes_vec().ok()
    }

    /// What `bytes` say about the question that was asked with `id`.
    pub fn judge(&self, id: u16, bytes: &[u8]) -> Verdict {
        let (Some(packet), Ok(name)) = (parse(bytes), Name::new(&self.name)) else { return Verdict::Foreign };
        let repeats = |asked: &simple_dns::Question<'_>| {
            asked.qname == name && asked.qtype == QTYPE::TYPE(self.asked()) && asked.qclass == QCLASS::CLASS(CLASS::IN)
        };
        let is_answer = packet.has_flags(PacketFlag::RESPONSE) && packet.opcode() == OPCODE::StandardQuery;
        if packet.id() != id || !is_answer || packet.questions.len() != 1 || !packet.questions.iter().all(repeats) {
            return Verdict::Foreign;
        }
        match packet.rcode() {
            RCODE::NoError => self.read(&packet, name),
            RCODE::NameError => Verdict::NoName,
            _ => Verdict::Failed,
        }
    }

    /// Follows the aliases of a good answer to what was asked for.
    fn read(&self, packet: &Packet<'_>, asked: Name<'_>) -> Verdict {
        let mut name = asked;
        for _ in 0..ALIASES {
            let of_name = || packet.answers.iter().filter(|record| record.name == name && record.class == CLASS::IN);
            let mut found = Found::default();
            for record in of_name() {
                match (self.kind, &record.rdata) {
                    (Kind::V4, RData::A(a)) => found.addresses.push(Ipv4Addr::from(a.address).into()),
                    (Kind::V6, RData::AAAA(aaaa)) => found.addresses.push(Ipv6Addr::from(aaaa.address).into()),
                    (Kind::Pointer, RData::PTR(target)) if found.name.is_none() => {
                        found.name = Some(target.0.to_string()).filter(|name| is_host_name(name));
                    }
                    _ => {}
                }
            }
            if !found.addresses.is_empty() || found.name.is_some() {
                if self.kind != Kind::Pointer {
                    let canonical = Some(name.to_string());
                    found.name = canonical.filter(|own| !own.eq_ignore_ascii_case(&self.name) && is_host_name(own));
                }
                return Verdict::Found(found);
            }
            let alias = of_name().find_map(|record| match &record.rdata {
                RData::CNAME(target) => Some(target.0.clone()),
                _ => None,
            });
            match alias {
                Some(target) => name = target,
                None if packet.has_flags(PacketFlag::TRUNCATION) => return Verdict::Failed,
                None => return Verdict::NoData,
            }
        }
        Verdict::Failed
    }
}

/// Takes a message apart, if it can hold as many records as it says it does.
fn parse(bytes: &[u8]) -> Option<Packet<'_>> {
    let counts = bytes.get(4..12)?.chunks_exact(2).map(|two| usize::from(two[0]) << 8 | usize::from(two[1]));
    let records: usize = counts.skip(1).sum();
    if records > bytes.len() / RECORD || bytes.get(4..6) != Some(&[0, 1]) {
        return None;
    }
    Packet::parse(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{
        ResourceRecord,
        rdata::{A, AAAA, CNAME, PTR},
    };

    const ID: u16 = 0xbeef;

    fn name(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    fn question(kind: Kind) -> Question {
        Question::of_name("www.example.org", kind).unwrap()
    }

    fn a(owner: &'static str, last: u8) -> ResourceRecord<'static> {
        let address = Ipv4Addr::new(192, 0, 2, last).into();
        ResourceRecord::new(name(owner), CLASS::IN, 60, RData::A(A { address }))
    }

    fn alias(owner: &'static str, target: &'static str) -> ResourceRecord<'static> {
        ResourceRecord::new(name(owner), CLASS::IN, 60, RData::CNAME(CNAME(name(target))))
    }

    /// The answer to `question` with these records, changed by `change`.
    fn answer(
        question: &Question,
        records: Vec<ResourceRecord<'static>>,
        change: impl FnOnce(&mut Packet<'_>),
    ) -> Vec<u8> {
        let query = question.message(ID).unwrap();
        let mut packet = Packet::parse(&query).unwrap().into_reply();
        packet.answers = records;
        change(&mut packet);
        packet.build_bytes_vec_compressed().unwrap()
    }

    fn found(addresses: &[&str], name: Option<&str>) -> Verdict {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Verdict::Found(Found { addresses, name: name.map(str::to_owned) })
    }

    #[test]
    fn a_question_is_one_name_with_recursion_desired() {
        let message = question(Kind::V6).message(ID).unwrap();
        assert_eq!(message[..12], [0xbe, 0xef, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&message[12..], b"\x03www\x07example\x03org\0\0\x1c\0\x01");
    }

    #[test]
    fn addresses_are_questions_with_their_parts_backwards() {
        let of = |text: &str| Question::of_address(text.parse().unwrap()).name;
        assert_eq!(of("192.0.2.7"), "7.2.0.192.in-addr.arpa");
        let zeros = "0.".repeat(19);
        assert_eq!(of("2001:db8:4::1"), format!("1.{zeros}4.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"));
    }

    #[test]
    fn names_that_no_host_has_are_not_asked_for() {
        for name in ["a b", "", ".", "a..b", "-a", "a\\.b", "ä", &"a".repeat(64), &"a.".repeat(130)] {
            assert_eq!(Question::of_name(name, Kind::V4), None, "{name}");
        }
        assert_eq!(Question::of_name("x_1.example.", Kind::V4).unwrap().name, "x_1.example");
    }

    #[test]
    fn addresses_are_those_of_the_name_or_of_what_it_stands_for() {
        let question = question(Kind::V4);
        let judge = |records| question.judge(ID, &answer(&question, records, |_| {}));
        assert_eq!(
            judge(vec![a("www.example.org", 1), a("WWW.example.org", 2)]),
            found(&["192.0.2.1", "192.0.2.2"], None)
        );
        let chain = vec![a("b.example", 9), alias("a.example", "B.example"), alias("www.example.org", "a.example")];
        assert_eq!(judge(chain), found(&["192.0.2.9"], Some("B.example")));
        assert_eq!(judge(vec![a("other.example.org", 1)]), Verdict::NoData);
        assert_eq!(judge(vec![]), Verdict::NoData);
        let circle = vec![alias("www.example.org", "a.example"), alias("a.example", "www.example.org")];
        assert_eq!(judge(circle), Verdict::Failed);
    }

    #[test]
    fn each_kind_takes_its_own_records() {
        let question = question(Kind::V6);
        let six = RData::AAAA(AAAA { address: "2001:db8::1".parse::<Ipv6Addr>().unwrap().into() });
        let records = vec![a("www.example.org", 1), ResourceRecord::new(name("www.example.org"), CLASS::IN, 1, six)];
        assert_eq!(question.judge(ID, &answer(&question, records, |_| {})), found(&["2001:db8::1"], None));
        let question = Question::of_address("192.0.2.7".parse().unwrap());
        let called = |target| {
            let record =
                ResourceRecord::new(name("7.2.0.192.in-addr.arpa"), CLASS::IN, 1, RData::PTR(PTR(name(target))));
            question.judge(ID, &answer(&question, vec![record], |_| {}))
        };
        assert_eq!(called("seven.example"), found(&[], Some("seven.example")));
        assert_eq!(called("$(reboot).example"), Verdict::NoData);
    }

    #[test]
    fn codes_and_truncation_are_told_apart() {
        let question = question(Kind::V4);
        let code = |code| question.judge(ID, &answer(&question, vec![], |packet| *packet.rcode_mut() = code));
        assert_eq!(code(RCODE::NameError), Verdict::NoName);
        assert_eq!([code(RCODE::ServerFailure), code(RCODE::Refused)], [Verdict::Failed, Verdict::Failed]);
        let cut = |records| question.judge(ID, &answer(&question, records, |p| p.set_flags(PacketFlag::TRUNCATION)));
        assert_eq!(cut(vec![a("www.example.org", 1)]), found(&["192.0.2.1"], None));
        assert_eq!(cut(vec![]), Verdict::Failed);
    }

    #[test]
    fn what_is_no_answer_to_the_question_is_foreign() {
        let question = question(Kind::V4);
        let good = answer(&question, vec![a("www.example.org", 1)], |_| {});
        assert_eq!(question.judge(ID + 1, &good), Verdict::Foreign);
        assert_eq!(question.judge(ID, &question.message(ID).unwrap()), Verdict::Foreign, "a question");
        let other = Question::of_name("www.example.com", Kind::V4).unwrap();
        assert_eq!(question.judge(ID, &answer(&other, vec![a("www.example.org", 1)], |_| {})), Verdict::Foreign);
        let six = Question { kind: Kind::V6, ..question.clone() };
        assert_eq!(six.judge(ID, &good), Verdict::Foreign);
        for end in 0..good.len() {
            assert_eq!(question.judge(ID, &good[..end]), Verdict::Foreign, "{end}");
        }
        let mut many = good.clone();
        many[8..12].copy_from_slice(&[0xff; 4]);
        assert_eq!(question.judge(ID, &many), Verdict::Foreign);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        use crate::rng::{Rng, SeededRng};
        let question = question(Kind::V4);
        let chain = vec![a("a.example", 9), alias("www.example.org", "a.example")];
        let good = answer(&question, chain, |_| {});
        let mut rng = SeededRng::new([3, 4]);
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..=rng.below(4) {
                let at = rng.below(bytes.len() as u32) as usize;
                bytes[at] = rng.u32() as u8;
            }
            bytes.truncate(bytes.len() - rng.below(3) as usize);
            let _ = question.judge(ID, &bytes);
        }
    }
}
