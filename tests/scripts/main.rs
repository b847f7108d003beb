//! Scripts in the language of packetdrill, run on the pure stack in virtual time: `tests/scripts/README.md` describes
//! the language, `cargo test --test scripts NAME` runs the scripts whose names contain NAME. Those of another
//! collection run by `SOCKEYE_SCRIPTS=DIRECTORY cargo test --test scripts`, or with the directory's absolute path as an
//! argument.
//!
//! Scripts under `tcp/` have to pass. Those under `refused/` have to fail at the line, and for the reason, that their
//! first comment names: they test the runner.

mod assertions;
mod calls;
mod epoll;
mod host;
mod lexer;
mod names;
mod options;
mod parse_packet;
mod parser;
mod runner;
mod script;
mod shell;
mod wire;

use lexer::Fault;
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

/// At least so many scripts are there.
const LEAST: usize = 150;

/// Scripts below a directory, by name.
fn scripts(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            found.extend(scripts(&path));
        } else if path.extension().is_some_and(|extension| extension == "pkt") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What went wrong with a script.
fn failure(path: &Path, foreign: bool) -> Option<Fault> {
    let at_start = |what: String| Some(Fault { line: 1, what });
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return at_start(error.to_string()),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if !foreign && !stem.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return at_start("the name of a script has small letters, digits and dashes".into());
    }
    let outcome = catch_unwind(AssertUnwindSafe(|| runner::run(&text, foreign)));
    let outcome = outcome.unwrap_or_else(|_| Err(Fault { line: 1, what: "panicked".into() }));
    let refusal = text.lines().next().and_then(|line| line.strip_prefix("// fails: "));
    match (outcome, refusal) {
        (Ok(()), None) => None,
        (Ok(()), Some(refusal)) => at_start(format!("passes, but should fail: {refusal}")),
        (Err(fault), None) => Some(fault),
        (Err(fault), Some(refusal)) => {
            let told = fault.to_string();
            if told.contains(refusal) { None } else { at_start(format!("fails otherwise: {told}")) }
        }
    }
}

fn main() -> ExitCode {
    run(&std::env::args().skip(1).collect::<Vec<_>>())
}

/// Runs the scripts that the arguments choose.
pub fn run(args: &[String]) -> ExitCode {
    let (flags, filters): (Vec<_>, Vec<_>) = args.iter().partition(|arg| arg.starts_with('-'));
    let (elsewhere, filters): (Vec<_>, Vec<_>) = filters.into_iter().partition(|arg| arg.starts_with('/'));
    let named = elsewhere.first().map(|path| path.into());
    let foreign: Option<PathBuf> = named.or_else(|| std::env::var_os("SOCKEYE_SCRIPTS").map(PathBuf::from));
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let (root, least) = foreign.clone().map_or((own, LEAST), |root| (root, 1));
    let name = |path: &Path| path.strip_prefix(&root).unwrap_or(path).with_extension("").display().to_string();
    let all = scripts(&root);
    let chosen: Vec<_> = all
        .iter()
        .filter(|path| filters.is_empty() || filters.iter().any(|filter| name(path).contains(filter.as_str())))
        .collect();
    if flags.iter().any(|flag| *flag == "--list") {
        chosen.iter().for_each(|path| println!("{}: test", name(path)));
        return ExitCode::SUCCESS;
    }
    let is_quiet = flags.iter().any(|flag| *flag == "-q" || *flag == "--quiet");
    #[allow(clippy::disallowed_methods, reason = "says how long the scripts took")]
    let start = Instant::now();
    let mut failures = Vec::new();
    for path in &chosen {
        let failure = failure(path, foreign.is_some());
        if !is_quiet {
            println!("test {} ... {}", name(path), if failure.is_none() { "ok" } else { "FAILED" });
        }
        failures.extend(failure.map(|failure| (path, failure)));
    }
    let shown = if foreign.is_some() { root.as_path() } else { Path::new("tests/scripts") };
    for (path, Fault { line, what }) in &failures {
        println!("\n{}:{line}: {what}", shown.join(name(path)).with_extension("pkt").display());
    }
    let passed = chosen.len() - failures.len();
    let verdict = if failures.is_empty() { "ok" } else { "FAILED" };
    let (failed, filtered, time) = (failures.len(), all.len() - chosen.len(), start.elapsed().as_secs_f64());
    // As other tests sum themselves up.
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out; finished in {time:.2}s"
    );
    if all.len() < least {
        println!("there are only {} scripts", all.len());
    }
    if failures.is_empty() && all.len() >= least { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
