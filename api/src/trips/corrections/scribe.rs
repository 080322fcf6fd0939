//! The scribe: hands what was said to the lake, in order, until the lake has it.

use std::{sync::Arc, time::Duration};

use service::logs::chain;
use tokio_util::sync::CancellationToken;

use super::store;
use crate::{db::Db, fault::DomainError, lake_port::LakeReader, ticks::Ticks};

/// Handed over at a beat.
const RECORDED_MAX: i64 = 500;

/// Hands corrections to the lake.
#[derive(Debug)]
pub struct Scribe {
    /// Where they are.
    pub db: Db,
    /// Where they go.
    pub lake: Arc<dyn LakeReader>,
}

impl Scribe {
    /// Runs until stopped; what fails is told and tried again at the next beat.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.step().await {
                tracing::warn!(error = %chain(&error), "corrections of trips not handed to the lake, will try again");
            }
        }
    }

    /// Hands over what is due. A process that dies between the lake and the note of it hands the same over again,
    /// which the lake leaves as it is.
    pub async fn step(&self) -> Result<usize, DomainError> {
        let due = {
            let mut conn = self.db.read().await?;
            store::to_record(&mut conn, RECORDED_MAX).await?
        };
        for (correction, recorded_version) in &due {
            for row in correction.rows_after(*recorded_version) {
                self.lake.record_correction(row).await?;
            }
            let mut tx = self.db.write().await?;
            store::set_recorded(&mut tx, (&correction.id, correction.version)).await?;
            tx.commit().await?;
        }
        Ok(due.len())
    }
}
