//! What comes in: what is let in, what is trimmed, reported, refused and counted (RFC 9293 section 3.10.7; RFC 2883;
//! RFC 5961).

use crate::tcp::{
    BufferSize, RecvFlags, Settings, Shutdown, State,
    testing::{MS, Tester, seg},
};

/// An established connection of a peer with SACK, without quick acknowledgements.
fn calm() -> Tester {
    let mut t = Tester::calm();
    t.read(1000).ok();
    t
}

/// RCV.NXT, relative.
fn next(t: &Tester) -> u32 {
    t.connection.rcv.rcv_nxt() - crate::wire::seq::SeqNum(0xffff_fff0)
}

#[test]
fn old_data_is_reported_as_a_duplicate_only_with_sack_and_only_if_it_is_data() {
    for (sack, len, lines, counted) in [
        (true, 2, &[". 1:1(0) ack 17 <sack 3:5>"][..], 1),
        (true, 0, &[". 1:1(0) ack 17"][..], 0),
        (false, 2, &[". 1:1(0) ack 17"][..], 0),
    ] {
        let mut t = calm();
        t.connection.opening.sack = sack;
        let lines: Vec<_> = lines.iter().map(|line| line.replace(", ", ",")).collect();
        let said: Vec<_> = t.answer(seg(".", 3, 1, len)).iter().map(|line| line.replace("nop,nop,", "")).collect();
        assert_eq!(said, lines, "sack {sack}, {len} bytes");
        assert_eq!((t.world.mib.tcp_dsack_old_sent, t.world.mib.tcp_dsack_ofo_sent), (counted, 0));
    }
    // Beyond the window is no duplicate.
    let mut t = calm();
    let edge = t.connection.window.edge() - t.connection.rcv.rcv_nxt() + 17;
    assert_eq!(t.answer(seg(".", edge + 1, 1, 5)), [". 1:1(0) ack 17"]);
    assert_eq!(t.world.mib.tcp_dsack_old_sent, 0);
}

#[test]
fn duplicates_are_counted_by_where_they_lie() {
    // Overlapping what has just been acknowledged.
    let mut t = calm();
    t.inject(seg(".", 17, 1, 10));
    t.inject(seg(".", 17, 1, 10));
    assert_eq!((t.world.mib.tcp_dsack_old_sent, t.world.mib.tcp_dsack_ofo_sent), (1, 0));
    // Out of order, twice.
    let mut t = calm();
    t.inject(seg(".", 117, 1, 10));
    assert_eq!((t.world.mib.tcp_dsack_old_sent, t.world.mib.tcp_dsack_ofo_sent), (0, 0));
    t.inject(seg(".", 117, 1, 10));
    assert_eq!((t.world.mib.tcp_dsack_old_sent, t.world.mib.tcp_dsack_ofo_sent), (0, 1));
    assert_eq!(t.world.mib.tcp_ofo_queue, 2);
}

#[test]
fn answers_to_strange_segments_without_data_are_limited_and_counted() {
    let mut t = calm();
    let old = || seg(".", 5, 1, 0);
    assert_eq!(t.answer(old()).len(), 1);
    assert_eq!((t.answer(old()).len(), t.answer(old()).len()), (0, 0));
    assert_eq!(t.world.mib.tcp_ack_skipped_seq, 2);
    t.wait(500 * MS);
    assert_eq!(t.answer(old()).len(), 1);
    // Those with data are always answered.
    let data = || seg(".", 5, 1, 3);
    assert_eq!((t.answer(data()).len(), t.answer(data()).len()), (1, 1));
}

#[test]
fn challenges_are_limited_and_counted() {
    let mut t = calm();
    let forged = || seg("R", 20, 1, 0);
    assert_eq!((t.answer(forged()).len(), t.answer(forged()).len(), t.answer(forged()).len()), (1, 0, 0));
    assert_eq!((t.world.mib.tcp_challenge_ack, t.world.mib.tcp_ack_skipped_challenge), (1, 2));
    t.wait(500 * MS);
    assert_eq!(t.answer(forged()).len(), 1);
    assert_eq!((t.world.mib.tcp_challenge_ack, t.state()), (2, State::Established));
}

#[test]
fn a_reset_behind_the_last_block_reported_is_genuine_and_beside_it_is_not() {
    for (seq, sack, state) in [
        (127, true, State::Closed),
        (126, true, State::Established),
        (128, true, State::Established),
        (127, false, State::Established),
    ] {
        let mut t = calm();
        t.connection.opening.sack = sack;
        t.answer(seg(".", 117, 1, 10));
        t.inject(seg("R", seq, 1, 0));
        assert_eq!(t.state(), state, "{seq}, sack {sack}");
    }
}

#[test]
fn a_reset_of_an_attempt_and_of_a_connection_are_counted_apart() {
    let mut t = Tester::accepting(Settings::default(), seg("S", 0, 0, 0).mss(1000));
    t.output();
    t.inject(seg("R", 1, 0, 0));
    assert_eq!((t.state(), t.world.mib.tcp_attempt_fails, t.world.mib.tcp_estab_resets), (State::Closed, 1, 0));
    let mut t = calm();
    t.inject(seg("R", 17, 0, 0));
    assert_eq!((t.state(), t.world.mib.tcp_attempt_fails, t.world.mib.tcp_estab_resets), (State::Closed, 0, 1));
}

