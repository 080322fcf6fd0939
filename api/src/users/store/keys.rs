//! SQL on `api_keys`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{
    db::Conn,
    fault::DomainError,
    ids::ApiKeyId,
    rows::{optional, parsed},
    users::{
        keys::{ApiKey, Ended},
        role::Role,
    },
};

/// A key with what proves it.
pub(in crate::users) struct StoredKey {
    pub(in crate::users) key: ApiKey,
    pub(in crate::users) secret_hash: String,
    /// True as well where it is nobody's.
    pub(in crate::users) is_user_active: bool,
    /// The role of the person it is of.
    pub(in crate::users) user_role: Option<Role>,
}

impl StoredKey {
    /// Why it lets nobody in any more, if so.
    pub(in crate::users) fn ended(&self, now: Timestamp) -> Option<Ended> {
        let revoked = self.key.revoked_at.map(Ended::Revoked);
        let expired = || self.key.expires_at.filter(|at| now >= *at).map(Ended::Expired);
        revoked.or_else(expired).or_else(|| (!self.is_user_active).then_some(Ended::PersonInactive))
    }
}

pub(in crate::users) async fn insert(
    conn: &mut Conn,
    key: &ApiKey,
    secret_hash: &str,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO api_keys (id, prefix, secret_hash, name, organization_id, user_id, role, created_us, \
         expires_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(key.id.to_string())
    .bind(key.prefix.clone())
    .bind(secret_hash.to_owned())
    .bind(key.name.clone())
    .bind(key.organization_id.as_ref().map(ToString::to_string))
    .bind(key.user_id.as_ref().map(ToString::to_string))
    .bind(key.role.as_str())
    .bind(key.created_at.0)
    .bind(key.expires_at.map(|at| at.0))
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::users) async fn set_revoked(
    conn: &mut Conn,
    id: &ApiKeyId,
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE api_keys SET revoked_us = $1 WHERE id = $2")
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::users) async fn set_used(
    conn: &mut Conn,
    id: &ApiKeyId,
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE api_keys SET last_used_us = $1 WHERE id = $2")
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::users) async fn by_id(conn: &mut Conn, id: &ApiKeyId) -> Result<Option<ApiKey>, DomainError> {
    let row = sqlx::query(
        "SELECT id, prefix, name, organization_id, user_id, role, created_us, expires_us, revoked_us, \
         last_used_us FROM api_keys WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(key).transpose()
}

pub(in crate::users) async fn by_prefix(
    conn: &mut Conn,
    prefix: &str,
) -> Result<Option<StoredKey>, DomainError> {
    let row = sqlx::query(
        "SELECT k.id, k.prefix, k.name, k.organization_id, k.user_id, k.role, k.created_us, k.expires_us, \
         k.revoked_us, k.last_used_us, k.secret_hash, u.is_active, u.role AS user_role \
         FROM api_keys k LEFT JOIN users u ON u.id = k.user_id WHERE k.prefix = $1",
    )
    .bind(prefix.to_owned())
    .fetch_optional(conn)
    .await?;
    row.as_ref()
        .map(|row| {
            let key = key(row)?;
            let is_active: Option<i64> = row.try_get("is_active")?;
            Ok(StoredKey {
                secret_hash: row.try_get("secret_hash")?,
                is_user_active: key.user_id.is_none() || is_active == Some(1),
                user_role: optional(row, ("user_role", "API key"))?,
                key,
            })
        })
        .transpose()
}

/// Keys of an organization, or all, after an id.
pub(in crate::users) async fn after(
    conn: &mut Conn,
    organization: Option<&str>,
    (id, limit): (&str, i64),
) -> Result<Vec<ApiKey>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, prefix, name, organization_id, user_id, role, created_us, expires_us, revoked_us, \
         last_used_us FROM api_keys \
         WHERE id > $1 AND ($2 = '' OR organization_id = $2) ORDER BY id LIMIT $3",
    )
    .bind(id.to_owned())
    .bind(organization.unwrap_or_default().to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(key).collect()
}

fn key(row: &AnyRow) -> Result<ApiKey, DomainError> {
    const WHAT: &str = "API key";
    let time = |column: &str| Ok::<_, DomainError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    Ok(ApiKey {
        id: parsed(row.try_get("id")?, WHAT)?,
        prefix: row.try_get("prefix")?,
        name: row.try_get("name")?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        user_id: optional(row, ("user_id", WHAT))?,
        role: parsed(row.try_get("role")?, WHAT)?,
        created_at: Timestamp(row.try_get("created_us")?),
        expires_at: time("expires_us")?,
        revoked_at: time("revoked_us")?,
        last_used_at: time("last_used_us")?,
    })
}
