//! BBR's rules one at a time, with the draft's numbers: what each makes of a model and an acknowledgement.

use super::super::*;
use crate::tcp::rate::RateSample;

const MSS: u32 = 1000;
const MS: Duration = Duration::from_millis(1);

fn at(ms: u64) -> Instant {
    Instant::from_nanos(1_000_000_000 + ms * 1_000_000)
}

/// A model of a path of 1 MB/s and 20 ms (20,000 bytes) in a state, with all bounds open.
fn model(state: State) -> Model {
    let mut model = *Bbr::new(MSS as u16).0;
    model.state = state;
    model.full_bw_reached = !matches!(state, State::Startup);
    (model.bw, model.pacing_rate) = (1_000_000, 1_000_000);
    model.max_bw.update(1_000_000, 0);
    (model.min_rtt, model.min_rtt_at) = (Some(20 * MS), at(0));
    (model.probe_rtt_min, model.probe_rtt_at) = (Some(20 * MS), at(0));
    (model.cycle_at, model.probe_wait) = (at(0), MS * 2500);
    model.cwnd = 40_000;
    model
}

/// An acknowledgement of one segment at a time, with `in_flight` left behind it.
fn ack(in_flight: u32, now: Instant) -> AckSample {
    let rate = RateSample { newly_acked: MSS, delivered: MSS, delivered_total: 50_000, ..RateSample::default() };
    AckSample { acked: MSS, advanced: true, in_flight: in_flight + MSS, rate, now, ..AckSample::default() }
}

#[test]
fn the_first_rate_is_the_first_window_in_a_round_trip_or_a_millisecond_times_the_gain() {
    let mut model = model(State::Startup);
    model.cwnd = 10_000;
    for (rtt, rate) in [(None, 27_700_000), (Some(100 * MS), 277_000), (Some(Duration::ZERO), 27_700_000_000)] {
        model.init_pacing_rate(rtt);
        assert_eq!(model.pacing_rate, rate, "{rtt:?}");
    }
}

#[test]
fn the_rate_is_a_percent_below_the_bandwidth_and_does_not_fall_before_the_pipe_is_full() {
    for (full, before, rate) in [(true, 2_000_000, 1_237_500), (false, 2_000_000, 2_000_000), (false, 5, 1_237_500)] {
        let mut model = model(State::Up);
        (model.full_bw_reached, model.pacing_rate) = (full, before);
        model.set_pacing_rate(125);
        assert_eq!(model.pacing_rate, rate, "full {full}, from {before}");
    }
    let mut model = model(State::Up);
    model.bw = 0;
    model.set_pacing_rate(125);
    assert_eq!(model.pacing_rate, 1_000_000);
}

#[test]
fn the_product_is_bandwidth_times_round_trip_times_gain() {
    let mut model = model(State::Cruise);
    assert_eq!([100, 200, 50].map(|gain| model.bdp(1_000_000, gain)), [20_000, 40_000, 10_000]);
    assert_eq!(model.bdp(u64::MAX, 100), MAX_WINDOW);
    model.min_rtt = None;
    assert_eq!(model.bdp(1_000_000, 100), 10_000);
}

#[test]
fn three_frames_and_four_segments_are_the_least_and_up_has_two_segments_more() {
    for (rate, bytes, state, quantized) in [
        (1_000, 0, State::Cruise, 6_000),
        (10_000_000, 0, State::Cruise, 30_000),
        (1_000_000_000, 0, State::Cruise, 196_608),
        (1_000, 50_000, State::Cruise, 50_000),
        (1_000, 50_000, State::Up, 52_000),
    ] {
        let mut model = model(state);
        model.pacing_rate = rate;
        assert_eq!(model.quantized(bytes), quantized, "{bytes} at {rate} in {state:?}");
        assert_eq!(model.min_window(), 4_000);
    }
}

#[test]
fn fifteen_percent_of_the_bound_but_a_segment_at_least_is_left_to_others() {
    let mut model = model(State::Cruise);
    assert_eq!(model.inflight_with_headroom(), NO_BOUND);
    for (long, left) in [(100_000, 85_000), (6_000, 5_000), (4_500, 4_000)] {
        model.inflight_long = long;
        assert_eq!(model.inflight_with_headroom(), left, "{long}");
    }
}

