//! `sockeye up` and `sockeye down`: a device that stays, with the kernel at its other end.

use crate::{
    Failure,
    arguments::{Down, Up},
    ls,
    masquerade::{self, Present, Tool},
    neighbours, resolvers,
};
use sockeye::{
    device::tuntap::TunTap,
    host::survey::Description,
    stack::{Config, Medium},
    sys::{clock, env, fence, ifreq, passwd, tun, tun_owner},
};
use std::{
    fmt::Write,
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsFd, BorrowedFd},
    thread,
    time::Duration,
};

/// How long a stack may take to end that no program uses: a host that was just started waits for the first of them.
const GRACE: Duration = Duration::from_secs(7);
const DEFAULT_IP: &str = "10.97.0.1/24";

/// What stands at the kernel's side of a device.
#[derive(Copy, Clone, PartialEq, Eq)]
struct Side {
    addr: Ipv4Addr,
    prefix: u8,
}

impl Side {
    /// Its network, as `10.97.0.0/24`.
    fn network(self) -> String {
        format!("{}/{}", neighbours::network(self.addr, self.prefix), self.prefix)
    }
}

/// Makes the device as asked, and tells what was done. Nothing is left behind when it fails.
pub fn up(arguments: &Up) -> Result<String, Failure> {
    let Up { name, ip, tun, nat, user } = arguments;
    check_name(name)?;
    if fence::is_raised() {
        return Err(format!(
            "{name}: cannot be set up from behind the fence of a stack; start `sockeye up` from outside"
        ));
    }
    let wanted = parse_side(name, ip.as_deref().unwrap_or(DEFAULT_IP))?;
    let owner = user.as_deref().map(|user| parse_user(name, user)).transpose()?;
    let tool = nat.then(|| Tool::find().ok_or_else(|| format!("{name}: {}", masquerade::NO_TOOL))).transpose()?;
    let medium = if *tun { Medium::Ip } else { Medium::Ethernet };

    let mut said = String::new();
    let is_new = ifreq::mtu(name).is_err();
    if is_new {
        let owner = owner.unwrap_or_else(caller);
        make(name, medium, owner)?;
        say(&mut said, name, &format!("made, a {} device that stays; user {owner} may open it", title(medium)));
    } else {
        check_kind(name, medium)?;
        let whose = match owner {
            Some(owner) => give(name, medium, owner).map(|()| format!("user {owner} may open it now"))?,
            None => whose(name)?,
        };
        say(&mut said, name, &format!("is there already, a {} device; {whose}", title(medium)));
    }
    let completed = complete(name, wanted, ip.is_some(), &mut said).and_then(|side| match tool {
        Some(tool) => masquerade(name, side, tool, &mut said).map(|()| (side, true)),
        None if is_new => Ok((side, false)),
        None => is_let_out(name, side, &mut said).map(|is_let_out| (side, is_let_out)),
    });
    let (side, is_let_out) = completed.inspect_err(|_| {
        // The first failure is the one to tell.
        if is_new {
            let _ = remove(name, medium);
        }
    })?;
    name_the_lost(name, &mut said)?;
    if let Some(stack) = neighbours::other_host(side.addr, side.prefix) {
        let (kind, Side { addr, prefix }) = (title(medium).to_lowercase(), side);
        let dns = if is_let_out { name_servers(name) } else { String::new() };
        let _ = writeln!(said, "SOCKEYE_NET={kind}:{name},ip={stack}/{prefix},gw={addr}{dns}");
    }
    Ok(said)
}

/// Who may open a device that was made before: it stays his.
fn whose(name: &str) -> Result<String, Failure> {
    let owner = tun_owner::owner(name).map_err(|error| failed(name, "reading whose it is", &error))?;
    let asking = caller();
    Ok(match owner {
        None => "every user may open it; --user gives it to one".to_owned(),
        Some(owner) if owner == asking || asking == 0 => format!("user {owner} may open it"),
        Some(owner) => format!("user {owner} may open it; --user {asking} gives it to user {asking}"),
    })
}

/// Whether an earlier `up --nat` lets the device's network out, which a line says.
fn is_let_out(name: &str, side: Side, said: &mut String) -> Result<bool, Failure> {
    match masquerade::present(name) {
        Present::No => Ok(false),
        Present::Unseen => {
            let line = format!("whether it is masqueraded is root's to see; `sudo sockeye up {name}` says so");
            say(said, name, &line);
            Ok(false)
        }
        Present::By(tool) => {
            let is_forwarding = masquerade::is_forwarding().map_err(|why| format!("{name}: {why}"))?;
            let forwarding = if is_forwarding { "is on" } else { "is off: --nat turns it on" };
            let network = side.network();
            say(
                said,
                name,
                &format!("{network} goes out masqueraded already (by {tool}); IPv4 forwarding {forwarding}"),
            );
            Ok(true)
        }
    }
}

