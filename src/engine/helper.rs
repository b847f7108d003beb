//! The helper thread of an engine: it drives while no caller is inside. While callers drive it looks once a lease
//! whether they still do; while one sleeps inside, it sleeps too.

use super::{Engine, lead::Watch, park::Place};
use crate::{
    sys::{panics, poll, signals::Blocked},
    time::Duration,
};
use std::{ffi::c_void, io, thread};

/// How long a leader may be out of the library before the helper takes over.
const LEASE: Duration = Duration::from_millis(1);
/// Looks that find the same leader inside before the helper sleeps until it leaves.
const QUIET: u32 = 4;

/// Starts the helper, with all signals blocked: they are the program's.
pub(super) fn spawn(engine: &'static Engine) -> io::Result<()> {
    let blocked = Blocked::all();
    let started = thread::Builder::new().name("sockeye".into()).stack_size(256 * 1024).spawn(move || run(engine));
    blocked.restore();
    started.map(drop)
}

fn run(engine: &'static Engine) {
    let me = engine.helper;
    let (mut seen, mut quiet) = (0, 0);
    while !engine.is_stopped() {
        me.prepare();
        match engine.lead.look(&mut seen) {
            Watch::Nobody if engine.lead.take_over() => while !engine.is_stopped() && step(engine, me) {},
            Watch::Inside if quiet >= QUIET && engine.lead.let_helper_sleep() => {
                quiet = 0;
                nap(me, None);
            }
            watch => {
                quiet = if watch == Watch::Inside { quiet + 1 } else { 0 };
                nap(me, Some(LEASE));
            }
        }
    }
    engine.lead.abandon(me);
    me.release();
}

/// Drives for one sleep. A panic, which the stack has not caught, does not end the thread: nobody would drive any more.
fn step(engine: &'static Engine, me: &'static Place) -> bool {
    panics::catch(|| engine.step(me, None)).unwrap_or(true)
}

/// Sleeps until notified, `limit` at most.
pub(super) fn nap(me: &'static Place, limit: Option<Duration>) {
    extern "C" fn on_cancel(_: *mut c_void) {}
    if !me.fall_asleep() {
        return;
    }
    let mut fds = [libc::pollfd { fd: me.fd(), events: libc::POLLIN, revents: 0 }];
    poll::sleep(&mut fds, me.nap(limit), None, on_cancel);
    me.wake_up();
    if fds[0].revents != 0 {
        me.clear();
    }
}
