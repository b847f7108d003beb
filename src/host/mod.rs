//! The host process: it owns the device and the stack, and other programs' sockets are ends of AF_UNIX sockets whose
//! other ends are here. What programs ask, and how everything is named, is the crate `sockeye_shim`.
//!
//! | file | what |
//! |---|---|
//! | `gate.rs` `secret.rs` | the name and the path that programs come by, and who may use the stack |
//! | `entry.rs` `strangers.rs` | letting programs in, each door its share a turn; and those without the token |
//! | `serve.rs` `slot.rs` `end.rs` | the loop: one thread moves the bytes and reads the device; what it is told, once |
//! | `lent.rs` `directory.rs` | programs' own sockets, which the host is lent; where it binds them |
//! | `start.rs` `client.rs` `survey.rs` | what others see: starting a host, asking it, asking all |
//! | `plain.rs` | what another process says, fit for a terminal |
//! | `join.rs` | whether the stack is the one that a program means |
//! | `request.rs` | what is asked: bind, listen, options, names |
//! | `connect.rs` `listener.rs` | connections that are made, and taken |
//! | `bridge.rs` `linger.rs` | a connection's bytes, both ways; who waits for the last of them |
//! | `datagram.rs` | datagram sockets |
//! | `resolve.rs` `lookup.rs` `dns.rs` | hosts' names: known here, asked for, and how one asks |
//! | `interfaces.rs` | what getifaddrs(3) tells |
//! | `operator.rs` | what `sockeye ss`, `sockeye log` and `sockeye stop` ask |
//! | `life.rs` `tree.rs` `farewell.rs` | who uses the stack, when it ends; trees behind the fence; telling who waits |
//! | `confine.rs` | what the host gives up, once it has what it needs |
#![forbid(unsafe_code)]
#![cfg_attr(not(test), warn(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_possible_wrap))]

mod bridge;
pub mod client;
mod coming;
mod confine;
mod connect;
mod datagram;
mod directory;
pub mod dns;
mod end;
mod entry;
mod farewell;
mod gate;
mod interfaces;
mod join;
mod lent;
mod life;
mod linger;
mod listener;
mod lookup;
mod operator;
pub mod plain;
mod request;
mod resolve;
mod secret;
mod serve;
mod slot;
pub mod start;
mod strangers;
pub mod survey;
#[cfg(test)]
mod tests;
mod tree;

use crate::{
    engine::Engine,
    socket::stacks,
    stack::{
        Config,
        config::{Logging, Whither},
    },
    sys::{env, log, pinned, process, steward, threads},
    time::Duration,
};
use ::log::LevelFilter;
use directory::Directory;
use gate::{Claim, Gate};
use sockeye_shim::{format::Token, name, path::Path as SecretPath};
use std::path::{Path, PathBuf};

/// Descriptors a host wants, one for each connection. The program that starts it may have few for itself.
const DESCRIPTORS: u64 = 1 << 18;
/// How long programs wait for the probing for the stack's addresses (it takes 200 ms): most hosts that have one of them
/// answer at once, and then no program begins.
const CLAIM: Duration = Duration::from_millis(5);

/// What a host is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The stack's name; if empty it is derived from the device ([`name::stack_of`]).
    pub name: String,
    /// The network specification, such as `tap:t0,ip=10.0.0.2/24`.
    pub net: String,
    /// What programs prove themselves with; a new one is made up if absent. Programs of the host's own user can ask for
    /// it, and so can root's.
    pub token: Option<Token>,
}

impl Options {
    /// The stack's name.
    ///
    /// # Errors
    /// A text that says what a name may be.
    pub fn stack_name(&self) -> Result<Vec<u8>, String> {
        let name = match self.name.as_bytes() {
            [] => name::stack_of(self.net.as_bytes()).map(|(name, len)| name[..len].to_vec()),
            name => Some(name.to_vec()).filter(|name| name::is_stack(name)),
        };
        name.ok_or_else(|| {
            format!(
                "{:?} cannot be a stack's name: it has 1 to {} letters, digits, '-', '_', '.', ':' or '@' (--stack NAME)",
                if self.name.is_empty() { &self.net } else { &self.name },
                name::STACK_MAX
            )
        })
    }
}

