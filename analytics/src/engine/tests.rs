use lake::AppTransaction;
use serde_json::{Value, json};
use service::clock::ManualClock;

use super::*;
use crate::{
    row::TripStatus,
    testing::{TestLake, run},
};

mod fleet;
mod geo;
mod streamed;
mod views;

const START_S: i64 = 1_714_550_400;
const NOW: Timestamp = Timestamp((START_S + 1000) * 1_000_000);

async fn lake_with_readings() -> (TestLake, Analytics) {
    let mut lake = TestLake::new().await;
    lake.append_of("car-1", &run(START_S, 100, 36.0), NOW).await;
    let analytics = opened(&lake, Limits::default()).await;
    (lake, analytics)
}

async fn opened(lake: &TestLake, limits: Limits) -> Analytics {
    Analytics::open(&LakeSettings::folder(lake.dir.path()), limits, ManualClock::at(NOW.0)).await.unwrap()
}

fn trip(revision: i64, distance_m: i64) -> crate::row::TripRow {
    crate::row::TripRow {
        trip_id: "trp_1".to_owned(),
        revision,
        vehicle_id: "car-1".parse().unwrap(),
        status: TripStatus::Completed,
        start_time: Timestamp(START_S * 1_000_000),
        end_time: NOW,
        start_latitude: Some(50.0),
        start_longitude: None,
        end_latitude: None,
        end_longitude: None,
        distance_m,
        distance_source: "gnss".to_owned(),
        odometer_start_km: None,
        odometer_end_km: Some(1.5),
        gnss_distance_m: Some(distance_m),
        speed_distance_m: None,
        duration_s: 1000,
        moving_s: 900,
        idle_s: 0,
        speed_max_kmh: Some(50.5),
        fuel_used_l: None,
        fuel_source: None,
        energy_used_kwh: None,
        reading_count: 1000,
        jump_count: 0,
        end_reason: "gap".to_owned(),
        algorithm_version: 1,
        parameters_version: 1,
        readings_version: 1,
        derived_at: NOW,
        purpose: None,
        merged_count: 1,
    }
}

#[tokio::test]
async fn an_answer_names_its_columns_types_and_versions() {
    let (_lake, analytics) = lake_with_readings().await;
    let result = analytics
        .sql("SELECT vehicle_id, ts, date, speed_kmh, ignition_on, soc_pct, count(*) OVER () AS n FROM readings ORDER BY ts", 2)
        .await
        .unwrap();
    let row = json!(["car-1", "2024-05-01T08:00:00Z", "2024-05-01", 36.0, true, null, 100]);
    assert_eq!(Value::Array(result.rows[0].clone()), row);
    assert_eq!((result.rows.len(), result.is_truncated), (2, true));
    assert_eq!(result.columns[3].name, "speed_kmh");
    assert_eq!(result.lake_versions["readings"], 1);
}

#[tokio::test]
async fn a_new_version_is_seen_by_the_next_query() {
    let (mut lake, analytics) = lake_with_readings().await;
    let count = async || analytics.sql("SELECT count(*) FROM readings", 1).await.unwrap().rows[0][0].clone();
    assert_eq!(count().await, json!(100));
    lake.append_of("car-1", &run(START_S + 100, 50, 36.0), NOW).await;
    assert_eq!(count().await, json!(150));
}

#[tokio::test]
async fn tables_nobody_has_written_are_empty_not_missing() {
    let (_lake, analytics) = lake_with_readings().await;
    let derived =
        ["trips", "latest_trips", "stops", "latest_stops", "driving_events", "latest_driving_events"];
    for table in ["signals", "diagnostics", "gaps", "quarantine"].into_iter().chain(derived) {
        let result = analytics.sql(&format!("SELECT * FROM {table}"), 10).await.unwrap();
        assert_eq!(result.rows.len(), 0, "{table}");
    }
}

#[tokio::test]
async fn every_example_of_the_page_runs() {
    let (_lake, analytics) = lake_with_readings().await;
    let page = include_str!("../../../docs/sql.md");
    let blocks = page.split("```sql").skip(1).filter_map(|rest| rest.split("```").next());
    let queries: Vec<&str> =
        blocks.flat_map(|block| block.split(';')).filter(|query| !query.trim().is_empty()).collect();
    assert!(queries.len() >= 6, "{queries:?}");
    for query in queries {
        if let Err(error) = analytics.sql(query, 10).await {
            panic!("{query}: {error}");
        }
    }
}

