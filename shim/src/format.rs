//! What a program and its host say to each other. All integers are little-endian; sizes are fixed.
//!
//! **Control.** A program connects to the secret path ([`crate::path`]), or where it does not see that to
//! `sockeye/STACK/ctl` (both SEQPACKET), sends one [`Request`], receives one [`Response`] and closes. A request with
//! [`NO_REPLY`] is closed at once: the host reads it all the same, and its answer may meet EPIPE. Before the host takes
//! bytes that arrived on a stream, it serves every request that is waiting: options set before a write then hold for
//! it.
//!
//! **Lending.** A request about a socket carries that very file (SCM_RIGHTS), an AF_UNIX socket of the program's. Who
//! has it may ask about it and about nothing else; there is no other way to say which socket is meant. The host knows
//! those that programs have made by SO_COOKIE, and those that the kernel made when a program accepted by the peer's
//! credentials, which are the host's own, together with the name of the other end ([`Meaning::Accepted`]). It does what
//! is asked with that file and closes it again: binding it, having it listen, connecting it to an end of its own.
//! Nothing takes the place of the program's descriptor, so that all its duplicates are what it is. Whatever the file is
//! bound or connected to has its path in a directory that only the host can enter.
//!
//! **Connecting.** For [`Op::Connect`] the host connects the file to an end of its own and sends zeros through it, more
//! than a quarter of its send buffer, so that it polls neither IN nor OUT. On success the host reads them at its end,
//! all but the last, and the program's end polls OUT; the bytes after that are the connection's. On failure the host
//! closes with those bytes unread (ERR and HUP at the program's end) and answers [`Op::Result`] with the reason.
//!
//! **Accepting.** The host has the program's file listen; for each connection it binds an end to [`Meaning::Accepted`]
//! and connects it there. The program takes nothing that is not of the user who had its file listen (SO_PEERCRED).
//!
//! **Datagrams.** [`Op::Datagram`] has the host connect the program's file and an end of its own to each other. Each
//! datagram starts with a [`DatagramHeader`], whether the socket has a peer or not: connect() then leaves what is
//! queued as it is, and a socket with a peer can send elsewhere. One without a header is taken as written by a function
//! of libc that was not asked: it goes to the peer. An error is ECONNRESET at the program's end (the host's end lets go
//! of it with a byte unread), and the reason is asked for as SO_ERROR.
//!
//! [`Meaning::Accepted`]: crate::name::Meaning::Accepted

use crate::address::Address;

/// The version of everything here and of [`crate::name`]; both sides must have the same.
pub const VERSION: u16 = 4;

/// Proves that a program may use a stack: 128 random bits, 32 hexadecimal digits in `SOCKEYE_TOKEN`.
///
/// All zeros is "none known": the host then looks at SO_PEERCRED and takes a program of its own uid, or root's.
pub type Token = [u8; 16];

