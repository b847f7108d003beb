//! The stacks of the process: the default one, which `SOCKEYE_NET` describes, and those made by name.

use super::{close, shelf::Shelf, table};
use crate::{
    device,
    engine::Engine,
    error::{Error, Result},
    stack::Config,
    sys::{env, fork, machine, process},
    time::Duration,
};
use parking_lot::Mutex;
use std::{
    cell::RefCell,
    ffi::CString,
    sync::{Once, OnceLock},
};

static STACKS: Shelf<OnceLock<&'static Engine>> = Shelf::new();
static COUNT: Mutex<u32> = Mutex::new(0);
static DEFAULT: OnceLock<u32> = OnceLock::new();

/// How long exit() waits for closed sockets' data to be acknowledged, unless `SOCKEYE_EXIT_WAIT` says otherwise.
const EXIT_WAIT: Duration = Duration::from_secs(2);

thread_local! {
    static LAST_ERROR: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// The engine of a stack, by its number.
pub fn engine(stack: u32) -> Option<&'static Engine> {
    STACKS.at(stack).get().copied()
}

/// The number of an engine's stack.
pub fn number(engine: &'static Engine) -> Option<u32> {
    (0..*COUNT.lock()).find(|stack| self::engine(*stack).is_some_and(|known| std::ptr::eq(known, engine)))
}

/// Makes a stack from a network specification such as `tap:t0,ip=10.0.0.2/24`, and returns its number.
///
/// # Errors
/// A text that names cause and cure.
pub fn create(spec: &str) -> std::result::Result<u32, String> {
    let mut config = Config::parse(spec).map_err(|error| error.to_string())?;
    config.fill_from_env(env::var).map_err(|error| error.to_string())?;
    config.fill_mac(&machine::id());
    let device = device::open(&config).map_err(|error| error.to_string())?;
    let engine = Engine::start(config, device)?;
    static AT_EXIT: Once = Once::new();
    AT_EXIT.call_once(|| process::at_exit(drain_at_exit));
    let mut count = COUNT.lock();
    let number = *count;
    STACKS.at(number).get_or_init(|| engine);
    *count += 1;
    Ok(number)
}

/// The default stack's number; the first call makes it from `SOCKEYE_NET`.
///
/// # Errors
/// `NetDown` when the variable is not set or the stack cannot be made; [`last_error`] has the text.
pub fn default() -> Result<u32> {
    static MAKING: Mutex<()> = Mutex::new(());
    if let Some(number) = DEFAULT.get() {
        return Ok(*number);
    }
    let _making = MAKING.lock();
    if let Some(number) = DEFAULT.get() {
        return Ok(*number);
    }
    let made = match env::var("SOCKEYE_NET") {
        Some(spec) if !spec.is_empty() => create(&spec).map_err(|text| format!("SOCKEYE_NET: {text}")),
        _ => Err("SOCKEYE_NET is not set; set it to a network specification, for example \
                  SOCKEYE_NET=tap:t0,ip=10.0.0.2/24,gw=10.0.0.1"
            .to_owned()),
    };
    match made {
        Ok(number) => Ok(*DEFAULT.get_or_init(|| number)),
        Err(text) => {
            note_error(&text);
            Err(Error::NetDown)
        }
    }
}

/// Keeps `text` as the calling thread's last configuration error.
pub fn note_error(text: &str) {
    let text = CString::new(text.replace('\0', "?")).unwrap_or_default();
    // A thread that is ending has nobody left to ask.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = Some(text));
}

/// Calls `each` with the calling thread's last configuration error; it stays in place until the next one.
pub fn last_error<R>(each: impl FnOnce(Option<&CString>) -> R) -> Option<R> {
    LAST_ERROR.try_with(|last| each(last.borrow().as_ref())).ok()
}

/// `SOCKEYE_EXIT_WAIT` in seconds, with an optional fraction.
fn exit_wait() -> Duration {
    let seconds = env::var("SOCKEYE_EXIT_WAIT").and_then(|text| text.parse::<f64>().ok());
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(EXIT_WAIT)
}

/// What the kernel does for a process that ends: every descriptor is closed, and what was sent still gets there.
extern "C" fn drain_at_exit() {
    if fork::is_child() {
        return;
    }
    // A panic must not leave a function the C library calls.
    let _ = std::panic::catch_unwind(|| {
        table::take_all(close::abandon);
        let wait = exit_wait();
        (0..*COUNT.lock()).filter_map(engine).for_each(|engine| engine.drain(wait));
    });
}
