//! A statement on its way: the text and the values in its places, which a ticket and a prepared statement are.

use std::io::Cursor;

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    ipc::{
        reader::StreamReader,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use arrow_flight::{
    FlightData, IpcMessage, SchemaAsIpc, decode::FlightRecordBatchStream, encode::FlightDataEncoderBuilder,
    error::FlightError,
};
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::engine::{Next, SqlError, SqlErrorKind, Streamed, plain};

/// What is wrong, as gRPC names it.
pub(super) fn told(error: SqlError) -> Status {
    match error.kind {
        SqlErrorKind::Invalid => Status::invalid_argument(error.message),
        SqlErrorKind::Busy => Status::resource_exhausted(error.message),
        SqlErrorKind::Timeout => Status::deadline_exceeded(error.message),
        SqlErrorKind::Internal => {
            tracing::warn!(error = %error.message, "a query by Arrow Flight failed");
            Status::internal(error.message)
        }
    }
}

/// The statement. What a client may do with it is asked again each time it comes.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Statement {
    /// SQL.
    #[prost(string, tag = "1")]
    pub(super) text: String,
    /// The values, a row of an Arrow IPC stream; empty for none.
    #[prost(bytes = "bytes", tag = "2")]
    values: Bytes,
}

impl Statement {
    pub(super) fn of(text: String) -> Self {
        Self { text, values: Bytes::new() }
    }

    /// Reads what was handed out as a ticket or a handle.
    pub(super) fn read(handle: &Bytes) -> Result<Self, Status> {
        Self::decode(handle.clone())
            .map_err(|_| Status::invalid_argument("this statement is none of this server's"))
    }

    pub(super) fn handle(&self) -> Bytes {
        self.encode_to_vec().into()
    }

    /// Takes in values that a client sends: one row of them.
    pub(super) async fn bind(&mut self, mut sent: FlightRecordBatchStream) -> Result<(), Status> {
        let mut row: Option<RecordBatch> = None;
        while let Some(batch) = sent.try_next().await? {
            match (batch.num_rows(), &row) {
                (0, _) => {}
                (1, None) => row = Some(batch),
                _ => {
                    let why = "a statement takes one row of values: give its values one by one";
                    return Err(Status::invalid_argument(why));
                }
            }
        }
        self.values = match row {
            None => Bytes::new(),
            Some(row) => {
                let written = StreamWriter::try_new(Vec::new(), &row.schema()).and_then(|mut writer| {
                    writer.write(&row)?;
                    writer.into_inner()
                });
                written.map_err(|e| Status::invalid_argument(e.to_string()))?.into()
            }
        };
        Ok(())
    }

    /// The values, in order.
    pub(super) fn values(&self) -> Result<Vec<ScalarValue>, Status> {
        if self.values.is_empty() {
            return Ok(Vec::new());
        }
        let failed =
            |why: &dyn std::fmt::Display| Status::invalid_argument(format!("values of the statement: {why}"));
        let rows = StreamReader::try_new(Cursor::new(&self.values), None).map_err(|e| failed(&e))?;
        let mut values = Vec::new();
        for row in rows {
            let row = row.map_err(|e| failed(&e))?;
            // A handle is the client's to write.
            if row.num_rows() != 1 {
                return Err(failed(&"not one row of them"));
            }
            for column in row.columns() {
                values
                    .push(ScalarValue::try_from_array(column, 0).map_err(|e| failed(&e.strip_backtrace()))?);
            }
        }
        Ok(values)
    }
}

/// A schema as it stands in an answer by itself.
pub(super) fn encoded(schema: &Schema) -> Result<Bytes, Status> {
    let message = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into();
    let IpcMessage(bytes) = message.map_err(|e: arrow::error::ArrowError| Status::internal(e.to_string()))?;
    Ok(bytes)
}

/// Rows as they go to the client, in plain types. They end when the process is to stop.
pub(super) fn data(
    rows: Streamed<RecordBatch>,
    stop: CancellationToken,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let schema = plain::schema(&rows.schema, &rows.lake_versions);
    let batches = futures::stream::try_unfold(
        (rows, SchemaRef::clone(&schema), stop),
        |(mut rows, schema, stop)| async move {
            let next = tokio::select! {
                biased;
                () = stop.cancelled() => return Err(Status::unavailable("the server stops; ask again")),
                next = rows.next() => next,
            };
            match next {
                None | Some(Ok(Next::End { .. })) => Ok(None),
                Some(Err(error)) => Err(told(error)),
                Some(Ok(Next::Piece(batch))) => {
                    let batch = plain::rows(&batch, &schema).map_err(|e| told(SqlError::internal(&e)))?;
                    Ok(Some((batch, (rows, schema, stop))))
                }
            }
        },
    );
    sent(schema, batches)
}

/// Batches of a schema as messages.
pub(super) fn sent(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, Status>> + Send + 'static,
) -> BoxStream<'static, Result<FlightData, Status>> {
    let batches = batches.map_err(|status| FlightError::Tonic(Box::new(status)));
    FlightDataEncoderBuilder::new().with_schema(schema).build(batches).map_err(Status::from).boxed()
}
