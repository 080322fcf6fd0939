//! Campaigns: what vehicles collect beyond the default. An author writes a *set*; a *deployment* is a signed copy of it
//! for some vehicles, under a revision that is above every one before.
//!
//! A set is read by the code that will run it, and tried against the signals that each vehicle has (the catalogue its
//! agent names), so what a vehicle would refuse is told before it is sent. A vehicle runs the newest deployment that is
//! for it; one without a set ends its campaigns.

mod check;
pub(crate) mod http;
mod set;
mod store;
pub mod types;

use std::collections::HashMap;

use edge_agent::campaign::CampaignSet;
use wire::{campaigns::SetHash, ids::VehicleId, time::Timestamp};

use self::types::{
    CampaignSetPatch, CampaignSetQuery, Deployment, DeploymentQuery, NewCampaignSet, NewDeployment,
    StoredSet, Target, TargetItem, TargetQuery, Uptake, UptakeCounts,
};
pub(crate) use self::{
    check::{Checker, Known},
    store::{clear, delete_set, due, insert_deployment, insert_set, mark_published, retarget, update_set},
};
use super::organization_of_new;
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{CampaignSetId, DeploymentId},
    page::{Cursor, Page, limit_of},
    rows::count_of,
    vehicles::{self, groups},
};

pub(crate) const SET_AGGREGATE: &str = "campaign-set";
pub(crate) const DEPLOYMENT_AGGREGATE: &str = "campaign-deployment";
/// The name of what ends campaigns.
const NO_CAMPAIGNS: &str = "no-campaigns";
const SETS_MAX: i64 = 1_000;
/// Most vehicles of a deployment.
pub(crate) const TARGETS_MAX: usize = 10_000;

/// Adds a set.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewCampaignSet,
) -> Result<StoredSet, DomainError> {
    const WHAT: &str = "the campaign set";
    let mut faults = Faults::default();
    let organization_id = organization_of_new(conn, caller, (WHAT, new.organization_id), &mut faults).await?;
    let set = StoredSet {
        id: CampaignSetId::new(now),
        organization_id,
        name: new.name.trim().to_owned(),
        description: checked_description(new.description.unwrap_or_default(), &mut faults),
        text: new.text,
        version: 1,
        created_at: now,
        changed_at: now,
    };
    check_set(&set, &mut faults);
    faults.finish(WHAT)?;
    if count_of(conn, "campaign_sets", set.organization_id.as_ref()).await? >= SETS_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {SETS_MAX} campaign sets already, as many as an organization may have; delete one first"
        )));
    }
    note(conn, now, "CampaignSetCreated", &set).await?;
    store::insert_set(conn, &set).await?;
    Ok(set)
}

/// Changes a set that is at `expected_version`. What is deployed already stays as it is.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&CampaignSetId, i64),
    patch: CampaignSetPatch,
) -> Result<StoredSet, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "campaign set",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut set = before.clone();
    if let Some(name) = &patch.name {
        name.trim().clone_into(&mut set.name);
    }
    if let Some(description) = patch.description {
        set.description = checked_description(description, &mut faults);
    }
    if let Some(text) = patch.text {
        set.text = text;
    }
    check_set(&set, &mut faults);
    faults.finish("the change")?;
    if set == before {
        return Ok(before);
    }
    (set.version, set.changed_at) = (before.version + 1, now);
    note(conn, now, "CampaignSetChanged", &set).await?;
    store::update_set(conn, &set).await?;
    Ok(set)
}

/// Takes a set away; vehicles that run it go on.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &CampaignSetId) -> Result<(), DomainError> {
    let mut set = get(conn, id).await?;
    set.version += 1;
    note(conn, now, "CampaignSetDeleted", &set).await?;
    store::delete_set(conn, id).await
}

/// The set of an id.
pub async fn get(conn: &mut Conn, id: &CampaignSetId) -> Result<StoredSet, DomainError> {
    store::set_by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("campaign set", id.as_str()))
}

/// Sets, oldest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: CampaignSetQuery,
) -> Result<Page<StoredSet>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let part = query.q.unwrap_or_default().trim().to_lowercase();
    let found = store::sets_after(conn, (&organization, &part), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |set| Cursor { key: String::new(), id: set.id.to_string() }))
}

/// What is to be deployed to whom, looked at.
#[derive(Debug)]
pub(crate) struct Planned {
    set: Option<StoredSet>,
    organization_id: Option<crate::ids::OrganizationId>,
    pub(crate) vehicles: Vec<Known>,
    /// The text but for the revision, which is not known before it is the turn to write.
    pub(crate) parsed: CampaignSet,
}

