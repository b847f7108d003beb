//! The application's memory: probed, then used. Addresses are plain numbers until then, so that no layer above can
//! follow one by mistake.

use super::{plain::Plain, probe};
use crate::error::{Error, Result};
use std::{
    ffi::c_int,
    io::{IoSlice, IoSliceMut},
    marker::PhantomData,
    mem::MaybeUninit,
    slice,
};

/// So much of the application's memory is probed and used at once, bytes.
pub const WINDOW: usize = 256 * 1024;
/// UIO_MAXIOV: the most buffers of one call.
pub const MAX_BUFFERS: usize = 1024;
/// MAX_RW_COUNT: the most bytes of one call.
pub const MAX_BYTES: usize = 0x7fff_f000;

/// Reads a value at `addr`.
///
/// # Errors
/// `Fault`.
pub fn read<T: Plain>(addr: usize) -> Result<T> {
    if !probe::is_readable(addr, size_of::<T>()) {
        return Err(Error::Fault);
    }
    // SAFETY: the bytes are there, and any bytes make a `T`.
    Ok(unsafe { (addr as *const T).read_unaligned() })
}

/// Writes a value to `addr`.
///
/// # Errors
/// `Fault`.
pub fn write<T: Plain>(addr: usize, value: T) -> Result<()> {
    if !probe::is_writable(addr, size_of::<T>()) {
        return Err(Error::Fault);
    }
    // SAFETY: the bytes are there and writable.
    unsafe { (addr as *mut T).write_unaligned(value) };
    Ok(())
}

/// Copies the `out.len()` bytes at `addr`.
///
/// # Errors
/// `Fault`.
pub fn read_bytes(addr: usize, out: &mut [u8]) -> Result<()> {
    out.copy_from_slice(view(addr, out.len())?);
    Ok(())
}

/// Copies `bytes` to `addr`.
///
/// # Errors
/// `Fault`.
pub fn write_bytes(addr: usize, bytes: &[u8]) -> Result<()> {
    view_mut(addr, bytes.len())?.copy_from_slice(bytes);
    Ok(())
}

/// The `len` bytes at `addr`, for the duration of the call that named them.
///
/// # Errors
/// `Fault`.
pub fn view<'a>(addr: usize, len: usize) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if !probe::is_readable(addr, len) || isize::try_from(len).is_err() {
        return Err(Error::Fault);
    }
    // SAFETY: the bytes are there. That nobody changes them meanwhile is the application's side of the call.
    Ok(unsafe { slice::from_raw_parts(addr as *const u8, len) })
}

/// The `len` writable bytes at `addr`, for the duration of the call that named them.
///
/// # Errors
/// `Fault`.
pub fn view_mut<'a>(addr: usize, len: usize) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if !probe::is_writable(addr, len) || isize::try_from(len).is_err() {
        return Err(Error::Fault);
    }
    // SAFETY: the bytes are there and writable. That nobody else uses them meanwhile is the application's side.
    Ok(unsafe { slice::from_raw_parts_mut(addr as *mut u8, len) })
}

/// The `count` writable values at `addr`, for the duration of the call that named them.
///
/// # Errors
/// `Fault`; `Invalid` when the place is not aligned for `T`.
pub fn view_slice<'a, T: Copy>(addr: usize, count: usize) -> Result<&'a mut [T]> {
    let bytes = count.checked_mul(size_of::<T>()).ok_or(Error::Invalid)?;
    if count == 0 {
        return Ok(&mut []);
    }
    if !addr.is_multiple_of(align_of::<T>()) {
        return Err(Error::Invalid);
    }
    if !probe::is_writable(addr, bytes) {
        return Err(Error::Fault);
    }
    // SAFETY: the bytes are there, writable and aligned; `T` is one of the C structures of integers of poll and epoll.
    Ok(unsafe { slice::from_raw_parts_mut(addr as *mut T, count) })
}

/// What a call transfers from or to: one buffer or an array of them. Copied freely, owns nothing.
#[derive(Copy, Clone, Debug)]
pub struct Buffers<'a> {
    source: Source,
    total: usize,
    call: PhantomData<&'a ()>,
}

#[derive(Copy, Clone, Debug)]
enum Source {
    One { addr: usize },
    Many { iov: usize, count: usize },
}

