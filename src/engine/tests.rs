//! Frames that come without an end: whoever waits is told of everything else all the same.

use super::{Engine, Woke, now, port::Port, wait};
use crate::{
    addr::Endpoint,
    buf::{Frame, Packet},
    device::Device,
    error::Error,
    ready::Ready,
    stack::{Capabilities, Config, Family, Medium, Protocol, SendTo},
    sys::event::Event,
    tcp::{RecvFlags, SendFlags},
    time::{Duration, Instant},
    wire::checksum,
};
use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::RawFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

/// Frames of a flood: it ends, lest a test go on for ever that fails.
const FLOOD: usize = 20_000_000;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A device that has a frame whenever it is asked.
struct Flood {
    ready: Event,
    /// The frame that comes when so many are left.
    frame: fn(usize) -> Packet,
    left: AtomicUsize,
    sent: AtomicUsize,
}

impl Flood {
    fn new(frame: fn(usize) -> Packet) -> Arc<Self> {
        let ready = Event::new().unwrap();
        ready.signal();
        Arc::new(Self { ready, frame, left: AtomicUsize::new(FLOOD), sent: AtomicUsize::new(0) })
    }

    /// Frames that were read.
    fn read(&self) -> usize {
        FLOOD - self.left.load(SeqCst)
    }
}

impl Device for Flood {
    fn capabilities(&self) -> Capabilities {
        Capabilities { medium: Medium::Ethernet, mtu: 1500, max_frame: 65_535, tx_checksum: true }
    }

    fn recv(&self, _now: Instant) -> io::Result<Option<Packet>> {
        let left = self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        Ok(left.ok().map(self.frame))
    }

    fn send(&self, _frame: &Frame, _now: Instant) -> io::Result<()> {
        self.sent.fetch_add(1, SeqCst);
        Ok(())
    }

    fn poll_fd(&self) -> Option<RawFd> {
        Some(self.ready.fd())
    }

    /// Its addresses are not probed for.
    fn is_up(&self) -> bool {
        false
    }
}

/// A frame for nobody.
fn stray(_left: usize) -> Packet {
    Packet::copy_from(&[0; 5000])
}

/// A datagram for port 7, and one in a thousand for port 8.
fn datagram(left: usize) -> Packet {
    let port = if left.is_multiple_of(1000) { 8 } else { 7 };
    let mut ip = [0x45, 0, 0, 29, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1];
    let sum = !checksum::fold(checksum::add(0, &ip));
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    // From port 9, without a checksum.
    let udp = [0, 9, 0, port, 0, 9, 0, 0, b'x'];
    Packet::copy_from(&[&MAC[..], &[2, 0, 0, 0, 0, 9, 8, 0], &ip, &udp].concat())
}

fn flooded(frame: fn(usize) -> Packet) -> (Arc<Flood>, &'static Engine) {
    let device = Flood::new(frame);
    let config = Config::parse("tap:flood,ip=10.0.0.1/24,mac=02:00:00:00:00:01").unwrap();
    let limits = Engine::limits(&config);
    let engine = Engine::start(config, limits, Some(Box::new(Arc::clone(&device))), Some(Duration::ZERO));
    (device, engine.unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn a_flood_hides_no_other_descriptor() {
    let (device, engine) = flooded(stray);
    let other = Event::new().unwrap();
    other.signal();
    let read_meanwhile = (0..10).map(|_| {
        let before = device.read();
        let mut extra = [libc::pollfd { fd: other.fd(), events: libc::POLLIN, revents: 0 }];
        assert_eq!(wait(&[engine], &mut extra, None, None), Woke::Changed);
        assert_eq!(extra[0].revents, libc::POLLIN);
        device.read() - before
    });
    // Sixteen reads of eight frames, and what the stack's own thread reads while this one is kept from running: not
    // each time.
    let least = read_meanwhile.min().unwrap();
    assert!(least < 2000, "{least}");
    engine.free(Duration::ZERO);
}

#[test]
fn a_flood_does_not_stop_time() {
    let (device, engine) = flooded(stray);
    let began = now();
    let until = || Some(now() + Duration::from_millis(50));
    assert_eq!(wait(&[engine], &mut [], until(), None), Woke::TimedOut);
    let socket = engine.with(|stack, _| stack.open(Family::V4, Protocol::Udp)).unwrap();
    let received = engine.block_on(socket, Ready::IN, until(), |stack, now| {
        stack.recv(socket, &mut [IoSliceMut::new(&mut [0])], RecvFlags::default(), now)
    });
    assert_eq!(received.map(|received| received.len), Err(Error::WouldBlock));
    // A neighbour that does not answer is asked again after a second.
    let to = SendTo { dest: Some(Endpoint::new("10.0.0.9".parse().unwrap(), 9)), ..SendTo::default() };
    let data = [IoSlice::new(b"hello")];
    engine.with(|stack, now| stack.send(socket, &data, &to, SendFlags::default(), now)).unwrap();
    wait(&[engine], &mut [], Some(now() + Duration::from_millis(1200)), None);
    assert_eq!(device.sent.load(SeqCst), 2);
    assert!(device.read() < FLOOD, "the flood ended after {:?}", now().since(began));
    engine.free(Duration::ZERO);
}

#[test]
fn a_flood_of_datagrams_for_one_socket_lets_another_have_its_own() {
    let (device, engine) = flooded(datagram);
    let bound = |port| {
        engine.with(|stack, now| {
            let socket = stack.open(Family::V4, Protocol::Udp).unwrap();
            stack.bind(socket, Endpoint::new("10.0.0.1".parse().unwrap(), port), now).unwrap();
            socket
        })
    };
    let (_flooded, other) = (bound(7), bound(8));
    let read_meanwhile = (0..20).map(|_| {
        let before = device.read();
        let until = Some(now() + Duration::from_secs(20));
        let received = engine.block_on(other, Ready::IN, until, |stack, now| {
            stack.recv(other, &mut [IoSliceMut::new(&mut [0])], RecvFlags::default(), now)
        });
        assert_eq!(received.map(|received| received.len), Ok(1));
        device.read() - before
    });
    // The thousand before it, and what the stack's own thread reads while this one is kept from running: not each time.
    let least = read_meanwhile.min().unwrap();
    assert!(least < 4000, "{least}");
    engine.free(Duration::ZERO);
}

#[test]
fn who_sends_for_others_does_so_for_a_while_and_the_rest_is_due_at_once() {
    let device = Flood::new(stray);
    let port = Port::new(Box::new(Arc::clone(&device)));
    let mut count = 3000;
    let frames = || {
        count -= 1;
        (count >= 0).then(Frame::new)
    };
    port.enqueue(usize::MAX, frames);
    let sent = || device.sent.load(SeqCst);
    assert_eq!(port.deadline(), None);
    port.flush(Instant::ZERO);
    assert_eq!((sent(), port.deadline(), port.is_due(Instant::ZERO)), (1024, Some(Instant::ZERO), true));
    port.on_timer(Instant::ZERO);
    assert_eq!((sent(), port.is_due(Instant::ZERO)), (2048, true));
    port.enqueue(1, || Some(Frame::new()));
    port.on_timer(Instant::ZERO);
    assert_eq!((sent(), port.deadline()), (3001, None));
}
