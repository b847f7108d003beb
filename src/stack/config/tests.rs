use super::*;

/// Specifications that are accepted, with their canonical form.
const GOOD: &[(&str, &str)] = &[
    ("tap:t0,ip=10.0.0.2/24", "tap:t0,ip=10.0.0.2/24"),
    ("tun:tun0,ip=10.0.0.2/32", "tun:tun0,ip=10.0.0.2/32"),
    ("tap:t0,gw=10.97.0.1,ip=10.97.0.2/24", "tap:t0,ip=10.97.0.2/24,gw=10.97.0.1"),
    ("tap:t0,ip=10.0.0.2/31,gw=10.0.0.3", "tap:t0,ip=10.0.0.2/31,gw=10.0.0.3"),
    (
        "tap:t0,ip=10.0.0.2/24+192.168.7.9/16,route=172.16.0.0/12@192.168.0.1+8.8.8.8/32@10.0.0.1",
        "tap:t0,ip=10.0.0.2/24+192.168.7.9/16,route=172.16.0.0/12@192.168.0.1+8.8.8.8/32@10.0.0.1",
    ),
    ("tap:t0,ip=10.0.0.2/24,sysctl=net.ipv4.tcp_ecn:1+tcp_ecn_fallback:1", "tap:t0,ip=10.0.0.2/24,sysctl=tcp_ecn:1"),
    ("tap:t0,ip=10.0.0.2/24,mtu=9000,dns=1.1.1.1+10.0.0.1", "tap:t0,ip=10.0.0.2/24,dns=1.1.1.1+10.0.0.1,mtu=9000"),
    ("tap:t0,ip=10.0.0.2/24,mac=02:00:0A:00:00:02", "tap:t0,ip=10.0.0.2/24,mac=02:00:0a:00:00:02"),
    ("tap:t0,ip=10.0.0.2/24,offload=on,queues=1", "tap:t0,ip=10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/24,mem=768M", "tap:t0,ip=10.0.0.2/24,mem=805306368"),
    ("null:,mem=2G", "null:,mem=2147483648"),
    ("tap:t0,ip=10.0.0.2/24,offload=off", "tap:t0,ip=10.0.0.2/24,offload=off"),
    (
        "tap:t0,ip=10.0.0.2/24,link=delay:20ms+loss:1%+seed:7,pcap=/tmp/a b.pcapng,log=Debug",
        "tap:t0,ip=10.0.0.2/24,link=delay:20ms+loss:1%+seed:7,pcap=/tmp/a b.pcapng,log=debug",
    ),
    ("null:", "null:"),
    ("null", "null:"),
    ("null:a,log=off", "null:a,log=off"),
    ("null:a,log=INFO:syslog", "null:a,log=info:syslog"),
    ("null:a,log=trace:/var/log/a b:c", "null:a,log=trace:/var/log/a b:c"),
    (
        "null:,sysctl=tcp_wmem:1/2/3+tcp_rmem:4/5/6+tcp_fin_timeout:7",
        "null:,sysctl=tcp_fin_timeout:7+tcp_rmem:4/5/6+tcp_wmem:1/2/3",
    ),
    ("null:,dns=127.0.0.1,pcap=lo.pcapng,sysctl=tcp_ecn:1", "null:,dns=127.0.0.1,pcap=lo.pcapng,sysctl=tcp_ecn:1"),
];

