//! An answer that is streamed. What fits into [`HELD_BYTES_MAX`] is told as a whole: with its length, or as a
//! problem. A longer one is under way when it fails; then its body has no end in HTTP's eyes, so that a client
//! reports a transfer that was broken off, and the bytes themselves are no valid CSV, Arrow or Parquet.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::header,
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::lake_port::{LakeError, LakeErrorKind, LakeStream, Piece, StreamFormat};

/// How much is held back at first.
const HELD_BYTES_MAX: usize = 256 << 10;

/// The response, which goes on as the answer does.
pub(super) async fn respond(
    found: LakeStream,
    format: StreamFormat,
    stop: CancellationToken,
) -> Result<Response, LakeError> {
    let LakeStream { lake_versions, mut pieces } = found;
    let content_type = match format {
        StreamFormat::Csv => "text/csv; charset=utf-8",
        StreamFormat::Arrow => "application/vnd.apache.arrow.stream",
        StreamFormat::Parquet => "application/vnd.apache.parquet",
    };
    let head = [
        (header::CONTENT_TYPE.as_str(), content_type.to_owned()),
        ("roadlake-lake-versions", written(&lake_versions)),
    ];
    let mut held = Vec::new();
    while held.len() <= HELD_BYTES_MAX {
        match pieces.next().await {
            Some(Ok(Piece::Bytes(piece))) => held.extend(piece),
            Some(Ok(Piece::End { is_truncated })) => {
                let truncated = [("roadlake-truncated", if is_truncated { "true" } else { "false" })];
                return Ok((head, truncated, held).into_response());
            }
            Some(Err(error)) => return Err(error),
            None => return Err(cut()),
        }
    }
    let first = stream::once(std::future::ready(Ok(held)));
    let under_way = Next::Piece(pieces);
    let rest = stream::unfold(under_way, move |next| step(next, format, stop.clone()));
    Ok((head, Body::from_stream(first.chain(rest))).into_response())
}

/// `readings=12, trips=3`.
fn written(versions: &BTreeMap<String, i64>) -> String {
    versions.iter().map(|(table, version)| format!("{table}={version}")).collect::<Vec<_>>().join(", ")
}

fn cut() -> LakeError {
    LakeError { kind: LakeErrorKind::Internal, message: "the answer broke off".to_owned() }
}

type Pieces = stream::BoxStream<'static, Result<Piece, LakeError>>;

/// What a body under way does next.
enum Next {
    Piece(Pieces),
    /// It has told that it is cut; now it breaks off.
    BreakOff(LakeError),
    Nothing,
}

async fn step(
    next: Next,
    format: StreamFormat,
    stop: CancellationToken,
) -> Option<(Result<Vec<u8>, LakeError>, Next)> {
    let mut pieces = match next {
        Next::Piece(pieces) => pieces,
        Next::BreakOff(error) => {
            // What was told goes to the client before the connection is closed.
            tokio::task::yield_now().await;
            return Some((Err(error), Next::Nothing));
        }
        Next::Nothing => return None,
    };
    let piece = tokio::select! {
        piece = pieces.next() => piece,
        () = stop.cancelled() => {
            let message = "the server stops".to_owned();
            Some(Err(LakeError { kind: LakeErrorKind::Busy, message }))
        }
    };
    let error = match piece {
        Some(Ok(Piece::Bytes(piece))) => return Some((Ok(piece), Next::Piece(pieces))),
        Some(Ok(Piece::End { .. })) => return None,
        Some(Err(error)) => error,
        None => cut(),
    };
    let is_ours = error.kind == LakeErrorKind::Internal;
    if is_ours {
        tracing::error!(error = error.message, "an answer under way failed");
    } else {
        tracing::debug!(error = error.message, "an answer under way was cut");
    }
    // Internals never reach a client.
    let told =
        if is_ours { "something failed inside; the server's log says what" } else { error.message.as_str() };
    Some((Ok(format.cut_mark(told)), Next::BreakOff(error)))
}
