//! The rules that say when to acknowledge, at their edges (RFC 5681 section 4.2, RFC 9293 section 3.8.6.3; Linux's
//! ato).

use crate::{
    tcp::ack::{Acks, Arrival, Owed},
    time::{Duration, Instant},
    wire::seq::SeqNum,
};

const RTO: Duration = Duration::from_millis(300);
const FAR: Option<Duration> = Some(Duration::from_secs(1));

fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn arrival(segment: u16, rcv_nxt: u32) -> Arrival {
    Arrival { segment, rcv_nxt: SeqNum(rcv_nxt), irregular: false, window_kept: true, offer: 60_000, crowded: false }
}

/// Without quick acknowledgements left; segments of 1000 bytes, the last of which came at time zero and was
/// acknowledged.
fn calm() -> Acks {
    let mut acks = Acks::new(SeqNum(0), at(0));
    for _ in 0..20 {
        acks.on_data(arrival(1000, 0), RTO, at(0));
        acks.on_told(SeqNum(0));
    }
    acks
}

#[test]
fn the_segment_size_is_the_last_of_a_usual_size() {
    let mut acks = Acks::new(SeqNum(0), at(0));
    for (segment, seen) in [(100, 536), (535, 536), (1460, 1460), (600, 600), (535, 600), (536, 536)] {
        acks.on_data(arrival(segment, 0), RTO, at(0));
        assert_eq!(acks.rcv_mss(), seen, "after {segment}");
    }
}

#[test]
fn more_than_one_full_segment_is_acknowledged_unless_the_reader_lags() {
    for (bytes, window_kept, owed) in
        [(1000, true, Owed::Delayed), (1001, true, Owed::Now), (1001, false, Owed::Delayed)]
    {
        let mut acks = calm();
        acks.on_data(Arrival { window_kept, ..arrival(1000, bytes) }, RTO, at(0));
        assert_eq!(acks.owed(), owed, "{bytes} {window_kept}");
        assert_eq!(acks.told(), SeqNum(0));
    }
}

#[test]
fn the_pace_is_that_of_the_segments_that_come_within_it() {
    // Two delays without company make it 160 ms.
    let slow = || {
        let mut acks = calm();
        acks.on_delay_over(RTO);
        acks.on_delay_over(RTO);
        assert_eq!((acks.delay(FAR), acks.ato()), (ms(160), ms(160)));
        acks
    };
    for (gap, pace) in [(0, 100), (20, 100), (21, 101), (159, 200), (160, 160), (299, 160)] {
        let mut acks = slow();
        acks.on_data(arrival(1000, 0), RTO, at(gap));
        assert_eq!(acks.delay(FAR), ms(pace), "after {gap} ms");
        assert_eq!(acks.heard(), at(gap));
    }
    let mut acks = slow();
    acks.on_data(arrival(1000, 0), ms(120), at(100));
    assert_eq!(acks.delay(FAR), ms(120), "no longer than a time-out");
}

#[test]
fn after_a_pause_longer_than_a_time_out_acknowledgements_are_quick_again() {
    for (gap, owed) in [(299, Owed::Delayed), (300, Owed::Delayed), (301, Owed::Now), (5000, Owed::Now)] {
        let mut acks = calm();
        acks.on_data(arrival(1000, 10), RTO, at(gap));
        assert_eq!(acks.owed(), owed, "after {gap} ms");
    }
}

#[test]
fn a_delay_without_answer_doubles_the_pace_and_one_in_a_dialogue_resets_it() {
    let mut acks = calm();
    let paces = [80, 160, 300, 300].map(|pace| {
        acks.on_delay_over(RTO);
        (acks.ato(), ms(pace))
    });
    assert!(paces.iter().all(|(is, expected)| is == expected), "{paces:?}");
    acks.on_data_sent(at(0));
    acks.on_delay_over(RTO);
    assert_eq!((acks.ato(), acks.is_interactive()), (ms(40), false));
}

#[test]
fn data_sent_within_40_ms_is_an_answer() {
    for (gap, interactive) in [(0, true), (39, true), (40, false)] {
        let mut acks = calm();
        acks.on_data_sent(at(gap));
        assert_eq!(acks.is_interactive(), interactive, "after {gap} ms");
    }
}

#[test]
fn reading_sends_what_waited_for_it_if_it_is_more_than_a_segment_or_quick_and_all() {
    for (quick, bytes, emptied, owed) in [
        (0, 1000, true, Owed::Delayed),
        (0, 1001, false, Owed::Now),
        (1, 10, true, Owed::Now),
        (1, 10, false, Owed::Delayed),
    ] {
        let mut acks = calm();
        acks.on_data(Arrival { window_kept: false, ..arrival(1000, bytes) }, RTO, at(0));
        acks.be_quick(quick);
        acks.on_read(SeqNum(bytes), emptied);
        assert_eq!(acks.owed(), owed, "quick {quick}, {bytes} bytes, all of them: {emptied}");
    }
    let mut idle = calm();
    idle.on_read(SeqNum(5000), true);
    assert_eq!(idle.owed(), Owed::Nothing);
}

#[test]
fn quick_acknowledgements_are_used_up_by_acknowledgements_that_were_owed() {
    let mut acks = calm();
    acks.be_quick(2);
    acks.be_quick(1);
    acks.on_told(SeqNum(0));
    for n in 1..=3 {
        acks.on_data(arrival(1000, n), RTO, at(0));
        assert_eq!(acks.owed(), if n <= 2 { Owed::Now } else { Owed::Delayed }, "{n}");
        acks.on_told(SeqNum(n));
        assert_eq!((acks.owed(), acks.told()), (Owed::Nothing, SeqNum(n)));
    }
}

#[test]
fn leaving_the_dialogue_sends_what_was_delayed() {
    for (interactive, owed) in [(false, Owed::Now), (true, Owed::Delayed)] {
        let mut acks = calm();
        acks.set_interactive(true);
        acks.on_data(arrival(1000, 10), RTO, at(0));
        acks.set_interactive(interactive);
        assert_eq!((acks.owed(), acks.is_interactive()), (owed, interactive));
    }
    let mut quiet = calm();
    quiet.set_interactive(true);
    quiet.set_interactive(false);
    assert_eq!(quiet.owed(), Owed::Nothing);
}
