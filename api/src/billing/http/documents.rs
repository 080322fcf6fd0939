//! Routes of invoices and notes as files: PDF for people, CSV for machines.

use std::time::Duration;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{
    app::App,
    billing::{
        csv, invoicing, notes,
        pdf::{self, Sheet},
    },
    error::{ApiError, Problem},
    extract::{ApiPath, has_tag},
    fault::{DomainError, Kind},
    ids::{InvoiceId, NoteId},
    metrics,
};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(invoice_pdf)).routes(routes!(invoice_csv)).routes(routes!(note_pdf))
}

/// An invoice as PDF (PDF/A-2b), as it is now: drafts, void and paid ones say so. The same invoice is the same bytes.
/// One of more than 5,000 lines is a 422: take its CSV.
#[utoipa::path(get, path = "/v1/invoices/{id}/pdf", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/pdf"), (status = 404, body = Problem),
        (status = 422, body = Problem), (status = 503, body = Problem)))]
async fn invoice_pdf(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<InvoiceId>,
) -> Result<Response, ApiError> {
    let found = {
        let mut conn = app.db().read().await?;
        // Before its lines are read: of what is not printed there may be very many.
        let invoice = invoicing::get(&mut conn, &id).await?;
        pdf::check_length(invoice.line_count, &format!("/v1/invoices/{id}/csv"))?;
        invoicing::get_with_lines(&mut conn, &id).await?
    };
    printed(&app, ("invoice", &headers), Sheet::of_invoice(&found, &app.settings().billing)?).await
}

/// A credit or debit note as PDF (PDF/A-2b).
#[utoipa::path(get, path = "/v1/credit-notes/{id}/pdf", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/pdf"), (status = 404, body = Problem),
        (status = 503, body = Problem)))]
async fn note_pdf(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<NoteId>,
) -> Result<Response, ApiError> {
    let (found, invoice) = {
        let mut conn = app.db().read().await?;
        let found = notes::get(&mut conn, &id).await?;
        let invoice = invoicing::get(&mut conn, &found.note.invoice_id).await?;
        (found, invoice)
    };
    printed(&app, ("note", &headers), Sheet::of_note(&found, &invoice, &app.settings().billing)?).await
}

/// The lines and charges of an invoice as CSV: a header row, decimals of the currency, times in UTC.
#[utoipa::path(get, path = "/v1/invoices/{id}/csv", tag = "billing", params(("id" = String, Path)),
    responses((status = 200, body = String, content_type = "text/csv"), (status = 404, body = Problem)))]
async fn invoice_csv(
    State(app): State<App>,
    headers: HeaderMap,
    ApiPath(id): ApiPath<InvoiceId>,
) -> Result<Response, ApiError> {
    let found = {
        let mut conn = app.db().read().await?;
        invoicing::get_with_lines(&mut conn, &id).await?
    };
    let tag = format!("\"{}\"", found.invoice.version);
    if has_tag(&headers, &tag) {
        return Ok(unchanged(tag));
    }
    let name = pdf::file_name(&found.invoice);
    let file = csv::of_invoice(&found)?;
    Ok(attached((&name, "csv"), ("text/csv; charset=utf-8", tag), file))
}

async fn printed(
    app: &App,
    (kind, headers): (&'static str, &HeaderMap),
    sheet: Sheet,
) -> Result<Response, ApiError> {
    let tag = format!("\"{}\"", sheet.tag);
    if has_tag(headers, &tag) {
        return Ok(unchanged(tag));
    }
    let name = sheet.file_name.clone();
    let from_us = app.monotonic_us();
    let file = app.printing().print(sheet).await;
    let outcome = match file.as_ref().map_err(DomainError::kind) {
        Ok(_) => "printed",
        Err(Kind::Busy) => "busy",
        Err(_) => "failed",
    };
    let elapsed = u64::try_from(app.monotonic_us() - from_us).unwrap_or(0);
    metrics::document_printed(kind, outcome, Duration::from_micros(elapsed));
    Ok(attached((&name, "pdf"), ("application/pdf", tag), file?))
}

fn unchanged(tag: String) -> Response {
    (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response()
}

/// A file to keep. Its name has been made safe.
fn attached((name, ending): (&str, &str), (content_type, tag): (&str, String), file: Vec<u8>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, content_type.to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{ending}\"")),
        (header::ETAG, tag),
    ];
    (headers, file).into_response()
}
