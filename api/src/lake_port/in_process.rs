//! The lake port answered by analytics in the same process.

use std::collections::BTreeMap;

use analytics::{
    Analytics, SqlError, SqlErrorKind, Whose,
    row::{CorrectionRow, QueryResult, TripChange, VehicleState},
    rules::{Changes, Found, Rule, Shape},
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use tokio::sync::watch;
use wire::{
    catalog::Catalog,
    ids::{CatalogHash, VehicleId},
    time::Timestamp,
};

use super::{LakeError, LakeErrorKind, LakeReader, LakeStream, StreamFormat};

impl From<SqlError> for LakeError {
    fn from(error: SqlError) -> Self {
        let kind = match error.kind {
            SqlErrorKind::Invalid => LakeErrorKind::Invalid,
            SqlErrorKind::Busy | SqlErrorKind::Timeout => LakeErrorKind::Busy,
            SqlErrorKind::Internal => LakeErrorKind::Internal,
        };
        Self { kind, message: error.message }
    }
}

#[async_trait]
impl LakeReader for Analytics {
    async fn sql(
        &self,
        whose: Option<&Whose>,
        query: &str,
        max_rows: usize,
    ) -> Result<QueryResult, LakeError> {
        Ok(Analytics::sql_of(self, whose, query, max_rows).await?)
    }

    async fn sql_stream(
        &self,
        whose: Option<&Whose>,
        query: &str,
        how: (StreamFormat, Option<usize>),
    ) -> Result<LakeStream, LakeError> {
        let answer = Analytics::sql_stream(self, whose, query, how).await?;
        let lake_versions = answer.lake_versions.clone();
        let pieces = stream::unfold(answer, |mut answer| async move {
            let piece = answer.next().await?;
            Some((piece.map_err(LakeError::from), answer))
        });
        Ok(LakeStream { lake_versions, pieces: pieces.boxed() })
    }

    async fn sql_at(&self, trips_version: i64, query: &str) -> Result<QueryResult, LakeError> {
        Ok(Analytics::sql_at(self, trips_version, query).await?)
    }

    async fn trip_changes(
        &self,
        after_version: i64,
        max_versions: usize,
    ) -> Result<Vec<TripChange>, LakeError> {
        Ok(Analytics::trip_changes(self, after_version, max_versions).await?)
    }

    async fn positions(
        &self,
        vehicle: &VehicleId,
        start: Timestamp,
        end: Timestamp,
        max_points: usize,
    ) -> Result<QueryResult, LakeError> {
        Ok(Analytics::positions(self, vehicle, start, end, max_points).await?)
    }

    async fn record_correction(&self, row: CorrectionRow) -> Result<(), LakeError> {
        Ok(Analytics::record_correction(self, row).await?)
    }

    async fn check_rule(&self, query: &str) -> Result<Shape, LakeError> {
        Ok(Analytics::check_rule(self, query).await?)
    }

    async fn versions_of(&self, tables: &[String]) -> Result<BTreeMap<String, i64>, LakeError> {
        Ok(Analytics::versions_of(self, tables).await?)
    }

    async fn rule_changes(
        &self,
        tables: &[String],
        after: (&BTreeMap<String, i64>, Timestamp),
    ) -> Result<Changes, LakeError> {
        Ok(Analytics::rule_changes(self, tables, after).await?)
    }

    async fn rule_episodes(
        &self,
        rule: &Rule,
        of: (Option<&Whose>, &BTreeMap<VehicleId, Timestamp>),
        period: (Timestamp, Timestamp),
    ) -> Result<Found, LakeError> {
        Ok(Analytics::rule_episodes(self, rule, of, period).await?)
    }

    async fn catalog(&self, hash: CatalogHash) -> Result<Option<Catalog>, LakeError> {
        Ok(Analytics::catalog(self, hash).await?)
    }

    fn fleet(&self) -> Vec<VehicleState> {
        Analytics::fleet(self)
    }

    fn fleet_since(&self, change: u64) -> (Vec<VehicleState>, u64) {
        Analytics::fleet_since(self, change)
    }

    fn fleet_changes(&self) -> watch::Receiver<u64> {
        Analytics::fleet_changes(self)
    }
}
