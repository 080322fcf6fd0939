//! The fleet's last states, kept by a process that derives no trips: another one does.

use lake::TableKind;
use service::{SharedClock, Tasks, logs::chain};

use super::{
    Follower, PassError,
    touched::{self, Touched},
};
use crate::{config::Settings, engine::Analytics};

/// Keeps [`Analytics::fleet`] up to the newest readings of a lake that is only read here. A pass
/// that fails is tried again after the interval; the states stay what they were.
pub fn watch_fleet(analytics: &Analytics, settings: &Settings, tasks: &Tasks, clock: SharedClock) {
    let mut follower = Follower::new(analytics.clone(), settings, clock);
    let (stop, interval) = (tasks.stop_token(), settings.interval);
    tasks.spawn("fleet watch", async move {
        while !stop.is_cancelled() {
            match follower.watch_pass().await {
                Ok(true) => continue,
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %chain(&error), "pass over readings failed"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(interval) => {}
            }
        }
        Ok(())
    });
}

impl Follower {
    /// Takes in the states of the next versions; says whether more wait.
    pub(super) async fn watch_pass(&mut self) -> Result<bool, PassError> {
        let Some(mut readings) = self.analytics.shared.tables.newest_table(TableKind::Readings).await? else {
            return Ok(false);
        };
        let cursor = match self.cursor {
            Some(cursor) => cursor,
            None => {
                let reached = readings.version();
                let states = touched::last_states(self, self.fleet_days_max).await?;
                self.analytics.shared.fleet.merge(states);
                reached
            }
        };
        let reached = self.take_changes(&mut readings, cursor, &mut Touched::default()).await?;
        self.cursor = Some(reached);
        Ok(readings.version() > reached)
    }
}
