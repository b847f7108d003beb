//! What a host says of one socket to an operator who asks ([`Op::Sockets`]).
//!
//! [`Op::Sockets`]: crate::format::Op::Sockets

use crate::{
    address::Address,
    format::{DATA, Data, Fault, Reader, Writer},
};

const MAGIC: [u8; 4] = *b"SkyS";

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// IPPROTO_TCP or IPPROTO_UDP.
    pub protocol: u16,
    /// IPV6_V6ONLY: `::` is then no address of IPv4's.
    pub is_v6only: bool,
    /// Its state, as in `struct tcp_info`.
    pub state: i32,
    /// The inode of the programs' end of a socket that is only bound, or listens; else 0.
    pub own: u32,
    /// The inode of the host's end, whose peer is the programs'; else 0.
    pub end: u32,
    /// As in the column Recv-Q of ss(8).
    pub recv_queue: u32,
    /// As in the column Send-Q of ss(8).
    pub send_queue: u32,
    /// This end.
    pub local: Address,
    /// The far end, or [`Address::NONE`].
    pub remote: Address,
    /// The name of the congestion control, with zeros behind it.
    pub congestion: [u8; 16],
    /// `struct tcp_info` of a connection.
    pub info: Data,
}

impl Report {
    /// The bytes of a report.
    pub const SIZE: usize = 4 + 2 + 2 + 1 + 5 * 4 + 2 * Address::SIZE + 16 + 2 + DATA;

    /// The bytes to send.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        let mut out = Writer::open(&mut bytes, MAGIC);
        out.put(&self.protocol.to_le_bytes());
        out.put(&[self.is_v6only.into()]);
        out.put(&self.state.to_le_bytes());
        out.put(&self.own.to_le_bytes());
        out.put(&self.end.to_le_bytes());
        out.put(&self.recv_queue.to_le_bytes());
        out.put(&self.send_queue.to_le_bytes());
        out.put(&self.local.to_bytes());
        out.put(&self.remote.to_bytes());
        out.put(&self.congestion);
        out.put_data(&self.info);
        bytes
    }

    /// Reads what was received.
    ///
    /// # Errors
    ///
    /// What [`Fault`] says; [`Fault::Foreign`] for the response that ends an answer.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        let mut input = Reader::open(bytes, MAGIC, Self::SIZE)?;
        Ok(Self {
            protocol: input.u16()?,
            is_v6only: input.take::<1>()? != [0],
            state: input.i32()?,
            own: input.u32()?,
            end: input.u32()?,
            recv_queue: input.u32()?,
            send_queue: input.u32()?,
            local: input.address()?,
            remote: input.address()?,
            congestion: input.take()?,
            info: input.data()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_gives_back_what_was_put_in() {
        let report = Report {
            protocol: 6,
            is_v6only: true,
            state: 1,
            own: 77 << 20,
            end: 5,
            recv_queue: 3,
            send_queue: u32::MAX,
            local: Address::v4([10, 0, 0, 1], 80),
            remote: Address::v6([7; 16], 9),
            congestion: *b"reno\0\0\0\0\0\0\0\0\0\0\0\0",
            info: Data::of(&[5; 280]).expect("it fits"),
        };
        let bytes = report.to_bytes();
        assert_eq!(Report::from_bytes(&bytes), Ok(report));
        assert_eq!(Report::from_bytes(&bytes[..Report::SIZE - 1]), Err(Fault::Malformed));
        assert_eq!(Report::from_bytes(b"SkyR\x01\x00"), Err(Fault::Foreign));
    }
}
