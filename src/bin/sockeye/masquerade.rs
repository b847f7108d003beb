//! The way out for a device's network: source NAT by the kernel's packet filter, and IPv4 forwarding.
//!
//! What was done is remembered where it was done, so that it is undone in the right network namespace and is gone after
//! a restart of the machine: every device has a chain of its own in the packet filter, and a further, empty chain says
//! that forwarding was off before the first of them.

use sockeye::sys::passwd;
use std::{
    env, fmt, fs,
    io::{self, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

/// What to tell who has neither tool.
pub const NO_TOOL: &str = "--nat needs nft or iptables; install one (Debian: apt-get install nftables)";

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// What the name of a device's chain begins with, and the name of the chain that says that forwarding was off: none of
/// the one kind is one of the other.
const DEVICE: &str = "sockeye-";
const WAS_OFF: &str = "sockeye_forwarding_was_off";
/// nft's table for all of them. Those of iptables are in its table `nat`.
const TABLE: &str = "sockeye";

/// A program that sets the packet filter.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Tool {
    Nft,
    Iptables,
}

/// What [`undo`] did.
pub struct Undone {
    pub turned_off: bool,
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tool::Nft => "nft",
            Tool::Iptables => "iptables",
        })
    }
}

impl Tool {
    /// The one to use: nft if it is installed, else iptables.
    pub fn find() -> Option<Tool> {
        [Tool::Nft, Tool::Iptables].into_iter().find(|tool| tool.path().is_some())
    }

    /// Where it is: on the PATH, or where the system's tools are when an ordinary user's PATH leaves them out.
    fn path(self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
        folders.map(|folder| folder.join(self.to_string())).find(|file| file.is_file())
    }

    /// Runs it with `input`: its output.
    fn run(self, arguments: &[&str], input: &str) -> Result<String, String> {
        let path = self.path().ok_or(NO_TOOL)?;
        let fail = |error: io::Error| format!("{self}: {error}");
        let mut command = Command::new(path);
        command.args(arguments).env("LC_ALL", "C").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(fail)?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ends without reading says why by itself.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(fail)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().find(|line| !line.is_empty()).unwrap_or("failed without a word");
        Err(format!("{self}: {}", why.trim()))
    }

    /// The chains that are ours.
    fn chains(self) -> Vec<String> {
        // An error means that there is no such table, or no right to look: then nothing of ours can be changed either.
        let (text, word) = match self {
            Tool::Nft => (self.run(&["list", "table", "ip", TABLE], ""), "chain"),
            Tool::Iptables => (self.run(&["-w", "-t", "nat", "-S"], ""), "-N"),
        };
        let text = text.unwrap_or_default();
        let names = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(word)).then(|| words.next().unwrap_or_default().trim_matches('"').to_owned())
        });
        names.filter(|name| name.starts_with(DEVICE) || name == WAS_OFF).collect()
    }

    /// Lets `network`, which is behind the device `name`, out; whether forwarding had to be turned on. May be repeated.
    ///
    /// # Errors
    /// What the tool says; what was done is undone then.
    pub fn set(self, name: &str, network: &str) -> Result<bool, String> {
        let was_off = !is_forwarding()?;
        let result = match self {
            Tool::Nft => self.run(&["-f", "-"], &nft_rules(name, network, was_off)).map(drop),
            Tool::Iptables => iptables_rules(name, network, was_off, &self.chains())
                .iter()
                .try_for_each(|rule| self.run(&rule.split(' ').collect::<Vec<_>>(), "").map(drop)),
        };
        let result = result.and_then(|()| if was_off { set_forwarding(true) } else { Ok(()) });
        match result {
            Ok(()) => Ok(was_off),
            Err(why) => {
                let _ = self.unset(name);
                Err(why)
            }
        }
    }

    /// Undoes [`Tool::set`]; `None` when there was nothing to undo.
    fn unset(self, name: &str) -> Result<Option<Undone>, String> {
        let chains = self.chains();
        let Some(plan) = plan(name, &chains) else { return Ok(None) };
        match self {
            Tool::Nft if plan.is_last => drop(self.run(&["delete", "table", "ip", TABLE], "")?),
            Tool::Nft => {
                let chain = format!("ip {TABLE} {DEVICE}{name}");
                drop(self.run(&["-f", "-"], &format!("flush chain {chain}\ndelete chain {chain}\n"))?);
            }
            Tool::Iptables => {
                let chain = format!("{DEVICE}{name}");
                // The jump is missing if `up` failed half-way.
                let _ = self.run(&["-w", "-t", "nat", "-D", "POSTROUTING", "-j", &chain], "");
                let _ = self.run(&["-w", "-t", "nat", "-F", &chain], "");
                self.run(&["-w", "-t", "nat", "-X", &chain], "")?;
                if plan.turn_off {
                    self.run(&["-w", "-t", "nat", "-X", WAS_OFF], "")?;
                }
            }
        }
        if plan.turn_off {
            set_forwarding(false)?;
        }
        Ok(Some(Undone { turned_off: plan.turn_off }))
    }
}

