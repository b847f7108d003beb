//! Slots of a table in the order they came, any of which may leave at any time: each step takes the same time, however
//! many stand in line.

/// No slot.
const NONE: u32 = u32::MAX;

/// The two ends of a line.
#[derive(Copy, Clone, Debug)]
pub struct Line {
    first: u32,
    last: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { first: NONE, last: NONE }
    }
}

impl Line {
    /// Who has stood in it longest.
    pub fn first(self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Whether nobody stands in it.
    pub fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// Who stands before and behind whom, for any number of lines through the same table. A slot stands in one of them at
/// most; who wants it in two keeps two of these.
#[derive(Debug, Default)]
pub struct Links(Vec<Link>);

#[derive(Copy, Clone, Debug)]
struct Link {
    before: u32,
    behind: u32,
}

impl Links {
    /// A slot that stands in no line goes to the end of this one.
    pub fn push(&mut self, line: &mut Line, slot: u32) {
        let needed = slot as usize + 1;
        if self.0.len() < needed {
            self.0.resize(needed, Link { before: NONE, behind: NONE });
        }
        self.0[slot as usize] = Link { before: line.last, behind: NONE };
        match self.0.get_mut(line.last as usize) {
            Some(link) => link.behind = slot,
            None => line.first = slot,
        }
        line.last = slot;
    }

    /// A slot of this line leaves it.
    pub fn remove(&mut self, line: &mut Line, slot: u32) {
        let Link { before, behind } = self.0[slot as usize];
        match self.0.get_mut(before as usize) {
            Some(link) => link.behind = behind,
            None => line.first = behind,
        }
        match self.0.get_mut(behind as usize) {
            Some(link) => link.before = before,
            None => line.last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody, front to back, as both directions tell it.
    fn standing(links: &Links, line: Line) -> Vec<u32> {
        let walk = |from: u32, next: fn(&Link) -> u32| {
            std::iter::successors((from != NONE).then_some(from), move |slot| {
                Some(next(&links.0[*slot as usize])).filter(|slot| *slot != NONE)
            })
        };
        let forth: Vec<u32> = walk(line.first, |link| link.behind).collect();
        let mut back: Vec<u32> = walk(line.last, |link| link.before).collect();
        back.reverse();
        assert_eq!(forth, back);
        forth
    }

    #[test]
    fn who_leaves_closes_the_line_wherever_it_stood() {
        let (mut links, mut line) = (Links::default(), Line::default());
        assert!(line.is_empty() && line.first().is_none());
        [3, 0, 7, 5].into_iter().for_each(|slot| links.push(&mut line, slot));
        assert_eq!((standing(&links, line), line.first()), (vec![3, 0, 7, 5], Some(3)));
        links.remove(&mut line, 7);
        assert_eq!(standing(&links, line), [3, 0, 5]);
        links.remove(&mut line, 3);
        links.remove(&mut line, 5);
        assert_eq!(standing(&links, line), [0]);
        links.push(&mut line, 3);
        assert_eq!(standing(&links, line), [0, 3]);
        [0, 3].into_iter().for_each(|slot| links.remove(&mut line, slot));
        assert!(line.is_empty() && standing(&links, line).is_empty());
    }

    #[test]
    fn two_lines_through_one_table_do_not_touch() {
        let mut links = Links::default();
        let mut lines = [Line::default(); 2];
        (0..10).for_each(|slot| links.push(&mut lines[slot as usize % 2], slot));
        links.remove(&mut lines[0], 4);
        links.push(&mut lines[1], 4);
        assert_eq!(standing(&links, lines[0]), [0, 2, 6, 8]);
        assert_eq!(standing(&links, lines[1]), [1, 3, 5, 7, 9, 4]);
    }
}
