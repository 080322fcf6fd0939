//! What came before: the latest samples of the signals that triggers may ask back, in order.
//!
//! Bounds: `ring_bytes_max` and the longest `before`; when full the oldest sample goes, which a
//! trigger that reaches further back finds out.

use std::collections::VecDeque;

use wire::time::Timestamp;

use crate::map::RawValue;

/// A sample that may be asked back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kept {
    pub(super) time: Timestamp,
    pub(super) message: u32,
    /// Of the vehicle's columns.
    pub(super) source: u32,
    pub(super) value: RawValue,
}

#[derive(Debug, Default)]
pub(super) struct Ring {
    kept: VecDeque<Kept>,
    /// The number of the oldest sample; samples are numbered from 0 as they come.
    first: u64,
    len_max: usize,
    /// The latest sample that went because the ring was full.
    lost_until: Option<Timestamp>,
}

impl Ring {
    pub(super) fn new(bytes_max: u64) -> Self {
        let len_max = usize::try_from(bytes_max).unwrap_or(usize::MAX) / size_of::<Kept>();
        Self { len_max, ..Self::default() }
    }

    /// Bytes it holds room for.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.kept.capacity() * size_of::<Kept>()
    }

    /// The number of the oldest sample.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Numbers go on from here; nothing is held yet.
    pub(super) fn begin_at(&mut self, first: u64) {
        self.first = first;
    }

    /// The number of the next sample.
    pub(super) fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// Adds a sample; those before `oldest` go.
    pub(super) fn push(&mut self, kept: Kept, oldest: Timestamp) {
        while self.kept.front().is_some_and(|k| k.time < oldest) {
            self.drop_first();
        }
        if self.kept.len() >= self.len_max
            && let Some(lost) = self.drop_first()
        {
            self.lost_until = Some(self.lost_until.map_or(lost.time, |t| t.max(lost.time)));
        }
        if self.len_max == 0 {
            self.lost_until = Some(kept.time);
            self.first += 1;
            return;
        }
        if self.kept.len() == self.kept.capacity() {
            // Doubling on its own would pass the bound.
            let more = self.kept.len().max(64).min(self.len_max - self.kept.len());
            self.kept.reserve_exact(more);
        }
        self.kept.push_back(kept);
    }

    fn drop_first(&mut self) -> Option<Kept> {
        let first = self.kept.pop_front()?;
        self.first += 1;
        Some(first)
    }

    /// The samples from number `from` on that are not before `oldest`.
    pub(super) fn since(&self, from: u64, oldest: Timestamp) -> impl Iterator<Item = Kept> {
        let skip = usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.kept.iter().skip(skip).filter(move |k| k.time >= oldest).copied()
    }

    /// Whether samples after `oldest` were lost for want of room.
    pub(super) fn is_short_of(&self, oldest: Timestamp) -> bool {
        self.lost_until.is_some_and(|lost| lost >= oldest)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.first = self.end();
        self.kept.clear();
        self.lost_until = None;
    }
}
