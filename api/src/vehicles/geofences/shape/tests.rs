use serde_json::{Value, json};

use super::*;

fn read(value: Value) -> Geometry {
    serde_json::from_value(value).unwrap()
}

/// Fields with faults, and all that is said of them.
fn faults(value: Value) -> (Vec<String>, String) {
    let (_, faults) = checked(read(value));
    let error = match faults.finish("the geofence") {
        Ok(()) => return (Vec::new(), String::new()),
        Err(error) => error,
    };
    let crate::fault::DomainError::Invalid { faults, .. } = &error else { panic!("{error}") };
    (faults.iter().map(|f| f.field.clone()).collect(), error.to_string())
}

fn polygon(rings: Value) -> Value {
    json!({ "type": "Polygon", "coordinates": rings })
}

fn square(west: f64, south: f64, side: f64) -> Value {
    let (east, north) = (west + side, south + side);
    json!([[west, south], [east, south], [east, north], [west, north], [west, south]])
}

fn at(longitude: f64, latitude: f64) -> Fix {
    Fix { latitude, longitude }
}

#[test]
fn a_polygon_has_its_border_and_not_its_holes() {
    let (geometry, _) = checked(read(polygon(json!([square(10.0, 50.0, 1.0), square(10.4, 50.4, 0.2)]))));
    let shape = Shape::of(&geometry);
    for inside in [at(10.1, 50.1), at(10.0, 50.0), at(10.0, 50.5), at(10.4, 50.5)] {
        assert!(shape.includes(inside), "{inside:?}");
    }
    for outside in [at(10.5, 50.5), at(9.999_999, 50.5), at(10.5, 51.000_001)] {
        assert!(!shape.includes(outside), "{outside:?}");
    }
    assert_eq!(shape.bounds(), ([10.0, 50.0], [11.0, 51.0]));
}

