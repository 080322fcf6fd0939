//! Deriving the touched vehicles of a pass: a few queries for many vehicles, then pure functions.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
};

use arrow::array::RecordBatch;
use futures::StreamExt;
use lake::{TableKind, maintenance::erase::KeptFrom};
use service::clock::micros;
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    Follower, OpenVehicle, PassError,
    corrected::Book,
    plan::{Plan, Silence, plan},
    stored::Stored,
    touched::{Touch, Touched},
};
use crate::{
    columns::RowError,
    engine::timestamp_literal,
    event_table::{self, EventRow},
    metrics,
    readings::{Readings, TRIP_COLUMNS},
    reconcile::{Scope, reconcile, timeline::Timeline},
    row::{TripRow, TripStatus},
    stop_table::{self, StopRow},
    trip_table,
    trips::{Corrections, Derivation, DerivedStop, DerivedTrip, Deriver, StopStart},
};

/// Vehicles read by one query.
pub(super) const VEHICLES_A_QUERY: usize = 64;

/// The rows of a pass.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) trips: Vec<TripRow>,
    pub(super) stops: Vec<StopRow>,
    pub(super) events: Vec<EventRow>,
    pub(super) new_count: u64,
    pub(super) revised_count: u64,
    pub(super) withdrawn_count: u64,
    pub(super) dropped_count: u64,
}

impl Rows {
    /// The rows of one table, if there are any.
    pub(super) fn batch(&self, kind: TableKind) -> Result<Option<RecordBatch>, RowError> {
        match kind {
            TableKind::Trips if !self.trips.is_empty() => trip_table::to_batch(&self.trips).map(Some),
            TableKind::Stops if !self.stops.is_empty() => stop_table::to_batch(&self.stops).map(Some),
            TableKind::DrivingEvents if !self.events.is_empty() => {
                event_table::to_batch(&self.events).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// They were committed.
    pub(super) fn count_written(&self, kind: TableKind) {
        match kind {
            TableKind::Trips => {
                metrics::trips_written(self.new_count, self.revised_count, self.withdrawn_count);
            }
            TableKind::Stops => metrics::stops_written(self.stops.len() as u64),
            TableKind::DrivingEvents => metrics::events_written(self.events.len() as u64),
            _ => {}
        }
    }

    /// Compares what was derived of a vehicle with what is stored.
    fn judge(
        &mut self,
        scope: &Scope,
        after: Option<&str>,
        found: Derivation,
        stored: &Stored,
        horizon: Timestamp,
    ) {
        let from = match after {
            Some(_) => scope.from,
            // Before the first trip nothing is known of stops.
            None => first_start(scope, &found, stored).max(scope.from),
        };
        let mut stops: VecDeque<DerivedStop> = found.stops.into();
        let stop_of_after = if after.is_some() { stops.pop_front() } else { None };
        let (trips, stops): (Vec<DerivedTrip>, Vec<DerivedStop>) =
            found.trips.into_iter().zip(stops).filter(|(trip, _)| trip.start_time >= horizon).unzip();
        let outcome = reconcile(scope, &trips, &stored.trips);
        let of_after = after.zip(stop_of_after.as_ref()).filter(|(_, stop)| stop.start.time >= horizon);
        let scope = Scope { from, ..scope.clone() };
        let derived = trips.iter().map(|trip| trip.events.as_slice()).zip(&stops);
        let timeline = Timeline::new(&scope, &outcome, &stored.stops, of_after, derived);
        self.stops.extend(timeline.stops(&stored.stops));
        self.events.extend(timeline.events(&stored.events));
        self.trips.extend(outcome.rows);
        self.new_count += outcome.new_count;
        self.revised_count += outcome.revised_count;
        self.withdrawn_count += outcome.withdrawn_count;
    }
}

/// The earliest start of a trip in a scope, derived, under way or stored.
fn first_start(scope: &Scope, found: &Derivation, stored: &Stored) -> Timestamp {
    let derived = found.trips.first().map(|trip| trip.start_time);
    let stored = stored.trips.iter().filter(|row| row.status == TripStatus::Completed);
    let stored = stored.map(|row| row.start_time).filter(|start| (scope.from..scope.to).contains(start));
    stored.chain(derived).chain(scope.open_since).min().unwrap_or(scope.to)
}

/// One vehicle's part of a pass.
struct Task {
    vehicle_id: VehicleId,
    touch: Touch,
    stored: Stored,
    corrections: Corrections,
    plan: Plan,
}

/// What to read and derive.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    vehicle_id: &'a VehicleId,
    corrections: &'a Corrections,
    from: Timestamp,
    until: Option<Timestamp>,
    after: Option<StopStart>,
}

impl<'a> Range<'a> {
    fn of(task: &'a Task, plan: &Plan) -> Self {
        let stored = &task.stored;
        Self {
            vehicle_id: &task.vehicle_id,
            corrections: &task.corrections,
            from: plan.from,
            until: plan.rejoin.map(|rejoin| rejoin.read_until),
            after: plan.after.as_deref().and_then(|trip_id| stored.stop_start(trip_id)),
        }
    }
}

/// Where a pass stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    readings_version: i64,
    horizon: Timestamp,
    now: Timestamp,
}

/// What the readings of a plan amount to.
#[derive(Default)]
struct Derived {
    found: Derivation,
    first_ts: Option<Timestamp>,
    last_ts: Option<Timestamp>,
}

impl Follower {
    /// Derives the touched vehicles at one version of `readings`.
    pub(super) async fn derive(
        &self,
        touched: Touched,
        book: &Book,
        (readings_version, now): (i64, Timestamp),
    ) -> Result<(Rows, BTreeMap<VehicleId, Option<OpenVehicle>>), PassError> {
        let mut tasks = self.tasks(touched, book).await?;
        // Vehicles whose reading begins on the same day share files.
        tasks.sort_by_key(|task| (task.plan.from, task.vehicle_id.clone()));
        let kept_from = self.kept_from().await?;
        let mut rows = Rows::default();
        let mut open = BTreeMap::new();
        for group in tasks.chunk_by(|a, b| a.plan.from.utc_day() == b.plan.from.utc_day()) {
            for group in group.chunks(VEHICLES_A_QUERY) {
                let mut derived = self.derive_group(group, readings_version).await?;
                for task in group {
                    let found = derived.remove(&task.vehicle_id).unwrap_or_default();
                    let horizon = horizon(&kept_from, &task.vehicle_id);
                    let place = Place { readings_version, horizon, now };
                    let is_open = self.settle(task, found, place, &mut rows).await?;
                    open.insert(task.vehicle_id.clone(), is_open);
                }
            }
        }
        Ok((rows, open))
    }

