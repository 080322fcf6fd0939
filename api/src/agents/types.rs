//! What clients see of agents.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ack::LinkState, ids::VehicleId, time::Timestamp};

use super::campaigns::types::{Target, Uptake};
use crate::ids::DeploymentId;

/// The agent of a vehicle, as it told last.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Agent {
    /// Its vehicle.
    #[schema(value_type = String, example = "van-7")]
    pub vehicle_id: VehicleId,
    /// Whether it is connected to the broker.
    pub is_online: bool,
    /// How its way to the cloud is: `offline`, `catching_up` or `live`.
    #[schema(value_type = String, example = "live")]
    pub link: LinkState,
    /// Release of the agent.
    #[schema(example = "0.1.0")]
    pub agent_version: String,
    /// The start of the agent.
    pub boot_id: String,
    /// The signals it can collect are those of this catalogue.
    pub catalog_hash: String,
    /// Since when it is as it is, by the vehicle's clock.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// When it was heard, by ours.
    #[schema(value_type = String, format = DateTime)]
    pub heard_at: Timestamp,
    /// The campaign set it runs; null when only the default collection.
    pub campaigns_in_force: Option<CampaignsInForce>,
    /// Why it refused the latest set that came; null when it did not.
    pub campaigns_refusal: Option<String>,
    /// What it is to run; null when nothing was ever deployed to it from here.
    pub campaigns_wanted: Option<CampaignsWanted>,
}

/// A campaign set that a vehicle runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CampaignsInForce {
    /// The set's name.
    #[schema(example = "overheat")]
    pub name: String,
    /// Of the deployment.
    pub revision: u64,
    /// Of the delivered text: the first 16 bytes of its SHA-256.
    pub hash: String,
}

/// A campaign set that a vehicle is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CampaignsWanted {
    /// `cdp_…`
    #[schema(value_type = String)]
    pub deployment_id: DeploymentId,
    /// The set's name.
    pub name: String,
    /// Of the deployment.
    pub revision: i64,
    /// How far it has come.
    pub uptake: Uptake,
}

impl CampaignsWanted {
    pub(super) fn of(target: Target, agent: Option<&Agent>) -> Self {
        let uptake = Uptake::of(&target, agent);
        let Target { deployment_id, name, revision, .. } = target;
        Self { deployment_id, name, revision, uptake }
    }
}

/// Which agents to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AgentQuery {
    /// Only those that are connected, or are not.
    pub is_online: Option<bool>,
    /// Only those of this release.
    pub agent_version: Option<String>,
    /// Only those of an organization's vehicles.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// Where the page before ended.
    pub cursor: Option<String>,
}
