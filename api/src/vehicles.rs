//! Vehicles: the registry, mileage from trips, where the fleet is now, and the places that are watched.
//!
//! *Owns* the tables `vehicles` and `vehicle_mileage` and the vehicles' events; [`geofences`] and [`groups`] have their
//! own. *Does not own* trips (it is told their distance), drivers (who listen through [`VehicleObserver`]) nor the last
//! readings (it asks the lake port). It calls the users domain.

pub(crate) mod fleet;
pub mod geofences;
pub mod groups;
pub(crate) mod http;
pub(crate) mod rebuild;
mod store;
pub mod types;

use async_trait::async_trait;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{GroupId, OrganizationId, RegistryId},
    page::{Cursor, Page, limit_of},
    users,
};
use types::{NewVehicle, Vehicle, VehiclePatch, VehicleQuery};

/// Who wants to know of vehicles, in the transaction that changes them. Drivers do; they are to the right of vehicles,
/// so vehicles cannot call them by name.
#[async_trait]
pub trait VehicleObserver: Send + Sync + std::fmt::Debug {
    /// The vehicle, as it is yet, becomes another organization's.
    async fn organization_changes(
        &self,
        conn: &mut Conn,
        now: Timestamp,
        vehicle: &Vehicle,
    ) -> Result<(), DomainError>;
}

/// What a trip changes in a vehicle's mileage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MileageChange {
    /// Trips more (or fewer).
    pub trip_count: i64,
    /// Metres more (or fewer).
    pub distance_m: i64,
    /// Odometer in metres and when it was read, where known.
    pub odometer: Option<(i64, Timestamp)>,
}

/// A registered vehicle, and how far it is known to have been driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driven {
    /// `veh_…`
    pub id: RegistryId,
    /// Telemetry id.
    pub vehicle_id: VehicleId,
    /// Whose it is.
    pub organization_id: Option<OrganizationId>,
    /// Its odometer in metres at the end of its last trip, and when that was, by the vehicle's clock.
    pub odometer: Option<(i64, Timestamp)>,
}

/// Registers a vehicle.
pub async fn register(conn: &mut Conn, now: Timestamp, new: NewVehicle) -> Result<Vehicle, DomainError> {
    let mut faults = Faults::default();
    let vehicle_id: Option<VehicleId> = match new.vehicle_id.parse() {
        Ok(id) => Some(id),
        Err(e) => {
            faults.add("vehicle_id", format!("{e}"));
            None
        }
    };
    let name = new.name.as_deref().unwrap_or(&new.vehicle_id).trim().to_owned();
    check_name(&name, &mut faults);
    let organization_id =
        users::check_organization(conn, new.organization_id.as_deref(), &mut faults).await?;
    faults.finish("the vehicle")?;
    let Some(vehicle_id) = vehicle_id else {
        return Err(DomainError::invalid("the vehicle", "vehicle_id", "is missing"));
    };
    if store::by_vehicle_id(conn, &vehicle_id).await?.is_some() {
        return Err(DomainError::Conflict(format!("vehicle {vehicle_id} is registered already")));
    }
    insert(conn, now, vehicle_id, name, organization_id).await
}

/// Registers a vehicle seen in the lake, unless it is there.
pub async fn register_seen(
    conn: &mut Conn,
    now: Timestamp,
    vehicle_id: &VehicleId,
) -> Result<(), DomainError> {
    if store::by_vehicle_id(conn, vehicle_id).await?.is_none() {
        insert(conn, now, vehicle_id.clone(), vehicle_id.to_string(), None).await?;
    }
    Ok(())
}

async fn insert(
    conn: &mut Conn,
    now: Timestamp,
    vehicle_id: VehicleId,
    name: String,
    organization_id: Option<OrganizationId>,
) -> Result<Vehicle, DomainError> {
    let id = RegistryId::new(now);
    let event = NewEvent {
        aggregate_type: "vehicle",
        aggregate_id: id.to_string(),
        event_type: "VehicleRegistered",
        data: serde_json::json!({
            "id": json_of(&id), "vehicle_id": json_of(&vehicle_id),
            "name": name.clone(), "organization_id": json_of(&organization_id),
        }),
    };
    let version = events::append(conn, now, 0, event).await?;
    store::insert(conn, &id, &vehicle_id, (&name, organization_id.as_ref(), version, now)).await?;
    get(conn, id.as_str()).await
}

