//! Wallets: credit paid ahead, in a ledger of double entries, and holds on it.
//!
//! Money moves only by `post`: two entries that sum to zero, never changed afterwards. A wallet's
//! balance is the sum of its entries, kept beside them in the same transaction. A hold sets credit
//! aside until it is captured, released or expires. The statement that changes a wallet refuses a
//! balance below what holds need, and any version but the one that was read: of two at once on
//! the last credit, one wins.

use wire::time::Timestamp;

use super::{
    store,
    wallet_types::{
        Capture, Entry, Hold, HoldQuery, HoldStatus, NewHold, NewWallet, TopUp, Wallet, WalletQuery,
    },
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    extract::id_of,
    fault::{DomainError, Faults},
    ids::{EntryId, HoldId, OrganizationId, TransactionId, WalletId},
    page::{Cursor, Page, limit_of},
    users,
};

/// Where money of top-ups comes from.
const FUNDING: &str = "funding";
/// Where captured money goes.
const REVENUE: &str = "revenue";
/// Most of one movement: far above any real one, far below what sums can hold.
pub(crate) const AMOUNT_MAX: i64 = 1_000_000_000_000;
/// Longest life of a hold: a year.
const EXPIRES_IN_S_MAX: i64 = 366 * 86_400;
/// Holds that expire at a time.
const EXPIRE_COUNT_MAX: i64 = 100;

/// What changes in a wallet.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WalletChange {
    pub(super) balance_minor: i64,
    pub(super) held_minor: i64,
}

/// Opens the wallet of an organization, in its currency.
pub async fn create(conn: &mut Conn, now: Timestamp, new: &NewWallet) -> Result<Wallet, DomainError> {
    let id: OrganizationId = id_of("the wallet", "organization_id", &new.organization_id)?;
    let organization = match users::get(conn, &id).await {
        Err(DomainError::NotFound { .. }) => {
            let message = format!("there is no organization {id}; see /v1/organizations");
            return Err(DomainError::invalid("the wallet", "organization_id", message));
        }
        other => other?,
    };
    if let Some(there) = store::wallet_of(conn, &id).await? {
        return Err(DomainError::Conflict(format!("{} has wallet {} already", organization.name, there.id)));
    }
    let exponent = iso_currency::Currency::from_code(&organization.currency).and_then(|c| c.exponent());
    let wallet = Wallet {
        id: WalletId::new(now),
        organization_id: id,
        currency: organization.currency,
        currency_exponent: exponent.map_or(0, u32::from),
        balance_minor: 0,
        held_minor: 0,
        available_minor: 0,
        version: 1,
        created_at: now,
    };
    append(conn, now, (&wallet.id, 0), ("WalletOpened", json_of(&wallet))).await?;
    store::insert_wallet(conn, &wallet).await?;
    Ok(wallet)
}

/// A wallet.
pub async fn get(conn: &mut Conn, id: &WalletId) -> Result<Wallet, DomainError> {
    store::wallet(conn, id).await?.ok_or_else(|| DomainError::not_found("wallet", id.as_str()))
}

/// The wallet of an organization, if it has one.
pub async fn of_organization(conn: &mut Conn, id: &OrganizationId) -> Result<Option<Wallet>, DomainError> {
    store::wallet_of(conn, id).await
}

/// Wallets, oldest first.
pub async fn list(conn: &mut Conn, query: &WalletQuery) -> Result<Page<Wallet>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = query.organization_id.clone().unwrap_or_default();
    let found = store::wallets_after(conn, organization, (after, limit + 1)).await?;
    Ok(Page::of(found, limit, |w| Cursor { key: String::new(), id: w.id.to_string() }))
}