    /// From which days on there are readings, where some were dropped or erased.
    async fn kept_from(&self) -> Result<KeptFrom, PassError> {
        match self.analytics.shared.tables.newest_table(TableKind::Readings).await? {
            Some(readings) => Ok(readings.kept_from().await?),
            None => Ok(KeptFrom::default()),
        }
    }

    async fn tasks(&self, touched: Touched, book: &Book) -> Result<Vec<Task>, PassError> {
        let mut stored = self.stored(&touched).await?;
        let lookback_us = micros(self.lookback);
        Ok(touched
            .0
            .into_iter()
            .map(|(vehicle_id, touch)| {
                let stored = stored.remove(&vehicle_id).unwrap_or_default();
                let corrections = book.of(&vehicle_id);
                let of = (&touch, stored.trips.as_slice(), &corrections);
                let plan = plan(of, &self.parameters, lookback_us, Silence::Trusted);
                Task { vehicle_id, touch, stored, corrections, plan }
            })
            .collect())
    }

    async fn derive_group(
        &self,
        group: &[Task],
        readings_version: i64,
    ) -> Result<BTreeMap<VehicleId, Derived>, PassError> {
        let ranges: Vec<_> = group.iter().map(|task| Range::of(task, &task.plan)).collect();
        self.derive_ranges(&ranges, readings_version).await
    }

    async fn derive_one(
        &self,
        task: &Task,
        plan: &Plan,
        readings_version: i64,
    ) -> Result<Derived, PassError> {
        let ranges = [Range::of(task, plan)];
        Ok(self.derive_ranges(&ranges, readings_version).await?.remove(&task.vehicle_id).unwrap_or_default())
    }

