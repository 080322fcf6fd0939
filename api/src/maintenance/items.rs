//! Items: a vehicle in a schedule, and the interval it is in.
//!
//! An interval begins with the schedule (when the vehicle first comes under it, at the first odometer that is known
//! then or later) or with the work done last. What is said of it is said once: due soon, then overdue.

use serde::{Deserialize, Serialize};
use serde_json::json;
use wire::time::Timestamp;

use super::{
    Work, orders,
    standing::{Standing, Start, standing},
    store,
    survey::{Scope, Survey},
    types::{DueStatus, MaintenanceSchedule, kilometres},
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::DomainError,
    ids::{MaintenanceScheduleId, RegistryId, WorkOrderId},
    vehicles::{self, Driven},
};

pub(super) const AGGREGATE: &str = "maintenance-item";
/// Changes made at once with that of a schedule; the rest is the inspector's.
const ADVANCED_MAX: usize = 100;

/// A vehicle in a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Item {
    pub(super) schedule_id: MaintenanceScheduleId,
    pub(super) vehicle_id: RegistryId,
    /// When the interval began.
    pub(super) since: Timestamp,
    /// At which odometer; none while none was known.
    pub(super) odometer_m: Option<i64>,
    /// It began with work that was done.
    pub(super) is_done: bool,
    /// What was said of it, and under which limits.
    pub(super) told: DueStatus,
    pub(super) told_limits: Option<String>,
    #[serde(skip)]
    pub(super) version: i64,
}

impl Item {
    fn begun(schedule: &MaintenanceSchedule, vehicle: &Driven, now: Timestamp) -> Self {
        Self {
            schedule_id: schedule.id.clone(),
            vehicle_id: vehicle.id.clone(),
            since: now,
            odometer_m: vehicle.odometer.map(|(odometer_m, _)| odometer_m),
            is_done: false,
            told: DueStatus::Ok,
            told_limits: None,
            version: 0,
        }
    }
}

/// Where a vehicle is; one that has no interval yet is at its beginning.
pub(super) fn standing_of(
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    item: Option<&Item>,
    now: Timestamp,
) -> Standing {
    let odometer_m = vehicle.odometer.map(|(odometer_m, _)| odometer_m);
    let start = item.map_or(Start { at: now, odometer_m }, |item| Start {
        at: item.since,
        odometer_m: item.odometer_m.or(odometer_m),
    });
    standing(schedule, start, (now, odometer_m))
}

/// What is next of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Its first interval begins.
    Begin,
    /// The odometer is known for the first time.
    KnowOdometer(i64),
    /// It is due soon, or overdue, and that has not been said.
    Say(Standing),
}

/// What is to be done of a vehicle in a schedule, if anything.
pub(super) fn next_step(
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    item: Option<&Item>,
    now: Timestamp,
) -> Option<Step> {
    if !schedule.is_enabled || !schedule.covers(vehicle) {
        return None;
    }
    let Some(item) = item else { return Some(Step::Begin) };
    if let (Some(_), None, Some((odometer_m, _))) = (schedule.every_km, item.odometer_m, vehicle.odometer) {
        return Some(Step::KnowOdometer(odometer_m));
    }
    let standing = standing_of((schedule, vehicle), Some(item), now);
    let said = match &item.told_limits {
        Some(limits) if *limits == schedule.limits() => item.told.level(),
        _ => 0,
    };
    (standing.status.level() > said).then_some(Step::Say(standing))
}

/// Takes all steps of a vehicle in a schedule as both are now; how many there were.
pub(super) async fn advance(
    conn: &mut Conn,
    now: Timestamp,
    (schedule_id, vehicle_id): (&MaintenanceScheduleId, &RegistryId),
) -> Result<usize, DomainError> {
    let schedule = store::schedule(conn, schedule_id).await?;
    let vehicle = vehicles::driven_one(conn, vehicle_id).await?;
    let (Some(schedule), Some(vehicle)) = (schedule, vehicle) else { return Ok(0) };
    let mut item = store::item(conn, (schedule_id, vehicle_id)).await?;
    let mut count = 0;
    while let Some(step) = next_step((&schedule, &vehicle), item.as_ref(), now) {
        let before = item.take().unwrap_or_else(|| Item::begun(&schedule, &vehicle, now));
        item = Some(take(conn, now, (&schedule, &vehicle), (before, step)).await?);
        count += 1;
    }
    Ok(count)
}

