//! Routes of agents.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    campaigns, commands,
    types::{Agent, AgentQuery},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery},
    page::Page,
    vehicles,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(of_vehicle))
        .merge(campaigns::http::routes())
        .merge(commands::http::routes())
}

/// Agents that were ever heard of, by telemetry id.
#[utoipa::path(get, path = "/v1/agents", tag = "agents", operation_id = "list_agents", params(AgentQuery),
    responses((status = 200, body = Page<Agent>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<AgentQuery>,
) -> Result<Json<Page<Agent>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, &caller, query).await?))
}

/// The agent of a vehicle; not found while none was heard of.
#[utoipa::path(get, path = "/v1/vehicles/{id}/agent", tag = "agents", operation_id = "get_agent",
    params(("id" = String, Path)),
    responses((status = 200, body = Agent), (status = 404, body = Problem)))]
async fn of_vehicle(State(app): State<App>, ApiPath(id): ApiPath<String>) -> Result<Json<Agent>, ApiError> {
    let mut conn = app.db().read().await?;
    let vehicle = vehicles::get(&mut conn, &id).await?;
    Ok(Json(super::get(&mut conn, &vehicle.vehicle_id).await?))
}
