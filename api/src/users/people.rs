//! Users: people with a role in an organization, or of the operator when they have none.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use super::{check_organization, role::Role, store};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{OrganizationId, UserId},
    page::{Cursor, Page, limit_of},
};

/// A person.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct User {
    /// `usr_…`
    #[schema(value_type = String)]
    pub id: UserId,
    /// Unique, in lower case.
    pub email: String,
    /// Shown name.
    pub name: String,
    /// Where the role counts; null for the operator's own people.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// What they may do there.
    pub role: Role,
    /// When false, their keys and sessions are refused.
    pub is_active: bool,
    /// Rises by one with each change; also the ETag.
    pub version: i64,
    /// When they were added.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A person to add.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Where mail reaches them; unique.
    pub email: String,
    /// Shown name.
    pub name: String,
    /// The caller's own when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
    /// What they may do.
    pub role: Role,
}

/// What to change of a person; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// Shown name.
    #[serde(default)]
    pub name: Option<String>,
    /// What they may do.
    #[serde(default)]
    pub role: Option<Role>,
    /// Whether their keys and sessions are taken.
    #[serde(default)]
    pub is_active: Option<bool>,
}

/// Which people or keys to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MemberQuery {
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Adds a person.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewUser,
) -> Result<User, DomainError> {
    let mut faults = Faults::default();
    let email = new.email.trim().to_lowercase();
    let is_address = email.len() <= 254
        && email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && host.contains('.'))
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    faults.require(is_address, "email", "must be an address such as \"ana@example.com\"");
    let name = checked_name(&new.name, &mut faults);
    let organization = caller.placed("the user", new.organization_id)?;
    let organization_id = check_organization(conn, organization.as_deref(), &mut faults).await?;
    faults.finish("the user")?;
    if store::people::by_email(conn, &email).await?.is_some() {
        return Err(DomainError::Conflict("a user with this email exists".to_owned()));
    }
    let user = User {
        id: UserId::new(now),
        email,
        name,
        organization_id,
        role: new.role,
        is_active: true,
        version: 1,
        created_at: now,
    };
    note(conn, now, "UserAdded", &user).await?;
    store::people::insert(conn, &user).await?;
    Ok(user)
}

/// Changes a person who is at `expected_version`.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&UserId, i64),
    patch: UserPatch,
) -> Result<User, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "user",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut user = before.clone();
    if let Some(name) = &patch.name {
        user.name = checked_name(name, &mut faults);
    }
    faults.finish("the change")?;
    user.role = patch.role.unwrap_or(before.role);
    user.is_active = patch.is_active.unwrap_or(before.is_active);
    if user == before {
        return Ok(before);
    }
    user.version += 1;
    note(conn, now, "UserChanged", &user).await?;
    store::people::update(conn, &user).await?;
    Ok(user)
}

/// The log never forgets, so it has no name and no address.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    event_type: &'static str,
    user: &User,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: "user",
        aggregate_id: user.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": user.organization_id, "role": user.role, "is_active": user.is_active,
        }),
    };
    events::append(conn, now, user.version - 1, event).await?;
    Ok(())
}

pub(super) fn checked_name(name: &str, faults: &mut Faults) -> String {
    let name = name.trim().to_owned();
    faults.require((1..=120).contains(&name.chars().count()), "name", "must be 1 to 120 characters");
    name
}

/// The person of an id.
pub async fn get(conn: &mut Conn, id: &UserId) -> Result<User, DomainError> {
    store::people::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("user", id.as_str()))
}

/// The person of an address in lower case, if it is one's.
pub(crate) async fn by_email(conn: &mut Conn, email: &str) -> Result<Option<User>, DomainError> {
    store::people::by_email(conn, email).await
}

/// People, oldest first.
pub async fn list(conn: &mut Conn, caller: &Caller, query: MemberQuery) -> Result<Page<User>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?;
    let found = store::people::after(conn, organization.as_deref(), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |u| Cursor { key: String::new(), id: u.id.to_string() }))
}
