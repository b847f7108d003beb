//! getsockopt(2) and setsockopt(2). One table a level; what is not in a table, or not honoured, fails as Linux
//! documents.

/// A row for a setting that is on or off: the option's name, how its value is read, and which setting of
/// [`SocketSettings`] it is.
macro_rules! boolean {
    ($name:expr, $read:expr, $($field:ident).+) => {
        super::Row {
            name: $name,
            get: |s| super::setting(s, |o| o.$($field).+.into()),
            set: |s, v| {
                let on = $read(v)? != 0;
                super::change(s, |o| o.$($field).+ = on)
            },
        }
    };
}

mod ip;
mod ipv6;
mod socket;
mod tcp;

pub(super) use socket::bind_to_index;

use super::{file::Handle, pollable, table};
use crate::{
    error::{Error, Result},
    stack::{Family, Protocol, SocketSettings},
    tcp as tcp_layer,
};

/// The level of options that are this library's own.
pub const SOL_SOCKEYE: i32 = 0x5359;
/// At [`SOL_SOCKEYE`]: the kernel's own poll(2) and epoll(7) see what the socket is ready for.
pub const SOCKEYE_POLLABLE: i32 = 1;

/// Room for the longest value, `struct tcp_info`.
const MAX_VALUE: usize = 384;

/// The value of an option as the application gets it.
#[derive(Copy, Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "lives for one call, on the stack")]
pub enum Value {
    /// An int. At the level of IP a single byte where the buffer has room for one only (ip(7); do_ip_getsockopt).
    Int(i32),
    /// An error number (SO_ERROR); none is 0.
    Error(Option<Error>),
    /// Other bytes, cut where the buffer ends.
    Bytes(Bytes),
}

/// Bytes of a value.
#[derive(Copy, Clone, Debug)]
pub struct Bytes {
    bytes: [u8; MAX_VALUE],
    len: usize,
    /// A buffer shorter than this is `Invalid`.
    least: usize,
}

impl Bytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Value {
    /// A value of bytes (cut at the length of the longest value there is).
    fn bytes(value: &[u8]) -> Self {
        Self::bytes_of(value, 0)
    }

    /// A value of bytes that needs a buffer of its own length.
    fn whole(value: &[u8]) -> Self {
        Self::bytes_of(value, value.len())
    }

    fn bytes_of(value: &[u8], least: usize) -> Self {
        let mut bytes = [0; MAX_VALUE];
        let len = value.len().min(MAX_VALUE);
        bytes[..len].copy_from_slice(&value[..len]);
        Self::Bytes(Bytes { bytes, len, least })
    }
}

/// An option: how it is read and how it is set. Either may be refused.
struct Row {
    name: i32,
    get: fn(&Handle) -> Result<Value>,
    set: fn(&Handle, &[u8]) -> Result<()>,
}

/// Reads an option. `len` is the length of the application's buffer.
///
/// # Errors
/// As getsockopt(2). An unknown level is `NotSupported`, as on Linux.
pub fn get(fd: i32, level: i32, name: i32, len: i32) -> Result<Value> {
    get_of(&table::socket(fd)?, level, name, len)
}

/// The same of a socket that may have no descriptor.
pub(super) fn get_of(socket: &Handle, level: i32, name: i32, len: i32) -> Result<Value> {
    let known = table_of(socket, level).ok_or(Error::NotSupported)?;
    let len = usize::try_from(len).map_err(|_| Error::Invalid)?;
    let row = known.iter().find(|row| row.name == name).ok_or(Error::NoProtocolOption)?;
    let value = (row.get)(socket)?;
    match value {
        Value::Int(int) if level == libc::IPPROTO_IP && (1..4).contains(&len) && (0..=255).contains(&int) => {
            Ok(Value::bytes(&[int as u8]))
        }
        Value::Bytes(Bytes { least, .. }) if len < least => Err(Error::Invalid),
        value => Ok(value),
    }
}

/// Sets an option.
///
/// # Errors
/// As setsockopt(2).
pub fn set(fd: i32, level: i32, name: i32, value: &[u8]) -> Result<()> {
    let socket = table::socket(fd)?;
    // The descriptor itself changes, not only the socket.
    if (level, name) == (SOL_SOCKEYE, SOCKEYE_POLLABLE) {
        return pollable::set(fd, &socket, value);
    }
    set_of(&socket, level, name, value)
}

/// The same on a socket that may have no descriptor.
pub(super) fn set_of(socket: &Handle, level: i32, name: i32, value: &[u8]) -> Result<()> {
    // SOL_SOCKET and TCP look at the length before they look at the name.
    let short = value.len() < size_of::<i32>();
    match level {
        libc::SOL_SOCKET if short && name != libc::SO_BINDTODEVICE => return Err(Error::Invalid),
        libc::IPPROTO_TCP if short && !tcp::takes_text(name) && socket.protocol == Protocol::Tcp => {
            return Err(Error::Invalid);
        }
        _ => {}
    }
    let known = table_of(socket, level).unwrap_or(&[]);
    let row = known.iter().find(|row| row.name == name).ok_or(Error::NoProtocolOption)?;
    (row.set)(socket, value)
}

