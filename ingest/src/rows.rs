//! Batches as rows of the lake's tables, sorted by vehicle and time.

mod head;
mod per_column;
mod readings;
mod signals;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    iter::{Peekable, once},
    sync::Arc,
};

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Int64Builder, RecordBatch, StringBuilder,
    },
    error::ArrowError,
};
use lake::TableKind;
use wire::{
    batch::{Batch, Column, Gap, Group, Table, Values},
    catalog::ColumnDef,
    ids::VehicleId,
};

use self::head::{Head, as_i64, rows_of, timestamps};
use crate::verify::{Quarantined, Verified};

/// A value of a column at a row of `diagnostics`.
enum Cell<'a> {
    Number(f64),
    Text(&'a str),
}

/// Walks the present values of a column, row by row.
struct Cursor<'a> {
    column: &'a Column,
    def: &'a ColumnDef,
    /// The present rows that are not yet passed. Looked for from the start each time, they would take a vehicle's
    /// worst batch the square of its rows.
    present: Peekable<Box<dyn Iterator<Item = usize> + 'a>>,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn new(column: &'a Column, def: &'a ColumnDef) -> Self {
        let present: Box<dyn Iterator<Item = usize>> = Box::new(column.present.present_rows());
        Self { column, def, present: present.peekable(), next: 0 }
    }

    /// The value at `row`; rows must be asked in order.
    fn at(&mut self, row: usize) -> Option<Cell<'a>> {
        self.present.next_if_eq(&row)?;
        let i = self.next;
        self.next += 1;
        match &self.column.values {
            Values::Raw(v) => v.get(i).map(|&raw| Cell::Number(self.def.scaled(raw))),
            Values::Number(v) => v.get(i).filter(|x| x.is_finite()).map(|&x| Cell::Number(x)),
            Values::Text(v) => v.get(i).map(|t| Cell::Text(t)),
        }
    }
}

/// Batches by vehicle and time, so that their rows are mostly in the order of the tables.
#[derive(Debug, Clone)]
pub struct ByVehicle<'a>(Vec<&'a Verified>);

impl<'a> ByVehicle<'a> {
    /// From batches in any order.
    pub fn of(batches: impl IntoIterator<Item = &'a Verified>) -> Self {
        let mut by_vehicle: HashMap<&VehicleId, Vec<&'a Verified>> = HashMap::new();
        for verified in batches {
            by_vehicle.entry(&verified.batch.vehicle_id).or_default().push(verified);
        }
        let mut by_vehicle: Vec<_> = by_vehicle.into_iter().collect();
        by_vehicle.sort_unstable_by_key(|(vehicle_id, _)| *vehicle_id);
        for (_, batches) in &mut by_vehicle {
            batches.sort_by_key(|verified| verified.batch.base_time);
        }
        Self(by_vehicle.into_iter().flat_map(|(_, batches)| batches).collect())
    }
}

/// The rows of `table` that these batches make; `None` when there are none.
pub fn telemetry(table: Table, batches: &ByVehicle<'_>) -> Result<Option<RecordBatch>, ArrowError> {
    let rows = match table {
        Table::Readings => readings::rows(&batches.0)?,
        Table::Signals => signals::rows(&batches.0)?,
        Table::Diagnostics => diagnostics(&batches.0)?,
    };
    Ok(Some(rows).filter(|rows| rows.num_rows() > 0))
}

fn groups(table: Table, verified: &Verified) -> impl Iterator<Item = &Group> {
    verified.batch.groups.iter().filter(move |group| group.table == table)
}

fn cursors<'a>(verified: &'a Verified, group: &'a Group) -> Vec<Cursor<'a>> {
    let defined = |c: &'a Column| Some(Cursor::new(c, verified.catalog.column(c.column_id)?));
    group.columns.iter().filter_map(defined).collect()
}

