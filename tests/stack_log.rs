//! What two whole stacks on a wire say in the log, each at its level. All in one test: the level is the process's.

mod wire_pair;

use log::{Level, LevelFilter};
use sockeye::{error::Error, stack::Protocol, tcp::memory::Limits, time::Duration};
use wire_pair::{Pair, Side, Side::A, Side::B, Wire, at, end};

/// What a stack has said at `level` since the last time it was asked.
fn said(pair: &mut Pair, side: Side, level: Level) -> Vec<String> {
    let lines = pair.stack(side).journal_mut().poll_lines();
    lines.into_iter().filter(|line| line.level == level).map(|line| line.text).collect()
}

/// One connection from A to B that is closed.
fn connect_and_close(pair: &mut Pair) {
    let (client, server) = pair.connected(A, 80);
    pair.close(A, client);
    pair.run();
    pair.close(B, server);
    pair.run();
}

#[test]
fn each_level_says_what_it_is_for() {
    log::set_max_level(LevelFilter::Off);
    let mut pair = Pair::new();
    connect_and_close(&mut pair);
    assert!(!pair.a.journal_mut().has_lines(), "nothing costs anything while the log is off");

    log::set_max_level(LevelFilter::Trace);
    connections_open_and_close();
    segments_are_traced();
    refusals_have_their_reason();
    who_does_not_answer_is_told_of();
    the_link_and_its_addresses();
    memory_pressure_begins_and_ends();
}

fn connections_open_and_close() {
    let mut pair = Pair::new();
    connect_and_close(&mut pair);
    let lines = said(&mut pair, A, Level::Debug);
    let (open, closed) = (&lines[0], &lines[1]);
    assert!(open.starts_with("connection 10.0.0.1:") && open.ends_with(" > 10.0.0.2:80 is open"), "{lines:?}");
    assert!(closed.ends_with(" > 10.0.0.2:80 is closed, and in TIME-WAIT") && lines.len() == 2, "{lines:?}");
    let lines = said(&mut pair, B, Level::Debug);
    assert!(lines[0].ends_with("is open") && lines[1].ends_with("is closed") && lines.len() == 2, "{lines:?}");
}

fn segments_are_traced() {
    let mut pair = Pair::new();
    let (client, server) = pair.connected(A, 80);
    said(&mut pair, A, Level::Trace);
    said(&mut pair, B, Level::Trace);
    pair.send(A, client, b"hello").unwrap();
    pair.run();
    assert_eq!(pair.recv(B, server), Ok(b"hello".to_vec()));
    let (out, into) = (said(&mut pair, A, Level::Trace), said(&mut pair, B, Level::Trace));
    let (sent, got) = (out[0].strip_prefix("out ").unwrap(), into[0].strip_prefix("in ").unwrap());
    assert_eq!(sent, got, "both ends see the same segment in the same state");
    assert!(sent.contains(" > 10.0.0.2:80 P. seq ") && sent.contains(" len 5 win "), "{sent}");
    assert!(sent.ends_with(" ESTABLISHED"), "{sent}");
}

fn refusals_have_their_reason() {
    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, end(B, 81)), Err(Error::InProgress));
    pair.run();
    let (ours, theirs) = (said(&mut pair, A, Level::Info), said(&mut pair, B, Level::Info));
    assert!(ours.last().unwrap().ends_with(" > 10.0.0.2:81 has failed: connection refused"), "{ours:?}");
    assert!(theirs.last().unwrap().ends_with(" is refused: nobody listens at 10.0.0.2:81"), "{theirs:?}");
    pair.listen(B, 80, 0);
    for _ in 0..3 {
        let client = pair.open(A, Protocol::Tcp);
        assert_eq!(pair.connect(A, client, end(B, 80)), Err(Error::InProgress));
        pair.run();
    }
    let lines = said(&mut pair, B, Level::Info);
    assert!(lines[0].contains("has to wait: the accept queue of the listener at 10.0.0.2:80 is full"), "{lines:?}");
}

fn who_does_not_answer_is_told_of() {
    let mut pair = Pair::new();
    let (client, _) = pair.connected(A, 80);
    pair.filter = Some(Box::new(|_, _| false));
    pair.send(A, client, b"hello").unwrap();
    said(&mut pair, A, Level::Info);
    pair.run_for(Duration::from_secs(3));
    let lines = said(&mut pair, A, Level::Info);
    let storm = " > 10.0.0.2:80: 3 time-outs in a row, 5 bytes unacknowledged, ESTABLISHED";
    assert!(lines.len() == 1 && lines[0].ends_with(storm), "{lines:?}");

    let mut pair = Pair::new();
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, at("10.0.0.77:80")), Err(Error::InProgress));
    pair.run_for(Duration::from_secs(4));
    let lines = said(&mut pair, A, Level::Info);
    assert!(lines.contains(&"nobody answers on the link for packets to 10.0.0.77".to_owned()), "{lines:?}");
    assert!(lines.iter().any(|line| line.ends_with(":80 has failed: no route to host")), "{lines:?}");
}

fn the_link_and_its_addresses() {
    let mut pair = Pair::new();
    let now = pair.now;
    pair.a.on_link_up(now);
    let claimed = "10.0.0.1/24 is claimed as 02:00:00:00:00:01".to_owned();
    assert_eq!(said(&mut pair, A, Level::Info), ["the link is up again".to_owned(), claimed]);
    // A packet for somebody behind the gateway, who answers: 10.0.0.254 has the address of B.
    let client = pair.open(A, Protocol::Tcp);
    assert_eq!(pair.connect(A, client, at("192.0.2.1:80")), Err(Error::InProgress));
    pair.pump();
    let request = &pair.sent.last().unwrap().1[14..42];
    let mut answer = [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 6][..], &request[..7], &[2]].concat();
    answer.extend([2, 0, 0, 0, 0, 2, 10, 0, 0, 254]);
    answer.extend(&request[8..18]);
    pair.inject(B, &answer);
    pair.run();
    assert_eq!(said(&mut pair, A, Level::Info), ["the gateway 10.0.0.254 is at 02:00:00:00:00:02"]);
    // And then somebody who says that our address is its own.
    answer[28..32].copy_from_slice(&[10, 0, 0, 1]);
    pair.inject(B, &answer);
    pair.run();
    let lines = said(&mut pair, A, Level::Warn);
    assert!(lines.len() == 1 && lines[0].starts_with("10.0.0.1 is used by 02:00:00:00:00:02 too; "), "{lines:?}");
}

fn memory_pressure_begins_and_ends() {
    let memory = Limits { low: 20_000, pressure: 30_000, high: 600_000 };
    let mut pair = Pair::on(Wire { memory, ..Wire::default() });
    let (client, server) = pair.connected(A, 80);
    said(&mut pair, A, Level::Info);
    let _queued = pair.send(A, client, &[7; 60_000]);
    let lines = said(&mut pair, A, Level::Info);
    assert!(lines.len() == 1 && lines[0].starts_with("memory is short: connections hold "), "{lines:?}");
    pair.run_until(Duration::from_secs(30), |pair| {
        let _ = pair.recv(B, server);
        pair.a.unacknowledged(client) == Ok(0)
    });
    let lines = said(&mut pair, A, Level::Info);
    assert!(lines.iter().any(|line| line.starts_with("memory pressure is over: ")), "{lines:?}");
}
