//! Schedules: what is to be done, how often, on which vehicles.

use wire::time::Timestamp;

use super::{
    checked_name, checked_text, checked_work, items, store,
    types::{
        MaintenanceDone, MaintenanceDue, MaintenanceSchedule, MaintenanceSchedulePatch,
        MaintenanceScheduleQuery, NewMaintenanceSchedule,
    },
    vehicle_of,
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{MaintenanceScheduleId, OrganizationId, RegistryId},
    page::{Cursor, Page, limit_of},
    rows::count_of,
    users,
};

pub(super) const AGGREGATE: &str = "maintenance-schedule";
/// Of an organization, and of the operator.
const SCHEDULES_MAX: i64 = 200;
const VEHICLES_MAX: usize = 1_000;
const EVERY_KM_MAX: i64 = 1_000_000;
const EVERY_DAYS_MAX: i64 = 3_650;
const REMIND_DAYS_DEFAULT: i64 = 14;

/// Makes a schedule; the first interval of its vehicles begins.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewMaintenanceSchedule,
) -> Result<MaintenanceSchedule, DomainError> {
    const WHAT: &str = "the schedule";
    let mut faults = Faults::default();
    let organization = caller.placed(WHAT, new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let of = (caller, organization_id.as_ref());
    let schedule = MaintenanceSchedule {
        id: MaintenanceScheduleId::new(now),
        name: checked_name(&new.name, "name", &mut faults),
        description: checked_text(new.description, "description", &mut faults),
        every_km: new.every_km,
        every_days: new.every_days,
        remind_km: new.remind_km.or(new.every_km.map(remind_km_default)),
        remind_days: new.remind_days.or(new.every_days.map(remind_days_default)),
        vehicle_ids: checked_vehicles(conn, of, &new.vehicle_ids, &mut faults).await?,
        is_enabled: new.is_enabled.unwrap_or(true),
        organization_id,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    check_limits(&schedule, &mut faults);
    faults.finish(WHAT)?;
    if count_of(conn, "maintenance_schedules", schedule.organization_id.as_ref()).await? >= SCHEDULES_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {SCHEDULES_MAX} maintenance schedules already, as many as an organization may have; delete one first"
        )));
    }
    note(conn, now, (&schedule, "MaintenanceScheduleCreated")).await?;
    store::insert_schedule(conn, &schedule).await?;
    items::advance_some(conn, now, &schedule).await?;
    Ok(schedule)
}

/// Changes a schedule that is at `expected_version`. What is due by it is due at once; what was said under other limits
/// is said again when it comes.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id, expected_version): (&Caller, &MaintenanceScheduleId, i64),
    patch: MaintenanceSchedulePatch,
) -> Result<MaintenanceSchedule, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "maintenance schedule",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut schedule = before.clone();
    if let Some(name) = &patch.name {
        schedule.name = checked_name(name, "name", &mut faults);
    }
    if let Some(description) = patch.description {
        schedule.description = checked_text(description, "description", &mut faults);
    }
    if let Some(every_km) = patch.every_km {
        schedule.every_km = every_km;
        schedule.remind_km = reminded(before.remind_km, every_km.map(|km| (km, remind_km_default(km))));
    }
    if let Some(every_days) = patch.every_days {
        schedule.every_days = every_days;
        let default = every_days.map(|days| (days, remind_days_default(days)));
        schedule.remind_days = reminded(before.remind_days, default);
    }
    schedule.remind_km = patch.remind_km.or(schedule.remind_km);
    schedule.remind_days = patch.remind_days.or(schedule.remind_days);
    if let Some(ids) = &patch.vehicle_ids {
        let of = (caller, before.organization_id.as_ref());
        schedule.vehicle_ids = checked_vehicles(conn, of, ids, &mut faults).await?;
    }
    schedule.is_enabled = patch.is_enabled.unwrap_or(before.is_enabled);
    check_limits(&schedule, &mut faults);
    faults.finish("the change")?;
    if schedule == before {
        return Ok(before);
    }
    (schedule.version, schedule.updated_at) = (before.version + 1, now);
    note(conn, now, (&schedule, "MaintenanceScheduleChanged")).await?;
    store::update_schedule(conn, &schedule).await?;
    items::advance_some(conn, now, &schedule).await?;
    Ok(schedule)
}

/// Takes a schedule away, with where vehicles are in it; its work orders stay as they are.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &MaintenanceScheduleId) -> Result<(), DomainError> {
    let mut schedule = get(conn, id).await?;
    (schedule.version, schedule.updated_at) = (schedule.version + 1, now);
    note(conn, now, (&schedule, "MaintenanceScheduleDeleted")).await?;
    store::delete_schedule(conn, id).await
}

