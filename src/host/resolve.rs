//! Names of hosts: what is an address already, and what /etc/hosts knows.

use crate::error::{Error, Result};
use sockeye_shim::{address::Address, format::Request};
use std::net::{IpAddr, Ipv6Addr};

const HOSTS: &str = "/etc/hosts";

/// The addresses of a name, [`Address::SIZE`] bytes each.
///
/// # Errors
/// `NotFound`.
pub fn resolve(request: &Request) -> Result<Vec<u8>> {
    let name = str::from_utf8(request.data.as_bytes()).map_err(|_| Error::NotFound)?;
    let table = std::fs::read_to_string(HOSTS).unwrap_or_default();
    let wanted = |addr: &IpAddr| match request.value {
        libc::AF_INET => addr.is_ipv4(),
        libc::AF_INET6 => addr.is_ipv6(),
        _ => true,
    };
    let found: Vec<u8> = addresses(name, &table).into_iter().filter(wanted).take(14).flat_map(bytes).collect();
    if found.is_empty() { Err(Error::NotFound) } else { Ok(found) }
}

fn bytes(addr: IpAddr) -> [u8; Address::SIZE] {
    match addr {
        IpAddr::V4(v4) => Address::v4(v4.octets(), 0).to_bytes(),
        IpAddr::V6(v6) => Address::v6(v6.octets(), 0).to_bytes(),
    }
}

/// hosts(5): an address and its names a line; `#` begins a comment.
fn addresses(name: &str, table: &str) -> Vec<IpAddr> {
    if let Ok(addr) = name.parse() {
        return vec![addr];
    }
    let of_line = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let addr = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(addr)
    };
    // The stack has no IPv6: what would not be reached is better not tried.
    table.lines().filter_map(of_line).filter(|addr| *addr != IpAddr::V6(Ipv6Addr::LOCALHOST)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_their_own_names_and_the_table_knows_others() {
        let table = "127.0.0.1 localhost # here\n::1 localhost\n10.0.0.7\tDb db.example\nnonsense db\n";
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(addresses("10.1.2.3", table), [ip("10.1.2.3")]);
        assert_eq!(addresses("localhost", table), [ip("127.0.0.1")]);
        assert_eq!(addresses("DB", table), [ip("10.0.0.7")]);
        assert!(addresses("here", table).is_empty() && addresses("nowhere", table).is_empty());
    }
}
