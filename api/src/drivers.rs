//! Drivers: who drives, and which vehicle they have when.
//!
//! *Owns* the tables `drivers` and `driver_assignments`, and their events. *Does not own* vehicles, people who sign in
//! (a driver may be one of them), nor trips, which ask it who drove.
//!
//! Main path: a driver is registered, and given a vehicle for a time ([`assignments`]): of a vehicle no two overlap, nor
//! of a driver. `driving` says by these who drove in a span of time, whenever it is asked: a time that is corrected
//! corrects what was driven in it. `observer` ends what is open when a vehicle becomes another organization's.
//!
//! Bounds: 20,000 drivers an organization; times begin at most 366 days before or after now.

pub mod assignments;
pub(crate) mod driving;
pub(crate) mod http;
pub(crate) mod observer;
pub(crate) mod rebuild;
mod store;
pub mod types;

use wire::time::Timestamp;

use self::types::{Driver, DriverPatch, DriverQuery, DriverStatus, NewDriver, checked_classes, checked_date};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{DriverId, OrganizationId, UserId},
    page::{Cursor, Page, limit_of},
    rows::count_of,
    users::{self, people},
    vehicles,
};

pub(crate) const AGGREGATE: &str = "driver";
/// Of an organization, and of the operator.
const DRIVERS_MAX: i64 = 20_000;
const NUMBER_LEN_MAX: usize = 40;

/// Registers a driver.
pub async fn register(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewDriver,
) -> Result<Driver, DomainError> {
    const WHAT: &str = "the driver";
    let mut faults = Faults::default();
    let organization = caller.placed(WHAT, new.organization_id)?;
    let organization_id = users::check_organization(conn, organization.as_deref(), &mut faults).await?;
    let driver = Driver {
        id: DriverId::new(now),
        name: checked_name(&new.name, &mut faults),
        employee_number: checked_number(new.employee_number, "employee_number", &mut faults),
        user_id: match &new.user_id {
            Some(id) => user_for(conn, (organization_id.as_ref(), id), &mut faults).await?,
            None => None,
        },
        licence_number: checked_number(new.licence_number, "licence_number", &mut faults),
        licence_classes: checked_classes(new.licence_classes, &mut faults),
        licence_valid_until: checked_date(new.licence_valid_until, "licence_valid_until", &mut faults),
        phone: checked_phone(new.phone, &mut faults),
        organization_id,
        status: DriverStatus::Active,
        vehicle_id: None,
        vehicle_name: None,
        version: 1,
        created_at: now,
        updated_at: now,
    };
    faults.finish(WHAT)?;
    check_unique(conn, &driver).await?;
    if count_of(conn, "drivers", driver.organization_id.as_ref()).await? >= DRIVERS_MAX {
        return Err(DomainError::Conflict(format!(
            "there are {DRIVERS_MAX} drivers already, as many as an organization may have"
        )));
    }
    note(conn, now, (&driver, "DriverRegistered")).await?;
    store::insert(conn, &driver).await?;
    Ok(driver)
}

/// Changes a driver who is at `expected_version`. Who leaves has no vehicle any more.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&DriverId, i64),
    patch: DriverPatch,
) -> Result<Driver, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "driver",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut driver = patched(conn, &before, &patch).await?;
    if driver != before {
        check_unique(conn, &driver).await?;
        keep(conn, now, (&mut driver, "DriverChanged")).await?;
    }
    match (driver.status, patch.status) {
        (DriverStatus::Active, Some(DriverStatus::Left)) => {
            assignments::end_all_of(conn, now, &driver.id).await?;
            driver.status = DriverStatus::Left;
            keep(conn, now, (&mut driver, "DriverLeft")).await?;
        }
        (DriverStatus::Left, Some(DriverStatus::Active)) => {
            driver.status = DriverStatus::Active;
            keep(conn, now, (&mut driver, "DriverChanged")).await?;
        }
        _ => {}
    }
    Ok(driver)
}

/// The driver with what a change says, but for the status.
async fn patched(conn: &mut Conn, before: &Driver, patch: &DriverPatch) -> Result<Driver, DomainError> {
    let patch = patch.clone();
    let mut faults = Faults::default();
    let mut driver = before.clone();
    if let Some(name) = &patch.name {
        driver.name = checked_name(name, &mut faults);
    }
    if let Some(number) = patch.employee_number {
        driver.employee_number = checked_number(number, "employee_number", &mut faults);
    }
    match &patch.user_id {
        None => {}
        Some(None) => driver.user_id = None,
        Some(Some(id)) => {
            driver.user_id = user_for(conn, (before.organization_id.as_ref(), id), &mut faults).await?;
        }
    }
    if let Some(number) = patch.licence_number {
        driver.licence_number = checked_number(number, "licence_number", &mut faults);
    }
    if let Some(classes) = patch.licence_classes {
        driver.licence_classes = checked_classes(classes, &mut faults);
    }
    if let Some(date) = patch.licence_valid_until {
        driver.licence_valid_until = checked_date(date, "licence_valid_until", &mut faults);
    }
    if let Some(phone) = patch.phone {
        driver.phone = checked_phone(phone, &mut faults);
    }
    faults.finish("the change")?;
    Ok(driver)
}

/// Notes a change that has been made to the value, and stores it.
async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    (driver, event_type): (&mut Driver, &'static str),
) -> Result<(), DomainError> {
    driver.version += 1;
    driver.updated_at = now;
    note(conn, now, (driver, event_type)).await?;
    store::update(conn, driver).await
}

