//! The name service called sockeye. glibc is told at the start to look for hosts in its `files` and then here
//! (`__nss_configure_lookup`), opens `libnss_sockeye.so.2`, and finds that this library, which has that soname, is
//! loaded already. So its own getaddrinfo(3), gethostbyname(3) and getnameinfo(3) do all that they do elsewhere, and
//! ask the stack's host where they would ask name servers; nscd is not asked, because the order is a program's own.
//!
//! The functions have the buffer rules of glibc: all that an answer points to lies in the buffer, and where it is too
//! small they say ERANGE and are called again with a larger one.

use crate::settings::host;
use core::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr::{null_mut, write},
};
use libc::{hostent, size_t, socklen_t};
use sockeye_shim::{
    Errno, Result,
    address::Address,
    format::{DATA, Data, Op, Request},
};

unsafe extern "C" {
    fn __nss_configure_lookup(database: *const c_char, order: *const c_char) -> c_int;
}

/// Puts the name service in its place. The answers of `networks` would come from name servers too (getnetbyname(3)).
pub fn configure() {
    // SAFETY: strings with a NUL; libc, which this library needs, is ready before any constructor of ours.
    unsafe {
        __nss_configure_lookup(c"hosts".as_ptr(), c"files sockeye".as_ptr());
        __nss_configure_lookup(c"networks".as_ptr(), c"files".as_ptr());
    }
}

/// `enum nss_status`.
type Status = c_int;
const TRY_AGAIN: Status = -2;
const UNAVAILABLE: Status = -1;
const NOT_FOUND: Status = 0;
const SUCCESS: Status = 1;

/// h_errno of netdb.h.
mod h_errno {
    use core::ffi::c_int;
    pub const NETDB_INTERNAL: c_int = -1;
    pub const HOST_NOT_FOUND: c_int = 1;
    pub const TRY_AGAIN: c_int = 2;
    pub const NO_DATA: c_int = 4;
}

/// `struct gaih_addrtuple` of nss.h: an address of getaddrinfo's.
#[repr(C)]
pub struct AddressTuple {
    next: *mut Self,
    name: *mut c_char,
    family: c_int,
    address: [u8; 16],
    scope: u32,
}

/// Where a function says why it failed.
struct Causes {
    errno: *mut c_int,
    h_errno: *mut c_int,
}

impl Causes {
    unsafe fn say(&self, errno: c_int, h_errno: c_int, status: Status) -> Status {
        // SAFETY: glibc gives places for both.
        unsafe {
            *self.errno = errno;
            *self.h_errno = h_errno;
        }
        status
    }

    unsafe fn failed(&self, Errno(errno): Errno) -> Status {
        let (h_errno, status) = match errno {
            libc::ENOENT => (h_errno::HOST_NOT_FOUND, NOT_FOUND),
            libc::ENODATA => (h_errno::NO_DATA, NOT_FOUND),
            libc::EAGAIN => (h_errno::TRY_AGAIN, TRY_AGAIN),
            libc::ERANGE => (h_errno::NETDB_INTERNAL, TRY_AGAIN),
            _ => (h_errno::NETDB_INTERNAL, UNAVAILABLE),
        };
        // SAFETY: the caller's own places.
        unsafe { self.say(if errno == libc::ENODATA { libc::ENOENT } else { errno }, h_errno, status) }
    }
}

/// A caller's buffer, given out from the front.
struct Room {
    at: usize,
    left: usize,
}

impl Room {
    fn new(at: *mut c_char, len: size_t) -> Self {
        Self { at: at as usize, left: len }
    }

    /// The place for `count` values.
    fn take<T>(&mut self, count: usize) -> Result<*mut T> {
        const FULL: Errno = Errno(libc::ERANGE);
        let padding = self.at.wrapping_neg() % align_of::<T>();
        let size = size_of::<T>().checked_mul(count).and_then(|size| size.checked_add(padding)).ok_or(FULL)?;
        let left = self.left.checked_sub(size).ok_or(FULL)?;
        let place = (self.at + padding) as *mut T;
        (self.at, self.left) = (self.at + size, left);
        Ok(place)
    }

