//! `sockeye stop`: ends the host of a stack.

use crate::{Failure, arguments::Stop, ss};
use sockeye::host::{
    client::{self, Stopped, Trouble},
    survey::{self, Describe},
};

/// Why nothing came of what was asked of a stack.
pub fn failure(name: &str, trouble: &Trouble) -> Failure {
    match trouble {
        Trouble::Absent => format!("stack {name} is not running"),
        trouble => format!("stack {name}: {trouble}"),
    }
}

/// Ends it, and tells what was cut off.
pub fn stop(arguments: &Stop) -> Result<String, Failure> {
    let name = one(arguments.stack.as_ref())?;
    let Stopped { programs, connections } =
        client::stop(name.as_bytes(), ss::token()?).map_err(|trouble| failure(&name, &trouble))?;
    let plural = |count: u32, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let (programs, connections) = (plural(programs, "process"), plural(connections, "connection"));
    let programs = programs.replace("processs", "processes");
    Ok(format!("{name}: stopped; {programs} used it, {connections} reset\n"))
}

/// The stack that is named, or else the one that runs.
pub fn one(named: Option<&String>) -> Result<String, Failure> {
    if let Some(name) = named {
        return Ok(name.clone());
    }
    // What a process has for itself is no host's, and what a stranger has need not be.
    let is_hosts = |answer: &Result<survey::Description, Trouble>| match answer {
        Ok(stack) => !stack.is_inside,
        Err(trouble) => !matches!(trouble, Trouble::Stranger | Trouble::Absent | Trouble::Ended),
    };
    let (asked, others): (Vec<_>, Vec<_>) =
        survey::all(ss::token()?, &Describe::default()).into_iter().partition(|(_, answer)| is_hosts(answer));
    let mut names: Vec<_> = asked.into_iter().map(|(name, _)| name).collect();
    match (names.pop(), names.as_slice()) {
        (None, _) => Err(match others.into_iter().find_map(|(name, answer)| Some((name, answer.ok()?.pid))) {
            Some((name, pid)) => {
                format!("no host is running; a stack is inside process {pid}: name it as --stack {name}")
            }
            None => "no stack is running".to_owned(),
        }),
        (Some(name), []) => Ok(name),
        (Some(last), others) => {
            Err(format!("several stacks are running: {} and {last}; name one as --stack NAME", others.join(", ")))
        }
    }
}
