//! Previews: what a tariff would have made of a month's trips, beside what they were rated at.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{evidence, invoicing::month_of, rating, rating::TripUsage, store, tariff::TariffTerms, tariffs};
use crate::{
    db::Conn,
    extract::id_of,
    fault::DomainError,
    ids::{OrganizationId, TariffId},
    trips::types::TripState,
    users,
};

/// Most trips of one preview.
const TRIP_COUNT_MAX: usize = 100_000;
/// Trips read at once.
const TRIPS_READ_MAX: i64 = 1_000;
/// Most customers of one preview.
const CUSTOMER_COUNT_MAX: i64 = 1_000;

/// What to preview.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPreview {
    /// The tariff as it would be.
    pub tariff: TariffTerms,
    /// A calendar month; the one before this when absent.
    #[serde(default)]
    #[schema(example = "2026-10")]
    pub month: Option<String>,
    /// Only this customer; all that pay in the tariff's currency when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What a tariff would change, without tax.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Preview {
    /// The month, cut in each customer's zone.
    #[schema(example = "2026-10")]
    pub month: String,
    /// ISO 4217.
    pub currency: String,
    /// Customers with trips in that month, by name.
    pub customers: Vec<CustomerPreview>,
    /// Sum of what was rated.
    pub current_minor: i64,
    /// Sum by the tariff previewed.
    pub preview_minor: i64,
    /// How much more.
    pub difference_minor: i64,
}

/// One customer's difference.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CustomerPreview {
    /// Who.
    #[schema(value_type = String)]
    pub organization_id: OrganizationId,
    /// By name.
    pub organization_name: String,
    /// Trips of the month.
    pub trip_count: i64,
    /// By the tariffs they were rated by.
    #[schema(example = 12_050)]
    pub current_minor: i64,
    /// By the tariff previewed.
    #[schema(example = 11_300)]
    pub preview_minor: i64,
    /// How much more.
    #[schema(example = -750)]
    pub difference_minor: i64,
}

/// Rates a month's trips by a tariff that need not be stored.
pub async fn preview(conn: &mut Conn, now: Timestamp, new: &NewPreview) -> Result<Preview, DomainError> {
    const WHAT: &str = "the preview";
    new.tariff.check()?;
    let within = month_asked(now, new.month.as_deref())?;
    let only = match &new.organization_id {
        Some(text) => {
            let id: OrganizationId = id_of(WHAT, "organization_id", text)?;
            users::get(conn, &id).await?;
            vec![id]
        }
        None => store::organizations_with_usage(conn, CUSTOMER_COUNT_MAX).await?,
    };
    let (mut customers, mut trips_left) = (Vec::new(), TRIP_COUNT_MAX);
    for id in only {
        let organization = users::get(conn, &id).await?;
        if organization.currency != new.tariff.currency {
            if new.organization_id.is_some() {
                let message = format!("pays in {}, not {}", organization.currency, new.tariff.currency);
                return Err(DomainError::invalid(WHAT, "organization_id", message));
            }
            continue;
        }
        let stored = || DomainError::Stored { what: "organization", id: id.to_string() };
        let month = month_of(within, &organization.time_zone).ok_or_else(stored)?;
        let by_tariff = trips_of(conn, (&id, month), &mut trips_left).await?;
        let all: Vec<TripUsage> = by_tariff.values().flatten().copied().collect();
        if all.is_empty() {
            continue;
        }
        let mut current_minor = 0;
        for ((tariff_id, version), trips) in &by_tariff {
            let terms = tariffs::get(conn, tariff_id, Some(*version)).await?.terms;
            current_minor += rating::rate_all(&terms, trips)?;
        }
        let preview_minor = rating::rate_all(&new.tariff, &all)?;
        customers.push(CustomerPreview {
            organization_id: id,
            organization_name: organization.name,
            trip_count: i64::try_from(all.len()).unwrap_or(i64::MAX),
            current_minor,
            preview_minor,
            difference_minor: preview_minor - current_minor,
        });
    }
    customers.sort_by(|a, b| a.organization_name.cmp(&b.organization_name));
    let current_minor = customers.iter().map(|c| c.current_minor).sum::<i64>();
    let preview_minor = customers.iter().map(|c| c.preview_minor).sum::<i64>();
    Ok(Preview {
        month: within.to_string().chars().take(7).collect(),
        currency: new.tariff.currency.clone(),
        customers,
        current_minor,
        preview_minor,
        difference_minor: preview_minor - current_minor,
    })
}

/// A time well within the month asked for, in any zone.
fn month_asked(now: Timestamp, month: Option<&str>) -> Result<Timestamp, DomainError> {
    let wrong = || DomainError::invalid("the preview", "month", "must be a month such as \"2026-10\"");
    let text = match month {
        Some(text) if text.len() == 7 => text.to_owned(),
        Some(_) => return Err(wrong()),
        None => {
            let before = month_of(now, "UTC").ok_or_else(wrong)?.0.plus_us(-1);
            before.to_string().chars().take(7).collect()
        }
    };
    Timestamp::parse(&format!("{text}-15T12:00:00Z")).map_err(|_| wrong())
}

type ByTariff = BTreeMap<(TariffId, i64), Vec<TripUsage>>;

async fn trips_of(
    conn: &mut Conn,
    (id, (start, end)): (&OrganizationId, (Timestamp, Timestamp)),
    trips_left: &mut usize,
) -> Result<ByTariff, DomainError> {
    let (mut found, mut after) = (ByTariff::new(), String::new());
    loop {
        let rated = store::rated_trips(conn, (id, (start, end)), (&after, TRIPS_READ_MAX)).await?;
        let Some((last, _)) = rated.last() else { return Ok(found) };
        after = last.id.to_string();
        for (trip, assignment) in &rated {
            let is_within =
                trip.status == TripState::Completed && trip.end_time >= start && trip.end_time < end;
            if !is_within {
                continue;
            }
            *trips_left = trips_left.checked_sub(1).ok_or_else(|| {
                let message = format!("is needed: there are over {TRIP_COUNT_MAX} trips in that month");
                DomainError::invalid("the preview", "organization_id", message)
            })?;
            let key = (assignment.tariff_id.clone(), assignment.tariff_version);
            found.entry(key).or_default().push(evidence::usage_of(trip));
        }
    }
}
