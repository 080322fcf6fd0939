//! What went wrong in the source, from its counts to the agent's counts, metrics and log.

use std::{sync::atomic::Ordering, time::Duration};

use service::{Clock, clock::micros};
use tracing::warn;

use super::shared::Shared;
use crate::{metrics, source::SourceCounts};

/// Least time between two tellings of loss in the log.
const TELL_INTERVAL: Duration = Duration::from_secs(60);

/// Compares a source's counts with those seen before.
#[derive(Debug, Default)]
pub(super) struct SourceWatch {
    seen: SourceCounts,
    /// Losses told so far, and when last.
    told_lost: u64,
    told_at_us: Option<i64>,
}

impl SourceWatch {
    /// Takes the counts of now.
    pub(super) fn look(&mut self, counts: SourceCounts, shared: &Shared, clock: &dyn Clock) {
        if counts != self.seen {
            metrics::source_counts(&self.seen, &counts);
            let c = &shared.counters;
            c.frames_lost.store(counts.frames_lost(), Ordering::Relaxed);
            c.frames_refused.store(counts.refused, Ordering::Relaxed);
            c.bus_offs.store(counts.bus_offs, Ordering::Relaxed);
            c.interface_losses.store(counts.interface_losses, Ordering::Relaxed);
            c.interfaces_out.store(counts.interfaces_out, Ordering::Relaxed);
            self.seen = counts;
        }
        let lost = counts.frames_lost();
        if lost == self.told_lost {
            return;
        }
        let now_us = clock.monotonic_us();
        if self.told_at_us.is_none_or(|at| now_us.saturating_sub(at) >= micros(TELL_INTERVAL)) {
            warn!(
                count = lost - self.told_lost,
                kernel = counts.lost_in_kernel,
                controller = counts.lost_in_controller,
                shed = counts.shed,
                "frames lost before they were decoded"
            );
            (self.told_lost, self.told_at_us) = (lost, Some(now_us));
        }
    }
}
