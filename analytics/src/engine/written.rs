//! Rows as bytes, batch by batch: CSV, a stream of Arrow IPC, or a Parquet file.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde_json::Value;

use super::{SqlError, Versions, json, plain, streamed::Sink};

/// Rows that are written at once, so that no piece is large.
pub(super) const PIECE_ROWS_MAX: usize = 1024;
/// A row group of Parquet is kept in memory until it is whole: so many rows, or so many bytes.
const ROW_GROUP_ROWS_MAX: usize = 128 << 10;
const ROW_GROUP_BYTES_MAX: usize = 8 << 20;

/// How a streamed answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// RFC 4180: a header line and a line a row.
    Csv,
    /// Arrow IPC's streaming format, of types that every reader of it knows.
    Arrow,
    /// A Parquet file of the same types, in row groups, by zstd.
    Parquet,
}

impl StreamFormat {
    /// What ends an answer that could not be finished. A reader that was not told so by HTTP fails on it all
    /// the same: a quoted field of CSV that is never closed, a message of Arrow that is shorter than it says, a
    /// file of Parquet without its footer.
    /// Without it a file cut between two rows looks whole.
    pub fn cut_mark(self, reason: &str) -> Vec<u8> {
        let told = format!("this answer is not whole: {}", reason.replace('"', "'"));
        match self {
            Self::Csv => format!("\"{told}").into_bytes(),
            // The footer is not there; nor may this end as one.
            Self::Parquet => format!("{told}\n").into_bytes(),
            Self::Arrow => {
                let claimed = i32::try_from(told.len().next_multiple_of(8) + 8).unwrap_or(i32::MAX);
                // The marker of a message, and its length.
                let mut mark = vec![0xff; 4];
                mark.extend(claimed.to_le_bytes());
                mark.extend(told.into_bytes());
                mark
            }
        }
    }
}

/// A writer of one answer.
pub(super) enum Writer {
    Csv { text: String },
    Arrow { schema: SchemaRef, bytes: Box<StreamWriter<Vec<u8>>> },
    Parquet { schema: SchemaRef, file: Box<ArrowWriter<Vec<u8>>> },
}

impl Writer {
    /// Begins an answer; what comes before the first row is written.
    pub(super) fn new(
        format: StreamFormat,
        schema: &SchemaRef,
        versions: &Versions,
    ) -> Result<Self, SqlError> {
        match format {
            StreamFormat::Csv => {
                let mut text = String::new();
                let names: Vec<_> = schema.fields().iter().map(|field| field.name().clone()).collect();
                line(&mut text, &names);
                Ok(Self::Csv { text })
            }
            StreamFormat::Arrow => {
                let schema = plain::schema(schema, versions);
                let bytes = StreamWriter::try_new(Vec::new(), &schema).map_err(|e| SqlError::internal(&e))?;
                Ok(Self::Arrow { schema, bytes: Box::new(bytes) })
            }
            StreamFormat::Parquet => {
                let schema = plain::schema(schema, versions);
                let unknown = schema.fields().iter().find(|field| !parquet_has(field.data_type()));
                if let Some(field) = unknown {
                    return Err(SqlError::invalid(format!(
                        "Parquet has no type for the column {:?}, which is {}; cast it, as by CAST({} AS VARCHAR)",
                        field.name(),
                        field.data_type(),
                        field.name(),
                    )));
                }
                let told =
                    schema.metadata().iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
                let properties = WriterProperties::builder()
                    .set_key_value_metadata(Some(told.collect()))
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
                    .build();
                let file = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties));
                let file = file.map_err(|e| SqlError::internal(&e))?;
                Ok(Self::Parquet { schema, file: Box::new(file) })
            }
        }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
        let failed = |e: ArrowError| SqlError::internal(&e);
        match self {
            Self::Csv { text } => {
                let columns = json::columns(batch).map_err(failed)?;
                for row in 0..batch.num_rows() {
                    let cells: Vec<_> = columns.iter().map(|column| cell(column.get(row))).collect();
                    line(text, &cells);
                }
            }
            Self::Arrow { schema, bytes } => {
                let batch = plain::rows(batch, schema).map_err(failed)?;
                bytes.write(&batch).map_err(failed)?;
            }
            Self::Parquet { schema, file } => {
                let failed_file = |e: ParquetError| SqlError::internal(&e);
                let batch = plain::rows(batch, schema).map_err(failed)?;
                file.write(&batch).map_err(failed_file)?;
                if file.memory_size() > ROW_GROUP_BYTES_MAX {
                    file.flush().map_err(failed_file)?;
                }
            }
        }
        Ok(())
    }

    /// What was written since it was taken last, if anything.
    fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Csv { text } => std::mem::take(text).into_bytes(),
            Self::Arrow { bytes, .. } => std::mem::take(bytes.get_mut()),
            // Where it is in the file it counts by itself.
            Self::Parquet { file, .. } => std::mem::take(file.inner_mut()),
        };
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl Sink for Writer {
    type Piece = Vec<u8>;

    fn write(&mut self, rows: RecordBatch) -> Result<Option<Vec<u8>>, SqlError> {
        self.add(&rows)?;
        Ok(self.take())
    }

    fn finish(&mut self) -> Result<Option<Vec<u8>>, SqlError> {
        match self {
            Self::Csv { .. } => {}
            Self::Arrow { bytes, .. } => bytes.finish().map_err(|e| SqlError::internal(&e))?,
            Self::Parquet { file, .. } => {
                file.finish().map_err(|e| SqlError::internal(&e))?;
            }
        }
        Ok(self.take())
    }
}

/// Whether Parquet has a type for it. Of durations its readers would see numbers without a unit, and
/// of intervals the one of DataFusion cannot be written.
fn parquet_has(data_type: &DataType) -> bool {
    match data_type {
        DataType::Duration(_) | DataType::Interval(_) | DataType::Union(..) => false,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => parquet_has(item.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| parquet_has(field.data_type())),
        _ => true,
    }
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn line(text: &mut String, cells: &[String]) {
    // A line with nothing in it is no row to many readers.
    if let [lone] = cells
        && lone.is_empty()
    {
        text.push_str("\"\"\r\n");
        return;
    }
    for (i, cell) in cells.iter().enumerate() {
        if i > 0 {
            text.push(',');
        }
        if cell.contains(['"', ',', '\r', '\n']) {
            // Writing to a string does not fail.
            let _ = write!(text, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}