/// The key `dns=` with the machine's name servers, which a stack reaches that is let out; nothing if there are none,
/// and a line says so, where it is not taken for a part of the specification.
fn name_servers(name: &str) -> String {
    match resolvers::reachable() {
        Ok(servers) => format!(",dns={}", servers.iter().map(ToString::to_string).collect::<Vec<_>>().join("+")),
        Err(why) => {
            complain!("{name}: {why}: add dns=ADDRESS to the specification, or names are not found");
            String::new()
        }
    }
}

/// Removes the device and what `up --nat` has made, and tells what was done.
pub fn down(arguments: &Down) -> Result<String, Failure> {
    let name = &arguments.name;
    check_name(name)?;
    let medium = match ifreq::driver(name) {
        Ok((driver, bus)) if driver == "tun" => {
            if bus == "tun" {
                Medium::Ip
            } else {
                Medium::Ethernet
            }
        }
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            let mut said = String::new();
            if undo_masquerade(name, &mut said)? {
                return Ok(said);
            }
            return Err(format!("{name}: there is no such device; `ip link` lists those there are"));
        }
        _ => return Err(format!("{name}: is no TAP or TUN device; `sockeye down` removes no other")),
    };
    await_stack(name)?;
    let mut said = String::new();
    remove(name, medium)?;
    say(&mut said, name, &format!("removed, a {} device", title(medium)));
    if !undo_masquerade(name, &mut said)?
        && masquerade::present(name) == Present::Unseen
        && masquerade::is_forwarding()?
    {
        complain!(
            "{name}: whether it was masqueraded is root's to see; if it was, `sudo sockeye down {name}` undoes that"
        );
    }
    Ok(said)
}