#[test]
fn the_window_grows_by_what_is_acknowledged_up_to_twice_the_product() {
    // Bytes acknowledged, window before, delivered in all, pipe full: window.
    for (acked, before, delivered, full, after) in [
        (3_000, 39_000, 1 << 20, true, 40_000),
        (3_000, 60_000, 1 << 20, true, 40_000),
        (3_000, 20_000, 1 << 20, true, 23_000),
        (3_000, 39_000, 1 << 20, false, 42_000),
        (3_000, 40_000, 10_000, false, 40_000),
        (3_000, 40_000, 9_999, false, 43_000),
        (0, 1_000, 1 << 20, true, 4_000),
    ] {
        let mut model = model(State::Refill);
        (model.full_bw_reached, model.cwnd) = (full, before);
        model.set_window(acked, delivered);
        assert_eq!(model.cwnd, after, "{acked} of {before}, {delivered} delivered, full: {full}");
    }
    let mut bunched = model(State::Refill);
    bunched.extra_acked.update(5_000, 0);
    bunched.set_window(10_000, 1 << 20);
    assert_eq!(bunched.cwnd, 45_000);
}

#[test]
fn each_state_has_its_bound_on_the_window() {
    for (state, long, short, window) in [
        (State::Cruise, 30_000, NO_BOUND, 25_500),
        (State::Down, 30_000, NO_BOUND, 30_000),
        (State::Up, 30_000, NO_BOUND, 30_000),
        (State::Drain, 30_000, NO_BOUND, 40_000),
        (State::Drain, 30_000, 20_000, 20_000),
        (State::Cruise, 30_000, 1, 4_000),
        (State::ProbeRtt, NO_BOUND, NO_BOUND, 10_000),
        (State::ProbeRtt, 8_000, NO_BOUND, 6_800),
    ] {
        let mut model = model(state);
        (model.inflight_long, model.inflight_short) = (long, short);
        model.set_window(0, 1 << 20);
        assert_eq!(model.cwnd, window, "{state:?}, long {long}, short {short}");
    }
}

#[test]
fn the_window_to_go_back_to_is_the_largest_since_the_first_loss() {
    let mut model = model(State::Cruise);
    model.save_undo();
    assert_eq!((model.prior_cwnd, model.undo.is_some(), model.in_recovery), (40_000, true, true));
    (model.cwnd, model.state) = (7_000, State::Up);
    model.save_undo();
    assert_eq!((model.prior_cwnd, model.undo.unwrap().state), (40_000, State::Cruise));
    model.in_recovery = false;
    model.save_window();
    assert_eq!(model.prior_cwnd, 7_000);
    (model.cwnd, model.state) = (5_000, State::ProbeRtt);
    model.save_window();
    assert_eq!(model.prior_cwnd, 7_000);
}

#[test]
fn a_round_ends_when_what_was_sent_after_its_start_is_delivered() {
    let mut model = model(State::Cruise);
    let mut heard = ack(0, at(0));
    model.next_round = 30_000;
    for (prior, newly, rounds) in [(29_999, 1000, 0), (30_000, 0, 0), (30_000, 1000, 1), (30_000, 1000, 1)] {
        (heard.rate.prior_delivered, heard.rate.newly_acked) = (prior, newly);
        model.update_bandwidth(&heard, 0);
        assert_eq!((model.rounds, model.rounds_since_probe), (rounds, rounds), "{prior} {newly}");
    }
    assert_eq!(model.next_round, 50_000);
}

#[test]
fn a_sample_that_the_application_limited_only_raises_the_bandwidth() {
    for (limited, rate, most) in
        [(true, 900_000, 1_000_000), (true, 1_100_000, 1_100_000), (false, 900_000, 900_000), (false, 0, 1_000_000)]
    {
        let mut model = model(State::Cruise);
        model.max_bw = WindowedMax::default();
        model.max_bw.update(1_000_000, 0);
        model.cycle = 2;
        let mut heard = ack(0, at(0));
        heard.rate.app_limited = limited;
        model.update_bandwidth(&heard, rate);
        assert_eq!(model.max_bw.max(), most, "limited {limited}, {rate}");
    }
}

