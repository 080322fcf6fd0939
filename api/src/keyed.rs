//! Answers of requests under an `Idempotency-Key`: stored with their effect, given again as they were.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use serde::Serialize;
use wire::time::Timestamp;

use crate::{
    app::App,
    db::Conn,
    error::ApiError,
    events::json_of,
    extract::KeyedBody,
    fault::DomainError,
    idempotency::{self, StoredAnswer},
};

/// An answer to keep.
pub(crate) fn answer_of<T: Serialize>(status: StatusCode, value: &T) -> StoredAnswer {
    StoredAnswer { status: i64::from(status.as_u16()), body: json_of(value).to_string() }
}

/// Does a thing once under the request's key: its effect and its answer are stored together, and
/// whoever repeats the request is given the same answer.
pub(crate) async fn once<T, Act>(
    app: &App,
    request: &KeyedBody,
    status: StatusCode,
    act: Act,
) -> Result<Response, ApiError>
where
    T: Serialize,
    Act: AsyncFnOnce(&mut Conn, Timestamp) -> Result<T, DomainError>,
{
    let mut tx = app.db().write().await?;
    let now = app.now();
    if let Some(answer) = idempotency::recall(&mut tx, now, &request.key).await? {
        return Ok(replayed(answer));
    }
    let done = act(&mut tx, now).await?;
    let answer = answer_of(status, &done);
    idempotency::keep(&mut tx, now, &request.key, &answer).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(answered(answer))
}

/// A stored answer as a response.
pub(crate) fn answered(answer: StoredAnswer) -> Response {
    let status = u16::try_from(answer.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
    let status = status.unwrap_or(StatusCode::OK);
    let kind = if status.is_client_error() { "application/problem+json" } else { "application/json" };
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// The same, marked as one that was given before.
pub(crate) fn replayed(answer: StoredAnswer) -> Response {
    replay_of(answered(answer))
}

/// A response, marked as one that was given before.
pub(crate) fn replay_of(mut response: Response) -> Response {
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