#[tokio::test]
async fn show_describe_and_explain_answer() {
    let (_lake, analytics) = lake_with_readings().await;
    let tables = analytics.sql("SHOW TABLES", 100).await.unwrap();
    let names = serde_json::to_string(&tables.rows).unwrap();
    assert!(names.contains("\"readings\"") && names.contains("\"latest_trips\""), "{names}");
    let described = analytics.sql("DESCRIBE readings", 100).await.unwrap();
    assert!(serde_json::to_string(&described.rows).unwrap().contains("speed_kmh"));
    assert!(!analytics.sql("EXPLAIN SELECT * FROM readings", 10).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn whatever_is_not_reading_is_refused() {
    let (lake, analytics) = lake_with_readings().await;
    let target = lake.dir.path().join("out.csv");
    let attempts = [
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW x AS SELECT 1".to_owned(),
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".to_owned(),
        "CREATE SCHEMA x".to_owned(),
        "CREATE DATABASE x".to_owned(),
        "INSERT INTO readings SELECT * FROM readings".to_owned(),
        "UPDATE readings SET speed_kmh = 0".to_owned(),
        "DELETE FROM readings".to_owned(),
        "DROP TABLE readings".to_owned(),
        "DROP VIEW latest_trips".to_owned(),
        format!("COPY readings TO '{}'", target.display()),
        format!("EXPLAIN ANALYZE COPY readings TO '{}'", target.display()),
        "EXPLAIN ANALYZE INSERT INTO readings SELECT * FROM readings".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "BEGIN".to_owned(),
        "SELECT * FROM '/etc/passwd'".to_owned(),
        "SELECT * FROM 'file:///etc/passwd'".to_owned(),
        "SELECT * FROM read_csv('/etc/passwd')".to_owned(),
        "SELECT * FROM readings; DROP TABLE readings".to_owned(),
    ];
    for attempt in attempts {
        let error = analytics.sql(&attempt, 10).await.unwrap_err();
        assert_eq!(error.kind, SqlErrorKind::Invalid, "{attempt}: {error}");
    }
    assert!(!target.exists());
    assert_eq!(analytics.sql("SELECT count(*) FROM readings", 1).await.unwrap().rows[0][0], json!(100));
}

#[tokio::test]
async fn a_mistake_is_told_with_a_hint() {
    let (_lake, analytics) = lake_with_readings().await;
    let error = analytics.sql("SELECT speed FROM readings", 10).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Invalid);
    assert!(error.message.contains("speed") && error.message.to_lowercase().contains("readings."), "{error}");
    let error = analytics.sql("SELEC 1", 10).await.unwrap_err();
    assert!(error.kind == SqlErrorKind::Invalid && error.message.contains("SELEC"), "{error}");
    let error = analytics.sql("SELECT * FROM reading", 10).await.unwrap_err();
    assert!(error.kind == SqlErrorKind::Invalid && error.message.contains("reading"), "{error}");
}

#[tokio::test]
async fn a_query_without_end_is_ended() {
    let (lake, _) = lake_with_readings().await;
    let limits = Limits { statement_time: Duration::from_millis(300), ..Limits::default() };
    let analytics = opened(&lake, limits).await;
    let endless = "SELECT count(*) FROM generate_series(1, 10000000000) a";
    let error = analytics.sql(endless, 10).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Timeout, "{error}");
    assert!(error.message.contains("statement_time"), "{error}");
}

#[tokio::test]
async fn a_query_that_needs_too_much_memory_is_refused() {
    let (lake, _) = lake_with_readings().await;
    let limits = Limits { memory_bytes_max: 1 << 20, spill_bytes_max: 0, ..Limits::default() };
    let analytics = opened(&lake, limits).await;
    let hungry = "SELECT array_agg(value) FROM generate_series(1, 5000000)";
    let error = analytics.sql(hungry, 10).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Busy, "{error}");
}

#[tokio::test]
async fn more_queries_than_places_wait_and_are_then_refused() {
    let (lake, _) = lake_with_readings().await;
    let limits = Limits { queries_max: 1, queue_wait: Duration::from_millis(50), ..Limits::default() };
    let analytics = opened(&lake, limits).await;
    let held = analytics.place(Some("another")).await.unwrap();
    let error = analytics.sql("SELECT 1", 1).await.unwrap_err();
    assert_eq!(error.kind, SqlErrorKind::Busy);
    drop(held);
    assert_eq!(analytics.sql("SELECT 1", 1).await.unwrap().rows, [[json!(1)]]);
}

#[tokio::test]
async fn trips_are_told_by_version_and_read_as_of_one() {
    let (lake, analytics) = lake_with_readings().await;
    assert_eq!(analytics.trip_changes(-1, 10).await.unwrap(), []);
    let writer = Lake::create(lake.dir.path()).unwrap();
    let mut table = writer.create_table(TableKind::Trips).await.unwrap();
    for (version, distance_m) in [(1, 5000), (2, 6000)] {
        let batch = trip_table::to_batch(&[trip(version, distance_m)]).unwrap();
        table.append(batch, &AppTransaction { app_id: "t".to_owned(), version }).await.unwrap();
    }
    let changes = analytics.trip_changes(-1, 10).await.unwrap();
    let told: Vec<_> = changes.iter().flat_map(|c| c.trips.clone()).collect();
    assert_eq!(told, [trip(1, 5000), trip(2, 6000)]);
    let first = changes.iter().find(|c| !c.trips.is_empty()).unwrap().version;
    assert_eq!(analytics.trip_changes(first, 10).await.unwrap().len(), 1);
    let query = "SELECT revision, distance_m FROM latest_trips";
    assert_eq!(analytics.sql_at(first, query).await.unwrap().rows, [[json!(1), json!(5000)]]);
    assert_eq!(analytics.sql_at(first + 1, query).await.unwrap().rows, [[json!(2), json!(6000)]]);
    assert_eq!(
        analytics.sql_at(first, "SELECT 1 FROM readings").await.unwrap_err().kind,
        SqlErrorKind::Invalid
    );
    assert_eq!(analytics.sql_at(99, query).await.unwrap_err().kind, SqlErrorKind::Invalid);
}

