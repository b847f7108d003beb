//! `sockeye run`: becomes a program whose network is a stack.

use crate::{
    arguments::Run,
    program::{self, Trouble},
    ss, variables,
};
use sockeye::{
    host::{self, client, start},
    socket::{congestion, stacks},
    stack::{
        Config,
        config::{Impairment, Kind, impairment::Form},
    },
    sys::{entropy, env as trusted, fence},
};
use sockeye_shim::format::{FILLERS, Token, token_to_text};
use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, io,
    os::{
        fd::AsFd,
        unix::{ffi::OsStrExt, process::CommandExt},
    },
    path::{self, Path, PathBuf},
    process::Command,
};

/// Exit code of what this program itself could not do, as env(1) has it.
pub const OWN_FAILURE: u8 = 125;
/// What is said to who names no network.
pub const NO_NETWORK: &str = "no network; give it as --net tap:t0,ip=10.97.0.2/24,gw=10.97.0.1, or in SOCKEYE_NET \
                              (`sockeye up t0` makes t0)";
const LIBRARY: &str = "libsockeye_preload.so";

/// Why the program does not run.
#[derive(Debug)]
pub enum Failure {
    /// Something is wrong with the command line or the environment.
    Setting(String),
    /// Something is wrong with the program.
    Program(Trouble),
}

impl Failure {
    /// What `sockeye run` ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Setting(_) => OWN_FAILURE,
            Failure::Program(trouble) => trouble.exit_code(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Setting(text) => f.write_str(text),
            Failure::Program(trouble) => trouble.fmt(f),
        }
    }
}

/// Becomes the program: comes back only when that fails.
pub fn run(arguments: &Run) -> Failure {
    match prepare(arguments) {
        Ok((path, mut command)) => {
            let error = command.exec();
            Failure::Program(match error.kind() {
                io::ErrorKind::NotFound => Trouble::NotFound(path),
                _ => Trouble::NotExecutable(path, error),
            })
        }
        Err(failure) => failure,
    }
}

fn prepare(arguments: &Run) -> Result<(PathBuf, Command), Failure> {
    let Run { stack, net, link, pcap, cc, allow_kernel, program } = arguments;
    variables::check().map_err(Failure::Setting)?;
    let allow_kernel = *allow_kernel || variables::allows_kernel();
    if allow_kernel && fence::is_raised() {
        let option = if arguments.allow_kernel { "--allow-kernel" } else { "SOCKEYE_ALLOW_KERNEL" };
        return Err(Failure::Setting(format!(
            "{option}: this process is behind the fence of another stack, which stays closed; start it from outside, or \
             that tree with --allow-kernel"
        )));
    }
    let congestion = match cc {
        Some(name) => congestion::judge("--cc", name).map(Some),
        None => congestion::chosen(),
    };
    let congestion = congestion.map_err(Failure::Setting)?;
    stacks::check_variables().map_err(Failure::Setting)?;
    // A joiner without a specification: what fills one must be right all the same.
    Config::new(Kind::Tap, "").fill_from_env(trusted::var).map_err(|error| Failure::Setting(error.to_string()))?;
    let net = net.clone().or_else(|| variables::value("SOCKEYE_NET"));
    let stack = stack.clone().or_else(variables::stack);
    let net = specification(net, stack.is_some(), link.as_deref(), pcap.as_deref()).map_err(Failure::Setting)?;
    let named =
        host::Options { name: stack.clone().unwrap_or_default(), net: net.clone().unwrap_or_default(), token: None };
    let name = named.stack_name().map_err(Failure::Setting)?;
    let library = library().map_err(Failure::Setting)?;
    let preload = preload(&library, env::var_os("LD_PRELOAD").as_deref()).map_err(Failure::Setting)?;
    let Some((word, rest)) = program.split_first() else {
        return Err(Failure::Setting("no program is named; give it behind `--`".to_owned()));
    };
    let path = program::find(Path::new(word)).map_err(Failure::Program)?;
    program::check(&path, rest, fence::gains_no_rights(!allow_kernel)).map_err(Failure::Program)?;

    let token = find_host(&name, net.as_deref()).map_err(Failure::Setting)?;

    let mut command = Command::new(&path);
    if allow_kernel {
        command.env("SOCKEYE_ALLOW_KERNEL", "1");
    } else if !fence::is_raised() {
        raise_fence(&name, token).map_err(Failure::Setting)?;
        command.env("SOCKEYE_FENCE", OsStr::from_bytes(&name));
    }
    command.arg0(word).args(rest).env("LD_PRELOAD", preload);
    if let Some(net) = net {
        command.env("SOCKEYE_NET", net);
    }
    if let Some(stack) = stack {
        command.env("SOCKEYE_STACK", stack);
    }
    if let Some(congestion) = congestion {
        command.env("SOCKEYE_CC", congestion);
    }
    command.env("SOCKEYE_TOKEN", String::from_utf8_lossy(&token_to_text(&token)).as_ref());
    Ok((path, command))
}

