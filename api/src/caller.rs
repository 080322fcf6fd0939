//! Who asks: what they may do, and whose data they reach.

use axum::{extract::FromRequestParts, http::request::Parts};
use wire::time::Timestamp;

use crate::{
    error::ApiError,
    fault::DomainError,
    ids::{ApiKeyId, OrganizationId, SessionId, UserId},
    users::{people::User, role::Role},
};

/// How somebody came who signed in at the identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignedIn {
    /// A browser, by its cookie.
    Session { id: SessionId, ends_at: Timestamp },
    /// A program, by an access token of the provider's.
    Token { ends_at: Timestamp },
}

/// Who asks. Without an organization they are of the operator and reach everybody's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    actor: String,
    role: Role,
    /// The role of the person whose key it is: the key may no more than they.
    person: Option<Role>,
    organization: Option<OrganizationId>,
    /// The person whose key it is, if it is one's.
    user: Option<UserId>,
    signed_in: Option<SignedIn>,
}

impl Caller {
    /// Whoever is on this machine, where no key is asked for.
    pub(crate) fn local() -> Self {
        Self::owner("local")
    }

    /// Who has the key of `api_key_file`.
    pub fn operator() -> Self {
        Self::owner("operator")
    }

    fn owner(actor: &str) -> Self {
        Self {
            actor: actor.to_owned(),
            role: Role::Owner,
            person: None,
            organization: None,
            user: None,
            signed_in: None,
        }
    }

    /// Who has an API key.
    pub(crate) fn of_key(
        id: ApiKeyId,
        (role, person): (Role, Option<Role>),
        organization: Option<OrganizationId>,
    ) -> Self {
        Self { actor: id.to_string(), role, person, organization, user: None, signed_in: None }
    }

    /// A person who signed in.
    pub(crate) fn signed_in(user: &User, how: SignedIn) -> Self {
        Self {
            actor: user.id.to_string(),
            role: user.role,
            person: None,
            organization: user.organization_id.clone(),
            user: Some(user.id.clone()),
            signed_in: Some(how),
        }
    }

    /// The same, if it is a person's key: of that person.
    pub(crate) fn of_person(self, user: Option<UserId>) -> Self {
        Self { user, ..self }
    }

    /// The role that a rule does not allow, if any: the key's, or that of the person it is of.
    pub(crate) fn refused_role(&self, allows: impl Fn(Role) -> bool) -> Option<Role> {
        [Some(self.role), self.person].into_iter().flatten().find(|role| !allows(*role))
    }

    /// How they signed in, if at the provider.
    pub(crate) fn signed_in_as(&self) -> Option<&SignedIn> {
        self.signed_in.as_ref()
    }

    /// The session of the browser they came with, if they did.
    pub(crate) fn session(&self) -> Option<&SessionId> {
        match &self.signed_in {
            Some(SignedIn::Session { id, .. }) => Some(id),
            _ => None,
        }
    }

    /// When they have to sign in again.
    pub(crate) fn ends_at(&self) -> Option<Timestamp> {
        match &self.signed_in {
            Some(SignedIn::Session { ends_at, .. } | SignedIn::Token { ends_at }) => Some(*ends_at),
            None => None,
        }
    }

    /// The name in the audit log: the id of a key or of a person who signed in, `operator`, or `local`.
    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Whose data alone they reach; everybody's when none.
    pub(crate) fn organization(&self) -> Option<&OrganizationId> {
        self.organization.as_ref()
    }

    /// The person they are, or whose key they have, if it is one's.
    pub(crate) fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The organization of a new thing: as asked, or else their own. Another's than their own does
    /// not exist for them.
    pub(crate) fn placed(
        &self,
        what: &'static str,
        asked: Option<String>,
    ) -> Result<Option<String>, DomainError> {
        match (&self.organization, asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(asked)) if asked != own.as_str() => {
                Err(DomainError::invalid(what, "organization_id", no_organization(&asked)))
            }
            (Some(own), _) => Ok(Some(own.to_string())),
        }
    }

    /// The organization that a list is narrowed to; every one's when none. Another's than their
    /// own does not exist for them.
    pub(crate) fn narrowed(&self, asked: Option<String>) -> Result<Option<String>, DomainError> {
        match (&self.organization, asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(asked)) if asked != own.as_str() => {
                Err(DomainError::not_found("organization", asked))
            }
            (Some(own), _) => Ok(Some(own.to_string())),
        }
    }
}

/// The fault of an `organization_id` that is nobody's, or nobody's of the caller's.
pub(crate) fn no_organization(id: &str) -> String {
    format!("there is no organization {id}; see /v1/organizations")
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        // `entry.rs` puts it there, for every route of /v1.
        parts.extensions.get::<Self>().cloned().ok_or_else(ApiError::unauthorized)
    }
}
