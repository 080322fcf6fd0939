//! What is below all that the console's maps show (`[console]`): which it is, and the archive itself.
//!
//! The archive has nothing of anybody's, so it is served like the console's own files, without a key: the map library asks
//! for ranges of it by the hundred, and caches keep them. Where a style is on another server is told to callers alone,
//! as such an address may carry a key.

use std::{io::ErrorKind, path::Path};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Serialize;
use tower_http::services::ServeFile;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, config::Basemap, error::ApiError};

/// Where the archive is.
const FILE_PATH: &str = "/basemap.pmtiles";
/// The type of an archive: tiles in it are compressed already.
pub(crate) const FILE_TYPE: &str = "application/vnd.pmtiles";
/// A new archive has another ETag, by which the map library finds that what it kept is of the one before.
const FILE_CACHE: &str = "public, max-age=3600";

/// What is below all that maps show.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct BasemapShown {
    /// `natural_earth`, which the console has with it; `pmtiles`, an archive on this server; or `style`, a MapLibre style.
    pub(crate) kind: &'static str,
    /// Where the archive or the style is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
    /// The origins that the console may ask for the style, its own first; of a style alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) origins: Vec<String>,
    /// Shown beside what the archive or the style says of its source; text or HTML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) attribution: Option<String>,
}

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(shown))
}

/// The archive, which is a file and not of the api.
pub(crate) fn file_routes() -> Router<App> {
    Router::new().route(FILE_PATH, get(file))
}

/// What is below all that the console's maps show.
#[utoipa::path(get, path = "/v1/basemap", tag = "platform", operation_id = "basemap",
    responses((status = 200, body = BasemapShown)))]
async fn shown(State(app): State<App>) -> Json<BasemapShown> {
    let console = &app.settings().console;
    let attribution = console.attribution.clone();
    let (kind, url, origins) = match &console.basemap {
        Basemap::NaturalEarth => ("natural_earth", None, Vec::new()),
        Basemap::File(_) => ("pmtiles", Some(FILE_PATH.to_owned()), Vec::new()),
        Basemap::Style { url, origins } => ("style", Some(url.to_string()), origins.clone()),
    };
    Json(BasemapShown { kind, url, origins, attribution })
}

async fn file(State(app): State<App>, request: Request) -> Response {
    match &app.settings().console.basemap {
        Basemap::File(path) => served(path, request).await,
        Basemap::NaturalEarth | Basemap::Style { .. } => {
            ApiError::no_route(request.uri().path()).into_response()
        }
    }
}

/// Ranges, conditions and HEAD are the library's; it reads no more of the file than it sends.
async fn served(path: &Path, request: Request) -> Response {
    let mut response = match ServeFile::new(path).try_call(request).await {
        Ok(response) => response.map(Body::new),
        // It was there when the server started.
        Err(error) => {
            tracing::warn!(error = %service::logs::chain(&error), "basemap file cannot be read");
            let (status, name) = match error.kind() {
                ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not-found"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "basemap"),
            };
            let detail = "the basemap's file cannot be read; it is to be where basemap_file says";
            return ApiError::of(status, name, detail, Vec::new()).into_response();
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FILE_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(FILE_CACHE));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
