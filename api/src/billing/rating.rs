//! Rating: what a trip costs by a tariff. Pure, and the only place where money is rounded: once a
//! line and once a tax, half up to the currency's minor unit.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use wire::time::Timestamp;

use super::{
    tariff::{ComponentType, PriceComponent, Restrictions, TariffTerms, minute_of_day},
    types::TaxLine,
};

/// Decimals of a shown quantity.
const QUANTITY_SCALE: u32 = 6;
/// Longest distance or duration rated: a million km, 30 years; beyond it something is wrong.
const QUANTITY_MAX: i64 = 1_000_000_000;

/// What of a trip is billed. Whole metres and seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TripUsage {
    /// Distance.
    pub distance_m: i64,
    /// From start to end.
    pub duration_s: i64,
    /// Of it, idling.
    pub idle_s: i64,
    /// Start, for restrictions by time of day.
    pub start_time: Timestamp,
}

/// What one component costs for one trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedComponent {
    /// Which.
    pub component: ComponentType,
    /// How much of `unit`, after steps.
    pub quantity: Decimal,
    /// `trip`, `km` or `h`.
    pub unit: &'static str,
    /// For one unit.
    pub unit_price: Decimal,
    /// Rounded amount without tax.
    pub amount_minor: i64,
}

impl RatedComponent {
    /// A component that costs nothing any more.
    pub(crate) fn nothing_of(component: ComponentType, unit_price: Decimal) -> Self {
        let unit = component.unit();
        Self { component, quantity: Decimal::ZERO, unit, unit_price, amount_minor: 0 }
    }
}

/// Why a trip cannot be rated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    /// A figure out of every proportion.
    #[error("{what} of {value} is out of bounds")]
    OutOfBounds {
        /// Which figure.
        what: &'static str,
        /// Its value.
        value: i64,
    },
    /// An amount that does not fit.
    #[error("the amount of {0} does not fit")]
    Overflow(&'static str),
    /// A currency without minor units, in a stored tariff.
    #[error("currency {0:?} cannot be billed in")]
    Currency(String),
    /// A time zone that is not known any more.
    #[error("time zone {0:?} is not known")]
    TimeZone(String),
}

/// What a trip costs, a component at a time; components without quantity or price are left out.
pub fn rate(terms: &TariffTerms, usage: &TripUsage) -> Result<Vec<RatedComponent>, RatingError> {
    for (what, value) in
        [("distance_m", usage.distance_m), ("duration_s", usage.duration_s), ("idle_s", usage.idle_s)]
    {
        if !(0..=QUANTITY_MAX).contains(&value) {
            return Err(RatingError::OutOfBounds { what, value });
        }
    }
    let exponent = minor_exponent(terms)?;
    let mut rated = Vec::new();
    for kind in [ComponentType::Flat, ComponentType::Distance, ComponentType::Time, ComponentType::Idle] {
        let Some(part) = applicable(terms, usage, kind)? else { continue };
        let component = rate_component(part, usage, exponent)?;
        if !component.quantity.is_zero() && !component.unit_price.is_zero() {
            rated.push(component);
        }
    }
    rated.extend(bound(terms, &rated, exponent)?);
    Ok(rated)
}

/// Tax on an amount, half up.
pub fn tax_minor(amount_minor: i64, tax_percent: Decimal) -> Result<i64, RatingError> {
    let tax = Decimal::from(amount_minor).checked_mul(tax_percent).ok_or(RatingError::Overflow("tax"))?;
    rounded(tax / Decimal::ONE_HUNDRED, "tax")
}

/// Tax by rate, of amounts with their rates: summed first, rounded once a rate.
pub fn taxes(amounts: impl Iterator<Item = (Decimal, i64)>) -> Result<Vec<TaxLine>, RatingError> {
    let mut sums: BTreeMap<Decimal, i64> = BTreeMap::new();
    for (tax_percent, amount_minor) in amounts {
        *sums.entry(tax_percent.normalize()).or_default() += amount_minor;
    }
    let line = |(tax_percent, taxable_minor)| {
        let tax_minor = tax_minor(taxable_minor, tax_percent)?;
        Ok(TaxLine { tax_percent, taxable_minor, tax_minor })
    };
    sums.into_iter().map(line).collect()
}

/// Digits after the point of the tariff's currency.
fn minor_exponent(terms: &TariffTerms) -> Result<u32, RatingError> {
    let exponent = terms.currency().and_then(|c| c.exponent());
    exponent.map(u32::from).ok_or_else(|| RatingError::Currency(terms.currency.clone()))
}

