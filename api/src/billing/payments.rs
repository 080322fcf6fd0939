//! Payments of invoices by card or wallet, and refunds.
//!
//! A card's payment is stored as `pending` first, then the gateway is asked, then its answer is
//! stored with what it does to the invoice. Between those two transactions the process may die or
//! the gateway fall silent: [`resume`] asks later what became of the charge, by the payment's id.
//! The statement that ends a payment names the state it leaves, so it ends once.

use std::time::Duration;

use rust_decimal::Decimal;
use service::SharedClock;
use wire::time::Timestamp;

use super::{
    dunning,
    gateway::{Charge, ErrorType, Gateway, NoAnswer, Outcome},
    invoicing,
    payment_types::{
        MethodKind, NewPayment, NewRefund, Payment, PaymentMethod, PaymentQuery, PaymentStatus, Refund,
        RefundStatus, StoredPayment,
    },
    settlement, store, wallets,
};
use crate::{
    db::{Conn, Db},
    events::{self, NewEvent, json_of},
    extract::id_of,
    fault::DomainError,
    ids::{InvoiceId, PaymentId, RefundId, WalletId},
    metrics,
    page::{Cursor, Page, limit_of},
};

/// A pending payment younger than this may still be asked about by the request that made it.
const RESUME_AFTER: Duration = Duration::from_secs(60);
/// A customer has so long to do what the gateway asks; then the payment is given up, as it keeps others off the invoice.
const ACTION_WITHIN: Duration = Duration::from_secs(3_600);
/// Longest wait for a gateway's answer: well below [`RESUME_AFTER`], so that whoever asks later finds nobody asking.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// Payments resumed in one look.
const RESUME_COUNT_MAX: i64 = 50;
const WHAT: &str = "the payment";

/// Stores a payment: pending of a card, done at once of a wallet.
pub(super) async fn begin(
    conn: &mut Conn,
    now: Timestamp,
    new: &NewPayment,
) -> Result<StoredPayment, DomainError> {
    let invoice_id: InvoiceId = id_of(WHAT, "invoice_id", &new.invoice_id)?;
    let invoice = match invoicing::get(conn, &invoice_id).await {
        Err(DomainError::NotFound { .. }) => {
            let message = format!("there is no invoice {invoice_id}; see /v1/invoices");
            return Err(DomainError::invalid(WHAT, "invoice_id", message));
        }
        other => other?,
    };
    if let Some(refusal) = settlement::why_not_payable(&invoice) {
        return Err(DomainError::Conflict(refusal));
    }
    let amount_minor = new.amount_minor.unwrap_or(invoice.due_minor);
    if !(1..=invoice.due_minor).contains(&amount_minor) {
        let message = format!("must be 1 to {}, which is due", invoice.due_minor);
        return Err(DomainError::invalid(WHAT, "amount_minor", message));
    }
    settlement::refuse_while_paying(conn, &invoice_id).await?;
    let (method, source) = match &new.method {
        PaymentMethod::Card { token } => (MethodKind::Card, token.clone()),
        PaymentMethod::Wallet => {
            let wallet = wallets::of_organization(conn, &invoice.organization_id).await?;
            let none = || {
                let message = format!("{} has no wallet; open one", invoice.organization_name);
                DomainError::invalid(WHAT, "method", message)
            };
            (MethodKind::Wallet, wallet.ok_or_else(none)?.id.to_string())
        }
    };
    let payment = Payment {
        id: PaymentId::new(now),
        invoice_id,
        status: PaymentStatus::Pending,
        method,
        amount_minor,
        refunded_minor: 0,
        currency: invoice.currency.clone(),
        currency_exponent: invoice.currency_exponent,
        error_type: None,
        action_url: None,
        created_at: now,
        updated_at: now,
    };
    metrics::payment_attempted(method.as_str(), amount_range(&payment));
    append(conn, now, (payment.id.as_str(), "payment"), ("PaymentBegun", json_of(&payment))).await?;
    let stored = StoredPayment { payment, source };
    store::insert_payment(conn, &stored).await?;
    if method == MethodKind::Card {
        return Ok(stored);
    }
    let wallet_id: WalletId = id_of(WHAT, "method", &stored.source)?;
    let paid = wallets::pay_out(conn, now, (&wallet_id, amount_minor, stored.payment.id.as_str())).await;
    if matches!(paid, Err(DomainError::Conflict(_))) {
        metrics::payment_failed(ErrorType::InsufficientFunds.as_str());
    }
    paid?;
    let (payment, _) = end(conn, now, &stored, &Outcome::Succeeded).await?;
    Ok(StoredPayment { payment, ..stored })
}

