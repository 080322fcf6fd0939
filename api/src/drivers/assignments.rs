//! Assignments: the times in which drivers have vehicles, `[from, to)` each, open until somebody ends it.
//!
//! Of a vehicle no two overlap, nor of a driver. Whoever writes is alone (see `db.rs`), so what was looked at is still so
//! when it is stored.

pub(crate) mod http;
pub(super) mod store;
pub mod types;

use std::collections::HashMap;

use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use self::{
    store::Of,
    types::{AssignmentEnd, AssignmentPatch, AssignmentQuery, DriverAssignment, NewAssignment},
};
use super::types::{Driver, DriverStatus};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{DriverAssignmentId, DriverId, OrganizationId, RegistryId},
    page::{Cursor, Page, limit_of},
    vehicles::{self, types::Vehicle},
};

pub(super) const AGGREGATE: &str = "driver-assignment";
const NOTE_LEN_MAX: usize = 500;
/// How far from now a time may begin or end: corrections of a year, plans for a year.
const AWAY_US_MAX: i64 = 366 * DAY_US;

/// Gives a driver a vehicle.
pub async fn assign(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewAssignment,
) -> Result<DriverAssignment, DomainError> {
    let mut faults = Faults::default();
    let from = match &new.from {
        Some(text) => near(now, ("from", text), &mut faults),
        None => Some(now),
    };
    let to = new.to.as_deref().and_then(|text| near(now, ("to", text), &mut faults));
    make(conn, now, (caller, from.unwrap_or(now), to), (new, faults)).await
}

/// The same, of times that were looked at: the demo's go back further than people's corrections.
pub(crate) async fn make(
    conn: &mut Conn,
    now: Timestamp,
    (caller, from, to): (&Caller, Timestamp, Option<Timestamp>),
    (new, mut faults): (NewAssignment, Faults),
) -> Result<DriverAssignment, DomainError> {
    const WHAT: &str = "the assignment";
    faults.require(to.is_none_or(|to| to > from), "to", "must be after from");
    let driver = super::reached(conn, caller, &new.driver_id).await?;
    if driver.is_none() {
        faults.add("driver_id", format!("there is no driver {}; see /v1/drivers", new.driver_id));
    }
    let vehicle = vehicles::reached(conn, caller, &new.vehicle_id).await?;
    if vehicle.is_none() {
        faults.add("vehicle_id", format!("there is no vehicle {}; see /v1/vehicles", new.vehicle_id));
    }
    if let (Some(driver), Some(vehicle)) = (&driver, &vehicle) {
        let is_of_same = driver.organization_id == vehicle.organization_id;
        faults.require(is_of_same, "vehicle_id", "is a vehicle of another organization than the driver's");
    }
    if let Some(driver) = &driver {
        check_drives(now, (driver, to), "driver_id", &mut faults);
    }
    let note = checked_note(new.note.clone(), &mut faults);
    faults.finish(WHAT)?;
    let (Some(driver), Some(vehicle)) = (driver, vehicle) else {
        return Err(DomainError::not_found("driver", new.driver_id));
    };
    let assignment = DriverAssignment {
        id: DriverAssignmentId::new(now),
        organization_id: driver.organization_id,
        driver_id: driver.id,
        driver_name: driver.name,
        vehicle_id: vehicle.id,
        vehicle_name: vehicle.vehicle_id,
        from,
        to,
        note,
        made_by: caller.actor().to_owned(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    for of in [Of::Vehicle(&assignment.vehicle_name), Of::Driver(&assignment.driver_id)] {
        let Some(mut other) = store::overlapping(conn, of, &assignment).await? else { continue };
        if new.replaces && other.to.is_none() && other.from < from {
            other.to = Some(from);
            keep(conn, now, (&mut other, "DriverAssignmentEnded")).await?;
        } else {
            return Err(taken(caller, of, &other));
        }
    }
    note_event(conn, now, (&assignment, "DriverAssigned")).await?;
    store::insert(conn, &assignment).await?;
    Ok(assignment)
}

/// Corrects an assignment that is at `expected_version`.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id, expected_version): (&Caller, &DriverAssignmentId, i64),
    patch: AssignmentPatch,
) -> Result<DriverAssignment, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "driver assignment",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut assignment = before.clone();
    if let Some(text) = &patch.from {
        assignment.from = near(now, ("from", text), &mut faults).unwrap_or(before.from);
    }
    match &patch.to {
        None => {}
        Some(None) => assignment.to = None,
        Some(Some(text)) => assignment.to = near(now, ("to", text), &mut faults).or(before.to),
    }
    faults.require(assignment.to.is_none_or(|to| to > assignment.from), "to", "must be after from");
    if assignment.to != before.to {
        let driver = super::get(conn, &assignment.driver_id).await?;
        check_drives(now, (&driver, assignment.to), "to", &mut faults);
    }
    if let Some(note) = patch.note {
        assignment.note = checked_note(note, &mut faults);
    }
    faults.finish("the change")?;
    if assignment == before {
        return Ok(before);
    }
    check_lengthened(conn, (&before, &assignment)).await?;
    for of in [Of::Vehicle(&before.vehicle_name), Of::Driver(&before.driver_id)] {
        if let Some(other) = store::overlapping(conn, of, &assignment).await? {
            return Err(taken(caller, of, &other));
        }
    }
    keep(conn, now, (&mut assignment, "DriverAssignmentChanged")).await?;
    Ok(assignment)
}

