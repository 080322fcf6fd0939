//! SQL on `payments` and `refunds`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{
    billing::payment_types::{MethodKind, Payment, PaymentStatus, Refund, RefundStatus, StoredPayment},
    db::Conn,
    fault::DomainError,
    ids::{InvoiceId, PaymentId, RefundId},
    rows::parsed,
};

pub(in crate::billing) async fn insert_payment(
    conn: &mut Conn,
    stored: &StoredPayment,
) -> Result<(), DomainError> {
    let payment = &stored.payment;
    sqlx::query(
        "INSERT INTO payments (id, invoice_id, status, method, source, currency, amount_minor, refunded_minor, \
         created_us, updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $8)",
    )
    .bind(payment.id.to_string())
    .bind(payment.invoice_id.to_string())
    .bind(payment.status.as_str())
    .bind(payment.method.as_str())
    .bind(stored.source.clone())
    .bind(payment.currency.clone())
    .bind(payment.amount_minor)
    .bind(payment.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Gives a payment its new state; false when it is not in the one it was read in.
pub(in crate::billing) async fn end_payment(
    conn: &mut Conn,
    payment: &Payment,
    from: PaymentStatus,
) -> Result<bool, DomainError> {
    let done = sqlx::query(
        "UPDATE payments SET status = $1, error_type = $2, action_url = $3, updated_us = $4 \
         WHERE id = $5 AND status = $6",
    )
    .bind(payment.status.as_str())
    .bind(payment.error_type.clone())
    .bind(payment.action_url.clone())
    .bind(payment.updated_at.0)
    .bind(payment.id.to_string())
    .bind(from.as_str())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The payment of an invoice that has not ended, if there is one.
pub(in crate::billing) async fn open_payment(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Option<PaymentId>, DomainError> {
    let row = sqlx::query(
        "SELECT id FROM payments WHERE invoice_id = $1 AND status IN ('pending', 'requires_action')",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|r| parsed(r.try_get("id")?, "payment")).transpose()
}

pub(in crate::billing) async fn payment(
    conn: &mut Conn,
    id: &PaymentId,
) -> Result<Option<StoredPayment>, DomainError> {
    let row = sqlx::query(
        "SELECT id, invoice_id, status, method, source, currency, amount_minor, refunded_minor, error_type, \
         action_url, created_us, updated_us FROM payments WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_payment).transpose()
}

/// Payments that are left in a state, last touched before a time.
pub(in crate::billing) async fn payments_left(
    conn: &mut Conn,
    (status, before, limit): (PaymentStatus, Timestamp, i64),
) -> Result<Vec<StoredPayment>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, invoice_id, status, method, source, currency, amount_minor, refunded_minor, error_type, \
         action_url, created_us, updated_us FROM payments \
         WHERE status = $1 AND updated_us <= $2 ORDER BY updated_us, id LIMIT $3",
    )
    .bind(status.as_str())
    .bind(before.0)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_payment).collect()
}

/// The newest payment of an invoice by card that has ended.
pub(in crate::billing) async fn last_card_payment(
    conn: &mut Conn,
    id: &InvoiceId,
) -> Result<Option<StoredPayment>, DomainError> {
    let row = sqlx::query(
        "SELECT id, invoice_id, status, method, source, currency, amount_minor, refunded_minor, error_type, \
         action_url, created_us, updated_us FROM payments WHERE invoice_id = $1 AND method = 'card' \
         AND status IN ('succeeded', 'failed') ORDER BY created_us DESC, id DESC LIMIT 1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_payment).transpose()
}

/// Payments of an invoice (any when empty), newest first, before a cursor.
pub(in crate::billing) async fn payments_before(
    conn: &mut Conn,
    invoice: String,
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Payment>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, invoice_id, status, method, source, currency, amount_minor, refunded_minor, error_type, \
         action_url, created_us, updated_us FROM payments WHERE ($1 = '' OR invoice_id = $1) \
         AND (created_us < $2 OR (created_us = $2 AND id < $3)) ORDER BY created_us DESC, id DESC LIMIT $4",
    )
    .bind(invoice)
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| Ok(read_payment(r)?.payment)).collect()
}

/// Adds to what of a payment is given back; false when it would be more than was paid.
pub(in crate::billing) async fn add_refunded(
    conn: &mut Conn,
    id: &PaymentId,
    amount_minor: i64,
) -> Result<bool, DomainError> {
    let done = sqlx::query(
        "UPDATE payments SET refunded_minor = refunded_minor + $1 WHERE id = $2 AND status = 'succeeded' \
         AND refunded_minor + $1 >= 0 AND refunded_minor + $1 <= amount_minor",
    )
    .bind(amount_minor)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::billing) async fn insert_refund(conn: &mut Conn, refund: &Refund) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO refunds (id, payment_id, status, amount_minor, reason, created_us, updated_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $6)",
    )
    .bind(refund.id.to_string())
    .bind(refund.payment_id.to_string())
    .bind(refund.status.as_str())
    .bind(refund.amount_minor)
    .bind(refund.reason.clone())
    .bind(refund.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a pending refund; false when it has ended already.
pub(in crate::billing) async fn end_refund(
    conn: &mut Conn,
    id: &RefundId,
    (status, now): (RefundStatus, Timestamp),
) -> Result<bool, DomainError> {
    let done =
        sqlx::query("UPDATE refunds SET status = $1, updated_us = $2 WHERE id = $3 AND status = 'pending'")
            .bind(status.as_str())
            .bind(now.0)
            .bind(id.to_string())
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// The refunds of a payment, oldest first.
pub(in crate::billing) async fn refunds_of(
    conn: &mut Conn,
    id: &PaymentId,
    currency: &str,
) -> Result<Vec<Refund>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, payment_id, status, amount_minor, reason, created_us FROM refunds \
         WHERE payment_id = $1 ORDER BY created_us, id",
    )
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|r| read_refund(r, currency)).collect()
}

