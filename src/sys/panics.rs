//! What a panic says. One that is caught is a line of the log, with its place, and with a back trace at the level
//! debug; nothing else is printed: standard error is the program's. So is one that nothing catches, in a program that
//! uses the C functions: it has no panics but ours. In a program of Rust's any other goes its usual way.

use std::{
    backtrace::Backtrace,
    cell::Cell,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

/// Whether every panic of the process is one of ours.
static ALL_OURS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// How many callers up the stack will catch a panic.
    static CATCHERS: Cell<u32> = const { Cell::new(0) };
}

/// While it lives, a panic of this thread is caught further up.
pub struct Caught(());

impl Caught {
    /// From here on.
    pub fn from_here() -> Self {
        CATCHERS.set(CATCHERS.get() + 1);
        Self(())
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        CATCHERS.set(CATCHERS.get() - 1);
    }
}

/// What `act` says, or `None` if it panicked.
pub fn catch<R>(act: impl FnOnce() -> R) -> Option<R> {
    let _caught = Caught::from_here();
    panic::catch_unwind(AssertUnwindSafe(act)).ok()
}

/// Sends what caught panics say to the log, from here on.
pub fn log_caught() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A thread that is ending has no such number any more, and nobody who would catch.
            if CATCHERS.try_with(Cell::get).is_ok_and(|catchers| catchers > 0) {
                tell(info, "what was being done ends, a connection with a reset");
            } else if ALL_OURS.load(Ordering::Relaxed) {
                tell(info, "nothing catches it");
            } else {
                usual(info);
            }
        }));
    });
}

/// The program is no Rust program: what its C functions call is the only Rust in it.
pub fn claim_all() {
    ALL_OURS.store(true, Ordering::Relaxed);
}

fn tell(info: &PanicHookInfo<'_>, consequence: &str) {
    // One line, whatever an assertion has to show.
    let said = info.payload_as_str().unwrap_or("nothing").replace('\n', " ");
    let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    log::error!("a mistake of ours{place}: {said}; {consequence}");
    if log::log_enabled!(log::Level::Debug) {
        log::debug!("{}", Backtrace::force_capture());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        stack::config::Logging,
        sys::{env, log},
    };
    use std::process::Command;

    const LEVEL: &str = "SOCKEYE_TEST_PANICS";
    const UNCAUGHT: &str = "SOCKEYE_TEST_UNCAUGHT";

    #[test]
    fn what_is_caught_is_counted_while_it_lasts() {
        assert_eq!(catch(|| CATCHERS.get()), Some(1));
        assert_eq!(catch(|| catch(|| CATCHERS.get())), Some(Some(2)));
        assert_eq!(catch(|| panic!("a mistake made for a test")), None::<()>);
        assert_eq!(CATCHERS.get(), 0);
    }

    /// It runs itself again, as a process that panics.
    #[test]
    fn what_a_panic_says_goes_to_the_log_and_nowhere_else() {
        if let Some(level) = env::var(LEVEL) {
            log::install(Some(&Logging::parse("log", &level).unwrap())).unwrap();
            log_caught();
            if env::var(UNCAUGHT).is_some() {
                claim_all();
                assert!(std::thread::spawn(|| panic!("a mistake made for a test")).join().is_err());
            } else {
                assert_eq!(catch(|| panic!("a mistake made for a test")), None::<()>);
            }
            return;
        }
        let said = |level: &str, variables: &[(&str, &str)]| {
            let mut own = Command::new(std::env::current_exe().unwrap());
            own.args(["--exact", "--nocapture"]);
            own.arg("sys::panics::tests::what_a_panic_says_goes_to_the_log_and_nowhere_else");
            own.envs(variables.iter().copied()).env(LEVEL, level).env("RUST_BACKTRACE", "1");
            let done = own.output().unwrap();
            assert!(done.status.success());
            String::from_utf8(done.stderr).unwrap()
        };
        let uncaught = [(UNCAUGHT, "1")];
        assert_eq!((said("off", &[]), said("off", &uncaught)), (String::new(), String::new()));
        let (error, debug, fatal) = (said("error", &[]), said("debug", &[]), said("error", &uncaught));
        assert!(fatal.starts_with("sockeye: ERROR a mistake of ours at src/sys/panics.rs:"), "{fatal}");
        assert!(fatal.ends_with("; nothing catches it\n") && fatal.lines().count() == 1, "{fatal}");
        assert!(error.starts_with("sockeye: ERROR a mistake of ours at src/sys/panics.rs:"), "{error}");
        assert!(error.contains(": a mistake made for a test; ") && error.lines().count() == 1, "{error}");
        assert!(debug.starts_with(error.split("panics.rs").next().unwrap()) && debug.lines().count() > 2, "{debug}");
    }
}
