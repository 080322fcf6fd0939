//! Routes of the users domain.

mod access;
mod notifications;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::types::{NewOrganization, Organization, OrganizationQuery};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, tagged},
    fault::DomainError,
    ids::OrganizationId,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .merge(access::routes())
        .merge(notifications::routes())
}

/// Organizations by name.
#[utoipa::path(get, path = "/v1/organizations", tag = "users", params(OrganizationQuery),
    responses((status = 200, body = Page<Organization>), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<OrganizationQuery>,
) -> Result<Json<Page<Organization>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, &query).await?))
}

/// Creates an organization.
#[utoipa::path(post, path = "/v1/organizations", tag = "users", request_body = NewOrganization,
    responses((status = 201, body = Organization), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewOrganization>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let organization = super::create(&mut tx, app.now(), new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, organization.version, &organization, &headers))
}

/// One organization.
#[utoipa::path(get, path = "/v1/organizations/{id}", tag = "users", params(("id" = String, Path)),
    responses((status = 200, body = Organization), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<OrganizationId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let organization = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, organization.version, &organization, &headers))
}
