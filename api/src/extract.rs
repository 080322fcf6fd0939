//! Requests as types, with problem details for what does not read; answers with an ETag.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    app::App,
    caller::Caller,
    error::ApiError,
    fault::{DomainError, Fault},
    idempotency::{IdempotencyKey, KEY_LEN_MAX},
};

/// A JSON body; unknown fields are refused by the types.
#[derive(Debug)]
pub(crate) struct ApiJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for ApiJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let body = body_of(request, app).await?;
        read_json(&body).map(Self)
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let body = body_of(request, app).await?;
        if body.is_empty() { Ok(Self(T::default())) } else { read_json(&body).map(Self) }
    }
}

/// Largest body where no key is asked for: a certificate request and what proves who sends it.
const OPEN_BYTES_MAX: usize = 32 * 1024;

/// A JSON body of somebody without a key: a small one.
#[derive(Debug)]
pub(crate) struct OpenJson<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for OpenJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &App) -> Result<Self, ApiError> {
        let body = axum::body::to_bytes(request.into_body(), OPEN_BYTES_MAX).await;
        read_json(&body.map_err(|_| ApiError::too_large_openly(OPEN_BYTES_MAX))?).map(Self)
    }
}

/// A JSON body under an `Idempotency-Key`.
#[derive(Debug)]
pub(crate) struct KeyedBody {
    pub(crate) key: IdempotencyKey,
    pub(crate) body: Bytes,
}

impl FromRequest<App> for KeyedBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let key = match request.headers().get("idempotency-key").map(HeaderValue::to_str) {
            Some(Ok(key)) if (1..=KEY_LEN_MAX).contains(&key.len()) => key.to_owned(),
            Some(_) => {
                return Err(ApiError::unreadable("Idempotency-Key", "must be 1 to 200 visible characters"));
            }
            None => {
                return Err(ApiError::unreadable(
                    "Idempotency-Key",
                    "is required here: send a new UUID for each act, and the same one to repeat it",
                ));
            }
        };
        let what = format!("{} {}", request.method(), request.uri().path());
        let caller = request.extensions().get::<Caller>().ok_or_else(ApiError::unauthorized)?;
        let whose = caller.organization().map_or("operator", |own| own.as_str()).to_owned();
        let body = body_of(request, app).await?;
        Ok(Self { key: IdempotencyKey::of((&whose, &key), &what, &body), body })
    }
}

async fn body_of(request: Request, app: &App) -> Result<Bytes, ApiError> {
    let bytes_max = app.settings().body_bytes_max;
    let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    axum::body::to_bytes(request.into_body(), limit).await.map_err(|_| ApiError::too_large(bytes_max))
}

/// Reads JSON, naming the field at fault where serde does.
pub(crate) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if may_have_nul(body) && serde_json::from_slice(body).is_ok_and(|value| has_nul(&value)) {
        return Err(ApiError::unreadable(
            "body",
            "has a NUL character (\\u0000), which no text here may have",
        ));
    }
    serde_json::from_slice(body).map_err(|e| {
        let message = e.to_string();
        let field = message.split('`').nth(1).unwrap_or("body").to_owned();
        if e.is_data() {
            let detail = "the body cannot be accepted";
            let errors = vec![Fault { field, message }];
            ApiError::of(StatusCode::UNPROCESSABLE_ENTITY, "invalid", detail, errors)
        } else {
            ApiError::unreadable("body", format!("is not JSON: {message}"))
        }
    })
}

/// JSON writes it only so; a backslash before may take the meaning away.
fn may_have_nul(body: &[u8]) -> bool {
    body.windows(6).any(|part| part == br"\u0000")
}

/// A field that is there, null or not: of a change, where one that is absent stays.
pub(crate) fn given<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Query parameters; unknown ones are refused by the types.
#[derive(Debug)]
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let message = rejection.body_text();
                let field = message.split('`').nth(1).unwrap_or("query").to_owned();
                Err(ApiError::unreadable(&field, message))
            }
        }
    }
}

/// Parts of the path as ids; one that is no id names nothing.
#[derive(Debug)]
pub(crate) struct ApiPath<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for ApiPath<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(path)) => Ok(Self(path)),
            Err(rejection) => {
                let detail = format!("{}: {}", parts.uri.path(), rejection.body_text());
                Err(ApiError::of(StatusCode::NOT_FOUND, "not-found", detail, Vec::new()))
            }
        }
    }
}

/// The version a change is based on, from `If-Match`.
#[derive(Debug)]
pub(crate) struct IfMatch(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let value = parts.headers.get(header::IF_MATCH).ok_or_else(ApiError::precondition_required)?;
        let version = value.to_str().ok().map(|v| v.trim().trim_matches('"')).and_then(|v| v.parse().ok());
        version
            .map(Self)
            .ok_or_else(|| ApiError::unreadable("If-Match", "must be an ETag of this api, such as \"3\""))
    }
}

/// A single resource with its version as ETag; 304 when the caller has it.
pub(crate) fn tagged<T: Serialize>(
    status: StatusCode,
    version: i64,
    value: &T,
    request: &HeaderMap,
) -> Response {
    let tag = format!("\"{version}\"");
    let etag = [(header::ETAG, tag.clone())];
    if status == StatusCode::OK && has_tag(request, &tag) {
        return (StatusCode::NOT_MODIFIED, etag).into_response();
    }
    (status, etag, Json(value)).into_response()
}

/// Whether the caller has what a tag names.
pub(crate) fn has_tag(request: &HeaderMap, tag: &str) -> bool {
    let seen = request.get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    seen.is_some_and(|s| s.split(',').any(|t| t.trim() == tag))
}

/// An id in a request, or the fault of its field.
pub(crate) fn id_of<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &'static str,
    field: &str,
    text: &str,
) -> Result<T, DomainError> {
    text.parse().map_err(|e: T::Err| DomainError::invalid(what, field, e.to_string()))
}
