//! Deriving the touched vehicles of a pass: two queries for many vehicles, then pure functions.

use std::{collections::BTreeMap, fmt::Write as _};

use futures::StreamExt;
use lake::{TableKind, maintenance::erase::KeptFrom};
use service::clock::micros;
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    Follower, OpenVehicle, PassError,
    plan::{Plan, Silence, plan},
    touched::{Touch, Touched},
};
use crate::{
    engine::timestamp_literal,
    readings::{Readings, TRIP_COLUMNS},
    reconcile::{Scope, reconcile},
    row::TripRow,
    trip_table,
    trips::{DerivedTrip, Deriver, OpenTrip},
};

/// Vehicles read by one query.
const VEHICLES_A_QUERY: usize = 64;

/// The rows of a pass.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) rows: Vec<TripRow>,
    pub(super) new_count: u64,
    pub(super) revised_count: u64,
    pub(super) withdrawn_count: u64,
    pub(super) dropped_count: u64,
}

/// One vehicle's part of a pass.
struct Task {
    vehicle_id: VehicleId,
    touch: Touch,
    stored: Vec<TripRow>,
    plan: Plan,
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
    trips: Vec<DerivedTrip>,
    open: Option<OpenTrip>,
    first_ts: Option<Timestamp>,
    last_ts: Option<Timestamp>,
    dropped_count: u64,
}

