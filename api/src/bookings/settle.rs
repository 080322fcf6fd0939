//! The price of a booking's use: taken when it is finished, and set right whenever a trip of it comes in or is
//! revised afterwards.
//!
//! It is always that of all its trips that have come in, by the tariff version it was booked with; the estimate
//! where none has. What of it the wallet has not is owed and on the organization's invoice. A correction goes the
//! other way round: what is too much is first owed no more, then put back into the wallet. So at any time
//! `charged_minor + owed_minor` is the price, and what was already settled is settled again without effect.

use wire::time::Timestamp;

use super::{
    change::{Change, SettledTrip, record},
    price, store,
    types::{Booking, BookingPrice, BookingStatus},
};
use crate::{
    billing::{
        charges::{self, Owed},
        rating, wallets,
    },
    db::Conn,
    fault::DomainError,
    ids::BookingId,
    trips::{
        planned::{self, PlanStatus},
        types::{Trip, TripState},
    },
};

/// Ends the use of the vehicle and takes the price: of what is held first, then of what else the wallet has.
pub(super) async fn finish(
    conn: &mut Conn,
    now: Timestamp,
    booking: &Booking,
) -> Result<Booking, DomainError> {
    let (price, trips) = price_now(conn, booking).await?;
    let held_minor = price::settle_hold(conn, now, (booking, price.total_minor)).await?;
    let charged_minor = held_minor + take(conn, now, (booking, price.total_minor - held_minor)).await?;
    if let Some(id) = &booking.planned_trip_id {
        planned::set_status(conn, now, (id, PlanStatus::Ended)).await?;
    }
    let owed_minor = price.total_minor - charged_minor;
    let change = Change::Finished { price, charged_minor, owed_minor, trips };
    let booking = record(conn, now, booking, change).await?;
    bill_owed(conn, now, &booking).await?;
    Ok(booking)
}

/// Keeps a revision of a trip that was driven within a booking, and sets the price right where it was taken.
pub(super) async fn trip_came(
    conn: &mut Conn,
    now: Timestamp,
    (id, trip): (&BookingId, &Trip),
) -> Result<(), DomainError> {
    let booking = super::get(conn, id).await?;
    store::save_trip(conn, id, trip).await?;
    let came = SettledTrip { trip_id: trip.id.clone(), revision: trip.revision };
    let booking = record(conn, now, &booking, Change::TripDriven(came)).await?;
    if booking.status != BookingStatus::Finished {
        return Ok(());
    }
    let (price, trips) = price_now(conn, &booking).await?;
    if price == booking.price {
        return Ok(());
    }
    let change_minor = price.total_minor - booking.price.total_minor;
    let (mut charged_minor, mut owed_minor) = (booking.charged_minor, booking.owed_minor);
    if change_minor >= 0 {
        let taken_minor = take(conn, now, (&booking, change_minor)).await?;
        charged_minor += taken_minor;
        owed_minor += change_minor - taken_minor;
    } else {
        let forgiven_minor = owed_minor.min(-change_minor);
        let back_minor = -change_minor - forgiven_minor;
        owed_minor -= forgiven_minor;
        charged_minor -= back_minor;
        if let Some(wallet_id) = booking.wallet_id.as_ref().filter(|_| back_minor > 0) {
            wallets::pay_back(conn, now, (wallet_id, back_minor, booking.id.as_str())).await?;
        }
    }
    let change = Change::Settled { price, charged_minor, owed_minor, trips };
    let booking = record(conn, now, &booking, change).await?;
    bill_owed(conn, now, &booking).await
}

/// What a booking costs by the trips that have come in, and which those are.
async fn price_now(
    conn: &mut Conn,
    booking: &Booking,
) -> Result<(BookingPrice, Vec<SettledTrip>), DomainError> {
    let trips = store::trips_of(conn, &booking.id).await?;
    let tariff = price::tariff_of(conn, booking).await?;
    let price = match price::rated(&tariff, &trips)? {
        Some(price) => price,
        None => price::estimate(&tariff, (booking.from, booking.to), booking.expected_distance_m)?,
    };
    let driven = trips.into_iter().filter(|t| t.status == TripState::Completed);
    Ok((price, driven.map(|t| SettledTrip { trip_id: t.id, revision: t.revision }).collect()))
}

/// Takes so much of what is free in the wallet, or what there is; returns how much.
async fn take(
    conn: &mut Conn,
    now: Timestamp,
    (booking, amount_minor): (&Booking, i64),
) -> Result<i64, DomainError> {
    let Some(wallet_id) = &booking.wallet_id else { return Ok(0) };
    let taken_minor = wallets::get(conn, wallet_id).await?.available_minor.min(amount_minor);
    if taken_minor <= 0 {
        return Ok(0);
    }
    wallets::pay_out(conn, now, (wallet_id, taken_minor, booking.id.as_str())).await?;
    Ok(taken_minor)
}

/// Has on invoices what is owed, no more and no less.
async fn bill_owed(conn: &mut Conn, now: Timestamp, booking: &Booking) -> Result<(), DomainError> {
    let price = &booking.price;
    let share = (price.tax_minor, price.total_minor);
    let tariff = price::tariff_of(conn, booking).await?;
    let vehicle = booking.vehicle_id.as_ref().map(ToString::to_string).unwrap_or_default();
    let owed = Owed {
        organization_id: booking.organization_id.clone(),
        reference: booking.id.to_string(),
        description: format!("Booking {}, {vehicle} from {} to {}", booking.id, booking.from, booking.to),
        total_minor: booking.owed_minor,
        tax_minor: rating::share_of(booking.owed_minor, share)?,
        tax_percent: tariff.terms.tax_percent,
        at: booking.ended_at.unwrap_or(now),
    };
    charges::owe(conn, now, &owed).await
}