/// Puts credit in.
pub async fn top_up(
    conn: &mut Conn,
    now: Timestamp,
    (id, top_up): (&WalletId, &TopUp),
) -> Result<Wallet, DomainError> {
    let mut faults = Faults::default();
    check_amount(top_up.amount_minor, &mut faults);
    check_text(&top_up.reference, "reference", &mut faults);
    faults.finish("the top-up")?;
    let wallet = get(conn, id).await?;
    let change = WalletChange { balance_minor: top_up.amount_minor, held_minor: 0 };
    move_wallet(conn, now, (&wallet, change), ("WalletToppedUp", json_of(top_up))).await?;
    post(conn, now, (&wallet, "top_up", FUNDING), (top_up.amount_minor, &top_up.reference)).await?;
    get(conn, id).await
}

/// Sets credit aside.
pub async fn hold(conn: &mut Conn, now: Timestamp, new: &NewHold) -> Result<Hold, DomainError> {
    let mut faults = Faults::default();
    check_amount(new.amount_minor, &mut faults);
    check_text(&new.reason, "reason", &mut faults);
    faults.require(
        (1..=EXPIRES_IN_S_MAX).contains(&new.expires_in_s),
        "expires_in_s",
        "must be 1 to 31622400 (366 days)",
    );
    faults.finish("the hold")?;
    let wallet_id: WalletId = id_of("the hold", "wallet_id", &new.wallet_id)?;
    if store::wallet(conn, &wallet_id).await?.is_none() {
        let message = format!("there is no wallet {wallet_id}; see /v1/wallets");
        return Err(DomainError::invalid("the hold", "wallet_id", message));
    }
    // What has expired by now is free again, whether or not anybody looked.
    expire_of(conn, now, wallet_id.as_str()).await?;
    let wallet = get(conn, &wallet_id).await?;
    require_available(&wallet, new.amount_minor)?;
    let hold = Hold {
        id: HoldId::new(now),
        wallet_id,
        status: HoldStatus::Held,
        amount_minor: new.amount_minor,
        captured_minor: 0,
        currency: wallet.currency.clone(),
        reason: new.reason.clone(),
        expires_at: now.plus_us(new.expires_in_s.saturating_mul(1_000_000)),
        created_at: now,
        closed_at: None,
    };
    let change = WalletChange { balance_minor: 0, held_minor: hold.amount_minor };
    move_wallet(conn, now, (&wallet, change), ("CreditHeld", json_of(&hold))).await?;
    store::insert_hold(conn, &hold).await?;
    Ok(hold)
}

/// A hold.
pub async fn get_hold(conn: &mut Conn, id: &HoldId) -> Result<Hold, DomainError> {
    store::hold(conn, id).await?.ok_or_else(|| DomainError::not_found("wallet hold", id.as_str()))
}

/// Holds, newest first.
pub async fn list_holds(conn: &mut Conn, query: &HoldQuery) -> Result<Page<Hold>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let wallet = query.wallet_id.clone().unwrap_or_default();
    let found = store::holds_before(conn, wallet, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |h| Cursor { key: h.created_at.0.to_string(), id: h.id.to_string() }))
}

/// Takes what is held, or part of it; the rest is free again.
pub async fn capture(
    conn: &mut Conn,
    now: Timestamp,
    (id, capture): (&HoldId, &Capture),
) -> Result<Hold, DomainError> {
    let hold = open_hold(conn, now, id).await?;
    let amount_minor = capture.amount_minor.unwrap_or(hold.amount_minor);
    if !(1..=hold.amount_minor).contains(&amount_minor) {
        let message = format!("must be 1 to {}, which is held", hold.amount_minor);
        return Err(DomainError::invalid("the capture", "amount_minor", message));
    }
    let wallet = get(conn, &hold.wallet_id).await?;
    let change = WalletChange { balance_minor: -amount_minor, held_minor: -hold.amount_minor };
    let data = serde_json::json!({ "hold_id": json_of(id), "amount_minor": amount_minor });
    move_wallet(conn, now, (&wallet, change), ("HoldCaptured", data)).await?;
    post(conn, now, (&wallet, "capture", REVENUE), (-amount_minor, id.as_str())).await?;
    store::close_hold(conn, id, (HoldStatus::Captured, amount_minor, now)).await?;
    get_hold(conn, id).await
}

