//! The event store: what happened, in order, each aggregate under optimistic concurrency.
//!
//! *Owns* the tables `events` and `outbox`. *Does not own* what events mean: each domain names
//! its own. An event is appended in the transaction that projects it; an outbox row goes with
//! each, for delivery by `webhooks`. `GET /v1/events` pages over the log.

use std::str::FromStr;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Row, any::AnyRow};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::{db::Conn, fault::DomainError, ids::EventId};

/// Events read at once to make rows anew.
pub(crate) const REBUILD_COUNT: i64 = 1_000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Place in the log, from 1, without holes.
    pub position: i64,
    /// `evt_…`
    #[schema(value_type = String)]
    pub event_id: EventId,
    /// To which thing it happened.
    pub aggregate_id: String,
    /// `organization`, `vehicle`, `geofence`, `group`, `driver`, `trip`, `tariff`, `invoice`, `booking`, `dunning` and the like.
    pub aggregate_type: String,
    /// Such as `TripCompleted`.
    pub event_type: String,
    /// The version of the thing after it.
    pub version: i64,
    /// When, by our clock.
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: Timestamp,
    /// What, by type.
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}

impl Event {
    /// What it tells, as a type of its domain.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, DomainError> {
        let stored = || DomainError::Stored { what: "event", id: self.event_id.to_string() };
        serde_json::from_value(self.data.clone()).map_err(|_| stored())
    }

    /// To which thing it happened, as its id.
    pub(crate) fn aggregate<T: FromStr>(&self) -> Result<T, DomainError> {
        let stored = || DomainError::Stored { what: "event", id: self.event_id.to_string() };
        self.aggregate_id.parse().map_err(|_| stored())
    }
}

/// An event to append.
#[derive(Debug, Clone)]
pub(crate) struct NewEvent {
    pub(crate) aggregate_type: &'static str,
    pub(crate) aggregate_id: String,
    pub(crate) event_type: &'static str,
    pub(crate) data: serde_json::Value,
}

/// Which events to read.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events after this position (default 0: from the first).
    pub after: Option<i64>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EventPage {
    /// In order.
    pub data: Vec<Event>,
    /// Give this as `after` for the next page; the same as was given when there is nothing new.
    pub next_after: i64,
}

/// The version of an aggregate; 0 before its first event.
pub(crate) async fn version_of(conn: &mut Conn, aggregate_id: &str) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COALESCE(MAX(version), 0) AS version FROM events WHERE aggregate_id = $1")
        .bind(aggregate_id.to_owned())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("version")?)
}

/// Appends an event after `expected_version` of its aggregate and returns the new version. When
/// another writer was faster the unique key refuses it, and the caller's transaction with it.
pub(crate) async fn append(
    conn: &mut Conn,
    now: Timestamp,
    expected_version: i64,
    event: NewEvent,
) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COALESCE(MAX(position), 0) + 1 AS position FROM events")
        .fetch_one(&mut *conn)
        .await?;
    let position: i64 = row.try_get("position")?;
    let version = expected_version + 1;
    sqlx::query(
        "INSERT INTO events (position, event_id, aggregate_id, aggregate_type, event_type, version, timestamp_us, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(position)
    .bind(EventId::new(now).as_str().to_owned())
    .bind(event.aggregate_id)
    .bind(event.aggregate_type)
    .bind(event.event_type)
    .bind(version)
    .bind(now.0)
    .bind(event.data.to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query("INSERT INTO outbox (position) VALUES ($1)").bind(position).execute(conn).await?;
    Ok(version)
}

/// The last position of the log.
pub(crate) async fn last_position(conn: &mut Conn) -> Result<i64, DomainError> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(position), 0) AS position FROM events").fetch_one(conn).await?;
    Ok(row.try_get("position")?)
}

/// Events after a position, in order.
pub async fn after(conn: &mut Conn, position: i64, limit: i64) -> Result<Vec<Event>, DomainError> {
    let rows = sqlx::query(
        "SELECT position, event_id, aggregate_id, aggregate_type, event_type, version, timestamp_us, data \
         FROM events WHERE position > $1 ORDER BY position LIMIT $2",
    )
    .bind(position)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(event).collect()
}

fn event(row: &AnyRow) -> Result<Event, DomainError> {
    let event_id: String = row.try_get("event_id")?;
    let stored = || DomainError::Stored { what: "event", id: event_id.clone() };
    let data: String = row.try_get("data")?;
    Ok(Event {
        position: row.try_get("position")?,
        event_id: event_id.parse().map_err(|_| stored())?,
        aggregate_id: row.try_get("aggregate_id")?,
        aggregate_type: row.try_get("aggregate_type")?,
        event_type: row.try_get("event_type")?,
        version: row.try_get("version")?,
        timestamp: Timestamp(row.try_get("timestamp_us")?),
        data: serde_json::from_str(&data).map_err(|_| stored())?,
    })
}

/// JSON of a value that always has some.
pub(crate) fn json_of<T: Serialize>(value: &T) -> serde_json::Value {
    // Our own types with text keys: serializing them cannot fail.
    serde_json::to_value(value).unwrap_or(serde_json::Value::Null)
}
