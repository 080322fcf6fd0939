//! Users: organizations, their currency and time zone; people and API keys, and their roles.
//!
//! *Owns* the tables `organizations`, `users`, `api_keys`, `notification_outbox` and `notifications`, and
//! the events of the first three. *Does not own* vehicles, trips or money, nor which role may what (`permissions.rs`);
//! it calls no other domain.

pub(crate) mod http;
pub mod keys;
pub mod me;
pub mod notifications;
pub mod people;
pub(crate) mod rebuild;
pub mod role;
pub(crate) mod secret;
mod store;
pub mod types;

use iso_currency::Currency;
use wire::time::Timestamp;

use crate::{
    caller::{Caller, no_organization},
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::{DomainError, Faults},
    ids::OrganizationId,
    page::{Cursor, Page, limit_of},
};
use types::{NewOrganization, Organization, OrganizationQuery};

/// Creates an organization.
pub async fn create(
    conn: &mut Conn,
    now: Timestamp,
    new: NewOrganization,
) -> Result<Organization, DomainError> {
    let mut faults = Faults::default();
    let name = new.name.trim().to_owned();
    faults.require((1..=120).contains(&name.chars().count()), "name", "must be 1 to 120 characters");
    check_currency("currency", &new.currency, &mut faults);
    let zone_known = jiff::tz::TimeZone::get(&new.time_zone).is_ok();
    faults.require(zone_known, "time_zone", "must be an IANA zone such as \"Europe/Copenhagen\"");
    faults.finish("the organization")?;
    if store::by_name(conn, &name).await?.is_some() {
        return Err(DomainError::Conflict(format!(
            "an organization named {name:?} exists; choose another name"
        )));
    }
    let organization = Organization {
        id: OrganizationId::new(now),
        name,
        currency: new.currency,
        time_zone: new.time_zone,
        version: 1,
        created_at: now,
    };
    let event = NewEvent {
        aggregate_type: "organization",
        aggregate_id: organization.id.to_string(),
        event_type: "OrganizationCreated",
        data: json_of(&organization),
    };
    events::append(conn, now, 0, event).await?;
    store::insert(conn, &organization).await?;
    Ok(organization)
}

/// That a field is a currency there is money in.
pub(crate) fn check_currency(field: &str, code: &str, faults: &mut Faults) {
    let currency = Currency::from_code(code).filter(|c| c.exponent().is_some());
    faults.require(currency.is_some(), field, "must be an ISO 4217 code such as \"EUR\"");
}

/// The organization of an id.
pub async fn get(conn: &mut Conn, id: &OrganizationId) -> Result<Organization, DomainError> {
    store::by_id(conn, id).await?.ok_or_else(|| DomainError::not_found("organization", id.as_str()))
}

/// The organization that a request names, if it names one that is there.
pub(crate) async fn check_organization(
    conn: &mut Conn,
    id: Option<&str>,
    faults: &mut Faults,
) -> Result<Option<OrganizationId>, DomainError> {
    let Some(text) = id else { return Ok(None) };
    let id: OrganizationId = match text.parse() {
        Ok(id) => id,
        Err(e) => {
            faults.add("organization_id", format!("{e}"));
            return Ok(None);
        }
    };
    match get(conn, &id).await {
        Ok(_) => Ok(Some(id)),
        Err(DomainError::NotFound { .. }) => {
            faults.add("organization_id", no_organization(id.as_str()));
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// The organization of a name.
pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Organization>, DomainError> {
    store::by_name(conn, name).await
}

/// Organizations by name; for a caller who is of one, that one.
pub async fn list(
    conn: &mut Conn,
    caller: &Caller,
    query: &OrganizationQuery,
) -> Result<Page<Organization>, DomainError> {
    let limit = limit_of(query.limit)?;
    if let Some(own) = caller.organization() {
        return Ok(Page { data: vec![get(conn, own).await?], next_cursor: None });
    }
    let cursor = Cursor::decode(query.cursor.as_deref())?;
    let after = cursor.map(|c| c.key).unwrap_or_default();
    let found = store::after_name(conn, &after, limit + 1).await?;
    Ok(Page::of(found, limit, |o| Cursor { key: o.name.clone(), id: o.id.to_string() }))
}
