//! SQL on `invoices` and `invoice_lines`.

use rust_decimal::Decimal;
use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{
    billing::{
        rating,
        types::{Invoice, InvoiceStatus, Line, TaxLine},
    },
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{InvoiceId, LineId, OrganizationId, TripId},
    rows::{parsed, read_json},
};

/// A line and the invoice it is on.
#[derive(Debug, Clone)]
pub(in crate::billing) struct StoredLine {
    pub(in crate::billing) line: Line,
    pub(in crate::billing) invoice_id: InvoiceId,
    pub(in crate::billing) invoice_status: InvoiceStatus,
}

/// A number as it is printed.
pub(in crate::billing) fn number_text(number: i64) -> String {
    format!("RL-{number:06}")
}

pub(in crate::billing) async fn insert_invoice(
    conn: &mut Conn,
    invoice: &Invoice,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO invoices (id, organization_id, organization_name, status, period_start_us, period_end_us, \
         time_zone, currency, version, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
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

/// Moves an invoice from one version to the next; refused when another writer was faster.
pub(in crate::billing) async fn set_invoice_version(
    conn: &mut Conn,
    id: &InvoiceId,
    (from_version, version): (i64, i64),
) -> Result<(), DomainError> {
    let done = sqlx::query("UPDATE invoices SET version = $1 WHERE id = $2 AND version = $3")
        .bind(version)
        .bind(id.to_string())
        .bind(from_version)
        .execute(conn)
        .await?;
    one_changed(done.rows_affected(), id)
}

/// A guarded statement changed its invoice, or somebody else did meanwhile.
fn one_changed(count: u64, id: &InvoiceId) -> Result<(), DomainError> {
    if count == 1 {
        return Ok(());
    }
    Err(DomainError::Conflict(format!("invoice {id} was changed at the same moment; read it and repeat")))
}

pub(in crate::billing) async fn next_number(conn: &mut Conn) -> Result<i64, DomainError> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(number), 0) + 1 AS number FROM invoices").fetch_one(conn).await?;
    Ok(row.try_get("number")?)
}

pub(in crate::billing) async fn finalize(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), (now, due_at), number): ((i64, i64), (Timestamp, Option<Timestamp>), i64),
) -> Result<(), DomainError> {
    let done = sqlx::query(
        "UPDATE invoices SET status = 'finalized', number = $1, version = $2, finalized_us = $3, due_us = $6 \
         WHERE id = $4 AND status = 'draft' AND version = $5",
    )
    .bind(number)
    .bind(version)
    .bind(now.0)
    .bind(id.to_string())
    .bind(from_version)
    .bind(due_at.map(|at| at.0))
    .execute(conn)
    .await?;
    one_changed(done.rows_affected(), id)
}

pub(in crate::billing) async fn void(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), now, reason): ((i64, i64), Timestamp, &str),
) -> Result<(), DomainError> {
    let done = sqlx::query(
        "UPDATE invoices SET status = 'void', version = $1, voided_us = $2, void_reason = $3, \
         overdue_us = NULL, uncollectible_us = NULL \
         WHERE id = $4 AND status = 'finalized' AND paid_minor = 0 AND version = $5",
    )
    .bind(version)
    .bind(now.0)
    .bind(reason.to_owned())
    .bind(id.to_string())
    .bind(from_version)
    .execute(conn)
    .await?;
    one_changed(done.rows_affected(), id)
}

pub(in crate::billing) async fn add_paid(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), now, amount_minor, status): ((i64, i64), Timestamp, i64, InvoiceStatus),
) -> Result<(), DomainError> {
    let paid_us = (status == InvoiceStatus::Paid).then_some(now.0);
    let done = sqlx::query(
        "UPDATE invoices SET status = $1, version = $2, paid_minor = paid_minor + $3, paid_us = $4 \
         WHERE id = $5 AND status IN ('finalized', 'paid') AND version = $6",
    )
    .bind(status.as_str())
    .bind(version)
    .bind(amount_minor)
    .bind(paid_us)
    .bind(id.to_string())
    .bind(from_version)
    .execute(&mut *conn)
    .await?;
    one_changed(done.rows_affected(), id)?;
    if status == InvoiceStatus::Paid { clear_overdue(conn, id).await } else { Ok(()) }
}

