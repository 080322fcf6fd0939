//! Endpoints and deliveries, as clients see them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::ids::{EventId, OrganizationId, WebhookDeliveryId, WebhookEndpointId};

/// An address that is told of events.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Endpoint {
    /// `whe_…`
    #[schema(value_type = String)]
    pub id: WebhookEndpointId,
    /// Of whose things it is told; null for the operator's, of everybody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Where events are posted to.
    #[schema(example = "https://example.com/roadlake")]
    pub url: String,
    /// For people.
    pub description: String,
    /// Which events, such as `TripCompleted`; empty for all.
    pub event_types: Vec<String>,
    /// Whether it is told anything. One that is gone (410), or got nothing for five days, is disabled by itself.
    pub is_enabled: bool,
    /// Since when no delivery got through; null when the last one did.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub failing_since: Option<Timestamp>,
    /// Rises by one with each change; also the ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

impl Endpoint {
    /// Whether it wants events of this type.
    pub(crate) fn wants(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|wanted| wanted == event_type)
    }
}

/// An endpoint with its secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct NewEndpointSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// What proves a call to be ours (`whsec_…`, Standard Webhooks). It is shown this once.
    pub secret: String,
}

/// An endpoint to add.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Where to post to; of an organization https at a public address.
    pub url: String,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Which events; all when absent or empty.
    #[serde(default)]
    pub event_types: Option<Vec<String>>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of an endpoint; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointPatch {
    /// Where to post to.
    #[serde(default)]
    pub url: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
    /// Which events.
    #[serde(default)]
    pub event_types: Option<Vec<String>>,
    /// Whether it is told anything.
    #[serde(default)]
    pub is_enabled: Option<bool>,
}

/// Which endpoints to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EndpointQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is to be attempted, at first or again.
    Pending,
    /// It was answered with a 2xx.
    Delivered,
    /// It is attempted no more.
    Failed,
}

impl DeliveryStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for DeliveryStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Pending, Self::Delivered, Self::Failed].into_iter().find(|s| s.as_str() == text).ok_or(())
    }
}

/// An event for an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Delivery {
    /// `whd_…`, in the order of time.
    #[schema(value_type = String)]
    pub id: WebhookDeliveryId,
    /// For which endpoint.
    #[schema(value_type = String)]
    pub endpoint_id: WebhookEndpointId,
    /// The event's place in the log.
    pub event_position: i64,
    /// The event, `evt_…`: `webhook-id` of every attempt.
    #[schema(value_type = String)]
    pub event_id: EventId,
    /// Such as `TripCompleted`.
    pub event_type: String,
    /// What became of it.
    pub status: DeliveryStatus,
    /// Attempts begun.
    pub attempt_count: i64,
    /// When it is attempted next.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub next_attempt_at: Option<Timestamp>,
    /// When it was attempted last.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_attempt_at: Option<Timestamp>,
    /// The HTTP status that was answered last.
    pub last_status: Option<i64>,
    /// What came instead of an answer.
    pub last_error: Option<String>,
    /// When it got through.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub delivered_at: Option<Timestamp>,
    /// When it came to be told.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DeliveryQuery {
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<DeliveryStatus>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}
