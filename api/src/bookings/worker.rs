//! What time does to bookings: sagas left by a process that died go on, what is not confirmed or
//! begun in time expires, and confirmations are delivered. Any number of processes may run it.

use std::{sync::Arc, time::Duration};

use service::{SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use wire::time::Timestamp;

use super::{saga, store};
use crate::{
    db::Db,
    fault::DomainError,
    ticks::Ticks,
    users::notifications::{self, Notifier},
};

/// Bookings looked at in one look; the rest is for the next.
const DUE_COUNT_MAX: i64 = 100;

/// The task's parts.
#[derive(Debug)]
pub struct Worker {
    /// Where bookings are kept.
    pub db: Db,
    /// Who tells people.
    pub notifier: Arc<dyn Notifier>,
    /// Our clock.
    pub clock: SharedClock,
}

impl Worker {
    /// Runs until stopped; a failure is told and tried again at the next tick.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "bookings not looked after, will try again");
            }
        }
    }

    /// One look.
    pub async fn look(&self) -> Result<(), DomainError> {
        let now = Timestamp(self.clock.now_us());
        let due = {
            let mut conn = self.db.read().await?;
            store::due(&mut conn, (now, DUE_COUNT_MAX)).await?
        };
        let mut first_failure = None;
        for id in due {
            // One that fails holds up no other.
            if let Err(error) = saga::run(&self.db, now, &id).await {
                tracing::warn!(error = %chain(&error), booking_id = %id, "booking stands still, will try again");
                first_failure.get_or_insert(error);
            }
        }
        notifications::deliver_due(&self.db, self.notifier.as_ref(), now).await?;
        first_failure.map_or(Ok(()), Err)
    }
}
