//! SQL on `campaign_sets`, `campaign_deployments` and `campaign_targets`.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::types::{Deployment, StoredSet, Target, TargetItem, Uptake, UptakeCounts};
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{CampaignSetId, DeploymentId},
    rows::{optional, parsed},
};

/// Rows of an INSERT: a parameter each, of which SQLite takes 32,766.
const ROWS_OF_STATEMENT: usize = 500;
const SET: &str = "SELECT id, organization_id, name, description, text, version, created_us, changed_us \
                   FROM campaign_sets";
const DEPLOYMENT: &str = "SELECT id, organization_id, campaign_set_id, name, revision, text, hash, created_us \
                          FROM campaign_deployments";
/// Joined tables and how far a vehicle `t` of a deployment `d` is, whose agent is `a`.
const TARGETS: &str = "campaign_targets t JOIN campaign_deployments d ON d.id = t.deployment_id \
                       LEFT JOIN agents a ON a.vehicle_id = t.vehicle_id";
const UPTAKE: &str = "CASE WHEN t.is_current = 0 THEN 'replaced' WHEN a.set_hash = d.hash THEN 'in_force' \
                      WHEN a.refusal <> '' AND a.heard_us >= t.published_us THEN 'refused' ELSE 'pending' END";

pub(crate) async fn insert_set(conn: &mut Conn, set: &StoredSet) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO campaign_sets (id, organization_id, name, description, text, version, created_us, changed_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(set.id.to_string())
    .bind(set.organization_id.as_ref().map(ToString::to_string))
    .bind(set.name.clone())
    .bind(set.description.clone())
    .bind(set.text.clone())
    .bind(set.version)
    .bind(set.created_at.0)
    .bind(set.changed_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn update_set(conn: &mut Conn, set: &StoredSet) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE campaign_sets SET name = $1, description = $2, text = $3, version = $4, changed_us = $5 \
         WHERE id = $6",
    )
    .bind(set.name.clone())
    .bind(set.description.clone())
    .bind(set.text.clone())
    .bind(set.version)
    .bind(set.changed_at.0)
    .bind(set.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

pub(crate) async fn delete_set(conn: &mut Conn, id: &CampaignSetId) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM campaign_sets WHERE id = $1").bind(id.to_string()).execute(conn).await?;
    Ok(())
}

/// Only to make them anew.
pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    for query in
        ["DELETE FROM campaign_targets", "DELETE FROM campaign_deployments", "DELETE FROM campaign_sets"]
    {
        sqlx::query(query).execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn set_by_id(conn: &mut Conn, id: &CampaignSetId) -> Result<Option<StoredSet>, DomainError> {
    let query = format!("{SET} WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(stored_set).transpose()
}

/// Sets after an id, of an organization and with a part of a name in lower case, where these are given.
pub(super) async fn sets_after(
    conn: &mut Conn,
    (organization, part): (&str, &str),
    (id, limit): (&str, i64),
) -> Result<Vec<StoredSet>, DomainError> {
    let query = format!(
        "{SET} WHERE id > $1 AND ($2 = '' OR organization_id = $2) AND LOWER(name) LIKE $3 ESCAPE '\\' \
         ORDER BY id LIMIT $4"
    );
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(organization.to_owned())
        .bind(format!("%{escaped}%"))
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(stored_set).collect()
}

/// The highest revision of all deployments; 0 before the first.
pub(super) async fn last_revision(conn: &mut Conn) -> Result<i64, DomainError> {
    let row = sqlx::query("SELECT COALESCE(MAX(revision), 0) AS revision FROM campaign_deployments")
        .fetch_one(conn)
        .await?;
    Ok(row.try_get("revision")?)
}

pub(crate) async fn insert_deployment(conn: &mut Conn, deployment: &Deployment) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO campaign_deployments (id, organization_id, campaign_set_id, name, revision, text, hash, \
         created_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(deployment.id.to_string())
    .bind(deployment.organization_id.as_ref().map(ToString::to_string))
    .bind(deployment.campaign_set_id.as_ref().map(ToString::to_string))
    .bind(deployment.name.clone())
    .bind(deployment.revision)
    .bind(deployment.text.clone())
    .bind(deployment.hash.clone())
    .bind(deployment.created_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// From now on vehicles are to run this deployment, and no other.
pub(crate) async fn retarget(
    conn: &mut Conn,
    id: &DeploymentId,
    vehicles: &[VehicleId],
) -> Result<(), DomainError> {
    for some in vehicles.chunks(ROWS_OF_STATEMENT) {
        let rows: Vec<String> = (2..some.len() + 2).map(|place| format!("($1, ${place}, 0)")).collect();
        let query = format!(
            "INSERT INTO campaign_targets (deployment_id, vehicle_id, is_current) VALUES {}",
            rows.join(", ")
        );
        let insert = sqlx::query(AssertSqlSafe(query)).bind(id.to_string());
        let insert = some.iter().fold(insert, |insert, vehicle_id| insert.bind(vehicle_id.to_string()));
        insert.execute(&mut *conn).await?;
    }
    // A vehicle has one that is current.
    for query in [
        "UPDATE campaign_targets SET is_current = 0 WHERE is_current = 1 AND vehicle_id IN \
         (SELECT vehicle_id FROM campaign_targets WHERE deployment_id = $1)",
        "UPDATE campaign_targets SET is_current = 1 WHERE deployment_id = $1",
    ] {
        sqlx::query(query).bind(id.to_string()).execute(&mut *conn).await?;
    }
    Ok(())
}

pub(super) async fn deployment_by_id(
    conn: &mut Conn,
    id: &DeploymentId,
) -> Result<Option<Deployment>, DomainError> {
    let query = format!("{DEPLOYMENT} WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(deployment).transpose()
}

/// Deployments before an id, or the newest; of an organization and of a set, where these are given.
pub(super) async fn deployments_before(
    conn: &mut Conn,
    (organization, set): (&str, &str),
    (id, limit): (&str, i64),
) -> Result<Vec<Deployment>, DomainError> {
    let query = format!(
        "{DEPLOYMENT} WHERE ($1 = '' OR id < $1) AND ($2 = '' OR organization_id = $2) \
         AND ($3 = '' OR campaign_set_id = $3) ORDER BY id DESC LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(organization.to_owned())
        .bind(set.to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(deployment).collect()
}

/// How many vehicles of a deployment are how far.
pub(super) async fn uptake(conn: &mut Conn, id: &DeploymentId) -> Result<UptakeCounts, DomainError> {
    let query = format!(
        "SELECT {UPTAKE} AS uptake, COUNT(*) AS count FROM {TARGETS} WHERE t.deployment_id = $1 GROUP BY 1"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(id.to_string()).fetch_all(conn).await?;
    let mut counts = UptakeCounts::default();
    for row in &rows {
        let count: i64 = row.try_get("count")?;
        match uptake_of(row)? {
            Uptake::InForce => counts.in_force = count,
            Uptake::Pending => counts.pending = count,
            Uptake::Refused => counts.refused = count,
            Uptake::Replaced => counts.replaced = count,
        }
    }
    Ok(counts)
}

/// Vehicles of a deployment after one, where one is given those that are so far.
pub(super) async fn targets_after(
    conn: &mut Conn,
    (id, uptake): (&DeploymentId, &str),
    (vehicle_id, limit): (&str, i64),
) -> Result<Vec<TargetItem>, DomainError> {
    let query = format!(
        "SELECT t.vehicle_id, {UPTAKE} AS uptake, a.refusal, t.published_us FROM {TARGETS} \
         WHERE t.deployment_id = $1 AND t.vehicle_id > $2 AND ($3 = '' OR {UPTAKE} = $3) \
         ORDER BY t.vehicle_id LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_string())
        .bind(vehicle_id.to_owned())
        .bind(uptake.to_owned())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| {
            let uptake = uptake_of(row)?;
            let refusal: Option<String> = row.try_get("refusal")?;
            Ok(TargetItem {
                vehicle_id: parsed(row.try_get("vehicle_id")?, "campaign target")?,
                uptake,
                refusal: refusal.filter(|_| uptake == Uptake::Refused),
                published_at: row.try_get::<Option<i64>, _>("published_us")?.map(Timestamp),
            })
        })
        .collect()
}

/// What a vehicle is to run.
pub(super) async fn current_target(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
) -> Result<Option<Target>, DomainError> {
    let row = sqlx::query(
        "SELECT d.id, d.name, d.revision, d.hash, t.published_us \
         FROM campaign_targets t JOIN campaign_deployments d ON d.id = t.deployment_id \
         WHERE t.vehicle_id = $1 AND t.is_current = 1",
    )
    .bind(vehicle_id.to_string())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Target {
        deployment_id: parsed(row.try_get("id")?, "campaign deployment")?,
        name: row.try_get("name")?,
        revision: row.try_get("revision")?,
        hash: row.try_get("hash")?,
        published_at: row.try_get::<Option<i64>, _>("published_us")?.map(Timestamp),
    }))
}

/// What the broker is to be given: vehicle, deployment and text of so many.
pub(crate) async fn due(
    conn: &mut Conn,
    limit: i64,
) -> Result<Vec<(VehicleId, DeploymentId, String)>, DomainError> {
    let rows = sqlx::query(
        "SELECT t.vehicle_id, d.id, d.text \
         FROM campaign_targets t JOIN campaign_deployments d ON d.id = t.deployment_id \
         WHERE t.is_current = 1 AND t.published_us IS NULL ORDER BY t.vehicle_id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await?;
    let read = |row: &AnyRow| -> Result<_, DomainError> {
        let vehicle_id = parsed(row.try_get("vehicle_id")?, "campaign target")?;
        Ok((vehicle_id, parsed(row.try_get("id")?, "campaign deployment")?, row.try_get("text")?))
    };
    rows.iter().map(read).collect()
}

/// The broker was given it.
pub(crate) async fn mark_published(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, id): (&VehicleId, &DeploymentId),
) -> Result<(), DomainError> {
    sqlx::query("UPDATE campaign_targets SET published_us = $1 WHERE vehicle_id = $2 AND deployment_id = $3")
        .bind(now.0)
        .bind(vehicle_id.to_string())
        .bind(id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

/// What is neither in force nor refused is to be given to the broker again: of one vehicle, or of all when it is empty.
pub(super) async fn unmark_pending(conn: &mut Conn, vehicle_id: &str) -> Result<(), DomainError> {
    let query = format!(
        "UPDATE campaign_targets SET published_us = NULL \
         WHERE is_current = 1 AND published_us IS NOT NULL AND ($1 = '' OR vehicle_id = $1) \
         AND EXISTS (SELECT 1 FROM {TARGETS} WHERE t.deployment_id = campaign_targets.deployment_id \
         AND t.vehicle_id = campaign_targets.vehicle_id AND {UPTAKE} = 'pending')"
    );
    sqlx::query(AssertSqlSafe(query)).bind(vehicle_id.to_owned()).execute(conn).await?;
    Ok(())
}

fn uptake_of(row: &AnyRow) -> Result<Uptake, DomainError> {
    let text: String = row.try_get("uptake")?;
    let all = [Uptake::InForce, Uptake::Pending, Uptake::Refused, Uptake::Replaced];
    let found = all.into_iter().find(|uptake| uptake.as_str() == text);
    found.ok_or(DomainError::Stored { what: "campaign target", id: text })
}

fn stored_set(row: &AnyRow) -> Result<StoredSet, DomainError> {
    Ok(StoredSet {
        id: parsed(row.try_get("id")?, "campaign set")?,
        organization_id: optional(row, ("organization_id", "campaign set"))?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        text: row.try_get("text")?,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        changed_at: Timestamp(row.try_get("changed_us")?),
    })
}

fn deployment(row: &AnyRow) -> Result<Deployment, DomainError> {
    const WHAT: &str = "campaign deployment";
    Ok(Deployment {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        campaign_set_id: optional(row, ("campaign_set_id", WHAT))?,
        name: row.try_get("name")?,
        revision: row.try_get("revision")?,
        hash: row.try_get("hash")?,
        text: row.try_get("text")?,
        uptake: UptakeCounts::default(),
        created_at: Timestamp(row.try_get("created_us")?),
    })
}