/// What a host came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its stack was used, or nobody came.
    Served,
    /// A host of this name was there already and answers: there was nothing to do.
    Another,
}

/// Runs a host until the last program and the last connection are gone.
///
/// A process that does nothing else is only this from here on: it gives up its rights, and cannot have them back. As
/// one of several threads a host leaves the process what it has.
///
/// # Errors
/// A text that names cause and cure.
pub fn run(options: &Options) -> Result<Ended, String> {
    let name = options.stack_name()?;
    process::raise_descriptor_limit(DESCRIPTORS);
    // The helper and whoever resolves names do little: one thread does the rest.
    process::use_one_arena();
    let token = options.token.unwrap_or_else(gate::new_token);
    let mut gate = match Gate::claim(&name)? {
        Claim::Ours(gate) => gate,
        Claim::Another => return Ok(Ended::Another),
    };
    log::take_stdout();
    let directory = Directory::make()?;
    secret::clear_old(Path::new("/tmp"));
    log::keep(LevelFilter::Info);
    let config = stacks::describe(&options.net, env::var).map_err(|error| error.to_string())?;
    stacks::check_variables()?;
    let path = gate.path(&name, &token);
    let folders: Vec<_> = [directory.path().to_owned()].into_iter().chain(path.as_ref().map(secret::folder)).collect();
    let has_process = threads::is_alone();
    if has_process {
        appoint_steward(&config, folders.clone(), (name.clone(), path, directory.path().to_owned()))?;
    }
    farewell::prepare(&name, path, directory.path());
    let opened = stacks::open(&options.net).map_err(|_| last_error())?;
    path.into_iter().for_each(|path| gate.make_path(path));
    if has_process {
        confine::give_up(config.kind, &folders)?;
    }
    let stack = opened.start(Some(CLAIM)).map_err(|_| last_error())?;
    let engine = stacks::engine(stack).ok_or("the stack is gone")?;
    let served = gate.open().and_then(|()| {
        let mut host = slot::Host::new(stack, engine, (name, config), (gate, directory), token)?;
        if has_process {
            keep_secrets(engine, &host);
        }
        host.serve();
        Ok(host)
    });
    // The stack was made above and is freed here alone. A host that ends by itself has nothing left to drain; what one
    // that is stopped has open is reset, and then so are programs' ends.
    let _freed_once = stacks::free(stack, Some(Duration::ZERO));
    served.map(|host| {
        host.take_leave();
        Ended::Served
    })
}

/// Leaves a process behind that has the rights which the host is about to give up.
fn appoint_steward(
    config: &Config,
    folders: Vec<PathBuf>,
    (name, path, directory): (Vec<u8>, Option<SecretPath>, PathBuf),
) -> Result<(), String> {
    let log = match &config.log {
        Some(Logging { whither: Whither::File(path), .. }) => Some(path.clone()),
        _ => None,
    };
    let last = Box::new(move || farewell::clear_up(&name, path, &directory));
    steward::appoint(steward::Duties { log, folders, request: tree::start_for, last })
        .map_err(|error| format!("the host cannot be started: its steward: {error}"))
}

/// The token and the keys are not to be found on a disk.
fn keep_secrets(engine: &Engine, host: &slot::Host) {
    let mut places = engine.secrets();
    places.extend([pinned::place(host), pinned::stack()]);
    if let Err(error) = pinned::keep(&places) {
        ::log::warn!("keys and token may be written to swap: {error}; raise the limit of locked memory (ulimit -l)");
    }
}

fn last_error() -> String {
    let text = stacks::last_error(|text| text.map(|text| text.to_string_lossy().into_owned())).flatten();
    text.unwrap_or_else(|| "the stack cannot be made".to_owned())
}