/// Specifications that are refused, with the text of the error.
const BAD: &[(&str, &str)] = &[
    (
        "",
        "device: `` is no device; a specification is KIND:NAME,key=value,..., such as \
         tap:t0,ip=10.0.0.2/24,gw=10.0.0.1",
    ),
    (
        "t0,ip=10.0.0.2/24",
        "device: `t0` is no device; a specification is KIND:NAME,key=value,..., such as \
         tap:t0,ip=10.0.0.2/24,gw=10.0.0.1",
    ),
    (
        "tap:,ip=10.0.0.2/24",
        "device: `tap:` lacks the name; a specification is KIND:NAME,key=value,..., such as \
         tap:t0,ip=10.0.0.2/24,gw=10.0.0.1",
    ),
    ("eth:e0", "device: there is no kind `eth`; use tap:NAME, tun:NAME or null:"),
    ("wg:w0", "device: this build drives no `wg` devices; use tap:NAME, tun:NAME or null:"),
    (
        "tap:abcdefghijklmnop",
        "device: the name `abcdefghijklmnop` is too long; the kernel's names have at most 15 bytes",
    ),
    ("tap:t%d", "device: `t%d` is no name of an interface; use letters and digits, such as t0"),
    ("tap:a/b", "device: `a/b` is no name of an interface; use letters and digits, such as t0"),
    ("tap:..", "device: `..` is no name of an interface; use letters and digits, such as t0"),
    ("tap:t0,ip=10.0.0.2/24;tap:t1", "specification: `;` is kept for further devices; give one device"),
    (
        "tap:t0,ip",
        "specification: `ip` has no value; a specification is KIND:NAME,key=value,..., such as \
         tap:t0,ip=10.0.0.2/24,gw=10.0.0.1",
    ),
    (
        "tap:t0,adress=1",
        "specification: there is no key `adress`; the keys are ip, gw, route, dns, mtu, mac, offload, queues, \
         mem, link, pcap, log, sysctl",
    ),
    ("tap:t0,ip=10.0.0.2/24,ip=10.0.0.3/24", "ip: is given twice; several values are joined by `+`, as in ip=A+B"),
    ("tap:t0", "ip: is missing; give the stack's own address as ip=10.0.0.2/24"),
    ("tap:t0,ip=", "ip: `` is no address with a prefix length; give it as ip=10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2", "ip: `10.0.0.2` lacks the length of its network prefix; give it as ip=10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/33", "ip: `10.0.0.2/33` is no address with a prefix length; give it as ip=10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/+24", "ip: `10.0.0.2/` is no address with a prefix length; give it as ip=10.0.0.2/24"),
    (
        "tap:t0,ip=10.0.0.2/0",
        "ip: `10.0.0.2/0` has a prefix of no bits; 1 to 32 are possible; give it as ip=10.0.0.2/24",
    ),
    (
        "tap:t0,ip=10.0.0.255/24",
        "ip: `10.0.0.255/24` is the broadcast address of its network; give it as ip=10.0.0.2/24",
    ),
    ("tap:t0,ip=10.0.0.0/24", "ip: `10.0.0.0/24` is the network itself, not a host in it; give it as ip=10.0.0.2/24"),
    (
        "tap:t0,ip=127.0.0.1/8",
        "ip: `127.0.0.1/8` is a loopback address, which every stack has anyway; give it as ip=10.0.0.2/24",
    ),
    ("tap:t0,ip=224.0.0.1/24", "ip: `224.0.0.1/24` is a multicast address; give it as ip=10.0.0.2/24"),
    ("tap:t0,ip=0.0.0.1/24", "ip: `0.0.0.1/24` is no host's address; give it as ip=10.0.0.2/24"),
    ("tap:t0,ip=dhcp", "ip: this build has no DHCP client for `dhcp`; give an address as ip=10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/24+10.0.0.2/24", "ip: `10.0.0.2/24` is given twice; leave one of them out"),
    ("tap:t0,ip=10.0.0.2/24,dns=1.1.1.1+1.1.1.1", "dns: `1.1.1.1` is given twice; leave one of them out"),
    ("tap:t0,ip=10.0.0.2/24+10.0.0.2/16", "ip: 10.0.0.2 is there twice, as 10.0.0.2/24 and 10.0.0.2/16"),
    (
        "tap:t0,ip6=fd00::2/64",
        "ip6: `fd00::2/64` is IPv6, and this build speaks IPv4; give an IPv4 address as ip=10.0.0.2/24",
    ),
    (
        "tap:t0,ip6=auto",
        "ip6: `auto` is no IPv6 address, and this build speaks IPv4; give an IPv4 address as ip=10.0.0.2/24",
    ),
    (
        "tap:t0,gw6=fd00::1",
        "gw6: `fd00::1` is IPv6, and this build speaks IPv4; give an IPv4 address as ip=10.0.0.2/24",
    ),
    (
        "tap:t0,ip=fd00::2/64",
        "ip: `fd00::2/64` is IPv6, and this build speaks IPv4; give an IPv4 address as ip=10.0.0.2/24",
    ),
    (
        "tap:t0,ip=10.0.0.2/24,gw=10.0.1.1",
        "gw: the gateway 10.0.1.1 is on no network of ip=10.0.0.2/24; it must be a neighbour",
    ),
    ("tap:t0,ip=10.0.0.2/24,gw=10.0.0.2", "gw: the gateway 10.0.0.2 is the stack's own address"),
    ("tap:t0,ip=10.0.0.2/24,gw=10.0.0.255", "gw: the gateway 10.0.0.255 is not a host of 10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/24,gw=10.0.0.0", "gw: the gateway 10.0.0.0 is not a host of 10.0.0.2/24"),
    ("tap:t0,ip=10.0.0.2/24,gw=router", "gw: `router` is no address; give it as gw=10.0.0.1"),
    ("tap:t0,ip=10.0.0.2/24,gw=0.0.0.0", "gw: `0.0.0.0` is no host's address; give it as gw=10.0.0.1"),
    ("tap:t0,gw=10.0.0.1+10.0.0.3", "gw: there is one default gateway; further ones go into route=NET@GW"),
    (
        "tap:t0,ip=10.0.0.2/24,route=1.0.0.0/8",
        "route: `1.0.0.0/8` names no gateway; give it as route=192.168.0.0/16@10.0.0.1",
    ),
    (
        "tap:t0,ip=10.0.0.2/24,route=1.2.0.0/8@10.0.0.1",
        "route: `1.2.0.0/8@10.0.0.1` has host bits set beyond the prefix; give it as route=192.168.0.0/16@10.0.0.1",
    ),
    (
        "tap:t0,ip=10.0.0.2/24,route=1.0.0.0/8@1.1.1.1",
        "route: the gateway 1.1.1.1 is on no network of ip=10.0.0.2/24; it must be a neighbour",
    ),
    ("tap:t0,sysctl=tcp_ecn", "sysctl: `tcp_ecn` has no value; give it as sysctl=tcp_ecn:1"),
    ("tap:t0,sysctl=tcp_ecn:9", "sysctl: `tcp_ecn:9` is not taken; tcp_ecn takes a number from 0 to 5"),
    ("tap:t0,sysctl=tcp_ecn:on", "sysctl: `tcp_ecn:on` is not taken; tcp_ecn takes a number from 0 to 5"),
    ("tap:t0,sysctl=tcp_ecn:1/2/3", "sysctl: `tcp_ecn:1/2/3` is not taken; tcp_ecn takes a number from 0 to 5"),
    ("tap:t0,sysctl=tcp_ecn:1+net.ipv4.tcp_ecn:1", "sysctl: `tcp_ecn` is given twice; leave one of them out"),
    (
        "tap:t0,sysctl=tcp_fastopen:4294967296",
        "sysctl: `tcp_fastopen:4294967296` is not taken; tcp_fastopen takes a number from 0 to 4294967295",
    ),
    (
        "tap:t0,sysctl=tcp_rmem:4096",
        "sysctl: `tcp_rmem:4096` does not give three sizes above 0; give it as sysctl=tcp_rmem:4096/131072/33554432",
    ),
    (
        "tap:t0,sysctl=tcp_rmem:1/0/1",
        "sysctl: `tcp_rmem:1/0/1` does not give three sizes above 0; give it as sysctl=tcp_rmem:4096/131072/33554432",
    ),
    (
        "tap:t0,sysctl=tcp_sacks:1",
        "sysctl: `tcp_sacks` is no setting of this stack; the nearest is tcp_sack, and sockeye(7) lists all",
    ),
    ("tap:t0,dns=::1", "dns: `::1` is IPv6, and this build speaks IPv4; give it as dns=10.0.0.1"),
    ("tap:t0,mtu=67", "mtu: `67` is not a number of bytes from 68 to 65535; give it as mtu=1500"),
    ("tap:t0,mtu=65536", "mtu: `65536` is not a number of bytes from 68 to 65535; give it as mtu=1500"),
    ("tap:t0,mac=02:00:00:00:00", "mac: `02:00:00:00:00` is no MAC address; give it as mac=02:00:00:00:00:02"),
    (
        "tap:t0,mac=02:00:00:00:00:02:03",
        "mac: `02:00:00:00:00:02:03` is no MAC address; give it as mac=02:00:00:00:00:02",
    ),
    (
        "tap:t0,mac=01:00:00:00:00:02",
        "mac: `01:00:00:00:00:02` is no address of one station (first byte even, not all zero); \
         give it as mac=02:00:00:00:00:02",
    ),
    ("tun:t0,ip=10.0.0.2/24,mac=02:00:00:00:00:02", "mac: a TUN device carries no Ethernet and has no MAC address"),
    ("tap:t0,offload=yes", "offload: `yes` is neither on nor off; give it as offload=off"),
    ("tap:t0,queues=4", "queues: this build drives one queue of a device; leave the key out"),
    ("tap:t0,mem=100K", "mem: `100K` is not a number of bytes from 256K to 1024G; give it as mem=768M"),
    ("tap:t0,mem=M", "mem: `M` is not a number of bytes from 256K to 1024G; give it as mem=768M"),
    (
        "tap:t0,mem=99999999999999999999G",
        "mem: `99999999999999999999G` is not a number of bytes from 256K to 1024G; give it as mem=768M",
    ),
    ("tap:t0,queues=0", "queues: `0` is no number of queues; give it as queues=1"),
    ("tap:t0,link=delay:20", "link: delay:20 is not a time, such as 20ms (us, ms, s)"),
    (
        "tap:t0,link=loss:2",
        "link: loss:2 could be meant in percent or as a share; write loss:1% or loss:0.01, and \
         loss:100% for every frame",
    ),
    ("tap:t0,pcap=", "pcap: names no file; give it as pcap=out.pcapng"),
    ("tap:t0,log=loud", "log: `loud` is no level; the levels are off, error, warn, info, debug, trace"),
    (
        "tap:t0,log=info:journal",
        "log: `journal` is no place for a log; give log=info:syslog, log=info:/path/of/a/file, or log=info alone",
    ),
    ("tap:t0,log=info:/a;b", "specification: `;` is kept for further devices; give one device"),
    ("null:,ip=10.0.0.2/24", "ip: a null stack has only 127.0.0.1 and no device; leave the key out"),
    ("null:,link=loss:1%", "link: a null stack has only 127.0.0.1 and no device; leave the key out"),
    ("null:,mtu=1500", "mtu: a null stack has only 127.0.0.1 and no device; leave the key out"),
];

