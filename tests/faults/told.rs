//! Helpers of a host that stand still or are gone, orders that come too late, and descriptors that are short: each
//! alone, and for certain.

use crate::{
    process,
    program::{Program, until},
    world::{Hardships, Home, SERVES, World},
};
use std::{thread, time::Duration};

/// A world without a device that has begun.
fn world() -> World {
    let mut world = World::new(false);
    world.begin(Hardships::default());
    world
}

/// Everybody learns that the host is gone, and nothing of it stays, whatever was done to those beside it before.
fn is_told(world: &mut World, before: impl FnOnce(&mut World)) {
    let mut waits = world.waiting();
    let folders = world.folders();
    assert!(!folders.is_empty());
    before(world);
    world.people().host.signal(libc::SIGKILL);
    for program in &mut waits {
        assert_eq!(program.ended(), "error wait ENETDOWN at 0", "{}", program.complaints());
    }
    world.is_over(&folders);
}

#[test]
fn who_waits_is_told_though_the_heir_was_killed_before_its_host() {
    let mut world = world();
    is_told(&mut world, |world| {
        // The next is there when it is asked for.
        for _ in 0..3 {
            let heir = world.heir();
            process::kill(heir, libc::SIGKILL);
            until("another heir", || world.heirs().iter().all(|pid| *pid != heir) && world.heirs().len() == 2);
        }
    });
}

#[test]
fn who_waits_is_told_though_the_heir_stands_still() {
    let mut world = world();
    is_told(&mut world, |world| process::kill(world.heir(), libc::SIGSTOP));
    let mut world = self::world();
    is_told(&mut world, |world| process::kill(world.beside("sockeye-steward"), libc::SIGSTOP));
    for steward in world.named("sockeye-steward") {
        process::kill(steward, libc::SIGKILL);
    }
}

#[test]
fn who_listens_is_told_by_the_steward_where_all_heirs_are_gone() {
    let mut world = world();
    let folders = world.folders();
    let mut waits = world.start_up(Home::Stack, "accept 7101");
    let heirs = world.heirs();
    // None may put another in the place of one.
    heirs.iter().for_each(|pid| process::kill(*pid, libc::SIGSTOP));
    world.people().host.signal(libc::SIGKILL);
    heirs.iter().for_each(|pid| process::kill(*pid, libc::SIGKILL));
    assert_eq!(waits.ended(), "error wait ENETDOWN at 0", "{}", waits.complaints());
    until("the folders are gone", || folders.iter().all(|folder| !folder.exists()));
}

#[test]
fn what_all_of_them_leave_the_next_host_clears_away() {
    let mut world = world();
    let folders = world.folders();
    let beside: Vec<_> = world.heirs().into_iter().chain([world.beside("sockeye-steward")]).collect();
    beside.iter().for_each(|pid| process::kill(*pid, libc::SIGSTOP));
    world.people().host.signal(libc::SIGKILL);
    beside.iter().for_each(|pid| process::kill(*pid, libc::SIGKILL));
    world.inhabitants = None;
    // Of the two folders one may be that of a host which is about to begin: it stays for a minute.
    let private: Vec<_> = folders.iter().filter(|folder| folder.as_os_str().len() > 36).collect();
    assert!(private.len() == 1 && private[0].exists(), "{folders:?}");
    world.begin(Hardships::default());
    assert!(!private[0].exists());
    folders.iter().filter(|folder| folder.exists()).for_each(|folder| std::fs::remove_dir_all(folder).expect("ours"));
}

#[test]
fn a_steward_that_stands_still_holds_up_nobody() {
    let mut world = world();
    let steward = world.beside("sockeye-steward");
    process::kill(steward, libc::SIGSTOP);
    let mut asks: Vec<_> = (0..5).map(|_| world.start_up(Home::Stack, "resolve no-such-name.example")).collect();
    // They have asked by then, and are answered in seconds. Were they waited for, all of them would be before this.
    thread::sleep(Duration::from_millis(300));
    world.messages_go();
    assert!(asks.iter_mut().any(Program::is_alive), "who came later is served before");
    for program in &mut asks {
        let said = program.ended();
        assert!(said.starts_with("done ") && said != "done found", "{said}");
    }
    process::kill(steward, libc::SIGCONT);
    let mut asks = world.start_up(Home::Stack, "resolve no-such-name.example");
    assert!(asks.ended().starts_with("done "));
    world.is_as_before();
}

