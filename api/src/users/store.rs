//! SQL on `organizations`; on `users`, `api_keys` and notifications in the files beside.

pub(super) mod keys;
pub(super) mod notifications;
pub(super) mod people;

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use super::types::Organization;
use crate::{db::Conn, fault::DomainError, ids::OrganizationId, rows::parsed};

pub(super) async fn insert(conn: &mut Conn, organization: &Organization) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO organizations (id, name, currency, time_zone, version, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(organization.id.to_string())
    .bind(organization.name.clone())
    .bind(organization.currency.clone())
    .bind(organization.time_zone.clone())
    .bind(organization.version)
    .bind(organization.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM organizations").execute(conn).await?;
    Ok(())
}

pub(super) async fn by_id(conn: &mut Conn, id: &OrganizationId) -> Result<Option<Organization>, DomainError> {
    let row = sqlx::query(
        "SELECT id, name, currency, time_zone, version, created_us FROM organizations WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(organization).transpose()
}

pub(super) async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Organization>, DomainError> {
    let row = sqlx::query(
        "SELECT id, name, currency, time_zone, version, created_us FROM organizations WHERE name = $1",
    )
    .bind(name.to_owned())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(organization).transpose()
}

pub(super) async fn after_name(
    conn: &mut Conn,
    name: &str,
    limit: i64,
) -> Result<Vec<Organization>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, name, currency, time_zone, version, created_us FROM organizations \
         WHERE name > $1 ORDER BY name LIMIT $2",
    )
    .bind(name.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(organization).collect()
}

fn organization(row: &AnyRow) -> Result<Organization, DomainError> {
    Ok(Organization {
        id: parsed(row.try_get("id")?, "organization")?,
        name: row.try_get("name")?,
        currency: row.try_get("currency")?,
        time_zone: row.try_get("time_zone")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
