//! Who asks, as they are told it themselves: what their key is called, whose it is, and what it may.

use serde::Serialize;
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{
    keys::{self, ApiKey},
    people,
    role::Role,
};
use crate::{
    caller::Caller,
    db::Conn,
    fault::DomainError,
    ids::{ApiKeyId, OrganizationId, UserId},
    permissions,
};

/// The caller.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Me {
    /// As in the audit log: the id of a key or of a person who signed in, `operator`, or `local` for who needs none.
    pub actor: String,
    /// The key's name; null where it is none of ours.
    pub key_name: Option<String>,
    /// The person who signed in, or whose key it is, if it is one's.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// Their name.
    pub person_name: Option<String>,
    /// Their address.
    pub email: Option<String>,
    /// `oidc` for who signed in at the identity provider; null for keys.
    pub signed_in_by: Option<&'static str>,
    /// When who signed in has to do so again.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    /// The role of the key, or of who signed in; of a key a person's own may let it do less.
    pub role: Role,
    /// Whose data alone the key reaches; null for everybody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// The name of that organization.
    pub organization_name: Option<String>,
    /// From when on the key is refused.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    /// What it may call, as method and route: `GET /v1/trips/{id}`.
    pub may: Vec<String>,
}

/// What there is to tell of a caller.
pub(crate) async fn me(conn: &mut Conn, caller: &Caller) -> Result<Me, DomainError> {
    let key: Option<ApiKey> = match caller.actor().parse::<ApiKeyId>() {
        Ok(id) => Some(keys::get(conn, &id).await?),
        Err(_) => None,
    };
    let person = match caller.user() {
        Some(id) => Some(people::get(conn, id).await?),
        None => None,
    };
    let (person_name, email) = person.map(|person| (person.name, person.email)).unzip();
    let organization_name = match caller.organization() {
        Some(id) => Some(super::get(conn, id).await?.name),
        None => None,
    };
    Ok(Me {
        actor: caller.actor().to_owned(),
        expires_at: key.as_ref().and_then(|key| key.expires_at),
        key_name: key.map(|key| key.name),
        user_id: caller.user().cloned(),
        person_name,
        email,
        signed_in_by: caller.signed_in_as().map(|_| "oidc"),
        ends_at: caller.ends_at(),
        role: caller.role(),
        organization_id: caller.organization().cloned(),
        organization_name,
        may: permissions::of(caller).map(|rule| format!("{} {}", rule.method, rule.route)).collect(),
    })
}
