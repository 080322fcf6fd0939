//! What the api asks of the lake; analytics answers in process, tests with a fake.

mod in_process;

use std::{collections::BTreeMap, fmt};

pub use analytics::engine::{Piece, StreamFormat};
use analytics::{
    Whose,
    row::{CorrectionRow, QueryResult, TripChange, VehicleState},
    rules::{Changes, Found, Rule, Shape},
};
use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::watch;
use wire::{
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
    time::Timestamp,
};

use crate::fault::Kind;

/// Why the lake did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LakeError {
    /// Whose fault.
    pub kind: LakeErrorKind,
    /// What the engine said, with its hints.
    pub message: String,
}

/// Whose fault a lake error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeErrorKind {
    /// The query's.
    Invalid,
    /// Too much at once, or too long.
    Busy,
    /// Ours.
    Internal,
}

impl LakeErrorKind {
    pub(crate) fn as_kind(self) -> Kind {
        match self {
            Self::Invalid => Kind::Invalid,
            Self::Busy => Kind::Busy,
            Self::Internal => Kind::Internal,
        }
    }
}

/// An answer as it is made. One without [`Piece::End`] was cut.
pub struct LakeStream {
    /// The version of each table that it is of.
    pub lake_versions: BTreeMap<String, i64>,
    /// What it consists of; nothing comes after an error.
    pub pieces: BoxStream<'static, Result<Piece, LakeError>>,
}

/// The lake: read, and told what people said of trips.
#[async_trait]
pub trait LakeReader: Send + Sync + fmt::Debug {
    /// Runs a user's query, read-only, on the newest tables: of everybody's rows, or of some
    /// vehicles' alone.
    async fn sql(
        &self,
        whose: Option<&Whose>,
        query: &str,
        max_rows: usize,
    ) -> Result<QueryResult, LakeError>;

    /// The same, streamed: all rows, within the engine's limit, where no number is asked for.
    async fn sql_stream(
        &self,
        whose: Option<&Whose>,
        query: &str,
        how: (StreamFormat, Option<usize>),
    ) -> Result<LakeStream, LakeError>;

    /// Runs a query on `trips` as of one version; no other table is there.
    async fn sql_at(&self, trips_version: i64, query: &str) -> Result<QueryResult, LakeError>;

    /// What each version of `trips` after one added, in order; -1 for all.
    async fn trip_changes(
        &self,
        after_version: i64,
        max_versions: usize,
    ) -> Result<Vec<TripChange>, LakeError>;

    /// Readings of a vehicle in `[start, end)`, thinned to `max_points`: columns `ts`, `latitude`,
    /// `longitude`, `speed_kmh`, `heading_deg`, `altitude_m`.
    async fn positions(
        &self,
        vehicle: &VehicleId,
        start: Timestamp,
        end: Timestamp,
        max_points: usize,
    ) -> Result<QueryResult, LakeError>;

    /// Records a revision of a correction, for the derivation of trips to heed; one that is there is left.
    async fn record_correction(&self, row: CorrectionRow) -> Result<(), LakeError>;

    /// Looks whether a query can be a rule.
    async fn check_rule(&self, query: &str) -> Result<Shape, LakeError>;

    /// The versions of tables now.
    async fn versions_of(&self, tables: &[String]) -> Result<BTreeMap<String, i64>, LakeError>;

    /// Whose data is new in tables after versions, and of which time; where versions are gone, what speaks of a time or
    /// later.
    async fn rule_changes(
        &self,
        tables: &[String],
        after: (&BTreeMap<String, i64>, Timestamp),
    ) -> Result<Changes, LakeError>;

    /// When a rule was so in `[from, to]`, of some vehicles and of each up to a moment.
    async fn rule_episodes(
        &self,
        rule: &Rule,
        of: (Option<&Whose>, &BTreeMap<VehicleId, Timestamp>),
        period: (Timestamp, Timestamp),
    ) -> Result<Found, LakeError>;

    /// The signals that agents with that catalogue can collect, once they have sent something.
    async fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, LakeError>;

    /// The last reading of each vehicle.
    fn fleet(&self) -> Vec<VehicleState>;

    /// Those that changed after a change's number, and the number of the newest; 0 is before all.
    fn fleet_since(&self, change: u64) -> (Vec<VehicleState>, u64);

    /// The number of the newest change, which can be awaited.
    fn fleet_changes(&self) -> watch::Receiver<u64>;
}
