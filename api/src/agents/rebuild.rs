//! Campaigns and commands anew from their events. What agents told is not made of events: it stays.

use serde::Deserialize;
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    campaigns::{
        self,
        types::{Deployment, StoredSet, UptakeCounts},
    },
    commands::{
        self,
        types::{CommandState, Reply, StoredCommand, Task},
    },
};
use crate::{
    db::Conn,
    events::Event,
    fault::DomainError,
    ids::{CampaignSetId, OrganizationId},
};

#[derive(Deserialize)]
struct SetTold {
    organization_id: Option<OrganizationId>,
    name: String,
    description: String,
    text: String,
}

#[derive(Deserialize)]
struct Deployed {
    organization_id: Option<OrganizationId>,
    campaign_set_id: Option<CampaignSetId>,
    name: String,
    revision: i64,
    text: String,
    hash: String,
    vehicle_ids: Vec<VehicleId>,
}

#[derive(Deserialize)]
struct Issued {
    vehicle_id: VehicleId,
    task: Task,
    sequence: i64,
    expires_at: Timestamp,
}

#[derive(Deserialize)]
struct Answered {
    reply: Reply,
}

pub(crate) async fn clear_campaigns(conn: &mut Conn) -> Result<(), DomainError> {
    campaigns::clear(conn).await
}

pub(crate) async fn replay_campaigns(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        campaigns::SET_AGGREGATE => set(conn, event).await?,
        campaigns::DEPLOYMENT_AGGREGATE => {
            let told: Deployed = event.read()?;
            let deployment = Deployment {
                id: event.aggregate()?,
                organization_id: told.organization_id,
                campaign_set_id: told.campaign_set_id,
                name: told.name,
                revision: told.revision,
                hash: told.hash,
                text: told.text,
                uptake: UptakeCounts::default(),
                created_at: event.timestamp,
            };
            campaigns::insert_deployment(conn, &deployment).await?;
            campaigns::retarget(conn, &deployment.id, &told.vehicle_ids).await?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

async fn set(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    let id: CampaignSetId = event.aggregate()?;
    if event.event_type == "CampaignSetDeleted" {
        return campaigns::delete_set(conn, &id).await;
    }
    let SetTold { organization_id, name, description, text } = event.read()?;
    let set = StoredSet {
        id,
        organization_id,
        name,
        description,
        text,
        version: event.version,
        created_at: event.timestamp,
        changed_at: event.timestamp,
    };
    if event.event_type == "CampaignSetCreated" {
        campaigns::insert_set(conn, &set).await
    } else {
        campaigns::update_set(conn, &set).await
    }
}

pub(crate) async fn clear_commands(conn: &mut Conn) -> Result<(), DomainError> {
    commands::clear(conn).await
}

pub(crate) async fn replay_commands(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != commands::AGGREGATE {
        return Ok(false);
    }
    if event.event_type == "CommandAnswered" {
        let Answered { reply } = event.read()?;
        commands::note_reply(conn, &event.aggregate()?, &reply).await?;
        return Ok(true);
    }
    let Issued { vehicle_id, task, sequence, expires_at } = event.read()?;
    let command = StoredCommand {
        id: event.aggregate()?,
        vehicle_id,
        task,
        sequence,
        state: CommandState::Waiting,
        issued_at: event.timestamp,
        expires_at,
        published_at: None,
        reply: None,
    };
    commands::insert(conn, &command).await?;
    Ok(true)
}
