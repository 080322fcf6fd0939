//! Rating: what a trip costs by a tariff. Pure, and the only place where money is rounded: once a
//! line and once a tax, half up to the currency's minor unit.
//!
//! A component with tiers is priced by the month: the trip costs the price of the month's quantity
//! with it, less what the month's other trips were charged ([`MonthRest`]).

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::{
    tariff::{ComponentType, PriceComponent, Restrictions, TariffTerms, minute_of_day},
    tiers::Tiers,
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
    /// Energy used, 0 where the trip has none.
    pub energy_wh: i64,
    /// Start, for restrictions by time of day.
    pub start_time: Timestamp,
}

/// A quantity of a month and what was charged for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MonthFigures {
    /// In m, s or Wh.
    pub base: i64,
    /// Charged for it.
    pub amount_minor: i64,
}

/// A month without the trip that is rated, by component.
pub type MonthRest = BTreeMap<ComponentType, MonthFigures>;

/// A trip's part of a month, by which its line was rated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MonthShare {
    /// The trip's quantity in m, s or Wh, after steps.
    pub base: i64,
    /// The month's other trips.
    pub rest: MonthFigures,
}

/// What one component costs for one trip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RatedComponent {
    /// Which.
    pub component: ComponentType,
    /// How much of `unit`, after steps.
    pub quantity: Decimal,
    /// `trip`, `km`, `h` or `kWh`.
    pub unit: &'static str,
    /// For one unit; of tiers, what a unit of this trip came to.
    pub unit_price: Decimal,
    /// Rounded amount without tax.
    pub amount_minor: i64,
    /// Where the tariff has tiers for it.
    pub month: Option<MonthShare>,
}

