//! The datagrams that wait for fragments: found by what their fragments have in common, by their age, and by the age of
//! those of one source. Each step takes the same time however many wait, and whatever keys a sender chooses: hashes are
//! keyed.

use super::{
    Datagram,
    partial::{DATAGRAM, Partial},
};
use crate::{
    line::{Line, Links},
    rng, shrink,
    slab::Slab,
    time::Instant,
};
use std::{collections::HashMap, net::IpAddr};

struct Slot {
    datagram: Datagram,
    partial: Partial,
}

/// What one source has waiting.
#[derive(Default)]
struct Source {
    /// Bytes charged.
    used: usize,
    line: Line,
}

/// All of them. Their time is equally long, so that who came first is over first.
pub struct Waiting {
    slots: Slab<Slot>,
    by_datagram: HashMap<Datagram, u32, rng::Key>,
    by_source: HashMap<IpAddr, Source, rng::Key>,
    line: Line,
    /// In the line of all, and in that of their source.
    links: Links,
    source_links: Links,
    total: usize,
    /// Slots that were looked at.
    #[cfg(test)]
    pub work: usize,
}

impl Waiting {
    /// Nobody waits.
    pub fn new(key: rng::Key) -> Self {
        Self {
            slots: Slab::default(),
            by_datagram: HashMap::with_hasher(key),
            by_source: HashMap::with_hasher(key),
            line: Line::default(),
            links: Links::default(),
            source_links: Links::default(),
            total: 0,
            #[cfg(test)]
            work: 0,
        }
    }

    /// Bytes charged for all of them.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Bytes charged for those of one source.
    pub fn used_by(&self, source: IpAddr) -> usize {
        self.by_source.get(&source).map_or(0, |source| source.used)
    }

    /// Whether nothing waits, and nothing is left of what did.
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        let tables = self.by_datagram.len() + self.by_source.len();
        tables + self.total == 0 && self.slots.is_clean() && self.line.is_empty()
    }

    fn look(&mut self) {
        #[cfg(test)]
        {
            self.work += 1;
        }
    }

    /// The place of a datagram; makes one, which ends at `until`, if it was not seen before.
    pub fn place(&mut self, datagram: Datagram, until: Instant) -> u32 {
        self.look();
        if let Some(&slot) = self.by_datagram.get(&datagram) {
            return slot;
        }
        let slot = self.slots.insert(Slot { datagram, partial: Partial::new(until) });
        self.by_datagram.insert(datagram, slot);
        let source = self.by_source.entry(datagram.src).or_default();
        source.used += DATAGRAM;
        self.total += DATAGRAM;
        self.source_links.push(&mut source.line, slot);
        self.links.push(&mut self.line, slot);
        slot
    }

    /// Does something to the datagram at `slot`, and charges for what it holds then.
    pub fn with<R>(&mut self, slot: u32, act: impl FnOnce(&mut Partial) -> R) -> Option<R> {
        let Slot { datagram, partial } = self.slots.lookup_mut(slot)?;
        let before = partial.footprint();
        let result = act(partial);
        let after = partial.footprint();
        self.total = self.total - before + after;
        if let Some(source) = self.by_source.get_mut(&datagram.src) {
            source.used = source.used - before + after;
        }
        Some(result)
    }

    /// Takes the datagram at `slot` out.
    pub fn remove(&mut self, slot: u32) -> Option<(Datagram, Partial)> {
        self.look();
        let Slot { datagram, partial } = self.slots.remove(slot)?;
        self.by_datagram.remove(&datagram);
        self.links.remove(&mut self.line, slot);
        self.total -= partial.footprint();
        if let Some(source) = self.by_source.get_mut(&datagram.src) {
            source.used -= partial.footprint();
            self.source_links.remove(&mut source.line, slot);
            if source.line.is_empty() {
                self.by_source.remove(&datagram.src);
            }
        }
        shrink::map(&mut self.by_datagram);
        shrink::map(&mut self.by_source);
        if self.line.is_empty() {
            // What the tables grew to is given back when the rush is over.
            self.slots = Slab::default();
            (self.links, self.source_links) = (Links::default(), Links::default());
        }
        Some((datagram, partial))
    }

    /// The place of the oldest datagram of `source`.
    pub fn oldest_of(&self, source: IpAddr) -> Option<u32> {
        self.by_source.get(&source)?.line.first()
    }

    /// The place of the oldest of all, and when its time is over.
    pub fn oldest(&self) -> Option<(u32, Instant)> {
        let slot = self.line.first()?;
        Some((slot, self.slots.lookup(slot)?.partial.until))
    }
}
