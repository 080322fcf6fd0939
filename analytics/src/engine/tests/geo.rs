//! Places, areas, tracks, and what is known between two readings.

use super::*;
use crate::trips::Reading;

/// A depot of 0.01 by 0.01 degrees with a yard cut out, and a customer's two halls.
const AREAS: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"name":"depot"},"geometry":{"type":"Polygon","coordinates":[
    [[10.0,50.0],[10.01,50.0],[10.01,50.01],[10.0,50.01],[10.0,50.0]],
    [[10.004,50.004],[10.006,50.004],[10.006,50.006],[10.004,50.006],[10.004,50.004]]]}},
  {"type":"Feature","id":"halls","properties":{},"geometry":{"type":"MultiPolygon","coordinates":[
    [[[10.02,50.0],[10.03,50.0],[10.03,50.01],[10.02,50.01],[10.02,50.0]]],
    [[[10.008,50.0],[10.009,50.0],[10.009,50.01],[10.008,50.01],[10.008,50.0]]]]}}]}"#;

async fn only(analytics: &Analytics, query: &str) -> Vec<Value> {
    analytics.sql(query, 10).await.unwrap_or_else(|e| panic!("{query}: {e}")).rows.swap_remove(0)
}

async fn refusal(analytics: &Analytics, query: &str) -> String {
    analytics.sql(query, 10).await.unwrap_err().to_string()
}

#[tokio::test]
async fn cells_are_those_of_h3() {
    let (_lake, analytics) = lake_with_readings().await;
    // The example of H3's own documentation (latLngToCell).
    let query = "SELECT h3_cell(37.3615593, -122.0553238, 5), h3_cell(NULL, 1, 5), h3_cell(91, 0, 5),
                        h3_geojson(h3_cell(37.3615593, -122.0553238, 5))";
    let row = only(&analytics, query).await;
    assert_eq!(row[..3], [json!("85283473fffffff"), Value::Null, Value::Null]);
    let outline: Value = serde_json::from_str(row[3].as_str().unwrap()).unwrap();
    let ring = outline["coordinates"][0].as_array().unwrap();
    assert_eq!((ring.len(), &ring[0]), (7, &ring[6]));
    // The first corner, by the same documentation (cellToBoundary).
    let corner = (ring[0][1].as_f64().unwrap(), ring[0][0].as_f64().unwrap());
    assert!((corner.0 - 37.271_355).abs() < 1e-5 && (corner.1 + 121.915_080).abs() < 1e-5, "{corner:?}");
    assert!(refusal(&analytics, "SELECT h3_cell(50, 10, 16)").await.contains("0 to 15"));
    assert!(refusal(&analytics, "SELECT h3_geojson('xyz')").await.contains("'xyz' is no cell"));
}

