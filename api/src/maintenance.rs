//! Maintenance: what is to be done on vehicles, by distance and time, and the orders for it.
//!
//! *Owns* the tables `maintenance_schedules`, `maintenance_items` and `work_orders`, and their events. *Does not own*
//! vehicles nor how far they have been driven: it asks the registry for both.
//!
//! Main path: a *schedule* ([`schedules`]) is for some vehicles; an *item* (`items`) is a vehicle in a schedule, in an
//! interval that began with the work done last. [`inspector`] sees whose interval comes to its limit (`standing`), says
//! so once, and opens a *work order* ([`orders`]), whose completion begins the next interval. [`due`] lists all of it.
//!
//! Bounds: 200 schedules an organization, 1,000 vehicles named in one, one open order a vehicle and schedule; 100
//! changes of items a transaction. Lists of what is due are worked out whole, in memory: a row a vehicle and schedule.

pub mod due;
pub(crate) mod http;
pub mod inspector;
mod items;
pub mod orders;
pub(crate) mod rebuild;
pub mod schedules;
mod standing;
mod store;
mod survey;
pub mod types;

use wire::time::Timestamp;

use self::types::metres;
use crate::{
    caller::Caller,
    db::Conn,
    fault::{DomainError, Faults},
    vehicles::{self, Driven},
};

const TEXT_LEN_MAX: usize = 4_000;
/// An odometer that is told may be so much above the one that is known: trips come in later than people.
const ODOMETER_AHEAD_MAX_M: i64 = 1_000_000;

/// A name or the like, as it is kept.
fn checked_name(text: &str, field: &str, faults: &mut Faults) -> String {
    let text = text.trim().to_owned();
    faults.require((1..=120).contains(&text.chars().count()), field, "must be 1 to 120 characters");
    text
}

/// A longer text; none when it is empty.
fn checked_text(text: Option<String>, field: &str, faults: &mut Faults) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= TEXT_LEN_MAX);
    faults.require(fits, field, "must be at most 4000 characters");
    text
}

/// The vehicle that a request names, of those that the caller reaches.
async fn vehicle_of(
    conn: &mut Conn,
    caller: &Caller,
    (field, id): (&str, &str),
    faults: &mut Faults,
) -> Result<Option<Driven>, DomainError> {
    let found = match vehicles::reached(conn, caller, id).await? {
        Some(vehicle) => vehicles::driven_one(conn, &vehicle.id).await?,
        None => None,
    };
    if found.is_none() {
        faults.add(field, format!("there is no vehicle {id}; see /v1/vehicles"));
    }
    Ok(found)
}

/// Work that was done: when, and at which odometer as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Work {
    at: Timestamp,
    odometer_m: Option<i64>,
}

/// Reads when work was done and at which odometer. Where no odometer is told it is the known one, unless the vehicle
/// has been driven since: then only somebody who was there knows it.
fn checked_work(
    now: Timestamp,
    (vehicle, needs_odometer): (&Driven, bool),
    (done_at, odometer_km): (Option<&str>, Option<f64>),
    faults: &mut Faults,
) -> Work {
    let told_at = done_at.and_then(|text| faults.time("done_at", text));
    faults.require(told_at.is_none_or(|at| at <= now), "done_at", "must not be in the future");
    let odometer_m = match odometer_km {
        Some(km) => {
            let told = metres(km);
            faults.require(told.is_some(), "odometer_km", "must be 0 to 10000000");
            if let Some((told, (known, _))) = told.zip(vehicle.odometer)
                && told > known.saturating_add(ODOMETER_AHEAD_MAX_M)
            {
                let known = types::kilometres(known);
                faults.add(
                    "odometer_km",
                    format!("is more than 1000 km above {known}, the odometer that is known"),
                );
            }
            told
        }
        None => {
            let as_it_was = |(_, read_at): &(i64, Timestamp)| told_at.is_none_or(|at| *read_at <= at);
            let known = vehicle.odometer.filter(as_it_was);
            let is_lost = needs_odometer && known.is_none() && vehicle.odometer.is_some();
            faults.require(
                !is_lost,
                "odometer_km",
                "is needed: the vehicle has been driven since, and the schedule has a limit in kilometres",
            );
            known.map(|(odometer_m, _)| odometer_m)
        }
    };
    Work { at: told_at.unwrap_or(now), odometer_m }
}
