//! Routes of webhooks.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{
    Delivery, DeliveryQuery, Endpoint, EndpointPatch, EndpointQuery, NewEndpoint, NewEndpointSecret,
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, tagged},
    fault::DomainError,
    ids::{WebhookDeliveryId, WebhookEndpointId},
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(rotate))
        .routes(routes!(ping))
        .routes(routes!(deliveries))
        .routes(routes!(replay))
}

/// Endpoints, oldest first. Their secrets are not told again.
#[utoipa::path(get, path = "/v1/webhook-endpoints", tag = "webhooks", params(EndpointQuery),
    responses((status = 200, body = Page<Endpoint>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<EndpointQuery>,
) -> Result<Json<Page<Endpoint>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// Adds an endpoint. Its secret is in this answer and in no other.
#[utoipa::path(post, path = "/v1/webhook-endpoints", tag = "webhooks", request_body = NewEndpoint,
    responses((status = 201, body = NewEndpointSecret), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    ApiJson(new): ApiJson<NewEndpoint>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let made = super::create(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// One endpoint.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 200, body = Endpoint), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let endpoint = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, endpoint.version, &endpoint, &headers))
}

/// Changes an endpoint, or enables and disables it; needs `If-Match`.
#[utoipa::path(patch, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", request_body = EndpointPatch,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Endpoint), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    ApiPath(id): ApiPath<WebhookEndpointId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<EndpointPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let endpoint = super::change(&mut tx, app.now(), (&id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, endpoint.version, &endpoint, &HeaderMap::new()))
}

/// Takes an endpoint away; what it was still to be told is told no more.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{id}", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
async fn delete(
    State(app): State<App>,
    ApiPath(id): ApiPath<WebhookEndpointId>,
) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives an endpoint another secret; for a day both sign. The new one is in this answer and in no other.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    params(("id" = String, Path)),
    responses((status = 200, body = NewEndpointSecret), (status = 404, body = Problem)))]
async fn rotate(
    State(app): State<App>,
    ApiPath(id): ApiPath<WebhookEndpointId>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let made = super::rotate(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// Tells an endpoint of an event that is nothing else, to see whether it gets through.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/ping", tag = "webhooks", params(("id" = String, Path)),
    responses((status = 202, body = Delivery), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn ping(State(app): State<App>, ApiPath(id): ApiPath<WebhookEndpointId>) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let delivery = super::ping(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok((StatusCode::ACCEPTED, Json(delivery)).into_response())
}

/// What an endpoint was told and is to be told, newest first.
#[utoipa::path(get, path = "/v1/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(("id" = String, Path), DeliveryQuery),
    responses((status = 200, body = Page<Delivery>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn deliveries(
    State(app): State<App>,
    ApiPath(id): ApiPath<WebhookEndpointId>,
    ApiQuery(query): ApiQuery<DeliveryQuery>,
) -> Result<Json<Page<Delivery>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::deliveries(&mut conn, &id, query).await?))
}

/// Attempts a delivery anew, at once, whatever became of it.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{id}/deliveries/{delivery_id}/replay", tag = "webhooks",
    params(("id" = String, Path), ("delivery_id" = String, Path)),
    responses((status = 202, body = Delivery), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn replay(
    State(app): State<App>,
    ApiPath((id, delivery_id)): ApiPath<(WebhookEndpointId, WebhookDeliveryId)>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let delivery = super::replay(&mut tx, app.now(), (&id, &delivery_id)).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok((StatusCode::ACCEPTED, Json(delivery)).into_response())
}
