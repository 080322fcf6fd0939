//! The SQL door and the handle others ask: read-only, bounded, always on the newest tables.
//!
//! *Owns* sessions, limits, pinned snapshots and the JSON of rows. *Does not own* deriving
//! (`follow`). Every query gets a session of its own over one consistent set of table versions,
//! which the result names; memory, time and rows are capped, and only reading statements pass.

mod catalogue;
mod cited;
mod counter;
mod functions;
mod gapfill;
mod geo;
mod json;
mod late;
mod limits;
mod only;
mod places;
pub(crate) mod plain;
mod prepared;
mod private;
mod query;
mod session;
mod snapshot;
mod streamed;
mod table_functions;
mod views;
mod windows;
mod written;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use datafusion::execution::SessionState;
use lake::{Lake, LakeLocation, LakeSettings, OpenLakeError, TableKind, Whose};
use service::{Clock, SharedClock};
use wire::{
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
    time::Timestamp,
};

pub(crate) use cited::Versioned;
pub(crate) use json::columns as json_columns;
pub(crate) use late::{Find, Late};
pub use limits::{Limits, SqlError, SqlErrorKind};
pub(crate) use only::Only;
pub(crate) use places::{Place, Places};
pub(crate) use prepared::Listed;
pub(crate) use query::{Bounded, check_only_reads, planned, timestamp_literal};
pub(crate) use session::{CATALOG, SCHEMA};
pub(crate) use snapshot::{Snapshot, Tables};
pub(crate) use streamed::{Next, Streamed};
pub use streamed::{Piece, SqlStream};
pub(crate) use table_functions::add as add_table_functions;
pub(crate) use views::add as add_views;
pub use written::StreamFormat;

use crate::{
    fleet::Fleet,
    row::{QueryResult, TripChange, VehicleState},
    trip_table,
};

/// How far the derivation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The version of `readings` up to which trips are derived; -1 before the first.
    pub readings_version: i64,
    /// Vehicles whose last trip no data has ended yet.
    pub open_trip_count: usize,
    /// Passes made since the start.
    pub pass_count: u64,
}

/// The lake as others ask it. Clones share one engine.
#[derive(Clone)]
pub struct Analytics {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) tables: Arc<Tables>,
    pub(crate) fleet: Fleet,
    pub(crate) progress: tokio::sync::watch::Sender<Progress>,
    pub(crate) base: SessionState,
    limits: Limits,
    places: Places,
    clock: SharedClock,
}

/// Why the engine cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The lake cannot be opened.
    #[error("cannot open the lake for queries")]
    Lake(#[from] OpenLakeError),
    /// The engine refuses its limits.
    #[error("cannot set up the query engine")]
    Engine(#[source] Box<datafusion::error::DataFusionError>),
}

#[cfg(test)]
impl Shared {
    pub(crate) fn free_places(&self) -> usize {
        self.places.free()
    }
}

impl std::fmt::Debug for Analytics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Analytics")
            .field("lake", &self.shared.tables.lake().location())
            .finish_non_exhaustive()
    }
}

impl Analytics {
    /// Opens an existing lake for reading only; nothing is written there.
    pub async fn open(lake: &LakeSettings, limits: Limits, clock: SharedClock) -> Result<Self, OpenError> {
        Self::over(Lake::open_at(lake).await?, limits, clock)
    }

    /// Opens a lake, making it when it is not there.
    pub async fn create(lake: &LakeSettings, limits: Limits, clock: SharedClock) -> Result<Self, OpenError> {
        Self::over(Lake::create_at(lake).await?, limits, clock)
    }

