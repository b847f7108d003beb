//! Names of hosts: what is an address already, what /etc/hosts knows, the host's own, and what name servers are to be
//! asked for.

use super::dns::{Found, Kind, Question};
use crate::{addr::Endpoint, socket::inspect::mapped, sys::machine};
use sockeye_shim::{
    address::Address,
    format::{DATA, Data, Op, Request, Response},
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name that is longer leaves the room to addresses.
const NAME: usize = 128;

/// What can be said about a request without asking anybody.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The answer.
    Known(Found),
    /// These questions are the name servers'.
    Ask(Vec<Question>),
    /// There is no such name.
    Unknown,
}

/// What is known on this machine.
pub struct Local {
    /// The text of hosts(5).
    table: String,
    /// The machine's name.
    name: String,
    /// The stack's own addresses.
    addresses: Vec<IpAddr>,
}

impl Local {
    /// What this machine knows, which may change while the host runs: `table` is the text of hosts(5).
    pub fn read(table: String, addresses: Vec<IpAddr>) -> Self {
        Self { table, name: machine::name(), addresses }
    }

    /// Judges a request for the addresses of a name, or for the name of an address.
    pub fn judge(&self, request: &Request) -> Verdict {
        if request.op == Op::Reverse {
            return self.judge_address(ip(&request.address));
        }
        let Ok(name) = str::from_utf8(request.data.as_bytes()) else { return Verdict::Unknown };
        let name = name.strip_suffix('.').unwrap_or(name);
        // What the stack could not reach is better not tried, unless it is what the program asks for.
        let has_v6 = self.addresses.iter().any(IpAddr::is_ipv6);
        let kinds: &[Kind] = match request.value {
            libc::AF_INET => &[Kind::V4],
            libc::AF_INET6 => &[Kind::V6],
            _ if has_v6 => &[Kind::V4, Kind::V6],
            _ => &[Kind::V4],
        };
        let wanted = |addr: &IpAddr| kinds.contains(if addr.is_ipv4() { &Kind::V4 } else { &Kind::V6 });
        let addresses: Vec<IpAddr> = self.addresses_of(name).into_iter().filter(wanted).collect();
        if !addresses.is_empty() {
            return Verdict::Known(Found { addresses, name: None });
        }
        if self.is_ours(name) || name.parse::<IpAddr>().is_ok() {
            return Verdict::Unknown;
        }
        let questions: Vec<_> = kinds.iter().filter_map(|&kind| Question::of_name(name, kind)).collect();
        if questions.is_empty() { Verdict::Unknown } else { Verdict::Ask(questions) }
    }

    fn judge_address(&self, addr: IpAddr) -> Verdict {
        let of_line = |line: &str| -> Option<String> {
            let mut words = words(line);
            let name = (words.next()?.parse() == Ok(addr)).then(|| words.next())?;
            name.map(str::to_owned)
        };
        let own = || self.addresses.contains(&addr).then(|| self.name.clone()).filter(|name| !name.is_empty());
        match self.table.lines().find_map(of_line).or_else(own) {
            Some(name) => Verdict::Known(Found { addresses: Vec::new(), name: Some(name) }),
            None if addr.is_loopback() => {
                Verdict::Known(Found { addresses: Vec::new(), name: Some("localhost".to_owned()) })
            }
            None => Verdict::Ask(vec![Question::of_address(addr)]),
        }
    }

    /// hosts(5): an address and its names a line; `#` begins a comment.
    fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        if let Ok(addr) = name.parse() {
            return vec![addr];
        }
        let of_line = |line: &str| -> Option<IpAddr> {
            let mut words = words(line);
            let addr = words.next()?.parse().ok()?;
            words.any(|word| word.eq_ignore_ascii_case(name)).then_some(addr)
        };
        // The stack's loopback is one of IPv4.
        let mut found: Vec<IpAddr> =
            self.table.lines().filter_map(of_line).filter(|addr| *addr != IpAddr::V6(Ipv6Addr::LOCALHOST)).collect();
        if found.is_empty() && is_loopback(name) {
            found.push(Ipv4Addr::LOCALHOST.into());
        }
        if found.is_empty() && self.is_ours(name) {
            found.extend(&self.addresses);
        }
        found
    }

    /// Whether no name server has anything to say about a name.
    fn is_ours(&self, name: &str) -> bool {
        is_loopback(name) || (!self.name.is_empty() && name.eq_ignore_ascii_case(&self.name))
    }
}

/// `localhost` is never anybody else (RFC 6761 section 6.3).
fn is_loopback(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('#').next().unwrap_or_default().split_whitespace()
}

/// The address of a request.
fn ip(address: &Address) -> IpAddr {
    match address.to_v4() {
        Some(v4) => Ipv4Addr::from(v4).into(),
        None => Ipv6Addr::from(address.ip).into(),
    }
}