/// The short bounds after a round that lost so much of 100,000 bytes, and delivered the rest at 600 kB/s.
fn after_losses(state: State, lost: u32) -> (u64, u32) {
    let mut model = model(state);
    (model.bw_latest, model.inflight_latest) = (600_000, 100_000 - lost);
    model.loss_round_start = true;
    model.cwnd = 200_000;
    let mut heard = ack(0, at(0));
    heard.rate.newly_lost = lost;
    model.update_bounds(&heard);
    assert_eq!((model.loss_in_round, model.loss_events, model.lost_in_round), (false, 0, 0));
    (model.bw_short, model.inflight_short)
}

#[test]
fn a_round_that_lost_more_than_two_percent_and_four_segments_lowers_the_bounds_by_three_tenths() {
    assert_eq!(after_losses(State::Cruise, 6_000), (NO_RATE_BOUND, NO_BOUND));
    assert_eq!(after_losses(State::Cruise, 6_001), (700_000, 140_000));
    assert_eq!(after_losses(State::Down, 50_000), (700_000, 140_000));
    assert_eq!(after_losses(State::Up, 50_000), (NO_RATE_BOUND, NO_BOUND));
    // Not below what the round delivered, and from the bounds that are there.
    let mut model = model(State::Cruise);
    (model.bw_short, model.inflight_short, model.loss_round_start) = (800_000, 100_000, true);
    (model.bw_latest, model.inflight_latest, model.loss_in_round) = (790_000, 90_000, true);
    model.update_bounds(&ack(0, at(0)));
    assert_eq!((model.bw_short, model.inflight_short), (790_000, 90_000));
    // Within the round losses are only counted.
    model.loss_round_start = false;
    let mut heard = ack(0, at(0));
    heard.rate.newly_lost = 3_000;
    model.update_bounds(&heard);
    model.update_bounds(&heard);
    assert_eq!((model.loss_events, model.lost_in_round, model.bw_short), (2, 6_000, 790_000));
}

#[test]
fn what_is_acknowledged_beyond_the_bandwidth_is_bunching() {
    let mut model = model(State::Cruise);
    let mut heard = ack(0, at(0));
    heard.rate.newly_acked = 8_000;
    model.update_extra_acked(&heard);
    assert_eq!(model.extra_acked.max(), 8_000);
    // 5 ms bring 5,000 bytes; 9,000 more came: 17,000 less 5,000.
    (heard.now, heard.rate.newly_acked) = (at(5), 9_000);
    model.update_extra_acked(&heard);
    assert_eq!((model.extra_acked.max(), model.extra_delivered), (12_000, 17_000));
    // As much as was expected: counted anew.
    (heard.now, heard.rate.newly_acked) = (at(17), 1_000);
    model.update_extra_acked(&heard);
    assert_eq!((model.extra_delivered, model.extra_since), (1_000, Some(at(17))));
    // Five rounds are one period of two.
    (model.rounds, heard.now) = (9, at(100));
    model.update_extra_acked(&heard);
    assert_eq!(model.extra_acked.max(), 12_000);
    (model.rounds, heard.now) = (10, at(200));
    model.update_extra_acked(&heard);
    assert_eq!(model.extra_acked.max(), 1_000);
}

#[test]
fn too_much_in_flight_bounds_it_but_not_below_seven_tenths_of_the_target_and_ends_up() {
    for (state, tx, limited, long, next) in [
        (State::Up, 30_000, false, 30_000, State::Down),
        (State::Up, 3_000, false, 14_000, State::Down),
        (State::Up, 30_000, true, NO_BOUND, State::Down),
        (State::Refill, 30_000, false, 30_000, State::Refill),
    ] {
        let mut model = model(state);
        model.probe_samples = true;
        model.on_inflight_too_high(tx, limited, at(9));
        assert_eq!((model.inflight_long, model.state, model.probe_samples), (long, next, false), "{state:?} {tx}");
    }
    let mut narrow = model(State::Cruise);
    assert_eq!(narrow.target_inflight(), 20_000);
    narrow.cwnd = 9_000;
    assert_eq!(narrow.target_inflight(), 9_000);
}

