//! Groups, and what is in them, anew from their events.

use serde::Deserialize;

use super::{AGGREGATE, members, store, types::Group};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{GroupId, OrganizationId, RegistryId},
};

#[derive(Deserialize)]
struct Told {
    organization_id: Option<OrganizationId>,
    name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Member {
    group_id: GroupId,
    vehicle_id: RegistryId,
}

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        AGGREGATE => group(conn, event).await?,
        members::AGGREGATE => {
            let Member { group_id, vehicle_id } = event.read()?;
            if event.event_type == members::JOINED {
                store::add(conn, (&group_id, &vehicle_id), event.timestamp).await?;
            } else {
                store::remove(conn, (&group_id, &vehicle_id)).await?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

async fn group(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let id: GroupId = event.aggregate()?;
    if event.event_type == "GroupDeleted" {
        return store::delete(conn, &id).await;
    }
    let Told { organization_id, name, description } = event.read()?;
    let group = Group {
        id,
        organization_id,
        name,
        description,
        vehicle_count: 0,
        version: event.version,
        // An update leaves this as it is.
        created_at: event.timestamp,
        updated_at: event.timestamp,
    };
    if event.event_type == "GroupCreated" {
        store::insert(conn, &group).await
    } else {
        store::update(conn, &group).await
    }
}