/// The event's data for all: how the driver is. What they drive now is other events'.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (driver, event_type): (&Driver, &'static str),
) -> Result<(), DomainError> {
    let mut data = json_of(driver);
    if let serde_json::Value::Object(fields) = &mut data {
        fields.retain(|name, _| !["vehicle_id", "vehicle_name"].contains(&name.as_str()));
    }
    let event = NewEvent { aggregate_type: AGGREGATE, aggregate_id: driver.id.to_string(), event_type, data };
    events::append(conn, now, driver.version - 1, event).await?;
    Ok(())
}

/// The driver of an id, without what they drive now.
pub async fn get(conn: &mut Conn, id: &DriverId) -> Result<Driver, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("driver", id.as_str()))
}

/// The driver of an id, if there is one that the caller reaches.
pub(crate) async fn reached(
    conn: &mut Conn,
    caller: &Caller,
    id: &str,
) -> Result<Option<Driver>, DomainError> {
    let found = match id.parse() {
        Ok(id) => store::by_id(conn, &id).await?,
        Err(_) => None,
    };
    let is_reached =
        |d: &Driver| caller.organization().is_none_or(|own| d.organization_id.as_ref() == Some(own));
    Ok(found.filter(is_reached))
}

/// Tells what drivers drive now.
pub(crate) async fn with_vehicles(
    conn: &mut Conn,
    now: Timestamp,
    drivers: &mut [Driver],
) -> Result<(), DomainError> {
    let ids: Vec<DriverId> = drivers.iter().map(|driver| driver.id.clone()).collect();
    let mut driven = assignments::driven_at(conn, now, &ids).await?;
    for driver in drivers {
        if let Some((vehicle_id, vehicle_name)) = driven.remove(&driver.id) {
            (driver.vehicle_id, driver.vehicle_name) = (Some(vehicle_id), Some(vehicle_name));
        }
    }
    Ok(())
}

/// Drivers by name.
pub async fn list(
    conn: &mut Conn,
    (now, caller): (Timestamp, &Caller),
    query: DriverQuery,
) -> Result<Page<Driver>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?;
    let after = after.map(|cursor| (cursor.key, cursor.id)).unwrap_or_default();
    let mut faults = Faults::default();
    let ends_before = checked_date(query.licence_ends_before, "licence_ends_before", &mut faults);
    faults.finish("the query")?;
    let vehicle = match query.vehicle_id {
        Some(id) => match vehicles::reached(conn, caller, &id).await? {
            Some(vehicle) => vehicle.id.to_string(),
            None => return Err(DomainError::not_found("vehicle", id)),
        },
        None => String::new(),
    };
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        status: query.status.map(DriverStatus::as_str).unwrap_or_default(),
        part: query.q.unwrap_or_default().trim().to_lowercase(),
        vehicle,
        now,
        ends_before,
    };
    let mut found = store::after(conn, &wanted, (after, limit + 1)).await?;
    with_vehicles(conn, now, &mut found).await?;
    Ok(Page::of(found, limit, |driver| Cursor { key: store::search_of(driver), id: driver.id.to_string() }))
}

/// The person who signs in as a driver: of the driver's organization.
async fn user_for(
    conn: &mut Conn,
    (of, text): (Option<&OrganizationId>, &str),
    faults: &mut Faults,
) -> Result<Option<UserId>, DomainError> {
    let found = match text.parse() {
        Ok(id) => match people::get(conn, &id).await {
            Ok(user) => Some(user),
            Err(DomainError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        },
        Err(_) => None,
    };
    let found = found.filter(|user| user.organization_id.as_ref() == of);
    if found.is_none() {
        faults.add("user_id", format!("there is no user {text} in the driver's organization; see /v1/users"));
    }
    Ok(found.map(|user| user.id))
}

/// That no other driver has the same number, or is the same person.
async fn check_unique(conn: &mut Conn, driver: &Driver) -> Result<(), DomainError> {
    if let Some(number) = &driver.employee_number {
        let of = driver.organization_id.as_ref().map(OrganizationId::as_str).unwrap_or_default();
        if let Some(other) = store::with_number(conn, (of, number)).await?.filter(|id| *id != driver.id) {
            return Err(DomainError::Conflict(format!(
                "driver {other} has employee number {number} already"
            )));
        }
    }
    if let Some(user) = &driver.user_id
        && let Some(other) = store::of_user(conn, user).await?.filter(|id| *id != driver.id)
    {
        return Err(DomainError::Conflict(format!("user {user} signs in as driver {other} already")));
    }
    Ok(())
}

fn checked_name(name: &str, faults: &mut Faults) -> String {
    let name = name.trim().to_owned();
    let fits = (1..=120).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    faults.require(fits, "name", "must be 1 to 120 characters of one line");
    name
}

/// A number as people write them; none when it is empty.
fn checked_number(text: Option<String>, field: &str, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = |text: &String| {
        text.chars().count() <= NUMBER_LEN_MAX && !text.chars().any(|c| c.is_control() || c == '\n')
    };
    faults.require(text.as_ref().is_none_or(fits), field, "must be at most 40 characters of one line");
    text
}

fn checked_phone(text: Option<String>, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = |text: &String| {
        (3..=NUMBER_LEN_MAX).contains(&text.len())
            && text.bytes().any(|b| b.is_ascii_digit())
            && text.bytes().all(|b| b.is_ascii_digit() || b" +-()./".contains(&b))
    };
    faults.require(text.as_ref().is_none_or(fits), "phone", "must be a number such as \"+45 12 34 56 78\"");
    text
}