/// Takes the steps of some vehicles of a schedule that was made or changed.
pub(super) async fn advance_some(
    conn: &mut Conn,
    now: Timestamp,
    schedule: &MaintenanceSchedule,
) -> Result<(), DomainError> {
    let scope = Scope::of_schedule(schedule);
    let survey = Survey::take(conn, &scope).await?;
    for (schedule_id, vehicle_id) in survey.steps(now).into_iter().take(ADVANCED_MAX) {
        advance(conn, now, (&schedule_id, &vehicle_id)).await?;
    }
    Ok(())
}

async fn take(
    conn: &mut Conn,
    now: Timestamp,
    of: (&MaintenanceSchedule, &Driven),
    (mut item, step): (Item, Step),
) -> Result<Item, DomainError> {
    match step {
        Step::Begin => keep(conn, now, of, (item, "MaintenanceBegun", json!({}))).await,
        Step::KnowOdometer(odometer_m) => {
            item.odometer_m = Some(odometer_m);
            keep(conn, now, of, (item, "MaintenanceOdometerKnown", json!({}))).await
        }
        Step::Say(standing) => {
            let open = store::open_order(conn, (&item.schedule_id, &item.vehicle_id)).await?;
            let order_id = match open {
                Some(id) => id,
                None => orders::open_automatic(conn, now, of, standing.due_at).await?,
            };
            (item.told, item.told_limits) = (standing.status, Some(of.0.limits()));
            let event_type = match standing.status {
                DueStatus::Overdue => "MaintenanceOverdue",
                _ => "MaintenanceDueSoon",
            };
            let told = json!({
                "due_at": standing.due_at, "due_odometer_km": standing.due_odometer_m.map(kilometres),
                "left_km": standing.left_m.map(kilometres), "left_days": standing.left_days(),
                "work_order_id": order_id,
            });
            keep(conn, now, of, (item, event_type, told)).await
        }
    }
}

/// Begins the next interval with work that was done.
pub(super) async fn done(
    conn: &mut Conn,
    now: Timestamp,
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    (work, order_id): (Work, Option<&WorkOrderId>),
) -> Result<(), DomainError> {
    let found = store::item(conn, (&schedule.id, &vehicle.id)).await?;
    if let Some(item) = found.as_ref().filter(|item| item.is_done && item.since > work.at) {
        return Err(DomainError::Conflict(format!(
            "{} of vehicle {} was done on {} already, which is later than {}",
            schedule.name, vehicle.vehicle_id, item.since, work.at
        )));
    }
    let version = found.map_or(0, |item| item.version);
    let item = Item {
        since: work.at,
        odometer_m: work.odometer_m,
        is_done: true,
        version,
        ..Item::begun(schedule, vehicle, now)
    };
    let told = json!({ "work_order_id": order_id });
    keep(conn, now, (schedule, vehicle), (item, "MaintenanceDone", told)).await?;
    // It may have been done so long ago that it is due again.
    advance(conn, now, (&schedule.id, &vehicle.id)).await?;
    Ok(())
}

/// Notes what became of an item, and stores it. The event tells how the item is, whose, and what more there is.
async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    (mut item, event_type, more): (Item, &'static str, serde_json::Value),
) -> Result<Item, DomainError> {
    let mut data = json_of(&item);
    let whose = json!({
        "organization_id": schedule.organization_id, "schedule_name": schedule.name,
        "vehicle_name": vehicle.vehicle_id,
    });
    if let serde_json::Value::Object(fields) = &mut data {
        for more in [whose, more] {
            fields.extend(more.as_object().cloned().unwrap_or_default());
        }
    }
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: format!("{}:{}", item.schedule_id, item.vehicle_id),
        event_type,
        data,
    };
    item.version = events::append(conn, now, item.version, event).await?;
    store::put_item(conn, &item).await?;
    Ok(item)
}
