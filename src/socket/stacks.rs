//! The stacks of the process: the default one, which `SOCKEYE_NET` describes, and those made by name.

use super::{close, congestion, listed, shelf::Shelf, table};
use crate::{
    device::{self, Device},
    engine::{self, Engine},
    error::{Error, Result},
    stack::config::{Config, SpecError},
    sys::{env, fork, log, machine, process, threads},
    tcp::memory::Limits,
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
/// Stacks that were freed: their sockets stay until they are closed, new ones cannot be opened.
static FREED: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static DEFAULT: OnceLock<u32> = OnceLock::new();

/// How long exit() and the freeing of a stack wait for what was sent to be acknowledged, unless `SOCKEYE_EXIT_WAIT`
/// says otherwise.
const EXIT_WAIT: Duration = Duration::from_secs(2);

thread_local! {
    static LAST_ERROR: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// The engine of a stack, by its number.
pub fn engine(stack: u32) -> Option<&'static Engine> {
    STACKS.at(stack).get().copied()
}

/// The address by which the application knows a stack.
pub fn address(stack: u32) -> usize {
    engine(stack).map_or(0, |engine| std::ptr::from_ref(engine) as usize)
}

/// The number of the stack with that address.
///
/// # Errors
/// `Invalid` when there is none, or it was freed.
pub fn at_address(address: usize) -> Result<u32> {
    let found = (0..*COUNT.lock()).find(|stack| address != 0 && self::address(*stack) == address);
    found.filter(|stack| !FREED.lock().contains(stack)).ok_or(Error::Invalid)
}

/// Ends a stack: its sockets are closed, what was sent gets to the peers, its device is let go, and calls on its
/// sockets fail. What the peers do not acknowledge within `limit` (else `SOCKEYE_EXIT_WAIT`) is reset; see
/// [`Engine::free`].
///
/// # Errors
/// `Invalid` when it was freed before; `TimedOut` when something was reset (the stack is freed all the same); `NetDown`
/// in a forked child, whose parent's it is.
pub fn free(stack: u32, limit: Option<Duration>) -> Result<()> {
    super::enter()?;
    let engine = engine(stack).ok_or(Error::Invalid)?;
    {
        let mut freed = FREED.lock();
        if freed.contains(&stack) {
            return Err(Error::Invalid);
        }
        freed.push(stack);
    }
    let limit = limit.unwrap_or_else(|| exit_wait().unwrap_or(EXIT_WAIT));
    // A thread that was cancelled in the middle would leave half a stack behind, and the device held.
    let is_done = threads::without_cancellation(|| engine.free(limit));
    listed::strike(stack);
    if is_done { Ok(()) } else { Err(Error::TimedOut) }
}

/// What a specification means where these variables are set: `SOCKEYE_LINK` and those like it.
///
/// # Errors
/// What is wrong, by the key or the variable it concerns.
pub fn describe(spec: &str, variable: impl Fn(&str) -> Option<String>) -> std::result::Result<Config, SpecError> {
    let mut config = Config::parse(spec)?;
    config.fill_from_env(variable)?;
    Ok(config)
}

/// Checks the variables that are no keys of a specification: what is wrong must not pass for what is not set.
///
/// # Errors
/// A line that names the variable and shows the right form.
pub fn check_variables() -> std::result::Result<(), String> {
    congestion::chosen()?;
    engine::spin_limit()?;
    exit_wait().map(drop)
}

/// Makes a stack from a network specification such as `tap:t0,ip=10.0.0.2/24`, and returns its number.
///
/// # Errors
/// `Invalid` for a bad specification, else that of [`device::error::OpenError::error`] or
/// [`engine::StartError::error`]; [`last_error`] names cause and cure.
pub fn create(spec: &str) -> Result<u32> {
    let number = open(spec)?.start(None)?;
    engine(number).into_iter().for_each(|engine| listed::list(number, engine));
    Ok(number)
}

/// A stack to be, for which everything is open that it needs of the machine.
pub struct Opened {
    config: Config,
    limits: Limits,
    device: Option<Box<dyn Device>>,
}

/// Opens what a stack needs: its log, its device, its capture.
///
/// # Errors
/// As [`create`].
pub fn open(spec: &str) -> Result<Opened> {
    let mut config = describe(spec, env::var).map_err(|error| {
        note_error(&error.to_string());
        Error::Invalid
    })?;
    check_variables().map_err(|text| {
        note_error(&text);
        Error::Invalid
    })?;
    log::install(config.log.as_ref()).map_err(|text| {
        note_error(&text);
        Error::Invalid
    })?;
    config.fill_mac(&machine::id());
    let device = device::open(&config).map_err(|error| {
        note_error(&error.to_string());
        error.error()
    })?;
    // Files tell: who starts the stack may have shut itself out of them by then.
    let limits = Engine::limits(&config);
    Ok(Opened { config, limits, device })
}

impl Opened {
    /// Makes the stack, and returns its number. A host need not wait until its addresses are known to be nobody else's:
    /// see [`Engine::start`].
    ///
    /// # Errors
    /// As [`create`].
    pub fn start(self, patience: Option<Duration>) -> Result<u32> {
        let engine = Engine::start(self.config, self.limits, self.device, patience).map_err(|error| {
            note_error(&error.to_string());
            error.error()
        })?;
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| process::at_exit(drain_at_exit));
        Ok(adopt(engine))
    }
}