/// Finds out what a deployment is and whom it is for.
pub(crate) async fn plan(
    conn: &mut Conn,
    caller: &Caller,
    new: &NewDeployment,
) -> Result<Planned, DomainError> {
    const WHAT: &str = "the deployment";
    let mut faults = Faults::default();
    let set = match &new.campaign_set_id {
        None => None,
        Some(id) => {
            let found = match id.parse() {
                Ok(id) => store::set_by_id(conn, &id).await?,
                Err(_) => None,
            };
            let own = found.filter(|set| {
                caller.organization().is_none_or(|own| set.organization_id.as_ref() == Some(own))
            });
            if own.is_none() {
                faults
                    .add("campaign_set_id", format!("there is no campaign set {id}; see /v1/campaign-sets"));
            }
            own
        }
    };
    let ids = targets(conn, caller, new, &mut faults).await?;
    faults.finish(WHAT)?;
    let (text, name) = set.as_ref().map_or(("", NO_CAMPAIGNS), |set| (&set.text, &set.name));
    let filled = set::filled(text, name, 1);
    let parsed =
        filled.and_then(|text| CampaignSet::parse(&text).map_err(|e| service::logs::chain(&e).to_string()));
    // It was read when it was stored; a release of before may have known more or less.
    let parsed = parsed.map_err(|message| DomainError::invalid(WHAT, "campaign_set_id", message))?;
    let vehicles = check::known(conn, ids).await?;
    let organization_id = caller.organization().cloned();
    Ok(Planned { set, organization_id, vehicles, parsed })
}

async fn targets(
    conn: &mut Conn,
    caller: &Caller,
    new: &NewDeployment,
    faults: &mut Faults,
) -> Result<Vec<VehicleId>, DomainError> {
    let own = vehicles::names(conn, caller.organization()).await?;
    let mut ids: Vec<VehicleId> = match (&new.vehicle_ids, new.all_vehicles, &new.group_id) {
        (Some(asked), false, None) => {
            let known = |id: &String| id.parse::<VehicleId>().ok().filter(|id| own.contains_key(id));
            for (at, id) in asked.iter().enumerate().filter(|(_, id)| known(id).is_none()) {
                faults.add(
                    format!("vehicle_ids[{at}]"),
                    format!("there is no vehicle {id:?}; see /v1/vehicles"),
                );
            }
            asked.iter().filter_map(known).collect()
        }
        (None, true, None) => own.into_keys().collect(),
        (None, false, Some(id)) => match groups::asked(conn, caller, Some(id)).await {
            Ok(Some(group)) => vehicles::names_in(conn, &group).await?.into_keys().collect(),
            Ok(None) | Err(DomainError::NotFound { .. }) => {
                faults.add("group_id", format!("there is no group {id}; see /v1/groups"));
                return Ok(Vec::new());
            }
            Err(error) => return Err(error),
        },
        _ => {
            let message =
                "give the vehicles' ids, or \"all_vehicles\": true, or a \"group_id\": one of them alone";
            faults.add("vehicle_ids", message);
            return Ok(Vec::new());
        }
    };
    ids.sort_unstable();
    ids.dedup();
    let fits = (1..=TARGETS_MAX).contains(&ids.len());
    if !fits {
        faults.add("vehicle_ids", format!("must be 1 to {TARGETS_MAX} vehicles, not {}", ids.len()));
    }
    Ok(ids)
}

