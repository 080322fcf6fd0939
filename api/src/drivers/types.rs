//! Drivers as clients see them.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{ids::VehicleId, time::Timestamp};

use crate::{
    extract::given,
    fault::Faults,
    ids::{DriverId, OrganizationId, RegistryId, UserId},
};

const CLASSES_MAX: usize = 20;
const CLASS_LEN_MAX: usize = 10;

/// Somebody who drives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Driver {
    /// `drv_…`
    #[schema(value_type = String)]
    pub id: DriverId,
    /// Whose vehicles they drive; null for those that are nobody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Shown name.
    #[schema(example = "Ana Lund")]
    pub name: String,
    /// By which their employer knows them; unique in the organization.
    #[schema(example = "4711")]
    pub employee_number: Option<String>,
    /// The person who signs in as this driver.
    #[schema(value_type = Option<String>)]
    pub user_id: Option<UserId>,
    /// Of their driving licence.
    pub licence_number: Option<String>,
    /// What it is for.
    #[schema(example = json!(["B", "CE"]))]
    pub licence_classes: Vec<String>,
    /// The last day on which it is good.
    #[schema(value_type = Option<String>, format = Date, example = "2027-01-31")]
    pub licence_valid_until: Option<String>,
    /// Where they are reached.
    #[schema(example = "+45 12 34 56 78")]
    pub phone: Option<String>,
    /// Whether they drive.
    pub status: DriverStatus,
    /// The vehicle they have now.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub vehicle_id: Option<RegistryId>,
    /// Its telemetry id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub vehicle_name: Option<VehicleId>,
    /// Rises with each change of the driver; also the ETag.
    pub version: i64,
    /// When they were registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When they were changed last.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
}

/// Whether a driver drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DriverStatus {
    /// They do.
    Active,
    /// No more; what they drove stays theirs.
    Left,
}

impl DriverStatus {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Left => "left",
        }
    }
}

impl std::str::FromStr for DriverStatus {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Active, Self::Left].into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

/// A driver to register.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDriver {
    /// Shown name, 1 to 120 characters.
    #[schema(example = "Ana Lund")]
    pub name: String,
    /// Unique in the organization, at most 40 characters.
    #[serde(default)]
    pub employee_number: Option<String>,
    /// The person who signs in as this driver, of the same organization; one driver a person.
    #[serde(default)]
    pub user_id: Option<String>,
    /// Of their driving licence, at most 40 characters.
    #[serde(default)]
    pub licence_number: Option<String>,
    /// What it is for: at most 20, kept in capitals.
    #[serde(default)]
    #[schema(example = json!(["B", "CE"]))]
    pub licence_classes: Vec<String>,
    /// The last day on which it is good.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date, example = "2027-01-31")]
    pub licence_valid_until: Option<String>,
    /// Digits, and what people write between them.
    #[serde(default)]
    #[schema(example = "+45 12 34 56 78")]
    pub phone: Option<String>,
    /// Whose; the caller's own organization when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a driver; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DriverPatch {
    /// Shown name.
    #[serde(default)]
    pub name: Option<String>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub employee_number: Option<Option<String>>,
    /// Null for nobody.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub user_id: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub licence_number: Option<Option<String>>,
    /// All of them.
    #[serde(default)]
    pub licence_classes: Option<Vec<String>>,
    /// Null when it is not known.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = Date)]
    pub licence_valid_until: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub phone: Option<Option<String>>,
    /// `left` ends the time with the vehicle they have, and takes back what was to come; `active` lets them drive again.
    #[serde(default)]
    pub status: Option<DriverStatus>,
}

/// Which drivers to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct DriverQuery {
    /// Part of the name or employee number, in any case.
    pub q: Option<String>,
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// Only those of this status.
    #[param(inline)]
    pub status: Option<DriverStatus>,
    /// Only who drives this vehicle now, `veh_…` or telemetry id.
    pub vehicle_id: Option<String>,
    /// Only those whose licence is good until a day before this one, such as `2027-01-31`.
    pub licence_ends_before: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Classes as they are kept: in capitals, in order, each once.
pub(super) fn checked_classes(classes: Vec<String>, faults: &mut Faults) -> Vec<String> {
    let mut classes: Vec<String> = classes.iter().map(|class| class.trim().to_uppercase()).collect();
    let is_one = |class: &String| {
        (1..=CLASS_LEN_MAX).contains(&class.len())
            && class.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    };
    faults.require(
        classes.len() <= CLASSES_MAX && classes.iter().all(is_one),
        "licence_classes",
        "must be at most 20 of 1 to 10 letters and digits, such as [\"B\", \"CE\"]",
    );
    classes.sort();
    classes.dedup();
    classes
}

/// A day of the calendar as it is kept.
pub(super) fn checked_date(text: Option<String>, field: &str, faults: &mut Faults) -> Option<String> {
    let text = text?;
    let date = text.trim().parse::<jiff::civil::Date>().ok().filter(|date| {
        // A time with the day would be of a zone, which nobody has said.
        text.trim().len() == 10 && (1950..=2200).contains(&date.year())
    });
    if date.is_none() {
        faults.add(field, "must be a day such as \"2027-01-31\", from 1950 to 2200");
    }
    date.map(|date| date.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_days_of_the_calendar_and_nothing_else() {
        let read = |text: &str| {
            let mut faults = Faults::default();
            (checked_date(Some(text.to_owned()), "day", &mut faults), faults.finish("it").is_ok())
        };
        assert_eq!(read(" 2028-02-29 "), (Some("2028-02-29".to_owned()), true));
        for bad in ["2027-02-29", "2027-1-31", "2027-01-31T00:00:00Z", "20270131", "", "1949-12-31", "soon"] {
            assert_eq!(read(bad), (None, false), "{bad}");
        }
    }

    #[test]
    fn classes_are_kept_in_capitals_each_once() {
        let mut faults = Faults::default();
        let kept = checked_classes(vec![" ce ".to_owned(), "B".to_owned(), "CE".to_owned()], &mut faults);
        assert_eq!(kept, ["B", "CE"]);
        assert!(faults.finish("it").is_ok());
        for bad in ["", "\"", "a b", "12345678901"] {
            let mut faults = Faults::default();
            checked_classes(vec![bad.to_owned()], &mut faults);
            assert!(faults.finish("it").is_err(), "{bad}");
        }
    }
}