    fn over(lake: Lake, limits: Limits, clock: SharedClock) -> Result<Self, OpenError> {
        let base = session::base(&limits).map_err(|e| OpenError::Engine(Box::new(e)))?;
        let (progress, _) =
            tokio::sync::watch::channel(Progress { readings_version: -1, ..Progress::default() });
        let shared = Shared {
            tables: Arc::new(Tables::new(lake)),
            fleet: Fleet::default(),
            progress,
            base,
            places: Places::new(limits.queries_max),
            limits,
            clock,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Runs a user's query on the newest tables; at most `max_rows` rows, and never more than
    /// the limit.
    pub async fn sql(&self, query: &str, max_rows: usize) -> Result<QueryResult, SqlError> {
        self.sql_of(None, query, max_rows).await
    }

    /// The same over the rows of some vehicles alone, where `whose` names any.
    pub async fn sql_of(
        &self,
        whose: Option<&Whose>,
        query: &str,
        max_rows: usize,
    ) -> Result<QueryResult, SqlError> {
        self.check_length(query)?;
        let result = self.bounded(async |bounded| {
            let snapshot = self.shared.tables.told(&TableKind::ALL).await?;
            let rows_max = max_rows.min(self.shared.limits.rows_max);
            bounded.run(&self.shared, snapshot, (query, whose), rows_max).await
        });
        let result = result.await;
        crate::metrics::query_ended(result.as_ref().err().map(|e| e.kind));
        result
    }

    /// Runs a query on `trips` as it was at one version; no other table is there.
    pub async fn sql_at(&self, trips_version: i64, query: &str) -> Result<QueryResult, SqlError> {
        self.bounded(async |bounded| {
            let snapshot = self.shared.tables.pinned(TableKind::Trips, trips_version).await?;
            bounded.run(&self.shared, snapshot, (query, None), self.shared.limits.rows_max).await
        })
        .await
    }

    /// What each version of `trips` after one added, oldest first; -1 for all.
    pub async fn trip_changes(
        &self,
        after_version: i64,
        max_versions: usize,
    ) -> Result<Vec<TripChange>, SqlError> {
        let Some(mut table) = self.shared.tables.newest_table(TableKind::Trips).await? else {
            return Ok(Vec::new());
        };
        let changes = table.changes(after_version, max_versions).await.map_err(|e| SqlError::internal(&e))?;
        changes
            .into_iter()
            .map(|change| {
                let trips = trip_table::from_batches(&change.batches).map_err(|e| SqlError::internal(&e))?;
                Ok(TripChange { version: change.version, trips })
            })
            .collect()
    }

    /// Positions of a vehicle in `[start, end)`, in order, evenly thinned to `max_points`.
    pub async fn positions(
        &self,
        vehicle: &VehicleId,
        start: Timestamp,
        end: Timestamp,
        max_points: usize,
    ) -> Result<QueryResult, SqlError> {
        let max_points = max_points.clamp(2, self.shared.limits.rows_max.max(2));
        // The id is `[a-z0-9-]`, so it cannot leave its quotes.
        let query = format!(
            "WITH track AS (
               SELECT ts, latitude, longitude, speed_kmh, heading_deg, altitude_m,
                      row_number() OVER (ORDER BY ts) - 1 AS place, count(*) OVER () AS total
               FROM readings
               WHERE vehicle_id = '{vehicle}' AND ts >= {from} AND ts < {to}
                 AND date >= CAST({from} AS DATE) AND date <= CAST({to} AS DATE)
                 AND latitude IS NOT NULL AND longitude IS NOT NULL)
             SELECT ts, latitude, longitude, speed_kmh, heading_deg, altitude_m FROM track
             WHERE total <= {max_points} OR place = total - 1
                OR place % ((total + {spare} - 1) / {spare}) = 0
             ORDER BY ts",
            from = timestamp_literal(start),
            to = timestamp_literal(end),
            spare = max_points - 1,
        );
        self.bounded(async |bounded| {
            let snapshot = self.shared.tables.told(&[TableKind::Readings]).await?;
            bounded.run(&self.shared, snapshot, (&query, None), max_points).await
        })
        .await
    }

    /// The signals that agents with that catalogue can collect; `None` while none of them has sent anything.
    pub async fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, SqlError> {
        self.shared.tables.lake().catalog(hash).await.map_err(|error| SqlError::internal(&error))
    }

    /// The last known state of every vehicle, by id.
    pub fn fleet(&self) -> Vec<VehicleState> {
        self.shared.fleet.states()
    }

    /// The states that changed after a change's number, and the number of the newest; 0 is before all.
    pub fn fleet_since(&self, change: u64) -> (Vec<VehicleState>, u64) {
        self.shared.fleet.since(change)
    }

    /// The number of the newest change of the fleet, which can be awaited.
    pub fn fleet_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.fleet.newest()
    }

    /// Takes in states that are known before they are in the lake.
    pub fn note_states(&self, states: impl IntoIterator<Item = VehicleState>) {
        self.shared.fleet.merge(states);
    }

    /// How far the derivation has come; changes can be awaited.
    pub fn progress(&self) -> tokio::sync::watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// Where the lake is.
    pub fn lake(&self) -> &LakeLocation {
        self.shared.tables.lake().location()
    }

    /// Runs a query of ours, without the users' queue.
    pub(crate) async fn internal(&self, snapshot: Snapshot, query: &str) -> Result<query::Stream, SqlError> {
        query::stream(&self.shared, snapshot, (query, None)).await
    }

    /// The bounds of queries.
    pub(crate) fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// What time it is.
    pub(crate) fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    /// Refuses a text that is too long to be looked at.
    pub(crate) fn check_length(&self, query: &str) -> Result<(), SqlError> {
        let bytes_max = self.shared.limits.query_bytes_max;
        if query.len() > bytes_max {
            return Err(SqlError::invalid(format!(
                "the query has {} bytes; {bytes_max} are allowed",
                query.len()
            )));
        }
        Ok(())
    }

    /// A place among the running queries, waited for no longer than a query may wait: of a named user's
    /// share, or, for the api, which asks for everybody, of all.
    pub(crate) async fn place(&self, who: Option<&str>) -> Result<Place, SqlError> {
        let limits = &self.shared.limits;
        let place = tokio::time::timeout(limits.queue_wait, self.shared.places.take(who)).await;
        place.ok().flatten().ok_or_else(|| SqlError::busy(limits))
    }

    /// Waits for a place, then for the answer, within the statement's time.
    pub(crate) async fn bounded<T>(
        &self,
        ask: impl AsyncFnOnce(Bounded) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        let started_us = self.shared.clock.monotonic_us();
        let limits = &self.shared.limits;
        let place = self.place(None).await?;
        let bounded = Bounded { clock: Arc::clone(&self.shared.clock), started_us };
        let answer = tokio::time::timeout(limits.statement_time, ask(bounded)).await;
        drop(place);
        answer.unwrap_or_else(|_| Err(SqlError::timeout(limits)))
    }
}

/// Versions of tables by name.
pub type Versions = BTreeMap<String, i64>;

/// Whole milliseconds since a monotonic time.
fn elapsed_ms(clock: &dyn Clock, since_us: i64) -> u64 {
    u64::try_from(clock.monotonic_us().saturating_sub(since_us) / 1000).unwrap_or(0)
}

/// Shown in messages.
fn human(duration: Duration) -> String {
    service::config::DurationText(duration).to_string()
}
