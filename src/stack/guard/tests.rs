//! Two stacks on a wire, one with connections whose congestion control panics, one way or another, beside one without a
//! mistake.

use crate::{
    addr::{Cidr, Endpoint},
    buf::Packet,
    error::Error,
    ready::Ready,
    rng::SeededRng,
    stack::{Capabilities, Config, Family, IfaceId, Medium, Protocol, SendTo, SocketId, Stack, config::Kind},
    tcp::{RecvFlags, SendFlags, State},
    time::{Duration, Instant},
    wire::checksum,
};
use std::io::{IoSlice, IoSliceMut};

const CAPABILITIES: Capabilities = Capabilities { medium: Medium::Ip, mtu: 1500, max_frame: 1500, tx_checksum: false };
const MS: Duration = Duration::from_millis(1);

struct Pair {
    a: Stack,
    b: Stack,
    now: Instant,
    /// What A sends is lost.
    is_cut: bool,
}

/// What one sends the other gets; whether there was something.
fn pass(from: &mut Stack, to: &mut Stack, lost: bool, now: Instant) -> bool {
    let mut passed = false;
    while let Some(mut frame) = from.poll_transmit(now) {
        checksum::finish(&mut frame);
        passed = true;
        if !lost {
            to.receive(IfaceId::DEVICE, Packet::copy_from(&frame.to_vec()), now);
        }
    }
    passed
}

fn stack(last: u8, now: Instant) -> Stack {
    let address = Cidr { addr: [10, 0, 0, last].into(), prefix: 24 };
    let config = Config { addresses: vec![address], offload: false, ..Config::new(Kind::Tun, "wire") };
    Stack::new(&config, Some(CAPABILITIES), Box::new(SeededRng::new([7, u64::from(last)])), now)
}

impl Pair {
    fn new() -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        Self { a: stack(1, now), b: stack(2, now), now, is_cut: false }
    }

    /// Lets frames pass until nobody has one more.
    fn pump(&mut self) {
        let Self { a, b, now, is_cut } = self;
        while pass(a, b, *is_cut, *now) | pass(b, a, false, *now) {}
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.a.next_deadline().into_iter().chain(self.b.next_deadline()).min()
            && next <= until
        {
            self.now = self.now.max(next);
            self.a.on_timer(self.now);
            self.b.on_timer(self.now);
            self.pump();
        }
        self.now = until;
    }

    /// Two connections from A to B: `algorithm` is that of the first.
    fn connected(&mut self, algorithm: &'static str) -> [(SocketId, SocketId); 2] {
        let listener = self.b.open(Family::V4, Protocol::Tcp).unwrap();
        self.b.bind(listener, Endpoint::new([10, 0, 0, 2].into(), 80), self.now).unwrap();
        self.b.listen(listener, 8, self.now).unwrap();
        let connections = [algorithm, "cubic"].map(|algorithm| {
            let client = self.a.open(Family::V4, Protocol::Tcp).unwrap();
            let to = Endpoint::new([10, 0, 0, 2].into(), 80);
            assert_eq!(self.a.connect(client, to, self.now), Err(Error::InProgress));
            self.pump();
            self.a.tcp_settings(client).unwrap().congestion = algorithm;
            if algorithm != "faulty-set" {
                self.a.on_settings_changed(client, self.now);
            }
            (client, self.b.accept(listener, self.now).unwrap().0)
        });
        while self.a.poll_event().is_some() {}
        connections
    }

    fn send(&mut self, from: SocketId, len: usize) -> Result<usize, Error> {
        let sent =
            self.a.send(from, &[IoSlice::new(&vec![1; len])], &SendTo::default(), SendFlags::default(), self.now);
        self.pump();
        sent
    }
}

fn recv(stack: &mut Stack, id: SocketId, now: Instant) -> Result<usize, Error> {
    let mut bytes = [0; 4096];
    stack.recv(id, &mut [IoSliceMut::new(&mut bytes)], RecvFlags::default(), now).map(|received| received.len)
}

