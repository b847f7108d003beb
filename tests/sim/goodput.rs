//! What is left of 100 Mbit/s and 20 ms with a queue of one bandwidth-delay product under each impairment, as reviewed
//! tables: `SOCKEYE_BLESS=1 cargo test --test sim goodput` writes them anew.

use super::{
    chain::Chain,
    end::Plan,
    queue::Queue,
    seeds::map,
    world::{Device, World},
};
use sockeye::{tcp::congestion::NAMES, time::Duration};
use std::{fmt::Write, fs, path::Path};

const MS: Duration = Duration::from_millis(1);
const DEVICE: Device = Device { mtu: 1500, whole_frames: false };
const RATE: u64 = 100;
/// Bytes of the queue.
const QUEUE: usize = 250_000;

/// An impairment.
struct Case {
    name: &'static str,
    /// In front of the link, for data and for acknowledgements; and behind it.
    data: fn(Chain) -> Chain,
    acks: fn(Chain) -> Chain,
    behind: fn(Chain) -> Chain,
    queue: fn() -> Queue,
    /// Megabits a second that Linux 6.18 gets with cubic and bbr on the same way in real time, and what is to be
    /// reached of that; zero where that is not asked for.
    linux: [(&'static str, f64); 2],
}

const PLAIN: Case = Case {
    name: "clean",
    data: |way| way,
    acks: |way| way,
    behind: |way| way,
    queue: || Queue::drop_tail(QUEUE),
    linux: [("cubic", 0.0), ("bbr", 0.0)],
};

/// With 3 % of losses, which are above version 3's threshold, Linux's bbr, which is version 1, gets 90.
const CASES: &[Case] = &[
    Case { linux: [("cubic", 92.0), ("bbr", 93.0)], ..PLAIN },
    Case {
        name: "loss 0.1 %",
        data: |way| way.loss(0.001),
        // Seeds differ by a third; this is the median of sixteen.
        linux: [("cubic", 25.0), ("bbr", 93.0)],
        ..PLAIN
    },
    Case { name: "loss 1 %", data: |way| way.loss(0.01), linux: [("cubic", 7.3), ("bbr", 92.0)], ..PLAIN },
    Case { name: "loss 3 %", data: |way| way.loss(0.03), linux: [("cubic", 3.1), ("bbr1", 90.0)], ..PLAIN },
    Case {
        name: "reordering 2 % by 4 ms",
        behind: |way| way.reorder(0.02, 4 * MS),
        linux: [("cubic", 93.0), ("bbr", 92.0)],
        ..PLAIN
    },
    Case { name: "ACK loss 3 %", acks: |way| way.loss(0.03), linux: [("cubic", 93.0), ("bbr", 93.0)], ..PLAIN },
    Case {
        name: "loss 1 % both ways",
        data: |way| way.loss(0.01),
        acks: |way| way.loss(0.01),
        linux: [("cubic", 6.8), ("bbr", 92.0)],
        ..PLAIN
    },
    Case { name: "bursts, 1 % in all", data: |way| way.burst_loss(0.002, 0.2, 1.0), ..PLAIN },
    Case { name: "duplication 2 %", behind: |way| way.duplicate(0.02), ..PLAIN },
    Case { name: "corruption 1 %", behind: |way| way.corrupt(0.01), ..PLAIN },
    Case { name: "a tenth of the queue", queue: || Queue::drop_tail(QUEUE / 10), ..PLAIN },
    Case { name: "CoDel", queue: || Queue::codel(4 * QUEUE, false), ..PLAIN },
    Case { name: "CoDel with marks", queue: || Queue::codel(4 * QUEUE, true), ..PLAIN },
    Case { name: "marks above a fifth", queue: || Queue::marking(QUEUE / 5, 4 * QUEUE), ..PLAIN },
];

/// The result of a run.
#[derive(Copy, Clone)]
struct Row {
    megabits: f64,
    resent: u64,
    needless: u64,
    timeouts: u64,
    marks: u64,
}

fn run(case: &Case, congestion: &'static str, super_frames: bool, seed: u64, time: Duration) -> Row {
    let way = |front: fn(Chain) -> Chain| (case.behind)(front(Chain::new()).link(RATE, (case.queue)()).delay(10 * MS));
    // Site 0 opens and receives, as a client that fetches something.
    let mut world = World::new(seed, DEVICE, [way(case.data), way(case.acks)]);
    let mut plans = [Plan::receiver(congestion, super_frames), Plan::sender(congestion, super_frames, usize::MAX)];
    plans.iter_mut().for_each(Plan::ask_for_ecn);
    world.connect(plans, Duration::ZERO);
    world.run_for(time);
    world.check_timers();
    let [receiver, sender] = &world.mib;
    Row {
        megabits: world.flows[0][0].received as f64 * 8e-6 / time.as_secs_f64(),
        resent: sender.tcp_retrans_segs,
        needless: receiver.tcp_dsack_old_sent + receiver.tcp_dsack_ofo_sent,
        timeouts: sender.tcp_timeouts,
        marks: sender.tcp_delivered_ce,
    }
}

/// The middle one of what `value` says of each run.
fn median(rows: &[Row], value: fn(&Row) -> f64) -> f64 {
    let mut all: Vec<_> = rows.iter().map(value).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The table of medians over so many seeds; checks what is asked for.
fn table(seeds: u64, super_frames: bool, time: Duration) -> String {
    let frames = if super_frames { "super-frames, which the device cuts" } else { "frames of one segment" };
    let mut text = format!("100 Mbit/s, 20 ms, {frames}; medians of {seeds} runs of {} s\n", time.as_secs());
    text += "needless: segments that the receiver had already, also because the link sent them twice\n\n";
    writeln!(
        text,
        "{:<24}{:<8}{:>8}{:>8}{:>10}{:>10}{:>7}",
        "", "", "Mbit/s", "resent", "needless", "timeouts", "marks"
    )
    .unwrap();
    let mut short = Vec::new();
    for case in CASES {
        for name in NAMES {
            let rows = map(seeds, |seed| run(case, name, super_frames, seed, time));
            let megabits = median(&rows, |row| row.megabits);
            let [resent, needless, timeouts, marks] = [
                |row: &Row| row.resent as f64,
                |row: &Row| row.needless as f64,
                |row: &Row| row.timeouts as f64,
                |row: &Row| row.marks as f64,
            ]
            .map(|value| median(&rows, value));
            let case_name = case.name;
            writeln!(text, "{case_name:<24}{name:<8}{megabits:>8.1}{resent:>8}{needless:>10}{timeouts:>10}{marks:>7}")
                .unwrap();
            let linux = case.linux.iter().find(|(of, _)| of == name).map_or(0.0, |(_, linux)| *linux);
            if !super_frames && megabits < 0.95 * linux {
                short.push(format!("{case_name}, {name}: {megabits:.1} of Linux's {linux}"));
            }
        }
    }
    assert!(short.is_empty(), "below 0.95 of Linux: {short:#?}\n{text}");
    text
}

/// Holds a table against the one that was reviewed.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/tables").join(name);
    if std::env::var_os("SOCKEYE_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).and_then(|()| fs::write(&path, text)).expect("a writable table");
    }
    let reviewed = fs::read_to_string(&path).unwrap_or_default();
    let changes: Vec<_> = text.lines().filter(|line| !reviewed.lines().any(|known| known == *line)).collect();
    assert!(text == reviewed, "{name} has changed (SOCKEYE_BLESS=1 writes it anew):\n{}", changes.join("\n"));
}

#[test]
fn goodput_under_each_impairment() {
    check("goodput.txt", &table(5, false, Duration::from_secs(8)));
}

#[test]
fn goodput_under_each_impairment_with_super_frames() {
    check("goodput_super_frames.txt", &table(3, true, Duration::from_secs(4)));
}