/// Ends an assignment, now unless another time is named.
pub async fn end(
    conn: &mut Conn,
    now: Timestamp,
    id: &DriverAssignmentId,
    end: &AssignmentEnd,
) -> Result<DriverAssignment, DomainError> {
    const WHAT: &str = "the end";
    let mut assignment = get(conn, id).await?;
    let mut faults = Faults::default();
    let at = match &end.at {
        Some(text) => near(now, ("at", text), &mut faults),
        None => Some(now),
    };
    faults.finish(WHAT)?;
    let at = at.unwrap_or(now);
    if let Some(to) = assignment.to.filter(|to| *to <= at) {
        return Err(DomainError::Conflict(format!(
            "driver assignment {id} ends at {to} already; PATCH its to to make it longer"
        )));
    }
    if at <= assignment.from && end.at.is_none() {
        return Err(DomainError::Conflict(format!(
            "driver assignment {id} begins at {}; DELETE it, or name a later end",
            assignment.from
        )));
    }
    if at <= assignment.from {
        return Err(DomainError::invalid(WHAT, "at", format!("must be after from, {}", assignment.from)));
    }
    assignment.to = Some(at);
    keep(conn, now, (&mut assignment, "DriverAssignmentEnded")).await?;
    Ok(assignment)
}

/// Takes back an assignment that was made by mistake: it never was.
pub async fn remove(conn: &mut Conn, now: Timestamp, id: &DriverAssignmentId) -> Result<(), DomainError> {
    let assignment = get(conn, id).await?;
    drop_one(conn, now, assignment).await
}

async fn drop_one(
    conn: &mut Conn,
    now: Timestamp,
    mut assignment: DriverAssignment,
) -> Result<(), DomainError> {
    (assignment.version, assignment.updated_at) = (assignment.version + 1, now);
    note_event(conn, now, (&assignment, "DriverAssignmentRemoved")).await?;
    store::delete(conn, &assignment.id).await
}

/// Ends what a driver who leaves has, and takes back what was to come.
pub(super) async fn end_all_of(
    conn: &mut Conn,
    now: Timestamp,
    driver: &DriverId,
) -> Result<(), DomainError> {
    end_unfinished(conn, now, Of::Driver(driver)).await
}

/// The same of a vehicle that becomes another organization's.
pub(super) async fn end_all_in(
    conn: &mut Conn,
    now: Timestamp,
    vehicle: &VehicleId,
) -> Result<(), DomainError> {
    end_unfinished(conn, now, Of::Vehicle(vehicle)).await
}

async fn end_unfinished(conn: &mut Conn, now: Timestamp, of: Of<'_>) -> Result<(), DomainError> {
    for mut assignment in store::unfinished(conn, of, now).await? {
        if assignment.from < now {
            assignment.to = Some(now);
            keep(conn, now, (&mut assignment, "DriverAssignmentEnded")).await?;
        } else {
            drop_one(conn, now, assignment).await?;
        }
    }
    Ok(())
}

/// The assignment of an id.
pub async fn get(conn: &mut Conn, id: &DriverAssignmentId) -> Result<DriverAssignment, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("driver assignment", id.as_str()))
}

/// Assignments, the latest begin first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: AssignmentQuery,
) -> Result<Page<DriverAssignment>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    let (mut from_us, mut to_us) = faults.period_us(query.from.as_deref(), query.to.as_deref());
    if let Some(at) = query.at.as_deref().and_then(|text| faults.time("at", text)) {
        (from_us, to_us) = (from_us.max(at.0), to_us.min(at.0.saturating_add(1)));
    }
    faults.finish("the query")?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let driver = match query.driver_id {
        Some(id) => match super::reached(conn, caller, &id).await? {
            Some(driver) => driver.id.to_string(),
            None => return Err(DomainError::not_found("driver", id)),
        },
        None => String::new(),
    };
    let vehicle = match query.vehicle_id {
        // By the name: an assignment stays whose it was, whosever the vehicle is now.
        Some(id) => match vehicles::get(conn, &id).await {
            Ok(vehicle) => vehicle.vehicle_id.to_string(),
            Err(DomainError::NotFound { .. }) => id,
            Err(error) => return Err(error),
        },
        None => String::new(),
    };
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        driver,
        vehicle,
        from_us,
        to_us,
        is_open: query.open,
    };
    let found = store::latest(conn, &wanted, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |a| Cursor { key: a.from.0.to_string(), id: a.id.to_string() }))
}

