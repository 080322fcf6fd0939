//! The metrics of ingest; `docs/metrics.md` lists them.

use metrics::{counter, histogram};

/// What became of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In the lake.
    Stored,
    /// Was there already.
    Duplicate,
    /// In `quarantine`.
    Quarantined,
}

pub(crate) fn samples(outcome: Outcome, count: u64) {
    let outcome = match outcome {
        Outcome::Stored => "stored",
        Outcome::Duplicate => "duplicate",
        Outcome::Quarantined => "quarantined",
    };
    counter!("roadlake_ingest_samples_total", "outcome" => outcome).increment(count);
}

pub(crate) fn batches_quarantined(reason: &'static str) {
    counter!("roadlake_ingest_batches_quarantined_total", "reason" => reason).increment(1);
}

pub(crate) fn commit(table: &'static str, elapsed_us: i64) {
    counter!("roadlake_ingest_commits_total", "table" => table).increment(1);
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    histogram!("roadlake_ingest_commit_duration_seconds", "table" => table).record(elapsed_us as f64 / 1e6);
}

pub(crate) fn commit_retries(table: &'static str) {
    counter!("roadlake_ingest_commit_retries_total", "table" => table).increment(1);
}

pub(crate) fn messages_ignored() {
    counter!("roadlake_ingest_messages_ignored_total").increment(1);
}

pub(crate) fn broker_disconnects() {
    counter!("roadlake_ingest_broker_disconnects_total").increment(1);
}

pub(crate) fn downlink_dropped() {
    counter!("roadlake_ingest_downlink_dropped_total").increment(1);
}
