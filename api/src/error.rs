//! Errors as HTTP: problem details (RFC 9457). The one place that chooses a status.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use service::logs::chain;
use utoipa::ToSchema;

use crate::{
    fault::{DomainError, Fault, Kind},
    sign_in::{bearer::Rejected, sessions::Ended as SessionEnded},
    users::keys::Ended,
};

/// Problem details.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Problem {
    /// `about:blank`, or a stable name of the problem.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What the status means.
    pub title: String,
    /// The status again.
    pub status: u16,
    /// What was wrong this time, and the remedy.
    pub detail: String,
    /// Every fault of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// When to come back, as `Retry-After`.
    #[serde(skip)]
    pub(crate) retry_after_s: Option<i64>,
}

/// What a handler fails with.
#[derive(Debug)]
pub struct ApiError(Box<Problem>);

impl ApiError {
    /// A problem of a status.
    pub(crate) fn of(status: StatusCode, name: &str, detail: impl Into<String>, errors: Vec<Fault>) -> Self {
        Self(Box::new(Problem {
            type_uri: format!("urn:roadlake:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            errors,
            retry_after_s: (status == StatusCode::SERVICE_UNAVAILABLE).then_some(1),
        }))
    }

    /// A request that cannot be read, at one place.
    pub(crate) fn unreadable(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let detail = "the request cannot be read";
        Self::of(
            StatusCode::BAD_REQUEST,
            "unreadable",
            detail,
            vec![Fault { field: field.to_owned(), message }],
        )
    }

    /// A route that does not exist.
    pub(crate) fn no_route(path: &str) -> Self {
        let detail = format!("there is no {path}; see /docs for what there is");
        Self::of(StatusCode::NOT_FOUND, "not-found", detail, Vec::new())
    }

    /// A known route with another method.
    pub(crate) fn no_method(method: &str, path: &str) -> Self {
        let detail = format!("{path} does not take {method}; see /docs for what it takes");
        Self::of(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail, Vec::new())
    }

    /// No or a wrong API key.
    pub(crate) fn unauthorized() -> Self {
        let detail = "this server asks for `Authorization: Bearer KEY`: an API key that is neither expired nor \
                      revoked, or the key of its api_key_file";
        Self::of(StatusCode::UNAUTHORIZED, "unauthorized", detail, Vec::new())
    }

    /// An API key that was right once.
    pub(crate) fn key_ended(ended: &Ended) -> Self {
        let (name, detail) = match ended {
            Ended::Revoked(at) => ("key-revoked", format!("this API key was revoked at {at}")),
            Ended::Expired(at) => ("key-expired", format!("this API key expired at {at}")),
            Ended::PersonInactive => {
                ("key-inactive", "the person this API key was made for is no longer active".to_owned())
            }
        };
        Self::of(StatusCode::UNAUTHORIZED, name, format!("{detail}; use another"), Vec::new())
    }

    /// A session that was one once, or a cookie that never was.
    pub(crate) fn session_ended(ended: &SessionEnded) -> Self {
        let (name, detail) = match ended {
            SessionEnded::Over => ("session-ended", "this session has ended; sign in again"),
            SessionEnded::PersonInactive => {
                ("session-inactive", "the person of this session is no longer active")
            }
        };
        Self::of(StatusCode::UNAUTHORIZED, name, detail, Vec::new())
    }

    /// An access token of the identity provider's that lets nobody in.
    pub(crate) fn token_rejected(rejected: &Rejected) -> Self {
        let (name, detail) = match rejected {
            Rejected::Expired => {
                ("token-expired", "this access token has expired; ask the provider for another")
            }
            Rejected::Unknown => (
                "unauthorized",
                "this access token is not the provider's, not for this server (oidc.audience), or of nobody who is an \
                 active user here",
            ),
            Rejected::ProviderAway => {
                let detail = "the identity provider does not answer, so its access tokens cannot be verified";
                return Self::of(StatusCode::SERVICE_UNAVAILABLE, "provider-away", detail, Vec::new());
            }
        };
        Self::of(StatusCode::UNAUTHORIZED, name, detail, Vec::new())
    }

    /// What comes with a session's cookie, and from no page of the console.
    pub(crate) fn cross_site(origin: &str) -> Self {
        let detail = format!(
            "with a session what changes something must come from a page of {origin} (oidc.public_url), by its Origin \
             or Sec-Fetch-Site; programs send `Authorization`"
        );
        Self::of(StatusCode::FORBIDDEN, "cross-site", detail, Vec::new())
    }

    /// A caller who may not.
    pub(crate) fn denied(detail: String) -> Self {
        Self::of(StatusCode::FORBIDDEN, "denied", detail, Vec::new())
    }

    /// A caller who asks too often.
    pub(crate) fn too_many(retry_after_s: i64) -> Self {
        let detail = format!(
            "this key sends more requests than it may (requests_per_second_max); go on in {retry_after_s} s"
        );
        let mut error = Self::of(StatusCode::TOO_MANY_REQUESTS, "too-many", detail, Vec::new());
        error.0.retry_after_s = Some(retry_after_s);
        error
    }

    /// An address that asks too often where no key is asked for.
    pub(crate) fn too_many_openly(retry_after_s: i64) -> Self {
        let detail =
            format!("too many requests without a key come from this address; go on in {retry_after_s} s");
        let mut error = Self::of(StatusCode::TOO_MANY_REQUESTS, "too-many", detail, Vec::new());
        error.0.retry_after_s = Some(retry_after_s);
        error
    }

    /// What there is nothing of on this server.
    pub(crate) fn not_here(detail: &str) -> Self {
        Self::of(StatusCode::NOT_FOUND, "not-found", detail, Vec::new())
    }

    /// A body over the limit of a route that asks for no key.
    pub(crate) fn too_large_openly(bytes_max: usize) -> Self {
        let detail = format!("the body is over {bytes_max} bytes, more than this route takes");
        Self::of(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail, Vec::new())
    }

    /// A request that took too long.
    pub(crate) fn timeout(seconds: u64) -> Self {
        let detail = format!("no answer within {seconds} s (request_timeout); ask for less or again");
        Self::of(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail, Vec::new())
    }

    /// A body over the limit.
    pub(crate) fn too_large(bytes_max: u64) -> Self {
        let detail = format!("the body is over {bytes_max} bytes (body_bytes_max)");
        Self::of(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail, Vec::new())
    }

    /// A change without `If-Match`.
    pub(crate) fn precondition_required() -> Self {
        let detail = "a change needs `If-Match` with the ETag of what you read, such as If-Match: \"3\"";
        Self::of(StatusCode::PRECONDITION_REQUIRED, "precondition-required", detail, Vec::new())
    }
}

impl From<DomainError> for ApiError {
    fn from(error: DomainError) -> Self {
        let (status, name) = match error.kind() {
            Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
            Kind::Conflict if matches!(error, DomainError::Suspended(_)) => {
                (StatusCode::CONFLICT, "bookings-suspended")
            }
            Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
            Kind::Stale => (StatusCode::PRECONDITION_FAILED, "stale"),
            Kind::Denied => (StatusCode::FORBIDDEN, "denied"),
            Kind::Unproven => (StatusCode::UNAUTHORIZED, "unproven"),
            Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Kind::Internal => {
                tracing::error!(error = %chain(&error), "request failed");
                let detail = "something failed inside; the server's log says what";
                return Self::of(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail, Vec::new());
            }
        };
        let detail = match &error {
            DomainError::Lake(lake) => lake.message.clone(),
            DomainError::Invalid { what, .. } => format!("{what} cannot be accepted"),
            DomainError::Db(_) if status == StatusCode::CONFLICT => {
                "somebody else changed it at the same moment; read it again and repeat".to_owned()
            }
            DomainError::Db(_) => "the database is busy or away; try again".to_owned(),
            other => other.to_string(),
        };
        let faults = match error {
            DomainError::Invalid { faults, .. } => faults,
            _ => Vec::new(),
        };
        Self::of(status, name, detail, faults)
    }
}

impl From<crate::db::DbError> for ApiError {
    fn from(error: crate::db::DbError) -> Self {
        DomainError::from(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