/// Notes work that was done before, or elsewhere: the next interval begins with it.
pub async fn done(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id): (&Caller, &MaintenanceScheduleId),
    done: &MaintenanceDone,
) -> Result<MaintenanceDue, DomainError> {
    const WHAT: &str = "the work done";
    let schedule = get(conn, id).await?;
    let mut faults = Faults::default();
    let vehicle = vehicle_of(conn, caller, ("vehicle_id", &done.vehicle_id), &mut faults).await?;
    let Some(vehicle) = vehicle else {
        faults.finish(WHAT)?;
        return Err(DomainError::not_found("vehicle", done.vehicle_id.clone()));
    };
    let is_covered = schedule.covers(&vehicle);
    faults.require(is_covered, "vehicle_id", "is a vehicle that the schedule is not for");
    let told = (Some(done.done_at.as_str()), done.odometer_km);
    let work = checked_work(now, (&vehicle, schedule.every_km.is_some()), told, &mut faults);
    faults.finish(WHAT)?;
    items::done(conn, now, (&schedule, &vehicle), (work, None)).await?;
    super::due::one(conn, now, (&schedule, &vehicle)).await
}

/// The schedule of an id.
pub async fn get(conn: &mut Conn, id: &MaintenanceScheduleId) -> Result<MaintenanceSchedule, DomainError> {
    store::schedule(conn, id)
        .await?
        .ok_or_else(|| DomainError::not_found("maintenance schedule", id.as_str()))
}

/// Schedules, oldest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: MaintenanceScheduleQuery,
) -> Result<Page<MaintenanceSchedule>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?.unwrap_or_default();
    let found = store::schedules_after(conn, &organization, (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |schedule| Cursor { key: String::new(), id: schedule.id.to_string() }))
}

/// The event's data for all: how the schedule is.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (schedule, event_type): (&MaintenanceSchedule, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: schedule.id.to_string(),
        event_type,
        data: json_of(schedule),
    };
    events::append(conn, now, schedule.version - 1, event).await?;
    Ok(())
}

/// The vehicles that a schedule names: of its own organization, in order.
async fn checked_vehicles(
    conn: &mut Conn,
    (caller, of): (&Caller, Option<&OrganizationId>),
    asked: &[String],
    faults: &mut Faults,
) -> Result<Vec<RegistryId>, DomainError> {
    if asked.len() > VEHICLES_MAX {
        faults.add("vehicle_ids", format!("must be at most {VEHICLES_MAX}; leave them out for all"));
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for (at, id) in asked.iter().enumerate() {
        let field = format!("vehicle_ids[{at}]");
        if let Some(vehicle) = vehicle_of(conn, caller, (&field, id), faults).await? {
            let is_own = vehicle.organization_id.as_ref() == of;
            faults.require(is_own, &field, "is a vehicle of another organization than the schedule's");
            ids.push(vehicle.id);
        }
    }
    ids.sort();
    ids.dedup();
    Ok(ids)
}

fn check_limits(schedule: &MaintenanceSchedule, faults: &mut Faults) {
    let has_limit = schedule.every_km.is_some() || schedule.every_days.is_some();
    faults.require(has_limit, "every_km", "or every_days is needed: without a limit nothing is ever due");
    for (field, every, (remind_field, remind), max) in [
        ("every_km", schedule.every_km, ("remind_km", schedule.remind_km), EVERY_KM_MAX),
        ("every_days", schedule.every_days, ("remind_days", schedule.remind_days), EVERY_DAYS_MAX),
    ] {
        match (every, remind) {
            (Some(every), _) if !(1..=max).contains(&every) => {
                faults.add(field, format!("must be 1 to {max}"));
            }
            (Some(every), Some(remind)) if !(0..every).contains(&remind) => {
                faults.add(remind_field, format!("must be 0 or more and less than {field}, {every}"));
            }
            (None, Some(_)) => faults.add(remind_field, format!("is for schedules with {field}")),
            _ => {}
        }
    }
}

fn remind_km_default(every_km: i64) -> i64 {
    every_km / 10
}

fn remind_days_default(every_days: i64) -> i64 {
    REMIND_DAYS_DEFAULT.min(every_days / 2)
}

/// The reminder of before where it is still less than the limit; else what goes with the limit.
fn reminded(before: Option<i64>, limit: Option<(i64, i64)>) -> Option<i64> {
    let (every, default) = limit?;
    Some(before.filter(|before| *before < every).unwrap_or(default))
}
