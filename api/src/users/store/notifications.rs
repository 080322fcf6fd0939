//! SQL on `notification_outbox` and `notifications`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use crate::{db::Conn, fault::DomainError, ids::NotificationId, users::notifications::Notification};

pub(in crate::users) async fn insert_outgoing(
    conn: &mut Conn,
    notification: &Notification,
) -> Result<(), DomainError> {
    let insert = "INSERT INTO notification_outbox (id, kind, subject_id, organization_id, user_id, body, created_us) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    write(conn, insert, notification).await
}

/// One that is there stays as it is.
pub(in crate::users) async fn insert_delivered(
    conn: &mut Conn,
    notification: &Notification,
) -> Result<(), DomainError> {
    let insert = "INSERT INTO notifications (id, kind, subject_id, organization_id, user_id, body, created_us) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
    write(conn, insert, notification).await
}

async fn write(
    conn: &mut Conn,
    insert: &'static str,
    notification: &Notification,
) -> Result<(), DomainError> {
    sqlx::query(insert)
        .bind(notification.id.to_string())
        .bind(notification.kind.clone())
        .bind(notification.subject_id.clone())
        .bind(notification.organization_id.to_string())
        .bind(notification.user_id.as_ref().map(ToString::to_string))
        .bind(notification.body.clone())
        .bind(notification.created_at.0)
        .execute(conn)
        .await?;
    Ok(())
}

pub(in crate::users) async fn set_delivered(
    conn: &mut Conn,
    id: &NotificationId,
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE notification_outbox SET delivered_us = $1 WHERE id = $2")
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// What waits to be told, oldest first.
pub(in crate::users) async fn undelivered(
    conn: &mut Conn,
    limit: i64,
) -> Result<Vec<Notification>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, kind, subject_id, organization_id, user_id, body, created_us FROM notification_outbox \
         WHERE delivered_us IS NULL ORDER BY id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(notification).collect()
}

/// What was told to an organization and a person (any when empty), newest first, before an id.
pub(in crate::users) async fn delivered_before(
    conn: &mut Conn,
    (organization, user): (&str, &str),
    (before, limit): (&str, i64),
) -> Result<Vec<Notification>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, kind, subject_id, organization_id, user_id, body, created_us FROM notifications \
         WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR user_id = $2) AND ($3 = '' OR id < $3) \
         ORDER BY id DESC LIMIT $4",
    )
    .bind(organization.to_owned())
    .bind(user.to_owned())
    .bind(before.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(notification).collect()
}

fn notification(row: &AnyRow) -> Result<Notification, DomainError> {
    let id: String = row.try_get("id")?;
    let stored = || DomainError::Stored { what: "notification", id: id.clone() };
    let organization: String = row.try_get("organization_id")?;
    let user: Option<String> = row.try_get("user_id")?;
    Ok(Notification {
        id: id.parse().map_err(|_| stored())?,
        kind: row.try_get("kind")?,
        subject_id: row.try_get("subject_id")?,
        organization_id: organization.parse().map_err(|_| stored())?,
        user_id: user.map(|u| u.parse()).transpose().map_err(|_| stored())?,
        body: row.try_get("body")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
