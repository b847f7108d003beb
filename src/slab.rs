//! Values in numbered slots; a slot that was left is used again.

/// The slots.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts a value into a slot: its number.
    pub fn insert(&mut self, value: T) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(value);
                slot
            }
            None => {
                self.slots.push(Some(value));
                // Each costs memory, of which there is less than 2^32 times that.
                self.slots.len() as u32 - 1
            }
        }
    }

    /// What is in a slot.
    pub fn lookup(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// The same, to be changed.
    pub fn lookup_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    /// Takes what is in a slot, which may be used again.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    /// Whether it holds no memory for slots, used or left.
    #[cfg(test)]
    pub fn is_clean(&self) -> bool {
        self.slots.is_empty() && self.free.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_was_left_is_used_again_and_never_twice() {
        let mut slab = Slab::default();
        assert_eq!((slab.insert('a'), slab.insert('b'), slab.lookup(1), slab.lookup(2)), (0, 1, Some(&'b'), None));
        assert_eq!((slab.remove(0), slab.remove(0), slab.remove(9)), (Some('a'), None, None));
        assert_eq!((slab.insert('c'), slab.insert('d')), (0, 2));
        *slab.lookup_mut(2).unwrap() = 'e';
        assert_eq!((slab.lookup(0), slab.lookup(2), slab.is_clean()), (Some(&'c'), Some(&'e'), false));
        assert!(Slab::<char>::default().is_clean());
    }
}
