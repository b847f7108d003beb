//! Socket calls as the C library has them, on the stack: what the socket layer does, without threads to sleep in. A
//! call that has to wait is tried again whenever something happened.

use super::{
    epoll,
    host::{File, Host, Socket},
    options,
    script::{Call, Expr, Outcome},
    wire::pattern,
};
use sockeye::{
    addr::Endpoint,
    error::Error,
    ready::Ready,
    socket::errno,
    stack::{Begun, Family, Protocol, SendTo, SocketId},
    tcp::{RecvFlags, SendFlags, Shutdown, State, reports::Report},
    time::{Duration, Instant},
};
use std::{
    io::{IoSlice, IoSliceMut},
    net::IpAddr,
};

/// TCP_INQ as a control message.
const TCP_CM_INQ: i32 = 36;

/// Where a call that waits is.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes so far.
    pub done: usize,
    /// When it stops waiting, set when it first has to wait.
    pub deadline: Option<Instant>,
    /// It has waited long enough.
    pub expired: bool,
    /// It has been tried before.
    pub begun: bool,
    /// MSG_FASTOPEN, or the first data of a connection that waits for it, has opened the connection.
    pub is_open: bool,
    /// It found no room and sleeps.
    pub slept: bool,
    /// Data is sent on an open connection.
    pub is_sent: bool,
}

/// What became of a call: what it returned, and its arguments as they are now; or it waits.
pub enum Attempt {
    Done(Outcome, Vec<Expr>),
    Waits,
}

/// Why a call came to nothing: an errno for the program, or a script that asks for what is not there.
pub enum Stop {
    Errno(Error),
    Waits,
    Script(String),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        if error == Error::WouldBlock { Self::Waits } else { Self::Errno(error) }
    }
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Script(what)
    }
}

pub type Result<T, E = Stop> = std::result::Result<T, E>;

/// Tries a call.
pub fn attempt(host: &mut Host, call: &Call, progress: &mut Progress) -> Result<Attempt, String> {
    let mut args = Args { call, given: call.args.clone() };
    let returned = invoke(host, &mut args, progress);
    progress.begun = true;
    host.pump();
    match returned {
        Ok(value) => Ok(Attempt::Done(Outcome::Value(value), args.given)),
        Err(Stop::Errno(error)) => Ok(Attempt::Done(Outcome::Errno(errno::of(error)), args.given)),
        Err(Stop::Waits) => Ok(Attempt::Waits),
        Err(Stop::Script(what)) => Err(what),
    }
}

/// The arguments of a call, some of which it changes.
pub struct Args<'a> {
    pub call: &'a Call,
    pub given: Vec<Expr>,
}

impl Args<'_> {
    pub fn count(&self, count: usize) -> Result<()> {
        if self.given.len() == count {
            return Ok(());
        }
        Err(Stop::Script(format!("{}() has {count} arguments, not {}", self.call.name, self.given.len())))
    }

    pub fn int(&self, at: usize) -> Result<i64> {
        match &self.given[at] {
            Expr::Int(value, _) => Ok(*value),
            other => Err(Stop::Script(format!("argument {} is a number, not {other}", at + 1))),
        }
    }

    /// A length.
    pub fn size(&self, at: usize) -> Result<usize> {
        usize::try_from(self.int(at)?).map_err(|_| Stop::Script("a length is not negative".into()))
    }

    /// The bytes to send from argument `at`: text, or `len` bytes of the pattern.
    fn bytes(&self, at: usize, len: usize, position: u64) -> Result<Vec<u8>> {
        match &self.given[at] {
            Expr::Any => Ok((0..len as u64).map(|i| pattern(position + i)).collect()),
            Expr::Int(0, _) if len > 0 => Err(Error::Fault.into()),
            Expr::Text(text) if text.len() >= len => Ok(text.as_bytes()[..len].to_vec()),
            other => Err(Stop::Script(format!("{other} does not have {len} bytes"))),
        }
    }

    /// The descriptor that the script gives to what a call returns.
    pub fn new_fd(&self) -> Result<i64> {
        match self.call.result {
            Outcome::Value(fd) if fd >= 0 => Ok(fd),
            // The call is not expected to succeed: any number will do to say so.
            _ => Ok(1_000_000),
        }
    }
}

