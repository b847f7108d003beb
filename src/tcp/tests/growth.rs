//! How congestion windows grow and shrink, at the edges of the rules (RFC 5681, 2861, 7661, 9406, 9438).

use crate::{
    tcp::{
        congestion::{
            AckSample, AnyController, Controller,
            cubic::Cubic,
            hystart::{HyStart, Verdict},
            reno::Reno,
            window::{Phase, Window},
        },
        rate::RateSample,
    },
    time::{Duration, Instant},
};

const MSS: u32 = 1000;
const RTT: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
}

/// An acknowledgement of a window that is in use, on a path of 100 ms.
fn ack(acked: u32, now: Instant) -> AckSample {
    let (rtt, min_rtt) = (Some(RTT), Some(RTT));
    AckSample { acked, in_flight: 1 << 30, advanced: true, rtt, min_rtt, now, ..AckSample::default() }
}

/// A window of so many segments.
fn window(segments: u32) -> Window {
    let mut window = Window::new(MSS as u16);
    window.cwnd = segments * MSS;
    window
}

#[test]
fn only_new_data_outside_of_recovery_that_used_the_window_makes_it_grow() {
    let used = AckSample { advanced: true, ..AckSample::default() };
    for (phase, ssthresh, ack, grows) in [
        (Phase::Open, u32::MAX, used, true),
        (Phase::Loss, u32::MAX, used, true),
        (Phase::Recovery, u32::MAX, used, false),
        (Phase::Open, u32::MAX, AckSample { advanced: false, ..used }, false),
        (Phase::Open, u32::MAX, AckSample { unused: true, ..used }, false),
        (Phase::Open, 20_000, used, true),
    ] {
        let mut window = window(20);
        (window.phase, window.ssthresh) = (phase, ssthresh);
        assert_eq!(window.may_grow(&ack), grows, "{phase:?} {ssthresh} {ack:?}");
    }
}

#[test]
fn slow_start_takes_what_is_acknowledged_up_to_the_threshold() {
    for (acked, cwnd, left) in [(4_999, 14_999, 0), (5_000, 15_000, 0), (5_001, 15_000, 1), (20_000, 15_000, 15_000)] {
        let mut window = window(10);
        window.ssthresh = 15_000;
        assert_eq!((window.slow_start(acked), window.cwnd), (left, cwnd), "{acked}");
        assert_eq!(window.is_slow_start(), cwnd < 15_000);
    }
}

#[test]
fn a_time_out_sets_the_threshold_unless_a_loss_has() {
    let mut first = window(20);
    first.on_rto(7_000);
    assert_eq!((first.cwnd, first.ssthresh, first.phase), (1_000, 7_000, Phase::Loss));
    first.on_rto(1_000);
    assert_eq!((first.cwnd, first.ssthresh), (1_000, 7_000));
    first.undo();
    assert_eq!((first.cwnd, first.ssthresh, first.phase), (20_000, u32::MAX, Phase::Open));
    let mut small = window(20);
    small.on_rto(1_999);
    assert_eq!(small.ssthresh, 2_000);
    let mut lossy = window(20);
    lossy.on_loss(9_000);
    assert_eq!((lossy.cwnd, lossy.ssthresh, lossy.phase), (9_000, 9_000, Phase::Recovery));
    lossy.on_rto(4_000);
    assert_eq!((lossy.cwnd, lossy.ssthresh), (1_000, 9_000));
    lossy.undo();
    assert_eq!((lossy.cwnd, lossy.ssthresh), (20_000, u32::MAX));
}

#[test]
fn silence_longer_than_a_time_out_halves_for_each_and_the_threshold_keeps_three_quarters() {
    for (idle, rto, cwnd, ssthresh) in [
        (1000, 1000, 80_000, 5),
        (1001, 1000, 40_000, 60_000),
        (1999, 1000, 40_000, 60_000),
        (2000, 1000, 20_000, 60_000),
        (9000, 1000, 10_000, 60_000),
        (5, 0, 80_000, 5),
    ] {
        let mut window = window(80);
        window.ssthresh = 5;
        window.on_restart(Duration::from_millis(idle), Duration::from_millis(rto));
        assert_eq!((window.cwnd, window.ssthresh), (cwnd, ssthresh), "{idle} of {rto} ms");
    }
    let mut little = window(3);
    little.on_restart(Duration::from_secs(9), Duration::from_secs(1));
    assert_eq!(little.cwnd, 3_000);
}

