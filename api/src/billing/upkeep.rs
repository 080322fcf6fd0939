//! What time does to money: holds expire, and payments left pending are asked about.

use std::{sync::Arc, time::Duration};

use service::{SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use super::{gateway::Gateway, payments, wallets};
use crate::{db::Db, fault::DomainError, ticks::Ticks};

/// The task's parts.
#[derive(Debug)]
pub struct Upkeep {
    /// Where money is kept.
    pub db: Db,
    /// Who takes it from cards.
    pub gateway: Arc<dyn Gateway>,
    /// Our clock.
    pub clock: SharedClock,
}

impl Upkeep {
    /// Runs until stopped; a failure is told and tried again at the next tick.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "upkeep of money failed, will try again");
            }
        }
    }

    /// One look.
    pub async fn look(&self) -> Result<(), DomainError> {
        let now = Timestamp(self.clock.now_us());
        let is_due = {
            let mut conn = self.db.read().await?;
            wallets::has_due(&mut conn, now).await?
        };
        // Only then: an idle process does not write every second.
        if is_due {
            let mut tx = self.db.write().await?;
            wallets::expire_due(&mut tx, now).await?;
            tx.commit().await?;
        }
        payments::resume(&self.db, self.gateway.as_ref(), now).await?;
        Ok(())
    }
}
