//! Assignments as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    ids::{DriverAssignmentId, DriverId, OrganizationId, RegistryId},
};

/// A driver's time with a vehicle: from `from` on and before `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct DriverAssignment {
    /// `dra_…`
    #[schema(value_type = String)]
    pub id: DriverAssignmentId,
    /// Whose driver and vehicle they were then.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// `drv_…`
    #[schema(value_type = String)]
    pub driver_id: DriverId,
    /// The driver's name as it is now.
    pub driver_name: String,
    /// `veh_…`
    #[schema(value_type = String)]
    pub vehicle_id: RegistryId,
    /// Its telemetry id.
    #[schema(value_type = String)]
    pub vehicle_name: VehicleId,
    /// When it begins.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// When it ends; null while it is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub to: Option<Timestamp>,
    /// For people.
    pub note: Option<String>,
    /// Who made it: a key's id, `operator` or `local`, as in the audit log.
    pub made_by: String,
    /// Rises with each change; also the ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A driver to give a vehicle.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[schema(as = NewDriverAssignment)]
#[serde(deny_unknown_fields)]
pub struct NewAssignment {
    /// `drv_…`
    pub driver_id: String,
    /// `veh_…` or telemetry id, of the driver's organization.
    pub vehicle_id: String,
    /// RFC 3339, at most 366 days before or after now; now when absent.
    #[serde(default)]
    pub from: Option<String>,
    /// Open when absent.
    #[serde(default)]
    pub to: Option<String>,
    /// At most 500 characters.
    #[serde(default)]
    pub note: Option<String>,
    /// What is open of the vehicle, or of the driver, ends where this begins.
    #[serde(default)]
    pub replaces: bool,
}

/// What to correct of an assignment; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[schema(as = DriverAssignmentPatch)]
#[serde(deny_unknown_fields)]
pub struct AssignmentPatch {
    /// RFC 3339, at most 366 days before or after now.
    #[serde(default)]
    pub from: Option<String>,
    /// The same; null opens it again.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub to: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub note: Option<Option<String>>,
}

/// When an assignment ends.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[schema(as = DriverAssignmentEnd)]
#[serde(deny_unknown_fields)]
pub struct AssignmentEnd {
    /// RFC 3339; now when absent.
    #[serde(default)]
    pub at: Option<String>,
}

/// Which assignments to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AssignmentQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only of this driver.
    pub driver_id: Option<String>,
    /// Only of this vehicle, `veh_…` or telemetry id.
    pub vehicle_id: Option<String>,
    /// Only what this RFC 3339 time is in.
    pub at: Option<String>,
    /// Only what ends after this RFC 3339 time.
    pub from: Option<String>,
    /// Only what begins before this RFC 3339 time.
    pub to: Option<String>,
    /// Only what is open, or only what has an end.
    pub open: Option<bool>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
