//! Reading a network specification: `KIND:NAME,key=value,...`; several values of a key are joined by `+`.

use super::{Config, Impairment, Kind, Logging, StaticRoute, impairment::Form};
use crate::{
    addr::{Cidr, width},
    tcp::{KnobError, Knobs, memory::Limits},
};
use std::{borrow::Cow, fmt, net::IpAddr, path::PathBuf};

/// What is wrong with a specification: the key (or variable) it concerns, and the reason with the right form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    subject: Cow<'static, str>,
    problem: Cow<'static, str>,
    /// The words before the right form, and the form.
    form: Option<(&'static str, &'static str)>,
}

impl SpecError {
    pub(super) fn new(subject: &'static str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { subject: subject.into(), problem: problem.into(), form: None }
    }

    /// The same of a key whose name is no constant.
    fn of_key(key: &str, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { subject: key.to_owned().into(), problem: problem.into(), form: None }
    }

    /// With the right form behind `words`.
    fn in_form(self, words: &'static str, form: &'static str) -> Self {
        Self { form: Some((words, form)), ..self }
    }

    /// As told to who gave the value otherwise than by a key: by the option or variable `subject`, whose right form, if
    /// one is told, is `form`.
    #[must_use]
    pub fn told_of(self, subject: &'static str, form: &'static str) -> Self {
        Self { subject: subject.into(), problem: self.problem, form: self.form.map(|(words, _)| (words, form)) }
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.problem)?;
        self.form.map_or(Ok(()), |(words, form)| write!(f, "; {words} {form}"))
    }
}

impl std::error::Error for SpecError {}

type Result<T> = std::result::Result<T, SpecError>;

const FORM: &str = "a specification is KIND:NAME,key=value,..., such as tap:t0,ip=10.0.0.2/24,gw=10.0.0.1";
pub(super) const KEYS: &str = "ip, gw, route, dns, mtu, mac, offload, queues, mem, link, pcap, log, sysctl";
/// Longest name of a kernel interface: IFNAMSIZ with its terminating zero.
const NAME_MAX: usize = 15;

pub(super) fn parse(spec: &str) -> Result<Config> {
    if spec.contains(';') {
        return Err(SpecError::new("specification", "`;` is kept for further devices; give one device"));
    }
    let mut parts = spec.split(',');
    let mut config = parse_device(parts.next().unwrap_or_default())?;
    let mut seen = Vec::new();
    for part in parts {
        let Some((key, value)) = part.split_once('=') else {
            return Err(SpecError::new("specification", format!("`{part}` has no value; {FORM}")));
        };
        if seen.contains(&key) {
            let problem = format!("is given twice; several values are joined by `+`, as in {key}=A+B");
            return Err(SpecError::of_key(key, problem));
        }
        seen.push(key);
        set(&mut config, key, value)?;
    }
    check(&config, &seen)?;
    Ok(config)
}

fn parse_device(text: &str) -> Result<Config> {
    let bad = |problem: String| Err(SpecError::new("device", problem));
    let (kind, name) = match text.split_once(':') {
        Some(parts) => parts,
        None if text == "null" => ("null", ""),
        None => return bad(format!("`{text}` is no device; {FORM}")),
    };
    let kind = match kind {
        "tap" => Kind::Tap,
        "tun" => Kind::Tun,
        "null" => Kind::Null,
        "packet" | "xdp" | "unix" | "wg" => {
            return bad(format!("this build drives no `{kind}` devices; use tap:NAME, tun:NAME or null:"));
        }
        _ => return bad(format!("there is no kind `{kind}`; use tap:NAME, tun:NAME or null:")),
    };
    if kind != Kind::Null && name.is_empty() {
        return bad(format!("`{text}` lacks the name; {FORM}"));
    }
    if name.len() > NAME_MAX {
        return bad(format!("the name `{name}` is too long; the kernel's names have at most {NAME_MAX} bytes"));
    }
    // What the kernel refuses (dev_valid_name), and `%`, which it would replace by a number of its choice.
    let is_bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%' | '=');
    if matches!(name, "." | "..") || name.contains(is_bad) {
        return bad(format!("`{name}` is no name of an interface; use letters and digits, such as t0"));
    }
    Ok(Config::new(kind, name))
}

