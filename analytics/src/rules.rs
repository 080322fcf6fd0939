//! Rules: queries that tell when something is so of a vehicle, asked of new data and of history alike.
//!
//! *Owns* what a query must be like to be a rule (`check`), which rows it sees (`cut`), and the episodes that its
//! rows make (`episode`). *Does not own* rules, nor what is told of to whom (the api's `alerts`).
//!
//! A rule is a `SELECT` with a row for each moment at which it is so: `vehicle_id`, `ts`, and whatever else it tells.
//! Asked about a period, it sees the rows of that period, of `look_back` before it and of `look_ahead` after it, and
//! no others. As it keeps vehicles apart too, its answer for a vehicle and a moment is the same whenever, and
//! together with whatever else, it is asked.

mod check;
mod cut;
mod episode;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use datafusion::{logical_expr::LogicalPlanBuilder, prelude::col};
use futures::StreamExt;
use lake::{ReadError, TableKind, Whose};
use service::clock::micros;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    Analytics, SqlError, columns,
    engine::{Versions, planned, timestamp_literal},
    row::ColumnInfo,
};
pub use episode::{Episode, Found};

/// What it is about, in every rule.
const VEHICLE: &str = "vehicle_id";
/// When, in every rule.
const TIME: &str = "ts";
/// What else it is of beside a vehicle, in a rule that tells of several things: a trouble code, an area.
const KEY: &str = "key";
/// A result of more is no use to anybody.
const EPISODES_MAX: usize = 10_000;
/// Versions of a table looked at in one go.
const VERSIONS_MAX: usize = 64;

/// A rule, as far as it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The `SELECT`.
    pub query: String,
    /// How far before a moment it looks.
    pub look_back: Duration,
    /// How far after it.
    pub look_ahead: Duration,
    /// Moments of a vehicle at most so far apart are of one episode.
    pub quiet: Duration,
}

/// What a rule is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    /// The tables it reads, by name, in order.
    pub reads: Vec<String>,
    /// What it tells of each moment.
    pub columns: Vec<ColumnInfo>,
}

/// From which to which moment something is new, by vehicle.
pub type Spans = BTreeMap<VehicleId, (Timestamp, Timestamp)>;

/// What is new in some tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The versions up to which that is.
    pub versions: Versions,
    /// Whose, and of which time.
    pub touched: Spans,
    /// Whether there are newer versions yet.
    pub has_more: bool,
}

impl Analytics {
    /// Looks whether a query can be a rule; the error says why not.
    pub async fn check_rule(&self, query: &str) -> Result<Shape, SqlError> {
        self.check_length(query)?;
        self.bounded(async |_| {
            let snapshot = self.shared.tables.told(&TableKind::ALL).await?;
            let (_, plan) = planned(&self.shared, snapshot, (query, None)).await?;
            let kinds = check::looked(&plan)?;
            let columns = plan.schema().fields().iter();
            Ok(Shape {
                reads: kinds.into_iter().map(|kind| kind.name().to_owned()).collect(),
                columns: columns
                    .map(|f| ColumnInfo { name: f.name().clone(), data_type: f.data_type().to_string() })
                    .collect(),
            })
        })
        .await
    }

    /// The versions of tables now: what a rule that begins now has seen.
    pub async fn versions_of(&self, tables: &[String]) -> Result<Versions, SqlError> {
        let mut versions = Versions::new();
        for kind in kinds_of(tables) {
            let table = self.shared.tables.newest_table(kind).await?;
            versions.insert(kind.name().to_owned(), table.map_or(-1, |table| table.version()));
        }
        Ok(versions)
    }

