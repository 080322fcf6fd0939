//! Geofences: places that are watched, and which vehicles are in them.
//!
//! *Owns* the tables `geofences` and `geofence_presences`, and their events. *Does not own* where vehicles are (it
//! asks the lake port) nor whose they are (the registry beside it).
//!
//! Main path: `watcher` looks at what changed in the fleet and finds who came in and who went out; `presence`
//! notes each crossing once, with its event, however many processes look. Words and rules are those of SQL's
//! `geofence_events`: a border is inside; who is outside for less than a minute has not left.
//!
//! Bounds: 1,000 geofences an organization, 1,000 positions each; 100 crossings a transaction.

pub(crate) mod http;
pub(crate) mod presence;
pub(crate) mod rebuild;
mod shape;
mod store;
pub mod types;
pub(crate) mod watcher;

use analytics::{row::VehicleState, trips::Fix};
use wire::time::Timestamp;

use self::{
    shape::Shape,
    types::{Geofence, GeofencePatch, GeofenceQuery, Geometry, NewGeofence},
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::GeofenceId,
    page::{Cursor, Page, limit_of},
    rows::count_of,
    users,
};

/// The kind of aggregate that geofences are in the event log.
const AGGREGATE: &str = "geofence";
const COLOUR_DEFAULT: &str = "#2563eb";
const TAGS_MAX: usize = 20;
const TAG_LEN_MAX: usize = 40;
/// Of an organization, and of the operator: each reading is looked for in all of them.
const GEOFENCES_MAX: i64 = 1_000;

/// Adds a geofence.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    (new, geometry): (NewGeofence, CheckedGeometry),
) -> Result<Geofence, DomainError> {
    let CheckedGeometry { geometry, mut faults } = geometry;
    let organization = caller.placed("the geofence", new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let geofence = Geofence {
        id: GeofenceId::new(now),
        organization_id,
        name: checked_name(&new.name, &mut faults),
        kind: new.kind.unwrap_or_default(),
        colour: checked_colour(new.colour.unwrap_or_else(|| COLOUR_DEFAULT.to_owned()), &mut faults),
        tags: checked_tags(new.tags.unwrap_or_default(), &mut faults),
        geometry,
        version: 1,
        created_at: now,
    };
    faults.finish("the geofence")?;
    if count_of(conn, "geofences", geofence.organization_id.as_ref()).await? >= GEOFENCES_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {GEOFENCES_MAX} geofences already, as many as an organization may have; delete one first"
        )));
    }
    note(conn, now, "GeofenceCreated", &geofence).await?;
    store::insert(conn, &geofence).await?;
    Ok(geofence)
}

/// Changes a geofence that is at `expected_version`.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&GeofenceId, i64),
    (patch, geometry): (GeofencePatch, Option<CheckedGeometry>),
) -> Result<Geofence, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "geofence",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut geofence = before.clone();
    if let Some(name) = &patch.name {
        geofence.name = checked_name(name, &mut faults);
    }
    if let Some(CheckedGeometry { geometry, faults: found }) = geometry {
        geofence.geometry = geometry;
        faults.append(found);
    }
    geofence.kind = patch.kind.unwrap_or(before.kind);
    if let Some(colour) = patch.colour {
        geofence.colour = checked_colour(colour, &mut faults);
    }
    if let Some(tags) = patch.tags {
        geofence.tags = checked_tags(tags, &mut faults);
    }
    faults.finish("the change")?;
    if geofence == before {
        return Ok(before);
    }
    geofence.version += 1;
    note(conn, now, "GeofenceChanged", &geofence).await?;
    store::update(conn, &geofence).await?;
    Ok(geofence)
}

/// Takes a geofence away, and with it who is in it.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &GeofenceId) -> Result<(), DomainError> {
    let mut geofence = get(conn, id).await?;
    geofence.version += 1;
    note(conn, now, "GeofenceDeleted", &geofence).await?;
    store::delete(conn, id).await
}

/// The geofence of an id.
pub async fn get(conn: &mut Conn, id: &GeofenceId) -> Result<Geofence, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("geofence", id.as_str()))
}

/// Geofences, oldest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: GeofenceQuery,
) -> Result<Page<Geofence>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        kind: query.kind.map(|kind| kind.as_str()).unwrap_or_default(),
        tag: query.tag.unwrap_or_default().trim().to_lowercase(),
        name_part: query.q.unwrap_or_default().trim().to_lowercase(),
    };
    let found = store::after(conn, &wanted, (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |g| Cursor { key: String::new(), id: g.id.to_string() }))
}

/// Those that are inside, by their last known place.
pub(crate) fn inside(geometry: &Geometry, mut states: Vec<VehicleState>) -> Vec<VehicleState> {
    let shape = Shape::of(geometry);
    states.retain(|state| place_of(state).is_some_and(|place| shape.includes(place)));
    states
}

/// Where a vehicle is, as far as it told.
fn place_of(state: &VehicleState) -> Option<Fix> {
    let (latitude, longitude) = state.latitude.zip(state.longitude)?;
    Some(Fix { latitude, longitude })
}

/// A geometry that was looked at, with what is wrong with it.
#[derive(Debug)]
pub struct CheckedGeometry {
    geometry: Geometry,
    faults: Faults,
}

impl CheckedGeometry {
    /// Looks at one, off the threads that answer: its lines are compared with each other.
    pub(crate) async fn of(geometry: Geometry) -> Result<Self, DomainError> {
        let looking = tokio::task::spawn_blocking(move || shape::checked(geometry));
        let (geometry, faults) = looking.await.map_err(|_| {
            DomainError::invalid("the geofence", "geometry", "cannot be worked out; make it simpler")
        })?;
        Ok(Self { geometry, faults })
    }
}

async fn note(
    conn: &mut Conn,
    now: Timestamp,
    event_type: &'static str,
    geofence: &Geofence,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: geofence.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": geofence.organization_id, "name": geofence.name, "kind": geofence.kind,
            "colour": geofence.colour, "tags": geofence.tags, "geometry": json_of(&geofence.geometry),
        }),
    };
    events::append(conn, now, geofence.version - 1, event).await?;
    Ok(())
}

fn checked_name(name: &str, faults: &mut Faults) -> String {
    let name = name.trim().to_owned();
    faults.require((1..=120).contains(&name.chars().count()), "name", "must be 1 to 120 characters");
    name
}

fn checked_colour(colour: String, faults: &mut Faults) -> String {
    let digits = colour.strip_prefix('#').unwrap_or_default();
    let is_one = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    faults.require(is_one, "colour", "must be red, green and blue as in \"#2563eb\"");
    colour.to_lowercase()
}

fn checked_tags(tags: Vec<String>, faults: &mut Faults) -> Vec<String> {
    let mut tags: Vec<String> = tags.iter().map(|tag| tag.trim().to_lowercase()).collect();
    // Others would not be found in the JSON that keeps them.
    let is_word = |tag: &String| {
        (1..=TAG_LEN_MAX).contains(&tag.chars().count())
            && tag.chars().all(|c| !c.is_control() && c != '"' && c != '\\')
    };
    faults.require(
        tags.len() <= TAGS_MAX && tags.iter().all(is_word),
        "tags",
        "must be at most 20 words of 1 to 40 characters, without \" and \\",
    );
    tags.sort();
    tags.dedup();
    tags
}
