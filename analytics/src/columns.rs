//! Rows of the derived tables as Arrow holds them, both ways: what their files have in common.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use lake::TableKind;
use wire::{ids::VehicleId, time::Timestamp};

/// Why rows cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Arrow refused.
    #[error("derived rows do not fit their table")]
    Arrow(#[from] ArrowError),
    /// A value no version of ours writes.
    #[error("column {column} of table {table} holds {value:?}, which this release does not know")]
    Value {
        /// Which table.
        table: &'static str,
        /// Which column.
        column: &'static str,
        /// What it holds.
        value: String,
    },
}

/// Rows in a table's schema, given how one column is made.
pub(crate) fn to_batch<T>(
    kind: TableKind,
    rows: &[T],
    column: fn(&str, &[T]) -> ArrayRef,
) -> Result<RecordBatch, RowError> {
    let schema = kind.schema();
    let columns: Result<Vec<ArrayRef>, ArrowError> =
        schema.fields().iter().map(|field| cast(&column(field.name(), rows), field.data_type())).collect();
    Ok(RecordBatch::try_new(schema, columns?)?)
}

/// A column of whole numbers.
pub(crate) fn ints<T>(rows: &[T], get: fn(&T) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(get).collect::<Int64Array>())
}

/// A column of floats.
pub(crate) fn floats<T>(rows: &[T], get: fn(&T) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(get).collect::<Float64Array>())
}

/// A column of texts.
pub(crate) fn texts<T>(rows: &[T], get: fn(&T) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(get).collect::<StringArray>())
}

/// A column of times.
pub(crate) fn times<T>(rows: &[T], get: fn(&T) -> Option<Timestamp>) -> ArrayRef {
    let times: TimestampMicrosecondArray = rows.iter().map(|row| get(row).map(|ts| ts.0)).collect();
    Arc::new(times.with_timezone("UTC"))
}

/// The partition column.
pub(crate) fn days<T>(rows: &[T], get: fn(&T) -> Timestamp) -> ArrayRef {
    Arc::new(rows.iter().map(|row| Some(get(row).utc_day())).collect::<Date32Array>())
}

/// A column added by a later release: null until ours fills it.
pub(crate) fn unknown<T>(rows: &[T]) -> ArrayRef {
    arrow::array::new_null_array(&DataType::Null, rows.len())
}

/// The rows of batches, in order, given how one is made.
pub(crate) fn from_batches<T>(
    kind: TableKind,
    batches: &[RecordBatch],
    row: fn(&Columns<'_>, usize) -> Result<T, RowError>,
) -> Result<Vec<T>, RowError> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns = Columns { table: kind.name(), batch };
        for i in 0..batch.num_rows() {
            rows.push(row(&columns, i)?);
        }
    }
    Ok(rows)
}

/// A batch of one table, read by name.
pub(crate) struct Columns<'a> {
    table: &'static str,
    batch: &'a RecordBatch,
}

impl Columns<'_> {
    fn cast_one(&self, name: &str, i: usize, to: &DataType) -> Result<ArrayRef, ArrowError> {
        let index = self.batch.schema_ref().index_of(name)?;
        cast(&self.batch.column(index).slice(i, 1), to)
    }

    /// A text.
    pub(crate) fn text(&self, name: &'static str, i: usize) -> Result<Option<String>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Utf8)?;
        Ok(one.is_valid(0).then(|| one.as_string::<i32>().value(0).to_owned()))
    }

    /// A float.
    pub(crate) fn float(&self, name: &'static str, i: usize) -> Result<Option<f64>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Float64)?;
        Ok(one.is_valid(0).then(|| one.as_primitive::<Float64Type>().value(0)))
    }

    /// A whole number.
    pub(crate) fn int(&self, name: &'static str, i: usize) -> Result<Option<i64>, ArrowError> {
        let one = self.cast_one(name, i, &DataType::Int64)?;
        Ok(one.is_valid(0).then(|| one.as_primitive::<Int64Type>().value(0)))
    }

    /// A time.
    pub(crate) fn time(&self, name: &'static str, i: usize) -> Result<Option<Timestamp>, ArrowError> {
        let one = self.cast_one(name, i, &lake::schema::timestamp_type())?;
        Ok(one.is_valid(0).then(|| Timestamp(one.as_primitive::<TimestampMicrosecondType>().value(0))))
    }

    /// A value that is never null.
    pub(crate) fn required<T>(
        &self,
        name: &'static str,
        value: Result<Option<T>, ArrowError>,
    ) -> Result<T, RowError> {
        value?.ok_or_else(|| self.unknown(name, "null"))
    }

    /// A text that is never null.
    pub(crate) fn required_text(&self, name: &'static str, i: usize) -> Result<String, RowError> {
        self.required(name, self.text(name, i))
    }

    /// A whole number that is never null.
    pub(crate) fn required_int(&self, name: &'static str, i: usize) -> Result<i64, RowError> {
        self.required(name, self.int(name, i))
    }

    /// A time that is never null.
    pub(crate) fn required_time(&self, name: &'static str, i: usize) -> Result<Timestamp, RowError> {
        self.required(name, self.time(name, i))
    }

    /// Whose row.
    pub(crate) fn vehicle_id(&self, i: usize) -> Result<VehicleId, RowError> {
        let vehicle = self.required_text("vehicle_id", i)?;
        vehicle.parse().map_err(|_| self.unknown("vehicle_id", &vehicle))
    }

    /// A value that none of our releases wrote.
    pub(crate) fn unknown(&self, column: &'static str, value: &str) -> RowError {
        RowError::Value { table: self.table, column, value: value.to_owned() }
    }
}