/// Reads a token as the environment has it.
pub fn token_from_text(text: &[u8]) -> Option<Token> {
    let text: &[u8; 32] = text.try_into().ok()?;
    let mut token = [0; 16];
    for (two, byte) in text.chunks_exact(2).zip(&mut token) {
        let digit = |at: usize| (two[at] as char).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(token)
}

/// Writes a token as the environment has it.
pub fn token_to_text(token: &Token) -> [u8; 32] {
    let mut text = [0; 32];
    for (byte, two) in token.iter().zip(text.chunks_exact_mut(2)) {
        two[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        two[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    text
}

/// Why bytes are no message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Too short, or not beginning with the magic number.
    Foreign,
    /// Of another version, given here. The other fields are not read.
    Version(u16),
    /// An operation that does not exist, or a length beyond the data's end.
    Malformed,
}

/// What is asked of the host. The comment says which fields count and what is answered; "a socket" is one that is lent
/// with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Op {
    /// Whether the host is there, and whether its stack is the one that is meant: the request may be followed, in the
    /// same packet, by up to [`MEANT`] bytes: the network specification, or nothing, and, each after a NUL, those of
    /// `SOCKEYE_LINK=...`, `SOCKEYE_PCAP=...`, `SOCKEYE_LOG=...` and `SOCKEYE_CC=...` that are set. Answer: `data` is
    /// the stack's [`Token`] (16 bytes). EINVAL: the stack is another, has no such congestion control, or no network
    /// any more, and `data` says so in a line for the user.
    Join = 1,
    /// A socket, `flags`, `address`: reserve the address, port 0 for any, and give the socket's file the path that says
    /// so. A second time: EINVAL. Answer: `local`.
    Bind = 2,
    /// A socket, `value` the backlog: its file listens from now on. Again for another backlog. EINVAL if not bound.
    Listen = 3,
    /// A socket: how did connect() end? Answer: EINPROGRESS while it lasts, else 0 with `local` and `remote`, else why
    /// it failed. The host keeps the reason of a failure for some time after it has closed its end.
    Result = 4,
    /// A socket: answer `local` and `remote`; `remote` is [`Address::NONE`] without a peer. ENOENT: it is not known.
    Names = 5,
    /// A socket, `level`, `name`, `data`: setsockopt(2). For one that is not known the host keeps the option until the
    /// socket binds, connects or is closed. Mostly sent with [`NO_REPLY`].
    SetOption = 6,
    /// A socket, `level`, `name`, `value` the room for it: getsockopt(2), TCP_INFO too. Answer: `data`.
    GetOption = 7,
    /// A socket, `flags`, `address`: connect to it. Answer: `local` and `remote`, once the socket's file shows that the
    /// connection is being made, or why it cannot be.
    Connect = 8,
    /// `data` a host's name, `value` AF_INET, AF_INET6, or 0 for those that the stack speaks. Answer: `data`, one byte
    /// that counts the addresses, [`Address::SIZE`] bytes for each (port 0), best first, as many as fit; then the name
    /// itself, if the one given is an alias. ENOENT: no such name; ENODATA: it has no such address; EAGAIN: no server
    /// can say.
    Resolve = 9,
    /// A socket, `flags`, and with `value` 1 the `address` to bind to: make the host's end of a datagram socket, if
    /// there is none, and connect both. Answer: `local`; `data` is a byte that is 1 if there is a route to every
    /// unicast address.
    Datagram = 10,
    /// A socket, `address`: with `value` [`ASSOCIATE`] connect(2) of a datagram socket, with [`DISSOLVE`] no peer any
    /// more, with [`CHECK`] nothing but whether a datagram may be sent there. Answer: `local`.
    Associate = 11,
    /// `address`: which host has it? Answer: `data`, its name. Errors as [`Op::Resolve`].
    Reverse = 12,
    /// Which interfaces are there? Answer: `data`, see [`crate::interface`].
    Interfaces = 13,
    /// A socket: the program is about to close a descriptor of a connection with SO_LINGER set, and sends another
    /// packet when it has. Has the peer acknowledged all? The answer comes when it has, when `value` seconds are over,
    /// when the connection is, or at once if other descriptors of it are open.
    Linger = 14,
    /// A socket: ioctl(2) of a connection, `value` SIOCOUTQ or SIOCOUTQNSD. Answer: `data`, the number (4 bytes).
    Queued = 15,
    /// A second packet on the same connection carries a descriptor (SCM_RIGHTS) that hangs up when a tree of programs
    /// has ended: the host lives as long. See [`crate::fence`]. Answer: nothing; EINVAL if the descriptor cannot be
    /// watched, or if the stack has no network any more, as `data` says in a line for the user.
    Tree = 16,
    /// For programs behind the fence, where no host can be born: the host is to start another one. In the same packet
    /// up to [`MEANT`] bytes follow the request: folder, network specification and name of the stack, each ended by a
    /// NUL, and those of `SOCKEYE_LINK=...`, `SOCKEYE_PCAP=...` and `SOCKEYE_LOG=...` that are set, ended likewise. A
    /// second packet carries a descriptor (SCM_RIGHTS), to which the new host says why it does not come up. Its token
    /// is the request's. Answer: nothing; EPERM to a user who is neither root nor the host's own.
    Start = 17,
    /// The token, before anything else, from who comes by the public name and has a descriptor to send: the host takes
    /// none there before. The request is the next packet of the same connection. Answer: nothing.
    Show = 18,
    /// Two sockets: the second takes the place of the first, which cannot connect again, and has its address and
    /// options from now on. Answer: nothing.
    Succeed = 19,
    /// `from` 0, or what the last answer said: which sockets there are. Answer: several packets, each a
    /// [`crate::report::Report`] or, the last, a response with `from` for the next request in `data` (8 bytes, 0: there
    /// are no more).
    Sockets = 32,
    /// The host is to end: connections are reset. Answer: `data`, how many processes used it and how many connections
    /// were open (4 bytes each).
    Stop = 33,
    /// `from` 0, or what the last answer said: what the stack has counted. Answer: `data`, `from` for the next request
    /// (8 bytes, 0: there are no more), and for each counter its value, its value when it was marked last (8 bytes
    /// each), the length of its name (1 byte) and its name. With `value` 1 the end of the answer marks all.
    Counters = 34,
    /// `from` 0, or what the last answer said: what the stack is. Answer: `data`, `from` for the next request (8 bytes,
    /// 0: there is no more), and the next piece of a text of lines, each a key, `=` and a value: `home`, which is
    /// `host`, or `process` for a stack that one process alone uses, `pid`, `age` in
    /// seconds, `programs`, `sockets`, `device`, `addresses` with a blank between them, `net` the specification, and
    /// `lost`, if it has no network any more: why.
    Describe = 35,
    /// `from` 0, or what the last answer said: the log's last lines. Answer: `data`, `from` for the next request (8
    /// bytes), and the text before it, in UTF-8 as a whole; none where there is no more yet. Text that is asked for and
    /// gone is passed over.
    Log = 36,
}

impl Op {
    const ALL: [Self; 24] = [
        Self::Join,
        Self::Bind,
        Self::Listen,
        Self::Result,
        Self::Names,
        Self::SetOption,
        Self::GetOption,
        Self::Connect,
        Self::Resolve,
        Self::Datagram,
        Self::Associate,
        Self::Reverse,
        Self::Interfaces,
        Self::Linger,
        Self::Queued,
        Self::Tree,
        Self::Start,
        Self::Show,
        Self::Succeed,
        Self::Sockets,
        Self::Stop,
        Self::Counters,
        Self::Describe,
        Self::Log,
    ];

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|&op| op as u16 == number)
    }
}

