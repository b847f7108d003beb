//! The congestion control that a program's sockets begin with: `SOCKEYE_CC`.

use crate::{sys::env, tcp::congestion::NAMES};
use std::sync::OnceLock;

/// The variable.
pub const VARIABLE: &str = "SOCKEYE_CC";

/// The algorithm called `name`.
///
/// # Errors
/// A line for the user that begins with `what` the name was given as, and says which there are.
pub fn judge(what: &str, name: &str) -> Result<&'static str, String> {
    NAMES
        .iter()
        .copied()
        .find(|known| *known == name)
        .ok_or_else(|| format!("{what}: there is no congestion control {name:?}; known: {}", NAMES.join(", ")))
}

/// The one that this process's environment asks for, if it asks for one.
///
/// # Errors
/// As [`judge`].
pub fn chosen() -> Result<Option<&'static str>, String> {
    static CHOSEN: OnceLock<Result<Option<&'static str>, String>> = OnceLock::new();
    let read = || env::var(VARIABLE).filter(|name| !name.is_empty()).map(|name| judge(VARIABLE, &name)).transpose();
    CHOSEN.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_told_what_is() {
        assert_eq!(judge("--cc", "reno"), Ok("reno"));
        let line = judge("--cc", "ren").unwrap_err();
        assert!(line.starts_with("--cc: there is no congestion control \"ren\"; known: "), "{line}");
        assert!(NAMES.iter().all(|name| line.contains(name)), "{line}");
    }
}