#[test]
fn good_specifications_are_read_and_their_canonical_form_reads_back_the_same() {
    for (spec, canonical) in GOOD {
        let config = Config::parse(spec).unwrap_or_else(|error| panic!("{spec}: {error}"));
        assert_eq!(config.to_string(), *canonical, "{spec}");
        assert_eq!(canonical.parse(), Ok(config), "{spec}");
    }
}

#[test]
fn bad_specifications_are_refused_with_the_key_and_the_right_form() {
    for (spec, message) in BAD {
        match Config::parse(spec) {
            Ok(config) => panic!("{spec} was read as {config}"),
            Err(error) => assert_eq!(error.to_string(), *message, "{spec}"),
        }
    }
}

#[test]
fn any_prefix_and_any_mutilation_of_a_specification_is_read_without_panic() {
    for (spec, _) in GOOD.iter().chain(BAD) {
        for at in 0..spec.len() {
            let _ = Config::parse(&spec[..at]);
            for other in [",", "=", ":", "+", "/", "0", "é"] {
                let _ = Config::parse(&format!("{}{other}{}", &spec[..at], &spec[at..]));
            }
        }
    }
}

#[test]
fn variables_fill_only_what_is_unset() {
    let env = |name: &str| match name {
        "SOCKEYE_LINK" => Some("delay=20ms,loss=1%".to_owned()),
        "SOCKEYE_PCAP" => Some("out.pcapng".to_owned()),
        "SOCKEYE_LOG" => Some("info".to_owned()),
        _ => None,
    };
    let mut config = Config::parse("tap:t0,ip=10.0.0.2/24").unwrap();
    config.fill_from_env(env).unwrap();
    assert_eq!(config.to_string(), "tap:t0,ip=10.0.0.2/24,link=delay:20ms+loss:1%,pcap=out.pcapng,log=info");

    let spec = "tap:t0,ip=10.0.0.2/24,link=loss:2%,pcap=a,log=error";
    let mut config = Config::parse(spec).unwrap();
    config.fill_from_env(env).unwrap();
    config.fill_from_env(|_| Some(String::new())).unwrap();
    assert_eq!(config.to_string(), spec);
}