/// A value of [`Op::Queued`]: what the peer has not acknowledged.
pub const SIOCOUTQ: i32 = 0x5411;
/// A value of [`Op::Queued`]: what was not sent.
pub const SIOCOUTQNSD: i32 = 0x894b;

/// A value of [`Op::Associate`]: the address becomes the peer.
pub const ASSOCIATE: i32 = 0;
/// A value of [`Op::Associate`]: there is no peer any more.
pub const DISSOLVE: i32 = 1;
/// A value of [`Op::Associate`]: may a datagram be sent to the address?
pub const CHECK: i32 = 2;

/// A flag of a request: nobody waits for the response.
pub const NO_REPLY: u32 = 1 << 31;
/// A flag of a request: SO_REUSEADDR is set. The flags below 1 << 12 are those of [`crate::tag::Tag`].
pub const REUSEADDR: u32 = 1 << 16;
/// A flag of a request: SO_KEEPALIVE is set.
pub const KEEPALIVE: u32 = 1 << 17;

/// How much data a request or a response has room for; `struct tcp_info` and a host's name fit.
pub const DATA: usize = 288;

/// The variables that fill a network specification where it is silent.
pub const FILLERS: [&str; 3] = ["SOCKEYE_LINK", "SOCKEYE_PCAP", "SOCKEYE_LOG"];

