//! Schedules, where vehicles are in them, and work orders anew from their events.

use super::{
    items::{self, Item},
    orders, schedules, store,
};
use crate::{db::Conn, events::Event, fault::DomainError};

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    match event.aggregate_type.as_str() {
        schedules::AGGREGATE => schedule(conn, event).await?,
        items::AGGREGATE => {
            let told: Item = event.read()?;
            // Of a schedule that is deleted later they come before that.
            store::put_item(conn, &Item { version: event.version, ..told }).await?;
        }
        orders::AGGREGATE => {
            let order = event.read()?;
            if event.event_type == "WorkOrderOpened" {
                store::insert_order(conn, &order).await?;
            } else {
                store::update_order(conn, &order).await?;
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

async fn schedule(conn: &mut Conn, event: &Event) -> Result<(), DomainError> {
    match event.event_type.as_str() {
        "MaintenanceScheduleDeleted" => store::delete_schedule(conn, &event.aggregate()?).await,
        "MaintenanceScheduleCreated" => store::insert_schedule(conn, &event.read()?).await,
        _ => store::update_schedule(conn, &event.read()?).await,
    }
}
