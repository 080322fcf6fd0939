//! Routes of drivers.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    assignments,
    types::{Driver, DriverPatch, DriverQuery, NewDriver},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::DriverId,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, register))
        .routes(routes!(get, change))
        .merge(assignments::http::routes())
}

/// Drivers by name, with the vehicle they have now.
#[utoipa::path(get, path = "/v1/drivers", tag = "drivers", operation_id = "list_drivers", params(DriverQuery),
    responses((status = 200, body = Page<Driver>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<DriverQuery>,
) -> Result<Json<Page<Driver>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, (app.now(), &caller), query).await?))
}

/// Registers a driver.
#[utoipa::path(post, path = "/v1/drivers", tag = "drivers", operation_id = "register_driver",
    request_body = NewDriver,
    responses((status = 201, body = Driver), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn register(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewDriver>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let driver = super::register(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, driver.version, &driver, &headers))
}

/// One driver. The ETag tells changes of the driver; the vehicle they have now is not part of it, so the whole answer is
/// always sent.
#[utoipa::path(get, path = "/v1/drivers/{id}", tag = "drivers", operation_id = "get_driver",
    params(("id" = String, Path)),
    responses((status = 200, body = Driver), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<DriverId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let mut driver = super::get(&mut conn, &id).await?;
    super::with_vehicles(&mut conn, app.now(), std::slice::from_mut(&mut driver)).await?;
    Ok(tagged(StatusCode::OK, driver.version, &driver, &HeaderMap::new()))
}

/// Changes a driver; needs `If-Match`. Who leaves (`"status": "left"`) has no vehicle any more.
#[utoipa::path(patch, path = "/v1/drivers/{id}", tag = "drivers", operation_id = "change_driver",
    request_body = DriverPatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Driver), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    ApiPath(id): ApiPath<DriverId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<DriverPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let now = app.now();
    let mut driver = super::change(&mut tx, now, (&id, expected), patch).await?;
    super::with_vehicles(&mut tx, now, std::slice::from_mut(&mut driver)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, driver.version, &driver, &HeaderMap::new()))
}
