//! Where things are, in SQL: areas of GeoJSON, cells of H3, and tracks.

use std::{fmt::Write, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, ListBuilder, StringArray, StringBuilder},
    datatypes::{DataType, Field, Float64Type, Int64Type},
};
use datafusion::{
    common::{exec_datafusion_err, exec_err},
    error::Result,
    logical_expr::{AggregateUDF, ScalarUDF},
};
use geo::{Coord, LineString, Simplify};
use h3o::{CellIndex, LatLng, Resolution};

mod area;
mod track;

use super::functions::udf;
pub(super) use area::Areas;

/// A degree of latitude on a sphere of the mean radius that `haversine_m` has, in metres.
const METRES_A_DEGREE: f64 = crate::trips::EARTH_RADIUS_M * std::f64::consts::PI / 180.0;

/// The scalar functions.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    let float = DataType::Float64;
    let areas = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    vec![
        udf("h3_cell", vec![float.clone(), float.clone(), DataType::Int64], DataType::Utf8, h3_cell),
        udf("h3_geojson", vec![DataType::Utf8], DataType::Utf8, h3_geojson),
        udf("in_area", vec![float.clone(), float.clone(), DataType::Utf8], DataType::Boolean, in_area),
        udf("areas_at", vec![float.clone(), float.clone(), DataType::Utf8], areas, areas_at),
        udf("simplify", vec![DataType::Utf8, float], DataType::Utf8, simplify),
    ]
}

/// The aggregates.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    vec![track::track_geojson()]
}

/// Places by two columns of degrees; `None` where either is null or no place on earth.
fn places(latitude: &ArrayRef, longitude: &ArrayRef) -> impl Iterator<Item = Option<Coord>> {
    let degrees = |array: &ArrayRef| array.as_primitive::<Float64Type>().clone();
    let (latitude, longitude): (Float64Array, Float64Array) = (degrees(latitude), degrees(longitude));
    (0..latitude.len()).map(move |row| {
        let known = latitude.is_valid(row) && longitude.is_valid(row);
        let place = Coord { x: longitude.value(row), y: latitude.value(row) };
        let is_on_earth = (-90.0..=90.0).contains(&place.y) && (-180.0..=180.0).contains(&place.x);
        (known && is_on_earth).then_some(place)
    })
}

/// `h3_cell(latitude, longitude, resolution)`: the H3 cell of a place, as text; resolutions 0 (some
/// 1100 km across) to 15 (half a metre).
fn h3_cell(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [latitude, longitude, resolution] = args else { return exec_err!("h3_cell takes three arguments") };
    let resolutions = resolution.as_primitive::<Int64Type>();
    let cells = places(latitude, longitude).zip(resolutions.iter()).map(|(place, resolution)| {
        let Some((place, resolution)) = place.zip(resolution) else { return Ok(None) };
        let resolution = u8::try_from(resolution).ok().and_then(|r| Resolution::try_from(r).ok());
        let Some(resolution) = resolution else {
            return exec_err!("h3_cell takes a resolution from 0 to 15");
        };
        let place = LatLng::new(place.y, place.x).map_err(|e| exec_datafusion_err!("{e}"))?;
        Ok(Some(place.to_cell(resolution).to_string()))
    });
    Ok(Arc::new(cells.collect::<Result<StringArray>>()?))
}

