//! SQL on `webhook_endpoints`, `webhook_deliveries` and what waits in `outbox`.

use sqlx::{Row, any::AnyRow};
use wire::time::Timestamp;

use super::types::{Delivery, DeliveryStatus, Endpoint};
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{WebhookDeliveryId, WebhookEndpointId},
    rows::{optional, parsed},
};

/// An endpoint with what signs.
#[derive(Debug, Clone)]
pub(super) struct Signing {
    pub(super) endpoint: Endpoint,
    secret: String,
    previous: Option<(String, Timestamp)>,
}

impl Signing {
    /// The secrets that sign at a time, the newest first.
    pub(super) fn secrets(&self, now: Timestamp) -> impl Iterator<Item = &str> {
        let previous =
            self.previous.as_ref().filter(|(_, until)| now < *until).map(|(secret, _)| secret.as_str());
        [Some(self.secret.as_str()), previous].into_iter().flatten()
    }
}

pub(super) async fn insert(conn: &mut Conn, endpoint: &Endpoint, secret: &str) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO webhook_endpoints (id, organization_id, url, description, event_types, secret, is_enabled, \
         version, created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(endpoint.id.to_string())
    .bind(endpoint.organization_id.as_ref().map(ToString::to_string))
    .bind(endpoint.url.clone())
    .bind(endpoint.description.clone())
    .bind(types_text(endpoint))
    .bind(secret.to_owned())
    .bind(i64::from(endpoint.is_enabled))
    .bind(endpoint.version)
    .bind(endpoint.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it but its secrets and whose it is.
pub(super) async fn update(conn: &mut Conn, endpoint: &Endpoint) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE webhook_endpoints SET url = $1, description = $2, event_types = $3, is_enabled = $4, \
         failing_since_us = $5, version = $6 WHERE id = $7",
    )
    .bind(endpoint.url.clone())
    .bind(endpoint.description.clone())
    .bind(types_text(endpoint))
    .bind(i64::from(endpoint.is_enabled))
    .bind(endpoint.failing_since.map(|at| at.0))
    .bind(endpoint.version)
    .bind(endpoint.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

fn types_text(endpoint: &Endpoint) -> String {
    serde_json::Value::from(endpoint.event_types.clone()).to_string()
}

/// Another secret; the one before signs beside it until then.
pub(super) async fn set_secret(
    conn: &mut Conn,
    id: &WebhookEndpointId,
    (secret, until): (&str, Timestamp),
) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE webhook_endpoints SET previous_secret = secret, previous_until_us = $1, secret = $2 WHERE id = $3",
    )
    .bind(until.0)
    .bind(secret.to_owned())
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Its row stays, for its deliveries; the secrets do not.
pub(super) async fn set_deleted(
    conn: &mut Conn,
    id: &WebhookEndpointId,
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE webhook_endpoints SET deleted_us = $1, secret = '', previous_secret = NULL, previous_until_us = NULL \
         WHERE id = $2",
    )
    .bind(now.0)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// What it was still to be told is told no more.
pub(super) async fn abandon(conn: &mut Conn, id: &WebhookEndpointId) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE webhook_deliveries SET status = 'failed', next_attempt_us = NULL \
         WHERE endpoint_id = $1 AND status = 'pending'",
    )
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

const ENDPOINT: &str = "SELECT id, organization_id, url, description, event_types, secret, previous_secret, \
                        previous_until_us, is_enabled, failing_since_us, version, created_us FROM webhook_endpoints \
                        WHERE deleted_us IS NULL";

