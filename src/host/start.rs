//! Starting a host for a program that is about to run. The preload library does the same for one that runs already
//! (preload/src/start.rs), without libc.

use super::{
    client::{self, Trouble},
    plain::plain,
};
use crate::sys::{clock, daemon, fence, readiness, transfer};
use sockeye_shim::format::{MEANT, Token, token_to_text};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// How long a host may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long another host may take to end, which kept ours from starting.
const OTHERS: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(10);

/// Which stack is wanted.
pub struct Wanted {
    /// Its name.
    pub name: Vec<u8>,
    /// The network specification; without one the stack must be running.
    pub net: Option<String>,
    /// The variables that fill the specification, as far as they are set: `SOCKEYE_LINK` and so on.
    pub fillers: Vec<(&'static str, String)>,
    /// The token that is known.
    pub token: Option<Token>,
    /// The token that a new host is to have.
    pub new_token: Token,
    /// The host's program.
    pub program: PathBuf,
    /// The stack whose host holds the tree of programs that this one belongs to (`SOCKEYE_FENCE`).
    pub outer: Option<String>,
}

/// Why there is no host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is one that cannot be used.
    Join(Trouble),
    /// There is none, and no specification says how to start one.
    NoNetwork,
    /// It cannot be started, or has ended with this line.
    Start(String),
}

/// Sees to it that the host of a stack is there, and returns the stack's token. What a host that starts has to say
/// comes through `say`, line by line.
///
/// # Errors
/// Why there is none.
pub fn ensure(wanted: &Wanted, mut say: impl FnMut(&str)) -> Result<Token, Failure> {
    let Wanted { name, net, new_token, program, .. } = wanted;
    let meant = wanted.meant();
    match client::join(name, wanted.token, &meant) {
        // One that has just ended has left its name, or does so now.
        Err(Trouble::Absent | Trouble::Ended) => {}
        joined => return joined.map_err(Failure::Join),
    }
    let net = net.as_deref().ok_or(Failure::NoNetwork)?;
    let words = if fence::is_raised() {
        wanted.start_outside(net).map_err(Failure::Start)?
    } else {
        let mut command = Command::new(program);
        command.args(["host", "--quiet", "--net", net]).arg("--stack").arg(OsStr::from_bytes(name));
        command.env_remove("LD_PRELOAD");
        command.env("SOCKEYE_TOKEN", String::from_utf8_lossy(&token_to_text(new_token)).as_ref());
        daemon::spawn(command).map_err(|error| Failure::Start(unable(program, &error)))?
    };
    await_host(wanted, &meant, &words, &mut say)
}

fn unable(program: &Path, error: &io::Error) -> String {
    format!("the host cannot be started: {}: {error}", program.display())
}

fn await_host(wanted: &Wanted, meant: &[u8], words: &File, say: &mut impl FnMut(&str)) -> Result<Token, Failure> {
    let mut until = clock::now() + PATIENCE;
    let (mut said, mut is_open) = (Vec::new(), true);
    while clock::now() < until {
        let joined = client::join(&wanted.name, Some(wanted.new_token), meant);
        let joined = if joined == Err(Trouble::Ended) { Err(Trouble::Absent) } else { joined };
        if is_open {
            let wait = if joined == Err(Trouble::Absent) { STEP } else { Duration::ZERO };
            is_open = hear(words, wait, &mut said);
            until = if is_open { until } else { clock::now() + OTHERS };
        } else if joined == Err(Trouble::Absent) {
            // It has ended. Where it said nothing it met another host, which may be ending in turn.
            if !said.is_empty() {
                break;
            }
            std::thread::sleep(STEP);
        }
        match joined {
            Err(Trouble::Absent) => {}
            joined => {
                plain(&said).lines().for_each(say);
                return joined.map_err(Failure::Join);
            }
        }
    }
    let said = plain(&said);
    let line = said.lines().last().map(|line| line.trim_start_matches("sockeye: ").to_owned());
    Err(Failure::Start(line.unwrap_or_else(|| "the host does not come up".to_owned())))
}

/// Takes what the host has said, waiting a while for it. False at the end.
fn hear(words: &File, wait: Duration, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 1024];
    while readiness::wait_readable(words.as_fd(), if said.is_empty() { wait } else { Duration::ZERO }) {
        match transfer::read(words.as_fd(), &mut buffer) {
            Ok(0) => return false,
            Ok(n) => said.extend_from_slice(&buffer[..n]),
            Err(_) => return true,
        }
    }
    true
}

impl Wanted {
    /// Has the host that holds this process's tree start the one that is wanted: what is born behind the fence stays
    /// there. Returns what the new host has to say.
    fn start_outside(&self, net: &str) -> Result<File, String> {
        let no_outer = "this program is behind the fence of a stack that it does not know (SOCKEYE_FENCE is not set): \
                        another stack's host must be started from outside";
        let outer = self.outer.as_ref().ok_or(no_outer)?;
        let folder = std::env::current_dir().map_err(|error| format!("the current folder is not known: {error}"))?;
        let mut meant = folder.into_os_string().into_encoded_bytes();
        for part in [b"\0", net.as_bytes(), b"\0", &self.name, b"\0"] {
            meant.extend_from_slice(part);
        }
        for (name, value) in &self.fillers {
            meant.extend_from_slice(format!("{name}={value}\0").as_bytes());
        }
        if meant.len() > MEANT {
            return Err(format!("the specification and the folder's path are longer than {MEANT} bytes together"));
        }
        let (words, end) = io::pipe().map_err(|error| format!("no pipe can be made: {error}"))?;
        client::start_another(outer.as_bytes(), self.new_token, &meant, end.as_fd()).map_err(|trouble| {
            format!("stack {outer}, whose host must start it since this program is behind the fence: {trouble}")
        })?;
        Ok(File::from(OwnedFd::from(words)))
    }

    /// The text behind an [`Op::Join`](sockeye_shim::format::Op::Join).
    fn meant(&self) -> Vec<u8> {
        let Some(net) = &self.net else { return Vec::new() };
        let mut meant = net.clone().into_bytes();
        for (name, value) in &self.fillers {
            meant.extend_from_slice(format!("\0{name}={value}").as_bytes());
        }
        meant
    }
}
