//! Work orders: open, in progress, done; or cancelled before that.

pub mod types;

use wire::time::Timestamp;

use self::types::{
    Cost, NewWorkOrder, WorkOrder, WorkOrderCancellation, WorkOrderCompletion, WorkOrderPatch,
    WorkOrderQuery, WorkOrderStatus,
};
use super::{
    checked_name, checked_text, checked_work, items, store,
    types::{MaintenanceSchedule, kilometres},
    vehicle_of,
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::WorkOrderId,
    page::{Cursor, Page, limit_of},
    users,
    vehicles::{self, Driven},
};

pub(super) const AGGREGATE: &str = "work-order";
const REASON_LEN_MAX: usize = 500;
const ASSIGNED_LEN_MAX: usize = 120;
/// Ten milliards of a currency with cents: what is more is a slip.
const COST_MINOR_MAX: i64 = 1_000_000_000_000;

/// Opens a work order: a repair, or the work of a schedule before it is due.
pub async fn open(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewWorkOrder,
) -> Result<WorkOrder, DomainError> {
    const WHAT: &str = "the work order";
    let mut faults = Faults::default();
    let vehicle = vehicle_of(conn, caller, ("vehicle_id", &new.vehicle_id), &mut faults).await?;
    let schedule = match &new.schedule_id {
        None => None,
        Some(id) => schedule_for(conn, (caller, vehicle.as_ref()), id, &mut faults).await?,
    };
    let title = checked_name(&new.title, "title", &mut faults);
    let notes = checked_text(new.notes, "notes", &mut faults);
    let due_at = new.due_at.as_deref().and_then(|text| faults.time("due_at", text));
    let assigned_to = checked_assigned(new.assigned_to, &mut faults);
    faults.finish(WHAT)?;
    let Some(vehicle) = vehicle else { return Err(DomainError::not_found("vehicle", new.vehicle_id)) };
    let order = WorkOrder { title, notes, due_at, assigned_to, ..opened(now, (&vehicle, schedule.as_ref())) };
    if let Some(schedule) = &schedule
        && let Some(other) = store::open_order(conn, (&schedule.id, &vehicle.id)).await?
    {
        return Err(DomainError::Conflict(format!(
            "{} of vehicle {} has a work order that is open, {other}; complete or cancel that first",
            schedule.name, vehicle.vehicle_id
        )));
    }
    note(conn, now, (&order, "WorkOrderOpened")).await?;
    store::insert_order(conn, &order).await?;
    Ok(order)
}

/// Opens the order for what has come due.
pub(super) async fn open_automatic(
    conn: &mut Conn,
    now: Timestamp,
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    due_at: Option<Timestamp>,
) -> Result<WorkOrderId, DomainError> {
    let order = WorkOrder {
        title: schedule.name.clone(),
        notes: schedule.description.clone(),
        is_automatic: true,
        due_at,
        ..opened(now, (vehicle, Some(schedule)))
    };
    note(conn, now, (&order, "WorkOrderOpened")).await?;
    store::insert_order(conn, &order).await?;
    Ok(order.id)
}

fn opened(now: Timestamp, (vehicle, schedule): (&Driven, Option<&MaintenanceSchedule>)) -> WorkOrder {
    WorkOrder {
        id: WorkOrderId::new(now),
        organization_id: vehicle.organization_id.clone(),
        vehicle_id: vehicle.id.clone(),
        vehicle_name: vehicle.vehicle_id.clone(),
        schedule_id: schedule.map(|schedule| schedule.id.clone()),
        title: String::new(),
        notes: None,
        status: WorkOrderStatus::Open,
        is_automatic: false,
        opened_at: now,
        due_at: None,
        assigned_to: None,
        started_at: None,
        closed_at: None,
        odometer_km: None,
        cost: None,
        cancel_reason: None,
        version: 1,
        updated_at: now,
    }
}

