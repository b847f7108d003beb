//! What a panic says. One that is caught is a line of the log, with its place, and with a back trace at the level debug;
//! nothing else is printed: standard error is the program's. Any other goes its usual way.

use std::{
    backtrace::Backtrace,
    cell::Cell,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Once,
};

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
                tell(info);
            } else {
                usual(info);
            }
        }));
    });
}

fn tell(info: &PanicHookInfo<'_>) {
    // One line, whatever an assertion has to show.
    let said = info.payload_as_str().unwrap_or("nothing").replace('\n', " ");
    let place = info.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
    log::error!("a mistake of ours{place}: {said}; what was being done ends, a connection with a reset");
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

    #[test]
    fn what_is_caught_is_counted_while_it_lasts() {
        assert_eq!(catch(|| CATCHERS.get()), Some(1));
        assert_eq!(catch(|| catch(|| CATCHERS.get())), Some(Some(2)));
        assert_eq!(catch(|| panic!("a mistake made for a test")), None::<()>);
        assert_eq!(CATCHERS.get(), 0);
    }

    /// It runs itself again, as a process that panics.
    #[test]
    fn what_a_caught_panic_says_goes_to_the_log_and_nowhere_else() {
        if let Some(level) = env::var(LEVEL) {
            log::install(Some(&Logging::parse(&level).unwrap())).unwrap();
            log_caught();
            assert_eq!(catch(|| panic!("a mistake made for a test")), None::<()>);
            return;
        }
        let said = |level: &str| {
            let mut own = Command::new(std::env::current_exe().unwrap());
            own.args(["--exact", "--nocapture"]);
            own.arg("sys::panics::tests::what_a_caught_panic_says_goes_to_the_log_and_nowhere_else");
            let done = own.env(LEVEL, level).env("RUST_BACKTRACE", "1").output().unwrap();
            assert!(done.status.success());
            String::from_utf8(done.stderr).unwrap()
        };
        assert_eq!(said("off"), "");
        let (error, debug) = (said("error"), said("debug"));
        assert!(error.starts_with("sockeye: ERROR a mistake of ours at src/sys/panics.rs:"), "{error}");
        assert!(error.contains(": a mistake made for a test; ") && error.lines().count() == 1, "{error}");
        assert!(debug.starts_with(error.split("panics.rs").next().unwrap()) && debug.lines().count() > 2, "{debug}");
    }
}
