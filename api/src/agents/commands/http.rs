//! Routes of commands.

use axum::{Json, extract::State, http::StatusCode, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};
use wire::topics::Channel;

use super::types::{CommandQuery, NewCommand, StoredCommand};
use crate::{
    agents,
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, KeyedBody, read_json},
    ids::CommandId,
    keyed::once,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get))
}

/// Commands, newest first.
#[utoipa::path(get, path = "/v1/commands", tag = "agents", operation_id = "list_commands", params(CommandQuery),
    responses((status = 200, body = Page<StoredCommand>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<CommandQuery>,
) -> Result<Json<Page<StoredCommand>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::list(&mut conn, app.now(), &caller, query).await?))
}

/// Sends a command. The vehicle does it at most once, and not after its time is over; what became of it is told by
/// `state`, and by the event `CommandAnswered`.
#[utoipa::path(post, path = "/v1/commands", tag = "agents", operation_id = "send_command", request_body = NewCommand,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = StoredCommand), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create(State(app): State<App>, caller: Caller, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewCommand = read_json(&request.body)?;
    agents::check_ready(&app.settings().agents, Channel::Command)?;
    once(&app, &request, StatusCode::CREATED, async |conn, now| super::create(conn, now, &caller, &new).await)
        .await
}

/// One command.
#[utoipa::path(get, path = "/v1/commands/{id}", tag = "agents", operation_id = "get_command",
    params(("id" = String, Path)),
    responses((status = 200, body = StoredCommand), (status = 404, body = Problem)))]
async fn get(
    State(app): State<App>,
    ApiPath(id): ApiPath<CommandId>,
) -> Result<Json<StoredCommand>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(super::get(&mut conn, app.now(), &id).await?))
}
