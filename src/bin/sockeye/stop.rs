//! `sockeye stop`: ends the host of a stack.

use crate::{Failure, arguments::Stop, ss};
use sockeye::host::client::{self, Stopped, Trouble};

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
    // What a process has for itself is no host's.
    let token = ss::token()?;
    let is_inside = |name: &String| client::describe(name.as_bytes(), token).is_ok_and(|stack| stack.is_inside);
    let mut names: Vec<_> = client::stacks().into_iter().filter(|name| !is_inside(name)).collect();
    match (names.pop(), names.as_slice()) {
        (None, _) => Err("no stack is running".to_owned()),
        (Some(name), []) => Ok(name),
        (Some(last), others) => {
            Err(format!("several stacks are running: {} and {last}; name one as --stack NAME", others.join(", ")))
        }
    }
}
