//! Tariffs in OCPI's shape: elements of price components with restrictions; versioned.

use iso_currency::Currency;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::time::Timestamp;

use super::tiers::Tiers;
use crate::{
    fault::{DomainError, Faults},
    ids::TariffId,
};

/// Most elements of a tariff.
const ELEMENT_COUNT_MAX: usize = 50;
/// Highest price of a unit: far above any real one, far below what an amount can hold.
const PRICE_MAX: i64 = 1_000_000;
/// Most decimals of a price.
const PRICE_SCALE_MAX: u32 = 6;
/// Longest step: 1000 km, or 11 days.
const STEP_SIZE_MAX: i64 = 1_000_000;

/// What a component bills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ComponentType {
    /// The trip itself.
    Flat,
    /// Its distance, price a km, step in m.
    Distance,
    /// Its duration, price an hour, step in s.
    Time,
    /// Its idling, price an hour, step in s.
    Idle,
    /// Energy an electric drive used, price a kWh, step in Wh; nothing where the trip has none.
    Energy,
    /// On lines only: what is missing to the minimum price.
    Minimum,
    /// On lines only: what is over the maximum price, negative.
    Maximum,
}

impl ComponentType {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flat => "FLAT",
            Self::Distance => "DISTANCE",
            Self::Time => "TIME",
            Self::Idle => "IDLE",
            Self::Energy => "ENERGY",
            Self::Minimum => "MINIMUM",
            Self::Maximum => "MAXIMUM",
        }
    }

    /// By its spelling.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let all =
            [Self::Flat, Self::Distance, Self::Time, Self::Idle, Self::Energy, Self::Minimum, Self::Maximum];
        all.into_iter().find(|c| c.as_str() == text)
    }

    /// Base units (m, s, Wh) in a unit.
    pub(crate) fn per_unit(self) -> i64 {
        match self {
            Self::Distance | Self::Energy => 1_000,
            Self::Time | Self::Idle => 3_600,
            Self::Flat | Self::Minimum | Self::Maximum => 1,
        }
    }

    /// Of what its quantity is.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Distance => "km",
            Self::Time | Self::Idle => "h",
            Self::Energy => "kWh",
            Self::Flat | Self::Minimum | Self::Maximum => "trip",
        }
    }
}

/// One price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceComponent {
    /// `FLAT`, `DISTANCE`, `TIME`, `IDLE` or `ENERGY`.
    #[serde(rename = "type")]
    pub component: ComponentType,
    /// Decimal text: a trip, km, hour or kWh, without tax. Left out where there are tiers.
    #[serde(default)]
    #[schema(value_type = String, example = "0.29")]
    pub price: Decimal,
    /// Quantities are rounded up to a multiple of this: m, s or Wh.
    #[serde(default = "one")]
    pub step_size: i64,
    /// Prices by the quantity of a calendar month, all trips of the organization together. A type
    /// with tiers is in the tariff once, and least and highest price do not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Tiers>,
}

fn one() -> i64 {
    1
}

/// When an element applies; absent fields do not restrict. Lower bounds are included, upper not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Restrictions {
    /// Trips at least so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_distance_m: Option<i64>,
    /// Trips shorter than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_distance_m: Option<i64>,
    /// Trips lasting at least this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_duration_s: Option<i64>,
    /// Trips lasting less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_duration_s: Option<i64>,
    /// Trips that start at or after this local time, `HH:MM`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// Trips that start before this local time; earlier than `start_time` means over midnight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// Trips that start on these local days; any when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub day_of_week: Vec<DayOfWeek>,
    /// IANA zone of those times and days; that of the tariff when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A day, from Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum DayOfWeek {
    /// The first.
    Monday,
    /// The second.
    Tuesday,
    /// The third.
    Wednesday,
    /// The fourth.
    Thursday,
    /// The fifth.
    Friday,
    /// The sixth.
    Saturday,
    /// The seventh.
    Sunday,
}