/// Frees what is held.
pub async fn release(conn: &mut Conn, now: Timestamp, id: &HoldId) -> Result<Hold, DomainError> {
    let hold = open_hold(conn, now, id).await?;
    close(conn, now, &hold, HoldStatus::Released).await?;
    get_hold(conn, id).await
}

/// Lets holds that are over expire; returns how many.
pub async fn expire_due(conn: &mut Conn, now: Timestamp) -> Result<usize, DomainError> {
    expire_of(conn, now, "").await
}

/// Whether any hold is over.
pub(super) async fn has_due(conn: &mut Conn, now: Timestamp) -> Result<bool, DomainError> {
    Ok(!store::holds_due(conn, "", (now, 1)).await?.is_empty())
}

async fn expire_of(conn: &mut Conn, now: Timestamp, wallet: &str) -> Result<usize, DomainError> {
    let mut expired = 0;
    loop {
        let due = store::holds_due(conn, wallet, (now, EXPIRE_COUNT_MAX)).await?;
        if due.is_empty() {
            return Ok(expired);
        }
        for hold in &due {
            close(conn, now, hold, HoldStatus::Expired).await?;
        }
        expired += due.len();
    }
}

/// What is available once holds that are over are free.
pub(super) async fn available_now(
    conn: &mut Conn,
    now: Timestamp,
    id: &WalletId,
) -> Result<i64, DomainError> {
    expire_of(conn, now, id.as_str()).await?;
    Ok(get(conn, id).await?.available_minor)
}

/// Pays out of what is available; the payment's id is the reference.
pub(crate) async fn pay_out(
    conn: &mut Conn,
    now: Timestamp,
    (id, amount_minor, reference): (&WalletId, i64, &str),
) -> Result<(), DomainError> {
    expire_of(conn, now, id.as_str()).await?;
    let wallet = get(conn, id).await?;
    require_available(&wallet, amount_minor)?;
    let change = WalletChange { balance_minor: -amount_minor, held_minor: 0 };
    let data = serde_json::json!({ "amount_minor": amount_minor, "reference": reference });
    move_wallet(conn, now, (&wallet, change), ("WalletPaid", data)).await?;
    post(conn, now, (&wallet, "payment", REVENUE), (-amount_minor, reference)).await
}

/// Puts back what [`pay_out`] took.
pub(crate) async fn pay_back(
    conn: &mut Conn,
    now: Timestamp,
    (id, amount_minor, reference): (&WalletId, i64, &str),
) -> Result<(), DomainError> {
    let wallet = get(conn, id).await?;
    let change = WalletChange { balance_minor: amount_minor, held_minor: 0 };
    let data = serde_json::json!({ "amount_minor": amount_minor, "reference": reference });
    move_wallet(conn, now, (&wallet, change), ("WalletRefunded", data)).await?;
    post(conn, now, (&wallet, "refund", REVENUE), (amount_minor, reference)).await
}

/// A wallet's entries, newest first.
pub async fn entries(
    conn: &mut Conn,
    id: &WalletId,
    (limit, cursor): (Option<i64>, Option<&str>),
) -> Result<Page<Entry>, DomainError> {
    let limit = limit_of(limit)?;
    let before = Cursor::before(cursor)?;
    get(conn, id).await?;
    let found = store::entries_before(conn, id, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |e| Cursor { key: e.created_at.0.to_string(), id: e.id.to_string() }))
}

/// The sum of all entries of an account (of every account when empty).
pub async fn sum_of_entries(conn: &mut Conn, account: &str) -> Result<i64, DomainError> {
    store::sum_of_entries(conn, account).await
}

