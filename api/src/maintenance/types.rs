//! Schedules and what is due, as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    ids::{MaintenanceScheduleId, OrganizationId, RegistryId, WorkOrderId},
    vehicles::Driven,
};

/// Work that is to be done again and again. Of its limits the one that is reached first counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceSchedule {
    /// `msc_…`
    #[schema(value_type = String)]
    pub id: MaintenanceScheduleId,
    /// Whose vehicles it is for; null for those that are nobody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// For people.
    #[schema(example = "Oil and filter")]
    pub name: String,
    /// What is to be done: the notes of its work orders.
    pub description: Option<String>,
    /// After so many kilometres.
    #[schema(example = 15_000)]
    pub every_km: Option<i64>,
    /// After so many days.
    #[schema(example = 365)]
    pub every_days: Option<i64>,
    /// It is due soon so many kilometres before.
    #[schema(example = 1_500)]
    pub remind_km: Option<i64>,
    /// It is due soon so many days before.
    #[schema(example = 14)]
    pub remind_days: Option<i64>,
    /// For these vehicles, `veh_…`; when empty for every vehicle of the organization, those that come later too.
    #[schema(value_type = Vec<String>)]
    pub vehicle_ids: Vec<RegistryId>,
    /// Nothing is due by one that is not.
    pub is_enabled: bool,
    /// Rises with each change; also the ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

impl MaintenanceSchedule {
    /// Whether it is for a vehicle.
    pub(crate) fn covers(&self, vehicle: &Driven) -> bool {
        // The ids are in order.
        let is_meant = self.vehicle_ids.is_empty() || self.vehicle_ids.binary_search(&vehicle.id).is_ok();
        is_meant && self.organization_id == vehicle.organization_id
    }

    /// Its limits as a text: what was said under others is said again.
    pub(crate) fn limits(&self) -> String {
        let text = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        format!("{} km, {} days", text(self.every_km), text(self.every_days))
    }
}

/// A schedule to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenanceSchedule {
    /// For people.
    #[schema(example = "Oil and filter")]
    pub name: String,
    /// What is to be done.
    #[serde(default)]
    pub description: Option<String>,
    /// After so many kilometres, 1 to 1,000,000.
    #[serde(default)]
    #[schema(example = 15_000)]
    pub every_km: Option<i64>,
    /// After so many days, 1 to 3650.
    #[serde(default)]
    #[schema(example = 365)]
    pub every_days: Option<i64>,
    /// It is due soon so many kilometres before; a tenth of `every_km` when absent.
    #[serde(default)]
    pub remind_km: Option<i64>,
    /// It is due soon so many days before; 14 when absent, or half of `every_days` where that is less.
    #[serde(default)]
    pub remind_days: Option<i64>,
    /// For these vehicles, `veh_…` or telemetry ids; for every one of the organization when absent or empty.
    #[serde(default)]
    pub vehicle_ids: Vec<String>,
    /// True when absent.
    #[serde(default)]
    pub is_enabled: Option<bool>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a schedule; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceSchedulePatch {
    /// For people.
    #[serde(default)]
    pub name: Option<String>,
    /// What is to be done; null for nothing.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
    /// After so many kilometres; null for no such limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub every_km: Option<Option<i64>>,
    /// After so many days; null for no such limit.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    pub every_days: Option<Option<i64>>,
    /// It is due soon so many kilometres before.
    #[serde(default)]
    pub remind_km: Option<i64>,
    /// It is due soon so many days before.
    #[serde(default)]
    pub remind_days: Option<i64>,
    /// For these vehicles, all of them; every one of the organization when empty.
    #[serde(default)]
    pub vehicle_ids: Option<Vec<String>>,
    /// Whether anything is due by it.
    #[serde(default)]
    pub is_enabled: Option<bool>,
}

/// Which schedules to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceScheduleQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Work of a schedule that was done before, or elsewhere.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceDone {
    /// `veh_…` or telemetry id.
    pub vehicle_id: String,
    /// When, RFC 3339; never in the future.
    pub done_at: String,
    /// The odometer then. It may be left out where the vehicle has not been driven since.
    #[serde(default)]
    pub odometer_km: Option<f64>,
}

/// How urgent the work of a schedule is on a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DueStatus {
    /// Nothing is to be done yet.
    Ok,
    /// As near to a limit as the schedule reminds of.
    DueSoon,
    /// At a limit, or over it.
    Overdue,
    /// The odometer is not known, and there is no limit in days.
    Unknown,
}

impl DueStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::DueSoon => "due_soon",
            Self::Overdue => "overdue",
            Self::Unknown => "unknown",
        }
    }

    /// What is said of it rises: nothing, due soon, overdue.
    pub(crate) fn level(self) -> u8 {
        match self {
            Self::Ok | Self::Unknown => 0,
            Self::DueSoon => 1,
            Self::Overdue => 2,
        }
    }
}

impl std::str::FromStr for DueStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Ok, Self::DueSoon, Self::Overdue, Self::Unknown];
        all.into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// Where a vehicle is in a schedule.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceDue {
    /// `veh_…`
    #[schema(value_type = String)]
    pub vehicle_id: RegistryId,
    /// Its telemetry id.
    #[schema(value_type = String)]
    pub vehicle_name: VehicleId,
    /// `msc_…`
    #[schema(value_type = String)]
    pub schedule_id: MaintenanceScheduleId,
    /// Its name.
    pub schedule_name: String,
    /// How urgent it is.
    pub status: DueStatus,
    /// When it was done last; null while never.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_done_at: Option<Timestamp>,
    /// At which odometer.
    pub last_done_odometer_km: Option<f64>,
    /// The limit in days; null where there is none.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// The limit in kilometres; null where there is none, or no odometer was known yet.
    pub due_odometer_km: Option<f64>,
    /// Until that; negative when over.
    pub left_km: Option<f64>,
    /// Whole days until `due_at`; negative when over.
    pub left_days: Option<i64>,
    /// The work order that is open for it.
    #[schema(value_type = Option<String>)]
    pub work_order_id: Option<WorkOrderId>,
}

/// Which of them to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceDueQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only of this vehicle, `veh_…` or telemetry id.
    pub vehicle_id: Option<String>,
    /// Only of vehicles in this group.
    pub group_id: Option<String>,
    /// Only of this schedule.
    pub schedule_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<DueStatus>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// An odometer of a request, in metres, if it can be one.
#[allow(clippy::cast_possible_truncation, reason = "bounded before")]
pub(crate) fn metres(km: f64) -> Option<i64> {
    (0.0..=10_000_000.0).contains(&km).then(|| (km * 1000.0).round() as i64)
}

/// Metres as they are shown.
#[allow(clippy::cast_precision_loss, reason = "metres of an odometer fit a double exactly")]
pub(crate) fn kilometres(m: i64) -> f64 {
    m as f64 / 1000.0
}