#[test]
fn data_up_to_the_edge_of_the_window_is_taken_and_none_that_begins_there() {
    for (beyond, accepted) in [(-1i32, -1i32), (0, 0)] {
        let mut t = calm();
        let window = (t.connection.window.edge() - t.connection.rcv.rcv_nxt()) as i32;
        t.inject(seg(".", 17, 1, (window + beyond) as usize));
        assert_eq!(next(&t), (17 + window + accepted) as u32, "{beyond}");
    }
    // What begins at the edge has nothing within it.
    let mut t = calm();
    let window = t.connection.window.edge() - t.connection.rcv.rcv_nxt();
    assert_eq!(t.answer(seg(".", 17 + window, 1, 5)).len(), 1);
    assert_eq!(next(&t), 17);
}

#[test]
fn the_end_of_the_stream_is_told_to_who_reads_and_who_polls() {
    let mut t = calm();
    t.events();
    t.inject(seg("F.", 17, 1, 0));
    assert_eq!((t.events().as_str(), t.state(), next(&t)), ("in rdhup", State::CloseWait, 18));
}

#[test]
fn urgent_data_is_told_once_beside_the_data() {
    let mut t = calm();
    t.events();
    t.inject(seg("U.", 17, 1, 3).urg(2));
    assert_eq!(t.events(), "in pri");
    assert_eq!(t.read_flags(1, RecvFlags { oob: true, ..RecvFlags::default() }).unwrap().len(), 1);
}

#[test]
fn new_data_resets_a_connection_that_nobody_reads_any_more_and_old_data_does_not() {
    for (seq, len, state, aborts) in
        [(15, 2, State::FinWait1, 0), (17, 0, State::FinWait1, 0), (16, 2, State::Closed, 1), (17, 1, State::Closed, 1)]
    {
        let mut t = calm();
        t.close();
        assert_eq!(t.state(), State::FinWait1);
        t.inject(seg(".", seq, 1, len));
        assert_eq!((t.state(), t.world.mib.tcp_abort_on_data), (state, aborts), "{len} bytes at {seq}");
    }
    // Who has only said that there will be no more still reads, and who still writes is not cut off either.
    for how in [Shutdown::Write, Shutdown::Read] {
        let mut t = calm();
        t.shutdown(how);
        t.inject(seg(".", 17, 1, 5));
        assert_eq!((t.world.mib.tcp_abort_on_data, next(&t)), (0, 22), "{how:?}");
    }
}

#[test]
fn the_segments_of_a_super_frame_are_its_peers_size() {
    for (len, gso, size) in [(3000, 1000, 1000), (700, 0, 700), (800, 1000, 800)] {
        let mut t = calm();
        t.inject(seg(".", 17, 1, len).gso(gso));
        assert_eq!(t.connection.info(t.world.now).rcv_mss, size, "{len} of {gso}");
    }
}

/// As [`calm`], with a receive buffer of a fixed size and no window scaling.
fn calm_with(buffer: usize) -> Tester {
    let settings = Settings { recv_buffer: BufferSize::Fixed(buffer), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000).sack_ok());
    for n in 0..16 {
        t.answer(seg("P.", 1 + n, 1, 1));
        t.read(10).unwrap();
    }
    t.wait(50 * MS);
    t
}

#[test]
fn the_second_full_segment_is_acknowledged_at_once_while_the_window_stays() {
    let mut t = calm_with(200_000);
    assert_eq!(t.answer(seg(".", 17, 1, 1000)), [""; 0]);
    assert_eq!(t.answer(seg(".", 1017, 1, 1000)), [". 1:1(0) ack 2017"]);
}

#[test]
fn while_the_reader_lags_the_acknowledgement_waits_for_the_reading_or_the_delay() {
    let lagging = || {
        let mut t = calm_with(8_000);
        t.answer(seg(".", 17, 1, 1000));
        assert_eq!(t.answer(seg(".", 1017, 1, 1000)), [""; 0]);
        t
    };
    let mut t = lagging();
    t.read(2000).unwrap();
    assert_eq!(t.output(), [". 1:1(0) ack 2017"]);
    assert_eq!(lagging().wait(200 * MS), [". 1:1(0) ack 2017"]);
}

#[test]
fn the_syn_again_is_answered_and_another_syn_is_challenged_while_connecting() {
    let syn = |seq| seg("S", seq, 0, 0).mss(1000);
    for (seq, lines, challenges) in [
        (0, &["S. 0:0(0) ack 1"][..], 0),
        (100, &[". 1:1(0) ack 1"][..], 1),
        (1 << 20, &[". 1:1(0) ack 1"][..], 1),
        (0u32.wrapping_sub(5000), &[". 1:1(0) ack 1"][..], 1),
    ] {
        let mut t = Tester::accepting(Settings::default(), syn(0));
        assert_eq!(t.output().len(), 1);
        let said: Vec<_> =
            t.answer(syn(seq)).iter().map(|line| line.split(" win").next().unwrap().to_owned()).collect();
        assert_eq!(said, lines, "{seq}");
        assert_eq!((t.world.mib.tcp_challenge_ack, t.state()), (challenges, State::SynReceived));
        assert_eq!(t.world.mib.tcp_syn_challenge, 0);
    }
}