/// Changes name or organization of a vehicle that is at `expected_version`. In another organization it is in no group
/// of the one before.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&str, i64),
    (patch, observer): (VehiclePatch, &dyn VehicleObserver),
) -> Result<Vehicle, DomainError> {
    let vehicle = get(conn, id).await?;
    if vehicle.version != expected_version {
        return Err(DomainError::Stale {
            what: "vehicle",
            id: id.to_owned(),
            current: vehicle.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let name = patch.name.as_deref().unwrap_or(&vehicle.name).trim().to_owned();
    check_name(&name, &mut faults);
    let asked = users::check_organization(conn, patch.organization_id.as_deref(), &mut faults).await?;
    faults.finish("the change")?;
    let organization_id = asked.or_else(|| vehicle.organization_id.clone());
    if name == vehicle.name && organization_id == vehicle.organization_id {
        return Ok(vehicle);
    }
    if organization_id != vehicle.organization_id {
        groups::leave_all(conn, now, &vehicle).await?;
        observer.organization_changes(conn, now, &vehicle).await?;
    }
    let event = NewEvent {
        aggregate_type: "vehicle",
        aggregate_id: vehicle.id.to_string(),
        event_type: "VehicleChanged",
        data: serde_json::json!({ "name": name.clone(), "organization_id": json_of(&organization_id) }),
    };
    let version = events::append(conn, now, vehicle.version, event).await?;
    store::update(conn, &vehicle.id, (&name, organization_id.as_ref(), version)).await?;
    get(conn, vehicle.id.as_str()).await
}

fn check_name(name: &str, faults: &mut Faults) {
    faults.require((1..=120).contains(&name.chars().count()), "name", "must be 1 to 120 characters");
}

/// The vehicle of a registry id (`veh_…`) or telemetry id, without its live state.
pub async fn get(conn: &mut Conn, id: &str) -> Result<Vehicle, DomainError> {
    let found = if let Ok(id) = id.parse::<RegistryId>() {
        store::by_id(conn, &id).await?
    } else if let Ok(id) = id.parse::<VehicleId>() {
        store::by_vehicle_id(conn, &id).await?
    } else {
        None
    };
    found.ok_or_else(|| DomainError::not_found("vehicle", id))
}

/// The vehicle of an id, if there is one that the caller reaches.
pub(crate) async fn reached(
    conn: &mut Conn,
    caller: &Caller,
    id: &str,
) -> Result<Option<Vehicle>, DomainError> {
    let found = match get(conn, id).await {
        Ok(vehicle) => Some(vehicle),
        Err(DomainError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let is_reached =
        |v: &Vehicle| caller.organization().is_none_or(|own| v.organization_id.as_ref() == Some(own));
    Ok(found.filter(is_reached))
}

/// How far the vehicles of an organization have been driven; of all when none is named.
pub(crate) async fn driven(conn: &mut Conn, organization: &str) -> Result<Vec<Driven>, DomainError> {
    store::driven(conn, (organization, "")).await
}

/// How far a vehicle has been driven.
pub(crate) async fn driven_one(conn: &mut Conn, id: &RegistryId) -> Result<Option<Driven>, DomainError> {
    Ok(store::driven(conn, ("", id.as_str())).await?.pop())
}

/// Vehicles by telemetry id, without their live state and groups.
pub async fn list(conn: &mut Conn, query: &VehicleQuery) -> Result<Page<Vehicle>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.key).unwrap_or_default();
    let part = query.q.as_deref().unwrap_or_default().trim().to_lowercase();
    let organization = query.organization_id.clone().unwrap_or_default();
    let group = query.group_id.as_deref().unwrap_or_default();
    let found = store::search(conn, (&part, &organization, group), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |v| Cursor { key: v.vehicle_id.to_string(), id: v.id.to_string() }))
}

/// Whose vehicle it is, if it is registered and anybody's.
pub async fn organization_of(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
) -> Result<Option<OrganizationId>, DomainError> {
    Ok(store::by_vehicle_id(conn, vehicle_id).await?.and_then(|v| v.organization_id))
}

/// Adds what a trip changes to a vehicle's mileage.
pub async fn add_mileage(
    conn: &mut Conn,
    vehicle_id: &VehicleId,
    change: MileageChange,
) -> Result<(), DomainError> {
    store::add_mileage(conn, vehicle_id, change).await
}

/// The names of the registered vehicles, by telemetry id: of an organization's, or of all.
pub(crate) async fn names(
    conn: &mut Conn,
    organization: Option<&OrganizationId>,
) -> Result<std::collections::HashMap<VehicleId, String>, DomainError> {
    store::names(conn, (organization, None)).await
}

/// The same of the vehicles of a group.
pub(crate) async fn names_in(
    conn: &mut Conn,
    group: &GroupId,
) -> Result<std::collections::HashMap<VehicleId, String>, DomainError> {
    store::names(conn, (None, Some(group))).await
}
