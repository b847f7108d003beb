//! What one turn of the host does at most, whatever waits: counted, and not timed.

use super::*;
use crate::host::gate::Door;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

impl Hand {
    /// Makes one round.
    fn round(&mut self) {
        self.host.go_round(&mut self.round);
    }
}

fn join(fd: &OwnedFd) {
    unix::send(fd.as_fd(), &Request::new(Op::Join, TOKEN).to_bytes(), 0).unwrap();
}

fn answered(asked: &[OwnedFd]) -> usize {
    asked.iter().filter(|fd| poll(fd, libc::POLLIN, 0) & libc::POLLIN != 0).count()
}

#[test]
fn by_the_public_name_a_few_are_let_in_a_turn() {
    let mut hand = Hand::new("public");
    let share = Door::PublicRequests.share();
    let asked: Vec<OwnedFd> = (0..3 * share).map(|_| hand.program.control().unwrap()).collect();
    asked.iter().for_each(join);
    for turn in 1..=3 {
        hand.round();
        assert_eq!(answered(&asked), turn * share, "after {turn} turns");
    }
}

#[test]
fn by_the_secret_path_all_that_wait_are_served_in_a_turn() {
    let mut hand = Hand::new("secret");
    let asked: Vec<OwnedFd> = std::iter::from_fn(|| hand.program.enter()).collect();
    assert_eq!(asked.len(), Door::Requests.share(), "so many can wait");
    asked.iter().for_each(join);
    hand.round();
    assert_eq!(answered(&asked), asked.len());
}

#[test]
fn who_comes_as_fast_as_it_can_does_not_keep_a_turn_from_ending() {
    let mut hand = Hand::new("flood");
    let path = hand.host.gate.path(&hand.program.stack, &TOKEN).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let fd = unix::open(Kind::Packets).unwrap();
                    let _full = unix::connect_path(fd.as_fd(), path.as_bytes());
                }
            });
        }
        let (mut most, mut turns) = (0, 0);
        // They may take their time to begin.
        while turns < 200 || most == 0 {
            turns += 1;
            let before = hand.host.next_slot;
            hand.round();
            most = most.max(hand.host.next_slot - before);
        }
        is_over.store(true, Relaxed);
        // Each that is let in takes a slot.
        assert!(most > 0 && most <= Door::Requests.share() as u64, "{most} in a turn");
    });
}

#[test]
fn who_was_let_in_without_a_word_is_heard_before_the_bytes_that_it_has_sent_since() {
    let mut hand = Hand::new("late-word");
    let listener = hand.listen(8);
    let (client, server) = hand.pair(&listener);
    for is_public in [true, false] {
        let asker = if is_public { hand.program.control() } else { hand.program.enter() }.unwrap();
        hand.rounds();
        assert_eq!(hand.host.askers, 1, "it is waited for");
        drop(asker);
        hand.rounds();
        assert_eq!(hand.host.askers, 0, "nobody is waited for");
    }
    let asker = hand.program.enter().unwrap();
    hand.rounds();
    // The byte is there first.
    send(&client, b"x");
    let request = Request { flags: NO_REPLY, ..linger() };
    lend(asker.as_raw_fd(), &request.to_bytes(), &[client.as_raw_fd()]).unwrap();
    drop(client);
    hand.round();
    assert_eq!(hand.read_all(&server), Err(libc::ECONNRESET));
}

#[test]
fn the_token_is_shown_before_a_descriptor_is_sent_by_the_public_name() {
    let mut hand = Hand::new("shown");
    let (mut reply, asker) = ([0; Response::SIZE], hand.program.control().unwrap());
    for (request, is_answered) in [(Op::Show, true), (Op::Show, true), (Op::Join, true), (Op::Join, false)] {
        let sent = unix::send(asker.as_fd(), &Request::new(request, TOKEN).to_bytes(), 0);
        hand.rounds();
        let got = unix::recv(asker.as_fd(), &mut reply, 0);
        assert_eq!(sent.is_ok() && got.is_ok_and(|n| n == reply.len()), is_answered, "{request:?}");
    }
}
