//! What is due: a row a vehicle and schedule, the most urgent first.

use wire::time::Timestamp;

use super::{
    items::{self, Item},
    standing::Standing,
    store,
    survey::{Scope, Survey},
    types::{DueStatus, MaintenanceDue, MaintenanceDueQuery, MaintenanceSchedule, kilometres},
};
use crate::{
    caller::Caller,
    db::Conn,
    fault::DomainError,
    ids::WorkOrderId,
    page::{Cursor, Page, limit_of},
    vehicles::{self, Driven, groups},
};

/// The order of the list: by status, then by how much of the interval is left, then by ids. An item's place moves while
/// time passes, so a page goes on after a place and not after a row.
type Place = (u8, i64, String);

/// What is due, as the caller sees it.
pub async fn list(
    conn: &mut Conn,
    (now, caller): (Timestamp, &Caller),
    query: MaintenanceDueQuery,
) -> Result<Page<MaintenanceDue>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|cursor| place_of(&cursor)).transpose()?;
    let mut scope = Scope {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        ..Scope::default()
    };
    if let Some(id) = query.vehicle_id {
        let vehicle = vehicles::reached(conn, caller, &id).await?;
        scope.vehicle = Some(vehicle.ok_or_else(|| DomainError::not_found("vehicle", id))?.id);
    }
    let in_group = match groups::asked(conn, caller, query.group_id.as_deref()).await? {
        Some(group) => Some(groups::ids_in(conn, &group).await?),
        None => None,
    };
    if let Some(id) = query.schedule_id {
        let found = match id.parse() {
            Ok(parsed) => store::schedule(conn, &parsed).await?,
            Err(_) => None,
        };
        let is_own = |s: &MaintenanceSchedule| {
            caller.organization().is_none_or(|own| s.organization_id.as_ref() == Some(own))
        };
        found.filter(is_own).ok_or_else(|| DomainError::not_found("maintenance schedule", &id))?;
        scope.schedule = id;
    }
    let survey = Survey::take(conn, &scope).await?;
    let mut orders = store::open_orders(conn, &scope.organization).await?;
    let mut found: Vec<(Place, Standing, _)> = survey
        .pairs()
        .filter(|(_, vehicle, _)| in_group.as_ref().is_none_or(|ids| ids.contains(&vehicle.id)))
        .map(|(schedule, vehicle, item)| {
            let standing = items::standing_of((schedule, vehicle), item, now);
            let place = place(&standing, format!("{}:{}", schedule.id, vehicle.id));
            (place, standing, (schedule, vehicle, item))
        })
        .filter(|(_, standing, _)| query.status.is_none_or(|status| standing.status == status))
        .filter(|(place, ..)| after.as_ref().is_none_or(|after| place > after))
        .collect();
    found.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let rows = found.into_iter().take(usize::try_from(limit + 1).unwrap_or(usize::MAX));
    let rows = rows.map(|(place, standing, (schedule, vehicle, item))| {
        let order = orders.remove(&(schedule.id.clone(), vehicle.id.clone()));
        (place, row((schedule, vehicle), (item, standing), order))
    });
    let page = Page::of(rows.collect(), limit, |((rank, left, id), _)| Cursor {
        key: format!("{rank},{left}"),
        id: id.clone(),
    });
    let data = page.data.into_iter().map(|(_, row)| row).collect();
    Ok(Page { data, next_cursor: page.next_cursor })
}

/// Where one vehicle is in a schedule.
pub(super) async fn one(
    conn: &mut Conn,
    now: Timestamp,
    of: (&MaintenanceSchedule, &Driven),
) -> Result<MaintenanceDue, DomainError> {
    let ids = (&of.0.id, &of.1.id);
    let item = store::item(conn, ids).await?;
    let order = store::open_order(conn, ids).await?;
    let standing = items::standing_of(of, item.as_ref(), now);
    Ok(row(of, (item.as_ref(), standing), order))
}

fn row(
    (schedule, vehicle): (&MaintenanceSchedule, &Driven),
    (item, standing): (Option<&Item>, Standing),
    work_order_id: Option<WorkOrderId>,
) -> MaintenanceDue {
    let last = item.filter(|item| item.is_done);
    MaintenanceDue {
        vehicle_id: vehicle.id.clone(),
        vehicle_name: vehicle.vehicle_id.clone(),
        schedule_id: schedule.id.clone(),
        schedule_name: schedule.name.clone(),
        status: standing.status,
        last_done_at: last.map(|item| item.since),
        last_done_odometer_km: last.and_then(|item| item.odometer_m).map(kilometres),
        due_at: standing.due_at,
        due_odometer_km: standing.due_odometer_m.map(kilometres),
        left_km: standing.left_m.map(kilometres),
        left_days: standing.left_days(),
        work_order_id,
    }
}

fn place(standing: &Standing, ids: String) -> Place {
    let rank = match standing.status {
        DueStatus::Overdue => 0,
        DueStatus::DueSoon => 1,
        DueStatus::Ok => 2,
        DueStatus::Unknown => 3,
    };
    (rank, standing.used_ppm.saturating_neg(), ids)
}

fn place_of(cursor: &Cursor) -> Result<Place, DomainError> {
    let parts = cursor.key.split_once(',');
    let place = parts.and_then(|(rank, left)| Some((rank.parse().ok()?, left.parse().ok()?)));
    let (rank, left) = place.ok_or_else(Cursor::refused)?;
    Ok((rank, left, cursor.id.clone()))
}
