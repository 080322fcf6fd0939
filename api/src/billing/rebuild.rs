//! Tariffs, invoices and wallets anew from their events.
//!
//! Payments point at invoices and are not made of events, so invoices stay where they are while their columns are
//! made anew; what no event opened is gone in the end.

use serde::Deserialize;
use wire::time::Timestamp;

use super::{
    charges::Charge,
    dunning, invoicing,
    notes::{Note, NoteLine},
    store,
    tariff::Tariff,
    types::{Invoice, InvoiceStatus, Line},
    wallet_types::{Hold, HoldStatus, Wallet},
    wallets::{self, WalletChange},
};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{ChargeId, HoldId, InvoiceId, LineId, OrganizationId, TariffId, WalletId},
};

pub(crate) async fn clear_tariffs(conn: &mut Conn) -> Result<(), DomainError> {
    store::rebuild::clear_tariffs(conn).await
}

#[derive(Deserialize)]
struct Assigned {
    organization_id: OrganizationId,
    tariff_id: TariffId,
}

pub(crate) async fn replay_tariff(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.event_type.as_str() {
        "TariffCreated" | "TariffRevised" => {
            let tariff: Tariff = event.read()?;
            store::insert_tariff(conn, &tariff).await?;
        }
        "TariffAssigned" => {
            let Assigned { organization_id, tariff_id } = event.read()?;
            store::assign_tariff(conn, &organization_id, &tariff_id).await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

pub(crate) async fn clear_invoices(conn: &mut Conn) -> Result<(), DomainError> {
    store::rebuild::clear_invoices(conn).await
}

#[derive(Deserialize)]
struct Changed<T, Id> {
    added: Vec<T>,
    superseded: Vec<Id>,
}

#[derive(Deserialize)]
struct Finalized {
    number: String,
    /// None of those of before there were due dates.
    #[serde(default)]
    due_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct DueAgain {
    due_at: Timestamp,
}

#[derive(Deserialize)]
struct Voided {
    reason: String,
}

#[derive(Deserialize)]
struct Amount {
    amount_minor: i64,
}

#[derive(Deserialize)]
struct Issued {
    note: Note,
    lines: Vec<NoteLine>,
}

pub(crate) async fn replay_invoice(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type == "credit-note" {
        let Issued { note, lines } = event.read()?;
        let number = number_of(&note.number, event)?;
        store::insert_note(conn, number, &note).await?;
        for (place, line) in (0_i64..).zip(&lines) {
            store::insert_note_line(conn, &note.id, (place, line)).await?;
        }
        return Ok(true);
    }
    if event.aggregate_type != "invoice" {
        return Ok(false);
    }
    if event.event_type == "InvoiceOpened" {
        let invoice: Invoice = event.read()?;
        store::rebuild::open_invoice(conn, &invoice).await?;
        return Ok(true);
    }
    let id: InvoiceId = event.aggregate()?;
    let at = event.timestamp;
    let versions = (event.version - 1, event.version);
    match event.event_type.as_str() {
        "InvoiceLinesChanged" => {
            let Changed::<Line, LineId> { added, superseded } = event.read()?;
            for line in &superseded {
                store::supersede_line(conn, line).await?;
            }
            for line in &added {
                store::insert_line(conn, &id, line).await?;
            }
            store::set_invoice_version(conn, &id, versions).await?;
        }
        "InvoiceChargesChanged" => {
            let Changed::<Charge, ChargeId> { added, superseded } = event.read()?;
            for charge in &superseded {
                store::supersede_charge(conn, charge).await?;
            }
            for charge in &added {
                store::insert_charge(conn, &id, charge).await?;
            }
            store::set_invoice_version(conn, &id, versions).await?;
        }
        "InvoiceFinalized" => {
            let Finalized { number, due_at } = event.read()?;
            store::finalize(conn, &id, (versions, (at, due_at), number_of(&number, event)?)).await?;
        }
        "InvoiceVoided" => {
            let Voided { reason } = event.read()?;
            store::void(conn, &id, (versions, at, &reason)).await?;
        }
        "InvoiceNoted" => {
            store::set_invoice_version(conn, &id, versions).await?;
            dunning::noted(conn, &id).await?;
        }
        "InvoiceOverdue" => store::set_overdue(conn, &id, (versions, at)).await?,
        "InvoiceMarkedUncollectible" => store::set_uncollectible(conn, &id, (versions, at)).await?,
        "InvoiceDueAgain" => {
            let DueAgain { due_at } = event.read()?;
            store::set_due_again(conn, &id, (versions, due_at)).await?;
        }
        "InvoicePaid" | "InvoicePaidInPart" | "InvoiceRefunded" => {
            let Amount { amount_minor } = event.read()?;
            // As it was decided then: the invoice has come as far as it had.
            let due_minor = invoicing::get(conn, &id).await?.due_minor;
            let is_settled = due_minor - amount_minor <= 0;
            let status = if is_settled { InvoiceStatus::Paid } else { InvoiceStatus::Finalized };
            store::add_paid(conn, &id, (versions, at, amount_minor, status)).await?;
        }
        _ => return Err(unknown(event)),
    }
    Ok(true)
}

pub(crate) async fn finish_invoices(conn: &mut Conn) -> Result<(), DomainError> {
    store::rebuild::drop_unopened(conn).await
}

/// `RL-000012` is 12.
fn number_of(text: &str, event: &Event) -> Result<i64, DomainError> {
    let number = text.rsplit('-').next().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| unknown(event))
}

fn unknown(event: &Event) -> DomainError {
    DomainError::Stored { what: "event", id: event.event_id.to_string() }
}

pub(crate) async fn clear_wallets(conn: &mut Conn) -> Result<(), DomainError> {
    store::rebuild::clear_wallets(conn).await
}

#[derive(Deserialize)]
struct OfHold {
    hold_id: HoldId,
}

pub(crate) async fn replay_wallet(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != "wallet" {
        return Ok(false);
    }
    if event.event_type == "WalletOpened" {
        let wallet: Wallet = event.read()?;
        store::insert_wallet(conn, &wallet).await?;
        return Ok(true);
    }
    let change = match event.event_type.as_str() {
        "WalletToppedUp" | "WalletRefunded" => {
            WalletChange { balance_minor: event.read::<Amount>()?.amount_minor, held_minor: 0 }
        }
        "WalletPaid" => WalletChange { balance_minor: -event.read::<Amount>()?.amount_minor, held_minor: 0 },
        "CreditHeld" => {
            let hold: Hold = event.read()?;
            store::insert_hold(conn, &hold).await?;
            WalletChange { balance_minor: 0, held_minor: hold.amount_minor }
        }
        "HoldCaptured" => {
            let Amount { amount_minor } = event.read()?;
            let hold = close(conn, event, (HoldStatus::Captured, amount_minor)).await?;
            WalletChange { balance_minor: -amount_minor, held_minor: -hold.amount_minor }
        }
        "HoldReleased" => freed(&close(conn, event, (HoldStatus::Released, 0)).await?),
        "HoldExpired" => freed(&close(conn, event, (HoldStatus::Expired, 0)).await?),
        _ => return Err(unknown(event)),
    };
    let id: WalletId = event.aggregate()?;
    if store::move_wallet(conn, &id, ((event.version - 1, event.version), change)).await? {
        Ok(true)
    } else {
        Err(unknown(event))
    }
}

fn freed(hold: &Hold) -> WalletChange {
    WalletChange { balance_minor: 0, held_minor: -hold.amount_minor }
}

async fn close(
    conn: &mut Conn,
    event: &Event,
    (status, captured_minor): (HoldStatus, i64),
) -> Result<Hold, DomainError> {
    let OfHold { hold_id } = event.read()?;
    let hold = wallets::get_hold(conn, &hold_id).await?;
    let at: Timestamp = event.timestamp;
    store::close_hold(conn, &hold_id, (status, captured_minor, at)).await?;
    Ok(hold)
}

/// The ledger is a log of its own: what the events make of a wallet, its entries must make too.
pub(crate) async fn finish_wallets(conn: &mut Conn) -> Result<(), DomainError> {
    let mut after = String::new();
    loop {
        let some = store::wallets_after(conn, String::new(), (after, 100)).await?;
        let Some(last) = some.last() else { return Ok(()) };
        after = last.id.to_string();
        for wallet in &some {
            if store::sum_of_entries(conn, wallet.id.as_str()).await? != wallet.balance_minor {
                return Err(DomainError::Stored { what: "ledger of wallet", id: wallet.id.to_string() });
            }
        }
    }
}
