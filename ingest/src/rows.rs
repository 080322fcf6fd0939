//! Batches as rows of the lake's tables, sorted by vehicle and time.

mod head;

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Float64Builder, Int64Builder, RecordBatch,
        StringBuilder,
    },
    error::ArrowError,
};
use lake::TableKind;
use wire::{
    batch::{Batch, Column, Gap, Group, Table, Values},
    catalog::ColumnDef,
    readings::{COLUMNS, ReadingKind, column_of_signal},
};

use self::head::{Head, Names, as_i64, by_vehicle, rows_of, timestamps};
use crate::verify::{Quarantined, Verified};

/// A value of a column at a row.
enum Cell<'a> {
    Number(f64),
    Text(&'a str),
}

/// Walks the present values of a column, row by row.
struct Cursor<'a> {
    column: &'a Column,
    def: &'a ColumnDef,
    next: usize,
}

impl<'a> Cursor<'a> {
    fn new(column: &'a Column, def: &'a ColumnDef) -> Self {
        Self { column, def, next: 0 }
    }

    /// The value at `row`; rows must be asked in order.
    fn at(&mut self, row: usize) -> Option<(Cell<'a>, Option<&'a str>)> {
        if !self.column.present.get(row).copied().unwrap_or(false) {
            return None;
        }
        let i = self.next;
        self.next += 1;
        match &self.column.values {
            Values::Raw(v) => v.get(i).map(|&raw| (Cell::Number(self.def.scaled(raw)), self.def.label(raw))),
            Values::Number(v) => v.get(i).filter(|x| x.is_finite()).map(|&x| (Cell::Number(x), None)),
            Values::Text(v) => v.get(i).map(|t| (Cell::Text(t), None)),
        }
    }
}

/// The rows of `table` that these batches make; `None` when there are none.
pub fn telemetry(table: Table, batches: &[&Verified]) -> Result<Option<RecordBatch>, ArrowError> {
    let batches = by_vehicle(batches);
    let rows = match table {
        Table::Readings => readings(&batches)?,
        Table::Signals => signals(&batches)?,
        Table::Diagnostics => diagnostics(&batches)?,
    };
    Ok(Some(rows).filter(|rows| rows.num_rows() > 0))
}

fn groups<'a>(table: Table, batches: &'a [&Verified]) -> impl Iterator<Item = (&'a Verified, &'a Group)> {
    batches
        .iter()
        .flat_map(move |v| v.batch.groups.iter().filter(move |g| g.table == table).map(move |g| (*v, g)))
}

fn cursors<'a>(verified: &'a Verified, group: &'a Group) -> Vec<Cursor<'a>> {
    let defined = |c: &'a Column| Some(Cursor::new(c, verified.catalog.column(c.column_id)?));
    group.columns.iter().filter_map(defined).collect()
}

enum ReadingBuilder {
    Number(Float64Builder),
    Boolean(BooleanBuilder),
}

impl ReadingBuilder {
    fn append(&mut self, number: Option<f64>) {
        match self {
            Self::Number(b) => b.append_option(number),
            Self::Boolean(b) => b.append_option(number.map(|x| x != 0.0)),
        }
    }

    fn append_nulls(&mut self, count: usize) {
        match self {
            Self::Number(b) => b.append_nulls(count),
            Self::Boolean(b) => b.append_nulls(count),
        }
    }
}

fn readings(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let mut head = Head::default();
    let mut builders: Vec<ReadingBuilder> = COLUMNS
        .iter()
        .map(|c| match c.kind {
            ReadingKind::Number => ReadingBuilder::Number(Float64Builder::new()),
            ReadingKind::Boolean => ReadingBuilder::Boolean(BooleanBuilder::new()),
        })
        .collect();
    for (verified, group) in groups(Table::Readings, batches) {
        // One cursor a table column, where the group has it.
        let mut by_column: Vec<Option<Cursor>> = COLUMNS.iter().map(|_| None).collect();
        for cursor in cursors(verified, group) {
            if let Some(slot) = column_of_signal(&cursor.def.signal).and_then(|i| by_column.get_mut(i)) {
                *slot = Some(cursor);
            }
        }
        let rows = group.times_us.len();
        head.begin(verified);
        group.times_us.iter().for_each(|&t| head.push(verified.batch.base_time.plus_us(t)));
        for ((builder, column), cursor) in builders.iter_mut().zip(COLUMNS).zip(&mut by_column) {
            let Some(cursor) = cursor else {
                builder.append_nulls(rows);
                continue;
            };
            for row in 0..rows {
                builder.append(match cursor.at(row) {
                    Some((Cell::Number(x), _)) => Some(x * column.scale),
                    _ => None,
                });
            }
        }
    }
    let measured = builders.into_iter().map(|b| -> ArrayRef {
        match b {
            ReadingBuilder::Number(mut b) => Arc::new(b.finish()),
            ReadingBuilder::Boolean(mut b) => Arc::new(b.finish()),
        }
    });
    rows_of(TableKind::Readings, head.around(measured, true)?)
}

fn signals(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let mut head = Head::default();
    let (mut signals, mut signal) = (Names::default(), Vec::new());
    let (mut value, mut text) = (Float64Builder::new(), StringBuilder::new());
    for (verified, group) in groups(Table::Signals, batches) {
        head.begin(verified);
        let mut all = Vec::with_capacity(group.columns.len());
        for cursor in cursors(verified, group) {
            all.push((signals.key(&cursor.def.signal)?, cursor));
        }
        // Row by row, which is the order of the table.
        for (row, &t) in group.times_us.iter().enumerate() {
            let ts = verified.batch.base_time.plus_us(t);
            for (key, cursor) in &mut all {
                let Some((cell, label)) = cursor.at(row) else { continue };
                head.push(ts);
                signal.push(*key);
                match cell {
                    Cell::Number(x) => {
                        value.append_value(x);
                        text.append_option(label);
                    }
                    Cell::Text(t) => {
                        value.append_null();
                        text.append_value(t);
                    }
                }
            }
        }
    }
    let middle: [ArrayRef; 3] = [signals.column(signal)?, Arc::new(value.finish()), Arc::new(text.finish())];
    rows_of(TableKind::Signals, head.around(middle, true)?)
}

fn diagnostics(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    const TEXTS: [&str; 6] = ["protocol", "ecu", "code", "event", "freeze_frame", "list"];
    const NUMBERS: [&str; 4] = ["spn", "fmi", "occurrences", "status_bits"];
    let mut head = Head::default();
    let mut texts: Vec<StringBuilder> = TEXTS.iter().map(|_| StringBuilder::new()).collect();
    let mut numbers: Vec<Int64Builder> = NUMBERS.iter().map(|_| Int64Builder::new()).collect();
    for (verified, group) in groups(Table::Diagnostics, batches) {
        head.begin(verified);
        let mut all = cursors(verified, group);
        for (row, &t) in group.times_us.iter().enumerate() {
            head.push(verified.batch.base_time.plus_us(t));
            let cells: Vec<(&str, Cell)> = all
                .iter_mut()
                .filter_map(|c| c.at(row).map(|(cell, _)| (c.def.signal.as_str(), cell)))
                .collect();
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
    let mut finished: std::collections::HashMap<&str, ArrayRef> = std::collections::HashMap::new();
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
        head.push(gap.first_time);
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
        timestamps(&last),
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
        timestamps(&received),
        Arc::new(date.finish()),
        timestamps(&received),
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