impl RatedComponent {
    /// A component that costs nothing any more.
    pub(crate) fn nothing_of(component: ComponentType, unit_price: Decimal) -> Self {
        let unit = component.unit();
        Self { component, quantity: Decimal::ZERO, unit, unit_price, amount_minor: 0, month: None }
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

/// The types a tariff may price, in the order of lines.
const PRICED: [ComponentType; 5] = [
    ComponentType::Flat,
    ComponentType::Distance,
    ComponentType::Time,
    ComponentType::Idle,
    ComponentType::Energy,
];

/// What a trip costs, a component at a time; components without quantity or price are left out.
pub fn rate(
    terms: &TariffTerms,
    usage: &TripUsage,
    rest: &MonthRest,
) -> Result<Vec<RatedComponent>, RatingError> {
    for (what, value) in [
        ("distance_m", usage.distance_m),
        ("duration_s", usage.duration_s),
        ("idle_s", usage.idle_s),
        ("energy_wh", usage.energy_wh),
    ] {
        if !(0..=QUANTITY_MAX).contains(&value) {
            return Err(RatingError::OutOfBounds { what, value });
        }
    }
    let exponent = minor_exponent(terms)?;
    let (mut by_trip, mut by_month) = (Vec::new(), Vec::new());
    for kind in PRICED {
        let part = applicable(terms, usage, kind)?;
        if let Some(tiers) = tiers_of(terms, kind) {
            let base = part.map_or(0, |p| stepped(quantity_of(kind, usage), p.step_size));
            by_month.extend(share_of_month(tiers, (kind, base), (rest, exponent))?);
        } else if let Some(part) = part {
            let component = rate_component(part, usage, exponent)?;
            if !component.quantity.is_zero() && !component.unit_price.is_zero() {
                by_trip.push(component);
            }
        }
    }
    let bound = bound(terms, &by_trip, exponent)?;
    by_trip.extend(by_month);
    by_trip.sort_by_key(|r| r.component);
    by_trip.extend(bound);
    Ok(by_trip)
}

/// What is left of a trip that did not take place: what tiers make of the month without it.
pub fn rate_withdrawn(terms: &TariffTerms, rest: &MonthRest) -> Result<Vec<RatedComponent>, RatingError> {
    let exponent = minor_exponent(terms)?;
    let mut rated = Vec::new();
    for kind in PRICED {
        if let Some(tiers) = tiers_of(terms, kind) {
            rated.extend(share_of_month(tiers, (kind, 0), (rest, exponent))?);
        }
    }
    Ok(rated)
}

/// What trips cost together that are rated one after the other, without tax.
pub fn rate_all(terms: &TariffTerms, trips: &[TripUsage]) -> Result<i64, RatingError> {
    let mut rest = MonthRest::new();
    let mut total_minor = 0_i64;
    for usage in trips {
        for part in rate(terms, usage, &rest)? {
            let sum = total_minor.checked_add(part.amount_minor);
            total_minor = sum.ok_or(RatingError::Overflow("month"))?;
            if let Some(share) = part.month {
                let month = rest.entry(part.component).or_default();
                month.base += share.base;
                month.amount_minor += part.amount_minor;
            }
        }
    }
    Ok(total_minor)
}

/// The tiers of a type, of which a tariff has at most one set.
fn tiers_of(terms: &TariffTerms, kind: ComponentType) -> Option<&Tiers> {
    let parts = terms.elements.iter().flat_map(|e| &e.components);
    parts.filter(|c| c.component == kind).find_map(|c| c.tiers.as_ref())
}

fn quantity_of(kind: ComponentType, usage: &TripUsage) -> i64 {
    match kind {
        ComponentType::Flat => 1,
        ComponentType::Distance => usage.distance_m,
        ComponentType::Time => usage.duration_s,
        ComponentType::Idle => usage.idle_s,
        ComponentType::Energy => usage.energy_wh,
        ComponentType::Minimum | ComponentType::Maximum => 0,
    }
}

fn share_of_month(
    tiers: &Tiers,
    (component, base): (ComponentType, i64),
    (rest, exponent): (&MonthRest, u32),
) -> Result<Option<RatedComponent>, RatingError> {
    let name = component.as_str();
    let rest = rest.get(&component).copied().unwrap_or_default();
    let whole = rest.base.checked_add(base).ok_or(RatingError::Overflow(name))?;
    let price = tiers.price_of(whole, component.per_unit());
    let scaled = price.and_then(|p| p.checked_mul(minor_units(exponent)));
    let whole_minor = rounded(scaled.ok_or(RatingError::Overflow(name))?, name)?;
    let amount_minor = whole_minor - rest.amount_minor;
    if base == 0 && amount_minor == 0 {
        return Ok(None);
    }
    let quantity = Decimal::from(base) / Decimal::from(component.per_unit());
    let amount = Decimal::new(amount_minor, exponent);
    let unit_price = amount.checked_div(quantity).unwrap_or(amount);
    Ok(Some(RatedComponent {
        component,
        quantity: quantity.round_dp_with_strategy(QUANTITY_SCALE, HALF_UP).normalize(),
        unit: component.unit(),
        unit_price: unit_price.round_dp_with_strategy(QUANTITY_SCALE, HALF_UP).normalize(),
        amount_minor,
        month: Some(MonthShare { base, rest }),
    }))
}

/// Tax on an amount, half up.
pub fn tax_minor(amount_minor: i64, tax_percent: Decimal) -> Result<i64, RatingError> {
    percent_of(amount_minor, tax_percent, "tax")
}

/// So many percent of an amount, half up.
pub(crate) fn percent_of(
    amount_minor: i64,
    percent: Decimal,
    what: &'static str,
) -> Result<i64, RatingError> {
    let part = Decimal::from(amount_minor).checked_mul(percent).ok_or(RatingError::Overflow(what))?;
    rounded(part / Decimal::ONE_HUNDRED, what)
}

/// Of a part of a whole, the same share as the whole has: of what is owed of a price, its tax. Half up.
pub(crate) fn share_of(part_minor: i64, (share_minor, whole_minor): (i64, i64)) -> Result<i64, RatingError> {
    if part_minor == whole_minor {
        return Ok(share_minor);
    }
    let scaled = Decimal::from(part_minor).checked_mul(Decimal::from(share_minor));
    let share = scaled.and_then(|s| s.checked_div(Decimal::from(whole_minor)));
    rounded(share.ok_or(RatingError::Overflow("share"))?, "share")
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
            && applies(&element.restrictions, (usage, terms.time_zone.as_deref()))?
        {
            return Ok(Some(part));
        }
    }
    Ok(None)
}

fn applies(
    restrictions: &Restrictions,
    (usage, zone): (&TripUsage, Option<&str>),
) -> Result<bool, RatingError> {
    let within = |least: Option<i64>, most: Option<i64>, value: i64| {
        least.is_none_or(|l| value >= l) && most.is_none_or(|m| value < m)
    };
    if !within(restrictions.min_distance_m, restrictions.max_distance_m, usage.distance_m)
        || !within(restrictions.min_duration_s, restrictions.max_duration_s, usage.duration_s)
    {
        return Ok(false);
    }
    let bounds = (restrictions.start_time.as_deref(), restrictions.end_time.as_deref());
    let window = match bounds {
        (Some(from), Some(to)) => minute_of_day(from).zip(minute_of_day(to)),
        _ => None,
    };
    let days = &restrictions.day_of_week;
    if window.is_none() && days.is_empty() {
        return Ok(true);
    }
    let zone = restrictions.time_zone.as_deref().or(zone).unwrap_or("UTC");
    let (day, minute) = local_day_and_minute(usage.start_time, zone)?;
    let is_day = days.is_empty() || days.iter().any(|d| d.number() == day);
    let is_time = window.is_none_or(|(from, to)| {
        if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to }
    });
    Ok(is_day && is_time)
}

