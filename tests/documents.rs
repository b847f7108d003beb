//! Every command that a document shows: it is run, by an ordinary user on a machine of its own with Sockeye installed,
//! or it is listed here with the reason why it is not. Commands that text only mentions are ones there are.

#[path = "build/mod.rs"]
mod build;
#[path = "documents/extract.rs"]
mod extract;
#[allow(dead_code, reason = "other tests use the rest")]
mod netns;
#[path = "documents/world.rs"]
mod world;

use extract::{Example, Found, Language};
use std::{fmt::Write, fs, process::Command};
use world::World;

/// Documents whose commands are run in their order, in one shell.
const PLAYED: [&str; 4] = ["README.md", "docs/sockeye.1", "docs/sockeye.7", "python/README.md"];

/// What is not run, and why: a command, or what it begins with where that ends in a space.
const NOT_RUN: [(&str, &str); 19] = [
    ("sudo apt-get install ", "asks the network for Debian's packages; `.ci/tools` has those that tests need"),
    ("make", "builds for minutes; `.ci/run` does it"),
    ("make demo", "`.ci/run` ends with it"),
    ("make test", "runs this test"),
    ("make soak", "runs for an hour"),
    ("make soak ", "runs for minutes, and judges what it is too short for"),
    ("make packetdrill", "builds for minutes; `.ci/run` does it"),
    ("sudo make install", "was run before the first command; tests/install.rs has its rest"),
    ("sockeye demo", "what it runs is `make demo`'s"),
    ("so=$PWD/target/release/libsockeye_packetdrill.so", "for the next command"),
    ("packetdrill ", "the original is not there; tests/packetdrill_adapter.rs calls the object as it does"),
    ("LD_PRELOAD=$so packetdrill ", "the same"),
    ("pip install ./python", "builds for minutes; python/tests makes and installs a wheel"),
    ("SOCKEYE_LIBRARY=/path/libsockeye.so pip install ./python", "python/tests makes and installs a wheel so"),
    ("cargo test ", "a test that runs tests"),
    ("SOCKEYE_SCRIPTS=DIRECTORY cargo test ", "a test that runs tests"),
    ("SOCKEYE_SEED=836 cargo test ", "a test that runs tests"),
    ("SOCKEYE_SEEDS=100000 cargo test ", "a test that runs tests"),
    ("SOCKEYE_BLESS=1 cargo test ", "a test that runs tests"),
];

/// What commands of a document print, by what they begin with. Others only have to succeed.
const SAY: [(&str, &str, &str); 15] = [
    ("README.md", "sockeye run -- curl -sS http://example.org/", world::PAGE),
    ("README.md", "cc examples/hello.c ", "hello, world"),
    ("README.md", "PYTHONPATH=python python3 -c ", "laddr=('0.0.0.0', 80)"),
    ("README.md", "echo $SOCKEYE_NET", "tap:t0,ip=10.97.0.2/24,gw=10.97.0.1,dns=192.0.2.80\n"),
    ("README.md", "curl -sS http://10.97.0.2/", "examples/"),
    ("README.md", "sockeye run -- curl -sS http://127.0.0.1/", "examples/"),
    ("README.md", "sockeye ss -tlnp", " *:80 "),
    ("README.md", "sockeye run -- redis-cli ping", "PONG\n"),
    ("README.md", "sockeye run --net tap:t1,", "examples/"),
    ("README.md", "./get", "examples/"),
    ("README.md", "sudo sockeye down t1", "t1: removed, a TAP device\n"),
    ("docs/sockeye.1", "sockeye run -- curl -sS http://example.org/", world::PAGE),
    ("docs/sockeye.1", "sockeye ls", "tap-t0 "),
    ("docs/sockeye.7", "curl -sS http://10.97.0.2/", "Hello from a stack of one's own.\n"),
    ("docs/sockeye.7", "sockeye run -- curl -sS http://127.0.0.1/", "examples/"),
];

/// What runs in the background, and what succeeds as soon as it is ready.
const READY: [(&str, &str); 4] = [
    ("sockeye run -- python3 -m http.server 80 &", "curl -s http://10.97.0.2/"),
    ("python3 -m http.server 8000 &", "curl -s http://127.0.0.1:8000/"),
    ("LD_PRELOAD=/usr/local/lib/libsockeye_preload.so redis-server &", "sockeye run -- redis-cli ping"),
    (
        "SOCKEYE_NET=tap:t0,ip=10.97.0.2/24,link=delay:20ms+loss:1%+seed:7,pcap=bad.pcapng ./web &",
        "curl -s http://10.97.0.2/",
    ),
];

/// A command without the comment behind it.
fn typed(command: &str) -> &str {
    command.split(" # ").next().unwrap_or_default().trim_end()
}

/// Whether an entry of a table means this command.
fn is_meant(entry: &str, command: &str) -> bool {
    typed(command) == entry || entry.ends_with(' ') && command.starts_with(entry)
}

fn reason(command: &str) -> Option<&'static str> {
    NOT_RUN.iter().find(|(entry, _)| is_meant(entry, command)).map(|&(_, reason)| reason)
}

/// The line of a script that ends it where the one before failed.
fn check(script: &mut String, place: &str) {
    writeln!(script, "code=$?; [ $code = 0 ] || {{ echo \"{place}: exit code $code\"; exit 1; }}").unwrap();
}

