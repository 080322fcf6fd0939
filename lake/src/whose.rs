//! Some vehicles of a fleet, by name: those of one customer, or a single one.

use std::{fmt, str::FromStr};

use datafusion::prelude::{Expr, col, lit};
use wire::ids::{IdError, VehicleId};

/// Vehicles by their ids: whole ones, and beginnings that end in `*`. Written as in a list,
/// `acme-*,van-7`, where it is never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whose(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Pattern {
    One(VehicleId),
    /// A beginning, which is a vehicle id itself.
    StartsWith(VehicleId),
}

/// Why a text names no vehicles.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} must be a vehicle id, or the beginning of some with * after it")]
pub struct WhoseError(String, #[source] IdError);

impl Whose {
    /// One vehicle.
    pub fn one(vehicle_id: VehicleId) -> Self {
        Self(vec![Pattern::One(vehicle_id)])
    }

    /// These vehicles, which may be none.
    pub fn of(vehicle_ids: impl IntoIterator<Item = VehicleId>) -> Self {
        let mut patterns: Vec<Pattern> = vehicle_ids.into_iter().map(Pattern::One).collect();
        patterns.sort();
        patterns.dedup();
        Self(patterns)
    }

    /// Whether this vehicle is one of them.
    pub fn includes(&self, vehicle_id: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::One(id) => id.as_str() == vehicle_id,
            Pattern::StartsWith(beginning) => vehicle_id.starts_with(beginning.as_str()),
        })
    }

    /// Whether one of them may be between these two, both included.
    pub(crate) fn may_be_within(&self, (first, last): (&str, &str)) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::One(id) => first <= id.as_str() && id.as_str() <= last,
            Pattern::StartsWith(beginning) => {
                let beginning = beginning.as_str();
                beginning <= last && (first <= beginning || first.starts_with(beginning))
            }
        })
    }

    /// The condition on `vehicle_id`. Ids have no character that means something in a pattern.
    pub fn condition(&self) -> Expr {
        let mut whole = Vec::new();
        let mut conditions = Vec::new();
        for pattern in &self.0 {
            match pattern {
                Pattern::One(id) => whole.push(lit(id.as_str())),
                Pattern::StartsWith(beginning) => {
                    conditions.push(col("vehicle_id").like(lit(format!("{}%", beginning.as_str()))));
                }
            }
        }
        match whole.as_slice() {
            [] => {}
            [one] => conditions.push(col("vehicle_id").eq(one.clone())),
            // A fleet of thousands is one list, not a tree as deep.
            _ => conditions.push(col("vehicle_id").in_list(whole, false)),
        }
        conditions.into_iter().reduce(Expr::or).unwrap_or_else(|| lit(false))
    }
}

impl FromStr for Whose {
    type Err = WhoseError;

    fn from_str(text: &str) -> Result<Self, WhoseError> {
        let pattern = |text: &str| {
            let parsed = match text.strip_suffix('*') {
                Some(beginning) => beginning.parse().map(Pattern::StartsWith),
                None => text.parse().map(Pattern::One),
            };
            parsed.map_err(|source| WhoseError(text.to_owned(), source))
        };
        let mut patterns = text.split(',').map(|part| pattern(part.trim())).collect::<Result<Vec<_>, _>>()?;
        // The same vehicles have one name, in whatever order they are written.
        patterns.sort();
        patterns.dedup();
        Ok(Self(patterns))
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pattern) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match pattern {
                Pattern::One(id) => write!(f, "{comma}{id}")?,
                Pattern::StartsWith(beginning) => write!(f, "{comma}{beginning}*")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose(text: &str) -> Whose {
        text.parse().unwrap()
    }

    #[test]
    fn vehicles_are_named_whole_or_by_their_beginning() {
        let acme = whose("van-7, acme-*");
        assert!(acme.includes("acme-1") && acme.includes("acme-") && acme.includes("van-7"));
        assert!(!acme.includes("acme") && !acme.includes("van-70") && !acme.includes("van-"));
        assert_eq!(acme.to_string(), whose("acme-*,van-7,van-7").to_string());
        assert_eq!(whose(&acme.to_string()), acme);
    }

    #[test]
    fn a_list_of_vehicles_may_be_long_or_empty() {
        let fleet = Whose::of((0..5_000).map(|i| format!("van-{i}").parse().unwrap()));
        assert!(fleet.includes("van-4999") && !fleet.includes("van-5000"));
        assert!(fleet.condition().to_string().starts_with("vehicle_id IN ("));
        let nobody = Whose::of([]);
        assert!(!nobody.includes("van-1") && !nobody.may_be_within(("a", "z")));
        assert_eq!(nobody.condition(), lit(false));
    }

    #[test]
    fn what_names_no_vehicle_is_refused() {
        for bad in ["", "*", "a,", "A-*", "a*b", "a%", "a b"] {
            assert!(bad.parse::<Whose>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_file_is_passed_over_only_when_none_of_them_can_be_in_it() {
        let acme = whose("acme-*");
        for (range, may_be) in [
            (("aaa", "zzz"), true),
            (("acme-3", "acme-5"), true),
            (("acme-9", "van-1"), true),
            (("aaa", "acme-"), true),
            (("aaa", "acme"), false),
            (("acmf", "zzz"), false),
        ] {
            assert_eq!(acme.may_be_within(range), may_be, "{range:?}");
        }
        assert!(whose("van-7").may_be_within(("van-1", "van-7")));
        assert!(!whose("van-7").may_be_within(("van-1", "van-6")));
    }
}