impl DayOfWeek {
    /// 1 (Monday) to 7.
    pub(super) fn number(self) -> i8 {
        match self {
            Self::Monday => 1,
            Self::Tuesday => 2,
            Self::Wednesday => 3,
            Self::Thursday => 4,
            Self::Friday => 5,
            Self::Saturday => 6,
            Self::Sunday => 7,
        }
    }
}

/// Prices under one set of restrictions. The first element that applies and has a component of a
/// type prices that type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Element {
    /// The prices.
    pub components: Vec<PriceComponent>,
    /// When they apply; always when absent.
    #[serde(default)]
    pub restrictions: Restrictions,
}

/// What a tariff says; a new one, or a new version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TariffTerms {
    /// Shown name, unique.
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// IANA zone of times and days in restrictions; `UTC` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Tax on every line, percent.
    #[schema(value_type = String, example = "25")]
    pub tax_percent: Decimal,
    /// The prices.
    pub elements: Vec<Element>,
    /// Least price of a trip, without tax.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub min_price: Option<Decimal>,
    /// Highest price of a trip, without tax.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub max_price: Option<Decimal>,
    /// Of a booking's price, percent: what is kept of one that is cancelled after its start or never begun; nothing
    /// when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "50")]
    pub booking_kept_percent: Option<Decimal>,
}

/// A version of a tariff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tariff {
    /// `trf_…`, the same in every version.
    #[schema(value_type = String)]
    pub id: TariffId,
    /// From 1; a change makes the next and the old ones stay. Also its ETag.
    pub version: i64,
    /// When this version was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub terms: TariffTerms,
}

/// A local time of day in minutes after midnight.
pub(crate) fn minute_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then_some(());
    two_digits(hours).and(two_digits(minutes))?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

impl TariffTerms {
    /// The currency it is in.
    pub fn currency(&self) -> Option<Currency> {
        Currency::from_code(&self.currency)
    }

    /// Whether anything is priced by the quantity of a month.
    pub(super) fn has_tiers(&self) -> bool {
        self.elements.iter().any(|e| e.components.iter().any(|c| c.tiers.is_some()))
    }

    /// Everything wrong with it.
    pub fn check(&self) -> Result<(), DomainError> {
        let mut faults = Faults::default();
        let name_len = self.name.trim().chars().count();
        faults.require((1..=120).contains(&name_len), "name", "must be 1 to 120 characters");
        faults.require(
            self.currency().is_some_and(|c| c.exponent().is_some()),
            "currency",
            "must be an ISO 4217 code of a currency with minor units, such as \"EUR\"",
        );
        let percent = Decimal::ZERO..=Decimal::ONE_HUNDRED;
        for (name, given) in
            [("tax_percent", Some(self.tax_percent)), ("booking_kept_percent", self.booking_kept_percent)]
        {
            faults.require(
                given.is_none_or(|p| percent.contains(&p) && p.scale() <= 3),
                name,
                "must be 0 to 100 with at most 3 decimals",
            );
        }
        let count = self.elements.len();
        faults.require((1..=ELEMENT_COUNT_MAX).contains(&count), "elements", "must have 1 to 50 elements");
        for (index, element) in self.elements.iter().enumerate() {
            element.check(&format!("elements[{index}]"), &mut faults);
        }
        let zone = self.time_zone.as_deref();
        faults.require(
            zone.is_none_or(is_zone),
            "time_zone",
            "must be an IANA zone such as \"Europe/Copenhagen\"",
        );
        self.check_tiered_once(&mut faults);
        check_price(self.min_price, "min_price", &mut faults);
        check_price(self.max_price, "max_price", &mut faults);
        if let (Some(least), Some(most)) = (self.min_price, self.max_price)
            && least > most
        {
            faults.add("min_price", "must not be above max_price");
        }
        faults.finish("the tariff")
    }