fn set(config: &mut Config, key: &str, value: &str) -> Result<()> {
    match key {
        "ip" => config.addresses = parse_list("ip", value, parse_own_address)?,
        "gw" => config.gateways = vec![parse_gateway(value)?],
        "ip6" => return Err(refuse_ip6("ip6", value, parse_cidr(value).is_some())),
        "gw6" => return Err(refuse_ip6("gw6", value, value.parse::<IpAddr>().is_ok())),
        "route" => config.routes = parse_list("route", value, parse_route)?,
        "dns" => config.dns = parse_list("dns", value, parse_name_server)?,
        "mtu" => config.mtu = Some(parse_mtu(value)?),
        "mac" => config.mac = Some(parse_mac(value)?),
        "offload" => config.offload = parse_switch(value)?,
        "queues" => config.queues = parse_queues(value)?,
        "mem" => config.memory = Some(parse_memory(value)?),
        "link" => config.link = Some(Impairment::parse_in("link", Form::Specification, value)?),
        "pcap" => config.pcap = Some(parse_path("pcap", value)?),
        "log" => config.log = Some(parse_logging("log", value)?),
        "sysctl" => config.sysctl = parse_knobs(value)?,
        _ => return Err(SpecError::new("specification", format!("there is no key `{key}`; the keys are {KEYS}"))),
    }
    Ok(())
}

/// Settings as `tcp_ecn:1+tcp_ecn_fallback:0`, none of them twice.
fn parse_knobs(text: &str) -> Result<Knobs> {
    let bad = |text: &str, problem: &str| SpecError::new("sysctl", format!("`{text}` {problem}"));
    let mut knobs = Knobs::default();
    let mut seen = Vec::new();
    for text in text.split('+') {
        let shape = "has no value; give it as sysctl=tcp_ecn:1";
        let (name, value) = text.split_once(':').ok_or_else(|| bad(text, shape))?;
        let name = name.strip_prefix("net.ipv4.").unwrap_or(name);
        if seen.contains(&name) {
            return Err(bad(name, "is given twice; leave one of them out"));
        }
        seen.push(name);
        let numbers: std::result::Result<Vec<u32>, _> = value.split('/').map(str::parse).collect();
        let set = match (numbers.as_deref(), Knobs::range(name)) {
            (Ok([value]), Some(_)) => knobs.set(name, *value),
            (Ok(&[least, first, most]), None) => knobs.set_sizes(name, [least, first, most]),
            (_, None) if Knobs::names().any(|known| known == name) => Err(KnobError::OutOfRange),
            (_, Some(_)) => Err(KnobError::OutOfRange),
            (_, None) => Err(KnobError::Unknown),
        };
        set.map_err(|error| match (error, Knobs::range(name)) {
            (KnobError::Unknown, _) => bad(name, &format!("is no setting of this stack; {}", nearest_knob(name))),
            (KnobError::OutOfRange, Some(range)) => {
                let (least, most) = range.into_inner();
                bad(text, &format!("is not taken; {name} takes a number from {least} to {most}"))
            }
            (KnobError::OutOfRange, None) => {
                let right = Knobs::default().sizes().into_iter().find(|(known, _)| *known == name);
                let right = right.map(|(_, sizes)| format!("; give it as sysctl={name}:{sizes}")).unwrap_or_default();
                bad(text, &format!("does not give three sizes above 0{right}"))
            }
        })?;
    }
    Ok(knobs)
}

/// What may have been meant by a name that is unknown, and where all of them stand.
fn nearest_knob(name: &str) -> String {
    let nearest = Knobs::names().min_by_key(|known| strsim::damerau_levenshtein(known, name));
    format!("the nearest is {}, and sockeye(7) lists all", nearest.unwrap_or_default())
}

/// The values of `key`, none of them twice.
fn parse_list<T: PartialEq>(key: &'static str, text: &str, parse: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    for text in text.split('+') {
        let value = parse(text)?;
        if list.contains(&value) {
            return Err(SpecError::new(key, format!("`{text}` is given twice; leave one of them out")));
        }
        list.push(value);
    }
    Ok(list)
}

fn parse_cidr(text: &str) -> Option<Cidr> {
    let (addr, prefix) = text.split_once('/')?;
    let addr: IpAddr = addr.parse().ok()?;
    let prefix = Some(prefix).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    (prefix <= width(addr)).then_some(Cidr { addr, prefix })
}

const IP_FORM: &str = "ip=10.0.0.2/24";

/// IPv4 only: the refusal for what is well-formed IPv6, and for what is not.
fn refuse_ip6(key: &'static str, value: &str, is_address: bool) -> SpecError {
    let what = if is_address { "IPv6" } else { "no IPv6 address" };
    let problem = format!("`{value}` is {what}, and this build speaks IPv4");
    SpecError::new(key, problem).in_form("give an IPv4 address as", IP_FORM)
}

