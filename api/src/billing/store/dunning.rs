//! SQL on `dunning_policies` and `dunning_cases`.

use sqlx::Row;
use wire::time::Timestamp;

use crate::{
    billing::dunning::types::{DunningCase, DunningTerms},
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{InvoiceId, OrganizationId},
    rows::{parsed, read_json},
};

/// Adds the next version of a policy; without terms it inherits.
pub(in crate::billing) async fn insert_policy(
    conn: &mut Conn,
    (scope, version): (&str, i64),
    terms: Option<&DunningTerms>,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE dunning_policies SET is_latest = 0 WHERE scope = $1")
        .bind(scope.to_owned())
        .execute(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO dunning_policies (scope, version, is_latest, data) VALUES ($1, $2, 1, $3)")
        .bind(scope.to_owned())
        .bind(version)
        .bind(json_of(&terms).to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The latest version of a policy, and its terms where it does not inherit.
pub(in crate::billing) async fn policy(
    conn: &mut Conn,
    scope: &str,
) -> Result<Option<(i64, Option<DunningTerms>)>, DomainError> {
    let row = sqlx::query("SELECT version, data FROM dunning_policies WHERE scope = $1 AND is_latest = 1")
        .bind(scope.to_owned())
        .fetch_optional(conn)
        .await?;
    row.map(|r| Ok((r.try_get("version")?, read_json(&r, "dunning policy")?))).transpose()
}

pub(in crate::billing) async fn save(conn: &mut Conn, case: &DunningCase) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO dunning_cases (invoice_id, organization_id, status, is_suspending, next_us, version, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (invoice_id) DO UPDATE SET status = excluded.status, \
         is_suspending = excluded.is_suspending, next_us = excluded.next_us, version = excluded.version, \
         data = excluded.data",
    )
    .bind(case.invoice_id.to_string())
    .bind(case.organization_id.to_string())
    .bind(case.status.as_str())
    .bind(i64::from(case.is_suspending_bookings))
    .bind(case.next_at().map(|at| at.0))
    .bind(case.version)
    .bind(json_of(case).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn case(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Option<DunningCase>, DomainError> {
    let row = sqlx::query("SELECT data FROM dunning_cases WHERE invoice_id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|r| read_json(r, "dunning")).transpose()
}

/// Invoices with something due of their dunning, the longest due first.
pub(in crate::billing) async fn due(
    conn: &mut Conn,
    (now, limit): (Timestamp, i64),
) -> Result<Vec<InvoiceId>, DomainError> {
    let rows = sqlx::query(
        "SELECT invoice_id FROM dunning_cases WHERE next_us <= $1 ORDER BY next_us, invoice_id LIMIT $2",
    )
    .bind(now.0)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| parsed(r.try_get("invoice_id")?, "dunning")).collect()
}

/// Invoices for which an organization may not book, oldest first.
pub(in crate::billing) async fn suspending(
    conn: &mut Conn,
    id: &OrganizationId,
    limit: i64,
) -> Result<Vec<InvoiceId>, DomainError> {
    let rows = sqlx::query(
        "SELECT invoice_id FROM dunning_cases WHERE organization_id = $1 AND is_suspending = 1 \
         ORDER BY invoice_id LIMIT $2",
    )
    .bind(id.to_string())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| parsed(r.try_get("invoice_id")?, "dunning")).collect()
}

/// Only to make them anew.
pub(in crate::billing) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM dunning_cases").execute(&mut *conn).await?;
    sqlx::query("DELETE FROM dunning_policies").execute(conn).await?;
    Ok(())
}
