//! Corrections: trips that people merge, split, and mark as private or for business, and take back.
//!
//! *Owns* `trip_corrections` and its events. *Does not own* what becomes of the trips: the lake's derivation heeds
//! a correction as it does late data, and its revisions come by the follower. So an invoice is corrected by a note,
//! and what was said holds when late data moves the trips around it.

pub(crate) mod http;
mod scribe;
mod store;
pub mod types;

use analytics::row::{CorrectionKind, CorrectionStatus, Purpose};
use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

pub use scribe::Scribe;
use types::{CorrectionQuery, TripCorrection, TripMark, TripMerge, TripSplit};

use super::{
    store as trip_store,
    types::{Trip, TripState},
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, Event, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::TripCorrectionId,
    page::{Cursor, Page, limit_of},
    vehicles,
};

/// Of all times.
const EVER: (i64, i64) = (i64::MIN, i64::MAX);
const AGGREGATE: &str = "trip-correction";
const MERGED_MAX: usize = 20;
/// Vehicles whose corrections are looked at in one statement: each is a parameter.
const VEHICLES_MAX: usize = 10_000;
/// The longest time between trips that are one.
const BETWEEN_US_MAX: i64 = DAY_US / 2;

/// Says that trips are one.
pub async fn merge(
    conn: &mut Conn,
    now: Timestamp,
    (caller, merge): (&Caller, TripMerge),
) -> Result<TripCorrection, DomainError> {
    const WHAT: &str = "the merge";
    let mut faults = Faults::default();
    let is_some = (2..=MERGED_MAX).contains(&merge.trip_ids.len());
    faults.require(is_some, "trip_ids", "must be 2 to 20 trips");
    let mut trips: Vec<Trip> = Vec::with_capacity(merge.trip_ids.len().min(MERGED_MAX));
    for id in merge.trip_ids.iter().take(MERGED_MAX) {
        trips.extend(standing(conn, caller, ("trip_ids", id), &mut faults).await?);
    }
    std::mem::take(&mut faults).finish(WHAT)?;
    trips.sort_by(|a, b| (a.start_time, &a.id).cmp(&(b.start_time, &b.id)));
    let are_many = trips.windows(2).all(|pair| pair[0].id != pair[1].id);
    faults.require(are_many, "trip_ids", "names a trip twice");
    let is_one = trips.windows(2).all(|pair| pair[0].vehicle_id == pair[1].vehicle_id);
    faults.require(is_one, "trip_ids", "must be trips of one vehicle");
    let is_near =
        trips.windows(2).all(|pair| pair[1].start_time.since_us(pair[0].end_time) <= BETWEEN_US_MAX);
    faults.require(is_near, "trip_ids", "must follow each other within 12 h");
    // What is hidden is the time that was marked; of the merged trip more would be private than that.
    if let Some(trip) = trips.iter().find(|trip| trip.is_private()) {
        let message = format!("trip {} is private: take that back, merge, and mark the whole", trip.id);
        faults.add("trip_ids", message);
    }
    faults.finish(WHAT)?;
    let [first, .., last] = trips.as_slice() else {
        return Err(DomainError::invalid(WHAT, "trip_ids", "must be 2 trips or more"));
    };
    let (from, to) = (first.end_time, last.start_time);
    let limit = i64::try_from(MERGED_MAX).unwrap_or(i64::MAX) + 1;
    let place = ((first.start_time.0, last.end_time.0), ((i64::MAX, String::new()), limit));
    let there = trip_store::newest_of(conn, std::slice::from_ref(&first.vehicle_id), place).await?;
    // One that ends as the first begins is before them all.
    let between =
        there.iter().find(|other| other.start_time >= from && trips.iter().all(|t| t.id != other.id));
    if let Some(other) = between {
        let message = format!("must follow each other: trip {} is between them", other.id);
        return Err(DomainError::invalid(WHAT, "trip_ids", message));
    }
    let said = (CorrectionKind::Merge, (from, to), None);
    make(conn, now, (caller, first), said).await
}

/// Says that a trip is two.
pub async fn split(
    conn: &mut Conn,
    now: Timestamp,
    (caller, split): (&Caller, TripSplit),
) -> Result<TripCorrection, DomainError> {
    const WHAT: &str = "the split";
    let mut faults = Faults::default();
    let trip = standing(conn, caller, ("trip_id", &split.trip_id), &mut faults).await?;
    let at = faults.time("at", &split.at);
    if let (Some(trip), Some(at)) = (&trip, at) {
        let is_within = trip.start_time < at && at < trip.end_time;
        let span = format!("must be after {} and before {}, within the trip", trip.start_time, trip.end_time);
        faults.require(is_within, "at", &span);
    }
    faults.finish(WHAT)?;
    let (Some(trip), Some(at)) = (trip, at) else {
        return Err(DomainError::not_found("trip", split.trip_id));
    };
    make(conn, now, (caller, &trip), (CorrectionKind::Split, (at, at), None)).await
}

/// Says what a trip was for.
pub async fn mark(
    conn: &mut Conn,
    now: Timestamp,
    (caller, mark): (&Caller, TripMark),
) -> Result<TripCorrection, DomainError> {
    const WHAT: &str = "the mark";
    let mut faults = Faults::default();
    let trip = standing(conn, caller, ("trip_id", &mark.trip_id), &mut faults).await?;
    let purpose = mark.purpose.as_deref().map(Purpose::of);
    faults.require(purpose != Some(None), "purpose", "must be business, private or null");
    faults.finish(WHAT)?;
    let Some(trip) = trip else { return Err(DomainError::not_found("trip", mark.trip_id)) };
    let said = (CorrectionKind::Mark, (trip.start_time, trip.end_time), purpose.flatten());
    make(conn, now, (caller, &trip), said).await
}

