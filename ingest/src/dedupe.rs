//! Which sequences of a stream are accounted for: stored, quarantined, or told lost.

use std::collections::BTreeMap;

/// A set of sequences from 1: all up to a floor, and ranges above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SequenceSet {
    floor: u64,
    /// Start → end, inclusive, disjoint and not touching.
    above: BTreeMap<u64, u64>,
}

impl SequenceSet {
    /// Whether it has the sequence.
    pub fn contains(&self, sequence: u64) -> bool {
        sequence <= self.floor
            || self.above.range(..=sequence).next_back().is_some_and(|(_, &end)| sequence <= end)
    }

    /// Adds one.
    pub fn insert(&mut self, sequence: u64) {
        self.insert_range(sequence, sequence);
    }

    /// Adds an inclusive range.
    pub fn insert_range(&mut self, from: u64, to: u64) {
        let (mut from, mut to) = (from.max(1), to);
        if from > to || to <= self.floor {
            return;
        }
        // Swallow every range that overlaps or touches.
        while let Some((&start, &end)) = self.above.range(..=to.saturating_add(1)).next_back() {
            if end.saturating_add(1) < from {
                break;
            }
            from = from.min(start);
            to = to.max(end);
            self.above.remove(&start);
        }
        if from <= self.floor.saturating_add(1) {
            self.floor = to;
        } else {
            self.above.insert(from, to);
        }
    }

    /// Everything below `oldest` is accounted for: the vehicle will not send it.
    pub fn raise_oldest(&mut self, oldest: u64) {
        if oldest > 1 {
            self.insert_range(1, oldest - 1);
        }
    }

    /// The last sequence up to which nothing is missing; 0 when the first is.
    pub fn contiguous(&self) -> u64 {
        self.floor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn agrees_with_a_plain_set_under_many_orders() {
        // A fixed pseudo-random walk over ranges, checked against a set of numbers.
        let mut seed = 42_u64;
        let mut next = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % n
        };
        for _ in 0..500 {
            let (mut set, mut model) = (SequenceSet::default(), BTreeSet::new());
            for _ in 0..12 {
                let (from, len) = (1 + next(30), next(6));
                if next(5) == 0 {
                    set.raise_oldest(from);
                    model.extend(1..from);
                } else {
                    set.insert_range(from, from + len);
                    model.extend(from..=from + len);
                }
                for s in 1..45 {
                    assert_eq!(set.contains(s), model.contains(&s), "{s} in {set:?}");
                }
                let contiguous = (1..).take_while(|s| model.contains(s)).last().unwrap_or(0);
                assert_eq!(set.contiguous(), contiguous, "{set:?}");
            }
        }
    }
}