/// The component of a kind in the first element that applies and has one.
fn applicable<'t>(
    terms: &'t TariffTerms,
    usage: &TripUsage,
    kind: ComponentType,
) -> Result<Option<&'t PriceComponent>, RatingError> {
    for element in &terms.elements {
        if let Some(part) = element.components.iter().find(|c| c.component == kind)
            && applies(&element.restrictions, usage)?
        {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

fn applies(restrictions: &Restrictions, usage: &TripUsage) -> Result<bool, RatingError> {
    let within = |least: Option<i64>, most: Option<i64>, value: i64| {
        least.is_none_or(|l| value >= l) && most.is_none_or(|m| value < m)
    };
    if !within(restrictions.min_distance_m, restrictions.max_distance_m, usage.distance_m)
        || !within(restrictions.min_duration_s, restrictions.max_duration_s, usage.duration_s)
    {
        return Ok(false);
    }
    let bounds = (restrictions.start_time.as_deref(), restrictions.end_time.as_deref());
    let (Some(from), Some(to)) = bounds else { return Ok(true) };
    let (Some(from), Some(to)) = (minute_of_day(from), minute_of_day(to)) else { return Ok(true) };
    let minute = local_minute(usage.start_time, restrictions.time_zone.as_deref().unwrap_or("UTC"))?;
    Ok(if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to })
}

fn local_minute(time: Timestamp, zone_name: &str) -> Result<i64, RatingError> {
    let unknown = || RatingError::TimeZone(zone_name.to_owned());
    let zone = TimeZone::get(zone_name).map_err(|_| unknown())?;
    let moment = jiff::Timestamp::from_microsecond(time.0)
        .map_err(|_| RatingError::OutOfBounds { what: "start_time", value: time.0 })?;
    let local = moment.to_zoned_datetime(zone);
    Ok(i64::from(local.hour()) * 60 + i64::from(local.minute()))
}

fn rate_component(
    part: &PriceComponent,
    usage: &TripUsage,
    exponent: u32,
) -> Result<RatedComponent, RatingError> {
    // Metres a km, seconds an hour: amounts are made from whole ones, so that no quotient that
    // does not end is rounded before the end.
    let (base, per_unit, unit, name) = match part.component {
        ComponentType::Flat => (1, 1, "trip", "FLAT"),
        ComponentType::Distance => (stepped(usage.distance_m, part.step_size), 1_000, "km", "DISTANCE"),
        ComponentType::Time => (stepped(usage.duration_s, part.step_size), 3_600, "h", "TIME"),
        ComponentType::Idle => (stepped(usage.idle_s, part.step_size), 3_600, "h", "IDLE"),
        ComponentType::Minimum | ComponentType::Maximum => (0, 1, "trip", "MINIMUM"),
    };
    let (base, per_unit) = (Decimal::from(base), Decimal::from(per_unit));
    let scaled = base.checked_mul(part.price).and_then(|p| p.checked_mul(minor_units(exponent)));
    let amount = scaled.ok_or(RatingError::Overflow(name))? / per_unit;
    Ok(RatedComponent {
        component: part.component,
        quantity: (base / per_unit).round_dp_with_strategy(QUANTITY_SCALE, HALF_UP).normalize(),
        unit,
        unit_price: part.price.normalize(),
        amount_minor: rounded(amount, name)?,
    })
}

/// Up to the next multiple of `step`.
fn stepped(value: i64, step: i64) -> i64 {
    let step = step.max(1);
    (value + step - 1) / step * step
}

/// What is missing to the least price, or over the highest.
fn bound(
    terms: &TariffTerms,
    rated: &[RatedComponent],
    exponent: u32,
) -> Result<Option<RatedComponent>, RatingError> {
    let sum: i64 = rated.iter().map(|r| r.amount_minor).sum();
    let to_minor = |price: Decimal| {
        let scaled = price.checked_mul(minor_units(exponent)).ok_or(RatingError::Overflow("price bound"))?;
        rounded(scaled, "price bound")
    };
    let least = terms.min_price.map(to_minor).transpose()?;
    let most = terms.max_price.map(to_minor).transpose()?;
    let (component, target) = match (least, most) {
        (Some(least), _) if sum < least => (ComponentType::Minimum, least),
        (_, Some(most)) if sum > most => (ComponentType::Maximum, most),
        _ => return Ok(None),
    };
    let amount_minor = target - sum;
    Ok(Some(RatedComponent {
        component,
        quantity: Decimal::ONE,
        unit: "trip",
        unit_price: Decimal::new(amount_minor, exponent),
        amount_minor,
    }))
}

const HALF_UP: RoundingStrategy = RoundingStrategy::MidpointAwayFromZero;

fn minor_units(exponent: u32) -> Decimal {
    Decimal::from(10_i64.pow(exponent.min(6)))
}

fn rounded(amount: Decimal, what: &'static str) -> Result<i64, RatingError> {
    amount.round_dp_with_strategy(0, HALF_UP).to_i64().ok_or(RatingError::Overflow(what))
}

#[cfg(test)]
mod tests;
