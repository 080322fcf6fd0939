//! What clients see of campaigns.

use edge_agent::campaign::PlanLine;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    agents::types::Agent,
    ids::{CampaignSetId, DeploymentId, OrganizationId},
};

/// A campaign set as its author wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CampaignSet)]
pub struct StoredSet {
    /// `cst_…`
    #[schema(value_type = String, example = "cst_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub id: CampaignSetId,
    /// Whose it is; null for one of the operator's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// What vehicles call it, 1 to 64 of `a-z0-9-`.
    #[schema(example = "overheat")]
    pub name: String,
    /// For people.
    pub description: String,
    /// TOML or JSON, as docs/campaigns.md describes it; id and revision are filled in when it is deployed.
    pub text: String,
    /// Rises with each change.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was changed last.
    #[schema(value_type = String, format = DateTime)]
    pub changed_at: Timestamp,
}

/// A new campaign set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaignSet {
    /// What vehicles call it, 1 to 64 of `a-z0-9-`.
    #[schema(example = "overheat")]
    pub name: String,
    /// For people.
    pub description: Option<String>,
    /// TOML or JSON.
    #[schema(
        example = "[[campaign]]\nname = \"overheat\"\nwhen = \"Vehicle.Speed > 120 km/h for 5s\"\n\n[[campaign.collect]]\nsignals = [\"Vehicle.Speed\"]\n"
    )]
    pub text: String,
    /// Whose it is; of the operator when absent.
    pub organization_id: Option<String>,
}

/// A change of a campaign set.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CampaignSetPatch {
    /// See [`NewCampaignSet::name`].
    pub name: Option<String>,
    /// See [`NewCampaignSet::description`].
    pub description: Option<String>,
    /// See [`NewCampaignSet::text`].
    pub text: Option<String>,
}

/// Which sets to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CampaignSetQuery {
    /// Only those with this in their name.
    pub q: Option<String>,
    /// Only those of an organization.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Which vehicles to try a set against.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Telemetry ids.
    pub vehicle_ids: Option<Vec<String>>,
    /// All of the caller's vehicles.
    #[serde(default)]
    pub all_vehicles: bool,
    /// The vehicles that are in this group.
    #[serde(default)]
    pub group_id: Option<String>,
}

/// What becomes of a set on vehicles.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckResult {
    /// By telemetry id.
    pub data: Vec<CheckItem>,
}

/// What becomes of a set on a vehicle.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckItem {
    /// The vehicle.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// Whether it would run it.
    pub fit: Fit,
    /// What it would collect.
    pub collects: Vec<CheckLine>,
    /// Why it would refuse it.
    pub faults: Vec<String>,
}

/// Whether a vehicle would run a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It would.
    Fits,
    /// It would not.
    Refused,
    /// Its signals are not known: its agent was not heard of, or has sent nothing.
    Unknown,
}

/// A line of what a set collects.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckLine {
    /// Of which campaign.
    pub campaign: String,
    /// When it collects.
    pub when: String,
    /// Which samples.
    pub what: String,
    /// The names they have in the table `signals`.
    pub signals: Vec<String>,
}

impl From<PlanLine> for CheckLine {
    fn from(line: PlanLine) -> Self {
        let PlanLine { campaign, when, what, signals } = line;
        Self { campaign, when, what, signals }
    }
}

/// A campaign set to be run by vehicles.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// The set, as it is now; null or absent ends the vehicles' campaigns.
    pub campaign_set_id: Option<String>,
    /// Telemetry ids, at most 10,000.
    pub vehicle_ids: Option<Vec<String>>,
    /// All of the caller's vehicles.
    #[serde(default)]
    pub all_vehicles: bool,
    /// The vehicles that are in this group now; who joins later is not meant.
    #[serde(default)]
    pub group_id: Option<String>,
}

/// A copy of a campaign set, signed and on its way to vehicles.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CampaignDeployment)]
pub struct Deployment {
    /// `cdp_…`
    #[schema(value_type = String)]
    pub id: DeploymentId,
    /// Whose it is; null for one of the operator's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// The set it is a copy of; null for one that ends campaigns.
    #[schema(value_type = Option<String>)]
    pub campaign_set_id: Option<CampaignSetId>,
    /// The set's name then.
    pub name: String,
    /// Above that of every deployment before.
    pub revision: i64,
    /// Of the text: the first 16 bytes of its SHA-256, as vehicles tell it.
    pub hash: String,
    /// As it is delivered, without the signature.
    pub text: String,
    /// How many of its vehicles run it.
    pub uptake: UptakeCounts,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Vehicles of a deployment, by how far they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct UptakeCounts {
    /// They run it.
    pub in_force: i64,
    /// They are to run it and have not told of it.
    pub pending: i64,
    /// They refused it.
    pub refused: i64,
    /// A later deployment is for them.
    pub replaced: i64,
}

/// How far a vehicle of a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uptake {
    /// It runs it.
    InForce,
    /// It is to run it and has not told of it.
    Pending,
    /// It refused it.
    Refused,
    /// A later deployment is for it.
    Replaced,
}

impl Uptake {
    /// As written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in_force",
            Self::Pending => "pending",
            Self::Refused => "refused",
            Self::Replaced => "replaced",
        }
    }

    /// Of what a vehicle is to run now and what its agent told.
    pub(crate) fn of(target: &Target, agent: Option<&Agent>) -> Self {
        let in_force = agent.and_then(|agent| agent.campaigns_in_force.as_ref());
        if in_force.is_some_and(|set| set.hash == target.hash) {
            return Self::InForce;
        }
        // A refusal that was heard before it was sent is of another set.
        let is_refused = agent.is_some_and(|agent| {
            agent.campaigns_refusal.is_some() && target.published_at.is_some_and(|at| agent.heard_at >= at)
        });
        if is_refused { Self::Refused } else { Self::Pending }
    }
}

/// What a vehicle is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) deployment_id: DeploymentId,
    pub(crate) name: String,
    pub(crate) revision: i64,
    pub(crate) hash: String,
    pub(crate) published_at: Option<Timestamp>,
}

/// A vehicle of a deployment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = CampaignTarget)]
pub struct TargetItem {
    /// The vehicle.
    #[schema(value_type = String)]
    pub vehicle_id: VehicleId,
    /// How far it is.
    pub uptake: Uptake,
    /// Why it refused it; null when it did not.
    pub refusal: Option<String>,
    /// When the broker was given it last; null while it was not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub published_at: Option<Timestamp>,
}

/// Which deployments to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeploymentQuery {
    /// Only those of a set.
    pub campaign_set_id: Option<String>,
    /// Only those of an organization.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

/// Which vehicles of a deployment to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TargetQuery {
    /// Only those that are so far.
    #[param(inline)]
    pub uptake: Option<Uptake>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}