/// Nothing of an invoice is due any more.
pub(in crate::billing) async fn clear_overdue(conn: &mut Conn, id: &InvoiceId) -> Result<(), DomainError> {
    sqlx::query("UPDATE invoices SET overdue_us = NULL, uncollectible_us = NULL WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::billing) async fn set_overdue(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), at): ((i64, i64), Timestamp),
) -> Result<(), DomainError> {
    set_invoice_version(conn, id, (from_version, version)).await?;
    sqlx::query("UPDATE invoices SET overdue_us = $1 WHERE id = $2")
        .bind(at.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::billing) async fn set_uncollectible(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), at): ((i64, i64), Timestamp),
) -> Result<(), DomainError> {
    set_invoice_version(conn, id, (from_version, version)).await?;
    sqlx::query("UPDATE invoices SET uncollectible_us = $1 WHERE id = $2")
        .bind(at.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Something of an invoice is due once more, by another date.
pub(in crate::billing) async fn set_due_again(
    conn: &mut Conn,
    id: &InvoiceId,
    ((from_version, version), due_at): ((i64, i64), Timestamp),
) -> Result<(), DomainError> {
    set_invoice_version(conn, id, (from_version, version)).await?;
    sqlx::query("UPDATE invoices SET due_us = $1, overdue_us = NULL, uncollectible_us = NULL WHERE id = $2")
        .bind(due_at.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::billing) async fn invoice(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Option<Invoice>, DomainError> {
    let row = sqlx::query(
        "SELECT id, number, organization_id, organization_name, status, period_start_us, period_end_us, \
         time_zone, currency, version, created_us, finalized_us, paid_minor, paid_us, voided_us, void_reason, due_us, \
         overdue_us, uncollectible_us \
         FROM invoices WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(&mut *conn)
    .await?;
    match row {
        Some(row) => Ok(Some(with_totals(conn, read_invoice(&row)?).await?)),
        None => Ok(None),
    }
}

pub(in crate::billing) async fn invoice_of_month(
    conn: &mut Conn,
    organization_id: &OrganizationId,
    period_start: Timestamp,
) -> Result<Option<Invoice>, DomainError> {
    let row = sqlx::query(
        "SELECT id, number, organization_id, organization_name, status, period_start_us, period_end_us, \
         time_zone, currency, version, created_us, finalized_us, paid_minor, paid_us, voided_us, void_reason, due_us, \
         overdue_us, uncollectible_us \
         FROM invoices \
         WHERE organization_id = $1 AND period_start_us = $2",
    )
    .bind(organization_id.to_string())
    .bind(period_start.0)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_invoice).transpose()
}

/// Invoices of an organization, a status, overdue or not (any when empty), newest month first, before a cursor.
pub(in crate::billing) async fn invoices_before(
    conn: &mut Conn,
    (organization, status, overdue): (&str, &str, &str),
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Invoice>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, number, organization_id, organization_name, status, period_start_us, period_end_us, \
         time_zone, currency, version, created_us, finalized_us, paid_minor, paid_us, voided_us, void_reason, due_us, \
         overdue_us, uncollectible_us \
         FROM invoices \
         WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR status = $2) \
         AND (period_start_us < $3 OR (period_start_us = $3 AND id < $4)) \
         AND ($6 = '' OR ($6 = 'yes' AND overdue_us IS NOT NULL) OR ($6 = 'no' AND overdue_us IS NULL)) \
         ORDER BY period_start_us DESC, id DESC LIMIT $5",
    )
    .bind(organization.to_owned())
    .bind(status.to_owned())
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .bind(overdue.to_owned())
    .fetch_all(&mut *conn)
    .await?;
    let mut invoices = Vec::with_capacity(rows.len());
    for row in &rows {
        invoices.push(with_totals(conn, read_invoice(row)?).await?);
    }
    Ok(invoices)
}

/// Sums its lines, whose tax is rounded once a rate, and its charges, which have theirs.
async fn with_totals(conn: &mut Conn, mut invoice: Invoice) -> Result<Invoice, DomainError> {
    let rows = sqlx::query(
        "SELECT tax_percent, CAST(SUM(amount_minor) AS BIGINT) AS amount_minor, COUNT(*) AS line_count \
         FROM invoice_lines WHERE invoice_id = $1 AND is_superseded = 0 GROUP BY tax_percent",
    )
    .bind(invoice.id.to_string())
    .fetch_all(&mut *conn)
    .await?;
    for row in &rows {
        let tax_percent: Decimal = parsed(row.try_get("tax_percent")?, "invoice line")?;
        let taxable_minor: i64 = row.try_get("amount_minor")?;
        let tax_minor = rating::tax_minor(taxable_minor, tax_percent)?;
        invoice.subtotal_minor += taxable_minor;
        invoice.tax_minor += tax_minor;
        invoice.line_count += row.try_get::<i64, _>("line_count")?;
        invoice.taxes.push(TaxLine { tax_percent, taxable_minor, tax_minor });
    }
    let (charged, charge_count) = super::charges::charged_by_rate(conn, &invoice.id).await?;
    for charged in charged {
        invoice.subtotal_minor += charged.taxable_minor;
        invoice.tax_minor += charged.tax_minor;
        match invoice.taxes.iter_mut().find(|t| t.tax_percent == charged.tax_percent) {
            Some(line) => {
                line.taxable_minor += charged.taxable_minor;
                line.tax_minor += charged.tax_minor;
            }
            None => invoice.taxes.push(charged),
        }
    }
    invoice.line_count += charge_count;
    invoice.taxes.sort_by_key(|t| t.tax_percent);
    invoice.total_minor = invoice.subtotal_minor + invoice.tax_minor;
    let noted = sqlx::query(
        "SELECT CAST(COALESCE(SUM(total_minor), 0) AS BIGINT) AS noted_minor FROM credit_notes WHERE invoice_id = $1",
    )
    .bind(invoice.id.to_string())
    .fetch_one(conn)
    .await?;
    invoice.noted_minor = noted.try_get("noted_minor")?;
    invoice.due_minor = match invoice.status {
        InvoiceStatus::Draft | InvoiceStatus::Void => 0,
        InvoiceStatus::Finalized | InvoiceStatus::Paid => {
            invoice.total_minor + invoice.noted_minor - invoice.paid_minor
        }
    };
    Ok(invoice)
}

pub(in crate::billing) async fn insert_line(
    conn: &mut Conn,
    invoice_id: &InvoiceId,
    line: &Line,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO invoice_lines (id, invoice_id, trip_id, component, trip_start_us, amount_minor, tax_percent, \
         is_superseded, data) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)",
    )
    .bind(line.id.to_string())
    .bind(invoice_id.to_string())
    .bind(line.trip_id.to_string())
    .bind(line.component.as_str())
    .bind(line.trip_start_time.0)
    .bind(line.amount_minor)
    .bind(line.tax_percent.to_string())
    .bind(json_of(line).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn supersede_line(conn: &mut Conn, id: &LineId) -> Result<(), DomainError> {
    sqlx::query("UPDATE invoice_lines SET is_superseded = 1 WHERE id = $1")
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::billing) async fn lines_of_trip(
    conn: &mut Conn,
    trip_id: &TripId,
) -> Result<Vec<StoredLine>, DomainError> {
    let rows = sqlx::query(
        "SELECT l.data, l.invoice_id, i.status FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id \
         WHERE l.trip_id = $1 AND l.is_superseded = 0 AND i.status <> 'void' ORDER BY i.finalized_us, l.id",
    )
    .bind(trip_id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredLine {
                line: read_json(row, "invoice line")?,
                invoice_id: parsed(row.try_get("invoice_id")?, "invoice")?,
                invoice_status: status(row.try_get("status")?)?,
            })
        })
        .collect()
}

