//! The columns every telemetry table begins with, and the order of its rows.

use std::{collections::HashMap, fmt::Display, hash::Hash, iter::repeat_n, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, Date32Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray, UInt32Array, new_null_array,
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
    /// Room for so many rows.
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { sources: Vec::new(), ts: Vec::with_capacity(rows) }
    }

    /// The rows that follow are of this batch. Batches come by vehicle ([`ByVehicle`]).
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

    /// Rows of the batch begun last, by their times.
    pub(super) fn extend(&mut self, times: impl Iterator<Item = Timestamp>) {
        let Some(source) = self.sources.last_mut() else { return };
        let before = self.ts.len();
        self.ts.extend(times.map(|ts| ts.0));
        source.rows += self.ts.len() - before;
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
        let mut last = (0, i64::MIN);
        let is_sorted = self.spans().all(|(source, ts)| {
            let before = std::mem::replace(&mut last, (source.vehicle, ts.last().map_or(i64::MIN, |ts| *ts)));
            let is_behind = before.0 != source.vehicle || ts.first().is_none_or(|first| before.1 <= *first);
            is_behind && ts.is_sorted()
        });
        if is_sorted {
            return None;
        }
        let keys = self.of_rows(|source| source.vehicle).zip(self.ts.iter().copied());
        // As one number each: what is compared, then the place, which keeps equals as they came.
        let packed = |(place, (vehicle, ts)): (u32, (u32, i64))| {
            let rising = ts.cast_unsigned() ^ (1 << 63);
            u128::from(vehicle) << 96 | u128::from(rising) << 32 | u128::from(place)
        };
        let mut placed: Vec<u128> = (0..).zip(keys).map(packed).collect();
        placed.sort_unstable();
        #[allow(clippy::cast_possible_truncation, reason = "the place is the lowest 32 bits")]
        Some(placed.into_iter().map(|key| key as u32).collect())
    }

    /// Each batch with the times of its rows.
    fn spans(&self) -> impl Iterator<Item = (&Source<'a>, &[i64])> {
        let mut rest = self.ts.as_slice();
        self.sources.iter().filter(|source| source.rows > 0).map(move |source| {
            let (own, others) = rest.split_at(source.rows.min(rest.len()));
            rest = others;
            (source, own)
        })
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
        let mut date = Vec::with_capacity(count);
        for (source, ts) in self.spans() {
            let batch = &source.verified.batch;
            // Each ends where its rows do.
            let end = vehicle_id.len() + ts.len();
            vehicle_id.resize(end, vehicles.key(&batch.vehicle_id)?);
            stream_id.resize(end, streams.key(&batch.stream_id)?);
            received_at.resize(end, source.verified.received_at.0);
            sequence.resize(end, as_i64(batch.sequence));
            let day = |ts: i64| Timestamp(ts).utc_day();
            // A batch is of seconds, and so of one day.
            match (ts.iter().copied().min().map(day), ts.iter().copied().max().map(day)) {
                (Some(first), Some(last)) if first == last => date.resize(end, first),
                _ => date.extend(ts.iter().map(|ts| day(*ts))),
            }
        }
        Ok(vec![
            vehicles.column(vehicle_id)?,
            timestamps(self.ts.clone()),
            Arc::new(Date32Array::from(date)),
            timestamps(received_at),
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
    /// The one asked for last, and so mostly the next.
    last: Option<(&'a T, i32)>,
}

impl<T> Default for Names<'_, T> {
    fn default() -> Self {
        Self { keys: HashMap::new(), texts: Vec::new(), last: None }
    }
}

impl<'a, T: Eq + Hash + Display> Names<'a, T> {
    pub(super) fn key(&mut self, name: &'a T) -> Result<i32, ArrowError> {
        if let Some((_, key)) = self.last.filter(|(last, _)| *last == name) {
            return Ok(key);
        }
        if let Some(key) = self.keys.get(name) {
            self.last = Some((name, *key));
            return Ok(*key);
        }
        let key = i32::try_from(self.texts.len()).map_err(|_| ArrowError::DictionaryKeyOverflowError)?;
        self.texts.push(name.to_string());
        self.keys.insert(name, key);
        self.last = Some((name, key));
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

pub(super) fn timestamps(us: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(us).with_timezone("UTC"))
}

pub(super) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
