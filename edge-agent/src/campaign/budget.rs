//! What campaigns may spend: bytes in a UTC day of event time, by campaign and by set.
//!
//! A sample costs what it takes before compression: its value as the batch writes it and
//! [`TIME_BYTES`] for its time; what travels is less. With the set's cap in sight the low
//! priorities stop first, see [`Priority`](crate::spool::Priority).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::time::Timestamp;

use crate::map::RawValue;

/// Bytes of a sample's time.
const TIME_BYTES: u64 = 2;

/// What was spent in a day; kept in a file over a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Days since 1970-01-01 UTC.
    pub(crate) day: i64,
    /// All campaigns together, those of earlier sets of the day included.
    pub(crate) bytes: u64,
    /// By campaign.
    pub(crate) by_campaign: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Budget {
    day: i64,
    bytes: u64,
    by_campaign: Vec<u64>,
}

impl Budget {
    pub(super) fn resume(spent: &Spent, names: impl Iterator<Item = String>) -> Self {
        let by_campaign = names.map(|n| spent.by_campaign.get(&n).copied().unwrap_or(0)).collect();
        Self { day: spent.day, bytes: spent.bytes, by_campaign }
    }

    pub(super) fn spent(&self, names: impl Iterator<Item = String>) -> Spent {
        let by_campaign = names.zip(self.by_campaign.iter().copied()).collect();
        Spent { day: self.day, bytes: self.bytes, by_campaign }
    }

    /// Spends, if neither the campaign's cap nor the part of the set's it may use is passed.
    pub(super) fn spend(
        &mut self,
        now: Timestamp,
        campaign: usize,
        cost: u64,
        (own_max, set_max): (u64, u64),
    ) -> bool {
        let day = now.0.div_euclid(86_400_000_000);
        // A clock that jitters about midnight does not refill it; one that was a day wrong does.
        if day > self.day || day < self.day - 1 {
            self.day = day;
            self.bytes = 0;
            self.by_campaign.fill(0);
        }
        let Some(own) = self.by_campaign.get_mut(campaign) else { return false };
        if own.saturating_add(cost) > own_max || self.bytes.saturating_add(cost) > set_max {
            return false;
        }
        *own += cost;
        self.bytes += cost;
        true
    }
}

/// What a sample costs, after the column's last raw value.
pub(super) fn cost(value: RawValue, last: &mut i64) -> u64 {
    TIME_BYTES
        + match value {
            RawValue::Number(_) => 8,
            RawValue::Raw(raw) => {
                let delta = raw.wrapping_sub(std::mem::replace(last, raw));
                let zigzag = (delta << 1) ^ (delta >> 63);
                // A varint carries 7 bits a byte.
                u64::from((64 - (zigzag.cast_unsigned() | 1).leading_zeros()).div_ceil(7))
            }
        }
}