/// Changes a work order that is at `expected_version`, or starts it.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&WorkOrderId, i64),
    patch: WorkOrderPatch,
) -> Result<WorkOrder, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "work order",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    match patch.status {
        None => check_not_closed(&before, "changed")?,
        Some(WorkOrderStatus::InProgress) if before.status == WorkOrderStatus::Open => {}
        Some(WorkOrderStatus::InProgress) => return Err(refused(&before, "started")),
        Some(WorkOrderStatus::Done) => return Err(by_its_own_call(id, "complete")),
        Some(WorkOrderStatus::Cancelled) => return Err(by_its_own_call(id, "cancel")),
        Some(WorkOrderStatus::Open) => return Err(refused(&before, "opened again")),
    }
    let mut faults = Faults::default();
    let mut order = before.clone();
    if let Some(title) = &patch.title {
        order.title = checked_name(title, "title", &mut faults);
    }
    if let Some(notes) = patch.notes {
        order.notes = checked_text(notes, "notes", &mut faults);
    }
    if let Some(assigned_to) = patch.assigned_to {
        order.assigned_to = checked_assigned(assigned_to, &mut faults);
    }
    if let Some(due_at) = &patch.due_at {
        order.due_at = due_at.as_deref().and_then(|text| faults.time("due_at", text));
    }
    faults.finish("the change")?;
    if order != before {
        keep(conn, now, (&mut order, "WorkOrderChanged")).await?;
    }
    if patch.status.is_some() {
        (order.status, order.started_at) = (WorkOrderStatus::InProgress, Some(now));
        keep(conn, now, (&mut order, "WorkOrderStarted")).await?;
    }
    Ok(order)
}

/// Completes a work order that was started; of a schedule, the next interval of the vehicle begins.
pub async fn complete(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id): (&Caller, &WorkOrderId),
    completion: WorkOrderCompletion,
) -> Result<WorkOrder, DomainError> {
    const WHAT: &str = "the completion";
    let mut order = get(conn, id).await?;
    if order.status != WorkOrderStatus::InProgress {
        return Err(refused(&order, "completed"));
    }
    let vehicle = vehicles::driven_one(conn, &order.vehicle_id).await?;
    let Some(vehicle) = vehicle else {
        return Err(DomainError::not_found("vehicle", order.vehicle_id.as_str()));
    };
    // Sold meanwhile: how far it has been driven is no longer theirs to know.
    let is_theirs = caller.organization().is_none_or(|own| vehicle.organization_id.as_ref() == Some(own));
    let vehicle = if is_theirs { vehicle } else { Driven { odometer: None, ..vehicle } };
    let schedule = match &order.schedule_id {
        Some(id) => store::schedule(conn, id).await?,
        None => None,
    };
    let mut faults = Faults::default();
    let needs_odometer = schedule.as_ref().is_some_and(|schedule| schedule.every_km.is_some());
    let told = (completion.done_at.as_deref(), completion.odometer_km);
    let work = checked_work(now, (&vehicle, needs_odometer), told, &mut faults);
    if let Some(cost) = &completion.cost {
        check_cost(cost, &mut faults);
    }
    if let Some(notes) = completion.notes {
        order.notes = checked_text(Some(notes), "notes", &mut faults);
    }
    faults.finish(WHAT)?;
    order.status = WorkOrderStatus::Done;
    (order.closed_at, order.odometer_km) = (Some(work.at), work.odometer_m.map(kilometres));
    order.cost = completion.cost;
    keep(conn, now, (&mut order, "WorkOrderCompleted")).await?;
    if let Some(schedule) = schedule {
        items::done(conn, now, (&schedule, &vehicle), (work, Some(&order.id))).await?;
    }
    Ok(order)
}

/// Cancels a work order that is not closed. What it was for stays due.
pub async fn cancel(
    conn: &mut Conn,
    now: Timestamp,
    id: &WorkOrderId,
    cancellation: &WorkOrderCancellation,
) -> Result<WorkOrder, DomainError> {
    let reason = cancellation.reason.trim().to_owned();
    if !(1..=REASON_LEN_MAX).contains(&reason.chars().count()) {
        return Err(DomainError::invalid("the cancellation", "reason", "must be 1 to 500 characters"));
    }
    let mut order = get(conn, id).await?;
    check_not_closed(&order, "cancelled")?;
    order.status = WorkOrderStatus::Cancelled;
    (order.closed_at, order.cancel_reason) = (Some(now), Some(reason));
    keep(conn, now, (&mut order, "WorkOrderCancelled")).await?;
    Ok(order)
}