/// Closes the kernel's network to this process and all it becomes, and has the host live as long as they.
fn raise_fence(name: &[u8], token: Token) -> Result<(), String> {
    let tree = fence::raise().map_err(|error| {
        format!("the kernel's network cannot be closed to the program: seccomp: {error}; --allow-kernel leaves it open")
    })?;
    let Some(tree) = tree else { return Ok(()) };
    client::hold(name, token, tree.as_fd()).map_err(|trouble| match trouble {
        client::Trouble::Different(line) => line,
        trouble => format!("stack {}: {trouble}", String::from_utf8_lossy(name)),
    })
}

/// Joins the stack called `name`, or starts it. Returns its token.
fn find_host(name: &[u8], net: Option<&str>) -> Result<Token, String> {
    let own = env::current_exe().map_err(|error| format!("the program's own place is not known: {error}"))?;
    let known = ss::token()?;
    let wanted = start::Wanted {
        name: name.to_owned(),
        net: net.map(str::to_owned),
        fillers: FILLERS.iter().filter_map(|name| Some((*name, trusted::var(name)?))).collect(),
        token: known,
        new_token: known.unwrap_or_else(token),
        program: variables::host()?.map_or(own, PathBuf::from),
        outer: variables::value("SOCKEYE_FENCE"),
    };
    let shown = String::from_utf8_lossy(name);
    start::ensure(&wanted, |line| complain!("{line}")).map_err(|failure| match failure {
        start::Failure::Join(client::Trouble::Different(line)) | start::Failure::Start(line) => line,
        start::Failure::Join(trouble) => format!("stack {shown}: {trouble}"),
        start::Failure::NoNetwork => format!("stack {shown} is not running, and no --net says how to start it"),
    })
}

/// The specification with link and capture in it, checked; none for the joiner of a stack that is named.
fn specification(
    net: Option<String>,
    is_named: bool,
    link: Option<&str>,
    pcap: Option<&Path>,
) -> Result<Option<String>, String> {
    let Some(mut net) = net else {
        return match (is_named, link, pcap) {
            (true, None, None) => Ok(None),
            (true, ..) => Err("--link and --pcap belong to a specification; give it as --net".to_owned()),
            (false, ..) => Err(NO_NETWORK.to_owned()),
        };
    };
    let given = Config::parse(&net).map_err(|error| error.to_string())?;
    let twice = |option: &str, value: &dyn fmt::Display| {
        Err(format!("{option}: the specification has {}={value} already; leave one of them out", &option[2..]))
    };
    if let Some(link) = link {
        Impairment::parse_in("--link", Form::CommandLine, link).map_err(|error| error.to_string())?;
        match &given.link {
            _ if given.kind == Kind::Null => {
                return Err("--link: a null stack has no device to impair; leave the option out".to_owned());
            }
            Some(link) => return twice("--link", link),
            None => {}
        }
        let inner: Vec<String> = link.split(',').map(|part| part.replacen('=', ":", 1)).collect();
        net.push_str(&format!(",link={}", inner.join("+")));
    }
    if let Some(pcap) = pcap {
        if let Some(path) = &given.pcap {
            return twice("--pcap", &path.display());
        }
        // The host has another working directory.
        let path = path::absolute(pcap).map_err(|error| format!("--pcap: {error}"))?;
        let path = path.to_str().filter(|path| !path.contains([',', ';']));
        let path = path.ok_or("--pcap: the path has a comma, a semicolon or what is no text; use another")?;
        net.push_str(&format!(",pcap={path}"));
    }
    stacks::describe(&net, trusted::var).map(|_| Some(net)).map_err(|error| error.to_string())
}

