//! What each client gets, beside what the engine itself answers.

use super::*;

/// Types, null, parameters, errors, transactions and cursors; prepared statements see what came since.
#[tokio::test(flavor = "multi_thread")]
async fn psycopg_asks_every_way_it_has() {
    let mut open = Open::new().await;
    let speed = "SELECT vehicle_id, ts, speed_kmh, ignition_on, fuel_used_l, sequence, date FROM readings \
                 WHERE vehicle_id = 'acme-1' ORDER BY ts LIMIT 2";
    let ask: Vec<Value> =
        ["simple", "extended", "cursor"].iter().map(|how| json!([speed, null, how])).collect();
    let answers = open.psycopg(Value::Array(ask)).await;
    for answer in &answers {
        assert_eq!(
            answer.columns,
            ["vehicle_id", "ts", "speed_kmh", "ignition_on", "fuel_used_l", "sequence", "date"]
        );
        let first = [
            json!("acme-1"),
            json!("2024-05-01 08:00:00+00:00"),
            json!(36.0),
            json!(true),
            Value::Null,
            json!(1),
            json!("2024-05-01"),
        ];
        assert_eq!(answer.rows()[0], first);
        assert_eq!(answer.rows().len(), 2);
    }
    let by_parameter = "SELECT count(*) FROM readings WHERE vehicle_id = %s AND speed_kmh > %s";
    let answers = open
        .psycopg(json!([
            [by_parameter, ["bolt-1", 50.0], "extended"],
            [by_parameter, ["bolt-1", 50.0], "simple"],
            ["SELECT spead FROM readings", null, "extended"],
            ["SELECT 1 +", null, "simple"],
            ["SELECT max(ts) < now() FROM readings", null, "extended"],
            ["SELECT haversine_m(50, 10, 50, 10.01) > 700", null, "extended"],
        ]))
        .await;
    assert_eq!((answers[0].rows(), answers[1].rows()), (&[vec![json!(50)]][..], &[vec![json!(50)]][..]));
    let (message, state) = answers[2].refusal();
    assert!(
        message.contains("spead") && message.contains("speed_kmh") && state == "42000",
        "{message} {state}"
    );
    answers[3].refusal();
    assert_eq!(answers[4].rows(), [[json!(true)]], "after an error the connection goes on");
    assert_eq!(answers[5].rows(), [[json!(true)]]);

    // One connection asks again after more rows were committed.
    let again = open.analytics.clone();
    let (asked, tables) =
        (Arc::new(tables::StatementTables::new(again.clone())), "SELECT count(*) FROM readings");
    let session = tables::session(&again, &asked, None).await.unwrap();
    let plan = session.state().create_logical_plan(tables).await.unwrap();
    let mut counts = Vec::new();
    for _ in 0..2 {
        asked.begin();
        let batches = session.execute_logical_plan(plan.clone()).await.unwrap().collect().await.unwrap();
        counts.push(arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string());
        open.lake.append_of("acme-1", &run(START_S + 200, 7, 36.0), NOW).await;
    }
    assert!(counts[0].contains(" 150 ") && counts[1].contains(" 157 "), "{counts:?}");
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_shows_tables_columns_and_rows() {
    let open = Open::new().await;
    let text = |output: &Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let listed = text(&open.psql(&["-c", "\\dt"]).await);
    for table in ["readings", "signals", "trips", "latest_trips"] {
        assert!(listed.contains(table) || table.starts_with("latest"), "{table}: {listed}");
    }
    let described = text(&open.psql(&["-c", "\\d readings"]).await);
    assert!(described.contains("speed_kmh") && described.contains("double precision"), "{described}");
    let rows = text(
        &open.psql(&["-At", "-c", "SELECT vehicle_id, count(*) FROM readings GROUP BY 1 ORDER BY 1"]).await,
    );
    assert_eq!(rows, "acme-1|100\nbolt-1|50\n");
    let two = text(&open.psql(&["-At", "-c", "SELECT 1; SELECT count(*) FROM latest_trips"]).await);
    assert_eq!(two, "1\n0\n");
    // More than one row at a time, by a cursor.
    let fetched =
        text(&open.psql(&["-At", "-v", "FETCH_COUNT=7", "-c", "SELECT ts FROM readings ORDER BY ts"]).await);
    assert_eq!(fetched.lines().count(), 150);
    open.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jdbc_asks_and_reads_the_catalog() {
    let open = Open::new().await;
    let answers = open
        .ask(
            "jdbc",
            "somebody",
            "disable",
            json!([
                ["SELECT vehicle_id, count(*) AS n FROM readings GROUP BY 1 ORDER BY 1", null, "extended"],
                ["SELECT count(*) FROM readings WHERE vehicle_id = ?", ["acme-1"], "extended"],
                ["DROP TABLE readings", null, "extended"],
            ]),
        )
        .await
        .unwrap();
    assert_eq!(answers[0].rows(), [[json!("acme-1"), json!(100)], [json!("bolt-1"), json!(50)]]);
    assert_eq!(answers[1].rows(), [[json!(100)]]);
    assert!(answers[2].refusal().0.contains("only reads"), "{:?}", answers[2]);
    let catalog = &answers[3].rows()[0];
    let tables: Vec<&str> = catalog[0].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for table in ["readings", "signals", "trips", "stops", "driving_events"] {
        assert!(tables.contains(&table), "{tables:?}");
    }
    assert!(catalog[1].as_array().unwrap().contains(&json!("distance_m")), "{catalog:?}");
    open.stop().await;
}

/// The statements that Grafana's PostgreSQL data source sends to know what there is, and what its
/// time series macros become.
#[tokio::test(flavor = "multi_thread")]
async fn grafana_finds_tables_columns_and_a_series() {
    let open = Open::new().await;
    let tables = "SELECT CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM \
                  generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), \
                  array_upper(string_to_array(current_setting('search_path'),','),1)) as i, \
                  string_to_array(current_setting('search_path'),',') s) \
                  THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END \
                  AS \"table\" FROM information_schema.tables WHERE quote_ident(table_schema) NOT IN \
                  ('information_schema', 'pg_catalog', '_timescaledb_cache', '_timescaledb_catalog', \
                  '_timescaledb_internal', '_timescaledb_config', 'timescaledb_information', \
                  'timescaledb_experimental') ORDER BY CASE WHEN quote_ident(table_schema) IN (SELECT CASE WHEN trim(s[i]) = '\"$user\"' THEN user ELSE trim(s[i]) END FROM \
                  generate_series(array_lower(string_to_array(current_setting('search_path'),','),1), \
                  array_upper(string_to_array(current_setting('search_path'),','),1)) as i, \
                  string_to_array(current_setting('search_path'),',') s) \
                  THEN 0 ELSE 1 END, 1";
    let columns = "SELECT quote_ident(column_name) AS \"column\", data_type AS \"type\" FROM information_schema.columns \
                   WHERE quote_ident(table_name) = 'readings'";
    let series = "SELECT date_bin('30 seconds', ts) AS \"time\", avg(speed_kmh) AS speed_kmh FROM readings \
                  WHERE ts BETWEEN '2024-05-01T08:00:00Z' AND '2024-05-01T09:00:00Z' GROUP BY 1 ORDER BY 1";
    let answers = open
        .psycopg(json!([
            ["SELECT version()", null, "simple"],
            [tables, null, "simple"],
            [columns, null, "simple"],
            [series, null, "simple"],
        ]))
        .await;
    answers[0].rows();
    let found = answers[1].rows();
    let has = |name: &str| found.iter().any(|row| row[0].as_str().is_some_and(|table| table.ends_with(name)));
    assert!(has("readings") && has("latest_trips"), "{found:?}");
    let columns = answers[2].rows();
    assert!(columns.iter().any(|c| c[0] == json!("speed_kmh")), "{columns:?}");
    assert_eq!(answers[3].rows().len(), 4);
    open.stop().await;
}
