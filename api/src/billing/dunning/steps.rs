//! Takes what is due of a case: that the invoice is overdue, and a step; in the caller's transaction.
//!
//! A card is only begun to be charged here: the payment is stored as pending with the step, and whoever has committed that
//! asks the gateway. Who dies in between leaves a pending payment, which upkeep ends; so a step charges once.

use wire::time::Timestamp;

use super::{
    FEE_SUFFIX,
    change::{Change, record},
    follow, note, notices, owe_late_fee, schedule,
    types::{ActionOutcome, DunningAction, DunningCase, DunningRetry, DunningStatus, LateFee, TakenAction},
};
use crate::{
    billing::{
        gateway::{DeclineKind, ErrorType},
        invoicing,
        payment_types::{MethodKind, NewPayment, PaymentMethod, PaymentStatus, StoredPayment},
        payments, rating, store,
        types::Invoice,
        wallets,
    },
    db::Conn,
    fault::DomainError,
    ids::InvoiceId,
    metrics,
};

/// How a payment can be tried again.
enum Method {
    /// The wallet has all that is due.
    Wallet,
    /// The card of the invoice's last payment.
    Card(String),
    /// Not now, or not at all.
    Left(ActionOutcome),
}

/// What is to be done after the commit.
#[derive(Debug)]
pub(super) enum Begun {
    /// Nothing.
    Nothing,
    /// The gateway is to be asked for this payment.
    Card(Box<StoredPayment>),
    /// A wallet has paid.
    WalletPaid,
}

/// Takes what is due of an invoice's case, if anything still is.
pub(super) async fn take_due(conn: &mut Conn, now: Timestamp, id: &InvoiceId) -> Result<Begun, DomainError> {
    let Some(mut case) = store::dunning::case(conn, id).await? else { return Ok(Begun::Nothing) };
    // Another process may have been faster.
    let Some(due_at) = case.due_at.filter(|_| case.next_at().is_some_and(|at| at <= now)) else {
        return Ok(Begun::Nothing);
    };
    let invoice = invoicing::get(conn, id).await?;
    if invoice.due_minor <= 0 {
        follow(conn, now, id).await?;
        return Ok(Begun::Nothing);
    }
    if case.overdue_at.is_none() && due_at <= now {
        let data = serde_json::json!({
            "due_at": due_at, "due_minor": invoice.due_minor, "currency": invoice.currency,
        });
        let versions = note(conn, now, &invoice, ("InvoiceOverdue", data)).await?;
        store::set_overdue(conn, id, (versions, now)).await?;
        case = record(conn, now, &case, Change::Started {}).await?;
    }
    if case.status != DunningStatus::Active {
        return Ok(Begun::Nothing);
    }
    match schedule::due_step(&case.terms.steps, due_at, now, &case.taken) {
        Some(index) => take(conn, now, case, index).await,
        None => Ok(Begun::Nothing),
    }
}

async fn take(
    conn: &mut Conn,
    now: Timestamp,
    case: DunningCase,
    index: usize,
) -> Result<Begun, DomainError> {
    let mut invoice = invoicing::get(conn, &case.invoice_id).await?;
    let actions = case.terms.steps.get(index).map(|step| step.actions.clone()).unwrap_or_default();
    let number = i64::try_from(index).unwrap_or(i64::MAX).saturating_add(1);
    let is_retry = actions.contains(&DunningAction::RetryPayment);
    let method = if is_retry { Some(method_of(conn, now, &invoice).await?) } else { None };
    if let Some(Method::Wallet) = method {
        return pay_by_wallet(conn, now, (&case, &invoice), (number, &actions)).await;
    }
    let (mut taken, mut retry, mut late_fee_minor, mut begun) = (Vec::new(), None, None, Begun::Nothing);
    for &action in &actions {
        let outcome = match action {
            DunningAction::RetryPayment => match &method {
                Some(Method::Card(token)) => {
                    let stored =
                        begin(conn, now, (&invoice, PaymentMethod::Card { token: token.clone() })).await?;
                    retry = Some(DunningRetry {
                        method: MethodKind::Card,
                        payment_id: Some(stored.payment.id.clone()),
                        status: stored.payment.status,
                        error_type: None,
                    });
                    begun = Begun::Card(Box::new(stored));
                    ActionOutcome::Done
                }
                Some(Method::Left(outcome)) => *outcome,
                Some(Method::Wallet) | None => ActionOutcome::NotNeeded,
            },
            DunningAction::LateFee => match fee_of(conn, (&case, &invoice)).await? {
                Some(fee_minor) => {
                    owe_late_fee(conn, now, (&invoice, fee_minor)).await?;
                    late_fee_minor = Some(fee_minor);
                    ActionOutcome::Done
                }
                None => ActionOutcome::NotNeeded,
            },
            DunningAction::SuspendBookings => ActionOutcome::Done,
            DunningAction::MarkUncollectible => {
                let data = serde_json::json!({
                    "due_minor": invoice.due_minor, "currency": invoice.currency,
                });
                let versions = note(conn, now, &invoice, ("InvoiceMarkedUncollectible", data)).await?;
                store::set_uncollectible(conn, &invoice.id, (versions, now)).await?;
                invoice = invoicing::get(conn, &invoice.id).await?;
                ActionOutcome::Done
            }
            DunningAction::Reminder if matches!(begun, Begun::Card(_)) => ActionOutcome::Deferred,
            DunningAction::Reminder => {
                notices::reminder(conn, now, (&case, &invoice), &taken).await?;
                ActionOutcome::Done
            }
        };
        metrics::dunning_acted(action.as_str(), outcome.as_str());
        taken.push(TakenAction { action, outcome });
    }
    record(conn, now, &case, Change::StepTaken { number, actions: taken, retry, late_fee_minor }).await?;
    Ok(begun)
}

