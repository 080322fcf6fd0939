//! SQL on `maintenance_schedules`, `maintenance_items` and `work_orders`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::time::Timestamp;

use super::{items::Item, orders::types::WorkOrder, survey::Scope, types::MaintenanceSchedule};
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{MaintenanceScheduleId, RegistryId, WorkOrderId},
    rows::{parsed, read_json},
};

const SCHEDULE: &str = "maintenance schedule";
const ITEM: &str = "maintenance item";
const ORDER: &str = "work order";

pub(super) async fn insert_schedule(
    conn: &mut Conn,
    schedule: &MaintenanceSchedule,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO maintenance_schedules (id, organization_id, is_enabled, version, data) \
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(schedule.id.to_string())
    .bind(schedule.organization_id.as_ref().map(ToString::to_string))
    .bind(i64::from(schedule.is_enabled))
    .bind(schedule.version)
    .bind(json_of(schedule).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it but whose it is.
pub(super) async fn update_schedule(
    conn: &mut Conn,
    schedule: &MaintenanceSchedule,
) -> Result<(), DomainError> {
    sqlx::query("UPDATE maintenance_schedules SET is_enabled = $1, version = $2, data = $3 WHERE id = $4")
        .bind(i64::from(schedule.is_enabled))
        .bind(schedule.version)
        .bind(json_of(schedule).to_string())
        .bind(schedule.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// With where vehicles are in it.
pub(super) async fn delete_schedule(conn: &mut Conn, id: &MaintenanceScheduleId) -> Result<(), DomainError> {
    for query in [
        "DELETE FROM maintenance_items WHERE schedule_id = $1",
        "DELETE FROM maintenance_schedules WHERE id = $1",
    ] {
        sqlx::query(query).bind(id.to_string()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    for query in
        ["DELETE FROM work_orders", "DELETE FROM maintenance_items", "DELETE FROM maintenance_schedules"]
    {
        sqlx::query(query).execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn schedule(
    conn: &mut Conn,
    id: &MaintenanceScheduleId,
) -> Result<Option<MaintenanceSchedule>, DomainError> {
    let row = sqlx::query("SELECT data FROM maintenance_schedules WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| read_json(row, SCHEDULE)).transpose()
}

/// Schedules after an id; of an organization unless empty.
pub(super) async fn schedules_after(
    conn: &mut Conn,
    organization: &str,
    (id, limit): (&str, i64),
) -> Result<Vec<MaintenanceSchedule>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM maintenance_schedules WHERE id > $1 AND ($2 = '' OR organization_id = $2) \
         ORDER BY id LIMIT $3",
    )
    .bind(id.to_owned())
    .bind(organization.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, SCHEDULE)).collect()
}

/// Those by which anything is due: of an organization, or one; what is empty narrows nothing.
pub(super) async fn enabled_schedules(
    conn: &mut Conn,
    (organization, id): (&str, &str),
) -> Result<Vec<MaintenanceSchedule>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM maintenance_schedules WHERE is_enabled = 1 AND ($1 = '' OR organization_id = $1) \
         AND ($2 = '' OR id = $2) ORDER BY id",
    )
    .bind(organization.to_owned())
    .bind(id.to_owned())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, SCHEDULE)).collect()
}

const ITEM_COLUMNS: &str = "SELECT i.schedule_id, i.vehicle_id, i.since_us, i.odometer_m, i.is_done, i.told, \
                            i.told_limits, i.version FROM maintenance_items i";

pub(super) async fn item(
    conn: &mut Conn,
    (schedule, vehicle): (&MaintenanceScheduleId, &RegistryId),
) -> Result<Option<Item>, DomainError> {
    let query = format!("{ITEM_COLUMNS} WHERE i.schedule_id = $1 AND i.vehicle_id = $2");
    let row = sqlx::query(AssertSqlSafe(query))
        .bind(schedule.to_string())
        .bind(vehicle.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(read_item).transpose()
}

pub(super) async fn items(conn: &mut Conn, scope: &Scope) -> Result<Vec<Item>, DomainError> {
    let query = format!(
        "{ITEM_COLUMNS} JOIN maintenance_schedules s ON s.id = i.schedule_id WHERE s.is_enabled = 1 \
         AND ($1 = '' OR s.organization_id = $1) AND ($2 = '' OR i.schedule_id = $2) \
         AND ($3 = '' OR i.vehicle_id = $3)"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(scope.organization.clone())
        .bind(scope.schedule.clone())
        .bind(scope.vehicle.as_ref().map(ToString::to_string).unwrap_or_default())
        .fetch_all(conn)
        .await?;
    rows.iter().map(read_item).collect()
}

fn read_item(row: &AnyRow) -> Result<Item, DomainError> {
    Ok(Item {
        schedule_id: parsed(row.try_get("schedule_id")?, ITEM)?,
        vehicle_id: parsed(row.try_get("vehicle_id")?, ITEM)?,
        since: Timestamp(row.try_get("since_us")?),
        odometer_m: row.try_get("odometer_m")?,
        is_done: row.try_get::<i64, _>("is_done")? == 1,
        told: parsed(row.try_get("told")?, ITEM)?,
        told_limits: row.try_get("told_limits")?,
        version: row.try_get("version")?,
    })
}

pub(super) async fn put_item(conn: &mut Conn, item: &Item) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO maintenance_items \
         (schedule_id, vehicle_id, since_us, odometer_m, is_done, told, told_limits, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (schedule_id, vehicle_id) DO UPDATE SET \
         since_us = excluded.since_us, odometer_m = excluded.odometer_m, is_done = excluded.is_done, \
         told = excluded.told, told_limits = excluded.told_limits, version = excluded.version",
    )
    .bind(item.schedule_id.to_string())
    .bind(item.vehicle_id.to_string())
    .bind(item.since.0)
    .bind(item.odometer_m)
    .bind(i64::from(item.is_done))
    .bind(item.told.as_str())
    .bind(item.told_limits.clone())
    .bind(item.version)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn insert_order(conn: &mut Conn, order: &WorkOrder) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO work_orders (id, organization_id, vehicle_id, schedule_id, status, closed_us, version, data) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(order.id.to_string())
    .bind(order.organization_id.as_ref().map(ToString::to_string))
    .bind(order.vehicle_id.to_string())
    .bind(order.schedule_id.as_ref().map(ToString::to_string))
    .bind(order.status.as_str())
    .bind(order.closed_at.map(|at| at.0))
    .bind(order.version)
    .bind(json_of(order).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(super) async fn update_order(conn: &mut Conn, order: &WorkOrder) -> Result<(), DomainError> {
    sqlx::query("UPDATE work_orders SET status = $1, closed_us = $2, version = $3, data = $4 WHERE id = $5")
        .bind(order.status.as_str())
        .bind(order.closed_at.map(|at| at.0))
        .bind(order.version)
        .bind(json_of(order).to_string())
        .bind(order.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn order(conn: &mut Conn, id: &WorkOrderId) -> Result<Option<WorkOrder>, DomainError> {
    let row = sqlx::query("SELECT data FROM work_orders WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| read_json(row, ORDER)).transpose()
}

/// The order that is open for a vehicle and a schedule.
pub(super) async fn open_order(
    conn: &mut Conn,
    (schedule, vehicle): (&MaintenanceScheduleId, &RegistryId),
) -> Result<Option<WorkOrderId>, DomainError> {
    let row = sqlx::query(
        "SELECT id FROM work_orders WHERE schedule_id = $1 AND vehicle_id = $2 AND closed_us IS NULL",
    )
    .bind(schedule.to_string())
    .bind(vehicle.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| parsed(row.try_get("id")?, ORDER)).transpose()
}

/// All that are open for schedules; of an organization unless empty.
pub(super) async fn open_orders(
    conn: &mut Conn,
    organization: &str,
) -> Result<HashMap<(MaintenanceScheduleId, RegistryId), WorkOrderId>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, schedule_id, vehicle_id FROM work_orders WHERE closed_us IS NULL \
         AND schedule_id IS NOT NULL AND ($1 = '' OR organization_id = $1)",
    )
    .bind(organization.to_owned())
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            let schedule = parsed(row.try_get("schedule_id")?, SCHEDULE)?;
            let vehicle = parsed(row.try_get("vehicle_id")?, "vehicle")?;
            Ok(((schedule, vehicle), parsed(row.try_get("id")?, ORDER)?))
        })
        .collect()
}

/// How many are not closed.
pub(super) async fn open_count(conn: &mut Conn) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COUNT(*) AS count FROM work_orders WHERE closed_us IS NULL")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("count")?)
}

/// Which orders are listed; what is empty narrows nothing.
pub(super) struct WantedOrders {
    pub(super) organization: String,
    pub(super) vehicle: String,
    pub(super) schedule: String,
    pub(super) status: &'static str,
}

/// Orders before an id, the newest first.
pub(super) async fn orders_before(
    conn: &mut Conn,
    wanted: &WantedOrders,
    (id, limit): (Option<String>, i64),
) -> Result<Vec<WorkOrder>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM work_orders WHERE ($1 = '' OR id < $1) AND ($2 = '' OR organization_id = $2) \
         AND ($3 = '' OR vehicle_id = $3) AND ($4 = '' OR schedule_id = $4) AND ($5 = '' OR status = $5) \
         ORDER BY id DESC LIMIT $6",
    )
    .bind(id.unwrap_or_default())
    .bind(wanted.organization.clone())
    .bind(wanted.vehicle.clone())
    .bind(wanted.schedule.clone())
    .bind(wanted.status)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, ORDER)).collect()
}
