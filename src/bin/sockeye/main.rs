//! The program `sockeye`: what an operator types.
//!
//! Exit codes: 0, 1 for what failed, 2 for a command line that is not understood; those of `run` are env(1)'s.

/// Prints a line on standard error. One that takes no line, as where the disk is full, changes nothing.
macro_rules! complain {
    ($($text:tt)*) => { _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{}\n", format_args!($($text)*)).as_bytes()) };
}

mod arguments;
mod demo;
mod device;
mod holders;
mod log;
mod ls;
mod manual;
mod masquerade;
mod neighbours;
mod nstat;
mod program;
mod resolvers;
mod run;
mod ss;
mod stop;
mod variables;

use arguments::{Arguments, Command};
use clap::{CommandFactory, Parser};
use sockeye::host;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Why a subcommand did not do what it was asked: one line, with the cure.
type Failure = String;

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| {
        let is_run = std::env::args_os().nth(1).is_some_and(|word| word == "run");
        if is_run && error.use_stderr() {
            let _ = error.print();
            std::process::exit(run::OWN_FAILURE.into());
        }
        error.exit()
    });
    let result = match arguments.command {
        Command::Run(arguments) => {
            let failure = run::run(&arguments);
            complain!("sockeye: {failure}");
            return ExitCode::from(failure.exit_code());
        }
        Command::Ls(ls) => ls::show(&ls),
        Command::Ss(ss) => ss::show(&ss),
        Command::Nstat(nstat) => nstat::show(&nstat),
        Command::Log(log) => log::show(&log),
        Command::Stop(stop) => stop::stop(&stop),
        Command::Demo => Err(demo::run()),
        Command::Up(up) => device::up(&up),
        Command::Down(down) => device::down(&down),
        Command::Host(host) => serve(&host),
        Command::Version => Ok(format!("sockeye {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completions { shell } => Ok(completions(shell)),
        Command::Man => Ok(manual::page()),
    };
    match result {
        Ok(text) => print(&text),
        Err(failure) => {
            complain!("sockeye: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &arguments::Host) -> Result<String, Failure> {
    let token = ss::token()?;
    variables::check()?;
    let net = arguments.net.clone().or_else(|| variables::value("SOCKEYE_NET")).ok_or(run::NO_NETWORK)?;
    let name = arguments.stack.clone().or_else(variables::stack).unwrap_or_default();
    // Those of whoever started it are not meant for it.
    sockeye::sys::process::lift_limits();
    let options = host::Options { name, net, token };
    let name = options.stack_name()?;
    if host::run(&options)? == host::Ended::Served || arguments.quiet {
        return Ok(String::new());
    }
    let shown = String::from_utf8_lossy(&name);
    let joined = host::client::join(&name, token, options.net.as_bytes());
    joined.map_err(|trouble| match trouble {
        host::client::Trouble::Different(line) => line,
        trouble => stop::failure(&shown, &trouble),
    })?;
    Ok(format!("{shown}: runs already, as that network; `sockeye ls` shows it\n"))
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "sockeye", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// A reader that has seen enough (`sockeye man | head`) is no failure; a full disk is.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain!("sockeye: standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
