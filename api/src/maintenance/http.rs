//! Routes of maintenance.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    due,
    orders::{
        self,
        types::{
            NewWorkOrder, WorkOrder, WorkOrderCancellation, WorkOrderCompletion, WorkOrderPatch,
            WorkOrderQuery,
        },
    },
    schedules,
    types::{
        MaintenanceDone, MaintenanceDue, MaintenanceDueQuery, MaintenanceSchedule, MaintenanceSchedulePatch,
        MaintenanceScheduleQuery, NewMaintenanceSchedule,
    },
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::{MaintenanceScheduleId, WorkOrderId},
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(done))
        .routes(routes!(list_due))
        .routes(routes!(list_orders, open_order))
        .routes(routes!(get_order, change_order))
        .routes(routes!(complete_order))
        .routes(routes!(cancel_order))
}

/// Schedules, oldest first.
#[utoipa::path(get, path = "/v1/maintenance-schedules", tag = "maintenance",
    operation_id = "list_maintenance_schedules", params(MaintenanceScheduleQuery),
    responses((status = 200, body = Page<MaintenanceSchedule>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<MaintenanceScheduleQuery>,
) -> Result<Json<Page<MaintenanceSchedule>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(schedules::list(&mut conn, &caller, query).await?))
}

/// Makes a schedule. The first interval of its vehicles begins now, at the odometer that is known first.
#[utoipa::path(post, path = "/v1/maintenance-schedules", tag = "maintenance",
    operation_id = "create_maintenance_schedule", request_body = NewMaintenanceSchedule,
    responses((status = 201, body = MaintenanceSchedule), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewMaintenanceSchedule>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let schedule = schedules::create(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, schedule.version, &schedule, &headers))
}

/// One schedule.
#[utoipa::path(get, path = "/v1/maintenance-schedules/{id}", tag = "maintenance",
    operation_id = "get_maintenance_schedule", params(("id" = String, Path)),
    responses((status = 200, body = MaintenanceSchedule), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<MaintenanceScheduleId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let schedule = schedules::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, schedule.version, &schedule, &headers))
}

/// Changes a schedule; needs `If-Match`. What has been said under other limits is said again when it comes.
#[utoipa::path(patch, path = "/v1/maintenance-schedules/{id}", tag = "maintenance",
    operation_id = "change_maintenance_schedule", request_body = MaintenanceSchedulePatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = MaintenanceSchedule), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<MaintenanceScheduleId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<MaintenanceSchedulePatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let schedule = schedules::change(&mut tx, app.now(), (&caller, &id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, schedule.version, &schedule, &HeaderMap::new()))
}

/// Takes a schedule away; its work orders stay.
#[utoipa::path(delete, path = "/v1/maintenance-schedules/{id}", tag = "maintenance",
    operation_id = "delete_maintenance_schedule", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(
    State(app): State<App>,
    ApiPath(id): ApiPath<MaintenanceScheduleId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    schedules::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Notes work that was done before, or elsewhere: the vehicle's next interval begins with it.
#[utoipa::path(post, path = "/v1/maintenance-schedules/{id}/done", tag = "maintenance",
    operation_id = "note_maintenance_done", request_body = MaintenanceDone, params(("id" = String, Path)),
    responses((status = 200, body = MaintenanceDue), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn done(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<MaintenanceScheduleId>,
    ApiJson(told): ApiJson<MaintenanceDone>,
) -> Result<Json<MaintenanceDue>, ApiError> {
    let mut tx = app.db().write().await?;
    let due = schedules::done(&mut tx, app.now(), (&caller, &id), &told).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(Json(due))
}

/// Where vehicles are in their schedules, the most urgent first.
#[utoipa::path(get, path = "/v1/maintenance-due", tag = "maintenance", operation_id = "list_maintenance_due",
    params(MaintenanceDueQuery),
    responses((status = 200, body = Page<MaintenanceDue>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_due(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<MaintenanceDueQuery>,
) -> Result<Json<Page<MaintenanceDue>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(due::list(&mut conn, (app.now(), &caller), query).await?))
}

/// Work orders, newest first.
#[utoipa::path(get, path = "/v1/work-orders", tag = "maintenance", operation_id = "list_work_orders",
    params(WorkOrderQuery),
    responses((status = 200, body = Page<WorkOrder>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_orders(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<WorkOrderQuery>,
) -> Result<Json<Page<WorkOrder>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(orders::list(&mut conn, &caller, query).await?))
}

/// Opens a work order.
#[utoipa::path(post, path = "/v1/work-orders", tag = "maintenance", operation_id = "open_work_order",
    request_body = NewWorkOrder,
    responses((status = 201, body = WorkOrder), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn open_order(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewWorkOrder>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let order = orders::open(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, order.version, &order, &headers))
}

/// One work order.
#[utoipa::path(get, path = "/v1/work-orders/{id}", tag = "maintenance", operation_id = "get_work_order",
    params(("id" = String, Path)),
    responses((status = 200, body = WorkOrder), (status = 404, body = Problem)))]
async fn get_order(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<WorkOrderId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let order = orders::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, order.version, &order, &headers))
}

/// Changes a work order, or starts it by `"status": "in_progress"`; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/work-orders/{id}", tag = "maintenance", operation_id = "change_work_order",
    request_body = WorkOrderPatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = WorkOrder), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change_order(
    State(app): State<App>,
    ApiPath(id): ApiPath<WorkOrderId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<WorkOrderPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let order = orders::change(&mut tx, app.now(), (&id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, order.version, &order, &HeaderMap::new()))
}

/// Completes a work order that was started; the vehicle's next interval of its schedule begins.
#[utoipa::path(post, path = "/v1/work-orders/{id}/complete", tag = "maintenance",
    operation_id = "complete_work_order", request_body = WorkOrderCompletion, params(("id" = String, Path)),
    responses((status = 200, body = WorkOrder), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn complete_order(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<WorkOrderId>,
    ApiJson(completion): ApiJson<WorkOrderCompletion>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let order = orders::complete(&mut tx, app.now(), (&caller, &id), completion).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, order.version, &order, &HeaderMap::new()))
}

/// Cancels a work order; what it was for stays due.
#[utoipa::path(post, path = "/v1/work-orders/{id}/cancel", tag = "maintenance",
    operation_id = "cancel_work_order", request_body = WorkOrderCancellation, params(("id" = String, Path)),
    responses((status = 200, body = WorkOrder), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn cancel_order(
    State(app): State<App>,
    ApiPath(id): ApiPath<WorkOrderId>,
    ApiJson(cancellation): ApiJson<WorkOrderCancellation>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let order = orders::cancel(&mut tx, app.now(), &id, &cancellation).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, order.version, &order, &HeaderMap::new()))
}
