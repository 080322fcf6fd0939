//! The month's share of each trip, for tariffs with tiers.
//!
//! A tier is reached by the trips of a month together, so a trip costs what it changes: the
//! month's price with it, less what the month's other trips were charged. However trips come, are
//! revised or taken back, the charges of a month always sum to the price of its whole quantity.
//! A trip stays in the month it was first rated in.

use std::collections::BTreeMap;

use wire::time::Timestamp;

use super::{
    invoicing::month_of,
    rating::{MonthFigures, MonthRest, RatedComponent},
    store,
    tariff::{ComponentType, Tariff},
};
use crate::{db::Conn, fault::DomainError, ids::TripId, trips::types::Trip, users::types::Organization};

/// Which month, of whom and by which tariff.
#[derive(Debug, Clone)]
pub(super) struct MonthKey {
    pub(super) organization_id: String,
    pub(super) period_start: Timestamp,
    pub(super) tariff_id: String,
    pub(super) tariff_version: i64,
}

/// A trip in its month.
#[derive(Debug)]
pub(super) struct TripInMonth {
    key: MonthKey,
    trip_id: TripId,
    /// All trips of the month together, by component.
    whole: BTreeMap<ComponentType, MonthFigures>,
    /// Of it, this trip.
    own: BTreeMap<ComponentType, MonthFigures>,
}

impl TripInMonth {
    /// Reads them; `None` when the tariff has no tiers.
    pub(super) async fn read(
        conn: &mut Conn,
        (trip, organization): (&Trip, &Organization),
        tariff: &Tariff,
    ) -> Result<Option<Self>, DomainError> {
        if !tariff.terms.has_tiers() {
            return Ok(None);
        }
        let (kept, own) = store::month_of_trip(conn, &trip.id).await?;
        let stored = || DomainError::Stored { what: "organization", id: organization.id.to_string() };
        let period_start = match kept {
            Some(period_start) => period_start,
            None => month_of(trip.end_time, &organization.time_zone).ok_or_else(stored)?.0,
        };
        let key = MonthKey {
            organization_id: organization.id.to_string(),
            period_start,
            tariff_id: tariff.id.to_string(),
            tariff_version: tariff.version,
        };
        let whole = store::month_figures(conn, &key).await?;
        Ok(Some(Self { key, trip_id: trip.id.clone(), whole, own }))
    }

    /// The month without this trip.
    pub(super) fn rest(&self) -> MonthRest {
        let less = |(component, whole): (&ComponentType, &MonthFigures)| {
            let own = self.own.get(component).copied().unwrap_or_default();
            let rest = MonthFigures {
                base: whole.base - own.base,
                amount_minor: whole.amount_minor - own.amount_minor,
            };
            (*component, rest)
        };
        self.whole.iter().map(less).collect()
    }

    /// Stores what the trip was charged, in its month.
    pub(super) async fn save(&self, conn: &mut Conn, rated: &[RatedComponent]) -> Result<(), DomainError> {
        let mut now: BTreeMap<ComponentType, MonthFigures> = BTreeMap::new();
        for part in rated {
            if let Some(share) = &part.month {
                let figures = MonthFigures { base: share.base, amount_minor: part.amount_minor };
                now.insert(part.component, figures);
            }
        }
        let components: std::collections::BTreeSet<ComponentType> =
            self.own.keys().chain(now.keys()).copied().collect();
        for component in components {
            let own = now.get(&component).copied().unwrap_or_default();
            let before = self.own.get(&component).copied().unwrap_or_default();
            if own == before {
                continue;
            }
            let whole = self.whole.get(&component).copied().unwrap_or_default();
            let next = MonthFigures {
                base: whole.base + own.base - before.base,
                amount_minor: whole.amount_minor + own.amount_minor - before.amount_minor,
            };
            store::save_month(conn, (&self.key, component), (whole, next)).await?;
            store::save_month_of_trip(conn, (&self.trip_id, component), (&self.key, own)).await?;
        }
        Ok(())
    }
}
