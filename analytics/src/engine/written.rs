//! Rows as bytes, batch by batch: CSV, or a stream of Arrow IPC.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::RecordBatch,
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
};
use serde_json::Value;

use super::{SqlError, Versions, json};

/// Rows that are written at once, so that no piece is large.
const PIECE_ROWS_MAX: usize = 1024;
/// Key of the versions in the metadata of an Arrow schema.
const VERSIONS_KEY: &str = "roadlake.lake_versions";

/// How a streamed answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamFormat {
    /// RFC 4180: a header line and a line a row.
    Csv,
    /// Arrow IPC's streaming format, of types that every reader of it knows.
    Arrow,
}

impl StreamFormat {
    /// What ends an answer that could not be finished. A reader that was not told so by HTTP fails on it all
    /// the same: a quoted field of CSV that is never closed, a message of Arrow that is shorter than it says.
    /// Without it a file cut between two rows looks whole.
    pub fn cut_mark(self, reason: &str) -> Vec<u8> {
        let told = format!("this answer is not whole: {}", reason.replace('"', "'"));
        match self {
            Self::Csv => format!("\"{told}").into_bytes(),
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

/// The parts of a batch that are written one by one.
pub(super) fn parts(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    (0..batch.num_rows())
        .step_by(PIECE_ROWS_MAX)
        .map(move |from| batch.slice(from, PIECE_ROWS_MAX.min(batch.num_rows() - from)))
}

/// A writer of one answer.
pub(super) enum Writer {
    Csv { text: String },
    Arrow { schema: SchemaRef, bytes: Box<StreamWriter<Vec<u8>>> },
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
                let mut metadata = schema.metadata().clone();
                let versions = serde_json::to_string(versions).unwrap_or_default();
                metadata.insert(VERSIONS_KEY.to_owned(), versions);
                let schema = Arc::new(Schema::new_with_metadata(plain_fields(schema.fields()), metadata));
                let bytes = StreamWriter::try_new(Vec::new(), &schema).map_err(|e| SqlError::internal(&e))?;
                Ok(Self::Arrow { schema, bytes: Box::new(bytes) })
            }
        }
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), SqlError> {
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
                let columns = batch.columns().iter().zip(schema.fields());
                let columns = columns.map(|(column, field)| cast(column, field.data_type()));
                let columns = columns.collect::<Result<Vec<_>, _>>().map_err(failed)?;
                let batch = RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)?;
                bytes.write(&batch).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self) -> Result<(), SqlError> {
        match self {
            Self::Csv { .. } => Ok(()),
            Self::Arrow { bytes, .. } => bytes.finish().map_err(|e| SqlError::internal(&e)),
        }
    }

    /// What was written since it was taken last.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Csv { text } => std::mem::take(text).into_bytes(),
            Self::Arrow { bytes, .. } => std::mem::take(bytes.get_mut()),
        }
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

fn plain_fields(fields: &Fields) -> Fields {
    fields.iter().map(plain_field).collect()
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let data_type = plain(field.data_type());
    Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(field.metadata().clone()))
}

/// The type without what only some readers know: views of text, and dictionaries that change on the way.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, value) => plain(value),
        DataType::List(item) => DataType::List(plain_field(item)),
        DataType::LargeList(item) => DataType::LargeList(plain_field(item)),
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields)),
        other => other.clone(),
    }
}
