//! Explicit congestion notification (RFC 3168).

use crate::{
    counters::Counters,
    tcp::{
        Knobs, Path, Settings,
        congestion::Controller,
        ecn::codepoint::{CE, ECT_0},
        testing::{MS, Seg, Tester, seg},
    },
};

fn asking() -> Settings {
    Settings { knobs: Knobs { ecn: 1, ..Knobs::default() }.into(), congestion: "reno", ..Settings::default() }
}

/// A connection that has agreed on ECN, with segments of 1000 bytes.
fn capable() -> Tester {
    Tester::established_with(asking(), seg("SE.", 0, 1, 0).mss(1000).sack_ok())
}

fn passive(ecn: u32, syn: Seg) -> Vec<String> {
    let settings = Settings { knobs: Knobs { ecn, ..Knobs::default() }.into(), ..Settings::default() };
    Tester::accepting(settings, syn.mss(1000)).output()
}

#[test]
fn by_default_a_connection_accepts_ecn_and_does_not_ask_for_it() {
    let mut t = Tester::connecting(Settings::default());
    assert_eq!(t.output(), ["S 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>"]);
    t.answer(seg("SE.", 0, 1, 0).mss(1000));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 1:11(10) ack 1"], "what was not asked for is not agreed upon");
    assert_eq!(passive(2, seg("SEW", 0, 0, 0)), ["SE. 0:0(0) ack 1 win 64240 <mss 1460>"]);
    assert_eq!(passive(1, seg("SEW", 0, 0, 0)), ["SE. 0:0(0) ack 1 win 64240 <mss 1460>"]);
    assert_eq!(passive(0, seg("SEW", 0, 0, 0)), ["S. 0:0(0) ack 1 win 64240 <mss 1460>"]);
}

#[test]
fn a_syn_asks_with_both_flags_and_only_both_are_a_question() {
    let mut t = Tester::connecting(asking());
    assert_eq!(t.output(), ["SEW 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>"]);
    for flags in ["S", "SE", "SW"] {
        assert_eq!(passive(1, seg(flags, 0, 0, 0)), ["S. 0:0(0) ack 1 win 64240 <mss 1460>"], "{flags}");
    }
}

#[test]
fn a_syn_ack_agrees_with_one_flag_and_a_reflected_pair_is_none() {
    for (flags, marked) in [("SE.", true), ("S.", false), ("SEW.", false), ("SW.", false)] {
        let mut t = Tester::established_with(asking(), seg(flags, 0, 1, 0).mss(1000));
        t.write(10).unwrap();
        let sent = if marked { "P. 1:11(10) ack 1 ect0" } else { "P. 1:11(10) ack 1" };
        assert_eq!(t.output(), [sent], "{flags}");
        assert_eq!(t.connection.info(t.world.now).options & 8 != 0, marked, "{flags}");
    }
}

#[test]
fn a_lost_syn_is_sent_again_without_the_question_unless_that_is_turned_off() {
    for (ecn_fallback, again) in [(1, "S"), (0, "SEW")] {
        let mut knobs = *asking().knobs;
        knobs.ecn_fallback = ecn_fallback;
        let mut t = Tester::connecting(Settings { knobs: knobs.into(), ..Settings::default() });
        t.output();
        assert_eq!(t.wait(1100 * MS), [format!("{again} 0:0(0) win 64240 <mss 1460,sackOK,TS,wscale 10>")]);
    }
}

#[test]
fn two_that_ask_each_other_at_once_agree() {
    let mut t = Tester::connecting(asking());
    t.output();
    assert_eq!(t.answer(seg("SEW", 0, 0, 0).mss(1000)), ["SE. 0:0(0) ack 1 win 64240 <mss 1460>"]);
    t.answer(seg(".", 1, 1, 0));
    t.write(10).unwrap();
    assert_eq!(t.output(), ["P. 1:11(10) ack 1 ect0"]);
}

#[test]
fn a_mark_is_echoed_until_the_peer_says_that_it_slowed_down() {
    let mut t = capable();
    assert_eq!(t.answer(seg("P.", 1, 1, 100).ecn(ECT_0)), [". 1:1(0) ack 101"]);
    assert_eq!(t.answer(seg("P.", 101, 1, 100).ecn(CE)), ["E. 1:1(0) ack 201"]);
    assert_eq!(t.answer(seg("P.", 201, 1, 100).ecn(ECT_0)), ["E. 1:1(0) ack 301"]);
    t.write(10).unwrap();
    assert_eq!(t.output(), ["PE. 1:11(10) ack 301 ect0"], "data echoes, too");
    assert_eq!(t.answer(seg("PW.", 301, 11, 100).ecn(ECT_0)), [". 11:11(0) ack 401"]);
    assert_eq!(t.answer(seg("PW.", 401, 11, 100).ecn(CE)), ["E. 11:11(0) ack 501"], "a mark on the CWR itself is new");
    assert_ne!(t.connection.info(t.world.now).options & 16, 0);
}

