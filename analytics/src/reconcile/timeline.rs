//! Stops and driving events against stored ones, by the same rules as trips.
//!
//! Both go by their trip: a stop is the one after it, an event is in it or in that stop. So what is
//! stored of a trip that stands unjudged is left as it is, and what is stored of one that is none
//! any more, or of one whose row never came to be, is withdrawn.

use std::collections::{BTreeMap, BTreeSet};

use wire::time::Timestamp;

use super::{Outcome, Scope, id_at};
use crate::{
    event_table::EventRow,
    row::TripStatus,
    stop_table::{StopRow, StopStatus},
    trips::{ALGORITHM_VERSION, DerivedStop, DrivingEvent},
};

/// A trip that was derived, or begun after, with what belongs to it.
#[derive(Debug)]
pub(crate) struct Leg<'a> {
    /// Its id.
    pub(crate) trip_id: &'a str,
    /// What happened in it; `None` for the trip begun after, which stands as it is.
    pub(crate) events: Option<&'a [DrivingEvent]>,
    /// The stop after it; `None` where what is stored of that stands as it is.
    pub(crate) stop: Option<&'a DerivedStop>,
}

/// What has been derived anew.
#[derive(Debug)]
pub(crate) struct Timeline<'a> {
    /// Whose, and who derives. What starts in its `[from, to)` is judged.
    pub(crate) scope: &'a Scope,
    /// In order.
    pub(crate) legs: Vec<Leg<'a>>,
    /// Trips that stand and were not derived.
    pub(crate) left_ids: &'a BTreeSet<String>,
}

impl<'a> Timeline<'a> {
    /// Of a scope's trips, each with its stop, and of the trip begun after.
    pub(crate) fn new(
        scope: &'a Scope,
        outcome: &'a Outcome,
        stored: &[StopRow],
        after: Option<(&'a str, &'a DerivedStop)>,
        derived: impl Iterator<Item = (&'a [DrivingEvent], &'a DerivedStop)>,
    ) -> Self {
        let leg = |trip_id: &'a str, events, stop: &'a DerivedStop| {
            // A trip that silence has ended may be under way again. What it ended stays so.
            let stands = |row: &StopRow| {
                row.trip_id == trip_id
                    && row.status == StopStatus::Completed
                    && row.end_time == scope.open_since
            };
            let stop = (stop.end.is_some() || !stored.iter().any(stands)).then_some(stop);
            Leg { trip_id, events, stop }
        };
        let first = after.map(|(trip_id, stop)| leg(trip_id, None, stop));
        let others = derived
            .zip(&outcome.trip_ids)
            .filter_map(|((events, stop), trip_id)| Some(leg(trip_id.as_deref()?, Some(events), stop)));
        Self { scope, legs: first.into_iter().chain(others).collect(), left_ids: &outcome.left_ids }
    }

    /// Whether a stored row that was not derived again is over and done with.
    fn is_gone(&self, start_time: Timestamp, trip_id: &str) -> bool {
        let is_left = self.left_ids.contains(trip_id) && self.legs.iter().all(|leg| leg.trip_id != trip_id);
        (self.scope.from..self.scope.to).contains(&start_time) && !is_left
    }

    /// The rows to add to `stops`. `stored` has the latest revision of every stop around the scope.
    pub(crate) fn stops(&self, stored: &[StopRow]) -> Vec<StopRow> {
        let known: BTreeMap<&str, &StopRow> = stored.iter().map(|row| (row.trip_id.as_str(), row)).collect();
        let mut rows = Vec::new();
        for leg in &self.legs {
            let (Some(stop), old) = (leg.stop, known.get(leg.trip_id)) else { continue };
            let row = self.stop_row(leg.trip_id, stop, old.map_or(1, |old| old.revision + 1));
            if old.is_none_or(|old| bare_stop(&row) != bare_stop(old)) {
                rows.push(row);
            }
        }
        let derived: BTreeSet<&str> = self.legs.iter().map(|leg| leg.trip_id).collect();
        let is_gone = |row: &&StopRow| {
            row.status != StopStatus::Withdrawn
                && !derived.contains(row.trip_id.as_str())
                && self.is_gone(row.start_time, &row.trip_id)
        };
        rows.extend(stored.iter().filter(is_gone).map(|old| StopRow {
            revision: old.revision + 1,
            status: StopStatus::Withdrawn,
            algorithm_version: ALGORITHM_VERSION,
            parameters_version: self.scope.parameters_version,
            readings_version: self.scope.readings_version,
            derived_at: self.scope.derived_at,
            ..old.clone()
        }));
        rows
    }

