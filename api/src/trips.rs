//! Trips: every revision the lake brought, and the latest of each; and trips that are planned.
//!
//! *Owns* the tables `trip_revisions`, `trips`, `lake_followers`, `planned_trips` and `trip_corrections`, and their events. *Does
//! not own* how trips are derived (analytics), who drove (it asks drivers: `driven`) nor what they cost (billing, which
//! listens through [`TripObserver`]). It calls the vehicles and drivers domains.

pub mod corrections;
mod driven;
pub mod follow;
pub(crate) mod http;
pub mod planned;
pub(crate) mod rebuild;
mod store;
pub mod types;

use std::collections::HashSet;

use async_trait::async_trait;
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::TripId,
    page::{Cursor, Page, limit_of},
    vehicles::{self, MileageChange, groups},
};
pub(crate) use driven::{summary, with_drivers};
use types::{Trip, TripItem, TripQuery, TripState};

/// Who wants to know of trips, in the transaction that stores them. Billing does; it is to the
/// right of trips, so trips cannot call it by name.
#[async_trait]
pub trait TripObserver: Send + Sync + std::fmt::Debug {
    /// A revision was stored.
    async fn trip_changed(&self, conn: &mut Conn, now: Timestamp, trip: &Trip) -> Result<(), DomainError>;

    /// Nothing new came; what had to wait may go on now.
    async fn settle(&self, conn: &mut Conn, now: Timestamp) -> Result<(), DomainError>;
}

/// Whether vehicles seen in the lake are registered by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// They are.
    Automatic,
    /// Somebody registers them.
    Manual,
}

/// Stores a revision with its event, mileage and whatever `observer` makes of it. A revision
/// stored before changes nothing.
pub(crate) async fn store_revision(
    conn: &mut Conn,
    now: Timestamp,
    (trip, registration): (&Trip, Registration),
    observer: &dyn TripObserver,
) -> Result<(), DomainError> {
    let before = store::latest(conn, &trip.id).await?;
    if before.as_ref().is_some_and(|b| b.revision >= trip.revision) {
        return Ok(());
    }
    let event_type = match (trip.status, &before) {
        (TripState::Withdrawn, _) => "TripWithdrawn",
        (TripState::Completed, None) => "TripCompleted",
        (TripState::Completed, Some(_)) => "TripRevised",
    };
    let event = NewEvent {
        aggregate_type: "trip",
        aggregate_id: trip.id.to_string(),
        event_type,
        data: json_of(trip),
    };
    let version = events::version_of(conn, trip.id.as_str()).await?;
    events::append(conn, now, version, event).await?;
    if registration == Registration::Automatic {
        vehicles::register_seen(conn, now, &trip.vehicle_id).await?;
    }
    project(conn, (before.as_ref(), trip)).await?;
    observer.trip_changed(conn, now, trip).await
}

/// Makes the rows of a revision.
async fn project(conn: &mut Conn, (before, trip): (Option<&Trip>, &Trip)) -> Result<(), DomainError> {
    store::save(conn, trip).await?;
    vehicles::add_mileage(conn, &trip.vehicle_id, mileage_change(before, trip)).await
}

/// What a revision changes against the one before.
fn mileage_change(before: Option<&Trip>, trip: &Trip) -> MileageChange {
    let counted = |t: &Trip| match t.status {
        TripState::Completed => (1, t.distance_m),
        TripState::Withdrawn => (0, 0),
    };
    let (count_before, distance_before) = before.map_or((0, 0), counted);
    let (count, distance) = counted(trip);
    #[allow(clippy::cast_possible_truncation, reason = "saturates, far beyond any odometer")]
    let odometer = match trip.status {
        TripState::Completed => trip.odometer_end_km.map(|km| ((km * 1000.0).round() as i64, trip.end_time)),
        TripState::Withdrawn => None,
    };
    MileageChange {
        trip_count: count - count_before,
        distance_m: distance.saturating_sub(distance_before),
        odometer,
    }
}

/// The latest revision of a trip.
pub async fn get(conn: &mut Conn, id: &TripId) -> Result<Trip, DomainError> {
    store::latest(conn, id).await?.ok_or_else(|| DomainError::not_found("trip", id.as_str()))
}

/// Every revision of a trip, oldest first.
pub async fn revisions(conn: &mut Conn, id: &TripId) -> Result<Vec<Trip>, DomainError> {
    let found = store::revisions(conn, id).await?;
    if found.is_empty() { Err(DomainError::not_found("trip", id.as_str())) } else { Ok(found) }
}

/// Trips that took place, newest start first, with who drove; for a caller who is of an organization, those of its
/// vehicles.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: &TripQuery,
) -> Result<Page<TripItem>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    if let Some(id) = &query.vehicle_id
        && let Err(e) = id.parse::<VehicleId>()
    {
        faults.add("vehicle_id", format!("{e}"));
    }
    let (from_us, to_us) = faults.period_us(query.from.as_deref(), query.to.as_deref());
    faults.finish("the query")?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let vehicle = query.vehicle_id.clone().unwrap_or_default();
    let place = ((from_us, to_us), (before, limit + 1));
    let ids = reached(conn, caller, (&vehicle, query.group_id.as_deref())).await?;
    let found = match (&query.driver_id, ids) {
        (Some(driver), ids) => driven::list(conn, (caller, driver), (ids, place)).await?,
        (None, ids) => {
            let found = match ids {
                None => store::newest(conn, place).await?,
                Some(ids) => {
                    let ids: Vec<VehicleId> = ids.into_iter().collect();
                    store::newest_of(conn, &ids, place).await?
                }
            };
            with_drivers(conn, caller, found).await?
        }
    };
    Ok(Page::of(found, limit, |item| Cursor {
        key: item.trip.start_time.0.to_string(),
        id: item.trip.id.to_string(),
    }))
}

/// The vehicles whose trips a list is narrowed to: the caller's, a group's, one. None where it is all of them.
async fn reached(
    conn: &mut Conn,
    caller: &Caller,
    (vehicle, group): (&str, Option<&str>),
) -> Result<Option<HashSet<VehicleId>>, DomainError> {
    let names = match (groups::asked(conn, caller, group).await?, caller.organization()) {
        (Some(group), _) => vehicles::names_in(conn, &group).await?,
        (None, Some(own)) => vehicles::names(conn, Some(own)).await?,
        (None, None) => return Ok(vehicle.parse().ok().map(|id| HashSet::from([id]))),
    };
    let ids = names.into_keys().filter(|id| vehicle.is_empty() || id.as_str() == vehicle);
    Ok(Some(ids.collect()))
}

/// The version of the lake's `trips` up to which trips are stored here; -1 before the first.
pub async fn followed_version(conn: &mut Conn) -> Result<i64, DomainError> {
    store::followed_version(conn, follow::FOLLOWER).await
}
