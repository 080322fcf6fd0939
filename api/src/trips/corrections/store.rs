//! SQL on `trip_corrections`.

use sqlx::{AssertSqlSafe, Row};
use wire::ids::VehicleId;

use super::types::TripCorrection;
use crate::{db::Conn, events::json_of, fault::DomainError, ids::TripCorrectionId, rows::read_json};

const WHAT: &str = "trip correction";
/// The longest time without a reading, or standing, within a trip.
const AFTER_END_US: i64 = 900_000_000;

/// As it is now, to be handed to the lake.
pub(super) async fn save(conn: &mut Conn, correction: &TripCorrection) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO trip_corrections (id, vehicle_id, kind, from_us, to_us, made_us, version, recorded_version, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) \
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, data = excluded.data",
    )
    .bind(correction.id.to_string())
    .bind(correction.vehicle_id.to_string())
    .bind(correction.kind.as_str())
    .bind(correction.from.0)
    .bind(correction.to.0)
    .bind(correction.made_at.0)
    .bind(correction.version)
    .bind(json_of(correction).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn by_id(
    conn: &mut Conn,
    id: &TripCorrectionId,
) -> Result<Option<TripCorrection>, DomainError> {
    let row = sqlx::query("SELECT data FROM trip_corrections WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| read_json(row, WHAT)).transpose()
}

/// Those of some vehicles, or of all, that touch `[from, to]`, the latest first, before a cursor. A trip that was split
/// ends with the last reading before that moment, so a split a little later is one of it.
pub(super) async fn latest(
    conn: &mut Conn,
    (vehicles, (from_us, to_us)): (Option<&[VehicleId]>, (i64, i64)),
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<TripCorrection>, DomainError> {
    // Numbers of parameters alone are put into the text.
    let of_these = match vehicles {
        Some([]) => return Ok(Vec::new()),
        Some(some) => {
            let places: Vec<String> = (7..7 + some.len()).map(|n| format!("${n}")).collect();
            format!("vehicle_id IN ({}) AND ", places.join(", "))
        }
        None => String::new(),
    };
    let sql = format!(
        "SELECT data FROM trip_corrections WHERE {of_these}to_us >= $1 \
         AND (from_us <= $2 OR (kind = 'split' AND from_us <= $3)) \
         AND (made_us < $4 OR (made_us = $4 AND id < $5)) ORDER BY made_us DESC, id DESC LIMIT $6"
    );
    let mut query = sqlx::query(AssertSqlSafe(sql))
        .bind(from_us)
        .bind(to_us)
        .bind(to_us.saturating_add(AFTER_END_US))
        .bind(before_us)
        .bind(before_id)
        .bind(limit);
    for id in vehicles.unwrap_or_default() {
        query = query.bind(id.to_string());
    }
    let rows = query.fetch_all(conn).await?;
    rows.iter().map(|row| read_json(row, WHAT)).collect()
}

/// Those that the lake has not as they are, the oldest first, with the version that it has.
pub(super) async fn to_record(
    conn: &mut Conn,
    limit: i64,
) -> Result<Vec<(TripCorrection, i64)>, DomainError> {
    let rows = sqlx::query(
        "SELECT data, recorded_version FROM trip_corrections WHERE recorded_version < version \
         ORDER BY made_us, id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((read_json(row, WHAT)?, row.try_get("recorded_version")?))).collect()
}

/// The lake has it up to a version.
pub(super) async fn set_recorded(
    conn: &mut Conn,
    (id, version): (&TripCorrectionId, i64),
) -> Result<(), DomainError> {
    sqlx::query("UPDATE trip_corrections SET recorded_version = $1 WHERE id = $2 AND recorded_version < $1")
        .bind(version)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Only to make them anew: all is handed to the lake again, which knows what it has.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM trip_corrections").execute(conn).await?;
    Ok(())
}
