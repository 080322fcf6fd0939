//! The bounds of one statement: a place among the running ones, time, and rows.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll, ready},
};

use datafusion_postgres::pgwire::{
    api::results::{QueryResponse, Response},
    error::{ErrorInfo, PgWireError, PgWireResult},
    messages::data::DataRow,
};
use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::engine::{Limits, Place, SqlError, SqlErrorKind};

/// As Postgres names what is wrong (its appendix A).
pub(super) fn sqlstate(kind: SqlErrorKind) -> &'static str {
    match kind {
        // syntax_error_or_access_rule_violation
        SqlErrorKind::Invalid => "42000",
        // insufficient_resources
        SqlErrorKind::Busy => "53000",
        // query_canceled
        SqlErrorKind::Timeout => "57014",
        // internal_error
        SqlErrorKind::Internal => "XX000",
    }
}

pub(super) fn told(error: SqlError) -> PgWireError {
    let state = sqlstate(error.kind).to_owned();
    PgWireError::UserError(Box::new(ErrorInfo::new("ERROR".to_owned(), state, error.message)))
}

/// A statement that runs: it has its place until its answer is taken or its time is over.
#[derive(Debug)]
pub(super) struct Running {
    place: Mutex<Option<Place>>,
    until: Instant,
    limits: Limits,
    cancel: CancellationToken,
}

impl Running {
    pub(super) fn new(place: Place, limits: Limits) -> Arc<Self> {
        let until = Instant::now() + limits.statement_time;
        Arc::new(Self { place: Mutex::new(Some(place)), until, limits, cancel: CancellationToken::new() })
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn timeout(&self) -> PgWireError {
        told(SqlError::timeout(&self.limits))
    }

    fn cancelled() -> PgWireError {
        let message = "the query was cancelled by its client".to_owned();
        told(SqlError { kind: SqlErrorKind::Timeout, message })
    }

    fn leave(&self) {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Statements whose answers a client has not taken yet; one that asks for a few rows and then for nothing
/// keeps its place until its time is over, no longer.
#[derive(Debug, Default)]
pub(super) struct Pending(Mutex<Vec<Weak<Running>>>);

impl Pending {
    pub(super) fn add(&self, running: &Arc<Running>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(running));
    }

    /// Ends them all.
    pub(super) fn cancel(&self) {
        for pending in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if let Some(running) = pending.upgrade() {
                running.leave();
                running.cancel.cancel();
            }
        }
    }

    pub(super) fn give_up_overdue(&self) {
        let now = Instant::now();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|pending| match pending.upgrade() {
            Some(running) if running.until <= now => {
                running.leave();
                false
            }
            Some(_) => true,
            None => false,
        });
    }
}

/// The response, its rows within bounds.
pub(super) fn bounded(response: Response, running: &Arc<Running>) -> Response {
    match response {
        Response::Query(QueryResponse { command_tag, row_schema, data_rows, .. }) => {
            let rows = BoundedRows {
                rows: data_rows.boxed(),
                over: Box::pin(sleep_until(running.until)),
                cancelled: Box::pin(running.cancel.clone().cancelled_owned()),
                left: running.limits.streamed_rows_max,
                running: Arc::clone(running),
                is_done: false,
            };
            let mut bounded = QueryResponse::new(row_schema, rows);
            bounded.set_command_tag(&command_tag);
            Response::Query(bounded)
        }
        other => other,
    }
}

struct BoundedRows {
    rows: futures::stream::BoxStream<'static, PgWireResult<DataRow>>,
    over: Pin<Box<Sleep>>,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    left: usize,
    running: Arc<Running>,
    is_done: bool,
}

impl BoundedRows {
    fn end(&mut self, error: PgWireError) -> Poll<Option<PgWireResult<DataRow>>> {
        self.is_done = true;
        self.rows = futures::stream::empty().boxed();
        self.running.leave();
        Poll::Ready(Some(Err(error)))
    }
}

impl Stream for BoundedRows {
    type Item = PgWireResult<DataRow>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_done {
            return Poll::Ready(None);
        }
        if self.cancelled.as_mut().poll(cx).is_ready() {
            return self.end(Running::cancelled());
        }
        if self.over.as_mut().poll(cx).is_ready() {
            let error = self.running.timeout();
            return self.end(error);
        }
        match ready!(self.rows.poll_next_unpin(cx)) {
            None => {
                self.is_done = true;
                self.running.leave();
                Poll::Ready(None)
            }
            Some(Ok(_)) if self.left == 0 => {
                let error = told(SqlError::too_many_rows(&self.running.limits));
                self.end(error)
            }
            Some(Ok(row)) => {
                self.left -= 1;
                Poll::Ready(Some(Ok(row)))
            }
            Some(Err(error)) => self.end(error),
        }
    }
}
