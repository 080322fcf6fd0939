//! Events of faults as batches of `diagnostics`: made at once, not at the end of an interval.
//!
//! The columns are those of the lake's table, with ids after the mapped ones. A batch takes as
//! many events as fit the wire; there is always at least one in it.

use wire::{
    batch::{Column, Group, Table, Values},
    catalog::{Catalog, ColumnDef, ValueKind},
};

use super::Cut;
use crate::{faults::FaultEvent, spool::Lane};

/// Most events in one batch.
const EVENTS_PER_BATCH_MAX: usize = 512;
/// Most bytes of freeze frames in one batch: half of what brokers let through.
const FREEZE_FRAME_BYTES_MAX: usize = 128 * 1024;

/// A column of `diagnostics`: its name, and what an event has in it.
enum Field {
    Text(fn(&FaultEvent) -> Option<String>),
    Number(fn(&FaultEvent) -> Option<i64>),
}

/// In the order of the lake's table, which is the order of their ids.
const FIELDS: [(&str, Field); 10] = [
    ("protocol", Field::Text(|e| Some(e.protocol.name().to_owned()))),
    ("ecu", Field::Text(|e| Some(e.ecu.clone()))),
    ("code", Field::Text(|e| e.code.as_ref().map(|c| c.code.clone()))),
    ("spn", Field::Number(|e| e.code.as_ref()?.spn.map(i64::from))),
    ("fmi", Field::Number(|e| e.code.as_ref()?.fmi.map(i64::from))),
    ("occurrences", Field::Number(|e| e.code.as_ref()?.occurrences.map(i64::from))),
    ("status_bits", Field::Number(|e| e.code.as_ref()?.status_bits.map(i64::from))),
    ("event", Field::Text(|e| Some(e.kind.name().to_owned()))),
    ("freeze_frame", Field::Text(freeze_frame)),
    ("list", Field::Text(|e| Some(e.list.name().to_owned()))),
];

/// The columns of `diagnostics` in a catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FaultColumns {
    first_id: u32,
}

impl FaultColumns {
    /// The columns whose ids begin at `first_id`.
    pub fn starting_at(first_id: u32) -> Self {
        Self { first_id }
    }

    /// The columns in a catalogue; `None` when it has none.
    pub fn of(catalog: &Catalog) -> Option<Self> {
        let first = catalog.columns.iter().find(|c| c.table == Table::Diagnostics)?;
        Some(Self { first_id: first.column_id })
    }

    /// The id after theirs.
    pub fn end_id(self) -> u32 {
        (self.first_id..).zip(&FIELDS).map(|(id, _)| id + 1).last().unwrap_or(self.first_id)
    }

    /// What the catalogue says of them.
    pub fn definitions(self) -> Vec<ColumnDef> {
        let definition = |(column_id, (name, field)): (u32, &(&str, Field))| ColumnDef {
            column_id,
            table: Table::Diagnostics,
            signal: (*name).to_owned(),
            unit: String::new(),
            scale: 1.0,
            offset: 0.0,
            kind: match field {
                Field::Text(_) => ValueKind::Text,
                Field::Number(_) => ValueKind::Raw,
            },
            labels: Vec::new(),
        };
        (self.first_id..).zip(&FIELDS).map(definition).collect()
    }

    /// Adds the batches of some events to `out`, in their order.
    pub fn cut(self, mut events: &[FaultEvent], out: &mut Vec<Cut>) {
        while !events.is_empty() {
            let mut bytes = 0;
            let fits = |event: &&FaultEvent| {
                bytes += freeze_frame(event).map_or(0, |text| text.len());
                bytes <= FREEZE_FRAME_BYTES_MAX
            };
            let count = events.iter().take(EVENTS_PER_BATCH_MAX).take_while(fits).count();
            let (batch, rest) = events.split_at(count.max(1));
            out.extend(self.batch(batch));
            events = rest;
        }
    }

    fn batch(self, events: &[FaultEvent]) -> Option<Cut> {
        let base_time = events.iter().map(|e| e.time).min()?;
        let last_time = events.iter().map(|e| e.time).max()?;
        let columns: Vec<Column> = (self.first_id..)
            .zip(&FIELDS)
            .map(|(column_id, (_, field))| match field {
                Field::Text(value) => column(column_id, events, value, Values::Text),
                Field::Number(value) => column(column_id, events, value, Values::Raw),
            })
            .filter(|column| !column.values.is_empty())
            .collect();
        Some(Cut {
            lane: Lane::Diagnostics,
            base_time,
            last_time,
            sample_count: columns.iter().map(|c| c.values.len() as u64).sum(),
            groups: vec![Group {
                table: Table::Diagnostics,
                times_us: events.iter().map(|e| e.time.since_us(base_time)).collect(),
                columns,
            }],
        })
    }
}

fn column<T>(
    column_id: u32,
    events: &[FaultEvent],
    value: &fn(&FaultEvent) -> Option<T>,
    values: fn(Vec<T>) -> Values,
) -> Column {
    let cells: Vec<Option<T>> = events.iter().map(value).collect();
    let present = cells.iter().map(Option::is_some).collect();
    Column { column_id, present, values: values(cells.into_iter().flatten().collect()) }
}

/// The freeze frame of an event; of one that no batch holds only its size.
fn freeze_frame(event: &FaultEvent) -> Option<String> {
    let text = event.code.as_ref()?.freeze_frame.as_ref()?;
    if text.len() <= FREEZE_FRAME_BYTES_MAX {
        return Some(text.clone());
    }
    Some(format!("{{\"left_out_bytes\":{}}}", text.len()))
}

#[cfg(test)]
mod tests;
