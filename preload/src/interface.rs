//! getifaddrs(3), if_nametoindex(3), if_nameindex(3) and ioctl(2): the stack's interfaces, where libc's own functions
//! would show the kernel's. What is handed out is one block of libc's malloc, as programs and libc expect.

use crate::{datagram, fail, next::next, settings::host};
use core::{
    ffi::{c_char, c_int, c_uint, c_ulong, c_void},
    ptr::{null_mut, write},
    slice,
};
use libc::{ifaddrs, sockaddr};
use sockeye_shim::{
    Errno, Result,
    format::{Data, DatagramHeader, SIOCOUTQ, SIOCOUTQNSD},
    interface::{self, Interface, Interfaces, NAME},
    names, narrow, open,
    tag::Tag,
};

/// One entry of getifaddrs(3) with all it points to.
#[repr(C)]
struct Entry {
    /// First: a list is freed by its first entry's address.
    public: ifaddrs,
    name: [u8; NAME],
    link: libc::sockaddr_ll,
    address: [u8; 16],
    mask: [u8; 16],
    far: [u8; 16],
}

fn all() -> Result<Data> {
    interface::ask(&host()?)
}

/// Room for `count` values and nothing in it.
fn allocate<T>(count: usize) -> Result<*mut T> {
    // SAFETY: calloc takes any numbers.
    let place = unsafe { libc::calloc(count, size_of::<T>()) }.cast::<T>();
    if place.is_null() { Err(Errno(libc::ENOMEM)) } else { Ok(place) }
}

/// getifaddrs(3): of each interface its link-layer address, then all that have one with each of their own addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getifaddrs(to: *mut *mut ifaddrs) -> c_int {
    match all().and_then(|data| list(&data)) {
        // SAFETY: the caller's own argument.
        Ok(first) => unsafe {
            *to = first;
            0
        },
        Err(errno) => fail(errno),
    }
}

fn list(data: &Data) -> Result<*mut ifaddrs> {
    let interfaces = Interfaces::of(data);
    let links = interfaces.clone().map(|interface| (interface, None));
    let addresses = interfaces.flat_map(|interface| interface.own().map(move |own| (interface, Some(own))));
    let entries = links.chain(addresses);
    let count = entries.clone().count();
    let first = allocate::<Entry>(count.max(1))?;
    for (at, (interface, own)) in entries.enumerate() {
        // SAFETY: there is room for `count` entries, of zeros so far.
        let entry = unsafe { &mut *first.add(at) };
        entry.name = interface.name;
        entry.public.ifa_name = entry.name.as_mut_ptr().cast();
        entry.public.ifa_flags = interface.flags;
        match own {
            None => {
                entry.link = link(&interface);
                entry.public.ifa_addr = (&raw mut entry.link).cast();
            }
            Some(own) => {
                // A network without a broadcast address has the far end's, which is the own where there is no other.
                (entry.address, entry.mask) = (interface::internet(own.local), interface::internet(own.mask));
                entry.far = interface::internet(own.broadcast.unwrap_or(own.local));
                let at = |place: &mut [u8; 16]| place.as_mut_ptr().cast::<sockaddr>();
                entry.public.ifa_addr = at(&mut entry.address);
                entry.public.ifa_netmask = at(&mut entry.mask);
                entry.public.ifa_ifu = at(&mut entry.far);
            }
        }
        if at + 1 < count {
            // SAFETY: as above.
            entry.public.ifa_next = unsafe { first.add(at + 1) }.cast();
        }
    }
    Ok(first.cast())
}

fn link(interface: &Interface<'_>) -> libc::sockaddr_ll {
    let mut address = [0; 8];
    address[..6].copy_from_slice(&interface.mac);
    let is_addressed = interface.hardware == libc::ARPHRD_ETHER || interface.hardware == libc::ARPHRD_LOOPBACK;
    libc::sockaddr_ll {
        sll_family: narrow!(libc::AF_PACKET => u16),
        sll_protocol: 0,
        sll_ifindex: interface.index.into(),
        sll_hatype: interface.hardware,
        sll_pkttype: 0,
        sll_halen: if is_addressed { 6 } else { 0 },
        sll_addr: address,
    }
}

/// freeifaddrs(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeifaddrs(list: *mut ifaddrs) {
    // SAFETY: the block of `list` above; libc's own lists are one block, too.
    unsafe { libc::free(list.cast()) }
}

/// if_nametoindex(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn if_nametoindex(name: *const c_char) -> c_uint {
    // SAFETY: the caller's string.
    let name = unsafe { core::ffi::CStr::from_ptr(name) }.to_bytes();
    let find = |data: Data| {
        let found = Interfaces::of(&data).find(|interface| interface.text() == name);
        found.map(|interface| interface.index.into()).ok_or(Errno(libc::ENODEV))
    };
    all().and_then(find).unwrap_or_else(|errno| {
        fail(errno);
        0
    })
}

