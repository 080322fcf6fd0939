//! Routes of the billing domain.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

mod documents;
mod dunning;
mod notes;
mod payments;
mod previews;
mod wallets;

use super::{
    evidence, invoicing,
    tariff::{Tariff, TariffTerms},
    tariffs::{self, TariffChoice},
    types::{Evidence, Invoice, InvoiceQuery, InvoiceWithLines, Line, NewInvoice},
};
use crate::{
    app::App,
    caller::Caller,
    error::{ApiError, Problem},
    extract::{ApiJson, ApiPath, ApiQuery, IfMatch, KeyedBody, read_json, tagged},
    fault::DomainError,
    ids::{InvoiceId, LineId, OrganizationId, TariffId},
    keyed::once,
    metrics,
    page::Page,
};

pub(crate) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_tariffs, create_tariff))
        .routes(routes!(get_tariff, revise_tariff))
        .routes(routes!(get_choice, put_choice))
        .routes(routes!(list_invoices, create_invoice))
        .routes(routes!(get_invoice))
        .routes(routes!(finalize_invoice))
        .routes(routes!(get_evidence))
        .merge(documents::routes())
        .merge(dunning::routes())
        .merge(notes::routes())
        .merge(payments::routes())
        .merge(previews::routes())
        .merge(wallets::routes())
}

/// Which tariffs to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct TariffQuery {
    /// At most so many, 1 to 200 (default 50).
    limit: Option<i64>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Which version of a tariff.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct VersionQuery {
    /// The latest when absent.
    version: Option<i64>,
}

/// Tariffs at their latest version, by name.
#[utoipa::path(get, path = "/v1/tariffs", tag = "billing", params(TariffQuery),
    responses((status = 200, body = Page<Tariff>), (status = 422, body = Problem)))]
async fn list_tariffs(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(query): ApiQuery<TariffQuery>,
) -> Result<Json<Page<Tariff>>, ApiError> {
    let mut conn = app.db().read().await?;
    if let Some(own) = caller.organization() {
        // Others' prices are not theirs to see.
        let data = match tariffs::of_organization(&mut conn, own).await? {
            Some(id) => vec![tariffs::get(&mut conn, &id, None).await?],
            None => Vec::new(),
        };
        return Ok(Json(Page { data, next_cursor: None }));
    }
    Ok(Json(tariffs::list(&mut conn, query.limit, query.cursor.as_deref()).await?))
}

/// Creates a tariff.
#[utoipa::path(post, path = "/v1/tariffs", tag = "billing", request_body = TariffTerms,
    responses((status = 201, body = Tariff), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn create_tariff(
    State(app): State<App>,
    headers: HeaderMap,
    ApiJson(terms): ApiJson<TariffTerms>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let tariff = tariffs::create(&mut tx, app.now(), terms).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::CREATED, tariff.version, &tariff, &headers))
}

/// A version of a tariff.
#[utoipa::path(get, path = "/v1/tariffs/{id}", tag = "billing", params(("id" = String, Path), VersionQuery),
    responses((status = 200, body = Tariff), (status = 404, body = Problem)))]
async fn get_tariff(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<TariffId>,
    ApiQuery(query): ApiQuery<VersionQuery>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let tariff = tariffs::get(&mut conn, &id, query.version).await?;
    Ok(tagged(StatusCode::OK, tariff.version, &tariff, &headers))
}

/// Makes the next version of a tariff; needs `If-Match`. Trips rated before keep the old one.
#[utoipa::path(put, path = "/v1/tariffs/{id}", tag = "billing", request_body = TariffTerms,
    params(("id" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = Tariff), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 428, body = Problem)))]
async fn revise_tariff(
    State(app): State<App>,
    ApiPath(id): ApiPath<TariffId>,
    IfMatch(expected): IfMatch,
    ApiJson(terms): ApiJson<TariffTerms>,
) -> Result<Response, ApiError> {
    let mut tx = app.db().write().await?;
    let tariff = tariffs::revise(&mut tx, app.now(), (&id, expected), terms).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(tagged(StatusCode::OK, tariff.version, &tariff, &HeaderMap::new()))
}

