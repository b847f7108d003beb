//! A pair of devices in memory, each sending to the other: for tests, in virtual time or between threads.

use super::{Device, segment};
use crate::{
    buf::{Frame, Packet, RxMeta},
    stack::Capabilities,
    time::Instant,
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

/// Frames that wait to be received at most, per direction; more are dropped.
const ROOM: usize = 16_384;

/// One end of the pair.
pub struct Link {
    capabilities: Capabilities,
    peer: Capabilities,
    sent: Arc<Queue>,
    received: Arc<Queue>,
    cable: Arc<Cable>,
}

#[derive(Default)]
struct Cable {
    is_down: AtomicBool,
    is_gone: AtomicBool,
}

struct Queue {
    packets: Mutex<VecDeque<Packet>>,
    /// Both ends of a socket pair that holds one byte while `packets` has some, so that it can be polled for.
    bell: Option<(UnixStream, UnixStream)>,
}

impl Queue {
    fn new(bell: Option<(UnixStream, UnixStream)>) -> Arc<Self> {
        Arc::new(Self { packets: Mutex::default(), bell })
    }

    fn push(&self, packet: Packet) -> io::Result<()> {
        let mut packets = self.packets.lock();
        if packets.len() >= ROOM {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        packets.push_back(packet);
        if packets.len() == 1 {
            self.ring()?;
        }
        Ok(())
    }

    fn ring(&self) -> io::Result<()> {
        self.bell.as_ref().map_or(Ok(()), |(tx, _)| io::Write::write_all(&mut &*tx, &[1]))
    }

    fn pop(&self) -> io::Result<Option<Packet>> {
        let mut packets = self.packets.lock();
        let packet = packets.pop_front();
        if let (true, Some((_, rx))) = (packet.is_some() && packets.is_empty(), &self.bell) {
            io::Read::read_exact(&mut &*rx, &mut [0])?;
        }
        Ok(packet)
    }
}

impl Link {
    /// Two ends with `a`'s and `b`'s capabilities. Frames cross as they are if both ends can take them so; otherwise
    /// they are split and their checksums finished on the way. There is no descriptor to poll.
    pub fn pair(a: Capabilities, b: Capabilities) -> (Self, Self) {
        Self::with_queues(a, b, Queue::new(None), Queue::new(None))
    }

    /// The same with descriptors to poll.
    ///
    /// # Errors
    /// Out of descriptors.
    pub fn polled_pair(a: Capabilities, b: Capabilities) -> io::Result<(Self, Self)> {
        let (to_a, to_b) = (Queue::new(Some(UnixStream::pair()?)), Queue::new(Some(UnixStream::pair()?)));
        Ok(Self::with_queues(a, b, to_a, to_b))
    }

    fn with_queues(a: Capabilities, b: Capabilities, to_a: Arc<Queue>, to_b: Arc<Queue>) -> (Self, Self) {
        let cable = Arc::new(Cable::default());
        let (sent, received, shared) = (Arc::clone(&to_a), Arc::clone(&to_b), Arc::clone(&cable));
        (
            Self { capabilities: a, peer: b, sent: to_b, received: to_a, cable },
            Self { capabilities: b, peer: a, sent, received, cable: shared },
        )
    }

    /// Sets both ends up or down. What is sent while they are down is refused.
    pub fn set_up(&self, up: bool) {
        self.cable.is_down.store(!up, SeqCst);
    }

    /// Both ends are gone for good.
    pub fn unplug(&self) {
        self.cable.is_gone.store(true, SeqCst);
        // Whoever polls has to come and see.
        let _ = self.sent.ring().and_then(|()| self.received.ring());
    }

    fn check(&self) -> io::Result<()> {
        if self.cable.is_gone.load(SeqCst) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the link was unplugged"));
        }
        Ok(())
    }

    fn deliver(&self, frame: &mut Frame) -> io::Result<()> {
        let is_partial = frame.partial_checksum().is_some();
        let checksum_ok = is_partial && self.capabilities.tx_checksum && self.peer.tx_checksum;
        if is_partial && !checksum_ok {
            segment::complete(frame);
        }
        let mut packet = Packet::copy_from(&frame.to_vec());
        packet.meta = RxMeta { checksum_ok, gso_size: frame.gso.map_or(0, |gso| gso.size), ..RxMeta::default() };
        self.sent.push(packet)
    }
}

impl Device for Link {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn recv(&self, _now: Instant) -> io::Result<Option<Packet>> {
        self.check()?;
        self.received.pop()
    }

    fn send(&self, frame: &Frame, _now: Instant) -> io::Result<()> {
        self.check()?;
        if !self.is_up() {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        let is_offloading = |end: &Capabilities| end.max_frame > end.mtu;
        let is_taken_whole = |tcp| tcp && is_offloading(&self.capabilities) && is_offloading(&self.peer);
        if frame.gso.is_none_or(|gso| is_taken_whole(gso.tcp)) {
            return self.deliver(&mut frame.clone());
        }
        segment::split(frame, self.capabilities.medium, &mut |segment| self.deliver(segment))
    }

    fn poll_fd(&self) -> Option<RawFd> {
        self.received.bell.as_ref().map(|(_, rx)| rx.as_raw_fd())
    }

    fn is_up(&self) -> bool {
        !self.cable.is_down.load(SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{buf::Gso, stack::Medium};

    const PLAIN: Capabilities = Capabilities { medium: Medium::Ip, mtu: 1500, max_frame: 1500, tx_checksum: false };
    const OFFLOAD: Capabilities = Capabilities { max_frame: 65_535, tx_checksum: true, ..PLAIN };
    const NOW: Instant = Instant::ZERO;

    fn super_frame() -> Frame {
        let mut frame = Frame::new();
        frame.append(20)[12] = 0x50;
        frame.set_partial_checksum(16);
        let ip = frame.prepend(20);
        (ip[0], ip[9]) = (0x45, 6);
        frame.push_bytes(&[7; 3000]);
        frame.gso = Some(Gso { size: 1460, tcp: true, ipv6: false });
        frame
    }

    fn received(link: &Link) -> Vec<(usize, bool, u16)> {
        std::iter::from_fn(|| link.recv(NOW).unwrap())
            .map(|packet| (packet.len(), packet.meta.checksum_ok, packet.meta.gso_size))
            .collect()
    }

    #[test]
    fn super_frames_cross_whole_only_between_ends_that_both_take_them() {
        let (a, b) = Link::pair(OFFLOAD, OFFLOAD);
        a.send(&super_frame(), NOW).unwrap();
        assert_eq!(received(&b), [(3040, true, 1460)]);
        for (a, b) in [(OFFLOAD, PLAIN), (PLAIN, OFFLOAD), (PLAIN, PLAIN)] {
            let (a, b) = Link::pair(a, b);
            a.send(&super_frame(), NOW).unwrap();
            assert_eq!(received(&b), [(1500, false, 0), (1500, false, 0), (120, false, 0)]);
            assert_eq!(received(&a), []);
        }
    }

    #[test]
    fn the_descriptor_is_readable_while_there_are_frames() {
        let (a, b) = Link::polled_pair(PLAIN, PLAIN).unwrap();
        let mut bell = b.received.bell.as_ref().map(|(_, rx)| rx).unwrap();
        bell.set_nonblocking(true).unwrap();
        let mut is_readable = || match io::Read::read(&mut bell, &mut [0]) {
            Ok(_) => b.received.ring().is_ok(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        let mut frame = Frame::new();
        frame.append(20);
        assert!(!is_readable());
        a.send(&frame, NOW).unwrap();
        a.send(&frame, NOW).unwrap();
        assert!(is_readable());
        b.recv(NOW).unwrap();
        assert!(is_readable());
        b.recv(NOW).unwrap();
        assert!(!is_readable());
    }

    #[test]
    fn a_link_that_is_down_refuses_and_an_unplugged_one_is_gone() {
        let (a, b) = Link::pair(PLAIN, PLAIN);
        a.set_up(false);
        assert_eq!(b.send(&Frame::new(), NOW).unwrap_err().raw_os_error(), Some(libc::EIO));
        assert!(b.recv(NOW).unwrap().is_none());
        a.set_up(true);
        b.send(&Frame::new(), NOW).unwrap();
        a.unplug();
        assert_eq!(b.recv(NOW).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
