//! A stack inside a process is listed as those of hosts are: under an abstract name of its own, `t0@4711` for device t0
//! in process 4711, where this user and root may ask what it is. A thread that does nothing else answers, so that it
//! costs nothing where data moves.

use super::inspect;
use crate::{
    counters::Counters,
    engine::{self, Engine},
    sys::{
        closer, fork, readiness,
        signals::Blocked,
        unix::{self, Kind},
    },
    time::Instant,
};
use parking_lot::Mutex;
use sockeye_shim::{
    format::{Data, Op, Request, Response},
    name::{Meaning, is_stack},
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

/// Stacks on one device in one process that have a name: those of a device without a name may be many.
const NAMESAKES: u32 = 64;
/// Operators that may wait.
const BACKLOG: i32 = 16;
/// How long somebody may take to ask who has the right to: others wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long to leave operators waiting where there is no descriptor for them.
const SHORTAGE: Duration = Duration::from_millis(100);

/// Who answers for which stack.
static LISTED: Mutex<Vec<(u32, Arc<Listing>)>> = Mutex::new(Vec::new());

/// Where operators come in.
struct Listing {
    listener: OwnedFd,
    /// The kernel has no SO_PASSRIGHTS.
    takes_descriptors: bool,
    /// The stack is no more.
    is_struck: AtomicBool,
}

/// Lists the stack of that number. One for which there is no name, descriptor or thread works all the same.
pub fn list(number: u32, engine: &'static Engine) {
    if let Err(error) = try_to_list(number, engine) {
        log::debug!("the stack {} is not listed: {error}", engine.config());
    }
}

fn try_to_list(number: u32, engine: &'static Engine) -> io::Result<()> {
    let listener = unix::open(Kind::Packets)?;
    take_name(&listener, &inspect::device(engine.config()))?;
    // What strangers send may take long to close.
    let takes_descriptors = unix::pass_rights(listener.as_fd(), false).is_err();
    unix::listen(listener.as_fd(), BACKLOG)?;
    let listing = Arc::new(Listing { listener, takes_descriptors, is_struck: AtomicBool::new(false) });
    let (heard, began) = (Arc::clone(&listing), engine::now());
    let blocked = Blocked::all();
    let thread = thread::Builder::new().name("sockeye-listed".to_owned()).stack_size(128 * 1024);
    let started = thread.spawn(move || serve(&heard, Inside { engine, began, marked: Counters::default() }));
    blocked.restore();
    started?;
    // A child has none of its parent's stacks, and must not keep their names.
    fork::hold(listing.listener.as_raw_fd());
    LISTED.lock().push((number, listing));
    Ok(())
}

/// The first name that is free: `t0@4711`, `t0.2@4711` and so on.
fn take_name(listener: &OwnedFd, device: &str) -> io::Result<()> {
    let fits = |c: char| if is_stack(c.to_string().as_bytes()) { c } else { '-' };
    let (device, process): (String, u32) = (device.chars().map(fits).collect(), std::process::id());
    for n in 1..=NAMESAKES {
        let name = if n == 1 { format!("{device}@{process}") } else { format!("{device}.{n}@{process}") };
        let full = Meaning::Control.name(name.as_bytes()).ok_or(io::ErrorKind::InvalidInput)?;
        match unix::bind(listener.as_fd(), full.as_bytes()) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// The stack of that number is no more: its thread ends, and its name is free soon.
pub fn strike(number: u32) {
    let mut listed = LISTED.lock();
    if let Some(at) = listed.iter().position(|(known, _)| *known == number) {
        let (_, listing) = listed.swap_remove(at);
        fork::release(listing.listener.as_raw_fd());
        listing.is_struck.store(true, Relaxed);
        // That wakes who waits for operators. It is readable from then on, and accept(2) says EAGAIN all the same.
        let _ = unix::shutdown_read(listing.listener.as_fd());
    }
}

/// A stack as an operator is shown it.
struct Inside {
    engine: &'static Engine,
    began: Instant,
    /// What was counted when an operator last asked.
    marked: Counters,
}

fn serve(listing: &Listing, mut inside: Inside) {
    let Listing { listener, takes_descriptors, is_struck } = listing;
    while !is_struck.load(Relaxed) {
        if !readiness::wait_readable(listener.as_fd(), Duration::from_secs(3600)) {
            continue;
        }
        match unix::accept(listener.as_fd()) {
            Ok(asker) if is_admitted(&asker) => inside.hear(&asker),
            Ok(stranger) if *takes_descriptors => closer::close(vec![stranger]),
            // Who has the right to ask does not wait for who has not.
            Ok(_stranger) => {}
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR | libc::ECONNABORTED) => {}
                Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOBUFS) => thread::sleep(SHORTAGE),
                // Closed by a program that closes what it does not know.
                _ => return,
            },
        }
    }
}

fn is_admitted(asker: &OwnedFd) -> bool {
    unix::peer(asker.as_fd()).is_some_and(|peer| peer.uid == 0 || peer.uid == unix::own_uid())
}

impl Inside {
    fn hear(&mut self, asker: &OwnedFd) {
        let mut bytes = [0; Request::SIZE];
        if !readiness::wait_readable(asker.as_fd(), PATIENCE) {
            return;
        }
        let Ok(len) = unix::recv(asker.as_fd(), &mut bytes, 0) else { return };
        let response = match Request::from_bytes(&bytes[..len]) {
            Err(_) => Response::new(libc::EPROTO),
            // There is no token to know: who holds the stack is a process, and programs do not join it.
            Ok(request) if request.token != [0; 16] => Response::new(libc::EACCES),
            Ok(request) => self.answer(asker, &request),
        };
        // Who does not wait for the answer has gone.
        let _ = unix::send(asker.as_fd(), &response.to_bytes(), 0);
    }

    fn answer(&mut self, asker: &OwnedFd, request: &Request) -> Response {
        let engine = self.engine;
        match request.op {
            // Its sockets are known to the kernel by no inode.
            Op::Sockets => inspect::sockets(engine, asker.as_fd(), request.from, |some| vec![(0, 0); some.len()]),
            Op::Counters => inspect::counters(engine, &mut self.marked, request.from, request.value == 1),
            Op::Describe => {
                let sockets = engine.with(|stack, now| inspect::ids(&stack.standings(0, usize::MAX, now).0).count());
                inspect::description(
                    "process",
                    (engine.config(), engine.loss()),
                    self.began,
                    (1, sockets),
                    request.from,
                )
            }
            Op::Log => inspect::log(request.from),
            _ => {
                let line =
                    format!("it is inside process {}, which alone can use it; end that process", std::process::id());
                Response { data: Data::of(line.as_bytes()).unwrap_or(Data::NONE), ..Response::new(libc::EINVAL) }
            }
        }
    }
}
