//! Routes of what happens to an invoice after it became final: paid, void, corrected by notes.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::{
        evidence, invoicing,
        notes::{self, Note, NoteQuery, NoteWithLines},
        settlement::{self, PaidOutside, VoidReason},
        tariffs,
        types::{Evidence, Invoice},
    },
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, KeyedBody, read_json, tagged},
    idempotency,
    ids::{InvoiceId, LineId, NoteId},
    keyed::{finish, replayed},
    metrics,
    page::Page,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_notes))
        .routes(routes!(get_note))
        .routes(routes!(get_note_evidence))
        .routes(routes!(void_invoice))
        .routes(routes!(mark_paid))
}

/// Credit and debit notes, newest first.
#[utoipa::path(get, path = "/v1/credit-notes", tag = "billing", params(NoteQuery),
    responses((status = 200, body = Page<Note>), (status = 422, body = Problem)))]
async fn list_notes(
    State(app): State<App>,
    ApiQuery(query): ApiQuery<NoteQuery>,
) -> Result<Json<Page<Note>>, ApiError> {
    let mut conn = app.db().read().await?;
    Ok(Json(notes::list(&mut conn, &query).await?))
}

/// A note with its lines.
#[utoipa::path(get, path = "/v1/credit-notes/{id}", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = NoteWithLines), (status = 404, body = Problem)))]
async fn get_note(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<NoteId>,
) -> Result<Response, ApiError> {
    let mut conn = app.db().read().await?;
    let found = notes::get(&mut conn, &id).await?;
    // A note never changes: its first version is its only one.
    Ok(tagged(StatusCode::OK, 1, &found, &headers))
}

/// The proof of a line of a note, as of a line of an invoice.
#[utoipa::path(get, path = "/v1/credit-notes/{id}/lines/{line_id}/evidence", tag = "billing",
    params(("id" = String, Path), ("line_id" = String, Path)),
    responses((status = 200, body = Evidence), (status = 404, body = Problem), (status = 503, body = Problem)))]
async fn get_note_evidence(
    State(app): State<App>,
    ApiPath((id, line_id)): ApiPath<(NoteId, LineId)>,
) -> Result<Json<Evidence>, ApiError> {
    let (line, tariff) = {
        let mut conn = app.db().read().await?;
        let line = notes::line(&mut conn, &id, &line_id).await?.line;
        let tariff = tariffs::get(&mut conn, &line.tariff_id, Some(line.tariff_version)).await?;
        (line, tariff)
    };
    let found = evidence::of_line(app.lake().as_ref(), (&line, &tariff)).await?;
    metrics::evidence_checked(found.agrees);
    Ok(Json(found))
}

/// Makes a finalized invoice void: nobody owes it, and its trips are billed on a draft again.
#[utoipa::path(post, path = "/v1/invoices/{id}/void", tag = "billing", request_body = VoidReason,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Invoice), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn void_invoice(
    State(app): State<App>,
    ApiPath(id): ApiPath<InvoiceId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let reason: VoidReason = read_json(&request.body)?;
    let mut tx = app.db().write().await?;
    if let Some(answer) = idempotency::recall(&mut tx, app.now(), &request.key).await? {
        return Ok(replayed(answer));
    }
    let invoice = settlement::void(&mut tx, app.now(), (&id, &reason)).await?;
    finish(tx, app.now(), &request, (StatusCode::OK, &invoice)).await
}

/// Marks a finalized invoice as paid by other means, such as a bank transfer.
#[utoipa::path(post, path = "/v1/invoices/{id}/mark-paid", tag = "billing", request_body = PaidOutside,
    params(("id" = String, Path), ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Invoice), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn mark_paid(
    State(app): State<App>,
    ApiPath(id): ApiPath<InvoiceId>,
    request: KeyedBody,
) -> Result<Response, ApiError> {
    let outside: PaidOutside = read_json(&request.body)?;
    let mut tx = app.db().write().await?;
    if let Some(answer) = idempotency::recall(&mut tx, app.now(), &request.key).await? {
        return Ok(replayed(answer));
    }
    settlement::mark_paid(&mut tx, app.now(), (&id, &outside)).await?;
    let invoice = invoicing::get(&mut tx, &id).await?;
    finish(tx, app.now(), &request, (StatusCode::OK, &invoice)).await
}
