//! Dunning: what is done about invoices that are not paid when they are due.
//!
//! *Owns* the tables `dunning_policies` and `dunning_cases` and their events; *does not own* invoices, payments,
//! charges or notifications: it calls them.
//!
//! An invoice's case opens with its finalization, under the policy that counts then (`policy.rs`), which stays with it.
//! `schedule.rs` says when which step comes (pure), `steps.rs` takes it in one transaction with its event, `worker.rs`
//! looks which cases are due and asks the gateway for what a step began, `notices.rs` is what people are told.
//! Whatever settles an invoice calls `follow` in its own transaction: so the case ends in the moment of the payment, and
//! with it a suspension of bookings.
//!
//! Bounds: 20 steps a policy, 100 cases a look, 8 gateway calls at once.

mod change;
mod notices;
pub mod policy;
pub mod schedule;
mod steps;
pub mod types;
pub mod worker;

use jiff::{ToSpan, tz::TimeZone};
use rust_decimal::Decimal;
use wire::time::{DAY_US, Timestamp};

use self::{
    change::{Change, record},
    policy::Counting,
    types::{Dunning, DunningAction, DunningCase, DunningEnd, DunningPause, DunningStatus},
};
use super::{
    charges::{self, Owed},
    gateway::{DeclineKind, ErrorType},
    invoicing,
    payment_types::{Payment, PaymentStatus},
    store,
    types::{Invoice, InvoiceStatus},
};
use crate::{
    db::Conn,
    events::{self, Event, NewEvent},
    fault::DomainError,
    ids::{InvoiceId, OrganizationId},
    metrics,
};

/// Invoices named where bookings are refused for them.
const NAMED_COUNT_MAX: i64 = 5;

/// The end of the day that is so many days after a moment, in a zone.
pub(super) fn due_at(now: Timestamp, days: i64, zone_name: &str) -> Timestamp {
    let end = || {
        let zone = TimeZone::get(zone_name).ok()?;
        let today = jiff::Timestamp::from_microsecond(now.0).ok()?.to_zoned_datetime(zone.clone()).date();
        let next = today.checked_add(days.checked_add(1)?.days()).ok()?;
        Some(Timestamp(next.to_zoned_datetime(zone).ok()?.timestamp().as_microsecond()))
    };
    // A zone was checked when it was stored; a machine without it counts whole days.
    end().unwrap_or_else(|| now.plus_us(days.saturating_mul(DAY_US)))
}

/// Opens the case of an invoice that has become final.
pub(super) async fn open(
    conn: &mut Conn,
    now: Timestamp,
    (invoice, counting): (&Invoice, Counting),
) -> Result<(), DomainError> {
    let case = DunningCase { status: DunningStatus::Active, version: 1, ..unopened(invoice, counting) };
    record(conn, now, &case, Change::Opened(Box::new(case.clone()))).await?;
    follow(conn, now, &invoice.id).await
}

fn unopened(invoice: &Invoice, counting: Counting) -> DunningCase {
    DunningCase {
        invoice_id: invoice.id.clone(),
        organization_id: invoice.organization_id.clone(),
        status: DunningStatus::None,
        due_at: invoice.due_at,
        overdue_at: None,
        policy_organization_id: counting.organization_id,
        policy_version: counting.version,
        terms: counting.terms,
        taken: Vec::new(),
        taken_before: Vec::new(),
        notice_count: 0,
        late_fee_minor: None,
        is_suspending_bookings: false,
        is_uncollectible: false,
        pause_reason: None,
        paused_at: None,
        end_reason: None,
        ended_at: None,
        version: 0,
    }
}

/// Ends the case of an invoice of which nothing is due any more, and opens it again when something is: to be called in
/// the transaction of whatever changes what is due.
pub(super) async fn follow(conn: &mut Conn, now: Timestamp, id: &InvoiceId) -> Result<(), DomainError> {
    let Some(case) = store::dunning::case(conn, id).await? else { return Ok(()) };
    let invoice = invoicing::get(conn, id).await?;
    let reason = match invoice.status {
        InvoiceStatus::Void => Some(DunningEnd::Voided),
        _ if invoice.due_minor > 0 => None,
        _ if invoice.paid_minor > 0 => Some(DunningEnd::Paid),
        _ => Some(DunningEnd::NothingDue),
    };
    match (case.status, reason) {
        (DunningStatus::Active | DunningStatus::Paused, Some(reason)) => {
            end(conn, now, (&case, &invoice), reason).await
        }
        (DunningStatus::Ended, None) => reopen(conn, now, (&case, &invoice)).await,
        _ => Ok(()),
    }
}

