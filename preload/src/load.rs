//! dlopen(3) without RTLD_DEEPBIND, under which an extension (PHP's are) would find libc's functions before ours.

use crate::next::Next;
use core::ffi::c_void;

static DLOPEN: Next = Next::new(c"dlopen");

extern "C" fn next_dlopen() -> *mut c_void {
    DLOPEN.address()
}

/// dlopen(3). It jumps to libc's, which looks at its return address to know whose RUNPATH counts: the caller's.
#[cfg(target_arch = "x86_64")]
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn dlopen() {
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {next}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "and esi, {kept}",
        "jmp rax",
        next = sym next_dlopen,
        kept = const !libc::RTLD_DEEPBIND,
    )
}
