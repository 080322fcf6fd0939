//! Trips and their drivers: who drove each, what a driver drove, and the sum of it.
//!
//! Nothing of it is stored: it goes by the assignments as they are now.

use std::collections::{HashMap, HashSet};

use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    store::{self, PagePlace},
    types::{DrivenVehicle, DriverSummary, SummaryQuery, Trip, TripItem},
};
use crate::{
    caller::Caller,
    db::Conn,
    drivers::{
        self,
        driving::{self, SPAN_US_MAX, Span, Told},
    },
    fault::{DomainError, Faults},
    ids::DriverId,
    vehicles,
};

/// Windows of a driver that are looked at in one statement.
const WINDOWS_COUNT: usize = 100;
/// Trips read at once for a sum.
const SUMMED_COUNT: i64 = 1_000;
const PERIOD_US_MAX: i64 = 366 * DAY_US;
const PERIOD_US_DEFAULT: i64 = 30 * DAY_US;

/// Tells who drove, as far as the caller may know.
pub(crate) async fn with_drivers(
    conn: &mut Conn,
    caller: &Caller,
    trips: Vec<Trip>,
) -> Result<Vec<TripItem>, DomainError> {
    let told = Told::to(conn, caller).await?;
    attributed(conn, (caller, &told), trips).await
}

async fn attributed(
    conn: &mut Conn,
    (caller, told): (&Caller, &Told),
    trips: Vec<Trip>,
) -> Result<Vec<TripItem>, DomainError> {
    let span = |trip: &Trip| Span {
        vehicle_id: trip.vehicle_id.clone(),
        start: trip.start_time,
        end: trip.end_time,
    };
    let spans: Vec<Span> = trips.iter().map(span).collect();
    let who = driving::who_drove(conn, (caller, told), &spans).await?;
    Ok(trips
        .into_iter()
        .zip(who)
        .map(|(trip, who)| match who {
            Some(who) => {
                TripItem { trip, driver_id: Some(who.driver_id), driver_name: Some(who.driver_name) }
            }
            None => TripItem { trip, driver_id: None, driver_name: None },
        })
        .collect())
}

/// What a driver drove, newest start first, with some vehicles or all.
pub(super) async fn list(
    conn: &mut Conn,
    (caller, driver): (&Caller, &str),
    (vehicles, place): (Option<HashSet<VehicleId>>, PagePlace),
) -> Result<Vec<TripItem>, DomainError> {
    let told = Told::to(conn, caller).await?;
    let found = drivers::reached(conn, caller, driver).await?.filter(|found| told.includes(&found.id));
    let driver = found.ok_or_else(|| DomainError::not_found("driver", driver))?;
    by_driver(conn, (caller, &driver.id), (vehicles.as_ref(), place)).await
}

/// The newest trips of a driver before a cursor. Windows do not overlap, the latest comes first: once there are enough
/// trips that start after the end of all windows that are left, those have none that is newer.
async fn by_driver(
    conn: &mut Conn,
    (caller, driver): (&Caller, &DriverId),
    (vehicles, place): (Option<&HashSet<VehicleId>>, PagePlace),
) -> Result<Vec<TripItem>, DomainError> {
    let (range, (before, limit)) = place;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found: Vec<TripItem> = Vec::new();
    let mut until_us = range.1.min(before.0.saturating_add(1));
    loop {
        let asked = ((range.0, until_us), WINDOWS_COUNT);
        let (windows, next_end) = driving::windows(conn, driver, asked).await?;
        let earliest = windows.last().map(|window| window.from);
        let windows = driving::within(windows, vehicles);
        let of_these = (range, (before.clone(), limit));
        found.extend(in_windows(conn, (caller, driver), (&windows, of_these)).await?);
        found.sort_by(|a, b| (b.trip.start_time, &b.trip.id).cmp(&(a.trip.start_time, &a.trip.id)));
        // A trip may lie in windows of both sides.
        found.dedup_by(|a, b| a.trip.id == b.trip.id);
        found.truncate(wanted);
        let (Some(next_end), Some(earliest)) = (next_end, earliest) else { return Ok(found) };
        let is_enough =
            found.len() >= wanted && found.last().is_some_and(|last| last.trip.start_time >= next_end);
        if is_enough {
            return Ok(found);
        }
        // The windows before these; what is asked for is widened again.
        until_us = earliest.0.saturating_sub(SPAN_US_MAX);
    }
}

