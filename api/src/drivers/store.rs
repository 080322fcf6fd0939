//! SQL on `drivers`.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::time::Timestamp;

use super::types::Driver;
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{DriverId, UserId},
    rows::{optional, parsed},
};

const WHAT: &str = "driver";

/// What a driver is searched and sorted by.
pub(super) fn search_of(driver: &Driver) -> String {
    let number = driver.employee_number.as_deref().unwrap_or_default();
    // No name and no number has a line's end.
    format!("{}\t{}", driver.name, number).to_lowercase()
}

/// A day as a number: 20270131.
fn day_number(date: Option<&str>) -> Option<i64> {
    date.and_then(|date| date.replace('-', "").parse().ok())
}

fn day_of(number: i64) -> String {
    format!("{:04}-{:02}-{:02}", number / 10_000, number / 100 % 100, number % 100)
}

pub(super) async fn insert(conn: &mut Conn, driver: &Driver) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO drivers (id, organization_id, name, search, employee_number, user_id, licence_number, \
         licence_classes, licence_until, phone, status, version, created_us, updated_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(driver.id.to_string())
    .bind(driver.organization_id.as_ref().map(ToString::to_string))
    .bind(driver.name.clone())
    .bind(search_of(driver))
    .bind(driver.employee_number.clone())
    .bind(driver.user_id.as_ref().map(ToString::to_string))
    .bind(driver.licence_number.clone())
    .bind(json_of(&driver.licence_classes).to_string())
    .bind(day_number(driver.licence_valid_until.as_deref()))
    .bind(driver.phone.clone())
    .bind(driver.status.as_str())
    .bind(driver.version)
    .bind(driver.created_at.0)
    .bind(driver.updated_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of them but whose they are.
pub(super) async fn update(conn: &mut Conn, driver: &Driver) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE drivers SET name = $1, search = $2, employee_number = $3, user_id = $4, licence_number = $5, \
         licence_classes = $6, licence_until = $7, phone = $8, status = $9, version = $10, updated_us = $11 \
         WHERE id = $12",
    )
    .bind(driver.name.clone())
    .bind(search_of(driver))
    .bind(driver.employee_number.clone())
    .bind(driver.user_id.as_ref().map(ToString::to_string))
    .bind(driver.licence_number.clone())
    .bind(json_of(&driver.licence_classes).to_string())
    .bind(day_number(driver.licence_valid_until.as_deref()))
    .bind(driver.phone.clone())
    .bind(driver.status.as_str())
    .bind(driver.version)
    .bind(driver.updated_at.0)
    .bind(driver.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM drivers").execute(conn).await?;
    Ok(())
}

const DRIVER: &str = "SELECT d.id, d.organization_id, d.name, d.employee_number, d.user_id, d.licence_number, \
                      d.licence_classes, d.licence_until, d.phone, d.status, d.version, d.created_us, \
                      d.updated_us FROM drivers d";

pub(super) async fn by_id(conn: &mut Conn, id: &DriverId) -> Result<Option<Driver>, DomainError> {
    let query = format!("{DRIVER} WHERE d.id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(driver).transpose()
}

/// Who signs in as a person.
pub(super) async fn of_user(conn: &mut Conn, user: &UserId) -> Result<Option<DriverId>, DomainError> {
    let row = sqlx::query("SELECT id FROM drivers WHERE user_id = $1")
        .bind(user.to_string())
        .fetch_optional(conn)
        .await?;
    row.map(|row| parsed(row.try_get("id")?, WHAT)).transpose()
}

/// Who has an employee number in an organization, which is empty for the operator.
pub(super) async fn with_number(
    conn: &mut Conn,
    (organization, number): (&str, &str),
) -> Result<Option<DriverId>, DomainError> {
    let row = sqlx::query(
        "SELECT id FROM drivers WHERE COALESCE(organization_id, '') = $1 AND employee_number = $2",
    )
    .bind(organization.to_owned())
    .bind(number.to_owned())
    .fetch_optional(conn)
    .await?;
    row.map(|row| parsed(row.try_get("id")?, WHAT)).transpose()
}

/// Which drivers are listed; what is empty narrows nothing.
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) status: &'static str,
    /// In lower case.
    pub(super) part: String,
    /// Who has this vehicle `now`.
    pub(super) vehicle: String,
    pub(super) now: Timestamp,
    pub(super) ends_before: Option<String>,
}

/// Drivers by name, after one.
pub(super) async fn after(
    conn: &mut Conn,
    wanted: &Wanted,
    ((search, id), limit): ((String, String), i64),
) -> Result<Vec<Driver>, DomainError> {
    let query = format!(
        "{DRIVER} WHERE (d.search > $1 OR (d.search = $1 AND d.id > $2)) AND ($3 = '' OR d.organization_id = $3) \
         AND ($4 = '' OR d.status = $4) AND d.search LIKE $5 ESCAPE '\\' AND ($6 = 0 OR d.licence_until < $6) \
         AND ($7 = '' OR EXISTS (SELECT 1 FROM driver_assignments a WHERE a.driver_id = d.id \
         AND a.vehicle_id = $7 AND a.from_us <= $8 AND (a.to_us IS NULL OR a.to_us > $8))) \
         ORDER BY d.search, d.id LIMIT $9"
    );
    let part = wanted.part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(search)
        .bind(id)
        .bind(wanted.organization.clone())
        .bind(wanted.status)
        .bind(format!("%{part}%"))
        .bind(day_number(wanted.ends_before.as_deref()).unwrap_or(0))
        .bind(wanted.vehicle.clone())
        .bind(wanted.now.0)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(driver).collect()
}

fn driver(row: &AnyRow) -> Result<Driver, DomainError> {
    let classes: String = row.try_get("licence_classes")?;
    let stored = || DomainError::Stored { what: WHAT, id: classes.chars().take(60).collect() };
    Ok(Driver {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        name: row.try_get("name")?,
        employee_number: row.try_get("employee_number")?,
        user_id: optional(row, ("user_id", WHAT))?,
        licence_number: row.try_get("licence_number")?,
        licence_classes: serde_json::from_str(&classes).map_err(|_| stored())?,
        licence_valid_until: row.try_get::<Option<i64>, _>("licence_until")?.map(day_of),
        phone: row.try_get("phone")?,
        status: parsed(row.try_get("status")?, WHAT)?,
        vehicle_id: None,
        vehicle_name: None,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        updated_at: Timestamp(row.try_get("updated_us")?),
    })
}