#[test]
fn a_probing_waits_two_to_three_seconds_or_as_many_rounds_as_reno_would() {
    let mut model = model(State::Cruise);
    (model.bw_latest, model.inflight_latest, model.loss_in_round) = (5, 5, true);
    for ns in 0..200 {
        model.start_down(7, at(ns) + Duration::from_nanos(ns * 37));
        assert!((2000..3000).contains(&model.probe_wait.as_millis()), "{:?}", model.probe_wait);
        assert!(model.rounds_since_probe <= 1);
    }
    assert_eq!((model.state, model.next_round, model.ack_phase), (State::Down, 7, AckPhase::ProbeStopping));
    assert_eq!((model.bw_latest, model.inflight_latest, model.loss_in_round), (0, 0, false));
    (model.cycle_at, model.probe_wait, model.rounds_since_probe) = (at(0), 2500 * MS, 0);
    assert!(!model.is_time_to_probe(at(2500)) && model.is_time_to_probe(at(2501)));
    // Twenty segments are the target; a wide path would wait for its 63.
    (model.rounds_since_probe, model.cwnd) = (19, 1 << 20);
    assert!(!model.is_time_to_probe(at(1)));
    model.rounds_since_probe = 20;
    assert!(model.is_time_to_probe(at(1)));
    (model.bw, model.rounds_since_probe) = (1 << 30, 62);
    assert!(!model.is_time_to_probe(at(1)));
    model.rounds_since_probe = 63;
    assert!(model.is_time_to_probe(at(1)));
}

#[test]
fn down_ends_when_no_more_than_the_product_and_the_bound_less_headroom_are_in_flight() {
    let mut model = model(State::Down);
    for (left, long, cruises) in
        [(20_000, NO_BOUND, true), (20_001, NO_BOUND, false), (17_000, 20_000, true), (17_001, 20_000, false)]
    {
        model.inflight_long = long;
        assert_eq!(model.is_time_to_cruise(&ack(left, at(0))), cruises, "{left} of {long}");
    }
}

#[test]
fn the_slope_of_probing_doubles_each_round_down_to_a_segment() {
    let mut model = model(State::Up);
    model.cwnd = 64_000;
    let slopes = [(); 8].map(|()| {
        model.raise_slope();
        model.up_count
    });
    assert_eq!(slopes, [64_000, 32_000, 16_000, 8_000, 4_000, 2_000, 1_000, 1_000]);
    (0..40).for_each(|_| model.raise_slope());
    assert_eq!(model.up_rounds, 30);
}

#[test]
fn the_bound_rises_by_a_segment_for_each_count_while_it_is_what_limits() {
    for (limited, window, used, long, acked) in [
        (false, 40_000, 38_001, 42_000, 1_000),
        (false, 40_000, 38_000, 40_000, 0),
        (true, 40_000, 40_000, 40_000, 0),
        (false, 39_999, 39_999, 40_000, 0),
    ] {
        let mut model = model(State::Up);
        (model.cwnd, model.inflight_long, model.up_count) = (window, 40_000, 2_000);
        let mut heard = ack(0, at(0));
        (heard.app_limited, heard.in_flight, heard.rate.newly_acked) = (limited, used, 5_000);
        model.probe_upwards(&heard);
        assert_eq!((model.inflight_long, model.up_acked, model.up_rounds), (long, acked, 0), "{limited} {window}");
        (model.round_start, model.inflight_long) = (true, 40_000);
        model.probe_upwards(&heard);
        assert_eq!(model.up_rounds, u32::from(acked > 0), "{limited} {window}");
    }
}

#[test]
fn up_ends_when_the_bandwidth_stops_growing_unless_the_bound_holds_it() {
    for (limited, window, used, full, down) in [
        (false, 30_000, 28_001, true, false),
        (false, 30_000, 28_000, true, true),
        (false, 29_999, 29_999, true, true),
        (true, 30_000, 30_000, true, true),
        (false, 29_999, 29_999, false, false),
    ] {
        let mut model = model(State::Up);
        (model.cwnd, model.inflight_long, model.full_bw_now) = (window, 30_000, full);
        let heard = AckSample { app_limited: limited, in_flight: used, ..ack(0, at(0)) };
        assert_eq!(model.is_time_to_go_down(&heard, 5), down, "limited {limited}, {used} of {window}");
        assert_eq!(model.full_bw == 5, full && !down);
    }
}

