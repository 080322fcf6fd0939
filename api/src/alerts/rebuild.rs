//! Rules anew from their events. Alerts are not: they are of the lake, and of when it was asked.

use super::{rules, store};
use crate::{db::Conn, events::Event, fault::DomainError};

pub(crate) async fn clear(conn: &mut Conn) -> Result<(), DomainError> {
    store::clear_rules(conn).await
}

pub(crate) async fn replay(conn: &mut Conn, event: &Event) -> Result<bool, DomainError> {
    if event.aggregate_type != rules::AGGREGATE {
        return Ok(false);
    }
    match event.event_type.as_str() {
        "AlertRuleCreated" => store::insert_rule(conn, &event.read()?).await?,
        "AlertRuleDeleted" => store::delete_rule(conn, &event.aggregate()?).await?,
        _ => store::update_rule(conn, &event.read()?).await?,
    }
    Ok(true)
}