/// The fields of a struct, each of which must be taken.
pub fn field<'a>(fields: &'a [(String, Expr)], name: &str) -> Option<&'a Expr> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn invoke(host: &mut Host, args: &mut Args<'_>, progress: &mut Progress) -> Result<i64> {
    match args.call.name.as_str() {
        "socket" => socket(host, args),
        "bind" => {
            args.count(3)?;
            let id = host.socket(args.int(0)?)?.id;
            let local = Endpoint::new(IpAddr::V4(host.setup.ends.local), host.setup.bind_port);
            let local = address(&args.given[1], local)?.ok_or(Error::FamilyNotSupported)?;
            Ok(host.stack.bind(id, local, host.now).map(|()| 0)?)
        }
        "listen" => {
            args.count(2)?;
            let id = host.socket(args.int(0)?)?.id;
            // A negative backlog is a very long one, as on Linux.
            let backlog = usize::try_from(args.int(1)?).unwrap_or(usize::MAX);
            Ok(host.stack.listen(id, backlog, host.now).map(|()| 0)?)
        }
        "accept" | "accept4" => accept(host, args, progress),
        "connect" => connect(host, args, progress),
        "read" | "recv" | "recvfrom" | "readv" | "recvmsg" => receive(host, args, progress),
        "write" | "send" | "sendto" | "writev" | "sendmsg" => send(host, args, progress),
        "close" => close(host, args, progress),
        "shutdown" => {
            args.count(2)?;
            let id = host.socket(args.int(0)?)?.id;
            let how = match args.int(1)? as i32 {
                libc::SHUT_RD => Shutdown::Read,
                libc::SHUT_WR => Shutdown::Write,
                libc::SHUT_RDWR => Shutdown::Both,
                _ => return Err(Error::Invalid.into()),
            };
            Ok(host.stack.shutdown(id, how, host.now).map(|()| 0)?)
        }
        "getsockopt" => options::get(host, args),
        "setsockopt" => options::set(host, args),
        "fcntl" => fcntl(host, args),
        "ioctl" => ioctl(host, args),
        "poll" => epoll::poll(host, args, progress),
        "epoll_create" | "epoll_create1" => epoll::create(host, args),
        "epoll_ctl" => epoll::control(host, args),
        "epoll_wait" => epoll::wait(host, args, progress),
        name => Err(Stop::Script(format!("the call {name}() is not known"))),
    }
}

/// The program waits, unless the socket is not to block, or it has waited long enough: then `instead`.
pub fn wait<T>(
    progress: &mut Progress,
    now: Instant,
    nonblock: bool,
    timeout: Option<Duration>,
    instead: Error,
) -> Result<T> {
    if nonblock || progress.expired {
        return Err(Stop::Errno(instead));
    }
    if !progress.begun {
        progress.deadline = timeout.map(|timeout| now + timeout);
    }
    Err(Stop::Waits)
}

fn socket(host: &mut Host, args: &Args<'_>) -> Result<i64> {
    args.count(3)?;
    // `...` is the family of the script, of which there is one.
    let family = if args.given[0] == Expr::Any { libc::AF_INET } else { args.int(0)? as i32 };
    let family = match family {
        libc::AF_INET => Family::V4,
        libc::AF_INET6 => Family::V6,
        _ => return Err(Error::FamilyNotSupported.into()),
    };
    let kind = args.int(1)? as i32;
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    let protocol = match (kind & !flags, args.int(2)? as i32) {
        (libc::SOCK_STREAM, libc::IPPROTO_TCP | libc::IPPROTO_IP) => Protocol::Tcp,
        (libc::SOCK_DGRAM, libc::IPPROTO_UDP | libc::IPPROTO_IP) => Protocol::Udp,
        (libc::SOCK_STREAM | libc::SOCK_DGRAM, _) => return Err(Error::ProtocolNotSupported.into()),
        _ => return Err(Error::SocketTypeNotSupported.into()),
    };
    let id = host.stack.open(family, protocol)?;
    let fd = args.new_fd()?;
    host.install(fd, id, protocol, kind & libc::SOCK_NONBLOCK != 0)?;
    host.socket(fd)?.cloexec = kind & libc::SOCK_CLOEXEC != 0;
    Ok(fd)
}

