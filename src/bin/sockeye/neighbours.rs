//! Which networks the kernel reaches through which interface: a device must not take another's network away.

use std::{fs, net::Ipv4Addr};

/// The other interface through which the kernel reaches exactly the network of `addr`/`prefix`.
pub fn owner(name: &str, addr: Ipv4Addr, prefix: u8) -> Option<String> {
    find(&fs::read_to_string("/proc/net/route").unwrap_or_default(), name, addr, prefix)
}

/// The same, in the text of /proc/net/route: interface, destination and, as the eighth column, mask; both are
/// hexadecimal numbers in the machine's order of bytes.
fn find(routes: &str, name: &str, addr: Ipv4Addr, prefix: u8) -> Option<String> {
    let mask = mask(prefix);
    routes.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let number = |column: usize| u32::from_str_radix(columns.get(column)?, 16).ok().map(u32::from_be);
        let is_same = number(1)? == u32::from(addr) & mask && number(7)? == mask;
        (is_same && columns[0] != name).then(|| columns[0].to_owned())
    })
}

/// The network of `addr`/`prefix`.
pub fn network(addr: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(addr) & mask(prefix))
}

/// A host's address in the network of `addr`/`prefix` that is not `addr`: the next one, or else the one before. None in
/// a network of a single host.
pub fn other_host(addr: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let (own, mask) = (u32::from(addr), mask(prefix));
    let is_host = |candidate: u32| {
        let has_ends = prefix <= 30;
        let is_end = candidate & !mask == 0 || candidate | mask == u32::MAX;
        candidate & mask == own & mask && !(has_ends && is_end)
    };
    [own.checked_add(1), own.checked_sub(1)].into_iter().flatten().find(|&other| is_host(other)).map(Ipv4Addr::from)
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTES: &str = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
        eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
        t0\t0000610A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";

    #[test]
    fn the_owner_of_a_network_is_found_and_is_not_oneself() {
        let find = |name, addr: [u8; 4], prefix| find(ROUTES, name, addr.into(), prefix);
        assert_eq!(find("t1", [10, 97, 0, 7], 24), Some("t0".into()));
        assert_eq!(find("t0", [10, 97, 0, 7], 24), None);
        assert_eq!(find("t1", [10, 97, 0, 7], 25), None, "a part of it is routed to, not stolen");
        assert_eq!(find("t1", [10, 98, 0, 7], 24), None);
    }

    #[test]
    fn the_other_host_is_a_host_of_the_same_network() {
        let other = |addr: [u8; 4], prefix| other_host(addr.into(), prefix).map(|addr| addr.octets());
        assert_eq!(other([10, 97, 0, 1], 24), Some([10, 97, 0, 2]));
        assert_eq!(other([10, 97, 0, 254], 24), Some([10, 97, 0, 253]));
        assert_eq!(other([10, 97, 0, 0], 31), Some([10, 97, 0, 1]));
        assert_eq!(other([10, 97, 0, 1], 31), Some([10, 97, 0, 0]));
        assert_eq!(other([10, 97, 0, 1], 32), None);
    }
}
