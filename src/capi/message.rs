//! `struct msghdr`, texts and option values, between the application's memory and the socket layer.

use super::address::Given;
use crate::{
    error::{Error, Result},
    socket::{
        address::{Address, MAX_LEN},
        ancillary::MAX_CONTROL,
        options::{self, Value},
        recv::Message,
        send::Send,
    },
    stack::Family,
    sys::user::{self, Buffers},
};
use std::{ffi::c_int, mem::offset_of};

/// The longest text the library takes.
const MAX_TEXT: usize = 4096;

/// The C string at `addr`.
pub(super) fn text(addr: usize) -> Result<String> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_TEXT {
        match user::view(addr.checked_add(bytes.len()).ok_or(Error::Fault)?, 1)? {
            [0] => return String::from_utf8(bytes).map_err(|_| Error::Invalid),
            more => bytes.extend_from_slice(more),
        }
    }
    Err(Error::Invalid)
}

/// The fields of a `struct msghdr`.
#[derive(Copy, Clone)]
pub(super) struct Header {
    at: usize,
    name: usize,
    name_len: libc::socklen_t,
    iov: usize,
    iov_len: usize,
    control: usize,
    control_len: usize,
}

impl Header {
    pub(super) fn read(at: usize) -> Result<Self> {
        let word = |offset: usize| user::read::<usize>(at.checked_add(offset).ok_or(Error::Fault)?);
        Ok(Self {
            at,
            name: word(offset_of!(libc::msghdr, msg_name))?,
            name_len: user::read(at + offset_of!(libc::msghdr, msg_namelen))?,
            iov: word(offset_of!(libc::msghdr, msg_iov))?,
            iov_len: word(offset_of!(libc::msghdr, msg_iovlen))?,
            control: word(offset_of!(libc::msghdr, msg_control))?,
            control_len: word(offset_of!(libc::msghdr, msg_controllen))?,
        })
    }

    /// The buffers; more than IOV_MAX of them are EMSGSIZE here.
    pub(super) fn buffers(&self) -> Result<Buffers<'static>> {
        Buffers::many(self.iov, isize::try_from(self.iov_len).unwrap_or(isize::MAX), Error::MessageTooLong)
    }

    /// The destination, if one is named. A length beyond that of any address is cut (Linux copy_msghdr_from_user).
    fn destination(&self) -> Result<Option<Given>> {
        user::length(self.name_len as c_int)?;
        if self.name == 0 || self.name_len == 0 {
            return Ok(None);
        }
        Given::read(self.name, self.name_len.min(MAX_LEN as u32)).map(Some)
    }

    /// sendmsg(2).
    pub(super) fn send(&self, fd: c_int, flags: c_int) -> Result<usize> {
        let dest = self.destination()?;
        let mut control = [0; MAX_CONTROL];
        let control_len = if self.control == 0 { 0 } else { self.control_len };
        let control = control.get_mut(..control_len).ok_or(Error::NoBuffers)?;
        user::read_bytes(self.control, control)?;
        let dest = dest.as_ref().map(Given::bytes);
        crate::socket::send::send(fd, Send { buffers: self.buffers()?, flags, dest, control })
    }

    /// What recvmsg(2) reports besides the data.
    pub(super) fn report(&self, message: &Message, family: Family, flags: c_int) -> Result<()> {
        if self.name != 0 {
            let from = message.from.map(|from| Address::new(from, family));
            super::address::write(from.as_ref(), self.name, self.at + offset_of!(libc::msghdr, msg_namelen))?;
        }
        let mut control = [0; MAX_CONTROL];
        let room = if self.control == 0 { 0 } else { self.control_len.min(MAX_CONTROL) };
        let (used, truncated) = message.ancillary.emit(&mut control[..room]);
        user::write_bytes(self.control, &control[..used])?;
        user::write(self.at + offset_of!(libc::msghdr, msg_controllen), used)?;
        let cut = if truncated { libc::MSG_CTRUNC } else { 0 };
        let flags = message.flags | cut | flags & libc::MSG_CMSG_CLOEXEC;
        user::write(self.at + offset_of!(libc::msghdr, msg_flags), flags)
    }
}

/// getsockopt(2): the value, cut to the room there is, and its length.
pub(super) fn option_out(fd: c_int, level: c_int, name: c_int, value: usize, len: usize) -> Result<()> {
    crate::socket::table::socket(fd)?;
    let room = user::read::<c_int>(len)?;
    match options::get(fd, level, name, room)? {
        Value::Int(int) => give(&int.to_ne_bytes(), value, room, len),
        Value::Error(error) => give(&error.map_or(0, super::errno::of).to_ne_bytes(), value, room, len),
        Value::Bytes(bytes) => give(bytes.as_slice(), value, room, len),
    }
}

fn give(bytes: &[u8], value: usize, room: c_int, len: usize) -> Result<()> {
    let given = user::length(room)?.min(bytes.len());
    user::write(len, given as u32)?;
    user::write_bytes(value, &bytes[..given])
}

/// setsockopt(2).
pub(super) fn option_in(fd: c_int, level: c_int, name: c_int, value: usize, len: libc::socklen_t) -> Result<()> {
    let mut bytes = [0; options::MAX_SET];
    let len = user::length(len as c_int)?.min(bytes.len());
    // Who names no descriptor is told so first.
    crate::socket::table::socket(fd)?;
    user::read_bytes(value, &mut bytes[..len])?;
    options::set(fd, level, name, &bytes[..len])
}
