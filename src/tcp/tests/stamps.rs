//! Time stamps and windows of the peer, at the edges of their rules (RFC 7323 sections 4 and 5, RFC 9293 section
//! 3.10.7.4).

use crate::{
    tcp::{
        BufferSize, Knobs, Settings,
        send_window::{SendWindow, buffer_limit, is_writable},
        timestamps::{Clock, PawsVerdict},
    },
    time::{Duration, Instant},
    wire::{seq::SeqNum, tcp::Timestamps},
};

/// Twenty-four days, in milliseconds.
const OUTDATED: u64 = 24 * 24 * 3_600_000;

fn at(ms: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(ms)
}

fn stamps(val: u32, ecr: u32) -> Option<Timestamps> {
    Some(Timestamps { val, ecr })
}

#[test]
fn the_clock_counts_milliseconds_from_its_offset_and_wraps() {
    let clock = Clock::new(u32::MAX - 9);
    assert_eq!([0, 9, 10, 1000].map(|ms| clock.val(at(ms))), [u32::MAX - 9, u32::MAX, 0, 990]);
    assert_eq!((clock.offset(), clock.is_on(), clock.recent()), (u32::MAX - 9, true, 0));
    assert_eq!(clock.option(at(10)), stamps(0, 0));
}

#[test]
fn without_the_option_nothing_is_sent_judged_or_taken() {
    let mut clock = Clock::new(0);
    clock.on_syn(100, at(5));
    assert_eq!((clock.recent(), clock.recent_at()), (100, at(5)));
    clock.turn_off();
    assert_eq!((clock.is_on(), clock.option(at(9))), (false, None));
    assert_eq!(clock.judge(stamps(1, 0), at(9)), PawsVerdict::Fresh);
    clock.update(stamps(200, 0), SeqNum(0), SeqNum(0), at(9));
    assert_eq!((clock.recent(), clock.echoed(stamps(1, 5), at(9))), (100, None));
}

#[test]
fn the_same_stamp_is_fresh_and_an_older_one_is_until_the_last_is_24_days_old() {
    let mut clock = Clock::new(0);
    clock.on_syn(100, at(0));
    for (val, ms, verdict) in [
        (100, 1, PawsVerdict::Fresh),
        (99, 1, PawsVerdict::Old),
        (99, OUTDATED - 1, PawsVerdict::Old),
        (99, OUTDATED, PawsVerdict::Fresh),
    ] {
        assert_eq!(clock.judge(stamps(val, 0), at(ms)), verdict, "{val} after {ms} ms");
    }
    for (val, ms, recent) in [(99, 1, 100), (100, 2, 100), (101, 3, 101), (5, OUTDATED + 2, 101), (5, OUTDATED + 3, 5)]
    {
        clock.update(stamps(val, 0), SeqNum(0), SeqNum(0), at(ms));
        assert_eq!(clock.recent(), recent, "{val} after {ms} ms");
    }
    clock.update(stamps(5, 0), SeqNum(0), SeqNum(0), at(OUTDATED + 50));
    assert_eq!(clock.recent_at(), at(OUTDATED + 50));
}

#[test]
fn an_echo_tells_the_round_trip_unless_it_is_of_no_time_or_of_the_future() {
    let clock = Clock::new(0);
    let echoed = |ecr, ms| clock.echoed(stamps(0, ecr), at(ms)).map(|time| time.as_millis());
    assert_eq!([echoed(70, 100), echoed(100, 100), echoed(0, 100), echoed(101, 100)], [Some(30), Some(0), None, None]);
    assert_eq!([echoed(1, 1 << 20), echoed(1, (1 << 20) + 1)], [Some((1 << 20) - 1), None]);
}

#[test]
fn an_echo_is_of_a_time_between_two_others() {
    let clock = Clock::new(u32::MAX - 50);
    let is_echo = |ms| clock.is_echo(stamps(0, clock.val(at(ms))), Some(at(40)), at(60));
    assert_eq!([39, 40, 60, 61].map(is_echo), [false, true, true, false]);
    assert!(clock.is_echo(stamps(0, 0), Some(at(40)), at(60)));
    assert!(clock.is_echo(None, Some(at(40)), at(60)) && clock.is_echo(stamps(0, 1), None, at(60)));
}

#[test]
fn a_segment_as_new_as_the_one_that_set_the_window_sets_it_again() {
    let mut window = SendWindow::default();
    window.on_syn(SeqNum(10), SeqNum(5), 1000, 1);
    assert_eq!((window.size(), window.max(), window.shift(), window.scaled(300)), (1000, 1000, 1, 600));
    assert!(window.update(SeqNum(10), SeqNum(5), 400));
    assert_eq!((window.size(), window.max()), (800, 1000));
    // The same size is no change; a later acknowledgement of the same number counts, an earlier does not.
    assert!(!window.update(SeqNum(10), SeqNum(6), 400));
    assert!(!window.update(SeqNum(10), SeqNum(5), 900));
    assert!(window.update(SeqNum(11), SeqNum(1), 900));
    assert_eq!((window.size(), window.max()), (1800, 1800));
    assert_eq!([0, 800, 1800, 1801].map(|out| window.usable(SeqNum(7), SeqNum(7 + out))), [1800, 1000, 0, 0]);
}

#[test]
fn the_send_buffer_is_two_windows_within_its_bounds_and_small_below_a_millisecond() {
    let auto = |max| Settings { send_buffer: BufferSize::Auto { max }, ..Settings::default() };
    let (near, far) = (Some(Duration::from_micros(999)), Some(Duration::from_millis(1)));
    for (max, cwnd, rtt, limit) in [
        (4 << 20, 1000, far, 256 << 10),
        (4 << 20, 1 << 20, far, 2 << 20),
        (4 << 20, 3 << 20, far, 4 << 20),
        (4 << 20, 3 << 20, None, 4 << 20),
        (4 << 20, 3 << 20, near, 2 << 20),
        (100_000, 3 << 20, far, 100_000),
    ] {
        assert_eq!(buffer_limit(&auto(max), cwnd, rtt), limit, "{max} {cwnd} {rtt:?}");
    }
    let mut knobs = Knobs::default();
    knobs.set_sizes("tcp_wmem", [4096, 1 << 20, 3 << 20]).unwrap();
    let administered = Settings { knobs: knobs.into(), ..Settings::default() };
    assert_eq!([1000, 1 << 20, 3 << 20].map(|cwnd| buffer_limit(&administered, cwnd, far) >> 20), [1, 2, 3]);
    let fixed = Settings { send_buffer: BufferSize::Fixed(usize::MAX), ..Settings::default() };
    assert_eq!(buffer_limit(&fixed, 1, far), 1 << 30);
}

#[test]
fn what_is_free_must_be_half_of_what_is_queued_and_what_is_unsent_below_the_low_mark() {
    let settings = |notsent_lowat| Settings { notsent_lowat, ..Settings::default() };
    for (queued, unsent, limit, lowat, writable) in [
        (0, 0, 1, None, true),
        (300, 0, 300, None, false),
        (0, 0, 0, None, false),
        (200, 1000, 300, None, true),
        (202, 0, 300, None, false),
        (10, 9, 300, Some(10), true),
        (10, 10, 300, Some(10), false),
    ] {
        assert_eq!(is_writable(&settings(lowat), queued, unsent, limit), writable, "{queued} of {limit}, {unsent}");
    }
}