async fn end(
    conn: &mut Conn,
    now: Timestamp,
    (case, invoice): (&DunningCase, &Invoice),
    reason: DunningEnd,
) -> Result<(), DomainError> {
    record(conn, now, case, Change::Ended { reason }).await?;
    metrics::dunning_ended(reason.as_str());
    if reason != DunningEnd::Paid && case.late_fee_minor.is_some() {
        // It was not late: nobody owed it.
        owe_late_fee(conn, now, (invoice, 0)).await?;
    }
    Ok(())
}

/// A refund, or a debit note after the payment: due again in the time that the terms give, dunned from the first step.
async fn reopen(
    conn: &mut Conn,
    now: Timestamp,
    (case, invoice): (&DunningCase, &Invoice),
) -> Result<(), DomainError> {
    let due_at = due_at(now, case.terms.payment_terms_days, &invoice.time_zone);
    let data =
        serde_json::json!({ "due_at": due_at, "due_minor": invoice.due_minor, "currency": invoice.currency });
    let versions = note(conn, now, invoice, ("InvoiceDueAgain", data)).await?;
    store::set_due_again(conn, &invoice.id, (versions, due_at)).await?;
    record(conn, now, case, Change::Reopened { due_at }).await?;
    Ok(())
}

/// Appends an event of dunning to the invoice's own stream; its versions before and after.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    invoice: &Invoice,
    (event_type, data): (&'static str, serde_json::Value),
) -> Result<(i64, i64), DomainError> {
    let event =
        NewEvent { aggregate_type: "invoice", aggregate_id: invoice.id.to_string(), event_type, data };
    let version = events::append(conn, now, invoice.version, event).await?;
    Ok((invoice.version, version))
}

/// Has so much of an invoice's late fee on invoices, no more and no less.
async fn owe_late_fee(
    conn: &mut Conn,
    now: Timestamp,
    (invoice, fee_minor): (&Invoice, i64),
) -> Result<(), DomainError> {
    let owed = Owed {
        organization_id: invoice.organization_id.clone(),
        reference: fee_reference(&invoice.id),
        description: format!("Late fee of invoice {}", notices::number_of(invoice)),
        total_minor: fee_minor,
        // Compensation for delay is no supply: it bears no tax.
        tax_minor: 0,
        tax_percent: Decimal::ZERO,
        at: now,
    };
    charges::owe(conn, now, &owed).await
}

/// What marks a charge as a late fee.
const FEE_SUFFIX: &str = "/late-fee";

fn fee_reference(id: &InvoiceId) -> String {
    format!("{id}{FEE_SUFFIX}")
}

/// Keeps what the gateway answered for a payment, where a step tried it, and tells people what they can do.
pub(super) async fn payment_answered(
    conn: &mut Conn,
    now: Timestamp,
    payment: &Payment,
) -> Result<(), DomainError> {
    let Some(case) = store::dunning::case(conn, &payment.invoice_id).await? else { return Ok(()) };
    let of = |step: &&types::TakenStep| {
        step.retry.as_ref().is_some_and(|retry| retry.payment_id.as_ref() == Some(&payment.id))
    };
    let Some(step) = case.taken.iter().chain(&case.taken_before).find(of) else { return Ok(()) };
    let has_reminder = step.actions.iter().any(|taken| taken.action == DunningAction::Reminder);
    let kind = payment.error_type.as_deref().and_then(ErrorType::of).map(ErrorType::decline_kind);
    let (outcome, is_news) = match (payment.status, kind) {
        (PaymentStatus::Succeeded, _) => ("succeeded", false),
        (PaymentStatus::RequiresAction, _) => ("requires_action", true),
        (PaymentStatus::Failed, Some(DeclineKind::Hard)) => ("refused_for_good", true),
        (PaymentStatus::Failed, Some(DeclineKind::NeedsCustomer)) => ("not_confirmed", true),
        (PaymentStatus::Failed | PaymentStatus::Pending, _) => ("declined", has_reminder),
    };
    let is_told = is_news && case.status != DunningStatus::Ended;
    if is_told {
        let invoice = invoicing::get(conn, &payment.invoice_id).await?;
        notices::of_payment(conn, now, (&case, &invoice), (payment, kind)).await?;
    }
    metrics::dunning_retried(outcome);
    let change = Change::RetryAnswered {
        payment_id: payment.id.clone(),
        status: payment.status,
        error_type: payment.error_type.clone(),
        is_told,
    };
    record(conn, now, &case, change).await?;
    Ok(())
}

