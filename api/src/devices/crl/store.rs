//! SQL on `revocation_lists`.

use base64::{Engine, engine::general_purpose::STANDARD};
use sqlx::Row;
use wire::time::Timestamp;

use super::SignedList;
use crate::{db::Conn, fault::DomainError};

pub(super) async fn by_authority(
    conn: &mut Conn,
    authority: &str,
) -> Result<Option<SignedList>, DomainError> {
    let row = sqlx::query(
        "SELECT number, revoked_count, made_us, next_update_us, der FROM revocation_lists WHERE authority = $1",
    )
    .bind(authority.to_owned())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let der: String = row.try_get("der")?;
    let unreadable =
        |_| DomainError::Stored { what: "list of revoked certificates", id: authority.to_owned() };
    Ok(Some(SignedList {
        number: row.try_get("number")?,
        revoked_count: row.try_get("revoked_count")?,
        made_at: Timestamp(row.try_get("made_us")?),
        next_update_at: Timestamp(row.try_get("next_update_us")?),
        der: STANDARD.decode(der).map_err(unreadable)?,
    }))
}

pub(super) async fn put(conn: &mut Conn, authority: &str, list: &SignedList) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO revocation_lists (authority, number, revoked_count, made_us, next_update_us, der) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (authority) DO UPDATE SET number = excluded.number, \
         revoked_count = excluded.revoked_count, made_us = excluded.made_us, \
         next_update_us = excluded.next_update_us, der = excluded.der",
    )
    .bind(authority.to_owned())
    .bind(list.number)
    .bind(list.revoked_count)
    .bind(list.made_at.0)
    .bind(list.next_update_at.0)
    .bind(STANDARD.encode(&list.der))
    .execute(conn)
    .await?;
    Ok(())
}
