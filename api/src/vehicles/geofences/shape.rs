//! Geometries checked, and what is in them: a place on a border is inside, as SQL's `in_area` has it. Pure.

use analytics::trips::{Fix, haversine_m};
use geo::{
    Area, BoundingRect, Coord, Intersects, LineString, MultiPolygon, Polygon, Validation,
    algorithm::validation::{InvalidMultiPolygon, InvalidPolygon, RingRole},
};

use super::types::Geometry;
use crate::fault::Faults;

/// Of a whole geometry; more is a map and no place.
const POSITIONS_MAX: usize = 1_000;
/// Of a whole geometry: each is compared with each.
const RINGS_MAX: usize = 50;
/// Least positions of a ring, its end being its beginning.
const RING_POSITIONS_MIN: usize = 4;
const RADIUS_M_MIN: f64 = 1.0;
const RADIUS_M_MAX: f64 = 1_000_000.0;
/// Faults told of one geometry.
const FAULTS_MAX: usize = 10;
/// A degree of latitude is at least so long.
const METRES_A_DEGREE_MIN: f64 = 110_000.0;

/// What is inside.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Polygons(MultiPolygon),
    Circle { centre: Fix, radius_m: f64 },
}

impl Shape {
    /// Of a geometry that was checked.
    pub(super) fn of(geometry: &Geometry) -> Self {
        match geometry {
            Geometry::Polygon { coordinates } => {
                Self::Polygons(MultiPolygon::new(vec![polygon_of(coordinates)]))
            }
            Geometry::MultiPolygon { coordinates } => {
                Self::Polygons(MultiPolygon::new(coordinates.iter().map(|rings| polygon_of(rings)).collect()))
            }
            Geometry::Circle { centre, radius_m } => {
                let Coord { x: longitude, y: latitude } = coord_of(centre);
                Self::Circle { centre: Fix { latitude, longitude }, radius_m: *radius_m }
            }
        }
    }

    /// Whether a place is inside, or on the border.
    pub(super) fn includes(&self, place: Fix) -> bool {
        match self {
            Self::Polygons(polygons) => polygons.intersects(&Coord { x: place.longitude, y: place.latitude }),
            Self::Circle { centre, radius_m } => haversine_m(*centre, place) <= *radius_m,
        }
    }

    /// The lowest and the highest longitude and latitude of what is inside.
    pub(super) fn bounds(&self) -> ([f64; 2], [f64; 2]) {
        match self {
            Self::Polygons(polygons) => polygons
                .bounding_rect()
                .map_or(([0.0; 2], [0.0; 2]), |rect| (rect.min().into(), rect.max().into())),
            Self::Circle { centre, radius_m } => {
                let height = radius_m / METRES_A_DEGREE_MIN;
                let (south, north) = (centre.latitude - height, centre.latitude + height);
                let width = height / south.abs().max(north.abs()).to_radians().cos();
                let (west, east) = (centre.longitude - width, centre.longitude + width);
                // One that has a pole in it, or is on either side of the 180th meridian, may be anywhere.
                if south <= -90.0 || north >= 90.0 || west < -180.0 || east > 180.0 {
                    ([-180.0, south], [180.0, north])
                } else {
                    ([west, south], [east, north])
                }
            }
        }
    }
}

fn polygon_of(rings: &[Vec<Vec<f64>>]) -> Polygon {
    let mut rings =
        rings.iter().map(|ring| LineString::new(ring.iter().map(|position| coord_of(position)).collect()));
    let border = rings.next().unwrap_or_else(|| LineString::new(Vec::new()));
    Polygon::new(border, rings.collect())
}

fn coord_of(position: &[f64]) -> Coord {
    match position {
        [x, y, ..] => Coord { x: *x, y: *y },
        _ => Coord { x: 0.0, y: 0.0 },
    }
}

/// The geometry as it is kept, and what is wrong with it, each fault at its place.
pub(super) fn checked(mut geometry: Geometry) -> (Geometry, Faults) {
    let mut found = Found::default();
    match &mut geometry {
        Geometry::Circle { centre, radius_m } => {
            found.position("geometry.centre", centre);
            *radius_m = (*radius_m * 10.0).round() / 10.0;
            if !(RADIUS_M_MIN..=RADIUS_M_MAX).contains(radius_m) {
                found.add("geometry.radius_m", "must be 1 to 1000000 metres");
            }
        }
        Geometry::Polygon { coordinates } => {
            found.sizes(coordinates.iter());
            found.rings("geometry.coordinates", coordinates);
        }
        Geometry::MultiPolygon { coordinates } => {
            found.sizes(coordinates.iter().flatten());
            if coordinates.is_empty() {
                found.add("geometry.coordinates", "must have a polygon");
            }
            for (i, rings) in coordinates.iter_mut().enumerate() {
                found.rings(&format!("geometry.coordinates[{i}]"), rings);
            }
        }
    }
    // What follows is true of rings alone that are each in order.
    if found.count == 0
        && let Shape::Polygons(polygons) = Shape::of(&geometry)
    {
        let is_one = matches!(geometry, Geometry::Polygon { .. });
        found.whole(&polygons, is_one);
    }
    (geometry, found.faults)
}

