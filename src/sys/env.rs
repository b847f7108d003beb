//! The environment, as far as it may be trusted.

/// The variable `name`; nothing when the program runs with more rights than its caller (AT_SECURE, getauxval(3)).
pub fn var(name: &str) -> Option<String> {
    // SAFETY: getauxval has no preconditions.
    let secure = unsafe { libc::getauxval(libc::AT_SECURE) } != 0;
    if secure { None } else { std::env::var(name).ok() }
}
