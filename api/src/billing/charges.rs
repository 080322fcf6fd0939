//! Charges: what an organization owes that is no line of a trip, such as what its wallet had not for a booking.
//!
//! Whoever owns the thing says how much of it is to be on invoices in all (`owe`). What final invoices have
//! stays; the rest, which may be negative, is one charge on an open draft. Said again, nothing changes.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{
    invoicing, store,
    types::{Invoice, InvoiceStatus},
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::DomainError,
    ids::{ChargeId, InvoiceId, OrganizationId},
    users,
};

/// An amount of an invoice that is no line of a trip. Its tax is that of the thing it is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Charge {
    /// `chg_…`
    #[schema(value_type = String)]
    pub id: ChargeId,
    /// The id of what it is for: a booking's.
    pub reference: String,
    /// For people.
    pub description: String,
    /// Without tax; negative where an earlier invoice had too much.
    pub net_minor: i64,
    /// Tax of it.
    pub tax_minor: i64,
    /// Both.
    pub total_minor: i64,
    /// The rate of the tax.
    #[schema(value_type = String, example = "25")]
    pub tax_percent: Decimal,
    /// When it was put there.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// What is to be on invoices for a thing, in all.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    pub(crate) organization_id: OrganizationId,
    pub(crate) reference: String,
    pub(crate) description: String,
    pub(crate) total_minor: i64,
    /// Of it, tax.
    pub(crate) tax_minor: i64,
    pub(crate) tax_percent: Decimal,
    /// Which month's invoice it is of, if that is open; or else the next.
    pub(crate) at: Timestamp,
}

/// Puts what is missing to a total, or over it, on an open draft.
pub(crate) async fn owe(conn: &mut Conn, now: Timestamp, owed: &Owed) -> Result<(), DomainError> {
    let there = store::charges_of(conn, &owed.reference).await?;
    let (on_drafts, on_final): (Vec<_>, Vec<_>) =
        there.into_iter().partition(|c| c.invoice_status == InvoiceStatus::Draft);
    let (mut total_minor, mut tax_minor) = (owed.total_minor, owed.tax_minor);
    for billed in &on_final {
        total_minor -= billed.charge.total_minor;
        tax_minor -= billed.charge.tax_minor;
    }
    let is_there =
        |c: &store::StoredCharge| (c.charge.total_minor, c.charge.tax_minor) == (total_minor, tax_minor);
    match on_drafts.as_slice() {
        [] if (total_minor, tax_minor) == (0, 0) => return Ok(()),
        [one] if is_there(one) => return Ok(()),
        _ => {}
    }
    let mut changes: BTreeMap<InvoiceId, (Vec<Charge>, Vec<ChargeId>)> = BTreeMap::new();
    for old in on_drafts {
        changes.entry(old.invoice_id).or_default().1.push(old.charge.id);
    }
    if (total_minor, tax_minor) != (0, 0) {
        let organization = users::get(conn, &owed.organization_id).await?;
        let draft = invoicing::open_for(conn, now, &organization, owed.at).await?;
        changes.entry(draft.id).or_default().0.push(Charge {
            id: ChargeId::new(now),
            reference: owed.reference.clone(),
            description: owed.description.clone(),
            net_minor: total_minor - tax_minor,
            tax_minor,
            total_minor,
            tax_percent: owed.tax_percent.normalize(),
            created_at: now,
        });
    }
    for (invoice_id, (added, superseded)) in changes {
        let invoice = invoicing::get(conn, &invoice_id).await?;
        change(conn, now, &invoice, (&added, &superseded)).await?;
    }
    Ok(())
}

/// Puts the charges of an invoice that has become void on an open draft.
pub(super) async fn owe_again(conn: &mut Conn, now: Timestamp, voided: &Invoice) -> Result<(), DomainError> {
    for charge in store::charges_of_invoice(conn, &voided.id).await? {
        let elsewhere = store::charges_of(conn, &charge.reference).await?;
        let sum = |of: fn(&Charge) -> i64| elsewhere.iter().map(|c| of(&c.charge)).sum::<i64>() + of(&charge);
        let owed = Owed {
            organization_id: voided.organization_id.clone(),
            total_minor: sum(|c| c.total_minor),
            tax_minor: sum(|c| c.tax_minor),
            reference: charge.reference.clone(),
            description: charge.description.clone(),
            tax_percent: charge.tax_percent,
            at: voided.period_start,
        };
        owe(conn, now, &owed).await?;
    }
    Ok(())
}

async fn change(
    conn: &mut Conn,
    now: Timestamp,
    invoice: &Invoice,
    (added, superseded): (&[Charge], &[ChargeId]),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: "invoice",
        aggregate_id: invoice.id.to_string(),
        event_type: "InvoiceChargesChanged",
        data: serde_json::json!({ "added": json_of(&added), "superseded": json_of(&superseded) }),
    };
    let version = events::append(conn, now, invoice.version, event).await?;
    for id in superseded {
        store::supersede_charge(conn, id).await?;
    }
    for charge in added {
        store::insert_charge(conn, &invoice.id, charge).await?;
    }
    store::set_invoice_version(conn, &invoice.id, (invoice.version, version)).await
}
