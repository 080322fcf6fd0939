//! What clients see of geofences.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::time::Timestamp;

use crate::{
    ids::{GeofenceId, OrganizationId},
    vehicles::types::FleetItem,
};

/// What a place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeofenceKind {
    /// Where vehicles are at home.
    Depot,
    /// A customer's place.
    Customer,
    /// A place of work, such as a building site.
    Site,
    /// Where vehicles stand.
    Parking,
    /// Where they are charged or fuelled.
    Charging,
    /// Where they are repaired.
    Workshop,
    /// Where they should not be.
    Restricted,
    /// Anything else.
    #[default]
    Other,
}

impl GeofenceKind {
    const ALL: [Self; 8] = [
        Self::Depot,
        Self::Customer,
        Self::Site,
        Self::Parking,
        Self::Charging,
        Self::Workshop,
        Self::Restricted,
        Self::Other,
    ];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Depot => "depot",
            Self::Customer => "customer",
            Self::Site => "site",
            Self::Parking => "parking",
            Self::Charging => "charging",
            Self::Workshop => "workshop",
            Self::Restricted => "restricted",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for GeofenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for GeofenceKind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(())
    }
}

/// Where it is: a polygon of GeoJSON (RFC 7946) or several, or a circle. A position is `[longitude, latitude]` in
/// degrees, kept to seven decimals (a centimetre); a third number, the altitude, is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", deny_unknown_fields)]
#[schema(example = json!({
    "type": "Polygon",
    "coordinates": [[[12.56, 55.67], [12.58, 55.67], [12.58, 55.68], [12.56, 55.68], [12.56, 55.67]]],
}))]
pub enum Geometry {
    /// Rings of positions, each ending where it began: the border, then holes in it.
    Polygon {
        /// The rings.
        coordinates: Vec<Vec<Vec<f64>>>,
    },
    /// Several polygons. One across the 180th meridian is cut there into two.
    MultiPolygon {
        /// The rings of each.
        coordinates: Vec<Vec<Vec<Vec<f64>>>>,
    },
    /// All within a distance over ground. GeoJSON has none, so SQL does not take it.
    Circle {
        /// Its middle.
        centre: Vec<f64>,
        /// 1 to 1,000,000, kept to a decimetre.
        radius_m: f64,
    },
}

/// A place that is watched: who comes in and who goes out is told.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Geofence {
    /// `geo_…`
    #[schema(value_type = String, example = "geo_019ac1f0a5c07e6c8b1f3d6f0e1a2b3c")]
    pub id: GeofenceId,
    /// Whose vehicles it watches; null for one of the operator's, which watches everybody's.
    #[schema(value_type = Option<String>)]
    pub organization_id: Option<OrganizationId>,
    /// Shown name.
    #[schema(example = "Depot North")]
    pub name: String,
    /// What is there.
    pub kind: GeofenceKind,
    /// Of its outline on a map.
    #[schema(example = "#2563eb")]
    pub colour: String,
    /// Words to find it by, in lower case.
    #[schema(example = json!(["night", "zone 2"]))]
    pub tags: Vec<String>,
    /// Where it is.
    pub geometry: Geometry,
    /// Rises by one with each change; also its ETag.
    pub version: i64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
}

/// A geofence to add.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGeofence {
    /// Shown name.
    #[schema(example = "Depot North")]
    pub name: String,
    /// Where it is.
    pub geometry: Geometry,
    /// What is there; `other` when absent.
    #[serde(default)]
    pub kind: Option<GeofenceKind>,
    /// Of its outline, `#rrggbb`.
    #[serde(default)]
    #[schema(example = "#2563eb")]
    pub colour: Option<String>,
    /// Words to find it by: at most 20.
    #[serde(default)]
    #[schema(example = json!(["night", "zone 2"]))]
    pub tags: Option<Vec<String>>,
    /// Whose vehicles it watches; the caller's own organization's when absent.
    #[serde(default)]
    pub organization_id: Option<String>,
}

/// What to change of a geofence; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GeofencePatch {
    /// Shown name.
    #[serde(default)]
    #[schema(example = "Depot South")]
    pub name: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub geometry: Option<Geometry>,
    /// What is there.
    #[serde(default)]
    pub kind: Option<GeofenceKind>,
    /// Of its outline, `#rrggbb`.
    #[serde(default)]
    pub colour: Option<String>,
    /// Words to find it by, all of them.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
}

/// Which geofences to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct GeofenceQuery {
    /// Part of the name, in any case.
    pub q: Option<String>,
    /// Only those of this kind.
    #[param(inline)]
    pub kind: Option<GeofenceKind>,
    /// Only those with this tag.
    pub tag: Option<String>,
    /// Only this organization's.
    pub organization_id: Option<String>,
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Which vehicles of a geofence to list.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct InsideQuery {
    /// At most so many, 1 to 200 (default 50).
    pub limit: Option<i64>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A vehicle that is in a geofence, by its last reading.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct InsideItem {
    /// Where it is and what it does.
    #[serde(flatten)]
    pub vehicle: FleetItem,
    /// Since when, by its own clock; null until that was noted, a moment later.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub entered_at: Option<Timestamp>,
}