#[tokio::test]
async fn a_place_is_in_the_areas_that_hold_it() {
    let (_lake, analytics) = lake_with_readings().await;
    for (latitude, longitude, names) in [
        ("50.002", "10.002", json!(["depot"])),
        // In the yard that is cut out; on the border; in two; in the far hall; nowhere.
        ("50.005", "10.005", json!([])),
        ("50.0", "10.005", json!(["depot"])),
        ("50.005", "10.0085", json!(["depot", "halls"])),
        ("50.005", "10.025", json!(["halls"])),
        ("50.5", "10.5", json!([])),
        ("NULL", "10.5", Value::Null),
    ] {
        let query = format!(
            "SELECT areas_at({latitude}, {longitude}, '{AREAS}'), in_area({latitude}, {longitude}, '{AREAS}')"
        );
        let is_in = names.as_array().map(|names| !names.is_empty());
        assert_eq!(only(&analytics, &query).await, [names, json!(is_in)], "{latitude} {longitude}");
    }
    for (areas, what) in [
        ("{", "no GeoJSON"),
        (r#"{"type":"Point","coordinates":[10,50]}"#, "no polygon"),
        (r#"{"type":"Polygon","coordinates":[[[10,95],[11,95],[11,96],[10,95]]]}"#, "longitude and latitude"),
    ] {
        let told = refusal(&analytics, &format!("SELECT in_area(50, 10, '{areas}')")).await;
        assert!(told.contains(what), "{told}");
    }
}

#[tokio::test]
async fn a_track_is_a_line_in_the_order_asked_for_and_can_be_simpler() {
    let (_lake, analytics) = lake_with_readings().await;
    let track = "SELECT track_geojson(y, x, to_timestamp(t)) FROM (VALUES (3, 50.0, 10.002), (1, 50.0, 10.0),
        (2, 50.00001, 10.001), (4, NULL, 10.5), (5, 50.01, 10.002)) AS places(t, y, x)";
    let line = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    let there = line(&only(&analytics, track).await[0]);
    let places = json!([[10, 50], [10.001, 50.00001], [10.002, 50], [10.002, 50.01]]);
    assert_eq!(there, json!({"type": "LineString", "coordinates": places}));
    // In parts, a group by itself, of the table's own rows.
    let query = "SELECT vehicle_id, track_geojson(latitude, longitude, ts) FROM readings GROUP BY vehicle_id";
    let whole = line(&only(&analytics, query).await[1]);
    let whole = whole["coordinates"].as_array().unwrap();
    assert_eq!(whole.len(), 100);
    assert!(whole.is_sorted_by_key(|place| place[0].as_f64()));
    // The second place lies 1.1 m beside the way from the first to the third.
    for (tolerance_m, count) in [(0.5, 4), (2.0, 3), (1e6, 2)] {
        let query = format!("SELECT simplify(t, {tolerance_m}) FROM ({track}) AS tracks(t)");
        let simple = line(&only(&analytics, &query).await[0]);
        let kept = simple["coordinates"].as_array().unwrap();
        assert_eq!((kept.len(), &kept[0]), (count, &places[0]), "{simple}");
        assert_eq!(kept.last(), places.as_array().unwrap().last());
    }
    let query = "SELECT track_geojson(latitude, longitude, ts) FROM readings WHERE speed_kmh > 999";
    assert_eq!(only(&analytics, query).await, [Value::Null]);
    let told = refusal(&analytics, "SELECT track_geojson(latitude, longitude) FROM readings").await;
    assert!(told.contains("track_geojson(latitude, longitude, ts)"), "{told}");
    assert!(refusal(&analytics, "SELECT simplify('{}', 10)").await.contains("LineString"));
    assert!(
        refusal(&analytics, "SELECT simplify(NULL, -1), simplify('{}', -1)").await.contains("0 m or more")
    );
}

#[tokio::test]
async fn a_visit_lasts_from_the_first_reading_inside_to_the_first_outside() {
    let mut lake = TestLake::new().await;
    let at = |second: i64, longitude: f64| Reading {
        ts: Timestamp((START_S + second) * 1_000_000),
        latitude: Some(50.002),
        longitude: Some(longitude),
        ..Reading::default()
    };
    let (inside, outside) = (10.002, 10.5);
    let van = [
        at(0, outside),
        at(10, inside),
        // Parked and silent for two hours: it has not left.
        at(7_200, inside),
        // A receiver near the border for half a minute.
        at(7_210, outside),
        at(7_240, inside),
        at(7_250, outside),
        // And a second visit, of which no end is known.
        at(9_000, inside),
        at(9_010, inside),
    ];
    lake.append_of("van-1", &van, NOW).await;
    lake.append_of("van-2", &[at(0, outside), at(10, 10.0085)], NOW).await;
    let analytics = opened(&lake, Limits::default()).await;
    let visits = async |more: &str| {
        let query = format!(
            "SELECT vehicle_id, geofence, CAST(date_part('epoch', enter_time) AS BIGINT) - {START_S},
                    CAST(date_part('epoch', exit_time) AS BIGINT) - {START_S}, duration_s
             FROM geofence_visits('{AREAS}'{more}) ORDER BY vehicle_id, enter_time, geofence"
        );
        analytics.sql(&query, 20).await.unwrap_or_else(|e| panic!("{e}")).rows
    };
    let expected = json!([
        ["van-1", "depot", 10, 7_250, 7_240.0],
        ["van-1", "depot", 9_000, null, null],
        ["van-2", "depot", 10, null, null],
        ["van-2", "halls", 10, null, null],
    ]);
    assert_eq!(json!(visits("").await), expected);
    // Without patience the moment outside is an end.
    assert_eq!(json!(visits(", 0").await)[0], json!(["van-1", "depot", 10, 7_210, 7_200.0]));
    assert_eq!(visits(", 0").await.len(), 5);
    // The same as events.
    let query = format!(
        "SELECT vehicle_id, geofence, event, CAST(date_part('epoch', ts) AS BIGINT) - {START_S}, duration_s
         FROM geofence_events('{AREAS}') ORDER BY ts, vehicle_id, geofence, event"
    );
    let expected = json!([
        ["van-1", "depot", "enter", 10, null],
        ["van-2", "depot", "enter", 10, null],
        ["van-2", "halls", "enter", 10, null],
        ["van-1", "depot", "exit", 7_250, 7_240.0],
        ["van-1", "depot", "enter", 9_000, null],
    ]);
    let events = analytics.sql(&query, 20).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(json!(events.rows), expected);
    let told = refusal(&analytics, "SELECT * FROM geofence_events('{')").await;
    assert!(told.contains("geofence_events: ") && told.contains("no GeoJSON"), "{told}");
    for (args, what) in [
        ("", "takes areas as GeoJSON"),
        ("'{'", "no GeoJSON"),
        ("'{}', -1", "0 to 86400"),
        ("12", "text of GeoJSON"),
    ] {
        let told = refusal(&analytics, &format!("SELECT * FROM geofence_visits({args})")).await;
        assert!(told.contains(what), "{args}: {told}");
    }
    // A quote in a name stays in the name.
    let quoted = r#"{"type":"Feature","properties":{"name":"O''Hare $areas"},"geometry":{"type":"Polygon",
        "coordinates":[[[10,50],[10.01,50],[10.01,50.01],[10,50.01],[10,50]]]}}"#;
    let query = format!("SELECT DISTINCT geofence FROM geofence_visits('{quoted}')");
    assert_eq!(only(&analytics, &query).await, [json!("O'Hare $areas")]);
}

