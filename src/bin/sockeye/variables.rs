//! The variables of the environment that the program itself obeys: what is wrong with them is said, whoever set them.

use crate::Failure;
use sockeye::sys::{env, fence};
use sockeye_shim::variables::{ALL, ALLOW_KERNEL, FENCE, NO_FENCE, STACK, Variable, switch};
use std::{fs, os::unix::fs::PermissionsExt};

/// A variable that is set; an empty one is as good as none.
pub fn value(name: &str) -> Option<String> {
    env::var(name).filter(|value| !value.is_empty())
}

/// Judges one of them.
///
/// # Errors
/// A line that names it, and the cure.
pub fn judge(variable: &Variable) -> Result<(), Failure> {
    let value = value(variable.name).unwrap_or_default();
    let objection = variable.objection(value.as_bytes());
    objection.map_or(Ok(()), |line| Err(String::from_utf8_lossy(line.as_bytes()).into_owned()))
}

/// Checks those that say how programs and hosts find each other.
///
/// # Errors
/// A line that names the first that is wrong, and the cure.
pub fn check() -> Result<(), Failure> {
    ALL.iter().try_for_each(judge)?;
    if value(FENCE.name).is_some() && !fence::is_raised() {
        return Err(NO_FENCE.to_owned());
    }
    Ok(())
}

/// `SOCKEYE_ALLOW_KERNEL`, which [`check`] has found to be right.
pub fn allows_kernel() -> bool {
    value(ALLOW_KERNEL.name).and_then(|value| switch(value.as_bytes())).unwrap_or(false)
}

/// `SOCKEYE_STACK`, likewise.
pub fn stack() -> Option<String> {
    value(STACK.name)
}

/// `SOCKEYE_HOST`: the program that serves as host.
///
/// # Errors
/// It names none.
pub fn host() -> Result<Option<String>, Failure> {
    let Some(path) = value("SOCKEYE_HOST") else { return Ok(None) };
    let cure = "name a program, or unset it";
    match fs::metadata(&path) {
        // A bare name is looked for on the PATH.
        _ if !path.contains('/') => Ok(Some(path)),
        Err(error) => Err(format!("SOCKEYE_HOST: {path}: {error}; {cure}")),
        Ok(file) if !file.is_file() || file.permissions().mode() & 0o111 == 0 => {
            Err(format!("SOCKEYE_HOST: {path} is no program that can be executed; {cure}"))
        }
        Ok(_) => Ok(Some(path)),
    }
}
