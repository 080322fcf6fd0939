//! SQL on `wallets`, `ledger_entries` and `wallet_holds`. Entries are only inserted.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{
    billing::{
        wallet_types::{Entry, Hold, HoldStatus, Wallet},
        wallets::WalletChange,
    },
    db::Conn,
    fault::DomainError,
    ids::{HoldId, OrganizationId, WalletId},
    rows::parsed,
};

pub(in crate::billing) async fn insert_wallet(conn: &mut Conn, wallet: &Wallet) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO wallets (id, organization_id, currency, balance_minor, held_minor, version, created_us) \
         VALUES ($1, $2, $3, 0, 0, $4, $5)",
    )
    .bind(wallet.id.to_string())
    .bind(wallet.organization_id.to_string())
    .bind(wallet.currency.clone())
    .bind(wallet.version)
    .bind(wallet.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn wallet(
    conn: &mut Conn,
    id: &WalletId,
) -> Result<Option<Wallet>, DomainError> {
    let row = sqlx::query(
        "SELECT id, organization_id, currency, balance_minor, held_minor, version, created_us \
         FROM wallets WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_wallet).transpose()
}

pub(in crate::billing) async fn wallet_of(
    conn: &mut Conn,
    id: &OrganizationId,
) -> Result<Option<Wallet>, DomainError> {
    let row = sqlx::query(
        "SELECT id, organization_id, currency, balance_minor, held_minor, version, created_us \
         FROM wallets WHERE organization_id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_wallet).transpose()
}

/// Wallets of an organization (any when empty) after an id.
pub(in crate::billing) async fn wallets_after(
    conn: &mut Conn,
    organization: String,
    (after, limit): (String, i64),
) -> Result<Vec<Wallet>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, organization_id, currency, balance_minor, held_minor, version, created_us FROM wallets \
         WHERE ($1 = '' OR organization_id = $1) AND id > $2 ORDER BY id LIMIT $3",
    )
    .bind(organization)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_wallet).collect()
}

/// Changes a wallet that is still at a version and has enough; false when not.
pub(in crate::billing) async fn move_wallet(
    conn: &mut Conn,
    id: &WalletId,
    ((from_version, version), change): ((i64, i64), WalletChange),
) -> Result<bool, DomainError> {
    let done = sqlx::query(
        "UPDATE wallets SET balance_minor = balance_minor + $1, held_minor = held_minor + $2, version = $3 \
         WHERE id = $4 AND version = $5 AND held_minor + $2 >= 0 \
         AND balance_minor + $1 >= held_minor + $2",
    )
    .bind(change.balance_minor)
    .bind(change.held_minor)
    .bind(version)
    .bind(id.to_string())
    .bind(from_version)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

pub(in crate::billing) async fn insert_entry(
    conn: &mut Conn,
    place: i64,
    entry: &Entry,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO ledger_entries (id, transaction_id, place, kind, account, counter_account, currency, \
         amount_minor, reference, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(entry.id.to_string())
    .bind(entry.transaction_id.to_string())
    .bind(place)
    .bind(entry.kind.clone())
    .bind(entry.account.clone())
    .bind(entry.counter_account.clone())
    .bind(entry.currency.clone())
    .bind(entry.amount_minor)
    .bind(entry.reference.clone())
    .bind(entry.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::billing) async fn entries_before(
    conn: &mut Conn,
    account: &WalletId,
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Entry>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, transaction_id, kind, account, counter_account, currency, amount_minor, reference, \
         created_us FROM ledger_entries WHERE account = $1 \
         AND (created_us < $2 OR (created_us = $2 AND id < $3)) ORDER BY created_us DESC, id DESC LIMIT $4",
    )
    .bind(account.to_string())
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                id: parsed(row.try_get("id")?, "ledger entry")?,
                transaction_id: parsed(row.try_get("transaction_id")?, "ledger entry")?,
                kind: row.try_get("kind")?,
                account: row.try_get("account")?,
                counter_account: row.try_get("counter_account")?,
                currency: row.try_get("currency")?,
                amount_minor: row.try_get("amount_minor")?,
                reference: row.try_get("reference")?,
                created_at: Timestamp(row.try_get("created_us")?),
            })
        })
        .collect()
}

/// The sum of the entries of an account, of every one when empty.
pub(in crate::billing) async fn sum_of_entries(conn: &mut Conn, account: &str) -> Result<i64, DomainError> {
    let row = sqlx::query(
        "SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) AS sum_minor FROM ledger_entries \
         WHERE ($1 = '' OR account = $1)",
    )
    .bind(account.to_owned())
    .fetch_one(conn)
    .await?;
    Ok(row.try_get("sum_minor")?)
}

