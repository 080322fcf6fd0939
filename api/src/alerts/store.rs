//! SQL on `alert_rules`, `alert_progress`, `alert_pending` and `alerts`.

use std::collections::BTreeMap;

use sqlx::{Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::types::{Alert, AlertRule, AlertRuleProgress, AlertStatus};
use crate::{
    db::Conn,
    events::json_of,
    fault::DomainError,
    ids::{AlertId, AlertRuleId},
    rows::{optional, parsed, read_json},
};

const RULE: &str = "alert rule";
const ALERT: &str = "alert";
const PROGRESS: &str = "progress of an alert rule";

pub(super) async fn insert_rule(conn: &mut Conn, rule: &AlertRule) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO alert_rules (id, organization_id, is_enabled, version, data) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(rule.id.to_string())
    .bind(rule.organization_id.as_ref().map(ToString::to_string))
    .bind(i64::from(rule.is_enabled))
    .bind(rule.version)
    .bind(json_of(rule).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(super) async fn update_rule(conn: &mut Conn, rule: &AlertRule) -> Result<(), DomainError> {
    sqlx::query("UPDATE alert_rules SET is_enabled = $1, version = $2, data = $3 WHERE id = $4")
        .bind(i64::from(rule.is_enabled))
        .bind(rule.version)
        .bind(json_of(rule).to_string())
        .bind(rule.id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// Its alerts stay.
pub(super) async fn delete_rule(conn: &mut Conn, id: &AlertRuleId) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM alert_rules WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear_rules(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM alert_rules").execute(conn).await?;
    Ok(())
}

pub(super) async fn rule(conn: &mut Conn, id: &AlertRuleId) -> Result<Option<AlertRule>, DomainError> {
    let row = sqlx::query("SELECT data FROM alert_rules WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(|row| read_json(row, RULE)).transpose()
}

/// Rules after an id; of an organization unless empty.
pub(super) async fn rules_after(
    conn: &mut Conn,
    organization: &str,
    (id, limit): (&str, i64),
) -> Result<Vec<AlertRule>, DomainError> {
    let rows = sqlx::query(
        "SELECT data FROM alert_rules WHERE id > $1 AND ($2 = '' OR organization_id = $2) ORDER BY id LIMIT $3",
    )
    .bind(id.to_owned())
    .bind(organization.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| read_json(row, RULE)).collect()
}

pub(super) async fn enabled_rules(conn: &mut Conn) -> Result<Vec<AlertRule>, DomainError> {
    let rows =
        sqlx::query("SELECT data FROM alert_rules WHERE is_enabled = 1 ORDER BY id").fetch_all(conn).await?;
    rows.iter().map(|row| read_json(row, RULE)).collect()
}

/// How far a rule has come in the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Up to which version of each table.
    pub(super) versions: BTreeMap<String, i64>,
    /// Rises with each step: of two processes only one takes it.
    pub(super) turn: i64,
    pub(super) evaluated_at: Option<Timestamp>,
    pub(super) fault: Option<String>,
}

fn progress_of(row: &AnyRow) -> Result<Progress, DomainError> {
    let versions: String = row.try_get("versions")?;
    let stored = || DomainError::Stored { what: PROGRESS, id: versions.chars().take(60).collect() };
    Ok(Progress {
        versions: serde_json::from_str(&versions).map_err(|_| stored())?,
        turn: row.try_get("turn")?,
        evaluated_at: row.try_get::<Option<i64>, _>("evaluated_us")?.map(Timestamp),
        fault: row.try_get("fault")?,
    })
}

pub(super) async fn progress(conn: &mut Conn, id: &AlertRuleId) -> Result<Option<Progress>, DomainError> {
    let row =
        sqlx::query("SELECT versions, turn, evaluated_us, fault FROM alert_progress WHERE rule_id = $1")
            .bind(id.to_string())
            .fetch_optional(conn)
            .await?;
    row.as_ref().map(progress_of).transpose()
}

/// How far rules have come, as it is shown; of one that never did there is nothing.
pub(super) async fn shown_progress(
    conn: &mut Conn,
    id: &AlertRuleId,
) -> Result<AlertRuleProgress, DomainError> {
    let known = progress(conn, id).await?.unwrap_or_default();
    let row = sqlx::query("SELECT COUNT(*) AS count FROM alerts WHERE rule_id = $1 AND status = 'open'")
        .bind(id.to_string())
        .fetch_one(conn)
        .await?;
    Ok(AlertRuleProgress {
        evaluated_at: known.evaluated_at,
        fault: known.fault,
        open_count: row.try_get("count")?,
    })
}

/// Where a rule begins: what comes after these versions is asked.
pub(super) async fn begin_at(
    conn: &mut Conn,
    id: &AlertRuleId,
    versions: &BTreeMap<String, i64>,
) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO alert_progress (rule_id, versions, turn) VALUES ($1, $2, 1) \
         ON CONFLICT (rule_id) DO UPDATE SET versions = excluded.versions, turn = alert_progress.turn + 1, fault = NULL",
    )
    .bind(id.to_string())
    .bind(json_of(versions).to_string())
    .execute(&mut *conn)
    .await?;
    sqlx::query("DELETE FROM alert_pending WHERE rule_id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Notes how far a rule has come; false when somebody else was faster.
pub(super) async fn advance(
    conn: &mut Conn,
    (id, next): (&AlertRuleId, &Progress),
) -> Result<bool, DomainError> {
    let done = sqlx::query(
        "UPDATE alert_progress SET versions = $1, turn = $2, evaluated_us = $3, fault = $4 \
         WHERE rule_id = $5 AND turn = $6",
    )
    .bind(json_of(&next.versions).to_string())
    .bind(next.turn)
    .bind(next.evaluated_at.map(|at| at.0))
    .bind(next.fault.clone())
    .bind(id.to_string())
    .bind(next.turn - 1)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets how far a rule came.
pub(super) async fn forget_progress(conn: &mut Conn, id: &AlertRuleId) -> Result<(), DomainError> {
    for query in
        ["DELETE FROM alert_progress WHERE rule_id = $1", "DELETE FROM alert_pending WHERE rule_id = $1"]
    {
        sqlx::query(query).bind(id.to_string()).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Of which vehicles moments of a rule wait to be sure: the first such, and since when it waits.
pub(super) async fn pending(
    conn: &mut Conn,
    id: &AlertRuleId,
) -> Result<BTreeMap<VehicleId, (Timestamp, Timestamp)>, DomainError> {
    let rows = sqlx::query("SELECT vehicle_id, from_us, touched_us FROM alert_pending WHERE rule_id = $1")
        .bind(id.to_string())
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let vehicle_id = parsed(row.try_get("vehicle_id")?, "vehicle")?;
            Ok((vehicle_id, (Timestamp(row.try_get("from_us")?), Timestamp(row.try_get("touched_us")?))))
        })
        .collect()
}

/// Moments of a vehicle wait, or none do.
pub(super) async fn set_pending(
    conn: &mut Conn,
    (id, vehicle_id): (&AlertRuleId, &VehicleId),
    waiting: Option<(Timestamp, Timestamp)>,
) -> Result<(), DomainError> {
    let Some((from, touched)) = waiting else {
        sqlx::query("DELETE FROM alert_pending WHERE rule_id = $1 AND vehicle_id = $2")
            .bind(id.to_string())
            .bind(vehicle_id.to_string())
            .execute(conn)
            .await?;
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO alert_pending (rule_id, vehicle_id, from_us, touched_us) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (rule_id, vehicle_id) DO UPDATE SET from_us = excluded.from_us, touched_us = excluded.touched_us",
    )
    .bind(id.to_string())
    .bind(vehicle_id.to_string())
    .bind(from.0)
    .bind(touched.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// An alert, and when it was found to go on last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) alert: Alert,
    pub(super) seen_at: Timestamp,
}

/// What is of an alert alone, and not of its last moment, is in its JSON.
fn kept(row: &AnyRow) -> Result<Kept, DomainError> {
    let mut alert: Alert = read_json(row, ALERT)?;
    alert.last_at = Timestamp(row.try_get("last_us")?);
    Ok(Kept { alert, seen_at: Timestamp(row.try_get("seen_us")?) })
}

const COLUMNS: &str = "SELECT data, last_us, seen_us FROM alerts";

pub(super) async fn insert_alert(conn: &mut Conn, kept: &Kept) -> Result<(), DomainError> {
    let alert = &kept.alert;
    sqlx::query(
        "INSERT INTO alerts (id, rule_id, asked_version, organization_id, vehicle_id, status, start_us, last_us, \
         seen_us, acknowledged_us, version, data) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(alert.id.to_string())
    .bind(alert.rule_id.to_string())
    .bind(alert.asked_version)
    .bind(alert.organization_id.as_ref().map(ToString::to_string))
    .bind(alert.vehicle_id.to_string())
    .bind(alert.status.as_str())
    .bind(alert.started_at.0)
    .bind(alert.last_at.0)
    .bind(kept.seen_at.0)
    .bind(alert.acknowledged_at.map(|at| at.0))
    .bind(alert.version)
    .bind(json_of(alert).to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(super) async fn update_alert(conn: &mut Conn, kept: &Kept) -> Result<(), DomainError> {
    let alert = &kept.alert;
    sqlx::query(
        "UPDATE alerts SET status = $1, start_us = $2, last_us = $3, seen_us = $4, acknowledged_us = $5, \
         version = $6, data = $7 WHERE id = $8",
    )
    .bind(alert.status.as_str())
    .bind(alert.started_at.0)
    .bind(alert.last_at.0)
    .bind(kept.seen_at.0)
    .bind(alert.acknowledged_at.map(|at| at.0))
    .bind(alert.version)
    .bind(json_of(alert).to_string())
    .bind(alert.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn alert(conn: &mut Conn, id: &AlertId) -> Result<Option<Kept>, DomainError> {
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1")))
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    row.as_ref().map(kept).transpose()
}

/// Those of a vehicle by what a rule asks that touch a time and stand, by their time.
pub(super) async fn touching(
    conn: &mut Conn,
    (rule, vehicle_id): (&AlertRule, &VehicleId),
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<Kept>, DomainError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE rule_id = $1 AND vehicle_id = $2 AND asked_version = $3 AND status <> 'withdrawn' \
         AND start_us <= $4 AND last_us >= $5 ORDER BY start_us"
    )))
    .bind(rule.id.to_string())
    .bind(vehicle_id.to_string())
    .bind(rule.asked_version)
    .bind(to.0)
    .bind(from.0)
    .fetch_all(conn)
    .await?;
    rows.iter().map(kept).collect()
}

/// Those of a rule that are open.
pub(super) async fn open(conn: &mut Conn, id: &AlertRuleId) -> Result<Vec<Kept>, DomainError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE rule_id = $1 AND status = 'open' ORDER BY start_us, id"
    )))
    .bind(id.to_string())
    .fetch_all(conn)
    .await?;
    rows.iter().map(kept).collect()
}

/// How many are open, by how bad they are.
pub(super) async fn open_count(conn: &mut Conn) -> Result<i64, DomainError> {
    let row =
        sqlx::query("SELECT COUNT(*) AS count FROM alerts WHERE status = 'open'").fetch_one(conn).await?;
    Ok(row.try_get("count")?)
}

/// The organization of an alert.
pub(super) async fn organization_of(
    conn: &mut Conn,
    id: &AlertId,
) -> Result<Option<crate::ids::OrganizationId>, DomainError> {
    let row = sqlx::query("SELECT organization_id FROM alerts WHERE id = $1")
        .bind(id.to_string())
        .fetch_optional(conn)
        .await?;
    let row = row.ok_or_else(|| DomainError::not_found(ALERT, id.as_str()))?;
    optional(&row, ("organization_id", ALERT))
}

/// Which alerts are listed; what is empty narrows nothing.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) rule: String,
    pub(super) vehicle: String,
    pub(super) status: Option<AlertStatus>,
    pub(super) is_acknowledged: Option<bool>,
    pub(super) period_us: (i64, i64),
}

/// Alerts before one, the latest first.
pub(super) async fn before(
    conn: &mut Conn,
    wanted: &Wanted,
    ((start_us, id), limit): ((i64, String), i64),
) -> Result<Vec<Alert>, DomainError> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "{COLUMNS} WHERE ($1 = '' OR organization_id = $1) AND ($2 = '' OR rule_id = $2) \
         AND ($3 = '' OR vehicle_id = $3) AND (($4 = '' AND status <> 'withdrawn') OR status = $4) \
         AND ($5 < 0 OR ($5 = 1 AND acknowledged_us IS NOT NULL) OR ($5 = 0 AND acknowledged_us IS NULL)) \
         AND last_us >= $6 AND start_us < $7 AND (start_us < $8 OR (start_us = $8 AND id < $9)) \
         ORDER BY start_us DESC, id DESC LIMIT $10"
    )))
    .bind(wanted.organization.clone())
    .bind(wanted.rule.clone())
    .bind(wanted.vehicle.clone())
    .bind(wanted.status.map_or("", AlertStatus::as_str))
    .bind(wanted.is_acknowledged.map_or(-1, i64::from))
    .bind(wanted.period_us.0)
    .bind(wanted.period_us.1)
    .bind(start_us)
    .bind(id)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(kept(row)?.alert)).collect()
}
