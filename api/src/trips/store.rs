//! SQL on `trip_revisions`, `trips`, `lake_followers` and `planned_trips`.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::ids::VehicleId;

use super::{planned::PlannedTrip, types::Trip};
use crate::{
    db::Conn,
    drivers::driving::{SPAN_US_MAX, Window},
    events::json_of,
    fault::DomainError,
    ids::{PlannedTripId, TripId},
    rows::read_json,
};

pub(super) async fn latest(conn: &mut Conn, id: &TripId) -> Result<Option<Trip>, DomainError> {
    let row = sqlx::query("SELECT data FROM trips WHERE trip_id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(trip).transpose()
}

pub(super) async fn revisions(conn: &mut Conn, id: &TripId) -> Result<Vec<Trip>, DomainError> {
    let rows = sqlx::query("SELECT data FROM trip_revisions WHERE trip_id = $1 ORDER BY revision")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter().map(trip).collect()
}

/// Vehicles of one statement: each is a parameter, of which databases take some tens of thousands.
const VEHICLES_MAX: usize = 10_000;

/// Where a page of trips is: overlapping `[from, to)`, before a cursor, so many.
pub(super) type PagePlace = ((i64, i64), ((i64, String), i64));

/// Trips of these vehicles, as [`newest`] has them.
pub(super) async fn newest_of(
    conn: &mut Conn,
    vehicles: &[VehicleId],
    ((from_us, to_us), ((before_us, before_id), limit)): PagePlace,
) -> Result<Vec<Trip>, DomainError> {
    let mut found: Vec<Trip> = Vec::new();
    for some in vehicles.chunks(VEHICLES_MAX) {
        let names: Vec<String> = (7..7 + some.len()).map(|n| format!("${n}")).collect();
        // Numbers of parameters alone are put into the text.
        let sql = format!(
            "SELECT data FROM trips WHERE status = 'completed' AND vehicle_id IN ({}) \
             AND end_us >= $1 AND start_us < $2 \
             AND (start_us < $3 OR (start_us = $4 AND trip_id < $5)) \
             ORDER BY start_us DESC, trip_id DESC LIMIT $6",
            names.join(", ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql))
            .bind(from_us)
            .bind(to_us)
            .bind(before_us)
            .bind(before_us)
            .bind(before_id.clone())
            .bind(limit);
        for id in some {
            query = query.bind(id.to_string());
        }
        let rows = query.fetch_all(&mut *conn).await?;
        found.extend(rows.iter().map(trip).collect::<Result<Vec<_>, _>>()?);
    }
    if vehicles.len() > VEHICLES_MAX {
        found.sort_by(|a, b| (b.start_time, &b.id).cmp(&(a.start_time, &a.id)));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    }
    Ok(found)
}

/// Trips that overlap `[from, to)`, newest first, before a cursor.
pub(super) async fn newest(
    conn: &mut Conn,
    ((from_us, to_us), ((before_us, before_id), limit)): PagePlace,
) -> Result<Vec<Trip>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM trips WHERE status = 'completed' AND end_us >= $1 AND start_us < $2 \
         AND (start_us < $3 OR (start_us = $3 AND trip_id < $4)) \
         ORDER BY start_us DESC, trip_id DESC LIMIT $5",
    )
    .bind(from_us)
    .bind(to_us)
    .bind(before_us)
    .bind(before_id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(trip).collect()
}

/// Trips that took place in windows of time with a vehicle, at least in part, as [`newest`] has them.
pub(super) async fn newest_within(
    conn: &mut Conn,
    windows: &[Window],
    ((from_us, to_us), ((before_us, before_id), limit)): PagePlace,
) -> Result<Vec<Trip>, DomainError> {
    if windows.is_empty() {
        return Ok(Vec::new());
    }
    let conditions: Vec<String> = (0..windows.len())
        .map(|i| {
            let (name, earliest, from, to) = (4 * i + 6, 4 * i + 7, 4 * i + 8, 4 * i + 9);
            format!(
                "(vehicle_id = ${name} AND start_us >= ${earliest} AND start_us < ${to} AND end_us >= ${from})"
            )
        })
        .collect();
    // Numbers of parameters alone are put into the text.
    let sql = format!(
        "SELECT data FROM trips WHERE status = 'completed' AND end_us >= $1 AND start_us < $2 \
         AND (start_us < $3 OR (start_us = $3 AND trip_id < $4)) AND ({}) \
         ORDER BY start_us DESC, trip_id DESC LIMIT $5",
        conditions.join(" OR ")
    );
    let mut query =
        sqlx::query(AssertSqlSafe(sql)).bind(from_us).bind(to_us).bind(before_us).bind(before_id).bind(limit);
    for window in windows {
        query = query
            .bind(window.vehicle_id.to_string())
            .bind(window.from.0.saturating_sub(SPAN_US_MAX))
            .bind(window.from.0)
            .bind(window.to.0);
    }
    let rows = query.fetch_all(conn).await?;
    rows.iter().map(trip).collect()
}

/// Stores a revision and makes it the latest.
pub(super) async fn save(conn: &mut Conn, trip: &Trip) -> Result<(), DomainError> {
    let data = json_of(trip).to_string();
    sqlx::query("INSERT INTO trip_revisions (trip_id, revision, lake_version, data) VALUES ($1, $2, $3, $4)")
        .bind(trip.id.to_string())
        .bind(trip.revision)
        .bind(trip.lake_version)
        .bind(data.clone())
        .execute(&mut *conn)
        .await?;
    sqlx::query(
        "INSERT INTO trips (trip_id, revision, vehicle_id, status, start_us, end_us, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (trip_id) DO UPDATE SET revision = excluded.revision, vehicle_id = excluded.vehicle_id, \
         status = excluded.status, start_us = excluded.start_us, end_us = excluded.end_us, data = excluded.data",
    )
    .bind(trip.id.to_string())
    .bind(trip.revision)
    .bind(trip.vehicle_id.to_string())
    .bind(trip.status.as_str())
    .bind(trip.start_time.0)
    .bind(trip.end_time.0)
    .bind(data)
    .execute(conn)
    .await?;
    Ok(())
}

/// The version of the lake's `trips` that is projected; -1 before the first.
pub(super) async fn followed_version(conn: &mut Conn, follower: &str) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT version FROM lake_followers WHERE name = $1")
        .bind(follower.to_owned())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|r| r.try_get("version")).transpose()?.unwrap_or(-1))
}