/// Stores what the gateway said of a payment, and what that does to its invoice; `false` beside a
/// payment that somebody else stored an answer of first.
async fn end(
    conn: &mut Conn,
    now: Timestamp,
    stored: &StoredPayment,
    outcome: &Outcome,
) -> Result<(Payment, bool), DomainError> {
    let mut payment = stored.payment.clone();
    let from = payment.status;
    let (status, event_type) = match outcome {
        Outcome::Succeeded => (PaymentStatus::Succeeded, "PaymentSucceeded"),
        Outcome::Failed(_) | Outcome::Unknown => (PaymentStatus::Failed, "PaymentFailed"),
        Outcome::RequiresAction(_) => (PaymentStatus::RequiresAction, "PaymentRequiresAction"),
    };
    payment.status = status;
    payment.updated_at = now;
    payment.error_type = match outcome {
        Outcome::Failed(error_type) => Some(error_type.as_str().to_owned()),
        Outcome::Unknown => Some(ErrorType::Timeout.as_str().to_owned()),
        Outcome::Succeeded | Outcome::RequiresAction(_) => None,
    };
    payment.action_url = match outcome {
        Outcome::RequiresAction(url) => Some(url.clone()),
        _ => None,
    };
    if !store::end_payment(conn, &payment, from).await? {
        return Ok((get(conn, &payment.id).await?, false));
    }
    append(conn, now, (payment.id.as_str(), "payment"), (event_type, json_of(&payment))).await?;
    dunning::payment_answered(conn, now, &payment).await?;
    if status == PaymentStatus::Succeeded {
        let invoice = invoicing::get(conn, &payment.invoice_id).await?;
        let how = serde_json::json!({ "payment_id": json_of(&payment.id) });
        settlement::pay(conn, now, &invoice, (payment.amount_minor, how)).await?;
    }
    Ok((payment, true))
}

/// Asks the gateway for a stored payment and stores its answer; pending as it is when none came.
pub(super) async fn charge(
    (db, gateway, clock): (&Db, &dyn Gateway, &SharedClock),
    stored: StoredPayment,
) -> Result<Payment, DomainError> {
    let request = charge_of(&stored);
    let started_us = clock.monotonic_us();
    let answer = match stored.payment.status {
        PaymentStatus::RequiresAction => answer_in_time(gateway.confirm(&request)).await,
        _ => answer_in_time(gateway.charge(&request)).await,
    };
    let elapsed = u64::try_from(clock.monotonic_us() - started_us).unwrap_or(0);
    metrics::payment_processed(Duration::from_micros(elapsed));
    match answer {
        Ok(outcome) => store_outcome(db, Timestamp(clock.now_us()), &stored, &outcome).await,
        Err(NoAnswer) => {
            tracing::warn!(payment_id = %stored.payment.id, "payment gateway silent, will ask later");
            Ok(stored.payment)
        }
    }
}

/// A gateway that takes longer has given no answer.
async fn answer_in_time(
    answer: impl Future<Output = Result<Outcome, NoAnswer>>,
) -> Result<Outcome, NoAnswer> {
    tokio::time::timeout(ANSWER_WAIT, answer).await.unwrap_or(Err(NoAnswer))
}

async fn store_outcome(
    db: &Db,
    now: Timestamp,
    stored: &StoredPayment,
    outcome: &Outcome,
) -> Result<Payment, DomainError> {
    let mut tx = db.write().await?;
    let (payment, is_ours) = end(&mut tx, now, stored, outcome).await?;
    tx.commit().await?;
    match payment.status {
        // Counted by whoever stored it.
        _ if !is_ours => {}
        PaymentStatus::Succeeded => metrics::payment_succeeded(),
        PaymentStatus::Failed => metrics::payment_failed(match outcome {
            Outcome::Failed(error_type) => error_type.as_str(),
            _ => ErrorType::Timeout.as_str(),
        }),
        PaymentStatus::Pending | PaymentStatus::RequiresAction => {}
    }
    Ok(payment)
}