/// What a program is told: as many addresses as fit, the best first, and the name behind them.
pub fn response(op: Op, found: &Found) -> Response {
    let name = found.name.as_deref().unwrap_or_default().as_bytes();
    let mut bytes = Vec::with_capacity(DATA);
    if op == Op::Resolve {
        let name_len = if name.len() > NAME { 0 } else { name.len() };
        let count = found.addresses.len().min((DATA - 1 - name_len) / Address::SIZE);
        bytes.push(u8::try_from(count).unwrap_or(u8::MAX));
        for addr in &found.addresses[..count] {
            bytes.extend(mapped(Endpoint::new(*addr, 0)).to_bytes());
        }
        bytes.extend(&name[..name_len]);
    } else {
        bytes.extend(name);
    }
    match Data::of(&bytes) {
        Some(data) => Response { data, ..Response::new(0) },
        None => Response::new(libc::ENOENT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "127.0.0.1 localhost # here\n::1 localhost\n10.0.0.7\tDb db.example\nnonsense db\n\
                         2001:db8::7 six\n2001:db8::8 both\n10.0.0.8 both\n";

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn local(table: &str) -> Local {
        Local { table: table.to_owned(), name: "Mine".to_owned(), addresses: vec![addr("10.97.0.2")] }
    }

    fn forward(table: &str, name: &str, family: i32) -> Verdict {
        let data = Data::of(name.as_bytes()).unwrap();
        local(table).judge(&Request { data, value: family, ..Request::new(Op::Resolve, [0; 16]) })
    }

    fn known(addresses: &[&str]) -> Verdict {
        Verdict::Known(Found { addresses: addresses.iter().map(|text| addr(text)).collect(), name: None })
    }

    #[test]
    fn addresses_are_their_own_names_and_the_table_knows_others() {
        assert_eq!(forward(TABLE, "10.1.2.3", 0), known(&["10.1.2.3"]));
        assert_eq!(forward(TABLE, "localhost", 0), known(&["127.0.0.1"]));
        assert_eq!(forward(TABLE, "DB", libc::AF_INET), known(&["10.0.0.7"]));
        assert_eq!(forward(TABLE, "db.example.", 0), known(&["10.0.0.7"]));
        assert_eq!(forward(TABLE, "both", 0), known(&["10.0.0.8"]));
        assert_eq!(forward(TABLE, "six", libc::AF_INET6), known(&["2001:db8::7"]));
        assert!(matches!(forward(TABLE, "six", libc::AF_INET), Verdict::Ask(_)));
        assert_eq!(forward(TABLE, "10.1.2.3", libc::AF_INET6), Verdict::Unknown);
    }

    #[test]
    fn the_own_names_need_no_table() {
        assert_eq!(forward("", "localhost", 0), known(&["127.0.0.1"]));
        assert_eq!(forward("", "a.LocalHost", libc::AF_INET), known(&["127.0.0.1"]));
        assert_eq!(forward("", "localhost", libc::AF_INET6), Verdict::Unknown);
        assert_eq!(forward("", "mine", 0), known(&["10.97.0.2"]));
    }

    #[test]
    fn other_names_are_asked_for_in_the_families_that_are_wanted() {
        let asks = |family| match forward(TABLE, "here", family) {
            Verdict::Ask(questions) => questions,
            other => panic!("{other:?}"),
        };
        let question = |kind| Question::of_name("here", kind).unwrap();
        assert_eq!(asks(libc::AF_INET), [question(Kind::V4)]);
        assert_eq!(asks(libc::AF_INET6), [question(Kind::V6)]);
        assert_eq!(asks(0), [question(Kind::V4)], "a stack without IPv6");
        assert_eq!(forward(TABLE, "not a name", 0), Verdict::Unknown);
    }

    #[test]
    fn addresses_have_the_first_name_of_their_line() {
        let called = |text: &str| {
            let address = mapped(Endpoint::new(addr(text), 0));
            local(TABLE).judge(&Request { address, ..Request::new(Op::Reverse, [0; 16]) })
        };
        let name = |name: &str| Verdict::Known(Found { addresses: vec![], name: Some(name.to_owned()) });
        assert_eq!(called("10.0.0.7"), name("Db"));
        assert_eq!(called("127.0.0.9"), name("localhost"));
        assert_eq!(called("10.97.0.2"), name("Mine"));
        assert_eq!(called("10.0.0.9"), Verdict::Ask(vec![Question::of_address(addr("10.0.0.9"))]));
    }

    #[test]
    fn an_answer_has_the_first_addresses_and_the_name_behind_them() {
        let many = Found { addresses: vec![addr("10.0.0.1"); 40], name: Some("n".repeat(NAME)) };
        let data = response(Op::Resolve, &many).data;
        let (count, rest) = data.as_bytes().split_first().unwrap();
        assert_eq!((*count, rest.len()), (8, 8 * Address::SIZE + NAME));
        let nameless = response(Op::Resolve, &Found { name: None, ..many }).data;
        assert_eq!((nameless.as_bytes()[0], nameless.as_bytes().len()), (15, 1 + 15 * Address::SIZE));
        let name = Found { addresses: vec![], name: Some("a.example".to_owned()) };
        assert_eq!(response(Op::Reverse, &name).data.as_bytes(), b"a.example");
    }
}
