//! Groups as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::{
    extract::given,
    ids::{GroupId, OrganizationId},
};

/// A group of vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// `grp_…`
    #[schema(value_type = String)]
    pub id: GroupId,
    /// Whose vehicles it has; null for those that are nobody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Shown name; unique in the organization, in whatever case.
    #[schema(example = "North depot")]
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// How many vehicles are in it.
    pub vehicle_count: i64,
    /// Rises by one with each change of the group, not of its vehicles; also its ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// A group to make.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGroup {
    /// Shown name, 1 to 120 characters.
    #[schema(example = "North depot")]
    pub name: String,
    /// At most 1000 characters.
    #[serde(default)]
    pub description: Option<String>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a group; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupPatch {
    /// Shown name.
    #[serde(default)]
    pub name: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub description: Option<Option<String>>,
}

/// Which groups to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GroupQuery {
    /// Part of the name, in any case.
    pub q: Option<String>,
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which vehicles of a group to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GroupVehiclesQuery {
    /// Part of the name or telemetry id, in any case.
    pub q: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Vehicles that join a group and that leave it: `veh_…` or telemetry ids, at most 1,000 together.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupMembers {
    /// These join, unless they are there.
    #[serde(default)]
    pub add: Vec<String>,
    /// These leave, unless they are not there.
    #[serde(default)]
    pub remove: Vec<String>,
}
