//! Routes of geofences.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    CheckedGeometry, store,
    types::{Geofence, GeofencePatch, GeofenceQuery, InsideItem, InsideQuery, NewGeofence},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::GeofenceId,
    page::{Cursor, Page, limit_of},
    vehicles::{self, fleet},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(vehicles_inside))
}

/// Geofences, oldest first.
#[utoipa::path(get, path = "/v1/geofences", tag = "vehicles", params(GeofenceQuery),
    responses((status = 200, body = Page<Geofence>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<GeofenceQuery>,
) -> Result<Json<Page<Geofence>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// Adds a geofence. Who is in it already is told to have come in.
#[utoipa::path(post, path = "/v1/geofences", tag = "vehicles", request_body = NewGeofence,
    responses((status = 201, body = Geofence), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewGeofence>,
) -> Result<Response, ApiError> {
    let geometry = CheckedGeometry::of(new.geometry.clone()).await?;
    let mut tx = app.db().write().await?;
    let geofence = super::create(&mut tx, app.now(), &caller, (new, geometry)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, geofence.version, &geofence, &headers))
}

/// One geofence.
#[utoipa::path(get, path = "/v1/geofences/{id}", tag = "vehicles", params(("id" = String, Path)),
    responses((status = 200, body = Geofence), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<GeofenceId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let geofence = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, geofence.version, &geofence, &headers))
}

/// Changes a geofence; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/geofences/{id}", tag = "vehicles", request_body = GeofencePatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Geofence), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    ApiPath(id): ApiPath<GeofenceId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<GeofencePatch>,
) -> Result<Response, ApiError> {
    let geometry = match &patch.geometry {
        Some(geometry) => Some(CheckedGeometry::of(geometry.clone()).await?),
        None => None,
    };
    let mut tx = app.db().write().await?;
    let geofence = super::change(&mut tx, app.now(), (&id, expected), (patch, geometry)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, geofence.version, &geofence, &HeaderMap::new()))
}

/// Takes a geofence away; nobody is told to have left it.
#[utoipa::path(delete, path = "/v1/geofences/{id}", tag = "vehicles", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(app): State<App>, ApiPath(id): ApiPath<GeofenceId>) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Vehicles that are inside now, by their last known place, by telemetry id.
#[utoipa::path(get, path = "/v1/geofences/{id}/vehicles", tag = "vehicles",
    params(("id" = String, Path), InsideQuery),
    responses((status = 200, body = Page<InsideItem>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn vehicles_inside(
    State(app): State<App>,
    ApiPath(id): ApiPath<GeofenceId>,
    ApiQuery(query): ApiQuery<InsideQuery>,
) -> Result<Json<Page<InsideItem>>, ApiError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.key).unwrap_or_default();
    let mut conn = app.db().read().await?;
    let geofence = super::get(&mut conn, &id).await?;
    let names = vehicles::names(&mut conn, geofence.organization_id.as_ref()).await?;
    let entered = store::entered(&mut conn, &id).await?;
    let mut states = app.lake().fleet();
    let is_operators = geofence.organization_id.is_none();
    states.retain(|state| {
        state.vehicle_id.as_str() > after.as_str() && (is_operators || names.contains_key(&state.vehicle_id))
    });
    let states = super::inside(&geofence.geometry, states);
    let items = fleet::items(states, &names, app.now(), app.settings().offline_after);
    let items = items
        .into_iter()
        .take(usize::try_from(limit + 1).unwrap_or(usize::MAX))
        .map(|vehicle| InsideItem { entered_at: entered.get(&vehicle.vehicle_id).copied(), vehicle });
    Ok(Json(Page::of(items.collect(), limit, |item| Cursor {
        key: item.vehicle.vehicle_id.to_string(),
        id: String::new(),
    })))
}
