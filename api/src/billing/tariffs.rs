//! Tariffs as they are kept: versions, and which organization pays by which.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{
    store,
    tariff::{Tariff, TariffTerms},
};
use crate::{
    db::Conn,
    events::{self, NewEvent, json_of},
    fault::DomainError,
    ids::{OrganizationId, TariffId},
    page::{Cursor, Page, limit_of},
    users,
};

/// Which tariff an organization pays by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TariffChoice {
    /// The tariff; trips are rated by its latest version when they are first rated.
    #[schema(value_type = String)]
    pub tariff_id: TariffId,
}

/// Creates a tariff.
pub async fn create(conn: &mut Conn, now: Timestamp, terms: TariffTerms) -> Result<Tariff, DomainError> {
    terms.check()?;
    if by_name(conn, &terms.name).await?.is_some() {
        return Err(DomainError::Conflict(format!(
            "a tariff named {:?} exists; change that or choose another name",
            terms.name
        )));
    }
    let tariff = Tariff { id: TariffId::new(now), version: 1, created_at: now, terms };
    save(conn, now, &tariff, "TariffCreated").await?;
    Ok(tariff)
}

/// Makes the next version of a tariff that is at `expected_version`.
pub async fn revise(
    conn: &mut Conn,
    now: Timestamp,
    (id, expected_version): (&TariffId, i64),
    terms: TariffTerms,
) -> Result<Tariff, DomainError> {
    terms.check()?;
    let current = get(conn, id, None).await?;
    if current.version != expected_version {
        return Err(DomainError::Stale {
            what: "tariff",
            id: id.to_string(),
            current: current.version,
            expected: expected_version,
        });
    }
    if current.terms.currency != terms.currency {
        let message = format!("is {} and stays so; make another tariff", current.terms.currency);
        return Err(DomainError::invalid("the tariff", "currency", message));
    }
    if by_name(conn, &terms.name).await?.is_some_and(|other| other.id != *id) {
        return Err(DomainError::Conflict(format!(
            "another tariff is named {:?}; choose another name",
            terms.name
        )));
    }
    let tariff = Tariff { id: id.clone(), version: current.version + 1, created_at: now, terms };
    save(conn, now, &tariff, "TariffRevised").await?;
    Ok(tariff)
}

async fn save(
    conn: &mut Conn,
    now: Timestamp,
    tariff: &Tariff,
    event_type: &'static str,
) -> Result<(), DomainError> {
    let event = NewEvent {
        aggregate_type: "tariff",
        aggregate_id: tariff.id.to_string(),
        event_type,
        data: json_of(tariff),
    };
    events::append(conn, now, tariff.version - 1, event).await?;
    store::insert_tariff(conn, tariff).await
}

/// A version of a tariff; the latest when none is named.
pub async fn get(conn: &mut Conn, id: &TariffId, version: Option<i64>) -> Result<Tariff, DomainError> {
    store::tariff(conn, id, version).await?.ok_or_else(|| match version {
        Some(version) => DomainError::not_found("tariff version", format!("{id} version {version}")),
        None => DomainError::not_found("tariff", id.as_str()),
    })
}

/// The latest version of the tariff of a name.
pub async fn by_name(conn: &mut Conn, name: &str) -> Result<Option<Tariff>, DomainError> {
    store::tariff_by_name(conn, name).await
}

/// The latest versions, by name.
pub async fn list(
    conn: &mut Conn,
    limit: Option<i64>,
    cursor: Option<&str>,
) -> Result<Page<Tariff>, DomainError> {
    let limit = limit_of(limit)?;
    let after = Cursor::decode(cursor)?.map(|c| c.key).unwrap_or_default();
    let found = store::tariffs_after_name(conn, &after, limit + 1).await?;
    Ok(Page::of(found, limit, |t| Cursor { key: t.terms.name.clone(), id: t.id.to_string() }))
}

/// The tariff an organization pays by.
pub async fn of_organization(conn: &mut Conn, id: &OrganizationId) -> Result<Option<TariffId>, DomainError> {
    users::get(conn, id).await?;
    store::tariff_of(conn, id).await
}

/// Lets an organization pay by a tariff, from the next trip rated.
pub async fn assign(
    conn: &mut Conn,
    now: Timestamp,
    organization_id: &OrganizationId,
    tariff_id: &TariffId,
) -> Result<(), DomainError> {
    let organization = users::get(conn, organization_id).await?;
    let tariff = store::tariff(conn, tariff_id, None).await?.ok_or_else(|| {
        DomainError::invalid(
            "the choice",
            "tariff_id",
            format!("there is no tariff {tariff_id}; see /v1/tariffs"),
        )
    })?;
    if tariff.terms.currency != organization.currency {
        let message = format!(
            "is in {}, and {} is billed in {}; choose a tariff in that currency",
            tariff.terms.currency, organization.name, organization.currency
        );
        return Err(DomainError::invalid("the choice", "tariff_id", message));
    }
    if store::tariff_of(conn, organization_id).await?.as_ref() == Some(tariff_id) {
        return Ok(());
    }
    let aggregate_id = format!("{organization_id}/tariff");
    let version = events::version_of(conn, &aggregate_id).await?;
    let event = NewEvent {
        aggregate_type: "tariff-assignment",
        aggregate_id,
        event_type: "TariffAssigned",
        data: serde_json::json!({ "organization_id": json_of(organization_id), "tariff_id": json_of(tariff_id) }),
    };
    events::append(conn, now, version, event).await?;
    store::assign_tariff(conn, organization_id, tariff_id).await
}