/// The tariff an organization pays by.
#[utoipa::path(get, path = "/v1/organizations/{id}/tariff", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = TariffChoice), (status = 404, body = Problem)))]
async fn get_choice(
    State(app): State<App>,
    ApiPath(id): ApiPath<OrganizationId>,
) -> Result<Json<TariffChoice>, ApiError> {
    let mut conn = app.db().read().await?;
    let tariff_id = tariffs::of_organization(&mut conn, &id).await?;
    let tariff_id = tariff_id.ok_or_else(|| DomainError::not_found("tariff of organization", id.as_str()))?;
    Ok(Json(TariffChoice { tariff_id }))
}

/// Lets an organization pay by a tariff. Its waiting trips are rated at once.
#[utoipa::path(put, path = "/v1/organizations/{id}/tariff", tag = "billing", request_body = TariffChoice,
    params(("id" = String, Path)),
    responses((status = 200, body = TariffChoice), (status = 404, body = Problem), (status = 422, body = Problem)))]
async fn put_choice(
    State(app): State<App>,
    ApiPath(id): ApiPath<OrganizationId>,
    ApiJson(choice): ApiJson<TariffChoice>,
) -> Result<Json<TariffChoice>, ApiError> {
    let mut tx = app.db().write().await?;
    tariffs::assign(&mut tx, app.now(), &id, &choice.tariff_id).await?;
    tx.commit().await.map_err(DomainError::from)?;
    Ok(Json(choice))
}

/// Invoices, newest month first.
#[utoipa::path(get, path = "/v1/invoices", tag = "billing", params(InvoiceQuery),
    responses((status = 200, body = Page<Invoice>), (status = 422, body = Problem)))]
async fn list_invoices(
    State(app): State<App>,
    caller: Caller,
    ApiQuery(mut query): ApiQuery<InvoiceQuery>,
) -> Result<Json<Page<Invoice>>, ApiError> {
    query.organization_id = caller.narrowed(query.organization_id)?;
    let mut conn = app.db().read().await?;
    Ok(Json(invoicing::list(&mut conn, &query).await?))
}

/// An invoice with its lines.
#[utoipa::path(get, path = "/v1/invoices/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = InvoiceWithLines), (status = 404, body = Problem)))]
async fn get_invoice(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<InvoiceId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let found = invoicing::get_with_lines(&mut conn, &id).await?;
    Ok(tagged(StatusCode::OK, found.invoice.version, &found, &headers))
}

/// Opens a draft for a calendar month. Drafts open by themselves when a trip is rated.
#[utoipa::path(post, path = "/v1/invoices", tag = "billing", request_body = NewInvoice,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 201, body = Invoice), (status = 400, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn create_invoice(State(app): State<App>, request: KeyedBody) -> Result<Response, ApiError> {
    let new: NewInvoice = read_json(&request.body)?;
    once(&app, &request, StatusCode::CREATED, async |conn, now| invoicing::create(conn, now, &new).await)
        .await
}

/// Makes a draft final: it gets its number and never changes again.
#[utoipa::path(post, path = "/v1/invoices/{id}/finalize", tag = "billing",
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Invoice), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn finalize_invoice(
    State(app): State<App>,
    ApiPath(id): ApiPath<InvoiceId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    once(&app, &request, StatusCode::OK, async |conn, now| invoicing::finalize(conn, now, &id).await).await
}

/// The proof of a line: its query run again at its lake version, and the amount from the answer.
#[utoipa::path(get, path = "/v1/invoices/{id}/lines/{line_id}/evidence", tag = "billing",
    params(("id" = String, Path), ("line_id" = String, Path)),
    responses((status = 200, body = Evidence), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn get_evidence(
    State(app): State<App>,
    ApiPath((id, line_id)): ApiPath<(InvoiceId, LineId)>,
) -> Result<Json<Evidence>, ApiError> {
    let line = {
        let mut conn = app.db().read().await?;
        invoicing::line(&mut conn, &id, &line_id).await?.1
    };
    proven(&app, &line).await
}

/// Proves a line of an invoice or a note.
async fn proven(app: &App, line: &Line) -> Result<Json<Evidence>, ApiError> {
    let tariff = {
        let mut conn = app.db().read().await?;
        tariffs::get(&mut conn, &line.tariff_id, Some(line.tariff_version)).await?
    };
    let found = evidence::of_line(app.lake().as_ref(), (line, &tariff)).await?;
    metrics::evidence_checked(found.agrees);
    Ok(Json(found))
}
