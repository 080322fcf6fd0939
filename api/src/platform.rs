//! What belongs to no domain: health, metrics, the event log, the OpenAPI description and its page.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use service::health;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    entry,
    error::{ApiError, Problem},
    events::{self, EventPage, EventQuery},
    extract::ApiQuery,
    fault::DomainError,
    page::limit_of,
};

/// How ready the process is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether it serves.
    pub(crate) is_ready: bool,
    /// Each part: `ready`, `starting` or `failing`; for the operator with what it waits for or fails with.
    pub(crate) parts: BTreeMap<String, String>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(health_check))
        .routes(routes!(ready))
        .routes(routes!(metrics))
        .routes(routes!(event_log))
}

/// The page of the description; the description itself is routed where it is made.
pub(crate) fn docs_routes() -> Router<App> {
    let script = || async {
        let kind = [(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))];
        (kind, include_str!("platform/docs.js"))
    };
    Router::new()
        .route("/docs", get(|| async { Html(include_str!("platform/docs.html")) }))
        .route("/docs/docs.js", get(script))
}

/// Whether the process lives.
#[utoipa::path(get, path = "/health", tag = "platform", responses((status = 200)))]
async fn health_check() -> &'static str {
    "ok\n"
}

/// Whether every part serves; 503 with the parts when not.
#[utoipa::path(get, path = "/ready", tag = "platform",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
async fn ready(State(app): State<App>, headers: HeaderMap) -> Response {
    // Why something fails names disks, hosts and the like.
    let caller = entry::authenticated(&app, &headers).await;
    let is_operator = caller.is_ok_and(|caller| caller.organization().is_none());
    let shown =
        |state: &str, why: String| if is_operator { format!("{state}: {why}") } else { state.to_owned() };
    let mut parts = BTreeMap::new();
    let mut is_ready = true;
    for (name, state) in app.health().parts() {
        is_ready &= state == health::State::Ready;
        let word = state.word();
        let text = match state {
            health::State::Ready => word.to_owned(),
            health::State::Starting(why) | health::State::Failing(why) => shown(word, why),
        };
        parts.insert(name.to_owned(), text);
    }
    let database = match app.db().read().await {
        Ok(mut conn) => events::last_position(&mut conn).await.map(|_| ()),
        Err(e) => Err(DomainError::from(e)),
    };
    is_ready &= database.is_ok();
    let database = database
        .map_or_else(|e| shown("failing", service::logs::chain(&e).to_string()), |()| "ready".to_owned());
    parts.insert("database".to_owned(), database);
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { is_ready, parts })).into_response()
}

/// Metrics in Prometheus' text format.
#[utoipa::path(get, path = "/metrics", tag = "platform", responses((status = 200, content_type = "text/plain")))]
async fn metrics() -> Response {
    let kind = [(header::CONTENT_TYPE, service::metrics::CONTENT_TYPE)];
    (kind, service::metrics::render()).into_response()
}

/// The event log, in order; read on with `after = next_after`.
#[utoipa::path(get, path = "/v1/events", tag = "platform", params(EventQuery),
    responses((status = 200, body = EventPage), (status = 422, body = Problem)))]
async fn event_log(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<EventQuery>,
) -> Result<Json<EventPage>, ApiError> {
    let limit = limit_of(query.limit)?;
    let after = query.after.unwrap_or(0);
    let mut conn = app.db().read().await?;
    let data = events::after(&mut conn, after, limit).await?;
    let next_after = data.last().map_or(after, |e| e.position);
    Ok(Json(EventPage { data, next_after }))
}
