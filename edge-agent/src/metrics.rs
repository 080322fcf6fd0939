//! The agent's metrics, all of them. Labels come from closed sets; never an id.

use metrics::{counter, gauge};

use crate::spool::Lane;

/// Frames read from the source.
pub(crate) const FRAMES: &str = "roadlake_edge_frames_total";
/// Samples put in the spool, by `table`.
pub(crate) const SAMPLES: &str = "roadlake_edge_samples_total";
/// Batches put in the spool, by `table`.
pub(crate) const BATCHES: &str = "roadlake_edge_batches_total";
/// Batches published, those sent again included.
pub(crate) const SENT: &str = "roadlake_edge_sent_batches_total";
/// Payload bytes published.
pub(crate) const SENT_BYTES: &str = "roadlake_edge_sent_bytes_total";
/// Batches covered by a durable ack.
pub(crate) const ACKED: &str = "roadlake_edge_acked_batches_total";
/// Windows sent again for want of an ack.
pub(crate) const RESENDS: &str = "roadlake_edge_resends_total";
/// Connections made.
pub(crate) const CONNECTIONS: &str = "roadlake_edge_connections_total";
/// Damaged lines and frames.
pub(crate) const CORRUPT: &str = "roadlake_edge_corrupt_lines_total";
/// Samples dropped, by `reason`.
pub(crate) const DROPPED: &str = "roadlake_edge_dropped_samples_total";

/// Bytes of the spool's files, when last asked.
pub(crate) const SPOOL_BYTES: &str = "roadlake_edge_spool_bytes";
/// Batches waiting for a durable ack, when last asked.
pub(crate) const SPOOL_BATCHES: &str = "roadlake_edge_spool_batches";

/// Bytes the spool has written on this UTC day: the wear of the disk.
pub(crate) const SPOOL_WRITTEN: &str = "roadlake_edge_spool_written_today_bytes";
/// Commands taken up, by `kind` and `outcome`.
pub(crate) const COMMANDS: &str = "roadlake_edge_commands_total";

/// Every metric of the agent.
pub const NAMES: &[&str] = &[
    FRAMES,
    SAMPLES,
    BATCHES,
    SENT,
    SENT_BYTES,
    ACKED,
    RESENDS,
    CONNECTIONS,
    CORRUPT,
    DROPPED,
    SPOOL_BYTES,
    SPOOL_BATCHES,
    SPOOL_WRITTEN,
    COMMANDS,
];

pub(crate) fn frames(count: u64) {
    counter!(FRAMES).increment(count);
}

pub(crate) fn corrupt_line() {
    counter!(CORRUPT).increment(1);
}

pub(crate) fn spooled(lane: Lane, samples: u64) {
    let table = lane.table().name();
    counter!(SAMPLES, "table" => table).increment(samples);
    counter!(BATCHES, "table" => table).increment(1);
}

pub(crate) fn dropped(reason: crate::spool::DropReason, samples: u64) {
    counter!(DROPPED, "reason" => reason.name()).increment(samples);
}

pub(crate) fn sent(bytes: u64) {
    counter!(SENT).increment(1);
    counter!(SENT_BYTES).increment(bytes);
}

pub(crate) fn acked(batches: u64) {
    counter!(ACKED).increment(batches);
}

pub(crate) fn resent() {
    counter!(RESENDS).increment(1);
}

pub(crate) fn connected() {
    counter!(CONNECTIONS).increment(1);
}

#[allow(clippy::cast_precision_loss, reason = "a gauge")]
pub(crate) fn spool_now(bytes: u64, batches: u64, written_today_bytes: u64) {
    gauge!(SPOOL_WRITTEN).set(written_today_bytes as f64);
    gauge!(SPOOL_BYTES).set(bytes as f64);
    gauge!(SPOOL_BATCHES).set(batches as f64);
}

pub(crate) fn command(kind: &'static str, outcome: &'static str) {
    counter!(COMMANDS, "kind" => kind, "outcome" => outcome).increment(1);
}