#[test]
fn the_phases_of_acknowledgements_follow_each_other_with_the_rounds() {
    let mut model = model(State::Up);
    model.ack_phase = AckPhase::ProbeStarting;
    model.adapt_long_term(&ack(0, at(0)));
    assert_eq!(model.ack_phase, AckPhase::ProbeStarting);
    model.round_start = true;
    model.adapt_long_term(&ack(0, at(0)));
    assert_eq!((model.ack_phase, model.cycle), (AckPhase::ProbeFeedback, 0));
    for (state, limited, cycle) in [(State::Cruise, false, 1), (State::Cruise, true, 1), (State::Drain, false, 1)] {
        (model.state, model.ack_phase, model.probe_samples) = (state, AckPhase::ProbeStopping, true);
        let mut heard = ack(0, at(0));
        heard.rate.app_limited = limited;
        model.adapt_long_term(&heard);
        assert_eq!((model.ack_phase, model.cycle, model.probe_samples), (AckPhase::Steady, cycle, false), "{state:?}");
    }
}

#[test]
fn a_bound_that_is_there_rises_to_what_was_in_flight_without_too_many_losses() {
    for (lost, probing, long) in [(4_600, true, 30_000), (4_601, true, 30_000), (4_601, false, 20_000)] {
        let mut model = model(State::Cruise);
        (model.inflight_long, model.probe_samples) = (20_000, probing);
        let mut heard = ack(0, at(0));
        (heard.rate.tx_in_flight, heard.rate.lost) = (30_000, lost);
        model.adapt_long_term(&heard);
        assert_eq!((model.inflight_long, model.probe_samples), (long, probing && lost == 4_600), "{lost} {probing}");
    }
    let mut open = model(State::Cruise);
    open.adapt_long_term(&ack(0, at(0)));
    assert_eq!(open.inflight_long, NO_BOUND);
    // Only in Up does it rise beyond.
    for (state, acked) in [(State::Cruise, 0), (State::Refill, 0), (State::Up, 1_000)] {
        let mut model = model(state);
        model.inflight_long = 30_000;
        model.adapt_long_term(&ack(0, at(0)));
        assert_eq!(model.up_acked, acked, "{state:?}");
    }
}

#[test]
fn the_pipe_is_full_after_three_rounds_without_a_quarter_more() {
    let mut model = model(State::Startup);
    let heard = ack(0, at(0));
    let mut limited = heard;
    limited.rate.app_limited = true;
    model.full_bw = 1_000;
    for (round, heard, rate, count, full) in [
        (true, heard, 1_249, 1, 1_000),
        (true, heard, 1_250, 0, 1_250),
        (true, heard, 1_561, 1, 1_250),
        (false, heard, 1, 1, 1_250),
        (true, limited, 1, 1, 1_250),
        (true, heard, 1, 2, 1_250),
    ] {
        model.round_start = round;
        model.check_full_bw(&heard, rate);
        assert_eq!((model.full_bw_count, model.full_bw), (count, full), "{rate}");
        assert!(!model.full_bw_reached && !model.full_bw_now);
    }
    model.check_full_bw(&heard, 1);
    assert!(model.full_bw_reached && model.full_bw_now);
    model.check_startup_done(&AckSample { now: at(77), ..heard });
    assert_eq!((model.state, model.cycle_at), (State::Drain, at(77)));
}

