//! Webhooks: events told to the operator's and organizations' own programs by HTTP.
//!
//! *Owns* the tables `webhook_endpoints` and `webhook_deliveries`, and takes what waits in `outbox`. *Does not own*
//! events, nor whose the things are that they happened to: it asks their domains.
//!
//! Main path: an event's row in `outbox` becomes a delivery for each endpoint that wants it
//! ([`deliver::fan_out`]); a delivery is attempted until it is answered with a 2xx, later and later for three days
//! ([`deliver`]), each attempt signed as Standard Webhooks 1.0 says (`sign`). A delivery may come twice, and after
//! a later one: it carries the event's id, the thing's version and the event's position.
//!
//! An organization is told of its own things alone, and only at public addresses: its endpoints could otherwise ask the
//! operator's network (`send.rs`).

pub mod deliver;
pub(crate) mod http;
pub mod send;
pub(crate) mod sign;
pub(crate) mod store;
pub mod types;

use url::Url;
use wire::time::Timestamp;

use self::types::{
    Delivery, DeliveryQuery, DeliveryStatus, Endpoint, EndpointPatch, EndpointQuery, NewEndpoint,
    NewEndpointSecret,
};
use crate::{
    caller::Caller,
    db::Conn,
    events::{self, NewEvent},
    fault::{DomainError, Faults},
    ids::{WebhookDeliveryId, WebhookEndpointId},
    page::{Cursor, Page, limit_of},
    users::check_organization,
};

/// The kind of aggregate that endpoints are in the event log.
pub(crate) const AGGREGATE: &str = "webhook-endpoint";
/// The event that `…/ping` makes.
pub(crate) const PING: &str = "WebhookEndpointPinged";
/// After a change of the secret the one before signs too, for so long.
const ROTATION_US: i64 = 24 * 3_600_000_000;
const URL_LEN_MAX: usize = 1_000;
const DESCRIPTION_LEN_MAX: usize = 500;
const EVENT_TYPES_MAX: usize = 100;

/// Adds an endpoint. Its secret is told this once.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    caller: &Caller,
    new: NewEndpoint,
) -> Result<NewEndpointSecret, DomainError> {
    let mut faults = Faults::default();
    let organization = caller.placed("the endpoint", new.organization_id)?;
    let organization_id = check_organization(conn, organization.as_deref(), &mut faults).await?;
    let endpoint = Endpoint {
        id: WebhookEndpointId::new(now),
        // Of one that is not there, the fault has been told.
        url: checked_url(&new.url, organization.is_some(), &mut faults),
        organization_id,
        description: checked_description(new.description.unwrap_or_default(), &mut faults),
        event_types: checked_types(new.event_types.unwrap_or_default(), &mut faults),
        is_enabled: true,
        failing_since: None,
        version: 1,
        created_at: now,
    };
    faults.finish("the endpoint")?;
    let secret = sign::new_secret()?;
    note(conn, now, "WebhookEndpointCreated", &endpoint).await?;
    store::insert(conn, &endpoint, &secret).await?;
    Ok(NewEndpointSecret { endpoint, secret })
}

/// Changes an endpoint that is at `expected_version`. One that is enabled again goes on with what happens from then;
/// what it was not told of before stays with its deliveries.
pub async fn change(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&WebhookEndpointId, i64),
    patch: EndpointPatch,
) -> Result<Endpoint, DomainError> {
    let before = get(conn, id).await?;
    if before.version != expected_version {
        return Err(DomainError::Stale {
            what: "webhook endpoint",
            id: id.to_string(),
            current: before.version,
            expected: expected_version,
        });
    }
    let mut faults = Faults::default();
    let mut endpoint = before.clone();
    if let Some(url) = &patch.url {
        endpoint.url = checked_url(url, before.organization_id.is_some(), &mut faults);
    }
    if let Some(description) = patch.description {
        endpoint.description = checked_description(description, &mut faults);
    }
    if let Some(types) = patch.event_types {
        endpoint.event_types = checked_types(types, &mut faults);
    }
    faults.finish("the change")?;
    endpoint.is_enabled = patch.is_enabled.unwrap_or(before.is_enabled);
    if endpoint.is_enabled && !before.is_enabled {
        endpoint.failing_since = None;
    }
    if endpoint == before {
        return Ok(before);
    }
    endpoint.version += 1;
    note(conn, now, "WebhookEndpointChanged", &endpoint).await?;
    store::update(conn, &endpoint).await?;
    Ok(endpoint)
}

/// Takes an endpoint away, and with it what it was still to be told.
pub async fn delete(conn: &mut Conn, now: Timestamp, id: &WebhookEndpointId) -> Result<(), DomainError> {
    let mut endpoint = get(conn, id).await?;
    endpoint.version += 1;
    endpoint.is_enabled = false;
    note(conn, now, "WebhookEndpointDeleted", &endpoint).await?;
    store::update(conn, &endpoint).await?;
    store::set_deleted(conn, id, now).await?;
    store::abandon(conn, id).await
}

