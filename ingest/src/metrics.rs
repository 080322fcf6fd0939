//! The metrics of ingest; `docs/metrics.md` lists them.

use lake::maintenance::{Compacted, status::TableStatus};
use metrics::{counter, gauge, histogram};
use mqtt::End;

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

pub(crate) fn batches_received() {
    counter!("roadlake_ingest_batches_received_total").increment(1);
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

pub(crate) fn message_shed() {
    counter!("roadlake_ingest_messages_shed_total").increment(1);
}

pub(crate) fn wait_told() {
    counter!("roadlake_ingest_waits_told_total").increment(1);
}

pub(crate) fn last_states_shared(count: u64) {
    counter!("roadlake_ingest_last_states_shared_total").increment(count);
}

pub(crate) fn last_states_shed(count: u64) {
    counter!("roadlake_ingest_last_states_shed_total").increment(count);
}

pub(crate) fn messages_ignored() {
    counter!("roadlake_ingest_messages_ignored_total").increment(1);
}

pub(crate) fn broker_disconnected(end: &End) {
    if matches!(end, End::Closed) {
        return;
    }
    counter!("roadlake_ingest_broker_disconnects_total").increment(1);
}

/// One more vehicle has something to be told that the broker has not been handed yet.
pub(crate) fn ack_waits() {
    gauge!("roadlake_ingest_acks_waiting").increment(1.0);
}

/// One less.
pub(crate) fn ack_handed_on() {
    gauge!("roadlake_ingest_acks_waiting").decrement(1.0);
}

/// Payload bytes that wait for a commit.
pub(crate) fn buffer_bytes(bytes: usize) {
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    gauge!("roadlake_ingest_buffer_bytes").set(bytes as f64);
}

/// How long the oldest batch of a shard had waited when it was durable.
pub(crate) fn lag(shard: u32, lag_us: i64) {
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    gauge!("roadlake_ingest_lag_seconds", "shard" => shard.to_string()).set(lag_us as f64 / 1e6);
}

/// A pass over a table that went well.
pub(crate) fn compacted(table: &'static str, done: &Compacted, elapsed_us: i64) {
    counter!("roadlake_ingest_lake_rewritten_files_total", "table" => table).increment(done.files_removed);
    counter!("roadlake_ingest_lake_rewritten_bytes_total", "table" => table).increment(done.bytes_removed);
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    histogram!("roadlake_ingest_lake_compaction_duration_seconds", "table" => table)
        .record(elapsed_us as f64 / 1e6);
}

/// A table as a pass left it.
pub(crate) fn table_files(table: &'static str, status: &TableStatus) {
    #[allow(clippy::cast_precision_loss, reason = "a metric")]
    let as_f64 = |n: u64| n as f64;
    gauge!("roadlake_ingest_lake_files", "table" => table).set(as_f64(status.files));
    gauge!("roadlake_ingest_lake_bytes", "table" => table).set(as_f64(status.bytes));
    gauge!("roadlake_ingest_lake_compaction_debt_files", "table" => table).set(as_f64(status.loose_files));
}

pub(crate) fn files_vacuumed(table: &'static str, count: u64) {
    counter!("roadlake_ingest_lake_vacuumed_files_total", "table" => table).increment(count);
}

pub(crate) fn maintenance_failed(table: &'static str) {
    counter!("roadlake_ingest_lake_maintenance_failures_total", "table" => table).increment(1);
}
