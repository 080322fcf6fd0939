//! Answers that are streamed: what readers of others make of them, what is kept in memory, how they end.

use std::{io::Write, path::PathBuf, process::Command, process::Stdio};

use super::*;

/// The whole answer, and whether rows were left off; an error as it came.
async fn read(
    analytics: &Analytics,
    query: &str,
    how: (StreamFormat, Option<usize>),
) -> (Vec<u8>, Result<bool, SqlError>) {
    let mut bytes = Vec::new();
    let mut answer = match analytics.sql_stream(None, query, how).await {
        Ok(answer) => answer,
        Err(error) => return (bytes, Err(error)),
    };
    while let Some(piece) = answer.next().await {
        match piece {
            Ok(Piece::Bytes(piece)) => bytes.extend(piece),
            Ok(Piece::End { is_truncated }) => {
                assert!(answer.next().await.is_none());
                return (bytes, Ok(is_truncated));
            }
            Err(error) => return (bytes, Err(error)),
        }
    }
    panic!("an answer without an end");
}

/// What a program of Python prints that is given bytes; its last line of complaint where it fails.
fn python(program: &str, given: &[u8]) -> Result<Value, String> {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(manifest.join("../target"), PathBuf::from);
    let mut child = Command::new(target.join("lake-readers/venv/bin/python"))
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the readers are not there: run scripts/setup --tests once, with the network");
    // A reader that fails early closes its end.
    let _ = child.stdin.take().unwrap().write_all(given);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).unwrap());
    }
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(told.lines().last().unwrap_or_default().to_owned())
}

const READ_CSV: &str = "
import csv, io, json, sys
text = sys.stdin.buffer.read().decode()
print(json.dumps(list(csv.reader(io.StringIO(text, newline=''), strict=True))))
";

const READ_ARROW: &str = "
import json, sys
import pyarrow as pa
reader = pa.ipc.open_stream(sys.stdin.buffer.read())
table = reader.read_all()
table.validate(full=True)
print(json.dumps({
    'types': [str(field.type) for field in table.schema],
    'rows': [list(row.values()) for row in table.slice(0, 3).to_pylist()],
    'count': table.num_rows,
    'batches': len(table.to_batches()),
    'versions': json.loads(table.schema.metadata[b'roadlake.lake_versions']),
}, default=str))
";

const READ_PARQUET: &str = "
import io, json, sys
import pyarrow.parquet as pq
file = pq.ParquetFile(io.BytesIO(sys.stdin.buffer.read()))
table = file.read()
table.validate(full=True)
print(json.dumps({
    'types': [str(field.type) for field in table.schema],
    'rows': [list(row.values()) for row in table.slice(0, 3).to_pylist()],
    'count': table.num_rows,
    'groups': file.num_row_groups,
    'versions': json.loads(table.schema.metadata[b'roadlake.lake_versions']),
}, default=str))
";