/// The day of the week, 1 (Monday) to 7, and the minute of the day.
fn local_day_and_minute(time: Timestamp, zone_name: &str) -> Result<(i8, i64), RatingError> {
    let unknown = || RatingError::TimeZone(zone_name.to_owned());
    let zone = TimeZone::get(zone_name).map_err(|_| unknown())?;
    let moment = jiff::Timestamp::from_microsecond(time.0)
        .map_err(|_| RatingError::OutOfBounds { what: "start_time", value: time.0 })?;
    let local = moment.to_zoned_datetime(zone);
    let minute = i64::from(local.hour()) * 60 + i64::from(local.minute());
    Ok((local.weekday().to_monday_one_offset(), minute))
}

fn rate_component(
    part: &PriceComponent,
    usage: &TripUsage,
    exponent: u32,
) -> Result<RatedComponent, RatingError> {
    // Metres a km, seconds an hour, watt hours a kWh: amounts are made from whole ones, so that no quotient that
    // does not end is rounded before the end.
    let (kind, name) = (part.component, part.component.as_str());
    let base = match kind {
        ComponentType::Flat => 1,
        _ => stepped(quantity_of(kind, usage), part.step_size),
    };
    let (base, per_unit) = (Decimal::from(base), Decimal::from(kind.per_unit()));
    let scaled = base.checked_mul(part.price).and_then(|p| p.checked_mul(minor_units(exponent)));
    let amount = scaled.ok_or(RatingError::Overflow(name))? / per_unit;
    Ok(RatedComponent {
        component: part.component,
        quantity: (base / per_unit).round_dp_with_strategy(QUANTITY_SCALE, HALF_UP).normalize(),
        unit: kind.unit(),
        unit_price: part.price.normalize(),
        amount_minor: rounded(amount, name)?,
        month: None,
    })
}

/// Up to the next multiple of `step`.
fn stepped(value: i64, step: i64) -> i64 {
    let step = step.max(1);
    (value + step - 1) / step * step
}

/// What of the components by trip is missing to the least price, or over the highest.
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
        month: None,
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