    /// Tiers count a month's trips of one type: were it priced elsewhere too, it would not be clear
    /// which trips they count.
    fn check_tiered_once(&self, faults: &mut Faults) {
        let all: Vec<(usize, usize, &PriceComponent)> = self
            .elements
            .iter()
            .enumerate()
            .flat_map(|(e, element)| element.components.iter().enumerate().map(move |(c, part)| (e, c, part)))
            .collect();
        for (e, c, part) in &all {
            if part.tiers.is_some()
                && all.iter().filter(|(_, _, p)| p.component == part.component).count() > 1
            {
                let at = format!("elements[{e}].components[{c}].tiers");
                faults.add(at, "are the only price of their type; remove the other components of it");
            }
        }
    }
}

fn is_zone(name: &str) -> bool {
    jiff::tz::TimeZone::get(name).is_ok()
}

pub(super) fn check_price(price: Option<Decimal>, field: &str, faults: &mut Faults) {
    let fits = price.is_none_or(|p| {
        !p.is_sign_negative() && p <= Decimal::from(PRICE_MAX) && p.scale() <= PRICE_SCALE_MAX
    });
    faults.require(fits, field, "must be 0 to 1000000 with at most 6 decimals");
}

impl Element {
    fn check(&self, place: &str, faults: &mut Faults) {
        faults.require(
            !self.components.is_empty(),
            &format!("{place}.components"),
            "must have at least one component",
        );
        let mut seen: Vec<ComponentType> = Vec::new();
        for (index, part) in self.components.iter().enumerate() {
            let at = format!("{place}.components[{index}]");
            if matches!(part.component, ComponentType::Minimum | ComponentType::Maximum) {
                faults.add(
                    format!("{at}.type"),
                    "must be FLAT, DISTANCE, TIME, IDLE or ENERGY; use min_price and max_price",
                );
            }
            if seen.contains(&part.component) {
                faults.add(format!("{at}.type"), "is there twice in one element; keep one");
            }
            seen.push(part.component);
            check_price(Some(part.price), &format!("{at}.price"), faults);
            faults.require(
                (1..=STEP_SIZE_MAX).contains(&part.step_size),
                &format!("{at}.step_size"),
                "must be 1 to 1000000 (m, s or Wh)",
            );
            if let Some(tiers) = &part.tiers {
                faults.require(
                    part.price.is_zero(),
                    &format!("{at}.price"),
                    "and tiers exclude each other; keep one",
                );
                faults.require(
                    part.component != ComponentType::Flat,
                    &format!("{at}.tiers"),
                    "are for DISTANCE, TIME, IDLE and ENERGY",
                );
                tiers.check(&format!("{at}.tiers"), part.component.per_unit(), faults);
            }
        }
        self.restrictions.check(&format!("{place}.restrictions"), faults);
    }
}

impl Restrictions {
    fn check(&self, place: &str, faults: &mut Faults) {
        let ranges = [
            ("distance_m", self.min_distance_m, self.max_distance_m),
            ("duration_s", self.min_duration_s, self.max_duration_s),
        ];
        for (name, least, most) in ranges {
            let fits = least.unwrap_or(0) >= 0 && most.is_none_or(|m| m > least.unwrap_or(0));
            faults.require(
                fits,
                &format!("{place}.max_{name}"),
                "must be above the minimum, and both not negative",
            );
        }
        for (name, time) in [("start_time", &self.start_time), ("end_time", &self.end_time)] {
            let fits = time.as_deref().is_none_or(|t| minute_of_day(t).is_some());
            faults.require(fits, &format!("{place}.{name}"), "must be a time of day such as \"07:30\"");
        }
        if self.start_time.is_some() != self.end_time.is_some() {
            faults.add(format!("{place}.start_time"), "and end_time go together; give both or none");
        }
        if let Some(zone) = &self.time_zone
            && !is_zone(zone)
        {
            faults.add(format!("{place}.time_zone"), "must be an IANA zone such as \"Europe/Copenhagen\"");
        }
    }
}
