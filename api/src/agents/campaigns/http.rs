//! Routes of campaigns.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::topics::Channel;

use super::{
    Checker, Planned, check,
    types::{
        CampaignSetPatch, CampaignSetQuery, CheckRequest, CheckResult, Deployment, DeploymentQuery,
        NewCampaignSet, NewDeployment, StoredSet, TargetItem, TargetQuery,
    },
};
use crate::{
    agents,
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, KeyedBody, read_json, tagged},
    fault::DomainError,
    ids::{CampaignSetId, DeploymentId},
    keyed::once,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, change, delete))
        .routes(routes!(check))
        .routes(routes!(deployments, deploy))
        .routes(routes!(deployment))
        .routes(routes!(targets))
}

/// Campaign sets, oldest first.
#[utoipa::path(get, path = "/v1/campaign-sets", tag = "agents", operation_id = "list_campaign_sets",
    params(CampaignSetQuery),
    responses((status = 200, body = Page<StoredSet>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<CampaignSetQuery>,
) -> Result<Json<Page<StoredSet>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// Adds a campaign set. Vehicles run it once it is deployed.
#[utoipa::path(post, path = "/v1/campaign-sets", tag = "agents", operation_id = "create_campaign_set",
    request_body = NewCampaignSet,
    responses((status = 201, body = StoredSet), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    ApiJson(new): ApiJson<NewCampaignSet>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let set = super::create(&mut tx, app.now(), &caller, new).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, set.version, &set, &headers))
}

/// One campaign set.
#[utoipa::path(get, path = "/v1/campaign-sets/{id}", tag = "agents", operation_id = "get_campaign_set",
    params(("id" = String, Path)),
    responses((status = 200, body = StoredSet), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<CampaignSetId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let set = super::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, set.version, &set, &headers))
}

/// Changes a campaign set; needs `If-Match`. What is deployed stays as it is.
#[utoipa::path(patch, path = "/v1/campaign-sets/{id}", tag = "agents", operation_id = "change_campaign_set",
    request_body = CampaignSetPatch, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = StoredSet), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn change(
    State(app): State<App>,
    ApiPath(id): ApiPath<CampaignSetId>,
    IfMatch(expected): IfMatch,
    ApiJson(patch): ApiJson<CampaignSetPatch>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let set = super::change(&mut tx, app.now(), (&id, expected), patch).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, set.version, &set, &HeaderMap::new()))
}

/// Takes a campaign set away; vehicles that run a copy of it go on.
#[utoipa::path(delete, path = "/v1/campaign-sets/{id}", tag = "agents", operation_id = "delete_campaign_set",
    params(("id" = String, Path)), responses((status = 204), (status = 404, body = Problem)))]
async fn delete(State(app): State<App>, ApiPath(id): ApiPath<CampaignSetId>) -> Result<StatusCode, ApiError> {
    let mut tx = app.db().write().await?;
    super::delete(&mut tx, app.now(), &id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What vehicles would collect by a campaign set, or why they would refuse it. Changes nothing.
#[utoipa::path(post, path = "/v1/campaign-sets/{id}/check", tag = "agents", operation_id = "check_campaign_set",
    request_body = CheckRequest, params(("id" = String, Path)),
    responses((status = 200, body = CheckResult), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn check(
    State(app): State<App>,
    caller: Caller,
    ApiPath(id): ApiPath<CampaignSetId>,
    ApiJson(CheckRequest { vehicle_ids, all_vehicles, group_id }): ApiJson<CheckRequest>,
) -> Result<Json<CheckResult>, ApiError> {
    let new = NewDeployment { campaign_set_id: Some(id.to_string()), vehicle_ids, all_vehicles, group_id };
    let mut conn = app.db().read().await?;
    let planned = super::plan(&mut conn, &caller, &new).await?;
    drop(conn);
    let data = Checker::new(Arc::clone(app.lake())).items(&planned.parsed, &planned.vehicles).await?;
    Ok(Json(CheckResult { data }))
}

/// Deployments, newest first.
#[utoipa::path(get, path = "/v1/campaign-deployments", tag = "agents", operation_id = "list_campaign_deployments",
    params(DeploymentQuery),
    responses((status = 200, body = Page<Deployment>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn deployments(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<DeploymentQuery>,
) -> Result<Json<Page<Deployment>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::deployments(&mut conn, &caller, query).await?))
}

/// Has vehicles run a campaign set, as it is now, in place of what they run. Refused as a whole when one of them
/// would refuse it; a vehicle that is not there is given it when it comes.
#[utoipa::path(post, path = "/v1/campaign-deployments", tag = "agents", operation_id = "deploy_campaigns",
    request_body = NewDeployment, params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Deployment), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn deploy(State(app): State<App>, caller: Caller, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewDeployment = read_json(&request.body)?;
    agents::check_ready(&app.settings().agents, Channel::Campaigns)?;
    // Looked at before it is the turn to write; who repeats a request is answered as before, whatever is found now.
    let planned = looked_at(&app, &caller, &new).await;
    once(&app, &request, StatusCode::CREATED, async move |conn, now| {
        super::deploy(conn, now, &planned?).await
    })
    .await
}

async fn looked_at(app: &App, caller: &Caller, new: &NewDeployment) -> Result<Planned, DomainError> {
    let mut conn = app.db().read().await?;
    let planned = super::plan(&mut conn, caller, new).await?;
    drop(conn);
    let items = Checker::new(Arc::clone(app.lake())).items(&planned.parsed, &planned.vehicles).await?;
    check::faults_of(&items).finish("the deployment")?;
    Ok(planned)
}

/// One deployment.
#[utoipa::path(get, path = "/v1/campaign-deployments/{id}", tag = "agents", operation_id = "get_campaign_deployment",
    params(("id" = String, Path)),
    responses((status = 200, body = Deployment), (status = 404, body = Problem)))]
async fn deployment(
    State(app): State<App>,
    ApiPath(id): ApiPath<DeploymentId>,
) -> Result<Json<Deployment>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::deployment_of(&mut conn, &id).await?))
}

/// The vehicles of a deployment and how far each is, by telemetry id.
#[utoipa::path(get, path = "/v1/campaign-deployments/{id}/vehicles", tag = "agents",
    operation_id = "list_campaign_targets", params(("id" = String, Path), TargetQuery),
    responses((status = 200, body = Page<TargetItem>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn targets(
    State(app): State<App>,
    ApiPath(id): ApiPath<DeploymentId>,
    ApiQuery(query): ApiQuery<TargetQuery>,
) -> Result<Json<Page<TargetItem>>, ApiError> {
    let mut conn = app.db().read().await?;
    super::deployment_of(&mut conn, &id).await?;
    Ok(Json(super::targets_of(&mut conn, &id, query).await?))
}