/// The first connection is over on both sides, the second goes on.
fn only_the_first_is_over(pair: &mut Pair, [(broken, its_peer), (sound, its_other)]: [(SocketId, SocketId); 2]) {
    let told = std::iter::from_fn(|| pair.a.poll_event()).any(|(id, up)| id == broken && up.intersects(Ready::ERR));
    assert!(told, "who waits is told");
    assert_eq!(recv(&mut pair.a, broken, pair.now), Err(Error::Io));
    assert_eq!(recv(&mut pair.a, broken, pair.now), Ok(0), "an error is told once");
    assert_eq!(pair.a.state(broken), State::Closed);
    assert_eq!(pair.send(broken, 10), Err(Error::BrokenPipe));
    assert_eq!(recv(&mut pair.b, its_peer, pair.now), Err(Error::ConnectionReset));
    assert_eq!(pair.send(sound, 1000), Ok(1000));
    assert_eq!(recv(&mut pair.b, its_other, pair.now), Ok(1000));
    for id in [broken, sound] {
        pair.a.close(id, pair.now);
    }
    for id in [its_peer, its_other] {
        pair.b.close(id, pair.now);
    }
    pair.pump();
    pair.wait(Duration::from_secs(70));
    assert_eq!((pair.a.draining, pair.a.orphans, pair.a.tcp_memory(), pair.a.next_deadline()), (0, 0, 0, None));
    assert_eq!(pair.a.sockets.iter().count(), 0);
}

#[test]
fn a_panic_over_a_segment_ends_its_connection() {
    let mut pair = Pair::new();
    let all = pair.connected("faulty-ack");
    assert_eq!(pair.send(all[0].0, 10), Ok(10));
    // The data arrived, and its acknowledgement was too much for us.
    assert_eq!(recv(&mut pair.b, all[0].1, pair.now), Ok(10));
    only_the_first_is_over(&mut pair, all);
}

#[test]
fn a_panic_in_a_timer_ends_its_connection() {
    let mut pair = Pair::new();
    // Without a probe that would be answered.
    pair.a.knobs_mut().early_retrans = 0;
    let all = pair.connected("faulty-timer");
    pair.is_cut = true;
    assert_eq!((pair.send(all[0].0, 10), pair.send(all[1].0, 10)), (Ok(10), Ok(10)));
    pair.wait(10 * MS);
    pair.is_cut = false;
    pair.wait(1000 * MS);
    assert_eq!(recv(&mut pair.b, all[1].1, pair.now), Ok(10));
    only_the_first_is_over(&mut pair, all);
}

#[test]
fn a_panic_over_what_is_to_be_sent_ends_its_connection() {
    let mut pair = Pair::new();
    let all = pair.connected("faulty-send");
    assert_eq!(pair.send(all[0].0, 10), Ok(10));
    only_the_first_is_over(&mut pair, all);
}

#[test]
fn a_panic_in_a_call_ends_the_connection_of_the_call() {
    let mut pair = Pair::new();
    let all = pair.connected("faulty-set");
    let (id, now) = (all[0].0, pair.now);
    let done = pair.a.guarded(id, now, |stack| {
        stack.tcp_settings(id).unwrap().maxseg = Some(500);
        stack.on_settings_changed(id, now);
    });
    assert_eq!(done, None);
    pair.pump();
    only_the_first_is_over(&mut pair, all);
}

#[test]
fn a_panic_without_an_owner_leaves_nothing() {
    let mut pair = Pair::new();
    let [(client, server), _] = pair.connected("faulty-ack");
    let now = pair.now;
    let data = [IoSlice::new(&[1; 10])];
    pair.a.send(client, &data, &SendTo::default(), SendFlags::default(), now).unwrap();
    pair.a.close(client, now);
    pair.pump();
    assert_eq!((pair.a.draining, pair.a.orphans, pair.a.sockets.iter().count()), (0, 0, 1));
    assert_eq!((recv(&mut pair.b, server, now), pair.b.state(server)), (Ok(10), State::Closed));
}

#[test]
fn a_panic_that_belongs_to_nobody_ends_what_was_being_done() {
    let mut pair = Pair::new();
    let [_, (client, server)] = pair.connected("cubic");
    let now = pair.now;
    pair.a.guarded_for_nobody(|_| panic!("a mistake made for a test"));
    pair.a.guarded_service(now, |_| panic!("a mistake made for a test"));
    assert_eq!(pair.a.services_rest_until, now + super::REST);
    assert_eq!(pair.send(client, 10), Ok(10));
    assert_eq!(recv(&mut pair.b, server, now), Ok(10));
}
