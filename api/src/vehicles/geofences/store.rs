//! SQL on `geofences` and `geofence_presences`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::{presence::Presence, types::Geofence};
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::GeofenceId,
    rows::{optional, parsed},
};

const WHAT: &str = "geofence";

pub(super) async fn insert(conn: &mut Conn, geofence: &Geofence) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO geofences (id, organization_id, name, kind, colour, tags, geometry, version, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(geofence.id.to_string())
    .bind(geofence.organization_id.as_ref().map(ToString::to_string))
    .bind(geofence.name.clone())
    .bind(geofence.kind.as_str())
    .bind(geofence.colour.clone())
    .bind(json_of(&geofence.tags).to_string())
    .bind(json_of(&geofence.geometry).to_string())
    .bind(geofence.version)
    .bind(geofence.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it but whose it is.
pub(super) async fn update(conn: &mut Conn, geofence: &Geofence) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE geofences SET name = $1, kind = $2, colour = $3, tags = $4, geometry = $5, version = $6 WHERE id = $7",
    )
    .bind(geofence.name.clone())
    .bind(geofence.kind.as_str())
    .bind(geofence.colour.clone())
    .bind(json_of(&geofence.tags).to_string())
    .bind(json_of(&geofence.geometry).to_string())
    .bind(geofence.version)
    .bind(geofence.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// With who is in it.
pub(super) async fn delete(conn: &mut Conn, id: &GeofenceId) -> Result<(), DomainError> {
    for query in
        ["DELETE FROM geofence_presences WHERE geofence_id = $1", "DELETE FROM geofences WHERE id = $1"]
    {
        sqlx::query(query).bind(id.to_string()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    for query in ["DELETE FROM geofence_presences", "DELETE FROM geofences"] {
        sqlx::query(query).execute(&mut *conn).await?;
    }
    Ok(())
}

const GEOFENCE: &str =
    "SELECT id, organization_id, name, kind, colour, tags, geometry, version, created_us FROM geofences";

pub(super) async fn by_id(conn: &mut Conn, id: &GeofenceId) -> Result<Option<Geofence>, DomainError> {
    let query = format!("{GEOFENCE} WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(geofence).transpose()
}

/// Which geofences are listed; what is empty narrows nothing. Texts are in lower case.
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) kind: &'static str,
    pub(super) tag: String,
    pub(super) name_part: String,
}

/// Geofences after an id.
pub(super) async fn after(
    conn: &mut Conn,
    wanted: &Wanted,
    (id, limit): (&str, i64),
) -> Result<Vec<Geofence>, DomainError> {
    let query = format!(
        "{GEOFENCE} WHERE id > $1 AND ($2 = '' OR organization_id = $2) AND ($3 = '' OR kind = $3) \
         AND tags LIKE $4 ESCAPE '\\' AND LOWER(name) LIKE $5 ESCAPE '\\' ORDER BY id LIMIT $6"
    );
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let tag = if wanted.tag.is_empty() { "%".to_owned() } else { format!("%\"{}\"%", escaped(&wanted.tag)) };
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(wanted.organization.clone())
        .bind(wanted.kind)
        .bind(tag)
        .bind(format!("%{}%", escaped(&wanted.name_part)))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(geofence).collect()
}

/// The version of each.
pub(super) async fn versions(conn: &mut Conn) -> Result<HashMap<GeofenceId, i64>, DomainError> {
    let rows = sqlx::query("SELECT id, version FROM geofences").fetch_all(conn).await?;
    rows.iter().map(|row| Ok((parsed(row.try_get("id")?, WHAT)?, row.try_get("version")?))).collect()
}

fn geofence(row: &AnyRow) -> Result<Geofence, DomainError> {
    let id: String = row.try_get("id")?;
    let stored = || DomainError::Stored { what: WHAT, id: id.clone() };
    let (tags, geometry): (String, String) = (row.try_get("tags")?, row.try_get("geometry")?);
    Ok(Geofence {
        id: parsed(id.clone(), WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        name: row.try_get("name")?,
        kind: parsed(row.try_get("kind")?, WHAT)?,
        colour: row.try_get("colour")?,
        tags: serde_json::from_str(&tags).map_err(|_| stored())?,
        geometry: serde_json::from_str(&geometry).map_err(|_| stored())?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}

/// What is known of a vehicle and a geofence.
pub(super) async fn presence(
    conn: &mut Conn,
    (geofence, vehicle): (&GeofenceId, &VehicleId),
) -> Result<Option<Presence>, DomainError> {
    let row = sqlx::query(
        "SELECT is_inside, entered_us, crossed_us, version FROM geofence_presences \
         WHERE geofence_id = $1 AND vehicle_id = $2",
    )
    .bind(geofence.to_string())
    .bind(vehicle.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Presence {
        is_inside: row.try_get::<i64, _>("is_inside")? == 1,
        entered_at: Timestamp(row.try_get("entered_us")?),
        crossed_at: Timestamp(row.try_get("crossed_us")?),
        version: row.try_get("version")?,
    }))
}

pub(super) async fn set_presence(
    conn: &mut Conn,
    (geofence, vehicle): (&GeofenceId, &VehicleId),
    presence: &Presence,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO geofence_presences (geofence_id, vehicle_id, is_inside, entered_us, crossed_us, version) \
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (geofence_id, vehicle_id) DO UPDATE SET \
         is_inside = excluded.is_inside, entered_us = excluded.entered_us, crossed_us = excluded.crossed_us, \
         version = excluded.version",
    )
    .bind(geofence.to_string())
    .bind(vehicle.to_string())
    .bind(i64::from(presence.is_inside))
    .bind(presence.entered_at.0)
    .bind(presence.crossed_at.0)
    .bind(presence.version)
    .execute(conn)
    .await?;
    Ok(())
}

/// Who is in a geofence, and since when.
pub(super) async fn entered(
    conn: &mut Conn,
    geofence: &GeofenceId,
) -> Result<HashMap<VehicleId, Timestamp>, DomainError> {
    let rows = sqlx::query(
        "SELECT vehicle_id, entered_us FROM geofence_presences WHERE geofence_id = $1 AND is_inside = 1",
    )
    .bind(geofence.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let at = Timestamp(row.try_get("entered_us")?);
            Ok((parsed(row.try_get("vehicle_id")?, "vehicle")?, at))
        })
        .collect()
}

/// Everybody who is in any.
pub(super) async fn all_inside(conn: &mut Conn) -> Result<Vec<(VehicleId, GeofenceId)>, DomainError> {
    let rows = sqlx::query("SELECT vehicle_id, geofence_id FROM geofence_presences WHERE is_inside = 1")
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let vehicle = parsed(row.try_get("vehicle_id")?, "vehicle")?;
            Ok((vehicle, parsed(row.try_get("geofence_id")?, WHAT)?))
        })
        .collect()
}
