//! What signing in shows.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::ids::{OrganizationId, SessionId, UserId};

/// How one may sign in here.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct WaysIn {
    /// By an API key.
    pub(crate) api_keys: bool,
    /// At the identity provider, if there is one.
    pub(crate) oidc: Option<ProviderWay>,
}

/// The way by the provider.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ProviderWay {
    /// What the button says.
    pub(crate) label: String,
    /// Where the browser is sent; with `return_to`, a path of the console.
    pub(crate) start_path: &'static str,
}

/// Somebody who is signed in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SessionShown {
    /// `ses_…`
    #[schema(value_type = String)]
    pub(crate) id: SessionId,
    /// Who.
    #[schema(value_type = String)]
    pub(crate) user_id: UserId,
    /// Their name.
    pub(crate) person_name: String,
    /// Their address.
    pub(crate) email: String,
    /// Whose data they reach; null for everybody's.
    #[schema(value_type = Option<String>)]
    pub(crate) organization_id: Option<OrganizationId>,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) signed_in_at: Timestamp,
    /// When it was last used, to the minute.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) last_seen_at: Timestamp,
    /// When it ends at the latest.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) ends_at: Timestamp,
    /// Whether it is the caller's own of this request.
    pub(crate) is_current: bool,
}

/// Which sessions to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionQuery {
    /// Only of this organization's people.
    pub(crate) organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub(crate) limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub(crate) cursor: Option<String>,
}

/// Where to go on after signing out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct SignedOut {
    /// Where the person signs out at the provider too; null where that cannot be done.
    pub(crate) provider_sign_out_url: Option<String>,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) user_id: UserId,
    pub(super) organization_id: Option<OrganizationId>,
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) created_at: Timestamp,
    pub(super) seen_at: Timestamp,
    pub(super) ends_at: Timestamp,
    /// Sealed.
    pub(super) tokens: Option<String>,
    pub(super) check_at: Option<Timestamp>,
    pub(super) checking_until: Option<Timestamp>,
}