impl Follower {
    /// Derives the touched vehicles at one version of `readings`.
    pub(super) async fn derive(
        &self,
        touched: Touched,
        readings_version: i64,
        now: Timestamp,
    ) -> Result<(Rows, BTreeMap<VehicleId, Option<OpenVehicle>>), PassError> {
        let mut tasks = self.tasks(touched).await?;
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

    async fn tasks(&self, touched: Touched) -> Result<Vec<Task>, PassError> {
        let mut stored = self.stored_trips(&touched).await?;
        let lookback_us = micros(self.lookback);
        Ok(touched
            .0
            .into_iter()
            .map(|(vehicle_id, touch)| {
                let stored = stored.remove(&vehicle_id).unwrap_or_default();
                let plan = plan(&touch, &stored, &self.parameters, lookback_us, Silence::Trusted);
                Task { vehicle_id, touch, stored, plan }
            })
            .collect())
    }

    /// The latest revision of every trip of the touched vehicles, from a lookback before the
    /// touch on.
    async fn stored_trips(&self, touched: &Touched) -> Result<BTreeMap<VehicleId, Vec<TripRow>>, PassError> {
        let mut latest: BTreeMap<(VehicleId, String), TripRow> = BTreeMap::new();
        let vehicles: Vec<_> = touched.0.iter().collect();
        for group in vehicles.chunks(VEHICLES_A_QUERY) {
            let from = group.iter().map(|(_, touch)| touch.from).min().unwrap_or_default();
            let from = from.plus_us(-micros(self.lookback));
            let names: Vec<String> = group.iter().map(|(id, _)| format!("'{id}'")).collect();
            let query = format!(
                "SELECT * FROM trips WHERE vehicle_id IN ({}) AND date >= CAST({} AS DATE)",
                names.join(", "),
                timestamp_literal(from),
            );
            let batches = self.read(&query, &[TableKind::Trips]).await?;
            for row in trip_table::from_batches(&batches)? {
                let key = (row.vehicle_id.clone(), row.trip_id.clone());
                match latest.get(&key) {
                    Some(known) if known.revision >= row.revision => {}
                    _ => {
                        latest.insert(key, row);
                    }
                }
            }
        }
        let mut by_vehicle: BTreeMap<VehicleId, Vec<TripRow>> = BTreeMap::new();
        for ((vehicle_id, _), row) in latest {
            by_vehicle.entry(vehicle_id).or_default().push(row);
        }
        Ok(by_vehicle)
    }

    async fn derive_group(
        &self,
        group: &[Task],
        readings_version: i64,
    ) -> Result<BTreeMap<VehicleId, Derived>, PassError> {
        let ranges: Vec<_> = group
            .iter()
            .map(|task| (&task.vehicle_id, task.plan.from, task.plan.rejoin.map(|r| r.read_until)))
            .collect();
        self.derive_ranges(&ranges, readings_version).await
    }

    async fn derive_one(
        &self,
        vehicle_id: &VehicleId,
        plan: &Plan,
        readings_version: i64,
    ) -> Result<Derived, PassError> {
        let ranges = [(vehicle_id, plan.from, plan.rejoin.map(|r| r.read_until))];
        Ok(self.derive_ranges(&ranges, readings_version).await?.remove(vehicle_id).unwrap_or_default())
    }

    /// Reads the ranges in one query, ordered by vehicle and time, and derives as rows come.
    async fn derive_ranges(
        &self,
        ranges: &[(&VehicleId, Timestamp, Option<Timestamp>)],
        readings_version: i64,
    ) -> Result<BTreeMap<VehicleId, Derived>, PassError> {
        let earliest = ranges.iter().map(|r| r.1).min().unwrap_or_default();
        let mut condition = String::new();
        for (vehicle_id, from, until) in ranges {
            let or = if condition.is_empty() { "" } else { " OR " };
            // Writing to a string does not fail.
            let _ =
                write!(condition, "{or}(vehicle_id = '{vehicle_id}' AND ts >= {}", timestamp_literal(*from));
            if let Some(until) = until {
                let _ = write!(condition, " AND ts <= {}", timestamp_literal(*until));
            }
            condition.push(')');
        }
        let latest =
            ranges.iter().map(|r| r.2).try_fold(Timestamp(i64::MIN), |most, until| Some(most.max(until?)));
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
                    current = Some((vehicle_id, Deriver::new(self.parameters), Derived::default()));
                }
                if let Some((_, deriver, derived)) = &mut current {
                    deriver.push(readings.reading(i), &mut derived.trips);
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
            plan =
                super::plan::plan(&task.touch, &task.stored, &self.parameters, lookback_us, Silence::Doubted);
            derived = self.derive_one(&task.vehicle_id, &plan, readings_version).await?;
        }
        if let Some(rejoin) = plan.rejoin {
            if let Some(place) = derived.trips.iter().position(|trip| rejoin.is(trip)) {
                derived.trips.truncate(place);
                derived.open = None;
                judge_to = rejoin.start_time;
                is_rejoined = true;
            } else {
                // The new data changed even the trip after it: derive to the end.
                plan.rejoin = None;
                derived = self.derive_one(&task.vehicle_id, &plan, readings_version).await?;
            }
        }
        let is_silent = now.since_us(self.last_received(task)) >= micros(self.parameters.silence);
        let mut open_since = derived.open.as_ref().map(|open| open.start_time);
        if is_silent && let Some(open) = derived.open.take() {
            open_since = None;
            derived.trips.extend(open.so_far);
        }
        derived.trips.retain(|trip| trip.start_time >= horizon);
        let scope = Scope {
            vehicle_id: task.vehicle_id.clone(),
            from: plan.judge_from.max(horizon),
            to: judge_to,
            open_since,
            parameters_version: self.parameters.version,
            readings_version,
            derived_at: now,
        };
        let outcome = reconcile(&scope, &derived.trips, &task.stored);
        rows.rows.extend(outcome.rows);
        rows.new_count += outcome.new_count;
        rows.revised_count += outcome.revised_count;
        rows.withdrawn_count += outcome.withdrawn_count;
        rows.dropped_count += derived.dropped_count;
        if is_rejoined {
            // What was known of the vehicle's present still holds.
            return Ok(self.open.get(&task.vehicle_id).copied());
        }
        let last_ts = derived.last_ts.unwrap_or(task.touch.to);
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
        (derived.open, derived.dropped_count) = deriver.finish(&mut derived.trips);
        all.insert(vehicle_id, derived);
    }
}
