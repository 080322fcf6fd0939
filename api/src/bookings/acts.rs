//! What is done with a booking that is confirmed: extend, cancel, start, finish; each in one
//! transaction, the request's.

use wire::time::Timestamp;

use super::{
    DURATION_US_MAX,
    change::{Change, record},
    price::{self, Credit},
    saga, settle, store,
    types::{Booking, BookingPrice, BookingStatus, EndCode, Extension},
};
use crate::{
    db::Conn,
    fault::{DomainError, Faults},
    ids::BookingId,
    trips::planned::{self, PlanStatus},
};

/// Lets a booking last longer, at the price of the whole by its tariff version.
pub async fn extend(
    conn: &mut Conn,
    now: Timestamp,
    (id, extension): (&BookingId, &Extension),
) -> Result<Booking, DomainError> {
    let booking = super::get(conn, id).await?;
    let (to, price) = extended(conn, now, (&booking, extension)).await?;
    // The credit it has makes room for what it needs; if that is not there, all of this is undone.
    price::settle_hold(conn, now, (&booking, 0)).await?;
    let hold_id = match price::hold(conn, now, (&booking, &price, to)).await? {
        Credit::Held(hold_id) => hold_id,
        Credit::Missing(message) => return Err(DomainError::Conflict(message)),
    };
    if let Some(id) = &booking.planned_trip_id {
        planned::move_end(conn, now, (id, to)).await?;
    }
    record(conn, now, &booking, Change::Extended { to, price, hold_id }).await
}

/// Until when a booking would last, and what it would cost then, where it can be.
pub(super) async fn extended(
    conn: &mut Conn,
    now: Timestamp,
    (booking, extension): (&Booking, &Extension),
) -> Result<(Timestamp, BookingPrice), DomainError> {
    const WHAT: &str = "the extension";
    if !matches!(booking.status, BookingStatus::Confirmed | BookingStatus::Started) {
        return Err(not_now(booking, "extended"));
    }
    let mut faults = Faults::default();
    let to = faults.time("to", &extension.to).unwrap_or(now);
    faults.finish(WHAT)?;
    if to <= booking.to || to <= now {
        let message = format!("must be after {}, its end now, and in the future", booking.to);
        return Err(DomainError::invalid(WHAT, "to", message));
    }
    if to.since_us(booking.from) > DURATION_US_MAX {
        return Err(DomainError::invalid(WHAT, "to", "must be at most 30 days after from"));
    }
    if let Some(vehicle_id) = &booking.vehicle_id
        && let Some(other) = store::overlapping(conn, vehicle_id, (booking.to, to), &booking.id).await?
    {
        return Err(DomainError::Conflict(saga::taken(vehicle_id, &other)));
    }
    let tariff = price::tariff_of(conn, booking).await?;
    let price = price::estimate(&tariff, (booking.from, to), booking.expected_distance_m)?;
    super::check_price(WHAT, &price)?;
    Ok((to, price))
}

/// Gives a booking up. Before its start that is free; after it the tariff may keep a share.
pub async fn cancel(conn: &mut Conn, now: Timestamp, id: &BookingId) -> Result<Booking, DomainError> {
    let booking = super::get(conn, id).await?;
    match booking.status {
        BookingStatus::Pending | BookingStatus::Confirmed => {
            saga::give_up(conn, now, (&booking, EndCode::ByRequest)).await
        }
        _ => Err(not_now(&booking, "cancelled")),
    }
}

/// Begins the use of the vehicle.
pub async fn start(conn: &mut Conn, now: Timestamp, id: &BookingId) -> Result<Booking, DomainError> {
    let booking = super::get(conn, id).await?;
    if booking.status != BookingStatus::Confirmed {
        return Err(not_now(&booking, "started"));
    }
    if now < booking.from || now >= booking.to {
        let message = format!("booking {id} can be started from {} until {}", booking.from, booking.to);
        return Err(DomainError::Conflict(message));
    }
    if let Some(vehicle_id) = &booking.vehicle_id {
        let used = store::used(conn, (vehicle_id, now)).await?;
        if let Some(other) = used.iter().find(|b| b.status == BookingStatus::Started) {
            let message = format!(
                "vehicle {vehicle_id} is still in use by booking {}, which ended at {}; finish that first",
                other.id, other.to
            );
            return Err(DomainError::Conflict(message));
        }
    }
    if let Some(id) = &booking.planned_trip_id {
        planned::set_status(conn, now, (id, PlanStatus::Started)).await?;
    }
    record(conn, now, &booking, Change::Started {}).await
}

/// Ends the use of the vehicle and takes the price; see `settle.rs`.
pub async fn finish(conn: &mut Conn, now: Timestamp, id: &BookingId) -> Result<Booking, DomainError> {
    let booking = super::get(conn, id).await?;
    if booking.status != BookingStatus::Started {
        return Err(not_now(&booking, "finished"));
    }
    settle::finish(conn, now, &booking).await
}

fn not_now(booking: &Booking, act: &str) -> DomainError {
    let status = booking.status.as_str();
    DomainError::Conflict(format!("booking {} is {status} and cannot be {act}", booking.id))
}
