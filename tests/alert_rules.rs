//! Alert rules over the whole way: a real drive comes in piece by piece, and what was raised is what a trial says of it
//! afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test: a failure is the message")]

#[path = "support/pipeline.rs"]
mod pipeline;

use edge_agent::source::replay::Pace;
use pipeline::{Pipeline, REAL_CAR, http_post, real_car, within};
use serde_json::{Value, json};

/// Name, query, and the numbers.
fn rules() -> [Value; 5] {
    [
        json!({ "name": "fast", "query": "SELECT vehicle_id, ts, speed_kmh AS value FROM readings WHERE speed_kmh >= 80",
                "quiet_s": 10 }),
        json!({ "name": "fast for a while", "query": "SELECT vehicle_id, ts FROM readings WHERE speed_kmh > 60",
                "quiet_s": 5, "min_duration_s": 20 }),
        json!({ "name": "braked", "quiet_s": 5, "query": "SELECT vehicle_id, ts, speed_kmh - before AS value FROM (
                  SELECT vehicle_id, ts, speed_kmh, lag(speed_kmh) OVER (PARTITION BY vehicle_id ORDER BY ts) AS before
                  FROM readings WHERE speed_kmh IS NOT NULL) WHERE speed_kmh - before <= -8" }),
        json!({ "name": "busy minutes", "quiet_s": 1, "look_ahead_s": 60,
                "query": "SELECT vehicle_id, time_bucket(INTERVAL '1 minute', ts) AS ts, avg(speed_kmh) AS value
                          FROM readings GROUP BY vehicle_id, time_bucket(INTERVAL '1 minute', ts)
                          HAVING avg(speed_kmh) > 50" }),
        json!({ "name": "driven", "query": "SELECT vehicle_id, start_time AS ts, distance_m / 1000.0 AS value, \
                'by ' || distance_source AS message FROM latest_trips WHERE distance_m > 10000" }),
    ]
}

/// Of alerts, or of what a trial would have raised, what both tell, in order.
fn told(alerts: &Value) -> Vec<Value> {
    let fields = ["vehicle_id", "key", "started_at", "last_at", "value", "message", "details"];
    let mut told: Vec<Value> = alerts
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| fields.map(|name| alert[name].clone()).into())
        .collect();
    told.sort_by_key(|alert| alert[2].as_str().unwrap().to_owned());
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_raised_as_data_comes_is_what_a_trial_says_of_it_afterwards() {
    let data = tempfile::tempdir().unwrap();
    // Small commits: the drive is many versions, of which any may end within an alert.
    let pipeline = Pipeline::start_with(data.path(), |ingest| {
        ingest.flush_interval = std::time::Duration::from_millis(100);
    })
    .await;
    let mut made = Vec::new();
    for rule in rules() {
        made.push(pipeline.post("/v1/alert-rules", rule).await);
    }
    let agent = pipeline.agent(real_car(&data.path().join("spool"), pipeline.broker(), Pace::FlatOut)).await;
    within("the log drained", agent.drained()).await;
    pipeline.settled().await;
    let versions = pipeline.number("SELECT count(DISTINCT received_at) FROM readings").await;
    assert!(versions > 1.0, "it came in {versions} pieces");
    for (rule, mut trial) in made.iter().zip(rules()) {
        let name = rule["name"].as_str().unwrap();
        trial.as_object_mut().unwrap().remove("name");
        trial["from"] = json!("2021-07-26T00:00:00Z");
        trial["to"] = json!("2021-07-27T00:00:00Z");
        let address = pipeline.api.addr;
        let asking = tokio::task::spawn_blocking(move || http_post(address, "/v1/alert-rules:try", &trial));
        let (status, body) = asking.await.unwrap();
        assert_eq!(status, 200, "{body}");
        let would_be: Value = serde_json::from_str(&body).unwrap();
        let would_be = told(&would_be["alerts"]);
        assert!(!would_be.is_empty(), "{name} tells nothing");
        let path = format!("/v1/alerts?limit=200&rule_id={}", rule["id"].as_str().unwrap());
        let is_same = |page: &Value| told(&page["data"]) == would_be;
        let asking = pipeline.until(&path, is_same);
        let Ok(page) = tokio::time::timeout(std::time::Duration::from_secs(20), asking).await else {
            let page = pipeline.get(&path).await;
            panic!("{name}: raised {:#?}, a trial says {would_be:#?}", told(&page["data"]));
        };
        assert_eq!(page["data"][0]["vehicle_id"], REAL_CAR);
    }
    pipeline.stop().await;
}