/// Waits while a stack has the device that nobody uses any more: its host stays a moment for the next program, or until
/// the last byte is acknowledged.
fn await_stack(device: &str) -> Result<(), Failure> {
    let until = clock::now() + GRACE;
    loop {
        let holder = ls::all()?.into_iter().find(|(_, stack)| has_device(stack, device));
        let Some((stack, Description { pid, programs, is_inside, .. })) = holder else { return Ok(()) };
        if is_inside {
            return Err(format!("{device}: stack {stack} has it, inside process {pid}; end that process"));
        }
        if programs > 0 || clock::now() > until {
            return Err(format!(
                "{device}: stack {stack} has it (process {pid}, programs: {programs}); end them, or the stack: \
                 `sockeye stop --stack {stack}`"
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a stack has this very device: one may have had an earlier one of the name.
fn has_device(stack: &Description, device: &str) -> bool {
    stack.device == device && !stack.addresses.is_empty() && stack.lost.is_none()
}

/// Tells of stacks that have lost an earlier device of this name, and do not come to this one.
fn name_the_lost(device: &str, said: &mut String) -> Result<(), Failure> {
    for (stack, Description { pid, device: had, lost, .. }) in ls::all()? {
        if had == device
            && let Some(why) = lost
        {
            say(said, device, &format!("is not that of stack {stack}, process {pid}: {why}; start that program again"));
        }
    }
    Ok(())
}

fn say(said: &mut String, name: &str, what: &str) {
    let _ = writeln!(said, "{name}: {what}");
}

/// The names that the kernel, the specification, nft and iptables all take as they are.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if is_plain && !name.starts_with(['-', '.']) && (1..=15).contains(&name.len()) {
        return Ok(());
    }
    Err(format!("`{name}` is no name for a device; use up to 15 letters and digits, such as t0"))
}

/// The rules for addresses are those of a specification.
fn parse_side(name: &str, ip: &str) -> Result<Side, Failure> {
    if ip.contains([',', '+']) {
        return Err(format!("--ip: `{ip}` is not one address; give it as --ip 10.97.0.1/24"));
    }
    let config = Config::parse(&format!("tap:{name},ip={ip}"));
    let config = config.map_err(|error| error.told_of("--ip", "--ip 10.97.0.1/24").to_string())?;
    match config.addresses.first().map(|cidr| (cidr.addr, cidr.prefix)) {
        Some((IpAddr::V4(addr), prefix)) => Ok(Side { addr, prefix }),
        _ => Err(format!("--ip: `{ip}` is no IPv4 address; give it as --ip 10.97.0.1/24")),
    }
}

fn parse_user(name: &str, user: &str) -> Result<u32, Failure> {
    match passwd::uid(user) {
        Ok(Some(uid)) => Ok(uid),
        Ok(None) => user.parse().map_err(|_| format!("{name}: there is no user `{user}`; give a name or a number")),
        Err(error) => Err(format!("{name}: looking up user `{user}`: {error}; give the number instead")),
    }
}

/// Who asked: the one who called sudo, or else who runs this. A device without an owner would be anybody's.
fn caller() -> u32 {
    let sudo = env::var("SUDO_UID").and_then(|uid| uid.parse().ok());
    sudo.unwrap_or_else(passwd::own)
}

fn title(medium: Medium) -> &'static str {
    match medium {
        Medium::Ethernet => "TAP",
        Medium::Ip => "TUN",
    }
}

fn failed(name: &str, step: &str, error: &io::Error) -> Failure {
    let cure = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => format!("; needs CAP_NET_ADMIN: run it as root (sudo sockeye ... {name})"),
        _ => String::new(),
    };
    format!("{name}: {step}: {error}{cure}")
}

/// Does something with an open device, which closes it again.
fn with_open(
    name: &str,
    medium: Medium,
    step: &str,
    act: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    // Without offloads: the next who attaches finds the device as the kernel makes it.
    let device = TunTap::open(name, medium, false, None).map_err(|error| error.to_string())?;
    act(device.as_fd()).map_err(|error| failed(name, step, &error))
}

fn make(name: &str, medium: Medium, owner: u32) -> Result<(), Failure> {
    with_open(name, medium, "making it", |fd| {
        tun::set_owner(fd, owner)?;
        tun::set_persistent(fd, true)
    })
}

fn give(name: &str, medium: Medium, owner: u32) -> Result<(), Failure> {
    with_open(name, medium, "changing its user", |fd| tun::set_owner(fd, owner))
}

fn remove(name: &str, medium: Medium) -> Result<(), Failure> {
    with_open(name, medium, "removing it", |fd| tun::set_persistent(fd, false))
}

fn check_kind(name: &str, medium: Medium) -> Result<(), Failure> {
    match ifreq::driver(name) {
        Ok((driver, bus)) if driver == "tun" && bus.eq_ignore_ascii_case(title(medium)) => Ok(()),
        Ok((driver, bus)) if driver == "tun" => {
            let other = bus.to_uppercase();
            Err(format!("{name}: is a {other} device already; use another name, or `sockeye down {name}` first"))
        }
        _ => Err(format!("{name}: an interface of this name is there, and is no TAP or TUN device; use another name")),
    }
}

/// Address and link state. `is_told` when the user has named the address.
fn complete(name: &str, wanted: Side, is_told: bool, said: &mut String) -> Result<Side, Failure> {
    let present = ifreq::address(name).map_err(|error| failed(name, "reading its address", &error))?;
    let present = present.map(|(addr, prefix)| Side { addr, prefix });
    let side = match present {
        Some(present) if !is_told || present == wanted => present,
        Some(Side { addr, prefix }) => {
            return Err(format!(
                "{name}: has the address {addr}/{prefix} already; leave --ip out, or `sockeye down {name}` first"
            ));
        }
        None => {
            let Side { addr, prefix } = wanted;
            if let Some(owner) = neighbours::owner(name, addr, prefix) {
                let network = neighbours::network(addr, prefix);
                return Err(format!(
                    "{name}: the network {network}/{prefix} is reached through {owner}; choose another, as --ip 10.98.0.1/24"
                ));
            }
            ifreq::set_address(name, addr, prefix).map_err(|error| failed(name, "giving it an address", &error))?;
            wanted
        }
    };
    if !ifreq::is_up(name).map_err(|error| failed(name, "reading its state", &error))? {
        ifreq::set_up(name, true).map_err(|error| failed(name, "setting it up", &error))?;
    }
    say(said, name, &format!("the kernel's side is up and has the address {}/{}", side.addr, side.prefix));
    Ok(side)
}

fn masquerade(name: &str, side: Side, tool: Tool, said: &mut String) -> Result<(), Failure> {
    let network = side.network();
    let turned_on = tool.set(name, &network).map_err(|why| format!("{name}: {why}"))?;
    let forwarding = if turned_on { "IPv4 forwarding is turned on" } else { "IPv4 forwarding was on" };
    say(said, name, &format!("{network} goes out masqueraded (by {tool}); {forwarding}"));
    Ok(())
}

fn undo_masquerade(name: &str, said: &mut String) -> Result<bool, Failure> {
    let undone = masquerade::undo(name).map_err(|why| format!("{name}: {why}"))?;
    let Some(undone) = undone else { return Ok(false) };
    let forwarding = if undone.turned_off { "; IPv4 forwarding is turned off again" } else { "" };
    say(said, name, &format!("is masqueraded no more{forwarding}"));
    Ok(true)
}
