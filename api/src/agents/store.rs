//! SQL on `agents`.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{
    ack::{LinkState, VehicleStatus},
    ids::VehicleId,
    time::Timestamp,
};

use super::types::{Agent, CampaignsInForce};
use crate::{db::Conn, fault::DomainError, rows::parsed};

const WHAT: &str = "agent";
/// SQLite takes 32,766.
const PARAMETERS_OF_STATEMENT: usize = 500;
const AGENT: &str = "SELECT vehicle_id, is_online, agent_version, boot_id, catalog_hash, link, since_us, \
                     set_name, set_revision, set_hash, refusal, heard_us FROM agents";

pub(super) async fn upsert(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, status): (&VehicleId, &VehicleStatus),
) -> Result<(), DomainError> {
    let in_force = status.campaigns.in_force.as_ref();
    sqlx::query(
        "INSERT INTO agents (vehicle_id, is_online, agent_version, boot_id, catalog_hash, link, since_us, \
         set_name, set_revision, set_hash, refusal, heard_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (vehicle_id) DO UPDATE SET is_online = excluded.is_online, \
         agent_version = excluded.agent_version, boot_id = excluded.boot_id, \
         catalog_hash = excluded.catalog_hash, link = excluded.link, since_us = excluded.since_us, \
         set_name = excluded.set_name, set_revision = excluded.set_revision, set_hash = excluded.set_hash, \
         refusal = excluded.refusal, heard_us = excluded.heard_us",
    )
    .bind(vehicle_id.to_string())
    .bind(i64::from(status.is_online))
    .bind(status.agent_version.clone())
    .bind(status.boot_id.to_string())
    .bind(status.catalog_hash.to_string())
    .bind(status.link.name())
    .bind(status.since.0)
    .bind(in_force.map(|set| set.set_id.clone()))
    .bind(in_force.map(|set| i64::try_from(set.revision).unwrap_or(i64::MAX)))
    .bind(in_force.map(|set| set.hash.to_string()))
    .bind(status.campaigns.refusal.clone())
    .bind(now.0)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn by_vehicle(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
) -> Result<Option<Agent>, DomainError> {
    let query = format!("{AGENT} WHERE vehicle_id = $1");
    let row = sqlx::query(AssertSqlSafe(query)).bind(vehicle_id.to_string()).fetch_optional(conn).await?;
    row.as_ref().map(agent).transpose()
}

/// Those of vehicles that there are.
pub(super) async fn by_vehicles(
    conn: &mut Conn,
    vehicles: &[VehicleId],
) -> Result<HashMap<VehicleId, Agent>, DomainError> {
    let mut found = HashMap::new();
    for some in vehicles.chunks(PARAMETERS_OF_STATEMENT) {
        let places: Vec<String> = (1..=some.len()).map(|place| format!("${place}")).collect();
        let query = format!("{AGENT} WHERE vehicle_id IN ({})", places.join(", "));
        let select = sqlx::query(AssertSqlSafe(query));
        let select = some.iter().fold(select, |select, vehicle_id| select.bind(vehicle_id.to_string()));
        for row in &select.fetch_all(&mut *conn).await? {
            let agent = agent(row)?;
            found.insert(agent.vehicle_id.clone(), agent);
        }
    }
    Ok(found)
}

/// Which agents are listed; what is empty narrows nothing.
pub(super) struct Wanted {
    pub(super) is_online: Option<bool>,
    pub(super) version: String,
}

/// Agents after a vehicle.
pub(super) async fn after(
    conn: &mut Conn,
    wanted: &Wanted,
    (vehicle_id, limit): (&str, i64),
) -> Result<Vec<Agent>, DomainError> {
    let query = format!(
        "{AGENT} WHERE vehicle_id > $1 AND ($2 = -1 OR is_online = $2) AND ($3 = '' OR agent_version = $3) \
         ORDER BY vehicle_id LIMIT $4"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(vehicle_id.to_owned())
        .bind(wanted.is_online.map_or(-1, i64::from))
        .bind(wanted.version.clone())
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(agent).collect()
}

fn agent(row: &AnyRow) -> Result<Agent, DomainError> {
    let name: Option<String> = row.try_get("set_name")?;
    let revision: Option<i64> = row.try_get("set_revision")?;
    let hash: Option<String> = row.try_get("set_hash")?;
    let refusal: String = row.try_get("refusal")?;
    let link: String = row.try_get("link")?;
    Ok(Agent {
        vehicle_id: parsed(row.try_get("vehicle_id")?, WHAT)?,
        is_online: row.try_get::<i64, _>("is_online")? != 0,
        link: LinkState::ALL.into_iter().find(|l| l.name() == link).unwrap_or_default(),
        agent_version: row.try_get("agent_version")?,
        boot_id: row.try_get("boot_id")?,
        catalog_hash: row.try_get("catalog_hash")?,
        since: Timestamp(row.try_get("since_us")?),
        heard_at: Timestamp(row.try_get("heard_us")?),
        campaigns_in_force: name.zip(revision).zip(hash).map(|((name, revision), hash)| CampaignsInForce {
            name,
            revision: u64::try_from(revision).unwrap_or(0),
            hash,
        }),
        campaigns_refusal: (!refusal.is_empty()).then_some(refusal),
        campaigns_wanted: None,
    })
}
