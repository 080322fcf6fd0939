//! The saga: hold credit, reserve the vehicle, plan the trip, confirm; or undo what was done, the
//! last first.
//!
//! How far a booking is, its events say. `next` reads it off and is pure; [`step`] takes that one
//! step in a transaction of its own, with the event that says it was taken. So a step happens
//! once, whoever takes it: the request, or after it died the worker of any process, or both at a
//! time, as writers take turns. Killed between two steps, a booking goes on at the next, or is
//! undone when its time to be confirmed is over.

use wire::{
    ids::VehicleId,
    time::{DAY_US, Timestamp},
};

use super::{
    change::{Change, record},
    price::{self, Credit},
    settle, store,
    types::{Booking, BookingStatus, EndCode, EndReason},
};
use crate::{
    db::{Conn, Db},
    fault::DomainError,
    ids::{BookingId, NotificationId},
    trips::planned::{self, PlanStatus},
    users::notifications::{self, Notification},
    vehicles,
};

/// A booking whose steps are taken by a request is left to it for so long; then the worker goes on with it.
const WORKER_AFTER_US: i64 = 5_000_000;
/// Not confirmed for so long, a booking is given up.
pub(super) const CONFIRM_WITHIN_US: i64 = 15 * 60 * 1_000_000;
/// What nobody finishes is finished so long after its end, while its credit is still held.
const FINISH_AFTER_US: i64 = price::HOLD_GRACE_S * 1_000_000 - DAY_US;
/// More steps than any saga has.
const STEP_COUNT_MAX: usize = 32;

/// A step of the saga.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    HoldCredit,
    ReserveVehicle,
    PlanTrip,
    Confirm,
    GiveUp(EndCode),
    DropTrip,
    FreeVehicle,
    FreeCredit,
    End,
    Finish,
}

/// What is to be done with a booking now, if anything.
fn next(booking: &Booking, now: Timestamp) -> Option<Step> {
    match booking.status {
        BookingStatus::Pending if now >= booking.confirm_by => {
            Some(Step::GiveUp(EndCode::NotConfirmedInTime))
        }
        BookingStatus::Pending if !booking.is_credit_held => Some(Step::HoldCredit),
        BookingStatus::Pending if !booking.is_vehicle_reserved => Some(Step::ReserveVehicle),
        BookingStatus::Pending if !booking.is_trip_planned => Some(Step::PlanTrip),
        BookingStatus::Pending => Some(Step::Confirm),
        BookingStatus::Undoing if booking.is_trip_planned => Some(Step::DropTrip),
        BookingStatus::Undoing if booking.is_vehicle_reserved => Some(Step::FreeVehicle),
        BookingStatus::Undoing if booking.is_credit_held => Some(Step::FreeCredit),
        BookingStatus::Undoing => Some(Step::End),
        BookingStatus::Confirmed if now >= booking.to => Some(Step::GiveUp(EndCode::NotBegun)),
        BookingStatus::Started if now >= booking.to.plus_us(FINISH_AFTER_US) => Some(Step::Finish),
        BookingStatus::Confirmed
        | BookingStatus::Started
        | BookingStatus::Finished
        | BookingStatus::Cancelled
        | BookingStatus::Expired
        | BookingStatus::Failed => None,
    }
}

/// When the worker has to look at a booking, if ever.
pub(super) fn due_at(booking: &Booking) -> Option<Timestamp> {
    match booking.status {
        BookingStatus::Pending | BookingStatus::Undoing => Some(booking.updated_at.plus_us(WORKER_AFTER_US)),
        BookingStatus::Confirmed => Some(booking.to),
        BookingStatus::Started => Some(booking.to.plus_us(FINISH_AFTER_US)),
        BookingStatus::Finished
        | BookingStatus::Cancelled
        | BookingStatus::Expired
        | BookingStatus::Failed => None,
    }
}

