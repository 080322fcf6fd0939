//! Agents: the programs in the vehicles. How each is, the campaigns it is to run, the commands it is sent.
//!
//! *Owns* the tables `agents`, `campaign_sets`, `campaign_deployments`, `campaign_targets` and `commands`, the
//! events of the last four, and the keys that sign. *Does not own* whose vehicles they are (it asks the registry) nor
//! what they measure.
//!
//! Main path: a request writes what a vehicle is to run ([`campaigns`]) or to do ([`commands`]); `desk` signs it and
//! hands it to the broker by `link`, and notes what comes back in `status` and `reply`. The database is the outbox: what
//! was written is delivered, whatever dies in between. A vehicle that was not there is given it when it comes.
//!
//! Bounds: 10,000 vehicles a deployment, 128 KiB a set, 500 messages a transaction.

pub mod campaigns;
pub mod commands;
pub(crate) mod desk;
pub(crate) mod http;
pub(crate) mod link;
pub(crate) mod rebuild;
mod store;
pub mod types;

use std::{collections::HashMap, sync::Arc};

use wire::{ack::VehicleStatus, ids::VehicleId, signature::BatchSigner, time::Timestamp, topics::Channel};

use self::types::{Agent, AgentQuery, CampaignsWanted};
use crate::{
    caller::Caller,
    config::AgentsSettings,
    db::Conn,
    fault::DomainError,
    ids::OrganizationId,
    page::{Cursor, Page, limit_of},
    users, vehicles,
};

/// Agents, or commands, read at once to find those of an organization.
const LOOKED_THROUGH: i64 = 500;

/// The keys by which vehicles know what is from here.
#[derive(Clone, Default)]
pub struct Keys {
    /// Signs campaign sets.
    pub campaigns: Option<Arc<BatchSigner>>,
    /// Signs commands.
    pub commands: Option<Arc<BatchSigner>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// Whether something can be sent to agents from here; what is missing where not.
pub(crate) fn check_ready(settings: &AgentsSettings, channel: Channel) -> Result<(), DomainError> {
    let (has_key, key) = match channel {
        Channel::Campaigns => (settings.keys.campaigns.is_some(), "campaigns_key_file"),
        _ => (settings.keys.commands.is_some(), "commands_key_file"),
    };
    let missing = match (settings.broker.is_some(), has_key) {
        (false, _) => "agents.broker is not set: this server reaches no broker".to_owned(),
        (true, false) => {
            format!("agents.{key} is not set: this server has no key that vehicles would know it by")
        }
        (true, true) => return Ok(()),
    };
    Err(DomainError::Conflict(missing))
}

/// What a vehicle's agent told last, and what it is to run.
pub async fn get(conn: &mut Conn, vehicle_id: &VehicleId) -> Result<Agent, DomainError> {
    let agent = store::by_vehicle(conn, vehicle_id).await?;
    let mut agent = agent.ok_or_else(|| DomainError::not_found("agent of vehicle", vehicle_id.as_str()))?;
    let wanted = campaigns::wanted_of(conn, vehicle_id).await?;
    agent.campaigns_wanted = wanted.map(|wanted| CampaignsWanted::of(wanted, Some(&agent)));
    Ok(agent)
}

/// Agents by telemetry id.
pub async fn list(conn: &mut Conn, caller: &Caller, query: AgentQuery) -> Result<Page<Agent>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.key).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?;
    let organization: Option<OrganizationId> = match organization {
        Some(id) => Some(id.parse().map_err(|_| DomainError::not_found("organization", id))?),
        None => None,
    };
    let names = match &organization {
        Some(organization) => Some(vehicles::names(conn, Some(organization)).await?),
        None => None,
    };
    let wanted =
        store::Wanted { is_online: query.is_online, version: query.agent_version.unwrap_or_default() };
    let page_len = usize::try_from(limit + 1).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    while found.len() < page_len {
        let some = store::after(conn, &wanted, (&after, LOOKED_THROUGH)).await?;
        let Some(last) = some.last() else { break };
        last.vehicle_id.as_str().clone_into(&mut after);
        found.extend(
            some.into_iter().filter(|a| names.as_ref().is_none_or(|n| n.contains_key(&a.vehicle_id))),
        );
    }
    found.truncate(page_len);
    let ids: Vec<VehicleId> = found.iter().map(|agent| agent.vehicle_id.clone()).collect();
    let mut wanted: HashMap<VehicleId, _> = campaigns::wanted_of_all(conn, &ids).await?;
    for agent in &mut found {
        let wanted = wanted.remove(&agent.vehicle_id);
        agent.campaigns_wanted = wanted.map(|wanted| CampaignsWanted::of(wanted, Some(agent)));
    }
    Ok(Page::of(found, limit, |a| Cursor { key: a.vehicle_id.to_string(), id: String::new() }))
}

/// Notes what an agent told. A vehicle that does not run what it should, or is there again, is sent what waits.
pub(crate) async fn note_status(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, status): (&VehicleId, &VehicleStatus),
) -> Result<(), DomainError> {
    store::upsert(conn, now, (vehicle_id, status)).await?;
    if status.is_online {
        campaigns::publish_again(conn, vehicle_id).await?;
        commands::publish_again(conn, vehicle_id).await?;
    }
    Ok(())
}

/// The vehicle a request names, which must be the caller's.
async fn own_vehicle(conn: &mut Conn, caller: &Caller, id: &str) -> Result<Option<VehicleId>, DomainError> {
    Ok(vehicles::reached(conn, caller, id).await?.map(|vehicle| vehicle.vehicle_id))
}

/// Whose a new thing is.
async fn organization_of_new(
    conn: &mut Conn,
    caller: &Caller,
    (what, asked): (&'static str, Option<String>),
    faults: &mut crate::fault::Faults,
) -> Result<Option<OrganizationId>, DomainError> {
    let organization = caller.placed(what, asked)?;
    users::check_organization(conn, organization.as_deref(), faults).await
}
