//! Devices: the compute units in the vehicles, and the identities they have there.
//!
//! *Owns* the tables `devices`, `enrolment_tokens`, `certificates` and `revocation_lists`, the events of the first and
//! third, and the authority that signs. *Does not own* vehicles (it asks the registry for names), nor what units send:
//! brokers and ingest are told by files who is who (`keeper`).
//!
//! Main path: a device is registered, put into a vehicle and given a token (`enrol`); its unit sends the token with a
//! certificate request (`csr`) and its signing key, and gets a certificate made out to the vehicle ([`certificates`],
//! [`authority`]). Later it renews by a proof of that key. Out of the vehicle, its certificates are revoked, and the
//! list of those (`crl`) says so to brokers.
//!
//! Bounds: a device a vehicle, an unused token a device, 24 renewals of one in a day, requests of 16 KiB, twenty calls
//! a second of one address where no key is asked for.

pub mod authority;
pub mod certificates;
pub(crate) mod crl;
pub(crate) mod csr;
pub(crate) mod enrol;
pub(crate) mod http;
pub(crate) mod keeper;
pub(crate) mod rebuild;
mod store;
pub mod types;

use std::sync::Arc;

use wire::time::Timestamp;

use self::{
    authority::Authority,
    certificates::types::RevocationReason,
    types::{Device, DevicePatch, DeviceQuery, DeviceStatus, NewDevice, SigningKey, SigningKeyQuery},
};
use crate::{
    caller::Caller,
    config::DevicesSettings,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{DeviceId, OrganizationId},
    page::{Cursor, Page, limit_of},
    users,
    vehicles::{self, types::Vehicle},
};

pub(crate) const AGGREGATE: &str = "device";
const NAME_LEN_MAX: usize = 120;
const SERIAL_NUMBER_LEN_MAX: usize = 64;
/// The cloud's own names at brokers (configs/brokers/mosquitto.acl): a certificate with one could do what they may.
const NAMES_OF_THE_CLOUD: [&str; 3] = ["ingest", "operator", "api"];

/// The authority that signs here.
pub(crate) fn authority_of(settings: &DevicesSettings) -> Result<&Arc<Authority>, DomainError> {
    settings.authority.as_ref().ok_or_else(|| {
        DomainError::Conflict(
            "no certificate authority: devices.ca_cert_file is not set, so this server issues no certificates; \
             `api ca init` makes one"
                .to_owned(),
        )
    })
}

fn in_no_vehicle() -> DomainError {
    DomainError::Conflict(
        "the device sits in no vehicle, whose name its certificate would have; set its vehicle_id first"
            .to_owned(),
    )
}