#[test]
fn an_unused_window_is_kept_down_to_the_first_and_while_something_is_repaired() {
    for (phase, used, cwnd) in [
        (Phase::Open, 20_000, 20_000),
        (Phase::Open, 19_998, 19_999),
        (Phase::Open, 1, 15_000),
        (Phase::Recovery, 1, 20_000),
        (Phase::Loss, 1, 20_000),
    ] {
        let mut window = window(20);
        window.phase = phase;
        window.on_unused(used);
        assert_eq!(window.cwnd, cwnd, "{phase:?} {used}");
    }
}

#[test]
fn another_segment_size_renews_the_first_window_only() {
    for (cwnd, ssthresh, mss, after) in [
        (10_000, u32::MAX, 500, 5_000),
        (10_000, 50_000, 500, 10_000),
        (9_999, u32::MAX, 500, 9_999),
        (600, u32::MAX, 1400, 1_400),
    ] {
        let mut window = window(10);
        (window.cwnd, window.ssthresh) = (cwnd, ssthresh);
        window.set_mss(mss);
        assert_eq!((window.cwnd, window.segment()), (after, u32::from(mss)), "{cwnd} {ssthresh}");
    }
    let mut none = window(1);
    none.set_mss(0);
    assert_eq!(none.segment(), 1);
    assert_eq!(Window::new(0).segment(), 1);
}

/// HyStart++ after a round of 100 ms, and `samples` of 120 ms in the next.
fn grown(samples: u64, rtt: Option<Duration>) -> Verdict {
    let mut hystart = HyStart::default();
    let mut judge = |delivered_total, prior_delivered, rtt| {
        let rate = RateSample { delivered_total, prior_delivered, ..RateSample::default() };
        hystart.on_ack(&AckSample { rtt, rate, ..AckSample::default() })
    };
    for n in 1..=10 {
        assert_eq!(judge(n, 0, Some(RTT)), Verdict::Fast);
    }
    let mut verdict = Verdict::Fast;
    for n in 1..=samples {
        verdict = judge(10 + n, n, rtt);
    }
    verdict
}

#[test]
fn eight_round_trips_of_a_round_show_that_it_has_grown() {
    let longer = Some(Duration::from_millis(120));
    assert_eq!([7, 8, 9].map(|samples| grown(samples, longer))[0], Verdict::Fast);
    assert_eq!(grown(10, longer), Verdict::Conservative);
    assert_eq!(grown(10, None), Verdict::Fast);
}

#[test]
fn reno_grows_by_a_segment_for_each_window_acknowledged() {
    let mut reno = Reno::new(MSS as u16);
    reno.on_loss(20_000, at(0));
    reno.on_recovered(at(0));
    for (acked, window) in [(9_999, 10_000), (1, 11_000), (10_999, 11_000), (1, 12_000), (36_000, 15_000)] {
        reno.on_ack(&ack(acked, at(0)));
        assert_eq!(reno.window(), window, "{acked}");
    }
    // What was collected does not outlive a loss, a mark or a time-out.
    for event in [Reno::on_loss, Reno::on_ecn] {
        let mut reno = reno.clone();
        reno.on_ack(&ack(14_000, at(0)));
        event(&mut reno, 20_000, at(0));
        reno.on_recovered(at(0));
        reno.on_ack(&ack(9_000, at(0)));
        assert_eq!(reno.window(), 10_000);
    }
    reno.on_ack(&ack(14_000, at(0)));
    reno.on_rto(20_000, at(0));
    reno.on_recovered(at(0));
    reno.on_ack(&ack(9_000 + 9_999, at(0)));
    assert_eq!((reno.window(), reno.ssthresh()), (10_000, 10_000));
}

#[test]
fn in_slow_start_nothing_is_collected_for_avoidance() {
    let mut reno = Reno::new(MSS as u16);
    reno.on_ack(&ack(10_000, at(0)));
    reno.on_unused(10_000);
    assert_eq!(reno.window(), 15_000);
    reno.on_handshake_lost();
    assert_eq!(reno.window(), 1_000);
}