fn parse_own_address(text: &str) -> Result<Cidr> {
    let bad = |problem: &str| SpecError::new("ip", format!("`{text}` {problem}")).in_form("give it as", IP_FORM);
    if matches!(text, "dhcp" | "auto") {
        let problem = format!("this build has no DHCP client for `{text}`");
        return Err(SpecError::new("ip", problem).in_form("give an address as", IP_FORM));
    }
    if text.parse::<IpAddr>().is_ok() {
        return Err(bad("lacks the length of its network prefix"));
    }
    let cidr = parse_cidr(text).ok_or_else(|| bad("is no address with a prefix length"))?;
    let IpAddr::V4(addr) = cidr.addr else { return Err(refuse_ip6("ip", text, true)) };
    if cidr.prefix == 0 {
        return Err(bad("has a prefix of no bits; 1 to 32 are possible"));
    }
    // RFC 1122 section 3.2.1.3: none of these may be a host's own address.
    let problem = if addr.is_loopback() {
        "is a loopback address, which every stack has anyway"
    } else if addr.is_multicast() {
        "is a multicast address"
    } else if addr.is_broadcast() || cidr.broadcast() == Some(addr) {
        "is the broadcast address of its network"
    } else if addr.octets()[0] == 0 {
        "is no host's address"
    } else if cidr.prefix <= 30 && is_network(&cidr) {
        "is the network itself, not a host in it"
    } else {
        return Ok(cidr);
    };
    Err(bad(problem))
}

/// Whether all host bits are zero.
fn is_network(cidr: &Cidr) -> bool {
    match cidr.addr {
        IpAddr::V4(addr) => u32::from(addr).checked_shl(cidr.prefix.into()).unwrap_or(0) == 0,
        IpAddr::V6(addr) => u128::from(addr).checked_shl(cidr.prefix.into()).unwrap_or(0) == 0,
    }
}

/// An IPv4 address that one host may have.
fn parse_host(key: &'static str, text: &str, form: &str) -> Result<IpAddr> {
    let bad = |problem: &str| Err(SpecError::new(key, format!("`{text}` {problem}; give it as {form}")));
    match text.parse() {
        Ok(IpAddr::V4(addr)) if addr.is_unspecified() || addr.is_multicast() || addr.is_broadcast() => {
            bad("is no host's address")
        }
        Ok(addr @ IpAddr::V4(_)) => Ok(addr),
        Ok(IpAddr::V6(_)) => bad("is IPv6, and this build speaks IPv4"),
        Err(_) => bad("is no address"),
    }
}

fn parse_gateway(text: &str) -> Result<IpAddr> {
    if text.contains('+') {
        return Err(SpecError::new("gw", "there is one default gateway; further ones go into route=NET@GW"));
    }
    parse_host("gw", text, "gw=10.0.0.1")
}

fn parse_name_server(text: &str) -> Result<IpAddr> {
    parse_host("dns", text, "dns=10.0.0.1")
}

fn parse_route(text: &str) -> Result<StaticRoute> {
    const FORM: &str = "route=192.168.0.0/16@10.0.0.1";
    let bad = |problem: &str| SpecError::new("route", format!("`{text}` {problem}; give it as {FORM}"));
    let (to, via) = text.split_once('@').ok_or_else(|| bad("names no gateway"))?;
    let to = parse_cidr(to).ok_or_else(|| bad("is no network with a prefix length"))?;
    if to.addr.is_ipv6() {
        return Err(bad("is IPv6, and this build speaks IPv4"));
    }
    if !is_network(&to) {
        return Err(bad("has host bits set beyond the prefix"));
    }
    Ok(StaticRoute { to, via: parse_host("route", via, FORM)? })
}

fn parse_mtu(text: &str) -> Result<u32> {
    // 68: every link carries at least that much (RFC 791 section 3.2); 65535: the length field of IPv4.
    text.parse().ok().filter(|mtu| (68..=65_535).contains(mtu)).ok_or_else(|| {
        SpecError::new("mtu", format!("`{text}` is not a number of bytes from 68 to 65535; give it as mtu=1500"))
    })
}

fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let bad = |problem: &str| SpecError::new("mac", format!("`{text}` {problem}; give it as mac=02:00:00:00:00:02"));
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()));
        *byte = part.and_then(|part| u8::from_str_radix(part, 16).ok()).ok_or_else(|| bad("is no MAC address"))?;
    }
    if parts.next().is_some() {
        return Err(bad("is no MAC address"));
    }
    if mac[0] & 1 == 1 || mac == [0; 6] {
        return Err(bad("is no address of one station (first byte even, not all zero)"));
    }
    Ok(mac)
}

fn parse_switch(text: &str) -> Result<bool> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(SpecError::new("offload", format!("`{text}` is neither on nor off; give it as offload=off"))),
    }
}

fn parse_queues(text: &str) -> Result<usize> {
    match text.parse::<usize>() {
        Ok(1) => Ok(1),
        Ok(2..) => Err(SpecError::new("queues", "this build drives one queue of a device; leave the key out")),
        _ => Err(SpecError::new("queues", format!("`{text}` is no number of queues; give it as queues=1"))),
    }
}