#[test]
fn an_order_to_stop_is_void_when_nobody_waits_for_it_any_more() {
    let mut world = world();
    world.people().host.signal(libc::SIGSTOP);
    let mut stop = world.operator("stop --stack null");
    stop.ended();
    assert!(stop.complaints().contains("does not answer"), "{}", stop.complaints());
    world.people().host.signal(libc::SIGCONT);
    world.messages_go();
    world.is_as_before();
    let mut stop = world.operator("stop --stack null");
    assert!(stop.ended().contains("stopped"), "{}", stop.complaints());
}

#[test]
fn a_question_waits_for_descriptors_or_is_told_and_the_operator_is_served() {
    let mut world = world();
    let host = world.people().host.pid();
    let words = format!("send 127.0.0.1 {SERVES} 100000 5");
    for more in 0..6 {
        let few = process::descriptors(host).len() + more;
        // Not for long.
        let had = process::limit(host, libc::RLIMIT_NOFILE, Some(few as u64));
        let mut waits = world.start(Home::Stack, &words);
        thread::sleep(Duration::from_millis(200));
        process::limit(host, libc::RLIMIT_NOFILE, Some(had));
        assert_eq!(waits.ended(), "done 100000", "{more} more: {}", waits.complaints());
        world.is_as_before();
        if more > 2 {
            continue;
        }
        // For good.
        process::limit(host, libc::RLIMIT_NOFILE, Some(few as u64));
        let mut told = world.start(Home::Stack, &words);
        let mut shows = world.operator("ls");
        assert!(shows.ended().contains("null"), "{more} more: {}", shows.complaints());
        assert_eq!(told.ended(), "error connect EMFILE at 0", "{more} more: {}", told.complaints());
        process::limit(host, libc::RLIMIT_NOFILE, Some(had));
        world.messages_go();
        world.is_as_before();
    }
    let said = world.people().host.complaints();
    assert_eq!(said.matches("raise the limit of open files").count(), 1, "{said}");
}

/// How much has come back to a client.
fn moved(client: &mut Program, question: usize) -> u64 {
    client.signal(libc::SIGUSR1);
    let mut lines = Vec::new();
    until("its answer", || {
        lines = client.text().lines().filter_map(|line| line.strip_prefix("moved ")?.parse().ok()).collect();
        lines.len() == question
    });
    lines[question - 1]
}

/// What a client that sends and receives as much as it can moves while one message of another goes to and fro. It is
/// counted in bytes: who is served in turn has to wait for some of the other's, and not for all there ever are.
#[test]
fn who_moves_all_it_can_delays_a_message_by_some_turns_only() {
    const ENDLESS: u64 = 1 << 50;
    const MESSAGES: u64 = 100;
    /// What a connection may move in a turn, each way, and how many turns a message takes when the machine does
    /// something else, too: each of the four ways between programs and host waits until the program has its processor.
    const TURN: u64 = 2 << 20;
    const TURNS: u64 = 64;
    let world = world();
    let mut greedy = world.start_up(Home::Stack, &format!("send 127.0.0.1 {SERVES} {ENDLESS} 9"));
    until("it moves", || moved_at_all(&greedy));
    let before = moved(&mut greedy, 1);
    world.messages_go();
    let after = moved(&mut greedy, 2);
    assert!(after > before, "both are served");
    let each = (after - before) / MESSAGES;
    assert!(each < TURNS * TURN, "{each} bytes a message");
}

/// Whether the kernel has seen it run for a while.
fn moved_at_all(program: &Program) -> bool {
    process::time_used(program.pid()) > 2
}