#[test]
fn a_bad_variable_is_named() {
    let fill = |spec, name: &'static str, value: &'static str| {
        let get = |asked: &str| (asked == name).then(|| value.to_owned());
        Config::parse(spec).unwrap().fill_from_env(get).unwrap_err().to_string()
    };
    let tap = "tap:t0,ip=10.0.0.2/24";
    assert_eq!(
        fill(tap, "SOCKEYE_LINK", "loss=2"),
        "SOCKEYE_LINK: loss=2 could be meant in percent or as a share; write loss=1% or loss=0.01, and \
         loss=100% for every frame"
    );
    let full = "tap:t0,ip=10.0.0.2/24,link=loss:2%,pcap=a,log=error";
    for (name, value) in [("SOCKEYE_LINK", "loss=2"), ("SOCKEYE_LOG", "loud"), ("SOCKEYE_PCAP", "a,b")] {
        assert_eq!(fill(full, name, value), fill(tap, name, value), "a specification that has the key");
    }
    assert!(fill(tap, "SOCKEYE_LOG", "info:x").contains("; give SOCKEYE_LOG=info:syslog, SOCKEYE_LOG=info:/path/of"));
    assert!(fill(tap, "SOCKEYE_LOG", "loud").starts_with("SOCKEYE_LOG: `loud` is no level"));
    assert!(fill(tap, "SOCKEYE_PCAP", "a,b").starts_with("SOCKEYE_PCAP: cannot name a file"));
    assert!(fill("null:", "SOCKEYE_LINK", "loss=1%").starts_with("SOCKEYE_LINK: a null stack has no device"));
}