/// Refunds the gateway has not answered for, with their payments.
pub(in crate::billing) async fn pending_refunds(
    conn: &mut Conn,
    (before, limit): (Timestamp, i64),
) -> Result<Vec<(Refund, StoredPayment)>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, payment_id, status, amount_minor, reason, created_us FROM refunds \
         WHERE status = 'pending' AND updated_us <= $1 ORDER BY updated_us, id LIMIT $2",
    )
    .bind(before.0)
    .bind(limit)
    .fetch_all(&mut *conn)
    .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let id: PaymentId = parsed(row.try_get("payment_id")?, "refund")?;
        let stored = payment(conn, &id).await?;
        let stored = stored.ok_or_else(|| DomainError::Stored { what: "refund", id: id.to_string() })?;
        found.push((read_refund(row, &stored.payment.currency)?, stored));
    }
    Ok(found)
}

fn read_payment(row: &AnyRow) -> Result<StoredPayment, DomainError> {
    let currency: String = row.try_get("currency")?;
    let exponent = iso_currency::Currency::from_code(&currency).and_then(|c| c.exponent());
    let (status, method): (String, String) = (row.try_get("status")?, row.try_get("method")?);
    let payment = Payment {
        id: parsed(row.try_get("id")?, "payment")?,
        invoice_id: parsed(row.try_get("invoice_id")?, "payment")?,
        status: PaymentStatus::of(&status)
            .ok_or(DomainError::Stored { what: "payment status", id: status })?,
        method: MethodKind::of(&method).ok_or(DomainError::Stored { what: "payment method", id: method })?,
        amount_minor: row.try_get("amount_minor")?,
        refunded_minor: row.try_get("refunded_minor")?,
        currency,
        currency_exponent: exponent.map_or(0, u32::from),
        error_type: row.try_get("error_type")?,
        action_url: row.try_get("action_url")?,
        created_at: Timestamp(row.try_get("created_us")?),
        updated_at: Timestamp(row.try_get("updated_us")?),
    };
    Ok(StoredPayment { payment, source: row.try_get("source")? })
}

fn read_refund(row: &AnyRow, currency: &str) -> Result<Refund, DomainError> {
    let status: String = row.try_get("status")?;
    Ok(Refund {
        id: parsed(row.try_get("id")?, "refund")?,
        payment_id: parsed(row.try_get("payment_id")?, "refund")?,
        status: RefundStatus::of(&status).ok_or(DomainError::Stored { what: "refund status", id: status })?,
        amount_minor: row.try_get("amount_minor")?,
        currency: currency.to_owned(),
        reason: row.try_get("reason")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
