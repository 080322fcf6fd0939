//! Alerts: raised, kept up, ended, withdrawn, taken on.

use analytics::rules::Episode;
use wire::time::Timestamp;

use super::{
    store::{self, Kept},
    types::{Alert, AlertAcknowledgement, AlertQuery, AlertRule, AlertStatus},
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::{AlertId, AlertRuleId, NotificationId, OrganizationId},
    metrics,
    page::{Cursor, Page, limit_of},
    users::notifications::{self, Notification},
    vehicles,
};

const AGGREGATE: &str = "alert";
const NOTE_LEN_MAX: usize = 2_000;

/// Raises one, and tells people if the rule says so.
pub(super) async fn raise(
    conn: &mut Conn,
    now: Timestamp,
    (rule, episode): (&AlertRule, Episode),
) -> Result<(), DomainError> {
    let alert = Alert {
        id: AlertId::new(now),
        rule_id: rule.id.clone(),
        asked_version: rule.asked_version,
        rule_name: rule.name.clone(),
        severity: rule.severity,
        organization_id: rule.organization_id.clone(),
        vehicle_id: episode.vehicle_id,
        key: episode.key,
        status: AlertStatus::Open,
        started_at: episode.start,
        last_at: episode.end,
        value: episode.value,
        message: episode.message,
        details: episode.details,
        raised_at: now,
        acknowledged_at: None,
        acknowledged_by: None,
        note: None,
        version: 1,
    };
    note(conn, now, (&alert, "AlertRaised")).await?;
    if rule.notify {
        tell(conn, now, &alert).await?;
    }
    metrics::alert_raised(alert.severity.as_str());
    store::insert_alert(conn, &Kept { alert, seen_at: now }).await
}

/// Notes of which time an alert is, and what its first moment told where that is known anew. That an open one goes on
/// is no event: only its last moment moves.
pub(super) async fn keep_up(
    conn: &mut Conn,
    now: Timestamp,
    mut kept: Kept,
    ((start, last), first): ((Timestamp, Timestamp), Option<Episode>),
) -> Result<(), DomainError> {
    let before = kept.alert.clone();
    let alert = &mut kept.alert;
    (alert.started_at, alert.last_at) = (start, last);
    if let Some(first) = first {
        (alert.value, alert.message, alert.details) = (first.value, first.message, first.details);
    }
    if *alert == before {
        return Ok(());
    }
    let goes_on = Alert { last_at: last, ..before.clone() };
    if last > before.last_at {
        kept.seen_at = now;
        // It is looked at at once whether it ends.
        kept.alert.status = AlertStatus::Open;
    }
    let is_only_longer = before.status == AlertStatus::Open && kept.alert == goes_on && last > before.last_at;
    if !is_only_longer {
        kept.alert.version += 1;
        note(conn, now, (&kept.alert, "AlertRevised")).await?;
    }
    store::update_alert(conn, &kept).await
}

/// It was not so.
pub(super) async fn withdraw(conn: &mut Conn, now: Timestamp, kept: Kept) -> Result<(), DomainError> {
    become_(conn, now, kept, (AlertStatus::Withdrawn, "AlertWithdrawn")).await
}

/// It is not so any more.
pub(super) async fn end(conn: &mut Conn, now: Timestamp, kept: Kept) -> Result<(), DomainError> {
    become_(conn, now, kept, (AlertStatus::Ended, "AlertEnded")).await
}

/// Ends what is open of a rule that asks something else from now on, or nothing.
pub(super) async fn end_all(
    conn: &mut Conn,
    now: Timestamp,
    rule_id: &AlertRuleId,
) -> Result<(), DomainError> {
    for kept in store::open(conn, rule_id).await? {
        end(conn, now, kept).await?;
    }
    Ok(())
}

