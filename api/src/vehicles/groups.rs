//! Groups of vehicles, by which lists and the live map are narrowed: a depot's vans, a customer's.
//!
//! *Owns* the tables `vehicle_groups` and `group_vehicles`, and their events. *Does not own* vehicles.
//!
//! A group has vehicles of its own organization alone; one that becomes another's leaves it, in the transaction that
//! says so. A vehicle that joins or leaves does not change the group's version: nobody's edit of a name is in its way.
//!
//! Bounds: 1,000 groups an organization; 1,000 vehicles join or leave at once.

pub(crate) mod http;
mod members;
pub(crate) mod rebuild;
mod store;
pub mod types;

use wire::time::Timestamp;

pub use self::members::{change_members, join, leave};
pub(crate) use self::members::{ids_in, leave_all, vehicles_of, with_groups};
use self::types::{Group, GroupPatch, GroupQuery, NewGroup};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{GroupId, OrganizationId},
    page::{Cursor, Page, limit_of},
    rows::count_of,
    users,
};

const AGGREGATE: &str = "group";
/// Of an organization, and of the operator.
const GROUPS_MAX: i64 = 1_000;
const DESCRIPTION_LEN_MAX: usize = 1_000;

/// Makes a group, empty.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewGroup,
) -> Result<Group, DomainError> {
    const WHAT: &str = "the group";
    let mut faults = Faults::default();
    let organization = caller.placed(WHAT, new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let group = Group {
        id: GroupId::new(now),
        organization_id,
        name: checked_name(&new.name, &mut faults),
        description: checked_description(new.description, &mut faults),
        vehicle_count: 0,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    faults.finish(WHAT)?;
    check_unique(conn, &group).await?;
    if count_of(conn, "vehicle_groups", group.organization_id.as_ref()).await? >= GROUPS_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {GROUPS_MAX} groups already, as many as an organization may have; delete one first"
        )));
    }
    note(conn, now, (&group, "GroupCreated")).await?;
    store::insert(conn, &group).await?;
    Ok(group)
}

/// Changes a group that is at `expected_version`.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&GroupId, i64),
    patch: GroupPatch,
) -> Result<Group, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "group",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut group = before.clone();
    if let Some(name) = &patch.name {
        group.name = checked_name(name, &mut faults);
    }
    if let Some(description) = patch.description {
        group.description = checked_description(description, &mut faults);
    }
    faults.finish("the change")?;
    if group == before {
        return Ok(before);
    }
    check_unique(conn, &group).await?;
    (group.version, group.updated_at) = (before.version + 1, now);
    note(conn, now, (&group, "GroupChanged")).await?;
    store::update(conn, &group).await?;
    Ok(group)
}

/// Takes a group away; of its vehicles none is told to have left it.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &GroupId) -> Result<(), DomainError> {
    let mut group = get(conn, id).await?;
    (group.version, group.updated_at) = (group.version + 1, now);
    note(conn, now, (&group, "GroupDeleted")).await?;
    store::delete(conn, id).await
}

/// The group of an id.
pub async fn get(conn: &mut Conn, id: &GroupId) -> Result<Group, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("group", id.as_str()))
}

/// The group that a list is narrowed to, if one is asked for: one that the caller reaches.
pub(crate) async fn asked(
    conn: &mut Conn,
    caller: &Caller,
    id: Option<&str>,
) -> Result<Option<GroupId>, DomainError> {
    let Some(text) = id else { return Ok(None) };
    let found = match text.parse() {
        Ok(id) => store::by_id(conn, &id).await?,
        Err(_) => None,
    };
    let is_reached =
        |g: &Group| caller.organization().is_none_or(|own| g.organization_id.as_ref() == Some(own));
    let group = found.filter(is_reached).ok_or_else(|| DomainError::not_found("group", text))?;
    Ok(Some(group.id))
}

/// Groups by name.
pub async fn list(conn: &mut Conn, caller: &Caller, query: GroupQuery) -> Result<Page<Group>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?;
    let after = after.map(|cursor| (cursor.key, cursor.id)).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let part = query.q.unwrap_or_default().trim().to_lowercase();
    let found = store::after(conn, (&organization, &part), (after, limit + 1)).await?;
    Ok(Page::of(found, limit, |group| Cursor { key: group.name.to_lowercase(), id: group.id.to_string() }))
}

/// The event's data for all: how the group is.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (group, event_type): (&Group, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: group.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": group.organization_id, "name": group.name, "description": group.description,
        }),
    };
    events::append(conn, now, group.version - 1, event).await?;
    Ok(())
}

/// That no other group of the organization has the name, in whatever case.
async fn check_unique(conn: &mut Conn, group: &Group) -> Result<(), DomainError> {
    let of = group.organization_id.as_ref().map(OrganizationId::as_str).unwrap_or_default();
    match store::by_name(conn, (of, &group.name)).await? {
        Some(other) if other != group.id => {
            Err(DomainError::Conflict(format!("group {other} has the name {:?} already", group.name)))
        }
        _ => Ok(()),
    }
}

fn checked_name(name: &str, faults: &mut Faults) -> String {
    let name = name.trim().to_owned();
    let fits = (1..=120).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    faults.require(fits, "name", "must be 1 to 120 characters of one line");
    name
}

fn checked_description(text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= DESCRIPTION_LEN_MAX);
    faults.require(fits, "description", "must be at most 1000 characters");
    text
}
