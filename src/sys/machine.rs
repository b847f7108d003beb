//! What names this machine.

/// machine-id(5): the same at every start, different on every installation. On a machine without one, its host name,
/// or nothing: what is derived from it then only has to be the same at every start.
pub fn id() -> String {
    ["/etc/machine-id", "/var/lib/dbus/machine-id", "/proc/sys/kernel/hostname"]
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .find(|id| !id.is_empty() && id != "uninitialized")
        .unwrap_or_default()
}

/// Its host name (uname(2)).
pub fn name() -> String {
    // SAFETY: texts only, for which zeros are a value.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: a place for the names. What is refused leaves it empty.
    unsafe { libc::uname(&raw mut names) };
    let bytes = names.nodename.map(|byte| byte.to_ne_bytes()[0]);
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_same_every_time() {
        assert_eq!(super::id(), super::id());
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(super::name(), name.trim());
    }
}