/// Takes a correction back: the trips are again what they would be without it.
pub async fn revoke(
    conn: &mut Conn,
    now: Timestamp,
    id: &TripCorrectionId,
) -> Result<TripCorrection, DomainError> {
    let mut correction = get(conn, id).await?;
    if correction.status == CorrectionStatus::Active {
        correction.status = CorrectionStatus::Revoked;
        correction.version += 1;
        keep(conn, now, ("TripCorrectionRevoked", &correction)).await?;
    }
    Ok(correction)
}

/// The correction of an id.
pub async fn get(conn: &mut Conn, id: &TripCorrectionId) -> Result<TripCorrection, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("trip correction", id.as_str()))
}

/// Corrections of a vehicle or around a trip, the latest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: CorrectionQuery,
) -> Result<Page<TripCorrection>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    let is_one = query.vehicle_id.is_none() || query.trip_id.is_none();
    faults.require(is_one, "trip_id", "cannot be named beside vehicle_id");
    let trip = match &query.trip_id {
        Some(id) => named(conn, caller, ("trip_id", id), &mut faults).await?,
        None => None,
    };
    let vehicle: Option<Result<VehicleId, _>> = query.vehicle_id.as_deref().map(str::parse);
    if let Some(Err(error)) = &vehicle {
        faults.add("vehicle_id", format!("{error}"));
    }
    faults.finish("the query")?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let (of, span) = match (trip, vehicle, caller.organization()) {
        (Some(trip), ..) => (Some(vec![trip.vehicle_id]), (trip.start_time.0, trip.end_time.0)),
        (None, Some(Ok(vehicle_id)), _) if is_reached(conn, caller, &vehicle_id).await? => {
            (Some(vec![vehicle_id]), EVER)
        }
        (None, None, None) => (None, EVER),
        (None, None, Some(own)) => {
            let own: Vec<VehicleId> = vehicles::names(conn, Some(own)).await?.into_keys().collect();
            let message = "must be named: these are more vehicles than one query looks at";
            if own.len() > VEHICLES_MAX {
                return Err(DomainError::invalid("the query", "vehicle_id", message));
            }
            (Some(own), EVER)
        }
        _ => return Err(DomainError::not_found("vehicle", query.vehicle_id.unwrap_or_default())),
    };
    let found = store::latest(conn, (of.as_deref(), span), (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |c| Cursor { key: c.made_at.0.to_string(), id: c.id.to_string() }))
}

/// A trip to say something of: one that stands.
async fn standing(
    conn: &mut Conn,
    caller: &Caller,
    (field, id): (&str, &str),
    faults: &mut Faults,
) -> Result<Option<Trip>, DomainError> {
    let trip = named(conn, caller, (field, id), faults).await?;
    let stands = trip.as_ref().is_none_or(|trip| trip.status == TripState::Completed);
    faults.require(stands, field, &format!("trip {id} is none any more; see its revisions"));
    Ok(trip)
}

/// A trip of those the caller reaches; a fault where there is none.
async fn named(
    conn: &mut Conn,
    caller: &Caller,
    (field, id): (&str, &str),
    faults: &mut Faults,
) -> Result<Option<Trip>, DomainError> {
    let found = match id.parse() {
        Ok(id) => trip_store::latest(conn, &id).await?,
        Err(_) => None,
    };
    let reached = match found {
        Some(trip) if is_reached(conn, caller, &trip.vehicle_id).await? => Some(trip),
        _ => None,
    };
    let Some(trip) = reached else {
        faults.add(field, format!("there is no trip {id}; see /v1/trips"));
        return Ok(None);
    };
    Ok(Some(trip))
}

async fn is_reached(conn: &mut Conn, caller: &Caller, vehicle_id: &VehicleId) -> Result<bool, DomainError> {
    match caller.organization() {
        Some(own) => Ok(vehicles::organization_of(conn, vehicle_id).await?.as_ref() == Some(own)),
        None => Ok(true),
    }
}

async fn make(
    conn: &mut Conn,
    now: Timestamp,
    (caller, trip): (&Caller, &Trip),
    (kind, (from, to), purpose): (CorrectionKind, (Timestamp, Timestamp), Option<Purpose>),
) -> Result<TripCorrection, DomainError> {
    let correction = TripCorrection {
        id: TripCorrectionId::new(now),
        vehicle_id: trip.vehicle_id.clone(),
        kind,
        from,
        to,
        purpose,
        status: CorrectionStatus::Active,
        made_at: now,
        made_by: caller.actor().to_owned(),
        version: 1,
    };
    let event_type = match kind {
        CorrectionKind::Merge => "TripsMerged",
        CorrectionKind::Split => "TripSplit",
        CorrectionKind::Mark => "TripMarked",
    };
    keep(conn, now, (event_type, &correction)).await?;
    Ok(correction)
}

/// Notes what was said, and stores it as it is now.
async fn keep(
    conn: &mut Conn,
    now: Timestamp,
    (event_type, correction): (&'static str, &TripCorrection),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: correction.id.to_string(),
        event_type,
        data: json_of(correction),
    };
    events::append(conn, now, correction.version - 1, event).await?;
    store::save(conn, correction).await
}

/// Before its rows are made anew.
pub(super) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

/// Makes the row of an event, if it is one of these.
pub(super) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != AGGREGATE {
        return Ok(false);
    }
    store::save(conn, &event.read()?).await?;
    Ok(true)
}
