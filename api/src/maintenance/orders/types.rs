//! Work orders, as clients see them.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    ids::{MaintenanceScheduleId, OrganizationId, RegistryId, WorkOrderId},
    maintenance::types::{kilometres, metres},
};

/// Work to be done on a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorkOrder {
    /// `wko_…`
    #[schema(value_type = String)]
    pub id: WorkOrderId,
    /// Whose vehicle it was when the order was opened; null for nobody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// `veh_…`
    #[schema(value_type = String)]
    pub vehicle_id: RegistryId,
    /// Its telemetry id.
    #[schema(value_type = String)]
    pub vehicle_name: VehicleId,
    /// The schedule whose work it is; null for a repair.
    #[schema(value_type = Option<String>)]
    pub schedule_id: Option<MaintenanceScheduleId>,
    /// What is to be done.
    pub title: String,
    /// More of it.
    pub notes: Option<String>,
    /// How far it has come.
    pub status: WorkOrderStatus,
    /// It was opened because its schedule came due, by nobody.
    pub is_automatic: bool,
    /// When it was opened.
    #[schema(value_type = String, format = DateTime)]
    pub opened_at: Timestamp,
    /// By when it is to be done.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// Who does it: a person, a workshop.
    pub assigned_to: Option<String>,
    /// When the work began.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    /// When it was done, or cancelled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub closed_at: Option<Timestamp>,
    /// The odometer when it was done.
    #[serde(deserialize_with = "odometer_km")]
    pub odometer_km: Option<f64>,
    /// What it cost.
    pub cost: Option<Cost>,
    /// Why it was cancelled.
    pub cancel_reason: Option<String>,
    /// Rises with each change; also the ETag.
    pub version: i64,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Of JSON's digits the nearest metre, so that what was stored reads as what it was.
fn odometer_km<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let km: Option<f64> = Option::deserialize(deserializer)?;
    Ok(km.and_then(metres).map(kilometres))
}

/// How far a work order has come: open, in progress, done; or cancelled before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkOrderStatus {
    /// Nobody has begun.
    Open,
    /// Somebody has.
    InProgress,
    /// It is done.
    Done,
    /// It is not to be done.
    Cancelled,
}

impl WorkOrderStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::InProgress => "in_progress",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for WorkOrderStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Open, Self::InProgress, Self::Done, Self::Cancelled];
        all.into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// What work cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// In the currency's smallest unit, such as cents.
    pub amount_minor: i64,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub currency: String,
}

/// A work order to open.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWorkOrder {
    /// `veh_…` or telemetry id.
    pub vehicle_id: String,
    /// The schedule whose work it is; absent for a repair.
    #[serde(default)]
    pub schedule_id: Option<String>,
    /// What is to be done.
    #[schema(example = "Replace the left mirror")]
    pub title: String,
    /// More of it.
    #[serde(default)]
    pub notes: Option<String>,
    /// By when, RFC 3339.
    #[serde(default)]
    pub due_at: Option<String>,
    /// Who does it.
    #[serde(default)]
    pub assigned_to: Option<String>,
}

/// What to change of a work order; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkOrderPatch {
    /// What is to be done.
    #[serde(default)]
    pub title: Option<String>,
    /// More of it; null for nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub notes: Option<Option<String>>,
    /// Who does it; null for nobody yet.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub assigned_to: Option<Option<String>>,
    /// By when, RFC 3339; null for no day.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub due_at: Option<Option<String>>,
    /// `in_progress` starts it; it is completed and cancelled by calls of their own.
    #[serde(default)]
    pub status: Option<WorkOrderStatus>,
}

/// How work was done.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkOrderCompletion {
    /// When, RFC 3339; now when absent, never in the future.
    #[serde(default)]
    pub done_at: Option<String>,
    /// The odometer then; the known one when absent, where the vehicle has not been driven since.
    #[serde(default)]
    pub odometer_km: Option<f64>,
    /// What it cost.
    #[serde(default)]
    pub cost: Option<Cost>,
    /// In place of the notes it has.
    #[serde(default)]
    pub notes: Option<String>,
}

/// Why a work order is not to be done.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkOrderCancellation {
    /// 1 to 500 characters.
    pub reason: String,
}

/// Which work orders to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct WorkOrderQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only of this vehicle, `veh_…` or telemetry id.
    pub vehicle_id: Option<String>,
    /// Only of this schedule.
    pub schedule_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<WorkOrderStatus>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
