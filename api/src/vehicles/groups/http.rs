//! Routes of groups.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{Group, GroupMembers, GroupPatch, GroupQuery, GroupVehiclesQuery, NewGroup};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::GroupId,
    page::Page,
    vehicles::types::Vehicle,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(list_vehicles, change_vehicles))
        .routes(routes!(join, leave))
}

/// Groups by name.
#[utoipa::path(get, path = "/v1/groups", tag = "vehicles", operation_id = "list_groups", params(GroupQuery),
    responses((status = 200, body = Page<Group>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<GroupQuery>,
) -> Result<Json<Page<Group>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// Makes a group, without vehicles.
#[utoipa::path(post, path = "/v1/groups", tag = "vehicles", operation_id = "create_group", request_body = NewGroup,
    responses((status = 201, body = Group), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewGroup>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let group = super::create(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, group.version, &group, &headers))
}

/// One group. The number of its vehicles is not part of its ETag, so the whole answer is always sent.
#[utoipa::path(get, path = "/v1/groups/{id}", tag = "vehicles", operation_id = "get_group",
    params(("id" = String, Path)),
    responses((status = 200, body = Group), (status = 404, body = Problem)))]
async fn get(State(app): State<App>, ApiPath(id): ApiPath<GroupId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let group = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, group.version, &group, &HeaderMap::new()))
}

/// Changes a group; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/groups/{id}", tag = "vehicles", operation_id = "change_group",
    request_body = GroupPatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Group), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    ApiPath(id): ApiPath<GroupId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<GroupPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let group = super::change(&mut tx, app.now(), (&id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, group.version, &group, &HeaderMap::new()))
}

/// Takes a group away; its vehicles stay.
#[utoipa::path(delete, path = "/v1/groups/{id}", tag = "vehicles", operation_id = "delete_group",
    params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(app): State<App>, ApiPath(id): ApiPath<GroupId>) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Vehicles of a group, by telemetry id.
#[utoipa::path(get, path = "/v1/groups/{id}/vehicles", tag = "vehicles", operation_id = "list_group_vehicles",
    params(("id" = String, Path), GroupVehiclesQuery),
    responses((status = 200, body = Page<Vehicle>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_vehicles(
    State(app): State<App>,
    ApiPath(id): ApiPath<GroupId>,
    ApiQuery(query): ApiQuery<GroupVehiclesQuery>,
) -> Result<Json<Page<Vehicle>>, ApiError> {
    let mut conn = app.db().read().await?;
    let mut page = super::vehicles_of(&mut conn, &id, query).await?;
    super::with_groups(&mut conn, &mut page.data).await?;
    crate::vehicles::http::with_state(&app, &mut page.data);
    Ok(Json(page))
}

/// Puts vehicles into a group and takes others out, all or none of them: every vehicle that cannot is named.
#[utoipa::path(post, path = "/v1/groups/{id}/vehicles", tag = "vehicles", operation_id = "change_group_vehicles",
    request_body = GroupMembers, params(("id" = String, Path)),
    responses((status = 200, body = Group), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn change_vehicles(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<GroupId>,
    ApiJson(members): ApiJson<GroupMembers>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let group = super::change_members(&mut tx, app.now(), (&caller, &id), &members).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, group.version, &group, &HeaderMap::new()))
}

/// Puts a vehicle, `veh_…` or telemetry id, into a group; once more changes nothing.
#[utoipa::path(put, path = "/v1/groups/{id}/vehicles/{vehicle_id}", tag = "vehicles", operation_id = "join_group",
    params(("id" = String, Path), ("vehicle_id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn join(
    State(app): State<App>,
    caller: Caller,
    ApiPath((id, vehicle_id)): ApiPath<(GroupId, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::join(&mut tx, app.now(), &caller, (&id, &vehicle_id)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a vehicle out of a group; once more changes nothing.
#[utoipa::path(delete, path = "/v1/groups/{id}/vehicles/{vehicle_id}", tag = "vehicles",
    operation_id = "leave_group", params(("id" = String, Path), ("vehicle_id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn leave(
    State(app): State<App>,
    caller: Caller,
    ApiPath((id, vehicle_id)): ApiPath<(GroupId, String)>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::leave(&mut tx, app.now(), &caller, (&id, &vehicle_id)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}
