//! SQL on `users`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{
    db::Conn,
    fault::DomainError,
    ids::UserId,
    rows::{optional, parsed},
    users::people::User,
};

pub(in crate::users) async fn insert(conn: &mut Conn, user: &User) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO users (id, email, name, organization_id, role, is_active, version, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(user.id.to_string())
    .bind(user.email.clone())
    .bind(user.name.clone())
    .bind(user.organization_id.as_ref().map(ToString::to_string))
    .bind(user.role.as_str())
    .bind(i64::from(user.is_active))
    .bind(user.version)
    .bind(user.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::users) async fn update(conn: &mut Conn, user: &User) -> Result<(), DomainError> {
    sqlx::query("UPDATE users SET name = $1, role = $2, is_active = $3, version = $4 WHERE id = $5")
        .bind(user.name.clone())
        .bind(user.role.as_str())
        .bind(i64::from(user.is_active))
        .bind(user.version)
        .bind(user.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::users) async fn by_id(conn: &mut Conn, id: &UserId) -> Result<Option<User>, DomainError> {
    let row = sqlx::query(
        "SELECT id, email, name, organization_id, role, is_active, version, created_us FROM users WHERE id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(user).transpose()
}

pub(in crate::users) async fn by_email(conn: &mut Conn, email: &str) -> Result<Option<User>, DomainError> {
    let row = sqlx::query(
        "SELECT id, email, name, organization_id, role, is_active, version, created_us FROM users \
         WHERE email = $1",
    )
    .bind(email.to_owned())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(user).transpose()
}

/// People of an organization, or all, after an id.
pub(in crate::users) async fn after(
    conn: &mut Conn,
    organization: Option<&str>,
    (id, limit): (&str, i64),
) -> Result<Vec<User>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, email, name, organization_id, role, is_active, version, created_us FROM users \
         WHERE id > $1 AND ($2 = '' OR organization_id = $2) ORDER BY id LIMIT $3",
    )
    .bind(id.to_owned())
    .bind(organization.unwrap_or_default().to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(user).collect()
}

fn user(row: &AnyRow) -> Result<User, DomainError> {
    Ok(User {
        id: parsed(row.try_get("id")?, "user")?,
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        organization_id: optional(row, ("organization_id", "user"))?,
        role: parsed(row.try_get("role")?, "user")?,
        is_active: row.try_get::<i64, _>("is_active")? != 0,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