/// Registers a device.
pub async fn register(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewDevice,
) -> Result<Device, DomainError> {
    const WHAT: &str = "the device";
    let mut faults = Faults::default();
    let organization = caller.placed(WHAT, new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let serial_number = new.serial_number.trim().to_owned();
    let fits = (1..=SERIAL_NUMBER_LEN_MAX).contains(&serial_number.chars().count());
    faults.require(fits, "serial_number", "must be 1 to 64 characters");
    let name = new.name.as_deref().unwrap_or(&serial_number).trim().to_owned();
    check_text(&name, "name", &mut faults);
    let hardware_model = new.hardware_model.map(|model| model.trim().to_owned());
    if let Some(model) = &hardware_model {
        check_text(model, "hardware_model", &mut faults);
    }
    let vehicle = match &new.vehicle_id {
        Some(id) => vehicle_for(conn, (caller, organization_id.as_ref()), id, &mut faults).await?,
        None => None,
    };
    faults.finish(WHAT)?;
    let of = organization_id.as_ref().map(OrganizationId::as_str).unwrap_or_default();
    if store::has_serial_number(conn, (of, &serial_number)).await? {
        return Err(DomainError::Conflict(format!(
            "a device with serial number {serial_number} is there already"
        )));
    }
    let mut device = Device {
        id: DeviceId::new(now),
        organization_id,
        name,
        serial_number,
        hardware_model,
        vehicle_id: None,
        vehicle_name: None,
        status: DeviceStatus::New,
        signing_public_key: None,
        certificate: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    note(conn, now, (&device, "DeviceRegistered")).await?;
    store::insert(conn, &device).await?;
    if let Some(vehicle) = vehicle {
        place(conn, now, (&mut device, vehicle)).await?;
    }
    Ok(device)
}

/// Changes a device that is at `expected_version`. In another vehicle, or in none, it has no identity any more: the
/// name on its certificates was the vehicle's.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id, expected_version): (&Caller, &DeviceId, i64),
    patch: DevicePatch,
) -> Result<Device, DomainError> {
    let mut device = get(conn, id).await?;
    if device.version != expected_version {
        return Err(DomainError::Stale {
            what: "device",
            id: id.to_string(),
            current: device.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let name = patch.name.as_deref().unwrap_or(&device.name).trim().to_owned();
    check_text(&name, "name", &mut faults);
    let hardware_model = match patch.hardware_model {
        Some(model) => model.map(|model| model.trim().to_owned()),
        None => device.hardware_model.clone(),
    };
    if let Some(model) = &hardware_model {
        check_text(model, "hardware_model", &mut faults);
    }
    let vehicle = match patch.vehicle_id {
        None => None,
        Some(None) => Some(None),
        Some(Some(asked)) => {
            let of = device.organization_id.as_ref();
            Some(vehicle_for(conn, (caller, of), &asked, &mut faults).await?)
        }
    };
    faults.finish("the change")?;
    let moves = vehicle.filter(|vehicle| vehicle.as_ref().map(|v| &v.id) != device.vehicle_id.as_ref());
    if moves.is_some() && device.status == DeviceStatus::Retired {
        return Err(DomainError::Conflict("the device is retired, for good".to_owned()));
    }
    if (&name, &hardware_model) != (&device.name, &device.hardware_model) {
        (device.name, device.hardware_model) = (name, hardware_model);
        changed(conn, now, (&mut device, "DeviceChanged")).await?;
    }
    if let Some(vehicle) = moves {
        leave(conn, now, (&mut device, RevocationReason::AffiliationChanged)).await?;
        if let Some(vehicle) = vehicle {
            place(conn, now, (&mut device, vehicle)).await?;
        }
    }
    get(conn, id).await
}

/// Takes a device out of service, for good.
pub async fn retire(conn: &mut Conn, now: Timestamp, id: &DeviceId) -> Result<Device, DomainError> {
    let mut device = get(conn, id).await?;
    if device.status == DeviceStatus::Retired {
        return Ok(device);
    }
    leave(conn, now, (&mut device, RevocationReason::CessationOfOperation)).await?;
    device.status = DeviceStatus::Retired;
    changed(conn, now, (&mut device, "DeviceRetired")).await?;
    Ok(device)
}

/// Ends what a device is in the vehicle it sits in.
async fn leave(
    conn: &mut Conn,
    now: Timestamp,
    (device, reason): (&mut Device, RevocationReason),
) -> Result<(), DomainError> {
    certificates::revoke_all(conn, now, (&device.id, reason)).await?;
    store::drop_tokens(conn, &device.id).await?;
    if device.vehicle_id.is_none() {
        return Ok(());
    }
    // Told with the name that it leaves.
    device.version += 1;
    device.updated_at = now;
    note(conn, now, (device, "DeviceRemoved")).await?;
    (device.vehicle_id, device.vehicle_name) = (None, None);
    (device.status, device.signing_public_key, device.certificate) = (DeviceStatus::New, None, None);
    store::update(conn, device).await
}

async fn place(
    conn: &mut Conn,
    now: Timestamp,
    (device, vehicle): (&mut Device, Vehicle),
) -> Result<(), DomainError> {
    if let Some(other) = store::by_vehicle(conn, &vehicle.id).await? {
        return Err(DomainError::Conflict(format!(
            "vehicle {} has a device already, {}; take that out or retire it first",
            vehicle.vehicle_id, other.id
        )));
    }
    (device.vehicle_id, device.vehicle_name) = (Some(vehicle.id), Some(vehicle.vehicle_id));
    changed(conn, now, (device, "DevicePlaced")).await
}

/// Notes a change that has been made to the value, and stores it.
async fn changed(
    conn: &mut Conn,
    now: Timestamp,
    (device, event_type): (&mut Device, &'static str),
) -> Result<(), DomainError> {
    device.version += 1;
    device.updated_at = now;
    note(conn, now, (device, event_type)).await?;
    store::update(conn, device).await
}

/// The same event's data for all: how the device is. Public keys are no secrets.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (device, event_type): (&Device, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: device.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": device.organization_id, "name": device.name,
            "serial_number": device.serial_number, "hardware_model": device.hardware_model,
            "vehicle_id": device.vehicle_id, "vehicle_name": device.vehicle_name,
            "signing_public_key": device.signing_public_key,
        }),
    };
    events::append(conn, now, device.version - 1, event).await?;
    Ok(())
}

/// The vehicle that a device is put into: one the caller reaches, of the same organization as the device.
async fn vehicle_for(
    conn: &mut Conn,
    (caller, of): (&Caller, Option<&OrganizationId>),
    id: &str,
    faults: &mut Faults,
) -> Result<Option<Vehicle>, DomainError> {
    let Some(vehicle) = vehicles::reached(conn, caller, id).await? else {
        faults.add("vehicle_id", format!("there is no vehicle {id}; see /v1/vehicles"));
        return Ok(None);
    };
    let is_of_same = vehicle.organization_id.as_ref() == of;
    faults.require(is_of_same, "vehicle_id", "is a vehicle of another organization than the device's");
    Ok(is_of_same.then_some(vehicle))
}

/// That a device may have a new identity: it sits in a vehicle that is still of its organization.
async fn check_issuable(conn: &mut Conn, device: &Device) -> Result<(), DomainError> {
    if device.status == DeviceStatus::Retired {
        return Err(DomainError::Conflict("the device is retired, for good".to_owned()));
    }
    let Some(vehicle_id) = &device.vehicle_id else { return Err(in_no_vehicle()) };
    let vehicle = vehicles::get(conn, vehicle_id.as_str()).await?;
    if NAMES_OF_THE_CLOUD.contains(&vehicle.vehicle_id.as_str()) {
        return Err(DomainError::Conflict(format!(
            "{} is a name of the cloud's own at brokers; no certificate is made out to it",
            vehicle.vehicle_id
        )));
    }
    if vehicle.organization_id != device.organization_id {
        return Err(DomainError::Conflict(
            "the vehicle is of another organization than the device now; take the device out of it"
                .to_owned(),
        ));
    }
    Ok(())
}

fn check_text(text: &str, field: &str, faults: &mut Faults) {
    faults.require((1..=NAME_LEN_MAX).contains(&text.chars().count()), field, "must be 1 to 120 characters");
}

/// The device of an id, without its certificate.
pub async fn get(conn: &mut Conn, id: &DeviceId) -> Result<Device, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("device", id.as_str()))
}