const VALUES: &str = "SELECT vehicle_id, ts, date, speed_kmh, ignition_on, soc_pct,
    'say \"hi\", ' || chr(10) || 'é' AS text, [vehicle_id] AS list FROM readings ORDER BY ts";

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_read_by_python() {
    let (_lake, analytics) = lake_with_readings().await;
    let (bytes, ended) = read(&analytics, VALUES, (StreamFormat::Csv, Some(2))).await;
    assert_eq!(ended, Ok(true));
    let text = "say \"hi\", \né";
    let row = |ts: &str| json!(["car-1", ts, "2024-05-01", "36.0", "true", "", text, "[\"car-1\"]"]);
    let names = json!(["vehicle_id", "ts", "date", "speed_kmh", "ignition_on", "soc_pct", "text", "list"]);
    let want = json!([names, row("2024-05-01T08:00:00Z"), row("2024-05-01T08:00:01Z")]);
    assert_eq!(python(READ_CSV, &bytes).unwrap(), want);

    // A null on its own is a row, and so is a header of no rows.
    let (bytes, _) = read(&analytics, "SELECT NULL AS x", (StreamFormat::Csv, None)).await;
    assert_eq!(python(READ_CSV, &bytes).unwrap(), json!([["x"], [""]]));
    let (bytes, ended) =
        read(&analytics, "SELECT ts, code FROM diagnostics", (StreamFormat::Csv, None)).await;
    assert_eq!((bytes.as_slice(), ended), (b"ts,code\r\n".as_slice(), Ok(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn arrow_is_read_by_pyarrow() {
    let (_lake, analytics) = lake_with_readings().await;
    let (bytes, ended) = read(&analytics, VALUES, (StreamFormat::Arrow, None)).await;
    assert_eq!(ended, Ok(false));
    let found = python(READ_ARROW, &bytes).unwrap();
    has_values(&found);
    // Many batches are one table, and none has a schema alone.
    let many = "SELECT value, CAST(value AS VARCHAR) AS text FROM generate_series(1, 50000)";
    let (bytes, _) = read(&analytics, many, (StreamFormat::Arrow, None)).await;
    let found = python(READ_ARROW, &bytes).unwrap();
    assert_eq!(found["count"], 50_000);
    assert!(found["batches"].as_i64().unwrap() >= 49, "{found}");
    let (bytes, _) = read(&analytics, "SELECT ts, code FROM diagnostics", (StreamFormat::Arrow, None)).await;
    assert_eq!(python(READ_ARROW, &bytes).unwrap()["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_read_by_pyarrow() {
    let (_lake, analytics) = lake_with_readings().await;
    let of = async |query: &str| read(&analytics, query, (StreamFormat::Parquet, None)).await;
    let (bytes, ended) = of(VALUES).await;
    assert_eq!(ended, Ok(false));
    has_values(&python(READ_PARQUET, &bytes).unwrap());
    // Many rows are row groups that are handed on as they are whole.
    let (bytes, _) = of("SELECT value, CAST(value AS VARCHAR) AS text FROM generate_series(1, 300000)").await;
    let found = python(READ_PARQUET, &bytes).unwrap();
    assert_eq!((&found["count"], &found["groups"]), (&json!(300_000), &json!(3)));
    let (bytes, _) = of("SELECT ts, code, NULL AS nothing FROM diagnostics").await;
    assert_eq!(python(READ_PARQUET, &bytes).unwrap()["count"], 0);
    // What it has no type for is told before a byte is written.
    for (value, name) in [("max(ts) - min(ts)", "took"), ("INTERVAL '1 month 2 days'", "term")] {
        let (bytes, refused) = of(&format!("SELECT {value} AS {name} FROM readings")).await;
        let refused = refused.unwrap_err();
        assert!(bytes.is_empty() && refused.kind == SqlErrorKind::Invalid, "{refused}");
        assert!(
            refused.message.contains("Parquet has no type") && refused.message.contains(name),
            "{refused}"
        );
        let (bytes, _) = of(&format!("SELECT CAST({value} AS VARCHAR) AS {name} FROM readings")).await;
        assert_eq!(python(READ_PARQUET, &bytes).unwrap()["types"], json!(["string"]));
    }
}

/// What a reader has of `VALUES`.
fn has_values(found: &Value) {
    let types = json!([
        "string",
        "timestamp[us, tz=UTC]",
        "date32[day]",
        "double",
        "bool",
        "double",
        "string",
        "list<item: string>"
    ]);
    assert_eq!(found["types"], types);
    assert_eq!((&found["count"], &found["versions"]["readings"]), (&json!(100), &json!(1)));
    let first = json!([
        "car-1",
        "2024-05-01 08:00:00+00:00",
        "2024-05-01",
        36.0,
        true,
        null,
        "say \"hi\", \né",
        ["car-1"]
    ]);
    assert_eq!(found["rows"][0], first);
}

/// Whatever a reader that was not told by HTTP: what was cut is not read as whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_answer_is_no_answer_to_its_reader() {
    let (lake, _) = lake_with_readings().await;
    let analytics = opened(&lake, Limits { streamed_rows_max: 3000, ..Limits::default() }).await;
    let many = "SELECT value FROM generate_series(1, 50000)";
    for (format, program) in [(StreamFormat::Csv, READ_CSV), (StreamFormat::Arrow, READ_ARROW)] {
        let (mut bytes, ended) = read(&analytics, many, (format, None)).await;
        let error = ended.unwrap_err();
        assert_eq!(error.kind, SqlErrorKind::Busy);
        assert!(error.message.contains("more than 3000 rows"), "{error}");
        // Without the mark it would be: this is why it is there.
        assert!(python(program, &bytes).is_ok());
        bytes.extend(format.cut_mark(&error.message));
        let told = python(program, &bytes).unwrap_err();
        assert!(told.contains("unexpected end of data") || told.contains("metadata bytes"), "{told}");
        // Asked for as many as there may be, it is whole and says that there is more.
        let (bytes, ended) = read(&analytics, many, (format, Some(3000))).await;
        assert_eq!(ended, Ok(true));
        assert!(python(program, &bytes).is_ok());
    }
    let (mut bytes, ended) = read(&analytics, many, (StreamFormat::Parquet, None)).await;
    bytes.extend(StreamFormat::Parquet.cut_mark(&ended.unwrap_err().message));
    assert!(python(READ_PARQUET, &bytes).unwrap_err().contains("not found in footer"));
    // A mistake in the data that shows late.
    let late =
        "SELECT CAST(CASE WHEN value = 40000 THEN 'x' ELSE '1' END AS INT) FROM generate_series(1, 50000)";
    let analytics = opened(&lake, Limits::default()).await;
    let (bytes, ended) = read(&analytics, late, (StreamFormat::Csv, None)).await;
    assert!(!bytes.is_empty() && ended.unwrap_err().kind == SqlErrorKind::Invalid);
    let refused = read(&analytics, "DROP TABLE readings", (StreamFormat::Csv, None)).await;
    assert!(refused.0.is_empty() && refused.1.unwrap_err().kind == SqlErrorKind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_or_goes_leaves_its_place() {
    let (lake, _) = lake_with_readings().await;
    let limits = Limits {
        queries_max: 1,
        queue_wait: Duration::from_secs(30),
        statement_time: Duration::from_secs(3),
        streamed_rows_max: usize::MAX,
        ..Limits::default()
    };
    let endless = "SELECT value FROM generate_series(1, 100000000000)";
    let analytics = opened(&lake, limits).await;
    let mut stalled = analytics.sql_stream(None, endless, (StreamFormat::Csv, None)).await.unwrap();
    assert!(matches!(stalled.next().await, Some(Ok(Piece::Bytes(_)))));
    // It reads no more; when its time is over another has its place.
    analytics.sql("SELECT 1", 1).await.unwrap();
    let mut waiting = 0;
    let error = loop {
        match stalled.next().await.unwrap() {
            Ok(Piece::Bytes(_)) => waiting += 1,
            Ok(Piece::End { .. }) => panic!("cut, and it looks whole"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, stalled.next().await), (SqlErrorKind::Timeout, None));
    assert!(waiting <= 3, "{waiting} pieces were made ahead");

    let analytics = opened(&lake, Limits { statement_time: Duration::from_secs(3600), ..limits }).await;
    let gone = analytics.sql_stream(None, endless, (StreamFormat::Arrow, None)).await.unwrap();
    assert_eq!(analytics.shared.free_places(), 0);
    drop(gone);
    analytics.sql("SELECT 1", 1).await.unwrap();
}

#[tokio::test]
async fn a_streamed_answer_has_the_rows_of_one_s_own_vehicles() {
    let (mut lake, analytics) = lake_with_readings().await;
    lake.append_of("van-1", &run(START_S, 7, 36.0), NOW).await;
    let whose = Whose::of(["van-1".parse().unwrap()]);
    let query = "SELECT vehicle_id, count(*) AS n FROM readings GROUP BY vehicle_id";
    let mut answer = analytics.sql_stream(Some(&whose), query, (StreamFormat::Csv, None)).await.unwrap();
    assert_eq!(answer.lake_versions["readings"], 2);
    let mut bytes = Vec::new();
    while let Some(Ok(Piece::Bytes(piece))) = answer.next().await {
        bytes.extend(piece);
    }
    assert_eq!(bytes, b"vehicle_id,n\r\nvan-1,7\r\n");
}
