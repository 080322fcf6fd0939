//! What an organization is told of an invoice that is due: through the outbox, in the transaction of what it tells of.

use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use wire::time::Timestamp;

use super::types::{ActionOutcome, DunningAction, DunningCase, TakenAction};
use crate::{
    billing::{gateway::DeclineKind, payment_types::Payment, types::Invoice},
    db::Conn,
    fault::DomainError,
    ids::NotificationId,
    users::notifications::{self, Notification},
};

/// Reminds of an invoice, and says what else the step did.
pub(super) async fn reminder(
    conn: &mut Conn,
    now: Timestamp,
    (case, invoice): (&DunningCase, &Invoice),
    done: &[TakenAction],
) -> Result<(), DomainError> {
    let (number, due, date) = (number_of(invoice), due_text(invoice), due_date(invoice));
    let is_late = case.due_at.is_some_and(|due_at| due_at <= now);
    let mut body = if is_late {
        format!("Invoice {number}: {due} was due on {date} and is not paid.")
    } else {
        format!("Invoice {number}: {due} is due on {date}.")
    };
    for taken in done {
        let more = match (taken.action, taken.outcome) {
            (DunningAction::RetryPayment, ActionOutcome::NoMethod) => {
                " No card or sufficient credit is known that could be charged: please pay it."
            }
            (DunningAction::RetryPayment, ActionOutcome::NotRetryable) => {
                " The card of the last payment cannot be charged again: please pay by another."
            }
            (DunningAction::RetryPayment, ActionOutcome::UnderWay) => " A payment of it is under way.",
            (DunningAction::LateFee, ActionOutcome::Done) => " A late fee is added to the next invoice.",
            (DunningAction::SuspendBookings, ActionOutcome::Done) => {
                " No new bookings can be made until it is paid."
            }
            (DunningAction::MarkUncollectible, ActionOutcome::Done) => " It is marked as uncollectible.",
            _ => "",
        };
        body.push_str(more);
    }
    tell(conn, now, (case, "invoice_reminder"), body).await
}

/// Tells of a payment that a step tried and that did not go through by itself, and what to do.
pub(super) async fn of_payment(
    conn: &mut Conn,
    now: Timestamp,
    (case, invoice): (&DunningCase, &Invoice),
    (payment, kind): (&Payment, Option<DeclineKind>),
) -> Result<(), DomainError> {
    let (number, due) = (number_of(invoice), due_text(invoice));
    let told = match (&payment.action_url, kind) {
        (Some(url), _) => {
            let body = format!("Invoice {number}: the payment of {due} has to be confirmed at {url}");
            ("invoice_payment_action", body)
        }
        (None, Some(DeclineKind::Hard)) => {
            let body = format!(
                "Invoice {number}: the card was refused for good and is not charged again. Please pay {due} by \
                 another."
            );
            ("invoice_payment_refused", body)
        }
        (None, Some(DeclineKind::NeedsCustomer)) => {
            let body = format!("Invoice {number}: the payment was not confirmed. Please pay {due} yourself.");
            ("invoice_payment_refused", body)
        }
        (None, Some(DeclineKind::Soft) | None) => {
            let date = due_date(invoice);
            let body = format!(
                "Invoice {number}: {due} was due on {date}, and the card could not be charged now. Please see to it, \
                 or pay otherwise."
            );
            ("invoice_reminder", body)
        }
    };
    tell(conn, now, (case, told.0), told.1).await
}

async fn tell(
    conn: &mut Conn,
    now: Timestamp,
    (case, kind): (&DunningCase, &str),
    body: String,
) -> Result<(), DomainError> {
    let notification = Notification {
        id: NotificationId::new(now),
        kind: kind.to_owned(),
        // The outbox tells one thing once: each notice is one of its own.
        subject_id: format!("{}/dunning/{}", case.invoice_id, case.notice_count.saturating_add(1)),
        organization_id: case.organization_id.clone(),
        user_id: None,
        body,
        created_at: now,
    };
    notifications::enqueue(conn, &notification).await
}

/// The number people know an invoice by.
pub(super) fn number_of(invoice: &Invoice) -> &str {
    invoice.number.as_deref().unwrap_or(invoice.id.as_str())
}

/// What is due of it, for people.
pub(super) fn due_text(invoice: &Invoice) -> String {
    format!("{} {}", Decimal::new(invoice.due_minor, invoice.currency_exponent), invoice.currency)
}

/// The last day to pay it on time, in the invoice's zone.
pub(super) fn due_date(invoice: &Invoice) -> String {
    let Some(due_at) = invoice.due_at else { return String::new() };
    // `due_at` is the end of that day.
    let within = due_at.plus_us(-1);
    match (jiff::Timestamp::from_microsecond(within.0), TimeZone::get(&invoice.time_zone)) {
        (Ok(moment), Ok(zone)) => moment.to_zoned_datetime(zone).strftime("%Y-%m-%d").to_string(),
        _ => due_at.to_string(),
    }
}
