//! How many requests a key may send: a bucket of tokens each, filled at a rate. Over it a request
//! is *shed*, with the time until the next token.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

/// A burst is so many seconds' worth.
const BURST_S: i64 = 2;
/// Keys remembered; full buckets are forgotten first, which changes nothing.
const BUCKETS_MAX: usize = 10_000;

/// The buckets, by who asks.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second_max: i64,
    buckets: Mutex<HashMap<String, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Millionths of a request: what a rate of one a second fills in a microsecond.
    left: i64,
    filled_us: i64,
}

impl Rates {
    /// So many a second; 0 for no limit.
    pub(crate) fn new(per_second_max: u32) -> Self {
        Self { per_second_max: i64::from(per_second_max), buckets: Mutex::default() }
    }

    /// Takes one, or says after how many seconds to come back.
    pub(crate) fn take(&self, who: &str, now_us: i64) -> Result<(), i64> {
        if self.per_second_max == 0 {
            return Ok(());
        }
        let full = self.per_second_max * BURST_S * 1_000_000;
        let filled = |bucket: Bucket| {
            let elapsed_us = (now_us - bucket.filled_us).clamp(0, BURST_S * 1_000_000);
            Bucket { left: (bucket.left + elapsed_us * self.per_second_max).min(full), filled_us: now_us }
        };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(who) {
            buckets.retain(|_, bucket| filled(*bucket).left < full);
        }
        let bucket = buckets.entry(who.to_owned()).or_insert(Bucket { left: full, filled_us: now_us });
        *bucket = filled(*bucket);
        if bucket.left >= 1_000_000 {
            bucket.left -= 1_000_000;
            return Ok(());
        }
        let wait_us = (1_000_000 - bucket.left).div_euclid(self.per_second_max) + 1;
        Err(wait_us.div_euclid(1_000_000) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_and_each_by_themselves() {
        let rates = Rates::new(5);
        let taken = |who: &str, now_us: i64| (0..100).filter(|_| rates.take(who, now_us).is_ok()).count();
        assert_eq!(taken("a", 0), 10);
        assert_eq!(rates.take("a", 0), Err(1));
        assert_eq!(taken("b", 0), 10, "another key has its own");
        assert_eq!(taken("a", 1_000_000), 5);
        assert_eq!(taken("a", 100_000_000), 10, "no more than a burst is saved");
        assert!((0..1000).all(|_| Rates::new(0).take("a", 0).is_ok()));
    }
}
