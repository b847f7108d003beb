//! What the environment says, taken once: programs write over their environment (nginx, postgres and sshd do).

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    sync::atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicU64, Ordering},
};
use sockeye_shim::{
    Errno, Result, fence,
    format::{FILLERS, MEANT, Token, token_from_text},
    host::{GONE, Host},
    kernel,
    name::{STACK_MAX, stack_of},
    stderr,
    variables::{self, Line},
};

unsafe extern "C" {
    /// The environment, as libc keeps it.
    pub static mut environ: *const *const c_char;
}

/// A string of the environment with its NUL. Never cut off: what is too long is absent.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const NONE: Self = Self { bytes: [0; N], len: 0 };

    fn of(text: &[u8]) -> Self {
        let mut copy = Self::NONE;
        if text.len() < N {
            copy.bytes[..text.len()].copy_from_slice(text);
            copy.len = text.len();
        }
        copy
    }

    /// The bytes before the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The variables that count, as `NAME=value` without the name.
#[derive(Clone, Copy)]
pub struct Settings {
    /// LD_PRELOAD.
    pub preload: Text<1024>,
    /// SOCKEYE_NET.
    pub net: Text<1024>,
    /// SOCKEYE_STACK, or the name that SOCKEYE_NET makes.
    pub stack: Text<{ STACK_MAX + 1 }>,
    /// SOCKEYE_HOST.
    pub host: Text<512>,
    /// SOCKEYE_FENCE: the stack whose host holds the tree of programs that this one belongs to.
    pub fence: Text<{ STACK_MAX + 1 }>,
    /// SOCKEYE_ALLOW_KERNEL: the kernel's network stays open.
    pub allow_kernel: bool,
    /// What fills the specification where it is silent.
    pub fillers: [Text<256>; FILLERS.len()],
    /// SOCKEYE_CC.
    congestion: Text<64>,
    /// What there is to say of a variable whose value is wrong.
    wrong: Option<Line>,
}

const CONGESTION: &[u8] = b"SOCKEYE_CC";

impl Settings {
    const NONE: Self = Self {
        preload: Text::NONE,
        net: Text::NONE,
        stack: Text::NONE,
        host: Text::NONE,
        fence: Text::NONE,
        allow_kernel: false,
        fillers: [Text::NONE; FILLERS.len()],
        congestion: Text::NONE,
        wrong: None,
    };

    /// The stack whose host holds the tree of this program and all it starts, if they are behind the fence: its own, if
    /// nothing else was said.
    pub fn fence_holder(&self) -> &[u8] {
        match self.fence.as_bytes() {
            _ if !fence::is_raised() => b"",
            b"" => self.stack.as_bytes(),
            named => named,
        }
    }

    /// Keeps a variable's value; one that is wrong, or too long to be kept, is told at the first use of a socket.
    fn keep<const N: usize>(&mut self, name: &[u8], value: &[u8]) -> Text<N> {
        if value.len() >= N {
            self.wrong.get_or_insert(Line::of(&[name, b": is too long to be used; shorten or unset it"]));
        }
        Text::of(value)
    }

    /// Writes down which stack is meant; nothing without a specification. Returns the length.
    fn meant(&self, into: &mut [u8; MEANT]) -> usize {
        let mut len = 0;
        let mut push = |bytes: &[u8]| {
            if let Some(room) = into.get_mut(len..len + bytes.len()) {
                room.copy_from_slice(bytes);
                len += bytes.len();
            }
        };
        push(self.net.as_bytes());
        let fillers = FILLERS.iter().zip(&self.fillers).filter(|_| self.net.len > 0);
        let fillers = fillers.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        for (name, value) in fillers.chain([(CONGESTION, self.congestion.as_bytes())]) {
            if !value.is_empty() {
                [b"\0", name, b"=", value].into_iter().for_each(&mut push);
            }
        }
        len
    }
}

struct Shared(UnsafeCell<Settings>);

// SAFETY: written by the one that moves STATE from UNREAD to READING, read by others only after it is READ.
unsafe impl Sync for Shared {}

