//! Windows: the peer's, ours, silly ones, closed ones, super-frames (RFC 9293 section 3.8.6).

use crate::{
    error::Error,
    tcp::{
        BufferSize, Path, SendFlags, Settings,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

#[test]
fn a_small_write_waits_for_the_acknowledgement_of_the_last() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 1:11(10) ack 1"]);
    t.write(10).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.write(10).unwrap();
    assert_eq!(t.answer(seg(".", 1, 11, 0)), ["P. 11:31(20) ack 1"]);
    t.connection.settings.nodelay = true;
    t.write(1).unwrap();
    assert_eq!(t.output(), ["P. 31:32(1) ack 1"]);
}

#[test]
fn a_cork_holds_partial_segments_for_a_time_out() {
    let mut t = Tester::established();
    t.connection.settings.cork = true;
    t.connection.on_settings_changed(&mut t.world.cx());
    t.write(1500).unwrap();
    assert_eq!(t.output(), [". 1:1001(1000) ack 1"]);
    t.inject(seg(".", 1, 1001, 0));
    assert_eq!(t.wait_timed(300 * MS), ["210 P. 1001:1501(500) ack 1"]);
    t.inject(seg(".", 1, 1501, 0));
    t.write(10).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.connection.settings.cork = false;
    t.connection.on_settings_changed(&mut t.world.cx());
    assert_eq!(t.output(), ["P. 1501:1511(10) ack 1"]);
}

#[test]
fn msg_more_holds_until_a_call_without_it() {
    let mut t = Tester::established();
    t.write_flags(b"head", SendFlags { more: true, ..SendFlags::default() }).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.write_flags(b"body", SendFlags::default()).unwrap();
    assert_eq!(t.output(), ["P. 1:9(8) ack 1"]);
}

#[test]
fn no_more_is_sent_than_the_peer_takes() {
    let mut t = Tester::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1000).win(3500));
    t.write(10_000).unwrap();
    assert_eq!(t.output().len(), 3);
    assert_eq!(t.answer(seg(".", 1, 1001, 0).win(3500)), ["P. 3001:4001(1000) ack 1"]);
}

#[test]
fn a_closed_window_is_probed_ever_more_rarely_for_as_long_as_the_peer_answers() {
    let mut t = Tester::established();
    t.inject(seg(".", 1, 1, 0).win(0));
    t.write(100).unwrap();
    assert_eq!(t.output(), [""; 0]);
    let mut now = t.world.now;
    let mut gaps = Vec::new();
    for _ in 0..40 {
        let probe = loop {
            let lines = t.wait(10 * MS);
            if !lines.is_empty() {
                break lines;
            }
        };
        assert_eq!(probe, [". 0:0(0) ack 1"]);
        gaps.push(t.world.now.since(now).as_millis() / 100);
        now = t.world.now;
        t.inject(seg(".", 1, 1, 0).win(0));
    }
    assert_eq!(gaps[..4], [2, 4, 8, 16]);
    assert_eq!(gaps[39], 1200);
    assert_eq!(t.answer(seg(".", 1, 1, 0).win(1000)), ["P. 1:101(100) ack 1"]);
}

#[test]
fn a_closed_window_without_an_answer_ends_the_connection() {
    let mut t = Tester::established();
    t.inject(seg(".", 1, 1, 0).win(0));
    t.write(100).unwrap();
    t.output();
    assert_eq!(t.wait(Duration::from_secs(3600)).len(), 15);
    assert_eq!(t.connection.take_error(), Some(Error::TimedOut));
}

#[test]
fn a_silly_window_is_left_alone_until_the_probe_timer() {
    let mut t = Tester::established();
    t.inject(seg(".", 1, 1, 0).win(300));
    t.write(5000).unwrap();
    assert_eq!(t.output(), [""; 0]);
    assert_eq!(t.wait(300 * MS), [". 1:301(300) ack 1"]);
}

#[test]
fn a_peer_with_a_small_buffer_gets_half_of_it() {
    let mut t = Tester::established_with(Settings::default(), seg("S.", 0, 1, 0).mss(1000).win(600));
    t.write(5000).unwrap();
    assert_eq!(t.output(), [". 1:601(600) ack 1"]);
    assert_eq!(t.answer(seg(".", 1, 601, 0).win(200)), [""; 0]);
    assert_eq!(t.answer(seg(".", 1, 601, 0).win(300)), [". 601:901(300) ack 1"]);
}

#[test]
fn a_window_pulled_back_stops_new_data_but_not_the_first_retransmission() {
    let mut t = Tester::established();
    t.write(8000).unwrap();
    t.output();
    t.inject(seg(".", 1, 1001, 0).win(0));
    t.write(5000).unwrap();
    assert_eq!(t.output(), [""; 0]);
    assert_eq!(t.wait(250 * MS), [". 1001:2001(1000) ack 1"]);
    t.inject(seg(".", 1, 8001, 0).win(60_000));
    assert_eq!(t.output().len(), 5);
}

