//! What `--so_flags` says: `LOCAL GATEWAY PREFIXLEN REMOTE/PREFIX MTU`, for example
//! `192.168.0.1 192.168.0.1 16 192.0.2.0/24 1500`: the stack's address, whom it reaches the remote network by, the
//! length of its own network's prefix, the remote network, and the MTU.

use sockeye::{
    addr::Cidr,
    stack::{
        Config,
        config::{Kind, StaticRoute},
    },
};
use std::net::IpAddr;

const EXAMPLE: &str = "192.168.0.1 192.168.0.1 16 192.0.2.0/24 1500";

/// The configuration that `flags` asks for.
///
/// # Errors
/// What is wrong, with an example.
pub fn parse(flags: &str) -> Result<Config, String> {
    read(flags).map_err(|problem| {
        format!("--so_flags: {problem}; it says LOCAL GATEWAY PREFIXLEN REMOTE/PREFIX MTU, for example \"{EXAMPLE}\"")
    })
}

fn read(flags: &str) -> Result<Config, String> {
    let words: Vec<&str> = flags.split_whitespace().collect();
    let [local, gateway, prefix, remote, mtu] = words[..] else {
        return Err(format!("five words are asked for, {} are there", words.len()));
    };
    let to = match remote.split_once('/') {
        Some((addr, prefix)) => network(address(addr)?, prefix)?,
        None => return Err(format!("`{remote}` has no prefix")),
    };
    let mut config = Config::new(Kind::Tun, "packetdrill");
    config.addresses = vec![network(address(local)?, prefix)?];
    config.routes = vec![StaticRoute { to, via: address(gateway)? }];
    // RFC 791 section 3.2: every link takes this much.
    let mtu = mtu.parse().ok().filter(|mtu| (68..=65_535).contains(mtu));
    config.mtu = Some(mtu.ok_or("an MTU is a number from 68 to 65535")?);
    Ok(config)
}

fn address(word: &str) -> Result<IpAddr, String> {
    match word.parse() {
        Ok(addr @ IpAddr::V4(_)) => Ok(addr),
        Ok(IpAddr::V6(_)) => Err(format!("`{word}` is an IPv6 address, which this stack does not have yet")),
        Err(_) => Err(format!("`{word}` is no IP address")),
    }
}

fn network(addr: IpAddr, prefix: &str) -> Result<Cidr, String> {
    let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32);
    prefix.map(|prefix| Cidr { addr, prefix }).ok_or("a prefix is a number from 0 to 32".to_owned())
}
