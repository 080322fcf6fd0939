//! Devices and their certificates anew from their events. Tokens and lists are not made of events: they stay.

use serde::Deserialize;
use wire::ids::VehicleId;

use super::{
    certificates::{self, Stored, store as certificate_store, types::RevocationReason},
    store,
    types::{Device, DeviceStatus},
};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{CertificateId, OrganizationId, RegistryId},
};

#[derive(Deserialize)]
struct Told {
    organization_id: Option<OrganizationId>,
    name: String,
    serial_number: String,
    hardware_model: Option<String>,
    vehicle_id: Option<RegistryId>,
    vehicle_name: Option<VehicleId>,
    signing_public_key: Option<String>,
}

#[derive(Deserialize)]
struct Replaced {
    replaced_by_id: CertificateId,
}

#[derive(Deserialize)]
struct Revoked {
    reason: RevocationReason,
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    certificate_store::clear(conn).await?;
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        super::AGGREGATE => device(conn, event).await?,
        certificates::AGGREGATE => certificate(conn, event).await?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn device(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let told: Told = event.read()?;
    let id = event.aggregate()?;
    if event.event_type == "DeviceRegistered" {
        let device = Device {
            id,
            organization_id: told.organization_id,
            name: told.name,
            serial_number: told.serial_number,
            hardware_model: told.hardware_model,
            vehicle_id: None,
            vehicle_name: None,
            status: DeviceStatus::New,
            signing_public_key: None,
            certificate: None,
            version: event.version,
            created_at: event.timestamp,
            updated_at: event.timestamp,
        };
        return store::insert(conn, &device).await;
    }
    let mut device = super::get(conn, &id).await?;
    (device.version, device.updated_at) = (event.version, event.timestamp);
    (device.name, device.hardware_model) = (told.name, told.hardware_model);
    (device.vehicle_id, device.vehicle_name) = (told.vehicle_id, told.vehicle_name);
    device.signing_public_key = told.signing_public_key;
    match event.event_type.as_str() {
        "DeviceEnrolled" => device.status = DeviceStatus::Enrolled,
        "DeviceRetired" => device.status = DeviceStatus::Retired,
        // Told with what it leaves.
        "DeviceRemoved" => {
            (device.vehicle_id, device.vehicle_name) = (None, None);
            (device.status, device.signing_public_key) = (DeviceStatus::New, None);
        }
        _ => {}
    }
    store::update(conn, &device).await
}

async fn certificate(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    if event.event_type == "CertificateIssued" {
        let told: Stored = event.read()?;
        let stored = Stored { version: event.version, created_at: event.timestamp, ..told };
        return certificate_store::insert(conn, &stored).await;
    }
    let mut stored = certificates::get(conn, &event.aggregate()?).await?;
    stored.version = event.version;
    if event.event_type == "CertificateRevoked" {
        let Revoked { reason } = event.read()?;
        stored.revoked = Some((event.timestamp, reason));
    } else {
        let Replaced { replaced_by_id } = event.read()?;
        stored.replaced_by_id = Some(replaced_by_id);
    }
    certificate_store::update(conn, &stored).await
}
