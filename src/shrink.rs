//! Tables that give back what they grew by in a rush. To be called after removing: a table of which no eighth is used
//! keeps room for twice what it holds, so that each removal pays for a few moves at most.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash},
};

/// Entries that are never worth it.
const FLOOR: usize = 1024;

/// What to keep of room for `capacity` entries, of which `len` are used; none if it may stay.
const fn room(len: usize, capacity: usize) -> Option<usize> {
    if capacity > FLOOR && len < capacity / 8 { Some(2 * len) } else { None }
}

/// A hash table has fewer entries now.
pub fn map<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if let Some(room) = room(map.len(), map.capacity()) {
        map.shrink_to(room);
    }
}

/// A queue has fewer entries now.
pub fn queue<T>(queue: &mut VecDeque<T>) {
    if let Some(room) = room(queue.len(), queue.capacity()) {
        queue.shrink_to(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_emptied_table_keeps_little_and_loses_nothing() {
        let (mut table, mut line) = (HashMap::new(), VecDeque::new());
        for number in 0..100_000 {
            table.insert(number, number);
            line.push_back(number);
        }
        let mut moves = 0;
        for number in 0..99_990 {
            let before = (table.capacity(), line.capacity());
            table.remove(&number);
            map(&mut table);
            line.pop_front();
            queue(&mut line);
            // A hash table says less of its room while places that were used have not been cleaned.
            moves += u32::from(table.capacity() < before.0 / 2 || line.capacity() < before.1);
        }
        assert!(table.capacity() <= FLOOR && line.capacity() <= FLOOR, "{} {}", table.capacity(), line.capacity());
        assert!(moves < 20, "{moves}");
        assert!((99_990..100_000).eq(line) && (99_990..100_000).all(|number| table[&number] == number));
    }
}
