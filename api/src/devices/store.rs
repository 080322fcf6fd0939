//! SQL on `devices` and `enrolment_tokens`.

use sqlx::{AssertSqlSafe, Row, any::AnyRow};
use wire::{ids::VehicleId, time::Timestamp};

use super::types::{Device, SigningKey};
use crate::{
    db::Conn,
    fault::DomainError,
    ids::{CertificateId, DeviceId, RegistryId},
    rows::{optional, parsed},
};

const WHAT: &str = "device";
const DEVICE: &str = "SELECT id, organization_id, name, serial_number, hardware_model, vehicle_id, vehicle_name, \
                      status, signing_public_key, version, created_us, updated_us FROM devices";

pub(super) async fn insert(conn: &mut Conn, device: &Device) -> Result<(), DomainError> {
    sqlx::query(
        "INSERT INTO devices (id, organization_id, name, serial_number, hardware_model, vehicle_id, vehicle_name, \
         status, signing_public_key, version, created_us, updated_us) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(device.id.to_string())
    .bind(device.organization_id.as_ref().map(ToString::to_string))
    .bind(device.name.clone())
    .bind(device.serial_number.clone())
    .bind(device.hardware_model.clone())
    .bind(device.vehicle_id.as_ref().map(ToString::to_string))
    .bind(device.vehicle_name.as_ref().map(ToString::to_string))
    .bind(device.status.as_str())
    .bind(device.signing_public_key.clone())
    .bind(device.version)
    .bind(device.created_at.0)
    .bind(device.updated_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Everything of it that ever changes.
pub(super) async fn update(conn: &mut Conn, device: &Device) -> Result<(), DomainError> {
    sqlx::query(
        "UPDATE devices SET name = $1, hardware_model = $2, vehicle_id = $3, vehicle_name = $4, status = $5, \
         signing_public_key = $6, version = $7, updated_us = $8 WHERE id = $9",
    )
    .bind(device.name.clone())
    .bind(device.hardware_model.clone())
    .bind(device.vehicle_id.as_ref().map(ToString::to_string))
    .bind(device.vehicle_name.as_ref().map(ToString::to_string))
    .bind(device.status.as_str())
    .bind(device.signing_public_key.clone())
    .bind(device.version)
    .bind(device.updated_at.0)
    .bind(device.id.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// Only to make them anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM devices").execute(conn).await?;
    Ok(())
}

pub(super) async fn by_id(conn: &mut Conn, id: &DeviceId) -> Result<Option<Device>, DomainError> {
    one(conn, "id = $1", id.to_string()).await
}

/// The one that sits in a vehicle.
pub(super) async fn by_vehicle(conn: &mut Conn, id: &RegistryId) -> Result<Option<Device>, DomainError> {
    one(conn, "vehicle_id = $1", id.to_string()).await
}

async fn one(conn: &mut Conn, condition: &str, value: String) -> Result<Option<Device>, DomainError> {
    let query = format!("{DEVICE} WHERE {condition}");
    let row = sqlx::query(AssertSqlSafe(query)).bind(value).fetch_optional(conn).await?;
    row.as_ref().map(device).transpose()
}

pub(super) async fn has_serial_number(
    conn: &mut Conn,
    (organization, serial_number): (&str, &str),
) -> Result<bool, DomainError> {
    let row = sqlx::query(
        "SELECT 1 AS found FROM devices WHERE COALESCE(organization_id, '') = $1 AND serial_number = $2",
    )
    .bind(organization.to_owned())
    .bind(serial_number.to_owned())
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Which devices are listed; what is empty narrows nothing.
pub(super) struct Wanted {
    pub(super) organization: String,
    pub(super) vehicle: String,
    pub(super) status: &'static str,
}

/// Devices after an id.
pub(super) async fn after(
    conn: &mut Conn,
    wanted: &Wanted,
    (id, limit): (&str, i64),
) -> Result<Vec<Device>, DomainError> {
    let query = format!(
        "{DEVICE} WHERE id > $1 AND ($2 = '' OR organization_id = $2) AND ($3 = '' OR vehicle_id = $3) \
         AND ($4 = '' OR status = $4) ORDER BY id LIMIT $5"
    );
    let rows = sqlx::query(AssertSqlSafe(query))
        .bind(id.to_owned())
        .bind(wanted.organization.clone())
        .bind(wanted.vehicle.clone())
        .bind(wanted.status)
        .bind(limit)
        .fetch_all(conn)
        .await?;
    rows.iter().map(device).collect()
}

/// Keys of vehicles after a name; of an organization's devices, or of all.
pub(super) async fn keys_after(
    conn: &mut Conn,
    organization: &str,
    (name, limit): (&str, i64),
) -> Result<Vec<SigningKey>, DomainError> {
    let rows = sqlx::query(
        "SELECT id, vehicle_name, signing_public_key FROM devices \
         WHERE signing_public_key IS NOT NULL AND vehicle_name > $1 AND ($2 = '' OR organization_id = $2) \
         ORDER BY vehicle_name LIMIT $3",
    )
    .bind(name.to_owned())
    .bind(organization.to_owned())
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(SigningKey {
                vehicle_name: parsed(row.try_get("vehicle_name")?, WHAT)?,
                device_id: parsed(row.try_get("id")?, WHAT)?,
                signing_public_key: row.try_get("signing_public_key")?,
            })
        })
        .collect()
}

/// The key that proves a vehicle's batches now.
pub(super) async fn key_of(conn: &mut Conn, name: &VehicleId) -> Result<Option<String>, DomainError> {
    let row = sqlx::query(
        "SELECT signing_public_key FROM devices WHERE signing_public_key IS NOT NULL AND vehicle_name = $1",
    )
    .bind(name.to_string())
    .fetch_optional(conn)
    .await?;
    row.map(|row| Ok(row.try_get("signing_public_key")?)).transpose()
}

fn device(row: &AnyRow) -> Result<Device, DomainError> {
    Ok(Device {
        id: parsed(row.try_get("id")?, WHAT)?,
        organization_id: optional(row, ("organization_id", WHAT))?,
        name: row.try_get("name")?,
        serial_number: row.try_get("serial_number")?,
        hardware_model: row.try_get("hardware_model")?,
        vehicle_id: optional(row, ("vehicle_id", WHAT))?,
        vehicle_name: optional(row, ("vehicle_name", WHAT))?,
        status: parsed(row.try_get("status")?, WHAT)?,
        signing_public_key: row.try_get("signing_public_key")?,
        certificate: None,
        version: row.try_get("version")?,
        created_at: Timestamp(row.try_get("created_us")?),
        updated_at: Timestamp(row.try_get("updated_us")?),
    })
}

/// A token as it is kept: what it was cannot be made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredToken {
    pub(super) hash: String,
    pub(super) device_id: DeviceId,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// When, and for which certificate.
    pub(super) used: Option<(Timestamp, CertificateId)>,
}

/// In the place of those of the device that nobody has used.
pub(super) async fn put_token(conn: &mut Conn, token: &StoredToken) -> Result<(), DomainError> {
    drop_tokens(conn, &token.device_id).await?;
    sqlx::query(
        "INSERT INTO enrolment_tokens (token_hash, device_id, created_us, expires_us) VALUES ($1, $2, $3, $4)",
    )
    .bind(token.hash.clone())
    .bind(token.device_id.to_string())
    .bind(token.created_at.0)
    .bind(token.expires_at.0)
    .execute(conn)
    .await?;
    Ok(())
}

/// Those of a device: used ones too, whose answer is not given again then.
pub(super) async fn drop_tokens(conn: &mut Conn, device_id: &DeviceId) -> Result<(), DomainError> {
    sqlx::query("DELETE FROM enrolment_tokens WHERE device_id = $1")
        .bind(device_id.to_string())
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn token(conn: &mut Conn, hash: &str) -> Result<Option<StoredToken>, DomainError> {
    let row = sqlx::query(
        "SELECT token_hash, device_id, created_us, expires_us, used_us, certificate_id FROM enrolment_tokens \
         WHERE token_hash = $1",
    )
    .bind(hash.to_owned())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let used_at = row.try_get::<Option<i64>, _>("used_us")?.map(Timestamp);
    Ok(Some(StoredToken {
        hash: row.try_get("token_hash")?,
        device_id: parsed(row.try_get("device_id")?, WHAT)?,
        created_at: Timestamp(row.try_get("created_us")?),
        expires_at: Timestamp(row.try_get("expires_us")?),
        used: used_at.zip(optional(&row, ("certificate_id", "certificate"))?),
    }))
}

pub(super) async fn use_token(
    conn: &mut Conn,
    hash: &str,
    (now, certificate): (Timestamp, &CertificateId),
) -> Result<(), DomainError> {
    sqlx::query("UPDATE enrolment_tokens SET used_us = $1, certificate_id = $2 WHERE token_hash = $3")
        .bind(now.0)
        .bind(certificate.to_string())
        .bind(hash.to_owned())
        .execute(conn)
        .await?;
    Ok(())
}
