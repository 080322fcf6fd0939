//! What fleet people ask for: versions to cite, what signals there are, the newest values, gaps filled, fuel
//! used, and how far it still goes.

use super::*;
use crate::trips::Reading;

async fn rows(analytics: &Analytics, query: &str) -> Value {
    match analytics.sql(query, 1000).await {
        Ok(found) => json!(found.rows),
        Err(error) => panic!("{query}: {error}"),
    }
}

#[tokio::test]
async fn a_result_can_be_cited() {
    let (mut lake, analytics) = lake_with_readings().await;
    let query = "SELECT version, committed_at FROM lake_version() WHERE table_name = 'readings'";
    let cited = rows(&analytics, query).await;
    assert_eq!(cited[0][0], 1);
    let committed_at: Timestamp = Timestamp::parse(cited[0][1].as_str().unwrap()).unwrap();
    let file = lake.dir.path().join("readings/_delta_log/00000000000000000001.json");
    let log = std::fs::read_to_string(file).unwrap();
    let told = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told_ms = told.filter_map(|action| action["commitInfo"]["timestamp"].as_i64()).next().unwrap();
    assert_eq!(committed_at.0, told_ms * 1000);

    lake.append_of("car-1", &run(START_S + 100, 50, 36.0), NOW).await;
    assert_eq!(rows(&analytics, query).await[0][0], 2);
    // What was cited can be asked again.
    let then = "SELECT count(*) FROM lake_at('readings', 1)";
    assert_eq!(rows(&analytics, then).await, json!([[100]]));
    let unwritten = "SELECT version, committed_at FROM lake_version() WHERE table_name = 'trips'";
    assert_eq!(rows(&analytics, unwritten).await, json!([[null, null]]));
    let error = analytics.sql("SELECT * FROM lake_version('trips')", 1).await.unwrap_err();
    assert!(error.message.contains("no arguments"), "{error}");
}

#[tokio::test]
async fn the_catalogue_tells_units_of_signals_and_of_columns() {
    let (_lake, analytics) = lake_with_readings().await;
    let query = "SELECT * FROM signal_catalogue WHERE signal IN
                   ('Vehicle.TraveledDistance', 'Vehicle.CargoLoad', 'Vehicle.Chassis.SteeringWheel.Angle')
                 ORDER BY signal";
    let expected = json!([
        ["Vehicle.CargoLoad", "kg", "float", null, "readings", "load_kg", "kg"],
        [
            "Vehicle.Chassis.SteeringWheel.Angle",
            "degrees",
            "int16",
            "Steering wheel angle. Positive = degrees to the left. Negative = degrees to the right.",
            "signals",
            null,
            null
        ],
        [
            "Vehicle.TraveledDistance",
            "m",
            "uint32",
            "Odometer reading, total distance traveled during the lifetime of the vehicle.",
            "readings",
            "odometer_km",
            "km"
        ],
    ]);
    assert_eq!(rows(&analytics, query).await, expected);
    let query =
        "SELECT count(*), count(column_name), count(DISTINCT signal) = count(*) FROM signal_catalogue";
    let all = wire::catalogue::signals().len() + wire::catalogue::OVERLAY.len();
    assert_eq!(rows(&analytics, query).await, json!([[all, wire::readings::COLUMNS.len(), true]]));
}

#[tokio::test]
async fn the_newest_value_of_each_column_goes_by_event_time() {
    let (mut lake, analytics) = lake_with_readings().await;
    let at = |s: i64| Timestamp((START_S + s) * 1_000_000);
    let soc = Reading { ts: at(40), soc_pct: Some(70.0), ..Reading::default() };
    let older = Reading { ts: at(30), soc_pct: Some(90.0), speed_kmh: Some(1.0), ..Reading::default() };
    lake.append_of("car-1", &[soc], NOW).await;
    // Comes last and is not the newest.
    lake.append_of("car-1", &[older], NOW.plus_us(9)).await;
    let query = "SELECT vehicle_id, ts, received_at, speed_kmh, soc_pct, fuel_level_pct FROM last_reading";
    let expected = json!([["car-1", at(99).to_string(), NOW.plus_us(9).to_string(), 36.0, 70.0, null]]);
    assert_eq!(rows(&analytics, query).await, expected);
}

