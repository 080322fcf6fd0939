//! An answer that is handed on while it is made: a few pieces are in memory at a time, whatever its length.
//!
//! [`Rows`] are the answer in Arrow, [`SqlStream`] the same in bytes. A task makes it, since who asks may stop reading: it ends when the statement's time is over, and gives its
//! place among the queries back, whether anybody reads or not; and it ends when the answer is dropped, as it is
//! when a client has gone. Full, it *blocks*.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use lake::{TableKind, Whose};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, timeout_at},
};

use super::{
    Analytics, Limits, SqlError, Versions,
    query::{self, Stream},
    snapshot::Snapshot,
    written::{PIECE_ROWS_MAX, StreamFormat, Writer},
};
use crate::metrics;

/// Pieces that wait to be read.
const WAITING_MAX: usize = 2;

/// The next of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of it.
    Bytes(Vec<u8>),
    /// It is whole: an answer without this was cut.
    End {
        /// Whether the query has more rows than were asked for.
        is_truncated: bool,
    },
}

/// An answer's rows.
#[derive(Debug)]
pub(crate) struct Rows {
    /// The version of each table that they are of.
    pub(crate) lake_versions: Versions,
    /// Their columns.
    pub(crate) schema: SchemaRef,
    batches: mpsc::Receiver<RecordBatch>,
    producer: JoinSet<Result<bool, SqlError>>,
}

/// The next of an answer's rows.
pub(crate) enum Next {
    Batch(RecordBatch),
    /// These were all, or all that were asked for.
    End {
        is_truncated: bool,
    },
}

impl Rows {
    /// What comes next; nothing after the end or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Next, SqlError>> {
        if let Some(batch) = self.batches.recv().await {
            return Some(Ok(Next::Batch(batch)));
        }
        let ended = self.producer.join_next().await?;
        let ended = ended.unwrap_or_else(|error| Err(SqlError::internal(&error)));
        Some(ended.map(|is_truncated| Next::End { is_truncated }))
    }
}

/// How rows are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The user whose share of the places it is, where one is named.
    pub(crate) who: Option<&'a str>,
    /// At most so many rows where that is asked; else all, of which there may be no more than `streamed_rows_max`.
    pub(crate) max_rows: Option<usize>,
    /// Rows of a batch at most.
    pub(crate) batch_rows_max: usize,
}

/// A streamed answer.
pub struct SqlStream {
    /// The version of each table that it is of.
    pub lake_versions: Versions,
    rows: Rows,
    writer: Writer,
    ended: Option<bool>,
}

impl std::fmt::Debug for SqlStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStream").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl SqlStream {
    /// What comes next; nothing after the end or an error.
    pub async fn next(&mut self) -> Option<Result<Piece, SqlError>> {
        loop {
            if let Some(is_truncated) = self.ended.take() {
                return Some(Ok(Piece::End { is_truncated }));
            }
            let written = match self.rows.next().await? {
                Ok(Next::Batch(batch)) => self.writer.write(&batch),
                Ok(Next::End { is_truncated }) => {
                    self.ended = Some(is_truncated);
                    self.writer.finish()
                }
                Err(error) => Err(error),
            };
            if let Err(error) = written {
                self.ended = None;
                return Some(Err(error));
            }
            let bytes = self.writer.take();
            if !bytes.is_empty() {
                return Some(Ok(Piece::Bytes(bytes)));
            }
        }
    }
}

impl Analytics {
    /// Runs a user's query as [`Analytics::sql_of`] does and streams its answer: at most `max_rows` rows where
    /// that is asked; else all, of which there may be no more than `streamed_rows_max`.
    pub async fn sql_stream(
        &self,
        whose: Option<&Whose>,
        query: &str,
        (format, max_rows): (StreamFormat, Option<usize>),
    ) -> Result<SqlStream, SqlError> {
        self.check_length(query)?;
        let asked = Asked { who: None, max_rows, batch_rows_max: PIECE_ROWS_MAX };
        let rows = self
            .rows(asked, async |snapshot| query::stream(&self.shared, snapshot, (query, whose)).await)
            .await?;
        let writer = Writer::new(format, &rows.schema, &rows.lake_versions)?;
        Ok(SqlStream { lake_versions: rows.lake_versions.clone(), rows, writer, ended: None })
    }

    /// Waits for a place and streams the rows of what `start` starts on the newest tables.
    pub(crate) async fn rows(
        &self,
        asked: Asked<'_>,
        start: impl AsyncFnOnce(Snapshot) -> Result<Stream, SqlError>,
    ) -> Result<Rows, SqlError> {
        let started = self.start_rows(asked, start).await;
        if let Err(error) = &started {
            metrics::query_ended(Some(error.kind));
        }
        started
    }

    async fn start_rows(
        &self,
        asked: Asked<'_>,
        start: impl AsyncFnOnce(Snapshot) -> Result<Stream, SqlError>,
    ) -> Result<Rows, SqlError> {
        let place = self.place(asked.who).await?;
        let limits = *self.limits();
        let until = Instant::now() + limits.statement_time;
        let start = async {
            let snapshot = self.shared.tables.newest(&TableKind::ALL).await?;
            let lake_versions = snapshot.versions.clone();
            Ok::<_, SqlError>((lake_versions, start(snapshot).await?))
        };
        let (lake_versions, rows) =
            timeout_at(until, start).await.unwrap_or_else(|_| Err(SqlError::timeout(&limits)))?;
        let schema = rows.schema();
        let (sender, batches) = mpsc::channel(WAITING_MAX);
        let (max_rows, batch_rows_max) = (asked.max_rows, asked.batch_rows_max.max(1));
        let mut producer = JoinSet::new();
        producer.spawn(async move {
            let produced = produce(rows, (max_rows, batch_rows_max, &limits), &sender);
            let produced = timeout_at(until, produced).await;
            // The rows are given up with it; now others may take their turn.
            drop(place);
            let produced = produced.unwrap_or_else(|_| Err(SqlError::timeout(&limits)));
            metrics::query_ended(produced.as_ref().err().map(|error| error.kind));
            produced
        });
        Ok(Rows { lake_versions, schema, batches, producer })
    }
}

/// Hands the rows on; whether there are more than were asked for.
async fn produce(
    mut rows: Stream,
    (max_rows, batch_rows_max, limits): (Option<usize>, usize, &Limits),
    batches: &mpsc::Sender<RecordBatch>,
) -> Result<bool, SqlError> {
    let asked = max_rows.filter(|asked| *asked <= limits.streamed_rows_max);
    let mut left = asked.unwrap_or(limits.streamed_rows_max);
    let mut is_truncated = false;
    while !is_truncated && let Some(batch) = rows.next().await {
        let batch = batch?;
        let taken = batch.num_rows().min(left);
        for from in (0..taken).step_by(batch_rows_max) {
            let part = batch.slice(from, batch_rows_max.min(taken - from));
            // It fails when the answer was dropped, which has ended this task or does so now.
            let _ = batches.send(part).await;
        }
        left -= taken;
        is_truncated = taken < batch.num_rows();
    }
    if is_truncated && asked.is_none() {
        return Err(SqlError::too_many_rows(limits));
    }
    Ok(is_truncated)
}
