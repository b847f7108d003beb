//! Who drives. At any time at most one thread leads: it sleeps on the device and processes for all. The lead stays with
//! a thread that has left the library, for it will be back in a moment; if it is not, the helper takes over.

use super::park::Place;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct State {
    /// Who has the lead.
    holder: Option<&'static Place>,
    /// The holder is inside the library and looks after the device.
    inside: bool,
    /// Changes whenever the lead is taken, left or given: how the helper sees that somebody drives.
    turns: u64,
    /// The helper sleeps without a limit and wants to be woken when the holder leaves.
    helper_sleeps: bool,
    /// The holder never leaves: it does nothing but drive, and what is driven for.
    resides: bool,
}

pub(super) struct Lead {
    state: Mutex<State>,
    helper: &'static Place,
    /// Sockets that are waited for outside the library: then the helper drives whenever nobody is inside.
    relied_on: AtomicUsize,
}

/// What the helper finds when it looks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Watch {
    /// Somebody drove since the last look.
    Driven,
    /// Somebody is inside, and has been for all the time since the last look.
    Inside,
    /// Nobody is inside, nor was since the last look.
    Nobody,
}

impl Lead {
    pub(super) fn new(helper: &'static Place) -> Self {
        Self { state: Mutex::default(), helper, relied_on: AtomicUsize::new(0) }
    }

    /// Takes the lead if it is free, mine, or the helper's. False: another thread has it; park.
    pub(super) fn take(&self, me: &'static Place) -> bool {
        let mut state = self.state.lock();
        let displaced = match state.holder {
            Some(holder) if holder.is(me) => false,
            Some(holder) if holder.is(self.helper) && state.inside => true,
            Some(_) => return false,
            None => false,
        };
        state.holder = Some(me);
        state.inside = true;
        state.turns += 1;
        drop(state);
        if displaced {
            self.helper.wake();
        }
        true
    }

    /// The thread goes out of the library, keeping the lead for when it is back; unless the helper is relied on, which
    /// takes over at once then.
    pub(super) fn leave(&self, me: &'static Place) {
        if !self.is_relied_on() {
            self.hand(me, Some(me));
        } else if self.hand(me, None) {
            self.helper.wake();
        }
    }

    /// Takes the lead to keep it, wherever the thread is. False if another thread has it.
    pub(super) fn reside(&self, me: &'static Place) -> bool {
        let taken = self.take(me);
        self.state.lock().resides |= taken;
        taken
    }

    /// Ends [`Lead::reside`].
    pub(super) fn move_out(&self, me: &'static Place) {
        self.state.lock().resides = false;
        self.abandon(me);
    }

    /// One socket more, or less, is waited for outside the library.
    pub(super) fn rely_on_helper(&self, more: bool) {
        match more {
            true => self.relied_on.fetch_add(1, Ordering::SeqCst),
            false => self.relied_on.fetch_sub(1, Ordering::SeqCst),
        };
        self.helper.wake();
    }

    fn is_relied_on(&self) -> bool {
        self.relied_on.load(Ordering::SeqCst) > 0
    }

    /// Gives the lead to a thread that is about to be woken. True if it was mine to give.
    pub(super) fn give(&self, me: &'static Place, to: &'static Place) -> bool {
        self.hand(me, Some(to))
    }

    /// Lets go of the lead for good: the thread ends.
    pub(super) fn abandon(&self, me: &'static Place) {
        self.hand(me, None);
    }

    fn hand(&self, me: &'static Place, to: Option<&'static Place>) -> bool {
        let mut state = self.state.lock();
        if state.resides || !state.holder.is_some_and(|holder| holder.is(me)) {
            return false;
        }
        state.holder = to;
        state.inside = false;
        state.turns += 1;
        let wake = std::mem::take(&mut state.helper_sleeps);
        drop(state);
        if wake {
            self.helper.wake();
        }
        true
    }

    /// Whether the lead is `me`'s: it may have been given away, or taken from the helper.
    pub(super) fn is_held_by(&self, me: &'static Place) -> bool {
        self.state.lock().holder.is_some_and(|holder| holder.is(me))
    }

    /// Whether somebody looks after the device just now.
    pub(super) fn is_inside(&self) -> bool {
        self.state.lock().inside
    }

    /// Wakes the leader if it is inside, for it may have to look again.
    pub(super) fn rouse(&self) {
        let state = self.state.lock();
        if let (Some(holder), true) = (state.holder, state.inside) {
            holder.wake();
        }
    }

    /// The helper looks; `seen` is what it remembers of the last look.
    pub(super) fn look(&self, seen: &mut u64) -> Watch {
        let state = self.state.lock();
        if state.holder.is_none() && self.is_relied_on() {
            return Watch::Nobody;
        }
        if state.turns != *seen {
            *seen = state.turns;
            return Watch::Driven;
        }
        if state.inside { Watch::Inside } else { Watch::Nobody }
    }

    /// The helper goes to sleep until the leader leaves; false when there is no leader inside.
    pub(super) fn let_helper_sleep(&self) -> bool {
        let mut state = self.state.lock();
        state.helper_sleeps = state.inside;
        state.inside
    }

    /// The helper takes over from a thread that stays away. False if somebody came in meanwhile.
    pub(super) fn take_over(&self) -> bool {
        let mut state = self.state.lock();
        if state.inside {
            return false;
        }
        state.holder = Some(self.helper);
        state.inside = true;
        state.turns += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lead_stays_with_who_left_and_the_helper_takes_it_only_when_nobody_is_inside() {
        let (helper, a, b) = (Place::new(), Place::new(), Place::new());
        let lead = Lead::new(helper);
        assert!(lead.take(a));
        assert!(!lead.take(b) && !lead.take_over());
        lead.leave(a);
        assert!(!lead.take(b), "a will be back");
        assert!(lead.take_over());
        assert!(lead.take(b), "the helper gives way");
        assert!(helper.is_notified() && !lead.take(helper));
        assert!(lead.is_held_by(b) && !lead.is_held_by(helper));
        assert!(lead.give(b, a) && lead.take(a));
    }

    #[test]
    fn who_resides_keeps_the_lead_until_it_moves_out() {
        let (helper, a, b) = (Place::new(), Place::new(), Place::new());
        let lead = Lead::new(helper);
        assert!(lead.reside(a) && !lead.reside(b));
        lead.leave(a);
        assert!(!lead.give(a, b) && !lead.take_over() && !lead.take(b));
        assert!(lead.is_held_by(a) && lead.is_inside());
        lead.move_out(a);
        assert!(!lead.is_inside() && lead.take(b));
    }

    #[test]
    fn the_helper_tells_driving_from_sitting_inside_from_nobody() {
        let (helper, a) = (Place::new(), Place::new());
        let lead = Lead::new(helper);
        let mut seen = 0;
        lead.take(a);
        assert_eq!(lead.look(&mut seen), Watch::Driven);
        assert_eq!(lead.look(&mut seen), Watch::Inside);
        assert!(lead.let_helper_sleep());
        lead.leave(a);
        assert!(helper.is_notified());
        assert_eq!(lead.look(&mut seen), Watch::Driven);
        assert_eq!(lead.look(&mut seen), Watch::Nobody);
    }
}
