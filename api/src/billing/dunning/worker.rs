//! Looks which cases have something due, takes it, and asks the gateway for what was begun. Any number of processes may
//! run it: a step is taken by one of them.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use service::{SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use super::steps::{self, Begun};
use crate::{
    billing::{gateway::Gateway, payments, store},
    db::Db,
    fault::DomainError,
    ids::InvoiceId,
    metrics,
    ticks::Ticks,
};

/// Cases looked at in one look; the rest is for the next.
const DUE_COUNT_MAX: i64 = 100;
/// Of them at once: a gateway may take its time.
const AT_ONCE: usize = 8;

/// The task's parts.
#[derive(Debug)]
pub struct Dunner {
    /// Where invoices are kept.
    pub db: Db,
    /// Who takes money from cards.
    pub gateway: Arc<dyn Gateway>,
    /// Our clock.
    pub clock: SharedClock,
}

impl Dunner {
    /// Runs until stopped; a failure is told and tried again at the next tick.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "invoices not dunned, will try again");
            }
        }
    }

    /// One look; returns how many cases had something due.
    pub async fn look(&self) -> Result<usize, DomainError> {
        let now = self.now();
        let due = {
            let mut conn = self.db.read().await?;
            store::dunning::due(&mut conn, (now, DUE_COUNT_MAX)).await?
        };
        let count = due.len();
        let taking = futures::stream::iter(due).map(|id| async move {
            // One that fails holds up no other.
            if let Err(error) = self.take(&id).await {
                tracing::warn!(error = %chain(&error), invoice_id = %id, "dunning stands still, will try again");
            }
        });
        taking.buffer_unordered(AT_ONCE).collect::<()>().await;
        Ok(count)
    }

    async fn take(&self, id: &InvoiceId) -> Result<(), DomainError> {
        let mut tx = self.db.write().await?;
        let begun = steps::take_due(&mut tx, self.now(), id).await?;
        tx.commit().await?;
        match begun {
            Begun::Nothing => {}
            Begun::WalletPaid => metrics::payment_succeeded(),
            Begun::Card(stored) => {
                payments::charge((&self.db, self.gateway.as_ref(), &self.clock), *stored).await?;
            }
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_us())
    }
}
