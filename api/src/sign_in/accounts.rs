//! Who somebody at the provider is here.
//!
//! By the link that was kept when they first came; else by the address that the provider has seen to be theirs, which is
//! then linked; else they are new. An address that is not verified is nobody's: whoever could write any into their
//! account would be anybody.

use wire::time::Timestamp;

use super::{claims::Identity, store, types::Session};
use crate::{
    caller::Caller,
    config::{NewPeople, OidcSettings},
    db::Conn,
    fault::DomainError,
    ids::UserId,
    users::people::{self, NewUser, User},
};

/// Longest name of a user.
const NAME_CHARS_MAX: usize = 120;

/// Why somebody whom the provider knows may not come in.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unknown {
    /// Nobody here has their address, and new people are not taken.
    NoAccount,
    /// The provider has not seen that the address is theirs.
    UnverifiedEmail,
    /// They are a user who is no longer active.
    Inactive(Box<User>),
}

/// The user that a person is linked with.
pub(super) async fn linked(
    conn: &mut Conn,
    issuer: &str,
    subject: &str,
) -> Result<Option<User>, DomainError> {
    match store::user_of(conn, (issuer, subject)).await? {
        Some(id) => Ok(Some(people::get(conn, &id).await?)),
        None => Ok(None),
    }
}

/// The user that a person is: linked, or by their address. Nothing is changed.
pub(super) async fn known(
    conn: &mut Conn,
    issuer: &str,
    identity: &Identity,
) -> Result<Result<User, Unknown>, DomainError> {
    let found = match linked(conn, issuer, &identity.subject).await? {
        Some(user) => Some(user),
        None => match &identity.email {
            Some(_) if !identity.is_email_verified => return Ok(Err(Unknown::UnverifiedEmail)),
            Some(email) => people::by_email(conn, email).await?,
            None => None,
        },
    };
    Ok(match found {
        Some(user) if user.is_active => Ok(user),
        Some(user) => Err(Unknown::Inactive(Box::new(user))),
        None => Err(Unknown::NoAccount),
    })
}

/// The same, in a transaction that links them, and adds who is new where that is wanted.
pub(super) async fn found_or_added(
    conn: &mut Conn,
    now: Timestamp,
    settings: &OidcSettings,
    identity: &Identity,
) -> Result<Result<User, Unknown>, DomainError> {
    let user = match known(conn, &settings.issuer, identity).await? {
        Err(Unknown::NoAccount) => added(conn, now, settings, identity).await?,
        found => found,
    };
    if let Ok(user) = &user {
        let person = (settings.issuer.as_str(), identity.subject.as_str());
        if store::user_of(conn, person).await?.is_none() {
            store::link(conn, now, person, &user.id).await?;
            tracing::info!(user_id = %user.id, "user linked with a person at the provider");
        }
    }
    Ok(user)
}

async fn added(
    conn: &mut Conn,
    now: Timestamp,
    settings: &OidcSettings,
    identity: &Identity,
) -> Result<Result<User, Unknown>, DomainError> {
    let NewPeople::Become { organization_id, role, email_domains } = &settings.new_people else {
        return Ok(Err(Unknown::NoAccount));
    };
    let Some(email) = &identity.email else { return Ok(Err(Unknown::NoAccount)) };
    let domain = email.rsplit_once('@').map(|(_, domain)| domain);
    let is_taken = |domains: &Vec<String>| domain.is_some_and(|of| domains.iter().any(|one| one == of));
    if !email_domains.as_ref().is_none_or(is_taken) {
        return Ok(Err(Unknown::NoAccount));
    }
    let name = identity.name.as_ref().unwrap_or(email);
    let new = NewUser {
        email: email.clone(),
        name: name.chars().take(NAME_CHARS_MAX).collect(),
        organization_id: Some(organization_id.to_string()),
        role: *role,
    };
    match people::create(conn, now, &Caller::operator(), new).await {
        Ok(user) => Ok(Ok(user)),
        // No such organization, or an address that we take for none: the configuration's fault, or the provider's.
        Err(error @ DomainError::Invalid { .. }) => {
            let error = service::logs::chain(&error);
            tracing::error!(%error, "somebody new cannot become a user; see oidc.new_people");
            Ok(Err(Unknown::NoAccount))
        }
        Err(error) => Err(error),
    }
}

/// The person of a session, if they are still active.
pub(super) async fn person_of(conn: &mut Conn, session: &Session) -> Result<Option<User>, DomainError> {
    active(conn, &session.user_id).await
}

/// A person, if they are still active.
pub(super) async fn active(conn: &mut Conn, id: &UserId) -> Result<Option<User>, DomainError> {
    match people::get(conn, id).await {
        Ok(user) => Ok(Some(user).filter(|user| user.is_active)),
        Err(DomainError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
