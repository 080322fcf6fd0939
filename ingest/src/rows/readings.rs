//! Rows of `readings`: one an instant of a vehicle, a column a quantity.

use std::{convert::Infallible, ops::Range, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, new_null_array},
    buffer::{BooleanBuffer, Buffer, NullBuffer},
    datatypes::DataType,
    error::ArrowError,
    util::bit_util,
};
use lake::TableKind;
use wire::{
    batch::{Table, Values},
    readings::{COLUMNS, ReadingColumn, ReadingKind, column_of_signal},
    time::Timestamp,
};

use super::{
    groups,
    head::{Head, rows_of},
    per_column::PerColumn,
};
use crate::verify::Verified;

/// A column in the making, of a known number of rows; nothing of it is there before its first value.
#[derive(Default)]
struct Measured {
    values: Vec<f64>,
    /// A bit a row.
    present: Vec<u8>,
}

impl Measured {
    /// Makes room for values.
    fn begin(&mut self, rows: usize) {
        if self.values.is_empty() {
            self.values = vec![0.0; rows];
            self.present = vec![0; rows.div_ceil(8)];
        }
    }

    fn set(&mut self, row: usize, value: f64) {
        if let Some(slot) = self.values.get_mut(row) {
            *slot = value;
            bit_util::set_bit(&mut self.present, row);
        }
    }

    /// Values of rows that follow each other.
    fn set_all(&mut self, from: usize, values: impl ExactSizeIterator<Item = f64>) {
        let rows = from..from + values.len();
        let Some(slots) = self.values.get_mut(rows.clone()) else { return };
        slots.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        set_bits(&mut self.present, rows);
    }

    fn finish(self, of: &ReadingColumn, rows: usize) -> Result<ArrayRef, ArrowError> {
        let is_there = (!self.values.is_empty())
            .then(|| NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(self.present), 0, rows)));
        Ok(match (of.kind, is_there) {
            (ReadingKind::Number, None) => new_null_array(&DataType::Float64, rows),
            (ReadingKind::Boolean, None) => new_null_array(&DataType::Boolean, rows),
            (ReadingKind::Number, nulls) => Arc::new(Float64Array::try_new(self.values.into(), nulls)?),
            (ReadingKind::Boolean, nulls) => {
                let bits: BooleanBuffer = self.values.iter().map(|&x| x != 0.0).collect();
                Arc::new(BooleanArray::new(bits, nulls))
            }
        })
    }
}

/// Sets these bits, a byte at a time where all of it is set.
fn set_bits(bits: &mut [u8], rows: Range<usize>) {
    let whole = rows.start.div_ceil(8)..rows.end / 8;
    if whole.is_empty() {
        return rows.for_each(|row| bit_util::set_bit(bits, row));
    }
    (rows.start..whole.start * 8).chain(whole.end * 8..rows.end).for_each(|row| bit_util::set_bit(bits, row));
    if let Some(bytes) = bits.get_mut(whole) {
        bytes.fill(0xFF);
    }
}

/// Where the rows of a batch go.
#[derive(Default)]
struct Places {
    order: Vec<(Timestamp, usize)>,
    /// By row; empty where each follows the one before.
    places: Vec<usize>,
}

impl Places {
    /// Works them out for a batch whose first row goes to `start`: in the order of the table, within a
    /// batch, as batches mostly follow each other.
    fn of(&mut self, verified: &Verified, start: usize) {
        let times = groups(Table::Readings, verified).flat_map(|g| &g.times_us);
        self.order.clear();
        self.order.extend(times.zip(0..).map(|(&t, row)| (verified.batch.base_time.plus_us(t), row)));
        self.places.clear();
        if self.order.is_sorted() {
            return;
        }
        self.order.sort_unstable();
        self.places.resize(self.order.len(), 0);
        for (place, &(_, row)) in self.order.iter().enumerate() {
            if let Some(slot) = self.places.get_mut(row) {
                *slot = start + place;
            }
        }
    }
}

pub(super) fn rows(batches: &[&Verified]) -> Result<RecordBatch, ArrowError> {
    let of_batch = |v: &&Verified| groups(Table::Readings, v).map(|g| g.times_us.len()).sum::<usize>();
    let rows: usize = batches.iter().map(of_batch).sum();
    let mut head = Head::with_capacity(rows);
    let mut measured: Vec<Measured> = COLUMNS.iter().map(|_| Measured::default()).collect();
    let mut known = PerColumn::default();
    let mut places = Places::default();
    let mut start = 0;
    for &verified in batches {
        places.of(verified, start);
        head.begin(verified);
        head.extend(places.order.iter().map(|(ts, _)| *ts));
        let mut before = 0;
        for group in groups(Table::Readings, verified) {
            for column in &group.columns {
                let found = known.of(&verified.catalog, column.column_id, |def| {
                    Ok::<_, Infallible>(column_of_signal(&def.signal))
                });
                let Ok(Some((def, Some(i)))) = found else { continue };
                let (Some(measured), Some(of)) = (measured.get_mut(i), COLUMNS.get(i)) else { continue };
                measured.begin(rows);
                let mut values_before = 0;
                for span in column.present.spans() {
                    let own = values_before..values_before + span.len();
                    values_before = own.end;
                    let to = before + span.start..before + span.end;
                    match &column.values {
                        Values::Raw(raws) => {
                            let raws = raws.get(own).unwrap_or_default().iter();
                            let values = raws.map(|&raw| def.scaled(raw) * of.scale);
                            match places.places.get(to.clone()) {
                                Some(places) => {
                                    places.iter().zip(values).for_each(|(row, x)| measured.set(*row, x));
                                }
                                None => measured.set_all(start + to.start, values),
                            }
                        }
                        Values::Number(numbers) => {
                            let numbers = numbers.get(own).unwrap_or_default();
                            for (row, x) in to.zip(numbers).filter(|(_, x)| x.is_finite()) {
                                let row = places.places.get(row).copied().unwrap_or(start + row);
                                measured.set(row, x * of.scale);
                            }
                        }
                        // No reading is a text.
                        Values::Text(_) => {}
                    }
                }
            }
            before += group.times_us.len();
        }
        start += places.order.len();
    }
    let middle = measured.into_iter().zip(COLUMNS).map(|(measured, of)| measured.finish(of, rows));
    let middle: Vec<ArrayRef> = middle.collect::<Result<_, _>>()?;
    rows_of(TableKind::Readings, head.around(middle, true)?)
}
