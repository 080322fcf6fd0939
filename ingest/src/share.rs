//! Which shards an instance owns, and under which name it commits them.

use wire::{
    ids::SHARD_COUNT,
    topics::{self, Channel},
};

/// Instance `instance` of `instances`: it owns the shards with `shard % instances == instance`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    instance: u32,
    instances: u32,
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-of-{}", self.instance, self.instances)
    }
}

impl Share {
    /// `None` unless `instance` is below `instances`, and these are no more than there are shards.
    pub fn new(instance: u32, instances: u32) -> Option<Self> {
        (instance < instances && instances <= SHARD_COUNT).then_some(Self { instance, instances })
    }

    /// Its shards in so many parts, or in as many as there can be: each shard is in one.
    pub fn parts(self, count: u32) -> Vec<Self> {
        let count = count.clamp(1, SHARD_COUNT / self.instances);
        (0..count)
            .map(|part| Self {
                instance: self.instance + self.instances * part,
                instances: self.instances * count,
            })
            .collect()
    }

    /// Which of [`Share::parts`] so many a shard of it is in.
    pub fn part_of(self, shard: u32, count: usize) -> usize {
        usize::try_from(shard / self.instances).unwrap_or(0) % count.max(1)
    }

    /// The name its commits carry in the lake.
    pub fn app_id(self) -> String {
        format!("ingest/{self}")
    }

    /// The share of such a name.
    pub fn of_app_id(app_id: &str) -> Option<Self> {
        let (instance, instances) = app_id.strip_prefix("ingest/")?.split_once("-of-")?;
        Self::new(instance.parse().ok()?, instances.parse().ok()?)
    }

    /// Whether a shard is in both.
    pub fn overlaps(self, other: Self) -> bool {
        (0..SHARD_COUNT).any(|shard| self.has(shard) && other.has(shard))
    }

    /// Whether it is the first of its division, which does what is to be done once.
    pub fn is_first(self) -> bool {
        self.instance == 0
    }

    /// The topic filters of a channel of its shards.
    pub fn filters(self, channel: Channel) -> Vec<String> {
        topics::filters(channel, self.instance, self.instances)
    }

    fn has(self, shard: u32) -> bool {
        shard % self.instances == self.instance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(instance: u32, instances: u32) -> Share {
        Share::new(instance, instances).unwrap()
    }

    #[test]
    fn shares_of_one_division_are_apart_and_of_two_divisions_mostly_not() {
        assert!(!share(0, 2).overlaps(share(1, 2)));
        assert!(share(0, 2).overlaps(share(0, 3)));
        assert!(share(1, 2).overlaps(share(0, 3)));
        assert!(share(0, 1).overlaps(share(255, 256)));
        // 1 of 4 has odd shards only.
        assert!(!share(0, 2).overlaps(share(1, 4)));
        assert!(share(0, 2).overlaps(share(2, 4)));
    }

    #[test]
    fn every_shard_of_a_share_is_in_one_of_its_parts() {
        for (whole, count) in [(share(0, 1), 1), (share(0, 1), 4), (share(2, 3), 8), (share(7, 100), 8)] {
            let parts = whole.parts(count);
            for shard in 0..SHARD_COUNT {
                let of: Vec<usize> = (0..parts.len()).filter(|part| parts[*part].has(shard)).collect();
                let expected = whole.has(shard).then(|| whole.part_of(shard, parts.len()));
                assert_eq!(of, expected.into_iter().collect::<Vec<_>>(), "{whole}, {count}, {shard}");
            }
        }
        // As many as there can be: no part is without shards.
        assert_eq!(share(7, 100).parts(8).len(), 2);
    }

    #[test]
    fn a_share_is_known_again_by_its_name() {
        assert_eq!(Share::of_app_id(&share(1, 3).app_id()), Some(share(1, 3)));
        for other in ["import/1-of-3", "ingest/3-of-3", "ingest/0-of-257", "ingest/x", "analytics/trips"] {
            assert_eq!(Share::of_app_id(other), None, "{other}");
        }
    }
}