/// Takes the next step of a booking; `false` when there was none.
pub async fn step(db: &Db, now: Timestamp, id: &BookingId) -> Result<bool, DomainError> {
    let mut tx = db.write().await?;
    let booking = super::get(&mut tx, id).await?;
    let Some(step) = next(&booking, now) else { return Ok(false) };
    take(&mut tx, now, (&booking, step)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Takes every step of a booking, each in its transaction; the booking after them.
pub async fn run(db: &Db, now: Timestamp, id: &BookingId) -> Result<Booking, DomainError> {
    for _ in 0..STEP_COUNT_MAX {
        if !step(db, now, id).await? {
            break;
        }
    }
    let mut conn = db.read().await?;
    super::get(&mut conn, id).await
}

/// Gives a booking up and undoes all it had, in the caller's transaction.
pub(super) async fn give_up(
    conn: &mut Conn,
    now: Timestamp,
    (booking, code): (&Booking, EndCode),
) -> Result<Booking, DomainError> {
    let mut booking = take(conn, now, (booking, Step::GiveUp(code))).await?;
    while let Some(step) = next(&booking, now) {
        booking = take(conn, now, (&booking, step)).await?;
    }
    Ok(booking)
}

async fn take(
    conn: &mut Conn,
    now: Timestamp,
    (booking, step): (&Booking, Step),
) -> Result<Booking, DomainError> {
    tracing::debug!(booking_id = %booking.id, ?step, "step of a booking");
    let change = match step {
        Step::HoldCredit => match price::hold(conn, now, (booking, &booking.price, booking.to)).await? {
            Credit::Held(hold_id) => Change::CreditHeld { hold_id },
            Credit::Missing(message) => refused(EndCode::InsufficientCredit, message),
        },
        Step::ReserveVehicle => reserve(conn, booking).await?,
        Step::PlanTrip => {
            let period = (booking.from, booking.to);
            let vehicle_id = vehicle_of(booking)?;
            let trip = planned::plan(conn, now, (vehicle_id, booking.id.as_str()), period).await?;
            Change::TripPlanned { planned_trip_id: trip.id }
        }
        Step::Confirm => {
            notifications::enqueue(conn, &confirmation(booking, now)?).await?;
            Change::Confirmed {}
        }
        Step::GiveUp(code) => {
            let message = match code {
                EndCode::NotConfirmedInTime => format!("it was not confirmed by {}", booking.confirm_by),
                EndCode::NotBegun => format!("it was not begun by its end, {}", booking.to),
                _ => "it was cancelled".to_owned(),
            };
            let kept_minor = match booking.status {
                BookingStatus::Confirmed => price::kept_minor(conn, now, booking).await?,
                _ => 0,
            };
            Change::GivenUp { reason: EndReason { code, message }, kept_minor }
        }
        Step::DropTrip => {
            if let Some(id) = &booking.planned_trip_id {
                planned::set_status(conn, now, (id, PlanStatus::Dropped)).await?;
            }
            Change::TripDropped {}
        }
        Step::FreeVehicle => Change::VehicleFreed {},
        Step::FreeCredit => {
            let charged_minor = price::settle_hold(conn, now, (booking, booking.kept_minor)).await?;
            Change::CreditFreed { charged_minor }
        }
        Step::End => Change::Ended {},
        Step::Finish => return settle::finish(conn, now, booking).await,
    };
    record(conn, now, booking, change).await
}

fn refused(code: EndCode, message: String) -> Change {
    Change::GivenUp { reason: EndReason { code, message }, kept_minor: 0 }
}

fn vehicle_of(booking: &Booking) -> Result<&VehicleId, DomainError> {
    let stored = || DomainError::Stored { what: "booking", id: booking.id.to_string() };
    booking.vehicle_id.as_ref().ok_or_else(stored)
}

/// Reserves the vehicle asked for, or the first that is free. This transaction is the only one that
/// writes, so no other booking comes between the look and the event.
async fn reserve(conn: &mut Conn, booking: &Booking) -> Result<Change, DomainError> {
    let period = (booking.from, booking.to);
    let Some(vehicle_id) = booking.vehicle_id.clone() else {
        let reserved = store::reserved(conn, period).await?;
        let names = vehicles::names(conn, Some(&booking.organization_id)).await?;
        let free = names.into_keys().filter(|id| !reserved.contains(id)).min();
        return Ok(match free {
            Some(vehicle_id) => Change::VehicleReserved { vehicle_id },
            None => refused(
                EndCode::NoVehicleFree,
                format!(
                    "no vehicle of the organization is free from {} to {}; choose another period",
                    booking.from, booking.to
                ),
            ),
        });
    };
    if vehicles::organization_of(conn, &vehicle_id).await?.as_ref() != Some(&booking.organization_id) {
        let message = format!("vehicle {vehicle_id} is not the organization's any more");
        return Ok(refused(EndCode::VehicleGone, message));
    }
    Ok(match store::overlapping(conn, &vehicle_id, period, &booking.id).await? {
        None => Change::VehicleReserved { vehicle_id },
        Some(other) => refused(EndCode::VehicleTaken, taken(&vehicle_id, &other)),
    })
}

/// Why a vehicle cannot be had, for people.
pub(super) fn taken(vehicle_id: &VehicleId, other: &Booking) -> String {
    format!(
        "vehicle {vehicle_id} is booked from {} to {} (booking {}); choose another vehicle or period",
        other.from, other.to, other.id
    )
}

fn confirmation(booking: &Booking, now: Timestamp) -> Result<Notification, DomainError> {
    let price =
        rust_decimal::Decimal::new(booking.price.total_minor, booking.price.currency_exponent).to_string();
    Ok(Notification {
        id: NotificationId::new(now),
        kind: "booking_confirmed".to_owned(),
        subject_id: booking.id.to_string(),
        organization_id: booking.organization_id.clone(),
        user_id: booking.user_id.clone(),
        body: format!(
            "Vehicle {} is booked from {} to {}; {price} {} are set aside.",
            vehicle_of(booking)?,
            booking.from,
            booking.to,
            booking.price.currency,
        ),
        created_at: now,
    })
}

/// How far ahead a booking may begin; so its hold is within what a hold may last.
pub(super) const AHEAD_US_MAX: i64 = 180 * DAY_US;