/// The newest trips within windows that were this driver's: a trip is in a window in part, and may be another's.
async fn in_windows(
    conn: &mut Conn,
    (caller, driver): (&Caller, &DriverId),
    (windows, place): (&[driving::Window], PagePlace),
) -> Result<Vec<TripItem>, DomainError> {
    let (range, (mut before, limit)) = place;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let told = Told::One(driver.clone());
    let mut found = Vec::new();
    loop {
        let trips = store::newest_within(conn, windows, (range, (before.clone(), limit))).await?;
        let Some(last) = trips.last() else { return Ok(found) };
        before = (last.start_time.0, last.id.to_string());
        let is_last = trips.len() < wanted;
        let items = attributed(conn, (caller, &told), trips).await?;
        found.extend(items.into_iter().filter(|item| item.driver_id.is_some()));
        if is_last || found.len() >= wanted {
            return Ok(found);
        }
    }
}

/// Sums up what a driver drove in a period.
pub(crate) async fn summary(
    conn: &mut Conn,
    (now, caller): (Timestamp, &Caller),
    (id, query): (&DriverId, &SummaryQuery),
) -> Result<DriverSummary, DomainError> {
    let driver = drivers::get(conn, id).await?;
    let mut faults = Faults::default();
    let mut time = |field, text: &Option<String>| text.as_deref().and_then(|text| faults.time(field, text));
    let (from, to) = (time("from", &query.from), time("to", &query.to));
    let to = to.unwrap_or(now);
    let from = from.unwrap_or_else(|| to.plus_us(-PERIOD_US_DEFAULT));
    faults.require(to > from, "to", "must be after from");
    faults.require(to.since_us(from) <= PERIOD_US_MAX, "to", "must be at most 366 days after from");
    faults.finish("the query")?;
    let own = match caller.organization() {
        Some(own) => Some(vehicles::names(conn, Some(own)).await?.into_keys().collect::<HashSet<_>>()),
        None => None,
    };
    let mut sum = Sum::default();
    let mut before = (i64::MAX, String::new());
    loop {
        let place = ((from.0, to.0), (before.clone(), SUMMED_COUNT));
        let some = by_driver(conn, (caller, &driver.id), (own.as_ref(), place)).await?;
        let Some(last) = some.last() else { break };
        before = (last.trip.start_time.0, last.trip.id.to_string());
        // One that had started before the period is the period's before.
        some.iter().map(|item| &item.trip).filter(|trip| trip.start_time >= from).for_each(|t| sum.add(t));
        if some.len() < usize::try_from(SUMMED_COUNT).unwrap_or(usize::MAX) {
            break;
        }
    }
    let mut driven = Vec::new();
    for (vehicle_name, (trips, distance_m)) in sum.vehicles {
        let vehicle_id = match vehicles::get(conn, vehicle_name.as_str()).await {
            Ok(vehicle) => Some(vehicle.id),
            Err(DomainError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let vehicle = DrivenVehicle { vehicle_id, vehicle_name, trips, distance_km: kilometres(distance_m) };
        driven.push((distance_m, vehicle));
    }
    driven.sort_by(|(a_m, a), (b_m, b)| b_m.cmp(a_m).then_with(|| a.vehicle_name.cmp(&b.vehicle_name)));
    Ok(DriverSummary {
        driver_id: driver.id,
        from,
        to,
        trips: sum.trips,
        distance_km: kilometres(sum.distance_m),
        driving_duration_s: sum.driving_s,
        idle_duration_s: sum.idle_s,
        vehicles: driven.into_iter().map(|(_, vehicle)| vehicle).collect(),
    })
}

/// What trips come to.
#[derive(Debug, Default)]
struct Sum {
    trips: i64,
    distance_m: i64,
    driving_s: i64,
    idle_s: i64,
    /// Trips and metres with each.
    vehicles: HashMap<VehicleId, (i64, i64)>,
}

impl Sum {
    fn add(&mut self, trip: &Trip) {
        self.trips += 1;
        self.distance_m = self.distance_m.saturating_add(trip.distance_m);
        self.driving_s = self.driving_s.saturating_add((trip.duration_s - trip.idle_s).max(0));
        self.idle_s = self.idle_s.saturating_add(trip.idle_s);
        let (trips, distance_m) = self.vehicles.entry(trip.vehicle_id.clone()).or_default();
        (*trips, *distance_m) = (*trips + 1, distance_m.saturating_add(trip.distance_m));
    }
}

/// Metres as they are shown.
#[allow(clippy::cast_precision_loss, reason = "metres that are driven fit a double exactly")]
fn kilometres(m: i64) -> f64 {
    m as f64 / 1_000.0
}
