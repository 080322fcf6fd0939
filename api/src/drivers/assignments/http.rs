//! Routes of driver assignments.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{AssignmentEnd, AssignmentPatch, AssignmentQuery, DriverAssignment, NewAssignment};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, OptionalJson, tagged},
    fault::DomainError,
    ids::DriverAssignmentId,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, assign))
        .routes(routes!(get, change, remove))
        .routes(routes!(end))
}

/// Who has which vehicle when, the latest begin first.
#[utoipa::path(get, path = "/v1/driver-assignments", tag = "drivers", operation_id = "list_driver_assignments",
    params(AssignmentQuery),
    responses((status = 200, body = Page<DriverAssignment>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AssignmentQuery>,
) -> Result<Json<Page<DriverAssignment>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// Gives a driver a vehicle. Where the vehicle or the driver is taken, 409 says by which assignment and when.
#[utoipa::path(post, path = "/v1/driver-assignments", tag = "drivers", operation_id = "assign_driver",
    request_body = NewAssignment,
    responses((status = 201, body = DriverAssignment), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn assign(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewAssignment>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let assignment = super::assign(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, assignment.version, &assignment, &headers))
}

/// One assignment. The driver's name is not part of its ETag, so the whole answer is always sent.
#[utoipa::path(get, path = "/v1/driver-assignments/{id}", tag = "drivers", operation_id = "get_driver_assignment",
    params(("id" = String, Path)),
    responses((status = 200, body = DriverAssignment), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<DriverAssignmentId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let assignment = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, assignment.version, &assignment, &HeaderMap::new()))
}

/// Corrects an assignment; needs `If-Match`. The trips in it are corrected with it.
#[utoipa::path(patch, path = "/v1/driver-assignments/{id}", tag = "drivers",
    operation_id = "change_driver_assignment", request_body = AssignmentPatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = DriverAssignment), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<DriverAssignmentId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<AssignmentPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let assignment = super::change(&mut tx, app.now(), (&caller, &id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, assignment.version, &assignment, &HeaderMap::new()))
}

/// Ends an assignment: now, or at a time that is named.
#[utoipa::path(post, path = "/v1/driver-assignments/{id}/end", tag = "drivers",
    operation_id = "end_driver_assignment", request_body = AssignmentEnd, params(("id" = String, Path)),
    responses((status = 200, body = DriverAssignment), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn end(
    State(app): State<App>,
    ApiPath(id): ApiPath<DriverAssignmentId>,
    OptionalJson(end): OptionalJson<AssignmentEnd>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let assignment = super::end(&mut tx, app.now(), &id, &end).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, assignment.version, &assignment, &HeaderMap::new()))
}

/// Takes back an assignment that was made by mistake.
#[utoipa::path(delete, path = "/v1/driver-assignments/{id}", tag = "drivers",
    operation_id = "remove_driver_assignment", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn remove(
    State(app): State<App>,
    ApiPath(id): ApiPath<DriverAssignmentId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::remove(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
