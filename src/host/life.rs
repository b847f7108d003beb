//! Who uses the stack, what is to be done later, and when the host ends: a second after the last process that asked it
//! anything has ended and the last socket and unacknowledged byte are gone. A connection in TIME-WAIT does not count.

use super::slot::{Host, Item};
use crate::{
    buf::pool,
    shrink,
    sys::{panics, process, unix},
    time::{Duration, Instant},
};
use std::{
    collections::{HashMap, HashSet},
    io,
};

/// How long a host stays that nobody uses.
const GRACE: Duration = Duration::from_secs(1);
/// How long a host that nobody has used yet waits for the program it was started for.
const FIRST_GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether memory can be given back, or the last orphan is gone.
const LOOK: Duration = Duration::from_millis(500);
/// How much the allocator may keep free before it is worth a look, bytes.
const WORTHY: usize = 256 << 10;
/// How long not to say again that there is none.
const SAID: Duration = Duration::from_secs(60);

/// What the host remembers of time and of its users.
pub struct Life {
    began: Instant,
    users: HashSet<i32>,
    /// When which slot is to run again.
    retries: HashMap<u64, Instant>,
    shortage_said: Option<Instant>,
    look_at: Instant,
    /// The slots that had been used, and what the allocator kept free, in bytes, when memory was last given back.
    trimmed: (u64, usize),
    /// Since when nobody has used the stack.
    unused_since: Option<Instant>,
    grace: Duration,
    stopped: bool,
}

impl Life {
    /// The life of a host that begins `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            began: now,
            users: HashSet::new(),
            retries: HashMap::new(),
            shortage_said: None,
            look_at: now + LOOK,
            trimmed: (0, 0),
            unused_since: Some(now),
            grace: FIRST_GRACE,
            stopped: false,
        }
    }

    /// Slot `number` wants to run again `at` that time, and at none that it wanted before.
    pub fn retry(&mut self, number: u64, at: Instant) {
        self.retries.insert(number, at);
    }

    /// Slot `number` has nothing to wait for any more.
    pub fn forget(&mut self, number: u64) {
        self.retries.remove(&number);
    }

    /// There was no descriptor for a program or a connection. It waits; the user is told once.
    pub fn on_shortage(&mut self, now: Instant, error: &io::Error) {
        if self.shortage_said.is_none_or(|at| at + SAID <= now) {
            self.shortage_said = Some(now);
            log::warn!("programs and connections wait: {error}; raise the limit of open files (ulimit -n)");
        }
    }

    /// When the host began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// The host is to end.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// Whether the host is to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Process `pid` has ended.
    pub fn left(&mut self, pid: i32) {
        self.users.remove(&pid);
    }
}

impl Host {
    /// Process `pid` has asked something: the host stays until it ends.
    pub fn note_user(&mut self, pid: i32) {
        self.life.grace = GRACE;
        self.life.unused_since = None;
        if pid <= 0 || self.life.users.contains(&pid) {
            return;
        }
        let Ok(fd) = unix::watch_process(pid) else { return };
        let number = self.reserve();
        if self.interest.add(&fd, libc::EPOLLIN, number).is_ok() {
            self.life.users.insert(pid);
            self.put(number, Item::Client(fd, pid), None);
        }
    }

    /// When [`Host::on_time`] wants to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let life = &self.life;
        let retries = life.retries.values().copied();
        let is_empty = self.is_empty();
        let look = (!is_empty).then_some(life.look_at);
        let end = life.unused_since.filter(|_| is_empty).map(|since| since + life.grace);
        // An orphan's last acknowledgement makes no event here.
        let orphans = (is_empty && end.is_none()).then(|| self.engine.now() + LOOK);
        let doors = self.gate.next_opening().into_iter().chain(self.strangers.deadline());
        retries.chain(doors).chain(look).chain(end).chain(orphans).min()
    }

    /// Does what is due.
    pub fn on_time(&mut self) {
        let now = self.engine.now();
        if self.gate.reopen(now, &self.interest) {
            panics::catch(|| self.hear_programs(true));
        }
        self.dismiss_strangers();
        if self.life.retries.values().any(|at| *at <= now) {
            self.again.extend(self.life.retries.extract_if(|_, at| *at <= now).map(|(number, _)| number));
            shrink::map(&mut self.life.retries);
        }
        if self.life.look_at <= now {
            self.life.look_at = now + LOOK;
            self.trim();
        }
    }

    /// While no data moves, the memory that it moved through, and what connections left, is the machine's again.
    fn trim(&mut self) {
        if self.slots.values().any(|slot| matches!(slot.item, Item::Bridge(_))) {
            return;
        }
        pool::trim();
        // What was given back counts as free, too: only what has been used since is worth the walk over all of it.
        let (used, spare) = self.life.trimmed;
        if used != self.next_slot || process::spare_memory().abs_diff(spare) > WORTHY {
            process::trim_memory();
            self.life.trimmed = (self.next_slot, process::spare_memory());
        }
    }

    /// Whether nobody has used the stack for long enough.
    pub fn is_over(&mut self) -> bool {
        let now = self.engine.now();
        // Who has not said yet what it asks may be an operator, and those use nothing.
        let is_used = self.slots.values().any(|slot| !matches!(slot.item, Item::Asker(_) | Item::Stranger(_)));
        if is_used || self.gate.holds() || self.engine.is_draining() {
            self.life.unused_since = None;
            return false;
        }
        let since = *self.life.unused_since.get_or_insert(now);
        since + self.life.grace <= now && self.is_empty()
    }

    /// Whether nobody is there but strangers.
    fn is_empty(&self) -> bool {
        self.slots.len() == self.strangers.len()
    }
}
