//! What happens to the dunning of an invoice, and what it is after it: pure, but for [`record`], which appends the
//! event and stores the case after it in one transaction.

use serde::{Deserialize, Serialize};
use wire::time::Timestamp;

use super::types::{
    ActionOutcome, DunningAction, DunningCase, DunningEnd, DunningRetry, DunningStatus, TakenAction,
    TakenStep,
};
use crate::{
    billing::{payment_types::PaymentStatus, store},
    db::Conn,
    events::{self, Event, NewEvent, json_of},
    fault::DomainError,
    ids::{InvoiceId, OrganizationId, PaymentId},
};

/// The type of a dunning's events.
pub(super) const AGGREGATE: &str = "dunning";

/// Something that happens to the dunning of an invoice; an event of its stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event_type", content = "data")]
pub(super) enum Change {
    #[serde(rename = "DunningOpened")]
    Opened(Box<DunningCase>),
    /// The invoice is overdue.
    #[serde(rename = "DunningStarted")]
    Started {},
    #[serde(rename = "DunningStepTaken")]
    StepTaken {
        number: i64,
        actions: Vec<TakenAction>,
        retry: Option<DunningRetry>,
        late_fee_minor: Option<i64>,
    },
    /// The gateway answered for a payment that a step tried.
    #[serde(rename = "DunningRetryAnswered")]
    RetryAnswered { payment_id: PaymentId, status: PaymentStatus, error_type: Option<String>, is_told: bool },
    #[serde(rename = "DunningPaused")]
    Paused { reason: String },
    #[serde(rename = "DunningResumed")]
    Resumed {},
    #[serde(rename = "DunningEnded")]
    Ended { reason: DunningEnd },
    /// Something of the invoice is due again, by a refund or a debit note.
    #[serde(rename = "DunningReopened")]
    Reopened { due_at: Timestamp },
}

impl Change {
    /// The type of its event, as serialization names it.
    fn event_type(&self) -> &'static str {
        match self {
            Self::Opened(_) => "DunningOpened",
            Self::Started {} => "DunningStarted",
            Self::StepTaken { .. } => "DunningStepTaken",
            Self::RetryAnswered { .. } => "DunningRetryAnswered",
            Self::Paused { .. } => "DunningPaused",
            Self::Resumed {} => "DunningResumed",
            Self::Ended { .. } => "DunningEnded",
            Self::Reopened { .. } => "DunningReopened",
        }
    }
}

/// A case after a change, by what it was before; none of a change that its first would have to precede.
fn after(before: Option<DunningCase>, change: Change, at: Timestamp) -> Option<DunningCase> {
    if let Change::Opened(case) = change {
        return Some(*case);
    }
    let mut case = before?;
    case.version += 1;
    match change {
        Change::Opened(_) => {}
        Change::Started {} => case.overdue_at = Some(at),
        Change::StepTaken { number, actions, retry, late_fee_minor } => {
            let is_done = |action: DunningAction| {
                actions.iter().any(|taken| taken.action == action && taken.outcome == ActionOutcome::Done)
            };
            case.notice_count += i64::from(is_done(DunningAction::Reminder));
            case.is_suspending_bookings |= is_done(DunningAction::SuspendBookings);
            case.is_uncollectible |= is_done(DunningAction::MarkUncollectible);
            case.late_fee_minor = case.late_fee_minor.or(late_fee_minor);
            case.taken.push(TakenStep { number, taken_at: at, actions, retry });
        }
        Change::RetryAnswered { payment_id, status, error_type, is_told } => {
            case.notice_count += i64::from(is_told);
            let steps = case.taken.iter_mut().chain(&mut case.taken_before);
            let retries = steps.filter_map(|step| step.retry.as_mut());
            for retry in retries.filter(|retry| retry.payment_id.as_ref() == Some(&payment_id)) {
                retry.status = status;
                retry.error_type.clone_from(&error_type);
            }
        }
        Change::Paused { reason } => {
            case.status = DunningStatus::Paused;
            case.pause_reason = Some(reason);
            case.paused_at = Some(at);
        }
        Change::Resumed {} => {
            case.status = DunningStatus::Active;
            (case.pause_reason, case.paused_at) = (None, None);
        }
        Change::Ended { reason } => {
            case.status = DunningStatus::Ended;
            case.end_reason = Some(reason);
            case.ended_at = Some(at);
            case.overdue_at = None;
            case.is_suspending_bookings = false;
            case.is_uncollectible = false;
            (case.pause_reason, case.paused_at) = (None, None);
            if reason != DunningEnd::Paid {
                case.late_fee_minor = None;
            }
        }
        Change::Reopened { due_at } => {
            case.status = DunningStatus::Active;
            (case.end_reason, case.ended_at) = (None, None);
            case.due_at = Some(due_at);
            let taken = std::mem::take(&mut case.taken);
            case.taken_before.extend(taken);
        }
    }
    Some(case)
}

/// Appends a change of a case as it was read, and stores the case after it.
pub(super) async fn record(
    conn: &mut Conn,
    now: Timestamp,
    case: &DunningCase,
    change: Change,
) -> Result<DunningCase, DomainError> {
    let is_first = matches!(change, Change::Opened(_));
    let mut told = json_of(&change);
    let mut data = told["data"].take();
    // Webhooks ask the event whose it is.
    data["organization_id"] = json_of(&case.organization_id);
    data["invoice_id"] = json_of(&case.invoice_id);
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: aggregate_id(&case.invoice_id),
        event_type: change.event_type(),
        data,
    };
    events::append(conn, now, if is_first { 0 } else { case.version }, event).await?;
    let stored = || DomainError::Stored { what: "dunning", id: case.invoice_id.to_string() };
    let case = after(Some(case.clone()), change, now).ok_or_else(stored)?;
    store::dunning::save(conn, &case).await?;
    Ok(case)
}

fn aggregate_id(invoice_id: &InvoiceId) -> String {
    format!("{invoice_id}/dunning")
}

/// Whose dunning an event is of.
#[derive(Deserialize)]
struct Of {
    invoice_id: InvoiceId,
    organization_id: OrganizationId,
}

/// Makes the row of a case after an event of its stream was read.
pub(super) async fn replay(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let stored = || DomainError::Stored { what: "event", id: event.event_id.to_string() };
    let Of { invoice_id, organization_id } = event.read()?;
    let before = store::dunning::case(conn, &invoice_id).await?;
    let told = serde_json::json!({ "event_type": event.event_type, "data": event.data });
    let change: Change = serde_json::from_value(told).map_err(|_| stored())?;
    let case = after(before, change, event.timestamp).ok_or_else(stored)?;
    if case.organization_id != organization_id || case.version != event.version {
        return Err(stored());
    }
    store::dunning::save(conn, &case).await
}