impl Buffers<'_> {
    /// One buffer. More than [`MAX_BYTES`] are left out.
    pub fn one(addr: usize, len: usize) -> Self {
        Self { source: Source::One { addr }, total: len.min(MAX_BYTES), call: PhantomData }
    }

    /// The `count` buffers that the `struct iovec`s at `iov` describe.
    ///
    /// # Errors
    /// `too_many` for more than [`MAX_BUFFERS`] or a negative number; `Fault`; `Invalid` for a negative length.
    pub fn many(iov: usize, count: isize, too_many: Error) -> Result<Self> {
        let count = usize::try_from(count).ok().filter(|count| *count <= MAX_BUFFERS).ok_or(too_many)?;
        let mut this = Self { source: Source::Many { iov, count }, total: 0, call: PhantomData };
        if !probe::is_readable(iov, count * size_of::<libc::iovec>()) {
            return Err(Error::Fault);
        }
        for part in 0..count {
            let (_, len) = this.part(part);
            isize::try_from(len).map_err(|_| Error::Invalid)?;
            this.total = this.total.saturating_add(len).min(MAX_BYTES);
        }
        Ok(this)
    }

    /// Bytes in all buffers.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether there is no room for a byte.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many buffers there are.
    pub fn count(&self) -> usize {
        match self.source {
            Source::One { .. } => 1,
            Source::Many { count, .. } => count,
        }
    }

    /// Address and length of a buffer.
    fn part(&self, index: usize) -> (usize, usize) {
        match self.source {
            Source::One { addr } => (addr, self.total),
            Source::Many { iov, .. } => {
                let at = (iov + index * size_of::<libc::iovec>()) as *const libc::iovec;
                // SAFETY: the array was probed when this value was made, within the same call.
                let part = unsafe { at.read_unaligned() };
                (part.iov_base as usize, part.iov_len)
            }
        }
    }

    /// Calls `each` with address and length of up to `limit` non-empty pieces from byte `done` on, at most `most` bytes
    /// in all. Returns how many pieces there were.
    fn pieces(&self, mut done: usize, limit: usize, most: usize, mut each: impl FnMut(usize, usize, usize)) -> usize {
        let mut left = most.min(self.total.saturating_sub(done));
        let mut found = 0;
        for index in 0..self.count() {
            let (addr, len) = self.part(index);
            if left == 0 || found == limit {
                break;
            }
            if done >= len {
                done -= len;
                continue;
            }
            let take = (len - done).min(left);
            each(found, addr.wrapping_add(done), take);
            (found, left, done) = (found + 1, left - take, 0);
        }
        found
    }

    /// Probes what comes from byte `done` on, at most `most` bytes and `N` buffers, for reading by us. A fault behind a
    /// first good piece ends the window; one at its start is the error.
    ///
    /// # Errors
    /// `Fault`.
    pub fn window<const N: usize>(&self, done: usize, most: usize) -> Result<Window<'_, N>> {
        let mut window = Window { slices: [IoSlice::new(&[]); N], count: 0, len: 0 };
        let mut good = true;
        self.pieces(done, N, most, |_, addr, len| {
            good = good && probe::is_readable(addr, len);
            if good {
                // SAFETY: the bytes are there; that nobody changes them meanwhile is the application's side of the
                // call.
                window.slices[window.count] = IoSlice::new(unsafe { slice::from_raw_parts(addr as *const u8, len) });
                window.count += 1;
                window.len += len;
            }
        });
        if good || window.count > 0 { Ok(window) } else { Err(Error::Fault) }
    }

    /// Like [`Buffers::window`], for writing by us.
    ///
    /// # Errors
    /// `Fault`.
    pub fn window_mut<const N: usize>(&self, done: usize, most: usize) -> Result<WindowMut<'_, N>> {
        let mut window = WindowMut { slices: [const { MaybeUninit::uninit() }; N], count: 0, len: 0 };
        let mut good = true;
        self.pieces(done, N, most, |_, addr, len| {
            good = good && probe::is_writable(addr, len);
            if good {
                // SAFETY: the bytes are there and writable; that nobody uses them meanwhile is the application's side.
                let bytes = unsafe { slice::from_raw_parts_mut(addr as *mut u8, len) };
                window.slices[window.count].write(IoSliceMut::new(bytes));
                window.count += 1;
                window.len += len;
            }
        });
        if good || window.count > 0 { Ok(window) } else { Err(Error::Fault) }
    }
}

