//! From the outbox to endpoints: which event is for whom, and attempts until it got through. Any number of
//! processes may run it: an attempt is begun by one of them.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use service::{SharedClock, logs::chain};
use tokio_util::sync::CancellationToken;
use wire::{ids::VehicleId, time::Timestamp};

use super::{
    AGGREGATE, PING, note,
    send::{Call, Sender},
    sign, store,
    store::Ended,
    types::{DeliveryStatus, Endpoint},
};
use crate::{
    billing::invoicing,
    bookings,
    db::{Conn, Db},
    events::{self, Event},
    fault::DomainError,
    ids::{NotificationId, OrganizationId, WebhookDeliveryId, WebhookEndpointId},
    metrics,
    ticks::Ticks,
    users::notifications::{self, Notification},
    vehicles,
};

/// Events given out at a look; the rest is for the next.
const EVENT_COUNT_MAX: i64 = 200;
/// Deliveries begun at a look, and of them at once.
const DUE_COUNT_MAX: i64 = 64;
const AT_ONCE: usize = 8;
/// Longer than any attempt: one that was begun and never ended is begun anew after it.
const LEASE_US: i64 = 60_000_000;
/// From an attempt that failed to the next, as Standard Webhooks proposes: over three days in all.
const RETRY_AFTER: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3_600),
    Duration::from_secs(5 * 3_600),
    Duration::from_secs(10 * 3_600),
    Duration::from_secs(14 * 3_600),
    Duration::from_secs(20 * 3_600),
    Duration::from_secs(24 * 3_600),
];
/// An endpoint that nothing has got through to for so long is disabled.
const FAILING_MAX_US: i64 = 5 * 86_400_000_000;
/// The answer of an endpoint that wants nothing any more.
const GONE: u16 = 410;

/// The task's parts.
#[derive(Debug)]
pub struct Deliverer {
    /// Where endpoints are kept.
    pub db: Db,
    /// What makes the calls.
    pub sender: Arc<dyn Sender>,
    /// Our clock.
    pub clock: SharedClock,
}

impl Deliverer {
    /// Runs until stopped; a failure is told and tried again at the next tick.
    pub(crate) async fn run(self, interval: Duration, stop: CancellationToken) {
        let mut ticks = Ticks::every(interval, stop);
        while ticks.next().await {
            if let Err(error) = self.look().await {
                tracing::warn!(error = %chain(&error), "webhooks not delivered, will try again");
            }
        }
    }