#[test]
fn a_circle_is_a_distance_over_ground_on_both_sides_of_the_180th_meridian() {
    let circle = |longitude: f64, latitude: f64, radius_m: f64| {
        let (geometry, faults) = checked(read(
            json!({ "type": "Circle", "centre": [longitude, latitude, 7.0], "radius_m": radius_m }),
        ));
        assert!(faults.finish("it").is_ok());
        Shape::of(&geometry)
    };
    let shape = circle(179.999, 0.0, 500.0);
    assert!(shape.includes(at(-179.998, 0.0)), "334 m away");
    assert!(!shape.includes(at(-179.996, 0.0)), "556 m away");
    assert_eq!(shape.bounds().1[0], 180.0);
    // Whatever is inside is within the bounds too.
    for (latitude, radius_m) in [(0.0, 50.0), (60.0, 1_000.0), (-70.0, 500_000.0), (89.0, 300_000.0)] {
        let shape = circle(12.0, latitude, radius_m);
        let ([west, south], [east, north]) = shape.bounds();
        for turn in 0..360 {
            let (sin, cos) = f64::from(turn).to_radians().sin_cos();
            let far = (radius_m * 0.999 / 6_371_008.8_f64).to_degrees();
            let place = at(12.0 + sin * far / latitude.to_radians().cos(), latitude + cos * far);
            if shape.includes(place) {
                assert!((west..=east).contains(&place.longitude), "{place:?}");
                assert!((south..=north).contains(&place.latitude), "{place:?}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    let open = json!([[0, 0], [1, 0], [1, 1], [0, 1]]);
    let bow = json!([[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]);
    let spike = json!([[0, 0], [2, 0], [1, 0], [1, 1], [0, 0]]);
    let touching = json!([[0, 0], [1, 1], [2, 0], [2, 2], [1, 1], [0, 2], [0, 0]]);
    let flat = json!([[0, 0], [1, 1], [2, 2], [0, 0]]);
    let short = json!([[0, 0], [1, 1], [1, 1], [0, 0]]);
    for (wrong, field, said) in [
        (polygon(json!([])), "geometry.coordinates", "must have a ring"),
        (polygon(json!([open])), "geometry.coordinates[0]", "must end where it begins"),
        (polygon(json!([bow])), "geometry.coordinates[0]", "not cross itself"),
        (polygon(json!([spike])), "geometry.coordinates[0]", "not cross itself"),
        (
            polygon(json!([touching])),
            "geometry.coordinates[0]",
            "must not touch itself, as it does at [1, 1]",
        ),
        (polygon(json!([flat])), "geometry.coordinates[0]", "must enclose something"),
        (polygon(json!([short])), "geometry.coordinates[0]", "at least 4 positions"),
        (polygon(json!([[[0], [1, 1, 1, 1], [1, 0], [0]]])), "geometry.coordinates[0][0]", "[longitude"),
        (polygon(json!([[[0, 91], [1, 0], [1, 1], [0, 91]]])), "geometry.coordinates[0][0]", "latitude 91"),
        (
            polygon(json!([[[200, 0], [1, 0], [1, 1], [200, 0]]])),
            "geometry.coordinates[0][0]",
            "longitude 200",
        ),
        (
            polygon(json!([square(0.0, 0.0, 1.0), square(2.0, 2.0, 1.0)])),
            "geometry.coordinates[1]",
            "within the first ring",
        ),
        (
            polygon(json!([square(0.0, 0.0, 9.0), square(1.0, 1.0, 2.0), square(2.0, 2.0, 2.0)])),
            "geometry.coordinates[2]",
            "must not overlap the ring 1",
        ),
        (json!({ "type": "MultiPolygon", "coordinates": [] }), "geometry.coordinates", "must have a polygon"),
        (
            json!({ "type": "MultiPolygon", "coordinates": [[square(0.0, 0.0, 2.0)], [square(1.0, 1.0, 2.0)]] }),
            "geometry.coordinates[1]",
            "must not overlap the polygon 0",
        ),
        (
            json!({ "type": "Circle", "centre": [0, 0], "radius_m": 0.04 }),
            "geometry.radius_m",
            "1 to 1000000",
        ),
        (
            json!({ "type": "Circle", "centre": [0], "radius_m": 5 }),
            "geometry.centre",
            "[longitude, latitude]",
        ),
    ] {
        let (fields, message) = faults(wrong);
        assert_eq!(fields.first().map(String::as_str), Some(field), "{message}");
        assert!(message.contains(said), "{said} in {message}");
    }
    assert!(serde_json::from_value::<Geometry>(json!({ "type": "Point", "coordinates": [0, 0] })).is_err());
}

#[test]
fn faults_and_positions_are_bounded() {
    let many: Vec<Value> = (0..1_001).map(|i| json!([999, f64::from(i)])).collect();
    let (fields, message) = faults(polygon(json!([many])));
    assert_eq!(fields.len(), FAULTS_MAX);
    assert!(message.contains("has 1001 positions; at most 1000"), "{message}");
    let rings: Vec<Value> = (0..51).map(|i| square(f64::from(i), 0.0, 0.5)).collect();
    assert!(faults(polygon(json!(rings))).1.contains("has 51 rings; at most 50"));
}

#[test]
fn what_is_kept_reads_as_it_was_kept() {
    let ring =
        json!([[12.123_456_789, 55.1], [12.2, 55.123_456_74], [12.3, 55.4, 80.5], [12.123_456_789, 55.1]]);
    let (geometry, faults) = checked(read(polygon(json!([ring]))));
    assert!(faults.finish("it").is_ok());
    let text = serde_json::to_string(&geometry).unwrap();
    assert_eq!(
        text,
        r#"{"type":"Polygon","coordinates":[[[12.1234568,55.1],[12.2,55.1234567],[12.3,55.4],[12.1234568,55.1]]]}"#
    );
    assert_eq!(serde_json::from_str::<Geometry>(&text).unwrap(), geometry);
}
