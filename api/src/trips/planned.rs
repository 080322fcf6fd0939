//! Trips that are to take place: who asks for one (a booking) says when, and what becomes of it.
//!
//! Each event of a planned trip carries the whole of it, so that its row is that of the last.

use serde::{Deserialize, Serialize};
use wire::{ids::VehicleId, time::Timestamp};

use super::store;
use crate::{
    db::Conn,
    events::{self, Event, NewEvent, json_of},
    fault::DomainError,
    ids::PlannedTripId,
};

/// The type of its events.
const AGGREGATE: &str = "planned-trip";

/// What has become of a planned trip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// It is to take place.
    Planned,
    /// It is taking place.
    Started,
    /// It took place.
    Ended,
    /// It will not take place.
    Dropped,
}

impl PlanStatus {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Started => "started",
            Self::Ended => "ended",
            Self::Dropped => "dropped",
        }
    }
}

/// A trip that is to take place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTrip {
    /// `ptr_…`
    pub id: PlannedTripId,
    /// Telemetry id.
    pub vehicle_id: VehicleId,
    /// The id of who asked for it.
    pub planned_for: String,
    /// Planned, started, ended or dropped.
    pub status: PlanStatus,
    /// From when.
    pub start_time: Timestamp,
    /// Until when.
    pub end_time: Timestamp,
    /// Rises by one with each change.
    pub version: i64,
}

/// Plans a trip in `[start, end)`.
pub async fn plan(
    conn: &mut Conn,
    now: Timestamp,
    (vehicle_id, planned_for): (&VehicleId, &str),
    (start_time, end_time): (Timestamp, Timestamp),
) -> Result<PlannedTrip, DomainError> {
    let trip = PlannedTrip {
        id: PlannedTripId::new(now),
        vehicle_id: vehicle_id.clone(),
        planned_for: planned_for.to_owned(),
        status: PlanStatus::Planned,
        start_time,
        end_time,
        version: 1,
    };
    record(conn, now, ("TripPlanned", &trip)).await?;
    Ok(trip)
}

/// Gives a planned trip another end.
pub async fn move_end(
    conn: &mut Conn,
    now: Timestamp,
    (id, end_time): (&PlannedTripId, Timestamp),
) -> Result<(), DomainError> {
    let trip = get(conn, id).await?;
    let trip = PlannedTrip { end_time, version: trip.version + 1, ..trip };
    record(conn, now, ("PlannedTripMoved", &trip)).await
}

/// Says what has become of a planned trip.
pub async fn set_status(
    conn: &mut Conn,
    now: Timestamp,
    (id, status): (&PlannedTripId, PlanStatus),
) -> Result<(), DomainError> {
    let trip = get(conn, id).await?;
    let trip = PlannedTrip { status, version: trip.version + 1, ..trip };
    let event_type = match status {
        PlanStatus::Planned => "TripPlanned",
        PlanStatus::Started => "PlannedTripStarted",
        PlanStatus::Ended => "PlannedTripEnded",
        PlanStatus::Dropped => "PlannedTripDropped",
    };
    record(conn, now, (event_type, &trip)).await
}

/// A planned trip.
pub async fn get(conn: &mut Conn, id: &PlannedTripId) -> Result<PlannedTrip, DomainError> {
    store::planned(conn, id).await?.ok_or_else(|| DomainError::not_found("planned trip", id.as_str()))
}

async fn record(
    conn: &mut Conn,
    now: Timestamp,
    (event_type, trip): (&'static str, &PlannedTrip),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: trip.id.to_string(),
        event_type,
        data: json_of(trip),
    };
    events::append(conn, now, trip.version - 1, event).await?;
    store::save_planned(conn, trip).await
}

/// Before its rows are made anew.
pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear_planned(conn).await
}

/// Makes the row of an event, if it is one of these.
pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != AGGREGATE {
        return Ok(false);
    }
    let trip: PlannedTrip = event.read()?;
    store::save_planned(conn, &trip).await?;
    Ok(true)
}
