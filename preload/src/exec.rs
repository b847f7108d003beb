//! The exec family and posix_spawn: a program started with a cleaned environment stays on the stack. Each is here by
//! itself, because libc's own do not call the execve of this library.

use crate::{
    fail, judge,
    next::next,
    settings::{each, environ, settings, token, value_of},
};
use core::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr::null,
};
use sockeye_shim::{
    Errno, Result,
    format::token_to_text,
    kernel::{call, int},
};

/// A list of strings that ends with a null.
pub type Strings = *const *const c_char;

/// The variables that a program on the stack needs.
const NEEDED: [&[u8]; 7] = [
    b"LD_PRELOAD",
    b"SOCKEYE_NET",
    b"SOCKEYE_STACK",
    b"SOCKEYE_HOST",
    b"SOCKEYE_TOKEN",
    b"SOCKEYE_FENCE",
    b"SOCKEYE_ALLOW_KERNEL",
];

/// An environment with what is needed put back; in memory of its own if something was missing.
struct Kept {
    strings: Strings,
    mapped: Option<(usize, usize)>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some((at, size)) = self.mapped {
            // SAFETY: mapped by `keep`, and not used any more.
            let _ = unsafe { call(libc::SYS_munmap, [at, size, 0, 0, 0, 0]) };
        }
    }
}

/// Puts back what is missing of an environment. Makes system calls alone: this runs in children of vfork.
unsafe fn keep(strings: Strings) -> Result<Kept> {
    let Some(settings) = settings() else { return Ok(Kept { strings, mapped: None }) };
    let token = token().map(|token| token_to_text(&token));
    let wanted: [&[u8]; NEEDED.len()] = [
        settings.preload.as_bytes(),
        settings.net.as_bytes(),
        settings.stack.as_bytes(),
        settings.host.as_bytes(),
        token.as_ref().map_or(&[][..], |text| text),
        settings.fence_holder(),
        if settings.allow_kernel { &b"1"[..] } else { &[][..] },
    ];
    let (mut missing, mut count) = (wanted.map(|value| !value.is_empty()), 0);
    // SAFETY: the caller's list.
    unsafe {
        each(strings, |variable| {
            count += 1;
            for (at, name) in NEEDED.iter().enumerate() {
                // What a program sets itself is its own affair, but its libraries come beside ours.
                missing[at] &= match value_of(variable.to_bytes(), name) {
                    Some(value) => at == 0 && !contains(value, wanted[0]),
                    None => true,
                };
            }
        });
    }
    if missing == [false; NEEDED.len()] {
        return Ok(Kept { strings, mapped: None });
    }
    let texts: usize = NEEDED.iter().zip(wanted).map(|(name, value)| name.len() + value.len() + 2).sum();
    // SAFETY: the caller's list.
    let theirs = unsafe { preloads(strings) };
    let size = (count + NEEDED.len() + 1) * size_of::<usize>() + texts + theirs.map_or(0, <[u8]>::len) + 1;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS) as usize;
    let rights = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    // SAFETY: new memory.
    let at = unsafe { call(libc::SYS_mmap, [0, size, rights, flags, usize::MAX, 0]) }?;
    let mut area = Area {
        strings: at as *mut *const c_char,
        text: (at + (count + NEEDED.len() + 1) * size_of::<usize>()) as *mut u8,
    };
    // SAFETY: the area has room for every string of the list, those that are needed and the null, and for the texts
    // counted above.
    unsafe {
        each(strings, |variable| {
            if !(missing[0] && value_of(variable.to_bytes(), NEEDED[0]).is_some()) {
                area.point(variable.as_ptr());
            }
        });
        for (at, name) in NEEDED.iter().enumerate().filter(|(at, _)| missing[*at]) {
            let variable = area.text.cast::<c_char>().cast_const();
            area.write(name);
            area.write(b"=");
            area.write(wanted[at]);
            if let (0, Some(theirs)) = (at, theirs) {
                area.write(b":");
                area.write(theirs);
            }
            area.write(b"\0");
            area.point(variable);
        }
        area.point(null());
    }
    Ok(Kept { strings: at as Strings, mapped: Some((at, size)) })
}

/// A list that grows, and behind it text that grows.
struct Area {
    strings: *mut *const c_char,
    text: *mut u8,
}

impl Area {
    unsafe fn point(&mut self, at: *const c_char) {
        // SAFETY: the caller counted the places.
        unsafe {
            *self.strings = at;
            self.strings = self.strings.add(1);
        }
    }

    unsafe fn write(&mut self, bytes: &[u8]) {
        // SAFETY: the caller counted the bytes.
        unsafe {
            self.text.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.text = self.text.add(bytes.len());
        }
    }
}

