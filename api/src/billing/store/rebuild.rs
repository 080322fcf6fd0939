//! SQL that clears what is made anew from events.

use crate::{billing::types::Invoice, db::Conn, fault::DomainError};

async fn run(conn: &mut Conn, statements: &[&'static str]) -> Result<(), DomainError> {
    for statement in statements {
        sqlx::query(*statement).execute(&mut *conn).await?;
    }
    Ok(())
}

pub(in crate::billing) async fn clear_tariffs(conn: &mut Conn) -> Result<(), DomainError> {
    run(conn, &["DELETE FROM tariff_assignments", "DELETE FROM tariffs"]).await
}

pub(in crate::billing) async fn clear_wallets(conn: &mut Conn) -> Result<(), DomainError> {
    run(conn, &["DELETE FROM wallet_holds", "DELETE FROM wallets"]).await
}

/// Invoices that payments point at stay, out of the way of their own numbers and months.
pub(in crate::billing) async fn clear_invoices(conn: &mut Conn) -> Result<(), DomainError> {
    let statements = [
        "DELETE FROM credit_note_lines",
        "DELETE FROM credit_notes",
        "DELETE FROM invoice_charges",
        "DELETE FROM invoice_lines",
        "DELETE FROM invoices WHERE id NOT IN (SELECT invoice_id FROM payments)",
        "UPDATE invoices SET number = NULL, organization_id = id",
    ];
    run(conn, &statements).await
}

/// An invoice as it was opened, whatever its row has.
pub(in crate::billing) async fn open_invoice(conn: &mut Conn, invoice: &Invoice) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO invoices (id, organization_id, organization_name, status, period_start_us, period_end_us, \
         time_zone, currency, version, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (id) DO UPDATE SET organization_id = excluded.organization_id, \
         organization_name = excluded.organization_name, status = excluded.status, \
         period_start_us = excluded.period_start_us, period_end_us = excluded.period_end_us, \
         time_zone = excluded.time_zone, currency = excluded.currency, version = excluded.version, \
         created_us = excluded.created_us, finalized_us = NULL, paid_minor = 0, paid_us = NULL, voided_us = NULL, \
         void_reason = NULL, due_us = NULL, overdue_us = NULL, uncollectible_us = NULL",
    )
    .bind(invoice.id.to_string())
    .bind(invoice.organization_id.to_string())
    .bind(invoice.organization_name.clone())
    .bind(invoice.status.as_str())
    .bind(invoice.period_start.0)
    .bind(invoice.period_end.0)
    .bind(invoice.time_zone.clone())
    .bind(invoice.currency.clone())
    .bind(invoice.version)
    .bind(invoice.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// What no event has opened; refused by the database where a payment points at one.
pub(in crate::billing) async fn drop_unopened(conn: &mut Conn) -> Result<(), DomainError> {
    run(conn, &["DELETE FROM invoices WHERE organization_id = id"]).await
}
