//! The job that turns new readings into revisions of trips.
//!
//! It follows the versions of `readings`; each pass derives the vehicles they touch again, from
//! the end of the last trip that cannot have changed, and commits what differs from the stored
//! revisions as one version each of `stops`, `driving_events` and `trips`, in this order. *The rows
//! of `trips` are the cursor*: each names the version of `readings` it was derived from, so a restart
//! takes up where the last row says, and derives the passes after it again. What of them had come as
//! far as a table is found there, equal, and not written again.
//!
//! What people said of trips (`trip_corrections`) touches them as late data would.
//!
//! A trip that no data has ended is not written, until nothing has been received for the
//! parameter `silence`; data that comes later makes a revision.

mod corrected;
mod derivation;
mod plan;
mod stored;
mod touched;
mod watch;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use futures::StreamExt;
use lake::{AppTransaction, CommitError, CommitMark, LakeTable, ReadError, TableKind};
use service::{
    SharedClock, Tasks,
    clock::micros,
    health::{Health, State},
    logs::chain,
    responder::{ListenError, Probes},
    tasks::StopError,
};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    columns::RowError,
    config::Settings,
    engine::{Analytics, OpenError, Progress, SqlError},
    metrics, readings,
    trips::Parameters,
};
use touched::{Touch, Touched};
pub use watch::watch_fleet;

/// Who writes the derived tables, in each.
const APP_ID: &str = "analytics/trips";
/// They, in the order of their commits: the cursor last.
const DERIVED: [TableKind; 3] = [TableKind::Stops, TableKind::DrivingEvents, TableKind::Trips];
/// The part of the process's health that is this job.
const HEALTH_PART: &str = "analytics";
/// That which is the door for Postgres' clients.
const DOOR_PART: &str = "postgres";
/// That which is the door for clients of Flight SQL.
const FLIGHT_PART: &str = "flight";
/// Failed passes in a row after which the process gives up, where it is not the store that fails.
const FAILURES_MAX: u32 = 10;
/// Longest pause between passes while the store fails.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Commits remembered whose end is not known.
const UNSETTLED_MAX: usize = 64;

