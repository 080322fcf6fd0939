//! Routes of what happens to an invoice after it became final: paid, void, corrected by notes.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::proven;
use crate::{
    app::App,
    billing::{
        notes::{self, Note, NoteQuery, NoteWithLines},
        settlement::{self, PaidOutside, VoidReason},
        types::{Evidence, Invoice},
    },
    error::{ApiError, Problem},
    extract::{ApiPath, ApiQuery, KeyedBody, read_json, tagged},
    ids::{InvoiceId, LineId, NoteId},
    keyed::once,
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
    let line = {
        let mut conn = app.db().read().await?;
        notes::line(&mut conn, &id, &line_id).await?.line
    };
    proven(&app, &line).await
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
    once(&app, &request, StatusCode::OK, async |conn, now| settlement::void(conn, now, (&id, &reason)).await)
        .await
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
    once(&app, &request, StatusCode::OK, async |conn, now| {
        settlement::mark_paid(conn, now, (&id, &outside)).await
    })
    .await
}