#[test]
fn a_mark_is_acknowledged_at_once_even_in_a_calm_dialogue() {
    let mut t = capable();
    for n in 0..16 {
        t.answer(seg("P.", 1 + n, 1, 1).ecn(ECT_0));
    }
    t.wait(50 * MS);
    assert_eq!(t.answer(seg("P.", 17, 1, 1).ecn(ECT_0)), [""; 0], "a plain one waits");
    assert_eq!(t.answer(seg("P.", 18, 1, 1).ecn(CE)), ["E. 1:1(0) ack 19"]);
}

#[test]
fn what_is_not_new_data_is_not_capable() {
    let mut t = capable();
    t.write(2000).unwrap();
    assert_eq!(t.output(), [". 1:1001(1000) ack 1 ect0", "P. 1001:2001(1000) ack 1 ect0"]);
    t.inject(seg("P.", 1, 1, 10).ecn(ECT_0));
    let again = t.wait(2000 * MS);
    assert!(!again.is_empty() && again.iter().all(|line| !line.contains("ect")), "{again:?}");
    t.inject(seg(".", 11, 2001, 0));
    assert_eq!(t.read(10).map(|bytes| bytes.len()), Ok(10));
    assert_eq!(t.close(), ["F. 2001:2001(0) ack 11"], "a FIN alone is no data");
}

#[test]
fn an_echo_halves_the_window_once_for_each_window_of_data() {
    let mut t = capable();
    t.write(20_000).unwrap();
    assert_eq!(t.output().len(), 10);
    let window = |t: &Tester| t.connection.cc.window();
    assert_eq!(window(&t), 10_000);
    t.wait(10 * MS);
    assert_eq!(t.answer(seg("E.", 1, 1001, 0)), ["W. 10001:11001(1000) ack 1 ect0"], "new data says so, once");
    assert_eq!((window(&t), t.connection.info(t.world.now).ca_state), (5000, 2));
    // On the way down to half one segment leaves for two that arrive (RFC 9937, as Linux).
    let sent: Vec<_> = (2..=6).map(|n| t.answer(seg("E.", 1, 1 + n * 1000, 0)).len()).collect();
    assert_eq!(sent, [0, 1, 0, 1, 0]);
    assert_eq!(window(&t), 5000, "the echoes of one window are one");
    assert_eq!(t.answer(seg(".", 1, 7001, 0)), [". 13001:14001(1000) ack 1 ect0"]);
    t.answer(seg(".", 1, 10_001, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 2, "until the CWR has arrived");
    t.answer(seg(".", 1, 11_001, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 0);
    t.answer(seg("E.", 1, 12_001, 0));
    assert_eq!(t.connection.info(t.world.now).ca_state, 2, "a later mark counts anew");
    assert_eq!(t.world.mib.tcp_delivered_ce, 7);
}

#[test]
fn a_loss_in_the_window_of_a_mark_does_not_halve_it_again() {
    let mut t = capable();
    t.write(10_000).unwrap();
    t.output();
    t.wait(10 * MS);
    t.inject(seg("E.", 1, 1001, 0));
    let window = t.connection.cc.window();
    for end in [3001, 4001, 5001] {
        t.inject(seg("E.", 1, 1001, 0).sack(&[(2001, end)]));
    }
    assert_eq!(t.connection.info(t.world.now).ca_state, 3);
    assert_eq!(t.connection.cc.window(), window);
}

#[test]
fn a_loss_is_told_the_peer_by_cwr_as_a_mark_is() {
    let mut t = capable();
    t.write(10_000).unwrap();
    t.output();
    t.wait(10 * MS);
    for end in [2001, 3001, 4001] {
        t.inject(seg(".", 1, 1, 0).sack(&[(1001, end)]));
    }
    assert_eq!(t.output(), [". 1:1001(1000) ack 1"], "not on what is sent again");
    t.inject(seg(".", 1, 10_001, 0));
    t.write(3000).unwrap();
    let sent = t.output();
    assert!(sent[0].contains('W') && !sent[1].contains('W'), "{sent:?}");
}

#[test]
fn the_flag_leaves_in_a_segment_of_its_own_where_the_device_splits() {
    let settings = asking();
    let path = Path { mtu: 1500, link_mtu: 1500, max_frame: 65_535 };
    let mut t = Tester::established_over(settings, seg("SE.", 0, 1, 0).mss(1000), path);
    t.write(40_000).unwrap();
    t.output();
    t.wait(10 * MS);
    t.inject(seg("E.", 1, 1001, 0));
    t.inject(seg(".", 1, 10_001, 0));
    let sent = t.output();
    assert!(sent[0].starts_with("W. 10001:11001(1000)") && !sent[0].contains("gso"), "{sent:?}");
    assert!(sent[1..].iter().all(|line| !line.contains('W')), "{sent:?}");
}

#[test]
fn without_agreement_flags_and_marks_mean_nothing() {
    let mut t = Tester::established();
    t.world.mib = Counters::default();
    assert_eq!(t.answer(seg("P.", 1, 1, 10).ecn(CE)), [". 1:1(0) ack 11"]);
    t.write(10_000).unwrap();
    t.output();
    let window = t.connection.cc.window();
    t.inject(seg("E.", 11, 1001, 0));
    assert!(t.connection.cc.window() >= window);
    assert_eq!(t.world.mib.tcp_delivered_ce, 0);
}
