//! Routes of wallets, their entries and holds.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::{
        wallet_types::{Capture, Entry, Hold, HoldQuery, NewHold, NewWallet, TopUp, Wallet, WalletQuery},
        wallets,
    },
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, KeyedBody, read_json, tagged},
    ids::{HoldId, WalletId},
    keyed::once,
    page::Page,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_wallets, create_wallet))
        .routes(routes!(get_wallet))
        .routes(routes!(list_entries))
        .routes(routes!(top_up))
        .routes(routes!(list_holds, create_hold))
        .routes(routes!(get_hold))
        .routes(routes!(capture_hold))
        .routes(routes!(release_hold))
}

/// Which entries to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct EntryQuery {
    /// At most so many, 1 to 200 (default 50).
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Wallets, oldest first.
#[utoipa::path(get, path = "/v1/wallets", tag = "billing", params(WalletQuery),
    responses((status = 200, body = Page<Wallet>), (status = 422, body = Problem)))]
async fn list_wallets(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<WalletQuery>,
) -> Result<Json<Page<Wallet>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(wallets::list(&mut conn, &query).await?))
}

/// Opens the wallet of an organization.
#[utoipa::path(post, path = "/v1/wallets", tag = "billing", request_body = NewWallet,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Wallet), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create_wallet(State(app): State<App>, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewWallet = read_json(&request.body)?;
    once(&app, &request, StatusCode::CREATED, async |conn, now| wallets::create(conn, now, &new).await).await
}

/// A wallet.
#[utoipa::path(get, path = "/v1/wallets/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Wallet), (status = 404, body = Problem)))]
async fn get_wallet(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<WalletId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let wallet = wallets::get(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, wallet.version, &wallet, &headers))
}

/// A wallet's entries in the ledger, newest first.
#[utoipa::path(get, path = "/v1/wallets/{id}/entries", tag = "billing",
    params(("id" = String, Path), EntryQuery),
    responses((status = 200, body = Page<Entry>), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn list_entries(
    State(app): State<App>,
    ApiPath(id): ApiPath<WalletId>,
    ApiQuery(query): ApiQuery<EntryQuery>,
) -> Result<Json<Page<Entry>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(wallets::entries(&mut conn, &id, (query.limit, query.cursor.as_deref())).await?))
}

/// Puts credit in a wallet.
#[utoipa::path(post, path = "/v1/wallets/{id}/top-ups", tag = "billing", request_body = TopUp,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Wallet), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn top_up(
    State(app): State<App>,
    ApiPath(id): ApiPath<WalletId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let top_up: TopUp = read_json(&request.body)?;
    once(&app, &request, StatusCode::CREATED, async |conn, now| {
        wallets::top_up(conn, now, (&id, &top_up)).await
    })
    .await
}

/// Holds, newest first.
#[utoipa::path(get, path = "/v1/wallet-holds", tag = "billing", params(HoldQuery),
    responses((status = 200, body = Page<Hold>), (status = 422, body = Problem)))]
async fn list_holds(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<HoldQuery>,
) -> Result<Json<Page<Hold>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(wallets::list_holds(&mut conn, &query).await?))
}

/// Sets credit aside.
#[utoipa::path(post, path = "/v1/wallet-holds", tag = "billing", request_body = NewHold,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Hold), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create_hold(State(app): State<App>, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewHold = read_json(&request.body)?;
    once(&app, &request, StatusCode::CREATED, async |conn, now| wallets::hold(conn, now, &new).await).await
}

/// A hold.
#[utoipa::path(get, path = "/v1/wallet-holds/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Hold), (status = 404, body = Problem)))]
async fn get_hold(State(app): State<App>, ApiPath(id): ApiPath<HoldId>) -> Result<Json<Hold>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(wallets::get_hold(&mut conn, &id).await?))
}

/// Takes what is held, or part of it; the rest is free again.
#[utoipa::path(post, path = "/v1/wallet-holds/{id}/capture", tag = "billing", request_body = Capture,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Hold), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn capture_hold(
    State(app): State<App>,
    ApiPath(id): ApiPath<HoldId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let capture: Capture =
        if request.body.is_empty() { Capture::default() } else { read_json(&request.body)? };
    once(&app, &request, StatusCode::OK, async |conn, now| wallets::capture(conn, now, (&id, &capture)).await)
        .await
}

/// Frees what is held.
#[utoipa::path(post, path = "/v1/wallet-holds/{id}/release", tag = "billing",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Hold), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn release_hold(
    State(app): State<App>,
    ApiPath(id): ApiPath<HoldId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| wallets::release(conn, now, &id).await).await
}
