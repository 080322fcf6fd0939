//! Devices, as clients see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    ids::{CertificateId, DeviceId, OrganizationId, RegistryId},
};

/// A vehicle's compute unit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Device {
    /// `dev_…`
    #[schema(value_type = String)]
    pub id: DeviceId,
    /// Whose; null for the operator's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// For people.
    pub name: String,
    /// As on its label; no two of an organization have the same.
    pub serial_number: String,
    /// Which kind of unit.
    pub hardware_model: Option<String>,
    /// The vehicle it sits in, `veh_…`.
    #[schema(value_type = Option<String>)]
    pub vehicle_id: Option<RegistryId>,
    /// That vehicle's telemetry id: the name on its certificates.
    #[schema(value_type = Option<String>)]
    pub vehicle_name: Option<VehicleId>,
    /// How far it has come.
    pub status: DeviceStatus,
    /// The Ed25519 key that proves its batches and renewals, 64 hexadecimal digits.
    pub signing_public_key: Option<String>,
    /// The newest of its certificates that are good; null where none is.
    pub certificate: Option<CertificateShort>,
    /// Rises with each change; also the ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// How far a device has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// It has no identity in the vehicle it sits in.
    New,
    /// It has.
    Enrolled,
    /// It is out of service, for good.
    Retired,
}

impl DeviceStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Enrolled => "enrolled",
            Self::Retired => "retired",
        }
    }
}

impl FromStr for DeviceStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::New, Self::Enrolled, Self::Retired].into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// Of a certificate what is asked for most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CertificateShort {
    /// `crt_…`
    #[schema(value_type = String)]
    pub id: CertificateId,
    /// Lower-case hexadecimal.
    pub serial: String,
    /// Until when it is good.
    #[schema(value_type = String, format = DateTime)]
    pub not_after: Timestamp,
}

/// A device to register.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// For people; the serial number when absent.
    #[serde(default)]
    pub name: Option<String>,
    /// As on its label.
    pub serial_number: String,
    /// Which kind of unit.
    #[serde(default)]
    pub hardware_model: Option<String>,
    /// The vehicle it sits in, `veh_…` or telemetry id.
    #[serde(default)]
    pub vehicle_id: Option<String>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a device; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePatch {
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// Which kind of unit; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub hardware_model: Option<Option<String>>,
    /// The vehicle it sits in from now on; null takes it out. Either revokes the certificates that it has, as the
    /// name on them is the vehicle's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub vehicle_id: Option<Option<String>>,
}

/// Which devices to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeviceQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only the one of this vehicle, `veh_…` or telemetry id.
    pub vehicle_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<DeviceStatus>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The key that proves a vehicle's batches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SigningKey {
    /// The vehicle's telemetry id.
    #[schema(value_type = String)]
    pub vehicle_name: VehicleId,
    /// `dev_…`
    #[schema(value_type = String)]
    pub device_id: DeviceId,
    /// Ed25519, 64 hexadecimal digits.
    pub signing_public_key: String,
}

/// Which keys to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyQuery {
    /// Only of this organization's devices.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
