//! Views and table functions, over rows made for them.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
        new_null_array,
    },
    datatypes::DataType,
};
use lake::{Lake, TableKind};

use super::*;

/// A row of `diagnostics`: second, event, list, code.
type Told = (i64, &'static str, &'static str, Option<&'static str>);

fn diagnostics(rows: &[Told]) -> RecordBatch {
    let (schema, count) = (TableKind::Diagnostics.schema(), rows.len());
    let same = |text: &str| Arc::new(StringArray::from(vec![text; count])) as ArrayRef;
    let at_us = |s: i64| (START_S + s) * 1_000_000;
    let times = || -> ArrayRef {
        let times: TimestampMicrosecondArray = rows.iter().map(|row| Some(at_us(row.0))).collect();
        Arc::new(times.with_timezone("UTC"))
    };
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            "vehicle_id" => same("car-1"),
            "stream_id" => same("s"),
            "protocol" => same("j1939"),
            "ecu" => same("engine-1 (SA 0)"),
            "ts" | "received_at" => times(),
            "date" => Arc::new(
                rows.iter().map(|row| Some(Timestamp(at_us(row.0)).utc_day())).collect::<Date32Array>(),
            ),
            "sequence" => Arc::new(Int64Array::from(vec![1; count])),
            "occurrences" => Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
            "event" => Arc::new(rows.iter().map(|row| Some(row.1)).collect::<StringArray>()),
            "list" => Arc::new(rows.iter().map(|row| Some(row.2)).collect::<StringArray>()),
            "code" => Arc::new(rows.iter().map(|row| row.3).collect::<StringArray>()),
            _ => match field.data_type() {
                DataType::Utf8 => new_null_array(&DataType::Utf8, count),
                other => new_null_array(other, count),
            },
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

#[tokio::test]
async fn a_fault_has_an_episode_for_each_time_it_was_there() {
    let lake = TestLake::new().await;
    let mut table =
        Lake::create(lake.dir.path()).unwrap().create_table(TableKind::Diagnostics).await.unwrap();
    let (a, b) = (Some("SPN 100 FMI 1"), Some("SPN 200 FMI 2"));
    let rows = [
        // Raised, changed twice, told to be cleared; and once more, open.
        (0, "raise", "active", a),
        (10, "change", "active", a),
        (20, "change", "active", a),
        (30, "clear", "active", a),
        (90, "raise", "active", a),
        // There when the agent started, gone when it started again, back at the third start.
        (5, "seen", "previous", b),
        (40, "none", "previous", None),
        (60, "seen", "previous", b),
        // The same code of another list goes its own way.
        (7, "seen", "active", b),
        (50, "seen", "active", b),
        // It acknowledges what had gone by itself.
        (8, "clear", "active", a),
    ];
    table.append(diagnostics(&rows), &AppTransaction { app_id: "t".to_owned(), version: 1 }).await.unwrap();
    let analytics = opened(&lake, Limits::default()).await;
    let query = format!(
        "SELECT list, code, CAST(date_part('epoch', start_time) AS BIGINT) - {START_S},
                CAST(date_part('epoch', end_time) AS BIGINT) - {START_S}, ended_by, change_count, occurrences
         FROM fault_episodes ORDER BY list, code, start_time"
    );
    let found = analytics.sql(&query, 100).await.unwrap().rows;
    let expected = [
        // At 50 the unit's list is without SPN 100, which was cleared already; at 7 it had not been told of it.
        json!(["active", "SPN 100 FMI 1", 0, 7, "gone", 0, 8]),
        json!(["active", "SPN 100 FMI 1", 10, 30, "clear", 2, 30]),
        json!(["active", "SPN 100 FMI 1", 90, null, null, 0, 90]),
        json!(["active", "SPN 200 FMI 2", 7, null, null, 0, 50]),
        json!(["previous", "SPN 200 FMI 2", 5, 40, "gone", 0, 5]),
        json!(["previous", "SPN 200 FMI 2", 60, null, null, 0, 60]),
    ];
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(&Value::Array(found.clone()), expected);
    }
}

#[tokio::test]
async fn a_day_sums_its_trips_and_events() {
    let lake = TestLake::new().await;
    let all = Lake::create(lake.dir.path()).unwrap();
    let mut trips = all.create_table(TableKind::Trips).await.unwrap();
    let row = |id: &str, revision, distance_m, fuel_used_l| crate::row::TripRow {
        trip_id: id.to_owned(),
        fuel_used_l,
        idle_s: 250,
        ..trip(revision, distance_m)
    };
    let rows =
        [row("trp_1", 1, 90_000, None), row("trp_1", 2, 10_000, Some(0.8)), row("trp_2", 1, 30_000, None)];
    let batch = crate::trip_table::to_batch(&rows).unwrap();
    trips.append(batch, &AppTransaction { app_id: "t".to_owned(), version: 1 }).await.unwrap();
    let analytics = opened(&lake, Limits::default()).await;
    let query = "SELECT vehicle_id, trip_count, distance_km, driven_s, idle_share, fuel_used_l, fuel_l_per_100km, \
                 energy_kwh_per_100km, driving_score, refuel_count FROM vehicle_day";
    let found = analytics.sql(query, 10).await.unwrap().rows;
    let expected = json!(["car-1", 2, 40.0, 2000, 0.25, 0.8, 8.0, null, 100.0, 0]);
    assert_eq!(found.len(), 1);
    assert_eq!(Value::Array(found[0].clone()), expected);

    // As it was before the third trip there is nothing to be seen of it.
    trips
        .append(
            crate::trip_table::to_batch(&[row("trp_3", 1, 5_000, None)]).unwrap(),
            &AppTransaction { app_id: "t".to_owned(), version: 2 },
        )
        .await
        .unwrap();
    let count = async |query: &str| analytics.sql(query, 1).await.unwrap().rows[0][0].clone();
    let newest = analytics.sql("SELECT 1 FROM trips", 1).await.unwrap().lake_versions["trips"];
    assert_eq!(count("SELECT count(*) FROM trips").await, json!(4));
    assert_eq!(count(&format!("SELECT count(*) FROM lake_at('trips', {newest})")).await, json!(4));
    assert_eq!(count(&format!("SELECT count(*) FROM lake_at('trips', {})", newest - 1)).await, json!(3));
    let bad = [
        ("SELECT * FROM lake_at('trips', 99)", "99"),
        ("SELECT * FROM lake_at('/etc/passwd', 1)", "name of a table"),
        ("SELECT * FROM lake_at('trips', 'x')", "a version as a number"),
        ("SELECT * FROM lake_at('trips')", "lake_at('trips', 12)"),
        ("SELECT * FROM signal(1)", "VSS path"),
    ];
    for (query, part) in bad {
        let error = analytics.sql(query, 1).await.unwrap_err();
        assert!(error.message.contains(part) && error.kind == SqlErrorKind::Invalid, "{query}: {error:?}");
    }
}

#[tokio::test]
async fn a_signal_is_found_where_it_is_kept() {
    let (_lake, analytics) = lake_with_readings().await;
    let query =
        "SELECT count(*), min(value), max(text) FROM signal('Vehicle.Speed') WHERE date = '2024-05-01'";
    assert_eq!(analytics.sql(query, 1).await.unwrap().rows, [[json!(100), json!(36.0), Value::Null]]);
    let query = "SELECT count(*), max(value) FROM signal('Vehicle.IsIgnitionOn')";
    assert_eq!(analytics.sql(query, 1).await.unwrap().rows, [[json!(100), json!(1.0)]]);
    let query = "SELECT count(*) FROM signal('Vehicle.Nowhere')";
    assert_eq!(analytics.sql(query, 1).await.unwrap().rows, [[json!(0)]]);
}

#[tokio::test]
async fn buckets_are_those_of_date_bin() {
    let (_lake, analytics) = lake_with_readings().await;
    let query = "SELECT count(*), min(time_bucket(INTERVAL '30 seconds', ts)) = min(date_bin(INTERVAL '30 seconds', ts)) \
                 FROM readings GROUP BY time_bucket(INTERVAL '30 seconds', ts)";
    let rows = analytics.sql(query, 10).await.unwrap().rows;
    assert_eq!(rows.len(), 4);
    assert!(rows.iter().all(|row| row[1] == json!(true)));
}