/// Ends payments that were left pending, by what the gateway says of them, and gives up those whose customer did not
/// act; returns how many.
pub async fn resume(db: &Db, gateway: &dyn Gateway, now: Timestamp) -> Result<usize, DomainError> {
    let ago = |wait: Duration| now.plus_us(-i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
    let before = ago(RESUME_AFTER);
    let (pending, waiting) = {
        let mut conn = db.read().await?;
        let pending = (PaymentStatus::Pending, before, RESUME_COUNT_MAX);
        let waiting = (PaymentStatus::RequiresAction, ago(ACTION_WITHIN), RESUME_COUNT_MAX);
        (store::payments_left(&mut conn, pending).await?, store::payments_left(&mut conn, waiting).await?)
    };
    let mut ended = 0;
    for stored in pending.into_iter().chain(waiting) {
        let charge = charge_of(&stored);
        let answer = match stored.payment.status {
            PaymentStatus::RequiresAction => answer_in_time(gateway.cancel(&charge)).await,
            _ => answer_in_time(gateway.look_up(&charge)).await,
        };
        match answer {
            Ok(outcome) => {
                store_outcome(db, now, &stored, &outcome).await?;
                ended += 1;
            }
            Err(NoAnswer) => tracing::warn!(payment_id = %stored.payment.id, "payment gateway still silent"),
        }
    }
    let left = {
        let mut conn = db.read().await?;
        store::pending_refunds(&mut conn, (before, RESUME_COUNT_MAX)).await?
    };
    for (refund, stored) in left {
        let refund = give_back(db, (gateway, now), (refund, &stored)).await?;
        ended += usize::from(refund.status != RefundStatus::Pending);
    }
    Ok(ended)
}

/// Stores a refund of a succeeded payment: pending of a card, done at once of a wallet.
pub(super) async fn begin_refund(
    conn: &mut Conn,
    now: Timestamp,
    new: &NewRefund,
) -> Result<(Refund, StoredPayment), DomainError> {
    const WHAT: &str = "the refund";
    let payment_id: PaymentId = id_of(WHAT, "payment_id", &new.payment_id)?;
    let stored = match get_stored(conn, &payment_id).await {
        Err(DomainError::NotFound { .. }) => {
            let message = format!("there is no payment {payment_id}; see /v1/payments");
            return Err(DomainError::invalid(WHAT, "payment_id", message));
        }
        other => other?,
    };
    let payment = &stored.payment;
    if payment.status != PaymentStatus::Succeeded {
        let status = payment.status.as_str();
        return Err(DomainError::Conflict(format!(
            "payment {payment_id} is {status}; only what succeeded can be refunded"
        )));
    }
    let left_minor = payment.amount_minor - payment.refunded_minor;
    if left_minor == 0 {
        return Err(DomainError::Conflict(format!("payment {payment_id} is refunded already")));
    }
    let amount_minor = new.amount_minor.unwrap_or(left_minor);
    if !(1..=left_minor).contains(&amount_minor) {
        let message = format!("must be 1 to {left_minor}, which is not refunded yet");
        return Err(DomainError::invalid(WHAT, "amount_minor", message));
    }
    let reason = new.reason.trim();
    if !(1..=500).contains(&reason.chars().count()) {
        return Err(DomainError::invalid(WHAT, "reason", "must be 1 to 500 characters"));
    }
    let mut refund = Refund {
        id: RefundId::new(now),
        payment_id: payment_id.clone(),
        status: RefundStatus::Pending,
        amount_minor,
        currency: payment.currency.clone(),
        reason: reason.to_owned(),
        created_at: now,
    };
    if !store::add_refunded(conn, &payment_id, amount_minor).await? {
        return Err(DomainError::Conflict(format!("payment {payment_id} was refunded at the same moment")));
    }
    append(conn, now, (refund.id.as_str(), "refund"), ("RefundBegun", json_of(&refund))).await?;
    store::insert_refund(conn, &refund).await?;
    if payment.method == MethodKind::Wallet {
        let wallet_id: WalletId = id_of(WHAT, "payment_id", &stored.source)?;
        wallets::pay_back(conn, now, (&wallet_id, amount_minor, refund.id.as_str())).await?;
        refund = end_refund(conn, now, (&refund, payment), RefundStatus::Succeeded).await?;
    }
    Ok((refund, stored))
}

/// Asks the gateway to give a pending refund back; pending as it is when no answer came.
pub(super) async fn give_back(
    db: &Db,
    (gateway, now): (&dyn Gateway, Timestamp),
    (refund, stored): (Refund, &StoredPayment),
) -> Result<Refund, DomainError> {
    if refund.status != RefundStatus::Pending {
        return Ok(refund);
    }
    let status = match answer_in_time(gateway.refund(refund.id.as_str(), &charge_of(stored))).await {
        Ok(Outcome::Succeeded) => RefundStatus::Succeeded,
        Ok(_) => RefundStatus::Failed,
        Err(NoAnswer) => return Ok(refund),
    };
    let mut tx = db.write().await?;
    let refund = end_refund(&mut tx, now, (&refund, &stored.payment), status).await?;
    tx.commit().await?;
    Ok(refund)
}

async fn end_refund(
    conn: &mut Conn,
    now: Timestamp,
    (refund, payment): (&Refund, &Payment),
    status: RefundStatus,
) -> Result<Refund, DomainError> {
    if !store::end_refund(conn, &refund.id, (status, now)).await? {
        let there = refunds(conn, &payment.id).await?.into_iter().find(|r| r.id == refund.id);
        return there.ok_or_else(|| DomainError::not_found("refund", refund.id.as_str()));
    }
    let refund = Refund { status, ..refund.clone() };
    let event_type = if status == RefundStatus::Succeeded { "RefundSucceeded" } else { "RefundFailed" };
    append(conn, now, (refund.id.as_str(), "refund"), (event_type, json_of(&refund))).await?;
    if status == RefundStatus::Succeeded {
        let invoice = invoicing::get(conn, &payment.invoice_id).await?;
        let how = serde_json::json!({ "refund_id": json_of(&refund.id) });
        settlement::pay(conn, now, &invoice, (-refund.amount_minor, how)).await?;
    } else {
        store::add_refunded(conn, &payment.id, -refund.amount_minor).await?;
    }
    Ok(refund)
}

/// A payment.
pub async fn get(conn: &mut Conn, id: &PaymentId) -> Result<Payment, DomainError> {
    Ok(get_stored(conn, id).await?.payment)
}

pub(super) async fn get_stored(conn: &mut Conn, id: &PaymentId) -> Result<StoredPayment, DomainError> {
    store::payment(conn, id).await?.ok_or_else(|| DomainError::not_found("payment", id.as_str()))
}

/// Payments, newest first.
pub async fn list(conn: &mut Conn, query: &PaymentQuery) -> Result<Page<Payment>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let invoice = query.invoice_id.clone().unwrap_or_default();
    let found = store::payments_before(conn, invoice, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |p| Cursor { key: p.created_at.0.to_string(), id: p.id.to_string() }))
}