/// Probed memory to read from. Has no destructor: it may be alive while a thread blocks.
pub struct Window<'a, const N: usize> {
    slices: [IoSlice<'a>; N],
    count: usize,
    len: usize,
}

impl<'a, const N: usize> Window<'a, N> {
    /// The pieces.
    pub fn slices(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.count]
    }

    /// Bytes in all of them.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Probed memory to write to. Has no destructor: it may be alive while a thread blocks.
pub struct WindowMut<'a, const N: usize> {
    slices: [MaybeUninit<IoSliceMut<'a>>; N],
    count: usize,
    len: usize,
}

impl<'a, const N: usize> WindowMut<'a, N> {
    /// The pieces.
    pub fn slices(&mut self) -> &mut [IoSliceMut<'a>] {
        // SAFETY: the first `count` slices are initialised.
        unsafe { slice::from_raw_parts_mut(self.slices.as_mut_ptr().cast(), self.count) }
    }

    /// Bytes in all of them.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// A count of bytes as the C functions return it.
pub fn as_ssize(n: usize) -> isize {
    isize::try_from(n).unwrap_or(isize::MAX)
}

/// An address length as the C functions take it; negative ones are `Invalid`.
///
/// # Errors
/// `Invalid`.
pub fn length(len: c_int) -> Result<usize> {
    usize::try_from(len).map_err(|_| Error::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iovecs(parts: &[&[u8]]) -> Vec<libc::iovec> {
        parts.iter().map(|p| libc::iovec { iov_base: p.as_ptr() as *mut _, iov_len: p.len() }).collect()
    }

    fn text(buffers: &Buffers<'_>, done: usize, most: usize) -> String {
        let window = buffers.window::<2>(done, most).unwrap();
        window.slices().iter().map(|s| String::from_utf8(s.to_vec()).unwrap()).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn windows_walk_over_the_buffers_and_skip_empty_ones() {
        let iov = iovecs(&[b"abc", b"", b"defg", b"h"]);
        let buffers = Buffers::many(iov.as_ptr() as usize, 4, Error::Invalid).unwrap();
        assert_eq!((buffers.len(), buffers.count()), (8, 4));
        assert_eq!(text(&buffers, 0, 100), "abc|defg");
        assert_eq!(text(&buffers, 1, 100), "bc|defg");
        assert_eq!(text(&buffers, 1, 3), "bc|d");
        assert_eq!(text(&buffers, 6, 100), "g|h");
        assert_eq!(text(&buffers, 8, 100), "");
        assert_eq!(text(&Buffers::one(b"xyz".as_ptr() as usize, 3), 1, 100), "yz");
    }

    #[test]
    fn a_bad_buffer_behind_a_good_one_shortens_and_a_bad_first_one_fails() {
        let mut iov = iovecs(&[b"abc", b"def"]);
        iov[1].iov_base = 8 as *mut _;
        let buffers = Buffers::many(iov.as_ptr() as usize, 2, Error::Invalid).unwrap();
        assert_eq!(text(&buffers, 0, 100), "abc");
        assert_eq!(buffers.window::<2>(3, 100).err(), Some(Error::Fault));
        assert_eq!(buffers.window_mut::<2>(3, 100).err(), Some(Error::Fault));
    }

    #[test]
    fn counts_and_lengths_beyond_the_limits_are_refused() {
        assert_eq!(Buffers::many(8, 1, Error::Invalid).err(), Some(Error::Fault));
        assert_eq!(Buffers::many(8, 1025, Error::MessageTooLong).err(), Some(Error::MessageTooLong));
        assert_eq!(Buffers::many(8, -1, Error::Invalid).err(), Some(Error::Invalid));
        let mut iov = iovecs(&[b"abc"]);
        iov[0].iov_len = usize::MAX;
        assert_eq!(Buffers::many(iov.as_ptr() as usize, 1, Error::Invalid).err(), Some(Error::Invalid));
        assert_eq!(Buffers::many(0, 0, Error::Invalid).unwrap().len(), 0);
    }

    #[test]
    fn values_come_and_go_by_address() {
        let mut place = 7i32;
        let addr = &raw mut place as usize;
        assert_eq!(read::<i32>(addr), Ok(7));
        write(addr, 9i32).unwrap();
        assert_eq!(place, 9);
        assert_eq!(read::<i32>(16), Err(Error::Fault));
        assert_eq!(write(0, 1u32), Err(Error::Fault));
        assert_eq!(read_bytes(0, &mut []), Ok(()));
    }
}
