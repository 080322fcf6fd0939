//! What happens to every request: the key is checked, time is limited, the answer is counted.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use crate::{app::App, error::ApiError, metrics};

/// Refuses `/v1` without the key, where one is set.
pub(crate) async fn authorize(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(key) = &app.settings().api_key else { return next.run(request).await };
    let path = request.uri().path();
    if path != "/v1" && !path.starts_with("/v1/") {
        return next.run(request).await;
    }
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let given =
        given.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match given {
        Some((_, token)) if is_equal(token.trim(), key.expose()) => next.run(request).await,
        _ => ApiError::unauthorized().into_response(),
    }
}

/// Compares hashes, all bytes of them: neither length nor content shows in the time it takes.
fn is_equal(given: &str, key: &str) -> bool {
    let (given, key) = (Sha256::digest(given.as_bytes()), Sha256::digest(key.as_bytes()));
    given.iter().zip(key.iter()).fold(0_u8, |difference, (a, b)| difference | (a ^ b)) == 0
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_itself_is_equal() {
        assert!(is_equal("secret", "secret"));
        for other in ["", "secre", "secret ", "Secret"] {
            assert!(!is_equal(other, "secret"), "{other:?}");
        }
    }
}