/// The refunds of a payment, oldest first.
pub async fn refunds(conn: &mut Conn, id: &PaymentId) -> Result<Vec<Refund>, DomainError> {
    let currency = get(conn, id).await?.currency;
    store::refunds_of(conn, id, &currency).await
}

fn charge_of(stored: &StoredPayment) -> Charge {
    let payment = &stored.payment;
    Charge {
        payment_id: payment.id.to_string(),
        token: stored.source.clone(),
        amount: Decimal::new(payment.amount_minor, payment.currency_exponent),
        currency: payment.currency.clone(),
    }
}

/// The range of an amount, in whole units of its currency: a label of a metric.
fn amount_range(payment: &Payment) -> &'static str {
    let units = payment.amount_minor / 10_i64.pow(payment.currency_exponent.min(6));
    match units {
        ..10 => "under_10",
        10..100 => "10_to_100",
        100..1_000 => "100_to_1000",
        _ => "from_1000",
    }
}

async fn append(
    conn: &mut Conn,
    now: Timestamp,
    (id, aggregate_type): (&str, &'static str),
    (event_type, data): (&'static str, serde_json::Value),
) -> Result<(), DomainError> {
    let version = events::version_of(conn, id).await?;
    let event = NewEvent { aggregate_type, aggregate_id: id.to_owned(), event_type, data };
    events::append(conn, now, version, event).await?;
    Ok(())
}
