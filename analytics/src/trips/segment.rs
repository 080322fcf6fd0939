//! A trip in the making, and a trip made.

use service::clock::micros;
use wire::time::Timestamp;

use super::{
    Parameters,
    consumption::Consumption,
    distance::{DistanceSource, GnssTrack, Integral, OdometerTrack},
    event::DrivingEvent,
    harsh::Harsh,
    idling::Idling,
    levels::{Filled, Levels, StopStart},
    motion::Observation,
    reading::Fix,
};
use crate::row::Purpose;

/// The speed of the reading before a start counts into its first step only when so close: parked
/// vehicles report rarely, and half a minute of half the speed would be invented.
const LEAD_IN_US: i64 = 5_000_000;

/// Why a trip ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The ignition stayed off.
    IgnitionOff,
    /// The vehicle stood.
    Stationary,
    /// There were no readings for a while.
    Gap,
    /// Nothing was received for a while.
    Silence,
    /// People split it here.
    Split,
}

impl EndReason {
    /// As the `trips` table spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IgnitionOff => "ignition_off",
            Self::Stationary => "stationary",
            Self::Gap => "gap",
            Self::Silence => "silence",
            Self::Split => "split",
        }
    }
}

/// The figures of one trip.
#[derive(Debug, Clone, PartialEq)]
pub struct DerivedTrip {
    /// First reading in motion.
    pub start_time: Timestamp,
    /// Last reading of the trip.
    pub end_time: Timestamp,
    /// First known position.
    pub start_fix: Option<Fix>,
    /// Last known position.
    pub end_fix: Option<Fix>,
    /// The distance that counts.
    pub distance_m: i64,
    /// By which measure.
    pub distance_source: DistanceSource,
    /// Odometer at the start.
    pub odometer_start_km: Option<f64>,
    /// Odometer at the end.
    pub odometer_end_km: Option<f64>,
    /// Sum of plausible GNSS steps.
    pub gnss_distance_m: Option<i64>,
    /// Integral of speed.
    pub speed_distance_m: Option<i64>,
    /// `end_time - start_time`.
    pub duration_s: i64,
    /// Time in motion.
    pub moving_s: i64,
    /// Time in long stretches of engine on without motion.
    pub idle_s: i64,
    /// Highest plausible speed.
    pub speed_max_kmh: Option<f64>,
    /// Fuel used.
    pub fuel_used_l: Option<f64>,
    /// `counter`, `rate` or `level`.
    pub fuel_source: Option<&'static str>,
    /// Energy used.
    pub energy_used_kwh: Option<f64>,
    /// Readings in it.
    pub reading_count: i64,
    /// Jumps flagged and not summed.
    pub jump_count: i64,
    /// Why it ended.
    pub end_reason: EndReason,
    /// What happened in it, by start and kind.
    pub events: Vec<DrivingEvent>,
    /// What the stop after it starts from.
    pub rest: StopStart,
    /// What people marked it as.
    pub purpose: Option<Purpose>,
    /// Of how many trips people merged it; 1 for one as it was found.
    pub merged_count: i64,
}

/// Everything summed from the start of a trip to its latest reading.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    start_time: Timestamp,
    starts_with_ignition_on: Option<bool>,
    last: Observation,
    start_fix: Option<Fix>,
    end_fix: Option<Fix>,
    odometer: OdometerTrack,
    gnss: GnssTrack,
    speed: Integral,
    consumption: Consumption,
    speed_max_kmh: Option<f64>,
    moving_us: i64,
    moving_with_fix_us: i64,
    idling: Idling,
    harsh: Harsh,
    levels: Levels,
    filled: Filled,
    reading_count: i64,
    /// People cut it from another: however short, it is a trip.
    is_cut: bool,
}

impl Segment {
    /// Starts at `first`, the first reading in motion. Distances run from the reading before.
    pub(super) fn start(before: Option<&Observation>, first: &Observation, parameters: &Parameters) -> Self {
        let mut segment = Self {
            start_time: first.ts(),
            starts_with_ignition_on: first.ignition_on,
            last: *first,
            start_fix: None,
            end_fix: None,
            odometer: OdometerTrack::default(),
            gnss: GnssTrack::default(),
            speed: Integral::default(),
            consumption: Consumption::default(),
            speed_max_kmh: None,
            moving_us: 0,
            moving_with_fix_us: 0,
            idling: Idling::default(),
            harsh: Harsh::default(),
            levels: Levels::default(),
            filled: Filled::new(parameters),
            reading_count: 0,
            is_cut: false,
        };
        if let Some(before) = before {
            let ts = before.ts();
            segment.odometer.add(ts, before.reading.odometer_km, parameters.jump_speed_kmh);
            if let Some(fix) = before.reading.fix() {
                segment.gnss.add(ts, fix, true, parameters.jump_speed_kmh);
            }
            if let Some(kmh) = before.measured_kmh
                && first.ts().since_us(ts) <= LEAD_IN_US
            {
                segment.speed.seed(ts, kmh);
            }
        }
        segment.take(first, false, parameters);
        segment
    }