/// The wallet pays at once, and nothing else of the step is needed. The step comes first in the log: the payment ends
/// the case.
async fn pay_by_wallet(
    conn: &mut Conn,
    now: Timestamp,
    (case, invoice): (&DunningCase, &Invoice),
    (number, actions): (i64, &[DunningAction]),
) -> Result<Begun, DomainError> {
    let outcome = |action| match action {
        DunningAction::RetryPayment => ActionOutcome::Done,
        _ => ActionOutcome::NotNeeded,
    };
    let actions: Vec<_> =
        actions.iter().map(|&action| TakenAction { action, outcome: outcome(action) }).collect();
    for taken in &actions {
        metrics::dunning_acted(taken.action.as_str(), taken.outcome.as_str());
    }
    let retry = DunningRetry {
        method: MethodKind::Wallet,
        payment_id: None,
        status: PaymentStatus::Succeeded,
        error_type: None,
    };
    let change = Change::StepTaken { number, actions, retry: Some(retry), late_fee_minor: None };
    record(conn, now, case, change).await?;
    begin(conn, now, (invoice, PaymentMethod::Wallet)).await?;
    metrics::dunning_retried("succeeded");
    Ok(Begun::WalletPaid)
}

async fn begin(
    conn: &mut Conn,
    now: Timestamp,
    (invoice, method): (&Invoice, PaymentMethod),
) -> Result<StoredPayment, DomainError> {
    let new = NewPayment { invoice_id: invoice.id.to_string(), amount_minor: None, method };
    payments::begin(conn, now, &new).await
}

/// How a payment of an invoice can be tried again. There are no saved cards: the one it was tried with is what there is.
async fn method_of(conn: &mut Conn, now: Timestamp, invoice: &Invoice) -> Result<Method, DomainError> {
    if store::open_payment(conn, &invoice.id).await?.is_some() {
        return Ok(Method::Left(ActionOutcome::UnderWay));
    }
    if let Some(wallet) = wallets::of_organization(conn, &invoice.organization_id).await?
        && wallets::available_now(conn, now, &wallet.id).await? >= invoice.due_minor
    {
        return Ok(Method::Wallet);
    }
    let Some(last) = store::last_card_payment(conn, &invoice.id).await? else {
        return Ok(Method::Left(ActionOutcome::NoMethod));
    };
    let kind = last.payment.error_type.as_deref().and_then(ErrorType::of).map(ErrorType::decline_kind);
    match (last.payment.status, kind) {
        // It was good, for what was due before.
        (PaymentStatus::Succeeded, _) | (PaymentStatus::Failed, Some(DeclineKind::Soft)) => {
            Ok(Method::Card(last.source))
        }
        _ => Ok(Method::Left(ActionOutcome::NotRetryable)),
    }
}

/// What being late with an invoice costs; none where it has its fee already, or it would be nothing.
async fn fee_of(
    conn: &mut Conn,
    (case, invoice): (&DunningCase, &Invoice),
) -> Result<Option<i64>, DomainError> {
    if case.late_fee_minor.is_some() {
        return Ok(None);
    }
    let fee_minor = match &case.terms.late_fee {
        Some(LateFee::Fixed { amount_minor, currency }) if *currency == invoice.currency => *amount_minor,
        Some(LateFee::Percent { percent }) => {
            let charges = store::charges_of_invoice(conn, &invoice.id).await?;
            let fees = charges.iter().filter(|charge| charge.reference.ends_with(FEE_SUFFIX));
            // No fee on a fee.
            let base_minor = invoice.due_minor - fees.map(|fee| fee.total_minor).sum::<i64>();
            rating::percent_of(base_minor.max(0), *percent, "late fee")?
        }
        Some(LateFee::Fixed { .. }) | None => 0,
    };
    Ok(Some(fee_minor).filter(|fee| *fee > 0))
}
