//! SQL on `invoice_charges`.

use rust_decimal::Decimal;
use sqlx::Row;

use crate::{
    billing::{
        charges::Charge,
        types::{InvoiceStatus, TaxLine},
    },
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{ChargeId, InvoiceId},
    rows::{parsed, read_json},
};

/// A charge and the invoice it is on.
#[derive(Debug, Clone)]
pub(in crate::billing) struct StoredCharge {
    pub(in crate::billing) charge: Charge,
    pub(in crate::billing) invoice_id: InvoiceId,
    pub(in crate::billing) invoice_status: InvoiceStatus,
}

pub(in crate::billing) async fn insert_charge(
    conn: &mut Conn,
    invoice_id: &InvoiceId,
    charge: &Charge,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO invoice_charges (id, invoice_id, reference, net_minor, tax_minor, tax_percent, is_superseded, \
         data) VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
    )
    .bind(charge.id.to_string())
    .bind(invoice_id.to_string())
    .bind(charge.reference.clone())
    .bind(charge.net_minor)
    .bind(charge.tax_minor)
    .bind(charge.tax_percent.to_string())
    .bind(json_of(charge).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn supersede_charge(conn: &mut Conn, id: &ChargeId) -> Result<(), DomainError> {
    sqlx::query("UPDATE invoice_charges SET is_superseded = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// What is on invoices for a thing; void ones do not count.
pub(in crate::billing) async fn charges_of(
    conn: &mut Conn,
    reference: &str,
) -> Result<Vec<StoredCharge>, DomainError> {
    let rows = sqlx::query(
        "SELECT c.data, c.invoice_id, i.status FROM invoice_charges c JOIN invoices i ON i.id = c.invoice_id \
         WHERE c.reference = $1 AND c.is_superseded = 0 AND i.status <> 'void' ORDER BY c.id",
    )
    .bind(reference.to_owned())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredCharge {
                charge: read_json(row, "invoice charge")?,
                invoice_id: parsed(row.try_get("invoice_id")?, "invoice")?,
                invoice_status: super::invoices::status(row.try_get("status")?)?,
            })
        })
        .collect()
}

pub(in crate::billing) async fn charges_of_invoice(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Vec<Charge>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM invoice_charges WHERE invoice_id = $1 AND is_superseded = 0 ORDER BY id",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_json(r, "invoice charge")).collect()
}

/// The charges of an invoice by rate of tax, and how many there are.
pub(in crate::billing) async fn charged_by_rate(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<(Vec<TaxLine>, i64), DomainError> {
    let rows = sqlx::query(
        "SELECT tax_percent, CAST(SUM(net_minor) AS BIGINT) AS net_minor, CAST(SUM(tax_minor) AS BIGINT) AS tax_minor, \
         COUNT(*) AS charge_count FROM invoice_charges WHERE invoice_id = $1 AND is_superseded = 0 GROUP BY tax_percent",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    let (mut lines, mut count) = (Vec::new(), 0);
    for row in &rows {
        let tax_percent: Decimal = parsed(row.try_get("tax_percent")?, "invoice charge")?;
        let (taxable_minor, tax_minor) = (row.try_get("net_minor")?, row.try_get("tax_minor")?);
        count += row.try_get::<i64, _>("charge_count")?;
        lines.push(TaxLine { tax_percent, taxable_minor, tax_minor });
    }
    Ok((lines, count))
}