/// An address: `...` is the usual one, nothing is AF_UNSPEC.
fn address(expr: &Expr, usual: Endpoint) -> Result<Option<Endpoint>> {
    let Expr::Struct(fields) = expr else {
        return if *expr == Expr::Any { Ok(Some(usual)) } else { Err(Stop::Script(format!("{expr} is no address"))) };
    };
    let mut endpoint = usual;
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("sa_family", Expr::Int(family, _)) if *family == i64::from(libc::AF_UNSPEC) => return Ok(None),
            ("sa_family", Expr::Int(family, _)) if *family == i64::from(libc::AF_INET) => {}
            ("sin_port", Expr::Apply(function, port)) if function == "htons" => match port.as_slice() {
                [Expr::Int(port, _)] if (0..65_536).contains(port) => endpoint.port = *port as u16,
                _ => return Err(Stop::Script(format!("{value} is no port"))),
            },
            ("sin_addr", Expr::Apply(function, addr)) if function == "inet_addr" => match addr.as_slice() {
                [Expr::Text(addr)] => {
                    endpoint.addr = addr.parse().map_err(|_| format!("{addr:?} is no address"))?;
                }
                _ => return Err(Stop::Script(format!("{value} is no address"))),
            },
            ("sin_addr", Expr::Int(addr, _)) if *addr == 0 => endpoint.addr = IpAddr::from([0, 0, 0, 0]),
            _ => return Err(Stop::Script(format!("{name}={value} is no part of an address"))),
        }
    }
    Ok(Some(endpoint))
}

fn accept(host: &mut Host, args: &Args<'_>, progress: &mut Progress) -> Result<i64> {
    args.count(if args.call.name == "accept4" { 4 } else { 3 })?;
    let flags = if args.call.name == "accept4" { args.int(3)? as i32 } else { 0 };
    let now = host.now;
    let Socket { id, protocol, nonblock, recv_timeout, recv_lowat, linger, send_timeout, .. } =
        *host.socket(args.int(0)?)?;
    if protocol != Protocol::Tcp {
        return Err(Error::NotSupported.into());
    }
    let (child, _) = match host.stack.accept(id, now) {
        Err(Error::WouldBlock) => return wait(progress, now, nonblock, recv_timeout, Error::WouldBlock),
        accepted => accepted?,
    };
    let fd = args.new_fd()?;
    host.install(fd, child, protocol, flags & libc::SOCK_NONBLOCK != 0)?;
    let new = host.socket(fd)?;
    new.cloexec = flags & libc::SOCK_CLOEXEC != 0;
    (new.recv_timeout, new.send_timeout, new.recv_lowat, new.linger) = (recv_timeout, send_timeout, recv_lowat, linger);
    Ok(fd)
}

fn connect(host: &mut Host, args: &Args<'_>, progress: &mut Progress) -> Result<i64> {
    args.count(3)?;
    let (now, setup) = (host.now, host.setup.clone());
    let Socket { id, nonblock, send_timeout, .. } = *host.socket(args.int(0)?)?;
    let usual = Endpoint::new(IpAddr::V4(setup.ends.remote), setup.connect_port);
    let Some(remote) = address(&args.given[1], usual)? else {
        return Ok(host.stack.disconnect(id, now).map(|()| 0)?);
    };
    host.is_connecting |= !progress.begun;
    match host.stack.connect(id, remote, now) {
        Err(error @ (Error::InProgress | Error::Already)) => {
            host.pump();
            let instead = if progress.begun { Error::InProgress } else { error };
            wait(progress, now, nonblock, send_timeout, instead)
        }
        done => Ok(done.map(|()| 0)?),
    }
}

/// What a call that moves data says of it.
struct Transfer {
    /// Where in the arguments the buffers are, and their lengths.
    buffers: Vec<usize>,
    flags: i32,
    dest: Option<Endpoint>,
    /// Which argument is the one buffer; none for vectors.
    buffer: Option<usize>,
}

impl Transfer {
    fn len(&self) -> usize {
        self.buffers.iter().sum()
    }

    fn has(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }
}

