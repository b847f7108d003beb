//! Whether memory the application names is there, asked of the kernel instead of found out by a fault.
//!
//! Three answers, cheapest first (measured on Linux 6.18):
//! - what lies on the used part of the calling thread's stack is there: no system call;
//! - a page is touched by a system call that has no other effect: rt_sigprocmask(2) with an impossible `how` reads
//!   eight bytes before it says EINVAL (0.10 us), FUTEX_WAKE_OP adds zero to a word, atomically (0.29 us). Both are as
//!   old as anything this library runs on, so there is no further fallback;
//! - of a range of many pages the kernel is asked for the mapping (PROCMAP_QUERY, Linux 6.11: 0.41 us whatever the
//!   size, where MADV_POPULATE_WRITE takes 2.9 us for 64 KiB). Only anonymous memory is judged so: pages of a file can
//!   lie behind its end.

use std::{
    cell::Cell,
    ffi::{c_int, c_long, c_void},
    mem,
    sync::atomic::{AtomicI32, AtomicU32, Ordering},
};

/// Touching a page by system call works on pages of this size and on larger ones.
const PAGE: usize = 4096;
/// Nothing is ever mapped below this address (vm.mmap_min_addr's default).
const LOWEST: usize = 65_536;
/// Up to so many pages are touched one by one before the mapping is asked for.
const FEW: usize = 3;

/// What the application's memory must allow.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

/// Whether `len` bytes at `addr` can be read. An empty range always can.
pub fn is_readable(addr: usize, len: usize) -> bool {
    is_there(addr, len, Access::Read)
}

/// Whether `len` bytes at `addr` can be written. They are not modified. An empty range always can.
pub fn is_writable(addr: usize, len: usize) -> bool {
    is_there(addr, len, Access::Write)
}

fn is_there(addr: usize, len: usize, access: Access) -> bool {
    if len == 0 {
        return true;
    }
    let Some(end) = addr.checked_add(len).filter(|_| addr >= LOWEST) else { return false };
    if is_on_own_stack(addr, end) {
        return true;
    }
    let first = addr & !(PAGE - 1);
    let pages = (end - first).div_ceil(PAGE);
    if pages > FEW && is_mapped(addr, end, access) == Some(true) {
        return true;
    }
    (0..pages).all(|page| is_page_there(if page == 0 { addr } else { first + page * PAGE }, access))
}

fn is_page_there(addr: usize, access: Access) -> bool {
    match access {
        Access::Read => is_readable_page(addr),
        Access::Write => is_writable_page(addr),
    }
}

/// Reads the eight aligned bytes around `addr`, which lie in one page.
fn is_readable_page(addr: usize) -> bool {
    const NO_SUCH_HOW: c_int = -1;
    const SIGSET_BYTES: usize = 8;
    let none: *mut c_void = std::ptr::null_mut();
    // SAFETY: the kernel copies the set in before it looks at `how`, then refuses; a bad address is EFAULT.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigprocmask, NO_SUCH_HOW, addr & !7, none, SIGSET_BYTES) };
    result == 0 || errno() != libc::EFAULT
}

/// Adds zero to the aligned word around `addr`, which lies in one page.
fn is_writable_page(addr: usize) -> bool {
    const ADD_ZERO_IF_LESS: c_int = (libc::FUTEX_OP_ADD << 28) | (libc::FUTEX_OP_CMP_LT << 24) | 0x800;
    static NOBODY_WAITS: AtomicU32 = AtomicU32::new(0);
    let op = libc::FUTEX_WAKE_OP | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: adding zero atomically changes nothing; a bad address is EFAULT. Nobody sleeps on the first word; the
    // second is compared with the least number, so that none of its sleepers is woken but by a chance they must bear.
    let result = unsafe {
        libc::syscall(libc::SYS_futex, NOBODY_WAITS.as_ptr(), op, 0 as c_long, 0 as c_long, addr & !3, ADD_ZERO_IF_LESS)
    };
    result >= 0
}

