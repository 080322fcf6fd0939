//! Areas of GeoJSON (RFC 7946).

use std::collections::BTreeMap;

use datafusion::{common::exec_err, error::Result};
use geo::{BoundingRect, Coord, Geometry, Intersects, LineString, MultiPolygon};
use geojson::{Feature, GeoJson, feature::Id};
use rstar::{
    AABB, RTree,
    primitives::{GeomWithData, Rectangle},
};

/// Bytes that a text of areas may have.
const BYTES_MAX: usize = 1 << 20;

/// Named areas, found by place.
#[derive(Debug)]
pub(crate) struct Areas {
    areas: Vec<(String, MultiPolygon)>,
    boxes: RTree<GeomWithData<Rectangle<[f64; 2]>, usize>>,
}

impl Areas {
    /// Reads a geometry, a feature or a collection of features. An area is called by its property
    /// `name`, else its id, else its place in the collection, from 1.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("the areas have {} bytes; at most {BYTES_MAX} are taken", text.len()));
        }
        let read: GeoJson = text.parse().map_err(|e| format!("the areas are no GeoJSON: {e}"))?;
        let features = match read {
            GeoJson::FeatureCollection(collection) => collection.features,
            GeoJson::Feature(feature) => vec![feature],
            GeoJson::Geometry(geometry) => vec![Feature { geometry: Some(geometry), ..Feature::default() }],
        };
        let mut areas = BTreeMap::new();
        for (i, feature) in features.into_iter().enumerate() {
            let name = name(&feature).unwrap_or_else(|| (i + 1).to_string());
            let polygons = polygons(feature).map_err(|what| format!("the area '{name}' {what}"))?;
            if areas.insert(name.clone(), polygons).is_some() {
                return Err(format!("two areas are called '{name}'"));
            }
        }
        let areas: Vec<(String, MultiPolygon)> = areas.into_iter().collect();
        let boxes = areas.iter().enumerate().filter_map(|(i, (_, area))| {
            let (low, high) = area.bounding_rect().map(|rect| (rect.min(), rect.max()))?;
            let rect = Rectangle::from_corners([low.x, low.y], [high.x, high.y]);
            Some(GeomWithData::new(rect, i))
        });
        let boxes = RTree::bulk_load(boxes.collect());
        Ok(Self { areas, boxes })
    }

    /// The names of those that a place is in or on the border of, in their order.
    pub(crate) fn at(&self, place: Coord) -> impl Iterator<Item = &str> {
        let point = AABB::from_point([place.x, place.y]);
        let mut found: Vec<usize> =
            self.boxes.locate_in_envelope_intersecting(&point).map(|found| found.data).collect();
        found.sort_unstable();
        let areas = found.into_iter().filter_map(|i| self.areas.get(i));
        areas.filter(move |(_, area)| area.intersects(&place)).map(|(name, _)| name.as_str())
    }
}

fn name(feature: &Feature) -> Option<String> {
    let named = feature.property("name").and_then(|name| name.as_str()).map(str::to_owned);
    named.or_else(|| match feature.id.as_ref()? {
        Id::String(id) => Some(id.clone()),
        Id::Number(id) => Some(id.to_string()),
    })
}

fn polygons(feature: Feature) -> Result<MultiPolygon, String> {
    let geometry = feature.geometry.ok_or("has no geometry")?;
    let polygons = match Geometry::<f64>::try_from(geometry).map_err(|e| format!("is not read: {e}"))? {
        Geometry::Polygon(polygon) => MultiPolygon::new(vec![polygon]),
        Geometry::MultiPolygon(polygons) => polygons,
        _ => return Err("is no polygon and none of many".to_owned()),
    };
    let corners = || polygons.iter().flat_map(|polygon| polygon.exterior().coords());
    if corners().any(|c| !(-180.0..=180.0).contains(&c.x) || !(-90.0..=90.0).contains(&c.y)) {
        return Err("has a corner that is no longitude and latitude".to_owned());
    }
    Ok(polygons)
}

/// The areas of the text that was read last: rows have mostly the same.
#[derive(Debug, Default)]
pub(super) struct Cached(Option<(String, Areas)>);

impl Cached {
    pub(super) fn of(&mut self, function: &str, text: &str) -> Result<&Areas> {
        if self.0.as_ref().is_none_or(|(known, _)| known != text) {
            match Areas::parse(text) {
                Ok(areas) => self.0 = Some((text.to_owned(), areas)),
                Err(what) => return exec_err!("{function}: {what}"),
            }
        }
        match &self.0 {
            Some((_, areas)) => Ok(areas),
            None => exec_err!("{function}: no areas"),
        }
    }
}

/// A line string.
pub(super) fn line(text: &str) -> Result<LineString> {
    let geometry = match text.parse::<GeoJson>() {
        Ok(GeoJson::Geometry(geometry)) => Geometry::<f64>::try_from(geometry).ok(),
        _ => None,
    };
    match geometry {
        Some(Geometry::LineString(line)) => Ok(line),
        _ => exec_err!("simplify takes a GeoJSON LineString, as track_geojson() makes it"),
    }
}
