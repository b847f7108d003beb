//! The functions that this library stands in for. Calls that may block go to libc's own, which are cancellation points.

use core::{
    ffi::{CStr, c_void},
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

/// A function of the next library, looked up once.
pub struct Next {
    name: &'static CStr,
    at: AtomicPtr<c_void>,
}

impl Next {
    /// The function of that name.
    pub const fn new(name: &'static CStr) -> Self {
        Self { name, at: AtomicPtr::new(null_mut()) }
    }

    /// Its address. All libraries of the C language have those asked for; without one there is nothing to go on with.
    pub fn address(&self) -> *mut c_void {
        let known = self.at.load(Ordering::Relaxed);
        if !known.is_null() {
            return known;
        }
        // SAFETY: the name ends with a NUL. Threads that do this at once find the same.
        let found = unsafe { libc::dlsym(libc::RTLD_NEXT, self.name.as_ptr()) };
        if found.is_null() {
            // SAFETY: abort takes nothing and does not return.
            unsafe { libc::abort() }
        }
        self.at.store(found, Ordering::Relaxed);
        found
    }
}

/// Calls the next library's function of that name and type.
macro_rules! next {
    ($name:literal as fn($($type:ty),*) -> $result:ty, $($argument:expr),*) => {{
        static NEXT: $crate::next::Next = $crate::next::Next::new($name);
        // SAFETY: the function of that name has this type, and its arguments are the caller's own.
        #[allow(unused_unsafe, reason = "some callers are inside an unsafe block already")]
        unsafe {
            let function: unsafe extern "C" fn($($type),*) -> $result = core::mem::transmute(NEXT.address());
            function($($argument),*)
        }
    }};
}
pub(crate) use next;
