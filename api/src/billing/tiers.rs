//! Tiers: what a quantity costs over a period. Pure.
//!
//! Quantities are whole base units (m, s, Wh); tiers are written in the component's unit (km, h,
//! kWh). Sums are exact: the one division is the last step, the one rounding is the caller's.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tariff::check_price;
use crate::fault::Faults;

/// Most tiers of a component.
const TIER_COUNT_MAX: usize = 20;
/// Highest bound of a tier, in units.
const UP_TO_MAX: i64 = 1_000_000;

/// How a quantity of a calendar month is priced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tiers {
    /// Each part of the quantity at the price of the tier it lies in.
    Graduated {
        /// From the lowest on; the last has no `up_to`.
        steps: Vec<Tier>,
    },
    /// The whole quantity at the price of the tier it reaches.
    Volume {
        /// From the lowest on; the last has no `up_to`.
        steps: Vec<Tier>,
    },
    /// Whole packages, the last one however little is used of it.
    Package {
        /// Units in a package.
        #[schema(value_type = String, example = "100")]
        size: Decimal,
        /// Of a package.
        #[schema(value_type = String, example = "25.00")]
        price: Decimal,
    },
}

/// One tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Up to and with so many units; the last tier has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "1000")]
    pub up_to: Option<Decimal>,
    /// Of a unit.
    #[schema(value_type = String, example = "0.25")]
    pub price: Decimal,
    /// Once, when anything of this tier is used.
    #[serde(default)]
    #[schema(value_type = String, example = "0")]
    pub flat_price: Decimal,
}

impl Tiers {
    /// What `base` base units cost, of which a unit has `per_unit`; `None` when it does not fit.
    pub fn price_of(&self, base: i64, per_unit: i64) -> Option<Decimal> {
        if base <= 0 {
            return Some(Decimal::ZERO);
        }
        let (base, per_unit) = (Decimal::from(base), Decimal::from(per_unit));
        match self {
            Self::Graduated { steps } => graduated(steps, base, per_unit),
            Self::Volume { steps } => {
                let reaches = |t: &&Tier| t.up_to.is_none_or(|u| base <= u * per_unit);
                let tier = steps.iter().find(reaches)?;
                base.checked_mul(tier.price)?.checked_div(per_unit)?.checked_add(tier.flat_price)
            }
            Self::Package { size, price } => {
                let packages = base.checked_div(size.checked_mul(per_unit)?)?.ceil();
                packages.checked_mul(*price)
            }
        }
    }

    /// Everything wrong with them.
    pub(super) fn check(&self, place: &str, per_unit: i64, faults: &mut Faults) {
        match self {
            Self::Graduated { steps } | Self::Volume { steps } => check_steps(steps, place, per_unit, faults),
            Self::Package { size, price } => {
                faults.require(
                    is_bound(*size, per_unit),
                    &format!("{place}.size"),
                    "must be above 0, at most 1000000, and whole metres, seconds or watt hours",
                );
                check_price(Some(*price), &format!("{place}.price"), faults);
            }
        }
    }
}

fn graduated(steps: &[Tier], base: Decimal, per_unit: Decimal) -> Option<Decimal> {
    let (mut scaled, mut flat, mut from) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for tier in steps {
        if base <= from {
            break;
        }
        let to = tier.up_to.map_or(base, |u| base.min(u * per_unit));
        scaled = scaled.checked_add((to - from).checked_mul(tier.price)?)?;
        flat = flat.checked_add(tier.flat_price)?;
        from = to;
    }
    scaled.checked_div(per_unit)?.checked_add(flat)
}

fn is_bound(units: Decimal, per_unit: i64) -> bool {
    units > Decimal::ZERO
        && units <= Decimal::from(UP_TO_MAX)
        && units.checked_mul(Decimal::from(per_unit)).is_some_and(|b| b.fract().is_zero())
}

fn check_steps(steps: &[Tier], place: &str, per_unit: i64, faults: &mut Faults) {
    let count = steps.len();
    faults.require(
        (1..=TIER_COUNT_MAX).contains(&count),
        &format!("{place}.steps"),
        "must have 1 to 20 tiers",
    );
    let mut below = Decimal::ZERO;
    for (index, tier) in steps.iter().enumerate() {
        let at = format!("{place}.steps[{index}]");
        check_price(Some(tier.price), &format!("{at}.price"), faults);
        check_price(Some(tier.flat_price), &format!("{at}.flat_price"), faults);
        match tier.up_to {
            None if index + 1 < count => faults.add(format!("{at}.up_to"), "only the last tier is open"),
            Some(_) if index + 1 == count => {
                faults
                    .add(format!("{at}.up_to"), "the last tier must have none, or more would have no price");
            }
            Some(up_to) => {
                faults.require(
                    up_to > below && is_bound(up_to, per_unit),
                    &format!("{at}.up_to"),
                    "must be above the tier before, at most 1000000, and whole metres, seconds or watt hours",
                );
                below = up_to;
            }
            None => {}
        }
    }
}