fn errno() -> c_int {
    // SAFETY: errno's place is the calling thread's own.
    unsafe { *libc::__errno_location() }
}

thread_local! {
    /// Lowest and highest address of the thread's stack; (1, 0) before they are known.
    static STACK: Cell<(usize, usize)> = const { Cell::new((1, 0)) };
}

/// Whether the range lies between the calling function's frame and the far end of the thread's stack. False on any
/// other stack (coroutines, signal stacks).
fn is_on_own_stack(addr: usize, end: usize) -> bool {
    let here = 0u8;
    let sp = &raw const here as usize;
    let (low, high) = match STACK.try_with(Cell::get) {
        Ok((low, high)) if low <= high => (low, high),
        Ok(_) => {
            let bounds = stack_bounds();
            STACK.with(|stack| stack.set(bounds));
            bounds
        }
        Err(_) => return false,
    };
    low <= sp && sp <= addr && end <= high
}

fn stack_bounds() -> (usize, usize) {
    // SAFETY: the attributes are filled by pthread_getattr_np before they are read, and destroyed.
    unsafe {
        let mut attr: libc::pthread_attr_t = mem::zeroed();
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attr) != 0 {
            return (0, 0);
        }
        let (mut low, mut size) = (std::ptr::null_mut(), 0);
        let result = libc::pthread_attr_getstack(&attr, &mut low, &mut size);
        libc::pthread_attr_destroy(&mut attr);
        if result == 0 { (low as usize, low as usize + size) } else { (0, 0) }
    }
}

/// `struct procmap_query` of linux/fs.h.
#[repr(C)]
#[derive(Default)]
struct ProcmapQuery {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}

/// `_IOWR('f', 17, struct procmap_query)`
const PROCMAP_QUERY: libc::c_ulong = (3 << 30) | ((size_of::<ProcmapQuery>() as libc::c_ulong) << 16) | 0x6611;
const PROCMAP_QUERY_VMA_READABLE: u64 = 1;
const PROCMAP_QUERY_VMA_WRITABLE: u64 = 2;

/// Whether mappings cover the range; `None` when the kernel cannot say or the memory is not anonymous.
fn is_mapped(addr: usize, end: usize, access: Access) -> Option<bool> {
    let fd = maps()?;
    let query_flags = match access {
        Access::Read => PROCMAP_QUERY_VMA_READABLE,
        Access::Write => PROCMAP_QUERY_VMA_WRITABLE,
    };
    let mut at = addr as u64;
    while at < end as u64 {
        let size = size_of::<ProcmapQuery>() as u64;
        let mut query = ProcmapQuery { size, query_flags, query_addr: at, ..Default::default() };
        // SAFETY: `query` is a valid procmap_query that asks for no names.
        if unsafe { libc::syscall(libc::SYS_ioctl, fd, PROCMAP_QUERY, &mut query) } != 0 {
            if errno() != libc::ENOENT {
                MAPS.store(ABSENT, Ordering::Relaxed);
            }
            return None;
        }
        if query.inode != 0 || query.vma_end <= at {
            return None;
        }
        at = query.vma_end;
    }
    Some(true)
}

const UNOPENED: i32 = -1;
const ABSENT: i32 = -2;
/// The descriptor of /proc/self/maps.
static MAPS: AtomicI32 = AtomicI32::new(UNOPENED);

fn maps() -> Option<i32> {
    match MAPS.load(Ordering::Relaxed) {
        UNOPENED => open_maps(),
        ABSENT => None,
        fd => Some(fd),
    }
}

