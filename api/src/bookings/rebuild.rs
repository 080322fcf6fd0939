//! Bookings, and which trips are theirs, anew from their events.

use super::{change, store};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::BookingId,
    trips::{self, types::Trip},
};

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != change::AGGREGATE {
        return Ok(false);
    }
    let id: BookingId = event.aggregate()?;
    let before = store::booking(conn, &id).await?;
    store::save(conn, &change::replayed(before, event)?).await?;
    if let Some(driven) = change::trip_driven(event)? {
        let revisions = trips::revisions(conn, &driven.trip_id).await?;
        let of = |trip: &Trip| trip.revision == driven.revision;
        let trip = revisions.into_iter().find(of);
        let stored = || DomainError::Stored { what: "trip of a booking", id: driven.trip_id.to_string() };
        store::save_trip(conn, &id, &trip.ok_or_else(stored)?).await?;
    }
    Ok(true)
}