/// Whether a device's network is let out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Present {
    No,
    /// By one of the tools.
    By(Tool),
    /// A tool is there that tells this user nothing.
    Unseen,
}

/// Whether [`Tool::set`] lets the network behind the device `name` out.
pub fn present(name: &str) -> Present {
    let chain = format!("{DEVICE}{name}");
    let installed = || [Tool::Nft, Tool::Iptables].into_iter().filter(|tool| tool.path().is_some());
    match installed().find(|tool| tool.chains().contains(&chain)) {
        Some(tool) => Present::By(tool),
        None if passwd::own() != 0 && installed().next().is_some() => Present::Unseen,
        None => Present::No,
    }
}

/// Undoes what one of the tools has done for the device `name`.
///
/// # Errors
/// What the tool says.
pub fn undo(name: &str) -> Result<Option<Undone>, String> {
    let mut undone = None;
    for tool in [Tool::Nft, Tool::Iptables] {
        if undone.is_none() && tool.path().is_some() {
            undone = tool.unset(name)?;
        }
    }
    Ok(undone)
}

/// What is to be done when the device `name` goes.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// No other device is masqueraded.
    is_last: bool,
    /// Forwarding was off before the first one.
    turn_off: bool,
}

fn plan(name: &str, chains: &[String]) -> Option<Plan> {
    let is_own = |chain: &&String| chain.strip_prefix(DEVICE) == Some(name);
    chains.iter().find(is_own)?;
    let is_last = !chains.iter().any(|chain| chain.starts_with(DEVICE) && !is_own(&chain));
    Some(Plan { is_last, turn_off: is_last && chains.iter().any(|chain| chain == WAS_OFF) })
}

/// One transaction. 100 is the place of source NAT among the hooks (`srcnat`).
fn nft_rules(name: &str, network: &str, was_off: bool) -> String {
    let chain = format!("ip {TABLE} {DEVICE}{name}");
    let mark = if was_off { format!("add chain ip {TABLE} {WAS_OFF}\n") } else { String::new() };
    format!(
        "add table ip {TABLE}\n{mark}add chain {chain} {{ type nat hook postrouting priority 100; }}\nflush chain {chain}\n\
         add rule {chain} ip saddr {network} oifname != \"{name}\" masquerade\n"
    )
}

/// Arguments of iptables, one call each, joined by blanks.
fn iptables_rules(name: &str, network: &str, was_off: bool, chains: &[String]) -> Vec<String> {
    let chain = format!("{DEVICE}{name}");
    let has = |name: &str| chains.iter().any(|chain| chain == name);
    let mut rules = Vec::new();
    if was_off && !has(WAS_OFF) {
        rules.push(format!("-w -t nat -N {WAS_OFF}"));
    }
    if has(&chain) {
        rules.push(format!("-w -t nat -F {chain}"));
    } else {
        rules.push(format!("-w -t nat -N {chain}"));
        rules.push(format!("-w -t nat -A POSTROUTING -j {chain}"));
    }
    rules.push(format!("-w -t nat -A {chain} -s {network} ! -o {name} -j MASQUERADE"));
    rules
}

/// Whether the kernel forwards IPv4.
///
/// # Errors
/// It does not say.
pub fn is_forwarding() -> Result<bool, String> {
    let value = fs::read_to_string(FORWARDING).map_err(|error| format!("{FORWARDING}: {error}"))?;
    Ok(value.trim() != "0")
}

fn set_forwarding(on: bool) -> Result<(), String> {
    let value = if on { "1" } else { "0" };
    fs::write(FORWARDING, value)
        .map_err(|error| format!("{FORWARDING}: {error}; set it with `sysctl -w net.ipv4.ip_forward={value}` as root"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_goes_off_with_the_last_device_and_only_if_it_was_off() {
        let plan = |chains: &[&str]| plan("t0", &chains.iter().map(|&chain| chain.to_owned()).collect::<Vec<_>>());
        assert_eq!(plan(&["sockeye-t0", WAS_OFF]), Some(Plan { is_last: true, turn_off: true }));
        assert_eq!(plan(&["sockeye-t0"]), Some(Plan { is_last: true, turn_off: false }));
        assert_eq!(plan(&["sockeye-t0", "sockeye-t1", WAS_OFF]), Some(Plan { is_last: false, turn_off: false }));
        assert_eq!(plan(&["sockeye-t00", WAS_OFF]), None);
    }

    #[test]
    fn what_is_there_already_is_not_made_twice() {
        let chains = ["sockeye-t0".to_owned(), WAS_OFF.to_owned()];
        let again = ["-w -t nat -F sockeye-t0", "-w -t nat -A sockeye-t0 -s 10.97.0.0/24 ! -o t0 -j MASQUERADE"];
        assert_eq!(iptables_rules("t0", "10.97.0.0/24", true, &chains), again);
        assert_eq!(iptables_rules("t0", "10.97.0.0/24", true, &[]).len(), 4);
    }

    #[test]
    fn the_longest_device_name_makes_a_chain_that_iptables_takes() {
        assert!(DEVICE.len() + 15 <= 28 && WAS_OFF.len() <= 28);
    }
}