    /// A copy of some bytes.
    unsafe fn bytes(&mut self, bytes: &[u8]) -> Result<*mut c_char> {
        let place = self.take::<u8>(bytes.len())?;
        // SAFETY: `take` has found room in the caller's buffer.
        unsafe { place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        Ok(place.cast())
    }

    /// A copy of a name, with its NUL.
    unsafe fn name(&mut self, name: &[u8]) -> Result<*mut c_char> {
        // SAFETY: as above; what follows directly is not aligned.
        unsafe {
            let place = self.bytes(name)?;
            self.bytes(b"\0")?;
            Ok(place)
        }
    }
}

/// An answer about a name.
struct Answer {
    data: Data,
}

impl Answer {
    fn of(name: &[u8], family: c_int) -> Result<Self> {
        if ![0, libc::AF_INET, libc::AF_INET6].contains(&family) {
            return Err(Errno(libc::EAFNOSUPPORT));
        }
        // What is longer than any name is nobody's.
        let data = Data::of(name).ok_or(Errno(libc::ENOENT))?;
        let host = host()?;
        let answer = host.ask(&Request { data, value: family, ..Request::new(Op::Resolve, host.token) })?;
        Ok(Self { data: answer.data })
    }

    fn parts(&self) -> (&[u8], &[u8]) {
        let (count, rest) = self.data.as_bytes().split_first().unwrap_or((&0, &[]));
        rest.split_at_checked(usize::from(*count) * Address::SIZE).unwrap_or_default()
    }

    fn addresses(&self) -> impl Iterator<Item = Address> {
        self.parts().0.as_chunks::<{ Address::SIZE }>().0.iter().map(Address::from_bytes)
    }

    /// What the asked name is an alias of.
    fn canonical(&self) -> Option<&[u8]> {
        Some(self.parts().1).filter(|name| !name.is_empty())
    }
}

/// Fills a `struct hostent`.
unsafe fn fill<'a>(
    to: *mut hostent,
    room: &mut Room,
    (name, alias): (&[u8], Option<&[u8]>),
    family: c_int,
    addresses: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<()> {
    let list = room.take::<*mut c_char>(addresses.clone().count() + 1)?;
    let aliases = room.take::<*mut c_char>(2)?;
    let len = if family == libc::AF_INET { 4 } else { 16 };
    // SAFETY: both lists have room for what is counted above; the result is glibc's.
    unsafe {
        let mut place = list;
        for address in addresses {
            write(place, room.bytes(address)?);
            place = place.add(1);
        }
        write(place, null_mut());
        write(aliases, alias.map_or(Ok(null_mut()), |alias| room.name(alias))?);
        write(aliases.add(1), null_mut());
        let h_name = room.name(name)?;
        write(to, hostent { h_name, h_aliases: aliases, h_addrtype: family, h_length: len, h_addr_list: list });
    }
    Ok(())
}

/// The bytes of an address in its family.
fn bytes_of(address: &Address, family: c_int) -> Option<&[u8]> {
    match (family, address.to_v4()) {
        (libc::AF_INET, Some(_)) => address.ip.get(12..),
        (libc::AF_INET6, None) => Some(&address.ip),
        _ => None,
    }
}

unsafe fn by_name(name: &CStr, family: c_int, to: *mut hostent, mut room: Room) -> Result<()> {
    let name = name.to_bytes();
    let answer = Answer::of(name, family)?;
    let mut addresses = [Address::NONE; DATA / Address::SIZE];
    let mut count = 0;
    for (place, address) in addresses.iter_mut().zip(answer.addresses()) {
        (*place, count) = (address, count + 1);
    }
    let list = addresses[..count].iter().filter_map(|address| bytes_of(address, family));
    let names = answer.canonical().map_or((name, None), |canonical| (canonical, Some(name)));
    // SAFETY: the caller's own places.
    unsafe { fill(to, &mut room, names, family, list) }
}

/// getaddrinfo(3) of one family: what gethostbyname2(3) finds, its true name, and for how long that may be kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyname3_r(
    name: *const c_char,
    family: c_int,
    to: *mut hostent,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
    ttl: *mut i32,
    canonical: *mut *mut c_char,
) -> Status {
    let causes = Causes { errno, h_errno };
    // SAFETY: glibc's own arguments.
    unsafe {
        if let Err(errno) = by_name(CStr::from_ptr(name), family, to, Room::new(buffer, len)) {
            return causes.failed(errno);
        }
        if !ttl.is_null() {
            *ttl = 0;
        }
        if !canonical.is_null() {
            *canonical = (*to).h_name;
        }
    }
    SUCCESS
}

