//! Joining: a program says which stack it means, and the host whether its own is that one.

use crate::{
    engine::Loss,
    socket::{congestion, stacks},
    stack::{Config, config::Kind},
};
use sockeye_shim::format::{DATA, Data};

/// What there is to say against a program that means the stack `meant` (see [`Op::Join`]); nothing where all agrees, or
/// where nothing particular is meant. Specifications are compared by what they mean and not by their text. Who comes to
/// a stack that has `lost` its network is told why.
///
/// [`Op::Join`]: sockeye_shim::format::Op::Join
pub fn objection(lost: Option<&Loss>, config: &Config, name: &[u8], meant: &[u8]) -> Option<Data> {
    let line = lost.map(ToString::to_string).or_else(|| judge(config, name, meant))?;
    let mut end = line.len().min(DATA);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    Data::of(&line.as_bytes()[..end])
}

fn judge(config: &Config, name: &[u8], meant: &[u8]) -> Option<String> {
    if meant.is_empty() {
        return None;
    }
    let Ok(meant) = str::from_utf8(meant) else { return Some("the network specification is no text".to_owned()) };
    let mut parts = meant.split('\0');
    let spec = parts.next().unwrap_or_default();
    let variables: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned());
    if let Some(Err(line)) = variable(congestion::VARIABLE).map(|name| congestion::judge(congestion::VARIABLE, &name)) {
        return Some(line);
    }
    if spec.is_empty() {
        return None;
    }
    let meant = match stacks::describe(spec, variable) {
        Ok(meant) => meant.observed_as(config),
        Err(error) => return Some(error.to_string()),
    };
    let (key, ours, theirs) = config.difference(&meant)?;
    let shown = |part: Option<String>| part.unwrap_or_else(|| format!("no {key}="));
    let (ours, theirs) = (shown(ours), shown(theirs));
    let name = String::from_utf8_lossy(name);
    // One device has one stack: another name would not help.
    let is_one_device = config.kind != Kind::Null && (meant.kind, &meant.name) == (config.kind, &config.name);
    let cure = if is_one_device {
        format!("end that stack with `sockeye stop --stack {name}`")
    } else {
        "another name for a stack (--stack, or SOCKEYE_STACK)".to_owned()
    };
    Some(format!("{key}: stack {name} runs with {ours}, not with {theirs}; give the same, or {cure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEC: &str = "tap:t0,ip=10.0.0.2/24,gw=10.0.0.1,link=loss:1%";

    fn against(meant: &str) -> Option<String> {
        let config = Config::parse(SPEC).unwrap();
        judge(&config, b"tap-t0", meant.as_bytes())
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for same in ["", SPEC, "tap:t0,gw=10.0.0.1,offload=on,ip=10.0.0.2/24,link=loss=1%"] {
            assert_eq!(against(same), None, "{same}");
        }
        assert_eq!(against("tap:t0,ip=10.0.0.2/24,gw=10.0.0.1\0SOCKEYE_LINK=loss=0.01"), None);
    }

    #[test]
    fn who_says_nothing_of_link_capture_and_log_takes_them_as_they_are() {
        assert_eq!(against("tap:t0,ip=10.0.0.2/24,gw=10.0.0.1"), None);
        let config = Config::parse(&format!("{SPEC},pcap=/tmp/x,log=debug")).unwrap();
        assert_eq!(judge(&config, b"tap-t0", b"tap:t0,ip=10.0.0.2/24,gw=10.0.0.1"), None);
        let line = judge(&config, b"tap-t0", b"tap:t0,ip=10.0.0.2/24,gw=10.0.0.1\0SOCKEYE_LOG=info").unwrap();
        assert!(line.starts_with("log: stack tap-t0 runs with log=debug, not with log=info; "), "{line}");
    }

    #[test]
    fn the_line_names_the_key_and_both_values() {
        let line = against("tap:t0,ip=10.0.0.2/24,gw=10.0.0.1\0SOCKEYE_LINK=loss=2%").unwrap();
        assert!(line.starts_with("link: stack tap-t0 runs with link=loss:1%, not with link=loss:2%; "), "{line}");
        let line = against("tap:t0,ip=10.0.0.2/24,gw=10.0.0.1,pcap=/tmp/x").unwrap();
        assert!(line.starts_with("pcap: stack tap-t0 runs with no pcap=, not with pcap=/tmp/x; "), "{line}");
        let line = against("tap:t0,ip=10.0.0.2/24,link=loss:1%").unwrap();
        let cure = "give the same, or end that stack with `sockeye stop --stack tap-t0`";
        assert_eq!(line, format!("gw: stack tap-t0 runs with gw=10.0.0.1, not with no gw=; {cure}"));
        let line = against("tap:t1,ip=10.0.0.2/24,gw=10.0.0.1,link=loss:1%").unwrap();
        let cure = "give the same, or another name for a stack (--stack, or SOCKEYE_STACK)";
        assert_eq!(line, format!("device: stack tap-t0 runs with tap:t0, not with tap:t1; {cure}"));
        let line = against(&format!("{SPEC},mtu=1400")).unwrap();
        assert!(line.starts_with("mtu: stack tap-t0 runs with no mtu=, not with mtu=1400; "), "{line}");
        assert!(against("tap:t0,ip=x").unwrap().starts_with("ip: "));
    }

    #[test]
    fn a_congestion_control_must_be_known() {
        assert_eq!(against("\0SOCKEYE_CC=reno"), None);
        let line = against(&format!("{SPEC}\0SOCKEYE_CC=fast")).unwrap();
        assert!(line.starts_with("SOCKEYE_CC: there is no congestion control \"fast\"; known: "), "{line}");
    }

    #[test]
    fn a_long_line_is_cut_to_what_a_response_holds() {
        let config = Config::parse(SPEC).unwrap();
        let long = format!("tap:t0,ip=10.0.0.2/24,gw=10.0.0.1,link=loss:1%,pcap=/{}", "ü".repeat(300));
        assert!(objection(None, &config, b"tap-t0", long.as_bytes()).unwrap().as_bytes().len() <= DATA);
    }
}
