//! The route of tariff previews.

use axum::{Json, extract::State};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::previews::{self, NewPreview, Preview},
    error::{ApiError, Problem},
    extract::ApiJson,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(preview_tariff))
}

/// What a tariff would have made of a month's trips, a difference a customer. Stores nothing.
#[utoipa::path(post, path = "/v1/tariff-previews", tag = "billing", request_body = NewPreview,
    responses((status = 200, body = Preview), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn preview_tariff(
    State(app): State<App>,
    ApiJson(new): ApiJson<NewPreview>,
) -> Result<Json<Preview>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(previews::preview(&mut conn, app.now(), &new).await?))
}
