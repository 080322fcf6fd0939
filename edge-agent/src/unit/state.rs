//! What a running agent shows of itself: the JSON of `/v1/state`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wire::{
    catalog::{Catalog, ColumnDef},
    time::Timestamp,
};

use crate::{
    agent::{Stats, latest::LatestRow},
    map::RawValue,
    spool::DropReason,
    uplink::LinkState,
};

/// A running agent at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitState {
    /// The vehicle.
    pub vehicle_id: String,
    /// Release of the agent.
    pub agent_version: String,
    /// Wall clock of the unit.
    pub now: Timestamp,
    /// Its monotonic clock, for rates between two states.
    pub monotonic_us: i64,
    /// How the way to the cloud is.
    pub link: LinkState,
    /// What the broker refused last, unless batches became durable since.
    #[serde(default)]
    pub refusal: Option<String>,
    /// What has been counted since the start.
    pub counts: UnitCounts,
    /// The signals, in the order of their column ids.
    pub signals: Vec<SignalState>,
}

/// The counts of a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCounts {
    /// Frames read.
    pub frames: u64,
    /// Of them, frames without a mapped signal.
    pub frames_undecoded: u64,
    /// Damaged lines and frames.
    pub corrupt_lines: u64,
    /// Samples put in the spool.
    pub samples_collected: u64,
    /// Samples durable in the cloud.
    pub samples_acked: u64,
    /// Samples waiting for that.
    pub samples_in_spool: u64,
    /// Samples dropped, by reason; none that is 0.
    pub samples_dropped: BTreeMap<String, u64>,
    /// Batches waiting.
    pub batches_in_spool: u64,
    /// Bytes of the spool's files.
    pub spool_bytes: u64,
    /// Bytes the spool has written on this UTC day.
    pub spool_written_today_bytes: u64,
    /// Bytes of payloads sent.
    pub bytes_sent: u64,
    /// Connections made after the first.
    pub reconnects: u64,
    /// Windows sent again.
    pub resends: u64,
}

/// One signal of a state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalState {
    /// VSS path.
    pub signal: String,
    /// Its unit; empty when it has none.
    pub unit: String,
    /// Its last value on the bus.
    pub value: Option<SignalValue>,
    /// When that was, by the frame.
    pub time: Option<Timestamp>,
    /// How many values there were.
    pub count: u64,
}

/// A value for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SignalValue {
    /// In the signal's unit.
    Number(f64),
    /// The label of a raw value.
    Text(String),
}

impl UnitCounts {
    pub(crate) fn of(stats: &Stats) -> Self {
        let dropped = DropReason::ALL.into_iter().map(|r| (r.name().to_owned(), stats.dropped_by(r)));
        Self {
            frames: stats.frames,
            frames_undecoded: stats.frames_undecoded,
            corrupt_lines: stats.corrupt_lines,
            samples_collected: stats.samples_collected_total(),
            samples_acked: stats.samples_acked,
            samples_in_spool: stats.samples_in_spool,
            samples_dropped: dropped.filter(|(_, count)| *count > 0).collect(),
            batches_in_spool: stats.batches_in_spool,
            spool_bytes: stats.spool_bytes,
            spool_written_today_bytes: stats.spool_written_today_bytes,
            bytes_sent: stats.bytes_sent,
            reconnects: stats.reconnects,
            resends: stats.resends,
        }
    }
}

/// The signals of a catalogue with what is known of them.
pub(crate) fn signals(catalog: &Catalog, rows: &[LatestRow]) -> Vec<SignalState> {
    let of_column = |column: &ColumnDef| {
        let row = rows.get(column.column_id as usize).copied().unwrap_or_default();
        SignalState {
            signal: column.signal.clone(),
            unit: column.unit.clone(),
            value: row.value.map(|value| shown(column, value)),
            time: row.value.map(|_| row.time),
            count: row.count,
        }
    };
    catalog.columns.iter().map(of_column).collect()
}

#[allow(clippy::cast_precision_loss, reason = "a value for people")]
fn shown(column: &ColumnDef, value: RawValue) -> SignalValue {
    match value {
        RawValue::Number(number) => SignalValue::Number(number),
        RawValue::Raw(raw) => match column.labels.iter().find(|(value, _)| *value == raw) {
            Some((_, label)) => SignalValue::Text(label.clone()),
            None => SignalValue::Number(raw as f64 * column.scale + column.offset),
        },
    }
}