#[test]
fn six_losses_of_more_than_two_percent_in_a_round_of_recovery_end_startup() {
    for (events, lost, recovering, state, ends) in [
        (6, 2_001, true, State::Startup, true),
        (5, 2_001, true, State::Startup, false),
        (6, 2_000, true, State::Startup, false),
        (6, 2_001, false, State::Startup, false),
        (6, 2_001, true, State::Drain, false),
    ] {
        let mut model = model(state);
        model.full_bw_reached = false;
        (model.loss_events, model.lost_in_round, model.in_recovery) = (events, lost, recovering);
        model.inflight_latest = 90_000;
        let mut heard = ack(0, at(0));
        heard.rate.tx_in_flight = 100_000;
        model.check_startup_losses(&heard);
        assert_eq!(model.full_bw_reached, ends, "{events} {lost} {recovering} {state:?}");
        assert_eq!(model.inflight_long, if ends { 90_000 } else { NO_BOUND });
        if ends {
            (model.full_bw_reached, model.inflight_latest) = (false, 95_000);
            model.check_startup_losses(&heard);
            assert_eq!(model.inflight_long, 90_000);
        }
    }
}

#[test]
fn drain_ends_when_no_more_than_the_product_is_in_flight() {
    for (left, state) in [(20_001, State::Drain), (20_000, State::Down)] {
        let mut model = model(State::Drain);
        model.check_drain_done(&ack(left, at(0)));
        assert_eq!(model.state, state, "{left}");
    }
    let mut lossy = ack(20_000, at(0));
    lossy.rate.newly_lost = 3_000;
    assert_eq!(startup::in_flight(&lossy), 17_000);
}

#[test]
fn the_shortest_round_trip_lasts_ten_seconds_and_is_looked_for_after_five() {
    let mut model = model(State::Cruise);
    let heard = |rtt: u32, ms| AckSample { rtt: Some(MS * rtt), ..ack(0, at(ms)) };
    for (rtt, ms, expired, least, minimum) in [
        (25, 5_000, false, 20, 20),
        (25, 5_001, true, 25, 20),
        (24, 5_002, false, 24, 20),
        (24, 10_000, false, 24, 20),
        (26, 10_001, false, 24, 24),
        (19, 10_002, false, 19, 19),
    ] {
        model.update_min_rtt(&heard(rtt, ms));
        let minima = (model.probe_rtt_min, model.min_rtt);
        assert_eq!((model.probe_rtt_expired, minima), (expired, (Some(MS * least), Some(MS * minimum))), "{ms} ms");
    }
    assert_eq!((model.min_rtt_at, model.probe_rtt_at), (at(10_002), at(10_002)));
}

#[test]
fn probing_the_round_trip_lasts_200_ms_and_a_round_from_when_little_is_in_flight() {
    let mut model = model(State::Cruise);
    model.probe_rtt_expired = true;
    model.idle_restart = true;
    model.check_probe_rtt(&ack(30_000, at(0)));
    assert_eq!((model.state, model.idle_restart), (State::Cruise, false));
    model.check_probe_rtt(&ack(30_000, at(0)));
    assert_eq!((model.state, model.prior_cwnd, model.next_round), (State::ProbeRtt, 40_000, 50_000));
    assert_eq!((model.limited_until, model.probe_rtt_done), (80_000, None));
    model.check_probe_rtt(&ack(10_001, at(10)));
    assert_eq!(model.probe_rtt_done, None);
    model.check_probe_rtt(&ack(10_000, at(20)));
    assert_eq!(model.probe_rtt_done, Some(at(220)));
    model.cwnd = 10_000;
    // Neither the time nor the round alone is enough.
    model.check_probe_rtt(&ack(10_000, at(221)));
    model.round_start = true;
    model.check_probe_rtt(&ack(10_000, at(220)));
    assert_eq!(model.state, State::ProbeRtt);
    model.round_start = false;
    model.check_probe_rtt(&ack(10_000, at(221)));
    assert_eq!((model.state, model.cwnd, model.probe_rtt_at), (State::Cruise, 40_000, at(221)));
    // Before the pipe was full: back to looking for its bandwidth.
    (model.state, model.full_bw_reached) = (State::ProbeRtt, false);
    model.check_probe_rtt(&ack(10_000, at(221)));
    assert_eq!(model.state, State::Startup);
}

#[test]
fn another_segment_size_moves_only_the_first_window_and_a_lost_handshake_leaves_one() {
    let mut bbr = Bbr::new(1000);
    bbr.set_mss(500);
    assert_eq!(bbr.window(), 5_000);
    bbr.0.rounds = 1;
    bbr.set_mss(400);
    assert_eq!(bbr.window(), 5_000);
    bbr.on_handshake_lost();
    assert_eq!(bbr.window(), 400);
    bbr.set_mss(0);
    assert_eq!(bbr.0.mss, 1);
}