/// Moves the follower on; false when another follower moved it since.
pub(super) async fn advance(
    conn: &mut Conn,
    follower: &str,
    (from_version, to_version): (i64, i64),
) -> Result<bool, DomainError> {
    sqlx::query("INSERT INTO lake_followers (name, version) VALUES ($1, -1) ON CONFLICT (name) DO NOTHING")
        .bind(follower.to_owned())
        .execute(&mut *conn)
        .await?;
    let moved = sqlx::query("UPDATE lake_followers SET version = $1 WHERE name = $2 AND version = $3")
        .bind(to_version)
        .bind(follower.to_owned())
        .bind(from_version)
        .execute(conn)
        .await?;
    Ok(moved.rows_affected() == 1)
}

fn trip(row: &AnyRow) -> Result<Trip, DomainError> {
    read_json(row, "trip")
}

pub(super) async fn save_planned(conn: &mut Conn, trip: &PlannedTrip) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO planned_trips (id, vehicle_id, status, start_us, version, data) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET status = excluded.status, version = excluded.version, data = excluded.data",
    )
    .bind(trip.id.to_string())
    .bind(trip.vehicle_id.to_string())
    .bind(trip.status.as_str())
    .bind(trip.start_time.0)
    .bind(trip.version)
    .bind(json_of(trip).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn planned(conn: &mut Conn, id: &PlannedTripId) -> Result<Option<PlannedTrip>, DomainError> {
    let row = sqlx::query("SELECT data FROM planned_trips WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| read_json(&row, "planned trip")).transpose()
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM trips").execute(&mut *conn).await?;
    sqlx::query("DELETE FROM trip_revisions").execute(conn).await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear_planned(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM planned_trips").execute(conn).await?;
    Ok(())
}