#[tokio::test]
async fn what_is_not_told_is_carried_forward_or_lies_on_a_line() {
    let (_lake, analytics) = lake_with_readings().await;
    let rows = "(VALUES ('a', 0, NULL), ('a', 10, 1.0), ('a', 15, NULL), ('a', 30, 5.0), ('a', 40, NULL),
                 ('b', 5, NULL), ('b', 7, 2.0)) AS told(v, t, x)";
    for order in ["", "DESC"] {
        let query = format!(
            "SELECT v, t, locf(x) OVER (PARTITION BY v ORDER BY t),
                    interpolate(x, t) OVER (PARTITION BY v ORDER BY t {order})
             FROM {rows} ORDER BY v, t"
        );
        let result = analytics.sql(&query, 10).await.unwrap_or_else(|e| panic!("{e}"));
        let expected = json!([
            ["a", 0, null, null],
            ["a", 10, 1.0, 1.0],
            ["a", 15, 1.0, 2.0],
            ["a", 30, 5.0, 5.0],
            ["a", 40, 5.0, null],
            ["b", 5, null, null],
            ["b", 7, 2.0, 2.0],
        ]);
        assert_eq!(json!(result.rows), expected, "{order}");
    }
    // By time, and of text as well.
    let query = "SELECT locf(x) OVER (ORDER BY t), interpolate(n, t) OVER (ORDER BY t) FROM (VALUES
        (TIMESTAMP '2026-01-01 00:00:00', 'P', 10), (TIMESTAMP '2026-01-01 00:00:01', NULL, NULL),
        (TIMESTAMP '2026-01-01 00:00:04', 'D', 20)) AS told(t, x, n) ORDER BY t";
    let result = analytics.sql(query, 10).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(json!(result.rows), json!([["P", 10.0], ["P", 12.5], ["D", 20.0]]));
    let told = refusal(&analytics, "SELECT interpolate('x', ts) OVER (ORDER BY ts) FROM readings").await;
    assert!(told.contains("takes a number first"), "{told}");
}
