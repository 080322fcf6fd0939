//! What people said of a vehicle's trips, as part of their derivation: where one ends that the algorithm saw go
//! on, where one goes on that it saw end, and what one was for.
//!
//! A correction speaks of time, never of a trip by its id: so it holds whatever late data makes of the trips
//! around it. A split is a cut, which the state machine ends a trip at. A merge is a joint: two trips are one if
//! the stop between them touches it. A mark is of the trip that it covers by half or more.

use wire::time::Timestamp;

use super::{
    Derivation, DerivedStop, DerivedTrip, DistanceSource, EndReason, Parameters,
    derive::{EndedNow, OpenTrip},
    distance::{haversine_m, seconds},
    segment::{whole, whole_seconds},
};
use crate::row::Purpose;

/// One thing that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The stop between these two is none.
    Merge {
        /// Its start.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// A trip ends with the last reading up to here, and another begins with it.
    Split {
        /// The moment.
        at: Timestamp,
    },
    /// The trip in this time was for something.
    Mark {
        /// Its start.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
        /// What for; `None` takes back what was said before.
        purpose: Option<Purpose>,
    },
}

/// All that holds of one vehicle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Corrections {
    cuts: Vec<Timestamp>,
    joints: Vec<(Timestamp, Timestamp)>,
    marks: Vec<(Timestamp, Timestamp, Option<Purpose>)>,
}

impl Corrections {
    /// In the order in which they were said: of a cut and a joint of the same time the later holds.
    pub fn of(said: impl IntoIterator<Item = Said>) -> Self {
        let mut all = Self::default();
        for said in said {
            match said {
                Said::Merge { from, to } => {
                    all.cuts.retain(|cut| !(from..=to).contains(cut));
                    all.joints.push((from, to));
                }
                Said::Split { at } => {
                    let count = all.joints.len();
                    all.joints.retain(|(from, to)| !(*from..=*to).contains(&at));
                    // A joint that is undone leaves what the algorithm found, which is split there.
                    if all.joints.len() == count {
                        all.cuts.push(at);
                    }
                }
                Said::Mark { from, to, purpose } => all.marks.push((from, to, purpose)),
            }
        }
        all.cuts.sort_unstable();
        all
    }

    /// Whether a trip that is under way ends between two readings.
    pub(super) fn cuts_between(&self, last: Timestamp, next: Timestamp) -> bool {
        let at = self.cuts.partition_point(|cut| *cut < last);
        self.cuts.get(at).is_some_and(|cut| *cut < next)
    }

    /// Whether what starts then is cut from the trip that ended before: from one that stood, or was under way, in
    /// which case the same reading ends the one and starts the other.
    pub(super) fn cuts_from(&self, end: Timestamp, start: Timestamp) -> bool {
        let at = self.cuts.partition_point(|cut| *cut < end);
        self.cuts.get(at).is_some_and(|cut| *cut <= start || start == end)
    }

    /// Whether the time between two trips is no stop.
    pub(crate) fn joins(&self, end: Timestamp, next_start: Timestamp) -> bool {
        self.joints.iter().any(|(from, to)| *from <= next_start && *to >= end)
    }