fn transfer(host: &Host, args: &Args<'_>) -> Result<Transfer> {
    let usual = Endpoint::new(IpAddr::V4(host.setup.ends.remote), host.setup.connect_port);
    let one = |len, flags| Transfer { buffers: vec![len], flags, dest: None, buffer: Some(1) };
    match args.call.name.as_str() {
        "read" | "write" => {
            args.count(3)?;
            Ok(one(args.size(2)?, 0))
        }
        "recv" | "send" => {
            args.count(4)?;
            Ok(one(args.size(2)?, args.int(3)? as i32))
        }
        "recvfrom" | "sendto" => {
            args.count(6)?;
            // sendto(..., NULL, 0) is written with a length of zero.
            let is_absent = matches!(args.given[5], Expr::Int(0, _));
            let dest = if is_absent || args.call.name == "recvfrom" { None } else { address(&args.given[4], usual)? };
            Ok(Transfer { dest, ..one(args.size(2)?, args.int(3)? as i32) })
        }
        "readv" | "writev" => {
            args.count(3)?;
            let buffers = vector(&args.given[1])?;
            if buffers.len() as i64 != args.int(2)? {
                return Err(Stop::Script("the vector has another length".into()));
            }
            Ok(Transfer { buffers, flags: 0, dest: None, buffer: None })
        }
        _ => {
            args.count(3)?;
            let Expr::Struct(fields) = &args.given[1] else { return Err(Stop::Script("a message is {...}".into())) };
            let known = ["msg_name", "msg_iov", "msg_flags", "msg_control"];
            if let Some((name, _)) = fields.iter().find(|(name, _)| !known.contains(&name.as_str())) {
                return Err(Stop::Script(format!("a message has no {name}")));
            }
            let buffers = vector(field(fields, "msg_iov").ok_or("a message needs its msg_iov".to_owned())?)?;
            let dest = match field(fields, "msg_name") {
                Some(name @ Expr::Struct(_)) if args.call.name == "sendmsg" => address(name, usual)?,
                // No address is like the usual one where one is needed.
                Some(Expr::Any) if args.int(2)? as i32 & libc::MSG_FASTOPEN != 0 => Some(usual),
                _ => None,
            };
            Ok(Transfer { buffers, flags: args.int(2)? as i32, dest, buffer: None })
        }
    }
}

/// The lengths of `[{..., 100}, {..., 200}]`.
fn vector(expr: &Expr) -> Result<Vec<usize>> {
    let wrong = || Stop::Script(format!("{expr} is no vector of buffers: [{{..., 1000}}]"));
    let Expr::List(items) = expr else { return Err(wrong()) };
    let length = |item: &Expr| match item {
        Expr::Struct(fields) => match field(fields, "len") {
            Some(Expr::Int(len, _)) => usize::try_from(*len).ok(),
            _ => None,
        },
        _ => None,
    };
    items.iter().map(|item| length(item).ok_or_else(wrong)).collect()
}

fn refuse_flags(flags: i32, known: i32) -> Result<()> {
    if flags & !known == 0 { Ok(()) } else { Err(Stop::Script(format!("flags {:#x} are not known", flags & !known))) }
}

