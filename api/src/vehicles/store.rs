//! SQL on `vehicles` and `vehicle_mileage`, narrowed by `group_vehicles`.

use std::collections::HashMap;

use sqlx::{Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::{Driven, MileageChange, types::Vehicle};
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{GroupId, OrganizationId, RegistryId},
    rows::{optional, parsed},
};

pub(super) async fn insert(
    conn: &mut Conn,
    id: &RegistryId,
    vehicle_id: &VehicleId,
    (name, organization, version, now): (&str, Option<&OrganizationId>, i64, Timestamp),
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO vehicles (id, vehicle_id, name, organization_id, version, created_us) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id.to_string())
    .bind(vehicle_id.to_string())
    .bind(name.to_owned())
    .bind(organization.map(ToString::to_string))
    .bind(version)
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM vehicles").execute(conn).await?;
    Ok(())
}

/// Only to make it anew.
pub(super) async fn clear_mileage(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM vehicle_mileage").execute(conn).await?;
    Ok(())
}

pub(super) async fn update(
    conn: &mut Conn,
    id: &RegistryId,
    (name, organization, version): (&str, Option<&OrganizationId>, i64),
) -> Result<(), DomainError> {
    sqlx::query("UPDATE vehicles SET name = $1, organization_id = $2, version = $3 WHERE id = $4")
        .bind(name.to_owned())
        .bind(organization.map(ToString::to_string))
        .bind(version)
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn by_id(conn: &mut Conn, id: &RegistryId) -> Result<Option<Vehicle>, DomainError> {
    let row = sqlx::query(
        "SELECT v.id, v.vehicle_id, v.name, v.organization_id, v.version, v.created_us, \
         m.trip_count, m.distance_m, m.odometer_m \
         FROM vehicles v LEFT JOIN vehicle_mileage m ON m.vehicle_id = v.vehicle_id WHERE v.id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(vehicle).transpose()
}

pub(super) async fn by_vehicle_id(conn: &mut Conn, id: &VehicleId) -> Result<Option<Vehicle>, DomainError> {
    let row = sqlx::query(
        "SELECT v.id, v.vehicle_id, v.name, v.organization_id, v.version, v.created_us, \
         m.trip_count, m.distance_m, m.odometer_m \
         FROM vehicles v LEFT JOIN vehicle_mileage m ON m.vehicle_id = v.vehicle_id WHERE v.vehicle_id = $1",
    )
    .bind(id.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(vehicle).transpose()
}

/// Vehicles whose name or id contains `part` (lower case), of an organization and a group unless empty.
pub(super) async fn search(
    conn: &mut Conn,
    (part, organization, group): (&str, &str, &str),
    (after, limit): (&str, i64),
) -> Result<Vec<Vehicle>, DomainError> {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows = sqlx::query(
        "SELECT v.id, v.vehicle_id, v.name, v.organization_id, v.version, v.created_us, \
         m.trip_count, m.distance_m, m.odometer_m \
         FROM vehicles v LEFT JOIN vehicle_mileage m ON m.vehicle_id = v.vehicle_id \
         WHERE v.vehicle_id > $1 \
         AND (LOWER(v.name) LIKE $2 ESCAPE '\\' OR v.vehicle_id LIKE $2 ESCAPE '\\') \
         AND ($3 = '' OR v.organization_id = $3) \
         AND ($4 = '' OR v.id IN (SELECT g.vehicle_id FROM group_vehicles g WHERE g.group_id = $4)) \
         ORDER BY v.vehicle_id LIMIT $5",
    )
    .bind(after.to_owned())
    .bind(format!("%{escaped}%"))
    .bind(organization.to_owned())
    .bind(group.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(vehicle).collect()
}

pub(super) async fn names(
    conn: &mut Conn,
    (organization, group): (Option<&OrganizationId>, Option<&GroupId>),
) -> Result<HashMap<VehicleId, String>, DomainError> {
    let rows = sqlx::query(
        "SELECT vehicle_id, name FROM vehicles WHERE ($1 = '' OR organization_id = $1) \
         AND ($2 = '' OR id IN (SELECT g.vehicle_id FROM group_vehicles g WHERE g.group_id = $2))",
    )
    .bind(organization.map(ToString::to_string).unwrap_or_default())
    .bind(group.map(ToString::to_string).unwrap_or_default())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| Ok((parsed(row.try_get("vehicle_id")?, "vehicle")?, row.try_get("name")?)))
        .collect()
}

/// Whose the vehicles are that are anybody's.
pub(super) async fn organizations(
    conn: &mut Conn,
) -> Result<HashMap<VehicleId, OrganizationId>, DomainError> {
    const WHAT: &str = "vehicle";
    let rows =
        sqlx::query("SELECT vehicle_id, organization_id FROM vehicles WHERE organization_id IS NOT NULL")
            .fetch_all(conn)
            .await?;
    rows.iter()
        .map(|row| {
            let id = parsed(row.try_get("vehicle_id")?, WHAT)?;
            Ok((id, parsed(row.try_get("organization_id")?, WHAT)?))
        })
        .collect()
}

pub(super) async fn add_mileage(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
    change: MileageChange,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO vehicle_mileage (vehicle_id, trip_count, distance_m) VALUES ($1, $2, $3) \
         ON CONFLICT (vehicle_id) DO UPDATE SET \
         trip_count = vehicle_mileage.trip_count + excluded.trip_count, \
         distance_m = vehicle_mileage.distance_m + excluded.distance_m",
    )
    .bind(vehicle_id.to_string())
    .bind(change.trip_count)
    .bind(change.distance_m)
    .execute(&mut *conn)
    .await?;
    let Some((odometer_m, read_at)) = change.odometer else { return Ok(()) };
    sqlx::query(
        "UPDATE vehicle_mileage SET odometer_m = $1, odometer_us = $2 \
         WHERE vehicle_id = $3 AND (odometer_us IS NULL OR odometer_us <= $2)",
    )
    .bind(odometer_m)
    .bind(read_at.0)
    .bind(vehicle_id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Of an organization, or one of an id; what is empty narrows nothing.
pub(super) async fn driven(
    conn: &mut Conn,
    (organization, id): (&str, &str),
) -> Result<Vec<Driven>, DomainError> {
    const WHAT: &str = "vehicle";
    let rows = sqlx::query(
        "SELECT v.id, v.vehicle_id, v.organization_id, m.odometer_m, m.odometer_us \
         FROM vehicles v LEFT JOIN vehicle_mileage m ON m.vehicle_id = v.vehicle_id \
         WHERE ($1 = '' OR v.organization_id = $1) AND ($2 = '' OR v.id = $2) ORDER BY v.id",
    )
    .bind(organization.to_owned())
    .bind(id.to_owned())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let odometer_m: Option<i64> = row.try_get("odometer_m")?;
            let read_us: Option<i64> = row.try_get("odometer_us")?;
            Ok(Driven {
                id: parsed(row.try_get("id")?, WHAT)?,
                vehicle_id: parsed(row.try_get("vehicle_id")?, WHAT)?,
                organization_id: optional(row, ("organization_id", WHAT))?,
                odometer: odometer_m.zip(read_us.map(Timestamp)),
            })
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "metres of an odometer fit a double exactly")]
fn vehicle(row: &AnyRow) -> Result<Vehicle, DomainError> {
    let odometer_m: Option<i64> = row.try_get("odometer_m")?;
    Ok(Vehicle {
        id: parsed(row.try_get("id")?, "vehicle")?,
        vehicle_id: parsed(row.try_get("vehicle_id")?, "vehicle")?,
        name: row.try_get("name")?,
        organization_id: optional(row, ("organization_id", "vehicle"))?,
        odometer_km: odometer_m.map(|m| m as f64 / 1000.0),
        trip_count: row.try_get::<Option<i64>, _>("trip_count")?.unwrap_or(0),
        distance_m: row.try_get::<Option<i64>, _>("distance_m")?.unwrap_or(0),
        last_seen: None,
        state: None,
        group_ids: Vec::new(),
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