    /// Adds the next reading.
    pub(super) fn add(&mut self, next: &Observation, parameters: &Parameters) {
        let step_us = next.ts().since_us(self.last.ts());
        let was_moving = self.last.is_moving(parameters);
        if was_moving == Some(true) {
            self.moving_us += step_us;
            if self.last.reading.fix().is_some() && next.reading.fix().is_some() {
                self.moving_with_fix_us += step_us;
            }
        }
        if was_moving == Some(false) {
            self.filled.stood(self.last.ts(), next.ts());
        } else {
            self.filled.moved();
        }
        self.idling.add(&self.last, next, parameters);
        let is_standing = was_moving == Some(false) && next.is_moving(parameters) == Some(false);
        self.take(next, is_standing, parameters);
        self.last = *next;
    }

    /// It begins or ends where people cut.
    pub(super) fn cut(mut self) -> Self {
        self.is_cut = true;
        self
    }

    /// Its first reading.
    pub(super) fn start_time(&self) -> Timestamp {
        self.start_time
    }

    fn take(&mut self, next: &Observation, is_standing: bool, parameters: &Parameters) {
        let (ts, reading) = (next.ts(), &next.reading);
        self.reading_count += 1;
        self.odometer.add(ts, reading.odometer_km, parameters.jump_speed_kmh);
        if let Some(fix) = reading.fix() {
            self.gnss.add(ts, fix, is_standing, parameters.jump_speed_kmh);
            self.start_fix.get_or_insert(fix);
            self.end_fix = Some(fix);
        }
        self.speed.add(ts, next.measured_kmh);
        self.consumption.add(ts, reading);
        self.harsh.add(next, parameters);
        if let Some(level_pct) = self.levels.add(ts, reading) {
            self.filled.add(ts, level_pct);
        }
        if let Some(kmh) = next.speed_kmh {
            self.speed_max_kmh = Some(self.speed_max_kmh.map_or(kmh, |most| most.max(kmh)));
        }
    }

    /// Ignition of its first reading.
    pub(super) fn starts_with_ignition_on(&self) -> Option<bool> {
        self.starts_with_ignition_on
    }

    /// Its levels.
    pub(super) fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The trip as it stands; `None` when it is too short to be one.
    pub(super) fn finish(self, end_reason: EndReason, parameters: &Parameters) -> Option<DerivedTrip> {
        let end_time = self.last.ts();
        let duration_us = end_time.since_us(self.start_time);
        let gnss_m = self.gnss.distance_m();
        let speed_m = self.speed.total().map(|kmh_s| kmh_s / 3.6);
        let (distance_m, distance_source) = self.choose(gnss_m, speed_m, parameters);
        let is_short =
            whole(distance_m) < parameters.distance_min_m && duration_us < micros(parameters.duration_min);
        if (is_short && !self.is_cut) || duration_us == 0 {
            return None;
        }
        let fuel = self.consumption.fuel_used_l(parameters);
        let (idle_us, mut events) = self.idling.finish(parameters);
        events.extend(self.harsh.finish(parameters));
        events.extend(self.filled.finish(parameters));
        events.sort_by_key(|event| (event.start_time, event.kind));
        Some(DerivedTrip {
            start_time: self.start_time,
            end_time,
            start_fix: self.start_fix,
            end_fix: self.end_fix,
            distance_m: whole(distance_m),
            distance_source,
            odometer_start_km: self.odometer.start_km(),
            odometer_end_km: self.odometer.end_km(),
            gnss_distance_m: gnss_m.map(whole),
            speed_distance_m: speed_m.map(whole),
            duration_s: whole_seconds(duration_us),
            moving_s: whole_seconds(self.moving_us),
            idle_s: whole_seconds(idle_us),
            speed_max_kmh: self.speed_max_kmh,
            fuel_used_l: fuel.map(|f| f.0),
            fuel_source: fuel.map(|f| f.1),
            energy_used_kwh: self.consumption.energy_used_kwh(),
            reading_count: self.reading_count,
            jump_count: self.gnss.jump_count,
            end_reason,
            events,
            rest: self.levels.rest(end_time, self.end_fix),
            purpose: None,
            merged_count: 1,
        })
    }

    /// A fine odometer, else GNSS where it saw nearly all of the way, else speed, else what is left.
    #[allow(clippy::cast_precision_loss, reason = "microseconds within a trip fit a double")]
    fn choose(
        &self,
        gnss_m: Option<f64>,
        speed_m: Option<f64>,
        parameters: &Parameters,
    ) -> (f64, DistanceSource) {
        if let Some(metres) = self.odometer.measured_m(self.start_time, self.last.ts(), parameters) {
            return (metres, DistanceSource::Odometer);
        }
        let sees_enough = self.moving_with_fix_us as f64 >= self.moving_us as f64 * parameters.fix_share_min;
        match (gnss_m, speed_m) {
            (Some(metres), _) if sees_enough => (metres, DistanceSource::Gnss),
            (_, Some(metres)) => (metres, DistanceSource::Speed),
            (Some(metres), None) => (metres, DistanceSource::Gnss),
            (None, None) => (0.0, DistanceSource::Speed),
        }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "a float saturates, and no trip is that long")]
pub(super) fn whole(metres: f64) -> i64 {
    metres.round() as i64
}

/// Half up, as nothing here is negative.
pub(super) fn whole_seconds(us: i64) -> i64 {
    (us + 500_000).div_euclid(1_000_000)
}
