//! Trips, what people said of them, and what they make of vehicles' mileage anew from their events.

use super::{corrections, store, types::Trip};
use crate::{db::Conn, events::Event, fault::DomainError, vehicles};

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    vehicles::rebuild::clear_mileage(conn).await?;
    corrections::clear(conn).await?;
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != "trip" {
        return corrections::replay(conn, event).await;
    }
    let trip: Trip = event.read()?;
    let before = store::latest(conn, &trip.id).await?;
    super::project(conn, (before.as_ref(), &trip)).await?;
    Ok(true)
}