#[test]
fn the_window_closes_when_nobody_reads_and_opens_by_no_silly_steps() {
    let settings = Settings { recv_buffer: BufferSize::Fixed(4000), maxseg: Some(1000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.show_win = true;
    for n in 0..4 {
        t.inject(seg(".", 1 + n * 1000, 1, 1000));
    }
    t.output();
    t.wait(50 * MS);
    assert_eq!(t.connection.window.offered(t.connection.rcv.rcv_nxt()), 0);
    // Nothing more is taken.
    assert_eq!(t.answer(seg(".", 4001, 1, 1000)), [". 1:1(0) ack 4001 win 0"]);
    assert_eq!(t.connection.readable(), 4000);
    t.read(500).unwrap();
    assert_eq!(t.output(), [""; 0]);
    t.read(500).unwrap();
    assert_eq!(t.output(), [". 1:1(0) ack 4001 win 1000"]);
    t.read(3000).unwrap();
    assert_eq!(t.output(), [". 1:1(0) ack 4001 win 4000"]);
}

#[test]
fn a_probe_of_our_closed_window_is_answered() {
    let settings = Settings { recv_buffer: BufferSize::Fixed(1000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.show_win = true;
    t.inject(seg(".", 1, 1, 1000));
    t.output();
    assert_eq!(t.answer(seg(".", 1001, 1, 1)), [". 1:1(0) ack 1001 win 0"]);
    assert_eq!(t.answer(seg(".", 1000, 1, 0)), [". 1:1(0) ack 1001 win 0"]);
}

#[test]
fn a_closed_window_still_takes_acknowledgements_and_resets() {
    let settings = Settings { recv_buffer: BufferSize::Fixed(1000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.inject(seg(".", 1, 1, 1000));
    t.write(10).unwrap();
    t.output();
    t.inject(seg(".", 1001, 11, 0));
    assert_eq!(t.connection.unacknowledged(), 0);
    t.inject(seg("R", 1001, 0, 0));
    assert_eq!(t.state(), crate::tcp::State::Closed);
}

#[test]
fn data_beyond_the_window_is_not_taken_while_some_waits() {
    let settings = Settings { recv_buffer: BufferSize::Fixed(1500), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.inject(seg(".", 1, 1, 1000));
    t.inject(seg("F.", 1001, 1, 1000));
    // Of 1500 bytes one segment of 1460 was offered.
    assert_eq!((t.connection.readable(), t.state()), (1000, crate::tcp::State::Established));
}

#[test]
fn the_offered_window_grows_beyond_64_kib_with_a_fast_reader() {
    let syn_ack = seg("S.", 0, 1, 0).mss(1460).wscale(7).sack_ok();
    let mut t = Tester::established_with(Settings::default(), syn_ack);
    let mut seq = 1;
    for _ in 0..20 {
        t.world.now += 10 * MS;
        let window = t.connection.window.offered(t.connection.rcv.rcv_nxt());
        for _ in 0..window / 1460 {
            t.inject(seg(".", seq, 1, 1460));
            seq += 1460;
        }
        while t.read(1 << 20).is_ok() {}
        t.output();
    }
    let grown = t.connection.window.offered(t.connection.rcv.rcv_nxt());
    assert!(grown > 8 << 20, "{grown}");
}

#[test]
fn super_frames_take_whole_segments_and_half_of_the_window_at_most() {
    let path = Path { mtu: 1500, link_mtu: 1500, max_frame: 65_535 };
    let syn_ack = seg("S.", 0, 1, 0).mss(1000).wscale(7).sack_ok().win(65_535);
    let mut t = Tester::established_over(Settings::default(), syn_ack, path);
    t.inject(seg(".", 1, 1, 0).win(65_535));
    // On a local path frames are as large as can be.
    t.connection.rtt.on_sample(MS / 10, t.world.now);
    t.write(200_000).unwrap();
    assert_eq!(t.output(), ["P. 1:5001(5000) ack 1 gso 1000", "P. 5001:10001(5000) ack 1 gso 1000"]);
    // A small step is not worth a frame of its own ...
    assert_eq!(t.answer(seg(".", 1, 2001, 0)), ["P. 10001:14001(4000) ack 1 gso 1000"]);
    // ... and the largest frame is 64 KiB less headers, in whole segments.
    let mut acked = 2001;
    for _ in 0..4 {
        let out = t.connection.snd.nxt() - t.iss;
        acked = acked.max(out);
        t.inject(seg(".", 1, acked, 0));
        let lines = t.output();
        assert!(lines.len() <= 4, "{lines:?}");
    }
    t.inject(seg(".", 1, t.connection.snd.nxt() - t.iss, 0));
    t.output();
    t.write(250_000).unwrap();
    assert!(t.output()[0].contains("(65000)"));
}

#[test]
fn the_send_buffer_takes_a_quarter_mebibyte_and_tells_when_there_is_room() {
    let mut t = Tester::established();
    assert_eq!(t.write(1 << 20), Ok(256 * 1024));
    assert_eq!((t.write(1), t.ready().as_str(), t.events().as_str()), (Err(Error::WouldBlock), "", ""));
    let mut rounds = 0;
    while t.events() != "out" {
        t.output();
        let nxt = t.connection.snd.nxt() - t.iss;
        t.inject(seg(".", 1, nxt, 0));
        rounds += 1;
        assert!(rounds < 100);
    }
    assert_eq!(t.ready(), "out");
}

#[test]
fn not_sent_lowat_holds_readiness_back() {
    let settings = Settings { notsent_lowat: Some(1000), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000).win(2000));
    // Nor is more taken than that, in pieces of half the window.
    assert_eq!(t.write(5000), Ok(1000));
    assert_eq!((t.write(4000), t.ready().as_str()), (Err(Error::WouldBlock), ""));
    t.output();
    assert_eq!(t.write(4000), Ok(1000));
    assert_eq!(t.write(3000), Err(Error::WouldBlock));
    t.inject(seg(".", 1, 1001, 0).win(3000));
    t.output();
    assert_eq!(t.ready(), "out");
}
