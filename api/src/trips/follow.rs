//! The follower: projects each version of the lake's `trips` table, in order and exactly once.
//!
//! A version's rows, their events, mileage, usage, invoice lines and the version reached are of
//! one database transaction. Killed at any instant, the next start goes on at the version the
//! database holds. A second follower on the same database (another process of the api) loses the
//! race for the version, its transaction is rolled back, and it looks again at its next tick.

use std::{sync::Arc, time::Duration};

use analytics::row::TripChange;
use service::{
    SharedClock,
    health::{Health, State},
    logs::chain,
};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use super::{Registration, TripObserver, store, types::Trip};
use crate::{db::Db, fault::DomainError, lake_port::LakeReader, metrics, ticks::Ticks};

/// Name of its row in `lake_followers`.
pub(super) const FOLLOWER: &str = "trips";
/// The part of `/ready` that is the follower.
pub(crate) const HEALTH_PART: &str = "trip follower";
/// Versions asked for at once; each is a transaction of its own.
const VERSIONS_MAX: usize = 64;

/// Follows the lake's `trips`.
#[derive(Debug)]
pub struct Follower {
    /// Where projections go.
    pub db: Db,
    /// Where trips come from.
    pub lake: Arc<dyn LakeReader>,
    /// Who else wants to know.
    pub observer: Arc<dyn TripObserver>,
    /// Whether unknown vehicles are registered.
    pub registration: Registration,
    /// Our clock.
    pub clock: SharedClock,
}

impl Follower {
    /// Runs until stopped; a failure is reported and tried again at the next tick.
    pub(crate) async fn run(self, interval: Duration, health: Health, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            match self.catch_up(&ticks).await {
                Ok(_) => health.set(HEALTH_PART, State::Ready),
                Err(error) => {
                    metrics::follow_failed();
                    tracing::warn!(error = %chain(&error), "trips not followed, will try again");
                    health.set(HEALTH_PART, State::Failing(chain(&error).to_string()));
                }
            }
        }
    }

    async fn catch_up(&self, ticks: &Ticks) -> Result<(), DomainError> {
        while !ticks.is_stopped() {
            if self.step().await? == 0 {
                break;
            }
        }
        self.settle().await
    }

    /// Projects the versions that are new, each in its transaction; returns how many.
    pub async fn step(&self) -> Result<usize, DomainError> {
        let mut from_version = {
            let mut conn = self.db.read().await?;
            store::followed_version(&mut conn, FOLLOWER).await?
        };
        let changes = self.lake.trip_changes(from_version, VERSIONS_MAX).await?;
        for change in &changes {
            if change.version <= from_version {
                continue;
            }
            if !self.project(from_version, change).await? {
                return Ok(0);
            }
            from_version = change.version;
        }
        Ok(changes.len())
    }

    /// Whether it was still to be projected.
    async fn project(&self, from_version: i64, change: &TripChange) -> Result<bool, DomainError> {
        let now = Timestamp(self.clock.now_us());
        let mut tx = self.db.write().await?;
        if !store::advance(&mut tx, FOLLOWER, (from_version, change.version)).await? {
            tracing::debug!(version = change.version, "another process followed it");
            return Ok(false);
        }
        let mut stored_count = 0;
        for row in &change.trips {
            let Some(trip) = Trip::from_row(row, change.version) else {
                // Our own analytics wrote it; a foreign row must not stop all that come after.
                tracing::error!(
                    trip_id = row.trip_id,
                    version = change.version,
                    "trip with a malformed id skipped"
                );
                continue;
            };
            super::store_revision(&mut tx, now, (&trip, self.registration), self.observer.as_ref()).await?;
            stored_count += 1;
        }
        tx.commit().await?;
        metrics::trips_followed(stored_count, change.version);
        tracing::debug!(version = change.version, count = stored_count, "trips followed");
        Ok(true)
    }

    /// Lets the observer go on with what had to wait.
    pub async fn settle(&self) -> Result<(), DomainError> {
        let mut tx = self.db.write().await?;
        self.observer.settle(&mut tx, Timestamp(self.clock.now_us())).await?;
        tx.commit().await?;
        Ok(())
    }
}
