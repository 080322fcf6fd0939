//! What happens to a booking, and what a booking is after it: pure, but for [`record`], which
//! appends the event and stores the booking after it in one transaction.

use serde::{Deserialize, Serialize};
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    store,
    types::{Booking, BookingPrice, BookingStatus, EndReason},
};
use crate::{
    db::Conn,
    events::{self, Event, NewEvent, json_of},
    fault::DomainError,
    ids::{HoldId, PlannedTripId, TripId},
};

/// The type of a booking's events.
pub(super) const AGGREGATE: &str = "booking";

/// A revision of a trip that a price is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SettledTrip {
    pub(super) trip_id: TripId,
    pub(super) revision: i64,
}

/// Something that happens to a booking; an event of its stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event_type", content = "data")]
pub(super) enum Change {
    #[serde(rename = "BookingRequested")]
    Requested(Box<Booking>),
    #[serde(rename = "BookingCreditHeld")]
    CreditHeld { hold_id: Option<HoldId> },
    #[serde(rename = "BookingVehicleReserved")]
    VehicleReserved { vehicle_id: VehicleId },
    #[serde(rename = "BookingTripPlanned")]
    TripPlanned { planned_trip_id: PlannedTripId },
    #[serde(rename = "BookingConfirmed")]
    Confirmed {},
    #[serde(rename = "BookingExtended")]
    Extended { to: Timestamp, price: BookingPrice, hold_id: Option<HoldId> },
    #[serde(rename = "BookingStarted")]
    Started {},
    #[serde(rename = "BookingFinished")]
    Finished {
        price: BookingPrice,
        charged_minor: i64,
        owed_minor: i64,
        #[serde(default)]
        trips: Vec<SettledTrip>,
    },
    #[serde(rename = "BookingTripDriven")]
    TripDriven(SettledTrip),
    #[serde(rename = "BookingSettled")]
    Settled { price: BookingPrice, charged_minor: i64, owed_minor: i64, trips: Vec<SettledTrip> },
    #[serde(rename = "BookingGivenUp")]
    GivenUp { reason: EndReason, kept_minor: i64 },
    #[serde(rename = "BookingTripDropped")]
    TripDropped {},
    #[serde(rename = "BookingVehicleFreed")]
    VehicleFreed {},
    #[serde(rename = "BookingCreditFreed")]
    CreditFreed { charged_minor: i64 },
    #[serde(rename = "BookingEnded")]
    Ended {},
}

impl Change {
    /// The type of its event, as serialization names it.
    fn event_type(&self) -> &'static str {
        match self {
            Self::Requested(_) => "BookingRequested",
            Self::CreditHeld { .. } => "BookingCreditHeld",
            Self::VehicleReserved { .. } => "BookingVehicleReserved",
            Self::TripPlanned { .. } => "BookingTripPlanned",
            Self::Confirmed {} => "BookingConfirmed",
            Self::Extended { .. } => "BookingExtended",
            Self::Started {} => "BookingStarted",
            Self::Finished { .. } => "BookingFinished",
            Self::TripDriven(_) => "BookingTripDriven",
            Self::Settled { .. } => "BookingSettled",
            Self::GivenUp { .. } => "BookingGivenUp",
            Self::TripDropped {} => "BookingTripDropped",
            Self::VehicleFreed {} => "BookingVehicleFreed",
            Self::CreditFreed { .. } => "BookingCreditFreed",
            Self::Ended {} => "BookingEnded",
        }
    }
}

/// A booking after a change, by what it was before; none of a change that its first would have to precede.
fn after(before: Option<Booking>, change: Change, at: Timestamp) -> Option<Booking> {
    if let Change::Requested(booking) = change {
        return Some(*booking);
    }
    let mut booking = before?;
    booking.version += 1;
    booking.updated_at = at;
    match change {
        Change::Requested(_) => {}
        Change::CreditHeld { hold_id } => {
            booking.hold_id = hold_id;
            booking.is_credit_held = true;
        }
        Change::VehicleReserved { vehicle_id } => {
            booking.vehicle_id = Some(vehicle_id);
            booking.is_vehicle_reserved = true;
        }
        Change::TripPlanned { planned_trip_id } => {
            booking.planned_trip_id = Some(planned_trip_id);
            booking.is_trip_planned = true;
        }
        Change::Confirmed {} => {
            booking.status = BookingStatus::Confirmed;
            booking.confirmed_at = Some(at);
        }
        Change::Extended { to, price, hold_id } => {
            booking.to = to;
            booking.price = price;
            booking.hold_id = hold_id;
        }
        Change::Started {} => {
            booking.status = BookingStatus::Started;
            booking.started_at = Some(at);
        }
        Change::Finished { price, charged_minor, owed_minor, .. } => {
            booking.status = BookingStatus::Finished;
            booking.price = price;
            booking.charged_minor = charged_minor;
            booking.owed_minor = owed_minor;
            booking.ended_at = Some(at);
            booking.is_credit_held = false;
            booking.is_vehicle_reserved = false;
            booking.is_trip_planned = false;
        }
        Change::TripDriven(_) => {}
        Change::Settled { price, charged_minor, owed_minor, .. } => {
            booking.price = price;
            booking.charged_minor = charged_minor;
            booking.owed_minor = owed_minor;
        }
        Change::GivenUp { reason, kept_minor } => {
            booking.status = BookingStatus::Undoing;
            booking.end_reason = Some(reason);
            booking.kept_minor = kept_minor;
        }
        Change::TripDropped {} => booking.is_trip_planned = false,
        Change::VehicleFreed {} => booking.is_vehicle_reserved = false,
        Change::CreditFreed { charged_minor } => {
            booking.is_credit_held = false;
            booking.charged_minor = charged_minor;
        }
        Change::Ended {} => {
            let code = booking.end_reason.as_ref().map(|reason| reason.code);
            booking.status = code.map_or(BookingStatus::Failed, |code| code.outcome());
            booking.ended_at = Some(at);
        }
    }
    Some(booking)
}

/// Appends a change of a booking as it was read, and stores the booking after it.
pub(super) async fn record(
    conn: &mut Conn,
    now: Timestamp,
    booking: &Booking,
    change: Change,
) -> Result<Booking, DomainError> {
    let is_first = matches!(change, Change::Requested(_));
    let mut told = json_of(&change);
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: booking.id.to_string(),
        event_type: change.event_type(),
        data: told["data"].take(),
    };
    events::append(conn, now, if is_first { 0 } else { booking.version }, event).await?;
    let stored = || DomainError::Stored { what: "booking", id: booking.id.to_string() };
    let booking = after(Some(booking.clone()), change, now).ok_or_else(stored)?;
    store::save(conn, &booking).await?;
    Ok(booking)
}

/// The trip that an event tells of.
pub(super) fn trip_driven(event: &Event) -> Result<Option<SettledTrip>, DomainError> {
    let is_driven = event.event_type == "BookingTripDriven";
    is_driven.then(|| event.read()).transpose()
}

/// A booking after an event of its stream was read.
pub(super) fn replayed(before: Option<Booking>, event: &Event) -> Result<Booking, DomainError> {
    let told = serde_json::json!({ "event_type": event.event_type, "data": event.data });
    let change: Option<Change> = serde_json::from_value(told).ok();
    change
        .and_then(|change| after(before, change, event.timestamp))
        .ok_or_else(|| DomainError::Stored { what: "event", id: event.event_id.to_string() })
}