    /// Reads the ranges in one query, ordered by vehicle and time, and derives as rows come.
    async fn derive_ranges(
        &self,
        ranges: &[Range<'_>],
        readings_version: i64,
    ) -> Result<BTreeMap<VehicleId, Derived>, PassError> {
        let earliest = ranges.iter().map(|range| range.from).min().unwrap_or_default();
        let mut condition = String::new();
        for Range { vehicle_id, from, until, .. } in ranges {
            let or = if condition.is_empty() { "" } else { " OR " };
            // Writing to a string does not fail.
            let _ =
                write!(condition, "{or}(vehicle_id = '{vehicle_id}' AND ts >= {}", timestamp_literal(*from));
            if let Some(until) = until {
                let _ = write!(condition, " AND ts <= {}", timestamp_literal(*until));
            }
            condition.push(')');
        }
        let latest = ranges
            .iter()
            .map(|range| range.until)
            .try_fold(Timestamp(i64::MIN), |most, until| Some(most.max(until?)));
        let last_day = latest.map_or(String::new(), |latest| {
            format!(" AND date <= CAST({} AS DATE)", timestamp_literal(latest.plus_us(DAY_US)))
        });
        let query = format!(
            "SELECT {TRIP_COLUMNS} FROM readings
             WHERE date >= CAST({} AS DATE){last_day} AND ({condition}) ORDER BY vehicle_id, ts",
            timestamp_literal(earliest),
        );
        let snapshot = self.analytics.shared.tables.pinned(TableKind::Readings, readings_version).await?;
        let mut stream = self.analytics.internal(snapshot, &query).await?;
        let mut all = BTreeMap::new();
        let mut current: Option<(VehicleId, Deriver, Derived)> = None;
        while let Some(batch) = stream.next().await {
            let readings = Readings::of(&batch?)?;
            for i in 0..readings.len() {
                let name = readings.vehicle(i);
                if current.as_ref().is_none_or(|(id, ..)| id.as_str() != name) {
                    finish(current.take(), &mut all);
                    let Ok(vehicle_id) = name.parse::<VehicleId>() else { continue };
                    let range = ranges.iter().find(|range| *range.vehicle_id == vehicle_id);
                    let deriver = match range.and_then(|range| range.after) {
                        Some(start) => Deriver::after(start, self.parameters),
                        None => Deriver::new(self.parameters),
                    };
                    let corrections = range.map(|range| range.corrections.clone()).unwrap_or_default();
                    current = Some((vehicle_id, deriver.corrected(corrections), Derived::default()));
                }
                if let Some((_, deriver, derived)) = &mut current {
                    deriver.push(readings.reading(i));
                    derived.first_ts.get_or_insert(readings.ts(i));
                    derived.last_ts = Some(readings.ts(i));
                }
            }
        }
        finish(current, &mut all);
        Ok(all)
    }

    /// Compares what was derived with what is stored; says whether the vehicle is under way.
    async fn settle(
        &self,
        task: &Task,
        mut derived: Derived,
        Place { readings_version, horizon, now }: Place,
        rows: &mut Rows,
    ) -> Result<Option<OpenVehicle>, PassError> {
        let mut judge_to = Timestamp(i64::MAX);
        let mut is_rejoined = false;
        let mut plan = task.plan.clone();
        let is_broken = |until: Timestamp| derived.first_ts.is_some_and(|first| first < until);
        if plan.quiet_until.is_some_and(is_broken) {
            let lookback_us = micros(self.lookback);
            plan = super::plan::plan(
                (&task.touch, &task.stored.trips, &task.corrections),
                &self.parameters,
                lookback_us,
                Silence::Doubted,
            );
            derived = self.derive_one(task, &plan, readings_version).await?;
        }
        if let Some(rejoin) = plan.rejoin {
            if let Some(place) = derived.found.trips.iter().position(|trip| rejoin.is(trip)) {
                // The stop before it ends with its start, so that one is known whole.
                let later_count = derived.found.trips.len() - place;
                derived.found.trips.truncate(place);
                derived.found.stops.truncate(derived.found.stops.len().saturating_sub(later_count));
                derived.found.open = None;
                judge_to = rejoin.start_time;
                is_rejoined = true;
            } else {
                // The new data changed even the trip after it: derive to the end.
                plan.rejoin = None;
                derived = self.derive_one(task, &plan, readings_version).await?;
            }
        }
        let is_silent = now.since_us(self.last_received(task)) >= micros(self.parameters.silence);
        let Derived { mut found, last_ts, .. } = derived;
        if is_silent {
            found.end_by_silence();
        }
        let open_since = found.open.as_ref().map(|open| open.start_time);
        let scope = Scope {
            vehicle_id: task.vehicle_id.clone(),
            from: plan.judge_from.max(horizon),
            to: judge_to,
            open_since,
            parameters_version: self.parameters.version,
            readings_version,
            derived_at: now,
        };
        rows.dropped_count += found.dropped_count;
        rows.judge(&scope, plan.after.as_deref(), found, &task.stored, horizon);
        if is_rejoined {
            // What was known of the vehicle's present still holds.
            return Ok(self.open.get(&task.vehicle_id).copied());
        }
        let last_ts = last_ts.unwrap_or(task.touch.to);
        Ok(open_since.map(|_| OpenVehicle { last_ts, received_at: self.last_received(task) }))
    }

    /// When the vehicle was last heard of.
    fn last_received(&self, task: &Task) -> Timestamp {
        let known = self.open.get(&task.vehicle_id).map(|open| open.received_at);
        known.map_or(task.touch.received_at, |known| known.max(task.touch.received_at))
    }
}

/// Trips that start before this stand as they are: the vehicle's readings of days before are gone, and
/// what is left of a trip across the cut is no trip of its own.
fn horizon(kept_from: &KeptFrom, vehicle_id: &VehicleId) -> Timestamp {
    let first_kept = kept_from.of(vehicle_id.as_str());
    Timestamp(first_kept.map_or(i64::MIN, |day| day.saturating_add(1).saturating_mul(DAY_US)))
}

fn finish(current: Option<(VehicleId, Deriver, Derived)>, all: &mut BTreeMap<VehicleId, Derived>) {
    if let Some((vehicle_id, deriver, mut derived)) = current {
        derived.found = deriver.finish();
        all.insert(vehicle_id, derived);
    }
}