    /// When a private trip was, as it was marked.
    pub(crate) fn private(&self) -> Vec<(Timestamp, Timestamp)> {
        let is_private =
            |(from, to): (Timestamp, Timestamp)| self.purpose_of(from, to) == Some(Purpose::Private);
        let mut found: Vec<_> =
            self.marks.iter().map(|(from, to, _)| (*from, *to)).filter(|m| is_private(*m)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// What a trip was for: the last that was said of half of its time or more.
    fn purpose_of(&self, start: Timestamp, end: Timestamp) -> Option<Purpose> {
        let covers = |(from, to, _): &&(Timestamp, Timestamp, Option<Purpose>)| {
            end.min(*to).since_us(start.max(*from)) * 2 >= end.since_us(start)
        };
        self.marks.iter().rev().find(covers).and_then(|(_, _, purpose)| *purpose)
    }

    /// Makes one of trips that are, and says what trips were for.
    pub(crate) fn apply(&self, mut found: Derivation, parameters: &Parameters) -> Derivation {
        if *self == Self::default() {
            return found;
        }
        let mut trips: Vec<DerivedTrip> = Vec::with_capacity(found.trips.len());
        // The first stop may follow a trip that is not here.
        let ahead = found.stops.len().saturating_sub(found.trips.len());
        let mut stops: Vec<DerivedStop> = found.stops.drain(..ahead).collect();
        for (trip, stop) in found.trips.into_iter().zip(found.stops) {
            match trips.pop() {
                Some(before) if self.joins(before.end_time, trip.start_time) => {
                    let between = stops.pop();
                    trips.push(joined(before, between.as_ref(), trip, parameters));
                }
                before => {
                    trips.extend(before);
                    trips.push(trip);
                }
            }
            stops.push(stop);
        }
        let mut open = found.open;
        if let (Some(under_way), Some(before)) = (&open, trips.last())
            && self.joins(before.end_time, under_way.start_time)
            && let Some(before) = trips.pop()
        {
            stops.pop();
            open = Some(joined_to_open(before, under_way, parameters));
        }
        for trip in &mut trips {
            trip.purpose = self.purpose_of(trip.start_time, trip.end_time);
        }
        if let Some(ended) = open.as_mut().and_then(|open| open.so_far.as_mut()) {
            ended.trip.purpose = self.purpose_of(ended.trip.start_time, ended.trip.end_time);
        }
        Derivation { trips, stops, open, dropped_count: found.dropped_count }
    }
}

/// A trip that goes on in the one under way.
fn joined_to_open(before: DerivedTrip, open: &OpenTrip, parameters: &Parameters) -> OpenTrip {
    OpenTrip {
        start_time: before.start_time,
        so_far: open.so_far.as_deref().cloned().map(|ended| {
            let between = ended.stop_before.as_ref();
            let trip = joined(before, between, ended.trip, parameters);
            // The stop before the first of them is over already.
            Box::new(EndedNow { trip, stop_before: None, stop_after: ended.stop_after })
        }),
    }
}

/// Two trips and the stop between them as one. Sums, and the way between where it is known: by the odometer,
/// or, over a time without readings, by the straight line between fixes.
fn joined(
    first: DerivedTrip,
    between: Option<&DerivedStop>,
    second: DerivedTrip,
    parameters: &Parameters,
) -> DerivedTrip {
    let between_m = between_m(&first, &second, parameters);
    let stop_end = between.and_then(|stop| stop.end);
    let (fuel_used_l, fuel_source) = match (first.fuel_used_l, second.fuel_used_l) {
        (Some(a), Some(b)) => (Some(a + b), weaker(first.fuel_source, second.fuel_source)),
        // The whole is not known where a part is not.
        _ => (None, None),
    };
    let sum = |a: Option<i64>, b: Option<i64>| a.zip(b).map(|(a, b)| a + b);
    let source = |source: DistanceSource| first.distance_source == source && second.distance_source == source;
    let mut events = first.events;
    events.extend(between.into_iter().flat_map(|stop| stop.events.iter().cloned()));
    events.extend(second.events);
    events.sort_by_key(|event| (event.start_time, event.kind));
    DerivedTrip {
        start_time: first.start_time,
        end_time: second.end_time,
        start_fix: first.start_fix.or(second.start_fix),
        end_fix: second.end_fix.or(first.end_fix),
        distance_m: first.distance_m + whole(between_m) + second.distance_m,
        distance_source: if source(DistanceSource::Odometer) {
            DistanceSource::Odometer
        } else if first.distance_source == DistanceSource::Speed
            || second.distance_source == DistanceSource::Speed
        {
            DistanceSource::Speed
        } else {
            DistanceSource::Gnss
        },
        odometer_start_km: first.odometer_start_km.or(second.odometer_start_km),
        odometer_end_km: second.odometer_end_km.or(first.odometer_end_km),
        gnss_distance_m: sum(first.gnss_distance_m, second.gnss_distance_m),
        speed_distance_m: sum(first.speed_distance_m, second.speed_distance_m),
        duration_s: whole_seconds(second.end_time.since_us(first.start_time)),
        moving_s: first.moving_s + second.moving_s,
        idle_s: first.idle_s + stop_end.map_or(0, |end| end.idle_s) + second.idle_s,
        speed_max_kmh: match (first.speed_max_kmh, second.speed_max_kmh) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        },
        fuel_used_l,
        fuel_source,
        energy_used_kwh: first.energy_used_kwh.zip(second.energy_used_kwh).map(|(a, b)| a + b),
        reading_count: first.reading_count
            + stop_end.map_or(0, |end| end.reading_count)
            + second.reading_count,
        jump_count: first.jump_count + second.jump_count,
        end_reason: second.end_reason,
        events,
        rest: second.rest,
        purpose: None,
        merged_count: first.merged_count + second.merged_count,
    }
}

/// The less exact of two sources of fuel.
fn weaker(a: Option<&'static str>, b: Option<&'static str>) -> Option<&'static str> {
    ["level", "rate", "counter"].into_iter().find(|source| a == Some(source) || b == Some(source))
}

/// How far a vehicle went between two trips, as far as that can be known and is possible.
fn between_m(first: &DerivedTrip, second: &DerivedTrip, parameters: &Parameters) -> f64 {
    let are = |source| first.distance_source == source && second.distance_source == source;
    let metres = if are(DistanceSource::Odometer) {
        first.odometer_end_km.zip(second.odometer_start_km).map(|(from_km, to_km)| (to_km - from_km) * 1000.0)
    } else if are(DistanceSource::Gnss) && matches!(first.end_reason, EndReason::Gap | EndReason::Silence) {
        first.end_fix.zip(second.start_fix).map(|(from, to)| haversine_m(from, to))
    } else {
        None
    };
    let reach_m = parameters.jump_speed_kmh / 3.6 * seconds(first.end_time, second.start_time);
    metres.filter(|metres| (0.0..=reach_m).contains(metres)).unwrap_or(0.0)
}