/// Devices with the newest of their good certificates.
pub(crate) async fn with_certificates(
    conn: &mut Conn,
    now: Timestamp,
    devices: &mut [Device],
) -> Result<(), DomainError> {
    let ids: Vec<DeviceId> = devices.iter().map(|device| device.id.clone()).collect();
    let mut newest = certificates::store::newest_active(conn, now, &ids).await?;
    for device in devices {
        device.certificate = newest.remove(&device.id);
    }
    Ok(())
}

/// Devices, oldest first.
pub async fn list(
    conn: &mut Conn,
    (now, caller): (Timestamp, &Caller),
    query: DeviceQuery,
) -> Result<Page<Device>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let vehicle = match query.vehicle_id {
        Some(id) => match vehicles::reached(conn, caller, &id).await? {
            Some(vehicle) => vehicle.id.to_string(),
            None => return Err(DomainError::not_found("vehicle", id)),
        },
        None => String::new(),
    };
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        vehicle,
        status: query.status.map(DeviceStatus::as_str).unwrap_or_default(),
    };
    let mut found = store::after(conn, &wanted, (&after, limit + 1)).await?;
    with_certificates(conn, now, &mut found).await?;
    Ok(Page::of(found, limit, |device| Cursor { key: String::new(), id: device.id.to_string() }))
}

/// The keys that prove batches, by vehicle.
pub async fn signing_keys(
    conn: &mut Conn,
    caller: &Caller,
    query: SigningKeyQuery,
) -> Result<Page<SigningKey>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.key).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let found = store::keys_after(conn, &organization, (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |key| Cursor {
        key: key.vehicle_name.to_string(),
        id: key.device_id.to_string(),
    }))
}
