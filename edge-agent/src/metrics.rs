//! The agent's metrics, all of them. Labels come from closed sets; never an id.

use metrics::{counter, gauge};

use crate::{campaign::CampaignCounts, source::SourceCounts, spool::Lane};

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
pub(crate) const WAITS: &str = "roadlake_edge_waits_total";
/// Connections made.
pub(crate) const CONNECTIONS: &str = "roadlake_edge_connections_total";
/// Damaged lines and frames.
pub(crate) const CORRUPT: &str = "roadlake_edge_corrupt_lines_total";
/// Times the wall clock was set while the agent ran.
pub(crate) const CLOCK_STEPS: &str = "roadlake_edge_clock_steps_total";
/// Samples dropped, by `reason`.
pub(crate) const DROPPED: &str = "roadlake_edge_dropped_samples_total";
/// Frames that were on a bus and did not arrive, by `reason`.
pub(crate) const LOST: &str = "roadlake_edge_lost_frames_total";
/// Frames of a bus under an id of the agent's own.
pub(crate) const REFUSED: &str = "roadlake_edge_refused_frames_total";
/// What controllers and interfaces report, by `kind`.
pub(crate) const BUS_EVENTS: &str = "roadlake_edge_bus_events_total";
/// Interfaces that give nothing now.
pub(crate) const INTERFACES_OUT: &str = "roadlake_edge_interfaces_out";

/// What became of faults, by `event`.
pub(crate) const FAULT_EVENTS: &str = "roadlake_edge_fault_events_total";
/// How J1939 messages of many frames ended, by `outcome`.
pub(crate) const J1939_SESSIONS: &str = "roadlake_edge_j1939_sessions_total";

/// Diagnostic requests that came to an end, by `outcome`.
pub(crate) const POLLED: &str = "roadlake_edge_polled_requests_total";
/// Bits of requests, answers and flow control on the bus, at their worst.
pub(crate) const POLL_BITS: &str = "roadlake_edge_poll_bits_total";
/// Lists of trouble codes read, by `protocol`.
pub(crate) const FAULT_REPORTS: &str = "roadlake_edge_fault_reports_total";

/// Bytes of the spool's files, when last asked.
pub(crate) const SPOOL_BYTES: &str = "roadlake_edge_spool_bytes";
/// Batches waiting for a durable ack, when last asked.
pub(crate) const SPOOL_BATCHES: &str = "roadlake_edge_spool_batches";

/// Bytes the spool has written on this UTC day: the wear of the disk.
pub(crate) const SPOOL_WRITTEN: &str = "roadlake_edge_spool_written_today_bytes";
/// Commands taken up, by `kind` and `outcome`.
pub(crate) const COMMANDS: &str = "roadlake_edge_commands_total";

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
    WAITS,
    CONNECTIONS,
    CORRUPT,
    DROPPED,
    FAULT_EVENTS,
    J1939_SESSIONS,
    LOST,
    REFUSED,
    BUS_EVENTS,
    INTERFACES_OUT,
    POLLED,
    POLL_BITS,
    FAULT_REPORTS,
    SPOOL_BYTES,
    SPOOL_BATCHES,
    SPOOL_WRITTEN,
    COMMANDS,
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

pub(crate) fn fault_event(kind: crate::faults::EventKind) {
    counter!(FAULT_EVENTS, "event" => kind.name()).increment(1);
}

pub(crate) fn j1939_sessions(outcome: &'static str, count: u64) {
    counter!(J1939_SESSIONS, "outcome" => outcome).increment(count);
}

pub(crate) fn sent(bytes: u64) {
    counter!(SENT).increment(1);
    counter!(SENT_BYTES).increment(bytes);
}

pub(crate) fn acked(batches: u64) {
    counter!(ACKED).increment(batches);
}

pub(crate) fn clock_step() {
    counter!(CLOCK_STEPS).increment(1);
}

pub(crate) fn resent() {
    counter!(RESENDS).increment(1);
}

pub(crate) fn asked_to_wait() {
    counter!(WAITS).increment(1);
}

pub(crate) fn polled(outcome: &'static str, requests: u64) {
    if requests > 0 {
        counter!(POLLED, "outcome" => outcome).increment(requests);
    }
}

pub(crate) fn poll_bits(bits: u64) {
    counter!(POLL_BITS).increment(bits);
}

pub(crate) fn fault_report(protocol: crate::faults::Protocol) {
    counter!(FAULT_REPORTS, "protocol" => protocol.name()).increment(1);
}

pub(crate) fn connected() {
    counter!(CONNECTIONS).increment(1);
}

/// What went wrong in the source between two looks.
#[allow(clippy::cast_precision_loss, reason = "a handful of interfaces")]
pub(crate) fn source_counts(before: &SourceCounts, now: &SourceCounts) {
    let lost = [
        ("kernel", before.lost_in_kernel, now.lost_in_kernel),
        ("controller", before.lost_in_controller, now.lost_in_controller),
        ("shed", before.shed, now.shed),
    ];
    for (reason, before, now) in lost {
        counter!(LOST, "reason" => reason).increment(now.saturating_sub(before));
    }
    let events = [
        ("error_frame", before.error_frames, now.error_frames),
        ("bus_off", before.bus_offs, now.bus_offs),
        ("error_passive", before.error_passives, now.error_passives),
        ("restarted", before.restarts, now.restarts),
        ("interface_lost", before.interface_losses, now.interface_losses),
        ("damaged", before.damaged, now.damaged),
    ];
    for (kind, before, now) in events {
        counter!(BUS_EVENTS, "kind" => kind).increment(now.saturating_sub(before));
    }
    counter!(REFUSED).increment(now.refused.saturating_sub(before.refused));
    gauge!(INTERFACES_OUT).set(now.interfaces_out as f64);
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
