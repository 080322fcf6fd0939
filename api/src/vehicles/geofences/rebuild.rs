//! Geofences, and who is in them, anew from their events.

use serde::Deserialize;

use super::{
    AGGREGATE, presence, store,
    types::{Geofence, GeofenceKind, Geometry},
};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{GeofenceId, OrganizationId},
};

#[derive(Deserialize)]
struct Told {
    organization_id: Option<OrganizationId>,
    name: String,
    kind: GeofenceKind,
    colour: String,
    tags: Vec<String>,
    geometry: Geometry,
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        AGGREGATE => geofence(conn, event).await?,
        presence::AGGREGATE => {
            let told: presence::Told = event.read()?;
            // Of one that is deleted later they come before that.
            told.keep(conn, event.version).await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

async fn geofence(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let id: GeofenceId = event.aggregate()?;
    if event.event_type == "GeofenceDeleted" {
        return store::delete(conn, &id).await;
    }
    let Told { organization_id, name, kind, colour, tags, geometry } = event.read()?;
    let (version, created_at) = (event.version, event.timestamp);
    let geofence = Geofence { id, organization_id, name, kind, colour, tags, geometry, version, created_at };
    if event.event_type == "GeofenceCreated" {
        store::insert(conn, &geofence).await
    } else {
        store::update(conn, &geofence).await
    }
}
