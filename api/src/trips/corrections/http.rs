//! Routes of corrections.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{CorrectionQuery, TripCorrection, TripMark, TripMerge, TripSplit};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, tagged},
    fault::DomainError,
    ids::TripCorrectionId,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(merge))
        .routes(routes!(split))
        .routes(routes!(mark))
        .routes(routes!(list))
        .routes(routes!(get, revoke))
}

/// Makes one of trips that follow each other. Their revisions come within seconds: one spans them all, the others
/// are withdrawn.
#[utoipa::path(post, path = "/v1/trips:merge", tag = "trips", operation_id = "merge_trips", request_body = TripMerge,
    responses((status = 201, body = TripCorrection), (status = 422, body = Problem)))]
async fn merge(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<TripMerge>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let made = super::merge(&mut tx, app.now(), (&caller, asked)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, made.version, &made, &headers))
}

/// Makes two of a trip. Their revisions come within seconds: the first part is the trip it was, the other a new one.
#[utoipa::path(post, path = "/v1/trips:split", tag = "trips", operation_id = "split_trip", request_body = TripSplit,
    responses((status = 201, body = TripCorrection), (status = 422, body = Problem)))]
async fn split(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<TripSplit>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let made = super::split(&mut tx, app.now(), (&caller, asked)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, made.version, &made, &headers))
}

/// Says what a trip was for. The places of a private one are told to nobody; its distance and time count.
#[utoipa::path(post, path = "/v1/trips:mark", tag = "trips", operation_id = "mark_trip", request_body = TripMark,
    responses((status = 201, body = TripCorrection), (status = 422, body = Problem)))]
async fn mark(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(asked): ApiJson<TripMark>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let made = super::mark(&mut tx, app.now(), (&caller, asked)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, made.version, &made, &headers))
}

/// Corrections of a vehicle, or those that touch a trip's time, the latest first.
#[utoipa::path(get, path = "/v1/trip-corrections", tag = "trips", operation_id = "list_trip_corrections",
    params(CorrectionQuery),
    responses((status = 200, body = Page<TripCorrection>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<CorrectionQuery>,
) -> Result<Json<Page<TripCorrection>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// One correction.
#[utoipa::path(get, path = "/v1/trip-corrections/{id}", tag = "trips", operation_id = "get_trip_correction",
    params(("id" = String, Path)),
    responses((status = 200, body = TripCorrection), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<TripCorrectionId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let found = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, found.version, &found, &headers))
}

/// Takes a correction back; one that was taken back already is answered as it is.
#[utoipa::path(delete, path = "/v1/trip-corrections/{id}", tag = "trips", operation_id = "revoke_trip_correction",
    params(("id" = String, Path)),
    responses((status = 200, body = TripCorrection), (status = 404, body = Problem)))]
async fn revoke(
    State(app): State<App>,
    ApiPath(id): ApiPath<TripCorrectionId>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let revoked = super::revoke(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, revoked.version, &revoked, &HeaderMap::new()))
}