/// `h3_geojson(cell)`: the outline of a cell as a GeoJSON polygon.
fn h3_geojson(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [cells] = args else { return exec_err!("h3_geojson takes a cell") };
    let outlines = cells.as_string::<i32>().iter().map(|cell| {
        let Some(cell) = cell else { return Ok(None) };
        let Ok(index) = cell.parse::<CellIndex>() else {
            return exec_err!("'{cell}' is no cell of H3; h3_cell() makes one");
        };
        let corners: Vec<Coord> =
            index.boundary().iter().map(|corner| Coord { x: corner.lng(), y: corner.lat() }).collect();
        let closed = corners.iter().chain(corners.first());
        Ok(Some(format!(r#"{{"type":"Polygon","coordinates":[{}]}}"#, positions(closed))))
    });
    Ok(Arc::new(outlines.collect::<Result<StringArray>>()?))
}

/// `in_area(latitude, longitude, geojson)`: whether a place is in it or on its border.
fn in_area(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [latitude, longitude, area] = args else { return exec_err!("in_area takes three arguments") };
    let mut areas = area::Cached::default();
    let texts = area.as_string::<i32>();
    let within = places(latitude, longitude).zip(texts.iter()).map(|(place, text)| {
        let Some((place, text)) = place.zip(text) else { return Ok(None) };
        Ok(Some(areas.of("in_area", text)?.at(place).next().is_some()))
    });
    Ok(Arc::new(within.collect::<Result<BooleanArray>>()?))
}

/// `areas_at(latitude, longitude, geojson)`: the names of the areas that a place is in.
fn areas_at(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [latitude, longitude, area] = args else { return exec_err!("areas_at takes three arguments") };
    let mut areas = area::Cached::default();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (place, text) in places(latitude, longitude).zip(area.as_string::<i32>().iter()) {
        let Some((place, text)) = place.zip(text) else {
            lists.append(false);
            continue;
        };
        for name in areas.of("areas_at", text)?.at(place) {
            lists.values().append_value(name);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// `simplify(geojson, tolerance_m)`: a line string with the points left out that the rest is within a
/// tolerance of (Ramer 1972, Douglas and Peucker 1973), in metres on a plane that touches at its middle.
fn simplify(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [lines, tolerances] = args else { return exec_err!("simplify takes two arguments") };
    let tolerances = tolerances.as_primitive::<Float64Type>();
    let simple = lines.as_string::<i32>().iter().zip(tolerances.iter()).map(|(line, tolerance_m)| {
        let Some((line, tolerance_m)) = line.zip(tolerance_m) else { return Ok(None) };
        if tolerance_m.is_nan() || tolerance_m < 0.0 {
            return exec_err!("simplify takes a tolerance of 0 m or more");
        }
        let line = area::line(line)?;
        Ok(Some(line_geojson(&simplified(&line, tolerance_m))))
    });
    Ok(Arc::new(simple.collect::<Result<StringArray>>()?))
}

fn simplified(line: &LineString, tolerance_m: f64) -> LineString {
    let latitudes = || line.coords().map(|place| place.y);
    let middle = f64::midpoint(
        latitudes().fold(f64::INFINITY, f64::min),
        latitudes().fold(f64::NEG_INFINITY, f64::max),
    );
    // Never zero, so that the way back is there at the poles too.
    let shrink = middle.to_radians().cos().max(1e-6);
    let plane = line
        .coords()
        .map(|p| Coord { x: p.x * shrink * METRES_A_DEGREE, y: p.y * METRES_A_DEGREE })
        .collect();
    let kept = LineString::new(plane).simplify(tolerance_m);
    let back = |p: &Coord| Coord { x: p.x / (shrink * METRES_A_DEGREE), y: p.y / METRES_A_DEGREE };
    LineString::new(kept.coords().map(back).collect())
}

fn line_geojson(line: &LineString) -> String {
    format!(r#"{{"type":"LineString","coordinates":{}}}"#, positions(line.coords()))
}

/// Seven decimals are a centimetre, as the lake has them.
fn positions<'a>(places: impl Iterator<Item = &'a Coord>) -> String {
    let mut text = "[".to_owned();
    for (i, place) in places.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        // Writing to a string does not fail.
        let _ = write!(text, "{comma}[{},{}]", rounded(place.x), rounded(place.y));
    }
    text + "]"
}

fn rounded(degrees: f64) -> f64 {
    (degrees * 1e7).round() / 1e7
}