/// The cubic function of a loss at `max` bytes (RFC 9438 figure 1).
fn cubic(max: f64, cwnd: f64, seconds: f64) -> f64 {
    let k = ((max - cwnd) / 1000.0 / 0.4).cbrt();
    max + 0.4 * (seconds - k).powi(3) * 1000.0
}

/// A loss at 1000 segments, and congestion avoidance begun at time zero.
fn lossy() -> Cubic {
    let mut cubic = Cubic::new(MSS as u16);
    cubic.on_ack(&ack(990_000, at(0)));
    cubic.on_loss(1, at(0));
    cubic.on_recovered(at(0));
    assert_eq!((cubic.window(), cubic.ssthresh()), (700_000, 700_000));
    cubic.on_ack(&ack(1, at(0)));
    cubic
}

#[test]
fn cubic_aims_where_the_curve_will_be_in_a_round_trip() {
    for (ms, part) in [(1_000, 1), (1_000, 2), (3_000, 1), (9_000, 1), (9_000, 10), (12_000, 1)] {
        let mut controller = lossy();
        // In use all the time, acknowledged only now.
        controller.on_ack(&ack(700_000 / part, at(ms)));
        let target = cubic(1_000_000.0, 700_000.0, ms as f64 / 1000.0 + 0.1);
        let expected = 700_000.0 + (target - 700_000.0) / f64::from(part);
        let off = (f64::from(controller.window()) - expected).abs();
        assert!(off < 30.0, "after {ms} ms, a {part}th: {} instead of {expected}", controller.window());
    }
}

#[test]
fn cubic_grows_by_half_a_window_a_round_trip_at_most() {
    let mut controller = lossy();
    controller.on_ack(&ack(700_000, at(60_000)));
    assert!((1_050_000..=1_050_001).contains(&controller.window()), "{}", controller.window());
    let mut controller = lossy();
    controller.on_ack(&ack(7_000_000, at(1_000)));
    let target = cubic(1_000_000.0, 700_000.0, 1.1);
    assert!((f64::from(controller.window()) - target).abs() < 30.0, "{}", controller.window());
}

#[test]
fn cubic_adds_up_parts_of_bytes() {
    let mut controller = lossy();
    // A thousandth of the way to the target each.
    for _ in 0..100 {
        controller.on_ack(&ack(700, at(100)));
    }
    let target = cubic(1_000_000.0, 700_000.0, 0.2);
    let expected = (target - 700_000.0) * (1.0 - 0.999f64.powi(100)) + 700_000.0;
    assert!((f64::from(controller.window()) - expected).abs() < 40.0, "{} {expected}", controller.window());
}

#[test]
fn cubic_is_no_slower_than_a_reno_of_its_beta() {
    // Ten segments in a millisecond each: alpha is 9/17 of a segment a window until the old window is reached, then
    // one.
    let mut controller = Cubic::new(MSS as u16);
    controller.on_loss(1, at(0));
    controller.on_recovered(at(0));
    assert_eq!(controller.window(), 7_000);
    let short = |acked| AckSample { min_rtt: Some(Duration::from_millis(1)), ..ack(acked, at(0)) };
    controller.on_ack(&short(7_000));
    assert_eq!(controller.window(), 7_529);
    controller.on_ack(&short(7_529));
    assert_eq!(controller.window(), 8_058);
    (0..4).for_each(|_| controller.on_ack(&short(controller.window())));
    let window = controller.window();
    assert!((10_170..=10_180).contains(&window), "{window}");
    controller.on_ack(&short(window));
    assert!((999..=1001).contains(&(controller.window() - window)), "{}", controller.window());
}

#[test]
fn a_reduction_of_cubic_is_exact_to_the_byte() {
    for (window, reduced) in [(10_005, 7_003), (10_009, 7_006), (99_999, 69_999)] {
        let mut controller = Cubic::new(MSS as u16);
        controller.on_ack(&ack(window - 10_000, at(0)));
        controller.on_ecn(1, at(0));
        assert_eq!(controller.window(), reduced, "{window}");
    }
}