/// How much text may follow an [`Op::Join`] or [`Op::Start`].
pub const MEANT: usize = 2048;

/// Data of a length up to [`DATA`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    bytes: [u8; DATA],
    len: u16,
}

impl Data {
    /// Nothing.
    pub const NONE: Self = Self { bytes: [0; DATA], len: 0 };

    /// These bytes; `None` if there are more than [`DATA`].
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let mut data = Self::NONE;
        data.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        data.len = u16::try_from(bytes.len()).ok()?;
        Some(data)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// What a program asks its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub op: Op,
    /// Proof that the program may ask.
    pub token: Token,
    /// Where to go on, for those who ask what there is: see [`Op::Sockets`].
    pub from: u64,
    /// The tag's flags in the low bits, and [`NO_REPLY`], [`REUSEADDR`], [`KEEPALIVE`].
    pub flags: u32,
    /// An option's level, as in setsockopt(2).
    pub level: i32,
    /// An option's name, as in setsockopt(2).
    pub name: i32,
    /// A number that depends on `op`.
    pub value: i32,
    /// An address, or [`Address::NONE`].
    pub address: Address,
    /// Data that depends on `op`.
    pub data: Data,
}

const REQUEST_MAGIC: [u8; 4] = *b"SkyQ";
const RESPONSE_MAGIC: [u8; 4] = *b"SkyR";

impl Request {
    /// The bytes of a request.
    pub const SIZE: usize = 4 + 2 + 2 + 16 + 8 + 4 * 4 + Address::SIZE + 2 + DATA;

    /// A request without anything in it.
    pub const fn new(op: Op, token: Token) -> Self {
        let (address, data) = (Address::NONE, Data::NONE);
        Self { op, token, from: 0, flags: 0, level: 0, name: 0, value: 0, address, data }
    }

    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut out = Writer(&mut bytes);
        out.put(&REQUEST_MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&(self.op as u16).to_le_bytes());
        out.put(&self.token);
        out.put(&self.from.to_le_bytes());
        out.put(&self.flags.to_le_bytes());
        for number in [self.level, self.name, self.value] {
            out.put(&number.to_le_bytes());
        }
        out.put(&self.address.to_bytes());
        out.put(&self.data.len.to_le_bytes());
        out.put(&self.data.bytes);
        bytes
    }

    /// Reads what was received; the token is not looked at.
    ///
    /// # Errors
    ///
    /// What [`Fault`] says; nothing can be answered to [`Fault::Foreign`], EPROTO to the others.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut input = Reader::open(bytes, REQUEST_MAGIC, Self::SIZE)?;
        let op = Op::from_number(input.u16()?).ok_or(Fault::Malformed)?;
        Ok(Self {
            op,
            token: input.take()?,
            from: input.u64()?,
            flags: input.u32()?,
            level: input.i32()?,
            name: input.i32()?,
            value: input.i32()?,
            address: input.address()?,
            data: input.data()?,
        })
    }
}

/// What the host answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// 0, or why it failed: an errno of Linux.
    pub errno: i32,
    /// The address at this end, where the operation has one.
    pub local: Address,
    /// The address at the far end, where the operation has one.
    pub remote: Address,
    /// Data that depends on the operation.
    pub data: Data,
}

impl Response {
    /// The bytes of a response.
    pub const SIZE: usize = 4 + 2 + 2 + 4 + 2 * Address::SIZE + 2 + DATA;