fn send(host: &mut Host, args: &Args<'_>, progress: &mut Progress) -> Result<i64> {
    let what = transfer(host, args)?;
    let (fd, now) = (args.int(0)?, host.now);
    refuse_flags(
        what.flags,
        libc::MSG_OOB
            | libc::MSG_DONTWAIT
            | libc::MSG_NOSIGNAL
            | libc::MSG_MORE
            | libc::MSG_FASTOPEN
            | libc::MSG_EOR
            | libc::MSG_ZEROCOPY,
    )?;
    let Socket { id, protocol, nonblock, send_timeout, written, .. } = *host.socket(fd)?;
    let opens =
        what.has(libc::MSG_FASTOPEN) || host.stack.awaits_data(id).is_some() || progress.begun && !progress.is_sent;
    if opens && protocol == Protocol::Tcp && !progress.is_open {
        open_fast(host, fd, args, &what, progress)?;
        if progress.done > 0 && (progress.done >= what.len() || nonblock || what.has(libc::MSG_DONTWAIT)) {
            return Ok(progress.done as i64);
        }
    }
    progress.is_sent = true;
    let position = host.socket(fd)?.written.max(written);
    let data = match what.buffer {
        Some(at) => args.bytes(at, what.len(), position - progress.done as u64)?,
        None => (0..what.len() as u64).map(|i| pattern(position - progress.done as u64 + i)).collect(),
    };
    let to = SendTo { dest: what.dest, ..SendTo::default() };
    let mut flags = SendFlags {
        oob: what.has(libc::MSG_OOB),
        more: what.has(libc::MSG_MORE),
        end_of_record: what.has(libc::MSG_EOR),
        zerocopy: what.has(libc::MSG_ZEROCOPY),
        continues: false,
    };
    let nonblock = nonblock || what.has(libc::MSG_DONTWAIT);
    // Who sleeps is woken when there is room enough.
    let sleeps = progress.begun && progress.slept && !progress.expired;
    if sleeps && !host.stack.ready(id).intersects(Ready::OUT | Ready::ERR | Ready::HUP) {
        return Err(Stop::Waits);
    }
    loop {
        // What was sent is the result, and the error the next call's.
        if progress.done > 0 && host.stack.has_error(id) {
            return Ok(progress.done as i64);
        }
        flags.continues = progress.done > 0;
        match host.stack.send(id, &[IoSlice::new(&data[progress.done..])], &to, flags, now) {
            Ok(sent) => {
                progress.done += sent;
                host.socket(fd)?.written += sent as u64;
                if progress.done >= data.len() || protocol == Protocol::Udp || sent == 0 {
                    return Ok(progress.done as i64);
                }
                host.pump();
            }
            Err(Error::WouldBlock) if progress.done > 0 && (nonblock || progress.expired) => {
                return Ok(progress.done as i64);
            }
            Err(Error::WouldBlock) => {
                progress.slept = true;
                return wait(progress, now, nonblock, send_timeout, Error::WouldBlock);
            }
            Err(error) if progress.done == 0 => return Err(error.into()),
            Err(_) => return Ok(progress.done as i64),
        }
    }
}

/// MSG_FASTOPEN, or the first data of a connection that waits for it: connects, with data in the SYN if there is a
/// cookie.
fn open_fast(host: &mut Host, fd: i64, args: &Args<'_>, what: &Transfer, progress: &mut Progress) -> Result<()> {
    let now = host.now;
    let Socket { id, nonblock, send_timeout, .. } = *host.socket(fd)?;
    let begun = host.stack.awaits_data(id);
    let usual = Endpoint::new(IpAddr::V4(host.setup.ends.remote), host.setup.connect_port);
    let remote = match what.dest {
        _ if begun.is_some() || progress.begun => Ok(begun.unwrap_or(usual)),
        Some(dest) => Ok(dest),
        // AF_UNSPEC is an address, too.
        None if matches!(args.given.get(4), Some(Expr::Struct(_))) => Err(Error::NotSupported),
        None => Err(Error::Invalid),
    };
    let remote = remote?;
    if !progress.begun {
        host.is_connecting = true;
        let begun = host.stack.connect_fast(id, remote, now)?;
        if begun == Begun::Open {
            progress.is_open = true;
            return Ok(());
        }
        if begun == Begun::Waits {
            let flags = SendFlags { zerocopy: what.has(libc::MSG_ZEROCOPY), ..SendFlags::default() };
            let data = match what.buffer {
                Some(at) => args.bytes(at, what.len(), 0)?,
                None => (0..what.len() as u64).map(pattern).collect(),
            };
            let sent = host.stack.send(id, &[IoSlice::new(&data)], &SendTo::default(), flags, now)?;
            progress.done = sent;
            host.socket(fd)?.written += sent as u64;
        }
        if !nonblock && !what.has(libc::MSG_DONTWAIT) && progress.done < what.len() {
            host.stack.on_writer_waits(id);
        }
        host.pump();
    }
    let nonblock = nonblock || what.has(libc::MSG_DONTWAIT);
    let decided = host.stack.connect(id, remote, now);
    match decided {
        Err(Error::InProgress | Error::Already) if progress.done > 0 && nonblock => {}
        Err(Error::InProgress | Error::Already) => {
            return wait(progress, now, nonblock, send_timeout, Error::InProgress);
        }
        decided => decided?,
    }
    progress.is_open = true;
    Ok(())
}

