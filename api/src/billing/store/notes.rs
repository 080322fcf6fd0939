//! SQL on `credit_notes` and `credit_note_lines`.

use sqlx::Row;

use crate::{
    billing::notes::{Note, NoteLine},
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{InvoiceId, NoteId, TripId},
    rows::read_json,
};

pub(in crate::billing) async fn next_note_number(conn: &mut Conn) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COALESCE(MAX(number), 0) + 1 AS number FROM credit_notes")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("number")?)
}

pub(in crate::billing) async fn insert_note(
    conn: &mut Conn,
    number: i64,
    note: &Note,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO credit_notes (id, number, kind, invoice_id, organization_id, trip_id, trip_revision, \
         total_minor, created_us, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(note.id.to_string())
    .bind(number)
    .bind(note.kind.as_str())
    .bind(note.invoice_id.to_string())
    .bind(note.organization_id.to_string())
    .bind(note.trip_id.to_string())
    .bind(note.trip_revision)
    .bind(note.total_minor)
    .bind(note.created_at.0)
    .bind(json_of(note).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn insert_note_line(
    conn: &mut Conn,
    note_id: &NoteId,
    (place, line): (i64, &NoteLine),
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO credit_note_lines (id, note_id, trip_id, place, data) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(line.line.id.to_string())
    .bind(note_id.to_string())
    .bind(line.line.trip_id.to_string())
    .bind(place)
    .bind(json_of(line).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn note(conn: &mut Conn, id: &NoteId) -> Result<Option<Note>, DomainError> {
    let row = sqlx::query("SELECT data FROM credit_notes WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|r| read_json(r, "credit note")).transpose()
}

pub(in crate::billing) async fn lines_of_note(
    conn: &mut Conn,
    id: &NoteId,
) -> Result<Vec<NoteLine>, DomainError> {
    let rows = sqlx::query("SELECT data FROM credit_note_lines WHERE note_id = $1 ORDER BY place")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|r| read_json(r, "credit note line")).collect()
}

/// The lines of all notes of a trip, oldest first.
pub(in crate::billing) async fn note_lines_of_trip(
    conn: &mut Conn,
    id: &TripId,
) -> Result<Vec<NoteLine>, DomainError> {
    let rows = sqlx::query(
        "SELECT l.data FROM credit_note_lines l JOIN credit_notes n ON n.id = l.note_id \
         WHERE l.trip_id = $1 ORDER BY n.number, l.place",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_json(r, "credit note line")).collect()
}

pub(in crate::billing) async fn notes_of_invoice(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Vec<Note>, DomainError> {
    let rows = sqlx::query("SELECT data FROM credit_notes WHERE invoice_id = $1 ORDER BY number")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(|r| read_json(r, "credit note")).collect()
}

/// Notes of an organization and invoice (any when empty), newest first, before a cursor.
pub(in crate::billing) async fn notes_before(
    conn: &mut Conn,
    (organization, invoice): (String, String),
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Note>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM credit_notes \
         WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR invoice_id = $2) \
         AND (created_us < $3 OR (created_us = $3 AND id < $4)) \
         ORDER BY created_us DESC, id DESC LIMIT $5",
    )
    .bind(organization)
    .bind(invoice)
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_json(r, "credit note")).collect()
}