    /// An answer with nothing in it but 0 or an errno.
    pub const fn new(errno: i32) -> Self {
        Self { errno, local: Address::NONE, remote: Address::NONE, data: Data::NONE }
    }

    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut out = Writer(&mut bytes);
        out.put(&RESPONSE_MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&[0; 2]);
        out.put(&self.errno.to_le_bytes());
        out.put(&self.local.to_bytes());
        out.put(&self.remote.to_bytes());
        out.put(&self.data.len.to_le_bytes());
        out.put(&self.data.bytes);
        bytes
    }

    /// Reads what was received.
    ///
    /// # Errors
    ///
    /// What [`Fault`] says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut input = Reader::open(bytes, RESPONSE_MAGIC, Self::SIZE)?;
        input.u16()?;
        Ok(Self { errno: input.i32()?, local: input.address()?, remote: input.address()?, data: input.data()? })
    }
}

/// Stands before each datagram, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DatagramHeader {
    /// The far end: where it came from, or where it goes ([`Address::NONE`]: to the peer).
    pub peer: Address,
    /// This end: to which of our addresses it came; [`Address::NONE`] leaves the choice to the host.
    pub local: Address,
    /// The interface's index, 0 for any.
    pub interface: u16,
    /// Which of the other fields count, and what is asked of the host: the constants below.
    pub flags: u16,
    /// Time to live.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
}

const DATAGRAM_MAGIC: [u8; 8] = *b"\x89SkyD\r\n\x1a";

impl DatagramHeader {
    /// The bytes of a header.
    pub const SIZE: usize = 8 + 2 + 2 + 2 + 1 + 1 + 2 * Address::SIZE;
    /// To the host: more follows of this datagram (MSG_MORE).
    pub const MORE: u16 = 1 << 0;
    /// `ttl` is to be used, or the program asked for it (IP_RECVTTL).
    pub const TTL: u16 = 1 << 1;
    /// `tos` is to be used, or the program asked for it (IP_RECVTOS).
    pub const TOS: u16 = 1 << 2;
    /// To the program: it asked for `local` and `interface` (IP_PKTINFO).
    pub const PKTINFO: u16 = 1 << 3;
    /// To the host: not by a gateway (MSG_DONTROUTE).
    pub const DONTROUTE: u16 = 1 << 4;

    /// A header that says nothing.
    pub const NONE: Self = Self { peer: Address::NONE, local: Address::NONE, interface: 0, flags: 0, ttl: 0, tos: 0 };

    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut out = Writer(&mut bytes);
        out.put(&DATAGRAM_MAGIC);
        out.put(&VERSION.to_le_bytes());
        out.put(&self.interface.to_le_bytes());
        out.put(&self.flags.to_le_bytes());
        out.put(&[self.ttl, self.tos]);
        out.put(&self.peer.to_bytes());
        out.put(&self.local.to_bytes());
        bytes
    }

    /// Reads the first [`DatagramHeader::SIZE`] bytes of a datagram; what follows is its payload.
    ///
    /// # Errors
    ///
    /// What [`Fault`] says.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut input = Reader(bytes);
        if input.take::<8>().map_err(|_| Fault::Foreign)? != DATAGRAM_MAGIC {
            return Err(Fault::Foreign);
        }
        match input.u16()? {
            VERSION => {}
            other => return Err(Fault::Version(other)),
        }
        let (interface, flags) = (input.u16()?, input.u16()?);
        let [ttl, tos] = input.take()?;
        Ok(Self { interface, flags, ttl, tos, peer: input.address()?, local: input.address()? })
    }
}

/// Fills a buffer from the front. The sizes above are sums of what is put, and the tests fill each of them.
pub(crate) struct Writer<'a>(&'a mut [u8]);

impl<'a> Writer<'a> {
    /// Begins with magic number and version.
    pub(crate) fn open(bytes: &'a mut [u8], magic: [u8; 4]) -> Self {
        let mut out = Self(bytes);
        out.put(&magic);
        out.put(&VERSION.to_le_bytes());
        out
    }