/// Gives an endpoint another secret; the one before signs beside it for a day.
pub async fn rotate(
    conn: &mut Conn,
    now: Timestamp,
    id: &WebhookEndpointId,
) -> Result<NewEndpointSecret, DomainError> {
    let mut endpoint = get(conn, id).await?;
    endpoint.version += 1;
    let secret = sign::new_secret()?;
    note(conn, now, "WebhookEndpointSecretRotated", &endpoint).await?;
    store::update(conn, &endpoint).await?;
    store::set_secret(conn, id, (&secret, now.plus_us(ROTATION_US))).await?;
    Ok(NewEndpointSecret { endpoint, secret })
}

/// Tells an endpoint of nothing but that it is there.
pub async fn ping(conn: &mut Conn, now: Timestamp, id: &WebhookEndpointId) -> Result<Delivery, DomainError> {
    let mut endpoint = get(conn, id).await?;
    if !endpoint.is_enabled {
        return Err(DomainError::Conflict("the endpoint is disabled; enable it first".to_owned()));
    }
    endpoint.version += 1;
    note(conn, now, PING, &endpoint).await?;
    store::update(conn, &endpoint).await?;
    let position = events::last_position(conn).await?;
    deliver::enqueue(conn, now, (id, position)).await?;
    let delivery = store::delivery_of(conn, (id, position)).await?;
    delivery.ok_or_else(|| DomainError::not_found("webhook delivery", position.to_string()))
}

/// Has a delivery attempted anew, at once, whatever became of it before.
pub async fn replay(
    conn: &mut Conn,
    now: Timestamp,
    (endpoint_id, id): (&WebhookEndpointId, &WebhookDeliveryId),
) -> Result<Delivery, DomainError> {
    let endpoint = get(conn, endpoint_id).await?;
    if !endpoint.is_enabled {
        return Err(DomainError::Conflict("the endpoint is disabled; enable it first".to_owned()));
    }
    let missing = || DomainError::not_found("webhook delivery", id.as_str());
    let found =
        store::delivery(conn, id).await?.filter(|d| d.endpoint_id == *endpoint_id).ok_or_else(missing)?;
    store::requeue(conn, &found.id, now).await?;
    store::delivery(conn, id).await?.ok_or_else(missing)
}

/// The endpoint of an id.
pub async fn get(conn: &mut Conn, id: &WebhookEndpointId) -> Result<Endpoint, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("webhook endpoint", id.as_str()))
}

/// Endpoints, oldest first.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: EndpointQuery,
) -> Result<Page<Endpoint>, DomainError> {
    let limit = limit_of(query.limit)?;
    let after = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    let organization = caller.narrowed(query.organization_id)?;
    let found = store::after(conn, organization.as_deref(), (&after, limit + 1)).await?;
    Ok(Page::of(found, limit, |e| Cursor { key: String::new(), id: e.id.to_string() }))
}

/// What an endpoint was told and is to be told, newest first.
pub async fn deliveries(
    conn: &mut Conn,
    id: &WebhookEndpointId,
    query: DeliveryQuery,
) -> Result<Page<Delivery>, DomainError> {
    let limit = limit_of(query.limit)?;
    let before = Cursor::decode(query.cursor.as_deref())?.map(|c| c.id).unwrap_or_default();
    get(conn, id).await?;
    let status = query.status.map(DeliveryStatus::as_str).unwrap_or_default();
    let found = store::deliveries_before(conn, (id, status), (&before, limit + 1)).await?;
    Ok(Page::of(found, limit, |d| Cursor { key: String::new(), id: d.id.to_string() }))
}

/// The log never forgets, so it has no address and no secret.
pub(crate) async fn note(
    conn: &mut Conn,
    now: Timestamp,
    event_type: &'static str,
    endpoint: &Endpoint,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: AGGREGATE,
        aggregate_id: endpoint.id.to_string(),
        event_type,
        data: serde_json::json!({
            "organization_id": endpoint.organization_id, "is_enabled": endpoint.is_enabled,
            "event_types": endpoint.event_types,
        }),
    };
    events::append(conn, now, endpoint.version - 1, event).await?;
    Ok(())
}

fn checked_url(text: &str, is_organizations: bool, faults: &mut Faults) -> String {
    let parsed = Url::parse(text).ok().filter(|_| text.len() <= URL_LEN_MAX);
    let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) else {
        faults.add(
            "url",
            "must be an address such as \"https://example.com/roadlake\", of at most 1000 characters",
        );
        return text.to_owned();
    };
    faults.require(
        url.username().is_empty() && url.password().is_none(),
        "url",
        "must have no user and password; the signature proves who calls",
    );
    faults.require(url.fragment().is_none(), "url", "must have no fragment (#…), which is never sent");
    if is_organizations {
        faults.require(url.scheme() == "https", "url", "must be https");
        faults.require(send::may_be_public(&url), "url", "must be a public address");
    }
    url.to_string()
}

fn checked_description(text: String, faults: &mut Faults) -> String {
    faults.require(
        text.chars().count() <= DESCRIPTION_LEN_MAX,
        "description",
        "must be at most 500 characters",
    );
    text
}

fn checked_types(mut types: Vec<String>, faults: &mut Faults) -> Vec<String> {
    let is_name = |t: &String| (1..=60).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric());
    faults.require(
        types.len() <= EVENT_TYPES_MAX && types.iter().all(is_name),
        "event_types",
        "must be at most 100 names such as \"TripCompleted\"; none for all",
    );
    types.sort();
    types.dedup();
    types
}
