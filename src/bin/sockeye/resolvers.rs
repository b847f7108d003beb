//! The machine's name servers, as far as a stack behind a device can ask them.

use std::{fs, net::Ipv4Addr};

/// resolv.conf(5).
const OWN: &str = "/etc/resolv.conf";
/// The servers that systemd-resolved asks itself, where the former names its stub on the loopback.
const BEHIND_THE_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// The servers, in the order the machine asks them.
///
/// # Errors
/// Why there is none, in words.
pub fn reachable() -> Result<Vec<Ipv4Addr>, String> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    let own = text(OWN);
    for conf in [&own, &text(BEHIND_THE_STUB)] {
        let servers = usable(conf);
        if !servers.is_empty() {
            return Ok(servers);
        }
    }
    let named: Vec<&str> = all(&own).collect();
    Err(match named[..] {
        [] => format!("{OWN} names no server"),
        _ => format!("{OWN} names {}, which a stack cannot reach", named.join(" and ")),
    })
}

/// The lines that name a server.
fn all(conf: &str) -> impl Iterator<Item = &str> {
    conf.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|&word| word == "nameserver").and_then(|_| words.next())
    })
}

/// Each server once, without those on this machine's own loopback: a stack has a loopback of its own.
fn usable(conf: &str) -> Vec<Ipv4Addr> {
    let mut servers = Vec::new();
    for addr in all(conf).filter_map(|server| server.parse::<Ipv4Addr>().ok()) {
        if !addr.is_loopback() && !addr.is_unspecified() && !servers.contains(&addr) {
            servers.push(addr);
        }
    }
    servers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_on_the_loopback_and_of_ipv6_are_left_out_and_each_is_named_once() {
        let conf = "# nameserver 192.0.2.9\nsearch test\nnameserver 127.0.0.53\nnameserver 192.0.2.1\n\
                    options edns0\nnameserver fe80::1%eth0\nnameserver\t192.0.2.2 # two\nnameserver\nnameserver 192.0.2.1\n";
        assert_eq!(
            all(conf).collect::<Vec<_>>(),
            ["127.0.0.53", "192.0.2.1", "fe80::1%eth0", "192.0.2.2", "192.0.2.1"]
        );
        assert_eq!(usable(conf), [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)]);
    }
}
