//! What a query may take, and how it is told that it took too much.

use std::{error::Error, time::Duration};

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;

/// Bounds of the SQL door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of all running queries together; they spill or fail beyond.
    pub memory_bytes_max: usize,
    /// Disk for what spills.
    pub spill_bytes_max: u64,
    /// Queries running at once; more wait.
    pub queries_max: usize,
    /// How long one waits for its turn.
    pub queue_wait: Duration,
    /// How long one may run.
    pub statement_time: Duration,
    /// Rows of one answer.
    pub rows_max: usize,
    /// Rows of one answer that is streamed, by doors that stream.
    pub streamed_rows_max: usize,
    /// Longest query text.
    pub query_bytes_max: usize,
    /// Parallel parts of one query.
    pub parallel_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes_max: 512 << 20,
            spill_bytes_max: 4 << 30,
            queries_max: 4,
            queue_wait: Duration::from_secs(10),
            statement_time: Duration::from_secs(60),
            rows_max: 100_000,
            streamed_rows_max: 10_000_000,
            query_bytes_max: 64 << 10,
            parallel_max: 2,
        }
    }
}

/// Whose fault a failed query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqlErrorKind {
    /// The query's: it cannot be understood, is not allowed, or fails on its data.
    Invalid,
    /// Too many at once, or too much memory asked.
    Busy,
    /// It took longer than a statement may.
    Timeout,
    /// Ours.
    Internal,
}

/// Why a query has no answer; the message is fit for its author.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    /// Whose fault.
    pub kind: SqlErrorKind,
    /// What is wrong, with the engine's hints.
    pub message: String,
}

impl SqlError {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self { kind: SqlErrorKind::Invalid, message: message.into() }
    }

    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        Self { kind: SqlErrorKind::Internal, message: service::logs::chain(error).to_string() }
    }

    pub(super) fn busy(limits: &Limits) -> Self {
        let message = format!(
            "{} queries are running and none ended within {}; try again later (key queries_max)",
            limits.queries_max,
            super::human(limits.queue_wait),
        );
        Self { kind: SqlErrorKind::Busy, message }
    }

    pub(crate) fn too_many_rows(limits: &Limits) -> Self {
        let message = format!(
            "the answer has more than {} rows; aggregate it, or add LIMIT (key streamed_rows_max)",
            limits.streamed_rows_max,
        );
        Self { kind: SqlErrorKind::Busy, message }
    }

    pub(crate) fn timeout(limits: &Limits) -> Self {
        let message = format!(
            "the query ran longer than {}; narrow it by date and vehicle_id (key statement_time)",
            super::human(limits.statement_time),
        );
        Self { kind: SqlErrorKind::Timeout, message }
    }
}

impl From<DataFusionError> for SqlError {
    fn from(error: DataFusionError) -> Self {
        let mut message = error.strip_backtrace();
        let kind = match error.find_root() {
            DataFusionError::ResourcesExhausted(_) => SqlErrorKind::Busy,
            // A full spill disk comes wrapped in Arrow's and has no kind of its own.
            _ if message.contains("max_temp_directory_size") => SqlErrorKind::Busy,
            DataFusionError::ArrowError(cause, _) if matches!(**cause, ArrowError::IoError(..)) => {
                SqlErrorKind::Internal
            }
            DataFusionError::SQL(..)
            | DataFusionError::Plan(_)
            | DataFusionError::SchemaError(..)
            | DataFusionError::NotImplemented(_)
            | DataFusionError::Execution(_)
            | DataFusionError::Configuration(_)
            | DataFusionError::ArrowError(..)
            | DataFusionError::Collection(_)
            | DataFusionError::Diagnostic(..) => SqlErrorKind::Invalid,
            _ => SqlErrorKind::Internal,
        };
        if kind == SqlErrorKind::Busy {
            message = format!(
                "the query needs more memory and disk than queries may take (keys memory_max, spill_max): {message}"
            );
        }
        Self { kind, message }
    }
}
