//! Arrow rows as JSON values: times in RFC 3339, numbers as numbers, the rest as text.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::{Map, Number, Value};
use wire::time::Timestamp;

/// Adds the rows of a batch.
pub(super) fn append_rows(
    batch: &RecordBatch,
    rows: &mut Vec<Vec<Value>>,
) -> Result<(), datafusion::error::DataFusionError> {
    let mut columns: Vec<_> = columns(batch)?.into_iter().map(Vec::into_iter).collect();
    for _ in 0..batch.num_rows() {
        rows.push(columns.iter_mut().map(|column| column.next().unwrap_or(Value::Null)).collect());
    }
    Ok(())
}

/// The values of a batch, by column.
pub(crate) fn columns(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, ArrowError> {
    batch.columns().iter().map(values).collect()
}

/// A column's values.
fn values(column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    match column.data_type() {
        DataType::Null => Ok(vec![Value::Null; column.len()]),
        DataType::Boolean => Ok(column.as_boolean().iter().map(Value::from).collect()),
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let column = cast(column, &DataType::Int64)?;
            Ok(column.as_primitive::<Int64Type>().iter().map(Value::from).collect())
        }
        DataType::UInt8 | DataType::UInt16 | DataType::UInt32 | DataType::UInt64 => {
            let column = cast(column, &DataType::UInt64)?;
            Ok(column.as_primitive::<UInt64Type>().iter().map(Value::from).collect())
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let column = cast(column, &DataType::Float64)?;
            // JSON has no NaN and no infinity.
            let number = |v: f64| Number::from_f64(v).map_or(Value::Null, Value::Number);
            Ok(column.as_primitive::<Float64Type>().iter().map(|v| v.map_or(Value::Null, number)).collect())
        }
        DataType::Timestamp(_, _) => {
            let zone = Some("UTC".into());
            let column = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
            let moment =
                |us: Option<i64>| us.map_or(Value::Null, |us| Value::String(Timestamp(us).to_string()));
            Ok(column.as_primitive::<TimestampMicrosecondType>().iter().map(moment).collect())
        }
        DataType::Dictionary(_, inner) => values(&cast(column, inner)?),
        DataType::List(_) => lists(column.len(), |i| {
            let list = column.as_list::<i32>();
            list.is_valid(i).then(|| list.value(i))
        }),
        DataType::LargeList(_) => lists(column.len(), |i| {
            let list = column.as_list::<i64>();
            list.is_valid(i).then(|| list.value(i))
        }),
        DataType::Struct(fields) => {
            let parts: Result<Vec<_>, _> = column.as_struct().columns().iter().map(values).collect();
            let parts = parts?;
            let object = |i: usize| -> Map<String, Value> {
                let names = fields.iter().map(|f| f.name().clone());
                names.zip(parts.iter().map(|part| part.get(i).cloned().unwrap_or(Value::Null))).collect()
            };
            Ok((0..column.len())
                .map(|i| if column.is_valid(i) { Value::Object(object(i)) } else { Value::Null })
                .collect())
        }
        _ => texts(column),
    }
}

fn lists(len: usize, item: impl Fn(usize) -> Option<ArrayRef>) -> Result<Vec<Value>, ArrowError> {
    (0..len)
        .map(|i| match item(i) {
            Some(items) => Ok(Value::Array(values(&items)?)),
            None => Ok(Value::Null),
        })
        .collect()
}

fn texts(column: &ArrayRef) -> Result<Vec<Value>, ArrowError> {
    let options = FormatOptions::default();
    let format = ArrayFormatter::try_new(column.as_ref(), &options)?;
    (0..column.len())
        .map(|i| {
            if column.is_valid(i) {
                Ok(Value::String(format.value(i).try_to_string()?))
            } else {
                Ok(Value::Null)
            }
        })
        .collect()
}
