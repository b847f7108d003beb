//! What the process is allowed, and what it is told at its end.

use std::sync::atomic::{AtomicBool, Ordering};

/// What the allocator reserves for a thread's arena, bytes (HEAP_MAX_SIZE of glibc's malloc).
const ARENA: usize = 64 << 20;

/// See [`use_one_arena`].
static HAS_ONE_ARENA: AtomicBool = AtomicBool::new(false);

/// Runs `last` when the process calls exit(3) or returns from main.
pub fn at_exit(last: extern "C" fn()) {
    // SAFETY: a function that stays for the life of the process. Out of memory leaves it out.
    unsafe { libc::atexit(last) };
}

/// The most descriptors the process may have (RLIMIT_NOFILE).
pub fn descriptor_limit() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for an rlimit.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    if result == 0 { usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX) } else { 1024 }
}

/// Allows the process as many descriptors as it may have: up to the hard limit, and beyond it to `wanted` who has
/// CAP_SYS_RESOURCE.
pub fn raise_descriptor_limit(wanted: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for an rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return;
    }
    let most = limit.rlim_max.max(wanted);
    for most in [most, limit.rlim_max] {
        let raised = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: `raised` is a valid rlimit. What is refused leaves the limit as it is.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raised) } == 0 {
            return;
        }
    }
}

/// Raises the limits of what the process may use to what it is allowed: memory, memory that is locked,
/// processor time, the size of files, threads. Who has CAP_SYS_RESOURCE has none for time and files afterwards. What is
/// left of those two ends no process by a signal: a file that may not grow is an error (EFBIG), as a full disk is.
pub fn lift_limits() {
    for signal in [libc::SIGXCPU, libc::SIGXFSZ] {
        // SAFETY: no handler is set.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    for resource in [libc::RLIMIT_CPU, libc::RLIMIT_FSIZE] {
        let none = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: `none` is a valid rlimit. What is not allowed stays as it is.
        unsafe { libc::setrlimit(resource, &raw const none) };
    }
    for resource in [
        libc::RLIMIT_AS,
        libc::RLIMIT_DATA,
        libc::RLIMIT_CPU,
        libc::RLIMIT_FSIZE,
        libc::RLIMIT_NPROC,
        libc::RLIMIT_MEMLOCK,
    ] {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a valid rlimit. What is not allowed stays as it is.
        unsafe {
            if libc::getrlimit(resource, &raw mut limit) == 0 {
                limit.rlim_cur = limit.rlim_max;
                libc::setrlimit(resource, &raw const limit);
            }
        }
    }
}

/// Lets the allocator use one arena for all threads (mallopt(3)): each further one reserves 64 MiB of addresses, and
/// keeps what it has. For a process that has one thread with much to do.
pub fn use_one_arena() {
    // SAFETY: it takes two numbers; what it does not know it leaves as it is.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    HAS_ONE_ARENA.store(true, Ordering::Relaxed);
}

/// Addresses that the allocator will reserve for the threads of a stack that is about to begin, bytes: an arena for
/// each of the two.
pub fn to_be_reserved() -> usize {
    if HAS_ONE_ARENA.load(Ordering::Relaxed) { 0 } else { 2 * ARENA }
}

/// How much memory the allocator keeps for later, whether the machine has it back or not, bytes (mallinfo2(3)).
pub fn spare_memory() -> usize {
    // SAFETY: it takes nothing, and only counts.
    unsafe { libc::mallinfo2() }.fordblks
}

/// Gives memory that the allocator keeps for later back to the kernel (malloc_trim(3)).
pub fn trim_memory() {
    // SAFETY: it takes a number, and touches nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}