/// Why the job cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The lake or the engine.
    #[error("cannot start analytics")]
    Open(#[from] OpenError),
    /// Health and metrics.
    #[error("cannot answer by HTTP")]
    Http(#[from] ListenError),
    /// The door for Postgres' clients.
    #[error("cannot listen at {address} (key postgres.listen)")]
    Postgres {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The door for clients of Flight SQL.
    #[error("cannot listen at {address} (key flight.listen)")]
    Flight {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a pass failed. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// A table of derived rows cannot be opened or made.
    #[error("cannot open table {table}")]
    OpenDerived {
        /// Which.
        table: &'static str,
        /// Why.
        source: lake::OpenLakeError,
    },
    /// A table cannot be read.
    #[error("cannot follow readings")]
    Read(#[from] ReadError),
    /// A query failed.
    #[error("cannot read what a derivation needs")]
    Query(#[from] SqlError),
    /// Rows of an unknown shape.
    #[error("cannot use rows of the lake")]
    Rows(#[from] RowError),
    /// The commit did not happen.
    #[error("cannot commit what was derived")]
    Commit(#[from] CommitError),
    /// A commit of an earlier pass, which looked failed, was in before this one's.
    #[error("an earlier commit landed late; deriving again from what it wrote")]
    Overtaken,
}

impl PassError {
    /// Whether the lake's store may be the cause: then the next pass may be luckier, however many
    /// have failed.
    fn is_of_store(&self) -> bool {
        match self {
            Self::OpenDerived { .. } | Self::Read(_) | Self::Query(_) | Self::Commit(_) | Self::Overtaken => {
                true
            }
            Self::Rows(_) => false,
        }
    }
}

impl From<arrow::error::ArrowError> for PassError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Rows(error.into())
    }
}

impl From<datafusion::error::DataFusionError> for PassError {
    fn from(error: datafusion::error::DataFusionError) -> Self {
        Self::Query(error.into())
    }
}

/// A running analytics.
#[derive(Debug, Clone)]
pub struct Handle {
    /// What others ask.
    pub analytics: Analytics,
    /// Where Postgres' clients are answered, if they are.
    pub postgres: Option<std::net::SocketAddr>,
    /// Where clients of Flight SQL are answered, if they are.
    pub flight: Option<std::net::SocketAddr>,
    probes: Option<Probes>,
    work: Tasks,
}

impl Handle {
    /// Where health and metrics are answered, if they are.
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.probes.as_ref().map(Probes::address)
    }

    /// Says so at `/ready`, closes the door, ends the pass under way.
    pub async fn stop(&self, grace: Duration) -> Result<(), StopError> {
        if let Some(probes) = &self.probes {
            probes.leave().await;
        }
        self.work.stop(grace).await?;
        match &self.probes {
            Some(probes) => probes.close(grace).await,
            None => Ok(()),
        }
    }
}

/// Opens the lake (making it when it is not there) and starts the job.
pub async fn start(
    settings: Settings,
    tasks: &Tasks,
    clock: SharedClock,
    health: &Health,
) -> Result<Handle, StartError> {
    health.set(HEALTH_PART, State::Starting("reading the lake".to_owned()));
    for (part, door) in [(DOOR_PART, &settings.postgres), (FLIGHT_PART, &settings.flight)] {
        if door.is_some() {
            health.set(part, State::Starting("the lake".to_owned()));
        }
    }
    let probes = match settings.http {
        Some(http) => Some(Probes::start(http, health, tasks, |_| {}).await?),
        None => None,
    };
    let tasks = tasks.group();
    let analytics = Analytics::create(&settings.lake, settings.limits, std::sync::Arc::clone(&clock)).await?;
    let postgres = match settings.postgres.clone() {
        Some(door) => {
            let address = door.listen;
            let opened = crate::postgres::start(&analytics, door, &tasks).await;
            let opened = opened.map_err(|source| StartError::Postgres { address, source })?;
            health.set(DOOR_PART, State::Ready);
            Some(opened)
        }
        None => None,
    };
    let flight = match settings.flight.clone() {
        Some(door) => {
            let address = door.listen;
            let opened = crate::flight::start(&analytics, door, &tasks).await;
            let opened = opened.map_err(|source| StartError::Flight { address, source })?;
            health.set(FLIGHT_PART, State::Ready);
            Some(opened)
        }
        None => None,
    };
    let mut follower = Follower::new(analytics.clone(), &settings, clock);
    let (stop, health, interval) = (tasks.stop_token(), health.clone(), settings.interval);
    tasks.spawn("analytics follower", async move {
        let mut failure_count = 0;
        while !stop.is_cancelled() {
            match follower.pass().await {
                // More versions wait: go on at once.
                Ok(true) => {
                    failure_count = 0;
                    continue;
                }
                Ok(false) => {
                    failure_count = 0;
                    health.set(HEALTH_PART, State::Ready);
                }
                Err(error @ PassError::Commit(CommitError::Fenced { .. })) => return Err(error.into()),
                Err(error) => {
                    failure_count += 1;
                    metrics::pass_failed();
                    tracing::warn!(error = %chain(&error), failure_count, "pass over readings failed");
                    health.set(
                        HEALTH_PART,
                        State::Failing("the last pass over readings failed; see the log".to_owned()),
                    );
                    if failure_count >= FAILURES_MAX && !error.is_of_store() {
                        return Err(error.into());
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(pause_after(failure_count, interval)) => {}
            }
        }
        Ok(())
    });
    Ok(Handle { analytics, postgres, flight, probes, work: tasks })
}

/// The pause before the next pass: longer the more have failed.
fn pause_after(failure_count: u32, interval: Duration) -> Duration {
    let longer = interval.saturating_mul(1 << failure_count.min(10));
    longer.min(RETRY_MAX.max(interval))
}

/// The job's state; all of it can be rebuilt from the lake.
pub(crate) struct Follower {
    analytics: Analytics,
    clock: SharedClock,
    parameters: Parameters,
    versions_max: usize,
    lookback: Duration,
    fleet_days_max: usize,
    /// The version of `readings` whose changes are in `trips`; `None` before the first pass.
    cursor: Option<i64>,
    /// Vehicles under way: their last reading, and when it came.
    open: BTreeMap<VehicleId, OpenVehicle>,
    pass_count: u64,
    /// What people said of trips, as far as it is in `trips`.
    book: corrected::Book,
    /// Commits that failed and may be in all the same, or be yet.
    unsettled: BTreeMap<TableKind, VecDeque<CommitMark>>,
}

/// The next commit's place in each derived table.
type Places = BTreeMap<TableKind, AppTransaction>;

#[derive(Debug, Clone, Copy)]
struct OpenVehicle {
    last_ts: Timestamp,
    received_at: Timestamp,
}

impl Follower {
    pub(crate) fn new(analytics: Analytics, settings: &Settings, clock: SharedClock) -> Self {
        Self {
            analytics,
            clock,
            parameters: settings.parameters,
            versions_max: settings.versions_max,
            lookback: settings.lookback,
            fleet_days_max: settings.fleet_days_max,
            cursor: None,
            open: BTreeMap::new(),
            pass_count: 0,
            book: corrected::Book::empty(),
            unsettled: BTreeMap::new(),
        }
    }

    /// One pass; says whether more versions wait.
    pub(crate) async fn pass(&mut self) -> Result<bool, PassError> {
        let started_us = self.clock.monotonic_us();
        let tables = &self.analytics.shared.tables;
        let Some(mut readings) = tables.newest_table(TableKind::Readings).await? else { return Ok(false) };
        let mut touched = Touched::default();
        let (cursor, derived_until) = match self.cursor {
            Some(cursor) => (cursor, None),
            None => self.restore(&mut touched).await?,
        };
        let book =
            self.take_corrections(derived_until, &mut touched).await?.unwrap_or_else(|| self.book.clone());
        let reached = self.take_changes(&mut readings, cursor, &mut touched).await?;
        let now = Timestamp(self.clock.now_us());
        for (vehicle_id, open) in &self.open {
            if now.since_us(open.received_at) >= micros(self.parameters.silence) {
                touched.add(vehicle_id, Touch::at(open.last_ts, open.received_at));
            }
        }
        let vehicle_count = touched.len();
        if vehicle_count > 0 {
            let places = self.next_places().await?;
            let (rows, open) = self.derive(touched, &book, (reached, now)).await?;
            self.commit(&rows, &places).await?;
            self.keep_open(open);
        }
        self.cursor = Some(reached);
        self.book = book;
        self.pass_count += 1;
        let elapsed_us = self.clock.monotonic_us().saturating_sub(started_us);
        metrics::pass_ended(vehicle_count as u64, elapsed_us, reached, self.open.len());
        let progress = Progress {
            readings_version: reached,
            open_trip_count: self.open.len(),
            pass_count: self.pass_count,
        };
        self.analytics.shared.progress.send_replace(progress);
        Ok(readings.version() > reached)
    }

    /// After a start: where the stored rows left off and when that was, the fleet's last states, and every
    /// vehicle's last reading as touched, so that trips under way are known again.
    async fn restore(&mut self, touched: &mut Touched) -> Result<(i64, Option<Timestamp>), PassError> {
        let query = "SELECT max(readings_version) AS v, max(derived_at) AS t FROM trips";
        let stored = self.read(query, &[TableKind::Trips]).await?;
        let first = |column: usize| {
            stored.iter().find_map(|batch| {
                let column =
                    arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Int64).ok()?;
                let column =
                    arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&column).clone();
                column.iter().next().flatten()
            })
        };
        let (cursor, derived_until) = (first(0), first(1).map(Timestamp));
        let states = touched::last_states(self, self.fleet_days_max).await?;
        for state in &states {
            touched.add(&state.vehicle_id, Touch::at(state.ts, state.received_at));
        }
        self.analytics.shared.fleet.merge(states);
        Ok((cursor.unwrap_or(-1), derived_until))
    }

    /// Takes in what the next versions added; says up to which version.
    async fn take_changes(
        &self,
        readings: &mut LakeTable,
        cursor: i64,
        touched: &mut Touched,
    ) -> Result<i64, PassError> {
        let changes = match readings.changes(cursor, self.versions_max).await {
            Ok(changes) => changes,
            Err(ReadError::VersionGone { version, .. }) => {
                tracing::warn!(
                    version,
                    "log of readings no longer reaches back: deriving every vehicle again"
                );
                touched::everything(self, touched).await?;
                return Ok(readings.version());
            }
            Err(error) => return Err(error.into()),
        };
        let mut reached = cursor;
        for change in changes {
            for batch in &change.batches {
                let states = touched.take(&readings::Readings::of(batch)?);
                self.analytics.shared.fleet.merge(states);
            }
            reached = change.version;
        }
        Ok(reached)
    }

    /// The places of the next commits, taken before the stored rows are read: if another process
    /// commits between, ours are refused instead of doubling its rows.
    async fn next_places(&self) -> Result<Places, PassError> {
        let mut places = Places::new();
        for kind in DERIVED {
            let committed = match self.analytics.shared.tables.newest_table(kind).await? {
                Some(table) => table.app_version(APP_ID).await?,
                None => None,
            };
            let version = committed.unwrap_or(0) + 1;
            places.insert(kind, AppTransaction { app_id: APP_ID.to_owned(), version });
        }
        Ok(places)
    }

    async fn commit(&mut self, rows: &derivation::Rows, places: &Places) -> Result<(), PassError> {
        metrics::trips_dropped(rows.dropped_count);
        for kind in DERIVED {
            let (batch, place) = (rows.batch(kind)?, places.get(&kind));
            let Some((batch, place)) = batch.zip(place) else { continue };
            self.commit_to(kind, batch, place).await?;
            rows.count_written(kind);
        }
        Ok(())
    }

    async fn commit_to(
        &mut self,
        kind: TableKind,
        batch: arrow::array::RecordBatch,
        place: &AppTransaction,
    ) -> Result<(), PassError> {
        let tables = &self.analytics.shared.tables;
        let mut table = match tables.newest_table(kind).await? {
            Some(table) => table,
            None => {
                let made = tables.lake().create_table(kind).await;
                made.map_err(|source| PassError::OpenDerived { table: kind.name(), source })?
            }
        };
        let (mark, count) = (CommitMark::default(), batch.num_rows());
        let version = match table.append_marked(batch, place, &mark).await {
            Ok(version) => version,
            Err(error @ CommitError::Fenced { .. }) => return Err(self.overtaken(&mut table, error).await),
            Err(error) => {
                let unsettled = self.unsettled.entry(kind).or_default();
                unsettled.truncate(UNSETTLED_MAX - 1);
                unsettled.push_front(mark);
                return Err(error.into());
            }
        };
        self.unsettled.remove(&kind);
        tracing::debug!(table = kind.name(), version, count, "derived rows committed");
        Ok(())
    }

    /// Whether it was this process itself that took the place: by a commit that looked failed.
    async fn overtaken(&mut self, table: &mut LakeTable, fenced: CommitError) -> PassError {
        for mark in self.unsettled.get(&table.kind()).into_iter().flatten() {
            match table.has_landed(mark).await {
                Ok(true) => return PassError::Overtaken,
                Ok(false) => {}
                Err(error) => return error.into(),
            }
        }
        fenced.into()
    }

    fn keep_open(&mut self, derived: BTreeMap<VehicleId, Option<OpenVehicle>>) {
        for (vehicle_id, open) in derived {
            match open {
                Some(open) => self.open.insert(vehicle_id, open),
                None => self.open.remove(&vehicle_id),
            };
        }
    }

    /// Rows of a query of ours over the newest tables.
    async fn read(
        &self,
        query: &str,
        kinds: &[TableKind],
    ) -> Result<Vec<arrow::array::RecordBatch>, PassError> {
        let snapshot = self.analytics.shared.tables.newest(kinds).await?;
        let mut stream = self.analytics.internal(snapshot, query).await?;
        let mut batches = Vec::new();
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        Ok(batches)
    }
}
