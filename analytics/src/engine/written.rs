//! Rows as bytes, batch by batch: CSV, or a stream of Arrow IPC.

use std::fmt::Write;

use arrow::{array::RecordBatch, datatypes::SchemaRef, error::ArrowError, ipc::writer::StreamWriter};
use serde_json::Value;

use super::{SqlError, Versions, json, plain, streamed::Sink};

/// Rows that are written at once, so that no piece is large.
pub(super) const PIECE_ROWS_MAX: usize = 1024;

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
                let schema = plain::schema(schema, versions);
                let bytes = StreamWriter::try_new(Vec::new(), &schema).map_err(|e| SqlError::internal(&e))?;
                Ok(Self::Arrow { schema, bytes: Box::new(bytes) })
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
        }
        Ok(())
    }

    /// What was written since it was taken last, if anything.
    fn take(&mut self) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Csv { text } => std::mem::take(text).into_bytes(),
            Self::Arrow { bytes, .. } => std::mem::take(bytes.get_mut()),
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
        if let Self::Arrow { bytes, .. } = self {
            bytes.finish().map_err(|e| SqlError::internal(&e))?;
        }
        Ok(self.take())
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