#[tokio::test]
async fn positions_are_in_order_within_the_range_and_thinned_to_the_ends() {
    let (_lake, analytics) = lake_with_readings().await;
    let (car, at) = ("car-1".parse().unwrap(), |s: i64| Timestamp((START_S + s) * 1_000_000));
    let all = analytics.positions(&car, at(10), at(30), 1000).await.unwrap();
    assert_eq!(all.rows.len(), 20);
    assert_eq!(all.rows[0][0], json!("2024-05-01T08:00:10Z"));
    let names: Vec<_> = all.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["ts", "latitude", "longitude", "speed_kmh", "heading_deg", "altitude_m"]);
    for max_points in [2, 3, 7, 50, 99] {
        let some = analytics.positions(&car, at(0), at(100), max_points).await.unwrap();
        assert!((2..=max_points).contains(&some.rows.len()), "{max_points}: {}", some.rows.len());
        assert_eq!(some.rows[0][0], json!("2024-05-01T08:00:00Z"));
        assert_eq!(some.rows.last().unwrap()[0], json!("2024-05-01T08:01:39Z"), "{max_points}");
    }
}

#[tokio::test]
async fn haversine_measures_and_passes_null_on() {
    let (_lake, analytics) = lake_with_readings().await;
    let result = analytics
        .sql("SELECT round(haversine_m(50, 10, 51, 10)) AS a, haversine_m(NULL, 10, 51, 10) AS b", 1)
        .await
        .unwrap();
    assert_eq!(result.rows, [[json!(111_195.0), Value::Null]]);
}

#[tokio::test]
async fn nested_and_unusual_values_become_json() {
    let (_lake, analytics) = lake_with_readings().await;
    let query =
        "SELECT [1, 2] AS a, struct(1 AS x, 'y' AS y) AS b, arrow_cast('z', 'Dictionary(Int32, Utf8)') AS c,
                 CAST(1.5 AS DECIMAL(5,2)) AS d, 'NaN'::double AS e, DATE '2024-02-29' AS f, 7::tinyint AS g";
    let row = &analytics.sql(query, 1).await.unwrap().rows[0];
    assert_eq!(row[0], json!([1, 2]));
    assert_eq!(row[1].as_object().unwrap().len(), 2);
    assert_eq!(row[2..], [json!("z"), json!("1.50"), Value::Null, json!("2024-02-29"), json!(7)]);
}

#[tokio::test]
async fn a_folder_without_a_lake_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Analytics::open(&LakeSettings::folder(dir.path()), Limits::default(), ManualClock::at(0))
        .await
        .unwrap_err();
    let message = service::logs::chain(&error).to_string();
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
}

#[tokio::test]
async fn a_query_over_some_vehicles_sees_their_rows_alone_in_tables_views_and_functions() {
    let (mut lake, _) = lake_with_readings().await;
    lake.append_of("van-1", &run(START_S, 50, 36.0), NOW).await;
    let analytics = opened(&lake, Limits::default()).await;
    let count = async |whose: Option<&Whose>, from: &str| {
        let query = format!("SELECT count(*) FROM {from}");
        analytics.sql_of(whose, &query, 10).await.unwrap().rows[0][0].clone()
    };
    let (van, nobody) = (Whose::of(["van-1".parse().unwrap()]), Whose::of([]));
    let version = analytics.sql("SELECT 1", 1).await.unwrap().lake_versions["readings"];
    for from in [
        "readings".to_owned(),
        format!("lake_at('readings', {version})"),
        "signal('Vehicle.Speed')".to_owned(),
    ] {
        assert_eq!(count(None, &from).await, json!(150), "{from}");
        assert_eq!(count(Some(&van), &from).await, json!(50), "{from}");
        assert_eq!(count(Some(&nobody), &from).await, json!(0), "{from}");
    }
    let vehicles = format!("SELECT DISTINCT vehicle_id FROM lake_at('readings', {version})");
    let rows = analytics.sql_of(Some(&van), &vehicles, 10).await.unwrap().rows;
    assert_eq!(json!(rows), json!([["van-1"]]));
    let probing = "SELECT count(*) FROM readings WHERE vehicle_id = 'car-1' OR 1 = 1";
    assert_eq!(analytics.sql_of(Some(&van), probing, 10).await.unwrap().rows[0][0], json!(50));
}
