//! Which vehicles are in a group: who joins and who leaves, each with its event.

use std::collections::{BTreeSet, HashSet};

use serde_json::json;
use wire::time::Timestamp;

use super::{
    store,
    types::{Group, GroupMembers, GroupVehiclesQuery},
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{GroupId, RegistryId},
    page::Page,
    vehicles::{
        self,
        types::{Vehicle, VehicleQuery},
    },
};

pub(super) const AGGREGATE: &str = "group-vehicle";
pub(super) const JOINED: &str = "VehicleJoinedGroup";
pub(super) const LEFT: &str = "VehicleLeftGroup";
/// Of one request.
const CHANGES_MAX: usize = 1_000;

/// Puts a vehicle into a group, unless it is there.
pub async fn join(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    (id, vehicle_id): (&GroupId, &str),
) -> Result<(), DomainError> {
    let group = super::get(conn, id).await?;
    let vehicle = reached_of(conn, caller, (&group, vehicle_id)).await?;
    let vehicle = vehicle.ok_or_else(|| DomainError::not_found("vehicle", vehicle_id))?;
    add(conn, now, (&group, &vehicle)).await
}

/// Takes a vehicle out of a group, unless it is not there.
pub async fn leave(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    (id, vehicle_id): (&GroupId, &str),
) -> Result<(), DomainError> {
    let group = super::get(conn, id).await?;
    let vehicle = reached_of(conn, caller, (&group, vehicle_id)).await?;
    let vehicle = vehicle.ok_or_else(|| DomainError::not_found("vehicle", vehicle_id))?;
    remove(conn, now, (&group, &vehicle), "removed").await
}

/// Puts vehicles into a group and takes others out, all or none of them.
pub async fn change_members(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id): (&Caller, &GroupId),
    members: &GroupMembers,
) -> Result<Group, DomainError> {
    const WHAT: &str = "the vehicles";
    let group = super::get(conn, id).await?;
    let mut faults = Faults::default();
    let count = members.add.len() + members.remove.len();
    if !(1..=CHANGES_MAX).contains(&count) {
        return Err(DomainError::invalid(WHAT, "add", "and remove must name 1 to 1000 vehicles together"));
    }
    let joining = named(conn, (caller, &group), ("add", &members.add), &mut faults).await?;
    let leaving = named(conn, (caller, &group), ("remove", &members.remove), &mut faults).await?;
    let joining_ids: BTreeSet<&RegistryId> = joining.iter().map(|(_, vehicle)| &vehicle.id).collect();
    for (field, vehicle) in &leaving {
        let is_both = joining_ids.contains(&vehicle.id);
        faults.require(!is_both, field, "is a vehicle that add names too");
    }
    faults.finish(WHAT)?;
    for (_, vehicle) in &joining {
        add(conn, now, (&group, vehicle)).await?;
    }
    for (_, vehicle) in &leaving {
        remove(conn, now, (&group, vehicle), "removed").await?;
    }
    super::get(conn, id).await
}

/// Takes a vehicle that becomes another organization's out of all groups.
pub(crate) async fn leave_all(conn: &mut Conn, now: Timestamp, vehicle: &Vehicle) -> Result<(), DomainError> {
    let found = store::groups_of(conn, std::slice::from_ref(&vehicle.id)).await?;
    for group_id in found.into_values().flatten() {
        let group = super::get(conn, &group_id).await?;
        remove(conn, now, (&group, vehicle), "reassigned").await?;
    }
    Ok(())
}

/// Vehicles of a group, by telemetry id, without their live state.
pub(crate) async fn vehicles_of(
    conn: &mut Conn,
    id: &GroupId,
    query: GroupVehiclesQuery,
) -> Result<Page<Vehicle>, DomainError> {
    let group = super::get(conn, id).await?;
    let query = VehicleQuery {
        q: query.q,
        organization_id: None,
        group_id: Some(group.id.to_string()),
        limit: query.limit,
        cursor: query.cursor,
    };
    vehicles::list(conn, &query).await
}

/// The ids of the vehicles in a group.
pub(crate) async fn ids_in(conn: &mut Conn, id: &GroupId) -> Result<HashSet<RegistryId>, DomainError> {
    store::vehicle_ids(conn, id).await
}

/// Tells which groups vehicles are in.
pub(crate) async fn with_groups(conn: &mut Conn, vehicles: &mut [Vehicle]) -> Result<(), DomainError> {
    let ids: Vec<RegistryId> = vehicles.iter().map(|vehicle| vehicle.id.clone()).collect();
    let mut found = store::groups_of(conn, &ids).await?;
    for vehicle in vehicles {
        vehicle.group_ids = found.remove(&vehicle.id).unwrap_or_default();
    }
    Ok(())
}

/// A vehicle that the caller reaches, of the group's organization.
async fn reached_of(
    conn: &mut Conn,
    caller: &Caller,
    (group, id): (&Group, &str),
) -> Result<Option<Vehicle>, DomainError> {
    let found = vehicles::reached(conn, caller, id).await?;
    Ok(found.filter(|vehicle| vehicle.organization_id == group.organization_id))
}

/// The vehicles that a list names, each with its place there.
async fn named(
    conn: &mut Conn,
    (caller, group): (&Caller, &Group),
    (list, ids): (&str, &[String]),
    faults: &mut Faults,
) -> Result<Vec<(String, Vehicle)>, DomainError> {
    let mut found = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        let field = format!("{list}[{at}]");
        match reached_of(conn, caller, (group, id)).await? {
            Some(vehicle) => found.push((field, vehicle)),
            None => faults.add(field, format!("there is no vehicle {id} in the group's organization")),
        }
    }
    Ok(found)
}

async fn add(
    conn: &mut Conn,
    now: Timestamp,
    (group, vehicle): (&Group, &Vehicle),
) -> Result<(), DomainError> {
    if store::has(conn, (&group.id, &vehicle.id)).await? {
        return Ok(());
    }
    note(conn, now, (group, vehicle), (JOINED, None)).await?;
    store::add(conn, (&group.id, &vehicle.id), now).await
}

async fn remove(
    conn: &mut Conn,
    now: Timestamp,
    (group, vehicle): (&Group, &Vehicle),
    reason: &'static str,
) -> Result<(), DomainError> {
    if !store::has(conn, (&group.id, &vehicle.id)).await? {
        return Ok(());
    }
    note(conn, now, (group, vehicle), (LEFT, Some(reason))).await?;
    store::remove(conn, (&group.id, &vehicle.id)).await
}

async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (group, vehicle): (&Group, &Vehicle),
    (event_type, reason): (&'static str, Option<&str>),
) -> Result<(), DomainError> {
    let mut data = json!({
        "organization_id": group.organization_id, "group_id": group.id, "group_name": group.name,
        "vehicle_id": vehicle.id, "vehicle_name": vehicle.vehicle_id,
    });
    if let Some(reason) = reason {
        data["reason"] = json!(reason);
    }
    let aggregate_id = format!("{}:{}", group.id, vehicle.id);
    let version = events::version_of(conn, &aggregate_id).await?;
    let event = NewEvent { aggregate_type: AGGREGATE, aggregate_id, event_type, data };
    events::append(conn, now, version, event).await?;
    Ok(())
}
