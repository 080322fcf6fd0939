//! Credit and debit notes: what a trip's revision changes in an invoice that is final.
//!
//! A note is final when it is made. It is of one invoice and one revision of one trip; its lines
//! are the differences to what the invoice and earlier notes billed, rated by the tariff version
//! of the invoice. The database refuses a second note for the same revision.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use super::{
    dunning, invoicing, rating, store,
    types::{Invoice, Line, TaxLine},
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::DomainError,
    ids::{InvoiceId, LineId, NoteId, OrganizationId, TripId},
    page::{Cursor, Page, limit_of},
    trips::types::Trip,
};

/// Which way a note goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// The customer owes less, or the same by other lines.
    Credit,
    /// The customer owes more.
    Debit,
}

impl NoteKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
        }
    }
}

/// A credit or debit note without its lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Note {
    /// `crn_…`
    #[schema(value_type = String)]
    pub id: NoteId,
    /// `CN-000001` or `DN-000002`: one count over both, without holes.
    pub number: String,
    /// Credit or debit.
    pub kind: NoteKind,
    /// The invoice it corrects.
    #[schema(value_type = String)]
    pub invoice_id: InvoiceId,
    /// The number of that invoice.
    pub invoice_number: Option<String>,
    /// Whose invoice.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// The trip that was revised.
    #[schema(value_type = String)]
    pub trip_id: TripId,
    /// The revision billed before.
    pub trip_revision_before: i64,
    /// The revision billed now.
    pub trip_revision: i64,
    /// ISO 4217.
    pub currency: String,
    /// Digits after the point of that currency.
    pub currency_exponent: u32,
    /// Sum of the differences: negative of a credit.
    pub subtotal_minor: i64,
    /// Tax on it.
    pub tax_minor: i64,
    /// Both.
    pub total_minor: i64,
    /// Tax by rate, each rounded once.
    pub taxes: Vec<TaxLine>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// One line of a note: the difference of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoteLine {
    /// The line: `amount_minor` is the difference, `quantity` the one billed now,
    /// `corrects_line_id` the line of the invoice (none where it had no such component).
    #[serde(flatten)]
    pub line: Line,
    /// The revision billed before.
    pub trip_revision_before: i64,
    /// The quantity billed before.
    #[schema(value_type = String, example = "12.345")]
    pub quantity_before: Decimal,
}

/// A note with its lines.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NoteWithLines {
    /// The note.
    #[serde(flatten)]
    pub note: Note,
    /// Its lines, a component each.
    pub lines: Vec<NoteLine>,
}

/// Which notes to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct NoteQuery {
    /// Only of this organization.
    pub organization_id: Option<String>,
    /// Only of this invoice.
    pub invoice_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Makes the note of a revision on its final invoice; none when nothing differs.
pub(super) async fn issue(
    conn: &mut Conn,
    now: Timestamp,
    (trip, invoice): (&Trip, &Invoice),
    lines: &[NoteLine],
) -> Result<Option<Note>, DomainError> {
    if lines.is_empty() {
        return Ok(None);
    }
    let taxes = rating::taxes(lines.iter().map(|l| (l.line.tax_percent, l.line.amount_minor)))?;
    let subtotal_minor = lines.iter().map(|l| l.line.amount_minor).sum::<i64>();
    let tax_minor = taxes.iter().map(|t| t.tax_minor).sum::<i64>();
    let total_minor = subtotal_minor + tax_minor;
    let kind = if total_minor > 0 { NoteKind::Debit } else { NoteKind::Credit };
    let number = store::next_note_number(conn).await?;
    let note = Note {
        id: NoteId::new(now),
        number: match kind {
            NoteKind::Credit => format!("CN-{number:06}"),
            NoteKind::Debit => format!("DN-{number:06}"),
        },
        kind,
        invoice_id: invoice.id.clone(),
        invoice_number: invoice.number.clone(),
        organization_id: invoice.organization_id.clone(),
        trip_id: trip.id.clone(),
        trip_revision_before: lines.iter().map(|l| l.trip_revision_before).max().unwrap_or(0),
        trip_revision: trip.revision,
        currency: invoice.currency.clone(),
        currency_exponent: invoice.currency_exponent,
        subtotal_minor,
        tax_minor,
        total_minor,
        taxes,
        created_at: now,
    };
    let issued = NewEvent {
        aggregate_type: "credit-note",
        aggregate_id: note.id.to_string(),
        event_type: match kind {
            NoteKind::Credit => "CreditNoteIssued",
            NoteKind::Debit => "DebitNoteIssued",
        },
        data: serde_json::json!({ "note": json_of(&note), "lines": json_of(&lines) }),
    };
    events::append(conn, now, 0, issued).await?;
    store::insert_note(conn, number, &note).await?;
    for (place, line) in lines.iter().enumerate() {
        store::insert_note_line(conn, &note.id, (i64::try_from(place).unwrap_or(i64::MAX), line)).await?;
    }
    let noted = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: invoice.id.to_string(),
        event_type: "InvoiceNoted",
        data: serde_json::json!({ "note_id": json_of(&note.id), "total_minor": total_minor }),
    };
    let version = events::append(conn, now, invoice.version, noted).await?;
    store::set_invoice_version(conn, &invoice.id, (invoice.version, version)).await?;
    dunning::noted(conn, &invoice.id).await?;
    dunning::follow(conn, now, &invoice.id).await?;
    Ok(Some(note))
}

/// A note with its lines.
pub async fn get(conn: &mut Conn, id: &NoteId) -> Result<NoteWithLines, DomainError> {
    let note =
        store::note(conn, id).await?.ok_or_else(|| DomainError::not_found("credit note", id.as_str()))?;
    Ok(NoteWithLines { lines: store::lines_of_note(conn, id).await?, note })
}

/// A line of a note.
pub async fn line(conn: &mut Conn, id: &NoteId, line_id: &LineId) -> Result<NoteLine, DomainError> {
    let found = get(conn, id).await?.lines.into_iter().find(|l| l.line.id == *line_id);
    found.ok_or_else(|| DomainError::not_found("credit note line", line_id.as_str()))
}

/// The notes of an invoice, oldest first.
pub async fn of_invoice(conn: &mut Conn, id: &InvoiceId) -> Result<Vec<Note>, DomainError> {
    store::notes_of_invoice(conn, id).await
}

/// Notes, newest first.
pub async fn list(conn: &mut Conn, query: &NoteQuery) -> Result<Page<Note>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let of =
        (query.organization_id.clone().unwrap_or_default(), query.invoice_id.clone().unwrap_or_default());
    let found = store::notes_before(conn, of, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |n| Cursor { key: n.created_at.0.to_string(), id: n.id.to_string() }))
}

/// What is billed of a trip that is not on a draft: its lines on invoices, then those of notes.
pub(super) async fn billed_lines(
    conn: &mut Conn,
    on_final: Vec<store::StoredLine>,
    trip_id: &TripId,
) -> Result<invoicing::BilledTrip, DomainError> {
    let invoice_id = on_final.first().map(|l| l.invoice_id.clone());
    let mut lines: Vec<Line> = on_final.into_iter().map(|l| l.line).collect();
    lines.extend(store::note_lines_of_trip(conn, trip_id).await?.into_iter().map(|l| l.line));
    Ok(invoicing::BilledTrip { invoice_id, lines })
}
