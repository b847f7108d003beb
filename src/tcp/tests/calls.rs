//! The application's calls: peeking, discarding, thresholds, TCP_INFO.

use crate::{
    error::Error,
    tcp::{
        RecvFlags, Settings,
        testing::{MS, Tester, seg},
    },
};

#[test]
fn peeking_leaves_and_truncating_discards() {
    let mut t = Tester::established();
    t.inject(seg("P.", 1, 1, 0).bytes(b"hello"));
    let peek = RecvFlags { peek: true, ..RecvFlags::default() };
    assert_eq!([t.read_flags(3, peek).unwrap(), t.read_flags(9, peek).unwrap()], [b"hel".to_vec(), b"hello".to_vec()]);
    assert_eq!(t.read_flags(2, RecvFlags { trunc: true, ..RecvFlags::default() }).map(|b| b.len()), Ok(2));
    assert_eq!((t.read(9).unwrap(), t.read(9)), (b"llo".to_vec(), Err(Error::WouldBlock)));
}

#[test]
fn a_read_of_no_bytes_takes_none() {
    let mut t = Tester::established();
    assert_eq!(t.read(0), Err(Error::WouldBlock));
    t.inject(seg("P.", 1, 1, 5));
    assert_eq!((t.read(0), t.connection.readable()), (Ok(vec![]), 5));
}

#[test]
fn each_arrival_is_an_edge() {
    let mut t = Tester::established();
    for n in 0..3 {
        t.inject(seg("P.", 1 + n, 1, 1));
        assert_eq!(t.events(), "in");
        assert_eq!(t.events(), "");
    }
    // Out of order is not.
    t.inject(seg("P.", 100, 1, 1));
    assert_eq!(t.events(), "");
}

#[test]
fn the_low_water_mark_holds_readiness_back() {
    let settings = Settings { recv_lowat: 10, ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0));
    t.inject(seg("P.", 1, 1, 9));
    assert_eq!(t.ready(), "out");
    t.inject(seg("P.", 10, 1, 1));
    assert_eq!(t.ready(), "in out");
}

#[test]
fn what_is_not_acknowledged_is_counted() {
    let mut t = Tester::established();
    t.write(500).unwrap();
    assert_eq!(t.connection.unacknowledged(), 500);
    t.output();
    t.inject(seg(".", 1, 201, 0));
    assert_eq!(t.connection.unacknowledged(), 300);
    t.close();
    assert_eq!(t.connection.unacknowledged(), 301);
}

#[test]
fn tcp_info_tells_the_truth() {
    let syn_ack = seg("S.", 0, 1, 0).mss(1460).sack_ok().wscale(7).ts(1, 0);
    let mut t = Tester::established_with(Settings::default(), syn_ack);
    t.write(3000).unwrap();
    t.output();
    t.wait(20 * MS);
    let info = t.connection.info(t.world.now);
    assert_eq!((info.state, info.options, info.wscale), (1, 7, 7 | 10 << 4));
    assert_eq!((info.snd_mss, info.advmss, info.pmtu), (1448, 1448, 1500));
    assert_eq!((info.unacked, info.snd_cwnd, info.rtt, info.rto), (3, 10, 10_000, 210_000));
    assert_eq!((info.bytes_sent, info.segs_out, info.data_segs_out, info.last_data_sent), (3000, 5, 3, 20));
    t.inject(seg("P.", 1, 3001, 700).ts(2, 0));
    let info = t.connection.info(t.world.now);
    assert_eq!((info.unacked, info.bytes_acked, info.bytes_received, info.last_data_recv), (0, 3001, 700, 0));
}

#[test]
fn an_idle_connection_holds_nothing_on_the_heap() {
    let mut t = Tester::established();
    t.write(200_000).unwrap();
    for n in 0..40 {
        t.output();
        let nxt = t.connection.snd.nxt() - t.iss;
        t.inject(seg("P.", 1 + n, nxt, 1));
    }
    t.read(1000).unwrap();
    assert_eq!((t.connection.unacknowledged(), t.connection.rcv.footprint()), (0, 0));
    assert!(t.connection.snd.footprint() <= 128, "{}", t.connection.snd.footprint());
}

#[test]
fn a_low_water_mark_beyond_the_window_does_not_hang_the_reader() {
    let settings =
        Settings { recv_lowat: 100_000, recv_buffer: crate::tcp::BufferSize::Fixed(2000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.inject(seg(".", 1, 1, 1000));
    t.inject(seg(".", 1001, 1, 1000));
    assert_eq!(t.ready(), "in out");
}
