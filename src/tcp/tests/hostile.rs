//! Segments made of random numbers near the interesting ones, and calls in between: nothing panics, no output without
//! end, and a connection that dies is quiet. Each run is told by its seed.

use crate::{
    rng::{Rng, SeededRng},
    tcp::{
        BufferSize, IcmpVerdict, Path, RecvFlags, SendFlags, Settings, Shutdown, State,
        testing::{MS, Seg, Tester, ethernet, seg},
    },
    wire::{seq::SeqNum, tcp::Flags},
};

/// A number near one of those that matter.
fn near(rng: &mut SeededRng, numbers: &[u32]) -> u32 {
    let base = numbers[rng.below(numbers.len() as u32) as usize];
    match rng.below(4) {
        0 => base,
        1 => base.wrapping_add(rng.below(3000)).wrapping_sub(1500),
        2 => base.wrapping_add(rng.below(140_000)).wrapping_sub(70_000),
        _ => rng.u32(),
    }
}

/// A random segment for a connection in its present state.
fn random_segment(t: &Tester, rng: &mut SeededRng) -> Seg {
    let c = &t.connection;
    let irs = SeqNum(0xffff_fff0);
    let seqs = [c.rcv.rcv_nxt() - irs, c.window.edge() - irs, 0, 1];
    let acks = [c.snd.una() - t.iss, c.snd.nxt() - t.iss, c.snd.end() - t.iss, 0];
    let len = [0, 0, 1, 500, 1460, 20_000][rng.below(6) as usize];
    let mut s = seg("", near(rng, &seqs), near(rng, &acks), len);
    s.header.flags = match rng.below(8) {
        0 => Flags(rng.u32() as u16 & 0x1ff),
        1 => Flags::ACK.with(Flags::FIN),
        2 => Flags::ACK.with(Flags::URG),
        _ => Flags::ACK,
    };
    // Mostly no reset: it would end most runs early.
    if rng.below(50) > 0 {
        s.header.flags.0 &= !Flags::RST.0;
    }
    s.header.window = near(rng, &[0, 100, 1000, 65_535]) as u16;
    s.header.urgent = near(rng, &[0, 1, 65_535]) as u16;
    s.gso_size = [0, 0, 1, 1000][rng.below(4) as usize];
    for _ in 0..rng.below(5) {
        let (start, end) = (near(rng, &acks), near(rng, &acks));
        s.header.options.sack.push(SeqNum(start), SeqNum(end));
    }
    if rng.below(3) == 0 {
        s = s.ts(rng.u32(), rng.u32());
    }
    if rng.below(8) == 0 {
        s = s.mss(rng.u32() as u16).wscale(rng.u32() as u8);
        s.header.options.sack_permitted = rng.below(2) == 0;
    }
    s
}

/// A random thing the application, the clock or the network does.
fn random_call(t: &mut Tester, rng: &mut SeededRng) {
    match rng.below(16) {
        0..=3 => drop(t.write(rng.below(100_000) as usize)),
        4..=6 => drop(t.read(rng.below(100_000) as usize)),
        7 => drop(t.write_flags(b"!", SendFlags { oob: true, more: rng.below(2) == 0, ..SendFlags::default() })),
        8 => drop(t.read_flags(1, RecvFlags { oob: true, peek: rng.below(2) == 0, trunc: false })),
        9 => drop(t.read_flags(100, RecvFlags { oob: false, peek: true, trunc: rng.below(2) == 0 })),
        10 => {
            let how = [Shutdown::Read, Shutdown::Write, Shutdown::Both][rng.below(3) as usize];
            if rng.below(10) == 0 {
                let _ = t.connection.shutdown(how, &mut t.world.cx());
            }
        }
        11 => {
            let mtu = [68, 296, 576, 1280, 9000, u32::MAX][rng.below(6) as usize];
            let seq = t.connection.snd.una();
            t.connection.on_icmp(IcmpVerdict::PacketTooBig(mtu), seq, &mut t.world.cx());
        }
        12 => {
            t.connection.settings.nodelay ^= true;
            t.connection.settings.oob_inline ^= true;
            t.connection.settings.cork = rng.below(4) == 0;
            t.connection.settings.recv_buffer = BufferSize::Fixed(near(rng, &[1, 5000, 100_000]) as usize);
            t.connection.on_settings_changed(&mut t.world.cx());
        }
        13 => drop(t.wait(MS * rng.below(3000))),
        _ => drop(t.wait(MS * rng.below(50))),
    }
}

fn run(seed: u64) {
    let mut rng = SeededRng::new([seed, 3]);
    let path = if seed.is_multiple_of(2) { ethernet() } else { Path { mtu: 1500, link_mtu: 1500, max_frame: 65_535 } };
    let settings = Settings { keepalive: seed.is_multiple_of(5), ..Settings::default() };
    let mut t = match seed % 4 {
        0 => Tester::connecting_over(settings, path),
        1 => Tester::accepting(settings, seg("S", 0, 0, 0).mss(1460).sack_ok().wscale(7)),
        2 => Tester::established_over(settings, seg("S.", 0, 1, 0).mss(1460).wscale(7), path),
        _ => Tester::established_over(settings, seg("S.", 0, 1, 0).mss(1000).sack_ok().wscale(7).ts(7, 0), path),
    };
    for _ in 0..400 {
        if rng.below(2) == 0 {
            let segment = random_segment(&t, &mut rng);
            t.inject(segment);
        } else {
            random_call(&mut t, &mut rng);
        }
        let _ = t.output();
        let _ = (t.connection.ready(), t.connection.poll_events(), t.connection.info(t.world.now));
        let _ = (t.connection.readable(), t.connection.unacknowledged(), t.connection.is_at_mark());
        assert!(t.connection.pipe() <= t.connection.snd.unacked(), "seed {seed}");
    }
    t.close();
    let _ = t.wait(MS * 2_000_000);
    assert!(
        matches!(t.state(), State::Closed) && t.connection.poll_deadline().is_none(),
        "seed {seed}: {:?} {:?}",
        t.connection,
        t.connection.poll_deadline()
    );
}

#[test]
fn random_segments_and_calls_do_no_harm() {
    (0..800).for_each(run);
}
