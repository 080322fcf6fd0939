//! Organizations anew from their events.

use super::{store, types::Organization};
use crate::{db::Conn, events::Event, fault::DomainError};

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.event_type != "OrganizationCreated" {
        return Ok(false);
    }
    let organization: Organization = event.read()?;
    store::insert(conn, &organization).await?;
    Ok(true)
}