/// Takes the socket's pending error, as SO_ERROR does.
///
/// # Errors
/// `BadDescriptor`.
pub fn pending_error(socket: &Handle) -> Result<Option<Error>> {
    socket.with(|stack, id, _| stack.take_error(id))
}

/// Has the socket's next call fail with `error`, if it is the socket's own and not the caller's.
pub fn keep_error(socket: &Handle, error: Error) {
    if !matches!(error, Error::WouldBlock | Error::Interrupted | Error::Fault | Error::Invalid) {
        // A socket that is closed meanwhile has no next call.
        let _ = socket.with(|stack, id, _| stack.keep_error(id, error));
    }
}

/// The longest value an option may be set to.
pub const MAX_SET: usize = MAX_VALUE;

/// Options of this library ([`set`] serves what changes a descriptor).
const OWN: &[Row] =
    &[Row { name: SOCKEYE_POLLABLE, get: |s| Ok(Value::Int(pollable::is_on(s).into())), set: read_only }];

/// The options of a level; nothing for a level the socket does not have.
fn table_of(socket: &Handle, level: i32) -> Option<&'static [Row]> {
    match level {
        libc::SOL_SOCKET => Some(socket::TABLE),
        libc::IPPROTO_IP => Some(ip::TABLE),
        libc::IPPROTO_IPV6 if socket.family == Family::V6 => Some(ipv6::TABLE),
        SOL_SOCKEYE => Some(OWN),
        libc::IPPROTO_TCP if socket.protocol == Protocol::Tcp => Some(tcp::TABLE),
        _ => None,
    }
}

// ---- what the rows are made of ----

/// The int an option is set to.
pub(super) fn int(value: &[u8]) -> Result<i32> {
    value.first_chunk().map(|int| i32::from_ne_bytes(*int)).ok_or(Error::Invalid)
}

/// Refuses to be set (or read): ENOPROTOOPT.
fn read_only(_: &Handle, _: &[u8]) -> Result<()> {
    Err(Error::NoProtocolOption)
}

fn write_only(_: &Handle) -> Result<Value> {
    Err(Error::NoProtocolOption)
}

fn zero(_: &Handle) -> Result<Value> {
    Ok(Value::Int(0))
}

/// Not honoured, so that only "off" can be asked for.
fn only_off(value: &[u8], refusal: Error) -> Result<()> {
    if int(value)? == 0 { Ok(()) } else { Err(refusal) }
}

/// Reads a setting that every socket has.
fn setting(socket: &Handle, read: impl FnOnce(&SocketSettings) -> i32) -> Result<Value> {
    socket.with(|stack, id, _| stack.settings(id).map(|settings| Value::Int(read(settings))))
}

/// Changes a setting that every socket has.
fn change(socket: &Handle, write: impl FnOnce(&mut SocketSettings)) -> Result<()> {
    socket.with(|stack, id, now| {
        write(stack.settings(id)?);
        stack.on_settings_changed(id, now);
        Ok(())
    })
}

/// Reads a TCP setting.
fn tcp_setting(socket: &Handle, read: impl FnOnce(&tcp_layer::Settings) -> i32) -> Result<Value> {
    socket.with(|stack, id, _| stack.tcp_settings(id).map(|settings| Value::Int(read(settings))))
}

/// Changes a TCP setting.
fn tcp_change(socket: &Handle, write: impl FnOnce(&mut tcp_layer::Settings)) -> Result<()> {
    socket.with(|stack, id, now| {
        write(stack.tcp_settings(id)?);
        stack.on_settings_changed(id, now);
        Ok(())
    })
}

/// Sets an int that must lie in `range`.
fn within(value: i32, range: std::ops::RangeInclusive<i32>) -> Result<u32> {
    if range.contains(&value) { Ok(value.unsigned_abs()) } else { Err(Error::Invalid) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_is_in_a_table_twice() {
        for table in [socket::TABLE, ip::TABLE, ipv6::TABLE, tcp::TABLE] {
            let mut names: Vec<_> = table.iter().map(|row| row.name).collect();
            names.sort_unstable();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all);
        }
    }

    #[test]
    fn values_of_fixed_length_need_their_room() {
        assert!(matches!(Value::whole(&[1; 8]), Value::Bytes(Bytes { least: 8, .. })));
        assert!(matches!(Value::bytes(&[1; 1000]), Value::Bytes(Bytes { len: MAX_VALUE, least: 0, .. })));
        assert_eq!(only_off(&[0; 4], Error::NotSupported), Ok(()));
        assert_eq!(only_off(&[1; 4], Error::NotSupported), Err(Error::NotSupported));
        assert_eq!(int(&[1, 2]), Err(Error::Invalid));
    }
}
