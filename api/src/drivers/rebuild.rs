//! Drivers and their assignments anew from their events.

use serde::Deserialize;
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    assignments::{self, store as assignment_store, types::DriverAssignment},
    store,
};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{DriverId, OrganizationId, RegistryId},
};

#[derive(Deserialize)]
struct Told {
    organization_id: Option<OrganizationId>,
    driver_id: DriverId,
    vehicle_id: RegistryId,
    vehicle_name: VehicleId,
    from: Timestamp,
    to: Option<Timestamp>,
    note: Option<String>,
    made_by: String,
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    assignment_store::clear(conn).await?;
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        super::AGGREGATE if event.event_type == "DriverRegistered" => {
            store::insert(conn, &event.read()?).await?;
        }
        super::AGGREGATE => store::update(conn, &event.read()?).await?,
        assignments::AGGREGATE => assignment(conn, event).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn assignment(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let id = event.aggregate()?;
    if event.event_type == "DriverAssignmentRemoved" {
        return assignment_store::delete(conn, &id).await;
    }
    let told: Told = event.read()?;
    let assignment = DriverAssignment {
        id,
        organization_id: told.organization_id,
        driver_id: told.driver_id,
        // Kept with the driver alone.
        driver_name: String::new(),
        vehicle_id: told.vehicle_id,
        vehicle_name: told.vehicle_name,
        from: told.from,
        to: told.to,
        note: told.note,
        made_by: told.made_by,
        version: event.version,
        // An update leaves this as it is.
        created_at: event.timestamp,
        updated_at: event.timestamp,
    };
    if event.event_type == "DriverAssigned" {
        assignment_store::insert(conn, &assignment).await
    } else {
        assignment_store::update(conn, &assignment).await
    }
}
