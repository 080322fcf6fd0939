//! One named frame of a real log, followed to its reading, its trip, and the invoice line whose
//! evidence reproduces the amount.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test: a failure is the message"
)]

#[path = "support/pipeline.rs"]
mod pipeline;

use std::{io::Read, path::Path, process::Command};

use edge_agent::source::replay::Pace;
use pipeline::{Pipeline, REAL_CAR, real_car, within};

/// OBD-II answer, mode 01 PID 0D (vehicle speed): 0x4C is 76 km/h. The last one before
/// 04:57:37Z, so it is the speed of that second's reading.
const FRAME: &str = "(1627275456.710300) can1 7E8#03410D4C00000000";
const READING_AT: &str = "2021-07-26T04:57:37Z";

#[tokio::test(flavor = "multi_thread")]
async fn one_frame_becomes_a_reading_a_trip_and_an_invoice_line() {
    let log =
        std::fs::File::open(pipeline::root().join("tests/data/css-car-obd-gnss/00000164.candump.log.gz"));
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(log.unwrap()).read_to_string(&mut text).unwrap();
    assert!(text.lines().any(|line| line.trim_end() == FRAME), "the frame is in the log");

    let data = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::start(data.path()).await;
    let vehicles = [(REAL_CAR.parse().unwrap(), "Car".to_owned())];
    api::seed_demo(&pipeline.api, &vehicles).await.unwrap();
    let agent = pipeline.agent(real_car(&data.path().join("spool"), pipeline.broker(), Pace::FlatOut)).await;
    within("the log drained", agent.drained()).await;
    assert_eq!(agent.stats().frames, 292_097);
    pipeline.settled().await;

    // Its reading.
    let reading =
        format!("SELECT speed_kmh FROM readings WHERE vehicle_id = '{REAL_CAR}' AND ts = '{READING_AT}'");
    assert_eq!(pipeline.number(&reading).await, 76.0);

    // Its trip: the reference figures are in tests/data/css-car-obd-gnss/facts.json.
    let trips = pipeline.get(&format!("/v1/trips?vehicle_id={REAL_CAR}")).await;
    let trips = trips["data"].as_array().unwrap();
    assert_eq!(trips.len(), 1, "{trips:?}");
    let trip = &trips[0];
    assert!(
        trip["start_time"].as_str().unwrap() < READING_AT && trip["end_time"].as_str().unwrap() > READING_AT
    );
    let distance_m = trip["distance_m"].as_f64().unwrap();
    assert!((distance_m / 40_501.0 - 1.0).abs() < 0.01, "{distance_m} m, by GNSS 40501 m");
    assert_eq!(trip["speed_max_kmh"].as_f64(), Some(88.0));
    let positions = pipeline
        .get(&format!(
            "/v1/trips/{}/positions",
            trip["trip_id"].as_str().unwrap_or_else(|| trip["id"].as_str().unwrap())
        ))
        .await;
    assert!(positions["data"].as_array().unwrap().len() > 100);

    // Its invoice line, and what proves it.
    let invoices = pipeline.get("/v1/invoices").await;
    let invoice =
        pipeline.get(&format!("/v1/invoices/{}", invoices["data"][0]["id"].as_str().unwrap())).await;
    let lines = invoice["lines"].as_array().unwrap();
    let line = lines.iter().find(|l| l["component"] == "DISTANCE").unwrap_or_else(|| panic!("{lines:?}"));
    let evidence = pipeline
        .get(&format!(
            "/v1/invoices/{}/lines/{}/evidence",
            invoice["id"].as_str().unwrap(),
            line["id"].as_str().unwrap()
        ))
        .await;
    assert_eq!(evidence["agrees"], true, "{evidence}");
    assert_eq!(evidence["row_hash_matches"], true);
    assert_eq!(evidence["amount_minor_recomputed"], line["amount_minor"]);
    // The demo's tariff: 0.29 a kilometre, by whole metres, half a cent up.
    let expected = (distance_m * 0.029).round();
    assert_eq!(line["amount_minor"].as_f64(), Some(expected), "{line}");
    terminal_commands(&data.path().join("lake"), distance_m).await;
    pipeline.stop().await;
}

/// What the terminal's commands tell of the same trip, beside the running server.
async fn terminal_commands(lake: &Path, distance_m: f64) {
    let lake = lake.to_owned();
    let said = move |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_roadlake"));
        let output = command.args(arguments).arg("--lake").arg(&lake).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let checks = tokio::task::spawn_blocking(move || {
        let trips: serde_json::Value = serde_json::from_str(&said(&["trips", "--json"])).unwrap();
        assert_eq!(trips[0]["distance_m"].as_f64(), Some(distance_m), "{trips}");
        let line = said(&["trips", "--vehicle", REAL_CAR, "--limit", "1"]);
        let trip_id = trips[0]["trip_id"].as_str().unwrap();
        for told in
            [REAL_CAR, "2021-07-26 04:", &format!("{:.1}", distance_m / 1000.0), trip_id, "██████████"]
        {
            assert!(line.contains(told), "{told:?} in {line}");
        }
        assert!(said(&["trips", "--from", "2022-01-01T00:00:00Z"]).starts_with("no trips"));

        let status: serde_json::Value = serde_json::from_str(&said(&["status", "--json"])).unwrap();
        assert_eq!(status[0]["vehicle_id"], REAL_CAR);
        assert_eq!(status[0]["trip_count_24h"], 0, "it is years ago: {status}");
        let screen = said(&["status"]);
        assert!(screen.starts_with("1 vehicle, 0 heard of"), "{screen}");
        assert!(screen.contains(" d ") && screen.contains(" ago"), "{screen}");

        let chart = said(&["sql", "--format", "chart", "SELECT vehicle_id, distance_m FROM latest_trips"]);
        assert_eq!(chart, format!("{REAL_CAR}  {distance_m}  {}\n", "█".repeat(40)));
        assert!(said(&["sql", "--json", "SELECT 1 AS one"]).contains("{\"one\":1}"));
    });
    checks.await.unwrap();
}

#[test]
fn the_commands_are_told_to_shells_and_to_man() {
    let said = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_roadlake")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = said(&["completions", shell]);
        assert!(script.contains("roadlake") && script.contains("trips"), "{shell}: {script}");
    }
    assert!(said(&["man"]).contains(".TH roadlake 1"));
    let folder = tempfile::tempdir().unwrap();
    said(&["man", "--out", folder.path().to_str().unwrap()]);
    for page in ["roadlake.1", "roadlake-trips.1", "roadlake-admin-rebuild.1"] {
        assert!(folder.path().join(page).is_file(), "{page}");
    }
}