/// The LD_PRELOAD of an environment, if it names anything.
unsafe fn preloads<'a>(strings: Strings) -> Option<&'a [u8]> {
    let mut found = None;
    // SAFETY: the caller's list, whose strings outlive the call it was given to.
    unsafe {
        each(strings, |variable: &'a CStr| {
            found = value_of(variable.to_bytes(), NEEDED[0]).filter(|value| !value.is_empty()).or(found);
        });
    }
    found
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// Calls `run` with an environment that has what is needed, if the program may be executed.
unsafe fn with(judged: Result<()>, strings: Strings, run: impl FnOnce(Strings) -> c_int) -> c_int {
    // SAFETY: the caller's list.
    match judged.and_then(|()| unsafe { keep(strings) }) {
        Ok(kept) => run(kept.strings),
        Err(Errno(errno)) => fail(Errno(errno)),
    }
}

/// execve(2).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execve(path: *const c_char, arguments: Strings, variables: Strings) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe {
        with(judge::path(path, arguments), variables, |kept| {
            next!(c"execve" as fn(*const c_char, Strings, Strings) -> c_int, path, arguments, kept)
        })
    }
}

/// execv(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execv(path: *const c_char, arguments: Strings) -> c_int {
    // SAFETY: the caller's own arguments, and the process's environment.
    unsafe { execve(path, arguments, environ) }
}

/// execvpe(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvpe(file: *const c_char, arguments: Strings, variables: Strings) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe {
        with(judge::file(file, arguments), variables, |kept| {
            next!(c"execvpe" as fn(*const c_char, Strings, Strings) -> c_int, file, arguments, kept)
        })
    }
}

/// execvp(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execvp(file: *const c_char, arguments: Strings) -> c_int {
    // SAFETY: the caller's own arguments, and the process's environment.
    unsafe { execvpe(file, arguments, environ) }
}

/// fexecve(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fexecve(fd: c_int, arguments: Strings, variables: Strings) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe {
        with(judge::descriptor(fd), variables, |kept| {
            next!(c"fexecve" as fn(c_int, Strings, Strings) -> c_int, fd, arguments, kept)
        })
    }
}

/// execveat(2), which the libc below may not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn execveat(
    folder: c_int,
    path: *const c_char,
    arguments: Strings,
    variables: Strings,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller's own arguments.
    unsafe {
        with(judge::at(folder, path, arguments, flags), variables, |kept| {
            let (folder, path, flags) = (int(folder), path as usize, int(flags));
            let called = call(libc::SYS_execveat, [folder, path, arguments as usize, kept as usize, flags, 0]);
            called.map_or_else(fail, |_| 0)
        })
    }
}

/// posix_spawn(3): errors are its result, not errno.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawn(
    pid: *mut c_int,
    path: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Strings,
    variables: Strings,
) -> c_int {
    // SAFETY: the caller's own arguments.
    match unsafe { judge::path(path, arguments).and_then(|()| keep(variables)) } {
        Ok(kept) => next!(
            c"posix_spawn" as fn(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int,
            pid,
            path,
            actions,
            attributes,
            arguments,
            kept.strings
        ),
        Err(Errno(errno)) => errno,
    }
}

/// posix_spawnp(3): as [`posix_spawn`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_spawnp(
    pid: *mut c_int,
    file: *const c_char,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Strings,
    variables: Strings,
) -> c_int {
    // SAFETY: the caller's own arguments.
    match unsafe { judge::file(file, arguments).and_then(|()| keep(variables)) } {
        Ok(kept) => next!(
            c"posix_spawnp" as fn(*mut c_int, *const c_char, *const c_void, *const c_void, Strings, Strings) -> c_int,
            pid,
            file,
            actions,
            attributes,
            arguments,
            kept.strings
        ),
        Err(Errno(errno)) => errno,
    }
}

/// execl(3), execlp(3) and execle(3) take their list as arguments. The registers that hold its beginning are pushed
/// below the rest, which is on the stack already, and the list is whole; the return address moves below it.
#[cfg(target_arch = "x86_64")]
macro_rules! listed {
    ($name:ident, $inner:path) => {
        #[doc = concat!(stringify!($name), "(3).")]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name() -> c_int {
            core::arch::naked_asm!(
                "pop rax",
                "push r9",
                "push r8",
                "push rcx",
                "push rdx",
                "push rsi",
                "mov rsi, rsp",
                "push rax",
                "call {inner}",
                "pop rdx",
                "add rsp, 40",
                "push rdx",
                "ret",
                inner = sym $inner,
            )
        }
    };
}

#[cfg(target_arch = "x86_64")]
listed!(execl, execv);
#[cfg(target_arch = "x86_64")]
listed!(execlp, execvp);
#[cfg(target_arch = "x86_64")]
listed!(execle, execve_behind);

/// execle's environment stands behind its list's null.
#[cfg(target_arch = "x86_64")]
unsafe extern "C" fn execve_behind(path: *const c_char, arguments: Strings) -> c_int {
    let mut at = arguments;
    // SAFETY: the list goes on until its null, and the environment is the next argument.
    unsafe {
        while !(*at).is_null() {
            at = at.add(1);
        }
        execve(path, arguments, (*at.add(1)).cast())
    }
}