/// The most bytes all TCP connections may hold; the other two thresholds follow.
fn parse_memory(text: &str) -> Result<Limits> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K') => (&text[..text.len() - 1], 10),
        Some(b'M') => (&text[..text.len() - 1], 20),
        Some(b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let bytes =
        number.and_then(|number| number.parse::<usize>().ok()).and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|bytes| (Config::LEAST_MEMORY..=1 << 40).contains(bytes)).map(Limits::at_most).ok_or_else(|| {
        SpecError::new("mem", format!("`{text}` is not a number of bytes from 256K to 1024G; give it as mem=768M"))
    })
}

fn parse_path(subject: &'static str, text: &str) -> Result<PathBuf> {
    if text.is_empty() {
        return Err(SpecError::new(subject, "names no file").in_form("give it as", "pcap=out.pcapng"));
    }
    let problem = if text.contains([',', ';', '\0']) {
        "cannot name a file whose path has a `,` or `;` in it"
    } else {
        return Ok(PathBuf::from(text));
    };
    Err(SpecError::new(subject, problem))
}

fn parse_logging(subject: &'static str, text: &str) -> Result<Logging> {
    Logging::parse(subject, text).map_err(|problem| SpecError::new(subject, problem))
}

/// What the keys must have to do with each other, in whatever order they came.
fn check(config: &Config, seen: &[&str]) -> Result<()> {
    match config.kind {
        Kind::Null => match seen.iter().find(|key| !matches!(**key, "dns" | "log" | "mem" | "pcap" | "sysctl")) {
            Some(&key) => {
                return Err(SpecError::of_key(key, "a null stack has only 127.0.0.1 and no device; leave the key out"));
            }
            None => return Ok(()),
        },
        Kind::Tun if config.mac.is_some() => {
            return Err(SpecError::new("mac", "a TUN device carries no Ethernet and has no MAC address"));
        }
        Kind::Tap | Kind::Tun => {}
    }
    if config.addresses.is_empty() {
        return Err(SpecError::new("ip", "is missing; give the stack's own address as ip=10.0.0.2/24"));
    }
    for (at, cidr) in config.addresses.iter().enumerate() {
        if let Some(twin) = config.addresses[..at].iter().find(|twin| twin.addr == cidr.addr) {
            return Err(SpecError::new("ip", format!("{} is there twice, as {twin} and {cidr}", cidr.addr)));
        }
    }
    config.gateways.iter().try_for_each(|gateway| check_gateway(config, "gw", *gateway))?;
    config.routes.iter().try_for_each(|route| check_gateway(config, "route", route.via))
}

/// A gateway must be a neighbour: another host on one of the own networks (RFC 1122 section 3.3.1.1).
fn check_gateway(config: &Config, key: &'static str, gateway: IpAddr) -> Result<()> {
    let bad = |problem: String| Err(SpecError::new(key, problem));
    let Some(net) = config.addresses.iter().find(|cidr| cidr.contains(gateway)) else {
        let nets: Vec<String> = config.addresses.iter().map(Cidr::to_string).collect();
        return bad(format!("the gateway {gateway} is on no network of ip={}; it must be a neighbour", nets.join("+")));
    };
    if config.addresses.iter().any(|cidr| cidr.addr == gateway) {
        return bad(format!("the gateway {gateway} is the stack's own address"));
    }
    if net.broadcast().map(IpAddr::V4) == Some(gateway)
        || (net.prefix <= 30 && is_network(&Cidr { addr: gateway, ..*net }))
    {
        return bad(format!("the gateway {gateway} is not a host of {net}"));
    }
    Ok(())
}

pub(super) fn fill_from_env(config: &mut Config, get: impl Fn(&str) -> Option<String>) -> Result<()> {
    let lookup = |name| get(name).filter(|value| !value.is_empty());
    // What is wrong is said also where the specification has the key, and the variable would not matter.
    if let Some(text) = lookup("SOCKEYE_LINK") {
        let link = Impairment::parse_in("SOCKEYE_LINK", Form::CommandLine, &text)?;
        if config.kind == Kind::Null {
            let problem = "a null stack has no device to impair; unset the variable";
            return Err(SpecError::new("SOCKEYE_LINK", problem));
        }
        config.link.get_or_insert(link);
    }
    if let Some(text) = lookup("SOCKEYE_PCAP") {
        let path = parse_path("SOCKEYE_PCAP", &text)?;
        config.pcap.get_or_insert(path);
    }
    if let Some(text) = lookup("SOCKEYE_LOG") {
        let logging = parse_logging("SOCKEYE_LOG", &text)?;
        config.log.get_or_insert(logging);
    }
    Ok(())
}