pub(in crate::billing) async fn insert_hold(conn: &mut Conn, hold: &Hold) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO wallet_holds (id, wallet_id, status, amount_minor, captured_minor, reason, expires_us, \
         created_us) VALUES ($1, $2, $3, $4, 0, $5, $6, $7)",
    )
    .bind(hold.id.to_string())
    .bind(hold.wallet_id.to_string())
    .bind(hold.status.as_str())
    .bind(hold.amount_minor)
    .bind(hold.reason.clone())
    .bind(hold.expires_at.0)
    .bind(hold.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Ends a hold that is still held; refused when it is not.
pub(in crate::billing) async fn close_hold(
    conn: &mut Conn,
    id: &HoldId,
    (status, captured_minor, now): (HoldStatus, i64, Timestamp),
) -> Result<(), DomainError> {
    let done = sqlx::query(
        "UPDATE wallet_holds SET status = $1, captured_minor = $2, closed_us = $3 \
         WHERE id = $4 AND status = 'held'",
    )
    .bind(status.as_str())
    .bind(captured_minor)
    .bind(now.0)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    still_held(done.rows_affected(), id)
}

fn still_held(count: u64, id: &HoldId) -> Result<(), DomainError> {
    if count == 1 { Ok(()) } else { Err(DomainError::Conflict(format!("hold {id} is not held any more"))) }
}

pub(in crate::billing) async fn hold(conn: &mut Conn, id: &HoldId) -> Result<Option<Hold>, DomainError> {
    let row = sqlx::query(
        "SELECT h.id, h.wallet_id, h.status, h.amount_minor, h.captured_minor, h.reason, h.expires_us, \
         h.created_us, h.closed_us, w.currency FROM wallet_holds h JOIN wallets w ON w.id = h.wallet_id \
         WHERE h.id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(read_hold).transpose()
}

/// Holds of a wallet (any when empty) whose time is over.
pub(in crate::billing) async fn holds_due(
    conn: &mut Conn,
    wallet: &str,
    (now, limit): (Timestamp, i64),
) -> Result<Vec<Hold>, DomainError> {
    let rows = sqlx::query(
        "SELECT h.id, h.wallet_id, h.status, h.amount_minor, h.captured_minor, h.reason, h.expires_us, \
         h.created_us, h.closed_us, w.currency FROM wallet_holds h JOIN wallets w ON w.id = h.wallet_id \
         WHERE h.status = 'held' AND h.expires_us <= $1 AND ($2 = '' OR h.wallet_id = $2) \
         ORDER BY h.expires_us, h.id LIMIT $3",
    )
    .bind(now.0)
    .bind(wallet.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_hold).collect()
}

/// Holds of a wallet (any when empty), newest first, before a cursor.
pub(in crate::billing) async fn holds_before(
    conn: &mut Conn,
    wallet: String,
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<Hold>, DomainError> {
    let rows = sqlx::query(
        "SELECT h.id, h.wallet_id, h.status, h.amount_minor, h.captured_minor, h.reason, h.expires_us, \
         h.created_us, h.closed_us, w.currency FROM wallet_holds h JOIN wallets w ON w.id = h.wallet_id \
         WHERE ($1 = '' OR h.wallet_id = $1) \
         AND (h.created_us < $2 OR (h.created_us = $2 AND h.id < $3)) \
         ORDER BY h.created_us DESC, h.id DESC LIMIT $4",
    )
    .bind(wallet)
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(read_hold).collect()
}

fn read_wallet(row: &AnyRow) -> Result<Wallet, DomainError> {
    let currency: String = row.try_get("currency")?;
    let exponent = iso_currency::Currency::from_code(&currency).and_then(|c| c.exponent());
    let (balance_minor, held_minor): (i64, i64) = (row.try_get("balance_minor")?, row.try_get("held_minor")?);
    Ok(Wallet {
        id: parsed(row.try_get("id")?, "wallet")?,
        organization_id: parsed(row.try_get("organization_id")?, "wallet")?,
        currency,
        currency_exponent: exponent.map_or(0, u32::from),
        balance_minor,
        held_minor,
        available_minor: balance_minor - held_minor,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}

fn read_hold(row: &AnyRow) -> Result<Hold, DomainError> {
    let status: String = row.try_get("status")?;
    Ok(Hold {
        id: parsed(row.try_get("id")?, "wallet hold")?,
        wallet_id: parsed(row.try_get("wallet_id")?, "wallet hold")?,
        status: HoldStatus::of(&status).ok_or(DomainError::Stored { what: "hold status", id: status })?,
        amount_minor: row.try_get("amount_minor")?,
        captured_minor: row.try_get("captured_minor")?,
        currency: row.try_get("currency")?,
        reason: row.try_get("reason")?,
        expires_at: Timestamp(row.try_get("expires_us")?),
        created_at: Timestamp(row.try_get("created_us")?),
        closed_at: row.try_get::<Option<i64>, _>("closed_us")?.map(Timestamp),
    })
}
