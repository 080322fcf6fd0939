//! The registry anew from its events. Mileage is made by trips.

use serde::Deserialize;
use wire::ids::VehicleId;

use super::store;
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{OrganizationId, RegistryId},
};

#[derive(Deserialize)]
struct Registered {
    vehicle_id: VehicleId,
}

#[derive(Deserialize)]
struct Told {
    name: String,
    organization_id: Option<OrganizationId>,
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

/// Of all vehicles; trips make it anew.
pub(crate) async fn clear_mileage(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear_mileage(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != "vehicle" {
        return Ok(false);
    }
    let id: RegistryId = event.aggregate()?;
    let Told { name, organization_id } = event.read()?;
    let organization = organization_id.as_ref();
    if event.event_type == "VehicleRegistered" {
        let Registered { vehicle_id } = event.read()?;
        store::insert(conn, &id, &vehicle_id, (&name, organization, event.version, event.timestamp)).await?;
    } else {
        store::update(conn, &id, (&name, organization, event.version)).await?;
    }
    Ok(true)
}