#[test]
fn the_derived_mac_is_local_unicast_steady_and_differs_by_machine_device_and_address() {
    let mac = |machine, device, address: &str| default_mac(machine, device, address.parse().ok());
    let one = mac("m", "t0", "10.0.0.2");
    assert_eq!(one, mac("m", "t0", "10.0.0.2"));
    assert_eq!(one[0] & 0x03, 0x02);
    for other in
        [mac("n", "t0", "10.0.0.2"), mac("m", "t1", "10.0.0.2"), mac("m", "t0", "10.0.0.3"), mac("m", "t0", "")]
    {
        assert_ne!(one, other);
    }
    let mut config = Config::parse("tap:t0,ip=10.0.0.2/24").unwrap();
    config.fill_mac("m");
    assert_eq!(config.mac, Some(one));
    let mut given = Config::parse("tap:t0,ip=10.0.0.2/24,mac=02:00:00:00:00:09").unwrap();
    given.fill_mac("m");
    assert_eq!(given.mac, Some([2, 0, 0, 0, 0, 9]));
}

/// A wrong value of every key, and what is said of it: the range, or all there is.
const WRONG: &[(&str, &str, &str)] = &[
    ("ip", "~", "give it as ip=10.0.0.2/24"),
    ("gw", "~", "give it as gw=10.0.0.1"),
    ("route", "~", "give it as route=192.168.0.0/16@10.0.0.1"),
    ("dns", "~", "give it as dns=10.0.0.1"),
    ("mtu", "~", "from 68 to 65535"),
    ("mac", "~", "give it as mac=02:00:00:00:00:02"),
    ("offload", "~", "neither on nor off"),
    ("queues", "~", "give it as queues=1"),
    ("mem", "~", "from 256K to 1024G"),
    ("link", "~", "it takes delay, jitter, loss, reorder, duplicate, corrupt, rate, queue, seed"),
    ("pcap", "", "give it as pcap=out.pcapng"),
    ("log", "~", "off, error, warn, info, debug, trace"),
    ("sysctl", "~:1", "sockeye(7) lists all"),
];

#[test]
fn a_wrong_value_of_any_key_is_refused_with_what_is_right() {
    let keys: Vec<_> = WRONG.iter().map(|(key, ..)| *key).collect();
    assert_eq!(keys.join(", "), spec::KEYS, "every key has a wrong value here");
    for (key, value, right) in WRONG {
        let refused = Config::parse(&format!("tap:t0,{key}={value}")).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{key}: ")) && refused.contains(right), "{key}: {refused}");
        assert!(value.is_empty() || refused.contains(&format!("`{}`", value.trim_end_matches(":1"))), "{refused}");
    }
}

#[test]
fn a_wrong_value_of_any_part_of_a_link_is_refused_with_what_is_right() {
    for part in impairment::KEYS.split(", ") {
        let refused = Config::parse(&format!("tap:t0,ip=10.0.0.2/24,link={part}:~")).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("link: {part}:~ is not a ")) && refused.contains("such as "), "{refused}");
    }
}

#[test]
fn a_wrong_value_of_any_setting_is_refused_with_its_range() {
    for name in Knobs::names() {
        let range = Knobs::range(name).map(std::ops::RangeInclusive::into_inner);
        let (wrong, right) = match range {
            Some((least, most)) => (u64::from(most) + 1, format!("{name} takes a number from {least} to {most}")),
            None => (0, format!("give it as sysctl={name}:")),
        };
        for wrong in [wrong.to_string(), "~".to_owned(), "1/2".to_owned(), String::new()] {
            let refused = Config::parse(&format!("null:,sysctl={name}:{wrong}")).unwrap_err().to_string();
            assert!(
                refused.starts_with(&format!("sysctl: `{name}:{wrong}` ")) && refused.contains(&right),
                "{refused}"
            );
        }
    }
}