pub(super) async fn signing(conn: &mut Conn, id: &WebhookEndpointId) -> Result<Option<Signing>, DomainError> {
    let query = format!("{ENDPOINT} AND id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(read_signing).transpose()
}

pub(super) async fn by_id(conn: &mut Conn, id: &WebhookEndpointId) -> Result<Option<Endpoint>, DomainError> {
    Ok(signing(conn, id).await?.map(|found| found.endpoint))
}

/// Those that are told anything.
pub(super) async fn enabled(conn: &mut Conn) -> Result<Vec<Endpoint>, DomainError> {
    let query = format!("{ENDPOINT} AND is_enabled = 1 ORDER BY id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(conn).await?;
    rows.iter().map(|row| Ok(read_signing(row)?.endpoint)).collect()
}

/// Endpoints of an organization, or all, after an id.
pub(super) async fn after(
    conn: &mut Conn,
    organization: Option<&str>,
    (id, limit): (&str, i64),
) -> Result<Vec<Endpoint>, DomainError> {
    let query = format!("{ENDPOINT} AND id > $1 AND ($2 = '' OR organization_id = $2) ORDER BY id LIMIT $3");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(organization.unwrap_or_default().to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(read_signing(row)?.endpoint)).collect()
}

fn read_signing(row: &AnyRow) -> Result<Signing, DomainError> {
    const WHAT: &str = "webhook endpoint";
    let time = |column: &str| Ok::<_, DomainError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    let types: String = row.try_get("event_types")?;
    let stored = || DomainError::Stored { what: WHAT, id: types.chars().take(60).collect() };
    let previous: Option<String> = row.try_get("previous_secret")?;
    let endpoint = Endpoint {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        url: row.try_get("url")?,
        description: row.try_get("description")?,
        event_types: serde_json::from_str(&types).map_err(|_| stored())?,
        is_enabled: row.try_get::<i64, _>("is_enabled")? == 1,
        failing_since: time("failing_since_us")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    };
    Ok(Signing {
        endpoint,
        secret: row.try_get("secret")?,
        previous: previous.zip(time("previous_until_us")?),
    })
}

/// Positions that no endpoint has been given yet, oldest first.
pub(super) async fn waiting(conn: &mut Conn, limit: i64) -> Result<Vec<i64>, DomainError> {
    let rows =
        sqlx::query("SELECT position FROM outbox WHERE delivered_us IS NULL ORDER BY position LIMIT $1")
            .bind(limit)
            .fetch_all(conn)
            .await?;
    rows.iter().map(|row| Ok(row.try_get("position")?)).collect()
}

pub(super) async fn set_given(conn: &mut Conn, position: i64, now: Timestamp) -> Result<(), DomainError> {
    sqlx::query("UPDATE outbox SET delivered_us = $1 WHERE position = $2")
        .bind(now.0)
        .bind(position)
        .execute(conn)
        .await?;
    Ok(())
}

/// A delivery, unless the endpoint has that event's.
pub(super) async fn insert_delivery(
    conn: &mut Conn,
    (id, endpoint_id, position): (&WebhookDeliveryId, &WebhookEndpointId, i64),
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, endpoint_id, event_position, status, attempt_count, next_attempt_us, \
         created_us) VALUES ($1, $2, $3, 'pending', 0, $4, $4) ON CONFLICT (endpoint_id, event_position) DO NOTHING",
    )
    .bind(id.to_string())
    .bind(endpoint_id.to_string())
    .bind(position)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}

const DELIVERY: &str = "SELECT d.id, d.endpoint_id, d.event_position, e.event_id, e.event_type, d.status, \
                        d.attempt_count, d.next_attempt_us, d.last_attempt_us, d.last_status, d.last_error, \
                        d.delivered_us, d.created_us \
                        FROM webhook_deliveries d JOIN events e ON e.position = d.event_position";