#[test]
fn time_in_which_the_window_is_not_used_does_not_move_the_curve() {
    let limited = |ms| AckSample { unused: true, in_flight: 5, ..ack(1000, at(ms)) };
    let (mut busy, mut idle) = (lossy(), lossy());
    busy.on_ack(&ack(700_000, at(2_000)));
    idle.on_ack(&limited(500));
    idle.on_ack(&limited(3_000));
    idle.on_ack(&ack(700_000, at(5_000)));
    assert_eq!(busy.window(), idle.window());
    let mut silent = lossy();
    silent.on_restart(Duration::from_secs(3), Duration::from_secs(4));
    silent.on_idle(Duration::from_secs(3));
    silent.on_ack(&ack(700_000, at(5_000)));
    assert_eq!(busy.window(), silent.window());
}

#[test]
fn each_algorithm_is_asked_for_what_is_its_own() {
    for name in ["bbr", "cubic", "reno"] {
        let mut any = AnyController::named(name, MSS as u16).unwrap();
        assert_eq!((any.window(), any.ssthresh()), (10_000, u32::MAX), "{name}");
        assert_eq!(any.pacing_rate().is_some(), name == "bbr");
        any.set_mss(500);
        assert_eq!(any.window(), 5_000, "{name}");
        any.on_handshake_lost();
        assert_eq!(any.window(), 500, "{name}");
        any.on_ack(&AckSample {
            rate: RateSample { newly_acked: 9_500, ..RateSample::default() },
            ..ack(9_500, at(0))
        });
        assert_eq!(any.window(), 10_000, "{name}");
        let mut lossy = any.clone();
        lossy.on_loss(10_000, at(0));
        let reduced = [("bbr", 10_000), ("cubic", 7_000), ("reno", 5_000)].into_iter().find(|(it, _)| *it == name);
        assert_eq!(Some((name, lossy.window())), reduced);
        lossy.undo(at(0));
        assert_eq!(lossy.window(), 10_000, "{name}");
        lossy.on_rto(10_000, at(0));
        assert_eq!(lossy.window(), 500, "{name}");
        let mut quiet = any.clone();
        quiet.on_restart(Duration::from_secs(1), RTT);
        let mut unused = any.clone();
        unused.on_unused(1);
        assert_eq!((quiet.window() == 5_000, unused.window() == 7_500), (name != "bbr", name != "bbr"), "{name}");
    }
}

#[test]
fn conservative_slow_start_grows_by_a_quarter_of_what_is_acknowledged() {
    let mut controller = Cubic::new(MSS as u16);
    let mut hear = |delivered_total, prior_delivered, ms| {
        let rate = RateSample { delivered_total, prior_delivered, ..RateSample::default() };
        controller.on_ack(&AckSample { rtt: Some(Duration::from_millis(ms)), rate, ..ack(1_001, at(0)) });
        controller.window()
    };
    let fast = (1..=10).map(|n| hear(n, 0, 100)).last();
    let slow: Vec<_> = (1..=10).map(|n| hear(10 + n, n, 120)).collect();
    assert_eq!((fast, &slow[6..]), (Some(20_010), &[27_017, 27_267, 27_517, 27_767][..]));
}

#[test]
fn what_was_collected_in_avoidance_waits_while_slow_start_is_under_way() {
    let mut reno = Reno::new(MSS as u16);
    reno.on_ack(&ack(10_000, at(0)));
    reno.on_loss(30_000, at(0));
    reno.on_recovered(at(0));
    reno.on_ack(&ack(14_999, at(0)));
    reno.on_restart(Duration::from_secs(9), Duration::from_secs(1));
    assert_eq!((reno.window(), reno.ssthresh()), (10_000, 15_000));
    reno.on_ack(&ack(100, at(0)));
    assert_eq!(reno.window(), 10_100);
}

#[test]
fn after_a_time_out_cubic_is_a_gentle_reno_up_to_where_it_timed_out() {
    let mut controller = Cubic::new(MSS as u16);
    controller.on_ack(&ack(10_000, at(0)));
    controller.on_rto(1, at(0));
    controller.on_recovered(at(0));
    let short = |acked| AckSample { min_rtt: Some(Duration::from_millis(1)), ..ack(acked, at(0)) };
    controller.on_ack(&short(13_000));
    assert_eq!((controller.window(), controller.ssthresh()), (14_000, 14_000));
    // Nine seventeenths of a segment for a window (RFC 9438 section 4.3).
    controller.on_ack(&short(14_000));
    assert_eq!(controller.window(), 14_529);
}