/// The vehicles that drivers have at a time.
pub(super) async fn driven_at(
    conn: &mut Conn,
    at: Timestamp,
    drivers: &[DriverId],
) -> Result<HashMap<DriverId, (RegistryId, VehicleId)>, DomainError> {
    store::driven_at(conn, at, drivers).await
}

/// A time of a request that is not too far from now.
fn near(now: Timestamp, (field, text): (&str, &str), faults: &mut Faults) -> Option<Timestamp> {
    let time = faults.time(field, text)?;
    let is_near = (-AWAY_US_MAX..=AWAY_US_MAX).contains(&time.since_us(now));
    faults.require(is_near, field, "must be at most 366 days before or after now");
    Some(time)
}

fn checked_note(text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= NOTE_LEN_MAX);
    faults.require(fits, "note", "must be at most 500 characters");
    text
}

/// That a driver who has left gets nothing that lasts.
fn check_drives(
    now: Timestamp,
    (driver, to): (&Driver, Option<Timestamp>),
    field: &str,
    faults: &mut Faults,
) {
    let may = driver.status == DriverStatus::Active || to.is_some_and(|to| to <= now);
    faults.require(may, field, "is of a driver who has left; only a time that is over can be noted");
}

/// That a time with a vehicle which is another's now is not made longer.
async fn check_lengthened(
    conn: &mut Conn,
    (before, after): (&DriverAssignment, &DriverAssignment),
) -> Result<(), DomainError> {
    let is_within = after.from >= before.from
        && before.to.is_none_or(|before| after.to.is_some_and(|after| after <= before));
    let Vehicle { organization_id, .. } = vehicles::get(conn, before.vehicle_id.as_str()).await?;
    if is_within || organization_id == before.organization_id {
        return Ok(());
    }
    Err(DomainError::Conflict(format!(
        "vehicle {} is of another organization now; the assignment can be made shorter, not longer",
        before.vehicle_name
    )))
}

/// Why a time cannot be had.
fn taken(caller: &Caller, of: Of<'_>, other: &DriverAssignment) -> DomainError {
    let until = other.to.map_or_else(|| "on".to_owned(), |to| format!("to {to}"));
    let is_theirs = caller.organization().is_none_or(|own| other.organization_id.as_ref() == Some(own));
    let message = match of {
        // What was another's is not theirs to know, but for when it was over.
        Of::Vehicle(name) if !is_theirs => {
            let over = other.to.map_or_else(|| "it is over".to_owned(), |to| to.to_string());
            format!("vehicle {name} was another organization's then; begin at {over} or later")
        }
        Of::Vehicle(name) => format!(
            "vehicle {name} has driver {} ({}) from {} {until}, by driver assignment {}",
            other.driver_id, other.driver_name, other.from, other.id
        ),
        Of::Driver(id) => format!(
            "driver {id} has vehicle {} from {} {until}, by driver assignment {}",
            other.vehicle_name, other.from, other.id
        ),
    };
    let hint = if other.to.is_none() && is_theirs { "; \"replaces\": true ends what is open" } else { "" };
    DomainError::Conflict(format!("{message}{hint}"))
}

/// Notes a change that has been made to the value, and stores it.
async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    (assignment, event_type): (&mut DriverAssignment, &'static str),
) -> Result<(), DomainError> {
    assignment.version += 1;
    assignment.updated_at = now;
    note_event(conn, now, (assignment, event_type)).await?;
    store::update(conn, assignment).await
}

/// The event's data for all: how the assignment is. The driver's name is the driver's.
async fn note_event(
    conn: &mut Conn,
    now: Timestamp,
    (assignment, event_type): (&DriverAssignment, &'static str),
) -> Result<(), DomainError> {
    let DriverAssignment { organization_id, driver_id, vehicle_id, vehicle_name, .. } = assignment;
    let organization_id: &Option<OrganizationId> = organization_id;
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: assignment.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": organization_id, "driver_id": driver_id, "vehicle_id": vehicle_id,
            "vehicle_name": vehicle_name, "from": assignment.from, "to": assignment.to,
            "note": assignment.note, "made_by": assignment.made_by,
        }),
    };
    events::append(conn, now, assignment.version - 1, event).await?;
    Ok(())
}
