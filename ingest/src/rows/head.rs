//! The columns every telemetry table begins with, and the order of its rows.

use std::{collections::HashMap, fmt::Display, hash::Hash, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Date32Builder, DictionaryArray, Int32Array, Int64Builder, RecordBatch, StringArray,
        StringBuilder, TimestampMicrosecondBuilder, UInt32Array, new_null_array,
    },
    compute::take,
    datatypes::{DataType, Int32Type, Schema},
    error::ArrowError,
};
use lake::TableKind;
use wire::time::Timestamp;

use crate::verify::Verified;

/// Rows, each of a batch and a time. What is the same for all rows of a batch is held once.
#[derive(Default)]
pub(super) struct Head<'a> {
    batches: Vec<Source<'a>>,
    rows: Vec<Row>,
}

struct Source<'a> {
    verified: &'a Verified,
    /// The place of its vehicle among those there are.
    vehicle: u32,
}

#[derive(Clone, Copy)]
struct Row {
    batch: u32,
    vehicle: u32,
    ts: Timestamp,
}

impl<'a> Head<'a> {
    /// The rows that follow are of this batch. Batches come by vehicle ([`by_vehicle`]).
    pub(super) fn begin(&mut self, verified: &'a Verified) {
        let vehicle = match self.batches.last() {
            None => 0,
            Some(last) if last.verified.batch.vehicle_id == verified.batch.vehicle_id => last.vehicle,
            Some(last) => {
                debug_assert!(last.verified.batch.vehicle_id < verified.batch.vehicle_id);
                last.vehicle + 1
            }
        };
        self.batches.push(Source { verified, vehicle });
    }

    /// A row of the batch begun last.
    pub(super) fn push(&mut self, ts: Timestamp) {
        let Some(source) = self.batches.last() else { return };
        let batch = u32::try_from(self.batches.len() - 1).unwrap_or(u32::MAX);
        self.rows.push(Row { batch, vehicle: source.vehicle, ts });
    }

    /// A table's columns, sorted by vehicle and time, else as they came: the head, `middle` and, of
    /// tables of samples, the clock.
    pub(super) fn around(
        mut self,
        middle: impl IntoIterator<Item = ArrayRef>,
        has_clock: bool,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let order = self.sort();
        let mut columns = self.columns()?;
        for column in middle {
            columns.push(match &order {
                None => column,
                Some(order) => take(&column, order, None)?,
            });
        }
        if has_clock {
            columns.push(self.clock());
        }
        Ok(columns)
    }

    /// Sorts the rows; where each was, unless they were in order, as those of a quiet fleet are.
    fn sort(&mut self) -> Option<UInt32Array> {
        let key = |row: &Row| (row.vehicle, row.ts);
        if self.rows.is_sorted_by_key(key) {
            return None;
        }
        let mut placed: Vec<(u32, Row)> = (0..).zip(self.rows.iter().copied()).collect();
        placed.sort_by_key(|(_, row)| key(row));
        self.rows = placed.iter().map(|(_, row)| *row).collect();
        Some(placed.into_iter().map(|(place, _)| place).collect())
    }

    fn sources(&self) -> impl Iterator<Item = (&Row, &Source<'a>)> {
        self.rows.iter().filter_map(|row| Some((row, self.batches.get(row.batch as usize)?)))
    }

    fn columns(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        let count = self.rows.len();
        // Names are told once a batch; a row is a key.
        let (mut vehicles, mut streams) = (Names::default(), Names::default());
        let keys: Vec<(i32, i32)> = self
            .batches
            .iter()
            .map(|s| {
                let batch = &s.verified.batch;
                Ok((vehicles.key(&batch.vehicle_id)?, streams.key(&batch.stream_id)?))
            })
            .collect::<Result<_, ArrowError>>()?;
        let (mut vehicle_id, mut stream_id) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut date, mut sequence) =
            (Date32Builder::with_capacity(count), Int64Builder::with_capacity(count));
        let (mut ts, mut received_at) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for row in &self.rows {
            let place = row.batch as usize;
            let (Some(source), Some(keys)) = (self.batches.get(place), keys.get(place)) else { continue };
            vehicle_id.push(keys.0);
            ts.push(row.ts.0);
            date.append_value(row.ts.utc_day());
            received_at.push(source.verified.received_at.0);
            stream_id.push(keys.1);
            sequence.append_value(as_i64(source.verified.batch.sequence));
        }
        Ok(vec![
            vehicles.column(vehicle_id)?,
            timestamps(&ts),
            Arc::new(date.finish()),
            timestamps(&received_at),
            streams.column(stream_id)?,
            Arc::new(sequence.finish()),
        ])
    }

    /// How far each row's time can be believed, which most batches say nothing of.
    fn clock(&self) -> ArrayRef {
        if self.batches.iter().all(|source| source.verified.batch.clock.word().is_none()) {
            return new_null_array(&DataType::Utf8, self.rows.len());
        }
        let mut clock = StringBuilder::with_capacity(self.rows.len(), 0);
        self.sources().for_each(|(_, source)| clock.append_option(source.verified.batch.clock.word()));
        Arc::new(clock.finish())
    }
}

/// Texts of a column that are the same for many rows, each with its key.
pub(super) struct Names<'a, T> {
    keys: HashMap<&'a T, i32>,
    texts: Vec<String>,
}

impl<T> Default for Names<'_, T> {
    fn default() -> Self {
        Self { keys: HashMap::new(), texts: Vec::new() }
    }
}

impl<'a, T: Eq + Hash + Display> Names<'a, T> {
    pub(super) fn key(&mut self, name: &'a T) -> Result<i32, ArrowError> {
        if let Some(key) = self.keys.get(name) {
            return Ok(*key);
        }
        let key = i32::try_from(self.texts.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
        self.texts.push(name.to_string());
        self.keys.insert(name, key);
        Ok(key)
    }

    /// The column of rows with these keys.
    pub(super) fn column(self, keys: Vec<i32>) -> Result<ArrayRef, ArrowError> {
        let texts = StringArray::from_iter_values(self.texts);
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(Int32Array::from(keys), Arc::new(texts))?))
    }
}

/// Rows of a table; its texts may be dictionaries.
pub(super) fn rows_of(kind: TableKind, columns: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let schema = kind.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields = fields.map(|(field, column)| {
        let field = field.as_ref().clone();
        if matches!(column.data_type(), DataType::Dictionary(..)) {
            field.with_data_type(column.data_type().clone())
        } else {
            field
        }
    });
    let schema = Schema::new(fields.collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns)
}

/// Batches by vehicle and time: what [`Head`] takes, mostly in the order of the table then.
pub(super) fn by_vehicle<'a>(batches: &[&'a Verified]) -> Vec<&'a Verified> {
    let mut batches = batches.to_vec();
    batches.sort_by(|a, b| {
        let key = |v: &'a Verified| (&v.batch.vehicle_id, v.batch.base_time);
        key(a).cmp(&key(b))
    });
    batches
}

pub(super) fn timestamps(us: &[i64]) -> ArrayRef {
    let mut builder = TimestampMicrosecondBuilder::with_capacity(us.len());
    builder.append_slice(us);
    Arc::new(builder.finish().with_timezone("UTC"))
}

pub(super) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
