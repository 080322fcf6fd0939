//! Route of notifications.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::ApiQuery,
    page::Page,
    users::notifications::{self, Notification, NotificationQuery},
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_notifications))
}

/// What was told, newest first: to the person whose key asks, or else to the organization.
#[utoipa::path(get, path = "/v1/notifications", tag = "users", params(NotificationQuery),
    responses((status = 200, body = Page<Notification>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_notifications(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<NotificationQuery>,
) -> Result<Json<Page<Notification>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(notifications::list(&mut conn, &caller, query).await?))
}