async fn become_(
    conn: &mut Conn,
    now: Timestamp,
    mut kept: Kept,
    (status, event_type): (AlertStatus, &'static str),
) -> Result<(), DomainError> {
    kept.alert.status = status;
    kept.alert.version += 1;
    note(conn, now, (&kept.alert, event_type)).await?;
    store::update_alert(conn, &kept).await
}

/// Somebody takes an alert on. Whoever does it again says something else; the first stays who did it.
pub async fn acknowledge(
    conn: &mut Conn,
    now: Timestamp,
    (caller, id): (&Caller, &AlertId),
    said: AlertAcknowledgement,
) -> Result<Alert, DomainError> {
    let mut kept = store::alert(conn, id).await?.ok_or_else(|| not_found(id))?;
    let text = said.note.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let mut faults = Faults::default();
    let fits = text.as_ref().is_none_or(|text| text.chars().count() <= NOTE_LEN_MAX);
    faults.require(fits, "note", "must be at most 2000 characters");
    faults.finish("the acknowledgement")?;
    let alert = &mut kept.alert;
    if alert.acknowledged_at.is_some() && (text.is_none() || text == alert.note) {
        return Ok(kept.alert);
    }
    alert.note = text.or_else(|| alert.note.take());
    alert.acknowledged_at.get_or_insert(now);
    alert.acknowledged_by.get_or_insert_with(|| caller.actor().to_owned());
    alert.version += 1;
    note(conn, now, (&kept.alert, "AlertAcknowledged")).await?;
    store::update_alert(conn, &kept).await?;
    Ok(kept.alert)
}

/// The alert of an id.
pub async fn get(conn: &mut Conn, id: &AlertId) -> Result<Alert, DomainError> {
    Ok(store::alert(conn, id).await?.ok_or_else(|| not_found(id))?.alert)
}

/// Whose it is.
pub(crate) async fn organization_of(
    conn: &mut Conn,
    id: &AlertId,
) -> Result<Option<OrganizationId>, DomainError> {
    store::organization_of(conn, id).await
}

fn not_found(id: &AlertId) -> DomainError {
    DomainError::not_found("alert", id.as_str())
}

/// Alerts, the latest first.
pub async fn list(conn: &mut Conn, caller: &Caller, query: AlertQuery) -> Result<Page<Alert>, DomainError> {
    let limit = limit_of(query.limit)?;
    let mut faults = Faults::default();
    let period_us = faults.period_us(query.from.as_deref(), query.to.as_deref());
    faults.finish("the query")?;
    let before = Cursor::before(query.cursor.as_deref())?;
    let vehicle = match query.vehicle_id {
        Some(id) => match vehicles::reached(conn, caller, &id).await? {
            Some(vehicle) => vehicle.vehicle_id.to_string(),
            // The operator's rules are for vehicles that nobody has registered too.
            None if caller.organization().is_none() => id,
            None => return Err(DomainError::not_found("vehicle", id)),
        },
        None => String::new(),
    };
    let wanted = store::Wanted {
        organization: caller.narrowed(query.organization_id)?.unwrap_or_default(),
        rule: query.rule_id.unwrap_or_default(),
        vehicle,
        status: query.status,
        is_acknowledged: query.is_acknowledged,
        period_us,
    };
    let found = store::before(conn, &wanted, (before, limit + 1)).await?;
    Ok(Page::of(found, limit, |alert| Cursor {
        key: alert.started_at.0.to_string(),
        id: alert.id.to_string(),
    }))
}

/// Tells the organization in the application.
async fn tell(conn: &mut Conn, now: Timestamp, alert: &Alert) -> Result<(), DomainError> {
    let Some(organization_id) = alert.organization_id.clone() else { return Ok(()) };
    let said = alert.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
    let key = alert.key.as_deref().map(|key| format!(" ({key})")).unwrap_or_default();
    let body = format!("{}{key} of {} since {}{said}", alert.rule_name, alert.vehicle_id, alert.started_at);
    let notification = Notification {
        id: NotificationId::new(now),
        kind: "alert_raised".to_owned(),
        subject_id: alert.id.to_string(),
        organization_id,
        user_id: None,
        body,
        created_at: now,
    };
    notifications::enqueue(conn, &notification).await
}

/// The event's data for all: how the alert is.
async fn note(
    conn: &mut Conn,
    now: Timestamp,
    (alert, event_type): (&Alert, &'static str),
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: alert.id.to_string(),
        event_type,
        data: json_of(alert),
    };
    events::append(conn, now, alert.version - 1, event).await?;
    Ok(())
}