/// The preload library: beside the real file of this program, or in the `lib` next to its folder.
fn library() -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("the program's own place is not known: {error}"))?;
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(LIBRARY), folder.join("../lib").join(LIBRARY)];
    match places.iter().find_map(|place| place.canonicalize().ok()) {
        Some(place) => Ok(place),
        None => Err(format!("{LIBRARY} is neither beside {} nor in ../lib; run `make install` again", own.display())),
    }
}

/// ld.so(8) splits the list at blanks and colons, and knows no way to quote them.
fn preload(library: &Path, present: Option<&OsStr>) -> Result<OsString, String> {
    let own = library.as_os_str();
    if own.as_bytes().iter().any(|byte| matches!(byte, b' ' | b':')) {
        return Err(format!(
            "{}: the dynamic loader takes no path with a blank or a colon; move it",
            library.display()
        ));
    }
    let mut list = own.to_owned();
    for other in present.unwrap_or_default().as_bytes().split(|byte| matches!(byte, b' ' | b':')) {
        if !other.is_empty() && other != own.as_bytes() {
            list.push(":");
            list.push(OsStr::from_bytes(other));
        }
    }
    Ok(list)
}

/// 128 random bits: who has them may use the stack.
fn token() -> Token {
    let [one, two] = entropy::seed();
    (u128::from(one) << 64 | u128::from(two)).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_and_capture_go_into_the_specification() {
        let net = |link, pcap: Option<&str>| {
            specification(Some("tap:t0,ip=10.0.0.2/24".into()), false, link, pcap.map(Path::new))
        };
        let folded = "tap:t0,ip=10.0.0.2/24,link=delay:20ms+loss:1%,pcap=/tmp/x.pcapng";
        assert_eq!(net(Some("delay=20ms,loss=1%"), Some("/tmp/x.pcapng")), Ok(Some(folded.into())));
        assert!(net(None, Some("a,b")).unwrap_err().starts_with("--pcap: "));
        assert!(net(Some("no=such"), None).is_err());
        let says = |more: &str, link, pcap: Option<&str>| {
            let spec = format!("tap:t0,ip=10.0.0.2/24{more}");
            specification(Some(spec), false, link, pcap.map(Path::new)).unwrap_err()
        };
        let cure = "already; leave one of them out";
        let twice = says(",link=loss:2%", Some("loss=1%"), None);
        assert_eq!(twice, format!("--link: the specification has link=loss:2% {cure}"));
        assert_eq!(says(",pcap=a", None, Some("b")), format!("--pcap: the specification has pcap=a {cure}"));
        let bare = "--link: loss=2 could be meant in percent or as a share; write loss=1% or loss=0.01, ";
        assert!(says("", Some("loss=2"), None).starts_with(bare));
        let null = specification(Some("null:".into()), false, Some("loss=1%"), None).unwrap_err();
        assert_eq!(null, "--link: a null stack has no device to impair; leave the option out");
    }

    #[test]
    fn a_joiner_needs_a_name_and_a_starter_a_network() {
        assert_eq!(specification(None, true, None, None), Ok(None));
        assert!(specification(None, true, Some("loss=1%"), None).unwrap_err().contains("--net"));
        assert!(specification(None, false, None, None).unwrap_err().starts_with("no network; "));
    }

    #[test]
    fn other_preloaded_libraries_stay_behind_ours() {
        let list = |present: Option<&str>| preload(Path::new("/l/x.so"), present.map(OsStr::new)).unwrap();
        assert_eq!(list(None), "/l/x.so");
        assert_eq!(list(Some("/a.so /l/x.so:/b.so")), "/l/x.so:/a.so:/b.so");
        assert!(preload(Path::new("/a b/x.so"), None).is_err());
    }
}