pub(in crate::billing) async fn lines_of_invoice(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Vec<Line>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM invoice_lines WHERE invoice_id = $1 AND is_superseded = 0 \
         ORDER BY trip_start_us, trip_id, CASE component WHEN 'FLAT' THEN 1 WHEN 'DISTANCE' THEN 2 \
         WHEN 'TIME' THEN 3 WHEN 'IDLE' THEN 4 WHEN 'ENERGY' THEN 5 ELSE 6 END, id",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_json(r, "invoice line")).collect()
}

pub(in crate::billing) async fn line(
    conn: &mut Conn,
    invoice_id: &InvoiceId,
    id: &LineId,
) -> Result<Option<Line>, DomainError> {
    let row = sqlx::query("SELECT data FROM invoice_lines WHERE id = $1 AND invoice_id = $2")
        .bind(id.to_string())
        .bind(invoice_id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|r| read_json(r, "invoice line")).transpose()
}

pub(super) fn status(text: String) -> Result<InvoiceStatus, DomainError> {
    match text.as_str() {
        "draft" => Ok(InvoiceStatus::Draft),
        "finalized" => Ok(InvoiceStatus::Finalized),
        "paid" => Ok(InvoiceStatus::Paid),
        "void" => Ok(InvoiceStatus::Void),
        _ => Err(DomainError::Stored { what: "invoice status", id: text }),
    }
}

fn read_invoice(row: &AnyRow) -> Result<Invoice, DomainError> {
    let currency: String = row.try_get("currency")?;
    let exponent = iso_currency::Currency::from_code(&currency).and_then(|c| c.exponent());
    let time = |column: &str| Ok::<_, DomainError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    let overdue_at = time("overdue_us")?;
    Ok(Invoice {
        id: parsed(row.try_get("id")?, "invoice")?,
        number: row.try_get::<Option<i64>, _>("number")?.map(number_text),
        organization_id: parsed(row.try_get("organization_id")?, "invoice")?,
        organization_name: row.try_get("organization_name")?,
        status: status(row.try_get("status")?)?,
        period_start: Timestamp(row.try_get("period_start_us")?),
        period_end: Timestamp(row.try_get("period_end_us")?),
        time_zone: row.try_get("time_zone")?,
        currency,
        currency_exponent: exponent.map_or(0, u32::from),
        subtotal_minor: 0,
        tax_minor: 0,
        total_minor: 0,
        taxes: Vec::new(),
        noted_minor: 0,
        paid_minor: row.try_get("paid_minor")?,
        due_minor: 0,
        line_count: 0,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        finalized_at: row.try_get::<Option<i64>, _>("finalized_us")?.map(Timestamp),
        paid_at: row.try_get::<Option<i64>, _>("paid_us")?.map(Timestamp),
        voided_at: row.try_get::<Option<i64>, _>("voided_us")?.map(Timestamp),
        void_reason: row.try_get("void_reason")?,
        due_at: time("due_us")?,
        is_overdue: overdue_at.is_some(),
        overdue_at,
        uncollectible_at: time("uncollectible_us")?,
    })
}