static SETTINGS: Shared = Shared(UnsafeCell::new(Settings::NONE));
static STATE: AtomicU8 = AtomicU8::new(UNREAD);
const UNREAD: u8 = 0;
const READING: u8 = 1;
const READ: u8 = 2;

static TOKEN: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// The settings; `None` for a moment, while another thread reads them for the first time.
pub fn settings() -> Option<&'static Settings> {
    if STATE.compare_exchange(UNREAD, READING, Ordering::Acquire, Ordering::Acquire).is_ok() {
        let read = read();
        // SAFETY: nobody else writes, and nobody reads before STATE says so.
        unsafe { *SETTINGS.0.get() = read };
        STATE.store(READ, Ordering::Release);
    }
    for _ in 0..1000 {
        if STATE.load(Ordering::Acquire) == READ {
            // SAFETY: it is written, and never again.
            return Some(unsafe { &*SETTINGS.0.get() });
        }
        // SAFETY: it takes nothing.
        unsafe { libc::sched_yield() };
    }
    None
}

/// The value of a variable of an environment's, if that is its name.
pub fn value_of<'a>(variable: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    variable.strip_prefix(name)?.strip_prefix(b"=")
}

/// Name and value of a variable.
fn split(variable: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = variable.iter().position(|&byte| byte == b'=')?;
    Some((&variable[..end], &variable[end + 1..]))
}

/// Calls `visit` with each variable of an environment.
///
/// # Safety
///
/// `environment` must be null or a list of strings that ends with a null.
pub unsafe fn each<'a>(environment: *const *const c_char, mut visit: impl FnMut(&'a CStr)) {
    let mut at = environment;
    // SAFETY: the list goes on until its null.
    while !at.is_null() && unsafe { !(*at).is_null() } {
        // SAFETY: a string of the list, and the next place in it.
        unsafe {
            visit(CStr::from_ptr(*at));
            at = at.add(1);
        }
    }
}

fn read() -> Settings {
    let mut settings = Settings::NONE;
    // SAFETY: it takes a number.
    if unsafe { libc::getauxval(libc::AT_SECURE) } != 0 {
        return settings;
    }
    let keep = |variable: &CStr| {
        let Some((name, value)) = split(variable.to_bytes()) else { return };
        if let Some(judged) = variables::ALL.iter().find(|judged| judged.name.as_bytes() == name)
            && let Some(line) = judged.objection(value)
        {
            settings.wrong.get_or_insert(line);
            return;
        }
        match name {
            b"LD_PRELOAD" => settings.preload = Text::of(value),
            b"SOCKEYE_NET" => settings.net = settings.keep(name, value),
            b"SOCKEYE_STACK" => settings.stack = settings.keep(name, value),
            CONGESTION => settings.congestion = settings.keep(name, value),
            b"SOCKEYE_HOST" => settings.host = settings.keep(name, value),
            b"SOCKEYE_FENCE" => settings.fence = settings.keep(name, value),
            b"SOCKEYE_ALLOW_KERNEL" => settings.allow_kernel = variables::switch(value) == Some(true),
            b"SOCKEYE_TOKEN" => token_from_text(value).into_iter().for_each(remember),
            _ => {
                if let Some(at) = FILLERS.iter().position(|filler| filler.as_bytes() == name) {
                    settings.fillers[at] = settings.keep(name, value);
                }
            }
        }
    };
    // SAFETY: the process's own environment.
    unsafe { each(environ, keep) };
    if settings.stack.len == 0
        && let Some((name, len)) = stack_of(settings.net.as_bytes())
    {
        settings.stack = Text::of(&name[..len]);
    }
    settings
}

fn remember(token: Token) {
    let (low, high) = token.split_at(8);
    for (half, atomic) in [low, high].into_iter().zip(&TOKEN) {
        atomic.store(half.try_into().map_or(0, u64::from_ne_bytes), Ordering::Relaxed);
    }
}

