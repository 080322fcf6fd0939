//! SQL on `commands`.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::types::{CommandState, Reply, StoredCommand};
use crate::{db::Conn, events::json_of, fault::DomainError, ids::CommandId, rows::parsed};

const WHAT: &str = "command";
const COMMAND: &str = "SELECT id, vehicle_id, task, sequence, issued_us, expires_us, published_us, outcome, reply \
                       FROM commands";

pub(crate) async fn insert(conn: &mut Conn, command: &StoredCommand) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO commands (id, vehicle_id, task, sequence, issued_us, expires_us) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(command.id.to_string())
    .bind(command.vehicle_id.to_string())
    .bind(json_of(&command.task).to_string())
    .bind(command.sequence)
    .bind(command.issued_at.0)
    .bind(command.expires_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM commands").execute(conn).await?;
    Ok(())
}

pub(crate) async fn note_reply(conn: &mut Conn, id: &CommandId, reply: &Reply) -> Result<(), DomainError> {
    sqlx::query("UPDATE commands SET outcome = $1, reply = $2, replied_us = $3 WHERE id = $4")
        .bind(reply.outcome.clone())
        .bind(json_of(reply).to_string())
        .bind(reply.replied_at.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// The highest sequence of a vehicle's commands; 0 before the first.
pub(super) async fn last_sequence(conn: &mut Conn, vehicle_id: &VehicleId) -> Result<i64, DomainError> {
    let row =
        sqlx::query("SELECT COALESCE(MAX(sequence), 0) AS sequence FROM commands WHERE vehicle_id = $1")
            .bind(vehicle_id.to_string())
            .fetch_one(conn)
            .await?;
    Ok(row.try_get("sequence")?)
}

pub(super) async fn by_id(
    conn: &mut Conn,
    now: Timestamp,
    id: &CommandId,
) -> Result<Option<StoredCommand>, DomainError> {
    let query = format!("{COMMAND} WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(|row| command(row, now)).transpose()
}

/// Commands before an id, or the newest; of a vehicle where one is given.
pub(super) async fn before(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, id, limit): (&str, &str, i64),
) -> Result<Vec<StoredCommand>, DomainError> {
    let query = format!(
        "{COMMAND} WHERE ($1 = '' OR id < $1) AND ($2 = '' OR vehicle_id = $2) ORDER BY id DESC LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(vehicle_id.to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| command(row, now)).collect()
}

/// What the broker is to be given, so many.
pub(crate) async fn due(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<StoredCommand>, DomainError> {
    let query = format!(
        "{COMMAND} WHERE outcome IS NULL AND published_us IS NULL AND expires_us > $1 ORDER BY id LIMIT $2"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(now.0).bind(limit).fetch_all(conn).await?;
    rows.iter().map(|row| command(row, now)).collect()
}

/// The broker was given it.
pub(crate) async fn mark_published(
    conn: &mut Conn,
    now: Timestamp,
    id: &CommandId,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE commands SET published_us = $1 WHERE id = $2")
        .bind(now.0)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// What waits for a reply is to be given to the broker again: of one vehicle, or of all when it is empty.
pub(super) async fn unmark_waiting(conn: &mut Conn, vehicle_id: &str) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE commands SET published_us = NULL \
         WHERE outcome IS NULL AND published_us IS NOT NULL AND ($1 = '' OR vehicle_id = $1)",
    )
    .bind(vehicle_id.to_owned())
    .execute(conn)
    .await?;
    Ok(())
}

fn command(row: &AnyRow, now: Timestamp) -> Result<StoredCommand, DomainError> {
    let id: String = row.try_get("id")?;
    let unreadable = || DomainError::Stored { what: WHAT, id: id.clone() };
    let task: String = row.try_get("task")?;
    let reply: Option<String> = row.try_get("reply")?;
    let reply: Option<Reply> =
        reply.map(|text| serde_json::from_str(&text)).transpose().map_err(|_| unreadable())?;
    let expires_at = Timestamp(row.try_get("expires_us")?);
    let state = match reply.as_ref().map(|reply| reply.outcome.as_str()) {
        Some("done") => CommandState::Done,
        Some("refused") => CommandState::Refused,
        Some(_) => CommandState::Failed,
        None if expires_at <= now => CommandState::Expired,
        None => CommandState::Waiting,
    };
    Ok(StoredCommand {
        vehicle_id: parsed(row.try_get("vehicle_id")?, WHAT)?,
        task: serde_json::from_str(&task).map_err(|_| unreadable())?,
        sequence: row.try_get("sequence")?,
        state,
        issued_at: Timestamp(row.try_get("issued_us")?),
        expires_at,
        published_at: row.try_get::<Option<i64>, _>("published_us")?.map(Timestamp),
        reply,
        id: parsed(id, WHAT)?,
    })
}