/// The work order of an id.
pub async fn get(conn: &mut Conn, id: &WorkOrderId) -> Result<WorkOrder, DomainError> {
    store::order(conn, id).await?.ok_or_else(|| DomainError::not_found("work order", id.as_str()))
}

/// Work orders, newest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: WorkOrderQuery,
) -> Result<Page<WorkOrder>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id);
    let vehicle = match query.vehicle_id {
        // By the id: an order stays whose it was, whosever the vehicle is now.
        Some(id) => match vehicles::get(conn, &id).await {
            Ok(vehicle) => vehicle.id.to_string(),
            Err(DomainError::NotFound { .. }) => id,
            Err(error) => return Err(error),
        },
        None => String::new(),
    };
    let wanted = store::WantedOrders {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        vehicle,
        schedule: query.schedule_id.unwrap_or_default(),
        status: query.status.map(WorkOrderStatus::as_str).unwrap_or_default(),
    };
    let found = store::orders_before(conn, &wanted, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |order| Cursor { key: String::new(), id: order.id.to_string() }))
}

/// The schedule of an order: one that is for the vehicle.
async fn schedule_for(
    conn: &mut Conn,
    (caller, vehicle): (&Caller, Option<&Driven>),
    id: &str,
    faults: &mut Faults,
) -> Result<Option<MaintenanceSchedule>, DomainError> {
    let found = match id.parse() {
        Ok(id) => store::schedule(conn, &id).await?,
        Err(_) => None,
    };
    let is_own = |s: &MaintenanceSchedule| {
        caller.organization().is_none_or(|own| s.organization_id.as_ref() == Some(own))
    };
    let Some(schedule) = found.filter(is_own) else {
        faults.add(
            "schedule_id",
            format!("there is no maintenance schedule {id}; see /v1/maintenance-schedules"),
        );
        return Ok(None);
    };
    let is_covered = vehicle.is_none_or(|vehicle| schedule.covers(vehicle));
    faults.require(is_covered, "schedule_id", "is a schedule that is not for the vehicle");
    Ok(Some(schedule))
}

fn checked_assigned(text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= ASSIGNED_LEN_MAX);
    faults.require(fits, "assigned_to", "must be at most 120 characters");
    text
}

fn check_cost(cost: &Cost, faults: &mut Faults) {
    let fits = (0..=COST_MINOR_MAX).contains(&cost.amount_minor);
    faults.require(fits, "cost.amount_minor", "must be 0 to 1000000000000");
    users::check_currency("cost.currency", &cost.currency, faults);
}

fn check_not_closed(order: &WorkOrder, act: &str) -> Result<(), DomainError> {
    if order.closed_at.is_some() { Err(refused(order, act)) } else { Ok(()) }
}

fn refused(order: &WorkOrder, act: &str) -> DomainError {
    let why = match order.status {
        WorkOrderStatus::Open => "is open: nobody has started it; PATCH its status to in_progress first",
        WorkOrderStatus::InProgress => "is in progress; it can be completed or cancelled",
        WorkOrderStatus::Done => "is done, for good",
        WorkOrderStatus::Cancelled => "is cancelled, for good; open another",
    };
    DomainError::Conflict(format!("work order {} cannot be {act}: it {why}", order.id))
}

fn by_its_own_call(id: &WorkOrderId, act: &str) -> DomainError {
    DomainError::Conflict(format!("a PATCH only starts a work order; POST /v1/work-orders/{id}/{act}"))
}

/// Notes a change that has been made to the value, and stores it.
async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    (order, event_type): (&mut WorkOrder, &'static str),
) -> Result<(), DomainError> {
    order.version += 1;
    order.updated_at = now;
    note(conn, now, (order, event_type)).await?;
    store::update_order(conn, order).await
}

/// The event's data for all: how the order is.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (order, event_type): (&WorkOrder, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: order.id.to_string(),
        event_type,
        data: json_of(order),
    };
    events::append(conn, now, order.version - 1, event).await?;
    Ok(())
}