#[cold]
fn open_maps() -> Option<i32> {
    let fd = super::placeholder::open_high(c"/proc/self/maps", libc::O_RDONLY).ok();
    let found = fd.unwrap_or(ABSENT);
    if let Err(winner) = MAPS.compare_exchange(UNOPENED, found, Ordering::Relaxed, Ordering::Relaxed) {
        fd.inspect(|fd| super::placeholder::close(*fd));
        return (winner >= 0).then_some(winner);
    }
    fd
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Map(usize, usize);

    impl Map {
        fn new(len: usize, prot: c_int) -> Self {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a fresh anonymous mapping.
            let addr = unsafe { libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0) };
            assert_ne!(addr, libc::MAP_FAILED);
            Self(addr as usize, len)
        }

        fn protect(&self, from: usize, len: usize, prot: c_int) {
            // SAFETY: the range lies in the mapping.
            assert_eq!(unsafe { libc::mprotect((self.0 + from) as *mut c_void, len, prot) }, 0);
        }
    }

    impl Drop for Map {
        fn drop(&mut self) {
            // SAFETY: the mapping is this value's own.
            unsafe { libc::munmap(self.0 as *mut c_void, self.1) };
        }
    }

    const RW: c_int = libc::PROT_READ | libc::PROT_WRITE;

    #[test]
    fn null_low_and_wrapping_ranges_are_not_there_and_empty_ones_are() {
        assert!(is_readable(0, 0) && is_writable(8, 0));
        for (addr, len) in [(0, 1), (8, 1), (4096, 10_000), (usize::MAX - 10, 5), (usize::MAX - 10, 50), (1 << 47, 1)] {
            assert!(!is_readable(addr, len), "{addr:#x}+{len}");
            assert!(!is_writable(addr, len), "{addr:#x}+{len}");
        }
    }

    #[test]
    fn stack_heap_and_static_memory_is_there() {
        static CONSTANT: [u8; 100] = [7; 100];
        let local = [0u8; 100];
        let heap = vec![0u8; 1 << 20];
        assert!(is_writable(local.as_ptr() as usize, 100));
        assert!(is_writable(heap.as_ptr() as usize, heap.len()) && is_readable(heap.as_ptr() as usize, heap.len()));
        assert!(is_readable(CONSTANT.as_ptr() as usize, 100) && !is_writable(CONSTANT.as_ptr() as usize, 100));
    }

    #[test]
    fn every_page_counts_and_nothing_is_modified() {
        for pages in [2, 3, 5, 64] {
            let map = Map::new(pages * PAGE, RW);
            assert!(is_writable(map.0, pages * PAGE));
            assert!(!is_writable(map.0 + 1, pages * PAGE), "one byte behind the end, {pages} pages");
            for hole in 0..pages {
                map.protect(hole * PAGE, PAGE, libc::PROT_READ);
                assert!(!is_writable(map.0, pages * PAGE) && is_readable(map.0 + 5, pages * PAGE - 5));
                map.protect(hole * PAGE, PAGE, libc::PROT_NONE);
                assert!(!is_readable(map.0, pages * PAGE), "page {hole} of {pages}");
                map.protect(hole * PAGE, PAGE, RW);
            }
            // SAFETY: the mapping is readable.
            let bytes = unsafe { std::slice::from_raw_parts(map.0 as *const u8, map.1) };
            assert!(bytes.iter().all(|b| *b == 0));
        }
    }

    #[test]
    fn pages_behind_the_end_of_a_file_are_not_there() {
        // SAFETY: a fresh memfd and a fresh mapping of it.
        let (fd, addr) = unsafe {
            let fd = libc::memfd_create(c"probe".as_ptr(), 0);
            libc::ftruncate(fd, PAGE as i64);
            (fd, libc::mmap(std::ptr::null_mut(), 8 * PAGE, RW, libc::MAP_SHARED, fd, 0))
        };
        let map = Map(addr as usize, 8 * PAGE);
        assert!(is_writable(map.0, PAGE) && !is_writable(map.0, 8 * PAGE) && !is_readable(map.0, 8 * PAGE));
        super::super::placeholder::close(fd);
    }

    #[test]
    fn the_signal_mask_is_left_alone() {
        let ones = [u64::MAX; 600];
        assert!(is_readable_page(ones.as_ptr() as usize));
        // SAFETY: an empty set is read back only.
        let masked = unsafe {
            let mut set: libc::sigset_t = mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
            libc::sigismember(&set, libc::SIGUSR2)
        };
        assert_eq!(masked, 0);
    }
}
