//! What the users domain shows.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::ids::OrganizationId;

/// A customer: whose vehicles are billed together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Organization {
    /// `org_…`
    #[schema(value_type = String)]
    pub id: OrganizationId,
    /// Shown name, unique.
    pub name: String,
    /// ISO 4217 code of its invoices.
    pub currency: String,
    /// IANA zone by which its invoice months are cut.
    pub time_zone: String,
    /// Rises by one with each change.
    pub version: i64,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A new organization.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrganization {
    /// Shown name, unique, 1 to 120 characters.
    pub name: String,
    /// ISO 4217 code, such as `EUR`.
    pub currency: String,
    /// IANA zone, such as `Europe/Copenhagen`.
    pub time_zone: String,
}

/// Which organizations to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct OrganizationQuery {
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
