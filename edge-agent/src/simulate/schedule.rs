//! Chance, and what it decides: when a vehicle drives, where it stops and for how long.

/// A small generator of random numbers (splitmix64): the same everywhere, for ever.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Self(seed ^ 0x9E37_79B9_7F4A_7C15);
        // Neighbouring seeds part ways.
        chance.next();
        chance
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Evenly in `[low, high)`.
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit a double")]
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        low + (high - low) * share
    }

    /// True with this probability.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.between(0.0, 1.0) < probability
    }

    /// About normal, with deviation 1: the sum of twelve even numbers.
    pub(super) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f64>() - 6.0
    }
}

/// A stop on the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stop {
    /// Metres from the start.
    pub(super) at_m: f64,
    /// How long.
    pub(super) dwell_s: f64,
    /// How hard it brakes for it.
    pub(super) braking_mps2: f64,
}

/// Stops of one drive: traffic lights in town every kilometre or so, few outside.
pub(super) fn stops(chance: &mut Chance, length_m: f64, limit_kmh: impl Fn(f64) -> f64) -> Vec<Stop> {
    let mut stops = Vec::new();
    let mut at_m = chance.between(150.0, 900.0);
    while at_m < length_m - 120.0 {
        if chance.happens(if limit_kmh(at_m) <= 60.0 { 0.6 } else { 0.1 }) {
            let is_long = chance.happens(0.03);
            let dwell_s = if is_long { chance.between(210.0, 270.0) } else { chance.between(4.0, 55.0) };
            let braking_mps2 = if chance.happens(0.04) { 5.2 } else { chance.between(1.1, 2.2) };
            stops.push(Stop { at_m, dwell_s, braking_mps2 });
        }
        at_m += chance.between(350.0, 1300.0);
    }
    stops
}

/// How long the first parking takes.
pub(super) fn first_parking_s(chance: &mut Chance) -> f64 {
    chance.between(5.0, 120.0)
}

/// How long a parking between two drives takes: a delivery round, so most of a fleet moves.
pub(super) fn parking_s(chance: &mut Chance) -> f64 {
    chance.between(300.0, 900.0)
}
