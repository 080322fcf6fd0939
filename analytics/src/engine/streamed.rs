//! An answer that is handed on while it is made: a few pieces are in memory at a time, whatever its length.
//!
//! A task makes it, since who asks may stop reading: it ends when the statement's time is over, and gives its
//! place among the queries back, whether anybody reads or not; and it ends when the answer is dropped, as it is
//! when a client has gone. Full, it *blocks*.

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
    written::{StreamFormat, Writer, parts},
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

/// A streamed answer.
#[derive(Debug)]
pub struct SqlStream {
    /// The version of each table that it is of.
    pub lake_versions: Versions,
    pieces: mpsc::Receiver<Vec<u8>>,
    producer: JoinSet<Result<bool, SqlError>>,
}

impl SqlStream {
    /// What comes next; nothing after the end or an error.
    pub async fn next(&mut self) -> Option<Result<Piece, SqlError>> {
        if let Some(bytes) = self.pieces.recv().await {
            return Some(Ok(Piece::Bytes(bytes)));
        }
        let ended = self.producer.join_next().await?;
        let ended = ended.unwrap_or_else(|error| Err(SqlError::internal(&error)));
        Some(ended.map(|is_truncated| Piece::End { is_truncated }))
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
        let started = self.start_stream(whose, query, (format, max_rows)).await;
        if let Err(error) = &started {
            metrics::query_ended(Some(error.kind));
        }
        started
    }

    async fn start_stream(
        &self,
        whose: Option<&Whose>,
        query: &str,
        (format, max_rows): (StreamFormat, Option<usize>),
    ) -> Result<SqlStream, SqlError> {
        self.check_length(query)?;
        let place = self.place(None).await?;
        let limits = *self.limits();
        let until = Instant::now() + limits.statement_time;
        let start = async {
            let snapshot = self.shared.tables.newest(&TableKind::ALL).await?;
            let lake_versions = snapshot.versions.clone();
            let rows = query::stream(&self.shared, snapshot, (query, whose)).await?;
            let writer = Writer::new(format, &rows.schema(), &lake_versions)?;
            Ok::<_, SqlError>((lake_versions, rows, writer))
        };
        let (lake_versions, rows, writer) =
            timeout_at(until, start).await.unwrap_or_else(|_| Err(SqlError::timeout(&limits)))?;
        let (sender, pieces) = mpsc::channel(WAITING_MAX);
        let mut producer = JoinSet::new();
        producer.spawn(async move {
            let produced = timeout_at(until, produce(rows, writer, (max_rows, &limits), &sender)).await;
            // The rows are given up with it; now others may take their turn.
            drop(place);
            let produced = produced.unwrap_or_else(|_| Err(SqlError::timeout(&limits)));
            metrics::query_ended(produced.as_ref().err().map(|error| error.kind));
            produced
        });
        Ok(SqlStream { lake_versions, pieces, producer })
    }
}

/// Writes the rows; whether there are more than were asked for.
async fn produce(
    mut rows: Stream,
    mut writer: Writer,
    (max_rows, limits): (Option<usize>, &Limits),
    pieces: &mpsc::Sender<Vec<u8>>,
) -> Result<bool, SqlError> {
    let asked = max_rows.filter(|asked| *asked <= limits.streamed_rows_max);
    let mut left = asked.unwrap_or(limits.streamed_rows_max);
    let mut is_truncated = false;
    while !is_truncated && let Some(batch) = rows.next().await {
        let batch = batch?;
        let taken = batch.num_rows().min(left);
        for part in parts(&batch.slice(0, taken)) {
            writer.write(&part)?;
            send(&mut writer, pieces).await;
        }
        left -= taken;
        is_truncated = taken < batch.num_rows();
    }
    if is_truncated && asked.is_none() {
        return Err(SqlError::too_many_rows(limits));
    }
    writer.finish()?;
    send(&mut writer, pieces).await;
    Ok(is_truncated)
}

async fn send(writer: &mut Writer, pieces: &mpsc::Sender<Vec<u8>>) {
    let piece = writer.take();
    if !piece.is_empty() {
        // It fails when the answer was dropped, which has ended this task or does so now.
        let _ = pieces.send(piece).await;
    }
}
