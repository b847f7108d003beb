//! Why a device could not be opened, with the cure.

use crate::{error::Error, sys::holder::Holder};
use std::{fmt, io, path::PathBuf};

/// What stood in the way.
#[derive(Debug)]
pub enum Cause {
    /// There is no /dev/net/tun.
    NoTun,
    /// /dev/net/tun may not be opened.
    TunForbidden,
    /// The device does not exist, and this user may not make it.
    MayNotMake,
    /// The device belongs to another user.
    MayNotAttach,
    /// Another process holds the device, or another stack of this one.
    Busy(Holder),
    /// An interface of the name exists, of the kind that is named here.
    WrongKind(String),
    /// The name has more bytes than the kernel's names can have.
    NameTooLong,
    /// EMFILE: the process has no descriptor left.
    TooManyFiles,
    /// ENFILE: the machine has none left.
    FileTableFull,
    /// Out of memory.
    NoMemory,
    /// The capture file cannot be written.
    Capture(PathBuf, io::Error),
    /// Anything else, and at which step it came.
    Other(&'static str, io::Error),
}

/// Why a device could not be opened.
#[derive(Debug)]
pub struct OpenError {
    /// `tap` or `tun`.
    pub kind: &'static str,
    /// The device's name.
    pub name: String,
    /// What stood in the way.
    pub cause: Cause,
}

impl OpenError {
    /// The error for `kind` and `name`.
    pub fn new(kind: &'static str, name: &str, cause: Cause) -> Self {
        Self { kind, name: name.to_owned(), cause }
    }

    /// What a call that wanted the device fails with.
    pub fn error(&self) -> Error {
        match &self.cause {
            Cause::NoTun => Error::NoDevice,
            Cause::TunForbidden | Cause::MayNotMake | Cause::MayNotAttach => Error::NotPermitted,
            Cause::Busy(_) => Error::Busy,
            Cause::WrongKind(_) | Cause::NameTooLong => Error::Invalid,
            Cause::TooManyFiles => Error::TooManyFiles,
            Cause::FileTableFull => Error::FileTableFull,
            Cause::NoMemory => Error::NoMemory,
            Cause::Capture(_, error) | Cause::Other(_, error) => match error.kind() {
                io::ErrorKind::NotFound => Error::NotFound,
                io::ErrorKind::PermissionDenied => Error::AccessDenied,
                _ => Error::NetDown,
            },
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, cause } = self;
        write!(f, "{kind} {name}: ")?;
        let tun = if *kind == "tun" { " --tun" } else { "" };
        match cause {
            Cause::NoTun => f.write_str("there is no /dev/net/tun; load the driver with `modprobe tun`"),
            Cause::TunForbidden => f.write_str(
                "/dev/net/tun may not be opened; run as root, or let this user read and write it \
                 (`chmod 666 /dev/net/tun`)",
            ),
            Cause::MayNotMake => write!(
                f,
                "the device does not exist, and making it needs root or CAP_NET_ADMIN; make it with `sudo sockeye up \
                 {name}{tun}`"
            ),
            Cause::MayNotAttach => write!(
                f,
                "the device belongs to another user; run as that user or root, or have it given to you with \
                 `sudo sockeye up {name}{tun} --user $USER`"
            ),
            Cause::Busy(holder) => holder.fmt(f),
            Cause::WrongKind(other) => write!(f, "the interface {name} is {other}; use another name"),
            Cause::NameTooLong => f.write_str("the name is too long; the kernel's names have at most 15 bytes"),
            Cause::TooManyFiles => f.write_str("the process is out of descriptors; raise the limit with `ulimit -n`"),
            Cause::FileTableFull => {
                f.write_str("the machine is out of descriptors; raise fs.file-max with `sysctl -w fs.file-max=N`")
            }
            Cause::NoMemory => {
                f.write_str("out of memory; free some, or raise the limit of this process or its cgroup")
            }
            Cause::Capture(path, error) => write!(
                f,
                "the capture file {} cannot be written: {error}; name a file in a directory that exists and is \
                 writable",
                path.display()
            ),
            Cause::Other(step, error) => write!(f, "{step} failed: {error}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Capture(_, error) | Cause::Other(_, error) => Some(error),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_errno() {
        let error = |cause| OpenError::new("tap", "t0", cause).error();
        let other = |errno| error(Cause::Other("a step", io::Error::from_raw_os_error(errno)));
        assert_eq!([Cause::TunForbidden, Cause::MayNotMake, Cause::MayNotAttach].map(error), [Error::NotPermitted; 3]);
        assert_eq!([Cause::NoTun, Cause::Busy(Holder::Own)].map(error), [Error::NoDevice, Error::Busy]);
        assert_eq!([Cause::NameTooLong, Cause::WrongKind(String::new())].map(error), [Error::Invalid; 2]);
        assert_eq!([2, 13, 5].map(other), [Error::NotFound, Error::AccessDenied, Error::NetDown]);
    }

    #[test]
    fn every_text_names_the_device_the_cause_and_the_cure() {
        let text = |cause| OpenError::new("tap", "t0", cause).to_string();
        assert_eq!(text(Cause::NoTun), "tap t0: there is no /dev/net/tun; load the driver with `modprobe tun`");
        assert!(text(Cause::MayNotMake).ends_with("; make it with `sudo sockeye up t0`"));
        let forbidden = OpenError::new("tun", "u0", Cause::MayNotAttach).to_string();
        assert!(forbidden.ends_with("`sudo sockeye up u0 --tun --user $USER`"), "{forbidden}");
        let busy = Holder::Host { stack: "here".into(), pid: 7 };
        let cure = "end it with `sockeye stop --stack here`, or use another device";
        assert_eq!(text(Cause::Busy(busy)), format!("tap t0: stack here has the device (process 7); {cure}"));
        let wrong = text(Cause::WrongKind("a TUN device".into()));
        assert_eq!(wrong, "tap t0: the interface t0 is a TUN device; use another name");
        let missing = io::Error::from_raw_os_error(2);
        assert!(text(Cause::Capture("/no/x".into(), missing)).contains("/no/x cannot be written: No such file"));
    }
}
