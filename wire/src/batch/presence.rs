//! Which rows of a column have a sample.

use std::ops::Range;

/// Which rows of a column have a sample: runs of rows with one and rows without, in turn.
///
/// Most columns have one in every row, which takes no memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    rows: usize,
    /// Alternately present and absent, present first; none but the first is 0, and it is empty when
    /// every row is present. So equal presences are equal.
    runs: Vec<u32>,
}

impl Presence {
    /// Every one of so many rows.
    pub fn all(rows: usize) -> Self {
        Self { rows, runs: Vec::new() }
    }

    /// From the runs of a message; `None` when they do not add up to `rows`.
    pub(super) fn from_runs(mut runs: Vec<u32>, rows: usize) -> Option<Self> {
        if runs.is_empty() {
            return Some(Self::all(rows));
        }
        let total = runs.iter().try_fold(0_usize, |sum, &run| sum.checked_add(run as usize))?;
        if total != rows {
            return None;
        }
        if runs.iter().skip(1).any(|&run| run == 0) {
            let mut plain: Vec<u32> = Vec::with_capacity(runs.len());
            for (i, &run) in runs.iter().enumerate().filter(|(i, run)| *i == 0 || **run > 0) {
                let is_next = i % 2 == plain.len() % 2;
                match plain.last_mut() {
                    // The run before is of the same kind: what lay between was empty.
                    Some(last) if !is_next => *last += run,
                    _ => plain.push(run),
                }
            }
            runs = plain;
        }
        if runs.len() == 1 {
            runs.clear();
        }
        Some(Self { rows, runs })
    }

    /// Alternately present and absent, present first; empty when all are present.
    pub(super) fn runs(&self) -> &[u32] {
        &self.runs
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many of them have a sample.
    pub fn count(&self) -> usize {
        if self.runs.is_empty() {
            return self.rows;
        }
        self.runs.iter().step_by(2).map(|&run| run as usize).sum()
    }

    /// Whether every row has a sample.
    pub fn is_all(&self) -> bool {
        self.runs.is_empty()
    }

    /// The rows that have one, as ranges in rising order, none of them empty.
    pub fn spans(&self) -> impl Iterator<Item = Range<usize>> + Clone + use<'_> {
        let whole = (self.runs.is_empty() && self.rows > 0).then_some(0..self.rows);
        let mut end = 0;
        let parts = self.runs.iter().enumerate().filter_map(move |(i, &run)| {
            let start = end;
            end += run as usize;
            (i % 2 == 0 && run > 0).then_some(start..end)
        });
        whole.into_iter().chain(parts)
    }

    /// The rows that have one, in rising order: one for each of the column's values.
    pub fn present_rows(&self) -> impl Iterator<Item = usize> + Clone + use<'_> {
        self.spans().flatten()
    }
}

/// One `bool` a row.
impl FromIterator<bool> for Presence {
    fn from_iter<I: IntoIterator<Item = bool>>(present: I) -> Self {
        let (mut rows, mut runs, mut current) = (0, vec![0_u32], true);
        for is_present in present {
            rows += 1;
            if is_present != current {
                runs.push(0);
                current = is_present;
            }
            if let Some(run) = runs.last_mut() {
                *run += 1;
            }
        }
        if runs.len() == 1 {
            runs.clear();
        }
        Self { rows, runs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_presence_is_what_its_rows_are(present: Vec<bool>) {
            let presence: Presence = present.iter().copied().collect();
            prop_assert_eq!(presence.rows(), present.len());
            prop_assert_eq!(presence.count(), present.iter().filter(|is| **is).count());
            prop_assert_eq!(presence.is_all(), present.iter().all(|is| *is));
            let rows: Vec<usize> = (0..present.len()).filter(|&row| present[row]).collect();
            prop_assert_eq!(presence.present_rows().collect::<Vec<_>>(), rows);
            prop_assert_eq!(Presence::from_runs(presence.runs().to_vec(), present.len()), Some(presence));
        }

        /// Whoever writes runs of no rows means the same.
        #[test]
        fn any_runs_are_the_presence_they_spell(runs in prop::collection::vec(0_u32..4, 1..12)) {
            let rows = runs.iter().sum::<u32>() as usize;
            let spelt = runs.iter().enumerate().flat_map(|(i, &run)| (0..run).map(move |_| i % 2 == 0));
            prop_assert_eq!(Presence::from_runs(runs.clone(), rows), Some(spelt.collect()));
            prop_assert_eq!(Presence::from_runs(runs, rows + 1), None);
        }
    }

    #[test]
    fn runs_beyond_all_numbers_are_none() {
        assert_eq!(Presence::from_runs(vec![u32::MAX, u32::MAX], 3), None);
        assert_eq!(Presence::all(0), [].into_iter().collect());
    }
}
