//! What happens to every request: time is limited, the answer is counted.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{app::App, error::ApiError, metrics};

/// Limits the time to an answer's head, and counts it. Streams go on after their head.
pub(crate) async fn limit_and_count(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = method_name(request.method());
    let start_us = app.monotonic_us();
    let timeout = app.settings().request_timeout;
    let response = match tokio::time::timeout(timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::timeout(timeout.as_secs()).into_response(),
    };
    let elapsed = u64::try_from(app.monotonic_us() - start_us).unwrap_or(0);
    metrics::request_answered(method, response.status().as_u16(), Duration::from_micros(elapsed));
    response
}

/// A closed set, for a label.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}
