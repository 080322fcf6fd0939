//! An answer that is handed on while it is made: a few pieces are in memory at a time, whatever its length.
//!
//! In rows ([`AsRows`]) or in bytes ([`SqlStream`]). A task makes it, since who asks may stop reading: it ends when the statement's time is over, and gives its
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

/// A streamed answer, in bytes or in rows.
#[derive(Debug)]
pub(crate) struct Streamed<T> {
    /// The version of each table that it is of.
    pub(crate) lake_versions: Versions,
    /// The columns of its rows.
    pub(crate) schema: SchemaRef,
    pieces: mpsc::Receiver<T>,
    producer: JoinSet<Result<bool, SqlError>>,
}

/// The next of it.
#[derive(Debug)]
pub(crate) enum Next<T> {
    /// A part of it.
    Piece(T),
    /// It is whole.
    End {
        /// Whether the query has more rows than were asked for.
        is_truncated: bool,
    },
}

/// What the task makes of rows.
pub(crate) trait Sink: Send + 'static {
    /// What is handed on.
    type Piece: Send + 'static;

    /// Takes rows in; what they give so far, if anything.
    fn write(&mut self, rows: RecordBatch) -> Result<Option<Self::Piece>, SqlError>;

    /// What comes after the last row.
    fn finish(&mut self) -> Result<Option<Self::Piece>, SqlError>;
}

/// Rows as they are.
pub(crate) struct AsRows;

impl Sink for AsRows {
    type Piece = RecordBatch;

    fn write(&mut self, rows: RecordBatch) -> Result<Option<RecordBatch>, SqlError> {
        Ok(Some(rows))
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        Ok(None)
    }
}

impl<T> Streamed<T> {
    /// What comes next; nothing after the end or an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Next<T>, SqlError>> {
        if let Some(piece) = self.pieces.recv().await {
            return Some(Ok(Next::Piece(piece)));
        }
        let ended = self.producer.join_next().await?;
        let ended = ended.unwrap_or_else(|error| Err(SqlError::internal(&error)));
        Some(ended.map(|is_truncated| Next::End { is_truncated }))
    }
}

/// How an answer is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The user whose share of the places it is, where one is named.
    pub(crate) who: Option<&'a str>,
    /// At most so many rows where that is asked; else all, of which there may be no more than `streamed_rows_max`.
    pub(crate) max_rows: Option<usize>,
    /// Rows of a piece at most.
    pub(crate) piece_rows_max: usize,
}

/// A streamed answer, in bytes.
#[derive(Debug)]
pub struct SqlStream {
    /// The version of each table that it is of.
    pub lake_versions: Versions,
    bytes: Streamed<Vec<u8>>,
}

impl SqlStream {
    /// What comes next; nothing after the end or an error.
    pub async fn next(&mut self) -> Option<Result<Piece, SqlError>> {
        let next = self.bytes.next().await?;
        Some(next.map(|next| match next {
            Next::Piece(bytes) => Piece::Bytes(bytes),
            Next::End { is_truncated } => Piece::End { is_truncated },
        }))
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
        let asked = Asked { who: None, max_rows, piece_rows_max: PIECE_ROWS_MAX };
        let writer = |schema: &SchemaRef, versions: &Versions| Writer::new(format, schema, versions);
        let bytes = self
            .streamed(asked, writer, async |snapshot| {
                query::stream(&self.shared, snapshot, (query, whose)).await
            })
            .await?;
        Ok(SqlStream { lake_versions: bytes.lake_versions.clone(), bytes })
    }

    /// Waits for a place and streams what `start` starts on the newest tables, as the sink makes it.
    pub(crate) async fn streamed<S: Sink>(
        &self,
        asked: Asked<'_>,
        sink: impl FnOnce(&SchemaRef, &Versions) -> Result<S, SqlError>,
        start: impl AsyncFnOnce(Snapshot) -> Result<Stream, SqlError>,
    ) -> Result<Streamed<S::Piece>, SqlError> {
        let started = self.start_stream(asked, sink, start).await;
        if let Err(error) = &started {
            metrics::query_ended(Some(error.kind));
        }
        started
    }

    async fn start_stream<S: Sink>(
        &self,
        asked: Asked<'_>,
        sink: impl FnOnce(&SchemaRef, &Versions) -> Result<S, SqlError>,
        start: impl AsyncFnOnce(Snapshot) -> Result<Stream, SqlError>,
    ) -> Result<Streamed<S::Piece>, SqlError> {
        let place = self.place(asked.who).await?;
        let limits = *self.limits();
        let until = Instant::now() + limits.statement_time;
        let start = async {
            let snapshot = self.shared.tables.told(&TableKind::ALL).await?;
            let lake_versions = snapshot.versions.clone();
            Ok::<_, SqlError>((lake_versions, start(snapshot).await?))
        };
        let (lake_versions, rows) =
            timeout_at(until, start).await.unwrap_or_else(|_| Err(SqlError::timeout(&limits)))?;
        let schema = rows.schema();
        let sink = sink(&schema, &lake_versions)?;
        let (sender, pieces) = mpsc::channel(WAITING_MAX);
        let (max_rows, piece_rows_max) = (asked.max_rows, asked.piece_rows_max.max(1));
        let mut producer = JoinSet::new();
        producer.spawn(async move {
            let produced = produce(rows, sink, (max_rows, piece_rows_max, &limits), &sender);
            let produced = timeout_at(until, produced).await;
            // The rows are given up with it; now others may take their turn.
            drop(place);
            let produced = produced.unwrap_or_else(|_| Err(SqlError::timeout(&limits)));
            metrics::query_ended(produced.as_ref().err().map(|error| error.kind));
            produced
        });
        Ok(Streamed { lake_versions, schema, pieces, producer })
    }
}

/// Hands on what the sink makes of the rows; whether there are more than were asked for.
async fn produce<S: Sink>(
    mut rows: Stream,
    mut sink: S,
    (max_rows, piece_rows_max, limits): (Option<usize>, usize, &Limits),
    pieces: &mpsc::Sender<S::Piece>,
) -> Result<bool, SqlError> {
    let asked = max_rows.filter(|asked| *asked <= limits.streamed_rows_max);
    let mut left = asked.unwrap_or(limits.streamed_rows_max);
    let mut is_truncated = false;
    while !is_truncated && let Some(batch) = rows.next().await {
        let batch = batch?;
        let taken = batch.num_rows().min(left);
        for from in (0..taken).step_by(piece_rows_max) {
            let part = batch.slice(from, piece_rows_max.min(taken - from));
            send(sink.write(part)?, pieces).await;
        }
        left -= taken;
        is_truncated = taken < batch.num_rows();
    }
    if is_truncated && asked.is_none() {
        return Err(SqlError::too_many_rows(limits));
    }
    send(sink.finish()?, pieces).await;
    Ok(is_truncated)
}

async fn send<T>(piece: Option<T>, pieces: &mpsc::Sender<T>) {
    if let Some(piece) = piece {
        // It fails when the answer was dropped, which has ended this task or does so now.
        let _ = pieces.send(piece).await;
    }
}