#[test]
fn a_mark_bounds_the_model_as_too_many_losses_do() {
    let mut bbr = Bbr(Box::new(model(State::Up)));
    (bbr.0.probe_samples, bbr.0.inflight_latest) = (true, 33_000);
    bbr.on_ecn(1, at(0));
    assert_eq!((bbr.0.inflight_long, bbr.0.state), (33_000, State::Down));
    assert!(bbr.0.in_recovery);
    let mut bbr = Bbr(Box::new(model(State::Cruise)));
    bbr.on_ecn(1, at(0));
    assert_eq!((bbr.0.inflight_long, bbr.0.loss_in_round), (NO_BOUND, true));
}

#[test]
fn after_a_silence_in_probe_bw_the_rate_is_the_bandwidth() {
    for (state, rate) in [(State::Down, 990_000), (State::Up, 990_000), (State::Drain, 1_000_000)] {
        let mut bbr = Bbr(Box::new(model(state)));
        bbr.0.extra_since = Some(at(0));
        bbr.on_idle(MS);
        assert_eq!((bbr.0.pacing_rate, bbr.0.idle_restart, bbr.0.extra_since), (rate, true, None), "{state:?}");
    }
}

#[test]
fn a_loss_that_was_none_takes_startup_and_up_back() {
    for (before, now, after) in [
        (State::Startup, State::Drain, State::Startup),
        (State::Up, State::Down, State::Up),
        (State::Cruise, State::Refill, State::Refill),
        (State::Up, State::ProbeRtt, State::ProbeRtt),
    ] {
        let mut bbr = Bbr(Box::new(model(before)));
        bbr.on_loss(1, at(0));
        (bbr.0.state, bbr.0.inflight_long, bbr.0.cwnd, bbr.0.lost_in_round) = (now, 5, 4_000, 7);
        bbr.undo(at(1));
        assert_eq!((bbr.0.state, bbr.0.inflight_long), (after, NO_BOUND), "{before:?} {now:?}");
        assert_eq!((bbr.0.cwnd, bbr.0.lost_in_round, bbr.0.in_recovery), (40_000, 0, false));
    }
}

#[test]
fn it_tells_its_bandwidth_its_round_trip_and_its_gains_and_has_no_threshold() {
    let mut bbr = Bbr(Box::new(model(State::Up)));
    let info = BbrInfo { bw: 1_000_000, min_rtt: 20_000, pacing_gain: 320, cwnd_gain: 576 };
    assert_eq!((bbr.info(), bbr.ssthresh()), (info, u32::MAX));
    bbr.0.min_rtt = None;
    assert_eq!(bbr.info().min_rtt, u32::MAX);
}

#[test]
fn recovery_over_gives_back_the_window_and_a_time_out_leaves_one_segment() {
    let mut bbr = Bbr(Box::new(model(State::Cruise)));
    bbr.on_rto(1, at(0));
    assert_eq!((bbr.window(), bbr.0.in_recovery), (MSS, true));
    bbr.on_recovered(at(1));
    assert_eq!((bbr.window(), bbr.0.in_recovery), (40_000, false));
}

#[test]
fn the_first_round_trip_sets_the_first_rate() {
    let rtt = Some(100 * MS);
    let mut first = Bbr::new(1000);
    first.0.update(&AckSample { rtt, ..ack(0, at(0)) });
    assert_eq!(first.0.pacing_rate, 277_000);
    let mut later = Bbr::new(1000);
    later.0.rounds = 1;
    later.0.update(&AckSample { rtt, ..ack(0, at(0)) });
    let mut known = Bbr::new(1000);
    known.0.bw = 1;
    known.0.update(&AckSample { rtt, ..ack(0, at(0)) });
    let mut unmeasured = Bbr::new(1000);
    unmeasured.0.update(&ack(0, at(0)));
    assert_eq!([later, known, unmeasured].map(|bbr| bbr.0.pacing_rate), [27_700_000; 3]);
}