fn receive(host: &mut Host, args: &mut Args<'_>, progress: &mut Progress) -> Result<i64> {
    let what = transfer(host, args)?;
    let fd = args.int(0)?;
    let known =
        libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_TRUNC | libc::MSG_NOSIGNAL;
    refuse_flags(what.flags, known | libc::MSG_ERRQUEUE)?;
    let Socket { id, protocol, .. } = *host.socket(fd)?;
    if what.has(libc::MSG_ERRQUEUE) {
        let report = match host.stack.take_report(id) {
            Err(error) => return Err(Stop::Errno(error)),
            Ok(report) => report,
        };
        let (flags, control) = reported(host, report);
        show_message(args, flags, control);
        return Ok(0);
    }
    let (len, flags) = match protocol {
        Protocol::Tcp => {
            let len = receive_stream(host, fd, &what, progress, &*args)?;
            (len, if what.has(libc::MSG_OOB) && len > 0 { libc::MSG_OOB } else { 0 })
        }
        Protocol::Udp => receive_datagram(host, fd, &what, progress)?,
    };
    let inq = if protocol == Protocol::Tcp { host.stack.inq(id)? } else { None };
    let control: Vec<_> =
        inq.into_iter().map(|inq| control_message(libc::SOL_TCP, TCP_CM_INQ, Expr::int(inq.into()))).collect();
    show_message(args, flags, control);
    Ok(len as i64)
}

/// What recvmsg() leaves in its message.
fn show_message(args: &mut Args<'_>, flags: i32, control: Vec<Expr>) {
    if args.call.name == "recvmsg"
        && let Expr::Struct(fields) = &mut args.given[1]
    {
        for (name, value) in fields {
            match name.as_str() {
                "msg_flags" => *value = Expr::int(flags.into()),
                "msg_control" if *value != Expr::Any => *value = Expr::List(control.clone()),
                _ => {}
            }
        }
    }
}

/// The flags and control messages of a report from the error queue. Times count from the start of the script.
fn reported(host: &Host, report: Report) -> (i32, Vec<Expr>) {
    let fields = |fields: &[(&str, i64)]| {
        Expr::Struct(fields.iter().map(|(name, value)| ((*name).to_owned(), Expr::int(*value))).collect())
    };
    let error = |errno: i32, origin: i64, code: i64, info: u32, data: u32| {
        let [info, data] = [info, data].map(i64::from);
        let known = [("ee_errno", errno.into()), ("ee_origin", origin), ("ee_type", 0), ("ee_code", code)];
        let data = fields(&[known.as_slice(), &[("ee_info", info), ("ee_data", data)]].concat());
        control_message(libc::SOL_IP, libc::IP_RECVERR, data)
    };
    match report {
        Report::Released { first, last } => (libc::MSG_ERRQUEUE, vec![error(0, 5, 1, first, last)]),
        Report::Stamp { milestone, key, at, with_packet } => {
            let since = at.since(host.start);
            // As near as calls and packets are to their times.
            let near = (since.as_micros() as i64 + 5000) / 10_000 * 10_000_000;
            let stamp = [("scm_sec", near / 1_000_000_000), ("scm_nsec", near % 1_000_000_000)];
            let stamp = control_message(libc::SOL_SOCKET, libc::SO_TIMESTAMPING, fields(&stamp));
            let cut = if with_packet { libc::MSG_TRUNC } else { 0 };
            (libc::MSG_ERRQUEUE | cut, vec![stamp, error(libc::ENOMSG, 4, 0, milestone as u32, key)])
        }
    }
}