    /// What is new in these tables after some versions; of one that is not named, all. Where versions are gone, all
    /// that speaks of `since` or later.
    pub async fn rule_changes(
        &self,
        tables: &[String],
        (after, since): (&Versions, Timestamp),
    ) -> Result<Changes, SqlError> {
        let mut changes = Changes::default();
        for kind in kinds_of(tables) {
            let known = after.get(kind.name()).copied().unwrap_or(-1);
            changes.versions.insert(kind.name().to_owned(), known);
            let Some(mut table) = self.shared.tables.newest_table(kind).await? else { continue };
            let newest = table.version();
            if newest <= known {
                continue;
            }
            let (reached, vehicles) = match table.touched(known, VERSIONS_MAX).await {
                Ok(touched) => (touched.version, touched.vehicles),
                Err(ReadError::VersionGone { .. }) => (newest, self.speaking_of(kind, since).await?),
                Err(error) => return Err(SqlError::internal(&error)),
            };
            changes.versions.insert(kind.name().to_owned(), reached);
            changes.has_more |= reached < newest;
            for (vehicle, (from, to)) in vehicles {
                // Ingest checks ids; a row of another writer with a bad one is nobody's.
                let Ok(vehicle_id) = vehicle.parse::<VehicleId>() else { continue };
                let span = changes.touched.entry(vehicle_id).or_insert((from, to));
                *span = (span.0.min(from), span.1.max(to));
            }
        }
        Ok(changes)
    }

    /// When a rule was so in `[from, to]`, by vehicle and time; of each vehicle up to the moment in `until`, if there
    /// is one. `whose` narrows it to some vehicles.
    pub async fn rule_episodes(
        &self,
        rule: &Rule,
        (whose, until): (Option<&Whose>, &BTreeMap<VehicleId, Timestamp>),
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Found, SqlError> {
        self.check_length(&rule.query)?;
        self.bounded(async |_| {
            let mut snapshot = self.shared.tables.told(&TableKind::ALL).await?;
            let seen = (from.plus_us(-micros(rule.look_back)), to.plus_us(micros(rule.look_ahead)));
            snapshot.narrow(|kind, schema| cut::condition(kind, schema, (whose, seen)));
            let (context, plan) = planned(&self.shared, snapshot, (&rule.query, None)).await?;
            check::looked(&plan)?;
            let ts = || col(format!("rule.{TIME}"));
            let within = ts().gt_eq(cut::time(from)).and(ts().lt_eq(cut::time(to)));
            let has_key = plan.schema().fields().iter().any(|field| field.name() == KEY);
            let order = [Some(VEHICLE), has_key.then_some(KEY), Some(TIME)].into_iter().flatten();
            let plan = LogicalPlanBuilder::from(plan)
                .alias("rule")?
                .filter(within.and(col(format!("rule.{VEHICLE}")).is_not_null()))?
                .sort(order.map(|name| col(format!("rule.{name}")).sort(true, true)))?
                .build()?;
            let mut rows = context.execute_logical_plan(plan).await?.execute_stream().await?;
            let mut episodes = episode::Fold::new((rule.quiet, EPISODES_MAX), until);
            while let Some(batch) = rows.next().await {
                episodes.take(&batch?)?;
            }
            Ok(episodes.finish())
        })
        .await
    }

    /// The vehicles of a table's rows that speak of a time or later, with the first and last they speak of.
    async fn speaking_of(
        &self,
        kind: TableKind,
        since: Timestamp,
    ) -> Result<BTreeMap<String, (Timestamp, Timestamp)>, SqlError> {
        let (start, end) = kind.times();
        let query = format!(
            "SELECT vehicle_id, min({start}) AS first_ts, max(coalesce({end}, {start})) AS last_ts FROM {}
             WHERE coalesce({end}, {start}) >= {} GROUP BY vehicle_id",
            kind.name(),
            timestamp_literal(since),
        );
        let snapshot = self.shared.tables.newest(&[kind]).await?;
        let mut rows = self.internal(snapshot, &query).await?;
        let mut batches = Vec::new();
        while let Some(batch) = rows.next().await {
            batches.push(batch?);
        }
        let spans = columns::from_batches(kind, &batches, |columns, row| {
            let span = (columns.required_time("first_ts", row)?, columns.required_time("last_ts", row)?);
            Ok((columns.required_text("vehicle_id", row)?, span))
        });
        Ok(spans.map_err(|e| SqlError::internal(&e))?.into_iter().collect())
    }
}

/// The tables of names; what people said of trips is always one of them: what is private changes what a rule tells.
fn kinds_of(tables: &[String]) -> BTreeSet<TableKind> {
    let named = TableKind::ALL.into_iter().filter(|kind| tables.iter().any(|name| name == kind.name()));
    named.chain([TableKind::TripCorrections]).collect()
}

#[cfg(test)]
mod tests;