async fn open_hold(conn: &mut Conn, now: Timestamp, id: &HoldId) -> Result<Hold, DomainError> {
    let hold = get_hold(conn, id).await?;
    if hold.status != HoldStatus::Held {
        return Err(DomainError::Conflict(format!("hold {id} is {} already", hold.status.as_str())));
    }
    if hold.expires_at <= now {
        return Err(DomainError::Conflict(format!("hold {id} expired at {}", hold.expires_at)));
    }
    Ok(hold)
}

async fn close(conn: &mut Conn, now: Timestamp, hold: &Hold, status: HoldStatus) -> Result<(), DomainError> {
    let wallet = get(conn, &hold.wallet_id).await?;
    let event_type = if status == HoldStatus::Expired { "HoldExpired" } else { "HoldReleased" };
    let change = WalletChange { balance_minor: 0, held_minor: -hold.amount_minor };
    let data = serde_json::json!({ "hold_id": json_of(&hold.id), "amount_minor": hold.amount_minor });
    move_wallet(conn, now, (&wallet, change), (event_type, data)).await?;
    store::close_hold(conn, &hold.id, (status, 0, now)).await
}

fn require_available(wallet: &Wallet, amount_minor: i64) -> Result<(), DomainError> {
    if wallet.available_minor >= amount_minor {
        return Ok(());
    }
    let shown = |minor: i64| rust_decimal::Decimal::new(minor, wallet.currency_exponent);
    Err(DomainError::Conflict(format!(
        "wallet {} has {} {currency} available and {} {currency} is needed; top it up or release a hold",
        wallet.id,
        shown(wallet.available_minor),
        shown(amount_minor),
        currency = wallet.currency,
    )))
}

async fn move_wallet(
    conn: &mut Conn,
    now: Timestamp,
    (wallet, change): (&Wallet, WalletChange),
    (event_type, data): (&'static str, serde_json::Value),
) -> Result<(), DomainError> {
    let version = append(conn, now, (&wallet.id, wallet.version), (event_type, data)).await?;
    if store::move_wallet(conn, &wallet.id, ((wallet.version, version), change)).await? {
        return Ok(());
    }
    Err(DomainError::Conflict(format!("wallet {} was changed at the same moment; repeat", wallet.id)))
}

async fn append(
    conn: &mut Conn,
    now: Timestamp,
    (id, version): (&WalletId, i64),
    (event_type, data): (&'static str, serde_json::Value),
) -> Result<i64, DomainError> {
    let event = NewEvent { aggregate_type: "wallet", aggregate_id: id.to_string(), event_type, data };
    events::append(conn, now, version, event).await
}

/// Writes a transaction: `amount_minor` to the wallet, and the same from the other account.
async fn post(
    conn: &mut Conn,
    now: Timestamp,
    (wallet, kind, other): (&Wallet, &'static str, &'static str),
    (amount_minor, reference): (i64, &str),
) -> Result<(), DomainError> {
    let transaction_id = TransactionId::new(now);
    let sides = [(wallet.id.as_str(), other, amount_minor), (other, wallet.id.as_str(), -amount_minor)];
    for (place, (account, counter_account, amount_minor)) in (1_i64..).zip(sides) {
        let entry = Entry {
            id: EntryId::new(now),
            transaction_id: transaction_id.clone(),
            kind: kind.to_owned(),
            account: account.to_owned(),
            counter_account: counter_account.to_owned(),
            currency: wallet.currency.clone(),
            amount_minor,
            reference: reference.to_owned(),
            created_at: now,
        };
        store::insert_entry(conn, place, &entry).await?;
    }
    Ok(())
}

fn check_amount(amount_minor: i64, faults: &mut Faults) {
    let fits = (1..=AMOUNT_MAX).contains(&amount_minor);
    faults.require(fits, "amount_minor", "must be 1 to 1000000000000, in minor units");
}

fn check_text(text: &str, field: &str, faults: &mut Faults) {
    let fits = (1..=200).contains(&text.trim().chars().count());
    faults.require(fits, field, "must be 1 to 200 characters");
}
