//! Answers kept by `Idempotency-Key`, so that a repeated request is answered and not repeated.
//!
//! *Owns* the table `idempotency_keys`. A key lives 24 hours; the same key with another request
//! is refused. Keys are an organization's own. Key and effect are of one transaction: there is no
//! state in which only one of them is stored.

use sha2::{Digest, Sha256};
use sqlx::Row;
use wire::time::{DAY_US, Timestamp};

use crate::{db::Conn, fault::DomainError, text::hex};

/// Longest key accepted.
pub(crate) const KEY_LEN_MAX: usize = 200;

/// A key with the request it stands for.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey {
    pub(crate) key: String,
    pub(crate) request_hash: String,
}

/// An answer as it was given.
#[derive(Debug, Clone)]
pub(crate) struct StoredAnswer {
    pub(crate) status: i64,
    pub(crate) body: String,
}

impl IdempotencyKey {
    /// `whose` parts the keys of one caller's organization from those of another.
    pub(crate) fn of((whose, key): (&str, &str), method_and_path: &str, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(method_and_path.as_bytes());
        hash.update([0]);
        hash.update(body);
        Self { key: format!("{whose}/{key}"), request_hash: hex(&hash.finalize()) }
    }
}

/// The answer given before under this key, if any.
pub(crate) async fn recall(
    conn: &mut Conn,
    now: Timestamp,
    key: &IdempotencyKey,
) -> Result<Option<StoredAnswer>, DomainError> {
    sqlx::query("DELETE FROM idempotency_keys WHERE created_us < $1")
        .bind(now.0 - DAY_US)
        .execute(&mut *conn)
        .await?;
    let row =
        sqlx::query("SELECT request_hash, status, body FROM idempotency_keys WHERE idempotency_key = $1")
            .bind(key.key.clone())
            .fetch_optional(conn)
            .await?;
    let Some(row) = row else { return Ok(None) };
    if row.try_get::<String, _>("request_hash")? != key.request_hash {
        return Err(DomainError::invalid(
            "the request",
            "Idempotency-Key",
            "was used for another request within 24 hours; use a new key",
        ));
    }
    Ok(Some(StoredAnswer { status: row.try_get("status")?, body: row.try_get("body")? }))
}

/// Keeps the answer given under this key.
pub(crate) async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    key: &IdempotencyKey,
    answer: &StoredAnswer,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO idempotency_keys (idempotency_key, request_hash, status, body, created_us) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(key.key.clone())
    .bind(key.request_hash.clone())
    .bind(answer.status)
    .bind(answer.body.clone())
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}