#[tokio::test]
async fn a_step_without_a_sample_is_there_all_the_same() {
    let mut lake = TestLake::new().await;
    let at = |s: i64, speed: f64| Reading {
        ts: Timestamp((START_S + s) * 1_000_000),
        speed_kmh: Some(speed),
        ..Reading::default()
    };
    // The first and the last minute of five, and what is beyond on either side.
    let told = [at(-1, 99.0), at(0, 10.0), at(59, 20.0), at(240, 40.0), at(299, 60.0), at(300, 99.0)];
    lake.append_of("car-1", &told, NOW).await;
    let analytics = opened(&lake, Limits::default()).await;
    let from_to = "'2024-05-01T08:00:00Z', '2024-05-01 08:05:00'";
    for what in ["speed_kmh", "Vehicle.Speed"] {
        let query = format!(
            "SELECT bucket, minimum, mean, maximum, sample_count, value_locf, mean_interpolated
             FROM gapfill('{what}', '1 minute', {from_to}) WHERE vehicle_id = 'car-1' ORDER BY bucket"
        );
        let expected = json!([
            ["2024-05-01T08:00:00Z", 10.0, 15.0, 20.0, 2, 20.0, 15.0],
            ["2024-05-01T08:01:00Z", null, null, null, 0, 20.0, 23.75],
            ["2024-05-01T08:02:00Z", null, null, null, 0, 20.0, 32.5],
            ["2024-05-01T08:03:00Z", null, null, null, 0, 20.0, 41.25],
            ["2024-05-01T08:04:00Z", 40.0, 50.0, 60.0, 2, 60.0, 50.0],
        ]);
        assert_eq!(rows(&analytics, &query).await, expected);
    }
    let bad = [
        ("gapfill('speed_kmh', '1 month', '2024-05-01', '2024-05-02')", "takes a step"),
        ("gapfill('speed_kmh', '1 millisecond', '2024-05-01', '2024-05-02')", "more than 100000"),
        ("gapfill('speed_kmh', '1 hour', '2024-05-02', '2024-05-01')", "is not after"),
        ("gapfill('speed_kmh', '1 hour', 'May', '2024-05-01')", "takes times"),
        ("gapfill('speed_kmh', 60, '2024-05-01', '2024-05-02')", "as texts"),
    ];
    for (call, part) in bad {
        let error = analytics.sql(&format!("SELECT * FROM {call}"), 1).await.unwrap_err();
        assert!(error.message.contains(part) && error.kind == SqlErrorKind::Invalid, "{call}: {error}");
    }
    // A quote leads nowhere.
    let query = format!("SELECT * FROM gapfill('x'') UNION SELECT 1 --', '1 minute', {from_to})");
    assert_eq!(rows(&analytics, &query).await, json!([]));
}

#[tokio::test]
async fn fuel_used_is_the_sum_of_the_counter_s_rises() {
    let mut lake = TestLake::new().await;
    let at = |s: i64, used_l: f64| Reading {
        ts: Timestamp((START_S + s) * 1_000_000),
        fuel_used_l: Some(used_l),
        ..Reading::default()
    };
    lake.append_of("car-1", &[at(20, 101.5), at(30, 3.0), at(40, 3.25)], NOW).await;
    lake.append_of("car-1", &[at(0, 100.0), at(10, 101.0)], NOW).await;
    lake.append_of("van-1", &[at(0, 7.0)], NOW).await;
    let analytics = opened(&lake, Limits::default()).await;
    let query = "SELECT vehicle_id, fuel_used(fuel_used_l, ts), counter_used(odometer_km, ts)
                 FROM readings GROUP BY vehicle_id ORDER BY vehicle_id";
    assert_eq!(rows(&analytics, query).await, json!([["car-1", 1.75, null], ["van-1", null, null]]));
}

#[tokio::test]
async fn range_is_by_the_distance_a_percent_has_lasted() {
    let mut lake = TestLake::new().await;
    let at = |s: i64, soc: f64, fuel: f64| Reading {
        ts: Timestamp((START_S + s) * 1_000_000),
        soc_pct: Some(soc),
        fuel_level_pct: Some(fuel),
        ..Reading::default()
    };
    // A trip that ends at 1000 s with 10 % of the battery less; then it is charged. Fuel fell too little.
    lake.append_of("car-1", &[at(0, 50.0, 80.0), at(500, 45.0, 79.0), at(1000, 40.0, 78.0)], NOW).await;
    lake.append_of("car-1", &[at(5000, 90.0, 78.0)], NOW).await;
    let all = lake::Lake::create(lake.dir.path()).unwrap();
    let mut trips = all.create_table(TableKind::Trips).await.unwrap();
    let batch = crate::trip_table::to_batch(&[trip(1, 20_000)]).unwrap();
    trips.append(batch, &AppTransaction { app_id: "t".to_owned(), version: 1 }).await.unwrap();
    let analytics = opened(&lake, Limits::default()).await;
    let query = "SELECT vehicle_id, soc_pct, soc_km_per_pct, electric_range_km, fuel_level_pct, fuel_range_km
                 FROM vehicle_range";
    assert_eq!(rows(&analytics, query).await, json!([["car-1", 90.0, 2.0, 180.0, 78.0, null]]));
}
