//! The agent's metrics, all of them. Labels come from closed sets; never an id.

use metrics::counter;

use crate::{campaign::CampaignCounts, spool::Lane};

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

/// Campaign sets delivered, by `outcome`.
pub(crate) const CAMPAIGN_SETS: &str = "roadlake_edge_campaign_sets_total";
/// Triggers of campaigns, by `outcome`.
pub(crate) const CAMPAIGN_TRIGGERS: &str = "roadlake_edge_campaign_triggers_total";
/// Samples of campaigns, by `outcome`.
pub(crate) const CAMPAIGN_SAMPLES: &str = "roadlake_edge_campaign_samples_total";

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
    CAMPAIGN_SETS,
    CAMPAIGN_TRIGGERS,
    CAMPAIGN_SAMPLES,
];

pub(crate) fn campaign_set(is_accepted: bool) {
    counter!(CAMPAIGN_SETS, "outcome" => if is_accepted { "accepted" } else { "refused" }).increment(1);
}

/// Counts what campaigns did since `before`.
pub(crate) fn campaigns(now: &CampaignCounts, before: &CampaignCounts) {
    for (outcome, now, before) in [
        ("fired", now.triggers, before.triggers),
        ("suppressed", now.suppressed, before.suppressed),
        ("cut_short", now.cut_short, before.cut_short),
    ] {
        counter!(CAMPAIGN_TRIGGERS, "outcome" => outcome).increment(now.saturating_sub(before));
    }
    for (outcome, now, before) in
        [("collected", now.samples, before.samples), ("capped", now.capped, before.capped)]
    {
        counter!(CAMPAIGN_SAMPLES, "outcome" => outcome).increment(now.saturating_sub(before));
    }
}

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