/// `{cmsg_level=SOL_TCP, cmsg_type=TCP_CM_INQ, cmsg_data=1000}`
fn control_message(level: i32, kind: i32, data: Expr) -> Expr {
    let fields = [("cmsg_level", Expr::int(level.into())), ("cmsg_type", Expr::int(kind.into())), ("cmsg_data", data)];
    Expr::Struct(fields.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn receive_stream(
    host: &mut Host,
    fd: i64,
    what: &Transfer,
    progress: &mut Progress,
    args: &Args<'_>,
) -> Result<usize> {
    let now = host.now;
    let Socket { id, nonblock, recv_timeout, recv_lowat, .. } = *host.socket(fd)?;
    let flags =
        RecvFlags { oob: what.has(libc::MSG_OOB), peek: what.has(libc::MSG_PEEK), trunc: what.has(libc::MSG_TRUNC) };
    let target = if what.has(libc::MSG_WAITALL) { what.len() } else { what.len().min(recv_lowat) }.max(1);
    let nonblock = nonblock || what.has(libc::MSG_DONTWAIT) || flags.oob;
    if flags.oob && host.stack.state(id) == State::Closed {
        return Err(Error::Invalid.into());
    }
    let ended = host.stack.ready(id).intersects(Ready::RDHUP | Ready::HUP | Ready::ERR);
    if flags.peek && !flags.oob && !ended && !nonblock && !progress.expired {
        match host.stack.readable(id) {
            Ok(queued) if queued < target => return wait(progress, now, false, recv_timeout, Error::WouldBlock),
            _ => {}
        }
    }
    loop {
        // An error behind data that was received is the next call's.
        if progress.done > 0 && host.stack.has_error(id) {
            return Ok(progress.done);
        }
        let mut buffer = vec![0; what.len() - progress.done];
        let is_nowhere = what.buffer.is_some_and(|at| matches!(args.given[at], Expr::Int(0, _))) && !buffer.is_empty();
        if is_nowhere && host.stack.readable(id)? > 0 {
            return Err(Error::Fault.into());
        }
        match host.stack.recv(id, &mut [IoSliceMut::new(&mut buffer)], flags, now) {
            Ok(received) if received.len == 0 => return Ok(progress.done),
            Ok(received) => {
                let position = host.socket(fd)?.read;
                check(host, &buffer[..received.len], position, flags, args, what)?;
                progress.done += received.len;
                if !flags.peek && !flags.oob {
                    host.socket(fd)?.read += received.len as u64;
                }
                // What else is there is taken along if the buffer was filled, but not past a mark.
                let stops = received.len < buffer.len() && progress.done >= target;
                if flags.peek || flags.oob || stops || progress.done >= what.len() {
                    return Ok(progress.done);
                }
            }
            Err(Error::WouldBlock)
                if progress.done >= target || progress.done > 0 && (nonblock || progress.expired) =>
            {
                return Ok(progress.done);
            }
            Err(Error::WouldBlock) => return wait(progress, now, nonblock, recv_timeout, Error::WouldBlock),
            Err(error) if progress.done == 0 => return Err(error.into()),
            Err(_) => return Ok(progress.done),
        }
    }
}

/// The bytes are those the script or the stream's positions ask for.
fn check(host: &Host, bytes: &[u8], position: u64, flags: RecvFlags, args: &Args<'_>, what: &Transfer) -> Result<()> {
    if let Some(Expr::Text(text)) = what.buffer.map(|at| &args.given[at]) {
        if text.as_bytes() != bytes {
            return Err(Stop::Script(format!("the program read {:?}, not {text:?}", String::from_utf8_lossy(bytes))));
        }
        return Ok(());
    }
    if !host.is_checked || flags.oob || flags.trunc {
        return Ok(());
    }
    match bytes.iter().enumerate().find(|(at, byte)| **byte != pattern(position + *at as u64)) {
        Some((at, _)) => Err(Stop::Script(format!("byte {} read is not the one sent", position + at as u64))),
        None => Ok(()),
    }
}

fn receive_datagram(host: &mut Host, fd: i64, what: &Transfer, progress: &mut Progress) -> Result<(usize, i32)> {
    let now = host.now;
    let Socket { id, nonblock, recv_timeout, .. } = *host.socket(fd)?;
    let flags = RecvFlags { oob: false, peek: what.has(libc::MSG_PEEK), trunc: what.has(libc::MSG_TRUNC) };
    let mut buffer = vec![0; what.len()];
    match host.stack.recv(id, &mut [IoSliceMut::new(&mut buffer)], flags, now) {
        Err(Error::WouldBlock) => {
            wait(progress, now, nonblock || what.has(libc::MSG_DONTWAIT), recv_timeout, Error::WouldBlock)
        }
        Err(error) => Err(error.into()),
        Ok(received) => {
            let is_cut = received.full_len > received.len;
            Ok((if flags.trunc { received.full_len } else { received.len }, if is_cut { libc::MSG_TRUNC } else { 0 }))
        }
    }
}

/// close(2); SO_LINGER with a time waits for the acknowledgement of everything.
fn close(host: &mut Host, args: &Args<'_>, progress: &mut Progress) -> Result<i64> {
    args.count(1)?;
    let (fd, now) = (args.int(0)?, host.now);
    if let Ok(Socket { id, linger: Some(linger), protocol: Protocol::Tcp, .. }) = host.socket(fd).map(|socket| &*socket)
    {
        let (id, linger) = (*id, *linger);
        if !linger.is_zero() && lingers(host, id, progress) {
            match wait::<()>(progress, now, false, Some(linger), Error::WouldBlock) {
                Err(Stop::Errno(_)) => {}
                waits => return waits.map(|()| 0),
            }
        }
    }
    match host.files.remove(&fd).ok_or(Error::BadDescriptor)? {
        File::Socket(Socket { id, .. }) => {
            host.stack.close(id, now);
            for file in host.files.values_mut() {
                if let File::Epoll(watches) = file {
                    watches.retain(|_, watch| watch.id != id);
                }
            }
        }
        File::Epoll(_) => {}
    }
    Ok(0)
}

/// Whether close() has something to wait for. Data left unread means a reset, for which nobody waits.
fn lingers(host: &mut Host, id: SocketId, progress: &Progress) -> bool {
    if !progress.begun {
        let is_read = host.stack.readable(id) == Ok(0);
        if !is_read || host.stack.shutdown(id, Shutdown::Write, host.now).is_err() {
            return false;
        }
        host.pump();
    }
    host.stack.unacknowledged(id).is_ok_and(|left| left > 0)
}

fn fcntl(host: &mut Host, args: &Args<'_>) -> Result<i64> {
    let socket = host.socket(args.int(0)?)?;
    match args.int(1)? as i32 {
        libc::F_GETFL => {
            args.count(2)?;
            Ok(i64::from(libc::O_RDWR | if socket.nonblock { libc::O_NONBLOCK } else { 0 }))
        }
        libc::F_SETFL => {
            args.count(3)?;
            let flags = args.int(2)? as i32;
            refuse_flags(flags, libc::O_RDWR | libc::O_NONBLOCK)?;
            socket.nonblock = flags & libc::O_NONBLOCK != 0;
            Ok(0)
        }
        libc::F_GETFD => Ok(socket.cloexec.into()),
        libc::F_SETFD => {
            args.count(3)?;
            socket.cloexec = args.int(2)? & 1 != 0;
            Ok(0)
        }
        other => Err(Stop::Script(format!("fcntl() with {other} is not known"))),
    }
}

/// The value comes back in brackets: `ioctl(4, SIOCINQ, [1000]) = 0`.
fn ioctl(host: &mut Host, args: &mut Args<'_>) -> Result<i64> {
    const SIOCOUTQNSD: u64 = 0x894b;
    const SIOCATMARK: u64 = 0x8905;
    args.count(3)?;
    let now = host.now;
    let Socket { id, protocol, .. } = *host.socket(args.int(0)?)?;
    let value = match args.int(1)? as u64 {
        libc::FIONREAD => host.stack.readable(id)?,
        libc::TIOCOUTQ => host.stack.unacknowledged(id)?,
        SIOCOUTQNSD if protocol == Protocol::Tcp => host.stack.tcp_info(id, now)?.notsent_bytes as usize,
        SIOCATMARK if protocol == Protocol::Tcp => host.stack.is_at_mark(id)?.into(),
        libc::FIONBIO => {
            let on = match &args.given[2] {
                Expr::List(items) => matches!(items.as_slice(), [Expr::Int(on, _)] if *on != 0),
                _ => return Err(Stop::Script("FIONBIO takes [0] or [1]".into())),
            };
            host.socket(args.int(0)?)?.nonblock = on;
            return Ok(0);
        }
        _ => return Err(Error::NotTty.into()),
    };
    if args.given[2] != Expr::Any {
        args.given[2] = Expr::List(vec![Expr::int(value as i64)]);
    }
    Ok(0)
}