fn add(script: &mut String, Found { place, example }: &Found) {
    let command = match example {
        Example::Command(command) if reason(command).is_some() => return,
        Example::Command(command) => command.clone(),
        Example::Program(language, text) => {
            let named = text.lines().next().and_then(|line| line.strip_prefix("/* ")?.strip_suffix(" */"));
            let file = named.map_or(format!("example.{language:?}").to_lowercase(), str::to_owned);
            writeln!(script, "cat >{file} <<'END OF FILE'\n{text}END OF FILE").unwrap();
            match language {
                Language::C => return,
                Language::Python => return run_python(script, place, &file),
            }
        }
    };
    let shown = command.replace('\'', "'\\''");
    writeln!(script, "echo '== {place} {shown}'\n{command}").unwrap();
    check(script, place);
    let typed = typed(&command);
    if typed.ends_with('&') {
        let (_, ready) = READY.iter().find(|(begin, _)| typed == *begin).unwrap_or_else(|| {
            panic!("{place}: `{typed}` runs in the background; add to READY what succeeds as soon as it is ready")
        });
        writeln!(script, "for _ in {{1..400}}; do {ready} >/dev/null 2>&1 && break; sleep 0.05; done").unwrap();
        writeln!(script, "{ready} >/dev/null").unwrap();
        check(script, place);
    }
    // An interactive shell forgets a job that has ended, before the next prompt.
    if let Some(job) = typed.strip_prefix("kill ") {
        writeln!(script, "wait {job} 2>/dev/null").unwrap();
    }
}

/// Runs a Python program beside a web server of the kernel's, which it may ask.
fn run_python(script: &mut String, place: &str, file: &str) {
    let server = "python3 -m http.server 8000";
    writeln!(script, "echo '== {place} {file}'\n{server} >/dev/null 2>&1 &").unwrap();
    writeln!(script, "until curl -s http://127.0.0.1:8000/ >/dev/null; do sleep 0.05; done").unwrap();
    writeln!(script, "PYTHONPATH=python python3 {file}\ncode=$?\nkill %1; wait %1; (exit $code)").unwrap();
    check(script, place);
}

/// Runs the commands of a document.
fn play(document: &str, before: &str, after: &str) {
    let examples = extract::examples(&build::root(), document);
    let mut script = before.to_owned();
    examples.iter().for_each(|found| add(&mut script, found));
    script.push_str(after);
    script.push_str("exit 0\n");
    let (went_well, log) = World::new(document).play(&script);
    assert!(went_well, "{document}:\n{log}");
    for step in log.split("== ").skip(1) {
        let (command, said) = step.split_once('\n').expect("a line");
        let command = command.split_once(' ').expect("a place before it").1;
        for (_, _, expected) in SAY.iter().filter(|(of, begin, _)| *of == document && command.starts_with(begin)) {
            assert!(said.contains(expected), "{document}: {command} does not say {expected:?} but {said}");
        }
    }
}

#[test]
fn the_readme_works_as_typed() {
    let wire = "export $(sudo sockeye up t0 --nat | tail -n 1)\n";
    let after = "sudo sockeye down t0 || exit 1\n";
    play("README.md", wire, after);
}

#[test]
fn the_manual_of_the_program_works_as_typed() {
    play("docs/sockeye.1", "", "");
}

#[test]
fn the_manual_works_as_typed() {
    play("docs/sockeye.7", "", "");
}

#[test]
fn the_readme_of_the_package_works_as_typed() {
    play("python/README.md", "sudo sockeye up t0\n", "");
}

#[test]
fn other_documents_show_nothing_that_is_not_run_without_a_reason() {
    let mut wrong = String::new();
    for document in extract::documents(&build::root()).iter().filter(|document| !PLAYED.contains(&document.as_str())) {
        for Found { place, example } in extract::examples(&build::root(), document) {
            match example {
                Example::Command(command) if reason(&command).is_some() => {}
                Example::Command(command) => writeln!(wrong, "{place}: `{command}` is neither run nor listed").unwrap(),
                Example::Program(..) => writeln!(wrong, "{place}: a program that is not run").unwrap(),
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_tables_speak_of_what_documents_show() {
    let mut shown = Vec::new();
    for document in extract::documents(&build::root()) {
        for Found { example, .. } in extract::examples(&build::root(), &document) {
            if let Example::Command(command) = example {
                shown.push((document.clone(), command));
            }
        }
    }
    for (entry, _) in NOT_RUN.iter().chain(&READY) {
        assert!(shown.iter().any(|(_, command)| is_meant(entry, command)), "no document shows `{entry}`");
    }
    for (document, begin, _) in SAY {
        let is_there = shown.iter().any(|(of, command)| of == document && command.starts_with(begin));
        assert!(is_there, "{document} does not show `{begin}`");
    }
}

/// Whether the program has this command, with these options of its own.
fn has_command(command: &str, words: &[&str]) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_sockeye")).args(["help", command]).output().expect("it runs");
    let help = String::from_utf8_lossy(&output.stdout);
    let mut options = words.iter().take_while(|&&word| word != "--").filter(|word| word.starts_with("--"));
    output.status.success() && options.all(|option| help.contains(option))
}

#[test]
fn what_text_mentions_of_the_program_and_make_is_there() {
    let makefile = fs::read_to_string(build::root().join("Makefile")).expect("a Makefile");
    let has_target = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    let is_word = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let mut wrong = String::new();
    for document in extract::documents(&build::root()).iter().filter(|document| document.ends_with(".md")) {
        let text = fs::read_to_string(build::root().join(document)).expect("a document");
        for span in extract::spans(&text) {
            let words: Vec<&str> = span.trim_start_matches("sudo ").split([' ', '=']).collect();
            let is_there = match words[..] {
                ["sockeye", command, ref rest @ ..] if is_word(command) => has_command(command, rest),
                ["make", target, ..] if is_word(target) => has_target(target),
                _ => true,
            };
            if !is_there {
                writeln!(wrong, "{document}: there is no `{span}`").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