pub(super) async fn delivery(
    conn: &mut Conn,
    id: &WebhookDeliveryId,
) -> Result<Option<Delivery>, DomainError> {
    let query = format!("{DELIVERY} WHERE d.id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(read_delivery).transpose()
}

pub(super) async fn delivery_of(
    conn: &mut Conn,
    (endpoint_id, position): (&WebhookEndpointId, i64),
) -> Result<Option<Delivery>, DomainError> {
    let query = format!("{DELIVERY} WHERE d.endpoint_id = $1 AND d.event_position = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(endpoint_id.to_string())
        .bind(position)
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read_delivery).transpose()
}

/// Deliveries of an endpoint and a status (any when empty), newest first, before an id.
pub(super) async fn deliveries_before(
    conn: &mut Conn,
    (endpoint_id, status): (&WebhookEndpointId, &str),
    (before, limit): (&str, i64),
) -> Result<Vec<Delivery>, DomainError> {
    let query = format!(
        "{DELIVERY} WHERE d.endpoint_id = $1 AND ($2 = '' OR d.status = $2) AND ($3 = '' OR d.id < $3) \
         ORDER BY d.id DESC LIMIT $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(query))
        .bind(endpoint_id.to_string())
        .bind(status.to_owned())
        .bind(before.to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(read_delivery).collect()
}

/// What is to be attempted by now, the longest overdue first.
pub(super) async fn due(
    conn: &mut Conn,
    (now, limit): (Timestamp, i64),
) -> Result<Vec<WebhookDeliveryId>, DomainError> {
    let rows = sqlx::query(
        "SELECT id FROM webhook_deliveries WHERE next_attempt_us IS NOT NULL AND next_attempt_us <= $1 \
         ORDER BY next_attempt_us, id LIMIT $2",
    )
    .bind(now.0)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| parsed(row.try_get("id")?, "webhook delivery")).collect()
}

/// Begins an attempt, unless another process has; until `lease` nobody else begins one.
pub(super) async fn begin_attempt(
    conn: &mut Conn,
    id: &WebhookDeliveryId,
    (now, lease): (Timestamp, Timestamp),
) -> Result<bool, DomainError> {
    let begun = sqlx::query(
        "UPDATE webhook_deliveries SET attempt_count = attempt_count + 1, last_attempt_us = $1, next_attempt_us = $2 \
         WHERE id = $3 AND next_attempt_us IS NOT NULL AND next_attempt_us <= $1",
    )
    .bind(now.0)
    .bind(lease.0)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(begun.rows_affected() == 1)
}

/// What became of an attempt.
pub(super) struct Ended {
    pub(super) status: DeliveryStatus,
    pub(super) next_attempt_at: Option<Timestamp>,
    pub(super) answered: Result<u16, String>,
}

pub(super) async fn end_attempt(
    conn: &mut Conn,
    id: &WebhookDeliveryId,
    (now, ended): (Timestamp, &Ended),
) -> Result<(), DomainError> {
    let delivered_us = (ended.status == DeliveryStatus::Delivered).then_some(now.0);
    // One that got through in another way meanwhile stays so.
    sqlx::query(
        "UPDATE webhook_deliveries SET status = $1, next_attempt_us = $2, last_status = $3, last_error = $4, \
         delivered_us = $5 WHERE id = $6 AND status <> 'delivered'",
    )
    .bind(ended.status.as_str())
    .bind(ended.next_attempt_at.map(|at| at.0))
    .bind(ended.answered.as_ref().ok().map(|status| i64::from(*status)))
    .bind(ended.answered.as_ref().err().cloned())
    .bind(delivered_us)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// To be attempted at once, as if never before.
pub(super) async fn requeue(
    conn: &mut Conn,
    id: &WebhookDeliveryId,
    now: Timestamp,
) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE webhook_deliveries SET status = 'pending', attempt_count = 0, next_attempt_us = $1, \
         delivered_us = NULL WHERE id = $2",
    )
    .bind(now.0)
    .bind(id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

fn read_delivery(row: &AnyRow) -> Result<Delivery, DomainError> {
    const WHAT: &str = "webhook delivery";
    let time = |column: &str| Ok::<_, DomainError>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
    let status: String = row.try_get("status")?;
    Ok(Delivery {
        id: parsed(row.try_get("id")?, WHAT)?,
        endpoint_id: parsed(row.try_get("endpoint_id")?, WHAT)?,
        event_position: row.try_get("event_position")?,
        event_id: parsed(row.try_get("event_id")?, WHAT)?,
        event_type: row.try_get("event_type")?,
        status: parsed(status, WHAT)?,
        attempt_count: row.try_get("attempt_count")?,
        next_attempt_at: time("next_attempt_us")?,
        last_attempt_at: time("last_attempt_us")?,
        last_status: row.try_get("last_status")?,
        last_error: row.try_get("last_error")?,
        delivered_at: time("delivered_us")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