/// if_indextoname(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn if_indextoname(index: c_uint, to: *mut c_char) -> *mut c_char {
    let find = |data: Data| {
        let found = Interfaces::of(&data).find(|interface| c_uint::from(interface.index) == index);
        found.map(|interface| interface.name).ok_or(Errno(libc::ENXIO))
    };
    match all().and_then(find) {
        // SAFETY: the caller vouches for room for a name (IF_NAMESIZE).
        Ok(name) => unsafe {
            to.cast::<[u8; NAME]>().write(name);
            to
        },
        Err(errno) => {
            fail(errno);
            null_mut()
        }
    }
}

/// if_nameindex(3): the list and, behind it, the names.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn if_nameindex() -> *mut libc::if_nameindex {
    let list = |data: Data| {
        let count = Interfaces::of(&data).count() + 1;
        let size = count * (size_of::<libc::if_nameindex>() + NAME);
        let first = allocate::<u8>(size)?.cast::<libc::if_nameindex>();
        // SAFETY: there is room for `count` entries and as many names; the last entry stays zeros.
        unsafe {
            let names = first.add(count).cast::<[u8; NAME]>();
            for (at, interface) in Interfaces::of(&data).enumerate() {
                let name = names.add(at);
                write(name, interface.name);
                let entry = libc::if_nameindex { if_index: interface.index.into(), if_name: name.cast() };
                write(first.add(at), entry);
            }
        }
        Ok(first)
    };
    all().and_then(list).unwrap_or_else(|errno| {
        fail(errno);
        null_mut()
    })
}

/// if_freenameindex(3).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn if_freenameindex(list: *mut libc::if_nameindex) {
    // SAFETY: the block of `if_nameindex`.
    unsafe { libc::free(list.cast()) }
}

/// ioctl(2): interfaces are the stack's, and the next datagram's length is that of its payload. C's is variadic, which
/// comes to the same here.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, argument: *mut c_void) -> c_int {
    if interface::is_about_interfaces(request) && open::tag(fd).is_some() {
        // SAFETY: the caller's own argument.
        return unsafe { ask_interface(request, argument) }.map_or_else(fail, |()| 0);
    }
    if let Some(result) = ask_socket(fd, request) {
        // SAFETY: the caller vouches for room for an int.
        return result.map_or_else(fail, |count| unsafe {
            argument.cast::<c_int>().write(count);
            0
        });
    }
    let result = next!(c"ioctl" as fn(c_int, c_ulong, *mut c_void) -> c_int, fd, request, argument);
    if request == libc::FIONREAD && result == 0 && !argument.is_null() && datagram::tag(fd).is_some() {
        let length = argument.cast::<c_int>();
        // SAFETY: the kernel has just written there.
        unsafe { *length = (*length - narrow!(DatagramHeader::SIZE => c_int)).max(0) };
    }
    result
}

/// What the host counts, or what is not for a socket of this kind.
fn ask_socket(fd: c_int, request: c_ulong) -> Option<Result<c_int>> {
    const SIOCATMARK: c_ulong = 0x8905;
    let number = c_int::try_from(request).ok()?;
    if ![SIOCOUTQ, SIOCOUTQNSD, narrow!(SIOCATMARK => c_int)].contains(&number) {
        return None;
    }
    let tag = open::tag(fd)?;
    match (request, tag.is(Tag::DATAGRAM)) {
        (SIOCATMARK, true) => Some(Err(Errno(libc::ENOTTY))),
        (SIOCATMARK, false) | (_, true) => None,
        _ if tag.is(Tag::CONNECTED) => Some(host().and_then(|host| names::queued(fd, number, &host))),
        _ => None,
    }
}

unsafe fn ask_interface(request: c_ulong, argument: *mut c_void) -> Result<()> {
    if argument.is_null() {
        return Err(Errno(libc::EFAULT));
    }
    let host = host()?;
    if request != libc::SIOCGIFCONF {
        // SAFETY: the caller vouches for a struct ifreq, of any bytes.
        return interface::request(request, unsafe { &mut *argument.cast() }, &host);
    }
    // SAFETY: the caller vouches for a struct ifconf, and for the room that it says there is.
    unsafe {
        let conf = &mut *argument.cast::<libc::ifconf>();
        let at = conf.ifc_ifcu.ifcu_buf.cast::<u8>();
        let room = usize::try_from(conf.ifc_len).unwrap_or(0);
        let mut used = 0;
        let room: &mut [u8] = if at.is_null() || room == 0 { &mut [] } else { slice::from_raw_parts_mut(at, room) };
        interface::each_address(&host, |ifreq| {
            // Without a buffer the room that is needed is the answer.
            let is_in =
                at.is_null() || room.get_mut(used..used + ifreq.len()).map(|to| to.copy_from_slice(&ifreq)).is_some();
            used += if is_in { ifreq.len() } else { 0 };
            is_in
        })?;
        conf.ifc_len = c_int::try_from(used).unwrap_or(c_int::MAX);
    }
    Ok(())
}
