//! Routes of dunning: policies, and how far the dunning of an invoice is.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::dunning::{
        self, policy,
        types::{Dunning, DunningPause, DunningPolicy, DunningTerms},
    },
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, IfMatch, KeyedBody, read_json, tagged},
    fault::DomainError,
    ids::{InvoiceId, OrganizationId},
    keyed::once,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(get_default_policy, put_default_policy))
        .routes(routes!(get_policy, put_policy, inherit_policy))
        .routes(routes!(get_dunning))
        .routes(routes!(pause_dunning))
        .routes(routes!(resume_dunning))
}

/// The dunning policy of organizations that have none of their own.
#[utoipa::path(get, path = "/v1/dunning-policy", tag = "billing",
    responses((status = 200, body = DunningPolicy)))]
async fn get_default_policy(State(app): State<App>) -> Result<Response, ApiError> {
    shown(&app, None).await
}

/// Makes the next version of it; needs `If-Match`. Invoices that are final already keep theirs.
#[utoipa::path(put, path = "/v1/dunning-policy", tag = "billing", request_body = DunningTerms,
    params(("If-Match" = String, Header)),
    responses((status = 200, body = DunningPolicy), (status = 412, body = Problem), (status = 422, body = Problem),
        (status = 428, body = Problem)))]
async fn put_default_policy(
    State(app): State<App>,
    IfMatch(expected): IfMatch,
    ApiJson(terms): ApiJson<DunningTerms>,
) -> Result<Response, ApiError> {
    changed(&app, (None, expected), Some(terms)).await
}

/// The dunning policy of an organization: its own, or the terms it inherits.
#[utoipa::path(get, path = "/v1/organizations/{id}/dunning-policy", tag = "billing",
    params(("id" = String, Path)),
    responses((status = 200, body = DunningPolicy), (status = 404, body = Problem)))]
async fn get_policy(
    State(app): State<App>,
    ApiPath(id): ApiPath<OrganizationId>,
) -> Result<Response, ApiError> {
    shown(&app, Some(&id)).await
}

/// Gives an organization a policy of its own, or the next version of it; needs `If-Match`.
#[utoipa::path(put, path = "/v1/organizations/{id}/dunning-policy", tag = "billing",
    request_body = DunningTerms, params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = DunningPolicy), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn put_policy(
    State(app): State<App>,
    ApiPath(id): ApiPath<OrganizationId>,
    IfMatch(expected): IfMatch,
    ApiJson(terms): ApiJson<DunningTerms>,
) -> Result<Response, ApiError> {
    changed(&app, (Some(&id), expected), Some(terms)).await
}

/// Lets an organization inherit the installation's policy again; needs `If-Match`.
#[utoipa::path(delete, path = "/v1/organizations/{id}/dunning-policy", tag = "billing",
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = DunningPolicy), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 428, body = Problem)))]
async fn inherit_policy(
    State(app): State<App>,
    ApiPath(id): ApiPath<OrganizationId>,
    IfMatch(expected): IfMatch,
) -> Result<Response, ApiError> {
    changed(&app, (Some(&id), expected), None).await
}

/// Inherited terms change without the version: the ETag is for `If-Match`, and no 304 is given for it.
async fn shown(app: &App, id: Option<&OrganizationId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let policy = policy::get(&mut conn, id).await?;
    Ok(tagged(StatusCode::OK, policy.version, &policy, &HeaderMap::new()))
}

async fn changed(
    app: &App,
    (id, expected): (Option<&OrganizationId>, i64),
    terms: Option<DunningTerms>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let policy = policy::set(&mut tx, app.now(), (id, expected), terms).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, policy.version, &policy, &HeaderMap::new()))
}

/// How far the dunning of an invoice is, what was done and what comes next.
#[utoipa::path(get, path = "/v1/invoices/{id}/dunning", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Dunning), (status = 404, body = Problem)))]
async fn get_dunning(State(app): State<App>, ApiPath(id): ApiPath<InvoiceId>) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let found = dunning::get(&mut conn, &id).await?;
    // Of a draft the terms are those that count now, whatever its version.
    Ok(tagged(StatusCode::OK, found.case.version, &found, &HeaderMap::new()))
}

/// Takes no step of an invoice until it is resumed. It stays overdue, and bookings stay suspended where they are.
#[utoipa::path(post, path = "/v1/invoices/{id}/dunning/pause", tag = "billing", request_body = DunningPause,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Dunning), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn pause_dunning(
    State(app): State<App>,
    ApiPath(id): ApiPath<InvoiceId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let pause: DunningPause = read_json(&request.body)?;
    once(&app, &request, StatusCode::OK, async |conn, now| dunning::pause(conn, now, (&id, &pause)).await)
        .await
}

/// Goes on with it: a step that came meanwhile is taken at once, and those after it keep their distance.
#[utoipa::path(post, path = "/v1/invoices/{id}/dunning/resume", tag = "billing",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Dunning), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn resume_dunning(
    State(app): State<App>,
    ApiPath(id): ApiPath<InvoiceId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| dunning::resume(conn, now, &id).await).await
}