/// How far the dunning of an invoice is.
pub async fn get(conn: &mut Conn, id: &InvoiceId) -> Result<Dunning, DomainError> {
    let invoice = invoicing::get(conn, id).await?;
    let case = match store::dunning::case(conn, id).await? {
        Some(case) => case,
        None => unopened(&invoice, policy::counting(conn, &invoice.organization_id).await?),
    };
    Ok(Dunning { next_step: case.next_step(), case })
}

/// Takes no step of an invoice until it is resumed.
pub async fn pause(
    conn: &mut Conn,
    now: Timestamp,
    (id, pause): (&InvoiceId, &DunningPause),
) -> Result<Dunning, DomainError> {
    let reason = pause.reason.trim().to_owned();
    if !(1..=500).contains(&reason.chars().count()) {
        return Err(DomainError::invalid("the pause", "reason", "must be 1 to 500 characters"));
    }
    let case = get(conn, id).await?.case;
    if case.status != DunningStatus::Active {
        return Err(not_now(&case, "paused"));
    }
    record(conn, now, &case, Change::Paused { reason }).await?;
    get(conn, id).await
}

/// Goes on where it was paused: a step that came meanwhile is taken now, those after it keep their distance to it.
pub async fn resume(conn: &mut Conn, now: Timestamp, id: &InvoiceId) -> Result<Dunning, DomainError> {
    let case = get(conn, id).await?.case;
    if case.status != DunningStatus::Paused {
        return Err(not_now(&case, "resumed"));
    }
    record(conn, now, &case, Change::Resumed {}).await?;
    get(conn, id).await
}

fn not_now(case: &DunningCase, act: &str) -> DomainError {
    let id = &case.invoice_id;
    let why = match case.status {
        DunningStatus::None => "is not dunned: it is a draft, or was made final before there was dunning",
        DunningStatus::Active => "is being dunned",
        DunningStatus::Paused => "is paused already",
        DunningStatus::Ended => "has nothing due, so its dunning has ended",
    };
    DomainError::Conflict(format!("invoice {id} {why}; it cannot be {act}"))
}

/// Refuses new bookings of an organization for which a step suspended them, and names the invoices to pay.
pub(crate) async fn refuse_suspended(conn: &mut Conn, id: &OrganizationId) -> Result<(), DomainError> {
    let suspending = store::dunning::suspending(conn, id, NAMED_COUNT_MAX + 1).await?;
    if suspending.is_empty() {
        return Ok(());
    }
    let shown = usize::try_from(NAMED_COUNT_MAX).unwrap_or(usize::MAX);
    let mut names = Vec::new();
    for invoice_id in suspending.iter().take(shown) {
        let invoice = invoicing::get(conn, invoice_id).await?;
        let (number, due) = (notices::number_of(&invoice), notices::due_text(&invoice));
        names.push(format!("{number} ({invoice_id}, {due}, due on {})", notices::due_date(&invoice)));
    }
    let more = if suspending.len() > shown { " and more" } else { "" };
    Err(DomainError::Suspended(format!(
        "bookings of {id} are suspended until these overdue invoices are paid: {}{more}",
        names.join(", ")
    )))
}

/// Takes back what is said of an invoice that is overdue, when a note has left nothing due of it.
pub(super) async fn noted(conn: &mut Conn, id: &InvoiceId) -> Result<(), DomainError> {
    if invoicing::get(conn, id).await?.due_minor <= 0 {
        store::clear_overdue(conn, id).await?;
    }
    Ok(())
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::dunning::clear(conn).await
}

/// Makes the rows of policies and cases anew.
pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        change::AGGREGATE => change::replay(conn, event).await?,
        policy::AGGREGATE => policy::replay(conn, event).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invoice_is_due_at_the_end_of_a_local_day() {
        let at = |t: &str| Timestamp::parse(t).unwrap();
        for (now, days, zone, due) in [
            ("2026-11-23T12:00:00Z", 14, "Europe/Copenhagen", "2026-12-07T23:00:00Z"),
            // Half an hour after midnight there, the day before here.
            ("2026-11-22T23:30:00Z", 14, "Europe/Copenhagen", "2026-12-07T23:00:00Z"),
            ("2026-11-23T12:00:00Z", 0, "UTC", "2026-11-24T00:00:00Z"),
            // Over the end of summer time.
            ("2026-10-20T12:00:00Z", 10, "America/Chicago", "2026-10-31T05:00:00Z"),
            ("2026-10-20T12:00:00Z", 12, "America/Chicago", "2026-11-02T06:00:00Z"),
            ("2026-11-23T12:00:00Z", 2, "Nowhere/None", "2026-11-25T12:00:00Z"),
        ] {
            assert_eq!(due_at(at(now), days, zone), at(due), "{days} days after {now} in {zone}");
        }
    }
}