    fn stop_row(&self, trip_id: &str, stop: &DerivedStop, revision: i64) -> StopRow {
        let (start, end) = (stop.start, stop.end);
        let digits = trip_id.split_once('_').map_or(trip_id, |(_, digits)| digits);
        StopRow {
            stop_id: format!("stp_{digits}"),
            revision,
            vehicle_id: self.scope.vehicle_id.clone(),
            status: if end.is_some() { StopStatus::Completed } else { StopStatus::Open },
            trip_id: trip_id.to_owned(),
            start_time: start.time,
            end_time: end.map(|end| end.time),
            latitude: start.fix.map(|fix| fix.latitude),
            longitude: start.fix.map(|fix| fix.longitude),
            duration_s: end.map(|end| (end.time.since_us(start.time) + 500_000).div_euclid(1_000_000)),
            idle_s: end.map(|end| end.idle_s),
            ignition_on_count: end.map(|end| end.ignition_on_count),
            fuel_level_start_pct: start.fuel_level_pct,
            fuel_level_end_pct: end.and_then(|end| end.fuel_level_pct),
            soc_start_pct: start.soc_pct,
            soc_end_pct: end.and_then(|end| end.soc_pct),
            reading_count: end.map(|end| end.reading_count),
            algorithm_version: ALGORITHM_VERSION,
            parameters_version: self.scope.parameters_version,
            readings_version: self.scope.readings_version,
            derived_at: self.scope.derived_at,
        }
    }

    /// The rows to add to `driving_events`, likewise.
    pub(crate) fn events(&self, stored: &[EventRow]) -> Vec<EventRow> {
        let known: BTreeMap<&str, &EventRow> =
            stored.iter().map(|row| (row.event_id.as_str(), row)).collect();
        let mut rows = Vec::new();
        let mut derived = BTreeSet::new();
        for leg in &self.legs {
            let in_trip = leg.events.unwrap_or_default().iter().map(|event| (event, "trip"));
            let in_stop = leg.stop.map_or(&[][..], |stop| &stop.events).iter().map(|event| (event, "stop"));
            for (event, during) in in_trip.chain(in_stop) {
                let mut row = self.event_row(leg.trip_id, event, during);
                if !derived.insert(row.event_id.clone()) {
                    continue;
                }
                let old = known.get(row.event_id.as_str());
                row.revision = old.map_or(1, |old| old.revision + 1);
                if old.is_none_or(|old| bare_event(&row) != bare_event(old)) {
                    rows.push(row);
                }
            }
        }
        // What was not derived is left.
        let is_left = |row: &EventRow| {
            let leg = self.legs.iter().find(|leg| leg.trip_id == row.trip_id);
            leg.is_some_and(
                |leg| if row.during == "trip" { leg.events.is_none() } else { leg.stop.is_none() },
            )
        };
        let is_gone = |row: &&EventRow| {
            row.status == TripStatus::Completed
                && !derived.contains(&row.event_id)
                && self.is_gone(row.start_time, &row.trip_id)
                && !is_left(row)
        };
        rows.extend(stored.iter().filter(is_gone).map(|old| EventRow {
            revision: old.revision + 1,
            status: TripStatus::Withdrawn,
            algorithm_version: ALGORITHM_VERSION,
            parameters_version: self.scope.parameters_version,
            readings_version: self.scope.readings_version,
            derived_at: self.scope.derived_at,
            ..old.clone()
        }));
        rows
    }

    fn event_row(&self, trip_id: &str, event: &DrivingEvent, during: &str) -> EventRow {
        let seed = [event.kind.as_str().as_bytes(), during.as_bytes()].join(&0);
        EventRow {
            event_id: id_at("evt", &self.scope.vehicle_id, event.start_time, &seed),
            revision: 1,
            vehicle_id: self.scope.vehicle_id.clone(),
            status: TripStatus::Completed,
            kind: event.kind.as_str().to_owned(),
            severity: event.severity.map(|severity| severity.as_str().to_owned()),
            trip_id: trip_id.to_owned(),
            during: during.to_owned(),
            start_time: event.start_time,
            end_time: event.end_time,
            latitude: event.fix.map(|fix| fix.latitude),
            longitude: event.fix.map(|fix| fix.longitude),
            speed_kmh: event.speed_kmh,
            peak_mps2: event.peak_mps2,
            level_start_pct: event.start_pct,
            level_end_pct: event.end_pct,
            fuel_l: event.fuel_l,
            energy_kwh: event.energy_kwh,
            source: event.source.to_owned(),
            algorithm_version: ALGORITHM_VERSION,
            parameters_version: self.scope.parameters_version,
            readings_version: self.scope.readings_version,
            derived_at: self.scope.derived_at,
        }
    }
}

/// Without who derived it and when.
fn bare_stop(row: &StopRow) -> StopRow {
    StopRow {
        revision: 0,
        algorithm_version: 0,
        parameters_version: 0,
        readings_version: 0,
        derived_at: Timestamp(0),
        ..row.clone()
    }
}

/// Likewise.
fn bare_event(row: &EventRow) -> EventRow {
    EventRow {
        revision: 0,
        algorithm_version: 0,
        parameters_version: 0,
        readings_version: 0,
        derived_at: Timestamp(0),
        ..row.clone()
    }
}