/// Writes a deployment that was looked at; from now on it is delivered.
pub(crate) async fn deploy(
    conn: &mut Conn,
    now: Timestamp,
    planned: &Planned,
) -> Result<Deployment, DomainError> {
    let in_force = planned.vehicles.iter().filter_map(|known| known.revision).max().unwrap_or(0);
    let revision = store::last_revision(conn).await?.max(in_force) + 1;
    let (text, name) = planned.set.as_ref().map_or(("", NO_CAMPAIGNS), |set| (&set.text, &set.name));
    let text = set::filled(text, name, revision.unsigned_abs())
        .map_err(|message| DomainError::invalid("the deployment", "campaign_set_id", message))?;
    let deployment = Deployment {
        id: DeploymentId::new(now),
        organization_id: planned.organization_id.clone(),
        campaign_set_id: planned.set.as_ref().map(|set| set.id.clone()),
        name: name.to_owned(),
        revision,
        hash: SetHash::of(&text).to_string(),
        text,
        uptake: UptakeCounts::default(),
        created_at: now,
    };
    let vehicles: Vec<VehicleId> = planned.vehicles.iter().map(|known| known.vehicle_id.clone()).collect();
    let event = NewEvent {
        aggregate_type: DEPLOYMENT_AGGREGATE,
        aggregate_id: deployment.id.to_string(),
        event_type: "CampaignDeployed",
        data: serde_json::json!({
            "organization_id": deployment.organization_id, "campaign_set_id": deployment.campaign_set_id,
            "name": deployment.name, "revision": revision, "text": deployment.text, "hash": deployment.hash,
            "vehicle_ids": json_of(&vehicles),
        }),
    };
    events::append(conn, now, 0, event).await?;
    store::insert_deployment(conn, &deployment).await?;
    store::retarget(conn, &deployment.id, &vehicles).await?;
    deployment_of(conn, &deployment.id).await
}

/// The deployment of an id.
pub async fn deployment_of(conn: &mut Conn, id: &DeploymentId) -> Result<Deployment, DomainError> {
    let found = store::deployment_by_id(conn, id).await?;
    let mut deployment = found.ok_or_else(|| DomainError::not_found("campaign deployment", id.as_str()))?;
    deployment.uptake = store::uptake(conn, id).await?;
    Ok(deployment)
}

/// Deployments, newest first.
pub async fn deployments(
    conn: &mut Conn,
    caller: &Caller,
    query: DeploymentQuery,
) -> Result<Page<Deployment>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let set = query.campaign_set_id.unwrap_or_default();
    let mut found = store::deployments_before(conn, (&organization, &set), (&before, limit + 1)).await?;
    for deployment in &mut found {
        deployment.uptake = store::uptake(conn, &deployment.id).await?;
    }
    Ok(Page::of(found, limit, |d| Cursor { key: String::new(), id: d.id.to_string() }))
}

/// The vehicles of a deployment, by telemetry id.
pub async fn targets_of(
    conn: &mut Conn,
    id: &DeploymentId,
    query: TargetQuery,
) -> Result<Page<TargetItem>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.key).unwrap_or_default();
    let uptake = query.uptake.map(Uptake::as_str).unwrap_or_default();
    let found = store::targets_after(conn, (id, uptake), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |t| Cursor { key: t.vehicle_id.to_string(), id: String::new() }))
}

/// What a vehicle is to run.
pub(crate) async fn wanted_of(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
) -> Result<Option<Target>, DomainError> {
    Ok(wanted_of_all(conn, std::slice::from_ref(vehicle_id)).await?.remove(vehicle_id))
}

/// What vehicles are to run.
pub(crate) async fn wanted_of_all(
    conn: &mut Conn,
    vehicles: &[VehicleId],
) -> Result<HashMap<VehicleId, Target>, DomainError> {
    let mut wanted = HashMap::new();
    for vehicle_id in vehicles {
        if let Some(target) = store::current_target(conn, vehicle_id).await? {
            wanted.insert(vehicle_id.clone(), target);
        }
    }
    Ok(wanted)
}

/// A vehicle that told it does not run what it should, and did not refuse it, is sent it again.
pub(super) async fn publish_again(conn: &mut Conn, vehicle_id: &VehicleId) -> Result<(), DomainError> {
    store::unmark_pending(conn, vehicle_id.as_str()).await
}

/// The same for all of them: what was handed to a connection that is gone may not have arrived.
pub(super) async fn publish_all_again(conn: &mut Conn) -> Result<(), DomainError> {
    store::unmark_pending(conn, "").await
}

async fn note(
    conn: &mut Conn,
    now: Timestamp,
    event_type: &'static str,
    set: &StoredSet,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: SET_AGGREGATE,
        aggregate_id: set.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": set.organization_id, "name": set.name, "description": set.description,
            "text": set.text,
        }),
    };
    events::append(conn, now, set.version - 1, event).await?;
    Ok(())
}

fn checked_description(description: String, faults: &mut Faults) -> String {
    faults.require(description.chars().count() <= 2_000, "description", "must be at most 2000 characters");
    description
}

fn check_set(set: &StoredSet, faults: &mut Faults) {
    let is_name = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    faults.require(is_name(&set.name), "name", "must be 1 to 64 of a-z, 0-9 and -");
    if let Err(message) = set::check(&set.text, &set.name) {
        faults.add("text", message);
    }
}