#[derive(Debug, Default)]
struct Found {
    faults: Faults,
    count: usize,
}

impl Found {
    fn add(&mut self, field: &str, message: impl Into<String>) {
        self.count += 1;
        if self.count <= FAULTS_MAX {
            self.faults.add(field, message);
        }
    }

    fn sizes<'a>(&mut self, rings: impl Iterator<Item = &'a Vec<Vec<f64>>>) {
        let (rings, positions) = rings.fold((0, 0), |(n, p), ring| (n + 1, p + ring.len()));
        if rings > RINGS_MAX {
            self.add("geometry.coordinates", format!("has {rings} rings; at most {RINGS_MAX} are taken"));
        }
        if positions > POSITIONS_MAX {
            let message =
                format!("has {positions} positions; at most {POSITIONS_MAX} are taken: simplify it");
            self.add("geometry.coordinates", message);
        }
    }

    fn rings(&mut self, field: &str, rings: &mut [Vec<Vec<f64>>]) {
        if rings.is_empty() {
            self.add(field, "must have a ring, its border");
        }
        for (i, ring) in rings.iter_mut().enumerate() {
            self.ring(&format!("{field}[{i}]"), ring);
        }
    }

    fn ring(&mut self, field: &str, ring: &mut Vec<Vec<f64>>) {
        let before = self.count;
        for (i, position) in ring.iter_mut().enumerate() {
            self.position(&format!("{field}[{i}]"), position);
        }
        if self.count > before {
            return;
        }
        if ring.first() != ring.last() {
            self.add(field, "must end where it begins: repeat its first position as its last");
            return;
        }
        // One after the other, the same place tells nothing.
        ring.dedup();
        if ring.len() < RING_POSITIONS_MIN {
            self.add(field, "must have at least 4 positions, of which the last is the first again");
            return;
        }
        let mut places: Vec<&[f64]> = ring.iter().skip(1).map(Vec::as_slice).collect();
        places.sort_unstable_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
        if let Some([x, y]) = places.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]) {
            self.add(field, format!("must not touch itself, as it does at [{x}, {y}]"));
        } else if polygon_of(std::slice::from_ref(ring)).unsigned_area() == 0.0 {
            self.add(field, "must enclose something, and not cross itself");
        }
    }

    /// Longitude and latitude, rounded; what else there is is cut.
    fn position(&mut self, field: &str, position: &mut Vec<f64>) {
        if !(2..=3).contains(&position.len()) {
            self.add(field, "must be [longitude, latitude]");
            return;
        }
        position.truncate(2);
        for (degrees, (what, most)) in position.iter_mut().zip([("longitude", 180.0), ("latitude", 90.0)]) {
            *degrees = (*degrees * 1e7).round() / 1e7;
            if !(-most..=most).contains(degrees) {
                self.add(field, format!("has the {what} {degrees}, which must be -{most} to {most}"));
            }
        }
    }

    /// Rings that cross themselves or each other, holes outside, polygons that overlap: the first of these.
    fn whole(&mut self, polygons: &MultiPolygon, is_one: bool) {
        let Err(wrong) = polygons.check_validation() else { return };
        let at = |i: usize| {
            if is_one { "geometry.coordinates".to_owned() } else { format!("geometry.coordinates[{i}]") }
        };
        match wrong {
            InvalidMultiPolygon::InvalidPolygon(i, wrong) => {
                let (ring, message) = ring_fault(&wrong);
                self.add(&format!("{}[{ring}]", at(i.0)), message);
            }
            InvalidMultiPolygon::ElementsOverlaps(i, j) => {
                self.add(&at(j.0), format!("must not overlap the polygon {}", i.0));
            }
            InvalidMultiPolygon::ElementsTouchOnALine(i, j) => {
                let message =
                    format!("must not have a part of its border with the polygon {}: make them one", i.0);
                self.add(&at(j.0), message);
            }
        }
    }
}

/// Which ring, and what is wrong with it.
fn ring_fault(wrong: &InvalidPolygon) -> (usize, String) {
    let index = |ring: &RingRole| match ring {
        RingRole::Exterior => 0,
        RingRole::Interior(i) => i + 1,
    };
    match wrong {
        InvalidPolygon::SelfIntersection(ring) => (index(ring), "must not cross itself".to_owned()),
        InvalidPolygon::TooFewPointsInRing(ring) | InvalidPolygon::NonFiniteCoord(ring, _) => {
            (index(ring), "must have at least three different places".to_owned())
        }
        InvalidPolygon::InteriorRingNotContainedInExteriorRing(ring) => {
            (index(ring), "must be within the first ring, as a hole in it".to_owned())
        }
        InvalidPolygon::IntersectingRingsOnALine(one, other)
        | InvalidPolygon::IntersectingRingsOnAnArea(one, other) => {
            (index(other), format!("must not overlap the ring {} nor run along it", index(one)))
        }
    }
}

#[cfg(test)]
mod tests;