    /// One look.
    pub async fn look(&self) -> Result<(), DomainError> {
        fan_out(&self.db, self.now()).await?;
        let due = {
            let mut conn = self.db.read().await?;
            store::due(&mut conn, (self.now(), DUE_COUNT_MAX)).await?
        };
        let attempts = futures::stream::iter(due).map(|id| async move {
            // One that fails holds up no other.
            if let Err(error) = self.attempt(&id).await {
                tracing::warn!(error = %chain(&error), delivery_id = %id, "webhook not attempted, will try again");
            }
        });
        attempts.buffer_unordered(AT_ONCE).collect::<()>().await;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_us())
    }

    async fn attempt(&self, id: &WebhookDeliveryId) -> Result<(), DomainError> {
        let now = self.now();
        let mut tx = self.db.write().await?;
        if !store::begin_attempt(&mut tx, id, (now, now.plus_us(LEASE_US))).await? {
            return Ok(());
        }
        let Some(delivery) = store::delivery(&mut tx, id).await? else { return Ok(()) };
        let found = events::after(&mut tx, delivery.event_position - 1, 1).await?;
        let signing = store::signing(&mut tx, &delivery.endpoint_id).await?;
        let (Some(event), Some(signing)) =
            (found.into_iter().next(), signing.filter(|s| s.endpoint.is_enabled))
        else {
            store::abandon(&mut tx, &delivery.endpoint_id).await?;
            return Ok(tx.commit().await?);
        };
        tx.commit().await?;

        let body = body_of(&event);
        let timestamp_s = now.0.div_euclid(1_000_000);
        let signature = sign::signatures(signing.secrets(now), (event.event_id.as_str(), timestamp_s, &body));
        let call = Call {
            url: signing.endpoint.url.clone(),
            is_public_only: signing.endpoint.organization_id.is_some(),
            headers: vec![
                ("webhook-id", event.event_id.to_string()),
                ("webhook-timestamp", timestamp_s.to_string()),
                ("webhook-signature", signature),
            ],
            body,
        };
        let answered = self.sender.post(&call).await.map_err(|error| error.to_string());
        self.ended(&delivery.endpoint_id, (id, delivery.attempt_count), answered).await
    }

    async fn ended(
        &self,
        endpoint_id: &WebhookEndpointId,
        (id, attempt): (&WebhookDeliveryId, i64),
        answered: Result<u16, String>,
    ) -> Result<(), DomainError> {
        let now = self.now();
        let is_through = matches!(answered, Ok(200..300));
        let is_gone = answered == Ok(GONE);
        let retry_after = usize::try_from(attempt - 1).ok().and_then(|i| RETRY_AFTER.get(i));
        let (status, next_attempt_at) = match retry_after {
            _ if is_through => (DeliveryStatus::Delivered, None),
            Some(after) if !is_gone => {
                (DeliveryStatus::Pending, Some(now.plus_us(service::clock::micros(*after))))
            }
            _ => (DeliveryStatus::Failed, None),
        };
        metrics::webhook_attempted(status.as_str());
        let mut tx = self.db.write().await?;
        store::end_attempt(&mut tx, id, (now, &Ended { status, next_attempt_at, answered })).await?;
        if let Some(endpoint) = store::by_id(&mut tx, endpoint_id).await? {
            follow(&mut tx, now, (endpoint, is_through, is_gone)).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Keeps of an endpoint since when it fails, and disables one that is gone or has failed for too long.
async fn follow(
    conn: &mut Conn,
    now: Timestamp,
    (mut endpoint, is_through, is_gone): (Endpoint, bool, bool),
) -> Result<(), DomainError> {
    let failing_since = if is_through { None } else { Some(endpoint.failing_since.unwrap_or(now)) };
    let is_given_up = is_gone || failing_since.is_some_and(|since| now.since_us(since) >= FAILING_MAX_US);
    if failing_since == endpoint.failing_since && !is_given_up {
        return Ok(());
    }
    endpoint.failing_since = failing_since;
    if is_given_up && endpoint.is_enabled {
        endpoint.is_enabled = false;
        endpoint.version += 1;
        note(conn, now, "WebhookEndpointDisabled", &endpoint).await?;
        store::abandon(conn, &endpoint.id).await?;
        tell(conn, now, (&endpoint, is_gone)).await?;
    }
    store::update(conn, &endpoint).await
}

/// Tells an organization that its endpoint is told nothing any more.
async fn tell(
    conn: &mut Conn,
    now: Timestamp,
    (endpoint, is_gone): (&Endpoint, bool),
) -> Result<(), DomainError> {
    tracing::warn!(endpoint_id = %endpoint.id, is_gone, "webhook endpoint disabled");
    let Some(organization_id) = endpoint.organization_id.clone() else { return Ok(()) };
    let why = if is_gone { "it answered 410 Gone" } else { "nothing got through to it for five days" };
    let notification = Notification {
        id: NotificationId::new(now),
        kind: "webhook_endpoint_disabled".to_owned(),
        subject_id: endpoint.id.to_string(),
        organization_id,
        user_id: None,
        body: format!("The webhook endpoint {} is disabled: {why}.", endpoint.url),
        created_at: now,
    };
    notifications::enqueue(conn, &notification).await
}

/// Makes a delivery of each waiting event for each endpoint that wants it; returns how many.
pub async fn fan_out(db: &Db, now: Timestamp) -> Result<usize, DomainError> {
    let is_waiting = {
        let mut conn = db.read().await?;
        !store::waiting(&mut conn, 1).await?.is_empty()
    };
    if !is_waiting {
        return Ok(0);
    }
    let mut tx = db.write().await?;
    let waiting = store::waiting(&mut tx, EVENT_COUNT_MAX).await?;
    let endpoints = store::enabled(&mut tx).await?;
    let mut given = 0;
    for position in waiting {
        if !endpoints.is_empty()
            && let Some(event) = events::after(&mut tx, position - 1, 1).await?.into_iter().next()
        {
            let own = organization_of(&mut tx, &event).await?;
            for endpoint in endpoints.iter().filter(|endpoint| is_for(endpoint, &event, own.as_ref())) {
                enqueue(&mut tx, now, (&endpoint.id, position)).await?;
                given += 1;
            }
        }
        store::set_given(&mut tx, position, now).await?;
    }
    tx.commit().await?;
    Ok(given)
}

/// A delivery to be attempted at once, unless there is that one.
pub(super) async fn enqueue(
    conn: &mut Conn,
    now: Timestamp,
    (endpoint_id, position): (&WebhookEndpointId, i64),
) -> Result<(), DomainError> {
    store::insert_delivery(conn, (&WebhookDeliveryId::new(now), endpoint_id, position), now).await
}

/// Whether an endpoint is told of an event: of what it asked for, from when it was made, and of an organization's own.
fn is_for(endpoint: &Endpoint, event: &Event, own: Option<&OrganizationId>) -> bool {
    if event.aggregate_type == AGGREGATE {
        return event.event_type == PING && event.aggregate_id == endpoint.id.as_str();
    }
    endpoint.wants(&event.event_type)
        && event.timestamp >= endpoint.created_at
        && endpoint.organization_id.as_ref().is_none_or(|of| Some(of) == own)
}

/// The organization an event is of, as far as it is of one.
async fn organization_of(conn: &mut Conn, event: &Event) -> Result<Option<OrganizationId>, DomainError> {
    let told = event.data.get("organization_id").and_then(|id| id.as_str()).and_then(|id| id.parse().ok());
    let found = match event.aggregate_type.as_str() {
        "organization" => return Ok(event.aggregate_id.parse().ok()),
        // Its readings and trips are of whoever has it now.
        "vehicle" => vehicles::get(conn, &event.aggregate_id).await.map(|vehicle| vehicle.organization_id),
        "trip" | "trip-correction" => {
            let vehicle_id = event.data.get("vehicle_id").and_then(|id| id.as_str());
            match vehicle_id.and_then(|id| id.parse::<VehicleId>().ok()) {
                Some(vehicle_id) => vehicles::organization_of(conn, &vehicle_id).await,
                None => Ok(None),
            }
        }
        "invoice" => match event.aggregate_id.parse() {
            Ok(id) => invoicing::get(conn, &id).await.map(|invoice| Some(invoice.organization_id)),
            Err(_) => Ok(None),
        },
        "booking" => match event.aggregate_id.parse() {
            Ok(id) => bookings::get(conn, &id).await.map(|booking| Some(booking.organization_id)),
            Err(_) => Ok(None),
        },
        _ => Ok(None),
    };
    match found {
        Ok(found) => Ok(found.or(told)),
        Err(DomainError::NotFound { .. }) => Ok(told),
        Err(error) => Err(error),
    }
}

/// The body of every attempt: the same bytes each time.
fn body_of(event: &Event) -> String {
    serde_json::json!({ "type": event.event_type, "timestamp": event.timestamp, "data": event }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EventId;

    fn event(aggregate_type: &str, aggregate_id: &str, event_type: &str) -> Event {
        Event {
            position: 7,
            event_id: EventId::new(Timestamp(1)),
            aggregate_id: aggregate_id.to_owned(),
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            version: 1,
            timestamp: Timestamp(2_000_000),
            data: serde_json::json!({}),
        }
    }

    #[test]
    fn an_endpoint_is_told_of_what_it_asked_for_and_may_know() {
        let acme = OrganizationId::new(Timestamp(1));
        let mut endpoint = Endpoint {
            id: WebhookEndpointId::new(Timestamp(1)),
            organization_id: None,
            url: String::new(),
            description: String::new(),
            event_types: Vec::new(),
            is_enabled: true,
            failing_since: None,
            version: 1,
            created_at: Timestamp(1_000_000),
        };
        let trip = event("trip", "trp_1", "TripCompleted");
        assert!(is_for(&endpoint, &trip, None) && is_for(&endpoint, &trip, Some(&acme)));
        endpoint.organization_id = Some(acme.clone());
        assert!(is_for(&endpoint, &trip, Some(&acme)));
        assert!(
            !is_for(&endpoint, &trip, None)
                && !is_for(&endpoint, &trip, Some(&OrganizationId::new(Timestamp(9))))
        );
        endpoint.event_types = vec!["TripRevised".to_owned()];
        assert!(!is_for(&endpoint, &trip, Some(&acme)));
        endpoint.event_types.push("TripCompleted".to_owned());
        endpoint.created_at = Timestamp(3_000_000);
        assert!(!is_for(&endpoint, &trip, Some(&acme)), "it was before");
        let ping = |id: &str| event(AGGREGATE, id, PING);
        assert!(
            is_for(&endpoint, &ping(endpoint.id.as_str()), None)
                && !is_for(&endpoint, &ping("whe_other"), None)
        );
        assert!(!is_for(&endpoint, &event(AGGREGATE, endpoint.id.as_str(), "WebhookEndpointChanged"), None));
    }
}
