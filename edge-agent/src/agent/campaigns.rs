//! The collecting thread's side of campaigns: what is new, what was done and spent.

use std::{fs, sync::Arc, time::Duration};

use service::{Clock, logs::chain, tasks::TaskError};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    campaign::{CampaignCounts, Desk, Plan},
    collect::Collector,
    metrics,
};

/// Time between two writes of what was spent: what a killed agent forgets.
const KEEP_INTERVAL_US: i64 = 60_000_000;

/// How often the local file is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Reads the local set again when its time or length changes.
pub(super) async fn watch_file(desk: Arc<Desk>, stop: CancellationToken) -> Result<(), TaskError> {
    let mut seen = None;
    loop {
        let looking = Arc::clone(&desk);
        seen = tokio::task::spawn_blocking(move || {
            let found = looking.file().and_then(|path| fs::metadata(path).ok());
            let now = found.and_then(|meta| Some((meta.modified().ok()?, meta.len())));
            // Also when first seen: it may have changed since the start.
            if now.is_some() && now != seen {
                looking.read_file();
            }
            now
        })
        .await?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
    }
}

/// The campaigns of one agent.
pub(super) struct Campaigns {
    pub(super) desk: Arc<Desk>,
    seen: u64,
    told: CampaignCounts,
    kept_us: i64,
    /// Whether what was spent counts over a restart; a replay is a function of its log alone.
    keeps_spent: bool,
}

impl Campaigns {
    /// Those of a collector that has the plan in force already.
    pub(super) fn new(desk: Arc<Desk>, keeps_spent: bool) -> Self {
        let seen = desk.accepted();
        Self { desk, seen, told: CampaignCounts::default(), kept_us: 0, keeps_spent }
    }

    /// A plan accepted since the last call.
    pub(super) fn take_new(&mut self) -> Option<Arc<Plan>> {
        self.desk.take_new(&mut self.seen)
    }

    /// Counts what was done, and keeps what was spent now and then.
    pub(super) fn note(&mut self, collector: &Collector, clock: &dyn Clock) {
        let now_us = clock.monotonic_us();
        if self.keeps_spent && now_us.saturating_sub(self.kept_us) >= KEEP_INTERVAL_US {
            self.kept_us = now_us;
            self.keep(collector);
        }
        self.count(collector);
    }

    /// The end of collecting.
    pub(super) fn end(&mut self, collector: &Collector) {
        if self.keeps_spent {
            self.keep(collector);
        }
        self.count(collector);
    }

    fn count(&mut self, collector: &Collector) {
        if let Some((counts, _)) = collector.campaigns() {
            metrics::campaigns(&counts, &self.told);
            self.told = counts;
        }
    }

    fn keep(&self, collector: &Collector) {
        if let Some((_, spent)) = collector.campaigns()
            && let Err(error) = self.desk.keep_spent(&spent)
        {
            warn!(error = %chain(&error), "bytes spent by campaigns not kept");
        }
    }
}