/// Gives an engine that was made elsewhere its number as a stack.
pub fn adopt(engine: &'static Engine) -> u32 {
    let mut count = COUNT.lock();
    let number = *count;
    STACKS.at(number).get_or_init(|| engine);
    *count += 1;
    number
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
    let Some(spec) = env::var("SOCKEYE_NET").filter(|spec| !spec.is_empty()) else {
        note_error(
            "SOCKEYE_NET is not set; set it to a network specification, for example \
             SOCKEYE_NET=tap:t0,ip=10.0.0.2/24,gw=10.0.0.1",
        );
        return Err(Error::NetDown);
    };
    let number = create(&spec).map_err(|_| Error::NetDown)?;
    Ok(*DEFAULT.get_or_init(|| number))
}

/// The counter of that name, as nstat has it, of a stack.
///
/// # Errors
/// `NotFound` for another name, `Invalid` for a stack that is none.
pub fn counter(stack: u32, name: &str) -> Result<u64> {
    let found = engine(stack).ok_or(Error::Invalid)?.with(|stack, _| {
        let mut counters = stack.counters().iter();
        counters.find(|(known, _)| *known == name).map(|(_, value)| value)
    });
    found.ok_or(Error::NotFound)
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
fn exit_wait() -> std::result::Result<Duration, String> {
    let Some(text) = env::var("SOCKEYE_EXIT_WAIT").filter(|text| !text.is_empty()) else { return Ok(EXIT_WAIT) };
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| {
        format!("SOCKEYE_EXIT_WAIT: `{text}` is not a number of seconds; give it as SOCKEYE_EXIT_WAIT=2, or unset it")
    })
}

/// What the kernel does for a process that ends: every descriptor is closed, and what was sent still gets there.
extern "C" fn drain_at_exit() {
    if fork::is_child() {
        return;
    }
    // In a thread of its own: the calling one has lost its thread-local values by now.
    let drain = || {
        table::take_all(close::abandon);
        // One limit for all of them: each drives on by its helper while another is waited for.
        let until = engine::now() + exit_wait().unwrap_or(EXIT_WAIT);
        let engines: Vec<_> = (0..*COUNT.lock()).filter_map(engine).collect();
        engines.iter().for_each(|engine| _ = engine.drain(until));
    };
    // Neither a panic nor the want of a thread leaves anything to be done.
    let _ = std::thread::Builder::new().name("sockeye-exit".to_owned()).spawn(drain).map(std::thread::JoinHandle::join);
}