fn diagnostics<'a>(batches: &[&'a Verified]) -> Result<RecordBatch, ArrowError> {
    const TEXTS: [&str; 6] = ["protocol", "ecu", "code", "event", "freeze_frame", "list"];
    const NUMBERS: [&str; 4] = ["spn", "fmi", "occurrences", "status_bits"];
    let mut head = Head::default();
    let mut texts: Vec<StringBuilder> = TEXTS.iter().map(|_| StringBuilder::new()).collect();
    let mut numbers: Vec<Int64Builder> = NUMBERS.iter().map(|_| Int64Builder::new()).collect();
    let of_batch =
        |verified: &'a Verified| groups(Table::Diagnostics, verified).map(move |group| (verified, group));
    for (verified, group) in batches.iter().copied().flat_map(of_batch) {
        head.begin(verified);
        let mut all = cursors(verified, group);
        for (row, &t) in group.times_us.iter().enumerate() {
            head.extend(once(verified.batch.base_time.plus_us(t)));
            let cells: Vec<(&str, Cell)> =
                all.iter_mut().filter_map(|c| Some((c.def.signal.as_str(), c.at(row)?))).collect();
            for (builder, name) in texts.iter_mut().zip(TEXTS) {
                builder.append_option(cells.iter().find_map(|(n, cell)| match cell {
                    Cell::Text(t) if *n == name => Some(*t),
                    _ => None,
                }));
            }
            for (builder, name) in numbers.iter_mut().zip(NUMBERS) {
                builder.append_option(cells.iter().find_map(|(n, cell)| match cell {
                    #[allow(
                        clippy::cast_possible_truncation,
                        reason = "SPN, FMI, counts and bits are small integers"
                    )]
                    Cell::Number(x) if *n == name => Some(*x as i64),
                    _ => None,
                }));
            }
        }
    }
    let mut finished: HashMap<&str, ArrayRef> = HashMap::new();
    for (mut builder, name) in texts.into_iter().zip(TEXTS) {
        finished.insert(name, Arc::new(builder.finish()));
    }
    for (mut builder, name) in numbers.into_iter().zip(NUMBERS) {
        finished.insert(name, Arc::new(builder.finish()));
    }
    let schema = TableKind::Diagnostics.schema();
    // In the table's order.
    let middle: Vec<ArrayRef> =
        schema.fields().iter().filter_map(|field| finished.remove(field.name().as_str())).collect();
    rows_of(TableKind::Diagnostics, head.around(middle, true)?)
}

/// The rows of `gaps`, each with the batch that tells it; `None` when there are none.
pub fn gaps(told: &[(&Verified, &Gap)]) -> Result<Option<RecordBatch>, ArrowError> {
    let mut head = Head::default();
    let (mut lost, mut reason) = (StringBuilder::new(), StringBuilder::new());
    let (mut from, mut to, mut count) = (Int64Builder::new(), Int64Builder::new(), Int64Builder::new());
    let (mut last, mut has_samples) = (Vec::new(), BooleanBuilder::new());
    let mut told = told.to_vec();
    told.sort_by_key(|(verified, _)| &verified.batch.vehicle_id);
    for (verified, gap) in told {
        head.begin(verified);
        head.extend(once(gap.first_time));
        lost.append_value(gap.stream_id.to_string());
        from.append_value(as_i64(gap.from_sequence));
        to.append_value(as_i64(gap.to_sequence));
        count.append_value(as_i64(gap.sample_count));
        last.push(gap.last_time.0);
        reason.append_value(&gap.reason);
        has_samples.append_value(!verified.batch.groups.is_empty());
    }
    let middle: [ArrayRef; 7] = [
        Arc::new(lost.finish()),
        Arc::new(from.finish()),
        Arc::new(to.finish()),
        Arc::new(count.finish()),
        timestamps(last),
        Arc::new(reason.finish()),
        Arc::new(has_samples.finish()),
    ];
    let rows = rows_of(TableKind::Gaps, head.around(middle, false)?)?;
    Ok(Some(rows).filter(|rows| rows.num_rows() > 0))
}

/// The rows of `quarantine`.
pub fn quarantine(items: &[&Quarantined]) -> Result<RecordBatch, ArrowError> {
    let (mut vehicle, mut stream, mut topic) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut reason, mut detail, mut payload) =
        (StringBuilder::new(), StringBuilder::new(), BinaryBuilder::new());
    let (mut sequence, mut count, mut date) =
        (Int64Builder::new(), Int64Builder::new(), Date32Builder::new());
    let mut received = Vec::new();
    for item in items {
        vehicle.append_value(item.vehicle_id.as_str());
        received.push(item.received_at.0);
        date.append_value(item.received_at.utc_day());
        stream.append_option(item.batch.as_ref().map(|b| b.stream_id.to_string()));
        sequence.append_option(item.batch.as_ref().map(|b| as_i64(b.sequence)));
        topic.append_value(&item.topic);
        reason.append_value(item.reason.word());
        detail.append_value(&item.detail);
        count.append_value(as_i64(item.batch.as_ref().map_or(0, Batch::sample_count)));
        payload.append_value(&item.payload);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(vehicle.finish()),
        timestamps(received.clone()),
        Arc::new(date.finish()),
        timestamps(received),
        Arc::new(stream.finish()),
        Arc::new(sequence.finish()),
        Arc::new(topic.finish()),
        Arc::new(reason.finish()),
        Arc::new(detail.finish()),
        Arc::new(count.finish()),
        Arc::new(payload.finish()),
    ];
    RecordBatch::try_new(TableKind::Quarantine.schema(), columns)
}
