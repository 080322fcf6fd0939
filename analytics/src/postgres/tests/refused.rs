//! Ways around: none of them writes, reads a file, leaves the tables there are, or sees another's vehicles.

use super::*;

/// Each is refused, whatever protocol it comes by.
pub(crate) const WAYS: &[&str] = &[
    "CREATE TABLE mine AS SELECT * FROM readings",
    "CREATE TABLE mine (a int)",
    "CREATE VIEW mine AS SELECT * FROM readings",
    "CREATE TEMPORARY TABLE mine AS SELECT 1",
    "CREATE SCHEMA mine",
    "CREATE DATABASE mine",
    "CREATE EXTERNAL TABLE passwd (line TEXT) STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE FUNCTION f(int) RETURNS int AS 'SELECT 1' LANGUAGE SQL",
    "CREATE INDEX i ON readings (ts)",
    "DROP TABLE readings",
    "DROP VIEW latest_trips",
    "DROP SCHEMA public CASCADE",
    "ALTER TABLE readings ADD COLUMN a int",
    "TRUNCATE TABLE readings",
    "INSERT INTO readings SELECT * FROM readings",
    "INSERT INTO trips (trip_id) VALUES ('x')",
    "UPDATE readings SET speed_kmh = 0",
    "DELETE FROM readings",
    "MERGE INTO readings USING trips ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM readings RETURNING *) SELECT * FROM gone",
    "SELECT * INTO mine FROM readings",
    "COPY readings TO '/tmp/readings.csv'",
    "COPY (SELECT * FROM readings) TO '/tmp/readings.parquet'",
    "COPY readings FROM '/etc/passwd'",
    "COPY readings TO PROGRAM 'id'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM \"file:///etc/passwd\"",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('/tmp/x.parquet')",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT pg_sleep(100)",
    "SELECT * FROM lake.readings",
    "SELECT * FROM roadlake.lake.readings",
    "SELECT * FROM datafusion.public.readings",
    "SET datafusion.runtime.memory_limit = '100G'",
    "SET \"datafusion.execution.target_partitions\" = 64",
    "SET datafusion.catalog.location = '/etc'",
    "RESET ALL",
    "EXPLAIN ANALYZE DELETE FROM readings",
    "EXPLAIN INSERT INTO readings SELECT * FROM readings",
    "PREPARE p AS DELETE FROM readings",
    "DO $$ BEGIN END $$",
    "CALL f()",
    "GRANT ALL ON readings TO somebody",
    "VACUUM",
    "LOCK TABLE readings",
    "LISTEN x",
    "KILL 1",
    "USE other",
    "LOAD '/tmp/x.so'",
    "ATTACH DATABASE '/etc/passwd' AS p",
    "DECLARE c CURSOR FOR DELETE FROM readings",
];

#[tokio::test(flavor = "multi_thread")]
async fn no_way_around_writes_or_reads_beyond_the_tables() {
    let open = Open::new().await;
    let how = ["simple", "extended"];
    let ask: Vec<Value> = WAYS.iter().flat_map(|sql| how.map(|how| json!([sql, null, how]))).collect();
    let answers = open.psycopg(Value::Array(ask)).await;
    for (way, answers) in WAYS.iter().zip(answers.chunks(2)) {
        for answer in answers {
            answer.refusal();
            assert!(answer.rows.is_empty(), "{way}");
        }
    }
    let still = open.psycopg(json!([["SELECT count(*) FROM readings", null, "simple"]])).await;
    assert_eq!(still[0].rows(), [[json!(150)]]);
    let versions = open.analytics.sql("SELECT count(*) FROM readings", 1).await.unwrap().lake_versions;
    assert_eq!(versions.get("readings"), Some(&2), "nothing was committed");
    open.stop().await;
}

/// One who may see some vehicles finds no other way to the rest.
#[tokio::test(flavor = "multi_thread")]
async fn another_s_vehicles_are_nowhere_to_be_found() {
    let open = Open::with(Limits::default(), settings(vec![user("acme", Some("acme-*"))])).await;
    let ways = [
        "SELECT DISTINCT vehicle_id FROM readings",
        "SELECT vehicle_id FROM readings WHERE vehicle_id = 'bolt-1' OR true",
        "SELECT vehicle_id FROM public.readings WHERE NOT vehicle_id LIKE 'acme-%'",
        "SELECT vehicle_id FROM roadlake.public.readings",
        "SELECT r.vehicle_id FROM readings r FULL JOIN readings s ON false",
        "SELECT min(vehicle_id), max(vehicle_id) FROM readings",
        "SELECT vehicle_id FROM (SELECT * FROM readings UNION ALL SELECT * FROM readings) x",
        "WITH readings AS (SELECT * FROM public.readings) SELECT vehicle_id FROM readings",
        "SELECT vehicle_id FROM readings TABLESAMPLE SYSTEM (100)",
        "SELECT table_name FROM information_schema.tables",
        "SELECT view_definition FROM information_schema.views",
        "SELECT relname FROM pg_catalog.pg_class",
        "EXPLAIN SELECT * FROM readings",
        "EXPLAIN VERBOSE SELECT * FROM readings WHERE vehicle_id > 'a'",
        "EXPLAIN ANALYZE VERBOSE SELECT count(*) FROM readings",
        "SELECT count(*) FROM readings WHERE CAST(vehicle_id AS INT) = 1",
        "SELECT count(*) FROM readings WHERE CAST(replace(vehicle_id, 'acme-1', '7') AS INT) = 7",
        "SELECT count(*) FROM readings WHERE vehicle_id LIKE 'bolt%' AND 1 / (sequence - sequence) = 1",
        "SELECT vehicle_id FROM lake_at('readings', 2)",
        "SELECT vehicle_id, value FROM signal('Vehicle.Speed')",
        "SHOW TABLES",
        "SELECT trip_id FROM trips UNION SELECT vehicle_id FROM readings",
        "SELECT vehicle_id FROM latest_trips UNION ALL SELECT vehicle_id FROM readings",
    ];
    let ask: Vec<Value> = ways.iter().map(|sql| json!([sql, null, "extended"])).collect();
    let answers = open.ask("psycopg", "acme", "disable", Value::Array(ask)).await.unwrap();
    let counted = json!([["SELECT count(*) FROM readings", null, "simple"]]);
    let counted = open.ask("psycopg", "acme", "disable", counted).await.unwrap();
    assert_eq!(counted[0].rows(), [[json!(100)]]);
    let mut seen = 0;
    for (way, answer) in ways.iter().zip(&answers) {
        if way.contains("'7') AS INT) = 7") {
            assert_eq!(answer.rows(), [[json!(100)]], "rows that are not there are not cast");
        }
        let text = format!("{:?} {:?}", answer.rows, answer.error);
        assert!(!text.contains("bolt"), "{way}: {text}");
        seen += usize::from(text.contains("acme-1"));
    }
    assert!(seen >= 6, "its own are seen: {answers:?}");
    open.stop().await;
}
