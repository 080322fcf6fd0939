//! The columns every telemetry table begins with, and the order of its rows.

use std::{collections::HashMap, fmt::Display, hash::Hash, iter::repeat_n, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondBuilder, UInt32Array, new_null_array,
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
    /// Each with the rows that follow it.
    sources: Vec<Source<'a>>,
    ts: Vec<i64>,
}

struct Source<'a> {
    verified: &'a Verified,
    /// The place of its vehicle among those there are.
    vehicle: u32,
    rows: usize,
}

impl<'a> Head<'a> {
    /// The rows that follow are of this batch. Batches come by vehicle ([`by_vehicle`]).
    pub(super) fn begin(&mut self, verified: &'a Verified) {
        let vehicle = match self.sources.last() {
            None => 0,
            Some(last) if last.verified.batch.vehicle_id == verified.batch.vehicle_id => last.vehicle,
            Some(last) => {
                debug_assert!(last.verified.batch.vehicle_id < verified.batch.vehicle_id);
                last.vehicle + 1
            }
        };
        self.sources.push(Source { verified, vehicle, rows: 0 });
    }

    /// A row of the batch begun last.
    pub(super) fn push(&mut self, ts: Timestamp) {
        let Some(source) = self.sources.last_mut() else { return };
        source.rows += 1;
        self.ts.push(ts.0);
    }

    /// A table's columns, sorted by vehicle and time, else as they came: the head, `middle` and, of
    /// tables of samples, the clock.
    pub(super) fn around(
        self,
        middle: impl IntoIterator<Item = ArrayRef>,
        has_clock: bool,
    ) -> Result<Vec<ArrayRef>, ArrowError> {
        let order = self.order();
        let mut columns = self.columns()?;
        columns.extend(middle);
        if has_clock {
            columns.push(self.clock());
        }
        match order {
            None => Ok(columns),
            Some(order) => columns.iter().map(|column| take(column, &order, None)).collect(),
        }
    }

    /// Where the rows belong that are not in order; `None` when all are, as those of a quiet fleet.
    fn order(&self) -> Option<UInt32Array> {
        let keys = || self.of_rows(|source| source.vehicle).zip(self.ts.iter().copied());
        if keys().is_sorted() {
            return None;
        }
        // As one number each: what is compared, then the place, which keeps equals as they came.
        let packed = |(place, (vehicle, ts)): (u32, (u32, i64))| {
            let rising = ts.cast_unsigned() ^ (1 << 63);
            u128::from(vehicle) << 96 | u128::from(rising) << 32 | u128::from(place)
        };
        let mut placed: Vec<u128> = (0..).zip(keys()).map(packed).collect();
        placed.sort_unstable();
        #[allow(clippy::cast_possible_truncation, reason = "the place is the lowest 32 bits")]
        Some(placed.into_iter().map(|key| key as u32).collect())
    }

    /// What is of a batch, for each of its rows.
    fn of_rows<T: Copy>(&self, of: impl Fn(&Source<'a>) -> T) -> impl Iterator<Item = T> {
        self.sources.iter().flat_map(move |source| repeat_n(of(source), source.rows))
    }

    fn columns(&self) -> Result<Vec<ArrayRef>, ArrowError> {
        let count = self.ts.len();
        // Names are told once a batch; a row is a key.
        let (mut vehicles, mut streams) = (Names::default(), Names::default());
        let (mut vehicle_id, mut stream_id) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut received_at, mut sequence) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for source in &self.sources {
            let (batch, rows) = (&source.verified.batch, source.rows);
            vehicle_id.extend(repeat_n(vehicles.key(&batch.vehicle_id)?, rows));
            stream_id.extend(repeat_n(streams.key(&batch.stream_id)?, rows));
            received_at.extend(repeat_n(source.verified.received_at.0, rows));
            sequence.extend(repeat_n(as_i64(batch.sequence), rows));
        }
        let date: Date32Array = self.ts.iter().map(|&ts| Some(Timestamp(ts).utc_day())).collect();
        Ok(vec![
            vehicles.column(vehicle_id)?,
            timestamps(&self.ts),
            Arc::new(date),
            timestamps(&received_at),
            streams.column(stream_id)?,
            Arc::new(Int64Array::from(sequence)),
        ])
    }

    /// How far each row's time can be believed, which most batches say nothing of.
    fn clock(&self) -> ArrayRef {
        if self.sources.iter().all(|source| source.verified.batch.clock.word().is_none()) {
            return new_null_array(&DataType::Utf8, self.ts.len());
        }
        let words = self.of_rows(|source| source.verified.batch.clock.word());
        Arc::new(words.collect::<StringArray>())
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
