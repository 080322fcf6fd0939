//! What becomes of a final invoice: paid, or void.
//!
//! draft → finalized → paid, or finalized → void. Each step names the state it starts from in its
//! statement, so that of two at once one wins and the other is told why not.

use std::collections::BTreeSet;

use serde::Deserialize;
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{charges, dunning, invoicing, notes, store, types::Invoice, types::InvoiceStatus};
use crate::{
    db::Conn,
    events::{self, NewEvent},
    fault::DomainError,
    ids::{InvoiceId, TripId},
};

/// Why an invoice is made void.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidReason {
    /// For the books, 1 to 500 characters.
    #[schema(example = "wrong customer")]
    pub reason: String,
}

/// How an invoice was paid outside.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaidOutside {
    /// What finds the payment again, 1 to 200 characters.
    #[schema(example = "bank transfer 2026-12-03, 4711")]
    pub reference: String,
}

/// Makes a finalized invoice void, and bills its trips and charges anew.
pub async fn void(
    conn: &mut Conn,
    now: Timestamp,
    (id, reason): (&InvoiceId, &VoidReason),
) -> Result<Invoice, DomainError> {
    let text = checked("the reason", "reason", &reason.reason, 500)?;
    let invoice = invoicing::get(conn, id).await?;
    let refusal = match invoice.status {
        InvoiceStatus::Draft => Some("is a draft, which nobody owes yet"),
        InvoiceStatus::Paid => Some("is paid; refund its payment instead"),
        InvoiceStatus::Void => Some("is void already"),
        InvoiceStatus::Finalized if invoice.paid_minor != 0 => {
            Some("is paid in part; refund its payments first")
        }
        InvoiceStatus::Finalized if !notes::of_invoice(conn, id).await?.is_empty() => {
            Some("was corrected by notes, which stay; it cannot be void any more")
        }
        InvoiceStatus::Finalized => None,
    };
    if let Some(refusal) = refusal {
        return Err(DomainError::Conflict(format!("invoice {id} {refusal}")));
    }
    refuse_while_paying(conn, id).await?;
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: id.to_string(),
        event_type: "InvoiceVoided",
        data: serde_json::json!({ "reason": text }),
    };
    let version = events::append(conn, now, invoice.version, event).await?;
    store::void(conn, id, ((invoice.version, version), now, &text)).await?;
    dunning::follow(conn, now, id).await?;
    let trips: BTreeSet<TripId> =
        store::lines_of_invoice(conn, id).await?.into_iter().map(|l| l.trip_id).collect();
    for trip_id in &trips {
        let (Some(trip), Some(assignment)) =
            (store::usage_trip(conn, trip_id).await?, store::assignment(conn, trip_id).await?)
        else {
            return Err(DomainError::Stored { what: "usage", id: trip_id.to_string() });
        };
        invoicing::bill(conn, now, &trip, &assignment).await?;
    }
    charges::owe_again(conn, now, &invoice).await?;
    invoicing::get(conn, id).await
}

/// Marks all that is due of an invoice as paid by other means.
pub async fn mark_paid(
    conn: &mut Conn,
    now: Timestamp,
    (id, outside): (&InvoiceId, &PaidOutside),
) -> Result<Invoice, DomainError> {
    let reference = checked("the payment", "reference", &outside.reference, 200)?;
    let invoice = invoicing::get(conn, id).await?;
    if let Some(refusal) = why_not_payable(&invoice) {
        return Err(DomainError::Conflict(refusal));
    }
    refuse_while_paying(conn, id).await?;
    let how = serde_json::json!({ "method": "outside", "reference": reference });
    pay(conn, now, &invoice, (invoice.due_minor, how)).await?;
    invoicing::get(conn, id).await
}

/// A payment that has not ended may still succeed; until then nothing else settles the invoice.
pub(super) async fn refuse_while_paying(conn: &mut Conn, id: &InvoiceId) -> Result<(), DomainError> {
    match store::open_payment(conn, id).await? {
        Some(payment) => {
            Err(DomainError::Conflict(format!("payment {payment} of invoice {id} is under way")))
        }
        None => Ok(()),
    }
}

/// Why an invoice takes no payment now.
pub(super) fn why_not_payable(invoice: &Invoice) -> Option<String> {
    let id = &invoice.id;
    match invoice.status {
        InvoiceStatus::Draft => Some(format!("invoice {id} is a draft; finalize it before it is paid")),
        InvoiceStatus::Void => Some(format!("invoice {id} is void; nobody owes it")),
        InvoiceStatus::Paid if invoice.due_minor <= 0 => Some(format!("invoice {id} is paid already")),
        // A credit may have taken all of it back: marking it paid then settles nothing.
        InvoiceStatus::Finalized if invoice.due_minor < 0 => Some(format!("nothing of invoice {id} is due")),
        InvoiceStatus::Finalized | InvoiceStatus::Paid => None,
    }
}

/// Adds what was paid (negative: paid back); an invoice of which nothing is due any more is paid.
pub(super) async fn pay(
    conn: &mut Conn,
    now: Timestamp,
    invoice: &Invoice,
    (amount_minor, how): (i64, serde_json::Value),
) -> Result<(), DomainError> {
    let is_settled = invoice.due_minor - amount_minor <= 0;
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: invoice.id.to_string(),
        event_type: match (amount_minor < 0, is_settled) {
            (true, _) => "InvoiceRefunded",
            (false, true) => "InvoicePaid",
            (false, false) => "InvoicePaidInPart",
        },
        data: serde_json::json!({ "amount_minor": amount_minor, "currency": invoice.currency, "by": how }),
    };
    let version = events::append(conn, now, invoice.version, event).await?;
    let status = if is_settled { InvoiceStatus::Paid } else { InvoiceStatus::Finalized };
    store::add_paid(conn, &invoice.id, ((invoice.version, version), now, amount_minor, status)).await?;
    dunning::follow(conn, now, &invoice.id).await
}

fn checked(what: &'static str, field: &str, text: &str, len_max: usize) -> Result<String, DomainError> {
    let text = text.trim();
    if (1..=len_max).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(DomainError::invalid(what, field, format!("must be 1 to {len_max} characters")))
    }
}
