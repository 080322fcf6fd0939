//! Chance by a seed.

use std::time::Duration;

/// A generator of its own for each vehicle (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64, vehicle: u64) -> Self {
        let mut chance = Self(seed ^ vehicle.wrapping_mul(0xD1B5_4A32_D192_ED03));
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Above 0, at most 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits")]
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// A time up to `most`, each as likely.
    pub(super) fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.share())
    }

    /// The time to the next arrival of a Poisson process of this mean: exponentially distributed.
    pub(super) fn until_next(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-self.share().ln())
    }

    /// One of so many.
    pub(super) fn one_of(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % (count.max(1) as u64)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_are_those_of_a_poisson_process() {
        let (mut chance, mean) = (Chance::new(1, 7), Duration::from_secs(10));
        let times: Vec<f64> = (0..100_000).map(|_| chance.until_next(mean).as_secs_f64()).collect();
        let average = times.iter().sum::<f64>() / 1e5;
        assert!((average - 10.0).abs() < 0.15, "{average}");
        // Of an exponential distribution 63.2 % are below the mean, and its deviation is the mean.
        let below = times.iter().filter(|t| **t < 10.0).count();
        assert!((62_700..63_700).contains(&below), "{below}");
        let deviation = (times.iter().map(|t| (t - average).powi(2)).sum::<f64>() / 1e5).sqrt();
        assert!((deviation - 10.0).abs() < 0.3, "{deviation}");
    }

    #[test]
    fn vehicles_of_one_seed_have_each_their_own_chance_and_the_same_again() {
        let of = |seed, vehicle| Chance::new(seed, vehicle).until_next(Duration::from_secs(1));
        assert_eq!(of(1, 2), of(1, 2));
        assert!(of(1, 2) != of(1, 3) && of(1, 2) != of(2, 2));
    }
}
