//! SQL on `driver_assignments`, with the names of `drivers`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::types::DriverAssignment;
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{DriverAssignmentId, DriverId, OrganizationId, RegistryId},
    rows::{optional, parsed},
};

const WHAT: &str = "driver assignment";

/// Whose times are looked at.
#[derive(Debug, Clone, Copy)]
pub(in crate::drivers) enum Of<'a> {
    Vehicle(&'a VehicleId),
    Driver(&'a DriverId),
}

impl Of<'_> {
    fn column(self) -> &'static str {
        match self {
            Self::Vehicle(_) => "vehicle_name",
            Self::Driver(_) => "driver_id",
        }
    }

    fn value(self) -> String {
        match self {
            Self::Vehicle(id) => id.to_string(),
            Self::Driver(id) => id.to_string(),
        }
    }
}

pub(in crate::drivers) async fn insert(
    conn: &mut Conn,
    assignment: &DriverAssignment,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO driver_assignments (id, organization_id, driver_id, vehicle_id, vehicle_name, from_us, to_us, \
         note, made_by, version, created_us, updated_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(assignment.id.to_string())
    .bind(assignment.organization_id.as_ref().map(ToString::to_string))
    .bind(assignment.driver_id.to_string())
    .bind(assignment.vehicle_id.to_string())
    .bind(assignment.vehicle_name.to_string())
    .bind(assignment.from.0)
    .bind(assignment.to.map(|to| to.0))
    .bind(assignment.note.clone())
    .bind(assignment.made_by.clone())
    .bind(assignment.version)
    .bind(assignment.created_at.0)
    .bind(assignment.updated_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(in crate::drivers) async fn update(
    conn: &mut Conn,
    assignment: &DriverAssignment,
) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE driver_assignments SET from_us = $1, to_us = $2, note = $3, version = $4, updated_us = $5 \
         WHERE id = $6",
    )
    .bind(assignment.from.0)
    .bind(assignment.to.map(|to| to.0))
    .bind(assignment.note.clone())
    .bind(assignment.version)
    .bind(assignment.updated_at.0)
    .bind(assignment.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::drivers) async fn delete(conn: &mut Conn, id: &DriverAssignmentId) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM driver_assignments WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Only to make them anew.
pub(in crate::drivers) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM driver_assignments").execute(conn).await?;
    Ok(())
}

const ASSIGNMENT: &str = "SELECT a.id, a.organization_id, a.driver_id, d.name AS driver_name, a.vehicle_id, \
                          a.vehicle_name, a.from_us, a.to_us, a.note, a.made_by, a.version, a.created_us, \
                          a.updated_us FROM driver_assignments a JOIN drivers d ON d.id = a.driver_id";

pub(super) async fn by_id(
    conn: &mut Conn,
    id: &DriverAssignmentId,
) -> Result<Option<DriverAssignment>, DomainError> {
    let query = format!("{ASSIGNMENT} WHERE a.id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(assignment).transpose()
}

/// The first that overlaps an assignment, other than itself.
pub(super) async fn overlapping(
    conn: &mut Conn,
    of: Of<'_>,
    with: &DriverAssignment,
) -> Result<Option<DriverAssignment>, DomainError> {
    let query = format!(
        "{ASSIGNMENT} WHERE a.{} = $1 AND a.from_us < $2 AND (a.to_us IS NULL OR a.to_us > $3) AND a.id <> $4 \
         ORDER BY a.from_us LIMIT 1",
        of.column()
    );
    let row = sqlx::query(AssertSqlSafe(query))
        .bind(of.value())
        .bind(with.to.map_or(i64::MAX, |to| to.0))
        .bind(with.from.0)
        .bind(with.id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(assignment).transpose()
}

/// Those that are not over at a time.
pub(super) async fn unfinished(
    conn: &mut Conn,
    of: Of<'_>,
    at: Timestamp,
) -> Result<Vec<DriverAssignment>, DomainError> {
    let query = format!(
        "{ASSIGNMENT} WHERE a.{} = $1 AND (a.to_us IS NULL OR a.to_us > $2) ORDER BY a.from_us",
        of.column()
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(of.value()).bind(at.0).fetch_all(conn).await?;
    rows.iter().map(assignment).collect()
}

/// Which assignments are listed; what is empty narrows nothing.
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) driver: String,
    /// Telemetry id.
    pub(super) vehicle: String,
    /// Overlapping `[from, to)`.
    pub(super) from_us: i64,
    pub(super) to_us: i64,
    pub(super) is_open: Option<bool>,
}

/// Assignments, the latest begin first, before a cursor.
pub(super) async fn latest(
    conn: &mut Conn,
    wanted: &Wanted,
    ((before_us, before_id), limit): ((i64, String), i64),
) -> Result<Vec<DriverAssignment>, DomainError> {
    // What is asked for stands alone in the text, so that its index is used.
    let driver = if wanted.driver.is_empty() { "$2 = ''" } else { "a.driver_id = $2" };
    let vehicle = if wanted.vehicle.is_empty() { "$3 = ''" } else { "a.vehicle_name = $3" };
    let open = match wanted.is_open {
        None => "1 = 1",
        Some(true) => "a.to_us IS NULL",
        Some(false) => "a.to_us IS NOT NULL",
    };
    let query = format!(
        "{ASSIGNMENT} WHERE ($1 = '' OR a.organization_id = $1) AND {driver} AND {vehicle} AND {open} \
         AND a.from_us < $4 AND (a.to_us IS NULL OR a.to_us > $5) \
         AND (a.from_us < $6 OR (a.from_us = $6 AND a.id < $7)) ORDER BY a.from_us DESC, a.id DESC LIMIT $8"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(wanted.organization.clone())
        .bind(wanted.driver.clone())
        .bind(wanted.vehicle.clone())
        .bind(wanted.to_us)
        .bind(wanted.from_us)
        .bind(before_us)
        .bind(before_id)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(assignment).collect()
}

/// The vehicles that drivers, a page of them, have at a time.
pub(super) async fn driven_at(
    conn: &mut Conn,
    at: Timestamp,
    drivers: &[DriverId],
) -> Result<HashMap<DriverId, (RegistryId, VehicleId)>, DomainError> {
    if drivers.is_empty() {
        return Ok(HashMap::new());
    }
    let names: Vec<String> = (2..2 + drivers.len()).map(|n| format!("${n}")).collect();
    // Numbers of parameters alone are put into the text.
    let sql = format!(
        "SELECT driver_id, vehicle_id, vehicle_name FROM driver_assignments \
         WHERE from_us <= $1 AND (to_us IS NULL OR to_us > $1) AND driver_id IN ({})",
        names.join(", ")
    );
    let mut query = sqlx::query(AssertSqlSafe(sql)).bind(at.0);
    for id in drivers {
        query = query.bind(id.to_string());
    }
    let rows = query.fetch_all(conn).await?;
    rows.iter()
        .map(|row| {
            let vehicle =
                (parsed(row.try_get("vehicle_id")?, WHAT)?, parsed(row.try_get("vehicle_name")?, WHAT)?);
            Ok((parsed(row.try_get("driver_id")?, WHAT)?, vehicle))
        })
        .collect()
}

fn assignment(row: &AnyRow) -> Result<DriverAssignment, DomainError> {
    Ok(DriverAssignment {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        driver_id: parsed(row.try_get("driver_id")?, WHAT)?,
        driver_name: row.try_get("driver_name")?,
        vehicle_id: parsed(row.try_get("vehicle_id")?, WHAT)?,
        vehicle_name: parsed(row.try_get("vehicle_name")?, WHAT)?,
        from: Timestamp(row.try_get("from_us")?),
        to: row.try_get::<Option<i64>, _>("to_us")?.map(Timestamp),
        note: row.try_get("note")?,
        made_by: row.try_get("made_by")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        updated_at: Timestamp(row.try_get("updated_us")?),
    })
}

/// A driver's time with a vehicle, as trips are held against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::drivers) struct Time {
    pub(in crate::drivers) vehicle: VehicleId,
    pub(in crate::drivers) driver_id: DriverId,
    pub(in crate::drivers) driver_name: String,
    pub(in crate::drivers) organization_id: Option<OrganizationId>,
    pub(in crate::drivers) from: Timestamp,
    pub(in crate::drivers) to: Option<Timestamp>,
}

/// Vehicles of one statement: each is a condition of it.
const VEHICLES_A_STATEMENT: usize = 50;

/// The times of vehicles that may overlap `[start, end]`, each with its own, by vehicle and begin.
pub(in crate::drivers) async fn times_within(
    conn: &mut Conn,
    spans: &[(VehicleId, (Timestamp, Timestamp))],
) -> Result<Vec<Time>, DomainError> {
    let mut found = Vec::new();
    for some in spans.chunks(VEHICLES_A_STATEMENT) {
        // As none overlap, the one that begins last until the start is the first that can count: the index has the
        // rest in order. Numbers of parameters alone are put into the text.
        let conditions: Vec<String> = (0..some.len())
            .map(|i| {
                let (name, start, end) = (3 * i + 1, 3 * i + 2, 3 * i + 3);
                format!(
                    "(a.vehicle_name = ${name} AND a.from_us <= ${end} AND a.from_us >= COALESCE((SELECT MAX(b.from_us) \
                     FROM driver_assignments b WHERE b.vehicle_name = ${name} AND b.from_us <= ${start}), ${start}))"
                )
            })
            .collect();
        let sql = format!(
            "SELECT a.vehicle_name, a.driver_id, d.name AS driver_name, a.organization_id, a.from_us, a.to_us \
             FROM driver_assignments a JOIN drivers d ON d.id = a.driver_id WHERE {} \
             ORDER BY a.vehicle_name, a.from_us",
            conditions.join(" OR ")
        );
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (vehicle, (start, end)) in some {
            query = query.bind(vehicle.to_string()).bind(start.0).bind(end.0);
        }
        let rows = query.fetch_all(&mut *conn).await?;
        found.extend(rows.iter().map(time).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(found)
}

/// Times of a driver that overlap `[from, to)` and begin before a time, the latest first.
pub(in crate::drivers) async fn times_of(
    conn: &mut Conn,
    driver: &DriverId,
    ((from_us, to_us), limit): ((i64, i64), i64),
) -> Result<Vec<Time>, DomainError> {
    let rows = sqlx::query(
        "SELECT a.vehicle_name, a.driver_id, d.name AS driver_name, a.organization_id, a.from_us, a.to_us \
         FROM driver_assignments a JOIN drivers d ON d.id = a.driver_id WHERE a.driver_id = $1 AND a.from_us < $2 \
         AND (a.to_us IS NULL OR a.to_us > $3) ORDER BY a.from_us DESC LIMIT $4",
    )
    .bind(driver.to_string())
    .bind(to_us)
    .bind(from_us)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(time).collect()
}

fn time(row: &AnyRow) -> Result<Time, DomainError> {
    Ok(Time {
        vehicle: parsed(row.try_get("vehicle_name")?, WHAT)?,
        driver_id: parsed(row.try_get("driver_id")?, WHAT)?,
        driver_name: row.try_get("driver_name")?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        from: Timestamp(row.try_get("from_us")?),
        to: row.try_get::<Option<i64>, _>("to_us")?.map(Timestamp),
    })
}