/// gethostbyname2(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyname2_r(
    name: *const c_char,
    family: c_int,
    to: *mut hostent,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
) -> Status {
    // SAFETY: glibc's own arguments.
    unsafe { _nss_sockeye_gethostbyname3_r(name, family, to, buffer, len, errno, h_errno, null_mut(), null_mut()) }
}

/// gethostbyname(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyname_r(
    name: *const c_char,
    to: *mut hostent,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
) -> Status {
    // SAFETY: glibc's own arguments.
    unsafe { _nss_sockeye_gethostbyname2_r(name, libc::AF_INET, to, buffer, len, errno, h_errno) }
}

/// getaddrinfo(3) of both families: a chain, whose first link may be glibc's own.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyname4_r(
    name: *const c_char,
    chain: *mut *mut AddressTuple,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
    ttl: *mut i32,
) -> Status {
    let causes = Causes { errno, h_errno };
    // SAFETY: glibc's own arguments.
    unsafe {
        match tuples(CStr::from_ptr(name).to_bytes(), Room::new(buffer, len)) {
            Ok(first) if (*chain).is_null() => *chain = first,
            Ok(first) => write(*chain, first.read()),
            Err(errno) => return causes.failed(errno),
        }
        if !ttl.is_null() {
            *ttl = 0;
        }
    }
    SUCCESS
}

unsafe fn tuples(name: &[u8], mut room: Room) -> Result<*mut AddressTuple> {
    let answer = Answer::of(name, 0)?;
    let count = answer.addresses().count();
    if count == 0 {
        return Err(Errno(libc::ENOENT));
    }
    let first = room.take::<AddressTuple>(count)?;
    // SAFETY: there is room for as many as are counted, and each knows the next of them.
    unsafe {
        let name = room.name(answer.canonical().unwrap_or(name))?;
        for (at, address) in answer.addresses().enumerate() {
            let mut tuple = AddressTuple {
                next: if at + 1 < count { first.add(at + 1) } else { null_mut() },
                name,
                family: libc::AF_INET6,
                address: address.ip,
                scope: 0,
            };
            if let Some(v4) = address.to_v4() {
                tuple.family = libc::AF_INET;
                tuple.address = [0; 16];
                tuple.address[..4].copy_from_slice(&v4);
            }
            write(first.add(at), tuple);
        }
    }
    Ok(first)
}

/// gethostbyaddr(3) and getnameinfo(3), with the time that the name may be kept.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyaddr2_r(
    address: *const c_void,
    address_len: socklen_t,
    family: c_int,
    to: *mut hostent,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
    ttl: *mut i32,
) -> Status {
    let causes = Causes { errno, h_errno };
    let (address, bytes) = match (family, address_len) {
        (libc::AF_INET, 4..) => {
            // SAFETY: glibc vouches for the length.
            let ip = unsafe { address.cast::<[u8; 4]>().read() };
            (Address::v4(ip, 0), 12..16)
        }
        // SAFETY: as above.
        (libc::AF_INET6, 16..) => (Address::v6(unsafe { address.cast::<[u8; 16]>().read() }, 0), 0..16),
        // SAFETY: glibc's own places.
        _ => return unsafe { causes.failed(Errno(libc::EAFNOSUPPORT)) },
    };
    let mut room = Room::new(buffer, len);
    let answer = host().and_then(|host| host.ask(&Request { address, ..Request::new(Op::Reverse, host.token) }));
    let filled = answer.and_then(|answer| {
        let addresses = core::iter::once(&address.ip[bytes]);
        // SAFETY: glibc's own arguments.
        unsafe { fill(to, &mut room, (answer.data.as_bytes(), None), family, addresses) }
    });
    // SAFETY: glibc's own places.
    unsafe {
        if let Err(errno) = filled {
            return causes.failed(errno);
        }
        if !ttl.is_null() {
            *ttl = 0;
        }
    }
    SUCCESS
}

/// gethostbyaddr(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _nss_sockeye_gethostbyaddr_r(
    address: *const c_void,
    address_len: socklen_t,
    family: c_int,
    to: *mut hostent,
    buffer: *mut c_char,
    len: size_t,
    errno: *mut c_int,
    h_errno: *mut c_int,
) -> Status {
    // SAFETY: glibc's own arguments.
    unsafe { _nss_sockeye_gethostbyaddr2_r(address, address_len, family, to, buffer, len, errno, h_errno, null_mut()) }
}
