//! Keep-alive and user time-out (RFC 9293 sections 3.8.3 and 3.8.4, RFC 5482).

use crate::{
    error::Error,
    tcp::{
        Settings, State,
        testing::{MS, Tester, seg},
    },
    time::Duration,
};

fn keepalive() -> Settings {
    Settings {
        keepalive: true,
        keep_idle: Duration::from_secs(10),
        keep_interval: Duration::from_secs(2),
        keep_count: 3,
        ..Settings::default()
    }
}

#[test]
fn an_idle_connection_has_no_timer() {
    let t = Tester::established();
    assert_eq!(t.connection.poll_deadline(), None);
}

#[test]
fn silence_is_probed_and_then_ends_the_connection() {
    let mut t = Tester::established_with(keepalive(), seg("S.", 0, 1, 0).mss(1000));
    assert_eq!(
        t.wait_timed(Duration::from_secs(60)),
        ["10000 . 0:0(0) ack 1", "12000 . 0:0(0) ack 1", "14000 . 0:0(0) ack 1", "16000 R. 1:1(0) ack 1",]
    );
    assert_eq!((t.state(), t.connection.take_error()), (State::Closed, Some(Error::TimedOut)));
}

#[test]
fn an_answer_starts_the_idle_time_anew() {
    let mut t = Tester::established_with(keepalive(), seg("S.", 0, 1, 0).mss(1000));
    assert_eq!(t.wait(Duration::from_secs(11)).len(), 1);
    t.inject(seg(".", 1, 1, 0));
    assert_eq!(t.wait_timed(Duration::from_secs(11))[0], "10000 . 0:0(0) ack 1");
}

#[test]
fn traffic_puts_the_probe_off() {
    let mut t = Tester::established_with(keepalive(), seg("S.", 0, 1, 0).mss(1000));
    for n in 0..10 {
        t.inject(seg("P.", 1 + n, 1, 1));
        t.output();
        assert_eq!(t.wait(Duration::from_secs(5)), [""; 0]);
    }
}

#[test]
fn keepalive_can_be_set_on_a_connection_that_is_idle_already() {
    let mut t = Tester::established();
    t.wait(Duration::from_secs(100));
    t.connection.settings = keepalive();
    t.connection.on_settings_changed(&mut t.world.cx());
    assert_eq!(t.wait(1 * MS).len(), 1);
    t.connection.settings.keepalive = false;
    t.connection.on_settings_changed(&mut t.world.cx());
    assert_eq!(t.wait(Duration::from_secs(1000)).len(), 0);
}

#[test]
fn the_user_time_out_ends_a_connection_with_unacknowledged_data_in_time() {
    let settings = Settings { user_timeout: Duration::from_secs(3), ..Settings::default() };
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    t.write(10).unwrap();
    t.output();
    t.wait(2990 * MS);
    assert_eq!(t.state(), State::Established);
    t.wait(20 * MS);
    assert_eq!((t.state(), t.connection.take_error()), (State::Closed, Some(Error::TimedOut)));
}

#[test]
fn the_user_time_out_counts_for_a_closed_window_and_for_keepalive() {
    let settings = Settings { user_timeout: Duration::from_secs(3), ..keepalive() };
    let mut t = Tester::established_with(settings.clone(), seg("S.", 0, 1, 0).mss(1000).win(0));
    t.write(10).unwrap();
    t.output();
    t.wait(Duration::from_secs(8));
    assert_eq!(t.connection.take_error(), Some(Error::TimedOut));
    let mut t = Tester::established_with(settings, seg("S.", 0, 1, 0).mss(1000));
    assert_eq!(t.wait(Duration::from_secs(13)).len(), 2);
    assert_eq!(t.connection.take_error(), Some(Error::TimedOut));
}

#[test]
fn an_orphan_is_given_up_sooner() {
    let mut t = Tester::established();
    t.write(10).unwrap();
    t.close();
    t.output();
    t.wait(Duration::from_secs(240));
    assert!(t.connection.is_finished());
}
