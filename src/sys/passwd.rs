//! Users, as passwd(5) and its replacements know them.

use std::{ffi::CString, io, mem, ptr};

/// Room for the texts of an entry; more is asked for up to [`MOST`].
const TEXTS: usize = 1_024;
const MOST: usize = 1 << 20;

/// The number of the user `name`; `None` when there is no such user.
///
/// # Errors
/// Those of getpwnam_r(3).
pub fn uid(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let mut texts = vec![0; TEXTS];
    loop {
        // SAFETY: all members are numbers and pointers, for which zero is a value.
        let mut entry: libc::passwd = unsafe { mem::zeroed() };
        let mut found = ptr::null_mut();
        // SAFETY: a terminated name, and places of the sizes named, which outlive the call.
        let error = unsafe { libc::getpwnam_r(name.as_ptr(), &mut entry, texts.as_mut_ptr(), texts.len(), &mut found) };
        match error {
            libc::ERANGE if texts.len() < MOST => texts.resize(texts.len() * 2, 0),
            // What POSIX lets a library say instead of "not found", and glibc's modules do.
            0 | libc::ENOENT | libc::ESRCH => return Ok((!found.is_null()).then_some(entry.pw_uid)),
            _ => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The user this process acts for: its own real user.
pub fn own() -> u32 {
    // SAFETY: getuid has no preconditions and cannot fail.
    unsafe { libc::getuid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_user_zero_and_a_stranger_is_nobody() {
        assert_eq!(uid("root").unwrap(), Some(0));
        assert_eq!(uid("no such user").unwrap(), None);
        assert_eq!(uid("ro\0ot").unwrap(), None);
    }
}