    pub(crate) fn put_data(&mut self, data: &Data) {
        self.put(&data.len.to_le_bytes());
        self.put(&data.bytes);
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let buffer = core::mem::take(&mut self.0);
        if let Some((room, rest)) = buffer.split_at_mut_checked(bytes.len()) {
            room.copy_from_slice(bytes);
            self.0 = rest;
        }
    }
}

/// Takes a message apart from the front.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Without any of that.
    pub(crate) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Checks size, magic number and version.
    pub(crate) fn open(bytes: &'a [u8], magic: [u8; 4], size: usize) -> Result<Self, Fault> {
        let mut input = Self(bytes);
        if input.take::<4>().map_err(|_| Fault::Foreign)? != magic {
            return Err(Fault::Foreign);
        }
        match input.u16().map_err(|_| Fault::Foreign)? {
            VERSION if bytes.len() >= size => Ok(input),
            VERSION => Err(Fault::Malformed),
            other => Err(Fault::Version(other)),
        }
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Fault> {
        self.take().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Fault> {
        self.take().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Fault> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Fault> {
        self.take().map(i32::from_le_bytes)
    }

    pub(crate) fn address(&mut self) -> Result<Address, Fault> {
        self.take().map(|bytes| Address::from_bytes(&bytes))
    }

    pub(crate) fn data(&mut self) -> Result<Data, Fault> {
        let len = self.u16()?;
        let bytes = self.take()?;
        if usize::from(len) > DATA { Err(Fault::Malformed) } else { Ok(Data { bytes, len }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Address = Address::v4([10, 97, 0, 2], 80);
    const THERE: Address = Address::v6([0xfd; 16], 65535);

    fn request() -> Request {
        let data = Data::of(&[7; DATA]).expect("it fits");
        let mut request = Request { address: HERE, data, from: u64::MAX - 1, ..Request::new(Op::SetOption, [9; 16]) };
        (request.flags, request.level, request.name, request.value) = (NO_REPLY | 3, -6, 13, i32::MIN);
        request
    }

    #[test]
    fn every_message_gives_back_what_was_put_in() {
        for op in Op::ALL {
            let request = Request { op, ..request() };
            assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
        let data = Data::of(b"cubic").expect("it fits");
        let response = Response { errno: 111, local: HERE, remote: THERE, data };
        assert_eq!(Response::from_bytes(&response.to_bytes()), Ok(response));
        let header = DatagramHeader { peer: HERE, local: THERE, interface: 9, flags: 5, ttl: 64, tos: 8 };
        assert_eq!(DatagramHeader::from_bytes(&header.to_bytes()), Ok(header));
    }

    #[test]
    fn bytes_cut_short_or_of_others_are_refused() {
        let bytes = request().to_bytes();
        for end in 0..bytes.len() {
            assert!(Request::from_bytes(&bytes[..end]).is_err(), "{end}");
        }
        assert_eq!(Response::from_bytes(&bytes), Err(Fault::Foreign));
        let mut other = bytes;
        other[4] = 9;
        assert_eq!(Request::from_bytes(&other[..6]), Err(Fault::Version(9)));
        let mut unknown = bytes;
        unknown[6..8].copy_from_slice(&999u16.to_le_bytes());
        assert_eq!(Request::from_bytes(&unknown), Err(Fault::Malformed));
        let mut long = bytes;
        let at = Request::SIZE - DATA - 2;
        long[at..at + 2].copy_from_slice(&(DATA as u16 + 1).to_le_bytes());
        assert_eq!(Request::from_bytes(&long), Err(Fault::Malformed));
    }

    #[test]
    fn a_token_is_32_digits() {
        let token = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xa0, 0xb0, 0xc0, 0xd0, 0xe0, 0xff];
        assert_eq!(token_from_text(&token_to_text(&token)), Some(token));
        assert_eq!(token_from_text(b"12"), None);
        assert_eq!(token_from_text(&[b'g'; 32]), None);
    }
}