/// The token, if it is known.
pub fn token() -> Option<Token> {
    let mut token = [0; 16];
    for (half, atomic) in token.chunks_exact_mut(8).zip(&TOKEN) {
        half.copy_from_slice(&atomic.load(Ordering::Relaxed).to_ne_bytes());
    }
    if token == [0; 16] { None } else { Some(token) }
}

/// The network namespace that this program's stack is in: the one where it first asked for it. A program that goes to
/// another, and what it forks there, keeps its sockets' stack.
pub fn network() -> u64 {
    static NETWORK: AtomicU64 = AtomicU64::new(0);
    match NETWORK.load(Ordering::Relaxed) {
        0 => {
            let asked = kernel::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            let network = asked.map_or(0, |fd| {
                let network = kernel::network_of(fd);
                let _ = kernel::close(fd);
                network
            });
            NETWORK.store(network, Ordering::Relaxed);
            network
        }
        known => known,
    }
}

/// The host to ask, which is that of the stack that is meant. Where no token is known, a host of the same user tells
/// it.
///
/// # Errors
///
/// ENETDOWN, after a line that says why, if the environment names no stack, or has a variable that is wrong.
pub fn host() -> Result<Host<'static>> {
    const DOWN: Errno = Errno(libc::ENETDOWN);
    let settings = settings().ok_or(DOWN)?;
    let stack = settings.stack.as_bytes();
    if let Some(line) = &settings.wrong {
        say(line.as_bytes());
        return Err(DOWN);
    }
    if stack.is_empty() {
        say(match settings.net.as_bytes() {
            b"" => b"neither SOCKEYE_NET nor SOCKEYE_STACK names a stack; give SOCKEYE_NET=tap:t0,ip=10.97.0.2/24",
            _ => b"SOCKEYE_NET: is no network specification; give it as SOCKEYE_NET=tap:t0,ip=10.97.0.2/24",
        });
        return Err(DOWN);
    }
    let congestion = settings.congestion.as_bytes();
    let mut host = Host { stack, token: token().unwrap_or_default(), network: network(), congestion, start, say };
    let is_new = MET.load(Ordering::Relaxed) != own_pid();
    if is_new && !settings.fence.as_bytes().is_empty() && !fence::is_raised() {
        say(variables::NO_FENCE.as_bytes());
        return Err(DOWN);
    }
    // Each process asks once, also with a token: it may mean another stack than the one it is of. Where there is no
    // host the first request makes one that is meant.
    if host.token == [0; 16] || is_new && host.is_there() {
        let mut meant = [0; MEANT];
        let len = settings.meant(&mut meant);
        host.token = host.join(&meant[..len])?;
        remember(host.token);
        crate::fence::raise(settings, &host)?;
        MET.store(own_pid(), Ordering::Relaxed);
    }
    Ok(host)
}

/// The process that has met the stack's host.
static MET: AtomicI32 = AtomicI32::new(0);

fn own_pid() -> i32 {
    // SAFETY: it takes nothing.
    unsafe { libc::getpid() }
}

/// Starts a host, but not a second one: it would know nothing of this program's sockets. It stays as long as a process
/// that has asked it anything, so that it is gone only if it was killed.
fn start() -> Result<()> {
    if MET.load(Ordering::Relaxed) == own_pid() {
        say(GONE);
        return Err(Errno(libc::ENETDOWN));
    }
    crate::start::start()?;
    let settings = settings().ok_or(Errno(libc::ENETDOWN))?;
    let token = token().unwrap_or_default();
    let host = Host { stack: settings.stack.as_bytes(), token, network: network(), ..NOBODY };
    crate::fence::raise(settings, &host)
}

/// A host that cannot be started, with no stack's name yet.
pub const NOBODY: Host<'static> =
    Host { stack: b"", token: [0; 16], network: 0, congestion: b"", start: || Err(Errno(libc::ENETDOWN)), say };

/// Says one line on stderr, the first time only.
pub fn say(line: &[u8]) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) && stderr::write(line).is_err() {
        stderr::log(line);
    }
}

/// Takes the settings before the program can change its environment, and says where names come from.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn constructor() {
        settings();
        crate::nss::configure();
    }
    constructor
};