#[test]
fn samples_of_the_probing_for_the_round_trip_do_not_lower_the_bandwidth() {
    for (prior, limited, most) in [(59_999, false, 1_000_000), (60_000, false, 900_000), (60_000, true, 1_000_000)] {
        let mut model = model(State::Cruise);
        model.max_bw = WindowedMax::default();
        model.max_bw.update(1_000_000, 0);
        (model.cycle, model.limited_until) = (2, 60_000);
        let mut heard = ack(0, at(1));
        (heard.rate.prior_delivered, heard.rate.app_limited) = (prior, limited);
        (heard.rate.delivered, heard.rate.interval) = (900, MS);
        model.update(&heard);
        assert_eq!(model.max_bw.max(), most, "{prior} {limited}");
    }
}

#[test]
fn a_round_of_losses_ends_when_what_was_sent_after_its_start_is_delivered() {
    let mut model = model(State::Cruise);
    (model.loss_round, model.bw_latest, model.inflight_latest) = (30_000, 5, 2_000);
    let mut heard = ack(0, at(0));
    for (prior, newly, starts) in [(29_999, 1000, false), (30_000, 0, false), (30_000, 1000, true)] {
        (heard.rate.prior_delivered, heard.rate.newly_acked) = (prior, newly);
        model.update_latest(&heard, 4);
        assert_eq!(model.loss_round_start, starts, "{prior} {newly}");
    }
    assert_eq!((model.loss_round, model.bw_latest, model.inflight_latest), (50_000, 5, 2_000));
    heard.rate.delivered = 3_000;
    model.update_latest(&heard, 6);
    assert_eq!((model.bw_latest, model.inflight_latest), (6, 3_000));
}

#[test]
fn the_phases_of_probing_follow_each_other() {
    let mut model = model(State::Cruise);
    (model.bw_short, model.inflight_short, model.up_rounds, model.up_acked) = (5, 5, 5, 5);
    model.update_cycle(&ack(20_000, at(2_500)), 7);
    assert_eq!(model.state, State::Cruise);
    model.update_cycle(&ack(20_000, at(2_501)), 7);
    assert_eq!((model.state, model.ack_phase, model.next_round), (State::Refill, AckPhase::Refilling, 50_000));
    assert_eq!((model.bw_short, model.inflight_short), (NO_RATE_BOUND, NO_BOUND));
    assert_eq!((model.up_rounds, model.up_acked, model.probe_samples), (0, 0, false));
    // A round later: upwards, with the bandwidth of now as what has to be surpassed.
    model.update_cycle(&ack(20_000, at(2_510)), 7);
    assert_eq!(model.state, State::Refill);
    model.round_start = true;
    model.update_cycle(&ack(20_000, at(2_520)), 7);
    assert_eq!((model.state, model.ack_phase, model.cycle_at), (State::Up, AckPhase::ProbeStarting, at(2_520)));
    assert_eq!((model.full_bw, model.probe_samples, model.up_rounds, model.up_count), (7, true, 1, 40_000));
    model.full_bw_now = true;
    model.update_cycle(&ack(20_000, at(2_530)), 7);
    assert_eq!((model.state, model.up_count, model.cycle_at), (State::Down, NO_BOUND, at(2_530)));
    model.update_cycle(&ack(20_001, at(2_540)), 7);
    assert_eq!(model.state, State::Down);
    model.update_cycle(&ack(20_000, at(2_550)), 7);
    assert_eq!(model.state, State::Cruise);
    // Before the pipe was full there is no cycle.
    model.full_bw_reached = false;
    model.update_cycle(&ack(20_000, at(9_000)), 7);
    assert_eq!(model.state, State::Cruise);
}

#[test]
fn leaving_the_probe_for_the_round_trip_opens_the_short_bounds() {
    let mut model = model(State::ProbeRtt);
    (model.bw_short, model.inflight_short) = (5, 5);
    (model.probe_rtt_done, model.probe_rtt_round_done) = (Some(at(5)), true);
    model.check_probe_rtt(&ack(10_000, at(6)));
    assert_eq!((model.state, model.bw_short, model.inflight_short), (State::Cruise, NO_RATE_BOUND, NO_BOUND));
}
