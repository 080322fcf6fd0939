//! Trips driven within a booking are the booking's: it pays for them, whenever they come in, so billing,
//! which would put them on an invoice, is not told of them.

use async_trait::async_trait;
use wire::time::Timestamp;

use super::{settle, store, types::Booking};
use crate::{
    billing::{self, Billing},
    db::Conn,
    fault::DomainError,
    ids::BookingId,
    trips::{TripObserver, types::Trip},
};

/// Listens to trips before billing does.
#[derive(Debug, Default)]
pub struct BookedTrips {
    billing: Billing,
}

#[async_trait]
impl TripObserver for BookedTrips {
    async fn trip_changed(&self, conn: &mut Conn, now: Timestamp, trip: &Trip) -> Result<(), DomainError> {
        match booking_of(conn, trip).await? {
            Some(id) => settle::trip_came(conn, now, (&id, trip)).await,
            None => self.billing.trip_changed(conn, now, trip).await,
        }
    }

    async fn settle(&self, conn: &mut Conn, now: Timestamp) -> Result<(), DomainError> {
        self.billing.settle(conn, now).await
    }
}

/// The booking whose use a trip overlaps. What a trip once was found to be it stays, in all its revisions: of a
/// booking, or billing's.
async fn booking_of(conn: &mut Conn, trip: &Trip) -> Result<Option<BookingId>, DomainError> {
    if let Some(id) = store::booking_of_trip(conn, &trip.id).await? {
        return Ok(Some(id));
    }
    if billing::knows(conn, &trip.id).await? {
        return Ok(None);
    }
    let used = store::used(conn, (&trip.vehicle_id, trip.end_time)).await?;
    let is_within = |booking: &&Booking| {
        booking.started_at.is_some_and(|at| at < trip.end_time)
            && booking.ended_at.is_none_or(|at| trip.start_time < at)
    };
    Ok(used.iter().find(is_within).map(|booking| booking.id.clone()))
}
